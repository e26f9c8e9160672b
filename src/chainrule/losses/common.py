"""What all losses share: equal shapes, sample weights, and the reduction to one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..engine.ops import broadcast_to, reshape, stack, sum, where
from ..engine.ops.check import require
from ..engine.ops.declare import cast, floating
from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ConfigError, ShapeError
from ..utils.warned import warned
from .registry import NUMBERS, find_loss

REDUCTIONS = ("mean", "sum", "none")
#: The numerator and the denominator of the mean, so that means of parts can be put together.
SUM_AND_WEIGHT = "sum and weight"


def pair(prediction: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
    """Prediction and target with one shape and one floating-point type.

    A last axis of a single number that only one of them has is dropped, so that (n, 1) goes with
    (n); any other difference is an error: nothing is ever broadcast.
    """
    prediction = floating(prediction)
    target = as_tensor(target)
    if prediction.shape == (*target.shape, 1):
        prediction = reshape(prediction, target.shape)
    elif target.shape == (*prediction.shape, 1):
        target = reshape(target, prediction.shape)
    if prediction.shape != target.shape:
        raise ShapeError(
            "Prediction and target differ in shape.",
            expected=f"a target of shape {prediction.shape}, like the prediction",
            found=str(target.type),
            hint="Class indices go with cross_entropy; otherwise there is one target for every "
            "number that is predicted.",
        )
    return prediction, cast(target, prediction.dtype)


def need_logits(function: Callable[..., Tensor], prediction: TensorLike) -> None:
    """Warn of probabilities where a loss takes logits: it would apply softmax or sigmoid again."""
    if not isinstance(prediction, Tensor):
        return
    node = prediction.node
    while node.op.moves and node.inputs:
        node = node.inputs[0]
    if node.op.name in ("softmax", "sigmoid"):
        warned(
            f"{function.__name__} takes logits, and applies {node.op.name} itself: the prediction "
            f"is the result of {node.op.name} already, so that the loss stays large and gradients "
            f"small. Remove {node.op.name} at the end of the network, and apply it to predictions.",
            UserWarning,
        )


def reduce(
    loss: Tensor, reduction: str, sample_weights: TensorLike | None, mass: Tensor | None = None
) -> Tensor:
    """The losses of the samples as one number.

    "none" gives wᵢ·lᵢ, "sum" Σ wᵢ·lᵢ and "mean" Σ wᵢ·lᵢ / Σ wᵢ·mᵢ; that is 0 if nothing
    has weight.

    Args:
        loss: lᵢ, one number for each sample, or for each number that a sample predicts.
        reduction: "mean", "sum" or "none".
        sample_weights: wᵢ, one for each row or for each loss; 1 without.
        mass: mᵢ, what each loss counts for in the mean, such as the weight of its class, which
            ``loss`` contains already; 1 without.
    """
    if reduction not in (*REDUCTIONS, SUM_AND_WEIGHT):
        raise ConfigError(
            "Unknown reduction.", expected=", ".join(REDUCTIONS), found=repr(reduction)
        )
    if reduction == "mean" and not loss.size:
        raise ShapeError("The mean loss of no samples is not defined.", found=str(loss.type))
    if sample_weights is not None:
        weights = _weights(sample_weights, loss)
        loss = loss * weights
        mass = weights if mass is None else mass * weights
    if reduction == "none":
        return loss
    total = sum(loss)
    if reduction == "sum":
        return total
    if reduction == SUM_AND_WEIGHT:
        return stack([total, as_tensor(loss.size, loss.dtype) if mass is None else sum(mass)])
    if mass is None:
        return _divide(total, loss.size)
    weight = sum(mass)
    return _divide(total, where(weight == 0, 1.0, weight))


def _divide(total: Tensor, count: Any) -> Tensor:
    mean: Tensor = total / count
    return mean


def _weights(sample_weights: TensorLike, loss: Tensor) -> Tensor:
    """A weight for each loss, from one for each loss or for each row of losses."""
    weights = cast(as_tensor(sample_weights), loss.dtype)
    if weights.shape == (*loss.shape, 1):
        weights = reshape(weights, loss.shape)
    if not weights.ndim or weights.shape != loss.shape[: weights.ndim]:
        raise ShapeError(
            "The sample weights do not fit the losses.",
            expected=f"one for each row of {loss.shape}",
            found=str(weights.type),
        )
    about = ("A sample weight is negative.", "at least 0")
    weights = require(weights, lambda w: w >= 0, about)
    columns = reshape(weights, (*weights.shape, *(1,) * (loss.ndim - weights.ndim)))
    return broadcast_to(columns, loss.shape)


def need_fitting(loss: Callable[..., Tensor], target: Tensor) -> Tensor:
    """The target, if the loss is for such targets; otherwise an error."""
    found = find_loss(loss)
    if found is None or found.targets is NUMBERS:
        return target
    return require(target, found.targets.fit, (found.name,), "target")
