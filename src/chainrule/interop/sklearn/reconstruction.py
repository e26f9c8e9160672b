"""An autoencoder of the rows of a table as a plan of the runner: nothing is predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Column, Schema, infer_schema
from ...data.split import split_indices
from ...engine.ops import concatenate, mean
from ...engine.tensor import Tensor
from ...models import autoencoder
from ...models.autoencoder import Autoencoder
from ...nn import Module
from ...tasks.kinds.table import TableOptions
from ...tasks.plan import Learner, Plan, Recipe, Split
from ...tasks.tabular.features import TableFeatures, blank_rows, columns_by_kind
from ...training import Arrays
from ...utils.typing import Array
from .plan import WHERE

if TYPE_CHECKING:
    import polars as pl

#: Training takes at least so many updates.
_UPDATES, _EPOCHS, _RATE = 600, 20, 3e-3


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a table, or some of them, with what they count for."""

    frame: pl.DataFrame
    schema: Schema
    weights: Array | None = None

    def __len__(self) -> int:
        return self.frame.height

    @property
    def target(self) -> None:
        """There is none."""

    def take(self, rows: Array) -> Rows:
        """Some of them."""
        weights = None if self.weights is None else self.weights[rows]
        return Rows(self.frame[rows], self.schema, weights)


class Reconstruction(Module):
    """Raw encoded rows → codes, the error of each row, and its reconstruction, side by side.

    Args:
        features: numbers of a row, standardised.
        network: of these.
    """

    def __init__(self, features: TableFeatures, network: Autoencoder) -> None:
        self.features, self.network = features, network

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """(rows, code + 1 + features) float32."""
        x = self.features(inputs)["numbers"]
        code = self.network.encoder(x)
        found = self.network.decoder(code)
        error = mean((found - x) ** 2, axis=1, keepdims=True)
        return concatenate([code, error, found], axis=1)


class ReconstructionPlan(Plan[Rows, Rows, Schema]):
    """Rows that a network learns to give back, through few numbers.

    Args:
        options: of any table; their target is of no meaning.
        say: takes plain sentences.
        code: numbers of a code.
        hidden: sizes of the hidden layers of the encoder; by default they follow from the features.
        noise: standard deviation of the noise that is added in a training step.
        plain: all features are numbers of an array.
    """

    kind, task, unit = "table", "reconstruction", "rows"
    options: TableOptions

    def __init__(
        self,
        options: TableOptions,
        say: Any,
        *,
        code: int,
        hidden: tuple[int, ...] | None,
        noise: float,
        plain: bool,
    ) -> None:
        super().__init__(options, say)
        self._code, self._hidden, self._noise, self._plain = code, hidden, noise, plain

    def read(self, source: tuple[pl.DataFrame, Array | None]) -> Rows:
        """The rows, and what their columns mean."""
        frame, weights = source
        if self._plain:
            columns = [Column(name, "numeric", "numbers of an array") for name in frame.columns]
            return Rows(frame, Schema(tuple(columns)), weights)
        schema = infer_schema(
            frame, (), kinds=self.options.kinds, missing=self.options.missing, source=WHERE
        )
        return Rows(frame, schema, weights)

    def split(self, data: Rows) -> Split[Rows]:
        """A tenth validates, unless rows are few; there is no test set."""
        fraction = self.options.validation or 0.1
        if len(data) < 20 and self.options.validation is None:
            return Split(data, data, None)
        parts = (1 - fraction, fraction)
        train, held_out = split_indices(len(data), parts, self.options.seed)
        return Split(data.take(train), data.take(held_out), None)

    def understand(self, split: Split[Rows]) -> Schema:
        """With the statistics of the training rows."""
        return split.train.schema.fit(split.train.frame, WHERE)

    def size(self, data: Rows) -> dict[str, Any]:
        """Rows and columns."""
        return {"rows": len(data), "columns": len(data.schema.columns)}

    def build(self, schema: Schema, split: Split[Rows]) -> Learner:
        """Layers that narrow from the features to the code, and widen again."""
        features = TableFeatures(schema, 0)
        width = int(features(blank_rows(schema, 1))["numbers"].shape[1])
        hidden = self._hidden
        if hidden is None:
            hidden = (max(min(4 * width, 256), 16), max(min(2 * width, 64), 8))
        network = autoencoder(width, self._code, hidden, noise=self._noise)
        network.initialize(self.options.seed)
        return Learner(
            network, "mse", f"an autoencoder with {self._code} numbers in the middle",
            Reconstruction(features, network), example=blank_rows(schema, 2),
        )  # fmt: skip

    def encode(self, schema: Schema, learner: Learner, part: Rows) -> Arrays:
        """The features are inputs and targets."""
        rows = schema.encode(part.frame, source=WHERE)
        x = learner.model.features(columns_by_kind(rows))["numbers"].numpy()
        weights = None if part.weights is None else part.weights.astype(np.float32)
        return Arrays(x, x, weights)

    def recipe(self, schema: Schema, learner: Learner, examples: Any) -> Recipe:
        """As for tables of so many rows."""
        batch = int(2 ** np.clip(np.round(np.log2(4 * np.sqrt(len(examples)))), 4, 12))
        return Recipe.of(
            self.options, len(examples), batch_size=batch, epochs=_EPOCHS, updates=_UPDATES,
            lr=_RATE, weight_decay=self.options.weight_decay or 0.0,
        ).with_validations()  # fmt: skip

    def average(self, steps: int) -> float:
        """Of the weights."""
        return 0.97

    def about(self, schema: Schema) -> dict[str, Any]:
        """No target."""
        return {"task": self.task, "target": None}

    def baselines(self, schema: Schema, split: Split[Rows], test: Rows) -> dict[str, Any]:
        """None, as there is no test set."""
        return {}
