"""Losses for regression: ``(prediction, target)`` of equal shapes, one loss for every number.

All take ``sample_weights`` and ``reduction``: see `chainrule.losses`.
"""

from __future__ import annotations

import math

from ..engine.ops import (
    abs,
    clip,
    cosine_similarity,
    exp,
    log,
    log1p,
    maximum,
    sinh,
    softplus,
    where,
)
from ..engine.ops.check import require
from ..engine.tensor import Tensor, TensorLike
from ..errors import ConfigError
from .common import need_fitting, pair, reduce
from .registry import ABOVE_MINUS_ONE, COUNTS, NUMBERS, loss_for


@loss_for("regression", output="values", targets=NUMBERS)
def mse(
    prediction: TensorLike,
    target: TensorLike,
    *,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Squared error e² with e = prediction - target.

    Example:
        >>> import chainrule as cr
        >>> cr.losses.mse(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0])).item()
        2.0
    """
    p, t = pair(prediction, target)
    error = p - t
    return reduce(error * error, reduction, sample_weights)


@loss_for("regression", output="values", targets=NUMBERS)
def mae(
    prediction: TensorLike,
    target: TensorLike,
    *,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Absolute error |e|; its derivative at 0 is 0."""
    p, t = pair(prediction, target)
    return reduce(abs(p - t), reduction, sample_weights)


@loss_for("regression", output="values", targets=NUMBERS)
def huber(
    prediction: TensorLike,
    target: TensorLike,
    *,
    delta: float = 1.0,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """e²/2 for |e| ≤ δ, otherwise δ·(|e| - δ/2): outliers have a bounded gradient (Huber, 1964).

    Args:
        prediction: numbers.
        target: numbers of the same shape.
        delta: where the parabola goes over into lines.
        sample_weights: one for each row.
        reduction: "mean", "sum" or "none".
    """
    _need_positive("delta", delta)
    p, t = pair(prediction, target)
    error, size = p - t, abs(p - t)
    loss = where(size <= delta, 0.5 * error * error, delta * (size - 0.5 * delta))
    return reduce(loss, reduction, sample_weights)


@loss_for("regression", output="values", targets=NUMBERS)
def smooth_l1(
    prediction: TensorLike,
    target: TensorLike,
    *,
    beta: float = 1.0,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Huber's loss divided by its δ = ``beta``: e²/2β for |e| ≤ β, otherwise |e| - β/2."""
    _need_positive("beta", beta)
    p, t = pair(prediction, target)
    error, size = p - t, abs(p - t)
    loss = where(size <= beta, (0.5 / beta) * error * error, size - 0.5 * beta)
    return reduce(loss, reduction, sample_weights)


@loss_for("regression", output="values", targets=NUMBERS)
def log_cosh(
    prediction: TensorLike,
    target: TensorLike,
    *,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """ln cosh(e): like e²/2 when small, like |e| - ln 2 when large, and smooth everywhere."""
    p, t = pair(prediction, target)
    size = abs(p - t)
    # 1 + 2·sinh²(e/2) = cosh e is exact near 0, |e| + ln(1 + e⁻²|ᵉ|) - ln 2 never overflows.
    near = sinh(0.5 * clip(p - t, -1.0, 1.0))
    far = size + softplus(-2.0 * size) - math.log(2)
    return reduce(where(size < 1, log1p(2.0 * near * near), far), reduction, sample_weights)


@loss_for("regression", output="values above -1", targets=ABOVE_MINUS_ONE)
def msle(
    prediction: TensorLike,
    target: TensorLike,
    *,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Squared error of ln(1 + x): for numbers over several orders of magnitude, above -1."""
    p, t = pair(prediction, target)
    t = need_fitting(msle, t)
    error = log1p(p) - log1p(t)
    return reduce(error * error, reduction, sample_weights)


@loss_for("regression", output="values", targets=NUMBERS)
def mape(
    prediction: TensorLike,
    target: TensorLike,
    *,
    eps: float = 1e-8,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """|e| / max(|target|, eps): the relative error (not in percent); its derivative at 0 is 0."""
    p, t = pair(prediction, target)
    return reduce(abs((t - p) / _at_least(abs(t), eps)), reduction, sample_weights)


@loss_for("regression", output="values", targets=NUMBERS)
def quantile(
    prediction: TensorLike,
    target: TensorLike,
    *,
    q: float = 0.5,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Pinball loss max(q·d, (q-1)·d) with d = target - prediction (Koenker and Bassett, 1978).

    The prediction that minimises it is the q-quantile; q = 0.5 is half of `mae`. At d = 0 the
    derivative is the mean of both sides, as of `chainrule.ops.maximum`.
    """
    if not 0 < q < 1:
        raise ConfigError("q must be between 0 and 1.", expected="0 < q < 1", found=f"q={q}")
    p, t = pair(prediction, target)
    return reduce(maximum(q * (t - p), (q - 1) * (t - p)), reduction, sample_weights)


@loss_for("regression", output="logarithms of rates", targets=COUNTS)
def poisson_nll(
    prediction: TensorLike,
    target: TensorLike,
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-ln of the Poisson probability of the counts ``target``: λ - t·ln λ, without ln t!.

    Args:
        prediction: ln λ, or λ itself.
        target: counts, at least 0.
        log_input: whether the prediction is ln λ (any number is one) or λ.
        full: whether Stirling's approximation of ln t! is added for t > 1.
        eps: is added to λ before its logarithm is taken.
        sample_weights: one for each row.
        reduction: "mean", "sum" or "none".
    """
    p, t = pair(prediction, target)
    t = need_fitting(poisson_nll, t)
    loss = exp(p) - t * p if log_input else p - t * log(p + eps)
    if full:
        many = where(t > 1, t, 2.0)  # any number above 1: these are left out below
        stirling = many * log(many) - many + 0.5 * log(2 * math.pi * many)
        loss = loss + where(t > 1, stirling, 0.0)
    return reduce(loss, reduction, sample_weights)


@loss_for("regression", output="means and variances", targets=NUMBERS)
def gaussian_nll(
    prediction: TensorLike,
    target: TensorLike,
    variance: TensorLike,
    *,
    full: bool = False,
    eps: float = 1e-6,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-ln of the normal density: (ln v + e²/v) / 2, for networks that predict their own error.

    Args:
        prediction: the mean.
        target: numbers of the same shape.
        variance: v, positive, of the same shape (softplus or exp of an output of the network).
        full: whether the constant ln(2π)/2 is added.
        eps: the least variance; below it the derivative with respect to v is 0.
        sample_weights: one for each row.
        reduction: "mean", "sum" or "none".
    """
    p, t = pair(prediction, target)
    v, _ = pair(variance, t)
    v = require(v, lambda x: x >= 0, ("A variance is negative.", "at least 0"))
    v = _at_least(v, eps)
    loss = 0.5 * (log(v) + (p - t) * (p - t) / v)
    return reduce(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction, sample_weights)


@loss_for("regression", output="vectors", targets=NUMBERS)
def cosine(
    prediction: TensorLike,
    target: TensorLike,
    *,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos of the angle between prediction and target: one loss for every vector (last axis)."""
    p, t = pair(prediction, target)
    return reduce(1.0 - cosine_similarity(p, t), reduction, sample_weights)


def _at_least(x: Tensor, low: float) -> Tensor:
    return where(x < low, low, x)


def _need_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(f"{name} must be positive.", expected="above 0", found=f"{name}={value}")
