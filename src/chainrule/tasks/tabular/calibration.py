"""Probabilities that mean what they say: a temperature for the logits, from held-out rows.

Networks are often too sure of their answers on new rows. All logits are divided by the one number
that makes the held-out rows most probable (Guo et al., "On calibration of modern neural networks",
2017); the order of the classes stays. It is kept only if the held-out rows become more probable.

What is predicted is the mean of the members of an ensemble, which is less noisy than each of them
and needs a lower temperature. Where a row is held out from one member only, that of the mean is
extrapolated (SIMEX: Cook and Stefanski, "Simulation-extrapolation estimation in parametric
measurement error models", 1994): the ensemble is simulated around the logits of that member, whose
error has the variance of one member, then of two; the logarithm of the temperature is followed back
to the error of the mean of all.
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
#: Simulated errors of each row.
_DRAWS = 3


def probabilities(z: Array, temperature: float) -> Array:
    """(members, rows, classes) logits → (rows, classes): the mean of the members' softmax.

    Example:
        >>> probabilities(np.array([[[0.0, np.log(3.0)]]]), 1.0).round(2).tolist()
        [[0.25, 0.75]]
    """
    return _mean_softmax(_classes_first(z), temperature).T


def _classes_first(z: Array) -> Array:
    """(classes, members, rows): what is added up and compared lies far apart, which is quicker."""
    return np.ascontiguousarray(np.asarray(z, np.float64).transpose(2, 0, 1))


def _mean_softmax(z: Array, temperature: float) -> Array:
    """(classes, members, rows) logits → (classes, rows)."""
    scaled = z / temperature
    p = np.exp(scaled - scaled.max(axis=0))
    return np.asarray((p / p.sum(axis=0)).mean(axis=1))


def log_loss(z: Array, target: Array, weights: Array, temperature: float) -> float:
    """Weighted mean of -ln p(true class)."""
    return _log_loss(_classes_first(z), target, weights, temperature)


def _log_loss(z: Array, target: Array, weights: Array, temperature: float) -> float:
    p = _mean_softmax(z, temperature)[target, np.arange(len(target))]
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

    z = _classes_first(z)

    def loss(t: float) -> float:
        return _log_loss(z, target, weights, math.exp(t))

    found = math.exp(_lowest(loss, -math.log(_FURTHEST), math.log(_FURTHEST)))
    gained = loss(0.0) - loss(math.log(found))
    return found if gained > _LEAST * loss(0.0) else 1.0


def temperature_of_mean(
    z: Array, apart: Array, target: Array, weights: Array
) -> tuple[float, dict[str, float]]:
    """The temperature of an ensemble's mean, where each row is held out from one member.

    Args:
        z: (1, rows, classes) logits of the member that each row is held out from.
        apart: (members, rows, classes) how far the others lie around their mean.
        target: (rows,) class indices.
        weights: (rows,) what each row counts for.

    Returns:
        The temperature, and the extrapolated loss without it, ``before``, and with it, ``after``.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> truth, noise = rng.normal(0, 2, (2000, 1)), rng.normal(0, 1, (8, 2000, 1))
        >>> z = np.concatenate([truth + noise, 0 * noise], axis=2)  # logits of eight members
        >>> y = (rng.random(2000) > 1 / (1 + np.exp(-truth[:, 0]))).astype(int)
        >>> apart = z[1:] - z[1:].mean(axis=0)
        >>> ones = np.ones(2000)
        >>> alone, mean = best_temperature(z[:1], y, ones), best_temperature(z, y, ones)
        >>> found, _ = temperature_of_mean(z[:1], apart, y, ones)
        >>> mean < found < alone and found - mean < 0.5 * (alone - mean)
        True
    """
    members, rows = apart.shape[0], len(target)
    apart = apart * math.sqrt(members / (members - 1))  # their own mean is taken from them
    # One member more is part of the error: the next of the others, in several draws.
    draws = np.arange(min(members, _DRAWS))
    centres = [z + apart[(np.arange(rows) + draw) % members, np.arange(rows)] for draw in draws]
    once = z + apart, target, weights
    twice = (
        np.concatenate([centre + apart for centre in centres], axis=1),
        np.tile(target, len(draws)), np.tile(weights, len(draws)),
    )  # fmt: skip
    back = 1 - 1 / (members + 1)

    def extrapolated(first: float, second: float) -> float:
        return first - back * (second - first)

    found = math.exp(
        extrapolated(math.log(best_temperature(*once)), math.log(best_temperature(*twice)))
    )
    before, after = (extrapolated(log_loss(*once, t), log_loss(*twice, t)) for t in (1.0, found))
    if not before - after > _LEAST * abs(before):
        return 1.0, {"before": before, "after": before}
    return found, {"before": before, "after": after}


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
