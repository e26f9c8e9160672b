"""Operations that order elements."""

from __future__ import annotations

import numpy as np

from ...errors import ShapeError
from ..ir.batch_axis import ALONG, Axes, Axis, BatchRule, BatchWalk, RowsDependError
from ..ir.node import Node
from ..ir.operation import ZERO, Operation, Sample, register
from ..ir.types import Type, int64
from ..tensor import Tensor, TensorLike, apply, as_tensor
from . import mapping
from .declare import floating, function, normalize_axis, reals
from .elementwise import isnan, where
from .indexing import take_along_axis
from .reduction import mean
from .shape import flip, narrow, reshape

__all__ = ["argsort", "median", "searchsorted", "sort", "top_k"]

ARGSORT = register(
    Operation(
        "argsort",
        lambda x, axis: Type(int64, x.shape),
        lambda xp, x, axis: xp.argsort(x, axis=axis, stable=True),
        (ZERO,),
        "argsort {0}",
        lambda: [Sample((reals(2, 3),), {"axis": 1}), Sample((reals(0),), {"axis": 0})],
        batch=ALONG,
        exact=True,
    )
)


@function(lambda: [Sample((reals(2, 4), 1)), Sample((reals(4), 0, True))])
def argsort(x: TensorLike, axis: int = -1, descending: bool = False) -> Tensor:
    """The indices of the elements in ascending order; equal elements keep their order."""
    x = as_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    if not descending:
        return apply(ARGSORT, x, axis=axis)
    # Sorting the reversed axis and reversing the result keeps the order of equals.
    places = x.shape[axis] - 1 - apply(ARGSORT, flip(x, axis), axis=axis)
    return flip(places, axis)


@function(lambda: [Sample((reals(2, 4), 1)), Sample((reals(4), 0, True))])
def sort(x: TensorLike, axis: int = -1, descending: bool = False) -> Tensor:
    """The elements in order along an axis; the gradient goes back to where they came from."""
    x = as_tensor(x)
    return take_along_axis(x, argsort(x, axis, descending), axis)


@function(lambda: [Sample((reals(2, 4), 2)), Sample((reals(5), 3, 0))])
def top_k(x: TensorLike, k: int, axis: int = -1) -> tuple[Tensor, Tensor]:
    """The k largest elements, largest first, and their indices."""
    x = as_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    if not 0 <= k <= x.shape[axis]:
        raise ShapeError("top_k cannot find that many.", expected=f"0 to {x.shape[axis]}",
                         found=str(k))  # fmt: skip
    order = narrow(argsort(x, axis, descending=True), axis, 0, k)
    return take_along_axis(x, order, axis), order


@function(lambda: [Sample((reals(2, 3),), {"axis": 1}), Sample((reals(5),))])
def median(x: TensorLike, axis: int | None = None) -> Tensor:
    """The middle element, or the mean of the two in the middle; NaN if one is."""
    x = floating(x)
    if axis is None:
        x, axis = reshape(x, (x.size,)), 0
    axis = normalize_axis(axis, x.ndim)
    n = x.shape[axis]
    ordered = sort(x, axis)  # NaN comes last
    middle = mean(narrow(ordered, axis, (n - 1) // 2, n // 2 + 1), axis)
    last = reshape(narrow(ordered, axis, n - 1, n), middle.shape)
    return where(isnan(last), last, middle)


def _searchsorted_rows(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    bounds, values = axes
    if bounds is not None or values is None:
        raise RowsDependError
    return values


SEARCHSORTED = register(
    Operation(
        "searchsorted",
        lambda bounds, values, side: Type(int64, values.shape),
        lambda xp, bounds, values, side: xp.searchsorted(bounds, values, side=side),
        (ZERO, ZERO),
        "searchsorted({0}, {1})",
        lambda: [
            Sample((np.array([-1.0, 0.0, 1.0]), reals(2, 3)), {"side": side})
            for side in ("left", "right")
        ],
        batch=BatchRule(_searchsorted_rows),
        exact=True,
        vmap=mapping.searched,
    )
)


@function(lambda: [Sample((np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0]), "right"))])
def searchsorted(bounds: TensorLike, values: TensorLike, side: str = "left") -> Tensor:
    """Where each value would have to be inserted to keep the bounds in order.

    Args:
        bounds: a vector in ascending order.
        values: any tensor.
        side: "left" or "right" of bounds that equal the value.
    """
    bounds, values = as_tensor(bounds), as_tensor(values)
    if bounds.ndim != 1 or side not in ("left", "right"):
        raise ShapeError("searchsorted takes a vector of bounds, and 'left' or 'right'.",
                         found=f"{bounds.type}, {side!r}")  # fmt: skip
    return apply(SEARCHSORTED, bounds, values, side=side)
