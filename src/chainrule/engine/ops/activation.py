"""Activation functions that are said by other operations. References: Dubey et al. (2022)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..ir.operation import Sample
from ..tensor import Tensor, TensorLike
from .declare import floating, function, reals
from .elementwise import abs, clip, erf, expm1, relu, sigmoid, softplus, tanh, where
from .shape import split

__all__ = [
    "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "leaky_relu", "log_sigmoid", "mish", "prelu", "relu6", "selu", "silu", "softshrink",
    "softsign", "tanhshrink", "threshold",
]  # fmt: skip


def _samples(**attributes: Any) -> Callable[[], Iterable[Sample]]:
    """Away from 0 and from ±0.5, ±1, where some of these have their kinks."""
    return lambda: [
        Sample((reals(2, 3, gap=0.1) * 1.17,), attributes),
        Sample((reals(0, 2),), attributes),
        Sample((reals(1, 1) * 3.1,), attributes),
    ]


@function(_samples(negative_slope=0.1))
def leaky_relu(x: TensorLike, negative_slope: float = 0.01) -> Tensor:
    """x for x > 0, otherwise slope·x (Maas et al., 2013); the derivative at 0 is the slope."""
    x = floating(x)
    return where(x > 0, x, negative_slope * x)


@function(lambda: [Sample((reals(2, 3, gap=0.1), np.array([0.2, -0.3, 0.9])))])
def prelu(x: TensorLike, slope: TensorLike) -> Tensor:
    """x for x > 0, otherwise slope·x with a learned slope (He et al., 2015)."""
    x = floating(x)
    return where(x > 0, x, slope * x)


def _negative_part(x: Tensor) -> Tensor:
    """x for x ≤ 0: the exponential beside the other branch overflows, and 0·∞ would be NaN.

    Not min(x, 0), whose tie at 0 would halve the derivative there.
    """
    return where(x > 0, 0.0, x)


@function(_samples(alpha=0.7))
def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """x for x > 0, otherwise α(eˣ - 1) (Clevert et al., 2016)."""
    x = floating(x)
    return where(x > 0, x, alpha * expm1(_negative_part(x)))


@function(_samples())
def selu(x: TensorLike) -> Tensor:
    """The self-normalising ELU: scale 1.0507…, α = 1.6732… (Klambauer et al., 2017)."""
    return 1.0507009873554804934193349852946 * elu(x, 1.6732632423543772848170429916717)


@function(_samples(alpha=1.3))
def celu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """max(0, x) + min(0, α(e^(x/α) - 1)), smooth for every α (Barron, 2017)."""
    x = floating(x)
    return where(x > 0, x, alpha * expm1(_negative_part(x) / alpha))


@function(
    lambda: [
        Sample((reals(2, 3),)),
        Sample((reals(2, 3),), {"approximate": "tanh"}),
        Sample((reals(0, 1),)),
    ]
)
def gelu(x: TensorLike, approximate: str = "none") -> Tensor:
    """x·Φ(x) with Φ of the normal distribution (Hendrycks and Gimpel, 2016).

    Args:
        x: any floating-point tensor.
        approximate: "none" for the error function, "tanh" for the paper's approximation.
    """
    x = floating(x)
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        return 0.5 * x * (1 + tanh(inner))
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


@function(_samples())
def silu(x: TensorLike) -> Tensor:
    """x·σ(x), also called swish (Elfwing et al., 2018)."""
    x = floating(x)
    return x * sigmoid(x)


@function(_samples())
def mish(x: TensorLike) -> Tensor:
    """x·tanh(softplus(x)) (Misra, 2019)."""
    x = floating(x)
    return x * tanh(softplus(x))


@function(_samples())
def log_sigmoid(x: TensorLike) -> Tensor:
    """ln σ(x) = -softplus(-x); never overflows."""
    return -softplus(-floating(x))


@function(_samples())
def softsign(x: TensorLike) -> Tensor:
    """x / (1 + |x|)."""
    x = floating(x)
    return x / (1 + abs(x))


@function(_samples())
def tanhshrink(x: TensorLike) -> Tensor:
    """x - tanh(x)."""
    x = floating(x)
    return x - tanh(x)


@function(_samples())
def relu6(x: TensorLike) -> Tensor:
    """min(max(0, x), 6); the derivative at both ends is 0."""
    x = floating(x)
    return where(x >= 6.0, 6.0, relu(x))


@function(_samples(low=-0.8, high=0.9))
def hardtanh(x: TensorLike, low: float = -1.0, high: float = 1.0) -> Tensor:
    """x, cut off at the bounds."""
    return clip(floating(x), low, high)


@function(_samples())
def hardsigmoid(x: TensorLike) -> Tensor:
    """min(max(0, x/6 + 1/2), 1): straight lines in place of the sigmoid."""
    return clip(floating(x) / 6 + 0.5, 0.0, 1.0)


@function(_samples())
def hardswish(x: TensorLike) -> Tensor:
    """x·hardsigmoid(x) (Howard et al., 2019)."""
    x = floating(x)
    return x * hardsigmoid(x)


@function(_samples(threshold=0.45))
def hardshrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """x, but 0 for |x| ≤ threshold."""
    x = floating(x)
    return where(abs(x) > threshold, x, 0.0)


@function(_samples(threshold=0.45))
def softshrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """x moved towards 0 by the threshold, 0 between."""
    x = floating(x)
    return where(x > threshold, x - threshold, where(x < -threshold, x + threshold, 0.0))


@function(_samples(level=0.45, value=-1.0))
def threshold(x: TensorLike, level: float, value: float) -> Tensor:
    """x where it is above the level, otherwise the value."""
    x = floating(x)
    return where(x > level, x, value)


@function(lambda: [Sample((reals(2, 4),)), Sample((reals(4, 2), 0))])
def glu(x: TensorLike, axis: int = -1) -> Tensor:
    """a·σ(b) of the two halves of an axis (Dauphin et al., 2017)."""
    a, b = split(floating(x), 2, axis)
    return a * sigmoid(b)
