"""What makes predictions of the network's output: a head for each target.

The last layer gives some numbers for each target, side by side. A head takes those of its target
and makes a number in the target's unit of them, quantiles, or probabilities of classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from ...data import Target
from ...engine.ops import concatenate, cummax, cumsum, mean, softmax, softplus
from ...engine.tensor import Buffer, Tensor
from ...nn import Module
from ...utils.typing import Array
from ..scaling import TargetScaler


class NumberHead(Module):
    """A number for each row, and quantiles where they are asked for.

    Quantiles cannot cross: each is the one below it plus something positive. They begin as those
    of the normal distribution. What held-out rows say of them is added to each at the end
    (`chainrule.tasks.intervals`).

    Args:
        scale: of the target.
        levels: of the quantiles, ascending.
    """

    def __init__(self, scale: TargetScaler, levels: Sequence[float] = ()) -> None:
        self.scale = scale
        self.levels = tuple(levels)
        self.outputs = 1 + len(self.levels)
        if scale.log:
            #: What makes a mean of the exponential of a mean (`chainrule.tasks.tabular.settle`).
            self.factor = Buffer(1.0, "float64")
        if self.levels:
            self.shift = Buffer(np.zeros(len(self.levels)), "float64")
            normal = [NormalDist().inv_cdf(level) for level in self.levels]
            # softplus(x) = gap for x = ln(eᵍᵃᵖ - 1)
            gaps = [math.log(math.expm1(gap)) for gap in np.diff(normal)]
            self._start = np.array([normal[0], *gaps], np.float32)

    def forward(self, z: Tensor) -> Tensor:
        """(members, rows, outputs) → (rows,) float64, or (rows, 1 + levels) with quantiles."""
        number = self.number(z)
        if not self.levels:
            return number
        # The mean of ordered numbers is ordered; what is added may change that.
        quantiles = cummax(mean(self.quantiles(z).astype("float64"), axis=0) + self.shift, axis=1)
        return concatenate([number[:, None], self.scale(quantiles)], axis=1)

    def number(self, z: Tensor) -> Tensor:
        """(members, rows, outputs) → (rows,) float64 numbers in the target's unit."""
        number = mean(self.scale(z[:, :, 0]), axis=0)
        return number * self.factor if self.scale.log else number

    def quantiles(self, z: Tensor) -> Tensor:
        """(members, rows, outputs) → (members, rows, levels), ascending, on the target's scale."""
        steps = z[:, :, 1:] + self._start
        return cumsum(concatenate([steps[:, :, :1], softplus(steps[:, :, 1:])], axis=2), axis=2)

    def encode(self, values: Array) -> Array:
        """Numbers in the target's unit → what is learned, float32."""
        return self.scale.transform(values)


class ClassHead(Module):
    """The probability of each class: the mean of the members' softmax.

    Logits are divided by a temperature, 1 unless held-out rows say otherwise
    (`chainrule.tasks.tabular.calibration`).

    Args:
        classes: how many there are.
    """

    scale = None

    def __init__(self, classes: int) -> None:
        self.outputs = classes
        self.temperature = Buffer(1.0, "float32")

    def forward(self, z: Tensor) -> Tensor:
        """(members, rows, classes) → (rows, classes) float32."""
        return mean(softmax(z / self.temperature), axis=0)

    def encode(self, values: Array) -> Array:
        """Class indices stay as they are."""
        return values


Head = NumberHead | ClassHead


def head_for(target: Target, scale: TargetScaler | None) -> Head:
    """The head that a target needs; ``scale`` is that of numbers."""
    if target.classes:
        return ClassHead(len(target.classes))
    assert scale is not None
    return NumberHead(scale, target.quantiles)


def parts_of(heads: Sequence[Head], z: Any) -> list[Any]:
    """(members, rows, outputs) → what each head takes of them."""
    ends = np.cumsum([head.outputs for head in heads]).tolist()
    return [z[:, :, end - head.outputs : end] for head, end in zip(heads, ends, strict=True)]


def predictions_side_by_side(predictions: Sequence[Tensor]) -> Tensor:
    """The predictions of several targets as columns of one table, float64."""
    columns = [p[:, None] if p.ndim == 1 else p for p in predictions]
    return concatenate([column.astype("float64") for column in columns], axis=1)
