"""Systems of linear equations: triangular and general ones, inverses, determinants.

A matrix with a pivot of exactly 0 is refused as singular, the same on every backend; one that is
nearly singular gives large numbers, as in NumPy. NaN in a matrix gives NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....errors import ShapeError
from ...ir.operation import Operation, Sample, register
from ...ir.types import Record, Type
from ...tensor import Tensor, TensorLike, apply
from ..declare import broadcast_to, cast, floating, function, reals
from ..elementwise import result_dtype, where
from ..products import matmul
from ..reduction import sum
from ..scan import parts_of
from ..shape import expand_dims, eye, moveaxis, reshape, tril, triu
from .matrices import (
    MATRICES,
    cubic,
    each,
    invertible,
    matrix,
    need_invertible,
    need_matrix,
    transposed,
)  # fmt: skip

__all__ = [
    "cholesky_solve", "det", "inv", "logdet", "slogdet", "solve", "solve_triangular", "tensorinv",
    "tensorsolve",
]  # fmt: skip

# ---- operations ------------------------------------------------------------------------------


def _system_type(name: str) -> Any:
    def rule(a: Type, b: Type, **attributes: Any) -> Type:
        need_matrix(name, a, square=True)
        need_matrix(name, b)
        if a.shape[:-1] != b.shape[:-1] or a.dtype != b.dtype:
            raise ShapeError(f"{name} takes as many right-hand sides' rows as the matrix has.",
                             expected=f"({', '.join(map(str, a.shape[:-1]))}, k) beside {a}",
                             found=str(b))  # fmt: skip
        return b

    return rule


def _solve(xp: Any, a: Any, b: Any) -> Any:
    """A⁻¹·B; infinite where a pivot is 0."""
    if not a.size or not b.size:
        return np.zeros(b.shape, b.dtype)
    return each(np.linalg.solve, a, b, fill=np.inf)


SOLVE: Operation = register(
    Operation(
        "solve",
        _system_type("solve"),
        _solve,
        (
            lambda g, y, a, b: -matmul(solve(transposed(a), g), transposed(y)),
            lambda g, y, a, b: solve(transposed(a), g),
        ),
        "{0}⁻¹ · {1}",
        lambda: [
            Sample((invertible(2, 2), reals(2, 3))),
            Sample((invertible(2, 3, 3), reals(2, 3, 1))),
            Sample((invertible(0, 0), reals(0, 2))),
        ],
        batch=MATRICES,
        work=cubic,
    )
)

_BLOCK = 64


def _triangular(xp: Any, a: Any, b: Any, lower: bool, transpose: bool, unit: bool) -> Any:
    """Substitution by blocks of rows; infinite where the diagonal has a 0."""
    if transpose:
        a, lower = np.swapaxes(a, -1, -2), not lower
    n = a.shape[-1]
    a = np.tril(a, -unit) if lower else np.triu(a, int(unit))
    if unit:
        a = a + np.eye(n, dtype=a.dtype)
    diagonal = np.diagonal(a, axis1=-2, axis2=-1)
    singular = (diagonal == 0).any(-1)[..., None, None]
    if singular.any():
        a = a + np.eye(n, dtype=a.dtype) * (a == 0)
    y = np.zeros(b.shape, b.dtype)
    starts = range(0, n, _BLOCK) if b.size else ()
    for start in starts if lower else reversed(starts):
        rows = slice(start, start + _BLOCK)
        done = slice(0, start) if lower else slice(start + _BLOCK, n)
        rest = b[..., rows, :] - a[..., rows, done] @ y[..., done, :]
        y[..., rows, :] = np.linalg.solve(a[..., rows, rows], rest)
    return np.where(singular, b.dtype.type(np.inf), y) if singular.any() else y


def _of_right_side(g: Tensor, y: Tensor, a: Tensor, b: Tensor, **how: Any) -> Tensor:
    return _substituted(a, g, how["lower"], not how["transpose"], how["unit"])


def _of_triangle(g: Tensor, y: Tensor, a: Tensor, b: Tensor, **how: Any) -> Tensor:
    """With B̄ = A⁻ᵀ·Ȳ, Ā = -B̄·Yᵀ, in the triangle that is read."""
    sent = _of_right_side(g, y, a, b, **how)
    left, right = (y, sent) if how["transpose"] else (sent, y)
    full = -matmul(left, transposed(right))
    return tril(full, -how["unit"]) if how["lower"] else triu(full, int(how["unit"]))


SOLVE_TRIANGULAR: Operation = register(
    Operation(
        "solve_triangular",
        _system_type("solve_triangular"),
        _triangular,
        (_of_triangle, _of_right_side),
        "{0}⁻¹ · {1}",
        lambda: [
            Sample(
                (invertible(2, 3, 3), reals(2, 3, 2)),
                {"lower": lower, "transpose": transpose, "unit": unit},
            )
            for lower in (True, False)
            for transpose, unit in [(False, False), (True, False), (True, True)]
        ] + [
            Sample((invertible(1, 1), reals(1, 0)),
                   {"lower": True, "transpose": False, "unit": False}),
        ],
        batch=MATRICES, work=cubic,
    )
)  # fmt: skip


def _substituted(a: Tensor, b: Tensor, lower: bool, transpose: bool, unit: bool) -> Tensor:
    how = {"lower": lower, "transpose": transpose, "unit": unit}
    return need_invertible(apply(SOLVE_TRIANGULAR, a, b, **how))


def _det_type(x: Type) -> Type:
    need_matrix("det", x, square=True)
    return Type(x.dtype, x.shape[:-2])


def _cofactors(xp: Any, x: Any) -> Any:
    """det(A)·A⁻ᵀ by singular values, so that it holds for singular matrices, too."""
    n = x.shape[-1]
    if not x.size:
        return np.zeros(x.shape, x.dtype)
    if not np.isfinite(x).all():
        return np.full(x.shape, np.nan, x.dtype)
    u, s, v = np.linalg.svd(x)
    others = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1)
    signs = np.linalg.det(u) * np.linalg.det(v)
    return ((u * (others * signs[..., None])[..., None, :]) @ v).astype(x.dtype)


def _cofactors_rule(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """From C = det(A)·B with B = A⁻ᵀ: Ā = ⟨C̄, C⟩·B - C·C̄ᵀ·B. Singular matrices are refused."""
    inverse = transposed(inv(x))
    total = expand_dims(sum(g * y, (-2, -1)), (-2, -1))
    return total * inverse - matmul(matmul(y, transposed(g)), inverse)


COFACTORS: Operation = register(
    Operation(
        "cofactors",
        lambda x: Type(x.dtype, (*_det_type(x).shape, *x.shape[-2:])),
        _cofactors,
        (_cofactors_rule,),
        "cofactors of {0}",
        lambda: [Sample((invertible(2, 3, 3),)), Sample((invertible(1, 1),))],
        batch=MATRICES,
        work=cubic,
    )
)
DET: Operation = register(
    Operation(
        "det",
        _det_type,
        lambda xp, x: np.asarray(np.linalg.det(x)).astype(x.dtype),
        (lambda g, y, x: expand_dims(g, (-2, -1)) * apply(COFACTORS, x),),
        "det {0}",
        lambda: [
            Sample((invertible(3, 3),)),
            Sample((invertible(2, 2, 2),)),
            Sample((np.ones((1, 1)) * 1.5,)),
        ],
        batch=MATRICES,
        work=cubic,
    )
)


def _slogdet_pull_back(
    walk: Any, upstream: dict[int, Tensor], wanted: list[int], y: Tensor, x: Tensor
) -> dict[int, Tensor]:
    if 1 not in upstream:
        return {}
    return {0: expand_dims(upstream[1], (-2, -1)) * transposed(inv(x))}


def _slogdet(xp: Any, x: Any) -> Any:
    sign, log_abs = np.linalg.slogdet(x)
    return np.asarray(sign, x.dtype), np.asarray(log_abs, x.dtype)


SLOGDET: Operation = register(
    Operation(
        "slogdet",
        lambda x: Record([_det_type(x)] * 2),
        _slogdet,
        formula="sign and ln |det {0}|",
        pull_back=_slogdet_pull_back,
        batch=MATRICES,
        work=cubic,
    )
)


# ---- functions -------------------------------------------------------------------------------


def _batched(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both with one element type and one batch."""
    dtype = result_dtype(a, b)
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError("The batches of a system of equations differ.",
                         found=f"{a.type} and {b.type}") from None  # fmt: skip
    return (
        broadcast_to(cast(a, dtype), (*batch, *a.shape[-2:])),
        broadcast_to(cast(b, dtype), (*batch, *b.shape[-2:])),
    )


def _system(name: str, a: TensorLike, b: TensorLike) -> tuple[Tensor, Tensor, bool]:
    a, b = matrix(name, a, square=True), floating(b)
    if b.ndim == 0 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else -1]:
        raise ShapeError(f"{name}: the right-hand side has as many rows as the matrix.",
                         expected=f"({a.shape[-1]},) or (…, {a.shape[-1]}, k) beside {a.type}",
                         found=str(b.type))  # fmt: skip
    is_vector = b.ndim == 1
    return (*_batched(a, expand_dims(b, -1) if is_vector else b), is_vector)


@function(
    lambda: [
        Sample((invertible(3, 3), reals(3))),
        Sample((invertible(2, 3, 3), reals(3, 2))),
        Sample((invertible(2, 2), reals(2, 2, 1))),
    ],
    "linalg.solve",
)
def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """The X with A·X = B, by elimination with pivots.

    Args:
        a: (…, n, n).
        b: a vector (n,), or (…, n, k); batches are broadcast.

    Returns:
        like ``b``.

    Raises:
        DataError: the matrix is singular, that is a pivot is exactly 0.
        ShapeError: the shapes do not fit together.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.solve([[2.0, 0.0], [1.0, 1.0]], [2.0, 3.0]).tolist()
        [1.0, 2.0]
    """
    left, right, is_vector = _system("solve", a, b)
    x = need_invertible(apply(SOLVE, left, right))
    return reshape(x, x.shape[:-1]) if is_vector else x


@function(
    lambda: [
        Sample((invertible(3, 3), reals(3, 2))),
        Sample((invertible(2, 3, 3), reals(3)), {"lower": True}),
        Sample((invertible(2, 2), reals(3, 2)), {"left": False, "unit": True}),
    ],
    "linalg.solve_triangular",
)
def solve_triangular(
    a: TensorLike,
    b: TensorLike,
    lower: bool = False,
    unit: bool = False,
    transpose: bool = False,
    left: bool = True,
) -> Tensor:
    """The X with A·X = B, where only one triangle of A is read.

    Args:
        a: (…, n, n).
        b: a vector (n,), or (…, n, k).
        lower: which triangle.
        unit: whether the diagonal is taken as ones.
        transpose: whether Aᵀ takes the place of A.
        left: False for X·A = B.

    Raises:
        DataError: the diagonal has a 0.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.solve_triangular([[2.0, 1.0], [9.0, 1.0]], [4.0, 2.0]).tolist()
        [1.0, 2.0]
    """
    if not left:
        turned = solve_triangular(a, transposed(matrix("solve_triangular", b)), lower, unit,
                                  not transpose)  # fmt: skip
        return transposed(turned)
    matrices, right, is_vector = _system("solve_triangular", a, b)
    x = _substituted(matrices, right, bool(lower), bool(transpose), bool(unit))
    return reshape(x, x.shape[:-1]) if is_vector else x


@function(lambda: [Sample((invertible(2, 2),)), Sample((invertible(2, 3, 3),))], "linalg.inv")
def inv(x: TensorLike) -> Tensor:
    """The inverse of a square matrix; `solve` is quicker and more exact for A⁻¹·B.

    Raises:
        DataError: the matrix is singular.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.inv([[2.0, 0.0], [0.0, 4.0]]).tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    x = matrix("inv", x, square=True)
    return solve(x, eye(x.shape[-1], dtype=x.dtype))


@function(lambda: [Sample((invertible(3, 3),)), Sample((invertible(2, 1, 1),))], "linalg.det")
def det(x: TensorLike) -> Tensor:
    """The determinant of a square matrix.

    The derivative is right for singular matrices, too; the second derivative refuses them.

    Example:
        >>> import chainrule as cr
        >>> round(cr.linalg.det([[1.0, 2.0], [3.0, 4.0]]).item(), 4)
        -2.0
    """
    return apply(DET, matrix("det", x, square=True))


@function(lambda: [Sample((invertible(3, 3),)), Sample((-invertible(2, 3, 3),))], "linalg.slogdet")
def slogdet(x: TensorLike) -> tuple[Tensor, Tensor]:
    """The sign of the determinant, and ln |det|, which neither overflows nor underflows.

    Of a singular matrix they are 0 and -∞; its derivative is refused.
    """
    sign, log_abs = parts_of(apply(SLOGDET, matrix("slogdet", x, square=True)))
    return sign, log_abs


@function(lambda: [Sample((invertible(2, 3, 3),))], "linalg.logdet")
def logdet(x: TensorLike) -> Tensor:
    """ln det of matrices with a positive determinant; NaN for a negative one, -∞ for 0."""
    sign, log_abs = slogdet(x)
    return where(sign < 0, math.nan, log_abs)


@function(lambda: [Sample((reals(3, 2), invertible(3, 3)))], "linalg.cholesky_solve")
def cholesky_solve(b: TensorLike, factor: TensorLike, upper: bool = False) -> Tensor:
    """The X with A·X = B, from the Cholesky factor L of A = L·Lᵀ, or U of A = Uᵀ·U.

    Args:
        b: (…, n, k).
        factor: (…, n, n), of which one triangle is read.
        upper: whether it is U.
    """
    first = solve_triangular(factor, b, lower=not upper, transpose=upper)
    return solve_triangular(factor, first, lower=not upper, transpose=not upper)


@function(lambda: [Sample((invertible(4, 4).reshape(2, 2, 4), reals(2, 2)))], "linalg.tensorsolve")
def tensorsolve(a: TensorLike, b: TensorLike, axes: Any = None) -> Tensor:
    """The X with ``tensordot(a, X, X.ndim) = b``, as in NumPy."""
    a, b = floating(a), floating(b)
    if axes is not None:
        a = moveaxis(a, tuple(axes), tuple(range(a.ndim - len(axes), a.ndim)))
    shape = a.shape[b.ndim :]
    if math.prod(shape) != b.size or a.size != b.size**2:
        raise ShapeError("tensorsolve takes as many equations as unknowns.",
                         expected=f"{b.size} numbers on the last axes of a",
                         found=f"{shape}")  # fmt: skip
    return reshape(solve(reshape(a, (b.size, b.size)), reshape(b, (b.size,))), shape)


@function(lambda: [Sample((invertible(4, 4).reshape(2, 2, 4),))], "linalg.tensorinv")
def tensorinv(a: TensorLike, ind: int = 2) -> Tensor:
    """The inverse of `tensordot` with ``a`` over its axes from ``ind`` on, as in NumPy."""
    a = floating(a)
    first, last = a.shape[:ind], a.shape[ind:]
    if ind <= 0 or math.prod(first) != math.prod(last):
        raise ShapeError("tensorinv takes equal extents before and after ind.",
                         expected=f"{math.prod(last)} numbers before axis {ind}",
                         found=str(a.type))  # fmt: skip
    n = math.prod(first)
    return reshape(inv(reshape(a, (n, n))), (*last, *first))
