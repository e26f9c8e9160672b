"""Incomplete gamma and beta functions, and Hurwitz's zeta function.

Made of other operations: series and continued fractions with a fixed number of terms, as loops. So
they have derivatives with respect to every argument, of any order, on every backend. They are
computed in double precision, with a relative error of some 1e-13 where the arguments are moderate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.operation import Sample
from ..ir.types import float64
from ..tensor import Tensor, TensorLike, apply
from .declare import CAST, align, function
from .elementwise import exp, lgamma, log, log1p, maximum, minimum, sqrt, where
from .reduction import sum
from .scan import scan
from .shape import expand_dims, ones_like

__all__ = ["betainc", "gammainc", "gammaincc", "zeta"]

#: Above this a the sums would be long: there the density is integrated.
_LARGE = 100.0
_TERMS, _LEVELS = 110, 60
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
#: Levels of the continued fraction of the beta function, and up to which a and b they suffice.
_BETA_LEVELS, _BETA_LARGEST = 120, 3e4


def _in_double(compute: Callable[..., Tensor], *arguments: TensorLike) -> Tensor:
    tensors = align(*arguments, floats=True)
    own = tensors[0].dtype
    result = compute(*(apply(CAST, x, dtype=float64) for x in tensors))
    return result if own == float64 else apply(CAST, result, dtype=own)


# ---- gamma -----------------------------------------------------------------------------------


def _gamma_series(a: Tensor, x: Tensor) -> Tensor:
    """P(a, x)·Γ(a+1)·exp(x)/xᵃ = Σ xⁿ / ((a+1)…(a+n))."""
    one = ones_like(x)

    def step(carry: Any, n: Tensor) -> Any:
        total, term = carry
        term = term * (x / (a + n))
        return (total + term, term), None

    steps = np.arange(1.0, _TERMS + 1)
    return scan(step, (one, one), steps)[0][0]


def _fraction(
    first: Tensor, levels: Callable[[Tensor], list[tuple[Tensor, Tensor]]], count: int
) -> Tensor:
    """1 / (b₀ + a₁ / (b₁ + a₂ / (b₂ + …))), as Lentz (1976) evaluates it from the front.

    ``first`` is b₀; ``levels`` gives from i = 1, 2, … one pair (a, b), or several in a row.
    """

    def step(carry: Any, i: Tensor) -> Any:
        c, d, h = carry
        for a, b in levels(i):
            d = 1.0 / (b + a * d)
            c = b + a / c
            h = h * (c * d)
        return (c, d, h), None

    d = 1.0 / first
    huge = first * 0.0 + 1e30
    return scan(step, (huge, d, d), np.arange(1.0, count + 1))[0][2]


def _gamma_fraction(a: Tensor, x: Tensor) -> Tensor:
    """Q(a, x)·Γ(a)·exp(x)/xᵃ as a continued fraction (Abramowitz and Stegun 6.5.31)."""
    return _fraction(x + 1.0 - a, lambda i: [(-i * (i - a), x + (2.0 * i + 1.0) - a)], _LEVELS)


def _gamma_integral(a: Tensor, x: Tensor, is_upper: Tensor) -> Tensor:
    """The integral of the density beyond x, or up to x, by Gauss's 64 points; for large a.

    Around its mode m = a - 1 the density is exp(m·(log(1+u) - u) - δ) / √(2πm), u = (t-m)/m, with
    the remainder δ of Stirling's formula.
    """
    m = a - 1.0
    deviation = sqrt(m)
    low = where(is_upper, x, maximum(minimum(m - 9.0 * deviation, x - 6.0 * deviation), 0.0))
    high = where(is_upper, maximum(m + 14.0 * deviation, x + 8.0 * deviation), x)
    half = (high - low) / 2.0
    remainder = 1 / (12.0 * m) - 1 / (360.0 * m**3) + 1 / (1260.0 * m**5)
    u = (expand_dims(low + half - m, -1) + expand_dims(half, -1) * _NODES) / expand_dims(m, -1)
    exponents = expand_dims(m, -1) * (log1p(u) - u) - expand_dims(remainder, -1)
    return sum(exp(exponents) * _WEIGHTS, -1) * half / sqrt(2.0 * math.pi * m)


def _gamma_both(a: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """P(a, x) and Q(a, x) = 1 - P(a, x), the smaller one computed."""
    inside = (a > 0.0) & (x > 0.0) & (x < math.inf) & (a < math.inf)
    a_safe, x_safe = where(inside, a, 1.0), where(inside, x, 1.0)
    is_upper, is_large = x_safe >= a_safe + 2.0, a_safe > _LARGE
    small_a = where(is_large, 1.0, a_safe)
    small_x = where(is_large, 1.0, x_safe)
    power = exp(small_a * log(small_x) - small_x - lgamma(small_a))
    below = where(is_upper | is_large, 1.0, x_safe)
    above = where(is_upper & ~is_large, x_safe, small_a + 2.0)
    lower = power * _gamma_series(small_a, below) / small_a
    upper = power * _gamma_fraction(small_a, above)
    part = where(is_upper, upper, lower)
    large_a = where(is_large, a_safe, 2.0 * _LARGE)
    large_x = where(is_large, x_safe, 2.0 * _LARGE)
    part = where(is_large, _gamma_integral(large_a, large_x, is_upper), part)
    p, q = where(is_upper, 1.0 - part, part), where(is_upper, part, 1.0 - part)
    return _at_ends(a, x, p, 0.0, 1.0), _at_ends(a, x, q, 1.0, 0.0)


def _at_ends(a: Tensor, x: Tensor, inner: Tensor, at_zero: float, at_infinity: float) -> Tensor:
    """P or Q also where x or a is 0 or infinite; NaN where they are negative or NaN."""
    left = (x == 0.0) | (a == math.inf)
    right = (x == math.inf) | (a == 0.0)
    inside = (a > 0.0) & (x > 0.0) & ~left & ~right
    ends = where(left & ~right, at_zero, where(right & ~left, at_infinity, math.nan))
    valid = (a >= 0.0) & (x >= 0.0)
    return where(inside, inner, where(valid, ends, math.nan))


_GAMMA = [
    Sample((np.array([0.5, 2.0, 3.5]), np.array([0.3, 1.5, 7.0]))),
    Sample((np.array([0.0, 1.0, 2.0, -1.0, math.nan]), np.array([1.0, 0.0, math.inf, 1.0, 1.0])),
           smooth=False),
]  # fmt: skip


@function(lambda: _GAMMA)
def gammainc(a: TensorLike, x: TensorLike) -> Tensor:
    """The regularised lower incomplete gamma function P(a, x) = ∫₀ˣ tᵃ⁻¹e⁻ᵗ dt / Γ(a).

    It is the distribution function of the gamma distribution. 0 at x = 0, 1 at infinity; NaN where
    an argument is negative. Source: Press et al., Numerical Recipes, 3rd edition, 6.2.

    Example:
        >>> import chainrule as cr
        >>> cr.gammainc(cr.tensor([1.0], "float64"), 1.0).tolist()  # 1 - 1/e
        [0.63212055882855...]
    """
    return _in_double(lambda a, x: _gamma_both(a, x)[0], a, x)


@function(lambda: _GAMMA)
def gammaincc(a: TensorLike, x: TensorLike) -> Tensor:
    """The regularised upper incomplete gamma function Q(a, x) = 1 - P(a, x), precise if small."""
    return _in_double(lambda a, x: _gamma_both(a, x)[1], a, x)


# ---- beta ------------------------------------------------------------------------------------


def _beta_fraction(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """The continued fraction of Iₓ(a, b)·a·B(a, b) / (xᵃ(1-x)ᵇ) (Abramowitz and Stegun 26.5.8)."""

    def levels(i: Tensor) -> list[tuple[Tensor, Tensor]]:
        m, two = i - 1.0, 2.0 * i
        odd = -(a + m) * (a + b + m) * x / ((a + two - 2.0) * (a + two - 1.0))
        even = i * (b - i) * x / ((a + two - 1.0) * (a + two))
        return [(odd, ones_like(x)), (even, ones_like(x))]

    return _fraction(ones_like(x), levels, _BETA_LEVELS)


def _betainc(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    inside = (a > 0.0) & (b > 0.0) & (x > 0.0) & (x < 1.0)
    inside = inside & (maximum(a, b) <= _BETA_LARGEST)
    a_in, b_in = where(inside, a, 1.0), where(inside, b, 1.0)
    x_in = where(inside, x, 0.5)
    swapped = x_in > (a_in + 1.0) / (a_in + b_in + 2.0)
    first, second = where(swapped, b_in, a_in), where(swapped, a_in, b_in)
    at = where(swapped, 1.0 - x_in, x_in)
    front = exp(
        lgamma(a_in + b_in) - lgamma(a_in) - lgamma(b_in)
        + a_in * log(x_in) + b_in * log1p(-x_in)
    )  # fmt: skip
    part = front * _beta_fraction(first, second, at) / first
    value = where(swapped, 1.0 - part, part)
    valid = (a > 0.0) & (b > 0.0) & (x >= 0.0) & (x <= 1.0)
    ends = where(valid & (x == 0.0), 0.0, where(valid & (x == 1.0), 1.0, math.nan))
    return where(inside, value, ends)


@function(
    lambda: [
        Sample((np.array([0.5, 2.0, 3.5]), np.array([1.5, 0.7, 4.0]), np.array([0.3, 0.6, 0.5]))),
        Sample((np.ones(4), np.ones(4), np.array([0.0, 1.0, -0.5, 1.5])), smooth=False),
    ]
)
def betainc(a: TensorLike, b: TensorLike, x: TensorLike) -> Tensor:
    """The regularised incomplete beta function Iₓ(a, b) = ∫₀ˣ tᵃ⁻¹(1-t)ᵇ⁻¹ dt / B(a, b).

    It is the distribution function of the beta distribution. NaN where x is outside of 0 to 1, or a
    or b is not positive, or larger than 30,000. Source: Press et al., Numerical Recipes, 6.4.

    Example:
        >>> import chainrule as cr
        >>> cr.betainc(2.0, 2.0, cr.tensor([0.5, 1.0])).tolist()
        [0.5, 1.0]
    """
    return _in_double(_betainc, a, b, x)


# ---- zeta ------------------------------------------------------------------------------------

#: B₂ⱼ / (2j)! for j = 1, 2, …
_BERNOULLI = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000,
    1 / 74724249600, -3617 / 10670622842880000, 43867 / 5109094217170944000,
)  # fmt: skip
_DIRECT = 12


def _zeta(s: Tensor, q: Tensor) -> Tensor:
    """Euler's and Maclaurin's sum: 12 terms, the integral of the others, and its corrections."""
    inside = (s > 1.0) & (q > 0.0)
    s_in, q_in = where(inside, s, 2.0), where(inside, q, 1.0)
    total = q_in**-s_in
    for k in range(1, _DIRECT):
        total = total + (q_in + float(k)) ** -s_in
    w = q_in + float(_DIRECT)
    power = w**-s_in
    total = total + w * power / (s_in - 1.0) + power / 2.0
    term = s_in * power / w
    for j, factor in enumerate(_BERNOULLI):
        total = total + term * factor
        term = term * (s_in + (2.0 * j + 1.0)) * (s_in + (2.0 * j + 2.0)) / (w * w)
    return where(inside, total, where((s == 1.0) & (q > 0.0), math.inf, math.nan))


@function(
    lambda: [
        Sample((np.array([1.5, 2.0, 4.0]), np.array([0.5, 1.0, 3.0]))),
        Sample((np.array([1.0, 0.5, 2.0]), np.array([1.0, 1.0, -0.5])), smooth=False),
    ]
)
def zeta(s: TensorLike, q: TensorLike = 1.0) -> Tensor:
    """Hurwitz's zeta function Σ (q + k)⁻ˢ over k = 0, 1, …; with q = 1 it is Riemann's.

    For s > 1 and q > 0; infinite at s = 1, NaN elsewhere.

    Example:
        >>> import chainrule as cr
        >>> cr.zeta(cr.tensor(2.0, "float64")).item()  # π²/6
        1.6449340668482...
    """
    return _in_double(_zeta, s, q)
