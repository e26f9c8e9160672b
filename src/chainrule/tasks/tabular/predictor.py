"""A saved model of a table, ready for raw rows."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Encoded, Schema, read_table, source_name
from ...data.row_encoder import RowEncoder
from ...data.source import with_reading
from ...data.table_scan import TableScan, is_larger_than_memory
from ...errors import ModelFileError
from ...serialization import SavedModel
from ...utils.typing import Array
from ...utils.warned import warned
from ..model_reading import usual_reading
from ..predictions import beside, kept_names
from .features import columns_by_kind
from .targets import scores, table_of

if TYPE_CHECKING:
    import polars as pl

    from ..examples import Examples

Say = Callable[[str], None]
#: Values of a cell.
_SINGLE = (str, int, float, np.generic, datetime.date)


class TablePredictor:
    """A saved model of a table: raw rows in, predictions out.

    Attributes:
        schema: what the columns mean.
        record: report and history of the training.
    """

    def __init__(self, saved: SavedModel, path: str) -> None:
        if saved.schema is None:
            raise ModelFileError(
                "This model was not trained on a table.",
                where=path,
                hint="Use cr.load(path).predict(array).",
            )
        self.saved = saved
        self.schema = Schema.from_json(saved.schema)
        self.record = saved.record
        self._path, self._usual = path, usual_reading(saved)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty for numbers, and for several targets."""
        target = self.schema.target
        return () if target is None or self.schema.more_targets else target.classes

    def predict(
        self,
        source: Any,
        *,
        proba: bool = False,
        keep: Sequence[str] = (),
        say: Say = warned,
    ) -> pl.DataFrame:
        """Predictions for raw rows, in their order.

        They are in the column ``prediction``; those of several targets in columns that are called
        like these. Quantiles follow as ``price_0.1`` and so on.

        Args:
            source: a file, data frame or dict with the columns of the training data; or rows as
                dicts, a list of them or one, which take no data frame.
            proba: the probability of each class, too.
            keep: columns of the input to stand before the predictions; ``["all"]`` for all.
            say: takes notes, such as categories that were never seen; they are Python warnings
                without it.
        """
        if (rows := rows_in(source)) is not None:
            return self._predict_rows(rows, proba, keep, say)
        kept: list[pl.DataFrame] = []

        def take(frame: pl.DataFrame) -> None:
            kept.append(frame.select(kept_names(keep, frame.columns, source_name(source))))

        parts = self._encoded(source, say, on_part=take if keep else None)
        found = np.concatenate([self.saved.predict(columns_by_kind(rows)) for rows in parts])
        table = table_of(self.schema.targets, found, proba)
        return beside(_joined(kept), table, say) if keep else table

    @functools.cached_property
    def _encoder(self) -> RowEncoder:
        return RowEncoder(self.schema)

    def _predict_rows(
        self, rows: Sequence[Mapping[str, Any]], proba: bool, keep: Sequence[str], say: Say
    ) -> pl.DataFrame:
        arrays, notes = self._encoder.encode(rows)
        for note in dict.fromkeys(notes):
            say(note)
        table = table_of(self.schema.targets, self.saved.predict(arrays), proba)
        if not keep:
            return table
        frame = read_table({name: [row.get(name) for row in rows] for name in rows[0]})
        return beside(frame.select(kept_names(keep, frame.columns, "the rows")), table, say)

    def hidden(self, source: Any) -> Array | None:
        """What goes into the last layer, for raw rows: (rows, features)."""
        source = with_reading(source, usual=self._usual)
        rows = self.schema.encode(read_table(source), source=source_name(source))
        return self.saved.hidden(columns_by_kind(rows))

    def evaluate(self, source: Any, *, say: Say = warned) -> dict[str, float]:
        """The metrics of the task on rows whose target is known."""
        parts = [
            (rows.target, self.saved.predict(columns_by_kind(rows)), rows.weights)
            for rows in self._encoded(source, say, target=True)
        ]
        targets, found, weights = zip(*parts, strict=True)
        rows = None if weights[0] is None else np.concatenate(weights)
        return scores(self.schema.targets, np.concatenate(targets), np.concatenate(found), rows)

    def examples(self, source: Any, rows: Sequence[int], *, say: Say = warned) -> Examples:
        """Rows with their target, counted from 0, and how the network is trained on them."""
        from .examples import rows_of_table

        source = with_reading(source, usual=self._usual)
        return rows_of_table(self.saved, self._path, source, rows, say)

    def _encoded(
        self,
        source: Any,
        say: Say,
        target: bool = False,
        on_part: Callable[[pl.DataFrame], None] | None = None,
    ) -> Iterator[Encoded]:
        """The rows, in parts if they are larger than memory; what is noted of a column, once."""
        source = with_reading(source, usual=self._usual)
        name = source_name(source)
        large = is_larger_than_memory(source)
        noted: set[str] = set()
        for frame in TableScan(source).parts() if large else [read_table(source)]:
            if on_part is not None:
                on_part(frame)
            rows = self.schema.encode(frame, target=target, source=name)
            for note in rows.notes:
                column = note.partition(":")[0]
                if column not in noted or not large:
                    noted.add(column)
                    say(f"{note} (in the first part of the file that has such)" if large else note)
            yield rows


def rows_in(source: Any) -> Sequence[Mapping[str, Any]] | None:
    """The rows of a source that is a list of dicts, or a dict of single values; None of others.

    Example:
        >>> rows_in({"a": 1}), rows_in([{"a": 1}]), rows_in({"a": [1]})
        ([{'a': 1}], [{'a': 1}], None)
    """
    if isinstance(source, Mapping):
        single = all(v is None or isinstance(v, _SINGLE) for v in source.values())
        return [source] if source and single else None
    if isinstance(source, list | tuple) and source:
        return source if all(isinstance(row, Mapping) for row in source) else None
    return None


def _joined(parts: list[pl.DataFrame]) -> pl.DataFrame:
    import polars as pl

    return pl.concat(parts, how="vertical_relaxed")
