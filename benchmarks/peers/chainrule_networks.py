"""chainrule's networks, with the weights of a task."""

from __future__ import annotations

import chainrule as cr

from ..deep import CHANNELS, TRANSFORMERS
from ..dense import Dense, layers
from ..task import Task, Weights

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


def dense(weights: Weights) -> cr.nn.Sequential:
    """ReLU between the layers."""
    parts: list[cr.nn.Module] = []
    for w, _ in layers(weights):
        parts += [cr.nn.Linear(*w.shape), cr.nn.ReLU()]
    return cr.nn.Sequential(*parts[:-1])


def six_convolutions() -> cr.nn.Sequential:
    """With the names of the task's weights in the order of its layers."""
    parts: list[cr.nn.Module] = []
    inputs = 3
    for number, width in enumerate(CHANNELS):
        convolution = cr.nn.Conv2d(inputs, width, 3, padding="same", bias=False)
        parts += [convolution, cr.nn.BatchNorm(width), cr.nn.ReLU()]
        if number in (1, 3):
            parts.append(cr.nn.MaxPool2d(2))
        inputs = width
    return cr.nn.Sequential(*parts, cr.nn.GlobalAvgPool(), cr.nn.Linear(128, 10))


def network(task: Task) -> cr.nn.Module:
    """The network with the task's weights."""
    name, weights = task.network.name, task.weights
    model: cr.nn.Module
    if isinstance(task.network, Dense):
        model = dense(weights)
        names = dict(zip(weights, model.parameters(), strict=True))
    elif name == "LeNet":
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
