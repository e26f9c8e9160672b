"""Quick models: what a few milliseconds can learn from the data, to compare a network with.

A ridge regression and the mean of the nearest rows, each from standardised features. Their skill on
held-out rows says whether there is anything to learn, and what is easily reached; it has no scale:
0 is a constant, 1 is perfect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..utils.random import generator
from ..utils.typing import Array

MOST_ROWS, MOST_TESTED, MOST_FEATURES = 1500, 500, 400
_RIDGE = 1e-2
_NEAREST = 7
_FOLDS = 3


@dataclass(frozen=True)
class Reference:
    """What quick models reach.

    Attributes:
        best: the skill of the better one on held-out rows.
        linear: that of the linear one.
        train: the skill of the linear one on its own rows.
        error: the standard error of the best skill.
    """

    best: float
    linear: float
    train: float
    error: float


def skill(predicted: Array, target: Array, classes: int) -> float:
    """How much better than a constant: of squared errors, or of wrong classes.

    Args:
        predicted: (rows,) numbers or class indices.
        target: the same.
        classes: how many classes; 0 for numbers.

    Example:
        >>> import numpy as np
        >>> skill(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]), 2)
        0.5
    """
    if classes:
        wrong = float((predicted != target).mean())
        base = 1 - np.bincount(target.astype(int), minlength=classes).max() / len(target)
    else:
        wrong = float(((predicted - target) ** 2).mean())
        base = float(target.var())
    return float(1 - wrong / base) if base > 0 else 0.0


def quick_reference(
    x: Array, y: Array, classes: int, held_out: tuple[Array, Array] | None, seed: int = 0
) -> Reference | None:
    """The reference for these rows; None if nothing can be said.

    Args:
        x: (rows, features) of the training set.
        y: (rows,) its target.
        classes: how many; 0 for numbers.
        held_out: features and target of the validation set; without one parts of the rows.
        seed: for what is drawn.
    """
    if x.shape[1] > MOST_FEATURES or len(x) < 20:
        return None
    rng = generator(seed, "quick models")
    order = rng.permutation(len(x))[: MOST_ROWS + MOST_TESTED]
    if held_out is None:
        cut = 2 * len(order) // 3
        train, test = order[:cut], order[cut:][:MOST_TESTED]
        x_test, y_test = x[test], y[test]
    else:
        train = order[:MOST_ROWS]
        chosen = rng.permutation(len(held_out[0]))[:MOST_TESTED]
        x_test, y_test = held_out[0][chosen], held_out[1][chosen]
    if len(y_test) < 10 or np.ptp(y_test) == 0 or np.ptp(y[train]) == 0:
        return None
    x_train, y_train = x[train], y[train]
    x_train, x_test = standardised(x_train, x_test)
    linear_test, linear_train = _ridge(x_train, y_train, x_test, classes)
    nearest = _nearest(x_train, y_train, x_test, classes)
    linear = skill(linear_test, y_test, classes)
    best = max(linear, skill(nearest, y_test, classes))
    error = _error_of(linear_test if linear >= best else nearest, y_test, classes)
    return Reference(best, linear, skill(linear_train, y_train, classes), error)


def standardised(x: Array, other: Array) -> tuple[Array, Array]:
    """Both with the mean and standard deviation of the first; what is constant is left out."""
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    use = deviation > 1e-12 * (np.abs(mean) + 1e-300)
    if not use.any():
        return x * 0, other * 0
    low, high = (
        (x[:, use] - mean[use]) / deviation[use],
        (other[:, use] - mean[use]) / deviation[use],
    )
    return np.clip(low, -5, 5), np.clip(high, -5, 5)


def _error_of(predicted: Array, target: Array, classes: int) -> float:
    """The standard error of a skill."""
    errors = predicted != target if classes else (predicted - target) ** 2
    base = 1 - np.bincount(target.astype(int)).max() / len(target) if classes else target.var()
    return float(np.std(errors) / np.sqrt(len(errors)) / base) if base > 0 else 0.0


def _ridge(x: Array, y: Array, z: Array, classes: int) -> tuple[Array, Array]:
    """Predictions for z and for x itself."""
    wanted = np.eye(classes)[y.astype(int)] if classes else y[:, None].astype(float)
    x, z = (np.concatenate([part, np.ones((len(part), 1))], axis=1) for part in (x, z))
    gram = x.T @ x + _RIDGE * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ wanted)
    found = [part @ weights for part in (z, x)]
    made = [part.argmax(axis=1) if classes else part[:, 0] for part in found]
    return made[0], made[1]


def neighbours(x: Array, z: Array, count: int, itself: bool = False) -> tuple[Array, Array]:
    """For each row of z the nearest rows of x and their distances, nearest first.

    Args:
        x: the rows to look among.
        z: the rows to look for.
        count: how many.
        itself: whether z is x, and a row is no neighbour of its own.
    """
    count = min(count, len(x) - itself)
    square = (x * x).sum(axis=1) + (z * z).sum(axis=1)[:, None] - 2 * z @ x.T
    if itself:
        np.fill_diagonal(square, np.inf)
    near = np.argpartition(square, count - 1, axis=1)[:, :count]
    distance = np.take_along_axis(square, near, axis=1)
    order = np.argsort(distance, axis=1)
    distance = np.sqrt(np.maximum(np.take_along_axis(distance, order, axis=1), 0))
    return np.take_along_axis(near, order, axis=1), distance


def _nearest(x: Array, y: Array, z: Array, classes: int) -> Array:
    near, _ = neighbours(x, z, _NEAREST)
    if not classes:
        return np.asarray(y[near].mean(axis=1))
    votes = np.stack([(y[near] == c).sum(axis=1) for c in range(classes)], axis=1)
    return np.asarray(votes.argmax(axis=1))
