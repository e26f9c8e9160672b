"""Factorisations of matrices: Cholesky, LU, QR, eigenvalues of symmetric matrices, singular values.

Derivatives where a factor is not unique: of equal eigenvalues (singular values) the vectors may be
turned among one another, so that they have no derivative; the gradient of a function of them is NaN
there, as in PyTorch. That of a function of the values alone is right. Values nearer than n·ε times
the largest count as equal.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from ....errors import ConfigError
from ....utils.typing import Array
from ...ir.operation import NON_DIFFERENTIABLE, Operation, Sample, register
from ...ir.types import Record, Type, int64
from ...tensor import Tensor, TensorLike, apply, as_tensor
from ..declare import function, reals
from ..elementwise import abs, where
from ..indexing import one_hot
from ..products import matmul
from ..reduction import max
from ..scan import parts_of
from ..shape import concatenate, expand_dims, eye, narrow, tril, triu, zeros, zeros_like
from .matrices import (
    MATRICES,
    cubic,
    each,
    identity,
    invertible,
    matrix,
    need_matrix,
    need_positive,
    positive_definite,
    square_type,
    symmetric,
    transposed,
)  # fmt: skip
from .systems import solve_triangular

__all__ = [
    "cholesky", "cholesky_inverse", "eigh", "eigvalsh", "householder_product", "lu", "lu_factor",
    "lu_solve", "qr", "svd", "svdvals",
]  # fmt: skip

# ---- Cholesky --------------------------------------------------------------------------------


def _half(x: Tensor) -> Tensor:
    """The lower triangle with half of the diagonal."""
    return tril(x) * (1 - 0.5 * identity(x, x.shape[-1]))


def _cholesky_rule(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """S = L⁻ᵀ·Φ(Lᵀ·L̄)·L⁻¹ (Murray, 2016), as the gradient of the triangle that is read."""
    middle = _half(matmul(transposed(y), tril(g)))
    left = solve_triangular(y, middle, lower=True, transpose=True)
    both = solve_triangular(y, left, lower=True, left=False)
    return 2 * _half(symmetric(both))


def _cholesky(xp: Any, x: Any) -> Any:
    """L, NaN where a matrix is not positive definite."""
    return each(np.linalg.cholesky, x, fill=np.nan)


CHOLESKY: Operation = register(
    Operation(
        "cholesky",
        square_type("cholesky"),
        _cholesky,
        (_cholesky_rule,),
        "cholesky {0}",
        lambda: [
            Sample((positive_definite(3, 3),)),
            Sample((positive_definite(2, 2, 2),)),
            Sample((np.ones((1, 1)) * 2.0,)),
            Sample((np.ones((0, 0)),)),
        ],
        batch=MATRICES,
        work=cubic,
    )
)


@function(lambda: [Sample((positive_definite(2, 3, 3),)), Sample((invertible(2, 2),))],
          "linalg.cholesky")  # fmt: skip
def cholesky(x: TensorLike, upper: bool = False) -> Tensor:
    """The lower triangular L with L·Lᵀ = A, for symmetric positive definite A.

    Of a matrix that is not symmetric, (A + Aᵀ) / 2 is taken; so the derivative is symmetric.

    Args:
        x: (…, n, n).
        upper: whether to give Lᵀ.

    Raises:
        DataError: a matrix is not positive definite, or has NaN.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.cholesky([[4.0, 2.0], [2.0, 2.0]]).tolist()
        [[2.0, 0.0], [1.0, 1.0]]
    """
    x = matrix("cholesky", x, square=True)
    factor = need_positive(apply(CHOLESKY, symmetric(x)))
    return transposed(factor) if upper else factor


@function(lambda: [Sample((invertible(3, 3),))], "linalg.cholesky_inverse")
def cholesky_inverse(factor: TensorLike, upper: bool = False) -> Tensor:
    """The inverse of L·Lᵀ, from L; with ``upper`` that of Uᵀ·U, from U."""
    factor = matrix("cholesky_inverse", factor, square=True)
    inverse = solve_triangular(factor, eye(factor.shape[-1], dtype=factor.dtype), lower=not upper)
    left, right = (inverse, transposed(inverse)) if upper else (transposed(inverse), inverse)
    return matmul(left, right)


# ---- LU --------------------------------------------------------------------------------------


def _lu_type(x: Type) -> Type:
    need_matrix("lu", x)
    return Record([x, Type(int64, x.shape[:-1])])


def _lu(xp: Any, x: Any) -> Any:
    """Elimination with the largest pivot of a column: L below U in one matrix, and the rows."""
    stack: Array = np.array(x, order="C").reshape(-1, *x.shape[-2:])
    count, m, n = stack.shape
    rows = np.tile(np.arange(m), (count, 1))
    every = np.arange(count)
    for k in range(builtins.min(m - 1, n)):
        found = k + np.abs(stack[:, k:, k]).argmax(1)
        for array in (stack, rows):
            upper = array[every, k].copy()
            array[every, k] = array[every, found]
            array[every, found] = upper
        pivot = stack[:, k, k][:, None]
        stack[:, k + 1 :, k] /= np.where(pivot == 0, 1, pivot)
        stack[:, k + 1 :, k + 1 :] -= stack[:, k + 1 :, k, None] * stack[:, k, None, k + 1 :]
    return stack.reshape(x.shape), rows.reshape(x.shape[:-1])


def _lu_pull_back(
    walk: Any, upstream: dict[int, Tensor], wanted: list[int], y: Tensor, x: Tensor
) -> dict[int, Tensor]:
    """Of the rows in their new order: L⁻ᵀ·(tril(Lᵀ·L̄) + triu(Ū·Uᵀ))·U⁻ᵀ, then put back.

    What a tall matrix has below its square, and a wide one beside it, follows by substitution.
    """
    if 0 not in upstream:
        return {}
    packed, rows = parts_of(y)
    m, n = packed.shape[-2:]
    k, g = builtins.min(m, n), upstream[0]
    square, of_square = (_corner(z, k, k) for z in (packed, g))
    below: Tensor | None = None
    beside: Tensor | None = None
    of_lower, of_upper = tril(of_square, -1), triu(of_square)
    if m > n:
        factor, sent = (narrow(z, z.ndim - 2, k, m) for z in (packed, g))
        below = solve_triangular(square, sent, transpose=True, left=False)
        of_upper = of_upper - triu(matmul(transposed(factor), below))
    if n > m:
        factor, sent = (narrow(z, z.ndim - 1, k, n) for z in (packed, g))
        beside = solve_triangular(square, sent, lower=True, unit=True, transpose=True)
        of_lower = of_lower - tril(matmul(beside, transposed(factor)), -1)
    unit_lower = tril(square, -1) + identity(square, k)
    middle = tril(matmul(transposed(unit_lower), of_lower), -1)
    middle = middle + triu(matmul(of_upper, transposed(triu(square))))
    left = solve_triangular(square, middle, lower=True, unit=True, transpose=True)
    sent = solve_triangular(square, left, transpose=True, left=False)
    if below is not None:
        sent = concatenate([sent, below], sent.ndim - 2)
    if beside is not None:
        sent = concatenate([sent, beside], sent.ndim - 1)
    return {0: matmul(transposed(_permutation(rows, sent)), sent)}


def _corner(x: Tensor, rows: int, columns: int) -> Tensor:
    return narrow(narrow(x, x.ndim - 2, 0, rows), x.ndim - 1, 0, columns)


def _permutation(rows: Tensor, like: Tensor) -> Tensor:
    """The matrix that puts row ``rows[i]`` in place i."""
    return one_hot(rows, rows.shape[-1], like.dtype)


LU: Operation = register(
    Operation(
        "lu",
        _lu_type,
        _lu,
        formula="L and U of {0}",
        pull_back=_lu_pull_back,
        batch=MATRICES,
        work=cubic,
    )
)


@function(lambda: [Sample((invertible(3, 3),)), Sample((reals(2, 3, 2),))], "linalg.lu_factor")
def lu_factor(x: TensorLike) -> tuple[Tensor, Tensor]:
    """L and U of ``A[rows] = L·U`` in one matrix, L without its ones, and the rows.

    For `lu_solve`. Unlike PyTorch and SciPy it gives the order of the rows, not exchanges.
    """
    packed, rows = parts_of(apply(LU, matrix("lu_factor", x)))
    return packed, rows


@function(
    lambda: [Sample((invertible(3, 3),)), Sample((reals(2, 4),)), Sample((reals(2, 3, 2),))],
    "linalg.lu",
)
def lu(x: TensorLike) -> tuple[Tensor, Tensor, Tensor]:
    """P, L and U with A = P·L·U: a permutation, a unit lower and an upper triangular matrix.

    Example:
        >>> import chainrule as cr
        >>> p, l, u = cr.linalg.lu([[1.0, 1.0], [2.0, 4.0]])
        >>> p.tolist(), l.tolist(), u.tolist()
        ([[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.5, 1.0]], [[2.0, 4.0], [0.0, -1.0]])
    """
    packed, rows = lu_factor(x)
    m, n = packed.shape[-2:]
    k = builtins.min(m, n)
    lower = tril(_corner(packed, m, k), -1) + identity(packed, m, k)
    return transposed(_permutation(rows, packed)), lower, triu(_corner(packed, k, n))


@function(lambda: [Sample((invertible(3, 3), np.array([2, 0, 1]), reals(3, 2)))], "linalg.lu_solve")
def lu_solve(packed: TensorLike, rows: TensorLike, b: TensorLike) -> Tensor:
    """The X with A·X = B, from what `lu_factor` gave for A."""
    packed = matrix("lu_solve", packed, square=True)
    ordered = matmul(_permutation(as_tensor(rows), packed), b)
    first = solve_triangular(packed, ordered, lower=True, unit=True)
    return solve_triangular(packed, first)


# ---- QR --------------------------------------------------------------------------------------


def _qr_type(x: Type) -> Type:
    need_matrix("qr", x)
    m, n = x.shape[-2:]
    k = builtins.min(m, n)
    return Record([Type(x.dtype, (*x.shape[:-1], k)), Type(x.dtype, (*x.shape[:-2], k, n))])


def _qr_pull_back(
    walk: Any, upstream: dict[int, Tensor], wanted: list[int], y: Tensor, x: Tensor
) -> dict[int, Tensor]:
    """(Q̄ + Q·copyltu(R·R̄ᵀ - Q̄ᵀ·Q))·R⁻ᵀ, for at least as many rows as columns (Walter, 2010)."""
    q, r = parts_of(y)
    of_q, of_r = (upstream.get(i, zeros_like(z)) for i, z in enumerate((q, r)))
    middle = matmul(r, transposed(of_r)) - matmul(transposed(of_q), q)
    copied = tril(middle) + transposed(tril(middle, -1))
    sent = of_q + matmul(q, copied)
    return {0: solve_triangular(r, sent, transpose=True, left=False)}


def _complement_type(x: Type) -> Type:
    need_matrix("complement", x)
    m, n = x.shape[-2:]
    return Type(x.dtype, (*x.shape[:-1], builtins.max(m - n, 0)))


#: Orthonormal columns at right angles to those of a matrix. Which ones is arbitrary: no derivative.
COMPLEMENT: Operation = register(
    Operation(
        "complement",
        _complement_type,
        lambda xp, x: np.linalg.qr(x, "complete")[0][..., x.shape[-1] :],
        (NON_DIFFERENTIABLE,),
        "{0}^⊥",
        lambda: [
            Sample((np.linalg.qr(reals(4, 2))[0],), smooth=False),
            Sample((np.linalg.qr(reals(2, 3, 1))[0],), smooth=False),
            Sample((np.eye(2),), smooth=False),
        ],
        batch=MATRICES,
        work=cubic,
    )
)


def _completed(columns: Tensor) -> Tensor:
    """A square matrix with these orthonormal columns first."""
    if columns.shape[-2] == columns.shape[-1]:
        return columns
    return concatenate([columns, apply(COMPLEMENT, columns)], columns.ndim - 1)


QR: Operation = register(
    Operation(
        "qr", _qr_type, lambda xp, x: tuple(np.linalg.qr(x)), formula="Q and R of {0}",
        pull_back=_qr_pull_back, batch=MATRICES, work=cubic,
    )
)  # fmt: skip


@function(
    lambda: [
        Sample((reals(3, 2),)),
        Sample((reals(2, 2, 3),)),
        Sample((reals(2, 2),), {"mode": "r"}),
        Sample((reals(2, 3),), {"mode": "complete"}),
    ],
    "linalg.qr",
)
def qr(x: TensorLike, mode: str = "reduced") -> Any:
    """Q with orthonormal columns and the upper triangular R with Q·R = A.

    Args:
        x: (…, m, n).
        mode: "reduced" for Q and R with min(m, n) columns and rows, "complete" for Q of (m, m) and
            R of (m, n), or "r" for R alone, reduced.

    Returns:
        Q and R, or R. The derivative of a matrix whose first columns depend linearly is refused,
        and that of the columns which "complete" adds to Q, which are arbitrary.

    Example:
        >>> import chainrule as cr
        >>> q, r = cr.linalg.qr([[3.0, 1.0], [4.0, 2.0]])
        >>> abs(r).numpy().round(4).tolist()
        [[5.0, 2.2...], [0.0, 0.4...]]
    """
    if mode not in ("reduced", "complete", "r"):
        raise ConfigError("qr has three modes.", expected="'reduced', 'complete' or 'r'",
                          found=repr(mode))  # fmt: skip
    x = matrix("qr", x)
    m, n = x.shape[-2:]
    square = narrow(x, x.ndim - 1, 0, m) if n > m else x
    q, r = parts_of(apply(QR, square))
    if n > m:
        rest = narrow(x, x.ndim - 1, m, n)
        r = concatenate([r, matmul(transposed(q), rest)], r.ndim - 1)
    if mode == "r":
        return r
    if mode == "complete" and m > n:
        below = zeros((*r.shape[:-2], m - n, n), r.dtype)
        return _completed(q), concatenate([r, below], r.ndim - 2)
    return q, r


@function(
    lambda: [Sample((reals(3, 2), np.array([0.6, 1.1]))), Sample((reals(2, 3, 3), reals(2, 2)))],
    "linalg.householder_product",
)
def householder_product(x: TensorLike, scales: TensorLike) -> Tensor:
    """The first columns of the product of reflections I - τᵢ·vᵢ·vᵢᵀ, as LAPACK stores a Q.

    Args:
        x: (…, m, n): below its diagonal column i has what follows the 1 of vᵢ.
        scales: (…, k): the τᵢ.
    """
    x, tau = matrix("householder_product", x), as_tensor(scales)
    m, n = x.shape[-2:]
    vectors = tril(x, -1) + identity(x, m, n)
    result: Any = identity(x, m, n)
    for i in reversed(range(tau.shape[-1])):
        v = narrow(vectors, x.ndim - 1, i, i + 1)
        scale = expand_dims(narrow(tau, tau.ndim - 1, i, i + 1), -1)
        result = result - scale * matmul(v, matmul(transposed(v), result))
    return result


# ---- eigenvalues and singular values -----------------------------------------------------------


def _leading_sign(vectors: Array, axis: int) -> Array:
    """-1 where the first of the large components along an axis is negative, otherwise 1.

    A rule of ours, so that signs are the same on every backend and with every LAPACK. Of components
    that differ by rounding the first counts.
    """
    if not vectors.size:
        return np.ones((), vectors.dtype)
    size = np.abs(vectors)
    large = size >= 0.618 * size.max(axis, keepdims=True)
    first = np.take_along_axis(vectors, large.argmax(axis, keepdims=True), axis)
    return np.where(first < 0, vectors.dtype.type(-1), vectors.dtype.type(1))


def _over_gaps(turned: Tensor, values: Tensor, of: Tensor) -> Tensor:
    """``turned`` / (ofⱼ - ofᵢ), 0 on the diagonal; NaN between equal values, unless it is 0."""
    n = values.shape[-1]
    largest = max(abs(values), -1, keepdims=True) if n else values
    tiny = n * float(np.finfo(values.dtype).eps) * expand_dims(largest, -1)
    apart = abs(expand_dims(values, -2) - expand_dims(values, -1)) > tiny
    gaps = expand_dims(of, -2) - expand_dims(of, -1)
    undefined = where((turned == 0) | np.eye(n, dtype=bool), 0.0, math.nan)
    return where(apart, turned / where(apart, gaps, 1.0), undefined)


def _eigh(xp: Any, x: Any) -> Any:
    bad = ~np.isfinite(x).all((-2, -1), keepdims=True)
    if bad.any():  # LAPACK would not converge
        values, vectors = _eigh(xp, np.where(bad, x.dtype.type(0), x))
        return (
            np.where(bad[..., 0], np.nan, values).astype(x.dtype),
            np.where(bad, np.nan, vectors).astype(x.dtype),
        )
    values, vectors = np.linalg.eigh(x)
    return values, vectors * _leading_sign(vectors, -2)


def _eigh_pull_back(
    walk: Any, upstream: dict[int, Tensor], wanted: list[int], y: Tensor, x: Tensor
) -> dict[int, Tensor]:
    """V·(diag(λ̄) + F∘(Vᵀ·V̄))·Vᵀ with Fᵢⱼ = 1 / (λⱼ - λᵢ), as the gradient of a triangle."""
    values, vectors = parts_of(y)
    n = values.shape[-1]
    middle: Any = 0.0
    if 0 in upstream:
        middle = middle + expand_dims(upstream[0], -2) * identity(vectors, n)
    if 1 in upstream:
        turned = matmul(transposed(vectors), upstream[1])
        middle = middle + _over_gaps(turned, values, values)
    full = matmul(matmul(vectors, middle), transposed(vectors))
    return {0: 2 * _half(symmetric(full))}


EIGH: Operation = register(
    Operation(
        "eigh",
        lambda x: Record([Type(x.dtype, x.shape[:-1]), square_type("eigh")(x)]),
        _eigh,
        formula="eigenvalues and eigenvectors of {0}",
        pull_back=_eigh_pull_back,
        batch=MATRICES,
        work=cubic,
    )
)


@function(lambda: [Sample((positive_definite(3, 3),)), Sample((reals(2, 2, 2),))], "linalg.eigh")
def eigh(x: TensorLike) -> tuple[Tensor, Tensor]:
    """The eigenvalues of a symmetric matrix, smallest first, and its eigenvectors as columns.

    Of a matrix that is not symmetric, (A + Aᵀ) / 2 is taken. The first large component of an
    eigenvector is positive, "large" being at least 0.618 times the largest; of equal eigenvalues
    the vectors are any basis of their space, and have no derivative: NaN.

    Args:
        x: (…, n, n); one with NaN or infinities gives NaN.

    Returns:
        (…, n) and (…, n, n).

    Example:
        >>> import chainrule as cr
        >>> values, vectors = cr.linalg.eigh([[2.0, 1.0], [1.0, 2.0]])
        >>> values.numpy().round(4).tolist()
        [1.0, 3.0]
    """
    x = matrix("eigh", x, square=True)
    values, vectors = parts_of(apply(EIGH, symmetric(x)))
    return values, vectors


@function(lambda: [Sample((positive_definite(2, 3, 3),))], "linalg.eigvalsh")
def eigvalsh(x: TensorLike) -> Tensor:
    """The eigenvalues of a symmetric matrix, smallest first; see `eigh`."""
    return eigh(x)[0]


def _svd_type(x: Type) -> Type:
    need_matrix("svd", x)
    m, n = x.shape[-2:]
    k, batch = builtins.min(m, n), x.shape[:-2]
    return Record([Type(x.dtype, (*batch, *end)) for end in ((m, k), (k,), (k, n))])


def _svd(xp: Any, x: Any) -> Any:
    bad = ~np.isfinite(x).all((-2, -1), keepdims=True)
    if bad.any():  # LAPACK would not converge
        u, s, v = _svd(xp, np.where(bad, x.dtype.type(0), x))
        parts = ((bad, u), (bad[..., 0], s), (bad, v))
        return tuple(np.where(hole, np.nan, z).astype(x.dtype) for hole, z in parts)
    u, s, v = np.linalg.svd(x, full_matrices=False)
    sign = _leading_sign(u, -2)
    return u * sign, s, v * np.swapaxes(sign, -1, -2) if sign.ndim else v


def _over(x: Tensor, s: Tensor) -> Tensor:
    """x / s; where s is 0, NaN unless x is 0."""
    return where(s == 0, where(x == 0, 0.0, math.nan), x / where(s == 0, 1.0, s))


def _svd_pull_back(
    walk: Any, upstream: dict[int, Tensor], wanted: list[int], y: Tensor, x: Tensor
) -> dict[int, Tensor]:
    """U·(skew(Uᵀ·Ū)∘F·S + S·F∘skew(Vᵀ·V̄) + diag(s̄))·Vᵀ with Fᵢⱼ = 1 / (sⱼ² - sᵢ²).

    And what vectors send into the space beside them, if the matrix is not square (Townsend, 2016).
    """
    u, s, v = parts_of(y)
    k = s.shape[-1]
    columns, rows = expand_dims(s, -2), expand_dims(s, -1)
    middle: Any = 0.0
    if 1 in upstream:
        middle = middle + expand_dims(upstream[1], -2) * identity(u, k)
    beside: Any = 0.0
    if 0 in upstream:
        of_u = upstream[0]
        turned = matmul(transposed(u), of_u)
        middle = middle + _over_gaps(turned - transposed(turned), s, s * s) * columns
        if u.shape[-2] > k:
            outside = _over(of_u - matmul(u, turned), columns)
            beside = beside + matmul(outside, v)
    if 2 in upstream:
        of_v = transposed(upstream[2])
        turned = matmul(v, of_v)
        middle = middle + rows * _over_gaps(turned - transposed(turned), s, s * s)
        if v.shape[-1] > k:
            outside = _over(of_v - matmul(transposed(v), turned), columns)
            beside = beside + matmul(u, transposed(outside))
    return {0: matmul(matmul(u, middle), v) + beside}


SVD: Operation = register(
    Operation(
        "svd", _svd_type, _svd, formula="singular values and vectors of {0}",
        pull_back=_svd_pull_back, batch=MATRICES, work=cubic,
    )
)  # fmt: skip


@function(
    lambda: [Sample((reals(3, 2),)), Sample((reals(2, 2, 3),)), Sample((invertible(2, 2),))],
    "linalg.svd",
)
def svd(x: TensorLike, full_matrices: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """U, s and Vᵀ with A = U·diag(s)·Vᵀ: singular values, largest first, and their vectors.

    The first large component of a column of U is positive, as in `eigh`. Of equal singular values,
    and of 0, the vectors have no derivative: NaN.

    Args:
        x: (…, m, n); one with NaN or infinities gives NaN.
        full_matrices: whether U and V are square. The vectors which that adds are arbitrary; their
            derivative is refused. NumPy and PyTorch have True by default.

    Returns:
        (…, m, k), (…, k) and (…, k, n), k the smaller of m and n; with ``full_matrices`` (…, m, m)
        and (…, n, n).

    Example:
        >>> import chainrule as cr
        >>> u, s, vt = cr.linalg.svd([[3.0, 0.0], [0.0, -2.0], [0.0, 0.0]])
        >>> s.tolist()
        [3.0, 2.0]
    """
    u, s, v = parts_of(apply(SVD, matrix("svd", x)))
    if full_matrices:
        u, v = _completed(u), transposed(_completed(transposed(v)))
    return u, s, v


@function(lambda: [Sample((reals(2, 3, 2),))], "linalg.svdvals")
def svdvals(x: TensorLike) -> Tensor:
    """The singular values, largest first; see `svd`."""
    return svd(x)[1]
