"""Attention: every position takes a weighted mean of what others hold."""

from __future__ import annotations

import functools
import math
from functools import partial
from typing import Any

import numpy as np

from ...errors import ShapeError, TypeRuleError
from ..ir.batch_axis import Axes, Axis, BatchRule, BatchWalk, RowsDependError
from ..ir.graph import Graph
from ..ir.node import Node
from ..ir.operation import Operation, Sample, register
from ..ir.types import Record, Type, bool_, promote, uint32
from ..tensor import Tensor, TensorLike, apply, as_tensor, need_plain, symbol
from . import mapping
from .declare import broadcast_to, cast, floating, function, need_float, reals
from .elementwise import exp, where
from .products import matmul
from .random import RANDOM_BITS, uniform
from .reduction import sum
from .scan import call_pull_back, parts_of
from .shape import expand_dims, reshape, swapaxes, zeros_like

__all__ = ["scaled_dot_product_attention"]

_KEY = np.array([3, 4], dtype=np.uint32)


@function(
    lambda: [
        Sample((reals(2, 3, 4), reals(2, 5, 4, seed=1), reals(2, 5, 2, seed=2))),
        Sample((reals(2, 3, 4), reals(2, 3, 4, seed=1), reals(2, 3, 2)), {"causal": True}),
        Sample((reals(2, 4), reals(4, 4, seed=1), reals(4, 3)), {"causal": True, "scale": 1.0}),
        Sample((reals(1, 2), reals(1, 2), reals(1, 2), np.array([[False]])), smooth=False),
        Sample((reals(2, 2), reals(3, 2), reals(3, 2), np.array([True, False, True]))),
        Sample((reals(2, 2), reals(3, 2), reals(3, 2), reals(2, 3))),
        Sample((reals(2, 2, 2), reals(3, 2), reals(3, 2), reals(2, 1, 3)), {"causal": True}),
        Sample((reals(0, 2), reals(3, 2), reals(3, 2))),
        Sample(
            (reals(2, 3, 2), reals(2, 5, 2), reals(2, 5, 2)),
            {"dropout": 0.4, "key": as_tensor(_KEY)},
        ),
    ]
)
def scaled_dot_product_attention(
    query: TensorLike,
    keys: TensorLike,
    values: TensorLike,
    mask: TensorLike | None = None,
    causal: bool = False,
    scale: float | None = None,
    dropout: float = 0.0,
    key: Tensor | None = None,
) -> Tensor:
    """softmax(Q·Kᵀ·scale)·V: for each query the mean of the values, weighted by likeness of keys.

    Source: Vaswani et al., "Attention is all you need", 2017.

    Args:
        query: (…, n, d).
        keys: (…, m, d).
        values: (…, m, e).
        mask: broadcast to (…, n, m). Boolean: true where a query may attend. Floats: added
            to the scores; -∞ hides. A query that attends to nothing gets zeros.
        causal: a query attends only to keys that are not after it; the last query is at the
            place of the last key.
        scale: 1/√d without it.
        dropout: each weight becomes 0 with this probability, the others are divided by
            1 - dropout; which ones is ``random.uniform(key, (…, n, m), "float32") < dropout``.
        key: the random key of dropout.

    Returns:
        (…, n, e).

    Raises:
        ShapeError: the shapes do not fit together; it names both.
        TypeRuleError: dropout without a key, or a mask of integers.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
        >>> cr.scaled_dot_product_attention(x, x, x, mask=[False, True, False]).tolist()
        [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    """
    q, k, v = floating(query), floating(keys), floating(values)
    if k.shape[-2:-1] != v.shape[-2:-1]:
        raise ShapeError("There is one value for every key.",
                         expected="(…, m, d) and (…, m, e)",
                         found=f"{k.type} and {v.type}")  # fmt: skip
    if min(q.ndim, k.ndim) < 2 or q.shape[-1] != k.shape[-1]:
        raise ShapeError("Queries and keys have equally many features on the last axis.",
                         expected="(…, n, d) and (…, m, d)",
                         found=f"{q.type} and {k.type}")  # fmt: skip
    try:
        outer = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    except ValueError:
        raise ShapeError("Queries, keys and values are of different sequences.",
                         expected="equal extents, or 1, before the last two axes",
                         found=f"{q.type}, {k.type} and {v.type}") from None  # fmt: skip
    given = None if mask is None else _fitting(as_tensor(mask), (*outer, q.shape[-2], k.shape[-2]))
    floats = [x.dtype for x in (q, k, v, given) if x is not None and x.type.is_float]
    dtype = functools.reduce(promote, floats)
    operands = [broadcast_to(cast(x, dtype), (*outer, *x.shape[-2:])) for x in (q, k, v)]
    if given is not None:
        operands.append(cast(given, dtype) if given.type.is_float else given)
    if isinstance(scale, Tensor):  # an operand, with a derivative
        operands[0], scale = operands[0] * cast(scale, dtype), 1.0
    how: dict[str, Any] = {"causal": bool(causal)}
    how["scale"] = 1 / math.sqrt(max(q.shape[-1], 1)) if scale is None else float(scale)
    if dropout:
        if key is None:
            raise TypeRuleError("Dropout of the weights of an attention needs a random key.",
                                hint="Make one with cr.random.key(seed).")  # fmt: skip
        operands.append(key)
        how["dropout"] = float(need_plain("dropout", dropout, "an attention"))
    return parts_of(apply(ATTENTION, *operands, **how))[0]


def _fitting(mask: Tensor, scores: tuple[int, ...]) -> Tensor:
    if mask.dtype.kind not in "bf":
        raise TypeRuleError("A mask is boolean, or of floats that are added to the scores.",
                            expected="bool or floating-point", found=str(mask.type),
                            hint="Write mask > 0.")  # fmt: skip
    if not _fits(mask.shape, scores):
        raise ShapeError("The mask does not fit the scores of the attention.",
                         expected=f"broadcast to {scores}, for (…, queries, keys)",
                         found=str(mask.type))  # fmt: skip
    return mask


def _fits(mask: tuple[int, ...], scores: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(mask, scores) == scores
    except ValueError:
        return False


# ---- as one operation ------------------------------------------------------------------------
#
# Scores and weights are n·m numbers for every head, more than all else for long sequences. As one
# operation they need not be kept: the backward pass computes them again from queries, keys and the
# logarithm of each row's sum, L, as FlashAttention does (Dao et al., 2022). With dropout of the
# weights, R = 1/(1-p) where a weight is kept and 0 where not; it is drawn again, too:
#
#     Sᵢⱼ = qᵢ·kⱼ·scale + Mᵢⱼ   Pᵢⱼ = exp(Sᵢⱼ - Lᵢ)       Y = (P∘R)·V
#     δᵢ = Σₑ Ȳᵢₑ·Yᵢₑ - L̄ᵢ      S̄ = P∘((Ȳ·Vᵀ)∘R - δ)     M̄ = S̄
#     Q̄ = S̄·K·scale            K̄ = S̄ᵀ·Q·scale            V̄ = (P∘R)ᵀ·Ȳ
#
# A row whose scores are all -∞ has P = 0 and L = 0.


def _need_attention(q: Type, k: Type, v: Type, more: tuple[Type, ...], how: dict[str, Any]) -> None:
    numbers = [how["scale"], how.get("dropout", 0.0)]
    fits = type(how["causal"]) is bool and all(type(x) is float for x in numbers)
    if not (fits and math.isfinite(numbers[0]) and 0 <= numbers[1] < 1):
        raise TypeRuleError("Wrong attributes of an attention.",
                            expected="a boolean, a number and a probability below 1",
                            found=", ".join(f"{k} = {v!r}" for k, v in how.items()))  # fmt: skip
    need_float("attention", q)
    fits = len({q.dtype, k.dtype, v.dtype}) == 1 and min(len(x.shape) for x in (q, k, v)) >= 2
    fits = fits and q.shape[:-2] == k.shape[:-2] == v.shape[:-2]
    if not fits or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError("An attention takes (…, n, d), (…, m, d) and (…, m, e).",
                         found=f"{q}, {k}, {v}")  # fmt: skip
    mask, key = options(more)
    given = tuple(x for x in (mask, key) if x is not None)
    if more != given or (key is None) != ("dropout" not in how) or key not in (None, _KEY_TYPE):
        raise TypeRuleError("An attention takes a mask, and for dropout a random key.",
                            found=", ".join(map(str, more)))  # fmt: skip
    scores = (*q.shape[:-1], k.shape[-2])
    if mask is not None and not (mask.dtype in (bool_, q.dtype) and _fits(mask.shape, scores)):
        raise ShapeError("The mask does not fit the scores of the attention.",
                         expected=f"bool or {q.dtype}, broadcast to {scores}",
                         found=str(mask))  # fmt: skip


_KEY_TYPE = Type(uint32, (2,))


def options(more: tuple[Any, ...]) -> tuple[Any, Any]:
    """The mask and the random key of an attention, each of which may be missing.

    Args:
        more: what comes after the operands that are always there; all that has a ``dtype``.
    """
    masks = [x for x in more if x.dtype != np.uint32]
    keys = [x for x in more if x.dtype == np.uint32]
    return masks[0] if masks else None, keys[0] if keys else None


def _attention_type(q: Type, k: Type, v: Type, *more: Type, **how: Any) -> Type:
    _need_attention(q, k, v, more, how)
    rows = q.shape[:-1]
    return Record([Type(q.dtype, (*rows, v.shape[-1])), Type(q.dtype, rows)])


def _scores(xp: Any, q: Any, k: Any, mask: Any, causal: bool, scale: float) -> Any:
    """S, -∞ where a query may not attend."""
    scores = xp.matmul(q, xp.swapaxes(k, -1, -2)) * q.dtype.type(scale)
    n, m = scores.shape[-2:]
    if causal:
        scores = xp.where(xp.tri(n, m, m - n, dtype=bool), scores, -xp.inf)
    if mask is not None:
        scores = xp.where(mask, scores, -xp.inf) if mask.dtype == bool else scores + mask
    return scores.astype(q.dtype)


def _dropped(xp: Any, x: Any, key: Any, dropout: float) -> Any:
    """x∘R."""
    if key is None:
        return x
    assert RANDOM_BITS.compute is not None
    keep = RANDOM_BITS.compute(xp, key, shape=x.shape) >> 8 >= smallest_kept(dropout)
    return xp.where(keep, x * x.dtype.type(1 / (1 - dropout)), 0).astype(x.dtype)


def smallest_kept(dropout: float) -> int:
    """From which 24 bits on a weight is kept: ``uniform(key, …) ≥ dropout`` in float32."""
    return math.ceil(float(np.float32(dropout)) * 2**24)


def _attention(
    xp: Any, q: Any, k: Any, v: Any, *more: Any, causal: bool, scale: float, dropout: float = 0.0
) -> Any:
    mask, key = options(more)
    scores = _scores(xp, q, k, mask, causal, scale)
    top = xp.max(scores, axis=-1, keepdims=True, initial=-xp.inf).astype(q.dtype)
    nowhere = top == -xp.inf
    top = xp.where(nowhere, 0, top).astype(q.dtype)
    weights = xp.exp(scores - top)
    total = xp.where(nowhere, 1, xp.sum(weights, axis=-1, keepdims=True)).astype(q.dtype)
    weights = _dropped(xp, weights, key, dropout)
    return xp.matmul(weights, v) / total, (top + xp.log(total))[..., 0]


def _attention_pull_back(
    walk: Any, upstream: dict[int, Tensor], wanted: list[int], y: Tensor, *inputs: Tensor,
    **how: Any,
) -> dict[int, Tensor]:  # fmt: skip
    result, sums = parts_of(y)
    g = upstream.get(0, zeros_like(result))
    delta = sum(g * result, -1)
    if 1 in upstream:
        delta = delta - upstream[1]
    operands = [*inputs[:3], sums, delta, g, *inputs[3:]]
    gradients = parts_of(apply(ATTENTION_GRADIENTS, *operands, **how))
    found = {position: gradients[position] for position in wanted if position < 3}
    if 3 in wanted:  # gradients of n·m scores, as a learned mask has n·m elements
        found[3] = _to_shape(_weights_and_gradients(operands, **how)[1], inputs[3].shape)
    return found


def _to_shape(gradients: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Sums over the axes along which a mask was broadcast."""
    lead = gradients.ndim - len(shape)
    stretched = [i for i in range(lead, gradients.ndim) if shape[i - lead] != gradients.shape[i]]
    return reshape(sum(gradients, (*range(lead), *stretched)), shape)


def _attention_rows(walk: BatchWalk, node: Node, axes: Axes) -> list[Axis]:
    """The rows come first; a mask may be the same for all of them."""
    return [_common_rows(node, axes, 3)] * 2


def _gradient_rows(walk: BatchWalk, node: Node, axes: Axes) -> list[Axis]:
    return [_common_rows(node, axes, 6)] * 3


def _common_rows(node: Node, axes: Axes, count: int) -> Axis:
    """The axis of the rows, with which the first operands and the results begin."""
    rank = len(node.inputs[0].type.shape)
    first = axes[0]
    if first is None or first.place != 0 or rank < 3 or any(a != first for a in axes[:count]):
        raise RowsDependError
    for source, axis in zip(node.inputs[count:], axes[count:], strict=True):
        shape = source.type.shape
        own = axis == first and len(shape) == rank
        shared = axis is None and (len(shape) < rank or shape[0] == 1)
        if not (own or shared):
            raise RowsDependError
    return first


def _work(y: Type, q: Type, k: Type, v: Type, *more: Type, **how: Any) -> int:
    """Multiplications: each query meets each key and each value."""
    return (q.size + q.size // max(q.shape[-1], 1) * v.shape[-1]) * k.shape[-2]


#: ``attention(q, k, v[, mask][, key], causal, scale[, dropout])``: softmax(q·kᵀ·scale)·v, and L
#: for every row.
ATTENTION: Operation = register(
    Operation(
        "attention", _attention_type, _attention, formula="softmax({0} · {1}ᵀ) · {2}",
        pull_back=_attention_pull_back, batch=BatchRule(_attention_rows),
        work=_work,
        vmap=partial(mapping.attended, 3),
    )
)  # fmt: skip


def _gradients_type(
    q: Type, k: Type, v: Type, sums: Type, delta: Type, g: Type, *more: Type, **how: Any
) -> Type:
    y, rows = _parts(_attention_type(q, k, v, *more, **how))
    if (sums, delta, g) != (rows, rows, y):
        raise ShapeError("The gradients of an attention need others.", expected=f"{rows}, {y}",
                         found=f"{sums}, {delta}, {g}")  # fmt: skip
    return Record([q, k, v])


def _parts(kind: Type) -> tuple[Type, ...]:
    """The types of the parts of a record."""
    assert isinstance(kind, Record)
    return kind.parts


def _gradients(
    xp: Any, q: Any, k: Any, v: Any, sums: Any, delta: Any, g: Any, *more: Any,
    causal: bool, scale: float, dropout: float = 0.0,
) -> Any:  # fmt: skip
    mask, key = options(more)
    weights = xp.exp(_scores(xp, q, k, mask, causal, scale) - sums[..., None])
    gradients = _dropped(xp, xp.matmul(g, xp.swapaxes(v, -1, -2)), key, dropout) - delta[..., None]
    gradients = xp.where(weights == 0, 0, weights * gradients).astype(q.dtype) * q.dtype.type(scale)
    kept = _dropped(xp, weights, key, dropout)
    return (
        xp.matmul(gradients, k),
        xp.matmul(xp.swapaxes(gradients, -1, -2), q),
        xp.matmul(xp.swapaxes(kept, -1, -2), g),
    )


def _weights_and_gradients(
    inputs: list[Tensor], causal: bool, scale: float, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """P∘R and S̄ in other operations."""
    q, k, v, sums, delta, g, *more = inputs
    mask, key = options(tuple(more))
    scores = matmul(q, swapaxes(k, -1, -2)) * scale - expand_dims(sums, -1)
    gradients = matmul(g, swapaxes(v, -1, -2))
    n, m = scores.shape[-2:]
    allowed = as_tensor(np.tri(n, m, m - n, dtype=bool)) if causal else None
    if mask is not None and mask.dtype.kind == "b":
        allowed = mask if allowed is None else allowed & mask
    elif mask is not None:
        scores = scores + mask
    if allowed is None:
        weights = exp(scores)
    else:
        weights = where(allowed, exp(where(allowed, scores, 0.0)), 0.0)
    kept = weights
    if key is not None:
        keep = uniform(key, scores.shape, dtype="float32") >= dropout
        kept, gradients = (where(keep, x * (1 / (1 - dropout)), 0.0) for x in (weights, gradients))
    return kept, weights * (gradients - expand_dims(delta, -1))


def _written_out(inputs: list[Tensor], **how: Any) -> list[Tensor]:
    """The gradients in other operations, for derivatives of them."""
    q, k, g = inputs[0], inputs[1], inputs[5]
    weights, gradients = _weights_and_gradients(inputs, **how)
    gradients = gradients * how["scale"]
    transposed = swapaxes(gradients, -1, -2)
    return [matmul(gradients, k), matmul(transposed, q), matmul(swapaxes(weights, -1, -2), g)]


def _gradients_pull_back(
    walk: Any, upstream: dict[int, Tensor], wanted: list[int], y: Tensor, *inputs: Tensor,
    **how: Any,
) -> dict[int, Tensor]:  # fmt: skip
    symbols = [symbol(x.type, str(number)) for number, x in enumerate(inputs)]
    results = _written_out(symbols, **how)
    body = Graph([s.node for s in symbols], [r.node for r in results])
    return call_pull_back(walk, upstream, wanted, y, *inputs, body=body)


#: ``attention_gradients(q, k, v, L, δ, ȳ[, mask][, key], …)``: those of q, k and v.
ATTENTION_GRADIENTS: Operation = register(
    Operation(
        "attention_gradients", _gradients_type, _gradients,
        formula="gradients of attention({0}, {1}, {2})", pull_back=_gradients_pull_back, work=_work,
        batch=BatchRule(_gradient_rows), vmap=partial(mapping.attended, 6),
    )
)  # fmt: skip
