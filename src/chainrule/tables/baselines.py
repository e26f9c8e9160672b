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
from .features import TableFeatures, columns_by_kind

Array = np.ndarray[Any, Any]

_RIDGE = 1e-3
_STEPS = 300


def linear_baseline(schema: Schema, train: Encoded, test: Encoded, classes: int) -> Array:
    """Ridge regression, or logistic regression, on standardised and one-hot encoded columns."""
    features = TableFeatures(schema, bins=0)
    encode = Compiled(features.forward)
    x, z = (encode(columns_by_kind(rows)).numpy().astype(np.float64) for rows in (train, test))
    x, z = (np.concatenate([part, np.ones((len(part), 1))], axis=1) for part in (x, z))
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
