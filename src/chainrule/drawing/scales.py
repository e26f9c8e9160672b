"""From numbers to places on an axis, and which of them are written there."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .chart import Axis, Bars, Cells, Chart, Histogram, Line, Mark, Points, Rule

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
#: Steps between times: name of the format, and seconds.
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_TIME_STEPS = (
    *(n * _MINUTE for n in (1, 2, 5, 10, 20, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 4, 7, 14, 30.4375, 60.875, 91.3125, 182.625)),
    *(n * 365.25 * _DAY for n in (1, 2, 5, 10, 20, 50, 100)),
)


@dataclass(frozen=True)
class Scale:
    """A range of numbers on a range of places.

    Attributes:
        low: the number at the beginning.
        high: the number at the end.
        start: the place of the beginning.
        end: the place of the end.
        kind: see `Axis.scale`.

    Example:
        >>> Scale(0, 10, 0.0, 100.0)(2.5), Scale(1, 100, 0.0, 100.0, "log")(10)
        (25.0, 50.0)
    """

    low: float
    high: float
    start: float
    end: float
    kind: str = "linear"

    def __call__(self, value: float) -> float:
        """The place of a number."""
        if self.kind == "log":
            part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers within the range."""
        if self.kind == "log":
            return _log_ticks(self.low, self.high, most)
        if self.kind == "time":
            return _time_ticks(self.low, self.high, most)
        return _linear_ticks(self.low, self.high, most, least=float(self.kind == "integer"))


def _linear_ticks(low: float, high: float, most: int, least: float = 0.0) -> list[float]:
    step = _round_step(max((high - low) / most, least))
    first = math.ceil(low / step - 1e-9)
    count = math.floor((high - low) / step + 1e-9) + 1
    return [
        (first + i) * step for i in range(count + 1) if (first + i) * step <= high + 1e-9 * step
    ]


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of 10 that is no smaller."""
    unit = 10 ** math.floor(math.log10(least)) if least > 0 else 1.0
    steps = (1.0, 2.0, 5.0, 10.0) if 1 <= least <= 2 else _STEPS  # 2.5 is no integer
    return next(unit * s for s in steps if unit * s >= least * (1 - 1e-9))


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first >= 2:
        step = max(math.ceil((last - first) / most), 1)
        return [10.0**power for power in range(first, last + 1, step)]
    found = [m * 10.0**p for p in range(first - 1, last + 1) for m in (1, 2, 5)]
    inside = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
    return inside if len(inside) > 1 else _linear_ticks(low, high, most)


def _time_ticks(low: float, high: float, most: int) -> list[float]:
    least = (high - low) / most
    step = next((step for step in _TIME_STEPS if step >= least), _TIME_STEPS[-1])
    if step >= 28 * _DAY:
        return _calendar_ticks(low, high, step)
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step) + 1)]


def _calendar_ticks(low: float, high: float, step: float) -> list[float]:
    """First days of months or years."""
    months = max(round(step / (30.4375 * _DAY)), 1)
    begin = moment(low)
    count = (begin.year * 12 + begin.month - 1) // months * months
    found: list[float] = []
    while not found or found[-1] <= high:
        year, month = divmod(count, 12)
        if not 1 <= year <= 9999:
            break
        found.append(datetime.datetime(year, month + 1, 1, tzinfo=datetime.UTC).timestamp())
        count += months
    return [value for value in found if low <= value <= high]


def moment(seconds: float) -> datetime.datetime:
    """A time in UTC; what the calendar does not reach is its first or last day."""
    start = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    try:
        return start + datetime.timedelta(seconds=seconds)
    except OverflowError:
        return datetime.datetime.max.replace(tzinfo=datetime.UTC) if seconds > 0 else start


# ---- what is written -----------------------------------------------------------------------------


def written(values: Sequence[float], kind: str = "linear") -> list[str]:
    """Ticks with as many digits as tell them apart.

    Example:
        >>> written([0.0, 0.25, 0.5]), written([0, 2000, 4000]), written([1e-4, 0.1], "log")
        (['0.00', '0.25', '0.50'], ['0', '2,000', '4,000'], ['1e−4', '0.1'])
    """
    if kind == "time":
        return _written_times(values)
    if kind == "log":
        return [short(value) for value in values]
    steps = [abs(b - a) for a, b in itertools.pairwise(values)]
    step = min(steps, default=abs(values[0]) if values else 1.0) or 1.0
    largest = max(map(abs, values), default=1.0)
    if largest >= 1e6 or (largest < 1e-3 and largest > 0):
        return [short(value) for value in values]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += int(abs(step * 10**digits - round(step * 10**digits)) > 1e-6)
    return [f"{value + 0.0:,.{digits}f}".replace("-", "−") for value in map(_no_zero, values)]


def _no_zero(value: float) -> float:
    return 0.0 if abs(value) < 1e-12 else value


def short(value: float | None) -> str:
    """A number in few characters.

    Example:
        >>> short(0.00001234), short(12345678), short(-0.5), short(None), short(1234.5)
        ('1.23e−5', '12.3M', '−0.5', '–', '1,234')
    """
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if size >= 1e15:
            break
        if size >= unit:
            return f"{value / unit:.3g}{name}".replace("-", "−")
    if size >= 1e15 or 0 < size < 1e-3:
        mantissa, _, power = f"{value:.2e}".partition("e")
        return f"{float(mantissa):g}e{int(power)}".replace("-", "−")
    if size >= 1000:
        return f"{value:,.0f}".replace("-", "−")
    return f"{float(f'{value:.4g}'):g}".replace("-", "−")


def _written_times(values: Sequence[float]) -> list[str]:
    step = min((b - a for a, b in itertools.pairwise(values)), default=_DAY)
    if step >= 300 * _DAY:
        form = "%Y"
    elif step >= 28 * _DAY:
        form = "%b %Y"
    elif step >= _DAY:
        form = "%-d %b"
    else:
        form = "%-d %b %H:%M" if values and values[-1] - values[0] > _DAY else "%H:%M"
    return [moment(value).strftime(form) for value in values]


def told(value: float | None, axis: Axis) -> str:
    """A number of an axis as it is told: a time as a date."""
    if value is not None and axis.scale == "time" and math.isfinite(value):
        when = moment(value)
        return when.strftime("%Y-%m-%d" if value % _DAY == 0 else "%Y-%m-%d %H:%M")
    if axis.categories and value is not None and 0 <= int(value) < len(axis.categories):
        return axis.categories[int(value)]
    return short(value)


# ---- ranges --------------------------------------------------------------------------------------


def ranges(chart: Chart) -> tuple[tuple[float, float], tuple[float, float]]:
    """From where to where both axes go."""
    across = [value for mark in chart.marks for value in _across(mark)]
    up = [value for mark in chart.marks for value in _up(mark)]
    from_zero = any(isinstance(mark, Histogram) for mark in chart.marks)
    bars = any(isinstance(mark, Bars) for mark in chart.marks)
    x = _range(chart.x, across, from_zero=bars, margin=not from_zero)
    y = _range(chart.y, up, from_zero=from_zero, margin=True)
    if chart.square:
        both = min(x[0], y[0]), max(x[1], y[1])
        return both, both
    return x, y


def _across(mark: Mark) -> Iterable[float | None]:
    if isinstance(mark, Line | Points):
        return mark.x
    if isinstance(mark, Histogram):
        return mark.edges
    if isinstance(mark, Bars):
        ends = mark.errors or (0.0,) * len(mark.values)
        known = [(v, e or 0.0) for v, e in zip(mark.values, ends, strict=True) if v is not None]
        return [v + sign * e for v, e in known for sign in (-1, 1)]
    return (mark.x,) if isinstance(mark, Rule) else ()


def _up(mark: Mark) -> Iterable[float | None]:
    if isinstance(mark, Line):
        return (*mark.y, *mark.low, *mark.high)
    if isinstance(mark, Points):
        return mark.y
    if isinstance(mark, Histogram):
        return mark.counts
    return (mark.y,) if isinstance(mark, Rule) else ()


def _range(
    axis: Axis, values: Iterable[float | None], *, from_zero: bool, margin: bool
) -> tuple[float, float]:
    if axis.categories:
        return -0.5, len(axis.categories) - 0.5
    known = [v for v in values if v is not None and (axis.scale != "log" or v > 0)]
    low = min(known, default=1.0 if axis.scale == "log" else 0.0)
    high = max(known, default=10.0 if axis.scale == "log" else 1.0)
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    fixed = axis.low is not None, axis.high is not None
    low = low if axis.low is None else axis.low
    high = high if axis.high is None else axis.high
    if axis.scale == "log":
        return (low, high) if high > low * 1.01 else (low / 2, high * 2)
    if not high > low:
        room = abs(low) * 0.05 or 0.5
        return low - room, high + room
    room = 0.04 * (high - low) if margin and axis.scale != "time" else 0.0
    low = low if fixed[0] or (from_zero and low == 0) else low - room
    high = high if fixed[1] or (from_zero and high == 0) else high + room
    return low, high


def is_heat(chart: Chart) -> bool:
    """Whether its marks are cells."""
    return any(isinstance(mark, Cells) for mark in chart.marks)
