"""Attention: every position takes a weighted mean of what others hold."""

from __future__ import annotations

import math

import numpy as np

from ..errors import ShapeError, TypeRuleError
from ..ir.operation import Sample
from ..tensor import Tensor, TensorLike, as_tensor
from .declare import broadcast_to, floating, function, reals
from .elementwise import where
from .linalg import matmul
from .reduction import softmax
from .shape import swapaxes


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
    return matmul(attention_weights(query, k, mask, causal, scale), v)


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
