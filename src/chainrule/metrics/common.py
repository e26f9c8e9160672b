"""What all metrics share: arrays of equal length, and sample weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DataError, ShapeError
from ..utils.typing import Array


def column(x: Any) -> Array:
    """An array; a last axis of a single number is dropped, so that (n, 1) is (n)."""
    array = np.asarray(x)
    return array[..., 0] if array.ndim > 1 and array.shape[-1] == 1 else array


def paired(target: Any, prediction: Any) -> tuple[Array, Array]:
    """Target and prediction of one shape."""
    t, p = column(target), column(prediction)
    need_rows(t)
    if t.shape != p.shape:
        raise ShapeError(
            "Target and prediction differ in shape.", expected=str(t.shape), found=str(p.shape)
        )
    return t, p


def need_rows(target: Array) -> None:
    """An error if there is nothing to measure."""
    if not target.size or not target.ndim:
        raise DataError("A metric needs at least one row.", found=f"shape {target.shape}")


def sample_weights_or_ones(sample_weights: Any, rows: int) -> Array:
    """The weights of the rows as float64, ones without."""
    if sample_weights is None:
        return np.ones(rows)
    weights = np.asarray(column(sample_weights), dtype=np.float64)
    if weights.shape != (rows,):
        raise ShapeError(
            "There is one sample weight for each row.",
            expected=str((rows,)),
            found=str(weights.shape),
        )
    if not np.all(weights >= 0) or not np.any(weights > 0):
        raise DataError("Sample weights must be at least 0, and not all 0.")
    return weights


def mean_of(values: Array, sample_weights: Any) -> float:
    """The weighted mean over the rows, then the mean over the other axes, if there are any."""
    weights = sample_weights_or_ones(sample_weights, len(values))
    return float(np.average(values, axis=0, weights=weights).mean())


def ratio(above: Any, below: Any) -> Any:
    """above / below, and 0 where there is nothing to divide by."""
    below = np.asarray(below, dtype=np.float64)
    return np.where(below == 0, 0.0, above / np.where(below == 0, 1.0, below))
