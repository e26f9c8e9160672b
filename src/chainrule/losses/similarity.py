"""Losses for embeddings and similarity: of pairs, triplets or distances.

All take ``sample_weights`` and ``reduction``: see `chainrule.losses`. At a margin the derivative
is 0.
"""

from __future__ import annotations

from ..engine.ops import cosine_similarity, norm, relu, where
from ..engine.tensor import Tensor, TensorLike
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
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, |a - p| - |a - n| + margin) over the last axis (Schroff et al., 2015)."""
    a, p = pair(anchor, positive)
    _, n = pair(a, negative)
    return reduce(relu(norm(a - p, -1) - norm(a - n, -1) + margin), reduction, sample_weights)
