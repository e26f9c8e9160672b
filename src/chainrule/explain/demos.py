# ruff: noqa: D102 - what the networks compute is said at the class
"""Examples that need no file: `demo`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import losses, models, nn
from ..engine.autodiff import value_and_grad
from ..engine.ops import max_pool, relu, reshape, sigmoid, sum, tanh
from ..engine.tensor import Buffer, Tensor, parameter
from ..errors import ConfigError
from ..optim import SGD, Adam, Optimizer
from .explain import explain
from .explanation import Explanation


def half_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """½ · (prediction − target)², summed over the examples."""
    error = prediction - target
    total: Tensor = sum(0.5 * error**2)
    return total


class Neuron(nn.Module):
    """A weighted sum."""

    def __init__(self) -> None:
        self.weight = parameter([[0.5], [-0.2]], "float64")

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


class House(nn.Module):
    """A price from bedrooms and square feet: two hidden neurons, one output."""

    def __init__(self) -> None:
        self.unit = Buffer([10.0, 10_000.0], "float64")
        self.hidden = nn.Linear(2, 2).to("float64")
        self.output = nn.Linear(2, 1).to("float64")
        self.hidden.load_state({"weight": [[0.4, -0.5], [0.6, 0.8]], "bias": [0.1, -0.2]})
        self.output.load_state({"weight": [[0.7], [-0.3]], "bias": [0.05]})

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.output(sigmoid(self.hidden(x / self.unit)))
        return y


class Xor(nn.Module):
    """Two bits, four hidden neurons, one output."""

    def __init__(self) -> None:
        self.hidden = nn.Linear(2, 4).to("float64")
        self.output = nn.Linear(4, 1).to("float64")

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.output(tanh(self.hidden(x)))
        return y


class Bars(nn.Module):
    """Says whether a small picture shows an upright or a lying bar."""

    def __init__(self) -> None:
        self.filter = nn.Conv2d(1, 2, 3).to("float64")
        self.output = nn.Linear(8, 2).to("float64")

    def forward(self, x: Tensor) -> Tensor:
        a = max_pool(relu(self.filter(x)), 2)
        y: Tensor = self.output(reshape(a, (a.shape[0], 8)))
        return y


def _neuron(**options: Any) -> Explanation:
    return explain(
        Neuron(),
        [[1.0, 0.8]],
        [[0.6]],
        loss=half_squared_error,
        **{"lr": 0.1, "optimizer": "sgd", **options},
        title="One neuron",
        story=(
            "The smallest network: two inputs, two weights, one output. The output is the sum of "
            "the inputs, each multiplied by its weight. It should be 0.6, and is not yet.",
            "Learning is to change the weights a little, so that the output comes closer.",
            "The names: x is what comes in, weight the two weights, z1 the output, y what it "
            "should be, e by how much it misses, and L the loss, half the square of e.",
        ),
    )


def _houses(**options: Any) -> Explanation:
    return explain(
        House(),
        [[3.0, 2000.0]],
        [[0.5]],
        loss=half_squared_error,
        **{"lr": 0.5, "optimizer": "sgd", **options},
        title="The price of a house",
        labels={"x": ("bedrooms", "square feet")},
        story=(
            "A network estimates what a house costs, in millions of dollars, from its bedrooms and "
            "its square feet. It has two hidden neurons and one output neuron. This house has 3 "
            "bedrooms and 2,000 square feet, and was sold for $ 500,000, which is 0.5 million.",
            "Bedrooms are divided by 10 and square feet by 10,000 first, so that both inputs are "
            "of a similar size. Each hidden neuron then forms a weighted sum z of the two, adds a "
            "number of its own (the bias), and bends the result with the sigmoid function "
            "σ(z) = 1 / (1 + e^(-z)), which runs smoothly from 0 to 1. The output neuron is a "
            "weighted sum of the two hidden neurons, again with a bias. It says millions of "
            "dollars: 0.32 means $ 320,000.",
            "The names: x is what comes in, h1 the same on the small scale, z1 the weighted sums "
            "of the two hidden neurons, a1 what the sigmoid makes of them, z2 the output, y what "
            "it should be, e by how much it misses, and L the loss, half the square of e. All "
            "weights and biases start with numbers that somebody chose; how to change them is "
            "what we are after.",
        ),
    )


def _xor(**options: Any) -> Explanation:
    return explain(
        Xor().initialize(seed=1),
        [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]],
        [[0.0], [1.0], [1.0], [0.0]],
        loss="binary_cross_entropy",
        **{"lr": 0.5, "optimizer": "sgd", **options},
        title="Exclusive or",
        labels={"x": ("first bit", "second bit")},
        story=(
            "The exclusive or of two bits is 1 if exactly one of them is. No single neuron can "
            "learn it; four hidden neurons can.",
            "The output z2 becomes a probability p = σ(z2). The loss of a case is -ln of the "
            "probability of the right answer, -ln p or -ln(1 - p); it is computed from z2 itself, "
            "as (1 - y) · z2 + ln(1 + exp(-z2)), which is the same number.",
            "All four cases are used at once. Each has an error of its own, the loss is their "
            "mean, and each weight gets the mean of what the four cases say.",
        ),
    )


def _cnn(**options: Any) -> Explanation:
    model = Bars().initialize(seed=3)
    upright, lying = np.zeros((2, 6, 6, 1))
    upright[:, 2] = 1.0
    lying[3] = 1.0
    x, y = np.stack([upright, lying]), np.array([0, 1])
    given = {"optimizer": Adam(model, lr=0.01), **options}
    if isinstance(given["optimizer"], Optimizer):
        _train(model, x, y, losses.cross_entropy, given["optimizer"], 3)
    return explain(
        model,
        x,
        y,
        loss="cross_entropy",
        **given,
        title="A convolutional network",
        story=(
            "Two pictures of 6 by 6 pixels: an upright bar (class 0) and a lying one (class 1). "
            "Two filters of 3 by 3 weights slide over each picture; what they find is cut off "
            "below 0, of each 2 by 2 places the largest is kept, and a last layer weighs the rest.",
            "The optimizer is Adam, and it has made three steps already: this is the fourth. So "
            "it remembers means of earlier gradients.",
        ),
    )


def _lstm(**options: Any) -> Explanation:
    model = models.lstm(1, features=1, hidden=2).to("float64").initialize(seed=5)
    x = np.array([[[0.1], [0.4], [-0.3]]])
    y = np.array([[0.25]])
    given = {"optimizer": SGD(model, lr=0.1, momentum=0.9), **options}
    if isinstance(given["optimizer"], Optimizer):
        _train(model, x, y, losses.mse, given["optimizer"], 2)
    return explain(
        model,
        x,
        y,
        loss="mse",
        **given,
        title="A memory for sequences (LSTM)",
        story=(
            "A sequence of three numbers goes through the same cell, one after the other. The cell "
            "has two numbers of memory c and two of output h, which go from step to step.",
            "The weights are the same in all three steps. So the way back goes through time, and "
            "each weight gets the sum of what the three steps say.",
        ),
    )


def _train(model: nn.Module, x: Any, y: Any, loss: Any, optimizer: Optimizer, steps: int) -> None:
    for _ in range(steps):
        error, gradients = value_and_grad(lambda m: loss(m(x, train=True), y))(model)
        optimizer.update(gradients, loss=error)


DEMOS: dict[str, Callable[..., Explanation]] = {
    "neuron": _neuron,
    "houses": _houses,
    "xor": _xor,
    "cnn": _cnn,
    "lstm": _lstm,
}


def demo(name: str, **options: Any) -> Explanation:
    """One of the built-in examples: ``neuron``, ``houses``, ``xor``, ``cnn`` or ``lstm``.

    Args:
        name: which one.
        options: of `explain`: ``optimizer``, ``lr``, ``weight``, ``notation``.

    Raises:
        ConfigError: there is no such example.

    Example:
        >>> round(demo("neuron").loss, 10)
        0.0338
    """
    if name not in DEMOS:
        raise ConfigError(f"There is no demo {name!r}.", expected=", ".join(DEMOS))
    return DEMOS[name](**options)
