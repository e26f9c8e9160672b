"""A table to series on an even grid: sorted, gaps seen, nothing made up that was not known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...data import Column, infer_schema, parsing, read_table, source_name
from ...data.column_profile import Profile
from ...data.parsing import PLAIN, Notation
from ...data.schema import check_present, read_learned, read_values, tidy_column
from ...errors import ConfigError, DataError
from ...utils.numbers import counted
from ...utils.typing import Array
from .calendar import Calendar
from .time_parts import name_of, parts_named, time_parts, with_time
from .times import TimeNotation, Times, read_times, time_column

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]
#: How the numbers of a column are written: numeric or boolean, and the marks of decimals and of
#: thousands; no marks where they were no text.
Written = tuple[Literal["numeric", "boolean"], str, str]

#: More of the grid than this must be there.
_MOST_MISSING = 0.5
#: A clock is set back once in so many hours at most.
_DAY, _BETWEEN = 86_400.0, 300 * 24
#: So many series are named in a sentence.
_NAMED = 5


@dataclass(frozen=True, eq=False)
class Series:
    """Columns of numbers on an even grid, up to the last known target.

    Attributes:
        values: (steps, columns) float64, NaN where nothing is known; the first is the target.
        ahead: (more steps, known) inputs that are known of the steps that follow.
        last: the time of the last step; its number, where the rows themselves are the steps.
        name: of the series, where a table has several.
        zone: seconds that the local clock is ahead of UTC at the end.
    """

    values: Array
    ahead: Array
    last: float
    name: str = ""
    zone: float = 0.0

    @property
    def target(self) -> Array:
        """The first column."""
        return self.values[:, 0]

    def filled(self) -> Array:
        """The values, where missing the last known before: nothing of the future is in them."""
        return fill_forward(self.values)


@dataclass(frozen=True, eq=False)
class Panel:
    """The series of a table: one, or several with the same columns.

    Attributes:
        series: each.
        columns: their names, the target first, those that are known in advance last.
        known: how many are known in advance.
        time: the column of the times.
        item: the column that says which series a row belongs to.
        calendar: of the grid; None where the rows themselves are the steps.
        notation: how times are written.
        written: how the numbers of each column are written; see `Written`.
    """

    series: tuple[Series, ...]
    columns: tuple[str, ...]
    known: int = 0
    time: str | None = None
    item: str | None = None
    calendar: Calendar | None = None
    notation: TimeNotation = field(default_factory=TimeNotation)
    written: tuple[Written, ...] = ()

    @property
    def steps(self) -> int:
        """Of all series together."""
        return sum(len(series.values) for series in self.series)

    def moments(self, series: Series) -> Array:
        """The time of each step of one of them: seconds, or numbers."""
        back = np.arange(1 - len(series.values), 1)
        if self.calendar is None:
            return np.asarray(series.last + back)
        return self.calendar.moments(series.last, back)

    def following(self, series: Series, count: int) -> list[str]:
        """The next times after the end of one of them, as they are written in the table."""
        ahead = np.arange(1, count + 1)
        if self.calendar is None:
            return [str(int(series.last) + int(step)) for step in ahead]
        moments = self.calendar.moments(series.last, ahead)
        if self.calendar.unit == "numbers":
            return [f"{int(m)}" if m == int(m) else f"{m:.12g}" for m in moments.tolist()]
        whole = self.calendar.whole_days
        return [self.notation.write(float(moment), whole) for moment in moments]


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


# ---- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are what.

    Attributes:
        target: the column to forecast.
        time: that of the times; found if not given, otherwise the order of the rows.
        item: that which says the series of a row; None for a single one.
        known: columns that are known in advance.
        features: the other columns; None takes all that are numbers.
        drop: columns to leave out.
        kinds: what the user says that columns are.
        written: how the numbers of columns were written in training, by their names.
    """

    target: str
    time: str | None = None
    item: str | None = None
    known: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, Written] = field(default_factory=dict)

    def check(self, present: Sequence[str], name: str) -> None:
        """Refuse columns that are not there.

        Raises:
            DataError: one is absent.
        """
        times = parts_named(self.time, present) or ((self.time,) if self.time else ())
        optional = [*times, *((self.item,) if self.item else ())]
        check_present([self.target, *optional, *self.known, *(self.features or ()), *self.drop,
                       *self.kinds], present, name)  # fmt: skip


def read_series(
    source: Any,
    columns: Columns,
    *,
    calendar: Calendar | None = None,
    say: Say = lambda sentence: None,
) -> Panel:
    """The series in a table.

    Args:
        source: what `chainrule.data.read_table` takes.
        columns: which is what.
        calendar: that of the training, for later data.
        say: takes notes on what was done.

    Raises:
        DataError: a column is absent or no numbers; times that repeat, or are not even; or most
            of the steps are missing.
    """
    name, notes = source_name(source), list[str]()
    frame = read_table(source, notes=notes)
    for sentence in notes:
        say(sentence)
    columns.check(frame.columns, name)
    frame, columns, time = _time_of(frame, columns, calendar is not None, name, say)
    groups = _groups(frame, columns.item, name)
    times = None if time is None else _times(frame, time, columns, calendar, groups, name, say)
    later = calendar is not None or columns.features is not None
    if not later and columns.item is None:
        _refuse_joined(frame, columns, time, times, name)
    names = _names(frame, columns, time, name, say)
    if calendar is None:
        _tell_stand_ins(frame, names, say)
    values, written = columns_of_numbers(frame, names, name, columns.written, say)
    known = len(columns.known)
    if time is None or times is None:
        say("there is no column of times: each row is a step, in their order")
        parts = [
            _trimmed(values[rows], np.arange(1.0, len(rows) + 1), label, 0.0, known)
            for label, rows in _members(groups, len(values))
        ]
        panel = Panel(
            _with_target(parts, name, names[0], say),
            names,
            known,
            None,
            columns.item,
            written=written,
        )
    else:
        panel = _on_grid(values, times, groups, frame, Panel((), names, known, time, columns.item,
                         calendar, times.notation, written), name, say)  # fmt: skip
    _tell(panel, name, say)
    return panel


def _time_of(
    frame: pl.DataFrame, columns: Columns, learned: bool, name: str, say: Say
) -> tuple[pl.DataFrame, Columns, str | None]:
    """The column of the times, which may be put together from several."""
    kept = (*columns.drop, *((columns.item,) if columns.item else ()))
    time = columns.time
    parts = parts_named(time, frame.columns)
    if time is None:
        time = time_column(frame, columns.target, kept, columns.kinds)
        skip = {columns.target, *kept, *columns.known, *(columns.features or ())}
        parts = time_parts(frame, time, columns.item, skip)
    if parts:
        say(f"the times are put together from the columns {', '.join(parts)}")
        time = time if learned and time is not None else name_of(frame, parts)
        frame = with_time(frame, parts, time, name)
        columns = dataclasses.replace(columns, drop=(*columns.drop, *parts))
    _check_kinds(columns.kinds, time)
    return frame, columns, time


def _times(
    frame: pl.DataFrame, time: str, columns: Columns, calendar: Calendar | None,
    groups: Array | None, name: str, say: Say,
) -> Times:  # fmt: skip
    """The times; what is in doubt is said."""
    kind = columns.kinds.get(time, "")
    if calendar is not None and calendar.unit == "numbers":
        kind = kind or "numeric"  # as in the training
    times = read_times(frame, time, name, kind, groups)
    if times.other and calendar is None:
        say(f"{time} is read as {times.notation.format}; --kind {time}=date:{times.other} reads it "
            "the other way, which is as even")  # fmt: skip
    if times.without_zone:
        say(f"{times.without_zone:,} of {frame.height:,} times have no zone: they are taken for "
            "UTC")  # fmt: skip
    return times


def _names(
    frame: pl.DataFrame, columns: Columns, time: str | None, name: str, say: Say
) -> tuple[str, ...]:
    """The columns that are read: target, others, those known in advance."""
    told = (columns.target, *columns.known)
    drop = (*columns.drop, *columns.known, *((columns.item,) if columns.item else ()))
    others = (
        input_columns(frame, columns.target, time, drop, name, say)
        if columns.features is None else list(columns.features)
    )  # fmt: skip
    for column in columns.known:
        if column in (columns.target, time, columns.item):
            raise ConfigError("This column cannot be known in advance.", found=column,
                              expected="another column than target, time and series")  # fmt: skip
    return (columns.target, *(c for c in others if c not in told), *columns.known)


def _check_kinds(kinds: Mapping[str, str], time: str | None) -> None:
    for column, kind in kinds.items():
        if column != time and kind != "numeric":
            raise ConfigError(
                f"The kind {kind} is not known for a column of a series.",
                found=f"{column}={kind}",
                expected="date or date:FORMAT for the column of the times, numeric for others",
            )


def _groups(frame: pl.DataFrame, item: str | None, name: str) -> Array | None:
    """The series of each row, as text."""
    import polars as pl

    if item is None:
        return None
    labels = frame[item].cast(pl.String)
    if labels.null_count():
        row = int(np.flatnonzero(labels.is_null().to_numpy())[0])
        raise DataError("A row belongs to no series.",
                        where=f"{name}, column {item!r}, row {row + 1:,}")  # fmt: skip
    return labels.to_numpy()


def _members(groups: Array | None, count: int) -> list[tuple[str, Array]]:
    """The rows of each series, in the order of their first rows."""
    if groups is None:
        return [("", np.arange(count))]
    names, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    ends = np.cumsum(np.bincount(inverse))
    parts = np.split(order, ends[:-1])
    return [(str(names[i]), parts[i]) for i in np.argsort(first)]


def _on_grid(
    values: Array, times: Times, groups: Array | None, frame: pl.DataFrame, panel: Panel,
    name: str, say: Say,
) -> Panel:  # fmt: skip
    """The series with their times as steps of one grid."""
    column = str(panel.time)
    where, parts, unsorted, copies = f"{name}, column {column!r}", [], 0, 0
    if np.isnan(times.values).any():
        row = int(np.flatnonzero(np.isnan(times.values))[0])
        raise DataError("A time is missing.", where=f"{where}, row {row + 1:,}",
                        expected="a time in every row",
                        found=f"{int(np.isnan(times.values).sum()):,} without")  # fmt: skip
    for label, rows in _members(groups, len(values)):
        order = rows[np.argsort(times.values[rows], kind="stable")]
        unsorted += bool((np.diff(order) < 0).any())
        single = _without_copies(times.values, order, frame)
        copies += len(order) - len(single)
        _refuse_repeated(times, single, frame, panel, where)
        parts.append((label, single))
    if copies:
        say(f"{counted(copies, 'row repeats', 'rows repeat')} another one in all columns: each is "
            "taken once")  # fmt: skip
    if unsorted:
        which = "" if panel.item is None else f" in {unsorted:,} series"
        say(f"the rows are not in the order of {column}{which}: they are sorted")
    calendar = panel.calendar
    if calendar is None:
        longest = max(parts, key=lambda part: len(part[1]))[1]
        calendar = Calendar.of(times.values[longest], times.dates, where)
    found = []
    for label, order in parts:
        own = times.values[order]
        if panel.calendar is not None or panel.item is not None:
            calendar.check(own, times.dates, where + (f", series {label}" if label else ""))
        places = calendar.places(own)
        grid = np.full((int(places[-1]) + 1, values.shape[1]), np.nan)
        grid[places] = values[order]
        moments = calendar.moments(float(own[-1]), np.arange(1 - len(grid), 1))
        zone = float(times.zones[order[-1]])
        found.append(_trimmed(grid, moments, label, zone, panel.known))
    return dataclasses.replace(
        panel, series=_with_target(found, name, panel.columns[0], say), calendar=calendar
    )


def _trimmed(grid: Array, moments: Array, label: str, zone: float, known: int) -> Series:
    """The steps from the first known value of the target to the last, and what is known after."""
    there = np.flatnonzero(~np.isnan(grid[:, 0]))
    if not len(there):
        return Series(grid[:0], grid[:0, grid.shape[1] - known :], 0.0, label, zone)
    first, last = int(there[0]), int(there[-1])
    ahead = grid[last + 1 :, grid.shape[1] - known :]
    return Series(grid[first : last + 1], ahead, float(moments[last]), label, zone)


def _with_target(found: Sequence[Series], name: str, target: str, say: Say) -> tuple[Series, ...]:
    """Series of which something is known; others are left out, and that is said."""
    empty = [series for series in found if not len(series.values)]
    if len(empty) == len(found):
        hint = f"A forecast needs the steps before, with their {target}."
        raise DataError("The target has no values.", where=f"{name}, column {target!r}", hint=hint)
    if empty:
        say(f"left out, as no {target} is known of them: {named(empty)}")
    return tuple(series for series in found if len(series.values))


# ---- what is refused and said --------------------------------------------------------------------


def _without_copies(times: Array, order: Array, frame: pl.DataFrame) -> Array:
    """Rows in the order of their times, those that are the same in all columns once."""
    import polars as pl

    if not (np.diff(times[order]) == 0).any():
        return order
    first = frame[order].select(pl.struct(pl.all()).is_first_distinct()).to_series()
    return np.asarray(order[first.to_numpy()])


def _refuse_repeated(
    times: Times, order: Array, frame: pl.DataFrame, panel: Panel, where: str
) -> None:
    sorted_times = times.values[order]
    twice = np.flatnonzero(np.diff(sorted_times) == 0)
    if not len(twice):
        return
    first, second = sorted(order[twice[0] : twice[0] + 2].tolist())
    column = str(panel.time)
    item = None if panel.item else _item_column(frame, column, panel.columns[0])
    usual = "Keep one row for each time, such as their mean, or say with --series which series " \
        "each row belongs to."  # fmt: skip
    if times.dates and _set_back(sorted_times[twice]):
        usual = "Was the clock set back? Write the times with their offsets, such as +02:00 and " \
            "+01:00, or all in UTC."  # fmt: skip
    raise DataError(
        "A time comes twice.",
        where=f"{where}, rows {first + 1:,} and {second + 1:,}",
        expected="each time once" + (" in a series" if panel.item else ""),
        found=f"{frame[column][first]} twice, {len(twice):,} repetitions in all",
        hint=f"Several series in one table: --series {item} says which one each row belongs to."
        if item
        else usual,
    )


def _set_back(repeated: Array) -> bool:
    """Whether times repeat as where a clock is set back: within an hour, on few nights a year."""
    hours = np.unique(np.floor(repeated / 3600))
    nights = hours % 24 < 4
    return bool(repeated[0] % _DAY and nights.all() and (np.diff(hours) > _BETWEEN).all())


def _item_column(frame: pl.DataFrame, time: str, target: str) -> str | None:
    """A column with which no time comes twice: the one with the fewest values."""
    others = [c for c in frame.columns if c not in (time, target)]
    found = [
        c
        for c in others
        if not frame[c].dtype.is_float() and not frame.select(time, c).is_duplicated().any()
    ]
    return min(found, key=lambda c: frame[c].n_unique(), default=None)


def _refuse_joined(
    frame: pl.DataFrame, columns: Columns, time: str | None, times: Times | None, name: str
) -> None:
    """Refuse a table of several series, one after another, as if they were one."""
    skipped = {columns.target, time, *columns.drop, *columns.known, *(columns.features or ())}
    order = np.arange(frame.height)
    if times is not None and not np.isnan(times.values).any():
        order = np.argsort(times.values, kind="stable")
    for column in frame.columns:
        if column in skipped or not _names_items(frame, column):
            continue
        labels = frame[column].gather(order)
        count = labels.n_unique()
        blocks = int((labels != labels.shift(1)).fill_null(False).sum()) + 1
        if 1 < count == blocks <= frame.height // 3:
            raise DataError(
                "These seem to be several series, one after another.",
                where=f"{name}, column {column!r}",
                expected="one series",
                found=f"{count:,} different {column}, each of them in one piece",
                hint=f"Learn them as a model of many series with --series {column}, or as one "
                f"series with --drop {column}.",
            )


def _names_items(frame: pl.DataFrame, column: str) -> bool:
    """Whether a column may say which series a row belongs to: words, or numbers called so."""
    import polars as pl

    cells = parsing.tidy(frame[column])
    if cells is None or cells.null_count():
        return False
    if cells.dtype == pl.String and parsing.read_numbers(cells).null_count() == len(cells):
        return True
    return not cells.dtype.is_float() and called_item(column)


def called_item(column: str) -> bool:
    """Whether a name says that a column tells series apart.

    Example:
        >>> called_item("store_nbr"), called_item("sold")
        (True, False)
    """
    import re

    words = r"(?:id|ids|item|items|series|store|shop|product|sku|station|sensor|unique|customer)"
    return bool(re.search(rf"(?:^|_){words}(?:$|_|nbr|no|nr|id)", column.lower()))


def _tell(panel: Panel, name: str, say: Say) -> None:
    """Say what is missing; refuse series that are mostly gaps."""
    missing, gappy = 0, []
    for series in panel.series:
        absent = np.isnan(series.target)
        missing += int(absent.sum())
        if absent.sum() > _MOST_MISSING * len(absent):
            gappy.append(series)
    if len(gappy) == len(panel.series):
        worst = gappy[0]
        absent = np.isnan(worst.target)
        raise DataError(
            "The series is mostly gaps.",
            where=name + (f", series {worst.name}" if worst.name else ""),
            expected="at least half of the steps",
            found=f"{len(absent) - int(absent.sum()):,} of {len(absent):,}; the longest gap has "
            f"{_longest_gap(absent):,}",
            hint="Is it a series of another step, or several series in one table?",
        )
    if gappy:
        say(f"{named(gappy)}: mostly gaps")
    if missing:
        say(f"{missing:,} of {panel.steps:,} steps are missing: the last known value stands for "
            "them, and they are left out of the metrics")  # fmt: skip
    _tell_inputs(panel, say)


def _tell_stand_ins(frame: pl.DataFrame, names: Sequence[str], say: Say) -> None:
    """Say which numbers may stand for missing ones, as -999 does."""
    for column in names:
        told = Profile.of(frame[column]).stand_in("numeric", "leave such cells empty")
        if told:
            say(told)


def _tell_inputs(panel: Panel, say: Say) -> None:
    """Say where inputs are not known though the target is; the end of a series matters most."""
    told = []
    for i, column in enumerate(panel.columns[1:], 1):
        absent = [np.isnan(series.values[:, i]) & ~np.isnan(series.target)
                  for series in panel.series]  # fmt: skip
        if count := sum(int(part.sum()) for part in absent):
            last = max(_at_the_end(part) for part in absent)
            end = f", the last {counted(last, 'step', 'steps')} of a series" if last else ""
            told.append(f"{column} ({count:,}{end})")
    if told:
        say(f"not known in all {panel.steps:,} steps, where the last known value stands for them: "
            f"{', '.join(told[:_NAMED])}{', …' * (len(told) > _NAMED)}")  # fmt: skip


def _at_the_end(absent: Array) -> int:
    """How many are absent one after another at the end."""
    there = np.flatnonzero(~absent)
    return len(absent) - 1 - int(there[-1]) if len(there) else len(absent)


def named(series: Sequence[Series]) -> str:
    """The names of some series in a sentence.

    Example:
        >>> none = np.zeros((0, 0))
        >>> named([Series(none, none, 0.0, name) for name in "abcdefg"])
        '7 series (a, b, c, d, e, …)'
    """
    names = [one.name for one in series[:_NAMED]] + ["…"] * (len(series) > _NAMED)
    return f"{len(series):,} series ({', '.join(names)})"


def _longest_gap(missing: Array) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(int)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


# ---- columns -------------------------------------------------------------------------------------


def input_columns(
    frame: pl.DataFrame, target: str, time: str | None, drop: Sequence[str], name: str, say: Say
) -> list[str]:
    """The other columns that are numbers or booleans."""
    rest = [c for c in frame.columns if c not in (target, time, *drop)]
    if not rest:
        return []
    try:
        schema = infer_schema(frame.select(rest), source=name)
    except DataError:  # nothing that changes
        say(f"left out, as they are no numbers that change: {', '.join(rest)}")
        return []
    used = [c.name for c in schema.columns if c.kind in ("numeric", "boolean")]
    if unused := [c for c in rest if c not in used]:
        say(f"left out, as they are no numbers that change: {', '.join(unused)}")
    return used


def columns_of_numbers(
    frame: pl.DataFrame, names: Sequence[str], source: str, known: Mapping[str, Written], say: Say
) -> tuple[Array, tuple[Written, ...]]:
    """Columns as (rows, columns) float64, NaN where nothing is known, and how they are written.

    Booleans are 0 and 1.

    Args:
        frame: the table.
        names: of the columns.
        source: the table's name in messages.
        known: how they were written in training; later data mean the same.
        say: takes notes.
    """
    values, written = [], []
    for name in names:
        tidy = tidy_column(frame, name, source)
        how = known.get(name) or _written(tidy)
        column = Column(name, how[0], "", Notation(*how[1:]) if how[1] else None, unread=("*",))
        read = read_learned if name in known else read_values
        found, notes = read(column, tidy, source)
        for note in notes:
            say(note)
        values.append(found)
        written.append(how)
    return np.stack(values, axis=1), tuple(written)


def _written(tidy: pl.Series) -> Written:
    """How the numbers of a column are written, of data to learn from."""
    import polars as pl

    # One reading for all files: a column of yes alone is no other than one of yes and no.
    if parsing.read_booleans(tidy).null_count() == tidy.null_count() < len(tidy):
        return "boolean", "", ""
    if tidy.dtype != pl.String:
        return "numeric", "", ""
    counts = parsing.tally(tidy)
    found = next(iter(parsing.fitting_notations(counts["value"], counts["rows"], 0.5)), PLAIN)
    return "numeric", found.decimal, found.thousands
