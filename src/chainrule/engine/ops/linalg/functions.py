"""Functions of matrices: pseudo-inverse, least squares, powers, exponential, norms."""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ....errors import ConfigError, ShapeError
from ....utils.typing import Array
from ...ir.operation import Operation, Sample, register
from ...ir.types import Type
from ...tensor import Tensor, TensorLike, apply, as_tensor
from ..declare import align, floating, function, normalize_axes, normalize_axis, reals
from ..elementwise import abs
from ..products import diagonal as _diagonal
from ..products import matmul
from ..reduction import max, min, sum
from ..reduction import norm as _flat_norm
from ..shape import concatenate, expand_dims, moveaxis, narrow, reshape, stack, zeros_like
from .factorizations import svdvals
from .matrices import (
    MATRICES,
    cubic,
    identity,
    invertible,
    matrix,
    need_matrix,
    square_type,
    transposed,
)  # fmt: skip
from .systems import inv

__all__ = [
    "cond", "diagonal", "lstsq", "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank",
    "multi_dot", "norm", "pinv", "vander", "vecdot", "vector_norm",
]  # fmt: skip

# ---- pseudo-inverse --------------------------------------------------------------------------


def _pinv_type(x: Type, **attributes: Any) -> Type:
    need_matrix("pinv", x)
    return Type(x.dtype, (*x.shape[:-2], x.shape[-1], x.shape[-2]))


def _pinv(xp: Any, x: Any, rtol: float) -> Any:
    if not x.size:
        return np.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
    bad = ~np.isfinite(x).all((-2, -1), keepdims=True)
    y = np.linalg.pinv(np.where(bad, 0, x) if bad.any() else x, rcond=rtol)
    return np.where(bad, x.dtype.type(np.nan), y)


def _pinv_rule(g: Tensor, y: Tensor, x: Tensor, *, rtol: float) -> Tensor:
    """Of a rank that stays the same (Golub and Pereyra, 1973), with P the pseudo-inverse.

    Ā = -Pᵀ·P̄·Pᵀ + (I - A·P)·P̄ᵀ·P·Pᵀ + Pᵀ·P·P̄ᵀ·(I - P·A).
    """
    turned, sent = transposed(y), transposed(g)
    left = identity(x, x.shape[-2]) - matmul(x, y)
    right = identity(x, x.shape[-1]) - matmul(y, x)
    first = -matmul(turned, matmul(g, turned))
    second = matmul(matmul(left, sent), matmul(y, turned))
    return first + second + matmul(matmul(turned, y), matmul(sent, right))


PINV: Operation = register(
    Operation(
        "pinv",
        _pinv_type,
        _pinv,
        (_pinv_rule,),
        "{0}⁺",
        lambda: [
            Sample((reals(3, 2),), {"rtol": 1e-15}),
            Sample((reals(2, 2, 3),), {"rtol": 1e-15}),
            Sample((reals(1, 1, low=0.5),), {"rtol": 1e-15}),
        ],
        batch=MATRICES,
        work=cubic,
    )
)


@function(lambda: [Sample((reals(3, 2),)), Sample((invertible(2, 2),))], "linalg.pinv")
def pinv(x: TensorLike, rtol: float | None = None) -> Tensor:
    """The pseudo-inverse of Moore and Penrose; its derivative takes the rank as fixed.

    Args:
        x: (…, m, n).
        rtol: singular values at most so many times the largest count as 0; max(m, n)·ε without it.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.pinv([[2.0, 0.0], [0.0, 0.0]]).tolist()
        [[0.5, 0.0], [0.0, 0.0]]
    """
    x = matrix("pinv", x)
    return apply(PINV, x, rtol=_tolerance(x, rtol))


def _tolerance(x: Tensor, rtol: float | None) -> float:
    if rtol is not None:
        return float(rtol)
    return builtins.max(x.shape[-2:]) * float(np.finfo(x.dtype).eps)


@function(lambda: [Sample((reals(4, 2), reals(4, 3))), Sample((reals(2, 3), reals(2)))],
          "linalg.lstsq")  # fmt: skip
def lstsq(
    a: TensorLike, b: TensorLike, rtol: float | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The X with the smallest |A·X - B|, of several the smallest one.

    Args:
        a: (…, m, n), of any rank.
        b: (m,) or (…, m, k).
        rtol: as of `pinv`.

    Returns:
        as NumPy gives them: X, the sums of squares that remain (of a matrix without full rank, or
        with m ≤ n, none), the rank, and the singular values.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.lstsq([[1.0], [1.0]], [1.0, 3.0])[0].numpy().round(4).tolist()
        [2.0]
    """
    a, b = matrix("lstsq", a), floating(b)
    if b.ndim == 0 or b.shape[-2 if b.ndim > 1 else -1] != a.shape[-2]:
        raise ShapeError("lstsq: the right-hand side has as many rows as the matrix.",
                         expected=f"({a.shape[-2]},) or (…, {a.shape[-2]}, k) beside {a.type}",
                         found=str(b.type))  # fmt: skip
    x = matmul(pinv(a, rtol), b)
    rest = matmul(a, x) - b
    residuals = sum(rest * rest, -1 if b.ndim == 1 else -2)
    return x, residuals, matrix_rank(a, rtol), svdvals(a)


@function(lambda: [Sample((reals(3, 2),), smooth=False)], "linalg.matrix_rank")
def matrix_rank(x: TensorLike, rtol: float | None = None) -> Tensor:
    """How many singular values are more than ``rtol`` times the largest one."""
    x = matrix("matrix_rank", x)
    values = svdvals(x)
    if not values.shape[-1]:
        return sum(values != 0, -1)
    return sum(values > _tolerance(x, rtol) * max(values, -1, keepdims=True), -1)


# ---- powers and exponential ------------------------------------------------------------------


@function(
    lambda: (
        [Sample((invertible(3, 3), power)) for power in (0, 1, 5)]
        + [Sample((invertible(2, 2, 2), -2))]
    ),
    "linalg.matrix_power",
)
def matrix_power(x: TensorLike, power: int) -> Tensor:
    """A·A·…·A, by squaring; of negative powers the inverse is taken first."""
    x = matrix("matrix_power", x, square=True)
    if power < 0:
        return matrix_power(inv(x), -power)
    result: Tensor | None = None
    square = x
    while power:
        if power & 1:
            result = square if result is None else matmul(result, square)
        power >>= 1
        square = matmul(square, square) if power else square
    if result is None:
        return zeros_like(x) + identity(x, x.shape[-1])
    return result


#: Of Padé's approximation of order 13 (Higham, 2005), and up to which norm it has all digits.
PADE = (
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000,
    10559470521600, 670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
)  # fmt: skip
PADE_NORM = 5.371920351148152


def _matrix_exp(xp: Any, x: Any) -> Any:
    """Padé's approximation of the matrix divided by 2ˢ, squared s times."""
    if not x.size:
        return np.zeros(x.shape, x.dtype)
    bad = ~np.isfinite(x).all((-2, -1), keepdims=True)
    a: Array = np.where(bad, 0, x).astype(np.float64)
    largest = float(np.abs(a).sum(-2).max())
    steps = builtins.max(0, math.ceil(math.log2(largest / PADE_NORM))) if largest else 0
    a = a / 2.0**steps
    one, b = np.eye(a.shape[-1]), PADE
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    odd = a @ (a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2)
               + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * one)  # fmt: skip
    even = (a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2)
            + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * one)  # fmt: skip
    y = np.linalg.solve(even - odd, even + odd)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            y = y @ y
        return np.where(bad, np.nan, y).astype(x.dtype)


def _matrix_exp_rule(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The upper right block of exp([[Aᵀ, Ȳ], [0, Aᵀ]]) (Mathias, 1996)."""
    n = x.shape[-1]
    turned = transposed(x)
    upper = concatenate([turned, g], x.ndim - 1)
    lower = concatenate([zeros_like(x), turned], x.ndim - 1)
    whole = apply(MATRIX_EXP, concatenate([upper, lower], x.ndim - 2))
    return narrow(narrow(whole, x.ndim - 2, 0, n), x.ndim - 1, n, 2 * n)


MATRIX_EXP: Operation = register(
    Operation(
        "matrix_exp",
        square_type("matrix_exp"),
        _matrix_exp,
        (_matrix_exp_rule,),
        "exp {0}",
        lambda: [
            Sample((reals(2, 2),)),
            Sample((reals(2, 3, 3),)),
            Sample((reals(1, 1),)),
            Sample((reals(0, 0),)),
        ],
        batch=MATRICES,
        work=cubic,
    )
)


@function(lambda: [Sample((reals(2, 2),))], "linalg.matrix_exp")
def matrix_exp(x: TensorLike) -> Tensor:
    """Σ Aᵏ / k!, the exponential of a square matrix, by scaling and squaring (Higham, 2005).

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.matrix_exp([[0.0, 1.0], [0.0, 0.0]]).tolist()
        [[1.0, 1.0], [0.0, 1.0]]
    """
    return apply(MATRIX_EXP, matrix("matrix_exp", x, square=True))


# ---- products --------------------------------------------------------------------------------


@function(
    lambda: [
        Sample(([reals(2, 3), reals(3, 4), reals(4, 2)],)),
        Sample(([reals(3), reals(3, 2), reals(2)],)),
    ],
    "linalg.multi_dot",
)
def multi_dot(matrices: Iterable[TensorLike]) -> Tensor:
    """The product of several matrices, in the order that takes the fewest multiplications.

    The first and the last may be vectors.
    """
    given = [as_tensor(x) for x in matrices]
    if len(given) < 2 or builtins.any(x.ndim != 2 for x in given[1:-1]):
        raise ShapeError("multi_dot takes at least two matrices.",
                         found=", ".join(str(x.type) for x in given))  # fmt: skip
    first, last = given[0].ndim == 1, given[-1].ndim == 1
    parts = [expand_dims(given[0], 0) if first else given[0], *given[1:]]
    parts[-1] = expand_dims(parts[-1], -1) if last else parts[-1]
    y = _product_of(parts, _cheapest_splits([parts[0].shape[0], *(x.shape[1] for x in parts)]))
    y = reshape(y, y.shape[1:]) if first else y
    return reshape(y, y.shape[:-1]) if last else y


def _cheapest_splits(extents: list[int]) -> Any:
    """Where to split the product of matrices i to j, as a function."""

    @functools.cache
    def cost(i: int, j: int) -> tuple[int, int]:
        if i == j:
            return 0, i
        return builtins.min(
            (cost(i, k)[0] + cost(k + 1, j)[0] + extents[i] * extents[k + 1] * extents[j + 1], k)
            for k in range(i, j)
        )

    return cost


def _product_of(parts: list[Tensor], cost: Any) -> Tensor:
    def between(i: int, j: int) -> Tensor:
        split = cost(i, j)[1]
        return parts[i] if i == j else matmul(between(i, split), between(split + 1, j))

    return between(0, len(parts) - 1)


@function(lambda: [Sample((reals(2, 3), reals(3))), Sample((reals(3, 2), reals(3, 2), 0))],
          "linalg.vecdot")  # fmt: skip
def vecdot(a: TensorLike, b: TensorLike, axis: int = -1) -> Tensor:
    """Σ aᵢ·bᵢ along an axis of both, broadcast to each other."""
    a, b = align(a, b)
    return sum(a * b, axis)


@function(lambda: [Sample((reals(2, 3, 3), 1)), Sample((reals(3, 2, 2), 0, 0, 2))],
          "linalg.diagonal")  # fmt: skip
def diagonal(x: TensorLike, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """The diagonals of the matrices on two axes, on a last axis of their own."""
    return _diagonal(moveaxis(as_tensor(x), (axis1, axis2), (-2, -1)), offset)


@function(lambda: [Sample((reals(3),)), Sample((reals(2, 3), 2, True))], "linalg.vander")
def vander(x: TensorLike, count: int | None = None, increasing: bool = True) -> Tensor:
    """The powers of the numbers of a vector on a new last axis: Vandermonde's matrix.

    Args:
        x: (…, n).
        count: how many powers, from 0 on; n without it.
        increasing: False for the highest power first, as in NumPy by default.
    """
    x = as_tensor(x)
    count = x.shape[-1] if count is None else count
    powers = [x * 0 + 1] if count else []
    while len(powers) < count:
        powers.append(powers[-1] * x)
    return stack(powers if increasing else powers[::-1], -1)


# ---- norms -----------------------------------------------------------------------------------


@function(
    lambda: [Sample((reals(2, 3),)), Sample((reals(2, 3), 3.0, -1)), Sample((reals(4), math.inf))],
    "linalg.vector_norm",
)
def vector_norm(x: TensorLike, order: Any = 2, axis: Any = None, keepdims: bool = False) -> Tensor:
    """(Σ |x|ᵖ)^(1/p) over axes, of all elements without them; see `cr.norm`."""
    return _flat_norm(x, axis, keepdims, order)


def _pair(axes: Any, rank: int) -> tuple[int, int]:
    first, second = (normalize_axis(axis, rank) for axis in axes)
    if first == second:
        raise ShapeError("A matrix has two different axes.", found=str(tuple(axes)))
    return first, second


@function(
    lambda: [
        *(Sample((reals(3, 2), order)) for order in ("fro", "nuc", 1, -1, 2, -2, math.inf)),
        Sample((reals(2, 3, 2), 2, (0, -1), True)),
    ],
    "linalg.matrix_norm",
)
def matrix_norm(
    x: TensorLike, order: Any = "fro", axis: tuple[int, int] = (-2, -1), keepdims: bool = False
) -> Tensor:
    """A norm of the matrices on two axes.

    Args:
        x: any tensor with two axes or more.
        order: "fro" √Σx², "nuc" the sum of the singular values, 2 and -2 the largest (the spectral
            norm) and the smallest of them, 1 and -1 the largest and smallest sum of |x| of a
            column, ∞ and -∞ of a row.
        axis: those of the rows and the columns.
        keepdims: whether the axes stay, with one element.

    Example:
        >>> import chainrule as cr
        >>> cr.linalg.matrix_norm([[3.0, 0.0], [0.0, -4.0]], "nuc").item()
        7.0
    """
    x = floating(x)
    rows, columns = _pair(axis, x.ndim)
    if order == "fro":
        return _flat_norm(x, (rows, columns), keepdims)
    if order in ("nuc", 2, -2):
        values = svdvals(moveaxis(x, (rows, columns), (-2, -1)))
        y = sum(values, -1) if order == "nuc" else (max if order == 2 else min)(values, -1)
    elif order in (1, -1, math.inf, -math.inf):
        along, across = (rows, columns) if builtins.abs(order) == 1 else (columns, rows)
        sums = sum(abs(x), along, keepdims=True)
        y = (max if order > 0 else min)(sums, (along, across))
    else:
        raise ConfigError("Unknown order of a norm of matrices.",
                          expected="'fro', 'nuc', 1, -1, 2, -2, inf or -inf",
                          found=repr(order))  # fmt: skip
    return expand_dims(y, sorted((rows, columns))) if keepdims else y


@function(lambda: [Sample((reals(2, 3),)), Sample((reals(2, 3), "nuc")), Sample((reals(3), 1))],
          "linalg.norm")  # fmt: skip
def norm(x: TensorLike, order: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """A norm of vectors (one axis) or matrices (two axes), with NumPy's arguments.

    Without an order it is √Σx² over the axes, or over all elements.
    """
    x = floating(x)
    if order is None:
        return _flat_norm(x, axis, keepdims)
    axes = normalize_axes(axis, x.ndim) if not isinstance(axis, tuple) else axis
    if len(axes) == 2:
        return matrix_norm(x, order, (axes[0], axes[1]), keepdims)
    if len(axes) > 2:
        raise ShapeError("A norm with an order is of vectors or matrices.",
                         expected="one or two axes", found=str(x.type))  # fmt: skip
    return vector_norm(x, order, axes, keepdims)


@function(
    lambda: [Sample((invertible(3, 3),)), Sample((reals(3, 2), 2)), Sample((invertible(2, 2), 1))],
    "linalg.cond",
)
def cond(x: TensorLike, order: Any = 2) -> Tensor:
    """|A|·|A⁻¹|, how much a system of equations magnifies errors; ∞ for a singular matrix."""
    x = matrix("cond", x)
    if order in (2, -2):
        values = svdvals(x)
        largest, smallest = max(values, -1), min(values, -1)
        return largest / smallest if order == 2 else smallest / largest
    return matrix_norm(x, order) * matrix_norm(inv(x), order)
