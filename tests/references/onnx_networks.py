"""What is compared of convolutional networks in ONNX: the same inputs and sums on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Images of each network: rows, height, width, channels.
SHAPES = {"pnet": (2, 19, 23, 3), "rnet": (3, 24, 24, 3), "onet": (2, 48, 48, 3)}


def wave(shape: tuple[int, ...], pace: float) -> Any:
    """Numbers between -1 and 1 that need no generator."""
    return np.cos(pace * np.arange(1, 1 + np.prod(shape, dtype=int))).reshape(shape)


def sums(array: Any) -> list[float]:
    """Three weighted sums, and the largest size: enough to tell gradients apart."""
    flat = np.asarray(array, np.float64).ravel()
    weighted = [float(flat @ wave(flat.shape, pace)) for pace in (0.0, 0.37, 1.93)]
    return [*weighted, float(np.abs(flat).max())]
