"""Reductions and normalisations of some elements only, as ``cr.masked``.

A mask is true where an element counts; it is broadcast to the tensor, and without it all count.
What does not count has no influence and gets no gradient, even if it is NaN. Where nothing counts,
a sum is 0, a product 1, an extreme ∓∞, and a mean, variance or median NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from ..ir.operation import Sample
from ..tensor import Tensor, TensorLike
from . import reduction
from .declare import align, boolean, broadcast_to, floating, function, reals
from .elementwise import logaddexp as _logaddexp
from .elementwise import sqrt, where
from .reduction import Axis
from .shape import ones_like
from .special_functions import normalize as _normalize
from .statistics import nanmedian

__all__ = [
    "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "max", "mean", "median", "min",
    "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]  # fmt: skip


F = TypeVar("F", bound=Callable[..., Any])


def _filled(x: TensorLike, mask: TensorLike | None, value: float) -> Tensor:
    x = floating(x)
    return x if mask is None else where(broadcast_to(boolean(mask), x.shape), x, value)


def _samples() -> Any:
    mask = reals(2, 3) > -0.5
    return [Sample((reals(2, 3), mask), {"axis": 1}), Sample((reals(2, 3),))]


def _declare(name: str) -> Callable[[F], F]:
    return function(_samples, f"masked.{name}")


@_declare("sum")
def sum(
    x: TensorLike, mask: TensorLike | None = None, axis: Axis = None, keepdims: bool = False
) -> Tensor:
    """The sum over axes of what counts."""
    return reduction.sum(_filled(x, mask, 0.0), axis, keepdims)


@_declare("prod")
def prod(
    x: TensorLike, mask: TensorLike | None = None, axis: Axis = None, keepdims: bool = False
) -> Tensor:
    """The product over axes of what counts."""
    return reduction.prod(_filled(x, mask, 1.0), axis, keepdims)


@_declare("max")
def max(
    x: TensorLike, mask: TensorLike | None = None, axis: Axis = None, keepdims: bool = False
) -> Tensor:
    """The largest over axes of what counts."""
    return reduction.max(_filled(x, mask, -math.inf), axis, keepdims)


@_declare("min")
def min(
    x: TensorLike, mask: TensorLike | None = None, axis: Axis = None, keepdims: bool = False
) -> Tensor:
    """The smallest over axes of what counts."""
    return reduction.min(_filled(x, mask, math.inf), axis, keepdims)


def _count(x: Tensor, mask: TensorLike | None, axis: Axis, keepdims: bool) -> Tensor:
    return reduction.sum(_filled(ones_like(x), mask, 0.0), axis, keepdims)


@_declare("mean")
def mean(
    x: TensorLike, mask: TensorLike | None = None, axis: Axis = None, keepdims: bool = False
) -> Tensor:
    """The mean over axes of what counts."""
    x = floating(x)
    return sum(x, mask, axis, keepdims) / _count(x, mask, axis, keepdims)


@_declare("var")
def var(
    x: TensorLike,
    mask: TensorLike | None = None,
    axis: Axis = None,
    keepdims: bool = False,
    correction: float = 0,
) -> Tensor:
    """The variance over axes of what counts, with ``correction`` as of `chainrule.ops.var`."""
    x = floating(x)
    kept = _filled(x, mask, 0.0)
    centred = _filled(kept - mean(x, mask, axis, True), mask, 0.0)
    free = _count(x, mask, axis, keepdims) - correction
    return reduction.sum(centred * centred, axis, keepdims) / where(free < 0, 0.0, free)


@_declare("std")
def std(
    x: TensorLike,
    mask: TensorLike | None = None,
    axis: Axis = None,
    keepdims: bool = False,
    correction: float = 0,
) -> Tensor:
    """The standard deviation over axes of what counts, the root of `var`."""
    return sqrt(var(x, mask, axis, keepdims, correction))


@_declare("median")
def median(
    x: TensorLike, mask: TensorLike | None = None, axis: Axis = None, keepdims: bool = False
) -> Tensor:
    """The middle of what counts and is not NaN, or the mean of the two in the middle."""
    return nanmedian(_filled(x, mask, math.nan), axis, keepdims)


@_declare("norm")
def norm(
    x: TensorLike,
    mask: TensorLike | None = None,
    axis: Axis = None,
    keepdims: bool = False,
    order: float = 2,
) -> Tensor:
    """(Σ |x|ᵖ)^(1/p) over axes of what counts."""
    return reduction.norm(_filled(x, mask, math.inf if order < 0 else 0.0), axis, keepdims, order)


@_declare("logsumexp")
def logsumexp(
    x: TensorLike, mask: TensorLike | None = None, axis: Axis = None, keepdims: bool = False
) -> Tensor:
    """ln Σ exp(x) over axes of what counts; -∞ where nothing does."""
    return reduction.logsumexp(_filled(x, mask, -math.inf), axis, keepdims)


@_declare("cumsum")
def cumsum(x: TensorLike, mask: TensorLike | None = None, axis: int | None = None) -> Tensor:
    """The cumulative sum of what counts."""
    return reduction.cumsum(_filled(x, mask, 0.0), axis)


@_declare("cumprod")
def cumprod(x: TensorLike, mask: TensorLike | None = None, axis: int | None = None) -> Tensor:
    """The cumulative product of what counts."""
    return reduction.cumprod(_filled(x, mask, 1.0), axis)


def _somewhere(x: Tensor, mask: TensorLike | None, axis: int) -> Any:
    """Where at least one element along the axis counts."""
    if mask is None:
        return True
    return reduction.any(broadcast_to(boolean(mask), x.shape), axis, keepdims=True)


@_declare("softmax")
def softmax(x: TensorLike, mask: TensorLike | None = None, axis: int = -1) -> Tensor:
    """exp(xᵢ) / Σⱼ exp(xⱼ) of what counts, 0 elsewhere, and where nothing counts."""
    x = floating(x)
    some = _somewhere(x, mask, axis)
    y = reduction.softmax(where(some, _filled(x, mask, -math.inf), 0.0), axis)
    return _filled(where(some, y, 0.0), mask, 0.0)


@function(lambda: [Sample((reals(2, 3),))], "masked.log_softmax")
def log_softmax(x: TensorLike, mask: TensorLike | None = None, axis: int = -1) -> Tensor:
    """The logarithm of `softmax`: -∞ for what does not count."""
    x = floating(x)
    some = _somewhere(x, mask, axis)
    safe = _filled(where(some, _filled(x, mask, -math.inf), 0.0), None, 0.0)
    top = reduction.logsumexp(safe, axis, keepdims=True)
    return _filled(_filled(x, mask, 0.0) - top, mask, -math.inf)


@_declare("softmin")
def softmin(x: TensorLike, mask: TensorLike | None = None, axis: int = -1) -> Tensor:
    """The `softmax` of -x."""
    return softmax(-floating(x), mask, axis)


@_declare("normalize")
def normalize(
    x: TensorLike,
    mask: TensorLike | None = None,
    axis: int = -1,
    order: float = 2.0,
    eps: float = 1e-12,
) -> Tensor:
    """What counts, divided by its norm along an axis; 0 elsewhere."""
    return _normalize(_filled(x, mask, 0.0), axis, order, eps)


@function(
    lambda: [Sample((reals(2, 3), reals(2, 3, seed=1), reals(2, 3) > 0, None))],
    "masked.logaddexp",
)
def logaddexp(
    a: TensorLike,
    b: TensorLike,
    mask_a: TensorLike | None = None,
    mask_b: TensorLike | None = None,
) -> Tensor:
    """ln(eᵃ + eᵇ) of what counts of each; -∞ where neither does."""
    a, b = align(a, b, floats=True)
    one, other = _filled(a, mask_a, -math.inf), _filled(b, mask_b, -math.inf)
    nothing = (one == -math.inf) & (other == -math.inf)
    y = _logaddexp(where(nothing, 0.0, one), where(nothing, 0.0, other))
    return where(nothing, -math.inf, y)
