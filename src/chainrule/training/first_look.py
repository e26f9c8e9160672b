"""What is plainly wrong with data before a training: scales that a network cannot begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine import pytree
from ..engine.tensor import Tensor
from ..errors import ChainruleError
from ..losses.registry import find_loss
from ..nn import Module
from ..utils.typing import Array
from .dataset import Arrays

#: Rows that are looked at, rows that are predicted, and how far from 1 a scale is worth a look.
_ROWS, _PREDICTED, _LARGE = 10_000, 8, 300.0
#: How much larger the one is than the other, where the network has not been made for the data.
_APART = 100.0


def first_look(model: Module, loss: Callable[..., Tensor], data: Arrays) -> list[str]:
    """Sentences on scales of inputs and target; none where the network answers at their scale.

    Args:
        model: to be trained.
        loss: of the training.
        data: what it learns from.
    """
    some = data.take(np.linspace(0, len(data) - 1, min(len(data), _ROWS)).astype(np.int64))
    known = find_loss(loss)
    regression = known is not None and "regression" in known.tasks and known.output == "values"
    target = _size(some.target) if regression and some.target is not None else 0.0
    leaves = [leaf for leaf in pytree.flatten(some.inputs)[0] if leaf.dtype.kind == "f"]
    inputs = max(map(_size, leaves), default=0.0)
    if not max(target, inputs) > _LARGE:
        return []
    predicted = _first_predictions(model, some)
    if target > _LARGE and target > _APART * predicted:
        return [
            f"The target is large (root mean square {target:,.4g}), and the network begins near 0 "
            f"({predicted:,.2g}): most of the training would go by on the way there. Standardise "
            "it, y = (y - mean) / std, and scale the predictions back."
        ]
    if inputs > _LARGE and predicted > _APART * max(target, 1.0):
        return [
            f"The inputs are large (root mean square {inputs:,.4g}), and so are the first "
            f"predictions ({predicted:,.4g}): the loss begins far from where it should. "
            "Standardise each feature, x = (x - mean) / std."
        ]
    return []


def _size(array: Array) -> float:
    """The root mean square; 0 for none that is finite."""
    finite = array[np.isfinite(array)].astype(np.float64)
    return float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0


def _first_predictions(model: Module, data: Arrays) -> float:
    few: Any = data.take(np.arange(min(len(data), _PREDICTED))).inputs
    try:
        with np.errstate(all="ignore"):
            outputs = pytree.flatten(model(few, train=False))[0]
    except ChainruleError:  # the training will say it better
        return np.inf
    return max((_size(np.asarray(y.numpy())) for y in outputs if y.dtype.kind == "f"), default=0.0)
