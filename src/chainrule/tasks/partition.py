"""What a split of rows must respect: rows that belong together, or the order of time."""

from __future__ import annotations

import contextlib
import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..data import Column, Schema, infer_schema, k_folds, parsing, split_indices
from ..data.schema import check_present, read_values, tidy_column
from ..data.split import Indices, folds_in_time, split_in_time
from ..errors import DataError
from ..utils.exchange import exchanged_arrays
from ..utils.numbers import counted
from ..utils.typing import Array
from .kinds.columns import SplitOptions

if TYPE_CHECKING:
    import polars as pl

#: Numbers that agree in this fraction of their copies are copies, too.
_ALIKE = 0.95


@dataclass(frozen=True, eq=False)
class Partition:
    """How rows may be split: by chance, if nothing else is given.

    Attributes:
        groups: (rows,) rows with the same number stay on one side.
        times: (rows,) what comes later is held out; NaN where it is not known.
    """

    groups: Array | None = None
    times: Array | None = None

    def take(self, rows: Array) -> Partition:
        """That of some rows."""
        return Partition(
            None if self.groups is None else self.groups[rows],
            None if self.times is None else self.times[rows],
        )

    def joined(self, other: Partition) -> Partition:
        """That of these rows, and then of the other's, of the same table.

        Example:
            >>> Partition(np.array([0, 1])).joined(Partition(np.array([1]))).groups.tolist()
            [0, 1, 1]
        """

        def both(one: Array | None, more: Array | None) -> Array | None:
            return None if one is None or more is None else np.concatenate([one, more])

        return Partition(both(self.groups, other.groups), both(self.times, other.times))

    def with_copies(self, copies: Array | None) -> Partition:
        """Rows of the same number here stay together besides; in time that is left to the caller.

        Example:
            >>> both = Partition(np.array([0, 0, 1, 2])).with_copies(np.array([0, 1, 1, 2]))
            >>> both.groups.tolist()
            [0, 0, 0, 3]
        """
        if copies is None or self.times is not None:
            return self
        if self.groups is None:
            return Partition(copies)
        both = [np.unique(each, return_inverse=True)[1] for each in (self.groups, copies)]
        joined, before = np.arange(len(copies)), np.empty(0, np.int64)
        while not np.array_equal(joined, before):  # the least number that can be reached
            before = joined
            for each in both:
                least = np.full(int(each.max()) + 1, len(copies))
                np.minimum.at(least, each, joined)
                joined = least[each]
        return Partition(joined)

    def split(
        self, rows: int, fractions: Sequence[float], seed: int, strata: Array | None
    ) -> tuple[Indices, ...]:
        """As `split_indices`, or `split_in_time`."""
        if self.times is not None:
            return split_in_time(self.times, fractions)
        return split_indices(rows, fractions, seed, strata, groups=self.groups)

    def folds(
        self, rows: int, count: int, seed: int, strata: Array | None
    ) -> list[tuple[Indices, Indices]]:
        """As `k_folds`, or `folds_in_time`."""
        if self.times is not None:
            return folds_in_time(self.times, count)
        return k_folds(rows, count, seed, strata, groups=self.groups)

    def folds_at_most(
        self, rows: int, count: int, seed: int, strata: Array | None
    ) -> list[tuple[Indices, Indices]]:
        """As `folds`; fewer of them where there are not as many rows or groups, but two at least.

        Example:
            >>> len(Partition(groups=np.array([0, 0, 1, 1])).folds_at_most(4, 8, 0, None))
            2
        """
        for fewer in range(count, 2, -1):
            with contextlib.suppress(DataError):
                return self.folds(rows, fewer, seed, strata)
        return self.folds(rows, 2, seed, strata)


_KEYS = ("cells", "groups", "times")


@dataclass(frozen=True, eq=False)
class Keys:
    """What is read of rows, in parts of the table, to tell how they may be split.

    Attributes:
        cells: (rows,) hashes of all cells that are learned from.
        groups: (rows,) hashes of the groups, 0 where there is none.
        times: (rows,) NaN where there is none.
    """

    cells: Array | None = None
    groups: Array | None = None
    times: Array | None = None

    @staticmethod
    def joined(parts: Sequence[Keys]) -> Keys:
        """Those of all parts."""

        def join(name: str) -> Array | None:
            found = [getattr(part, name) for part in parts]
            return None if found[0] is None else np.concatenate(found)

        return Keys(*(join(name) for name in _KEYS))

    @staticmethod
    def of_all(parts: Sequence[Keys]) -> Keys:
        """Those of all parts that all processes of a training have read, in their order."""
        own = Keys.joined(parts) if parts else Keys()
        named = {n: getattr(own, n) for n in _KEYS if getattr(own, n) is not None}
        return Keys.joined([Keys(**each) for each in exchanged_arrays(named) if each])


class KeyReader:
    """Reads the keys of rows, as the options ask for them.

    Args:
        frame: rows from which the columns are understood.
        schema: what the columns to learn from mean.
        options: with ``split_by_group`` or ``split_by_time``.
        where: the table comes from.

    Raises:
        DataError: there is no such column, or it holds no times.
    """

    def __init__(
        self, frame: pl.DataFrame, schema: Schema, options: SplitOptions, where: str
    ) -> None:
        self._schema, self.where = schema, where
        self.group, self.time = options.split_by_group, options.split_by_time
        check_present([n for n in (self.group, self.time) if n], frame.columns, where)
        self._moments = None
        if self.time is not None:
            kinds = {n: kind for n, kind in getattr(options, "kinds", {}).items() if n == self.time}
            self._moments = time_column(frame, self.time, kinds, schema, where)

    def read(self, frame: pl.DataFrame) -> Keys:
        """Of some rows."""
        if self._moments is not None:
            tidy = tidy_column(frame, self._moments.name, self.where)
            return Keys(times=read_values(self._moments, tidy, self.where)[0])
        if self.group is not None:
            text = parsing.read_categories(tidy_column(frame, self.group, self.where))
            found = np.maximum(text.hash().to_numpy(), 1)
            return Keys(groups=np.where(text.is_null().to_numpy(), np.uint64(0), found))
        return Keys(cells=_cells(self._schema, frame, self.where).hash_rows().to_numpy())

    def partition(
        self, keys: Keys, combinations: Callable[[], float], target: Array
    ) -> tuple[Partition, list[str]]:
        """How the rows may be split, and what there is to say of it.

        Args:
            keys: of all rows.
            combinations: gives how many combinations of values the columns can have, which takes a
                while and is asked for only where rows are alike; see `combinations`.
            target: of each row, class indices or numbers, of several targets a column each.
        """
        if keys.times is not None:
            return Partition(times=keys.times), self._of_time(keys.times)
        if keys.groups is not None:
            return self._of_groups(keys.groups)
        assert keys.cells is not None
        return _of_copies(keys.cells, combinations, target, self._schema)

    def _of_time(self, times: Array) -> list[str]:
        if missing := int(np.isnan(times).sum()):
            rows = counted(missing, "row has", "rows have")
            return [f"{rows} no time in {self.time!r}: only trained on"]
        return []

    def _of_groups(self, keys: Array) -> tuple[Partition, list[str]]:
        groups = np.unique(keys, return_inverse=True)[1].astype(np.int64)
        alone = keys == 0
        groups[alone] = len(keys) + np.arange(int(alone.sum()))
        notes = []
        if alone.any():
            rows = counted(int(alone.sum()), "row has", "rows have")
            notes.append(f"{rows} no group in {self.group!r}: each is by itself")
        return Partition(groups=groups), notes


def time_column(
    frame: pl.DataFrame, name: str, kinds: dict[str, str], schema: Schema, where: str
) -> Column:
    """A column that says when a row was, by dates or by numbers.

    Raises:
        DataError: it holds neither.
    """
    known = [column for column in schema.columns if column.name == name]
    for kind in (kinds.get(name), None, "date", "numeric"):
        if known and known[0].kind in ("date", "numeric"):
            return known[0]
        try:
            found = infer_schema(frame.select(name), kinds={name: kind} if kind else None,
                                 source=where)  # fmt: skip
        except DataError:
            continue
        known = list(found.columns)
    if known and known[0].kind in ("date", "numeric"):
        return known[0]
    raise DataError(
        f"Column {name!r} does not say when a row was.",
        where=f"{where}, column {name!r}",
        expected="dates or numbers",
        found=", ".join(map(str, frame[name].head(3).to_list())),
        hint=f"--kind {shlex.quote(f'{name}=date:%d/%m/%Y')} says how dates are written",
    )


def _cells(schema: Schema, frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """The cells of the columns to learn from, as they are read."""
    import polars as pl

    found = {}
    for column in schema.columns:
        tidy = tidy_column(frame, column.name, where)
        if column.in_words:
            found[column.name] = parsing.read_categories(tidy)
        else:
            values = read_values(column, tidy, where)[0] + 0.0  # no negative zeros
            found[column.name] = pl.Series(values, dtype=pl.Float64).fill_nan(None)
    return pl.DataFrame(found)


def combinations(schema: Schema, frame: pl.DataFrame, where: str) -> float:
    """How many different rows the values of the columns can make."""
    cells = _cells(schema, frame, where)
    return math.prod(float(cells[name].n_unique()) for name in cells.columns)


def _of_copies(
    cells: Array, combinations: Callable[[], float], target: Array, schema: Schema
) -> tuple[Partition, list[str]]:
    """Identical rows stay together, unless there are so few different ones that they must repeat.

    Where all columns together have fewer combinations than there are rows, rows agree by
    necessity, new ones will, too, and a split by chance is right.
    """
    _, groups, counts = np.unique(cells, return_inverse=True, return_counts=True)
    rows, different = len(cells), len(counts)
    if different == rows:
        return Partition(), []
    repeated = counts > 1
    differ = _differ(groups, different, target)[repeated]
    numbers = schema.target is not None and not schema.target.classes
    possible = combinations()
    if possible <= rows and not (numbers and 1 - differ.mean() >= _ALIKE):
        return Partition(), [
            f"the columns have {possible:,.0f} combinations of values only: rows that are "
            "alike are taken for different cases, not for copies"
        ]
    copies = int(counts[repeated].sum() - repeated.sum())
    notes = [
        f"{copies:,} of {rows:,} rows {'repeats' if copies == 1 else 'repeat'} another one: "
        "identical rows stay on one side of every split"
    ]
    if differ.any():
        name = schema.target.name if schema.target else "the target"
        notes.append(
            f"{int(counts[repeated][differ].sum()):,} rows are identical to others, but differ in "
            f"{name!r}: no model can tell them apart"
        )
    return Partition(groups=groups.astype(np.int64)), notes


def _differ(groups: Array, count: int, target: Array) -> Array:
    """Which groups have rows with different targets."""
    found = np.zeros(count, bool)
    for values in target.reshape(len(target), -1).T:
        low, high = np.full(count, np.inf), np.full(count, -np.inf)
        np.fmin.at(low, groups, values)
        np.fmax.at(high, groups, values)
        found |= high > low
    return found


def partition_of(
    frame: pl.DataFrame, options: SplitOptions, where: str
) -> tuple[Partition, list[str]]:
    """How rows may be split whose cells are nothing to learn from, and what there is to say of it.

    Raises:
        DataError: there is no such column, or it holds no times.
    """
    if not options.splits_by:
        return Partition(), []
    reader = KeyReader(frame, Schema(()), options, where)
    return reader.partition(reader.read(frame), lambda: 0.0, np.empty(0))
