"""Gains, and the bounds and standard deviations that PyTorch's initialisers draw with."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import nn

SHAPES = ((4, 3), (1, 7), (16, 5))


def gains() -> Iterator[dict[str, Any]]:
    for nonlinearity, param in (
        ("linear", None),
        ("sigmoid", None),
        ("tanh", None),
        ("relu", None),
        ("leaky_relu", 0.01),
        ("leaky_relu", 0.2),
        ("selu", None),
    ):
        gain = nn.init.calculate_gain(nonlinearity, param)
        yield {"nonlinearity": nonlinearity, "param": param, "gain": float(gain)}


def drawn_with(initialise: Any, shape: tuple[int, ...], **attrs: Any) -> dict[str, float]:
    """What the initialiser asks of the random generator, whose draws themselves are not kept."""
    asked: dict[str, float] = {}

    def uniform(tensor: torch.Tensor, low: float, high: float, **_: Any) -> torch.Tensor:
        asked.update(low=float(low), high=float(high))
        return tensor

    def normal(tensor: torch.Tensor, mean: float, std: float, **_: Any) -> torch.Tensor:
        asked.update(mean=float(mean), std=float(std))
        return tensor

    with (
        mock.patch.object(torch.Tensor, "uniform_", uniform),
        mock.patch.object(torch.Tensor, "normal_", normal),
    ):
        initialise(torch.empty(shape), **attrs)
    return asked


def facts() -> Iterator[dict[str, Any]]:
    for shape in SHAPES:
        fans = dict(
            zip(
                ("fan_in", "fan_out"),
                nn.init._calculate_fan_in_and_fan_out(torch.empty(shape)),
                strict=True,
            )
        )
        common = {"shape": list(shape), **fans}
        for name in ("xavier_uniform", "xavier_normal"):
            for gain in (1.0, nn.init.calculate_gain("tanh")):
                attrs = {"gain": gain}
                asked = drawn_with(getattr(nn.init, f"{name}_"), shape, **attrs)
                yield {"name": name, **common, "attrs": attrs, **asked}
        for name in ("kaiming_uniform", "kaiming_normal"):
            for mode in ("fan_in", "fan_out"):
                for nonlinearity, a in (("relu", 0.0), ("leaky_relu", 0.2), ("linear", 0.0)):
                    attrs = {"a": a, "mode": mode, "nonlinearity": nonlinearity}
                    asked = drawn_with(getattr(nn.init, f"{name}_"), shape, **attrs)
                    yield {"name": name, **common, "attrs": attrs, **asked}
