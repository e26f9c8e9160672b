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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DataError

from ..utils.typing import Array
from . import json_dataclass, parsing
from .json_dataclass import later
from .picture_columns import encode_pictures, fit_pictures
from .reading import read_learned, read_values, rows_of, samples, tidy_column
from .records import (
    Column,
    DropKind,
    Dropped,
    Floats,
    Integers,
    Kind,
    Statistics,
    Target,
    Task,
)
from .source import FileReading
from .text_columns import encode_text, fit_text

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Column",
    "DropKind",
    "Dropped",
    "Encoded",
    "Floats",
    "Integers",
    "Kind",
    "Schema",
    "Statistics",
    "Target",
    "Task",
    "check_present",
    "known_targets",
    "read_learned",
    "read_values",
    "tidy_column",
]

_INTEGER = r"^\d+$"
_FORMAT, _VERSION = "chainrule.schema", 1


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
        text: int64 (rows, t), the numbers of the parts of all free texts; see `text_columns`.
        weights: float64 (rows,) what each row counts for, with the target; None if all count alike.
        image: float32 (rows, i, size, size, 4), the pictures of each column; see `picture_columns`.
    """

    numeric: Floats
    category: Integers
    date: Floats
    target: Floats | Integers | None
    rows: Integers
    notes: tuple[str, ...] = ()
    text: Integers = dataclasses.field(default_factory=lambda: np.zeros((0, 0), np.int64))
    weights: Floats | None = None
    image: Array = dataclasses.field(default_factory=lambda: np.zeros((0, 0), np.float32))

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
            self.text[taken] if self.text.shape[1] else self.text,
            None if self.weights is None else self.weights[taken],
            self.image[taken] if self.image.shape[1] else self.image,
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
    more_targets: tuple[Target, ...] = later(())
    """Targets besides the first, where several are learned at once."""
    reading: FileReading | None = dataclasses.field(default=None, metadata={"later": True})
    """How the file of the training was read."""
    weight: Column | None = json_dataclass.later(None)  # noqa: RUF009
    """The column that says what each row counts for in training and evaluation."""

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

    @property
    def text(self) -> tuple[Column, ...]:
        """The columns of `Encoded.text`, each as many columns wide as `Column.longest` says."""
        return self._of("text")

    @property
    def image(self) -> tuple[Column, ...]:
        """The columns of `Encoded.image`."""
        return self._of("image")

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
            values, _ = self._read_target(frame, source, strict=False)
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
        tidy = tidy_column(frame, column.name, source, column.missing)
        if column.kind == "text":
            return fit_text(column, parsing.read_categories(tidy))
        if column.kind == "image":
            return fit_pictures(column, parsing.read_categories(tidy), source)
        if column.kind != "category":
            values, _ = read_learned(column, tidy, source, strict=False)
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
        self,
        frame: pl.DataFrame,
        *,
        target: bool = False,
        source: str = "the table",
        strict: bool = True,
    ) -> Encoded:
        """Raw rows to arrays, each cell by itself: as the training has settled its column.

        Args:
            frame: a table with at least the columns of this schema, in any order.
            target: encode the target, too; rows without it are left out and counted in the notes.
            source: the table's name in messages; if it is a file, paths of pictures begin there.
            strict: refuse cells that cannot be read, unless such were in the training; otherwise
                they are missing, too.

        Raises:
            DataError: a column is absent, a cell of one cannot be read as its kind, or the target
                has an unknown class.
        """
        self._check_fitted()
        self._check_columns(frame, target, source)
        rows = np.arange(frame.height)
        notes: list[str] = []
        values = None
        if target:
            values, note = self._read_target(frame, source, strict)
            known = known_targets(values)
            rows, values, frame = rows[known], values[known], frame.filter(known)
            notes += note
        weights = self._read_weights(frame, source, notes) if target else None
        arrays = {
            column.name: self._encode_column(column, frame, source, notes, strict)
            for column in self.columns
        }
        return Encoded(
            _stack([arrays[column.name] for column in self.numeric], len(rows), np.float64),
            _stack([arrays[column.name] for column in self.category], len(rows), np.int64),
            _stack([arrays[column.name] for column in self.date], len(rows), np.float64),
            values,
            rows,
            tuple(notes),
            _side_by_side([arrays[column.name] for column in self.text], len(rows)),
            weights,
            _pictures([arrays[column.name] for column in self.image], len(rows)),
        )

    def encode_column(
        self, column: Column, frame: pl.DataFrame, source: str = "the table"
    ) -> tuple[Array, list[str]]:
        """One column of `encode`, and notes on its cells.

        Raises:
            DataError: a cell cannot be read.
        """
        notes: list[str] = []
        return self._encode_column(column, frame, source, notes, strict=True), notes

    def with_missing(self, words: Sequence[str]) -> Schema:
        """The same schema, in which these words, in any case, mean a missing value, too.

        Example:
            >>> schema = Schema((Column("x", "numeric", ""),)).with_missing(["unknown"])
            >>> "unknown" in schema.columns[0].missing, "na" in schema.columns[0].missing
            (True, True)
        """
        more = {word.strip().lower() for word in words}

        def extended(known: Column | Target) -> Any:
            usual = parsing.WORDS if known.missing is None else known.missing
            return dataclasses.replace(known, missing=tuple(sorted(more.union(usual))))

        if not more:
            return self
        columns = tuple(extended(column) for column in self.columns)
        targets = [extended(target) for target in self.targets]
        return dataclasses.replace(self, columns=columns).with_targets(targets)

    def read_target(
        self, frame: pl.DataFrame, source: str = "the table", *, strict: bool = True
    ) -> Floats | Integers:
        """The target of every row: float64 with NaN where missing, or the class index with -1.

        Several targets are float64 (rows, targets), class indices too, with NaN where missing. It
        needs no `fit`: split by it, then fit on the training rows. ``strict`` as for `encode`.
        """
        self._check_columns(frame, True, source, features=False)
        values: Floats | Integers = self._read_target(frame, source, strict)[0]
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
            if column.vocabulary and column.kind not in ("category", "text"):
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
        self, column: Column, frame: pl.DataFrame, source: str, notes: list[str], strict: bool
    ) -> Array:
        tidy = tidy_column(frame, column.name, source, column.missing)
        if column.kind == "category":
            return _encode_category(column, parsing.read_categories(tidy), notes)
        if column.kind == "text":
            return encode_text(column, parsing.read_categories(tidy))
        if column.kind == "image":
            pictures, problems = encode_pictures(column, parsing.read_categories(tidy), source)
            notes += problems
            return pictures
        values, column_notes = read_learned(column, tidy, source, strict=strict)
        notes += column_notes
        return values

    def _read_weights(self, frame: pl.DataFrame, source: str, notes: list[str]) -> Floats | None:
        """What each row counts for; nothing without such a column."""
        if self.weight is None:
            return None
        if self.weight.name not in frame.columns:
            notes.append(f"there is no column {self.weight.name}: all rows count alike")
            return None
        return read_weights(self.weight, frame, source)

    def _read_target(self, frame: pl.DataFrame, source: str, strict: bool) -> tuple[Any, list[str]]:
        columns, notes = [], []
        fate = "taken for the other targets" if self.more_targets else "left out"
        for target in self.targets:
            values, sentences = _read_target(target, frame, source, strict)
            columns.append(values)
            notes += sentences
            if missing := int((~_known(values)).sum()):
                notes.append(f"column {target.name}: {rows_of(missing)} without a target {fate}")
        if len(columns) == 1:
            return columns[0], notes
        return np.stack([np.where(_known(v), v, np.nan) for v in columns], axis=1), notes


def _read_target(
    target: Target, frame: pl.DataFrame, source: str, strict: bool
) -> tuple[Any, list[str]]:
    """The values of one target, and notes on cells that could not be read."""
    tidy = tidy_column(frame, target.name, source, target.missing)
    if target.task == "regression":
        return read_learned(target.column, tidy, source, strict=strict)
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
    # A column that is needed and there is no slip of another one.
    lower = {name.lower(): name for name in present if name not in set(needed)}
    near = difflib.get_close_matches(absent[0].lower(), lower, n=2)
    hint = "check the header of the table"
    if near:
        hint = "did you mean " + " or ".join(repr(lower[name]) for name in near) + "?"
    elif len(present) == 1 and not present[0].isidentifier():
        hint = (
            "the table has only one column: say what separates its fields, as in --separator ';' "
            "(separator=';')"
        )
    elif not "".join([*absent, *present]).isascii():
        hint += "; if names look wrong, say the encoding, as in --encoding cp1251 (encoding=)"
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


def _encode_category(column: Column, text: pl.Series, notes: list[str]) -> Integers:
    import polars as pl

    text = _as_in(column.vocabulary, text)
    if column.vocabulary:
        known = text.cast(pl.Enum(list(column.vocabulary)), strict=False).to_physical()
    else:
        known = pl.Series([None] * len(text), dtype=pl.UInt32)
    codes: Integers = (known.cast(pl.Int64) + 1).fill_null(0).to_numpy(writable=True)
    unseen = (known.is_null() & text.is_not_null()).to_numpy()
    if unseen.any():
        values = samples(text.filter(unseen))
        count = rows_of(int(unseen.sum()))
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


def _as_in(known: Sequence[str], text: pl.Series) -> pl.Series:
    """Texts as they are written in these: 2138 is 02138, if only that has the value.

    So is what readers cannot tell from one of them, by its spaces or the form of its letters.
    """
    import polars as pl

    unseen = text.filter(~text.is_in(list(known)).fill_null(True)).unique()
    if not len(unseen):
        return text
    text = text.replace(_seen_alike(known, unseen.to_list()))
    unseen = unseen.filter(unseen.str.contains(_INTEGER))
    if not len(unseen):
        return text
    codes = pl.Series(known, dtype=pl.String)
    codes = codes.filter(codes.str.contains(_INTEGER))
    values = codes.str.strip_chars_start("0")
    once = values.is_unique()
    written = dict(zip(values.filter(once), codes.filter(once), strict=True))
    same = {code: written.get(code.lstrip("0")) for code in unseen.to_list()}
    return text.replace({code: other for code, other in same.items() if other is not None})


def _seen_alike(known: Sequence[str], unseen: Sequence[str]) -> dict[str, str]:
    """For each unseen text that looks like just one of the known ones, that one."""
    forms: dict[str, list[str]] = {}
    for word in known:
        forms.setdefault(parsing.seen_alike(word), []).append(word)
    found = {word: forms.get(parsing.seen_alike(word), []) for word in unseen}
    return {word: same[0] for word, same in found.items() if len(same) == 1}


def _class_indices(target: Target, text: pl.Series, source: str) -> Integers:
    """Class index of each row, -1 where missing. Case is ignored if classes differ without it."""
    import polars as pl

    text = _as_in(target.classes, text)
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
            found=f"{samples(unknown)} in {rows_of(len(unknown))}",
            hint="remove these rows, or train on data that has these classes",
        )
    return known.cast(pl.Int64).fill_null(-1).to_numpy(writable=True)


def read_weights(column: Column, frame: pl.DataFrame, source: str, *, some: bool = False) -> Floats:
    """What each row counts for.

    Raises:
        DataError: a weight is missing, no number or negative; or, with ``some``, all are 0.
    """
    values, _ = read_values(column, tidy_column(frame, column.name, source), source)
    wrong = np.flatnonzero(~(values >= 0))
    if len(wrong):
        found = f"{frame[column.name][int(wrong[0])]!r} in row {wrong[0]} of those with a target"
    elif some and not values.any():
        found = f"0 in all {len(values):,} rows"
    else:
        return values
    raise DataError(
        "The weights of the rows cannot be used.",
        where=f"{source}, column {column.name!r}",
        expected="numbers from 0 on, one for each row, not all 0",
        found=found + (f", and {len(wrong) - 1:,} more" if len(wrong) > 1 else ""),
        hint="give such rows the weight 0, or remove them",
    )


def _pictures(columns: Sequence[Any], rows: int) -> Any:
    return np.stack(columns, axis=1) if columns else np.zeros((rows, 0), np.float32)


def _side_by_side(columns: Sequence[Any], rows: int) -> Any:
    return np.concatenate([np.zeros((rows, 0), np.int64), *columns], axis=1)


def _stack(columns: Sequence[Any], rows: int, dtype: type) -> Any:
    stacked: Array = np.empty((rows, len(columns)), dtype=dtype)
    for index, values in enumerate(columns):
        stacked[:, index] = values
    return stacked


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
