"""Images with other extents, (batch, *extents, channels): adaptive pooling and interpolation.

Every axis is by itself: what comes out is a matrix times what lies along it.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np

from ...errors import ConfigError, ShapeError
from ...utils.typing import Array
from ..ir.operation import Sample
from ..tensor import Tensor, TensorLike, as_tensor
from .declare import broadcast_to, function, reals
from .gathered_windows import largest
from .indexing import take
from .pooling import as_image, avg_pool, max_pool
from .products import matmul
from .shape import expand_dims, reshape
from .sliding_window import PerAxis, per_axis

__all__ = ["adaptive_avg_pool", "adaptive_max_pool", "interpolate"]


def _along(x: Tensor, axis: int, matrix: Array) -> Tensor:
    """Every line of the image along an axis times the matrix (new extent, old extent)."""
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    lines = reshape(x, (outer, x.shape[axis], inner))
    weights = broadcast_to(as_tensor(matrix, x.dtype), (outer, *matrix.shape))
    return reshape(matmul(weights, lines), (*x.shape[:axis], len(matrix), *x.shape[axis + 1 :]))


@function(lambda: [Sample((reals(1, 4, 3, 1), (2, 3))), Sample((reals(1, 5, 2), 3))])
def adaptive_avg_pool(x: TensorLike, size: PerAxis) -> Tensor:
    """Means of parts of the image that are as many as wanted, whatever its extents.

    Part i of n of an axis of extent e reaches from ⌊i·e / n⌋ to ⌈(i + 1)·e / n⌉, as in PyTorch.

    Args:
        x: (batch, *extents, channels).
        size: extents of the result; one number, or one for each axis.

    Example:
        >>> import chainrule as cr
        >>> cr.adaptive_avg_pool(cr.tensor([[[1.0], [2.0], [6.0]]]), 2).tolist()
        [[[1.5], [4.0]]]
    """
    x = as_image(x)
    rank, extents = x.ndim - 2, x.shape[1:-1]
    sizes = per_axis("size", size, rank)
    if not all(extents):
        raise ShapeError("The mean of no elements is not defined.", found=str(x.type))
    if not any(extent % n for extent, n in zip(extents, sizes, strict=True)):
        return avg_pool(x, [extent // n for extent, n in zip(extents, sizes, strict=True)])
    for axis, (extent, n) in enumerate(zip(extents, sizes, strict=True)):
        place, part = np.arange(extent), np.arange(n)[:, None]
        inside = (place >= part * extent // n) & (place < -(-(part + 1) * extent // n))
        x = _along(x, axis + 1, inside / inside.sum(1, keepdims=True))
    return x


@overload
def adaptive_max_pool(
    x: TensorLike, size: PerAxis, return_indices: Literal[False] = False
) -> Tensor: ...
@overload
def adaptive_max_pool(x: TensorLike, size: PerAxis, return_indices: bool) -> Any: ...
@function(
    lambda: [
        Sample((reals(1, 4, 3, 1), (2, 3))),
        Sample((reals(1, 5, 2), 3)),
        Sample((reals(1, 5, 4, 1), (3, 2)), {"return_indices": True}),
    ]
)
def adaptive_max_pool(x: TensorLike, size: PerAxis, return_indices: bool = False) -> Any:
    """The largest of parts of the image that are as many as wanted; see `adaptive_avg_pool`.

    Equal largest elements of a part share the gradient.

    Args:
        x: (batch, *extents, channels).
        size: extents of the result; one number, or one for each axis.
        return_indices: whether the places in the flat image are given, too; see `max_pool`.
    """
    x = as_image(x)
    rank, extents = x.ndim - 2, x.shape[1:-1]
    sizes = per_axis("size", size, rank)
    if not all(extents):
        raise ShapeError("The largest of no elements is not defined.", found=str(x.type))
    if not any(extent % n for extent, n in zip(extents, sizes, strict=True)):
        windows = [extent // n for extent, n in zip(extents, sizes, strict=True)]
        return max_pool(x, windows, return_indices=return_indices)
    return largest(x, [_part(*pair) for pair in zip(extents, sizes, strict=True)], return_indices)


def _part(extent: int, count: int) -> Array:
    """The positions in an axis of each element of each part, -1 behind its end."""
    start = np.arange(count) * extent // count
    stop = -(-(np.arange(count) + 1) * extent // count)
    place = start[:, None] + np.arange(int((stop - start).max()))
    return np.where(place < stop[:, None], place, -1)


#: What linear interpolation is called, by the number of axes.
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


@function(
    lambda: [
        Sample((reals(1, 2, 3, 2),), {"scale_factor": 2}),
        Sample((reals(1, 3, 2),), {"size": 4}),
        Sample((reals(1, 2, 3, 1),), {"scale_factor": (2, 3), "mode": "bilinear"}),
        Sample((reals(1, 3, 1),), {"size": 5, "mode": "linear", "align_corners": True}),
        Sample((reals(1, 3, 4, 1),), {"size": (5, 2), "mode": "bicubic"}),
        Sample((reals(1, 5, 4, 1),), {"size": 2, "mode": "bilinear", "antialias": True}),
        Sample((reals(1, 5, 1),), {"scale_factor": 0.7, "mode": "nearest-exact"}),
        Sample((reals(1, 5, 1),), {"size": 3, "mode": "area"}),
    ]
)
def interpolate(
    x: TensorLike,
    size: PerAxis | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool = False,
    antialias: bool = False,
) -> Tensor:
    """The image with other extents.

    Args:
        x: (batch, *extents, channels).
        size: the new extents; one number, or one for each axis.
        scale_factor: instead of ``size``: how many times as large, or one for each axis. Of the
            new extents the fraction is cut off; places are scaled by the factor itself.
        mode: "nearest" repeats elements: output o is input ⌊o·old / new⌋, "nearest-exact" input
            ⌊(o + ½)·old / new⌋. "linear", "bilinear" or "trilinear", by the number of axes, lies
            between the two nearest on each axis; "bicubic" (of two axes) is a cubic through four
            (Keys, 1981, with a = -0.75). "area" is `adaptive_avg_pool`.
        align_corners: of linear and cubic modes: whether first and last elements keep their places.
            Otherwise elements are squares of which the centres count, (o + ½)·old / new - ½.
        antialias: of "bilinear" and "bicubic": whether a smaller image takes all elements into
            account, by a filter that is as many times wider (as Pillow does; a = -0.5).

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([[[0.0], [4.0]]])
        >>> cr.interpolate(x, scale_factor=2).reshape(-1).tolist()
        [0.0, 0.0, 4.0, 4.0]
        >>> cr.interpolate(x, scale_factor=2, mode="linear").reshape(-1).tolist()
        [0.0, 1.0, 3.0, 4.0]
    """
    x = as_image(x)
    rank, extents = x.ndim - 2, x.shape[1:-1]
    if (size is None) == (scale_factor is None):
        raise ConfigError("interpolate takes a size or a scale_factor.",
                          found="both" if size is not None else "neither")  # fmt: skip
    modes = ["nearest", "nearest-exact", "area", _LINEAR.get(rank, "linear")]
    modes += ["bicubic"] if rank == 2 else []
    if mode not in modes or (antialias and mode not in ("bilinear", "bicubic")):
        raise ConfigError(
            f"Unknown mode for {rank} ax{'is' if rank == 1 else 'es'}.",
            expected=f"{', '.join(modes[:-1])} or {modes[-1]}"
            + ("; antialias with bilinear or bicubic" if antialias else ""),
            found=repr(mode),
        )
    if not all(extents):
        raise ShapeError("An empty image cannot be resized.", found=str(x.type))
    sizes, ratios = _sizes(extents, size, scale_factor)
    if mode == "area":
        return adaptive_avg_pool(x, sizes)
    for axis, (extent, n, ratio) in enumerate(zip(extents, sizes, ratios, strict=True)):
        if n == extent and ratio == 1:
            continue
        if mode == "nearest" and n % extent == 0 and ratio == extent / n:
            x = _repeated(x, axis + 1, n)
        elif mode.startswith("nearest"):
            shift = 0.5 if mode == "nearest-exact" else 0.0
            place = np.floor((np.arange(n) + shift) * ratio).astype(int)
            x = take(x, np.minimum(place, extent - 1), axis + 1)
        else:
            cubic = mode == "bicubic"
            matrix = (
                _filtered(extent, n, ratio, align_corners, cubic)
                if antialias
                else _between(extent, n, ratio, align_corners, cubic)
            )
            x = _along(x, axis + 1, matrix)
    return x


def _sizes(
    extents: Sequence[int], size: PerAxis | None, factor: float | Sequence[float] | None
) -> tuple[list[int], list[float]]:
    """The new extents, and how far apart elements of the new image lie in the old one."""
    rank = len(extents)
    if size is not None:
        sizes = list(per_axis("size", size, rank))
        return sizes, [extent / n for extent, n in zip(extents, sizes, strict=True)]
    assert factor is not None
    factors = [factor] * rank if isinstance(factor, (int, float)) else list(factor)
    if len(factors) != rank or not all(f > 0 for f in factors):
        raise ConfigError("scale_factor is a positive number, or one for each axis.",
                          expected=f"{rank} numbers", found=repr(factor))  # fmt: skip
    sizes = [math.floor(extent * f) for extent, f in zip(extents, factors, strict=True)]
    if not all(sizes):
        raise ConfigError("scale_factor leaves no element.", expected=f"at least 1 of {extents}",
                          found=repr(factor))  # fmt: skip
    return sizes, [1 / f for f in factors]


def _repeated(x: Tensor, axis: int, n: int) -> Tensor:
    extent = x.shape[axis]
    shape: Sequence[int] = (*x.shape[: axis + 1], n // extent, *x.shape[axis + 1 :])
    return reshape(
        broadcast_to(expand_dims(x, axis + 1), shape), (*x.shape[:axis], n, *x.shape[axis + 1 :])
    )


def _cubic(distance: Array, a: float) -> Array:
    """The weight of an element at this distance (Keys, 1981)."""
    t = np.abs(distance)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((t - 5) * t + 8) * t * a - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def _between(extent: int, n: int, ratio: float, align_corners: bool, cubic: bool) -> Array:
    """The matrix (n, extent) of interpolation between two elements, or four."""
    number = np.arange(n)
    if align_corners:
        place = number * ((extent - 1) / builtins.max(n - 1, 1))
    else:
        place = (number + 0.5) * ratio - 0.5
    if not cubic:
        place = np.clip(place, 0, extent - 1)
    low = np.floor(place).astype(int)
    matrix = np.zeros((n, extent))
    for tap in (-1, 0, 1, 2) if cubic else (0, 1):
        distance = place - (low + tap)
        weight = _cubic(distance, -0.75) if cubic else 1 - np.abs(distance)
        np.add.at(matrix, (number, np.clip(low + tap, 0, extent - 1)), weight)
    return matrix


def _filtered(extent: int, n: int, ratio: float, align_corners: bool, cubic: bool) -> Array:
    """The matrix (n, extent) of interpolation by a filter as wide as the elements that shrink."""
    if align_corners:
        ratio = (extent - 1) / (n - 1) if n > 1 else 0.0
    wide = builtins.max(ratio, 1.0)
    reach = (2.0 if cubic else 1.0) * wide
    centre = (np.arange(n)[:, None] + 0.5) * ratio
    place = np.arange(extent)
    start = np.maximum((centre - reach + 0.5).astype(int), 0)
    stop = np.minimum((centre + reach + 0.5).astype(int), extent)
    distance = (place - centre + 0.5) / wide
    weight = _cubic(distance, -0.5) if cubic else np.maximum(1 - np.abs(distance), 0)
    weight = np.where((place >= start) & (place < stop), weight, 0.0)
    return np.asarray(weight / weight.sum(1, keepdims=True))
