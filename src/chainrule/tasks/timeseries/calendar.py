"""Times to the steps of an even grid, and back.

A month has no fixed length, and the trading days of a week are five. So times are counted in the
unit in which they are even: months, working days, or seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import DataError
from ...utils.typing import Array

_DAY = 86_400.0
#: A step is even if it is a multiple of the usual one, give or take so much of it.
_TOLERANCE = 0.3
#: So many of the steps may be uneven: a clock that was set, say.
_UNEVEN = 0.02


@dataclass(frozen=True)
class Calendar:
    """The even grid that times lie on.

    Attributes:
        unit: months, working days, seconds, or numbers (times that are no dates).
        step: from one place of the grid to the next, in the unit.
        whole_days: whether times are dates without a time of day.
    """

    unit: str
    step: float
    whole_days: bool = False

    @staticmethod
    def of(times: Array, dates: bool, where: str = "the series") -> Calendar:
        """The grid of ascending times, without repetitions.

        Args:
            times: numbers, or seconds since 1970 with ``dates``.
            dates: whether they are dates.
            where: the name of the series in messages.

        Raises:
            DataError: the times are on no even grid.

        Example:
            >>> days = np.array(["2020-01-31", "2020-02-29", "2020-03-31"], "datetime64[D]")
            >>> Calendar.of(days.astype(float) * 86400, dates=True)
            Calendar(unit='months', step=1.0, whole_days=True)
        """
        whole = dates and bool((times % _DAY == 0).all())
        units = ["seconds" if dates else "numbers"]
        if whole:
            units = ["months"] * _same_place_in_month(times) + ["working days"] + units
        for unit in units:
            places = _count(times, unit)
            if places is None:
                continue
            steps = np.diff(places)
            step = float(np.median(steps)) if len(steps) else 1.0
            if unit == "working days" and step != 1:
                continue
            uneven = np.abs(steps / step - np.maximum(np.round(steps / step), 1)) > _TOLERANCE
            if uneven.mean() <= _UNEVEN:
                return Calendar(unit, step, whole)
        worst = int(np.argmax(np.abs(np.diff(times) / np.median(np.diff(times)) - 1)))
        raise DataError(
            "The times are not even.",
            where=where,
            expected="the same step from each time to the next, or a multiple of it",
            found=f"{_span(np.median(np.diff(times)), dates)} mostly, but "
            f"{_span(np.diff(times)[worst], dates)} after row {worst + 1:,}",
            hint="Bring it to even steps first, or drop the column of the times to take the rows "
            "as they come.",
        )

    def check(self, times: Array, dates: bool, where: str) -> None:
        """Refuse ascending times of another step.

        Raises:
            DataError: they are closer, between the places of the grid, or none is a step from the
                next.

        Example:
            >>> Calendar("numbers", 1).check(np.array([1.0, 2.0, 4.0]), False, "a series")
            >>> Calendar("numbers", 1).check(np.array([1.0, 1.5, 2.0]), False, "a series")
            Traceback (most recent call last):
            chainrule.errors.DataError: The times have another step than those of the training.
              where: a series
              expected: steps of 1
              found: steps of 0.5 mostly
              hint: Bring the series to the same steps first.
        """
        if len(times) < 2 or self._fits(times):
            return
        usual = _span(self.step, dates=True) if self.unit == "seconds" else f"{self.step:g}"
        unit = "" if self.unit in ("seconds", "numbers") else f" {self.unit}"
        raise DataError(
            "The times have another step than those of the training.",
            where=where,
            expected=f"steps of {usual}{unit}",
            found=f"steps of {_span(float(np.median(np.diff(times))), dates)} mostly",
            hint="Bring the series to the same steps first.",
        )

    def _fits(self, times: Array) -> bool:
        counted = _count(times, self.unit)
        if counted is None:
            return False
        steps = np.diff(counted) / self.step
        whole = np.round(steps)
        off = (np.abs(steps - whole) > _TOLERANCE) | (whole < 1)
        return bool(off.mean() <= _UNEVEN and (len(steps) == 1 or whole.min() <= 1))

    def places(self, times: Array) -> Array:
        """The place of each ascending time on the grid, from 0: integers, (n,) int64."""
        counted = _count(times, self.unit)
        if counted is None:
            raise DataError("These times are on another grid than those of the training.",
                            expected=f"steps of {self.step:g} {self.unit}")  # fmt: skip
        steps = np.maximum(np.round(np.diff(counted) / self.step), 1)
        return np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)

    def moments(self, last: float, steps: Array) -> Array:
        """Times that lie so many steps after one: seconds since 1970, or numbers.

        Example:
            >>> last = np.datetime64("2020-01-31").astype(float) * 86400
            >>> moments = Calendar("months", 1, True).moments(last, np.array([-1, 1]))
            >>> [str(np.datetime64(int(moment), "s"))[:10] for moment in moments]
            ['2019-12-31', '2020-02-29']
        """
        ahead = np.asarray(steps) * self.step
        if self.unit in ("numbers", "seconds"):
            return np.asarray(last + ahead, float)
        day = np.datetime64(round(last), "s").astype("datetime64[D]")
        whole = np.round(ahead).astype(int)
        if self.unit == "working days":
            days = np.busday_offset(day, whole, roll="backward")
        else:
            days = _plus_months(day, whole)
        return np.asarray(days.astype("datetime64[s]").astype(float))

    def count(self, moments: Array) -> Array:
        """Times as multiples of the step, from a fixed origin: the phase of a season."""
        if self.unit in ("numbers", "seconds"):
            return moments / self.step
        days = np.floor(moments / _DAY).astype("datetime64[D]")
        if self.unit == "working days":
            return np.busday_count(np.datetime64("1970-01-01"), days) / self.step
        return days.astype("datetime64[M]").astype(float) / self.step


def _span(step: float, dates: bool) -> str:
    return f"{step / _DAY:.4g} days" if dates else f"{step:.6g}"


def _count(times: Array, unit: str) -> Array | None:
    """Times in a unit; None if they cannot be counted in it."""
    if unit in ("seconds", "numbers"):
        return times
    days = np.floor(times / _DAY).astype("datetime64[D]")
    if unit == "months":
        return days.astype("datetime64[M]").astype(float)
    if not np.is_busday(days).all():
        return None
    return np.busday_count(days[0], days).astype(float)


def _same_place_in_month(times: Array) -> bool:
    """Whether all are the same day of a month, or all the last one."""
    days = np.floor(times / _DAY).astype("datetime64[D]")
    first = days.astype("datetime64[M]").astype("datetime64[D]")
    after = (days.astype("datetime64[M]") + 1).astype("datetime64[D]")
    of_month = (days - first).astype(int)
    return bool((of_month == of_month[0]).all() or ((after - days).astype(int) == 1).all())


def _plus_months(day: Any, months: Array) -> Any:
    """The same day so many months later; the last day stays the last."""
    month = day.astype("datetime64[M]")
    is_last = (month + 1).astype("datetime64[D]") - day == np.timedelta64(1, "D")
    first = (month + months).astype("datetime64[D]")
    length = ((month + months + 1).astype("datetime64[D]") - first).astype(int)
    place = int((day - month.astype("datetime64[D]")).astype(int))
    return first + (length - 1 if is_last else np.minimum(place, length - 1))
