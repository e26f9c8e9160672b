"""Quantiles that hold what they state: corrected on held-out rows, measured on the test set.

What a network learns of quantiles is too narrow on new rows. Each is moved by what held-out rows
say (split-conformal prediction; Romano, Patterson and Candès, "Conformalized quantile regression",
2019, with both tails by themselves): of the errors y - q of n held-out rows, the ⌈(n + 1)·level⌉-th
smallest is added. If new rows are like these, a fraction of at least the level lies below, and for
levels under a half at most the level; so between 0.1 and 0.9 there are at least 80 % of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..utils.typing import Array


def shift(level: float, errors: Array, weights: Array | None = None) -> float:
    """What is to be added to a quantile.

    Args:
        level: of the quantile.
        errors: (rows,) of held-out rows: the target minus the quantile.
        weights: (rows,) what each row counts for; all the same without.

    Example:
        >>> errors = np.arange(1.0, 20.0)
        >>> shift(0.9, errors), shift(0.1, errors), shift(0.5, errors)
        (18.0, 2.0, 10.0)
    """
    if level < 0.5:
        return -shift(1 - level, -errors, weights)
    order = np.argsort(errors, kind="stable")
    weight = np.ones(len(errors)) if weights is None else weights[order]
    # A new row counts as one more, of mean weight, with an error that has no bound.
    total = weight.sum() + weight.mean()
    reached = np.cumsum(weight) >= level * total * (1 - 1e-12)
    return float(errors[order][np.argmax(reached) if reached.any() else -1])


def enough_rows(level: float) -> int:
    """How many held-out rows a level needs, for its correction not to be the largest error.

    Example:
        >>> enough_rows(0.9), enough_rows(0.01), enough_rows(0.5)
        (9, 99, 1)
    """
    outside = min(level, 1 - level)
    return math.ceil((1 - outside) / outside - 1e-9)


def weighted_quantile(values: Array, level: float, weights: Array | None = None) -> float:
    """A quantile; with weights the smallest value that so much of the weight is not above.

    Example:
        >>> weighted_quantile(np.array([1.0, 2.0]), 0.5)
        1.5
        >>> weighted_quantile(np.array([5.0, 1.0, 2.0]), 0.5, np.array([8.0, 1.0, 1.0]))
        5.0
    """
    if weights is None:
        return float(np.quantile(values, level))
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    place = np.searchsorted(total, level * total[-1] * (1 - 1e-12))
    return float(values[order][min(place, len(values) - 1)])


def interval_scores(
    levels: Sequence[float], target: Array, quantiles: Array, weights: Array | None = None
) -> dict[str, float]:
    """How good quantiles are: their pinball loss; coverage and mean width of each interval.

    An interval lies between two levels that are equally far from a half: 0.1 and 0.9 state 80 %.

    Args:
        levels: ascending; none give nothing.
        target: (rows,) numbers.
        quantiles: (rows, levels); NaN where a method knows none.
        weights: (rows,) what each row counts for.

    Example:
        >>> found = interval_scores((0.1, 0.9), np.array([1.0, 5.0]), np.array([[0.0, 2.0]] * 2))
        >>> {name: round(value, 2) for name, value in found.items()}
        {'pinball': 0.85, 'coverage_0.1_0.9': 0.5, 'width_0.1_0.9': 2.0}
    """
    if not levels:
        return {}
    errors = target[:, None] - quantiles
    pinball = np.maximum(np.array(levels) * errors, (np.array(levels) - 1) * errors)
    counted = len(target) and (weights is None or weights.any())
    known = counted and np.isfinite(quantiles).all()

    def average(values: Array) -> float:
        return float(np.average(values, weights=weights)) if known else math.nan

    found = {"pinball": average(pinball.mean(axis=1))}
    for low, high in pairs(levels):
        a, b = quantiles[:, levels.index(low)], quantiles[:, levels.index(high)]
        name = f"{low:g}_{high:g}"
        found[f"coverage_{name}"] = average((a <= target) & (target <= b))
        found[f"width_{name}"] = average(b - a)
    return found


def pairs(levels: Sequence[float]) -> list[tuple[float, float]]:
    """The levels that make intervals around a half, the widest first.

    Example:
        >>> pairs((0.05, 0.1, 0.5, 0.9))
        [(0.1, 0.9)]
    """
    return [
        (low, high) for low in levels for high in levels
        if low < 0.5 and math.isclose(low + high, 1)
    ]  # fmt: skip
