"""Updates at indices: set, add, multiply, extremes, means; and what selects by masks.

Every function gives a new tensor; nothing is changed in place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import ConfigError, ShapeError
from ..ir.batch_axis import Axes, Axis, BatchRule, BatchWalk, RowsDependError, first_axis
from ..ir.node import Node
from ..ir.operation import NON_DIFFERENTIABLE, Operation, Sample, register
from ..ir.types import Type, bool_, int64
from ..tensor import Tensor, TensorLike, apply, as_tensor, has_value
from . import mapping
from .declare import (
    align,
    boolean,
    broadcast_to,
    cast,
    function,
    integers,
    normalize_axis,
    reals,
)  # fmt: skip
from .elementwise import clip, where
from .indexing import (
    _in_range,
    _need_integers,
    _take_type,
    getitem,
    scatter_add,
    take,
)  # fmt: skip
from .reduction import cumsum, highest, lowest, prod
from .shape import (
    arange,
    concatenate,
    expand_dims,
    full,
    moveaxis,
    narrow,
    ones,
    reshape,
    zeros,
    zeros_like,
)  # fmt: skip
from .sorting import sort

__all__ = [
    "bincount", "dynamic_update_slice", "masked_scatter", "masked_select", "nonzero",
    "put_along_axis", "scatter", "segment_max", "segment_mean", "segment_min", "segment_prod",
    "segment_sum", "setitem", "unique",
]  # fmt: skip

#: How updates are put together with what was there, and with one another.
MODES = ("set", "add", "multiply", "mean", "max", "min")

# ---- the operation: rows that are set, or take the larger or smaller number -------------------


def _scatter_type(x: Type, indices: Type, updates: Type, *, mode: str) -> Type:
    _need_integers("scatter", indices)
    if updates != _take_type(x, indices, axis=0):
        raise ShapeError("scatter takes one update for every index.",
                         expected=str(_take_type(x, indices, axis=0)),
                         found=str(updates))  # fmt: skip
    if mode not in ("set", "max", "min"):
        raise ValueError(f"unknown mode {mode!r:.20} of scatter")
    return x


def _scatter(xp: Any, x: Any, indices: Any, updates: Any, mode: str) -> Any:
    y = np.array(x)
    with _in_range(indices, x.shape[0]):
        if mode == "set":  # the last one wins: NumPy promises it for no repeated index
            flat, rows = indices.reshape(-1), updates.reshape(-1, *x.shape[1:])
            flat = np.where(flat < 0, flat + x.shape[0], flat)
            _, last = np.unique(flat[::-1], return_index=True)
            kept = flat.size - 1 - last
            y[flat[kept]] = rows[kept]
        else:
            (np.maximum if mode == "max" else np.minimum).at(y, indices, updates)
    return y


def _of_base(
    g: Tensor, y: Tensor, x: Tensor, indices: Tensor, updates: Tensor, mode: str
) -> Tensor:
    if mode == "set":
        return apply(SCATTER, g, indices, zeros_like(updates), mode="set")
    return _shares(g, y, x, indices, updates)[0]


def _of_updates(
    g: Tensor, y: Tensor, x: Tensor, indices: Tensor, updates: Tensor, mode: str
) -> Tensor:
    if mode == "set":
        return where(_is_last(indices, x.shape[0], updates), take(g, indices), 0.0)
    return _shares(g, y, x, indices, updates)[1]


def _is_last(indices: Tensor, extent: int, like: Tensor) -> Tensor:
    """Which updates are not overwritten by a later one of the same index."""
    order = reshape(arange(indices.size), indices.shape)
    winners = apply(SCATTER, zeros((extent,), int64), indices, order, mode="set")
    last = take(winners, indices) == order
    return expand_dims(last, tuple(range(last.ndim, like.ndim))) if like.ndim > last.ndim else last


def _shares(
    g: Tensor, y: Tensor, x: Tensor, indices: Tensor, updates: Tensor
) -> tuple[Tensor, Tensor]:
    """Those that equal the extreme share its gradient in equal parts."""
    own = cast(x == y, g.dtype)
    theirs = cast(updates == take(y, indices), g.dtype)
    part = g / scatter_add(own, indices, theirs)
    return own * part, theirs * take(part, indices)


SCATTER: Operation = register(
    Operation(
        "scatter",
        _scatter_type,
        _scatter,
        (_of_base, NON_DIFFERENTIABLE, _of_updates),
        "{0} with {2} at {1}",
        lambda: (
            [
                Sample((reals(4, 2), np.array([1, 1, 3]), reals(3, 2, seed=1)), {"mode": mode})
                for mode in ("set", "max", "min")
            ]
            + [
                Sample((reals(3), np.array([[0], [-1]]), reals(2, 1, seed=1)), {"mode": "max"}),
                Sample((reals(2), np.zeros(0, np.int64), reals(0)), {"mode": "set"}),
            ]
        ),
        indices=1,
        in_place=True,
        exact=True,
        vmap=mapping.scattered,
    )
)

# ---- the operation: a slice that begins where a number says -----------------------------------


def _slice_type(x: Type, updates: Type, start: Type, *, axis: int) -> Type:
    _need_integers("dynamic_update_slice", start)
    rank = len(x.shape)
    fits = updates.dtype == x.dtype and len(updates.shape) == rank and 0 <= axis < rank
    fits = fits and all(
        own == wide if i != axis else own <= wide
        for i, (own, wide) in enumerate(zip(updates.shape, x.shape, strict=True))
    )
    if not fits or start.shape:
        raise ShapeError(
            "dynamic_update_slice puts in a slice of the other extents, at one index.",
            expected=f"{x} but for axis {axis}, where it may be shorter; and a single integer",
            found=f"{updates} and {start}",
        )
    return x


def _update_slice(xp: Any, x: Any, updates: Any, start: Any, axis: int) -> Any:
    y = np.array(x)
    count = updates.shape[axis]
    first = int(np.clip(start, 0, x.shape[axis] - count))  # so that it lies within the axis
    y[(*(slice(None),) * axis, slice(first, first + count))] = updates
    return y


def _of_slice(g: Tensor, y: Tensor, x: Tensor, updates: Tensor, start: Tensor, axis: int) -> Tensor:
    count = updates.shape[axis]
    first = clip(cast(start, int64), 0, x.shape[axis] - count)
    return take(g, first + arange(count), axis)


def _slice_rows(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    """Rows on another axis than that of the slice, which begins at the same index for all."""
    axis = first_axis(axes)
    if axes[2] is not None or axis.place == node.attributes["axis"]:
        raise RowsDependError
    for source, own in zip(node.inputs[:2], axes[:2], strict=True):
        if own != axis and not (own is None and walk.is_same(source, axis)):
            raise RowsDependError
    return axis


def _mapped_slice(
    op: Operation, size: int, inputs: Any, mapped: Any, attributes: Any
) -> Tensor | None:
    if mapped[2]:
        return None
    x, updates = (mapping.everywhere(size, inputs[i], mapped[i]) for i in (0, 1))
    return apply(op, x, updates, inputs[2], axis=attributes["axis"] + 1)


#: ``dynamic_update_slice(x, updates, start, axis)``: written in the place of x where nobody else
#: reads that, as a cache of keys and values asks for.
UPDATE_SLICE: Operation = register(
    Operation(
        "dynamic_update_slice",
        _slice_type,
        _update_slice,
        (
            lambda g, y, x, updates, start, axis: apply(
                UPDATE_SLICE, g, zeros_like(updates), start, axis=axis
            ),
            _of_slice,
            NON_DIFFERENTIABLE,
        ),
        "{0} with {1} from {2} on",
        lambda: [
            Sample((reals(2, 5, 3), reals(2, 2, 3, seed=1), np.array(3)), {"axis": 1}),
            Sample((reals(4, 2), reals(1, 2, seed=1), np.array(9)), {"axis": 0}),
            Sample((reals(3), reals(2, seed=1), np.array(-1, np.int32)), {"axis": 0}),
            Sample((reals(2, 3), reals(2, 0), np.array(1)), {"axis": 1}),
        ],
        in_place=True,
        exact=True,
        batch=BatchRule(_slice_rows),
        vmap=_mapped_slice,
    )
)


def _need_mode(mode: str) -> None:
    if mode not in MODES:
        raise ConfigError("Unknown way to put updates in.", expected=", ".join(MODES),
                          found=repr(mode))  # fmt: skip


def _updated(
    x: Tensor, indices: Tensor, updates: Tensor, mode: str, include_self: bool = True
) -> Tensor:
    """The rows of ``x``, with updates at indices, whose shape and the rows' theirs is."""
    if not include_self and mode in ("add", "multiply", "mean", "max", "min"):
        start: Any = {"multiply": 1, "max": lowest(x.dtype), "min": highest(x.dtype)}.get(mode, 0)
        x = apply(SCATTER, x, indices, full(updates.shape, start, x.dtype), mode="set")
    if mode == "add":
        return scatter_add(x, indices, updates)
    if mode == "mean":
        count = scatter_add(full(x.shape, int(include_self), x.dtype), indices,
                            ones(updates.shape, x.dtype))  # fmt: skip
        total = scatter_add(x, indices, updates)
        result = total / where(count == 0, 1, count)
        return result if x.type.is_float else cast(result, x.dtype)
    if mode == "multiply":
        return _multiplied(x, indices, updates)
    return apply(SCATTER, x, indices, updates, mode=mode)


def _multiplied(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """Each row times all of its updates: of n rows and m updates n·m products are looked at."""
    n, m = x.shape[0], indices.size
    flat = reshape(indices, (m,))
    flat = where(flat < 0, flat + n, flat)
    rows = reshape(updates, (1, m, *x.shape[1:]))
    own = expand_dims(flat, 0) == reshape(arange(n), (n, 1))
    factors = where(reshape(own, (n, m, *(1,) * (x.ndim - 1))), rows, 1)
    return x * prod(factors, 1)


# ---- functions -------------------------------------------------------------------------------


@function(
    lambda: (
        [
            Sample((reals(4, 2), np.array([1, 1, 3]), reals(3, 2, seed=1)), {"mode": mode})
            for mode in MODES
        ]
        + [
            Sample((reals(2, 3), np.array([2, -3]), reals(2, seed=1), 1)),
            Sample(
                (reals(2, 3), np.array([2, 2]), 1.5, 1), {"mode": "mean", "include_self": False}
            ),
        ]
    )
)
def scatter(
    x: TensorLike,
    indices: TensorLike,
    updates: TensorLike,
    axis: int = 0,
    mode: str = "set",
    include_self: bool = True,
) -> Tensor:
    """``x`` with whole slices along an axis put in at indices: the counterpart of `take`.

    Args:
        x: any tensor.
        indices: integers, of any shape.
        updates: broadcast to the shape of ``take(x, indices, axis)``.
        axis: of ``x``.
        mode: "set" (of repeated indices the last one wins), "add", "multiply", "mean", "max" or
            "min". Equal extremes share the gradient; "multiply" looks at every pair of a slice and
            an update.
        include_self: whether what was there takes part.

    Raises:
        OutOfRangeError: an index is out of range.

    Example:
        >>> import chainrule as cr
        >>> cr.scatter([1.0, 2.0, 3.0], [0, 2], [5.0, 7.0], mode="max").tolist()
        [5.0, 2.0, 7.0]
    """
    x, indices = as_tensor(x), as_tensor(indices)
    _need_mode(mode)
    _need_integers("scatter", indices.type)
    axis = normalize_axis(axis, x.ndim)
    shape = _take_type(x.type, indices.type, axis=axis).shape
    rows = broadcast_to(as_tensor(updates, x.dtype), shape)
    if axis:  # the axis of x, or those of the indices, come first
        x = moveaxis(x, axis, 0)
        own = tuple(range(axis, axis + indices.ndim))
        rows = moveaxis(rows, own, tuple(range(indices.ndim)))
    y = _updated(x, indices, rows, mode, include_self)
    return moveaxis(y, 0, axis) if axis else y


@function(
    lambda: (
        [
            Sample((reals(2, 3), integers(2, 4), reals(2, 4, seed=1), -1), {"mode": mode})
            for mode in MODES
        ]
        + [Sample((reals(3, 2), [[0, -1]], 1.5, 0), {"mode": "mean", "include_self": False})]
    )
)
def put_along_axis(
    x: TensorLike,
    indices: TensorLike,
    values: TensorLike,
    axis: int,
    mode: str = "set",
    include_self: bool = True,
) -> Tensor:
    """``x`` with single elements put in at indices along an axis: see `take_along_axis`.

    PyTorch's scatter and scatter_reduce; unlike NumPy's it changes nothing in place.

    Args:
        x: any tensor.
        indices: integers, with as many axes; other axes may be shorter than those of ``x``.
        values: broadcast to the shape of ``indices``.
        axis: along which the indices count.
        mode: as of `scatter`.
        include_self: whether what was there takes part.

    Example:
        >>> import chainrule as cr
        >>> cr.put_along_axis([[1.0, 2.0]], [[1, 1]], [[3.0, 5.0]], 1, mode="add").tolist()
        [[1.0, 10.0]]
    """
    x, indices = as_tensor(x), as_tensor(indices)
    _need_mode(mode)
    _need_integers("put_along_axis", indices.type)
    if x.ndim == 0:
        y = put_along_axis(reshape(x, (1,)), reshape(indices, (1,)), values, 0, mode, include_self)
        return reshape(y, ())
    axis = normalize_axis(axis, x.ndim)
    shorter = len(x.shape) == len(indices.shape) and all(
        own <= wide or i == axis
        for i, (own, wide) in enumerate(zip(indices.shape, x.shape, strict=True))
    )
    if not shorter:
        raise ShapeError(f"put_along_axis takes indices of the shape, except on axis {axis}.",
                         expected=f"at most {x.shape}", found=str(indices.shape))  # fmt: skip
    updates = reshape(broadcast_to(as_tensor(values, x.dtype), indices.shape), (-1,)
                      if indices.size else (0,))  # fmt: skip
    places = _places_along(x.shape, indices, axis)
    flat = _updated(reshape(x, (x.size,)), places, updates, mode, include_self)
    return reshape(flat, x.shape)


def _places_along(shape: tuple[int, ...], indices: Tensor, axis: int) -> Tensor:
    """Where the elements at indices along an axis lie in the flat tensor, as a vector."""
    steps = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    grid = np.meshgrid(*map(np.arange, indices.shape), indexing="ij", sparse=True)
    fixed: Any = np.zeros(indices.shape, np.int64)
    for i, places in enumerate(grid):
        if i != axis:
            fixed = fixed + places * steps[i]
    extent = shape[axis]
    if extent == 0 and indices.size:
        take(zeros((0,)), indices)  # refuses it
    wide = cast(indices, int64)
    wide = take(arange(extent), wide) if indices.size else wide  # in range, and from the front
    return reshape(as_tensor(fixed) + wide * steps[axis], (indices.size,))


@function(
    lambda: [
        Sample((reals(4, 3), (slice(1, None, 2), -1), reals(2, seed=1))),
        Sample((reals(4, 3), (np.array([0, 2, 2]), np.array([1, 0, 0])), 2.5), {"mode": "add"}),
        Sample((reals(2, 4, 3), (Ellipsis, np.array([1, 1])), reals(2, seed=1)), {"mode": "max"}),
        Sample((reals(3, 2), 1, 0.5), {"mode": "multiply"}),
    ]
)
def setitem(x: TensorLike, index: Any, values: TensorLike, mode: str = "set") -> Tensor:
    """``x`` after ``x[index] = values``, as a new tensor: all indices that ``x[index]`` takes.

    Args:
        x: any tensor.
        index: as of the index operator: integers, slices, None, ``...``, lists, masks.
        values: broadcast to the shape of ``x[index]``.
        mode: as of `scatter`.

    Example:
        >>> import chainrule as cr
        >>> cr.setitem([[1.0, 2.0], [3.0, 4.0]], (slice(None), 0), 0.0).tolist()
        [[0.0, 2.0], [0.0, 4.0]]
    """
    x = as_tensor(x)
    _need_mode(mode)
    places = getitem(reshape(arange(x.size), x.shape), index)
    updates = broadcast_to(as_tensor(values, x.dtype), places.shape)
    return reshape(_updated(reshape(x, (x.size,)), places, updates, mode), x.shape)


@function(
    lambda: [
        Sample((reals(4, 3), reals(2, 3, seed=1), np.array(1))),
        Sample((reals(2, 3), 1.5, np.array(7), -1)),
    ]
)
def dynamic_update_slice(
    x: TensorLike, updates: TensorLike, start: TensorLike, axis: int = 0
) -> Tensor:
    """``x`` with a slice put in that begins at an index which need not be known beforehand.

    In a compiled program, also in a loop over time, it is written in the place of ``x`` where that
    is not needed any more: a cache costs what is added to it.

    Source: as JAX's function of this name, along one axis.

    Args:
        x: any tensor.
        updates: with the extents of ``x``, but for ``axis``, where it may be shorter; a tensor
            with fewer axes is broadcast to a slice of extent 1.
        start: an integer, a tensor without axes. The slice is always within the axis: it begins at
            0 at least, and ends at the end of the axis at most.
        axis: of ``x``.

    Raises:
        ShapeError: the updates have other extents; it names both.

    Example:
        >>> import chainrule as cr
        >>> cr.dynamic_update_slice([1.0, 2.0, 3.0, 4.0], [7.0, 8.0], 1).tolist()
        [1.0, 7.0, 8.0, 4.0]
    """
    x, updates, start = as_tensor(x), as_tensor(updates), as_tensor(start)
    axis = normalize_axis(axis, x.ndim)
    if updates.ndim < x.ndim:
        updates = broadcast_to(updates, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    return apply(UPDATE_SLICE, x, cast(updates, x.dtype), start, axis=axis)


# ---- masks -----------------------------------------------------------------------------------


def _masked(x: TensorLike, mask: TensorLike) -> tuple[Tensor, Tensor]:
    x, mask = as_tensor(x), boolean(mask)
    shape = align(x, cast(mask, x.dtype))[0].shape
    flat = [reshape(broadcast_to(z, shape), (math.prod(shape),)) for z in (x, mask)]
    return flat[0], flat[1]


def _need_known(name: str, mask: Tensor) -> None:
    if not has_value(mask.node):
        raise ShapeError(
            f"{name} without a size has a shape that depends on values.",
            hint="Inside cr.compile give size=…: what is missing is filled in.",
        )


@function(
    lambda: [
        Sample((reals(2, 3), np.array([[True, False, True]] * 2), 3)),
        Sample((reals(4), np.array([True, False, True, False]), 3, 9.0)),
    ]
)
def masked_select(
    x: TensorLike, mask: TensorLike, size: int | None = None, fill: float = 0.0
) -> Tensor:
    """The elements where the mask is true, in order, as a vector.

    Args:
        x: any tensor.
        mask: booleans; both are broadcast.
        size: extent of the result: what is too much is cut off, what is missing filled in. Without
            it the extent is the number of true elements, which inside `chainrule.compile` is not
            known.
        fill: what is filled in.
    """
    flat, chosen = _masked(x, mask)
    if size is None:
        _need_known("masked_select", chosen)
        return getitem(flat, chosen)
    places = _first_true(chosen, size)
    padded = concatenate([flat, full((1,), fill, flat.dtype)])
    return take(padded, places)


def _first_true(mask: Tensor, size: int) -> Tensor:
    """The indices of the first true elements of a vector, and one past its end for missing ones."""
    order = where(mask, arange(mask.size), mask.size)
    ordered = narrow(sort(order), 0, 0, min(size, mask.size))
    missing = full((max(size - mask.size, 0),), mask.size, int64)
    return concatenate([ordered, missing]) if missing.size else ordered


@function(lambda: [Sample((reals(2, 3), np.array([True, False, True]), reals(5, seed=1)))])
def masked_scatter(x: TensorLike, mask: TensorLike, source: TensorLike) -> Tensor:
    """``x`` with the elements of ``source``, in order, where the mask is true.

    Raises:
        OutOfRangeError: the source has too few elements.
    """
    x, mask, flat = as_tensor(x), boolean(mask), reshape(as_tensor(source), (-1,))
    shape = align(x, cast(mask, x.dtype))[0].shape
    x, mask = broadcast_to(x, shape), broadcast_to(mask, shape)
    chosen = reshape(mask, (mask.size,))
    place = where(chosen, cumsum(chosen) - 1, 0)
    found = take(flat, place) if chosen.size else flat
    return where(mask, reshape(cast(found, x.dtype), shape), x)


@function(lambda: [Sample((np.array([[0.0, 1.5], [-2.0, 0.0]]), 3), smooth=False)])
def nonzero(x: TensorLike, size: int | None = None, fill: int = 0) -> tuple[Tensor, ...]:
    """The indices of what is not 0, one vector for every axis, as in NumPy.

    Args:
        x: any tensor.
        size: extent of the vectors, as of `masked_select`.
        fill: the index where there are no more.
    """
    x = as_tensor(x)
    flat = reshape(boolean(x), (x.size,))
    if size is None:
        _need_known("nonzero", flat)
        return tuple(as_tensor(places) for places in np.nonzero(x.numpy()))
    places = _first_true(flat, size)
    axes = []
    for i, extent in enumerate(x.shape):
        step = math.prod(x.shape[i + 1 :])
        index = (places // max(step, 1)) % max(extent, 1)
        axes.append(where(places == x.size, fill, index))
    return tuple(axes)


@function(
    lambda: [
        Sample((np.array([3.0, 1.0, 3.0, 2.0]), 4, 9.0), smooth=False),
        Sample((np.array([[3, 1], [3, 2]]), 2)),
    ]
)
def unique(x: TensorLike, size: int | None = None, fill: float | None = None) -> Tensor:
    """The different values in ascending order, as a vector.

    Args:
        x: any tensor.
        size: extent of the result: what is too much is cut off, what is missing filled in. Without
            it the extent is the number of values, which inside `chainrule.compile` is not known.
        fill: what is filled in; without it the smallest value.

    Example:
        >>> import chainrule as cr
        >>> cr.unique([3, 1, 3, 2]).tolist()
        [1, 2, 3]
    """
    x = as_tensor(x)
    ordered = sort(reshape(x, (x.size,)))
    if x.size == 0:
        return ordered if not size else full((size,), 0 if fill is None else fill, x.dtype)
    differs = ordered[1:] != ordered[:-1]
    if x.type.is_float:  # NaN counts once, as in NumPy
        differs = differs & ((ordered[1:] == ordered[1:]) | (ordered[:-1] == ordered[:-1]))
    first = concatenate([ones((1,), bool_), differs])
    if size is None:
        _need_known("unique", first)
        return getitem(ordered, first)
    filled = ordered[:1] if fill is None else full((1,), fill, x.dtype)
    return take(concatenate([ordered, filled]), _first_true(first, size))


# ---- sums by group ---------------------------------------------------------------------------


def _segment(name: str, doc: str, mode: str, empty: Any) -> Any:
    def body(x: TensorLike, segments: TensorLike, count: int) -> Tensor:
        x, segments = as_tensor(x), as_tensor(segments)
        if segments.shape != x.shape[:1]:
            raise ShapeError(f"{name} takes one segment for every row.",
                             expected=str(x.shape[:1]), found=str(segments.shape))  # fmt: skip
        start = full((count, *x.shape[1:]), empty(x.dtype), x.dtype)
        return scatter(start, segments, x, mode=mode, include_self=mode != "mean")

    body.__name__ = body.__qualname__ = name
    body.__doc__ = f"""{doc}

    Args:
        x: (n, …).
        segments: (n,): the index of the segment of each row, in any order.
        count: how many segments there are.

    Returns:
        (count, …).
    """
    return function(
        lambda: [Sample((reals(4, 2), np.array([1, 0, 1, 1]), 2)),
                 Sample((reals(3), np.array([0, 0, 0]), 1))], name,
    )(body)  # fmt: skip


segment_sum = _segment(
    "segment_sum", "The sum of the rows of each segment; 0 for an empty one.", "add", lambda d: 0
)
segment_mean = _segment(
    "segment_mean", "The mean of the rows of each segment; 0 for an empty one.", "mean",
    lambda d: 0,
)  # fmt: skip
segment_max = _segment(
    "segment_max", "The largest of the rows of each segment; -∞ or the least integer if empty.",
    "max", lowest,
)  # fmt: skip
segment_min = _segment(
    "segment_min", "The smallest of the rows of each segment; ∞ or the largest integer if empty.",
    "min", highest,
)  # fmt: skip
segment_prod = _segment(
    "segment_prod", "The product of the rows of each segment; 1 for an empty one.", "multiply",
    lambda d: 1,
)  # fmt: skip


@function(lambda: [Sample((np.array([0, 2, 2]), 4)), Sample((np.array([1, 0, 1]), 2, reals(3)))])
def bincount(x: TensorLike, length: int | None = None, weights: TensorLike | None = None) -> Tensor:
    """How often each integer from 0 on occurs, or the sum of the weights of its occurrences.

    Args:
        x: integers from 0 to ``length - 1``.
        length: extent of the result; one more than the largest without it, which inside
            `chainrule.compile` is not known.
        weights: of the shape of ``x``.
    """
    x = as_tensor(x)
    _need_integers("bincount", x.type)
    if length is None:
        _need_known("bincount", x)
        length = int(x.numpy().max(initial=-1)) + 1
    each = ones(x.shape, int64) if weights is None else as_tensor(weights)
    flat, each = reshape(x, (x.size,)), reshape(each, (each.size,))
    return scatter_add(zeros((length,), each.dtype), flat, each)
