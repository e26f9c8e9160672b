"""Cells to values: how a column's text is read as numbers, booleans, dates or categories.

Everything here works on whole polars Series and knows nothing of tables: `tidy` brings a column of
any type to one of few, and `read_numbers`, `read_booleans`, `read_dates`, `read_categories` read it
as one kind. A cell that cannot be read becomes null; who calls counts them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

# A cell of any of these, in any case, is a missing value: words of spreadsheets and of C.
ERRORS = frozenset(
    {"", "#n/a", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!", "#error!", "#spill!"}
    | {"#calc!", "<na>", "-nan", "-nan(ind)", "1.#qnan", "1.#ind", "-1.#ind"}
)
# These usually mean a missing value, but some may be values: no damage at all, North America.
WORDS = frozenset({"na", "n/a", "n.a.", "null", "none", "nan", "nat", "?", "-", "--", "."})
MISSING = ERRORS | WORDS

# Words for false and for true. A column is boolean if one pair covers it and both sides occur.
BOOLEANS = (
    ({"false", "f"}, {"true", "t"}),
    ({"no", "n"}, {"yes", "y"}),
    ({"off"}, {"on"}),
    ({"0", "0.0"}, {"1", "1.0"}),
)
_FALSE = sorted(set().union(*(no for no, _ in BOOLEANS)))
_TRUE = sorted(set().union(*(yes for _, yes in BOOLEANS)))


@dataclass(frozen=True)
class Notation:
    """How numbers are written: ``1,234.5`` has decimal mark ``.`` and thousands mark ``,``."""

    decimal: str = "."
    thousands: str = ""

    def __str__(self) -> str:
        return f"1{self.thousands}234{self.decimal}5"

    @property
    def pattern(self) -> str:
        """What a cell that is a number looks like, as a regular expression."""
        decimal, mark = re.escape(self.decimal), re.escape(self.thousands)
        whole = r"\d+"
        if self.thousands == ",":  # groups of two digits, too: 1,23,45,678 in India
            whole += r"|[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}"
        elif self.thousands:
            whole += rf"|[1-9]\d{{0,2}}(?:{mark}\d{{3}})+"
        return rf"^[+-]?(?:(?:{whole})(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?$"


PLAIN = Notation()
# Tried in this order where a column allows more than one.
NOTATIONS = (
    PLAIN,
    Notation(".", ","),
    Notation(",", ""),
    Notation(",", "."),
    Notation(".", " "),
    Notation(",", " "),
    Notation(".", "'"),
    Notation(",", "'"),
)

_CURRENCY = (
    r"(?:US\$|R\$|[$€£¥₹₽₩₺]|(?i:USD|EUR|GBP|CHF|JPY|CAD|AUD|NZD|INR|CNY|SEK|NOK|DKK|PLN|CZK|HUF)"
    r"|Rs\.?|kr\.?|zł|Fr\.)"
)

_DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    *("%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y", "%d.%m.%Y"),
    *("%m/%d/%y", "%d/%m/%y", "%d.%m.%y"),
    *("%d %B %Y", "%d-%B-%Y", "%d-%B-%y", "%B %d, %Y", "%B %d %Y"),
)
_TIMES = ("%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
_ZONED = ("%H:%M:%S%.f%#z", "%H:%M%#z", "%H:%M:%S%.f %#z", "%H:%M %#z", "%H:%M:%S%.f UTC",
          "%H:%M UTC", "%H:%M:%S%.f GMT", "%H:%M GMT")  # fmt: skip
# Formats in the notation of strftime, the likelier first.
DATE_FORMATS = (
    *_DAYS,
    *(f"{day}T{time}" for day in _DAYS[:1] for time in (*_TIMES, *_ZONED[:2])),
    *(f"{day} {time}" for day, time in itertools.product(_DAYS, _TIMES)),
    *(f"{day} {time}" for day, time in itertools.product(_DAYS, _ZONED)),
    *("%Y-%m-%dT%H", "%Y-%m-%d %H:%M:%S,%3f", "%Y-%m-%dT%H:%M:%S,%3f"),
    *("%Y%m%dT%H%M%S", "%Y%m%d%H%M%S", "%Y%m%dT%H%M%S%#z", "%Y%m%dT%H%M%#z"),
    *("%a, %d %B %Y %H:%M:%S %#z", "%a, %d %B %Y %H:%M:%S GMT", "%d/%B/%Y:%H:%M:%S %#z"),
    *("%a %B %d %H:%M:%S %Y", "%A, %B %d, %Y", "%A, %d %B %Y", "%Y-%B-%d", "%Y年%m月%d日"),
    *("%Y-%m", "%m/%Y", "%Y/%m", "%B %Y", "%B-%Y", "%B-%y", "%B %y", "%YM%m", "%Y%m", "%Y-%j"),
    *("%YQ%q", "%Y-Q%q", "%Y Q%q", "%YQ0%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "%qQ%Y", "Q%q%Y"),
    *("%G-W%V", "%GW%V", "%G W%V", "%G-W%V-%u", "W%V %G", "W%V-%G"),
    *_TIMES,
)


def tidy(column: pl.Series, missing: Iterable[str] | None = None) -> pl.Series | None:
    """A column as String (trimmed), Boolean, Int64, Float64 or Datetime (UTC), null where missing.

    None if its cells are lists, structures or bytes. Infinities stay; `read_numbers` keeps them.

    Args:
        column: of any type.
        missing: the words, in lower case, that mean a missing value, beside `ERRORS`; `WORDS`
            without it.

    Example:
        >>> import polars as pl
        >>> tidy(pl.Series([" a", "N/A", "?"])).to_list()
        ['a', None, None]
    """
    import polars as pl

    dtype = column.dtype
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        text = column.cast(pl.String).str.strip_chars()
        words = MISSING if missing is None else ERRORS.union(missing)
        return text.set(text.str.to_lowercase().is_in(sorted(words)), None)
    if dtype == pl.Null:
        return column.cast(pl.String)
    if dtype == pl.Boolean:
        return column
    if dtype.is_integer():
        whole = column.cast(pl.Int64, strict=False)
        return whole if whole.null_count() == column.null_count() else column.cast(pl.Float64)
    if dtype.is_float() or dtype.is_decimal():
        return column.cast(pl.Float64).fill_nan(None)
    if dtype in (pl.Date, pl.Datetime):
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return column.cast(pl.Datetime("us"))
    if dtype == pl.Time:  # as a time of 1 January 1970
        return (column.cast(pl.Int64) // 1000).cast(pl.Datetime("us"))
    if dtype == pl.Duration:
        return column.dt.total_microseconds() / 1e6
    return None


def tally(column: pl.Series) -> pl.DataFrame:
    """The distinct values of a column, in order of appearance, and in how many rows each is.

    Example:
        >>> import polars as pl
        >>> tally(pl.Series(["b", "a", None, "b"])).rows()
        [('b', 2), ('a', 1)]
    """
    cells = column.alias("value").drop_nulls().to_frame()
    return cells.group_by("value", maintain_order=True).len("rows")


def epoch_seconds(moments: pl.Series) -> pl.Series:
    """Seconds since 1970-01-01 UTC, as Float64."""
    import polars as pl

    return moments.cast(pl.Int64).cast(pl.Float64) / 1e6


# ---------------------------------------------------------------- numbers


def read_numbers(
    column: pl.Series, notation: Notation = PLAIN, unit: str | None = None
) -> pl.Series:
    """Float64 values of a tidy column; currency and percent signs are left out, ``(5)`` is -5.

    Args:
        column: tidy.
        notation: of its text.
        unit: what may stand behind the numbers: a family of `UNITS`, whose members are brought to
            the same scale, or a word of its own.

    Example:
        >>> import polars as pl
        >>> read_numbers(pl.Series(["1.234,5", "-3 €", "abc"]), Notation(",", ".")).to_list()
        [1234.5, -3.0, None]
        >>> read_numbers(pl.Series(["1.2k", "3 M", "70"]), unit="multiples").to_list()
        [1200.0, 3000000.0, 70.0]
    """
    import polars as pl

    if column.dtype == pl.Datetime:
        return epoch_seconds(column)
    if column.dtype != pl.String:
        return column.cast(pl.Float64)
    if notation != PLAIN:
        return _read_written(column, notation, unit)
    values = column.cast(pl.Float64, strict=False)
    rest = (values.is_null() & column.is_not_null()).arg_true()
    if not len(rest):
        return values
    return values.scatter(rest, _read_written(column.gather(rest), notation, unit))


def _read_written(text: pl.Series, notation: Notation, unit: str | None) -> pl.Series:
    import polars as pl

    text = bare_numbers(text)
    if unit is not None:
        return _read_units(text, notation, unit)
    infinite = text.str.contains(r"(?i)^[+-]?inf(inity)?$").fill_null(False)
    text = text.set(~text.str.contains(notation.pattern) & ~infinite, None)
    if notation.thousands:
        text = text.str.replace_all(notation.thousands, "", literal=True)
    if notation.decimal != ".":
        text = text.str.replace_all(notation.decimal, ".", literal=True)
    return text.cast(pl.Float64, strict=False)


def bare_numbers(text: pl.Series) -> pl.Series:
    """Text without what may stand around a number: currency, percent, signs of accounting.

    There ``(5)`` and ``5-`` are -5, and ``$-`` is 0.
    """
    return (
        text.str.replace_all("[\u00a0\u2007\u2009\u202f]", " ")
        .str.replace_all("\u2212", "-", literal=True)
        .str.replace(rf"^(?:{_CURRENCY}\s*[-–—]|[-–—]\s*{_CURRENCY})$", "0")
        .str.replace(r"^(\d.*)-$", "-$1")
        .str.replace(rf"^(?:{_CURRENCY}\s*)?\((.*)\)$", "-$1")
        .str.replace(rf"^([+-]?)\s*{_CURRENCY}\s*", "$1")
        .str.replace(rf"\s*(?:{_CURRENCY}|%)$", "")
    )


def signs(values: pl.Series) -> list[str]:
    """The currency and percent signs that stand around these numbers.

    Example:
        >>> import polars as pl
        >>> signs(pl.Series(["$5", "7 %", "9"]))
        ['$', '%']
    """
    values = values.filter(values.cast(float, strict=False).is_null())
    return [str(sign) for sign in _sign(values).drop_nulls().unique(maintain_order=True).to_list()]


def _sign(values: pl.Series) -> pl.Series:
    before = values.str.extract(rf"^[+-]?\(?\s*({_CURRENCY})")
    return before.fill_null(values.str.extract(rf"({_CURRENCY}|%)\)?$"))


#: Other ways to write the sign of a currency.
_SAME_CURRENCY = {
    "usd": "$", "us$": "$", "eur": "€", "gbp": "£", "jpy": "¥", "cny": "¥", "inr": "₹", "rs": "₹",
    "rs.": "₹", "kr": "kr", "kr.": "kr", "sek": "kr", "nok": "kr", "dkk": "kr", "pln": "zł",
    "fr.": "CHF", "chf": "CHF",
}  # fmt: skip


def currency(sign: str) -> str:
    """One sign for each currency.

    Example:
        >>> currency("usd"), currency("$"), currency("EUR")
        ('$', '$', '€')
    """
    return _SAME_CURRENCY.get(sign.lower(), sign)


def other_signs(text: pl.Series, known: Sequence[str]) -> pl.Series:
    """Which cells have a sign that says something else than these: percent, another currency.

    Example:
        >>> import polars as pl
        >>> other_signs(pl.Series(["5 %", "$5", "5"]), ["€"]).to_list()
        [True, True, False]
        >>> other_signs(pl.Series(["5 %", "$5", "5"]), []).to_list()
        [True, False, False]
    """
    sign = _sign(text)
    strange = sign.is_not_null() & ~sign.is_in(list(known))
    if any(sign != "%" for sign in known):
        return strange
    return strange & (sign == "%").fill_null(False)


def fitting_notations(
    values: pl.Series, counts: pl.Series, fraction: float, unit: str | None = None
) -> list[Notation]:
    """The notations in which the most cells are numbers, if at least this fraction of them are.

    Args:
        values: distinct cells, tidy text.
        counts: how often each occurs.
        fraction: from 0 to 1.
        unit: as for `read_numbers`.

    Example:
        >>> import polars as pl
        >>> [str(n) for n in fitting_notations(pl.Series(["1,234"]), pl.Series([1]), 1.0)][:2]
        ['1,234.5', '1234,5']
    """
    total = int(counts.sum())
    if values.cast(float, strict=False).null_count() == 0:
        # Plain numbers. 1.234 may still be a thousand: see if every point has a group after it.
        grouped = Notation(",", ".")
        dotted = values.str.contains(".", literal=True)
        if dotted.any() and all(
            part.str.contains(grouped.pattern).all() for part in (values.head(100), values)
        ):
            return [PLAIN, grouped]
        return [PLAIN]
    head, head_counts = values.head(200), counts.head(200)
    fits: list[tuple[int, Notation]] = []
    for notation in NOTATIONS:
        likely = _readable(head, head_counts, notation, unit)
        if likely >= 0.5 * fraction * int(head_counts.sum()):
            fits.append((_readable(values, counts, notation, unit), notation))
    most = max((count for count, _ in fits), default=0)
    return [notation for count, notation in fits if count == most >= max(fraction * total, 1)]


def _readable(values: pl.Series, counts: pl.Series, notation: Notation, unit: str | None) -> int:
    return int(counts.filter(read_numbers(values, notation, unit).is_not_null()).sum())


def shape(cells: pl.Series) -> pl.Series:
    """Cells in lower case with 0 for each run of digits: what odd cells of a column have in common.

    Example:
        >>> import polars as pl
        >>> shape(pl.Series(["N.B. 12", "7x33"])).to_list()
        ['n.b. 0', '0x0']
    """
    import polars as pl

    return cells.cast(pl.String).str.to_lowercase().str.replace_all(r"\d+", "0")


# ---------------------------------------------------------------- units

#: Families of units: what they are worth beside each other. Case counts, unless it makes no
#: difference within the family.
UNITS: dict[str, dict[str, float]] = {
    "multiples": {
        **dict.fromkeys(("k", "K", "tsd", "thousand"), 1e3), "lakh": 1e5,
        **dict.fromkeys(("m", "M", "MM", "mn", "mio", "mln", "million"), 1e6), "crore": 1e7,
        **dict.fromkeys(("b", "B", "bn", "mrd", "billion"), 1e9),
        **dict.fromkeys(("T", "tn", "trillion"), 1e12),
    },
    "masses": {
        "mg": 1e-6, "g": 1e-3, "kg": 1.0, "t": 1e3, "oz": 0.028349523125, "lb": 0.45359237,
        "lbs": 0.45359237,
    },
    "lengths": {
        "mm": 1e-3, "cm": 1e-2, "dm": 0.1, "m": 1.0, "km": 1e3, "in": 0.0254, "ft": 0.3048,
        "yd": 0.9144, "mi": 1609.344,
    },
    "volumes": {"ml": 1e-3, "mL": 1e-3, "cl": 1e-2, "dl": 0.1, "l": 1.0, "L": 1.0},
    "times": {
        "ms": 1e-3, **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
        **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
        **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
        **dict.fromkeys(("d", "day", "days"), 86400.0),
        **dict.fromkeys(("w", "wk", "week", "weeks"), 604800.0),
        **dict.fromkeys(("mo", "month", "months"), 2629746.0),
        **dict.fromkeys(("y", "yr", "yrs", "year", "years"), 31556952.0),
    },
    "bytes": {
        **dict.fromkeys(("kB", "KB"), 1e3), "MB": 1e6, "GB": 1e9, "TB": 1e12,
        "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3,
    },
    "powers": {"W": 1.0, "kW": 1e3, "MW": 1e6, "GW": 1e9},
    "frequencies": {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9},
}  # fmt: skip


def _spellings(members: dict[str, float]) -> dict[str, float]:
    """With words in capitals, too, and abbreviations with their point."""
    words = {word: size for word, size in members.items() if len(word) > 2 and word.islower()}
    found = dict(members)
    for spelling in (str.capitalize, str.upper):
        found |= {spelling(word): size for word, size in words.items()}
    return found | {f"{word}.": size for word, size in found.items()}


_SPELLINGS = {family: _spellings(members) for family, members in UNITS.items()}
_UNIT = r"(.*\d[.,]?)\s*([A-Za-zµμΩ°′″'\"²³/][A-Za-zµμΩ°′″'\"²³/.]{0,11}(?: [a-z]{1,9})?)"
#: A word that is no unit of a family stands behind at least this fraction of the numbers.
_MOST = 0.5


def find_unit(values: pl.Series, counts: pl.Series, fraction: float) -> str | None:
    """What stands behind these numbers: a family of `UNITS`, or one word that is always the same.

    Args:
        values: distinct cells, tidy text.
        counts: how often each occurs.
        fraction: of the cells that are numbers, with a unit or without.

    Example:
        >>> import polars as pl
        >>> find_unit(pl.Series(["500 g", "1.2 kg"]), pl.Series([1, 1]), 1.0)
        'masses'
        >>> find_unit(pl.Series(["12A", "7B"]), pl.Series([1, 1]), 1.0) is None
        True
    """
    bare = bare_numbers(values)
    parts = bare.str.extract(rf"^[+-]?[\d.,' ]*?{_UNIT}$", 2)
    written = bare.str.contains(rf"^[+-]?[\d.,' ]*{_UNIT}$") & parts.is_not_null()
    plain = bare.str.contains(r"^[+-]?[\d.,' ]*\d[.,]?$")
    with_unit, without = int(counts.filter(written).sum()), int(counts.filter(plain).sum())
    if not with_unit or with_unit + without < fraction * int(counts.sum()):
        return None
    found = {str(word) for word in parts.filter(written).unique().to_list()}
    if len(found) > 1 or (without and not found <= {"m", "t", "b", "T"}):
        for family, members in _SPELLINGS.items():
            if found <= members.keys() and (family == "multiples" or not without):
                return family
    alike = {word.lower().rstrip(".").removesuffix("s") for word in found}
    if len(alike) > 1 or with_unit < _MOST * (with_unit + without):
        return None
    (word,) = found if len(found) == 1 else {min(found, key=len)}
    known = any(word in members for members in _SPELLINGS.values())
    if word in UNITS["multiples"] and word not in UNITS["masses"] and len(values) < 10:
        return None  # 1B, 2B, 3B are bases
    attached = bare.filter(written).str.contains(r"\d[A-Za-z]$").any()
    if not known and len(word) == 1 and attached and word.isascii():
        return None  # 12A is the number of a house
    return word.rstrip(".") if word.rstrip(".") else None


def _read_units(text: pl.Series, notation: Notation, unit: str) -> pl.Series:
    """Numbers with a unit behind them, or without."""
    import polars as pl

    number, word = (text.str.extract(rf"^{_UNIT}$", part) for part in (1, 2))
    if unit in UNITS:
        factor = word.replace_strict(_SPELLINGS[unit], default=None, return_dtype=pl.Float64)
    else:
        stem = word.str.to_lowercase().str.strip_chars_end(".").str.replace("s$", "")
        same = stem == unit.lower().removesuffix("s")
        factor = same.cast(pl.Float64).set(~same.fill_null(False), None)
    bare = read_numbers(text, notation)
    measured = read_numbers(number.set(factor.is_null(), None), notation) * factor
    return bare.zip_with(bare.is_not_null(), measured)


# ---------------------------------------------------------------- booleans


def read_booleans(column: pl.Series) -> pl.Series:
    """Boolean values of a tidy column: true/false, yes/no, on/off, t/f, y/n, 1/0 in any case.

    Example:
        >>> import polars as pl
        >>> read_booleans(pl.Series(["Yes", "no", "maybe"])).to_list()
        [True, False, None]
    """
    import polars as pl

    if column.dtype == pl.Boolean:
        return column
    if column.dtype == pl.String:
        word = column.str.to_lowercase()
        yes, no = word.is_in(_TRUE), word.is_in(_FALSE)
    else:
        number = read_numbers(column)
        yes, no = number == 1, number == 0
    return yes.set(~(yes | no), None)


def are_booleans(values: pl.Series) -> bool:
    """Are these distinct cells a pair of booleans, both of which occur?"""
    import polars as pl

    if values.dtype != pl.String:
        return len(values) == 2 and set(read_numbers(values).to_list()) == {0.0, 1.0}
    if len(values) > 10:
        return False
    words = {word.lower() for word in values.to_list()}
    return any(words <= (no | yes) and words & no and words & yes for no, yes in BOOLEANS)


# ---------------------------------------------------------------- dates


#: Between the formats of a column that is written in several.
OR = " | "
#: A column is written in so many formats at most, each of them in this fraction of its cells.
_MAX_FORMATS, _MIN_FRACTION = 3, 0.02


def read_dates(column: pl.Series, date_format: str | None) -> pl.Series:
    """Datetime values of a tidy column, UTC where no zone is written.

    Args:
        column: text, integers such as 20141013, or datetimes (these need no format).
        date_format: as for strftime; several with ``" | "`` between them, of which a cell is read
            by the first that fits; None only for datetimes.

    Example:
        >>> import polars as pl
        >>> read_dates(pl.Series(["31/12/2014", "31/13/2014"]), "%d/%m/%Y").to_list()
        [datetime.datetime(2014, 12, 31, 0, 0), None]
    """
    import polars as pl

    if column.dtype == pl.Datetime:
        return column
    if date_format is None or column.dtype == pl.Boolean:
        return pl.Series(column.name, [None] * len(column), dtype=pl.Datetime("us"))
    first, _, others = date_format.partition(OR)
    if others:
        moments = read_dates(column, first)
        return moments.zip_with(moments.is_not_null(), read_dates(column, others))
    text = column if column.dtype == pl.String else read_categories(column)
    text, date_format = _rewritten(text, date_format)
    if not any(
        part in date_format for part in ("%Y", "%y", "%G")
    ):  # a time alone is of 1 January 1970
        text, date_format = "1970-01-01 " + text, f"%Y-%m-%d {date_format}"
    moments = text.str.to_datetime(date_format, time_unit="us", strict=False)
    if isinstance(moments.dtype, pl.Datetime) and moments.dtype.time_zone is not None:
        moments = moments.dt.replace_time_zone(None)  # polars has brought them to UTC
    # %Y takes years of any length: 2/3/14 would be of the year 14.
    year = moments.dt.year()
    return moments.set((year < 1000) | (year > 9999), None)


def _rewritten(text: pl.Series, date_format: str) -> tuple[pl.Series, str]:
    """Quarters, weeks and months without marks as polars reads them: by their first day."""
    import polars as pl

    if "%q" in date_format:
        quarter = text.str.extract(_part(date_format, "%q")).cast(pl.Int64, strict=False)
        month = (quarter * 3 - 2).cast(pl.String).str.zfill(2)
        return text.str.extract(_part(date_format, "%Y")) + "-" + month, "%Y-%m"
    if "%G" in date_format:
        year, week = (text.str.extract(_part(date_format, part)) for part in ("%G", "%V"))
        day = text.str.extract(_part(date_format, "%u")) if "%u" in date_format else "1"
        return year + "-W" + week.str.zfill(2) + "-" + day, "%G-W%V-%u"
    if date_format.endswith("T%H"):
        return text + ":00", f"{date_format}:%M"
    if date_format in ("%Y%m", "%YM%m"):
        return text.str.replace(r"^(\d{4})M?(\d{2})$", "$1-$2"), "%Y-%m"
    return text, date_format


def _part(date_format: str, directive: str) -> str:
    """A pattern whose group is this part of a date."""
    before, _, after = date_format.partition(directive)
    group = f"({_DIRECTIVES[directive]})"
    return f"^{_looks(before).pattern[:-1]}{group}{_looks(after).pattern}"


_DIRECTIVES = {
    "%Y": r"\d{4}",
    "%G": r"\d{4}",
    "%q": "[1-4]",
    "%V": r"\d{1,2}",
    "%u": "[1-7]",
    "%j": r"\d{3}",
    "%3f": r"\d{3}",
    "%A": "[A-Z][a-z]{5,8}",
    "%B": "[A-Za-z]{3,9}",
    "%p": "[AaPp][Mm]",
    "%a": "[A-Za-z]{3}",
    r"%\.f": r"(?:\.\d+)?",
    "%#z": r"(?:[Zz]|[+-]\d\d:?(?:\d\d)?)",
}


def likely_date_formats(values: pl.Series) -> list[str]:
    """The formats with a year that one of these cells looks like."""
    cells = values.to_list()
    dated = [text for text in DATE_FORMATS if any(year in text for year in ("%Y", "%y", "%G"))]
    return [text for text in dated if any(map(_looks(text).match, cells))]


@cache
def _looks(date_format: str) -> re.Pattern[str]:
    """What cells of this format look like; the other directives are numbers of up to two digits."""
    pattern = re.escape(date_format).replace(r"\#", "#")
    for directive, looks in _DIRECTIVES.items():
        pattern = pattern.replace(directive, looks)
    return re.compile(re.sub("%[a-zA-Z]", r"\\d{1,2}", pattern) + "$")


def fitting_date_formats(values: pl.Series, counts: pl.Series, fraction: float) -> list[str]:
    """The formats in which the most cells are dates, if at least this fraction of them are.

    Args and result as for `fitting_notations`.

    Example:
        >>> import polars as pl
        >>> fitting_date_formats(pl.Series(["01/02/2014", "13/02/2014"]), pl.Series([1, 1]), 1.0)
        ['%d/%m/%Y']
    """
    head = values.head(50).to_list()
    fits = []
    for date_format in DATE_FORMATS:
        # Most columns are no dates: their looks say so long before a date is parsed.
        alike = sum(bool(_looks(date_format).match(text)) for text in head)
        if head and alike >= 0.5 * fraction * len(head):
            moments = read_dates(values, date_format)
            fits.append((int(counts.filter(moments.is_not_null()).sum()), date_format))
    most = max((count for count, _ in fits), default=0)
    return [text for count, text in fits if count == most >= max(fraction * int(counts.sum()), 1)]


def mixed_date_format(values: pl.Series, counts: pl.Series, fraction: float) -> str | None:
    """Up to three formats in one of which each of this fraction of cells is a date, with ``" | "``.

    Args as for `fitting_notations`.

    Example:
        >>> import polars as pl
        >>> days = pl.Series(["2014-02-01", "13/02/2014", "2015-01-31"])
        >>> mixed_date_format(days, pl.Series([1, 1, 1]), 1.0)
        '%Y-%m-%d | %d/%m/%Y'
    """
    total = int(counts.sum())
    found: list[str] = []
    for _ in range(_MAX_FORMATS):
        head = values.head(200).to_list()
        likely = [text for text in DATE_FORMATS if any(map(_looks(text).match, head))]
        read = {text: read_dates(values, text).is_not_null() for text in likely}
        rows = {text: int(counts.filter(good).sum()) for text, good in read.items()}
        best = max(likely, key=lambda text: rows[text], default=None)
        if best is None or rows[best] < _MIN_FRACTION * total:
            break
        found.append(best)
        values, counts = values.filter(~read[best]), counts.filter(~read[best])
    rest = int(counts.sum())
    return OR.join(found) if found and total - rest >= fraction * total else None


# ---------------------------------------------------------------- categories


def read_categories(column: pl.Series) -> pl.Series:
    """Canonical text of a tidy column: the same from text, integers or floats.

    Example:
        >>> import polars as pl
        >>> read_categories(pl.Series([98001.0, 2.5])).to_list()
        ['98001', '2.5']
        >>> read_categories(pl.Series(["98001.0", "2.5"])).to_list()
        ['98001', '2.5']
    """
    import polars as pl

    if column.dtype == pl.Float64:
        whole = column.cast(pl.Int64, strict=False)
        exact = (whole.cast(pl.Float64) == column).fill_null(False)
        return whole.cast(pl.String).zip_with(exact, column.cast(pl.String))
    if column.dtype == pl.Datetime:
        return column.dt.to_string("iso")
    return column.cast(pl.String).str.replace(r"^(-?(?:0|[1-9]\d*))\.0+$", "$1")
