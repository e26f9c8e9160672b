"""The loss of each step from the running mean that Keras keeps."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..task import Array


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
