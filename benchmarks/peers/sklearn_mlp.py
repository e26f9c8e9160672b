"""scikit-learn: partial_fit of its networks, a batch at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from ..dense import DENSE, layers
from ..task import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Task
from ..worker import Prepare, serve


def build(task: Task, mode: str) -> Prepare:
    """Mode: ``partial_fit``."""
    network = DENSE[task.network.name]
    options: dict[str, Any] = {
        "hidden_layer_sizes": network.sizes[1:-1], "batch_size": network.batch, "alpha": 0.0,
        "learning_rate_init": LEARNING_RATE, "beta_1": BETA1, "beta_2": BETA2, "epsilon": EPSILON,
    }  # fmt: skip
    target = task.y.ravel()
    rows = np.concatenate([np.flatnonzero(target == c)[:1] for c in range(network.classes)] or
                          [np.arange(network.batch)])  # fmt: skip
    model: Any = (MLPClassifier if network.classes else MLPRegressor)(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a first batch that is smaller than the others
        known = {"classes": np.arange(network.classes)} if network.classes else {}
        model.partial_fit(task.x[rows], target[rows], **known)
    model.coefs_ = [w.copy() for w, _ in layers(task.weights)]
    model.intercepts_ = [b.copy() for _, b in layers(task.weights)]
    del model._optimizer  # its moving averages start again, and it takes the new weights
    # For numbers its loss, and so its gradient, is half the squared error; Adam does not mind.
    scale = 1 if network.classes else 2

    def prepare(order: Array) -> Callable[[], Any]:
        def run() -> Any:
            losses = []
            for rows in order:
                model.partial_fit(task.x[rows], target[rows])
                losses.append(scale * model.loss_)
            return losses

        return run

    return prepare


serve(build)
