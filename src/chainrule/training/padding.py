"""Padding batches with zero-weight rows: when that changes nothing, and to what size.

A program serves one number of rows. So that the last batch of an epoch, or what comes day by day,
needs no program of its own, it is padded to a size for which there is one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine import pytree
from ..engine.batch_independence import rows_are_independent, single_numbers
from ..engine.compile import Traced, trace
from ..engine.ir.types import Type
from ..engine.tensor import Tensor
from ..utils.typing import Array
from .dataset import Arrays

#: A batch is padded to the size of full ones unless that is more than so many times its rows.
_MOST_PADDING = 4


def takes_weights(loss: Callable[..., Tensor]) -> bool:
    """Whether a loss can be the mean Σ w·l / Σ w over the rows."""
    return "sample_weights" in inspect.signature(loss).parameters


def padded_size(rows: int, full: int) -> int:
    """How many rows a batch is padded to: those of a full one, or a power of two.

    Example:
        >>> padded_size(20, 64), padded_size(10, 64), padded_size(100, 64)
        (64, 16, 128)
    """
    if rows <= full <= _MOST_PADDING * rows:
        return full
    return 1 << (rows - 1).bit_length()


def padded_batches(data: Arrays, order: Array, size: int) -> Arrays:
    """Batches padded with zero-weight rows.

    Args:
        data: the examples.
        order: (batches, rows) integers: the rows of each batch.
        size: how many each is to have.

    Returns:
        (batches · size) rows; the padding repeats the first of each batch.

    Example:
        >>> import numpy as np
        >>> data = Arrays(np.arange(3), np.arange(3))
        >>> padded_batches(data, np.array([[2, 1]]), 4).weights.tolist()
        [1.0, 1.0, 0.0, 0.0]
    """
    batches, rows = order.shape
    padded = np.concatenate([order, np.repeat(order[:, :1], size - rows, axis=1)], axis=1)
    taken = data.take(padded.reshape(-1))
    weights = np.ones(len(taken), np.float32) if taken.weights is None else taken.weights
    weights.reshape(batches, size, -1)[:, rows:] = 0
    return Arrays(taken.inputs, taken.target, weights)


def independent_rows(
    function: Callable[..., Any], inputs: Any, *others: Any, redraws: bool = False
) -> bool:
    """Whether each row of the result depends on that row of the inputs only, and on nothing else.

    Args:
        function: of the inputs, and perhaps of others that have no rows; traced twice.
        inputs: arrays with the rows on the first axis; only their types count.
        others: further arguments.
        redraws: random numbers may be other ones of the same distribution where there are more
            rows: a training does not mind, predictions do.
    """

    def traced(rows: int) -> Traced:
        batch = pytree.map_leaves(lambda a: Type(a.dtype, (rows, *a.shape[1:])), inputs)
        return trace(function, batch, *others)

    rows, fewer = 7, 5  # any numbers would do
    try:
        found, other = traced(rows), traced(fewer)
    except Exception:  # it takes certain numbers of rows only
        return False
    if found.assigned or single_numbers(found.graph) != single_numbers(other.graph):
        return False
    leaves = found.graph.inputs[: len(pytree.flatten(inputs)[0])]
    return rows_are_independent(found.graph, dict.fromkeys(leaves, 0), rows, redraws)
