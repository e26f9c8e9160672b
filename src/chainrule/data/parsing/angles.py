"""Angles: degrees, minutes and seconds, and the side of the equator or of Greenwich."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    Read = Callable[[pl.Series], pl.Series]

_NUMBER = r"(\d+(?:[.,]\d+)?)"
_MINUTE = r"(?:['′’‘´ʹ`]|min\.?|m)"
_SECOND = r"(?:[\"″”“ʺ]|''|′′|’’|´´|sec\.?|s)"
_DEGREE = r"[°º˚]"


def _pattern(sides: str, degree: str, between: str) -> str:
    """Groups: side in front, sign, degrees, minutes, seconds, side behind."""
    return (
        rf"^(?i:([{sides}])\s*)?([+-]?){_NUMBER}\s*{degree}\s*"
        rf"(?:{_NUMBER}\s*(?:{_MINUTE}|{between})\s*)?(?:{_NUMBER}\s*{_SECOND}?)?\s*(?i:([{sides}]))?$"
    )


#: With a sign for degrees; with O for the west or the east beside N, S and E or W.
DEGREES = _pattern("NSEW", _DEGREE, "$^")
WITH_O = _pattern("NSEWO", _DEGREE, "$^")
#: Without one: other marks, or spaces, and a side in each cell.
COORDINATES = (
    rf"^(?i:([NSEW])\s*)?([+-]?){_NUMBER}(?:(?:\s*[d:-]\s*|\s+){_NUMBER}\s*(?:{_MINUTE}|:|-)?\s*"
    rf"(?:{_NUMBER}\s*{_SECOND}?)?)?\s*(?i:([NSEW]))?$"
)


def are_coordinates(cells: pl.Series, name: str, asked: bool = False) -> bool:
    """Has each cell a side, and no more degrees than there are?

    They have minutes, or lie on two sides, or the name says so.
    """
    sided = cells.str.contains(r"(?i)^[NSEW]\s*\d|\d\D{0,3}[NSEW]$")
    degrees = cells.str.extract(r"(\d+)").cast(float, strict=False)
    parts = cells.str.contains(r"\d[^.,\d]+\d").all()
    sides = cells.str.extract(r"(?i)([NSEW])").str.to_uppercase().n_unique()
    named = any(word in name for word in ("lat", "lon", "lng", "breite", "lange", "coord"))
    return bool(sided.all() and (degrees <= 180).all() and (parts or sides > 1 or named))


def value(west: str = "W") -> Callable[[list[pl.Series], Read], pl.Series]:
    """What reads the groups, with these letters for the south and the west."""

    def read_groups(groups: list[pl.Series], read: Read) -> pl.Series:
        front, sign, degrees, minutes, seconds, behind = groups
        minutes, seconds = (read(part) for part in (minutes, seconds))
        total = read(degrees) + minutes.fill_null(0.0) / 60 + seconds.fill_null(0.0) / 3600
        side = behind.fill_null(front).str.to_uppercase()
        twice = behind.is_not_null() & front.is_not_null()
        wrong = (minutes >= 60) | (seconds >= 60)
        negative = (sign == "-").fill_null(False) | side.is_in(["S", *west]).fill_null(False)
        total = (-total).zip_with(negative, total)
        return total.set(wrong.fill_null(False) | twice, None)

    return read_groups
