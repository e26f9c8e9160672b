"""What a model must beat to be worth anything: a constant answer, and a linear model."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compile import Compiled
from ..data import Encoded, Schema
from ..differentiate import value_and_grad
from ..losses import cross_entropy
from ..ops import softmax
from ..optim import AdamW, make_schedule
from ..tensor import Tensor, parameter
from .features import CategoryVectors, TableFeatures, columns_by_kind, side_by_side

Array = np.ndarray[Any, Any]

_RIDGE = 1e-3
_STEPS = 300


def linear_baseline(schema: Schema, train: Encoded, test: Encoded, classes: int) -> Array:
    """Ridge regression, or logistic regression, on standardised and one-hot encoded columns."""
    features = TableFeatures(schema, bins=0)
    # Many categories by vectors that are not learned here: a random projection of them.
    vectors = CategoryVectors(features.learned, seed=0) if features.learned else None

    def encode(rows: Encoded) -> Array:
        found = side_by_side(features(columns_by_kind(rows)), vectors).numpy()
        return np.concatenate([found, np.ones((len(rows), 1))], axis=1, dtype=np.float64)

    x, z = encode(train), encode(test)
    assert train.target is not None
    if classes:
        return _logistic(x, train.target, z, classes)
    # (XᵀX + λnI) w = Xᵀy
    gram = x.T @ x + _RIDGE * len(x) * np.eye(x.shape[1])
    return np.asarray(z @ np.linalg.solve(gram, x.T @ train.target))


def _logistic(x: Array, target: Array, z: Array, classes: int) -> Array:
    """Softmax regression by full-batch AdamW: the loss is convex, so any start will do."""
    w = {"weight": parameter(np.zeros((x.shape[1], classes)))}
    optimizer = AdamW(w, lr=make_schedule("cosine", 0.1, _STEPS), weight_decay=1e-3)

    def step(x: Tensor, target: Tensor) -> Tensor:
        loss, gradients = value_and_grad(lambda p: cross_entropy(x @ p["weight"], target))(w)
        optimizer.update(gradients)
        return loss

    run = Compiled(step)
    for _ in range(_STEPS):
        run(x, target)
    return softmax(z @ w["weight"].numpy()).numpy()
