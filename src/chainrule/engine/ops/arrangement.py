"""More ways to put tensors together, take them apart and arrange them, by the basic ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ...errors import ShapeError
from ..ir.operation import Sample
from ..tensor import Tensor, TensorLike, as_tensor
from .declare import align, broadcast_to, function, normalize_axis, reals
from .elementwise import where
from .indexing import take
from .products import diag
from .shape import (
    concatenate,
    expand_dims,
    flip,
    full,
    meshgrid,
    moveaxis,
    narrow,
    pad,
    reshape,
    split,
    stack,
)  # fmt: skip

__all__ = [
    "array_split", "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_arrays",
    "cartesian_product", "chunk", "column_stack", "combinations", "diag_embed", "diagflat",
    "dsplit", "dstack", "fliplr", "flipud", "full_like", "hsplit", "hstack", "ravel",
    "sliding_window_view", "vsplit", "vstack",
]  # fmt: skip


@function(lambda: [Sample((reals(2, 3),))])
def ravel(x: TensorLike) -> Tensor:
    """All elements as a vector, row by row."""
    x = as_tensor(x)
    return reshape(x, (x.size,))


@function(
    lambda: [
        Sample(
            (
                reals(2, 3),
                1.5,
            )
        )
    ]
)
def full_like(x: TensorLike, value: Any) -> Tensor:
    """A tensor of this shape and element type, with one value everywhere."""
    x = as_tensor(x)
    return full(x.shape, value, x.dtype)


@function(lambda: [Sample((reals(),)), Sample((reals(2, 3),))])
def atleast_1d(x: TensorLike) -> Tensor:
    """A single number as a vector; anything else as it is."""
    x = as_tensor(x)
    return x if x.ndim else reshape(x, (1,))


@function(lambda: [Sample((reals(),)), Sample((reals(3),))])
def atleast_2d(x: TensorLike) -> Tensor:
    """A number or vector as a matrix with one row; anything else as it is."""
    x = atleast_1d(x)
    return x if x.ndim > 1 else expand_dims(x, 0)


@function(lambda: [Sample((reals(3),)), Sample((reals(2, 3),))])
def atleast_3d(x: TensorLike) -> Tensor:
    """With new axes to three, as in NumPy: (n,) becomes (1, n, 1), (m, n) becomes (m, n, 1)."""
    x = atleast_2d(x)
    return x if x.ndim > 2 else expand_dims(x, -1)


def _all(tensors: Iterable[TensorLike], change: Callable[[Any], Tensor]) -> list[Tensor]:
    return [change(x) for x in tensors]


@function(lambda: [Sample(([reals(2), reals(3)],)), Sample(([reals(2, 1), reals(2, 2)],))])
def hstack(tensors: Iterable[TensorLike]) -> Tensor:
    """One beside the other: vectors along their axis, others along the second."""
    parts = _all(tensors, atleast_1d)
    return concatenate(parts, 0 if parts[0].ndim == 1 else 1)


@function(lambda: [Sample(([reals(2), reals(2)],)), Sample(([reals(1, 2), reals(2, 2)],))])
def vstack(tensors: Iterable[TensorLike]) -> Tensor:
    """One below the other: vectors as rows."""
    return concatenate(_all(tensors, atleast_2d), 0)


@function(lambda: [Sample(([reals(2), reals(2)],)), Sample(([reals(2, 3), reals(2, 3)],))])
def dstack(tensors: Iterable[TensorLike]) -> Tensor:
    """One behind the other, along the third axis."""
    return concatenate(_all(tensors, atleast_3d), 2)


@function(lambda: [Sample(([reals(2), reals(2, 3)],))])
def column_stack(tensors: Iterable[TensorLike]) -> Tensor:
    """Vectors as columns, and matrices, beside one another."""
    parts = _all(tensors, atleast_1d)
    return concatenate([expand_dims(x, -1) if x.ndim == 1 else x for x in parts], 1)


@function(
    lambda: [
        Sample(
            (
                reals(7, 2),
                3,
            )
        ),
        Sample((reals(2, 5), [1, 3]), {"axis": 1}),
    ]
)
def array_split(x: TensorLike, parts: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Parts of nearly equal extents, the larger ones first; or cut before the given indices."""
    x = as_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    n = x.shape[axis]
    if isinstance(parts, int):
        small, more = divmod(n, parts)
        bounds = [0, *itertools.accumulate([small + 1] * more + [small] * (parts - more))]
    else:
        bounds = [0, *(range(n)[:cut].stop for cut in parts), n]
    return [narrow(x, axis, start, max(start, stop)) for start, stop in itertools.pairwise(bounds)]


@function(
    lambda: [
        Sample(
            (
                reals(7, 2),
                3,
            )
        )
    ]
)
def chunk(x: TensorLike, parts: int, axis: int = 0) -> list[Tensor]:
    """At most so many parts of one extent, but for a smaller last one, as in PyTorch."""
    x = as_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    n = x.shape[axis]
    size = max(math.ceil(n / parts), 1)
    return [narrow(x, axis, at, min(at + size, n)) for at in range(0, max(n, 1), size)]


def _split_on(name: str, axis: int, word: str) -> Any:
    def body(x: TensorLike, parts: int | Sequence[int]) -> list[Tensor]:
        x = as_tensor(x)
        own = 0 if name == "hsplit" and x.ndim == 1 else axis
        return split(x, parts, own) if isinstance(parts, int) else array_split(x, parts, own)

    body.__name__ = body.__qualname__ = name
    body.__doc__ = f"Equal parts along the {word} axis, or cut before the given indices."
    shape = (4, 4, 4)[: axis + 1]
    return function(
        lambda: [
            Sample(
                (
                    reals(*shape),
                    2,
                )
            ),
            Sample(
                (
                    reals(*shape),
                    [1, 3],
                )
            ),
        ],
        name,
    )(body)


hsplit = _split_on("hsplit", 1, "second")
vsplit = _split_on("vsplit", 0, "first")
dsplit = _split_on("dsplit", 2, "third")


@function(lambda: [Sample((reals(2, 3),))])
def fliplr(x: TensorLike) -> Tensor:
    """The columns in reverse order."""
    return flip(x, 1)


@function(lambda: [Sample((reals(2, 3),))])
def flipud(x: TensorLike) -> Tensor:
    """The rows in reverse order."""
    return flip(x, 0)


@function(
    lambda: [
        Sample((reals(2, 3),)),
        Sample(
            (
                reals(2, 3),
                1,
            )
        ),
        Sample(
            (
                reals(3, 2),
                -1,
                0,
                2,
            )
        ),
    ]
)
def diag_embed(x: TensorLike, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """Matrices with the vectors of the last axis as diagonals, on two new axes."""
    x = as_tensor(x)
    n = x.shape[-1] + abs(offset)
    padded = pad(x, [(0, 0)] * (x.ndim - 1) + [(max(offset, 0), max(-offset, 0))])
    matrices = where(np.eye(n, k=offset, dtype=bool), expand_dims(padded, -2), 0)
    return moveaxis(matrices, (-2, -1), (axis1, axis2))


@function(
    lambda: [
        Sample((reals(2, 2),)),
        Sample(
            (
                reals(2),
                1,
            )
        ),
    ]
)
def diagflat(x: TensorLike, offset: int = 0) -> Tensor:
    """The matrix with all elements, row by row, as its diagonal."""
    return diag(ravel(x), offset)


@function(lambda: [Sample(([reals(1, 2), reals(2, 2), reals(2)],))])
def block_diag(tensors: Iterable[TensorLike]) -> Tensor:
    """Matrices one below and beside the other, zeros around; vectors count as rows."""
    parts = _of_one_type(_all(tensors, atleast_2d))
    width = sum(x.shape[1] for x in parts)
    rows, before = [], 0
    for x in parts:
        if x.ndim != 2:
            raise ShapeError("block_diag takes matrices.", found=str(x.type))
        rows.append(pad(x, [(0, 0), (before, width - before - x.shape[1])]))
        before += x.shape[1]
    return concatenate(rows, 0)


def _of_one_type(tensors: Sequence[Tensor]) -> list[Tensor]:
    """With the strongest element type of all, each of its own shape."""
    dtype = align(*(full((), 0, x.dtype) for x in tensors))[0].dtype
    return [as_tensor(x).astype(dtype) for x in tensors]


@function(
    lambda: [
        Sample(
            (
                reals(2, 1),
                reals(3),
            )
        ),
        Sample(
            (
                reals(),
                reals(2),
            )
        ),
    ]
)
def broadcast_arrays(*tensors: TensorLike) -> list[Tensor]:
    """All of them repeated to one shape; each keeps its element type."""
    parts = [as_tensor(x) for x in tensors]
    shape = align(*parts)[0].shape if parts else ()
    return [broadcast_to(x, shape) for x in parts]


@function(
    lambda: [
        Sample(
            (
                reals(2),
                reals(3),
            )
        ),
        Sample((reals(2),)),
    ]
)
def cartesian_product(*vectors: TensorLike) -> Tensor:
    """All choices of one element of each vector, a row each, the last changing fastest."""
    if len(vectors) == 1:
        return as_tensor(vectors[0])
    return stack([ravel(x) for x in meshgrid(*vectors)], -1)


@function(
    lambda: [
        Sample((reals(4),)),
        Sample(
            (
                reals(3),
                2,
                True,
            )
        ),
    ]
)
def combinations(x: TensorLike, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of ``r`` elements of a vector, in their order, a row each."""
    x = as_tensor(x)
    choose: Any = (
        itertools.combinations_with_replacement if with_replacement else itertools.combinations
    )
    if x.ndim != 1:
        raise ShapeError("combinations takes a vector.", found=str(x.type))
    rows = np.array(list(choose(range(x.shape[0]), r)), np.int64).reshape(-1, r)
    return take(x, rows)


@function(
    lambda: [
        Sample(
            (
                reals(5),
                3,
            )
        ),
        Sample(
            (
                reals(2, 6),
                2,
                1,
                2,
            )
        ),
    ]
)
def sliding_window_view(x: TensorLike, window: int, axis: int = -1, step: int = 1) -> Tensor:
    """The windows along an axis, with their elements on a new last axis (PyTorch's unfold).

    Args:
        x: any tensor.
        window: how many elements are in one.
        axis: along which it slides.
        step: how far it moves.
    """
    x = as_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    if not 1 <= window <= x.shape[axis] or step < 1:
        raise ShapeError(
            "The window does not fit.",
            expected=f"a window of 1 to {x.shape[axis]}, a step of at least 1",
            found=f"a window of {window}, a step of {step}",
        )
    count = (x.shape[axis] - window) // step + 1
    places = np.arange(count)[:, None] * step + np.arange(window)
    return moveaxis(take(x, places, axis), axis + 1, -1)
