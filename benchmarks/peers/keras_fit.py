"""Keras on TensorFlow: model.fit. The rows are put in order beforehand, so it need not gather."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras

from ..task import BETA1, BETA2, EPSILON, LEARNING_RATE, STEPS, Array, Task
from ..worker import Prepare, serve
from .keras_losses import Losses


def build(task: Task, mode: str) -> Prepare:
    """Mode: ``fit``."""
    sizes, classes = task.network.sizes, task.network.classes
    layers: list[Any] = [keras.layers.Dense(n, activation="relu") for n in sizes[1:-1]]
    model = keras.Sequential([keras.Input(sizes[:1]), *layers, keras.layers.Dense(sizes[-1])])
    model.set_weights([p for layer in task.weights for p in layer])
    loss_of: Any = keras.losses.MeanSquaredError()
    if classes:
        loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(LEARNING_RATE, BETA1, BETA2, EPSILON), loss_of)

    def prepare(order: Array) -> Callable[[], Any]:
        x, y = task.x[order.ravel()], task.y[order.ravel()]

        def run() -> Any:
            losses = Losses()
            told = [losses] if len(order) < STEPS else []  # those that are compared, not timed
            model.fit(x, y, order.shape[1], verbose=0, shuffle=False, callbacks=told)
            return losses.each()

        return run

    return prepare


serve(build)
