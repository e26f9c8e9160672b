"""Losses for embeddings and similarity: of pairs, triplets or distances.

All take ``sample_weights`` and ``reduction``: see `chainrule.losses`. At a margin the derivative
is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..engine.ops import (
    concatenate,
    cosine_similarity,
    cross_entropy_from_logits,
    matmul,
    mean,
    minimum,
    norm,
    normalize,
    relu,
    reshape,
    transpose,
    where,
)
from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ConfigError, ShapeError
from .common import need_fitting, pair, reduce
from .registry import SIGNS, loss_for


@loss_for("similarity", output="distances", targets=SIGNS)
def hinge_embedding(
    distance: TensorLike,
    target: TensorLike,
    *,
    margin: float = 1.0,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The distance for a target of 1 (similar), max(0, margin - distance) for -1."""
    d, t = pair(distance, target)
    t = need_fitting(hinge_embedding, t)
    return reduce(where(t > 0, d, relu(margin - d)), reduction, sample_weights)


@loss_for("similarity", output="embeddings", targets=SIGNS)
def cosine_embedding(
    first: TensorLike,
    second: TensorLike,
    target: TensorLike,
    *,
    margin: float = 0.0,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos for a target of 1 (similar), max(0, cos - margin) for -1; cos over the last axis."""
    a, b = pair(first, second)
    cos, t = pair(cosine_similarity(a, b), target)
    t = need_fitting(cosine_embedding, t)
    return reduce(where(t > 0, 1 - cos, relu(cos - margin)), reduction, sample_weights)


@loss_for("similarity", output="scores", targets=SIGNS)
def margin_ranking(
    first: TensorLike,
    second: TensorLike,
    target: TensorLike,
    *,
    margin: float = 0.0,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - t·(a - b)): for t = 1 the first should rank higher, for -1 the second."""
    a, b = pair(first, second)
    a, t = pair(a, target)
    t = need_fitting(margin_ranking, t)
    return reduce(relu(margin - t * (a - b)), reduction, sample_weights)


def triplet_margin(
    anchor: TensorLike,
    positive: TensorLike,
    negative: TensorLike,
    *,
    margin: float = 1.0,
    order: float = 2.0,
    swap: bool = False,
    distance: Callable[[Tensor, Tensor], Tensor] | None = None,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, |a - p| - |a - n| + margin) over the last axis (Schroff et al., 2015).

    Args:
        anchor: (…, features) embeddings.
        positive: embeddings that are to be near to the anchor's.
        negative: embeddings that are to be far from it.
        margin: by how much nearer.
        order: of the norm; see `chainrule.norm`.
        swap: whether the negative's distance from the positive counts, if that is smaller than
            that from the anchor (Balntas et al., 2016).
        distance: a function of two embeddings in place of the norm: one distance for each row.
        sample_weights: one for each row.
        reduction: "mean", "sum" or "none".

    Example:
        >>> import chainrule as cr
        >>> a, p, n = ([[0.0, 0.0]], [[0.0, 3.0]], [[2.0, 0.0]])
        >>> cr.losses.triplet_margin(a, p, n).item()
        2.0
    """
    a, p = pair(anchor, positive)
    _, n = pair(a, negative)

    def between(x: Tensor, y: Tensor) -> Tensor:
        return norm(x - y, -1, order=order) if distance is None else distance(x, y)

    far = between(a, n)
    if swap:
        far = minimum(far, between(p, n))
    return reduce(relu(between(a, p) - far + margin), reduction, sample_weights)


def nt_xent(
    first: TensorLike,
    second: TensorLike,
    *,
    temperature: float = 0.5,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of finding the other view of an example among all of a batch (SimCLR).

    For each of the 2·n embeddings zᵢ with the other view zⱼ of its example,
    -ln(exp(cos(zᵢ, zⱼ)/τ) / Σ_{k≠i} exp(cos(zᵢ, zₖ)/τ)) (Chen et al., 2020). The loss of an example
    is the mean of those of its two views.

    Args:
        first: (n, features), with n of at least 2: the embeddings of n examples.
        second: those of other views of the same examples, in the same order.
        temperature: τ, above 0.
        sample_weights: one for each example; it stays among what the others are compared with.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: there is one example only, and so nothing to compare it with.

    Example:
        >>> import chainrule as cr
        >>> views = cr.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> round(cr.losses.nt_xent(views, 3 * views, temperature=1.0).item(), 4)
        0.5514
    """
    a, b = pair(first, second)
    if a.ndim != 2 or a.shape[0] == 1:
        raise ShapeError("Each example is compared with the others of its batch.",
                         expected="(n, features) with n of at least 2",
                         found=str(a.type))  # fmt: skip
    if not temperature > 0:
        raise ConfigError("Invalid value for temperature.", expected="above 0",
                          found=repr(temperature))  # fmt: skip
    n = a.shape[0]
    z = normalize(concatenate([a, b]), axis=-1)
    itself = np.eye(2 * n, dtype=bool)
    cosines = where(itself, -math.inf, matmul(z, transpose(z)) / temperature)
    other = as_tensor((np.arange(2 * n) + n) % max(2 * n, 1))
    each = reshape(cross_entropy_from_logits(cosines, other), (2, n))
    return reduce(mean(each, 0), reduction, sample_weights)
