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
    scale = _power_of_two(t - p)
    squares = ((t - p) / scale) ** 2
    return float((np.sqrt(np.average(squares, axis=0, weights=weights)) * scale).mean())


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
    return _explained(t - p, t, weights)


def explained_variance(target: Any, prediction: Any, *, sample_weights: Any = None) -> float:
    """1 - Var(t - p) / Var(t): R², but a constant error costs nothing."""
    t, p = _floats(target, prediction)
    weights = sample_weights_or_ones(sample_weights, len(t))
    return _explained(_deviations(t - p, weights), t, weights)


def _explained(errors: Array, target: Array, weights: Array) -> float:
    deviations = _deviations(target, weights)
    scale = _power_of_two(deviations)
    with np.errstate(over="ignore"):  # an error that is so much larger explains −∞
        rest = np.average((errors / scale) ** 2, axis=0, weights=weights)
    total = np.average((deviations / scale) ** 2, axis=0, weights=weights)
    known = np.where(total > 0, total, 1.0)
    return float(np.where(total > 0, 1 - rest / known, np.where(rest > 0, 0.0, 1.0)).mean())


def _power_of_two(x: Array) -> Array:
    """The size of the largest number of each column, by which squares neither overflow nor vanish.

    Dividing by a power of two changes no digit.
    """
    largest = np.abs(x).max(axis=0, initial=0.0)
    usual = np.isfinite(largest) & (largest > 0)
    return np.asarray(np.ldexp(1.0, np.frexp(np.where(usual, largest, 1.0))[1] - 1))


def _deviations(x: Array, weights: Array) -> Array:
    """The differences from the mean; exactly 0 where all of them that count are equal."""
    counted = x[weights > 0]
    constant = counted.min(axis=0) == counted.max(axis=0)
    return np.where(constant, 0.0, x - np.average(x, axis=0, weights=weights))
