"""A linear model on ready features: what a network must beat to be worth anything."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..engine.ops import softmax
from ..utils.typing import Array

_RIDGE = 1e-3
#: Steps, rate and decay of the logistic regression.
_STEPS, _RATE, _DECAY = 300, 0.1, 1e-3
#: Of many rows each of its steps takes a part of so many at least: as good, and much sooner.
_PART = 10_000


def linear_predictions(
    x: Array, target: Array, z: Array, classes: int, weights: Array | None = None
) -> Array:
    """Ridge regression, or logistic regression, learned on ``x`` and asked for ``z``.

    Args:
        x: (rows, features), standardised.
        target: (rows,) numbers, or class indices.
        z: (others, features).
        classes: how many; 0 for a regression.
        weights: (rows,) what each row counts for.

    Returns:
        (others,) numbers, or (others, classes) probabilities.

    Example:
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> linear_predictions(x, x[:, 0] * 3, x, 0).round(1).tolist()
        [0.0, 3.0, 6.0]
    """
    return linear_model(x, target, classes, weights)(z)


def linear_model(
    x: Array, target: Array, classes: int, weights: Array | None = None
) -> Callable[[Array], Array]:
    """What `linear_predictions` learns, as a function of features, for parts of them at a time."""
    x = _with_ones(x)
    if classes:
        counted = np.ones((len(x), 1)) if weights is None else weights[:, None]
        (found,) = logistic(x, target, counted, classes, _STEPS, max(len(x) // _PART, 1))
        return lambda z: softmax(_with_ones(z) @ found).numpy()
    # (XᵀWX + λnI) w = XᵀWy, with weights of mean 1
    of_rows = x if weights is None else x * (weights / weights.mean())[:, None]
    gram = of_rows.T @ x + _RIDGE * len(x) * np.eye(x.shape[1])
    ridge = np.linalg.solve(gram, of_rows.T @ target)
    return lambda z: np.asarray(_with_ones(z) @ ridge)


def _with_ones(x: Array) -> Array:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1, dtype=float)


def logistic(
    x: Array, target: Array, weights: Array, classes: int, steps: int, parts: int = 1
) -> Array:
    """Softmax regressions side by side, by AdamW: the loss is convex.

    Args:
        x: (rows, features).
        target: (rows,) class indices.
        weights: (rows, models) what each row counts for.
        classes: how many.
        steps: of the optimizer.
        parts: of the rows that take turns, every ``parts``-th row in each; all in every step if 1.

    Returns:
        (models, features, classes).
    """
    models, features = weights.shape[1], x.shape[1]
    some = [_part(x[i::parts], target[i::parts], weights[i::parts], classes) for i in range(parts)]
    w = np.zeros((features, models, classes), x.dtype)
    mean, square = np.zeros_like(w), np.zeros_like(w)
    for step in range(1, steps + 1):
        x, wanted, own = some[step % parts]
        z = (x @ w.reshape(features, -1)).reshape(len(x), models, classes)
        p = z.transpose(2, 0, 1).copy()  # what is added up and compared far apart: quicker
        np.exp(p - p.max(axis=0), out=p)
        p /= p.sum(axis=0)
        p -= wanted
        p *= own
        gradient = (x.T @ p.transpose(1, 2, 0).reshape(len(x), -1)).reshape(w.shape)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        rate = _RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
        ahead = (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        w -= rate * (ahead + _DECAY * w)
    return np.asarray(w.transpose(1, 0, 2))


def _part(x: Array, target: Array, weights: Array, classes: int) -> tuple[Array, Array, Array]:
    """Features, (classes, rows, 1) what is wanted, (rows, models) weights with the sum 1."""
    wanted = np.eye(classes, dtype=x.dtype)[:, target, None]
    own = (weights / np.maximum(weights.sum(axis=0), 1e-9)).astype(x.dtype)
    return np.ascontiguousarray(x), wanted, own
