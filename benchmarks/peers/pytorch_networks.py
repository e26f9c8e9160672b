"""PyTorch's networks, with the weights of a task."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..deep import CHANNELS, TRANSFORMERS
from ..dense import Dense
from ..task import Array, Task, Weights


def _copy(target: Any, value: Array) -> None:
    with torch.no_grad():
        target.copy_(torch.from_numpy(value))


def _convolution(weights: Weights, name: str) -> Any:
    kernel = weights[f"{name}.weight"]
    size, _, inputs, outputs = kernel.shape
    layer = nn.Conv2d(inputs, outputs, size, padding="same", bias=f"{name}.bias" in weights)
    _copy(layer.weight, kernel.transpose(3, 2, 0, 1))
    if layer.bias is not None:
        _copy(layer.bias, weights[f"{name}.bias"])
    return layer


def _linear(weights: Weights, name: str) -> Any:
    layer = nn.Linear(*weights[f"{name}.weight"].shape)
    _copy(layer.weight, weights[f"{name}.weight"].T)
    _copy(layer.bias, weights[f"{name}.bias"])
    return layer


def _dense(weights: Weights) -> Any:
    parts: list[Any] = []
    for number in range(len(weights) // 2):
        parts += [_linear(weights, f"linear{number}"), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


class _ChannelsLast(nn.Flatten):  # type: ignore[misc]
    """The numbers of an image in the order of the task: height, width, channels."""

    def forward(self, x: Any) -> Any:
        return super().forward(x.permute(0, 2, 3, 1))


def _lenet(weights: Weights) -> Any:
    parts: list[Any] = []
    for name in ("conv1", "conv2"):
        parts += [_convolution(weights, name), nn.ReLU(), nn.MaxPool2d(2)]
    parts += [_ChannelsLast(), _linear(weights, "linear1"), nn.ReLU(), _linear(weights, "linear2")]
    return nn.Sequential(*parts)


def _six_convolutions(weights: Weights) -> Any:
    parts: list[Any] = []
    for number, width in enumerate(CHANNELS):
        parts += [_convolution(weights, f"conv{number}"), nn.BatchNorm2d(width), nn.ReLU()]
        if number in (1, 3):
            parts.append(nn.MaxPool2d(2))
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), _linear(weights, "linear"))


class _LSTM(nn.Module):  # type: ignore[misc]
    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.embedding = nn.Embedding(*weights["embedding"].shape)
        _copy(self.embedding.weight, weights["embedding"])
        self.core = nn.LSTM(64, 128, batch_first=True)
        for part, name in (("ih", "input"), ("hh", "hidden")):
            _copy(getattr(self.core, f"weight_{part}_l0"), weights[f"{name}.weight"].T)
            _copy(getattr(self.core, f"bias_{part}_l0"), weights[f"{name}.bias"])
        self.head = _linear(weights, "head")

    def forward(self, x: Any) -> Any:
        return self.head(self.core(self.embedding(x))[0])


class _Block(nn.Module):  # type: ignore[misc]
    def __init__(self, weights: Weights, name: str, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        projections = [(weights[f"{name}.{p}.weight"], weights[f"{name}.{p}.bias"]) for p in "qkv"]
        self.qkv = nn.Linear(width, 3 * width)
        with torch.no_grad():
            for number, (w, b) in enumerate(projections):
                rows = slice(number * width, (number + 1) * width)
                self.qkv.weight[rows] = torch.from_numpy(w.T)
                self.qkv.bias[rows] = torch.from_numpy(b)
        self.out = _linear(weights, f"{name}.out")
        self.linear1, self.linear2 = (_linear(weights, f"{name}.linear{i}") for i in (1, 2))

    def forward(self, x: Any) -> Any:
        rows, time, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(rows, time, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(rows, time, width))
        return x + self.linear2(functional.gelu(self.linear1(self.norm2(x))))


class _GPT(nn.Module):  # type: ignore[misc]
    def __init__(self, weights: Weights, name: str) -> None:
        super().__init__()
        size = TRANSFORMERS[name]
        self.tokens = nn.Parameter(torch.from_numpy(weights["tokens"]))
        self.positions = nn.Parameter(torch.from_numpy(weights["positions"]))
        self.blocks = nn.Sequential(
            *(_Block(weights, f"block{i}", size.width, size.heads) for i in range(size.layers))
        )
        self.norm = nn.LayerNorm(size.width)

    def forward(self, words: Any) -> Any:
        x = functional.embedding(words, self.tokens) + self.positions
        return self.norm(self.blocks(x)) @ self.tokens.T


def network(task: Task) -> Any:
    """The network with the task's weights; images are (rows, channels, height, width)."""
    name = task.network.name
    if isinstance(task.network, Dense):
        return _dense(task.weights)
    if name in TRANSFORMERS:
        return _GPT(task.weights, name)
    return {"LeNet": _lenet, "6 convolutions": _six_convolutions, "LSTM": _LSTM}[name](task.weights)
