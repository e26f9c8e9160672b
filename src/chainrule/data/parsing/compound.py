"""Numbers that are written in several parts: durations, feet and inches, fractions, debits.

Each is a record: what its cells look like, and what number one is. They are found like units, and
stand where a unit would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import angles, clock
from .currencies import bare_numbers

if TYPE_CHECKING:
    import polars as pl

    Read = Callable[[pl.Series], pl.Series]

#: What each of them has.
_HOLDS = r"[\d½⅓⅔¼¾⅕-⅞]"
#: A number whose marks are those of the notation, to be read by it.
_N = r"\d[\d.,' ]*"


@dataclass(frozen=True)
class Compound:
    """A way to write a number in parts.

    Attributes:
        name: it stands for a unit under this name.
        pattern: what a cell looks like; its groups are the parts.
        evidence: what at least one cell of a column looks like besides, as most ways have cells
            that could be something else.
        value: the numbers of cells, of which each matches; takes the groups, and what reads them.
        told: how it is read, for the user, with an example.
        likely: what all cells must be besides, beside the name of the column; and whether they
            are to be numbers.
    """

    name: str
    pattern: str
    evidence: tuple[str, ...]
    value: Callable[[list[pl.Series], Read], pl.Series]
    told: str
    likely: Callable[[pl.Series, str, bool], bool] | None = None

    def fits(self, cells: pl.Series) -> pl.Series:
        """Which cells look like it."""
        return (cells.str.contains(self.pattern) & cells.str.contains(_HOLDS)).fill_null(False)

    def is_shown_by(self, cells: pl.Series, name: str, asked: bool) -> bool:
        """Whether each thing that makes it likely is in one of the cells."""
        found = all(cells.str.contains(pattern).any() for pattern in self.evidence)
        return found and (self.likely is None or self.likely(cells, name, asked))

    def read(self, text: pl.Series, read: Read) -> pl.Series:
        """Its values, null where a cell is none."""
        groups = text.str.extract_groups(self.pattern).struct.unnest().get_columns()
        values = self.value(groups, lambda part: read(part.str.strip_chars()))
        return values.set(~self.fits(text), None)


def _sum(factors: tuple[float, ...], sign: int | None = None) -> Callable[..., pl.Series]:
    """The sum of the groups, each times its factor; the group ``sign`` may be a minus."""

    def value(groups: list[pl.Series], read: Read) -> pl.Series:
        import polars as pl

        parts = [group for i, group in enumerate(groups) if i != sign]
        total = pl.Series([0.0] * len(groups[0]), dtype=pl.Float64)
        for part, factor in zip(parts, factors, strict=True):
            total = total + read(part).fill_null(0.0) * factor
        return total if sign is None else _signed(total, groups[sign] == "-")

    return value


def _signed(values: pl.Series, negative: pl.Series) -> pl.Series:
    return (-values).zip_with(negative.fill_null(False), values)


def _debit(groups: list[pl.Series], read: Read) -> pl.Series:
    values = read(groups[0])
    return _signed(values, groups[1].str.to_lowercase().str.contains(_DEBIT))


def _celsius(groups: list[pl.Series], read: Read) -> pl.Series:
    values, scale = read(groups[0]), groups[1].str.to_uppercase()
    values = ((values - 32.0) / 1.8).zip_with((scale == "F") | (scale == "℉"), values)
    return (values - 273.15).zip_with(scale == "K", values)


_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5",
           "⅗": "3/5", "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8",
           "⅞": "7/8"}  # fmt: skip
_VULGARS = "".join(_VULGAR)


def _fraction(groups: list[pl.Series], read: Read) -> pl.Series:
    import polars as pl

    sign, whole, above, below, more, vulgar, alone = groups
    whole = whole.fill_null(more)
    parts = [vulgar.replace_strict(
        {mark: float(text.split("/")[i]) for mark, text in _VULGAR.items()}, default=None,
        return_dtype=pl.Float64) for i in (0, 1)]  # fmt: skip
    above, below = (read(group) for group in (above, below))
    part = (above / below).fill_null(parts[0] / parts[1])
    values = read(alone).fill_null(read(whole).fill_null(0.0) + part.fill_null(0.0))
    return _signed(values, sign == "-")


def _middle(groups: list[pl.Series], read: Read) -> pl.Series:
    low, high, only = (read(group) for group in groups)
    ordered = (low <= high).fill_null(True)
    return ((low + high) / 2).fill_null(only).set(~ordered, None)


def _first(groups: list[pl.Series], read: Read) -> pl.Series:
    return read(groups[0])


def _words(*names: str) -> str:
    return "(?:" + "|".join(sorted(names, key=lambda name: (-len(name), name))) + r")\.?"


_YEARS = _words("y", "yr", "yrs", "year", "years", "jahr", "jahre", "j", "an", "ans", "año", "años",
                "anni", "anno", "ano", "anos", "jaar", "год", "года", "лет", "г")  # fmt: skip
_MONTHS = _words("m", "mo", "mos", "mth", "mths", "month", "months", "monat", "monate", "mois",
                 "mes", "meses", "mese", "mesi", "maand", "maanden", "мес", "месяц", "месяца",
                 "месяцев")  # fmt: skip
_DAYS = _words("d", "day", "days", "tag", "tage", "jour", "jours", "día", "días",
               "giorno", "giorni", "dia", "dias", "dag", "dagen", "д", "дн", "день", "дня",
               "дней")  # fmt: skip
_HOURS = _words("h", "hr", "hrs", "hour", "hours", "std", "stunde", "stunden", "heure",
                "heures", "hora", "horas", "ora", "ore", "uur", "ч", "час", "часа",
                "часов", "時間", "小时")  # fmt: skip
_MINUTES = _words("m", "min", "mins", "minute", "minutes", "minuten", "minuto", "minutos",
                  "minuti", "м", "мин", "минут", "минуты", "минута", "分", "分钟")  # fmt: skip
_SECONDS = _words("s", "sec", "secs", "second", "seconds", "sek", "sekunden", "sekunde",
                  "seconde", "secondes", "segundo", "segundos", "secondi", "с",
                  "сек", "секунд", "秒")  # fmt: skip
_AND = r"(?:\s*(?:,|and|und|et|y|e|и)?\s*)"


def _of_parts(*units: str) -> str:
    """Numbers with these units, in their order, of which any may be missing."""
    first = r"(?:(\d+(?:[.,]\d+)?)\s*" + units[0] + ")?"
    others = "".join(rf"(?:{_AND}(\d+(?:[.,]\d+)?)\s*{unit})?" for unit in units[1:])
    return rf"(?i)^{first}{others}$"


#: Two numbers with their units, or 1h20.
_TWO_PARTS = r"\d\s*[^\W\d_]+\.?(?:\s|,)*(?:and|und|et|y|e|и)?\s*\d"
_FEET = r"(?:'|′|’|ft\.?|feet|foot)"
_INCHES = r"(?:\"|″|”|''|in\.?|inch|inches)"
#: Inches without their mark: 72'129 is a number with a mark of thousands.
_REST = r"((?:1[01]|0?\d)(?:[.,]\d+)?)"
_TO = r"(?:-|–|—|to|bis|à|a|до|～|~|\.\.)"
_DEBIT = r"^(?:s|soll|dr?|debit|lastschrift|дт|д|wn)\.?$"
_SIDES = r"(?i:S|H|Soll|Haben|DR|CR|D|C|debit|credit|Дт|Кт|Wn|Ma)\.?"

#: Fewer different ranges than this are categories.
_FEW_RANGES = 20
_RANGE = (rf"^({_N}?)\s*{_TO}\s*({_N})$|^({_N}?)\s*(?:\+|and over|and older|or more|und älter|"
          r"und mehr|и более)?$")  # fmt: skip


def _are_ranges(cells: pl.Series, name: str, asked: bool) -> bool:
    """Many ranges that go upwards, not far: no groups of few, telephone numbers or scores."""
    if len(cells) <= _FEW_RANGES or cells.str.contains(r"^0\d|\D0\d").any():
        return False
    groups = cells.str.extract_groups(_RANGE).struct.unnest().get_columns()
    low, high = (_plain(group) for group in groups[:2])
    both = low.is_not_null() & high.is_not_null()
    upwards = ((low < high) & (high <= 20 * low + 100)).filter(both)
    return bool(both.sum() > 0.8 * len(cells) and upwards.all())


def _plain(text: pl.Series) -> pl.Series:
    return text.str.replace_all(r"[^\d]", "").cast(float, strict=False)


#: The ways, in the order in which they are tried.
COMPOUNDS = {
    one.name: one
    for one in (
        Compound("debit and credit", rf"^({_N})\s+({_SIDES})$",
                 (r"(?i)\s(?:s|soll|dr?|debit|дт|wn)\.?$",
                  r"(?i)\s(?:h|haben|cr?|credit|кт|ma)\.?$"),
                 _debit, "a debit (S, DR) is negative, a credit (H, CR) positive"),
        Compound("durations", _of_parts(_DAYS, rf"{_HOURS}(?:\s*(\d\d)\b)?", _MINUTES, _SECONDS),
                 (_TWO_PARTS, r"(?i)\d\s*" + f"(?:{_HOURS}|{_SECONDS}|min)"),
                 _sum((86400.0, 3600.0, 60.0, 60.0, 1.0)), "in seconds: 1h 20m is 4,800"),
        Compound("ages", _of_parts(_YEARS, _MONTHS, _DAYS),
                 (_TWO_PARTS, rf"(?i)\d\s*{_YEARS}(?:\s|,|\d|$)"),
                 _sum((1.0, 1 / 12, 1 / 365.2425)), "in years: 1y 6m is 1.5"),
        Compound("ISO durations",
                 r"^(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$",
                 (r"^-?P.*\d",), _sum((86400.0, 3600.0, 60.0, 1.0), 0),
                 "in seconds: PT1H20M is 4,800"),
        Compound("hours and minutes", r"^([+-]?)(\d{1,4}):([0-5]\d)$", (),
                 _sum((3600.0, 60.0), 0), "in seconds, hours in front: 1:20 is 4,800",
                 clock.in_hours),
        Compound("clock durations", r"^([+-]?)(?:(\d{1,4}):)?(\d{1,4}):([0-5]\d(?:[.,]\d+)?)$",
                 (), _sum((3600.0, 60.0, 1.0), 0),
                 "in seconds: 1:20:35 is 4,835, and 75:30 is 4,530", clock.are_durations),
        Compound("temperatures", rf"^([+-]?{_N})\s*(?:°\s*|º\s*)?([CcFfK℃℉])$",
                 (r"(?:[°º]|\d\s)\s*F$|℉$", r"(?:[°º]|\d\s)\s*[CK]$|℃$"),
                 _celsius, "in °C: 50 °F is 10"),
        Compound("feet and inches",
                 rf"(?i)^(?:(\d+(?:\.\d+)?)\s*{_FEET}\s*(?:(\d+(?:[.,]\d+)?)\s*{_INCHES}|{_REST})?"
                 rf"|(\d+(?:[.,]\d+)?)\s*{_INCHES})$",
                 (rf"(?i)\d\s*{_FEET}\s*\d",), _sum((12.0, 1.0, 1.0, 1.0)),
                 "in inches: 5'11\" is 71"),
        Compound("fractions",
                 rf"^([+-]?)(?:(?:(\d+)(?:\s+|-))?(\d+)\s?[/⁄]\s?([1-9]\d*)"
                 rf"|(\d+)?\s*([{_VULGARS}])|(\d+(?:[.,]\d+)?))$",
                 (rf"\d(?:\s+|-)\d+\s?[/⁄]\s?\d|[{_VULGARS}]",), _fraction, "3 1/2 is 3.5"),
        Compound("tolerances", rf"^([+-]?{_N})\s*(?:±|\+/-|\+-)\s*{_N}$",
                 (r"±|\+/-|\+-",), _first, "what stands behind ± is left out"),
        Compound("footnotes", r"^([+-]?\d[\d.,' ]*?)\s*(?:\*+|[†‡§¹²³]+|(?:\[[^\[\]]{1,9}\])+)?$",
                 (r"\d\s*(?:\*+|[†‡§]+|\[[^\[\]]{1,9}\])$",), _first,
                 "the marks of footnotes are left out"),
        Compound("angles", angles.DEGREES, (r"(?i)[°º˚].*['′’´ʹ`]|[°º˚].*[NSEW]$|^[NSEW].*[°º˚]",),
                 angles.value(), "in degrees: 10°30'S is -10.5"),
        Compound("angles, O is east", angles.WITH_O, (r"[°º˚]", r"(?i)O$|^O", r"(?i)W$|^W"),
                 angles.value(), "in degrees, O is east: 10°30'O is 10.5"),
        Compound("angles, O is west", angles.WITH_O, (r"[°º˚]", r"(?i)O$|^O"),
                 angles.value("WO"), "in degrees, O is west: 10°30'O is -10.5"),
        Compound("coordinates", angles.COORDINATES, (), angles.value(),
                 "in degrees: 10 30 15 S is -10.504", angles.are_coordinates),
        Compound("ranges", _RANGE, (rf"\d\s*{_TO}\s*\d",), _middle,
                 "the middle counts: 10-20 is 15", _are_ranges),
    )
}  # fmt: skip


def find_compound(
    values: pl.Series, counts: pl.Series, fraction: float, name: str = "", asked: bool = False
) -> str | None:
    """The way in which these numbers are written in parts, if nearly all of them are.

    Args:
        values: distinct cells, tidy text.
        counts: how often each occurs.
        fraction: of the cells that must be written so.
        name: of the column, as `chainrule.data.identifier_names` compares it.
        asked: are they to be numbers?

    Example:
        >>> import polars as pl
        >>> find_compound(pl.Series(["1h 20m", "45m"]), pl.Series([1, 1]), 1.0)
        'durations'
    """
    cells = bare_numbers(values)
    least = fraction * int(counts.sum())
    for compound in COMPOUNDS.values():
        head = cells.head(100)
        if compound.fits(head).sum() * 2 < len(head):
            continue
        if int(counts.filter(compound.fits(cells)).sum()) < least:
            continue
        if compound.is_shown_by(cells.filter(compound.fits(cells)), name, asked):
            return compound.name
    return None


#: Two numbers, or one with a word: what may be numbers to their writer.
_TWO = r"^[^\p{L}\d]{0,2}\d+(?:[.,]\d+)?\s*(?:[xX×*/:;|@–-]|\s)\s*\d+(?:[.,]\d+)?\D{0,6}$"
_CODE = r"^\d{3,}-\d{3,}$|^0\d"


def odd_numbers(cells: pl.Series) -> str | None:
    """Why the numbers in nearly all of these cells are not read; None if they hold none.

    Codes of letters and digits are no numbers, and neither are telephone numbers.

    Example:
        >>> import polars as pl
        >>> odd_numbers(pl.Series(["120/80", "135/90"]))
        'two numbers in a cell'
        >>> odd_numbers(pl.Series(["A12", "B7"])) is None
        True
    """
    from .units import SPELLINGS

    bare = bare_numbers(cells)
    if bare.str.contains(_CODE).sum() * 2 > len(bare):
        return None
    if bare.str.contains(_TWO).sum() >= 0.9 * len(bare):
        return "two numbers in a cell"
    words = bare.str.extract(r"^(\p{L}{1,9})\.?\s*[+-]?\d+(?:[.,]\d+)?$")
    known = {word for members in SPELLINGS.values() for word in members}
    if words.is_in(sorted(known)).sum() >= 0.9 * len(bare):
        return "their unit stands in front"
    behind = bare.str.extract(r"^[+-]?\d+(?:[.,]\d+)?\s+(\p{L}[\p{L}.]*)$")
    if behind.is_not_null().sum() >= 0.9 * len(bare) and behind.n_unique() > 1:
        return "different words stand behind them"
    return None
