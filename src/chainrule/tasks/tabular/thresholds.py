"""The threshold of a rare class: chosen on held-out rows for the metric that is named.

A class is predicted from a probability of a half on. Where one of two classes is rare, or a mistake
costs more on one side, another threshold serves better; which one follows from what is wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...utils.typing import Array
from ..threshold_metrics import parse

#: The rows at each threshold: true positives, false positives; and all positives and negatives.
Counts = tuple[Array, Array, float, float]


@dataclass(frozen=True)
class Chosen:
    """A threshold.

    Attributes:
        value: the probability from which on a row is taken for the class.
        score: of the metric on the held-out rows with it.
        at_half: of the metric with a threshold of a half.
        reached: whether what the metric needs, such as ``precision=0.9``, is reached.
    """

    value: float
    score: float
    at_half: float
    reached: bool


def choose_threshold(metric: str, p: Array, positive: Array, weights: Array) -> Chosen:
    """The threshold at which a metric is best on held-out rows.

    Args:
        metric: such as ``f1`` or ``recall@precision=0.9``; see `chainrule.tasks.threshold_metrics`.
        p: (rows,) probability of the class.
        positive: (rows,) whether it is the class.
        weights: (rows,) what each row counts for.

    Example:
        >>> p, true = np.array([0.1, 0.2, 0.3, 0.4]), np.array([False, False, True, True])
        >>> choose_threshold("f1", p, true, np.ones(4))
        Chosen(value=0.25, score=1.0, at_half=0.0, reached=True)
    """
    name, needs = parse(metric)
    values, counts = _counts(p, positive, weights)
    score = _METRICS[name](*counts)
    allowed = np.ones(len(values), bool)
    if needs is not None:
        other = _METRICS[needs[0]](*counts)
        allowed = other >= needs[1]
        if not allowed.any():  # as near as can be
            allowed = other == other.max()
    reached = needs is None or bool(other.max() >= needs[1])
    best = score == score[allowed].max()
    # Of equal ones the nearest to a half.
    candidates = np.flatnonzero(best & allowed)
    place = candidates[np.abs(values[candidates] - 0.5).argmin()]
    half = _METRICS[name](*_at(0.5, p, positive, weights))
    return Chosen(float(values[place]), float(score[place]), float(half[0]), reached)


def score_at(metric: str, threshold: float, p: Array, positive: Array, weights: Array) -> float:
    """A metric by its plain name, such as ``recall``, at a threshold."""
    return float(_METRICS[metric](*_at(threshold, p, positive, weights))[0])


def _counts(p: Array, positive: Array, weights: Array) -> tuple[Array, Counts]:
    """The thresholds that differ, in the middle between two probabilities, and what they give."""
    distinct, place = np.unique(p.astype(np.float64), return_inverse=True)
    hits = np.bincount(place.ravel(), weights * positive)[::-1].cumsum()[::-1]
    misses = np.bincount(place.ravel(), weights * ~positive)[::-1].cumsum()[::-1]
    values = np.concatenate([distinct[:1], (distinct[1:] + distinct[:-1]) / 2])
    return values, (hits, misses, float(hits[0]), float(misses[0]))


def _at(threshold: float, p: Array, positive: Array, weights: Array) -> Counts:
    taken = p >= threshold
    hits, misses = (weights[taken & group].sum() for group in (positive, ~positive))
    return (np.array([hits]), np.array([misses]), weights[positive].sum(), weights[~positive].sum())


def _ratio(above: Array, below: Array | float) -> Array:
    below = np.broadcast_to(np.asarray(below, float), above.shape)
    return np.divide(above, below, out=np.zeros(above.shape), where=below > 0)


def _matthews(hits: Array, misses: Array, positive: float, negative: float) -> Array:
    taken = hits + misses
    left = positive + negative - taken
    return _ratio(hits * negative - misses * positive,
                  np.sqrt(np.maximum(taken * left, 0) * positive * negative))  # fmt: skip


_METRICS: dict[str, Callable[[Array, Array, float, float], Array]] = {
    "f1": lambda hits, misses, pos, neg: _ratio(2 * hits, hits + misses + pos),
    "precision": lambda hits, misses, pos, neg: _ratio(hits, hits + misses),
    "recall": lambda hits, misses, pos, neg: _ratio(hits, pos),
    "accuracy": lambda hits, misses, pos, neg: _ratio(hits + neg - misses, pos + neg),
    "balanced_accuracy": lambda hits, misses, pos, neg: (
        (_ratio(hits, pos) + _ratio(neg - misses, neg)) / 2
    ),
    "matthews": _matthews,
}
