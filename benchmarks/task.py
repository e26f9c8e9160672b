"""What every peer is given to do: network, data, initial weights, order of the batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
Weights = dict[str, Array]

#: Adam with the defaults of its paper.
LEARNING_RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


class Network(Protocol):
    """A network of `benchmarks.dense` or `benchmarks.deep`, trained by Adam in float32."""

    @property
    def name(self) -> str:
        """As in the tables."""
        ...

    @property
    def about(self) -> str:
        """What it is, in a few words."""
        ...

    @property
    def batch(self) -> int:
        """Rows in a step."""
        ...

    @property
    def steps(self) -> int:
        """The data are so many batches; their losses are compared."""
        ...

    @property
    def flops(self) -> int:
        """Of products and convolutions in one step, a multiplication and an addition being two."""
        ...


@dataclass(frozen=True)
class Task:
    """A network and what it starts from.

    Attributes:
        network: what is trained.
        x: rows of features or images (rows, height, width, channels), float32; or words (rows,
            time), int64.
        y: float32 (rows, 1), for the mean squared error; or for cross-entropy class numbers
            (rows,) or the next words (rows, time), int64.
        weights: float32, by name; names and layouts are those of the network's module.
        order: (steps, batch) the rows of each step; later steps go through them again.
    """

    network: Network
    x: Array
    y: Array
    weights: Weights
    order: Array

    @property
    def is_regression(self) -> bool:
        """Whether the loss is the mean squared error, and not cross-entropy."""
        return self.y.dtype.kind == "f"

    def steps(self, first: int, count: int) -> Array:
        """The rows of ``count`` steps from ``first`` on."""
        return self.order[np.arange(first, first + count) % len(self.order)]

    def forget_weights(self) -> None:
        """Let go of the weights once the network has its own: no training has them twice."""
        self.weights.clear()
