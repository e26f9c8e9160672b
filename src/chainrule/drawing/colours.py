"""From numbers to pictures: a scale of colours that anybody can read, on any ground."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Viridis (Smith and van der Walt), at even distances from dark to light.
_STOPS = (
    (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129),
    (92, 200, 99), (170, 220, 50), (253, 231, 37),
)  # fmt: skip


def coloured(values: Any, low: float | None = None, high: float | None = None) -> Any:
    """(height, width) numbers as RGB from 0 to 255, the largest the lightest.

    Args:
        values: the numbers.
        low: the darkest; the smallest number by default.
        high: the lightest; the largest by default.

    Example:
        >>> coloured([[0.0, 1.0]]).round().tolist()
        [[[68.0, 1.0, 84.0], [253.0, 231.0, 37.0]]]
    """
    array = np.nan_to_num(np.asarray(values, float))
    first = float(array.min()) if low is None else low
    last = float(array.max()) if high is None else high
    part = np.clip((array - first) / ((last - first) or 1.0), 0, 1) * (len(_STOPS) - 1)
    stops = np.array(_STOPS, float)
    places = np.arange(len(_STOPS))
    return np.stack([np.interp(part, places, stops[:, i]) for i in range(3)], axis=-1)


def shrunk(pixels: Any, most: int) -> Any:
    """(height, width, …) of at most so many pixels a side, as means over blocks.

    Example:
        >>> shrunk(np.array([[0.0, 2.0], [4.0, 6.0]]), 1).tolist()
        [[3.0]]
    """
    array = np.asarray(pixels, float)
    step = max(-(-max(array.shape[:2]) // most), 1)
    height, width = (max(size // step, 1) for size in array.shape[:2])
    whole = array[: height * step, : width * step]
    if step == 1 or min(array.shape[:2]) < step:
        return array
    return whole.reshape(height, step, width, step, *array.shape[2:]).mean(axis=(1, 3))
