"""What every peer is given to do: network, data, initial weights, order of the batches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: The losses of so many first steps are compared; the data are as many batches.
STEPS = 50
#: Adam with the defaults of its paper.
LEARNING_RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Network:
    """Linear layers with ReLU between them, trained by Adam in float32.

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


NETWORKS = {
    network.name: network
    for network in (
        Network((8, 64, 64, 1), 32),
        Network((784, 128, 10), 64),
        Network((784, 1024, 1024, 10), 256),
    )
}


@dataclass(frozen=True)
class Task:
    """A network and what it starts from.

    Attributes:
        network: what is trained.
        x: (rows, features) float32.
        y: (rows, 1) float32, or (rows,) int64 class numbers.
        weights: for each layer W (in, out) and b (out), float32.
        order: (STEPS, batch) the rows of each step; later steps go through them again.
    """

    network: Network
    x: Array
    y: Array
    weights: list[tuple[Array, Array]]
    order: Array

    def steps(self, first: int, count: int) -> Array:
        """The rows of ``count`` steps from ``first`` on."""
        return self.order[np.arange(first, first + count) % STEPS]


def make_task(network: Network) -> Task:
    """The same numbers for everybody: something that can be learned, with noise."""
    random = np.random.default_rng(0)
    rows, features = STEPS * network.batch, network.sizes[0]
    if network.classes:
        y = random.integers(network.classes, size=rows)
        centres = random.random((network.classes, features), dtype=np.float32)
        x = 0.5 * centres[y] + 0.5 * random.random((rows, features), dtype=np.float32)
    else:
        x = random.standard_normal((rows, features), dtype=np.float32)
        y = (np.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:3]).astype(np.float32)
    weights = []
    for a, b in zip(network.sizes, network.sizes[1:], strict=False):
        draw = random.standard_normal((a, b), dtype=np.float32) * np.float32(math.sqrt(2 / a))
        weights.append((draw, np.zeros(b, np.float32)))
    order = random.permutation(rows).reshape(STEPS, network.batch)
    return Task(network, x, y, weights, order)


def reference_losses(task: Task) -> Array:
    """The loss before each of the first steps, in float64, written out by hand."""
    parameters = [p.astype(float) for layer in task.weights for p in layer]
    m, v = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    losses = []
    for t, rows in enumerate(task.order, 1):
        layers = list(zip(parameters[::2], parameters[1::2], strict=True))
        inputs = [task.x[rows].astype(float)]
        for w, b in layers:
            z = inputs[-1] @ w + b
            inputs.append(np.maximum(z, 0))
        loss, slope = _loss(z, task.y[rows])
        losses.append(loss)
        gradients: list[Array] = []
        for (w, _), x in zip(reversed(layers), reversed(inputs[:-1]), strict=True):
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
