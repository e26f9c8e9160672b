"""More functions of images, (batch, *extents, channels): patches, shuffles, sampling at places."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ConfigError, ShapeError
from ..ir.operation import Sample
from ..ir.types import int64
from ..tensor import Tensor, TensorLike, as_tensor
from .declare import cast, floating, function, reals
from .elementwise import abs, clip, floor, result_dtype, round, where
from .indexing import scatter_add, take
from .pooling import as_image
from .products import matmul
from .reduction import sum
from .shape import (
    arange,
    expand_dims,
    narrow,
    pad,
    reshape,
    swapaxes,
    transpose,
    zeros,
)  # fmt: skip
from .sliding_window import PerAxis, per_axis

__all__ = [
    "affine_grid", "channel_shuffle", "fold", "grid_sample", "local_response_norm",
    "pixel_shuffle", "pixel_unshuffle", "unfold",
]  # fmt: skip

# ---- patches ---------------------------------------------------------------------------------


def _windows(
    extents: Sequence[int], window: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int],
) -> list[Any]:  # fmt: skip
    """By axis: (places, window), the indices in the padded image."""
    found = []
    for extent, size, step, margin, gap in zip(
        extents, window, stride, padding, dilation, strict=True
    ):
        count = (extent + 2 * margin - gap * (size - 1) - 1) // step + 1
        if count < 1:
            raise ShapeError("The window is larger than the padded image.",
                             expected=f"at most {extent + 2 * margin}",
                             found=f"{gap * (size - 1) + 1}")  # fmt: skip
        found.append(np.arange(count)[:, None] * step + np.arange(size) * gap)
    return found


def _slide(rank: int, window: PerAxis, stride: PerAxis, padding: PerAxis, dilation: PerAxis) -> Any:
    return (
        per_axis("window", window, rank), per_axis("stride", stride, rank),
        per_axis("padding", padding, rank, 0), per_axis("dilation", dilation, rank),
    )  # fmt: skip


@function(
    lambda: [
        Sample((reals(1, 4, 3, 2), 2)),
        Sample((reals(2, 5, 1), 2), {"stride": 2, "padding": 1, "dilation": 2}),
    ]
)
def unfold(
    x: TensorLike,
    window: PerAxis,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> Tensor:
    """The patches of an image.

    Args:
        x: (batch, *extents, channels).
        window: extents of a patch; one number, or one for each axis.
        stride: from one patch to the next.
        padding: zeros around the image.
        dilation: from one element of a patch to the next.

    Returns:
        (batch, *places, *window, channels). PyTorch has (batch, channels·window, places).
    """
    x = as_image(x)
    rank = x.ndim - 2
    sizes, steps, margins, gaps = _slide(rank, window, stride, padding, dilation)
    places = _windows(x.shape[1:-1], sizes, steps, margins, gaps)
    x = pad(x, [(0, 0), *((m, m) for m in margins), (0, 0)])
    for axis, indices in enumerate(places):
        x = take(x, indices, 2 * axis + 1)
    return transpose(x, [0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1])


@function(
    lambda: [
        Sample((reals(1, 3, 2, 2, 2, 1), (4, 3))),
        Sample((reals(1, 3, 2, 1), 5), {"stride": 2, "padding": 1, "dilation": 2}),
    ]
)
def fold(
    patches: TensorLike,
    size: PerAxis,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> Tensor:
    """The image in which patches lie, added where they overlap: the transpose of `unfold`.

    Args:
        patches: (batch, *places, *window, channels).
        size: the extents of the image; one number, or one for each axis.
        stride: as of `unfold`.
        padding: as of `unfold`.
        dilation: as of `unfold`.

    Returns:
        (batch, *size, channels).
    """
    x = floating(patches)
    rank = (x.ndim - 2) // 2
    if x.ndim < 4 or x.ndim % 2:
        raise ShapeError("fold takes patches.", expected="(batch, *places, *window, channels)",
                         found=str(x.type))  # fmt: skip
    extents = per_axis("size", size, rank)
    sizes, steps, margins, gaps = _slide(rank, x.shape[1 + rank : -1], stride, padding, dilation)
    places = _windows(extents, sizes, steps, margins, gaps)
    if x.shape[1 : 1 + rank] != tuple(len(p) for p in places):
        raise ShapeError("The patches do not fill the image.",
                         expected=f"{tuple(len(p) for p in places)} places",
                         found=str(x.shape[1 : 1 + rank]))  # fmt: skip
    order = [i for axis in range(rank) for i in (1 + axis, 1 + rank + axis)]
    x = transpose(x, [0, *order, 2 * rank + 1])
    for axis in reversed(range(rank)):
        at = 2 * axis + 1
        shape = (*x.shape[:at], extents[axis] + 2 * margins[axis], *x.shape[at + 2 :])
        x = scatter_add(zeros(shape, x.dtype), places[axis], x, at)
    for axis, (extent, margin) in enumerate(zip(extents, margins, strict=True)):
        x = narrow(x, axis + 1, margin, margin + extent)
    return x


# ---- channels as places, and back ------------------------------------------------------------


@function(lambda: [Sample((reals(1, 2, 3, 8), 2))])
def pixel_shuffle(x: TensorLike, factor: int) -> Tensor:
    """(batch, *extents, channels·factorⁿ) as (batch, *extents·factor, channels), as in PyTorch."""
    x = as_image(x)
    rank, parts = x.ndim - 2, factor ** (x.ndim - 2)
    if x.shape[-1] % parts:
        raise ShapeError("pixel_shuffle takes channels that the factor divides.",
                         expected=f"a multiple of {parts}", found=str(x.type))  # fmt: skip
    channels = x.shape[-1] // parts
    x = reshape(x, (*x.shape[:-1], channels, *[factor] * rank))
    order = [i for axis in range(rank) for i in (1 + axis, 2 + rank + axis)]
    y = transpose(x, [0, *order, 1 + rank])
    return reshape(y, (x.shape[0], *(e * factor for e in x.shape[1 : 1 + rank]), channels))


@function(lambda: [Sample((reals(1, 4, 2, 2), 2))])
def pixel_unshuffle(x: TensorLike, factor: int) -> Tensor:
    """The inverse of `pixel_shuffle`: extents become channels."""
    x = as_image(x)
    rank, extents, channels = x.ndim - 2, x.shape[1:-1], x.shape[-1]
    if any(extent % factor for extent in extents):
        raise ShapeError("pixel_unshuffle takes extents that the factor divides.",
                         expected=f"multiples of {factor}", found=str(x.type))  # fmt: skip
    parts = [i for extent in extents for i in (extent // factor, factor)]
    x = reshape(x, (x.shape[0], *parts, channels))
    order = [*range(1, 2 * rank, 2), 2 * rank + 1, *range(2, 2 * rank + 1, 2)]
    y = transpose(x, [0, *order])
    return reshape(y, (*y.shape[: 1 + rank], channels * factor**rank))


@function(lambda: [Sample((reals(1, 2, 6), 3))])
def channel_shuffle(x: TensorLike, groups: int) -> Tensor:
    """The channels of several groups in turn (Zhang et al., 2018)."""
    x = as_tensor(x)
    if x.ndim == 0 or x.shape[-1] % groups:
        raise ShapeError("The groups must divide the channels.",
                         expected=f"a multiple of {groups}", found=str(x.type))  # fmt: skip
    parts = reshape(x, (*x.shape[:-1], groups, x.shape[-1] // groups))
    return reshape(swapaxes(parts, -1, -2), x.shape)


@function(lambda: [Sample((reals(2, 5), 3)), Sample((reals(2, 2, 4), 2, 0.5, 0.7, 2.0))])
def local_response_norm(
    x: TensorLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha·mean of the squares of ``size`` neighbouring channels)^beta.

    Krizhevsky et al., 2012; channels are the last axis, beyond which there are zeros.
    """
    x = floating(x)
    n = x.shape[-1]
    squares = pad(x * x, [(0, 0)] * (x.ndim - 1) + [(size // 2, (size - 1) // 2)])
    around = sum(take(squares, np.arange(n)[:, None] + np.arange(size), x.ndim - 1), -1) / size
    return x / (k + alpha * around) ** beta


# ---- sampling at places ----------------------------------------------------------------------


@function(
    lambda: [
        Sample((reals(1, 2, 3), (2, 3))),
        Sample((reals(2, 3, 4), (2, 1, 2)), {"align_corners": True}),
    ]
)
def affine_grid(theta: TensorLike, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """The places, for `grid_sample`, that a linear map with a shift sends those of an image to.

    Args:
        theta: (batch, rank, rank + 1): of places (x, y[, z], 1).
        size: the extents of the image, such as (height, width).
        align_corners: whether -1 and 1 are the centres of the outermost elements, not their edges.

    Returns:
        (batch, *size, rank), places as (x, y[, z]).
    """
    theta, rank = floating(theta), len(size)
    if theta.ndim != 3 or theta.shape[1:] != (rank, rank + 1):
        raise ShapeError("affine_grid takes a matrix for each image.",
                         expected=f"(batch, {rank}, {rank + 1})",
                         found=str(theta.type))  # fmt: skip
    axes = []
    for extent in size:
        if align_corners:
            axes.append(np.linspace(-1, 1, extent) if extent > 1 else np.zeros(1))
        else:
            axes.append((2 * np.arange(extent) + 1) / extent - 1)
    grid = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(tuple(size))], -1)
    places = as_tensor(grid.reshape(-1, rank + 1), theta.dtype)
    return reshape(matmul(places, swapaxes(theta, 1, 2)), (theta.shape[0], *size, rank))


def _reflected(place: Tensor, extent: int, align_corners: bool) -> Tensor:
    """Mirrored at the edges as often as needed."""
    low, span = (0.0, extent - 1.0) if align_corners else (-0.5, float(extent))
    if span == 0:
        return place * 0.0
    beyond = abs(place - low)
    turns = floor(beyond / span)
    rest = beyond - turns * span
    even = turns - 2 * floor(turns / 2) == 0
    return clip(where(even, rest + low, span - rest + low), 0.0, extent - 1.0)


def _taps(place: Tensor, extent: int, how: dict[str, Any]) -> list[tuple[Tensor, Tensor]]:
    """Along one axis: indices and weights of the elements that count for each place."""
    mode, padding = how["mode"], how["padding"]

    def inside(z: Tensor) -> Tensor:
        if padding == "border":
            return clip(z, 0.0, extent - 1.0)
        return _reflected(z, extent, how["align_corners"]) if padding == "reflection" else z

    if mode != "bicubic":
        place = inside(place)
    low = round(place) if mode == "nearest" else floor(place)
    taps = []
    for tap in {"nearest": (0,), "bilinear": (0, 1), "bicubic": (-1, 0, 1, 2)}[mode]:
        at = low + float(tap)
        weight: Any = 1.0
        if mode == "bilinear":
            weight = 1.0 - abs(place - at) if tap else 1.0 - (place - at)
        elif mode == "bicubic":
            weight, at = _cubic_weight(place - at, tap in (-1, 2)), inside(at)
        found = (at >= 0) & (at <= extent - 1)
        taps.append((cast(clip(at, 0.0, extent - 1.0), int64), where(found, weight, 0.0)))
    return taps


def _cubic_weight(distance: Tensor, is_far: bool, a: float = -0.75) -> Tensor:
    t = abs(distance)
    if is_far:
        return ((t - 5) * t + 8) * t * a - 4 * a
    return ((a + 2) * t - (a + 3)) * t * t + 1


@function(
    lambda: [
        Sample((reals(1, 3, 4, 2), reals(1, 2, 2, 2, low=-0.9, high=0.9))),
        Sample((reals(2, 3, 3, 1), reals(2, 1, 2, 2)), {"padding": "border"}),
        Sample(
            (reals(1, 3, 3, 1), reals(1, 2, 1, 2)), {"padding": "reflection", "mode": "bicubic"}
        ),
        Sample((reals(1, 3, 3, 1), reals(1, 2, 1, 2)), {"mode": "nearest", "align_corners": True}),
        Sample((reals(1, 2, 3, 2, 1), reals(1, 1, 1, 2, 3, low=-0.4, high=0.4))),
    ]
)
def grid_sample(
    x: TensorLike,
    grid: TensorLike,
    mode: str = "bilinear",
    padding: str = "zeros",
    align_corners: bool = False,
) -> Tensor:
    """What an image shows at places that need not be those of its elements.

    Args:
        x: (batch, *extents, channels), with two or three extents.
        grid: (batch, *places, rank): places as (x, y[, z]), from -1 to 1 in the image.
        mode: "bilinear" (trilinear in three dimensions), "nearest" or, in two, "bicubic".
        padding: what is outside: "zeros", "border" (the nearest element) or "reflection".
        align_corners: whether -1 and 1 are the centres of the outermost elements, not their edges.

    Returns:
        (batch, *places, channels), with a derivative with respect to image and places.
    """
    x, grid = as_image(x), floating(grid)
    rank, extents = x.ndim - 2, x.shape[1:-1]
    if grid.ndim != x.ndim or grid.shape[-1] != rank or grid.shape[0] != x.shape[0]:
        raise ShapeError("grid_sample takes a place for each element of the result.",
                         expected=f"({x.shape[0]}, *places, {rank}), {rank} axes of places",
                         found=str(grid.type))  # fmt: skip
    modes = ("bilinear", "nearest", *(("bicubic",) if rank == 2 else ()))
    if mode not in modes or padding not in ("zeros", "border", "reflection"):
        raise ConfigError("Unknown mode or padding of grid_sample.",
                          expected=f"{', '.join(modes)}; zeros, border, reflection",
                          found=f"{mode!r}, {padding!r}")  # fmt: skip
    how = {"mode": mode, "padding": padding, "align_corners": align_corners}
    dtype = result_dtype(x, grid)
    x, grid = cast(x, dtype), cast(grid, dtype)
    by_axis = []
    for axis, extent in enumerate(extents):
        place = grid[..., rank - 1 - axis]
        scaled = (place + 1) * ((extent - 1) / 2) if align_corners else (
            ((place + 1) * extent - 1) / 2)  # fmt: skip
        by_axis.append(_taps(scaled, extent, how))
    rows = reshape(x, (x.shape[0] * math.prod(extents), x.shape[-1]))
    image = reshape(arange(x.shape[0]), (x.shape[0], *[1] * rank))
    total: Any = 0.0
    for taps in itertools.product(*by_axis):
        index, weight = image, None
        for (at, own), extent in zip(taps, extents, strict=True):
            index = index * extent + at
            weight = own if weight is None else weight * own
        assert weight is not None
        total = total + take(rows, index) * expand_dims(weight, -1)
    return as_tensor(total)
