"""How good the network is at the end, on a scale from a constant (0) to perfect (1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..training import Arrays
from ..utils.typing import Array
from .data_facts import looks_like_classes
from .evidence import Outcome, Structure
from .quick_models import skill

_MOST_ROWS = 2000
#: What a loss may take so that the network's output can be compared with the target.
_OUTPUTS = ("", "logits", "log-probabilities", "scores", "values")


def outcome_of(
    predict: Any, structure: Structure, train: Arrays, held_out: Arrays | None
) -> Outcome:
    """What the network reaches on both sets.

    Args:
        predict: from inputs to what the network gives, and its loss takes.
        structure: of the network.
        train: the training set.
        held_out: the validation set.
    """
    found = Outcome()
    for name, examples in (("train", train), ("held_out", held_out)):
        if examples is None:
            continue
        some = examples.take(np.arange(min(len(examples), _MOST_ROWS)) * len(examples)
                             // min(len(examples), _MOST_ROWS))  # fmt: skip
        pair = _pair(np.asarray(predict(some.inputs)), some.target, structure)
        if pair is None:
            return found
        predicted, target, classes = pair
        value = skill(predicted, target, classes) if np.isfinite(predicted).all() else -1.0
        setattr(found, name, value)
        if classes:
            found.recalls = [
                float((predicted[target == c] == c).mean()) if (target == c).any() else 1.0
                for c in range(classes)
            ]
            spread = np.unique(predicted).size - 1
            found.variation = float(spread / max(np.unique(target).size - 1, 1))
        else:
            found.variation = float(predicted.std() / (target.std() or 1.0))
    return found


def _pair(
    predicted: Array, target: Array | None, structure: Structure
) -> tuple[Array, Array, int] | None:
    """Predictions and targets, one for each row, and the number of classes."""
    task = structure.task
    if target is None or not task or structure.loss_output not in _OUTPUTS:
        return None
    rows = len(target)
    if target.ndim == 2 and target.shape[1] > 1 and predicted.shape == target.shape:
        if not ((target == 0) | (target == 1)).all() or (target.sum(axis=1) != 1).any():
            return None
        return predicted.argmax(axis=1), target.argmax(axis=1), target.shape[1]
    if target.size != rows:
        return None
    target = target.reshape(-1)
    if task == "multiclass":
        if predicted.ndim != 2:
            return None
        return predicted.argmax(axis=1), target.astype(np.int64), predicted.shape[1]
    if predicted.size != rows:
        return None
    values = predicted.reshape(-1).astype(np.float64)
    if task == "binary":
        return (values > 0).astype(np.int64), target.astype(np.int64), 2
    if task != "regression":
        return None
    if classes := looks_like_classes(target):  # class indices that are learned as numbers
        with np.errstate(invalid="ignore"):
            rounded = np.clip(np.nan_to_num(np.round(values)), 0, classes - 1)
        return rounded.astype(np.int64), target.astype(np.int64), classes
    target = target.astype(np.float64)
    if not structure.loss_output and np.isfinite(values).all() and values.std() > 0:
        # A loss of the user's own may learn another form of the target: the line between them.
        slope = float(np.cov(values, target)[0, 1] / values.var(ddof=1))
        values = target.mean() + slope * (values - values.mean())
    return values, target, 0
