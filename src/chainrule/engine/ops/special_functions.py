"""More functions of single numbers: Bessel's, the normal distribution's, and small helpers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ir.operation import Sample
from ..tensor import Tensor, TensorLike, as_tensor
from . import special
from .declare import floating, function, reals, unary
from .elementwise import abs, erfc, exp, lgamma, log, log1p, power, sign, trunc, where
from .reduction import norm

__all__ = [
    "angle", "entr", "erfcx", "float_power", "frac", "i0", "i0e", "i1", "i1e", "ldexp", "log_ndtr",
    "multigammaln", "ndtr", "ndtri", "normalize", "positive", "renorm",
]  # fmt: skip

# ---- operations ------------------------------------------------------------------------------


def _i1e_slope(y: Tensor, x: Tensor) -> Tensor:
    """I₀ - I₁/x, scaled; ½ at 0."""
    near = x == 0
    return i0e(x) - where(near, 0.5, y / where(near, 1.0, x)) - sign(x) * y


i0e = unary(
    "i0e", lambda xp, x: special.bessel_scaled(x, 0, xp),
    lambda g, y, x: g * (i1e(x) - sign(x) * y), "exp(-|{0}|) · I₀({0})",
    "exp(-|x|)·I₀(x), with the modified Bessel function of order 0; it never overflows.",
    c={"f": "cr_bessel_scaled{f}({0}, 0)"}, js="Special.besselScaled({0}, 0)", gap=0.1,
)  # fmt: skip
i1e = unary(
    "i1e", lambda xp, x: special.bessel_scaled(x, 1, xp),
    lambda g, y, x: g * _i1e_slope(y, x), "exp(-|{0}|) · I₁({0})",
    "exp(-|x|)·I₁(x), with the modified Bessel function of order 1; it never overflows.",
    c={"f": "cr_bessel_scaled{f}({0}, 1)"}, js="Special.besselScaled({0}, 1)", gap=0.1,
)  # fmt: skip
erfcx = unary(
    "erfcx", lambda xp, x: special.erfcx(x),
    lambda g, y, x: g * (2 * x * y - 2 / math.sqrt(math.pi)), "exp({0}²) · erfc({0})",
    "exp(x²)·erfc(x), which does not underflow for large x.",
    c={"f": "cr_erfcx{f}({0})"}, js="Special.erfcx({0})",
)  # fmt: skip
ndtri = unary(
    "ndtri", lambda xp, x: special.ndtri(x),
    lambda g, y, x: g * math.sqrt(2 * math.pi) * exp(y * y / 2), "Φ⁻¹({0})",
    "The quantile of the standard normal distribution; ±∞ at 0 and 1, NaN outside.",
    c={"f": "cr_ndtri{f}({0})"}, js="Special.ndtri({0})", low=0.05, high=0.95,
)  # fmt: skip

# ---- functions -------------------------------------------------------------------------------


@function(lambda: [Sample((reals(2, 3, gap=0.1),)), Sample((np.array([0.0, 30.0]),), smooth=False)])
def i0(x: TensorLike) -> Tensor:
    """The modified Bessel function of the first kind of order 0."""
    x = floating(x)
    return exp(abs(x)) * i0e(x)


@function(lambda: [Sample((reals(2, 3, gap=0.1),))])
def i1(x: TensorLike) -> Tensor:
    """The modified Bessel function of the first kind of order 1."""
    x = floating(x)
    return exp(abs(x)) * i1e(x)


@function(lambda: [Sample((reals(2, 3),))])
def ndtr(x: TensorLike) -> Tensor:
    """Φ(x), the distribution function of the standard normal distribution."""
    return 0.5 * erfc(floating(x) * -math.sqrt(0.5))


@function(lambda: [Sample((reals(2, 3),)), Sample((np.array([-30.0, -5.0, 0.0, 8.0]),))])
def log_ndtr(x: TensorLike) -> Tensor:
    """ln Φ(x), which does not underflow for very negative x."""
    x = floating(x)
    far = x < -1
    tail = where(far, x, -1.0)
    below = log(erfcx(tail * -math.sqrt(0.5)) / 2) - tail * tail / 2
    return where(far, below, log1p(-0.5 * erfc(where(far, 0.0, x) * math.sqrt(0.5))))


@function(lambda: [Sample((reals(2, 3, low=0.1),)), Sample((np.array([0.0, -1.0]),), smooth=False)])
def entr(x: TensorLike) -> Tensor:
    """-x·ln x, 0 at 0, and -∞ below: the terms of an entropy."""
    x = floating(x)
    y = -x * log(where(x > 0, x, 1.0))
    return where(x < 0, -math.inf, y)


@function(lambda: [Sample((reals(2, 3, low=2.5, high=5.0), 3))])
def multigammaln(x: TensorLike, d: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension d, for x > (d - 1) / 2."""
    x = floating(x)
    total: Any = d * (d - 1) / 4 * math.log(math.pi)
    for i in range(d):
        total = total + lgamma(x - i / 2)
    return where(x > (d - 1) / 2, total, math.nan)


@function(lambda: [Sample((np.array([-1.7, -0.2, 0.3, 2.5]),))])
def frac(x: TensorLike) -> Tensor:
    """x without its integer part, with the sign of x."""
    x = floating(x)
    return x - trunc(x)


@function(lambda: [Sample((reals(2, 3), reals(3, seed=1)))])
def ldexp(x: TensorLike, exponent: TensorLike) -> Tensor:
    """x·2ᵏ."""
    return floating(x) * 2.0 ** floating(exponent)


@function(lambda: [Sample((reals(2, 3, low=0.2), reals(3, seed=1)))])
def float_power(x: TensorLike, exponent: TensorLike) -> Tensor:
    """xʸ in floating-point numbers, for integers, too."""
    return power(
        floating(x), exponent if isinstance(exponent, (int, float)) else floating(exponent)
    )


@function(lambda: [Sample((reals(2, 3),))])
def positive(x: TensorLike) -> Tensor:
    """+x: the tensor itself."""
    return as_tensor(x)


@function(lambda: [Sample((reals(2, 3, gap=0.1),))])
def angle(x: TensorLike) -> Tensor:
    """The angle of real numbers in the complex plane: 0 from 0 on, π below, NaN of NaN."""
    x = floating(x)
    return where(x < 0, math.pi, x * 0.0)


@function(lambda: [Sample((reals(2, 3),)), Sample((reals(2, 3), 0, 1.5))])
def normalize(x: TensorLike, axis: int = -1, order: float = 2.0, eps: float = 1e-12) -> Tensor:
    """x divided by its norm along an axis, or by ``eps`` where that is larger."""
    x = floating(x)
    length = norm(x, axis, keepdims=True, order=order)
    return x / where(length < eps, eps, length)


@function(lambda: [Sample((reals(3, 2),), {"axis": 0, "limit": 1.0})])
def renorm(x: TensorLike, axis: int, limit: float, order: float = 2.0) -> Tensor:
    """Each slice along an axis scaled down so that its norm is at most ``limit``."""
    x = floating(x)
    others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    length = norm(x, others, keepdims=True, order=order)
    long = length > limit
    return x * where(long, limit / (where(long, length, 1.0) + 1e-7), 1.0)
