"""Metrics of predicted probabilities, or of scores that order the rows.

Two classes: (n) or (n, 1) probabilities of class 1, or (n, 2). Several: (n, classes). The target
holds class indices from 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ConfigError, DataError, ShapeError
from ..utils.typing import Array
from .common import column, mean_of, need_rows, sample_weights_or_ones


def _class_indices(target: Any, prediction: Any) -> tuple[Array, Array]:
    """Class indices (n), and scores (n) of class 1 or (n, classes)."""
    t, scores = column(target), column(prediction).astype(np.float64)
    need_rows(t)
    if t.ndim != 1 or scores.ndim not in (1, 2) or len(scores) != len(t):
        raise ShapeError(
            "Target and prediction do not fit.",
            expected="class indices (n), and probabilities (n) or (n, classes)",
            found=f"{t.shape} and {scores.shape}",
        )
    classes = 2 if scores.ndim == 1 else scores.shape[1]
    indices = t.astype(np.int64) if t.dtype.kind in "bfiu" else None
    if indices is None or np.any(indices != t) or indices.min() < 0 or indices.max() >= classes:
        raise DataError(
            "The target does not hold class indices.",
            expected=f"0 to {classes - 1}, for there are probabilities of {classes} classes",
            found=", ".join(map(str, np.unique(t)[:5].tolist())),
        )
    return indices, scores


def _one_against_rest(
    curve: Callable[[Array, Array, Array], float],
    target: Any,
    prediction: Any,
    sample_weights: Any,
) -> float:
    """Of two classes that of class 1, of several the mean over the classes that have a value."""
    indices, scores = _class_indices(target, prediction)
    weights = sample_weights_or_ones(sample_weights, len(indices))
    if scores.ndim == 2 and scores.shape[1] == 2:
        scores = scores[:, 1]
    if np.isnan(scores).any():
        return float("nan")
    if scores.ndim == 1:
        return curve(indices == 1, scores, weights)
    each = [curve(indices == k, scores[:, k], weights) for k in range(scores.shape[1])]
    defined = [value for value in each if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _steps(positive: Array, scores: Array, weights: Array) -> tuple[Array, Array]:
    """Weight of the positive and of the negative rows at each distinct score, highest first."""
    distinct, index = np.unique(-scores, return_inverse=True)
    index = index.ravel()
    count = len(distinct)
    return (
        np.bincount(index, weights * positive, count),
        np.bincount(index, weights * ~positive, count),
    )


def _area_under_roc(positive: Array, scores: Array, weights: Array) -> float:
    """P(score of a positive > score of a negative) + ½ P(equal)."""
    hits, misses = _steps(positive, scores, weights)
    if not hits.sum() or not misses.sum():
        return float("nan")
    lower = misses.sum() - np.cumsum(misses)
    return float((hits * (lower + 0.5 * misses)).sum() / (hits.sum() * misses.sum()))


def _average_precision(positive: Array, scores: Array, weights: Array) -> float:
    """Σ (Rₙ - Rₙ₋₁)·Pₙ over the thresholds n: the area under the steps of precision by recall."""
    hits, misses = _steps(positive, scores, weights)
    if not hits.sum():
        return float("nan")
    found, all_taken = np.cumsum(hits), np.cumsum(hits + misses)
    some = all_taken > 0
    return float((hits[some] * found[some] / all_taken[some]).sum() / hits.sum())


def roc_auc(target: Any, prediction: Any, *, sample_weights: Any = None) -> float:
    """The probability that a row of class 1 has a higher score than one of class 0; ties are half.

    Of several classes the mean over each class against the rest. NaN if there is nothing to
    compare, because all rows are of one class, or if a score is NaN.

    Example:
        >>> import chainrule as cr
        >>> cr.metrics.roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.75
    """
    return _one_against_rest(_area_under_roc, target, prediction, sample_weights)


def average_precision(target: Any, prediction: Any, *, sample_weights: Any = None) -> float:
    """The area under the curve of precision by recall: the measure when class 1 is rare.

    Of several classes the mean over each class against the rest, without those that are never
    true; NaN if class 1 is never true.
    """
    return _one_against_rest(_average_precision, target, prediction, sample_weights)


def log_loss(target: Any, prediction: Any, *, sample_weights: Any = None) -> float:
    """Mean of -ln p(true class); probabilities are kept from 0 by their rounding (2.2e-16 or 1e-7).

    Example:
        >>> import chainrule as cr
        >>> round(cr.metrics.log_loss([1, 0], [0.5, 0.5]), 4)
        0.6931
    """
    given = np.asarray(prediction)
    eps = np.finfo(given.dtype if given.dtype.kind == "f" else np.float64).eps
    indices, p = _probabilities(target, prediction)
    own = np.clip(p, eps, 1 - eps)[np.arange(len(indices)), indices]
    return mean_of(-np.log(own), sample_weights)


def brier(target: Any, prediction: Any, *, sample_weights: Any = None) -> float:
    """Mean squared error of the probabilities (Brier, 1950).

    Of two classes (p₁ - t)², from 0 to 1; of several Σₖ (pₖ - tₖ)², from 0 to 2.
    """
    indices, p = _probabilities(target, prediction)
    squares = ((p - np.eye(p.shape[1])[indices]) ** 2).sum(axis=1)
    return mean_of(squares / 2 if p.shape[1] == 2 else squares, sample_weights)


def calibration_error(
    target: Any, prediction: Any, *, bins: int = 15, sample_weights: Any = None
) -> float:
    """Expected calibration error: how far confidence and accuracy are apart (Naeini et al., 2015).

    Rows are grouped by the probability of the class that is predicted, in ``bins`` groups of equal
    width; it is the mean over the rows of |accuracy - mean confidence| of their group. Few rows
    make it too large.

    Example:
        >>> import chainrule as cr
        >>> round(cr.metrics.calibration_error([1, 1, 1, 0], [0.9, 0.9, 0.9, 0.9]), 2)
        0.15
    """
    if bins < 1:
        raise ConfigError("There must be at least one group.", found=f"bins={bins}")
    indices, p = _probabilities(target, prediction)
    weights = sample_weights_or_ones(sample_weights, len(indices))
    sure = p.max(axis=1)
    group = np.minimum((sure * bins).astype(np.int64), bins - 1)
    gap = weights * ((p.argmax(axis=1) == indices) - sure)
    return float(np.abs(np.bincount(group, gap)).sum() / weights.sum())


def top_k_accuracy(
    target: Any, prediction: Any, *, k: int = 5, sample_weights: Any = None
) -> float:
    """The fraction of the rows whose class is among the k with the highest scores.

    Of equal scores those of the higher class indices come first.
    """
    indices, p = _class_indices(target, prediction)
    p = np.stack([-p, p], axis=1) if p.ndim == 1 else p
    if k < 1:
        raise ConfigError("k must be at least 1.", found=f"k={k}")
    order = np.argsort(p, axis=1, kind="stable")[:, ::-1][:, :k]
    return mean_of((order == indices[:, None]).any(axis=1).astype(np.float64), sample_weights)


def _probabilities(target: Any, prediction: Any) -> tuple[Array, Array]:
    """Class indices (n) and probabilities (n, classes), also of two classes."""
    indices, p = _class_indices(target, prediction)
    if np.any((p < 0) | (p > 1 + 1e-6)):
        raise DataError(
            "The prediction does not hold probabilities.",
            expected="0 to 1",
            found=f"{p.min():.4g} to {p.max():.4g}",
            hint="Apply sigmoid or softmax to logits first.",
        )
    return indices, (np.stack([1 - p, p], axis=1) if p.ndim == 1 else p)
