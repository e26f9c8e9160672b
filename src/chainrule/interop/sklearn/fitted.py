"""A trained model in an estimator: the bytes of its file, and what is computed from them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Schema
from ...errors import ModelFileError
from ...serialization import SavedModel, parse
from ...tasks.tabular.features import columns_by_kind
from ...tasks.tabular.targets import predicted_of, quantiles_of
from ...tasks.tabular.warm_start import Previous
from ...utils.typing import Array
from ...utils.warned import warned

if TYPE_CHECKING:
    import polars as pl

#: Rows are predicted in so many at least: products of very few are summed in another order.
_FEWEST = 16


class Fitted:
    """A model of a table. A pickle of it is its model file, which runs no code.

    Args:
        data: the content of a model file, or what makes it when it is first needed.
    """

    def __init__(self, data: bytes | Callable[[], bytes]) -> None:
        self._data = data

    @property
    def data(self) -> bytes:
        """The content of the model file."""
        if callable(self._data):
            self._data = self._data()
        return self._data

    def __reduce__(self) -> tuple[Any, ...]:
        return Fitted, (self.data,)

    @functools.cached_property
    def saved(self) -> SavedModel:
        """The model, ready to predict."""
        return parse(self.data)

    @functools.cached_property
    def schema(self) -> Schema:
        """What its columns mean."""
        if not isinstance(self.saved.schema, str):
            raise ModelFileError("This is not a model of a table.")
        return Schema.from_json(self.saved.schema)

    @property
    def previous(self) -> Previous:
        """As the beginning of another training."""
        return Previous(self.saved, "the fitted estimator")

    def inputs(self, array: Array | None, frame: pl.DataFrame | None) -> dict[str, Array]:
        """What the model takes, of an array of its columns or of a table.

        Raises:
            DataError: a cell cannot be read.
        """
        if frame is None:
            assert array is not None
            return {"numeric": array}
        rows = self.schema.encode(frame, source="X")
        for note in rows.notes:
            warned(note)
        return columns_by_kind(rows)

    def predict(self, inputs: dict[str, Array]) -> Array:
        """What the model gives for each row; the same for a row whatever comes with it."""
        rows = len(next(iter(inputs.values())))
        size = max(_FEWEST, 1 << (rows - 1).bit_length()) if rows < 1024 else rows
        if size > rows:
            inputs = {
                name: np.pad(part, ((0, size - rows), (0, 0)), mode="edge")
                for name, part in inputs.items()
            }
        return self.saved.predict(inputs)[:rows]

    def values(self, inputs: dict[str, Array]) -> list[Array]:
        """By target (rows,) numbers, or (rows, classes) probabilities."""
        return predicted_of(self.schema.targets, self.predict(inputs))

    def quantiles(self, inputs: dict[str, Array]) -> list[Array]:
        """By target (rows, levels)."""
        return quantiles_of(self.schema.targets, self.predict(inputs))
