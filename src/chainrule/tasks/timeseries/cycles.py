"""What the calendar says of a time: its place in the day, the week, the year and a season."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ConfigError
from ...utils.typing import Array
from .calendar import Calendar

_DAY = 86_400.0
_YEAR = 365.2425 * _DAY
#: Length of a cycle in seconds, and at most so many waves of it.
_CYCLES = {"hour": (_DAY, 4), "weekday": (7 * _DAY, 3), "year": (_YEAR, 3)}
HOLIDAYS = "holidays"
#: A season that was found differs from the cycle that it is by this fraction at most.
_SAME = 0.1
#: Shorter seasons are what they are.
_FINE = 20


@dataclass(frozen=True)
class Cycle:
    """Something that comes again: waves of a period, or holidays.

    Attributes:
        name: hour, weekday, year, season, or holidays:DE.
        period: in seconds; of a season in steps; of holidays no matter.
        waves: how many sines and cosines, of the period and its fractions.
    """

    name: str
    period: float
    waves: int

    @property
    def width(self) -> int:
        """How many numbers say it."""
        return 3 if self.name.startswith(HOLIDAYS) else 2 * self.waves

    def of(self, calendar: Calendar, moments: Array, zone: float) -> Array:
        """These numbers of each time, (times, width) float64."""
        if self.name.startswith(HOLIDAYS):
            return _holidays(self.name, moments + zone)
        place = calendar.count(moments) if self.name == "season" else moments + zone
        turns = np.arange(1, self.waves + 1) * (2 * np.pi / self.period) * place[:, None]
        return np.concatenate([np.sin(turns), np.cos(turns)], axis=1)


def calendar_features(
    cycles: Sequence[Cycle], calendar: Calendar | None, moments: Array, zone: float
) -> Array:
    """All cycles of each time, (times, features) float64.

    Example:
        >>> noon = np.array([0.5]) * 86400
        >>> calendar_features([Cycle("hour", 86400.0, 1)], Calendar("seconds", 3600), noon, 0.0)
        ... # doctest: +ELLIPSIS
        array([[ 1.2...e-16, -1.0...e+00]])
    """
    if calendar is None or not cycles:
        return np.zeros((len(moments), 0))
    return np.concatenate([cycle.of(calendar, moments, zone) for cycle in cycles], axis=1)


def cycles_of(
    asked: Sequence[str] | None, calendar: Calendar | None, season: int, window: int, steps: int
) -> tuple[Cycle, ...]:
    """The cycles that suit a series.

    Args:
        asked: by the user; None chooses.
        calendar: of the series.
        season: its steps.
        window: steps that are looked at.
        steps: that are learned from.

    Raises:
        ConfigError: the user asks for one that the times cannot have.
    """
    if asked is not None and "none" in asked:
        return ()
    found = []
    step = None if calendar is None else _seconds(calendar)
    for name, (period, most) in _CYCLES.items():
        waves = 0 if step is None else min(most, int(period / step / 2 + 0.01))
        if asked is not None and name in asked:
            if not waves:
                raise ConfigError(f"The times have no {name}.", expected="dates with shorter steps",
                                  found="--calendar " + ",".join(asked))  # fmt: skip
            found.append(Cycle(name, period, waves))
        elif asked is None and waves and step is not None and steps * step >= period:
            found.append(Cycle(name, period, waves))
    wanted = asked is None and 2 * season > window and not _told(season, step, found)
    if calendar is not None and season > 1 and (wanted or "season" in (asked or ())):
        found.append(Cycle("season", float(season), min(3, season // 2)))
    for name in asked or ():
        if name.startswith(HOLIDAYS):
            found.append(_holiday_cycle(name, calendar, step))
    return tuple(found)


def _told(season: int, step: float | None, found: Sequence[Cycle]) -> bool:
    """Whether a cycle says the season already."""
    length = season * step if step else 0.0
    return any(abs(length / cycle.period - 1) < _SAME for cycle in found)


def steps_of(cycle: Cycle, calendar: Calendar) -> float | None:
    """How many steps a cycle has; None of holidays, and where times are no dates."""
    if cycle.name == "season":
        return cycle.period
    step = _seconds(calendar)
    return None if step is None or cycle.name.startswith(HOLIDAYS) else cycle.period / step


def whole_cycle(season: int, calendar: Calendar | None) -> int:
    """The steps of the day, week or year that a season which was found in numbers roughly is.

    Example:
        >>> whole_cycle(342, Calendar("seconds", 86400.0)), whole_cycle(12, Calendar("months", 1.0))
        (365, 12)
    """
    step = None if calendar is None else _seconds(calendar)
    if step is None or season < _FINE:
        return season
    lengths = [period / step for period, _ in _CYCLES.values()]
    alike = [length for length in lengths if abs(season / length - 1) < _SAME]
    return int(min(alike, key=lambda length: abs(season - length)) + 0.5) if alike else season


def _seconds(calendar: Calendar) -> float | None:
    """About how long a step is; None where times are no dates."""
    unit = {"seconds": 1.0, "working days": _DAY, "months": _YEAR / 12}.get(calendar.unit)
    return None if unit is None else unit * calendar.step


# ---- holidays ------------------------------------------------------------------------------------


def _holiday_cycle(name: str, calendar: Calendar | None, step: float | None) -> Cycle:
    if step is None or step > 1.01 * _DAY:
        raise ConfigError("Holidays need times with a date of each day.", found=name)
    _country(name)
    return Cycle(name, _DAY, 0)


def _country(name: str, years: Sequence[int] = (2000,)) -> Any:
    """The holidays of a country, as the package of that name knows them."""
    try:
        import holidays  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise ConfigError(
            "Holidays need the package holidays.",
            found=f"--calendar {name}",
            hint="pip install 'chainrule[holidays]'",
        ) from None
    country, _, part = name.partition(":")[2].partition("-")
    try:
        return holidays.country_holidays(country, subdiv=part or None, years=list(years))
    except NotImplementedError as error:
        raise ConfigError("The holidays of this country or part of it are not known.",
                          expected="such as holidays:DE or holidays:US-CA",
                          found=f"{name}: {error}") from None  # fmt: skip


def _holidays(name: str, local: Array) -> Array:
    """Whether a day is a holiday, the one after it, and the one before."""
    days = np.floor(local / _DAY).astype("datetime64[D]")
    years = np.unique(days.astype("datetime64[Y]").astype(int) + 1970)
    around = range(int(years[0]) - 1, int(years[-1]) + 2)
    known = np.array(sorted(_country(name, list(around))), "datetime64[D]")
    return np.stack([np.isin(days + ahead, known) for ahead in (0, 1, -1)], axis=1).astype(float)


def cycles_json(cycles: Sequence[Cycle]) -> list[dict[str, Any]]:
    """JSON data."""
    return [dataclasses.asdict(cycle) for cycle in cycles]
