"""chainrule's networks: many steps in one call of the native program, or one call a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import chainrule as cr

from ..deep import CHANNELS, TRANSFORMERS, DeepTask, make_deep_task
from ..task import BETA1, BETA2, EPSILON, LEARNING_RATE, Array
from ..worker import Prepare, serve

#: Names of the parts of a layer in `chainrule.models`, in place of those of the task.
_LENET = {"conv1": "layers.0", "conv2": "layers.3", "linear1": "layers.7", "linear2": "layers.9"}
_LSTM = {
    "embedding": "entrance.weight",
    "input.weight": "core.cells.0.0.weight_ih",
    "input.bias": "core.cells.0.0.bias_ih",
    "hidden.weight": "core.cells.0.0.weight_hh",
    "hidden.bias": "core.cells.0.0.bias_hh",
}
_ATTENTION = ("q", "k", "v", "out")


def six_convolutions() -> cr.nn.Sequential:
    """With the names of the task's weights in the order of its layers."""
    layers: list[cr.nn.Module] = []
    inputs = 3
    for number, width in enumerate(CHANNELS):
        convolution = cr.nn.Conv2d(inputs, width, 3, padding="same", bias=False)
        layers += [convolution, cr.nn.BatchNorm(width), cr.nn.ReLU()]
        if number in (1, 3):
            layers.append(cr.nn.MaxPool2d(2))
        inputs = width
    return cr.nn.Sequential(*layers, cr.nn.GlobalAvgPool(), cr.nn.Linear(128, 10))


def network(task: DeepTask) -> cr.nn.Module:
    """The network with the task's weights."""
    name, weights = task.network.name, task.weights
    model: cr.nn.Module
    if name == "LeNet":
        model, names = cr.models.lenet(), {key: _renamed(key, _LENET) for key in weights}
    elif name == "6 convolutions":
        model = six_convolutions()
        names = dict(zip(weights, model.parameters(), strict=True))
    elif name == "LSTM":
        model = cr.models.lstm(65, vocabulary=65, every_step=True)
        names = {key: _LSTM.get(key, key) for key in weights}
    else:
        size = TRANSFORMERS[name]
        model = cr.models.gpt(size.vocabulary, size.time, size.width, size.heads, size.layers)
        names = {key: _in_gpt(key) for key in weights}
    state = model.state()  # running statistics, too
    model.load_state(state | {names[key]: value for key, value in weights.items()})
    return model


def _renamed(key: str, names: dict[str, str]) -> str:
    layer, part = key.rsplit(".", 1)
    return f"{names[layer]}.{part}"


def _in_gpt(key: str) -> str:
    parts = key.split(".")
    if len(parts) == 1:
        return f"{key}.weight"
    if parts[0] == "norm":
        return f"blocks.{key}"
    layer = f"self_attn.{parts[1]}_proj" if parts[1] in _ATTENTION else parts[1]
    return f"blocks.layers.{parts[0].removeprefix('block')}.{layer}.{parts[2]}"


def build(task: DeepTask, mode: str) -> Prepare:
    """Modes: ``loop``, ``call``."""
    model = network(task)
    optimizer = cr.optim.Adam(model, lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON)

    def loss_of(model: cr.nn.Module, x: cr.Tensor, y: cr.Tensor) -> cr.Tensor:
        z = model(x, train=True)
        return cr.losses.cross_entropy(cr.reshape(z, (-1, z.shape[-1])), cr.reshape(y, (-1,)))

    def train(x: cr.Tensor, y: cr.Tensor) -> cr.Tensor:
        loss, gradients = cr.value_and_grad(lambda model: loss_of(model, x, y))(model)
        optimizer.update(gradients)
        return loss

    step = cr.compile(train, backend="c")

    def prepare(order: Array) -> Callable[[], Any]:
        def loop() -> Any:
            _, losses = step.run_steps(order, task.x, task.y, rows=(0, 1))
            return losses.numpy()

        def call() -> Any:
            return [step(task.x[rows], task.y[rows]) for rows in order]

        return loop if mode == "loop" else call

    return prepare


serve(build, make_deep_task)
