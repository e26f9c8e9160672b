"""A table to a series on an even grid: sorted, gaps seen, nothing made up that was not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Column, infer_schema, read_table, source_name
from ...data.schema import check_present, read_values, tidy_column
from ...errors import DataError
from ...utils.typing import Array
from .calendar import Calendar

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

#: Names of columns of times, where they are numbers.
_TIMES = ("date", "time", "datetime", "timestamp", "year", "month", "week", "day", "ds", "t")
#: More of the grid than this must be there.
_MOST_MISSING = 0.5


@dataclass(frozen=True)
class Series:
    """Columns of numbers on an even grid.

    Attributes:
        values: (steps, columns) float64, NaN where nothing is known; the first is the target.
        columns: their names.
        times: the time of the last step, and the column it is from.
        calendar: of the grid; None where the rows themselves are the steps.
        last: the last time.
    """

    values: Array
    columns: tuple[str, ...]
    time: str | None
    calendar: Calendar | None
    last: float

    @property
    def target(self) -> Array:
        """The first column."""
        return self.values[:, 0]

    def filled(self) -> Array:
        """The values, where missing the last known before: nothing of the future is in them."""
        return fill_forward(self.values)


def fill_forward(values: Array) -> Array:
    """Each NaN is the last number before it in its column; the first ones are the first number.

    Example:
        >>> fill_forward(np.array([[np.nan], [1.0], [np.nan], [3.0]])).ravel().tolist()
        [1.0, 1.0, 1.0, 3.0]
    """
    filled = values.copy()
    for column in filled.T:
        known = np.flatnonzero(~np.isnan(column))
        if not len(known):
            column[:] = 0.0
            continue
        place = np.searchsorted(known, np.arange(len(column)), side="right") - 1
        column[:] = column[known[np.maximum(place, 0)]]
    return filled


def read_series(
    source: Any,
    target: str,
    *,
    time: str | None = None,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    calendar: Calendar | None = None,
    say: Say = lambda sentence: None,
) -> Series:
    """The series in a table.

    Args:
        source: what `chainrule.data.read_table` takes.
        target: the column that comes first.
        time: the column of the times; found if not given, otherwise the order of the rows.
        features: the other columns; None takes all that are numbers.
        drop: columns to leave out.
        calendar: that of the training, for later data.
        say: takes notes on what was done.

    Raises:
        DataError: a column is absent or no numbers; times that repeat, or are not even; or most
            of the steps are missing.
    """
    name = source_name(source)
    frame = read_table(source)
    check_present([target, *([time] if time else []), *(features or []), *drop], frame.columns,
                  name)  # fmt: skip
    time = time or _time_column(frame, target, drop)
    others = (
        input_columns(frame, target, time, drop, name, say) if features is None else list(features)
    )
    columns = (target, *(column for column in others if column != target))
    values = np.stack([column_of_numbers(frame, column, name) for column in columns], axis=1)
    if time is None:
        say("there is no column of times: each row is a step, in their order")
        return Series(_from_first(values, name, target), columns, None, None, float(len(values)))
    times, dates = times_of(frame, time, name)
    values, times = _sorted(values, times, frame, time, name, say)
    if calendar is None:
        calendar = Calendar.of(times, dates, f"{name}, column {time!r}")
    else:
        calendar.check(times, dates, f"{name}, column {time!r}")
    places = calendar.places(times)
    grid = np.full((int(places[-1]) + 1, len(columns)), np.nan)
    grid[places] = values
    grid = _from_first(grid, name, target)
    _tell_missing(grid, len(grid) - len(times), name, say)
    return Series(grid, columns, time, calendar, float(times[-1]))


def _time_column(frame: pl.DataFrame, target: str, drop: Sequence[str]) -> str | None:
    """The column of the times: dates, or ascending numbers by a name that says it."""
    names = [name for name in frame.columns if name != target and name not in drop]
    if not names:
        return None
    try:
        schema = infer_schema(frame.select(names))
    except DataError:  # nothing but identifiers, such as years
        schema = None
    for column in schema.columns if schema else ():
        if column.kind == "date":
            return column.name
    return next((name for name in names if name.lower() in _TIMES), None)


def input_columns(
    frame: pl.DataFrame, target: str, time: str | None, drop: Sequence[str], name: str, say: Say
) -> list[str]:
    """The other columns that are numbers or booleans."""
    rest = [c for c in frame.columns if c not in (target, time, *drop)]
    if not rest:
        return []
    try:
        schema = infer_schema(frame.select(rest), source=name)
    except DataError:
        return []
    used = [c.name for c in schema.columns if c.kind in ("numeric", "boolean")]
    if unused := [c for c in rest if c not in used]:
        say(f"left out, as they are no numbers that change: {', '.join(unused)}")
    return used


def column_of_numbers(frame: pl.DataFrame, column: str, name: str) -> Array:
    """A column as float64, NaN where nothing is known; booleans are 0 and 1."""
    tidy = tidy_column(frame, column, name)
    from ...data.parsing import are_booleans

    kind: Any = "boolean" if are_booleans(tidy.drop_nulls().unique()) else "numeric"
    return read_values(Column(column, kind, ""), tidy, name)[0]


def times_of(frame: pl.DataFrame, column: str, name: str) -> tuple[Array, bool]:
    """Times as numbers, and whether they are dates: then in seconds since 1970."""
    try:
        found = infer_schema(frame.select(column), source=name).columns[0]
        if found.kind == "date":
            return read_values(found, tidy_column(frame, column, name), name)[0], True
    except DataError:  # a column of identifiers, such as years
        pass
    tidy = tidy_column(frame, column, name)
    numbers, _ = read_values(Column(column, "numeric", ""), tidy, name)
    days = _as_dates(numbers)
    return (numbers, False) if days is None else (days, True)


def _as_dates(numbers: Array) -> Array | None:
    """Numbers such as 19580329 as dates."""
    if np.isnan(numbers).any() or not ((numbers > 1e7) & (numbers < 3e7)).all():
        return None
    text = [f"{int(n) // 10000:04}-{int(n) // 100 % 100:02}-{int(n) % 100:02}" for n in numbers]
    try:
        return np.array(text, "datetime64[D]").astype(float) * 86_400.0
    except ValueError:
        return None


def _sorted(
    values: Array, times: Array, frame: pl.DataFrame, column: str, name: str, say: Say
) -> tuple[Array, Array]:
    where = f"{name}, column {column!r}"
    if np.isnan(times).any():
        row = int(np.flatnonzero(np.isnan(times))[0])
        raise DataError("A time is missing.", where=f"{where}, row {row + 1:,}",
                        expected="a time in every row",
                        found=f"{int(np.isnan(times).sum()):,} without")  # fmt: skip
    order = np.argsort(times, kind="stable")
    if (np.diff(order) < 0).any():
        say(f"the rows are not in the order of {column}: they are sorted")
    times = times[order]
    twice = np.flatnonzero(np.diff(times) == 0)
    if len(twice):
        first, second = sorted(order[twice[0] : twice[0] + 2].tolist())
        raise DataError(
            "A time comes twice.",
            where=f"{where}, rows {first + 1:,} and {second + 1:,}",
            expected="each time once",
            found=f"{frame[column][first]} twice, {len(twice):,} repetitions in all",
            hint="Keep one row for each time, such as their mean, or say with --group which "
            "sequence each row belongs to.",
        )
    return values[order], times


def _from_first(values: Array, name: str, target: str) -> Array:
    """The steps from the first known value of the target on."""
    known = np.flatnonzero(~np.isnan(values[:, 0]))
    if not len(known):
        raise DataError("The target has no values.", where=f"{name}, column {target!r}")
    return values[known[0] :]


def _tell_missing(grid: Array, absent: int, name: str, say: Say) -> None:
    """Say what is missing; refuse a series that is mostly gaps."""
    missing = int(np.isnan(grid[:, 0]).sum())
    if missing > _MOST_MISSING * len(grid):
        lengths = _longest_gap(np.isnan(grid[:, 0]))
        raise DataError(
            "The series is mostly gaps.",
            where=name,
            expected="at least half of the steps",
            found=f"{len(grid) - missing:,} of {len(grid):,}; the longest gap has {lengths:,}",
            hint="Is it a series of another step, or several series in one table?",
        )
    if missing:
        say(f"{missing:,} of {len(grid):,} steps are missing: the last known value stands for "
            "them, and they are left out of the metrics")  # fmt: skip


def _longest_gap(missing: Array) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(int)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
