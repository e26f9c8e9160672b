"""What the columns of a table mean, and raw rows to arrays by it.

A `Schema` comes from `chainrule.data.infer_schema`, which decides the kinds over the whole table.
`Schema.fit` adds vocabularies and statistics from training rows only, so that no test row
gets in. `Schema.encode` then turns any rows of such a table into plain arrays, in training and in
prediction alike.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DataError

from ..utils.typing import Array
from . import json_dataclass, parsing
from .parsing import PLAIN, Notation

if TYPE_CHECKING:
    import polars as pl

Kind = Literal["numeric", "boolean", "category", "date"]
DropKind = Literal["identifier", "text", "constant", "missing", "nested", "requested"]
Task = Literal["regression", "binary", "multiclass"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_FORMAT, _VERSION = "chainrule.schema", 1


@dataclass(frozen=True)
class Statistics:
    """The distribution of a column over its finite values; zeros if there are none.

    `std` divides by the number of values, `skewness` is Fisher's (0 if `std` is 0), quantiles
    interpolate linearly. Booleans are counted as 0 and 1, dates as seconds since 1970-01-01 UTC.
    Of categories there are only the counts.
    """

    count: int
    missing: int
    distinct: int
    mean: float = 0.0
    std: float = 0.0
    skewness: float = 0.0
    minimum: float = 0.0
    lower_quartile: float = 0.0
    median: float = 0.0
    upper_quartile: float = 0.0
    maximum: float = 0.0
    quantiles: tuple[float, ...] = ()
    """The quantiles at 0, 1/64, …, 1 without repetitions, ascending."""

    @staticmethod
    def of(values: Floats) -> Statistics:
        """Statistics of values, NaN where missing.

        Example:
            >>> s = Statistics.of(np.array([1.0, 2.0, 3.0, np.nan]))
            >>> s.count, s.missing, s.mean, s.median, s.maximum
            (3, 1, 2.0, 2.0, 3.0)
        """
        finite = values[np.isfinite(values)]
        missing = len(values) - len(finite)
        if not len(finite):
            return Statistics(0, missing, 0)
        # Scaled to at most 1, so that no square of a large value overflows.
        scale = float(np.abs(finite).max()) or 1.0
        scaled = finite / scale
        mean = scaled.mean()
        deviations = scaled - mean
        distinct = np.unique(finite)
        std = float(np.sqrt((deviations**2).mean())) if len(distinct) > 1 else 0.0
        skewness = float(((deviations / std) ** 3).mean()) if std > 0 else 0.0
        quantiles = np.quantile(scaled, np.arange(65) / 64) * scale
        # Scaling may have moved them by a rounding error.
        quantiles = np.clip(quantiles, distinct[0], distinct[-1])
        quantiles[0], quantiles[-1] = distinct[0], distinct[-1]
        return Statistics(
            count=len(finite),
            missing=missing,
            distinct=len(distinct),
            mean=float(mean * scale),
            std=std * scale,
            skewness=skewness,
            minimum=float(quantiles[0]),
            lower_quartile=float(quantiles[16]),
            median=float(quantiles[32]),
            upper_quartile=float(quantiles[48]),
            maximum=float(quantiles[64]),
            quantiles=tuple(np.unique(quantiles).tolist()),
        )


@dataclass(frozen=True)
class Column:
    """A column that the model uses.

    `notation` and `date_format` say how its text is read; None if training data were not text (text
    is then read as it presents itself). `vocabulary` and `statistics` come from `Schema.fit`.
    """

    name: str
    kind: Kind
    reason: str
    notation: Notation | None = None
    date_format: str | None = None
    vocabulary: tuple[str, ...] = ()
    """The categories, the most frequent first: ``vocabulary[0]`` has code 1, as 0 is missing."""
    has_other: bool = False
    """Rarer categories share the code ``len(vocabulary) + 1``, and so do unseen ones."""
    statistics: Statistics | None = None

    @property
    def codes(self) -> int:
        """How many codes a category column has: missing, the vocabulary, and perhaps *other*.

        Example:
            >>> Column("city", "category", "text", vocabulary=("Rome", "Oslo")).codes
            3
        """
        return 1 + len(self.vocabulary) + self.has_other


@dataclass(frozen=True)
class Dropped:
    """A column that is left out, and why."""

    name: str
    kind: DropKind
    reason: str


@dataclass(frozen=True)
class Target:
    """The column to predict. `classes` are in the order of their indices; empty for regression."""

    name: str
    task: Task
    reason: str
    notation: Notation | None = None
    classes: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()
    """Rows of each class in the training part; from `Schema.fit`."""
    statistics: Statistics | None = None
    """Of a regression's target in the training part; from `Schema.fit`."""
    quantiles: tuple[float, ...] = json_dataclass.later(())
    """Levels of the quantiles that are predicted besides, ascending; of a regression only."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """Rows as arrays. Columns are those of `Schema.numeric`, `Schema.category` and `Schema.date`.

    Attributes:
        numeric: float64 (rows, n), NaN where missing; booleans are 0 and 1.
        category: int64 (rows, m), codes from 0 (missing, or not seen in training) up.
        date: float64 (rows, d), seconds since 1970-01-01 UTC, NaN where missing.
        target: float64 (rows,) for regression, int64 class index for classification, or None; of
            several targets float64 (rows, targets), NaN where one is missing.
        rows: int64 (rows,), where each row is in the table, as rows without a target are left out.
        notes: sentences for the user about cells that could not be used.
    """

    numeric: Floats
    category: Integers
    date: Floats
    target: Floats | Integers | None
    rows: Integers
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: Array | Sequence[int]) -> Encoded:
        """These rows only, in this order; positions within the encoded rows, or a boolean mask."""
        taken = np.asarray(indices)
        if not taken.size:
            taken = taken.astype(np.int64)
        return Encoded(
            self.numeric[taken],
            self.category[taken],
            self.date[taken],
            None if self.target is None else self.target[taken],
            self.rows[taken],
            self.notes,
        )


@dataclass(frozen=True)
class Schema:
    """The meaning of a table's columns: which are used, which are left out, which is predicted.

    Example:
        >>> from chainrule.data import infer_schema, read_table
        >>> homes = {"city": ["Rome", "Oslo", "Rome"], "m2": [50, 70, None], "rent": [9.5, 8, 7]}
        >>> table = read_table(homes)
        >>> schema = infer_schema(table, "rent").fit(table)
        >>> rows = schema.encode(table, target=True)
        >>> rows.category.tolist(), rows.numeric.tolist(), rows.target.tolist()
        ([[1], [2], [1]], [[50.0], [70.0], [nan]], [9.5, 8.0, 7.0])
    """

    columns: tuple[Column, ...]
    dropped: tuple[Dropped, ...] = ()
    target: Target | None = None
    notes: tuple[str, ...] = ()
    max_categories: int = 1000
    more_targets: tuple[Target, ...] = json_dataclass.later(())
    """Targets besides the first, where several are learned at once."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets: none, one or several."""
        return () if self.target is None else (self.target, *self.more_targets)

    @property
    def numeric(self) -> tuple[Column, ...]:
        """The columns of `Encoded.numeric`: numbers and booleans."""
        return self._of("numeric", "boolean")

    @property
    def category(self) -> tuple[Column, ...]:
        """The columns of `Encoded.category`."""
        return self._of("category")

    @property
    def date(self) -> tuple[Column, ...]:
        """The columns of `Encoded.date`."""
        return self._of("date")

    def _of(self, *kinds: Kind) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.kind in kinds)

    @property
    def fitted(self) -> bool:
        """Have vocabularies and statistics been computed?"""
        return all(column.statistics is not None for column in self.columns)

    def fit(self, frame: pl.DataFrame, source: str = "the table") -> Schema:
        """The same schema with vocabularies and statistics of these rows, the training rows.

        Raises:
            DataError: no row, or as for `encode`.
        """
        self._check_columns(frame, target=self.target is not None, source=source)
        targets = self.targets
        if targets:
            values, _ = self._read_target(frame, source)
            known = known_targets(values)
            frame, values = frame.filter(known), values[known].reshape(-1, len(targets))
            targets = tuple(_fit_target(t, values[:, i]) for i, t in enumerate(targets))
        if frame.height == 0:
            raise DataError(
                "There are no rows to train on.", where=source, expected="at least one row"
            )
        columns = tuple(self._fit_column(column, frame, source) for column in self.columns)
        return dataclasses.replace(self, columns=columns).with_targets(targets)

    def with_targets(self, targets: Sequence[Target]) -> Schema:
        """The same columns with these targets."""
        first, *more = targets or (None,)
        return dataclasses.replace(self, target=first, more_targets=tuple(more))

    def _fit_column(self, column: Column, frame: pl.DataFrame, source: str) -> Column:
        tidy = tidy_column(frame, column.name, source)
        if column.kind != "category":
            values, _ = read_values(column, tidy, source)
            return dataclasses.replace(column, statistics=Statistics.of(values))
        counts = parsing.tally(parsing.read_categories(tidy))
        fewest = counts["rows"].top_k(self.max_categories).min()
        # Ties in the order of the text, so that the codes do not depend on the order of the rows.
        kept = counts.filter(counts["rows"] >= (fewest or 0))
        kept = kept.sort(["rows", "value"], descending=[True, False]).head(self.max_categories)
        return dataclasses.replace(
            column,
            vocabulary=tuple(kept["value"].to_list()),
            has_other=counts.height > self.max_categories,
            statistics=Statistics(
                count=int(counts["rows"].sum()), missing=tidy.null_count(), distinct=counts.height
            ),
        )

    def encode(
        self, frame: pl.DataFrame, *, target: bool = False, source: str = "the table"
    ) -> Encoded:
        """Raw rows to arrays.

        Args:
            frame: a table with at least the columns of this schema, in any order.
            target: encode the target, too; rows without it are left out and counted in the notes.
            source: the table's name in messages.

        Raises:
            DataError: a column is absent, most of one cannot be read as its kind, or the target
                has an unknown class.
        """
        self._check_fitted()
        self._check_columns(frame, target, source)
        rows = np.arange(frame.height)
        notes: list[str] = []
        values = None
        if target:
            values, note = self._read_target(frame, source)
            known = known_targets(values)
            rows, values, frame = rows[known], values[known], frame.filter(known)
            notes += note
        arrays = {
            column.name: self._encode_column(column, frame, source, notes)
            for column in self.columns
        }
        return Encoded(
            _stack([arrays[column.name] for column in self.numeric], len(rows), np.float64),
            _stack([arrays[column.name] for column in self.category], len(rows), np.int64),
            _stack([arrays[column.name] for column in self.date], len(rows), np.float64),
            values,
            rows,
            tuple(notes),
        )

    def read_target(self, frame: pl.DataFrame, source: str = "the table") -> Floats | Integers:
        """The target of every row: float64 with NaN where missing, or the class index with -1.

        Several targets are float64 (rows, targets), class indices too, with NaN where missing. It
        needs no `fit`: split by it, then fit on the training rows.
        """
        self._check_columns(frame, True, source, features=False)
        values: Floats | Integers = self._read_target(frame, source)[0]
        return values

    def to_json(self) -> str:
        """As JSON text, with a format version."""
        return json_dataclass.to_json(self, _FORMAT, _VERSION)

    @staticmethod
    def from_json(text: str) -> Schema:
        """Read what `to_json` wrote.

        Raises:
            DataError: no schema, one of another version, or a field that does not belong.
        """
        schema = json_dataclass.from_json(Schema, text, _FORMAT, _VERSION)
        schema._check_consistent()
        return schema

    # ------------------------------------------------------------ parts of the above

    def _check_consistent(self) -> None:
        """Refuse what no schema of ours says, as a file may have been changed by hand."""
        names = [column.name for column in self.columns]
        repeated = _repeated(names + [column.name for column in self.dropped])
        faults = [f"two columns {name!r}" for name in repeated]
        for column in self.columns:
            faults += [f"two categories {word!r}" for word in _repeated(column.vocabulary)]
            if column.vocabulary and column.kind != "category":
                faults.append(f"categories in the {column.kind} column {column.name!r}")
        notations = [column.notation for column in self.columns]
        for notation in [*notations, *(target.notation for target in self.targets)]:
            if notation not in (None, *parsing.NOTATIONS):
                faults.append(f"numbers written as {notation}")
        faults += [f"two targets {name!r}" for name in _repeated([t.name for t in self.targets])]
        for target in self.targets:
            faults += [f"two classes {name!r}" for name in _repeated(target.classes)]
            count = len(target.classes)
            fits = {"regression": count == 0, "binary": count == 2, "multiclass": count > 2}
            if not fits[target.task]:
                faults.append(f"{count} classes in a {target.task} target")
        if faults:
            raise DataError("The schema contradicts itself.", where=_FORMAT, found=faults[0])

    def _check_fitted(self) -> None:
        if not self.fitted:
            raise DataError(
                "The schema has no vocabularies and statistics yet.",
                expected="a fitted schema",
                hint="call schema.fit(training_rows) first",
            )

    def _check_columns(
        self, frame: pl.DataFrame, target: bool, source: str, features: bool = True
    ) -> None:
        if target and self.target is None:
            raise DataError("The schema has no target.", hint="name one in infer_schema")
        needed = [column.name for column in self.columns] if features else []
        needed += [known.name for known in self.targets] if target else []
        check_present(needed, frame.columns, source)

    def _encode_column(
        self, column: Column, frame: pl.DataFrame, source: str, notes: list[str]
    ) -> Floats | Integers:
        tidy = tidy_column(frame, column.name, source)
        if column.kind == "category":
            return _encode_category(column, parsing.read_categories(tidy), notes)
        values, column_notes = read_values(column, tidy, source)
        notes += column_notes
        return values

    def _read_target(self, frame: pl.DataFrame, source: str) -> tuple[Any, list[str]]:
        columns, notes = [], []
        fate = "taken for the other targets" if self.more_targets else "left out"
        for target in self.targets:
            values, sentences = _read_target(target, frame, source)
            columns.append(values)
            notes += sentences
            if missing := int((~_known(values)).sum()):
                notes.append(f"column {target.name}: {_rows(missing)} without a target {fate}")
        if len(columns) == 1:
            return columns[0], notes
        return np.stack([np.where(_known(v), v, np.nan) for v in columns], axis=1), notes


def _read_target(target: Target, frame: pl.DataFrame, source: str) -> tuple[Any, list[str]]:
    """The values of one target, and notes on cells that could not be read."""
    tidy = tidy_column(frame, target.name, source)
    if target.task == "regression":
        column = Column(target.name, "numeric", "", notation=target.notation)
        return read_values(column, tidy, source)
    return _class_indices(target, parsing.read_categories(tidy), source), []


def _fit_target(target: Target, values: Array) -> Target:
    """With the statistics of these values; missing ones do not count."""
    known = values[_known(values)]
    if target.task == "regression":
        return dataclasses.replace(target, statistics=Statistics.of(known.astype(np.float64)))
    counts = np.bincount(known.astype(np.int64), minlength=len(target.classes))
    return dataclasses.replace(target, class_counts=tuple(counts.tolist()))


def check_present(needed: Sequence[str], present: Sequence[str], source: str) -> None:
    """Refuse a table that lacks columns, with the nearest names that it has.

    Example:
        >>> check_present(["prize"], ["price", "city"], "houses.csv")
        Traceback (most recent call last):
        chainrule.errors.DataError: There is no column 'prize'.
          where: houses.csv
          expected: a column 'prize'
          found: the columns price, city
          hint: did you mean 'price'?
    """
    absent = [name for name in needed if name not in set(present)]
    if not absent:
        return
    lower = {name.lower(): name for name in present}
    near = difflib.get_close_matches(absent[0].lower(), lower, n=2)
    hint = "check the header of the table"
    if near:
        hint = "did you mean " + " or ".join(repr(lower[name]) for name in near) + "?"
    elif len(present) == 1 and not present[0].isidentifier():
        hint = "the table has only one column: check the separator of its fields"
    several = len(absent) > 1
    shown = ", ".join(map(repr, absent[:5]))
    raise DataError(
        f"There {'are no columns' if several else 'is no column'} {shown}"
        + (f" and {len(absent) - 5} more." if len(absent) > 5 else "."),
        where=source,
        expected=f"{'the columns' if several else 'a column'} {shown}",
        found=f"the columns {', '.join(present[:12])}" + (", …" if len(present) > 12 else ""),
        hint=hint,
    )


def known_targets(values: Array) -> NDArray[np.bool_]:
    """Rows whose target is present; of several targets, rows that have one of them at least.

    Example:
        >>> known_targets(np.array([1, -1])), known_targets(np.array([[np.nan, 2], [np.nan] * 2]))
        (array([ True, False]), array([ True, False]))
    """
    known = _known(values)
    return np.asarray(known.any(axis=1)) if known.ndim > 1 else known


def _known(values: Any) -> NDArray[np.bool_]:
    """Which values of a target are present."""
    known: NDArray[np.bool_] = values >= 0 if values.dtype == np.int64 else ~np.isnan(values)
    return known


def tidy_column(frame: pl.DataFrame, name: str, source: str = "the table") -> pl.Series:
    """The tidy cells of a column; an error if they are nested."""
    tidy = parsing.tidy(frame[name])
    if tidy is None:
        raise DataError(
            "A column holds lists or objects instead of single values.",
            where=f"{source}, column {name!r}",
            expected="numbers, text, booleans or dates",
            found=str(frame[name].dtype),
        )
    return tidy


def read_values(
    column: Column, tidy: pl.Series, source: str = "the table"
) -> tuple[Floats, list[str]]:
    """A numeric, boolean or date column as float64, and notes on cells taken as missing."""
    import polars as pl

    if column.kind == "date":
        date_format = column.date_format
        if date_format is None and tidy.dtype == pl.String:
            date_format = next(iter(_fitting(parsing.fitting_date_formats, tidy)), None)
        read = parsing.epoch_seconds(parsing.read_dates(tidy, date_format))
    elif column.kind == "boolean":
        read = parsing.read_booleans(tidy).cast(pl.Float64)
    else:
        notation = column.notation
        if notation is None and tidy.dtype == pl.String:
            notation = next(iter(_fitting(parsing.fitting_notations, tidy)), None)
        read = parsing.read_numbers(tidy, notation or PLAIN)
    unread = tidy.filter(read.is_null() & tidy.is_not_null())
    if len(unread) * 2 > tidy.count():
        raise _unreadable(column, tidy, unread, source)
    values = read.to_numpy(writable=True).astype(np.float64, copy=False)
    infinite = np.isinf(values)
    values[infinite] = np.nan
    notes = []
    if len(unread):
        notes.append(
            f"column {column.name}: {_rows(len(unread))} taken as missing, not "
            f"{_NOUN[column.kind]}: {_samples(unread)}"
        )
    if infinite.any():
        notes.append(
            f"column {column.name}: {_rows(int(infinite.sum()))} taken as missing, infinite"
        )
    return values, notes


_NOUN = {"numeric": "numbers", "boolean": "yes or no", "date": "dates"}


def _fitting(find: Any, tidy: pl.Series) -> Any:
    counts = parsing.tally(tidy)
    return find(counts["value"], counts["rows"], 0.5)


def _unreadable(column: Column, tidy: pl.Series, unread: pl.Series, source: str) -> DataError:
    expected = _NOUN[column.kind]
    if column.kind == "date" and column.date_format:
        expected += f" written as {column.date_format}"
    if column.kind == "numeric" and column.notation:
        expected += f" written as {column.notation}"
    return DataError(
        f"Most of column {column.name!r} cannot be read.",
        where=f"{source}, column {column.name!r}",
        expected=f"{expected}, as in the training data",
        found=f"{_samples(unread)} ({len(unread):,} of {tidy.count():,} values)",
        hint="is it the same column, written the same way, as in training?",
    )


def _encode_category(column: Column, text: pl.Series, notes: list[str]) -> Integers:
    import polars as pl

    if column.vocabulary:
        known = text.cast(pl.Enum(list(column.vocabulary)), strict=False).to_physical()
    else:
        known = pl.Series([None] * len(text), dtype=pl.UInt32)
    codes: Integers = (known.cast(pl.Int64) + 1).fill_null(0).to_numpy(writable=True)
    unseen = (known.is_null() & text.is_not_null()).to_numpy()
    if unseen.any():
        values = _samples(text.filter(unseen))
        count = _rows(int(unseen.sum()))
        if column.has_other:
            codes[unseen] = column.codes - 1
            notes.append(
                f"column {column.name}: {count} outside the {len(column.vocabulary):,} most "
                f"frequent values, taken as 'other': {values}"
            )
        else:
            notes.append(
                f"column {column.name}: {count} with values never seen in training: {values}"
            )
    return codes


def _class_indices(target: Target, text: pl.Series, source: str) -> Integers:
    """Class index of each row, -1 where missing. Case is ignored if classes differ without it."""
    import polars as pl

    classes = list(target.classes)
    lower = [name.lower() for name in classes]
    if len(set(lower)) == len(lower):
        classes, text = lower, text.str.to_lowercase()
    known = text.cast(pl.Enum(classes), strict=False).to_physical()
    unknown = text.filter(known.is_null() & text.is_not_null())
    if len(unknown):
        raise DataError(
            "The target has classes that are not known.",
            where=f"{source}, column {target.name!r}",
            expected=", ".join(target.classes[:8]) + (", …" if len(target.classes) > 8 else ""),
            found=f"{_samples(unknown)} in {_rows(len(unknown))}",
            hint="remove these rows, or train on data that has these classes",
        )
    return known.cast(pl.Int64).fill_null(-1).to_numpy(writable=True)


def _stack(columns: Sequence[Any], rows: int, dtype: type) -> Any:
    stacked: Array = np.empty((rows, len(columns)), dtype=dtype)
    for index, values in enumerate(columns):
        stacked[:, index] = values
    return stacked


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _rows(count: int) -> str:
    return f"{count:,} row" + ("" if count == 1 else "s")


def _samples(values: pl.Series, most: int = 3) -> str:
    """A few distinct values, quoted."""
    distinct = values.unique(maintain_order=True)
    shown = ", ".join(f"{value!r:.40}" for value in distinct.head(most).to_list())
    return f"{shown}, …" if len(distinct) > most else shown
