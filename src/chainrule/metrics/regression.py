"""Metrics of predicted numbers; of several targets (n, k) the mean over the targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..utils.typing import Array
from .common import mean_of, paired, sample_weights_or_ones


def _floats(target: Any, prediction: Any) -> tuple[Array, Array]:
    t, p = paired(target, prediction)
    return t.astype(np.float64), p.astype(np.float64)


def mse(target: Any, prediction: Any, *, sample_weights: Any = None) -> float:
    """Mean squared error."""
    t, p = _floats(target, prediction)
    return mean_of((t - p) ** 2, sample_weights)


def rmse(target: Any, prediction: Any, *, sample_weights: Any = None) -> float:
    """Root of the mean squared error, in the unit of the target; of several targets their mean.

    Example:
        >>> import chainrule as cr
        >>> cr.metrics.rmse([1.0, 2.0], [4.0, 6.0])
        3.5355339059327378
    """
    t, p = _floats(target, prediction)
    weights = sample_weights_or_ones(sample_weights, len(t))
    return float(np.sqrt(np.average((t - p) ** 2, axis=0, weights=weights)).mean())


def mae(target: Any, prediction: Any, *, sample_weights: Any = None) -> float:
    """Mean absolute error."""
    t, p = _floats(target, prediction)
    return mean_of(np.abs(t - p), sample_weights)


def median_ae(target: Any, prediction: Any) -> float:
    """Median of the absolute errors: what outliers do not move."""
    t, p = _floats(target, prediction)
    return float(np.median(np.abs(t - p), axis=0).mean())


def mape(target: Any, prediction: Any, *, sample_weights: Any = None) -> float:
    """Mean of |error| / |target|, not in percent; targets of 0 count as 2.2e-16."""
    t, p = _floats(target, prediction)
    return mean_of(np.abs(t - p) / np.maximum(np.abs(t), np.finfo(np.float64).eps), sample_weights)


def max_error(target: Any, prediction: Any) -> float:
    """The largest absolute error."""
    t, p = _floats(target, prediction)
    return float(np.abs(t - p).max())


def r2(target: Any, prediction: Any, *, sample_weights: Any = None) -> float:
    """R² = 1 - Σ(t - p)² / Σ(t - mean)²: 1 is perfect, 0 as good as the mean, no lower bound.

    Of a constant target it is 1 if the prediction is exact, otherwise 0.

    Example:
        >>> import chainrule as cr
        >>> cr.metrics.r2([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
        0.5
    """
    t, p = _floats(target, prediction)
    weights = sample_weights_or_ones(sample_weights, len(t))
    return _explained((t - p) ** 2, t, weights)


def explained_variance(target: Any, prediction: Any, *, sample_weights: Any = None) -> float:
    """1 - Var(t - p) / Var(t): R², but a constant error costs nothing."""
    t, p = _floats(target, prediction)
    weights = sample_weights_or_ones(sample_weights, len(t))
    return _explained(_deviations(t - p, weights) ** 2, t, weights)


def _explained(squares: Array, target: Array, weights: Array) -> float:
    rest = np.average(squares, axis=0, weights=weights)
    total = np.average(_deviations(target, weights) ** 2, axis=0, weights=weights)
    known = np.where(total > 0, total, 1.0)
    return float(np.where(total > 0, 1 - rest / known, np.where(rest > 0, 0.0, 1.0)).mean())


def _deviations(x: Array, weights: Array) -> Array:
    """The differences from the mean; exactly 0 where all of them that count are equal."""
    counted = x[weights > 0]
    constant = counted.min(axis=0) == counted.max(axis=0)
    return np.where(constant, 0.0, x - np.average(x, axis=0, weights=weights))
