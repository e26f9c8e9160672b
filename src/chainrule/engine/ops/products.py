"""Matrix products."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from ...errors import ShapeError
from ..ir.batch_axis import (
    Axes,
    Axis,
    BatchRule,
    BatchWalk,
    Places,
    RowsDependError,
    at_places,
    first_axis,
    together,
)  # fmt: skip
from ..ir.node import Node
from ..ir.notation import Notation
from ..ir.operation import Operation, Sample, register
from ..ir.types import Type
from ..tensor import Tensor, TensorLike, apply, as_tensor
from . import mapping
from .declare import align, broadcast_to, cast, function, normalize_axis, reals
from .elementwise import result_dtype, where
from .indexing import getitem
from .reduction import norm, sum
from .shape import expand_dims, flatten, pad, reshape, roll, transpose

__all__ = [
    "cosine_similarity", "cross", "diag", "diagonal", "dot", "inner", "kron", "matmul",
    "outer", "tensordot", "vdot",
]  # fmt: skip

# ---- the operation: batches of matrices, each taken as it is or transposed -------------------


def _matmul_type(a: Type, b: Type, *, transpose_a: bool, transpose_b: bool) -> Type:
    if len(a.shape) == len(b.shape) == 2 and a.dtype == b.dtype:  # what is usual, quickly
        height, depth = a.shape[::-1] if transpose_a else a.shape
        same, width = b.shape[::-1] if transpose_b else b.shape
        if depth == same:
            return Type(a.dtype, (height, width))
    if len(a.shape) < 2 or a.shape[:-2] != b.shape[:-2] or a.dtype != b.dtype:
        raise ShapeError("matmul takes equal batches of matrices.", expected=f"like {a}",
                         found=str(b))  # fmt: skip
    rows, inner = reversed(a.shape[-2:]) if transpose_a else a.shape[-2:]
    other, columns = reversed(b.shape[-2:]) if transpose_b else b.shape[-2:]
    if inner != other:
        raise ShapeError(
            "The inner extents of a matrix product differ.",
            expected=f"{inner} rows on the right, as there are {inner} columns on the left",
            found=f"({rows}, {inner}) @ ({other}, {columns})",
        )
    return Type(a.dtype, (*a.shape[:-2], rows, columns))


def _matmul(xp: Any, a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> Any:
    a = a.swapaxes(-1, -2) if transpose_a else a
    b = b.swapaxes(-1, -2) if transpose_b else b
    return xp.matmul(a, b)


def _product(a: Tensor, b: Tensor, transpose_a: bool, transpose_b: bool) -> Tensor:
    return apply(MATMUL, a, b, transpose_a=transpose_a, transpose_b=transpose_b)


def _left(g: Tensor, y: Tensor, a: Tensor, b: Tensor, transpose_a: bool, transpose_b: bool) -> Any:
    """Y = A·B gives ∂L/∂A = G·Bᵀ, and (∂L/∂A)ᵀ = B·Gᵀ when A was given transposed."""
    if transpose_a:
        return _product(b, g, transpose_b, True)
    return _product(g, b, False, not transpose_b)


def _right(g: Tensor, y: Tensor, a: Tensor, b: Tensor, transpose_a: bool, transpose_b: bool) -> Any:
    """Y = A·B gives ∂L/∂B = Aᵀ·G, and (∂L/∂B)ᵀ = Gᵀ·A when B was given transposed."""
    if transpose_b:
        return _product(g, a, True, transpose_a)
    return _product(a, g, not transpose_a, False)


def _matmul_samples() -> list[Sample]:
    samples = []
    for ta, tb in [(False, False), (False, True), (True, False), (True, True)]:
        for batch, m, k, n in [((), 2, 3, 4), ((2, 2), 1, 3, 2), ((), 2, 0, 3), ((0,), 1, 2, 3)]:
            a = reals(*batch, *((k, m) if ta else (m, k)))
            b = reals(*batch, *((n, k) if tb else (k, n)), seed=1)
            samples.append(Sample((a, b), {"transpose_a": ta, "transpose_b": tb}))
    return samples


def _matmul_rows(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    a, b = axes
    how, matrix = node.attributes, len(node.type.shape) - 2
    axis = first_axis(axes)
    if axis.place < matrix:
        return together(walk, node, axes)
    if b is None and axis.place == matrix + how["transpose_a"]:
        return axis.at(matrix)
    if a is None and axis.place == matrix + 1 - how["transpose_b"]:
        return axis.at(matrix + 1)
    raise RowsDependError


def _summed_rows(node: Node, axes: Axes) -> Places | None:
    """The inner axis holds the rows: the gradient of a layer's weights."""
    matrix = len(node.type.shape) - 2
    a = matrix + 1 - node.attributes["transpose_a"]
    b = matrix + node.attributes["transpose_b"]
    return at_places(axes, (a, b))


MATMUL = register(
    Operation(
        "matmul",
        _matmul_type,
        _matmul,
        (_left, _right),
        "{0} · {1}",
        _matmul_samples,
        batch=BatchRule(_matmul_rows, sums=_summed_rows),
        work=lambda y, a, b, transpose_a, transpose_b: y.size * a.shape[-2 if transpose_a else -1],
        notation=Notation(
            title="weighted sums (matrix product)",
            inside=("add", "subtract"),
            gradient="A weighted sum passes it on to each input times its weight, and to each "
            "weight times its input.",
        ),
        linear=True,
        vmap=mapping.leading,
    )
)

# ---- functions -------------------------------------------------------------------------------


@function(
    lambda: [
        Sample((reals(2, 3), reals(3, 4, seed=1))),
        Sample((reals(3), reals(3, seed=1))),
        Sample((reals(2, 3), reals(3, seed=1))),
        Sample((reals(3), reals(2, 3, 4, seed=1))),
        Sample((reals(5, 2, 3), reals(3, 4, seed=1))),
        Sample((reals(2, 1, 2, 3), reals(4, 3, 2, seed=1))),
    ]
)
def matmul(a: TensorLike, b: TensorLike) -> Tensor:
    """The matrix product ``a @ b``, with NumPy's treatment of vectors and batches."""
    a, b = as_tensor(a), as_tensor(b)
    of_a, of_b = a.node.type, b.node.type
    if len(of_a.shape) == len(of_b.shape) == 2 and of_a.dtype is of_b.dtype:
        return _product(a, b, False, False)
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError("matmul takes vectors and matrices.", found=f"{a.type} @ {b.type}",
                         hint="Use * to multiply by a single number.")  # fmt: skip
    dtype = result_dtype(a, b)
    left, right = cast(a, dtype), cast(b, dtype)
    if a.ndim == b.ndim == 2:
        return _product(left, right, False, False)
    left = expand_dims(left, 0) if a.ndim == 1 else left
    right = expand_dims(right, -1) if b.ndim == 1 else right
    y = _batched(left, right)
    lead = y.shape[:-2] + (() if a.ndim == 1 else (y.shape[-2],))
    return reshape(y, lead + (() if b.ndim == 1 else (y.shape[-1],)))


def _batched(a: Tensor, b: Tensor) -> Tensor:
    if b.ndim == 2 and a.ndim > 2:  # one matrix for the whole batch: a single large product
        rows = reshape(a, (math.prod(a.shape[:-1]), a.shape[-1]))
        y = _product(rows, b, False, False)
        return reshape(y, (*a.shape[:-1], b.shape[-1]))
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError("The batches of a matrix product differ.",
                         found=f"{a.shape} @ {b.shape}") from None  # fmt: skip
    a = broadcast_to(a, (*batch, *a.shape[-2:]))
    b = broadcast_to(b, (*batch, *b.shape[-2:]))
    return _product(a, b, False, False)


@function(lambda: [Sample((reals(3), reals(3, seed=1))), Sample((reals(2, 3), reals(3)))])
def dot(a: TensorLike, b: TensorLike) -> Tensor:
    """Σ aᵢ·bᵢ over the last axes; for matrices the same as `matmul`."""
    return matmul(a, b)


@function(lambda: [Sample((reals(2), reals(3)))])
def outer(a: TensorLike, b: TensorLike) -> Tensor:
    """All products of the elements of two vectors."""
    a, b = as_tensor(a), as_tensor(b)
    return reshape(a, (-1, 1)) * reshape(b, (1, -1))


@function(lambda: [Sample((reals(3, 4),)), Sample((reals(2, 3, 3), 1))])
def diagonal(x: TensorLike, offset: int = 0) -> Tensor:
    """The diagonal of the last two axes."""
    x = as_tensor(x)
    rows, columns = x.shape[-2:]
    count = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    places = np.arange(count)
    return getitem(x, (Ellipsis, places - min(offset, 0), places + max(offset, 0)))


@function(lambda: [Sample((reals(3, 3),)), Sample((reals(2, 3, 3),))])
def trace(x: TensorLike) -> Tensor:
    """The sum of the diagonal of the last two axes."""
    return sum(diagonal(x), -1)


@function(lambda: [Sample((reals(3), 1)), Sample((reals(2), -2)), Sample((reals(3, 4),))])
def diag(x: TensorLike, k: int = 0) -> Tensor:
    """The matrix with this diagonal, or the diagonal of this matrix, as in NumPy."""
    x = as_tensor(x)
    if x.ndim != 1:
        return diagonal(x, k)
    n = x.size + builtins.abs(k)
    padded = pad(x, ((max(k, 0), max(-k, 0)),))
    return where(np.eye(n, k=k, dtype=bool), padded, 0)


@function(lambda: [Sample((reals(4), reals(4, seed=1))), Sample((reals(2, 3), reals(2, 3)))])
def vdot(a: TensorLike, b: TensorLike) -> Tensor:
    """Σ aᵢ·bᵢ over all elements."""
    return matmul(flatten(a), flatten(b))


@function(lambda: [Sample((reals(2, 3), reals(4, 3))), Sample((reals(3), reals(2, 2, 3)))])
def inner(a: TensorLike, b: TensorLike) -> Tensor:
    """All products of the vectors on the last axes; of a single number the product, as in NumPy."""
    a, b = as_tensor(a), as_tensor(b)
    if not (a.ndim and b.ndim):
        return a * b
    return tensordot(a, b, ((-1,), (-1,)))


@function(
    lambda: [
        Sample((reals(2, 3), reals(3, 4, seed=1)), {"axes": 1}),
        Sample((reals(2, 3), reals(2, 3, seed=1))),
        Sample((reals(2, 3, 4), reals(4, 2)), {"axes": ((0, 2), (1, 0))}),
    ]
)
def tensordot(a: TensorLike, b: TensorLike, axes: Any = 2) -> Tensor:
    """The sum of products over axes of both, as in NumPy.

    Args:
        a: any tensor.
        b: any tensor.
        axes: the axes of ``a`` and those of ``b``, or how many of the last of ``a`` and the first
            of ``b``.
    """
    a, b = as_tensor(a), as_tensor(b)
    if isinstance(axes, int):
        axes = (range(a.ndim - axes, a.ndim), range(axes))
    of_a, of_b = (
        [normalize_axis(axis, x.ndim) for axis in ((part,) if isinstance(part, int) else part)]
        for x, part in zip((a, b), axes, strict=True)
    )
    rest_a = [axis for axis in range(a.ndim) if axis not in of_a]
    rest_b = [axis for axis in range(b.ndim) if axis not in of_b]
    summed = [a.shape[axis] for axis in of_a]
    if summed != [b.shape[axis] for axis in of_b]:
        raise ShapeError("tensordot sums over equal extents.", expected=str(tuple(summed)),
                         found=str(tuple(b.shape[axis] for axis in of_b)))  # fmt: skip
    shape = [a.shape[axis] for axis in rest_a], [b.shape[axis] for axis in rest_b]
    left = reshape(transpose(a, [*rest_a, *of_a]), (math.prod(shape[0]), math.prod(summed)))
    right = reshape(transpose(b, [*of_b, *rest_b]), (math.prod(summed), math.prod(shape[1])))
    return reshape(matmul(left, right), (*shape[0], *shape[1]))


@function(lambda: [Sample((reals(2, 2), reals(1, 3))), Sample((reals(2), reals(2, 3)))])
def kron(a: TensorLike, b: TensorLike) -> Tensor:
    """The Kronecker product: ``b`` in place of every element of ``a``, times that element."""
    a, b = as_tensor(a), as_tensor(b)
    rank = max(a.ndim, b.ndim)
    of_a, of_b = ((1,) * (rank - x.ndim) + x.shape for x in (a, b))
    wide_a = reshape(a, [extent for n in of_a for extent in (n, 1)])
    wide_b = reshape(b, [extent for n in of_b for extent in (1, n)])
    return reshape(wide_a * wide_b, [n * m for n, m in zip(of_a, of_b, strict=True)])


@function(
    lambda: [Sample((reals(2, 3), reals(2, 3, seed=1))), Sample((reals(3, 2), reals(3, 1), 0))]
)
def cross(a: TensorLike, b: TensorLike, axis: int = -1) -> Tensor:
    """The vector product in three dimensions."""
    a, b = as_tensor(a), as_tensor(b)
    if a.shape[axis] != 3 or b.shape[axis] != 3:
        raise ShapeError("The vector product is of three numbers each.",
                         found=f"{a.type} and {b.type}")  # fmt: skip
    return roll(a, -1, axis) * roll(b, 1, axis) - roll(a, 1, axis) * roll(b, -1, axis)


@function(
    lambda: [
        Sample((reals(2, 3), reals(2, 3, seed=1))),
        Sample((reals(1, 2, 3), reals(2, 1, 3, seed=1), -2)),
    ]
)
def cosine_similarity(a: TensorLike, b: TensorLike, axis: int = -1, eps: float = 1e-8) -> Tensor:
    """a·b / (max(|a|, eps) · max(|b|, eps)) along an axis of both, broadcast to each other."""
    a, b = align(a, b, floats=True)
    lengths = [norm(x, axis) for x in (a, b)]
    safe = [where(length < eps, eps, length) for length in lengths]
    return sum(a * b, axis) / (safe[0] * safe[1])
