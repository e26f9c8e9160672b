"""Metrics: how good predictions are. NumPy in, float out; no derivatives.

Arguments are ``(target, prediction)``, in scikit-learn's order. Metrics of *values* take numbers,
those of *classes* take predicted classes, those of *probabilities* one for each class, those of
*texts* texts; `compute` makes classes from probabilities where they are needed. ``sample_weights``
weighs the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from ..errors import unknown
from ..utils.typing import Array
from .classification import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    f1,
    matthews,
    precision,
    recall,
)
from .common import column
from .probability import (
    average_precision,
    brier,
    calibration_error,
    log_loss,
    roc_auc,
    top_k_accuracy,
)
from .regression import explained_variance, mae, mape, max_error, median_ae, mse, r2, rmse
from .texts import (
    bleu,
    character_error_rate,
    chrf,
    edit_distance,
    exact_match,
    token_f1,
    word_error_rate,
)


class Metric(NamedTuple):
    """A metric: its function, whether higher is better, and what the function takes.

    Attributes:
        function: ``(target, prediction, *, sample_weights=None) -> float``; `max_error` and
            `median_ae` take no weights.
        higher_is_better: the direction.
        kind: what the prediction holds.
        weighted: whether the function takes sample weights.
    """

    function: Callable[..., float]
    higher_is_better: bool
    kind: Literal["values", "classes", "probabilities", "texts"]
    weighted: bool = True


_averages = {
    f"{name}_{average}": Metric(partial(function, average=average), True, "classes")
    for name, function in {"precision": precision, "recall": recall, "f1": f1}.items()
    for average in ("macro", "micro", "weighted")
}

#: Every metric by its name.
METRICS: MappingProxyType[str, Metric] = MappingProxyType(
    {
        "mse": Metric(mse, False, "values"),
        "rmse": Metric(rmse, False, "values"),
        "mae": Metric(mae, False, "values"),
        "median_ae": Metric(median_ae, False, "values", weighted=False),
        "mape": Metric(mape, False, "values"),
        "max_error": Metric(max_error, False, "values", weighted=False),
        "r2": Metric(r2, True, "values"),
        "explained_variance": Metric(explained_variance, True, "values"),
        "accuracy": Metric(accuracy, True, "classes"),
        "balanced_accuracy": Metric(balanced_accuracy, True, "classes"),
        "precision": Metric(precision, True, "classes"),
        "recall": Metric(recall, True, "classes"),
        "f1": Metric(f1, True, "classes"),
        **_averages,
        "matthews": Metric(matthews, True, "classes"),
        "roc_auc": Metric(roc_auc, True, "probabilities"),
        "average_precision": Metric(average_precision, True, "probabilities"),
        "log_loss": Metric(log_loss, False, "probabilities"),
        "brier": Metric(brier, False, "probabilities"),
        "calibration_error": Metric(calibration_error, False, "probabilities"),
        "top_3_accuracy": Metric(partial(top_k_accuracy, k=3), True, "probabilities"),
        "top_5_accuracy": Metric(partial(top_k_accuracy, k=5), True, "probabilities"),
        "exact_match": Metric(exact_match, True, "texts", weighted=False),
        "word_error_rate": Metric(word_error_rate, False, "texts", weighted=False),
        "character_error_rate": Metric(character_error_rate, False, "texts", weighted=False),
        "token_f1": Metric(token_f1, True, "texts", weighted=False),
        "bleu": Metric(bleu, True, "texts", weighted=False),
        "chrf": Metric(chrf, True, "texts", weighted=False),
    }
)


def compute(name: str, target: Any, prediction: Any, sample_weights: Any = None) -> float:
    """A metric by its name, of what a network predicts.

    Args:
        name: a name from `METRICS`.
        target: values, or class indices from 0.
        prediction: values, or probabilities: (n) of class 1 or (n, classes). For metrics of
            classes the most probable class is taken; predictions of integers are classes already.
        sample_weights: one for each row.

    Raises:
        ConfigError: there is no such metric.

    Example:
        >>> import chainrule as cr
        >>> cr.metrics.compute("accuracy", [0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        0.6666666666666666
    """
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return measure(METRICS[name], target, prediction, sample_weights)


def measure(metric: Metric, target: Any, prediction: Any, sample_weights: Any = None) -> float:
    """Any `Metric` of what a network predicts; the arguments are those of `compute`.

    Example:
        >>> import chainrule as cr
        >>> within = lambda y, p: float((abs(y - p) < 1).mean())
        >>> metric = cr.metrics.Metric(within, True, "values", weighted=False)
        >>> measure(metric, np.array([1.0, 5.0]), np.array([1.5, 3.0]))
        0.5
    """
    if metric.kind == "classes":
        prediction = classes_of(prediction)
        target = column(target)
    options = {"sample_weights": sample_weights} if metric.weighted else {}
    return metric.function(target, prediction, **options)


def classes_of(probabilities: Any) -> Array:
    """The most probable class indices: from (n) probabilities of class 1, or (n, classes)."""
    p = column(probabilities)
    if p.dtype.kind != "f":
        return p
    return (p > 0.5).astype(np.int64) if p.ndim == 1 else p.argmax(axis=-1)


__all__ = [
    "METRICS",
    "Metric",
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "bleu",
    "brier",
    "calibration_error",
    "character_error_rate",
    "chrf",
    "classes_of",
    "compute",
    "confusion_matrix",
    "edit_distance",
    "exact_match",
    "explained_variance",
    "f1",
    "log_loss",
    "mae",
    "mape",
    "matthews",
    "max_error",
    "measure",
    "median_ae",
    "mse",
    "precision",
    "r2",
    "recall",
    "rmse",
    "roc_auc",
    "token_f1",
    "top_k_accuracy",
    "word_error_rate",
]
