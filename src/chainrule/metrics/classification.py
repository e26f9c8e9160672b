"""Metrics of predicted classes: labels of any kind, numbers or text."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ConfigError
from ..utils.typing import Array
from .common import mean_of, paired, ratio, sample_weights_or_ones

AVERAGES = ("auto", "binary", "macro", "micro", "weighted")


def accuracy(target: Any, prediction: Any, *, sample_weights: Any = None) -> float:
    """The fraction of the rows whose class is right.

    Example:
        >>> import chainrule as cr
        >>> cr.metrics.accuracy([0, 1, 2, 2], [0, 1, 2, 0])
        0.75
    """
    t, p = paired(target, prediction)
    return mean_of((t == p).astype(np.float64), sample_weights)


def confusion_matrix(
    target: Any, prediction: Any, *, labels: Any = None, sample_weights: Any = None
) -> Array:
    """How often each class (row) was predicted as each class (column).

    Args:
        target: true classes.
        prediction: predicted classes.
        labels: the classes in the order of rows and columns; sorted without. Rows of other
            classes are left out.
        sample_weights: count each row so many times; then the matrix is of float64.

    Example:
        >>> import chainrule as cr
        >>> cr.metrics.confusion_matrix([0, 1, 1], [0, 0, 1]).tolist()
        [[1, 0], [1, 1]]
    """
    t, p = paired(target, prediction)
    known = np.unique(np.concatenate([t.ravel(), p.ravel()])) if labels is None else labels
    known = np.asarray(known)
    order = np.argsort(known, kind="stable")
    rows, columns = (_positions(x, known, order) for x in (t, p))
    inside = (rows >= 0) & (columns >= 0)
    weights = sample_weights_or_ones(sample_weights, len(t))[inside]
    matrix = np.zeros((len(known), len(known)))
    np.add.at(matrix, (rows[inside], columns[inside]), weights)
    return matrix if sample_weights is not None else matrix.astype(np.int64)


def _positions(x: Array, known: Array, order: Array) -> Array:
    """The position of each label among the known ones, -1 if it is not there."""
    position = np.clip(np.searchsorted(known, x, sorter=order), 0, len(known) - 1)
    found = order[position]
    return np.where(known[found] == x, found, -1)


def balanced_accuracy(target: Any, prediction: Any, *, sample_weights: Any = None) -> float:
    """The mean of the classes' accuracies (recalls), however rare a class is.

    Classes that are predicted but never true do not count.
    """
    matrix = confusion_matrix(target, prediction, sample_weights=sample_weights)
    support = matrix.sum(axis=1)
    return float(ratio(np.diag(matrix), support)[support > 0].mean())


def precision(
    target: Any,
    prediction: Any,
    *,
    average: str = "auto",
    positive: Any = 1,
    sample_weights: Any = None,
) -> float:
    """The fraction of the rows predicted as a class that are of it; 0 if none is predicted.

    Args:
        target: true classes.
        prediction: predicted classes.
        average: "binary": of the class ``positive``; "macro": the mean over the classes;
            "weighted": that mean, weighted with how often the classes are true; "micro": of all
            decisions together; "auto": binary if all labels are 0 and 1, otherwise macro.
        positive: the class that "binary" is about.
        sample_weights: one for each row.

    Example:
        >>> import chainrule as cr
        >>> cr.metrics.precision([0, 1, 1, 0], [1, 1, 1, 0])
        0.6666666666666666
    """
    return _averaged(
        lambda hits, predicted, true: ratio(hits, predicted),
        target, prediction, average, positive, sample_weights,
    )  # fmt: skip


def recall(
    target: Any,
    prediction: Any,
    *,
    average: str = "auto",
    positive: Any = 1,
    sample_weights: Any = None,
) -> float:
    """The fraction of the rows of a class that are predicted as it; 0 if there are none.

    Arguments as in `precision`.
    """
    return _averaged(
        lambda hits, predicted, true: ratio(hits, true),
        target, prediction, average, positive, sample_weights,
    )  # fmt: skip


def f1(
    target: Any,
    prediction: Any,
    *,
    average: str = "auto",
    positive: Any = 1,
    sample_weights: Any = None,
) -> float:
    """The harmonic mean of precision and recall, 2·hits / (predicted + true); 0 if both are 0.

    Arguments as in `precision`.
    """
    return _averaged(
        lambda hits, predicted, true: ratio(2 * hits, predicted + true),
        target, prediction, average, positive, sample_weights,
    )  # fmt: skip


def _averaged(
    score: Any, target: Any, prediction: Any, average: str, positive: Any, sample_weights: Any
) -> float:
    if average not in AVERAGES:
        raise ConfigError("Unknown average.", expected=", ".join(AVERAGES), found=repr(average))
    t, p = paired(target, prediction)
    labels = np.unique(np.concatenate([t.ravel(), p.ravel()]))
    if average == "auto":
        average = "binary" if np.isin(labels, (0, 1)).all() and positive == 1 else "macro"
    matrix = confusion_matrix(t, p, labels=labels, sample_weights=sample_weights)
    hits, predicted, true = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    if average == "binary":
        chosen = labels == positive
        return float(score(hits[chosen].sum(), predicted[chosen].sum(), true[chosen].sum()))
    if average == "micro":
        return float(score(hits.sum(), predicted.sum(), true.sum()))
    weights = true if average == "weighted" else None
    return float(np.average(score(hits, predicted, true), weights=weights))


def matthews(target: Any, prediction: Any, *, sample_weights: Any = None) -> float:
    """Matthews' correlation of true and predicted classes, from -1 to 1; 0 if one is constant.

    For several classes Gorodkin's form (2004), with c of s rows right and class k predicted pₖ and
    true tₖ times: (c·s - Σ pₖtₖ) / √((s² - Σ pₖ²)(s² - Σ tₖ²)).
    """
    matrix = confusion_matrix(target, prediction, sample_weights=sample_weights).astype(np.float64)
    predicted, true = matrix.sum(axis=0), matrix.sum(axis=1)
    total = matrix.sum()
    above = np.trace(matrix) * total - predicted @ true
    below = (total**2 - predicted @ predicted) * (total**2 - true @ true)
    return float(ratio(above, np.sqrt(max(below, 0.0))))
