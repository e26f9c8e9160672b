"""A linear model on ready features: what a network must beat to be worth anything."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..engine.autodiff import value_and_grad
from ..engine.compile import Compiled
from ..engine.ops import softmax
from ..engine.tensor import Tensor, parameter
from ..losses import cross_entropy
from ..optim import AdamW, make_schedule
from ..utils.typing import Array

_RIDGE = 1e-3
_STEPS = 300


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
        logistic = _logistic(x, target, classes, weights)
        return lambda z: softmax(_with_ones(z) @ logistic).numpy()
    # (XᵀWX + λnI) w = XᵀWy, with weights of mean 1
    of_rows = x if weights is None else x * (weights / weights.mean())[:, None]
    gram = of_rows.T @ x + _RIDGE * len(x) * np.eye(x.shape[1])
    ridge = np.linalg.solve(gram, of_rows.T @ target)
    return lambda z: np.asarray(_with_ones(z) @ ridge)


def _with_ones(x: Array) -> Array:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1, dtype=float)


def _logistic(x: Array, target: Array, classes: int, weights: Array | None) -> Array:
    """Softmax regression by full-batch AdamW: the loss is convex, so any start will do."""
    w = {"weight": parameter(np.zeros((x.shape[1], classes)))}
    optimizer = AdamW(w, lr=make_schedule("cosine", 0.1, _STEPS), weight_decay=1e-3)

    def step(x: Tensor, target: Tensor, rows: Tensor | None) -> Tensor:
        def error(p: dict[str, Tensor]) -> Tensor:
            return cross_entropy(x @ p["weight"], target, sample_weights=rows)

        loss, gradients = value_and_grad(error)(w)
        optimizer.update(gradients)
        return loss

    run = Compiled(step)
    for _ in range(_STEPS):
        run(x, target, weights)
    return w["weight"].numpy()
