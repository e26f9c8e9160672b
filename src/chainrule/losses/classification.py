"""Losses for classification, from logits: scores of any size, before softmax or sigmoid.

All take ``sample_weights`` and ``reduction``: see `chainrule.losses`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..engine.ops import (
    cross_entropy_from_logits,
    exp,
    expand_dims,
    log,
    log_sigmoid,
    log_softmax,
    mean,
    one_hot,
    relu,
    reshape,
    sigmoid,
    softplus,
    sqrt,
    sum,
    take,
    take_along_axis,
    where,
)
from ..engine.ops.check import require
from ..engine.ops.cross_entropy import are_classes, cross_entropy_of_checked, need_classes
from ..engine.ops.declare import cast, floating, normalize_axes
from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ConfigError, ShapeError, TypeRuleError
from .common import need_fitting, need_logits, pair, reduce
from .registry import (
    CLASSES,
    CLASSES_OR_PROBABILITIES,
    PROBABILITIES,
    SIGNS,
    ZERO_OR_ONE,
    loss_for,
)

# ---- two classes, or several that do not exclude each other --------------------------------------


@loss_for("binary", "multilabel", output="logits", targets=PROBABILITIES)
def binary_cross_entropy(
    logits: TensorLike,
    target: TensorLike,
    *,
    pos_weight: TensorLike | None = None,
    label_smoothing: float = 0.0,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-t·ln σ(z) - (1-t)·ln(1-σ(z)) of every logit z; never overflows.

    Args:
        logits: scores of the positive class, of any size.
        target: 0, 1 or probabilities between, of the same shape.
        pos_weight: what the first term is multiplied by: a number, or one for each on the last
            axis.
        label_smoothing: ε: targets become t·(1-ε) + ε/2.
        sample_weights: one for each row.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: the shapes differ.
        DataError: a target is not between 0 and 1.

    Example:
        >>> import chainrule as cr
        >>> round(cr.losses.binary_cross_entropy(cr.tensor([0.0]), cr.tensor([1])).item(), 4)
        0.6931
    """
    need_logits(binary_cross_entropy, logits)
    z, t = pair(logits, target)
    t = need_fitting(binary_cross_entropy, t)
    t = _smooth(t, label_smoothing, 2)
    # -ln σ(z) = softplus(-z) and -ln(1-σ(z)) = softplus(z) = z + softplus(-z); no term of one size
    # with z is added where the loss is small, so that it is exact on both sides.
    if pos_weight is None:
        likely = t > 0.5
        loss = softplus(where(likely, -z, z)) - where(likely, t - 1, t) * z
    else:
        loss = (1 - t) * softplus(z) + as_tensor(pos_weight, z.dtype) * t * softplus(-z)
    return reduce(loss, reduction, sample_weights)


@loss_for("binary", "multilabel", output="logits", targets=ZERO_OR_ONE)
def focal(
    logits: TensorLike,
    target: TensorLike,
    *,
    gamma: float = 2.0,
    alpha: float = 0.25,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-αₜ·(1-pₜ)^γ·ln pₜ: easy examples count for little (Lin et al., 2017).

    pₜ is the probability of the true class, αₜ is α for 1 and 1-α for 0.

    Args:
        logits: scores of the positive class.
        target: 0 or 1, of the same shape.
        gamma: 0 is cross-entropy; the larger, the less easy examples count.
        alpha: weight of the target 1.
        sample_weights: one for each row.
        reduction: "mean", "sum" or "none".
    """
    need_logits(focal, logits)
    z, t = pair(logits, target)
    t = need_fitting(focal, t)
    toward = z * (2 * t - 1)  # pₜ = σ(±z), 1 - pₜ = σ(∓z)
    weight = alpha * t + (1 - alpha) * (1 - t)
    loss = -weight * exp(gamma * log_sigmoid(-toward)) * log_sigmoid(toward)
    return reduce(loss, reduction, sample_weights)


@loss_for("multilabel", output="logits", targets=PROBABILITIES)
def multilabel_soft_margin(
    logits: TensorLike,
    target: TensorLike,
    *,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean binary cross-entropy over the labels (last axis): one loss for every row."""
    need_logits(multilabel_soft_margin, logits)
    target = need_fitting(multilabel_soft_margin, as_tensor(target))
    each = binary_cross_entropy(logits, target, reduction="none")
    return reduce(mean(each, -1), reduction, sample_weights)


@loss_for("multilabel", output="scores", targets=ZERO_OR_ONE)
def multilabel_margin(
    scores: TensorLike,
    target: TensorLike,
    *,
    margin: float = 1.0,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ max(0, margin - score of a label + score of another) / labels: one loss for every row.

    Over all pairs of a label that a row has and one that it has not. At the margin the derivative
    is 0.

    Args:
        scores: (…, labels), of any size.
        target: 0 or 1 for each label, of the same shape. PyTorch takes a list of labels that ends
            with -1 instead.
        margin: how much higher the labels of a row are to score than the others.
        sample_weights: one for each row.
        reduction: "mean", "sum" or "none".

    Example:
        >>> import chainrule as cr
        >>> scores, target = cr.tensor([[0.5, 0.25, 2.0]]), cr.tensor([[1, 0, 0]])
        >>> round(cr.losses.multilabel_margin(scores, target).item(), 4)
        1.0833
    """
    z, t = pair(scores, target)
    t = need_fitting(multilabel_margin, t)
    short = relu(margin - expand_dims(z, -1) + expand_dims(z, -2))
    pairs = expand_dims(t, -1) * (1 - expand_dims(t, -2))
    return reduce(sum(pairs * short, (-2, -1)) / z.shape[-1], reduction, sample_weights)


@loss_for("multilabel", output="logits", targets=PROBABILITIES)
def dice(
    logits: TensorLike,
    target: TensorLike,
    *,
    axis: int | Sequence[int] | None = None,
    smooth: float = 1.0,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - (2·Σ p·t + s) / (Σ p + Σ t + s) with p = σ(logits), for segmentation (Milletari, 2016).

    One minus twice the overlap over the sum of both areas: a large background counts for nothing.

    Args:
        logits: (batch, …), such as (batch, height, width) or (batch, height, width, classes).
        target: 0 and 1, or probabilities, of the same shape.
        axis: the axes that are summed: all but the first, so that there is one loss for each
            sample; (1, 2) of images gives one for each sample and class.
        smooth: s, which makes the loss of two empty areas 0.
        sample_weights: one for each sample.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: there is nothing to sum: the logits are a vector.

    Example:
        >>> import chainrule as cr
        >>> logits, target = cr.tensor([[9.0, 9.0, -9.0]]), cr.tensor([[1, 0, 0]])
        >>> round(cr.losses.dice(logits, target).item(), 3)
        0.25
    """
    need_logits(dice, logits)
    z, t = pair(logits, target)
    t = need_fitting(dice, t)
    axes = tuple(range(1, z.ndim)) if axis is None else normalize_axes(axis, z.ndim)
    if not axes or 0 in axes:
        raise ShapeError("Dice sums over axes of a sample, not over the batch.",
                         expected="(batch, …) with an axis besides that of the batch",
                         found=f"axes {axes} of {z.type}")  # fmt: skip
    if not smooth >= 0:
        raise ConfigError("Invalid value for smooth.", expected="at least 0", found=repr(smooth))
    p = sigmoid(z)
    overlap, areas = sum(p * t, axes), sum(p + t, axes)
    return reduce(1 - (2 * overlap + smooth) / (areas + smooth), reduction, sample_weights)


# ---- several classes -----------------------------------------------------------------------------


@loss_for("multiclass", "binary", output="logits", targets=CLASSES_OR_PROBABILITIES)
def cross_entropy(
    logits: TensorLike,
    target: TensorLike,
    *,
    class_weights: TensorLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-ln softmax(logits)[class] of every row; never overflows.

    Args:
        logits: (…, classes) scores of any size.
        target: (…) class indices from 0, or (…, classes) probabilities as floating-point numbers.
        class_weights: (classes) what the loss of each class is multiplied by; with class indices
            the mean is then Σ w·l / Σ w, with probabilities Σ w·l / n, both as in PyTorch.
        label_smoothing: ε: the target becomes (1-ε)·target + ε/classes (Szegedy et al., 2016).
        ignore_index: where the target is this class index, such as that of padding, the loss is 0,
            and the mean does not count it.
        sample_weights: one for each row; the mean is weighted by them.
        reduction: "mean", "sum" or "none".

    Raises:
        ConfigError: ignore_index goes with class indices only.
        ShapeError: the target has neither of the two shapes.
        TypeRuleError: class indices are not integers.
        DataError: a class index is out of range.

    Example:
        >>> import chainrule as cr
        >>> logits = cr.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
        >>> round(cr.losses.cross_entropy(logits, cr.tensor([0, 2])).item(), 4)
        0.6691
    """
    need_logits(cross_entropy, logits)
    z, t = floating(logits), as_tensor(target)
    _check_smoothing(label_smoothing)
    plain = not label_smoothing and class_weights is None and ignore_index is None
    if plain and are_classes(t, z):  # as usual
        return reduce(cross_entropy_of_checked(z, t), reduction, sample_weights)
    counted = None
    if ignore_index is not None:
        if t.type.is_float:
            raise ConfigError("Probabilities have no index to ignore.", expected="class indices",
                              found=f"ignore_index={ignore_index} and {t.type}")  # fmt: skip
        counted = t != ignore_index
        t = where(counted, t, 0)  # it need be no class
    t = need_fitting(cross_entropy, t)
    weights = None if class_weights is None else _class_weights(class_weights, z)
    if t.shape == z.shape and t.type.is_float:
        expected = _smooth(cast(t, z.dtype), label_smoothing, z.shape[-1])
        expected = expected if weights is None else expected * weights
        return reduce(-sum(expected * log_softmax(z), -1), reduction, sample_weights)
    t = class_indices(z, t)
    mass = None if weights is None else take(weights, t)
    loss = cross_entropy_from_logits(z, t)
    loss = loss if mass is None else loss * mass
    if label_smoothing:
        others = log_softmax(z) if weights is None else weights * log_softmax(z)
        loss = (1 - label_smoothing) * loss - label_smoothing * mean(others, -1)
    if counted is not None:
        counts = cast(reshape(counted, loss.shape), loss.dtype)
        loss, mass = loss * counts, counts if mass is None else mass * counts
    return reduce(loss, reduction, sample_weights, mass)


@loss_for("multiclass", output="log-probabilities", targets=CLASSES)
def nll(
    log_probabilities: TensorLike,
    target: TensorLike,
    *,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-ln p[class] of every row, from logarithms of probabilities (…, classes)."""
    z, t = floating(log_probabilities), as_tensor(target)
    t = need_fitting(nll, t)
    t = class_indices(z, t)
    chosen = take_along_axis(z, expand_dims(t, -1), -1)
    return reduce(-reshape(chosen, t.shape), reduction, sample_weights)


@loss_for("distribution", output="log-probabilities", targets=PROBABILITIES)
def kl_div(
    log_probabilities: TensorLike,
    target: TensorLike,
    *,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Kullback and Leibler's divergence Σ t·(ln t - ln p): one loss for every row (last axis).

    0·ln 0 is 0, and the derivative with respect to a target of 0 is 0.

    Args:
        log_probabilities: (…, classes) ln p, as from `chainrule.ops.log_softmax`.
        target: probabilities t of the same shape.
        sample_weights: one for each row.
        reduction: "mean" (over the rows: PyTorch's "batchmean"), "sum" or "none".
    """
    z, t = pair(log_probabilities, target)
    t = need_fitting(kl_div, t)
    some = t > 0
    entropy = where(some, t * log(where(some, t, 1.0)), 0.0)
    return reduce(sum(entropy - t * z, -1), reduction, sample_weights)


@loss_for("multiclass", output="scores", targets=CLASSES)
def multi_margin(
    scores: TensorLike,
    target: TensorLike,
    *,
    margin: float = 1.0,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ max(0, margin - score of the class + score of another) / classes, over the other classes.

    At the margin the derivative is 0.
    """
    z, t = floating(scores), as_tensor(target)
    t = need_fitting(multi_margin, t)
    t = class_indices(z, t)
    own = take_along_axis(z, expand_dims(t, -1), -1)
    others = 1.0 - one_hot(t, z.shape[-1], z.dtype)
    return reduce(mean(others * relu(margin - own + z), -1), reduction, sample_weights)


@loss_for("multiclass", output="cosines", targets=CLASSES)
def arcface(
    cosines: TensorLike,
    target: TensorLike,
    *,
    margin: float = 0.5,
    scale: float = 64.0,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of s·cos θ, with cos(θ + m) for the class of the row (Deng et al., 2019).

    The angle to the own class is to be smaller by a margin than that to the others, so that rows of
    a class lie closely together. Beyond θ = π - m the margin is cos θ - m·sin m instead, so that
    the loss goes on growing. At angles of 0 and π the derivative of sin θ counts as 0.

    Args:
        cosines: (…, classes), from -1 to 1: of the angle between the embedding of a row and the
            weights of a class, as from `chainrule.nn.CosineLinear`.
        target: (…) class indices.
        margin: m, in radians.
        scale: s, what the cosines are multiplied by.
        sample_weights: one for each row.
        reduction: "mean", "sum" or "none".

    Raises:
        DataError: a cosine is not between -1 and 1, or a class index is out of range.

    Example:
        >>> import chainrule as cr
        >>> cosines = cr.tensor([[1.0, 0.0]])
        >>> round(cr.losses.arcface(cosines, cr.tensor([0]), scale=2.0).item(), 3)
        0.159
    """
    z, t = floating(cosines), as_tensor(target)
    t = need_fitting(arcface, t)
    t = class_indices(z, t)
    if not 0 <= margin < math.pi:
        raise ConfigError("Invalid value for margin.", expected="an angle from 0 to below π",
                          found=repr(margin))  # fmt: skip
    about = ("A cosine is out of range.", "from -1 to 1")
    z = require(z, lambda c: (c * c <= 1 + 1e-4) | (c != c), about)
    own = reshape(take_along_axis(z, expand_dims(t, -1), -1), t.shape)
    squared = 1 - own * own
    sine = where(squared > 0, sqrt(where(squared > 0, squared, 1.0)), 0.0)
    moved = own * math.cos(margin) - sine * math.sin(margin)
    moved = where(own > math.cos(math.pi - margin), moved, own - margin * math.sin(margin))
    shift = expand_dims(moved - own, -1) * one_hot(t, z.shape[-1], z.dtype)
    return reduce(cross_entropy_from_logits(scale * (z + shift), t), reduction, sample_weights)


# ---- two classes named -1 and 1 ------------------------------------------------------------------


@loss_for("binary", output="scores", targets=SIGNS)
def hinge(
    prediction: TensorLike,
    target: TensorLike,
    *,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, 1 - t·y) for targets t of -1 and 1; the derivative at the margin is 0."""
    y, t = pair(prediction, target)
    t = need_fitting(hinge, t)
    return reduce(relu(1 - t * y), reduction, sample_weights)


@loss_for("binary", output="scores", targets=SIGNS)
def squared_hinge(
    prediction: TensorLike,
    target: TensorLike,
    *,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, 1 - t·y)² for targets t of -1 and 1."""
    y, t = pair(prediction, target)
    t = need_fitting(squared_hinge, t)
    short = relu(1 - t * y)
    return reduce(short * short, reduction, sample_weights)


@loss_for("binary", output="scores", targets=SIGNS)
def soft_margin(
    prediction: TensorLike,
    target: TensorLike,
    *,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """ln(1 + exp(-t·y)) for targets t of -1 and 1: binary cross-entropy with other labels."""
    y, t = pair(prediction, target)
    t = need_fitting(soft_margin, t)
    return reduce(softplus(-t * y), reduction, sample_weights)


# ---- targets -------------------------------------------------------------------------------------


def class_indices(scores: Tensor, target: Tensor) -> Tensor:
    """The target as class indices, one for every row of scores; checked."""
    if scores.ndim == 0 or scores.shape[-1] < 2:
        raise ShapeError(
            "The scores are of one class only.",
            expected="(…, classes) with at least 2 classes",
            found=str(scores.type),
            hint="With a single score for two classes use binary_cross_entropy.",
        )
    if target.shape == (*scores.shape[:-1], 1):
        target = reshape(target, scores.shape[:-1])
    if target.shape != scores.shape[:-1]:
        one_hot_hint = "Targets that are one-hot or probabilities must be floating-point numbers."
        raise ShapeError(
            "The targets do not fit the scores.",
            expected=f"class indices of shape {scores.shape[:-1]}, or probabilities of shape "
            f"{scores.shape}",
            found=str(target.type),
            hint=one_hot_hint if target.shape == scores.shape else None,
        )
    if target.type.is_float:
        raise TypeRuleError(
            "Class indices must be integers.",
            expected="an integer type",
            found=str(target.type),
            hint="Convert with target.astype('int64').",
        )
    return cast(need_classes(target, scores.shape[-1]), "int64")


def _check_smoothing(amount: float) -> None:
    if not 0 <= amount < 1:
        raise ConfigError("label_smoothing is out of range.", expected="from 0 to below 1",
                          found=str(amount))  # fmt: skip


def _smooth(target: Tensor, amount: float, classes: int) -> Tensor:
    _check_smoothing(amount)
    if not amount:
        return target
    smoothed: Tensor = target * (1 - amount) + amount / classes
    return smoothed


def _class_weights(class_weights: TensorLike, scores: Tensor) -> Tensor:
    weights = as_tensor(class_weights, scores.dtype)
    if weights.shape != scores.shape[-1:]:
        raise ShapeError(
            "The class weights do not fit the scores.",
            expected=f"one for each of {scores.shape[-1]} classes",
            found=str(weights.type),
        )
    return weights
