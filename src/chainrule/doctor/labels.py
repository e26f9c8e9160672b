"""Rows whose label is probably wrong: confident learning on out-of-fold probabilities.

Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR
2021. A row speaks for a class if the class is as probable as it is on average among the rows that
have its label. Rows that speak for another class than their own are counted by pairs of classes;
so many rows of each pair are named, the least probable labels first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError
from ..utils.typing import Array


@dataclass(frozen=True, eq=False)
class Suspects:
    """Rows whose label is probably wrong, the surest first.

    Attributes:
        rows: (n,) their indices.
        given: (n,) the class index of each label.
        likely: (n,) the class that is more probable.
        sure: (n,) from 0 to 1, how improbable the label is beside that class.
        noise: the estimated fraction of wrong labels among all rows.
    """

    rows: Array
    given: Array
    likely: Array
    sure: Array
    noise: float

    def __len__(self) -> int:
        return len(self.rows)


def suspects(labels: Any, probabilities: Any) -> Suspects:
    """The rows whose label is probably wrong.

    Args:
        labels: (rows,) class indices.
        probabilities: (rows, classes) of models that did not learn from the row, such as those of
            a cross-validation.

    Raises:
        DataError: the shapes do not fit, or these are no probabilities.

    Example:
        >>> import numpy as np
        >>> p = np.array([[0.9, 0.1]] * 10 + [[0.2, 0.8]] * 10)
        >>> labels = np.array([0] * 10 + [1] * 10)
        >>> labels[3] = 1
        >>> found = suspects(labels, p)
        >>> found.rows.tolist(), found.given.tolist(), found.likely.tolist()
        ([3], [1], [0])
    """
    y, p = np.asarray(labels), np.asarray(probabilities, np.float64)
    if p.ndim != 2 or y.shape != p.shape[:1] or not len(y):
        raise DataError(
            "Labels and probabilities do not fit together.",
            expected="(rows,) class indices and (rows, classes) probabilities",
            found=f"{y.shape} and {p.shape}",
        )
    if not ((p >= 0) & (p <= 1)).all() or y.min() < 0 or y.max() >= p.shape[1]:
        raise DataError("These are no probabilities of the classes that the labels name.")
    y = y.astype(np.int64)
    classes = p.shape[1]
    levels = np.array([p[y == c, c].mean() if (y == c).any() else 1.0 for c in range(classes)])
    joint = _joint(y, p, levels)
    count = _count(y, p, joint)
    # A class whose own rows are less sure needs less to be believed.
    weighed = p / np.maximum(levels, 1e-6) ** 2
    own = np.eye(classes, dtype=bool)[y]
    other = np.where(own, -1.0, weighed)
    likely = other.argmax(axis=1)
    theirs, ours = other.max(axis=1), weighed[own]
    sure = theirs / np.maximum(theirs + ours, 1e-12)
    found = np.argsort(-sure, kind="stable")[:count]
    return Suspects(found, y[found], likely[found], sure[found], float(1 - np.trace(joint)))


def _count(y: Array, p: Array, joint: Array) -> int:
    """How many rows are named: those of the joint off its diagonal, where the label is behind."""
    rows, classes = p.shape
    margin = p - p[np.arange(rows), y][:, None]
    chosen = np.zeros(rows, bool)
    for i in range(classes):
        members = np.flatnonzero(y == i)
        for j in range(classes):
            wanted = round(joint[i, j] * rows) if i != j else 0
            order = members[np.argsort(-margin[members, j], kind="stable")[:wanted]]
            chosen[order[margin[order, j] > 0]] = True
    return int(chosen.sum())


def _joint(y: Array, p: Array, levels: Array) -> Array:
    """(classes, classes) the estimated joint distribution of given and true labels."""
    classes = p.shape[1]
    counts = np.bincount(y, minlength=classes).astype(float)
    speaks = np.where(p >= levels - 1e-6, p, -1.0)
    true = speaks.argmax(axis=1)
    use = speaks.max(axis=1) >= 0
    joint = np.zeros((classes, classes))
    np.add.at(joint, (y[use], true[use]), 1)
    joint[np.arange(classes), np.arange(classes)] = np.maximum(joint.diagonal(), counts > 0)
    joint *= (counts / np.maximum(joint.sum(axis=1), 1e-12))[:, None]  # to the counts of labels
    return np.asarray(joint / max(joint.sum(), 1e-12))
