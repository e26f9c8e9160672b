"""The windows of an image as an axis: for the largest with their indices, and for gaps in windows.

Where only the largest of contiguous windows is asked for, `pooling` has an operation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ShapeError
from ...utils.typing import Array
from ..ir.operation import Sample
from ..tensor import Tensor, TensorLike, as_tensor
from .declare import floating, function, integers, reals
from .elementwise import where
from .indexing import take
from .reduction import argmax, max
from .scatter import put_along_axis
from .shape import reshape, transpose, zeros
from .sliding_window import Padding, PerAxis, check_padding, per_axis

__all__ = ["max_unpool"]


def positions(
    extent: int, count: int, window: int, stride: int, before: int, dilation: int
) -> Array:
    """The positions in an axis of each element of each window, -1 outside of the image."""
    place = np.arange(count)[:, None] * stride + np.arange(window) * dilation - before
    return np.where(place < extent, np.maximum(place, -1), -1)


def largest(x: Tensor, places: Sequence[Array], return_indices: bool = False) -> Any:
    """The largest of every window, and on demand its index in the flat image.

    Args:
        x: (batch, *extents, channels).
        places: for each axis the `positions`, (windows, elements).
        return_indices: whether the indices are wanted, too: of equal ones the first.
    """
    rank, extents, channels = len(places), x.shape[1:-1], x.shape[-1]
    inside: Any = np.ones((1,) * (2 * rank), bool)
    flat: Any = np.zeros((1,) * (2 * rank), np.int64)
    for axis, place in enumerate(places):
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = place.shape
        inside = inside & (place >= 0).reshape(shape)
        flat = flat * extents[axis] + np.maximum(place, 0).reshape(shape)
        x = take(x, np.maximum(place, 0), 2 * axis + 1)
    windows, elements = inside.shape[:rank], math.prod(inside.shape[rank:])
    inside = inside.reshape(*windows, elements)
    if not inside.any(-1).all():
        raise ShapeError("A window lies outside of the image.",
                         hint="Pad less, or dilate less.")  # fmt: skip
    order = [0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1]
    x = reshape(transpose(x, order), (x.shape[0], *windows, elements, channels))
    if not inside.all():
        x = where(inside[..., None], x, -math.inf)
    values = max(x, -2)
    if not return_indices:
        return values
    # Where all of a window is -∞, the first that lies in the image.
    flat = flat.reshape(*windows, elements)
    first = np.take_along_axis(flat, inside.argmax(-1)[..., None], -1)
    flat = np.where(inside, flat, first).reshape(-1)
    begin = np.arange(math.prod(windows)).reshape(*windows, 1) * elements
    return values, take(flat, begin + argmax(x, -2))


@function(
    lambda: [
        Sample((reals(1, 2, 1), integers(1, 2, 1, high=1), 2)),
        Sample((reals(1, 1, 2, 1), np.array([[[[5], [0]]]]), 2), {"size": (2, 5)}),
    ]
)
def max_unpool(
    x: TensorLike,
    indices: TensorLike,
    window: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    size: PerAxis | None = None,
) -> Tensor:
    """The image in which the largest of windows lie where they were, and zeros elsewhere.

    A partial inverse of `max_pool`, which gives the indices. Of several values for one place the
    last counts.

    Args:
        x: (batch, *extents, channels), what `max_pool` gave.
        indices: integers of the same shape: places in the flat image, by channel.
        window: as of `max_pool`; one number, or one for each axis.
        stride: as of `max_pool`.
        padding: as of `max_pool`, but for "same".
        size: the extents of the image; without it (extent - 1)·stride - padding + window, which
            leaves out what no window reached.

    Returns:
        (batch, *size, channels).

    Raises:
        OutOfRangeError: an index lies outside of the image.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([[[1.0], [3.0], [2.0], [0.0]]])
        >>> y, indices = cr.max_pool(x, 2, return_indices=True)
        >>> cr.max_unpool(y, indices, 2).tolist()
        [[[0.0], [3.0], [2.0], [0.0]]]
    """
    x, indices = floating(x), as_tensor(indices)
    rank = x.ndim - 2
    if rank < 1 or indices.shape != x.shape:
        raise ShapeError("max_unpool takes an index for every value.",
                         expected="(batch, *extents, channels), twice",
                         found=f"{x.type} and {indices.type}")  # fmt: skip
    sizes = per_axis("window", window, rank)
    steps = sizes if stride is None else per_axis("stride", stride, rank)
    before, after = check_padding(padding, rank)
    if size is None:
        numbers = zip(x.shape[1:-1], sizes, steps, before, after, strict=True)
        extents = tuple((n - 1) * step - low - high + k for n, k, step, low, high in numbers)
    else:
        extents = per_axis("size", size, rank)
    rows = (x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1])
    empty = zeros((x.shape[0], math.prod(extents), x.shape[-1]), x.dtype)
    y = put_along_axis(empty, reshape(indices, rows), reshape(x, rows), 1)
    return reshape(y, (x.shape[0], *extents, x.shape[-1]))
