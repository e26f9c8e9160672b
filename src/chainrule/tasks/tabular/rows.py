"""Few rows at a time, and quickly: a service answers one after the other.

The graph of a saved model is folded (what depends on its weights only is computed once) and built
as a native program for a few numbers of rows; rows come as Python values, without a data frame.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...data import Schema, Target
from ...data.row_encoder import RowEncoder
from ...engine.backends.base import Executable
from ...engine.backends.registry import find_backend
from ...engine.passes.fold import fold_constants
from ...errors import ConfigError
from ...serialization import SavedModel
from ...utils.typing import Array
from .targets import decided, predicted_of, quantiles_of

Row = Mapping[str, Any]

#: Rows of the programs: fewer are padded, more go one after the other.
SIZES = (1, 8, 64)


class RowModel:
    """A saved model of a table, for few rows at a time.

    Args:
        saved: the model.
        schema: what its columns mean.
        backend: "auto", "c" or "numpy".
        sizes: numbers of rows that programs are built for, ascending.
    """

    def __init__(
        self,
        saved: SavedModel,
        schema: Schema,
        *,
        backend: str = "auto",
        sizes: Sequence[int] = SIZES,
    ) -> None:
        if schema.image:
            raise ConfigError(
                "A service opens no files that its clients name.",
                where=", ".join(repr(column.name) for column in schema.image),
                found="columns of pictures",
                hint="chainrule predict takes tables with pictures.",
            )
        self.encoder = RowEncoder(schema)
        self.targets = schema.targets
        self._kinds = [name.rpartition(".")[2] for name in saved.inputs]
        self._output = saved.output
        self._sizes = list(sizes)
        runs_graph = find_backend(backend, threads=1)
        self._programs: dict[int, Executable] = {
            size: runs_graph.build(fold_constants(saved.graph(size)), {}, ()) for size in sizes
        }

    @property
    def most(self) -> int:
        """So many rows are computed at once."""
        return self._sizes[-1]

    def predict(self, rows: Sequence[Row]) -> tuple[list[dict[str, Any]], list[str]]:
        """A record for each row, and notes on cells; see `records`.

        Raises:
            DataError: a row lacks a column, or a cell cannot be read.
        """
        if not rows:
            return [], []
        arrays, notes = self.encoder.encode(rows)
        return records(self.targets, self.compute(arrays)), notes

    def compute(self, arrays: Mapping[str, Array]) -> Array:
        """What the model gives for encoded rows."""
        given = [arrays[kind] for kind in self._kinds]
        rows = len(given[0])
        if rows > self.most:
            parts = range(0, rows, self.most)
            return np.concatenate(
                [self._compute([a[i : i + self.most] for a in given]) for i in parts]
            )
        return self._compute(given)

    def _compute(self, given: list[Array]) -> Array:
        rows = len(given[0])
        size = self._sizes[bisect.bisect_left(self._sizes, rows)]
        if size > rows:
            given = [np.concatenate([a, a[:1].repeat(size - rows, 0)]) for a in given]
        (found,) = self._programs[size]([np.ascontiguousarray(a) for a in given])
        return found[:rows]


def records(targets: Sequence[Target], found: Array) -> list[dict[str, Any]]:
    """Predictions as JSON data, a dict a row.

    ``{"prediction": 7.5}``, with ``"quantiles": {"0.1": 6.2}`` if there are such; of classes
    ``{"prediction": "yes", "probabilities": {"no": 0.2, "yes": 0.8}}``. Of several targets each has
    such a dict by its name.
    """
    columns = [
        _of_target(target, part, quantiles)
        for target, part, quantiles in zip(
            targets, predicted_of(targets, found), quantiles_of(targets, found), strict=True
        )
    ]
    if len(columns) == 1:
        return columns[0]
    names = [target.name for target in targets]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _of_target(target: Target, part: Array, quantiles: Array) -> list[dict[str, Any]]:
    if target.classes:
        best = decided(target, part)
        assert best is not None
        return [
            {
                "prediction": target.classes[number],
                "probabilities": dict(zip(target.classes, row, strict=True)),
            }
            for number, row in zip(best.tolist(), part.tolist(), strict=True)
        ]
    made: list[dict[str, Any]] = [{"prediction": value} for value in part.tolist()]
    if target.quantiles:
        names = [f"{level:g}" for level in target.quantiles]
        for record, row in zip(made, quantiles.tolist(), strict=True):
            record["quantiles"] = dict(zip(names, row, strict=True))
    return made
