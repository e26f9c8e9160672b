"""Products and factorisations of matrices."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from ....ops.linalg.functions import PADE, PADE_NORM


def _matmul(trace: Any, a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> Any:
    a = jnp.swapaxes(a, -1, -2) if transpose_a else a
    b = jnp.swapaxes(b, -1, -2) if transpose_b else b
    return jnp.matmul(*trace.narrowed(a, b))


def _finite(x: Any) -> Any:
    return jnp.isfinite(x).all((-2, -1), keepdims=True)


def _solve(trace: Any, a: Any, b: Any) -> Any:
    """By LU with pivots; infinite where a pivot is 0."""
    if not a.size or not b.size:
        return jnp.zeros(b.shape, b.dtype)
    packed, _, rows = lax.linalg.lu(a)
    singular = (jnp.diagonal(packed, axis1=-2, axis2=-1) == 0).any(-1)[..., None, None]
    ordered = jnp.take_along_axis(b, rows[..., None].astype(jnp.int32), axis=-2)
    y = lax.linalg.triangular_solve(packed, ordered, left_side=True, lower=True,
                                    unit_diagonal=True)  # fmt: skip
    y = lax.linalg.triangular_solve(packed, y, left_side=True, lower=False)
    y = jnp.where(_finite(a) & _finite(b), y, jnp.nan)
    return jnp.where(singular, jnp.inf, y)


def _triangular(trace: Any, a: Any, b: Any, lower: bool, transpose: bool, unit: bool) -> Any:
    if not a.size or not b.size:
        return jnp.zeros(b.shape, b.dtype)
    y = lax.linalg.triangular_solve(
        a, b, left_side=True, lower=lower, transpose_a=transpose, unit_diagonal=unit
    )
    if unit:
        return y
    singular = (jnp.diagonal(a, axis1=-2, axis2=-1) == 0).any(-1)[..., None, None]
    return jnp.where(singular, jnp.inf, y)


def _cholesky(trace: Any, x: Any) -> Any:
    if not x.size:
        return x
    return jnp.tril(lax.linalg.cholesky(x, symmetrize_input=False))


def _cofactors(trace: Any, x: Any) -> Any:
    n = x.shape[-1]
    if not x.size:
        return jnp.zeros(x.shape, x.dtype)
    whole = _finite(x).all()
    u, s, v = jnp.linalg.svd(jnp.where(whole, x, 0))
    others = jnp.where(jnp.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1)
    signs = jnp.linalg.det(u) * jnp.linalg.det(v)
    y = (u * (others * signs[..., None])[..., None, :]) @ v
    return jnp.where(whole, y, jnp.nan)


def _lu(trace: Any, x: Any) -> Any:
    if not x.size:
        return x, jnp.broadcast_to(jnp.arange(x.shape[-2]), x.shape[:-1])
    packed, _, rows = lax.linalg.lu(x)
    return packed, rows


def _qr(trace: Any, x: Any) -> Any:
    return tuple(jnp.linalg.qr(x))


def _complement(trace: Any, x: Any) -> Any:
    return jnp.linalg.qr(x, "complete")[0][..., x.shape[-1] :]


def _leading_sign(vectors: Any, axis: int) -> Any:
    """As in `chainrule.engine.ops.linalg.factorizations`."""
    if not vectors.size:
        return jnp.ones((), vectors.dtype)
    size = jnp.abs(vectors)
    large = size >= 0.618 * size.max(axis, keepdims=True)
    first = jnp.take_along_axis(vectors, large.argmax(axis, keepdims=True), axis)
    return jnp.where(first < 0, -1, 1).astype(vectors.dtype)


def _eigh(trace: Any, x: Any) -> Any:
    good = _finite(x)
    values, vectors = lax.linalg.eigh(jnp.where(good, x, 0), symmetrize_input=False)[::-1]
    vectors = vectors * _leading_sign(vectors, -2)
    return jnp.where(good[..., 0], values, jnp.nan), jnp.where(good, vectors, jnp.nan)


def _svd(trace: Any, x: Any) -> Any:
    good = _finite(x)
    u, s, v = jnp.linalg.svd(jnp.where(good, x, 0), full_matrices=False)
    sign = _leading_sign(u, -2)
    v = v * jnp.swapaxes(sign, -1, -2) if sign.ndim else v
    parts = ((good, u * sign), (good[..., 0], s), (good, v))
    return tuple(jnp.where(whole, z, jnp.nan) for whole, z in parts)


def _pinv(trace: Any, x: Any, rtol: float) -> Any:
    if not x.size:
        return jnp.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
    good = _finite(x)
    u, s, v = jnp.linalg.svd(jnp.where(good, x, 0), full_matrices=False)
    large = s > rtol * s.max(-1, keepdims=True)
    inverse = jnp.where(large, 1 / jnp.where(large, s, 1), 0)
    y = jnp.swapaxes(v, -1, -2) @ (inverse[..., None] * jnp.swapaxes(u, -1, -2))
    return jnp.where(good, y, jnp.nan)


def _slogdet(trace: Any, x: Any) -> Any:
    sign, log_abs = jnp.linalg.slogdet(x)
    return sign, log_abs


def _matrix_exp(trace: Any, x: Any) -> Any:
    """As NumPy's: Padé's approximation of the matrix divided by 2ˢ, squared s times."""
    if not x.size:
        return jnp.zeros(x.shape, x.dtype)
    good = _finite(x)
    a = jnp.where(good, x, 0).astype(jnp.float64)
    largest = jnp.abs(a).sum(-2).max()
    steps = jnp.ceil(jnp.log2(jnp.maximum(largest, PADE_NORM) / PADE_NORM)).astype(jnp.int32)
    a = a / 2.0**steps
    one, b = jnp.eye(a.shape[-1]), PADE
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    odd = a @ (a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2)
               + b[7] * a6 + b[5] * a4 + b[3] * a2 + float(b[1]) * one)  # fmt: skip
    even = (a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2)
            + b[6] * a6 + b[4] * a4 + b[2] * a2 + float(b[0]) * one)  # fmt: skip
    y = _solve(trace, even - odd, even + odd)
    y = lax.fori_loop(0, steps, lambda _, z: z @ z, y)
    return jnp.where(good, y, jnp.nan).astype(x.dtype)


LINEAR_ALGEBRA = {
    "matmul": _matmul,
    "solve": _solve,
    "solve_triangular": _triangular,
    "cholesky": _cholesky,
    "cofactors": _cofactors,
    "det": lambda trace, x: jnp.linalg.det(x),
    "slogdet": _slogdet,
    "lu": _lu,
    "qr": _qr,
    "complement": _complement,
    "eigh": _eigh,
    "svd": _svd,
    "pinv": _pinv,
    "matrix_exp": _matrix_exp,
}
