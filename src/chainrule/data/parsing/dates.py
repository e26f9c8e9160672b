"""Cells as dates: in which formats a column is written, and moments of it."""

from __future__ import annotations

import itertools
import re
from functools import cache
from typing import TYPE_CHECKING

from .categories import read_categories
from .months import NAME, in_english
from .weekdays import without_weekday

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

_DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    *("%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y", "%d.%m.%Y"),
    *("%m/%d/%y", "%d/%m/%y", "%d.%m.%y"),
    *("%d %B %Y", "%d-%B-%Y", "%d-%B-%y", "%B %d, %Y", "%B %d %Y"),
    *("%d. %B %Y", "%d de %B de %Y", "%d %B %Y г."),
)

_TIMES = ("%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p")

#: Of the day: PM, pm, p.m.
_HALF = r"([AaPp])\.?\s?[Mm]\.?"

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
    *("%d/%B/%Y:%H:%M:%S %#z", "%B %d %H:%M:%S %Y", "%Y-%B-%d", "%Y年%m月%d日"),
    *("%Y-%m", "%m/%Y", "%Y/%m", "%B %Y", "%B-%Y", "%B-%y", "%B %y", "%YM%m", "%Y%m", "%Y-%j"),
    *("%YQ%q", "%Y-Q%q", "%Y Q%q", "%YQ0%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "%qQ%Y", "Q%q%Y"),
    *("%G-W%V", "%GW%V", "%G W%V", "%G-W%V-%u", "W%V %G", "W%V-%G"),
    *_TIMES,
)

#: In front of a format: the day of the week stands before the date or behind it, in any language.
WEEKDAY = "%a "
_WEEKDAY = re.compile(r"^%[aA][.,]?\s*|[\s,]*%[aA]$")

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
    if _WEEKDAY.search(date_format):
        text, date_format = without_weekday(text), _WEEKDAY.sub("", date_format)
    if "%B" in date_format:
        text = in_english(text)
    if " %p" in date_format:
        text = text.str.replace(rf"\s?{_HALF}$", " ${1}M")
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
    "%B": NAME,
    r"\ %p": rf"\s?{_HALF}",
    r"%\.f": r"(?:\.\d+)?",
    "%#z": r"(?:[Zz]|[+-]\d\d:?(?:\d\d)?)",
}


@cache
def _marks(date_format: str) -> tuple[bool, frozenset[str]]:
    """Whether all cells of this format begin with a digit, and signs that all of them have."""
    literal = re.sub(r"%(?:\.f|#z|3f|[a-zA-Z])", "", date_format)
    return date_format[0] == "%" and date_format[1] != "B", frozenset(literal) - {" "}


def _conceivable(cells: Iterable[str]) -> list[str]:
    """The formats whose beginning and signs one of these cells has.

    To compile a pattern for each of hundreds takes longer than to read most columns.

    Example:
        >>> _conceivable(["city 12"]), len(DATE_FORMATS)
        (['%B %d %Y', '%B %Y', '%B %y'], 306)
    """
    signs = frozenset[str]().union(*(_marks(text)[1] for text in DATE_FORMATS))
    seen = {(text[:1].isdecimal(), signs.intersection(text)) for text in cells}
    return [
        text
        for text in DATE_FORMATS
        if any(digit == _marks(text)[0] and _marks(text)[1] <= has for digit, has in seen)
    ]


def likely_date_formats(values: pl.Series) -> list[str]:
    """The formats with a year that one of these cells looks like."""
    cells = values.to_list()
    dated = [
        text for text in _conceivable(cells) if any(year in text for year in ("%Y", "%y", "%G"))
    ]
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
    if fits := _fitting(values, counts, fraction):
        return fits
    bare = without_weekday(values) if _has_weekdays(values) else None
    return [] if bare is None else [WEEKDAY + fit for fit in _fitting(bare, counts, fraction)]


def _has_weekdays(values: pl.Series) -> bool:
    head = values.head(50)
    return bool((without_weekday(head) != head).any())


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _fitting(values: pl.Series, counts: pl.Series, fraction: float) -> list[str]:
    head = values.head(50).to_list()
    if sum(map(_has_digit, head)) < 0.5 * fraction * len(head):
        return []  # before a pattern for each format is compiled
    fits = []
    for date_format in _conceivable(head):
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
        head = [text for text in values.head(200).to_list() if _has_digit(text)]
        if not head:
            break
        likely = [text for text in _conceivable(head) if any(map(_looks(text).match, head))]
        read = {text: read_dates(values, text).is_not_null() for text in likely}
        rows = {text: int(counts.filter(good).sum()) for text, good in read.items()}
        best = max(likely, key=lambda text: rows[text], default=None)
        if best is None or rows[best] < _MIN_FRACTION * total:
            break
        found.append(best)
        values, counts = values.filter(~read[best]), counts.filter(~read[best])
    rest = int(counts.sum())
    return OR.join(found) if found and total - rest >= fraction * total else None
