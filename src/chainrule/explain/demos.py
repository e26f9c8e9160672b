# ruff: noqa: D102 - the docstring of the class says what the network computes
"""Built-in examples: `demo`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import losses, models, nn
from ..engine.autodiff import value_and_grad
from ..engine.ops import max_pool, relu, reshape, sigmoid, sum, tanh
from ..engine.tensor import Buffer, Tensor, parameter
from ..errors import unknown
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


class ByHand(nn.Module):
    """Two inputs, two hidden neurons, two outputs, with the numbers of a well-known example."""

    def __init__(self) -> None:
        self.hidden = nn.Linear(2, 2).to("float64")
        self.output = nn.Linear(2, 2).to("float64")
        self.hidden.load_state({"weight": [[0.15, 0.25], [0.2, 0.3]], "bias": [0.35, 0.35]})
        self.output.load_state({"weight": [[0.4, 0.5], [0.45, 0.55]], "bias": [0.6, 0.6]})

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = sigmoid(self.output(sigmoid(self.hidden(x))))
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
    """Classifies small images: a vertical or a horizontal bar."""

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
            "the inputs, each multiplied by its weight. The target is 0.6; the output is not yet.",
            "To learn is to change the weights a little, so that the output comes closer.",
            "The symbols: x is the input, weight the two weights, ŷ the output, y the target, e "
            "the error, output minus target, and L the loss, half the square of e.",
        ),
    )


def _houses(**options: Any) -> Explanation:
    return explain(
        House(),
        [[3.0, 2000.0]],
        [[0.5]],
        loss=half_squared_error,
        **{"lr": 0.1, "optimizer": "sgd", **options},
        title="The price of a house",
        labels={"x": ("bedrooms", "square feet")},
        story=(
            "A network estimates what a house costs, in millions of dollars, from its bedrooms and "
            "its square feet. It has two hidden neurons and one output neuron. This house has 3 "
            "bedrooms and 2,000 square feet, and was sold for $ 500,000, which is 0.5 million.",
            "Bedrooms are divided by 10 and square feet by 10,000 first, so that both inputs are "
            "of a similar scale. Each hidden neuron then computes a weighted sum z of the two, "
            "adds its bias, and applies the sigmoid function σ(z) = 1 / (1 + e^(-z)), which rises "
            "smoothly from 0 to 1. The output neuron is a weighted sum of the two hidden neurons, "
            "again with a bias. Its unit is millions of dollars: 0.32 means $ 320,000.",
            "The symbols: x is the input, scaled the scaled input, z1 the weighted sums of the two "
            "hidden neurons, a1 their activations σ(z1), ŷ the output, y the target, e the error, "
            "output minus target, and L the loss, half the square of e. All weights and biases "
            "start at arbitrary values; how to change them is the question.",
        ),
    )


def _by_hand(**options: Any) -> Explanation:
    return explain(
        ByHand(),
        [[0.05, 0.1]],
        [[0.01, 0.99]],
        loss=half_squared_error,
        **{"lr": 0.5, "optimizer": "sgd", **options},
        title="A step by hand",
        story=(
            "Two inputs, two hidden neurons and two outputs, all with the sigmoid. The loss is the "
            "sum of half the squared errors of both outputs. The numbers are those of the example "
            "with which many have learned backpropagation (M. Mazur, 2015).",
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
            "as (1 - y) · z2 + ln(1 + exp(-z2)), which is the same number. All the links from L "
            "back to z2 come to (p - y) / 4: probability minus target, by the number of cases.",
            "All four cases form one batch. Each has a loss of its own, L is their mean, and the "
            "gradient of each weight is the mean of the gradients of the four cases.",
        ),
    )


def _cnn(**options: Any) -> Explanation:
    model = Bars().initialize(seed=5)
    # Bars that fade on a ground that is not even: no two numbers of a window are equal.
    vertical, horizontal = 0.02 * (np.arange(36.0) * 7 % 11).reshape(1, 6, 6, 1).repeat(2, 0)
    vertical[:, 2, 0] = 1.0 - 0.05 * np.arange(6)
    horizontal[3, :, 0] = 0.7 + 0.05 * np.arange(6)
    x, y = np.stack([vertical, horizontal]), np.array([0, 1])
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
            "Two images of 6 × 6 pixels: a vertical bar (class 0) and a horizontal one (class 1). "
            "Two 3 × 3 filters slide over each image; ReLU sets negative results to 0, max pooling "
            "keeps the largest of each 2 × 2 window, and a linear layer computes the logits.",
            "The optimizer is Adam, and it has made three steps already: this is the fourth. So "
            "its state holds moving averages of earlier gradients and of their squares.",
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
        title="A recurrent network (LSTM)",
        story=(
            "A sequence of three numbers goes through the same cell, one time step after the "
            "other. The cell state c and the hidden state h have two units each and are passed "
            "from step to step: c = f·c + i·g and h = o·tanh(c), with the input gate i, the "
            "forget gate f, the candidate g and the output gate o.",
            "The weights are shared by all three time steps. So backpropagation goes through time, "
            "and the gradient of each weight is the sum over the three steps.",
        ),
    )


def _train(model: nn.Module, x: Any, y: Any, loss: Any, optimizer: Optimizer, steps: int) -> None:
    for _ in range(steps):
        error, gradients = value_and_grad(lambda m: loss(m(x, train=True), y))(model)
        optimizer.update(gradients, loss=error)


DEMOS: dict[str, Callable[..., Explanation]] = {
    "neuron": _neuron,
    "houses": _houses,
    "2-2-2": _by_hand,
    "xor": _xor,
    "cnn": _cnn,
    "lstm": _lstm,
}


def demo(name: str, **options: Any) -> Explanation:
    """A built-in example: ``neuron``, ``houses``, ``2-2-2``, ``xor``, ``cnn`` or ``lstm``.

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
        raise unknown("demo", name, DEMOS)
    return DEMOS[name](**options)
