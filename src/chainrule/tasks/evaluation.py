"""How good predictions are, in the terms of the task; what rows count for."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import metrics
from ..errors import ConfigError, DataError
from ..utils.typing import Array

#: The metrics of a task, the most telling first.
METRICS = {
    "regression": ("r2", "rmse", "mae"),
    "binary": ("accuracy", "roc_auc", "f1", "log_loss"),
    "multiclass": ("accuracy", "f1_macro", "log_loss"),
}

#: Between a metric and the target that it is of, where there are several.
OF = " of "


def metric_of(name: str) -> str:
    """The metric in a name of a report.

    Example:
        >>> metric_of("r2"), metric_of("r2 of price")
        ('r2', 'r2')
    """
    return name.partition(OF)[0]


def evaluate(
    task: str,
    target: Any,
    predicted: Array,
    weights: Array | None = None,
    classes: Array | None = None,
) -> dict[str, float]:
    """The metrics of a task; NaN where one is not defined on these rows.

    Args:
        task: a name in `METRICS`.
        target: (rows,) numbers, or class indices.
        predicted: (rows,) numbers, or (rows, classes) probabilities.
        weights: (rows,) what each row counts for.
        classes: (rows,) the class indices that are predicted; the most probable ones without.

    Example:
        >>> evaluate("regression", np.array([1.0, 3.0]), np.array([1.0, 2.0]))["mae"]
        0.5
    """
    results = {}
    for name in METRICS[task]:
        try:
            decided = classes is not None and metrics.METRICS[name].kind == "classes"
            given = classes if decided else predicted
            results[name] = metrics.compute(name, target, given, weights)
        except DataError:  # not defined on these rows, such as the ROC of a single class
            results[name] = float("nan")
    return results


def row_errors(task: str, target: Any, predicted: Any) -> Array | None:
    """The error of each row by the first metric of a task, to compare methods row by row.

    Args:
        task: see `evaluate`.
        target: see `evaluate`.
        predicted: see `evaluate`.

    Returns:
        (rows,) squared errors of numbers, or 1 for a wrong class and 0 for the right one; None for
        other tasks.

    Example:
        >>> row_errors("regression", np.array([1.0, 3.0]), np.array([1.0, 5.0])).tolist()
        [0.0, 4.0]
    """
    if task not in METRICS:
        return None
    if task == "regression":
        return np.asarray((np.ravel(target) - np.ravel(predicted)) ** 2)
    return np.asarray(metrics.classes_of(predicted) != np.ravel(target), float)


def constant_prediction(
    target: Array, rows: int, classes: int, weights: Array | None = None
) -> tuple[str, Array]:
    """The mean of a target, or how frequent each class is: the same for so many rows."""
    if not classes:
        return "mean", np.full(rows, np.average(target, weights=weights))
    counts = np.bincount(target, weights, minlength=classes)
    return "majority", np.tile(counts / counts.sum(), (rows, 1))


def class_weights(target: Array, classes: int, weights: Array | None = None) -> Array:
    """For each row n / (classes · rows of its class): all classes weigh the same.

    Rows with weights keep them within their class.

    Example:
        >>> class_weights(np.array([0, 0, 0, 1]), 2).round(2).tolist()
        [0.67, 0.67, 0.67, 2.0]
    """
    if not classes:
        raise ConfigError("Only classes can be balanced.", hint="Omit --balance.")
    row = np.ones(len(target)) if weights is None else weights
    counts = np.bincount(target, row, minlength=classes)
    share = row * counts.sum() / np.count_nonzero(counts)
    return np.divide(share, counts[target], out=np.zeros(len(target)), where=counts[target] > 0)
