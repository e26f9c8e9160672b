"""Linear layers with ReLU between them: what every peer is given to do.

The weights are (in, out).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .task import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Task, Weights

#: The losses of so many first steps are compared; the data are as many batches.
STEPS = 50


@dataclass(frozen=True)
class Dense:
    """Linear layers with ReLU between them, for `benchmarks.training_steps`.

    Attributes:
        sizes: features in, hidden widths, numbers out; one number is a regression with the mean
            squared error, several are classes with cross-entropy.
        batch: rows in a step.
    """

    sizes: tuple[int, ...]
    batch: int

    @property
    def name(self) -> str:
        """Such as ``8-64-64-1``."""
        return "-".join(map(str, self.sizes))

    @property
    def about(self) -> str:
        """What it is, in a few words."""
        return "regression" if not self.classes else f"{self.classes} classes"

    @property
    def steps(self) -> int:
        """The data are so many batches."""
        return STEPS

    @property
    def classes(self) -> int:
        """0 for a regression."""
        return self.sizes[-1] if self.sizes[-1] > 1 else 0

    @property
    def products(self) -> list[int]:
        """How many weights each layer has."""
        return [a * b for a, b in zip(self.sizes, self.sizes[1:], strict=False)]

    @property
    def flops(self) -> int:
        """Of the matrix products of one step, a multiplication and an addition being two.

        Forward x·W, backward xᵀ·dy for the weights and dy·Wᵀ for the input, which the first layer
        does not need. Activations, loss and Adam are not counted.
        """
        return 2 * self.batch * (3 * sum(self.products) - self.products[0])


DENSE = {
    network.name: network
    for network in (
        Dense((8, 64, 64, 1), 32),
        Dense((784, 128, 10), 64),
        Dense((784, 1024, 1024, 10), 256),
    )
}


def layers(weights: Weights) -> list[tuple[Array, Array]]:
    """Weight and bias of each layer."""
    values = list(weights.values())
    return list(zip(values[::2], values[1::2], strict=True))


def make_dense_task(name: str) -> Task:
    """The same numbers for everybody: something that can be learned, with noise."""
    network = DENSE[name]
    random = np.random.default_rng(0)
    rows, features = STEPS * network.batch, network.sizes[0]
    if network.classes:
        y = random.integers(network.classes, size=rows)
        centres = random.random((network.classes, features), dtype=np.float32)
        x = 0.5 * centres[y] + 0.5 * random.random((rows, features), dtype=np.float32)
    else:
        x = random.standard_normal((rows, features), dtype=np.float32)
        y = (np.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:3]).astype(np.float32)
    weights: Weights = {}
    for number, (a, b) in enumerate(zip(network.sizes, network.sizes[1:], strict=False)):
        draw = random.standard_normal((a, b), dtype=np.float32) * np.float32(math.sqrt(2 / a))
        weights |= {f"linear{number}.weight": draw, f"linear{number}.bias": np.zeros(b, "f")}
    order = random.permutation(rows).reshape(STEPS, network.batch)
    return Task(network, x, y, weights, order)


def reference_losses(task: Task) -> Array:
    """The loss before each of the first steps, in float64, written out by hand."""
    parameters = [p.astype(float) for p in task.weights.values()]
    m, v = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    losses = []
    for t, rows in enumerate(task.order, 1):
        pairs = list(zip(parameters[::2], parameters[1::2], strict=True))
        inputs = [task.x[rows].astype(float)]
        for w, b in pairs:
            z = inputs[-1] @ w + b
            inputs.append(np.maximum(z, 0))
        loss, slope = _loss(z, task.y[rows])
        losses.append(loss)
        gradients: list[Array] = []
        for (w, _), x in zip(reversed(pairs), reversed(inputs[:-1]), strict=True):
            gradients[:0] = [x.T @ slope, slope.sum(axis=0)]
            slope = slope @ w.T * (x > 0)
        for i, g in enumerate(gradients):
            m[i] = BETA1 * m[i] + (1 - BETA1) * g
            v[i] = BETA2 * v[i] + (1 - BETA2) * g * g
            direction = m[i] / (1 - BETA1**t) / (np.sqrt(v[i] / (1 - BETA2**t)) + EPSILON)
            parameters[i] -= LEARNING_RATE * direction
    return np.array(losses)


def _loss(z: Array, y: Array) -> tuple[float, Array]:
    """Mean loss of the rows and its slope by z."""
    if y.dtype.kind == "f":
        return float(((z - y) ** 2).mean()), 2 * (z - y) / z.size
    shifted = z - z.max(axis=1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    slope = np.exp(logarithms)
    slope[np.arange(len(y)), y] -= 1
    return float(-logarithms[np.arange(len(y)), y].mean()), slope / len(y)
