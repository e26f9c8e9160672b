"""Probabilities that mean what they say: a temperature for the logits, from held-out rows.

Networks are often too sure of their answers on new rows. All logits are divided by the one number
that makes the held-out rows most probable (Guo et al., "On calibration of modern neural networks",
2017); the order of the classes stays. It is kept only if the held-out rows become more probable.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ... import metrics
from ...utils.typing import Array

#: Temperatures are looked for between the inverse of this and this.
_FURTHEST = 20.0
#: Improvements of the held-out loss below this fraction are rounding.
_LEAST = 1e-5


def probabilities(z: Array, temperature: float) -> Array:
    """(members, rows, classes) logits → (rows, classes): the mean of the members' softmax.

    Example:
        >>> probabilities(np.array([[[0.0, np.log(3.0)]]]), 1.0).round(2).tolist()
        [[0.25, 0.75]]
    """
    scaled = np.asarray(z, np.float64) / temperature
    p = np.exp(scaled - scaled.max(axis=2, keepdims=True))
    return np.asarray((p / p.sum(axis=2, keepdims=True)).mean(axis=0))


def log_loss(z: Array, target: Array, weights: Array, temperature: float) -> float:
    """Weighted mean of -ln p(true class)."""
    p = probabilities(z, temperature)[np.arange(len(target)), target]
    return float(np.average(-np.log(np.maximum(p, 1e-300)), weights=weights))


def best_temperature(z: Array, target: Array, weights: Array) -> float:
    """The temperature that makes the true classes most probable; 1 if none is better than that.

    Args:
        z: (members, rows, classes) logits of held-out rows.
        target: (rows,) class indices.
        weights: (rows,) what each row counts for.

    Example:
        >>> z = np.array([[[0.0, 4.0]] * 4])  # 0.98 sure, and right in three of four rows
        >>> round(best_temperature(z, np.array([1, 1, 1, 0]), np.ones(4)), 2)
        3.64
    """
    if not len(target) or not weights.any():
        return 1.0

    def loss(t: float) -> float:
        return log_loss(z, target, weights, math.exp(t))

    found = math.exp(_lowest(loss, -math.log(_FURTHEST), math.log(_FURTHEST)))
    gained = loss(0.0) - loss(math.log(found))
    return found if gained > _LEAST * loss(0.0) else 1.0


def _lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function of one minimum is lowest: golden-section search."""
    ratio = (math.sqrt(5) - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = function(a), function(b)
    while high - low > 1e-4:
        if at_a < at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = function(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = function(b)
    return (low + high) / 2


def quality(target: Array, found: Array, weights: Array | None = None) -> dict[str, float]:
    """How good probabilities are: Brier score, expected calibration error and log loss.

    Args:
        target: (rows,) class indices.
        found: (rows, classes) probabilities.
        weights: (rows,) what each row counts for.
    """
    names = ("brier", "calibration_error", "log_loss")
    if not len(target) or (weights is not None and not weights.any()):
        return dict.fromkeys(names, math.nan)
    return {name: metrics.compute(name, target, found, weights) for name in names}
