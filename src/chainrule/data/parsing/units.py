"""Units behind numbers: kilograms and grams, thousands and millions, or one word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cells import are_plain
from .currencies import bare_numbers

if TYPE_CHECKING:
    import polars as pl

#: Families of units: what they are worth beside each other. Case counts, unless it makes no
#: difference within the family.
UNITS: dict[str, dict[str, float]] = {
    "multiples": {
        **dict.fromkeys(("k", "K", "tsd", "thousand", "thousands", "tausend", "duizend"), 1e3),
        **dict.fromkeys(("mil", "mille", "mila", "tys", "тыс", "тис", "千"), 1e3), "lakh": 1e5,
        **dict.fromkeys(("万", "萬", "만"), 1e4), **dict.fromkeys(("億", "亿", "억"), 1e8),
        **dict.fromkeys(("m", "M", "MM", "mn", "mio", "mln", "million", "millions"), 1e6),
        **dict.fromkeys(("millionen", "millón", "millones", "milhão", "milhões", "miljoen"), 1e6),
        **dict.fromkeys(("milione", "milioni", "milyon", "млн"), 1e6), "crore": 1e7,
        **dict.fromkeys(("b", "B", "bn", "mrd", "mld", "billion", "billions", "млрд"), 1e9),
        **dict.fromkeys(("milliarde", "milliarden", "milliard", "milliards", "miljard"), 1e9),
        **dict.fromkeys(("miliardo", "miliardi", "milyar", "mil millones", "bilhões"), 1e9),
        **dict.fromkeys(("T", "tn", "trillion", "billones", "billionen", "трлн"), 1e12),
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


#: Families with all ways to write their members.
SPELLINGS = {family: _spellings(members) for family, members in UNITS.items()}

#: A number, and the word behind it, as a regular expression of two groups.
UNIT = r"(.*\d[.,]?)\s*([\p{L}°′″'\"²³/][\p{L}°′″'\"²³/.]{0,11}(?: [a-z]{1,9})?)"

#: A word that is no unit of a family stands behind at least this fraction of the numbers.
_MOST = 0.5


def needs_unit(unit: str | None) -> bool:
    """Whether a number means nothing without its unit, unless it is 0: 500 beside g and kg.

    Example:
        >>> needs_unit("masses"), needs_unit("multiples"), needs_unit("°C")
        (True, False, False)
    """
    return unit in UNITS and unit != "multiples"


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
    if are_plain(values):
        return None
    bare = bare_numbers(values)
    parts = bare.str.extract(rf"^[+-]?[\d.,' ]*?{UNIT}$", 2)
    written = bare.str.contains(rf"^[+-]?[\d.,' ]*{UNIT}$") & parts.is_not_null()
    plain = bare.str.contains(r"^[+-]?[\d.,' ]*\d[.,]?$")
    zero = bare.str.contains(r"^[+-]?0(?:[.,]0*)?$")
    with_unit, without = int(counts.filter(written).sum()), int(counts.filter(plain).sum())
    if not with_unit or with_unit + without < fraction * int(counts.sum()):
        return None
    without -= int(counts.filter(zero).sum())
    found = {str(word) for word in parts.filter(written).unique().to_list()}
    if len(found) > 1 or (without and not found <= {"m", "t", "b", "T"}):
        for family, members in SPELLINGS.items():
            if found <= members.keys() and (family == "multiples" or not without):
                return family
    alike = {word.lower().rstrip(".").removesuffix("s") for word in found}
    if len(alike) > 1 or with_unit < _MOST * (with_unit + without):
        return None
    (word,) = found if len(found) == 1 else {min(found, key=len)}
    known = any(word in members for members in SPELLINGS.values())
    if word in UNITS["multiples"] and word not in UNITS["masses"] and len(values) < 10:
        return None  # 1B, 2B, 3B are bases
    attached = bare.filter(written).str.contains(r"\d[A-Za-z]$").any()
    if not known and len(word) == 1 and attached and word.isascii():
        return None  # 12A is the number of a house
    return word.rstrip(".") if word.rstrip(".") else None
