"""What the operations on matrices share: type rules, refusals, rows of a batch, samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....errors import ChainruleError, DataError, ShapeError
from ....utils.typing import Array
from ...ir.batch_axis import Axes, BatchRule, BatchWalk, RowsDependError, first_axis
from ...ir.node import Node
from ...ir.types import Record, Type
from ...tensor import Tensor, TensorLike, as_tensor
from ..check import refusal, require
from ..declare import floating, need_float, reals
from ..shape import swapaxes


@refusal("matrix")
def _refuse_matrix(
    values: Array, index: tuple[int, ...], what: str, expected: str, found: str, hint: str
) -> ChainruleError:
    """Say which matrix of a batch does not fit, by the first number that tells it."""
    batch = list(index[:-2])
    place = f", matrix {batch} of the batch" if batch else ""
    return DataError(what, expected=expected, found=found + place, hint=hint)


SINGULAR = (
    "The matrix is singular.",
    "an invertible matrix",
    "a pivot of 0",
    "Use cr.linalg.lstsq or cr.linalg.pinv, or add a small multiple of the identity.",
)
NOT_POSITIVE = (
    "The matrix is not positive definite.",
    "a symmetric matrix with positive eigenvalues",
    "a pivot that is not positive",
    "Add a small multiple of the identity, or use cr.linalg.eigh.",
)


def need_invertible(x: Tensor) -> Tensor:
    """The solution of a system, refused where a pivot of 0 made it infinite."""
    return require(x, lambda x: (x != np.inf) & (x != -np.inf), SINGULAR, "matrix")


def need_positive(x: Tensor) -> Tensor:
    """The factor of a matrix, refused where a pivot that is not positive made it NaN."""
    return require(x, lambda x: x == x, NOT_POSITIVE, "matrix")


# ---- type rules ------------------------------------------------------------------------------


def need_matrix(name: str, x: Type, square: bool = False) -> None:
    """Refuse what is not a matrix, or a batch of them, of floating-point numbers."""
    need_float(name, x)
    if len(x.shape) < 2 or (square and x.shape[-1] != x.shape[-2]):
        raise ShapeError(
            f"{name} takes {'square ' if square else ''}matrices.",
            expected="(…, n, n)" if square else "(…, m, n)",
            found=str(x),
        )


def square_type(name: str) -> Callable[..., Type]:
    """Square matrices in, square matrices out."""

    def rule(x: Type, **attributes: Any) -> Type:
        need_matrix(name, x, square=True)
        return x

    return rule


def matrix(name: str, x: TensorLike, square: bool = False) -> Tensor:
    """The operand of a function, checked."""
    x = floating(x)
    need_matrix(name, x.type, square)
    return x


def transposed(x: Tensor) -> Tensor:
    """The matrices transposed."""
    return swapaxes(x, -1, -2)


def symmetric(x: Tensor) -> Tensor:
    """(A + Aᵀ) / 2: so an operation that reads one triangle has a symmetric derivative."""
    return (x + transposed(x)) * 0.5


def identity(like: Tensor, rows: int, columns: int | None = None) -> Tensor:
    """The identity matrix with the element type of another tensor."""
    return as_tensor(np.eye(rows, columns), like.dtype)


# ---- rows of a batch -------------------------------------------------------------------------


def _rows(walk: BatchWalk, node: Node, axes: Axes) -> Any:
    """Rows lie before the last two axes of every operand, and of every result."""
    results = len(node.type.parts) if isinstance(node.type, Record) else 0
    if results and not any(axes):
        return [None] * results
    axis = first_axis(axes)
    for source, own in zip(node.inputs, axes, strict=True):
        if own != axis or own.place >= len(source.type.shape) - 2:
            raise RowsDependError
    return [axis] * results if results else axis


#: Every matrix of a batch by itself.
MATRICES = BatchRule(_rows)


def cubic(y: Type, *operands: Type, **how: Any) -> int:
    """The work of a factorisation: for each element of the matrices, a few rows of them."""
    return max(32 * x.size * max(x.shape[-2:]) for x in operands)


# ---- computation, matrix by matrix where one of a batch fails -----------------------------------


def each(compute: Callable[..., Array], *stacks: Array, fill: float) -> Array:
    """A computation on batches of matrices; what it refuses becomes ``fill``."""
    try:
        return compute(*stacks)
    except np.linalg.LinAlgError:
        shape = stacks[0].shape[:-2]
        result: Any = np.full(stacks[-1].shape, fill, stacks[-1].dtype)
        for place in np.ndindex(shape):
            try:
                result[place] = compute(*(stack[place] for stack in stacks))
            except np.linalg.LinAlgError:
                continue
        return np.asarray(result)


def invertible(*shape: int, seed: int = 0) -> Array:
    """Square matrices far from singular, for samples."""
    return reals(*shape, low=-1.0, high=1.0, seed=seed) + 2.5 * np.eye(shape[-1])


def positive_definite(*shape: int, seed: int = 0) -> Array:
    """Symmetric matrices with positive eigenvalues, for samples."""
    x = reals(*shape, seed=seed)
    return np.asarray(x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1]))
