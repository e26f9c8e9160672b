"""Keras on TensorFlow: model.fit. The rows are put in order beforehand, so it need not gather."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import numpy as np

from ..task import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Task
from ..worker import Prepare, serve
from .keras_networks import network


class Losses(keras.callbacks.Callback):  # type: ignore[misc]
    """The loss of each step, from the running mean that Keras keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.means: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keep the mean."""
        self.means.append(logs["loss"])

    def each(self) -> Array:
        """Loss k = k · mean k - (k - 1) · mean (k - 1)."""
        return np.diff(np.array(self.means) * np.arange(1, len(self.means) + 1), prepend=0.0)


def build(task: Task, mode: str) -> Prepare:
    """Mode: ``fit``."""
    model = network(task)
    task.forget_weights()
    loss_of: Any = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if task.is_regression:
        loss_of = keras.losses.MeanSquaredError()
    model.compile(keras.optimizers.Adam(LEARNING_RATE, BETA1, BETA2, EPSILON), loss_of)

    def prepare(order: Array) -> Callable[[], Any]:
        x, y = task.x[order.ravel()], task.y[order.ravel()]

        def run() -> Any:
            losses = Losses()
            told = [losses] if len(order) < len(task.order) else []  # those compared, not timed
            model.fit(x, y, order.shape[1], verbose=0, shuffle=False, callbacks=told)
            return losses.each()

        return run

    return prepare


serve(build)
