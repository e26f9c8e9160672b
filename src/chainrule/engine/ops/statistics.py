"""Statistics of numbers: quantiles, moments without NaN, distances, integrals and differences."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import ConfigError, ShapeError
from ..ir.operation import Sample
from ..ir.types import int64
from ..tensor import Tensor, TensorLike, as_tensor
from .declare import align, broadcast_to, cast, floating, function, normalize_axis, reals
from .elementwise import clip, floor, isnan, round, sqrt, where
from .indexing import add_along_axis, take, take_along_axis
from .products import diagonal, matmul
from .reduction import (
    Axis,
    all,
    argmax,
    cumsum,
    max,
    min,
    norm,
    prod,
    sum,
)  # fmt: skip
from .shape import (
    arange,
    concatenate,
    expand_dims,
    moveaxis,
    narrow,
    ones,
    reshape,
    swapaxes,
    zeros,
)
from .sorting import argsort, searchsorted, sort

__all__ = [
    "cdist", "corrcoef", "cov", "cumulative_trapezoid", "gradient", "histogram", "interp",
    "kthvalue", "mode", "nanmax", "nanmean", "nanmedian", "nanmin", "nanprod", "nanquantile",
    "nanstd", "nansum", "nanvar", "pairwise_distance", "pdist", "quantile", "trapezoid",
]  # fmt: skip

# ---- order -----------------------------------------------------------------------------------

METHODS = ("linear", "lower", "higher", "nearest", "midpoint")


def _lines(x: Tensor, axis: Any) -> tuple[Tensor, tuple[int, ...]]:
    """The axes that are reduced as one last axis; and their places."""
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis
    gone = tuple(sorted(normalize_axis(a, x.ndim) for a in axes))
    kept = [a for a in range(x.ndim) if a not in gone]
    moved = moveaxis(x, gone, tuple(range(len(kept), x.ndim)))
    return reshape(moved, (*(x.shape[a] for a in kept),
                           math.prod(x.shape[a] for a in gone))), gone  # fmt: skip


def _between_ranks(ordered: Tensor, place: Tensor, method: str) -> Tensor:
    """What lies at these places, which need not be integers, of the last axis in order."""
    if method == "nearest":
        return take_along_axis(ordered, cast(round(place), int64), -1)
    low = floor(place)
    after = cast(low, int64)
    before = take_along_axis(ordered, after, -1)
    if method == "lower":
        return before
    upper = where(place > low, after + 1, after)
    above = take_along_axis(ordered, upper, -1)
    if method == "higher":
        return above
    part: Any = where(place > low, 0.5, 0.0) if method == "midpoint" else place - low
    even = upper == after  # ∞ - ∞ is none
    return before + where(even, 0.0, above - where(even, 0.0, before)) * part


def _quantiles(x: TensorLike, q: TensorLike, axis: Any, keepdims: bool, method: str,
               skip_nan: bool) -> Tensor:  # fmt: skip
    x = floating(x)
    if method not in METHODS:
        raise ConfigError("Unknown method of a quantile.", expected=", ".join(METHODS),
                          found=repr(method))  # fmt: skip
    q = as_tensor(q, x.dtype)
    if q.ndim > 1:
        raise ShapeError("quantile takes one fraction or a vector of them.", found=str(q.type))
    lines, gone = _lines(x, axis)
    n = lines.shape[-1]
    if n == 0:
        raise ShapeError("A quantile of no elements is not defined.", found=str(x.type))
    ordered = sort(lines)  # NaN comes last
    missing = isnan(lines)
    fractions = reshape(q, (1,) * (lines.ndim - 1) + (q.size,))
    shape = (*lines.shape[:-1], q.size)
    if skip_nan:
        count = n - sum(cast(missing, int64), -1, keepdims=True)
        place = fractions * cast(clip(count - 1, 0, None), x.dtype)
        ordered = where(isnan(ordered), where(count == 0, math.nan, 0.0), ordered)
        y = _between_ranks(ordered, broadcast_to(place, shape), method)
    else:
        y = _between_ranks(ordered, broadcast_to(fractions * (n - 1), shape), method)
        y = where(sum(cast(missing, int64), -1, keepdims=True) > 0, math.nan, y)
    if keepdims:
        y = expand_dims(moveaxis(y, -1, 0), tuple(a + 1 for a in gone))
    else:
        y = moveaxis(y, -1, 0)
    return y if q.ndim else reshape(y, y.shape[1:])


@function(
    lambda: [
        Sample((reals(2, 5), 0.3, 1)),
        Sample((reals(6), [0.1, 0.5, 1.0])),
        Sample((reals(2, 4, 3), 0.4, (0, 2), True)),
        *(Sample((reals(2, 5), 0.3, 1), {"method": method}) for method in METHODS[1:]),
    ]
)
def quantile(
    x: TensorLike, q: TensorLike, axis: Axis = None, keepdims: bool = False, method: str = "linear"
) -> Tensor:
    """The number below which a fraction ``q`` of the elements lies; NaN if one is.

    Args:
        x: any tensor.
        q: one fraction from 0 to 1, or a vector of them, which then are the first axis.
        axis: over which axes; all without it.
        keepdims: whether they stay, with one element.
        method: between two elements: "linear", "lower", "higher", "nearest" or "midpoint".

    Example:
        >>> import chainrule as cr
        >>> cr.quantile([1.0, 2.0, 4.0], [0.5, 0.75]).tolist()
        [2.0, 3.0]
    """
    return _quantiles(x, q, axis, keepdims, method, skip_nan=False)


def _with_holes(*shape: int) -> Any:
    x = reals(*shape)
    x.reshape(-1)[1::4] = np.nan
    return x


@function(lambda: [Sample((_with_holes(2, 5), 0.3, 1), smooth=False), Sample((reals(5), [0.2]))])
def nanquantile(
    x: TensorLike, q: TensorLike, axis: Axis = None, keepdims: bool = False, method: str = "linear"
) -> Tensor:
    """As `quantile`, of those elements that are not NaN; NaN where there are none."""
    return _quantiles(x, q, axis, keepdims, method, skip_nan=True)


@function(lambda: [Sample((_with_holes(2, 5), 1), smooth=False), Sample((reals(5),))])
def nanmedian(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The middle of those elements that are not NaN, or the mean of the two in the middle."""
    return _quantiles(x, 0.5, axis, keepdims, "linear", skip_nan=True)


@function(lambda: [Sample((reals(2, 5), 2, 1)), Sample((reals(4), 4))])
def kthvalue(
    x: TensorLike, k: int, axis: int = -1, keepdims: bool = False
) -> tuple[Tensor, Tensor]:
    """The k-th smallest element along an axis, from 1 on, and its index."""
    x = as_tensor(x)
    if x.ndim == 0:
        return x, zeros((), int64)
    axis = normalize_axis(axis, x.ndim)
    if not 1 <= k <= x.shape[axis]:
        raise ShapeError("kthvalue cannot find that one.", expected=f"1 to {x.shape[axis]}",
                         found=str(k))  # fmt: skip
    index = narrow(argsort(x, axis), axis, k - 1, k)
    value = take_along_axis(x, index, axis)
    if keepdims:
        return value, index
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return reshape(value, shape), reshape(index, shape)


@function(lambda: [Sample((np.array([[2.0, 1.0, 2.0], [3.0, 1.0, 2.0]]),), smooth=False)])
def mode(x: TensorLike, axis: int = -1, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """The most frequent element along an axis, of several the smallest, and its last index.

    Takes n² memory for n elements.
    """
    x = as_tensor(x)
    if x.ndim == 0:
        return x, zeros((), int64)
    axis = normalize_axis(axis, x.ndim)
    last = swapaxes(x, axis, -1)
    n = last.shape[-1]
    count = sum(expand_dims(last, -1) == expand_dims(last, -2), -1)
    often = count == max(count, -1, keepdims=True)
    first = argsort(last)  # ranks tell which is smaller, for integers, too
    rank = argsort(first)
    smallest = argmax(where(often, n - rank, -1), -1, keepdims=True)
    value = take_along_axis(last, smallest, -1)
    index = max(where(last == value, arange(n), -1), -1, keepdims=True)
    index = where(index < 0, smallest, index)
    value, index = (swapaxes(y, axis, -1) for y in (take_along_axis(last, index, -1), index))
    if keepdims:
        return value, index
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return reshape(value, shape), reshape(index, shape)


# ---- reductions without NaN ------------------------------------------------------------------


def _nan_function(name: str, doc: str, compute: Callable[..., Tensor]) -> Any:
    def body(x: TensorLike, axis: Axis = None, keepdims: bool = False, **options: Any) -> Tensor:
        x = floating(x)
        return compute(x, isnan(x), axis, keepdims, **options)

    body.__name__ = body.__qualname__ = name
    body.__doc__ = doc
    return function(
        lambda: [Sample((_with_holes(2, 5), 1), smooth=False), Sample((reals(2, 3),))], name
    )(body)


def _count(hole: Tensor, like: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    return cast(sum(~hole, axis, keepdims), like.dtype)


def _nan_mean(x: Tensor, hole: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    return sum(where(hole, 0.0, x), axis, keepdims) / _count(hole, x, axis, keepdims)


def _nan_var(x: Tensor, hole: Tensor, axis: Axis, keepdims: bool, correction: float = 0) -> Tensor:
    centred = where(hole, 0.0, where(hole, 0.0, x) - _nan_mean(x, hole, axis, True))
    free = clip(_count(hole, x, axis, keepdims) - correction, 0.0, None)
    return sum(centred * centred, axis, keepdims) / free


def _nan_extreme(reduce: Any, start: float) -> Callable[..., Tensor]:
    def compute(x: Tensor, hole: Tensor, axis: Axis, keepdims: bool) -> Tensor:
        y = reduce(where(hole, start, x), axis, keepdims)
        return where(all(hole, axis, keepdims), math.nan, y)

    return compute


nansum = _nan_function(
    "nansum", "Sum over axes of what is not NaN.",
    lambda x, hole, axis, keepdims: sum(where(hole, 0.0, x), axis, keepdims),
)  # fmt: skip
nanprod = _nan_function(
    "nanprod", "Product over axes of what is not NaN.",
    lambda x, hole, axis, keepdims: prod(where(hole, 1.0, x), axis, keepdims),
)  # fmt: skip
nanmean = _nan_function("nanmean", "Mean over axes of what is not NaN; NaN of nothing.", _nan_mean)
nanvar = _nan_function(
    "nanvar", "Variance over axes of what is not NaN, with ``correction`` as of `var`.", _nan_var
)
nanstd = _nan_function(
    "nanstd", "Standard deviation over axes of what is not NaN, the root of `nanvar`.",
    lambda x, hole, axis, keepdims, correction=0: sqrt(
        _nan_var(x, hole, axis, keepdims, correction)
    ),
)  # fmt: skip
nanmax = _nan_function(
    "nanmax", "The largest element that is not NaN; NaN of nothing.", _nan_extreme(max, -math.inf)
)
nanmin = _nan_function(
    "nanmin", "The smallest element that is not NaN; NaN of nothing.", _nan_extreme(min, math.inf)
)

# ---- moments ---------------------------------------------------------------------------------


@function(
    lambda: [
        Sample((reals(2, 4),)),
        Sample((reals(4),), {"correction": 0}),
        Sample((reals(3, 4),), {"fweights": np.array([1, 2, 1, 3]), "aweights": np.ones(4) * 0.5}),
    ]
)
def cov(
    x: TensorLike,
    correction: float = 1,
    fweights: TensorLike | None = None,
    aweights: TensorLike | None = None,
) -> Tensor:
    """The covariances of variables, one a row, over their observations, one a column.

    Args:
        x: (variables, observations), or (observations,) of one variable.
        correction: what is subtracted from the number of observations.
        fweights: (observations,): how often each counts.
        aweights: (observations,): relative weights.

    Returns:
        (variables, variables), or a single number of one variable.
    """
    x = floating(x)
    if x.ndim > 2:
        raise ShapeError("cov takes a matrix with a row for each variable.", found=str(x.type))
    rows = x if x.ndim == 2 else reshape(x, (1, x.size))
    n = rows.shape[1]
    weights = ones((n,), x.dtype)
    if fweights is not None:
        weights = weights * cast(as_tensor(fweights), x.dtype)
    if aweights is not None:
        weights = weights * cast(as_tensor(aweights), x.dtype)
    total = sum(weights)
    centred = rows - sum(rows * weights, 1, keepdims=True) / total
    if aweights is None:
        free = total - correction
    else:
        free = total - correction * sum(weights * cast(as_tensor(aweights), x.dtype)) / total
    y = matmul(centred * weights, swapaxes(centred, 0, 1)) / clip(free, 0.0, None)
    return reshape(y, ()) if y.size == 1 else y


@function(lambda: [Sample((reals(2, 4),)), Sample((reals(3, 5),))])
def corrcoef(x: TensorLike) -> Tensor:
    """The correlations of variables, one a row, over their observations, one a column."""
    y = cov(x)
    if y.ndim == 0:
        return y / y
    deviations = sqrt(diagonal(y))
    return clip(y / expand_dims(deviations, 1) / expand_dims(deviations, 0), -1.0, 1.0)


@function(lambda: [Sample((reals(5), 3, (-2.0, 2.0)), smooth=False), Sample((np.arange(4), 2))])
def histogram(
    x: TensorLike,
    bins: Any = 10,
    range: tuple[float, float] | None = None,
    weights: TensorLike | None = None,
) -> tuple[Tensor, Tensor]:
    """How many elements fall into each bin, and the edges of the bins.

    Bins are closed below and open above, the last one closed; what is outside does not count.

    Args:
        x: any tensor.
        bins: how many of equal width, or a vector of edges in ascending order.
        range: from where to where; by default from the smallest to the largest element, 0 to 1 of
            none, and half a unit to both sides if all are equal.
        weights: of the shape of ``x``: what is added in place of 1; it has a derivative.
    """
    x = floating(x)
    flat = reshape(x, (x.size,))
    if isinstance(bins, int):
        if range is None:
            ends = (min(flat), max(flat)) if x.size else (zeros((), x.dtype), ones((), x.dtype))
            equal = ends[0] == ends[1]
            low, high = where(equal, ends[0] - 0.5, ends[0]), where(equal, ends[1] + 0.5, ends[1])
        else:
            low, high = (as_tensor(float(end), x.dtype) for end in range)
        steps = cast(arange(bins + 1), x.dtype) / bins
        edges = where(steps == 1, high, low + (high - low) * steps)
    else:
        edges = as_tensor(bins, x.dtype)
    count = edges.shape[0] - 1
    each = ones(flat.shape, int64) if weights is None else reshape(as_tensor(weights), flat.shape)
    place = searchsorted(edges, flat, "right") - 1
    place = where(flat == edges[-1], count - 1, place)
    outside = (place < 0) | (place >= count) | isnan(flat)
    target = where(outside, count, place)
    return add_along_axis(zeros((count + 1,), each.dtype), target, each, 0)[:count], edges


# ---- distances -------------------------------------------------------------------------------


@function(
    lambda: [
        Sample((reals(2, 3), reals(4, 3, seed=1))),
        Sample((reals(2, 2, 3), reals(1, 3, 3, seed=1), 1.0)),
        Sample((reals(2, 3), reals(2, 3, seed=1), 3.0)),
    ]
)
def cdist(a: TensorLike, b: TensorLike, order: float = 2.0) -> Tensor:
    """The distances between all rows of a and all rows of b, |aᵢ - bⱼ| of an order.

    The derivative at equal rows is 0.

    Args:
        a: (…, n, d).
        b: (…, m, d).
        order: p of (Σ |x|ᵖ)^(1/p); see `norm`.

    Returns:
        (…, n, m).
    """
    a, b = floating(a), floating(b)
    if builtins.min(a.ndim, b.ndim) < 2 or a.shape[-1] != b.shape[-1]:
        raise ShapeError("cdist takes rows of equally many numbers.",
                         expected="(…, n, d) and (…, m, d)",
                         found=f"{a.type} and {b.type}")  # fmt: skip
    between = expand_dims(a, -2) - expand_dims(b, -3)
    return norm(between, -1, order=order)


@function(lambda: [Sample((reals(4, 2),)), Sample((reals(3, 2), 1.0))])
def pdist(x: TensorLike, order: float = 2.0) -> Tensor:
    """The distances between each two rows of a matrix, (0, 1), (0, 2), … as a vector."""
    x = floating(x)
    if x.ndim != 2:
        raise ShapeError("pdist takes a matrix.", found=str(x.type))
    first, second = np.triu_indices(x.shape[0], 1)
    return norm(take(x, first) - take(x, second), -1, order=order)


@function(
    lambda: [Sample((reals(2, 3), reals(3, seed=1))), Sample((reals(3), reals(3, seed=1), 1))]
)
def pairwise_distance(
    a: TensorLike, b: TensorLike, order: float = 2.0, eps: float = 1e-6, keepdims: bool = False
) -> Tensor:
    """|a - b + eps| along the last axis, of rows that belong together."""
    return norm(floating(a) - floating(b) + eps, -1, keepdims, order)


# ---- integrals, differences, interpolation -----------------------------------------------------


def _panels(y: TensorLike, x: Any, dx: float, axis: int) -> Tensor:
    """The areas between neighbours, on a last axis."""
    y = floating(y)
    rows = moveaxis(y, normalize_axis(axis, y.ndim), -1)
    heights = (rows[..., 1:] + rows[..., :-1]) * 0.5
    if x is None:
        return heights * dx
    x = floating(x)
    places = moveaxis(x, axis, -1) if x.ndim == y.ndim and x.ndim > 1 else x
    return heights * (places[..., 1:] - places[..., :-1])


@function(
    lambda: [
        Sample((reals(2, 4),)),
        Sample((reals(2, 4), reals(4, seed=1))),
        Sample((reals(3, 2), None, 0.5, 0)),
    ]
)
def trapezoid(
    y: TensorLike, x: TensorLike | None = None, dx: float = 1.0, axis: int = -1
) -> Tensor:
    """The integral of y along an axis by the trapezoidal rule.

    Args:
        y: the values.
        x: where they are, a vector or a tensor like y; evenly, ``dx`` apart, without it.
        dx: the distance of neighbours.
        axis: along which to integrate.
    """
    return sum(_panels(y, x, dx, axis), -1)


@function(lambda: [Sample((reals(2, 4),)), Sample((reals(4), reals(4, seed=1)))])
def cumulative_trapezoid(
    y: TensorLike, x: TensorLike | None = None, dx: float = 1.0, axis: int = -1
) -> Tensor:
    """The integral of y from the first element up to each of the others; see `trapezoid`."""
    y = floating(y)
    return moveaxis(cumsum(_panels(y, x, dx, axis), -1), -1, normalize_axis(axis, y.ndim))


@function(
    lambda: [
        Sample((reals(5),)),
        Sample((reals(4, 3), 0.5, 2.0), {"edge_order": 2}),
        Sample((reals(2, 4), np.array([0.0, 1.0, 1.5, 3.0])), {"axis": 1, "edge_order": 2}),
    ]
)
def gradient(
    values: TensorLike, *spacing: TensorLike, axis: Axis = None, edge_order: int = 1
) -> Any:
    """Second-order differences of sampled values along axes, one-sided at the ends, as in NumPy.

    Args:
        values: any tensor, with at least ``edge_order + 1`` elements on each axis.
        spacing: one distance for all axes, or for each axis a distance or the vector of places.
        axis: one or several; all without it.
        edge_order: 1 or 2: of the differences at the ends.

    Returns:
        A tensor for one axis, otherwise a list.
    """
    x = floating(values)
    axes = tuple(builtins.range(x.ndim)) if axis is None else (
        (axis,) if isinstance(axis, int) else tuple(axis))  # fmt: skip
    steps: Sequence[Any] = spacing or (1.0,)
    steps = list(steps) * len(axes) if len(steps) == 1 else steps
    if len(steps) != len(axes) or edge_order not in (1, 2):
        raise ShapeError("gradient takes a spacing, or one for each axis, and edge_order 1 or 2.",
                         expected=f"{len(axes)}", found=f"{len(steps)}, {edge_order}")  # fmt: skip
    found = [
        _differences(x, normalize_axis(a, x.ndim), step, edge_order)
        for a, step in zip(axes, steps, strict=True)
    ]
    return found[0] if (len(found) == 1 and axis is not None) or x.ndim == 1 else found


def _differences(x: Tensor, axis: int, spacing: Any, edge_order: int) -> Tensor:
    n = x.shape[axis]
    if n < edge_order + 1:
        raise ShapeError("gradient needs more elements.", expected=f"at least {edge_order + 1}",
                         found=f"{n} on axis {axis}")  # fmt: skip
    rows = moveaxis(x, axis, -1)
    place = as_tensor(spacing, x.dtype)
    gaps = place[1:] - place[:-1] if place.ndim else broadcast_to(place, (n - 1,))
    slopes = (rows[..., 1:] - rows[..., :-1]) / gaps
    before, after = gaps[:-1], gaps[1:]
    inner = (slopes[..., :-1] * after + slopes[..., 1:] * before) / (before + after)
    first, last = slopes[..., :1], slopes[..., -1:]
    if edge_order == 2:
        first = first - (slopes[..., 1:2] - first) * gaps[0] / (gaps[0] + gaps[1])
        last = last + (last - slopes[..., -2:-1]) * gaps[-1] / (gaps[-1] + gaps[-2])
    return moveaxis(concatenate([first, inner, last], -1), -1, axis)


@function(
    lambda: [
        Sample((np.array([0.3, 1.7]), np.array([0.0, 1.0, 2.5]), reals(3))),
        Sample((np.array([[-1.0, 9.0]]), np.array([0.0, 1.0]), reals(2)), smooth=False),
    ]
)
def interp(
    x: TensorLike, xp: TensorLike, fp: TensorLike, left: Any = None, right: Any = None
) -> Tensor:
    """The straight lines between the points (xp, fp), at x, as in NumPy.

    Args:
        x: any tensor.
        xp: a vector in ascending order.
        fp: a vector of the same extent.
        left: the value for x below ``xp[0]``; without it ``fp[0]``.
        right: the value for x above ``xp[-1]``; without it ``fp[-1]``.
    """
    x, xp, fp = _floats(x, xp, fp)
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ShapeError(
            "interp takes two vectors of one extent.", found=f"{xp.type} and {fp.type}"
        )
    n = xp.shape[0]
    index = clip(searchsorted(xp, x, "right") - 1, 0, builtins.max(n - 2, 0))
    start, value = take(xp, index), take(fp, index)
    end = clip(index + 1, 0, n - 1)
    width = take(xp, end) - start
    slope = (take(fp, end) - value) / where(width == 0, 1.0, width)
    y = value + (x - start) * slope
    y = where(x < xp[0], fp[0] if left is None else left, y)
    return where(x > xp[-1], fp[-1] if right is None else right, y)


def _floats(*operands: TensorLike) -> list[Tensor]:
    """The operands as floats of one element type, each of its own shape."""
    tensors = [floating(x) for x in operands]
    dtype = align(*(zeros((), x.dtype) for x in tensors))[0].dtype
    return [cast(x, dtype) for x in tensors]
