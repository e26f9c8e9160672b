"""Special functions of arrays, which NumPy lacks.

Those with an argument ``xp`` are written against an array namespace.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

from ...utils.typing import Array


def _of_array(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """The function of Python's math module (the C library's) on every element."""
    each = np.frompyfunc(function, 1, 1)
    return lambda x: np.asarray(each(x), dtype=np.float64).astype(x.dtype)


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):  # a pole at 0, -1, -2, …, or too large
        return math.inf


erf = _of_array(math.erf)
erfc = _of_array(math.erfc)
lgamma = _of_array(_lgamma)


def erfinv(
    y: Array,
    xp: Any = np,
    erf: Callable[[Any], Any] = erf,
    erfc: Callable[[Any], Any] = erfc,
) -> Array:
    """The x with erf(x) = y, for |y| ≤ 1.

    Winitzki's approximation ("A handy approximation for the error function", 2008), good to 0.2 %,
    then three of Halley's steps, each of which triples the number of right digits.
    """
    wide = y.astype(np.float64)
    outside = xp.where(xp.abs(wide) > 1, np.nan, wide * np.inf)
    inner = xp.abs(wide) < 1
    z = xp.where(inner, wide, 0.0)
    log = xp.log1p(-z) + xp.log1p(z)
    a = 0.147
    t = 2 / (math.pi * a) + log / 2
    x = xp.sqrt(xp.maximum(xp.sqrt(t * t - log / a) - t, 0.0))
    size = xp.abs(z)
    for _ in range(3):
        # Near 1 the complement keeps the digits that erf(x) - y would lose.
        error = xp.where(size > 0.5, (1 - size) - erfc(x), erf(x) - size)
        step = error * math.sqrt(math.pi) / 2 * xp.exp(x * x)
        x = x - step / (1 + x * step)
    return xp.where(inner, xp.copysign(x, z), outside).astype(y.dtype)


_BERNOULLI = (1/6, -1/30, 1/42, -1/30, 5/66, -691/2730, 7/6, -3617/510, 43867/798)  # fmt: skip
_FAR = 15  # from here on the asymptotic series has all digits of float64


def _cotangent_derivative(order: int) -> list[int]:
    """The coefficients, lowest first, of the polynomial P in c = cot x with dⁿc/dxⁿ = P(c)."""
    p = [0, 1]
    for _ in range(order):  # c' = -(1 + c²)
        slope = [k * a for k, a in enumerate(p)][1:]
        p = [-a - b for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    return p


def polygamma(x: Array, order: int, xp: Any = np) -> Array:
    """The derivative of this order of digamma, itself the derivative of ln Γ.

    The recurrence ψ⁽ⁿ⁾(x) = ψ⁽ⁿ⁾(x+1) - (-1)ⁿ n! / xⁿ⁺¹ up to large x, then the asymptotic series
    (Abramowitz and Stegun 6.3.18, 6.4.11); below 0 the reflection (6.4.7). At the poles -1, -2, …
    odd orders are ∞; the others have two sides there, and are NaN.
    """
    wide = x.astype(np.float64)
    below = wide < 0
    above = _polygamma_above(xp.where(below, 1 - wide, wide), order, xp)
    if xp is not np or below.any():
        turn = xp.where(below, wide - xp.round(wide), 0.5)  # exact, unlike the angle πx
        with np.errstate(all="ignore"):
            c = 1 / xp.tan(math.pi * turn)
            mirrored = xp.zeros_like(wide)
            for a in reversed(_cotangent_derivative(order)):
                mirrored = mirrored * c + a
            mirrored = (-1) ** order * above - math.pi ** (order + 1) * mirrored
        pole = np.inf if order % 2 else np.nan
        above = xp.where(below, xp.where(turn == 0, pole, mirrored), above)
    return above.astype(x.dtype)


def _polygamma_above(wide: Array, order: int, xp: Any) -> Array:
    sign, factorial = (-1) ** (order + 1), math.factorial(order)
    total = xp.zeros_like(wide)
    z = wide
    for _ in range(_FAR + order):
        near = z < _FAR + order
        total += xp.where(near, sign * factorial / z ** (order + 1), 0.0)
        z = xp.where(near, z + 1, z)
    tail = -xp.log(z) if order == 0 else math.factorial(order - 1) / z**order
    tail = tail + factorial / (2 * z ** (order + 1))
    for k, bernoulli in enumerate(_BERNOULLI, start=1):
        rising = math.factorial(2 * k + order - 1) / math.factorial(2 * k)
        tail = tail + bernoulli * rising / z ** (2 * k + order)
    return xp.asarray(total + sign * tail)


def bessel_scaled(x: Array, order: int, xp: Any = np) -> Array:
    """exp(-|x|)·Iₙ(x) of order 0 or 1: the power series, all of one sign, then the asymptotic one.

    Abramowitz and Stegun 9.6.10 and 9.7.1.
    """
    size = xp.abs(x.astype(np.float64))
    near = xp.where(size < _BESSEL_FAR, size, 0.0)
    far = xp.where(size < _BESSEL_FAR, _BESSEL_FAR, size)
    term = (near / 2) ** order * xp.exp(-near)
    total = term
    for k in range(1, 70):
        term = term * (near / 2) ** 2 / (k * (k + order))
        total = total + term
    part = xp.ones_like(far)
    series = part
    for k in range(1, 26):
        part = part * ((2 * k - 1) ** 2 - 4 * order * order) / (8 * k * far)
        series = series + part
    asymptotic = xp.where(xp.isinf(size), 0.0, series / xp.sqrt(2 * math.pi * far))
    y = xp.where(size < _BESSEL_FAR, total, asymptotic)
    y = xp.where(xp.isnan(size), np.nan, y)
    return xp.asarray(xp.copysign(y, x) if order else y).astype(x.dtype)


_BESSEL_FAR = 25.0


def erfcx(x: Array, xp: Any = np, erfc: Callable[[Any], Any] = erfc) -> Array:
    """exp(x²)·erfc(x): the product up to 3, from there on the continued fraction."""
    wide = x.astype(np.float64)
    near = xp.minimum(wide, 3.0)
    product = xp.exp(near * near) * erfc(near)
    far = xp.maximum(wide, 3.0)
    fraction = xp.zeros_like(far)
    for k in range(60, 0, -1):
        fraction = k / 2 / (far + fraction)
    return xp.where(wide < 3, product, 1 / (far + fraction) / math.sqrt(math.pi)).astype(x.dtype)


def _quantile_of_normal(p: float) -> float:
    if 0 < p < 1:
        return _NORMAL.inv_cdf(p)
    return math.copysign(math.inf, p - 0.5) if p in (0, 1) else math.nan


_NORMAL = NormalDist()
ndtri = _of_array(_quantile_of_normal)
