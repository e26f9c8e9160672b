"""Attention: every position takes a weighted mean of what others hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ShapeError, TypeRuleError
from ..ir.graph import Graph
from ..ir.operation import Operation, Sample, register
from ..ir.types import Record, Type
from ..tensor import Tensor, TensorLike, apply, as_tensor, symbol
from .declare import broadcast_to, floating, function, need_float, reals
from .elementwise import exp, where
from .linalg import matmul
from .reduction import softmax, sum
from .scan import call_pull_back, parts_of
from .shape import expand_dims, swapaxes, zeros_like


@function(
    lambda: [
        Sample((reals(2, 3, 4), reals(2, 5, 4, seed=1), reals(2, 5, 2, seed=2))),
        Sample((reals(2, 3, 4), reals(2, 3, 4, seed=1), reals(2, 3, 2)), {"causal": True}),
        Sample((reals(2, 4), reals(4, 4, seed=1), reals(4, 3)), {"causal": True, "scale": 1.0}),
        Sample((reals(1, 2), reals(1, 2), reals(1, 2), np.array([[False]])), smooth=False),
        Sample((reals(2, 2), reals(3, 2), reals(3, 2), np.array([True, False, True]))),
        Sample((reals(2, 2), reals(3, 2), reals(3, 2), reals(2, 3))),
        Sample((reals(0, 2), reals(3, 2), reals(3, 2))),
    ]
)
def scaled_dot_product_attention(
    query: TensorLike,
    keys: TensorLike,
    values: TensorLike,
    mask: TensorLike | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(Q·Kᵀ·scale)·V: for each query the mean of the values, weighted by likeness of keys.

    Source: Vaswani et al., "Attention is all you need", 2017.

    Args:
        query: (…, n, d).
        keys: (…, m, d).
        values: (…, m, e).
        mask: broadcast to (…, n, m). Truth values: true where a query may look. Numbers: added
            to the scores. A query that may look nowhere gets zeros.
        causal: a query may look only at keys that are not after it; the last query is at the
            place of the last key.
        scale: 1/√d without it.

    Returns:
        (…, n, e).

    Raises:
        ShapeError: the shapes do not fit together; it names both.
    """
    k, v = floating(keys), floating(values)
    if k.shape[-2:-1] != v.shape[-2:-1]:
        raise ShapeError("There is one value for every key.",
                         expected="(…, m, d) and (…, m, e)",
                         found=f"{k.type} and {v.type}")  # fmt: skip
    q = floating(query)
    if mask is None and _is_plain(q, k, v):
        factor = 1 / math.sqrt(max(q.shape[-1], 1)) if scale is None else float(scale)
        return parts_of(apply(ATTENTION, q, k, v, causal=bool(causal), scale=factor))[0]
    return matmul(attention_weights(query, k, mask, causal, scale), v)


def _is_plain(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether it can be computed as one operation: nothing is to be broadcast or converted."""
    if min(q.ndim, k.ndim, v.ndim) < 2 or len({q.dtype, k.dtype, v.dtype}) > 1:
        return False
    return q.shape[:-2] == k.shape[:-2] == v.shape[:-2] and q.shape[-1] == k.shape[-1]


def attention_weights(
    query: TensorLike,
    keys: TensorLike,
    mask: TensorLike | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """The weights (…, n, m) of `scaled_dot_product_attention`, for those who change them."""
    q, k = floating(query), floating(keys)
    if min(q.ndim, k.ndim) < 2 or q.shape[-1] != k.shape[-1]:
        raise ShapeError("Queries and keys have equally many features on the last axis.",
                         expected="(…, n, d) and (…, m, d)",
                         found=f"{q.type} and {k.type}")  # fmt: skip
    factor = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = matmul(q * factor, swapaxes(k, -1, -2))
    allowed = None
    if mask is not None:
        given = _fitting(as_tensor(mask), scores)
        if given.dtype.kind == "b":
            allowed = given
        else:
            scores = scores + given
    if causal:
        n, m = scores.shape[-2:]
        past = as_tensor(np.tri(n, m, m - n, dtype=bool))
        allowed = past if allowed is None else allowed & past
    if allowed is None:
        return softmax(scores)
    # The lowest number, not -∞, whose softmax in a row of its own would not be a number.
    weights = softmax(where(allowed, scores, float(np.finfo(scores.dtype).min)))
    return where(allowed, weights, 0.0)


def _fitting(mask: Tensor, scores: Tensor) -> Tensor:
    if mask.dtype.kind not in "bf":
        raise TypeRuleError("A mask is of truth values, or of numbers that are added to scores.",
                            expected="bool or floating-point", found=str(mask.type),
                            hint="Write mask > 0.")  # fmt: skip
    try:
        fits = np.broadcast_shapes(mask.shape, scores.shape) == scores.shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError("The mask does not fit the scores of the attention.",
                         expected=f"broadcast to {scores.shape}, for (…, queries, keys)",
                         found=str(mask.type))  # fmt: skip
    return broadcast_to(mask, scores.shape)


# ---- as one operation ------------------------------------------------------------------------
#
# Scores and weights are n·m numbers for every head, more than all else for long sequences. As one
# operation they need not be kept: the backward pass computes them again from queries, keys and the
# logarithm of each row's sum, L, as FlashAttention does (Dao et al., 2022):
#
#     Pᵢⱼ = exp(Sᵢⱼ - Lᵢ)    δᵢ = Σₑ Ȳᵢₑ·Yᵢₑ - L̄ᵢ    S̄ = P·(Ȳ·Vᵀ - δ)
#     Q̄ = S̄·K·scale         K̄ = S̄ᵀ·Q·scale          V̄ = Pᵀ·Ȳ


def _need_attention(q: Type, k: Type, v: Type, causal: Any, scale: Any) -> None:
    if type(causal) is not bool or type(scale) is not float or not math.isfinite(scale):
        raise TypeRuleError("Wrong attributes of an attention.", found=f"{causal!r}, {scale!r}")
    need_float("attention", q)
    fits = len({q.dtype, k.dtype, v.dtype}) == 1 and min(len(x.shape) for x in (q, k, v)) >= 2
    fits = fits and q.shape[:-2] == k.shape[:-2] == v.shape[:-2]
    if not fits or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError("An attention takes (…, n, d), (…, m, d) and (…, m, e).",
                         found=f"{q}, {k}, {v}")  # fmt: skip


def _attention_type(q: Type, k: Type, v: Type, *, causal: bool, scale: float) -> Type:
    _need_attention(q, k, v, causal, scale)
    rows = q.shape[:-1]
    return Record([Type(q.dtype, (*rows, v.shape[-1])), Type(q.dtype, rows)])


def _scores(xp: Any, q: Any, k: Any, causal: bool, scale: float) -> tuple[Any, Any]:
    """S, and where a query may look."""
    scores = xp.matmul(q, xp.swapaxes(k, -1, -2)) * q.dtype.type(scale)
    n, m = scores.shape[-2:]
    return scores, xp.tri(n, m, m - n, dtype=bool) if causal else xp.ones((n, m), dtype=bool)


def _attention(xp: Any, q: Any, k: Any, v: Any, *, causal: bool, scale: float) -> Any:
    scores, allowed = _scores(xp, q, k, causal, scale)
    scores = xp.where(allowed, scores, -xp.inf).astype(q.dtype)
    top = xp.max(scores, axis=-1, keepdims=True, initial=-xp.inf).astype(q.dtype)
    top = xp.where(xp.any(allowed, axis=-1, keepdims=True), top, 0).astype(q.dtype)
    weights = xp.exp(scores - top)
    total = xp.sum(weights, axis=-1, keepdims=True)
    seen = xp.broadcast_to(xp.any(allowed, axis=-1, keepdims=True), total.shape)
    total = xp.where(seen, total, 1).astype(q.dtype)
    return xp.matmul(weights, v) / total, (top + xp.log(total))[..., 0]


def _attention_pull_back(
    walk: Any, upstream: dict[int, Tensor], wanted: list[int], y: Tensor, *inputs: Tensor,
    causal: bool, scale: float,
) -> dict[int, Tensor]:  # fmt: skip
    result, sums = parts_of(y)
    g = upstream.get(0, zeros_like(result))
    delta = sum(g * result, -1)
    if 1 in upstream:
        delta = delta - upstream[1]
    record = apply(ATTENTION_GRADIENTS, *inputs, sums, delta, g, causal=causal, scale=scale)
    gradients = parts_of(record)
    return {position: gradients[position] for position in wanted}


#: ``attention(q, k, v, causal, scale)``: softmax(q·kᵀ·scale)·v, and L for every row.
ATTENTION: Operation = register(
    Operation(
        "attention", _attention_type, _attention, formula="softmax({0} · {1}ᵀ) · {2}",
        pull_back=_attention_pull_back,
    )
)  # fmt: skip


def _gradients_type(
    q: Type, k: Type, v: Type, sums: Type, delta: Type, g: Type, *, causal: bool, scale: float
) -> Type:
    y, rows = _parts(_attention_type(q, k, v, causal=causal, scale=scale))
    if (sums, delta, g) != (rows, rows, y):
        raise ShapeError("The gradients of an attention need others.", expected=f"{rows}, {y}",
                         found=f"{sums}, {delta}, {g}")  # fmt: skip
    return Record([q, k, v])


def _parts(kind: Type) -> tuple[Type, ...]:
    """The types of the parts of a record."""
    assert isinstance(kind, Record)
    return kind.parts


def _gradients(
    xp: Any, q: Any, k: Any, v: Any, sums: Any, delta: Any, g: Any, *, causal: bool, scale: float
) -> Any:
    scores, allowed = _scores(xp, q, k, causal, scale)
    weights = xp.where(allowed, xp.exp(scores - sums[..., None]), 0).astype(q.dtype)
    slopes = xp.matmul(g, xp.swapaxes(v, -1, -2)) - delta[..., None]
    slopes = xp.where(allowed, weights * slopes, 0).astype(q.dtype) * q.dtype.type(scale)
    turned = xp.swapaxes(slopes, -1, -2)
    return (
        xp.matmul(slopes, k),
        xp.matmul(turned, q),
        xp.matmul(xp.swapaxes(weights, -1, -2), g),
    )


def _written_out(inputs: list[Tensor], causal: bool, scale: float) -> list[Tensor]:
    """The same in other operations, for derivatives of the gradients."""
    q, k, v, sums, delta, g = inputs
    scores = matmul(q, swapaxes(k, -1, -2)) * scale - expand_dims(sums, -1)
    slopes = matmul(g, swapaxes(v, -1, -2)) - expand_dims(delta, -1)
    if causal:
        n, m = scores.shape[-2:]
        allowed = as_tensor(np.tri(n, m, m - n, dtype=bool))
        weights = where(allowed, exp(where(allowed, scores, 0.0)), 0.0)
    else:
        weights = exp(scores)
    slopes = weights * slopes * scale
    turned = swapaxes(slopes, -1, -2)
    return [matmul(slopes, k), matmul(turned, q), matmul(swapaxes(weights, -1, -2), g)]


def _gradients_pull_back(
    walk: Any, upstream: dict[int, Tensor], wanted: list[int], y: Tensor, *inputs: Tensor,
    causal: bool, scale: float,
) -> dict[int, Tensor]:  # fmt: skip
    symbols = [symbol(x.type, str(number)) for number, x in enumerate(inputs)]
    results = _written_out(symbols, causal, scale)
    body = Graph([s.node for s in symbols], [r.node for r in results])
    return call_pull_back(walk, upstream, wanted, y, *inputs, body=body)


#: ``attention_gradients(q, k, v, L, δ, ȳ)``: the gradients by q, k and v.
ATTENTION_GRADIENTS: Operation = register(
    Operation(
        "attention_gradients", _gradients_type, _gradients,
        formula="gradients of attention({0}, {1}, {2})", pull_back=_gradients_pull_back,
    )
)  # fmt: skip
