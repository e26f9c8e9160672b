"""The network for tables: features, several small networks side by side, one averaged answer."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from ..data import Schema
from ..nn import BatchNorm, Dropout, LayerNorm, Module
from ..nn.initialization import parameter
from ..ops import broadcast_to, exp, matmul, maximum, mean, minimum, reshape, softmax, transpose
from ..ops.random import normal
from ..tensor import Buffer, Tensor
from .features import TableFeatures

Array = np.ndarray[Any, Any]


def _scaled_normal(gain: float, key: Tensor, shape: tuple[int, ...], dtype: Any) -> Tensor:
    """Normal numbers of deviation gain / √fan_in (He et al., 2015, with gain √2)."""
    return normal(key, shape, dtype) * (gain / math.sqrt(shape[-2]))


class MemberLinear(Module):
    """One linear layer for each member: (members, rows, in) → (members, rows, out).

    Args:
        members: how many networks there are side by side.
        inputs: features in.
        outputs: features out.
        gain: see `_scaled_normal`.
    """

    def __init__(self, members: int, inputs: int, outputs: int, gain: float) -> None:
        draw = functools.partial(_scaled_normal, gain)
        self.weight = parameter((members, inputs, outputs), draw)
        self.bias = parameter((members, 1, outputs), "zeros")

    def forward(self, x: Tensor) -> Tensor:
        return matmul(x, self.weight) + self.bias

    def extra_repr(self) -> str:
        return "members={}, {}, {}".format(*self.weight.shape)


class MemberBatchNorm(Module):
    """Batch normalisation over the rows, for each member by itself."""

    def __init__(self, members: int, width: int) -> None:
        self.norm = BatchNorm(members * width)

    def forward(self, x: Tensor) -> Tensor:
        members, rows, width = x.shape
        flat = reshape(transpose(x, (1, 0, 2)), (rows, members * width))
        return transpose(reshape(self.norm(flat), (rows, members, width)), (1, 0, 2))


@dataclass(frozen=True)
class Shape:
    """Sizes of a `TableNetwork`; see there."""

    hidden: tuple[int, ...]
    activation: str
    dropout: float
    input_dropout: float
    norm: str
    members: int
    bins: int


class TableNetwork(Module):
    """Members that learn the same task from different starts; their answers are averaged.

    Deep ensembles (Lakshminarayanan et al., 2017) in one network: each layer is one batched matrix
    product over all members.

    Args:
        schema: what the columns mean, fitted on the training rows.
        outputs: numbers that each member gives: 1, or the number of classes.
        shape: sizes.
        seed: initial weights.
    """

    def __init__(self, schema: Schema, outputs: int, shape: Shape, seed: int) -> None:
        self.features = TableFeatures(schema, shape.bins, seed)
        self.members = shape.members
        self.activation = getattr(ops, shape.activation)
        self.input_dropout = Dropout(shape.input_dropout) if shape.input_dropout else None
        width = feature_count(self.features, schema)
        self.layers: list[MemberLinear] = []
        self.norms: list[Module] = []
        self.dropouts: list[Dropout] = []
        for hidden in shape.hidden:
            self.layers.append(MemberLinear(shape.members, width, hidden, math.sqrt(2)))
            if shape.norm == "batch":
                self.norms.append(MemberBatchNorm(shape.members, hidden))
            elif shape.norm == "layer":
                self.norms.append(LayerNorm(hidden))
            if shape.dropout:
                self.dropouts.append(Dropout(shape.dropout))
            width = hidden
        # A small head: the first predictions are near the mean.
        self.head = MemberLinear(shape.members, width, outputs, 0.5)
        self.initialize(seed)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encoded columns by kind → (members, rows, outputs)."""
        x = self.features(inputs)
        x = broadcast_to(x, (self.members, *x.shape))
        if self.input_dropout is not None:
            x = self.input_dropout(x)
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if self.norms:
                x = self.norms[i](x)
            x = self.activation(x)
            if self.dropouts:
                x = self.dropouts[i](x)
        result: Tensor = self.head(x)
        return result


def feature_count(features: TableFeatures, schema: Schema) -> int:
    """How many features there are for one row."""
    rows = {
        "numeric": np.zeros((1, len(schema.numeric))),
        "category": np.zeros((1, len(schema.category)), dtype=np.int64),
        "date": np.zeros((1, len(schema.date))),
    }
    return int(features({kind: rows[kind] for kind in features.groups}).shape[1])


class ScaledTarget(Module):
    """The target of a regression on a scale on which errors are alike, and the way back.

    t = (ln y - mean) / std if y is positive and its logarithm is far less skewed, otherwise
    (y - mean) / std. Back: y = exp(t · std + mean), where t is first cut off a little outside of
    what was seen in training, so that an exponential cannot run away.

    Args:
        target: the targets of the training rows.
    """

    _MARGIN = 0.5

    def __init__(self, target: Array) -> None:
        self.log = bool(target.min() > 0 and _log_is_better(target))
        y = np.log(target) if self.log else target
        self.mean = Buffer(float(y.mean()), "float64")
        self.std = Buffer(float(y.std()) or 1.0, "float64")
        scaled = self.encode(target)
        self.low = Buffer(float(scaled.min()) - self._MARGIN, "float64")
        self.high = Buffer(float(scaled.max()) + self._MARGIN, "float64")

    def encode(self, target: Array) -> Array:
        """Targets → what the network is trained on, float32."""
        y = np.log(np.maximum(target, np.finfo(float).tiny)) if self.log else target
        return ((y - self.mean.item()) / self.std.item()).astype(np.float32)

    def forward(self, scaled: Tensor) -> Tensor:
        """What the network gives → targets, float64."""
        scaled = scaled.astype("float64")
        if self.log:
            scaled = minimum(maximum(scaled, self.low), self.high)
            return exp(scaled * self.std + self.mean)
        return scaled * self.std + self.mean


def _log_is_better(target: Array) -> bool:
    before, after = _skewness(target), _skewness(np.log(target))
    return before > 1 and abs(after) < 0.5 * before


def _skewness(y: Array) -> float:
    deviation = y.std()
    return float((((y - y.mean()) / deviation) ** 3).mean()) if deviation > 0 else 0.0


class TableModel(Module):
    """Raw encoded rows → predictions: numbers in the target's unit, or class probabilities.

    Args:
        network: trained.
        scale: of a regression's target; None for classes.
    """

    def __init__(self, network: TableNetwork, scale: ScaledTarget | None) -> None:
        self.network = network
        self.scale = scale

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encoded columns by kind → (rows,) float64 numbers, or (rows, classes) probabilities."""
        return self.output(self.network(inputs))

    def output(self, z: Tensor) -> Tensor:
        """The members' answers (members, rows, outputs) → the average of their predictions."""
        if self.scale is None:
            return mean(softmax(z), axis=0)
        return mean(self.scale(z[:, :, 0]), axis=0)
