"""Operations that gather elements by index, and their transposes, which scatter-add."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ...errors import OutOfRangeError, ShapeError, TypeRuleError
from ..ir.batch_axis import (
    BESIDE,
    Axes,
    Axis,
    BatchRule,
    BatchWalk,
    Places,
    RowsDependError,
    mixed,
)  # fmt: skip
from ..ir.node import Node
from ..ir.notation import Notation
from ..ir.operation import NON_DIFFERENTIABLE, Operation, Sample, register
from ..ir.types import Type, int64
from ..tensor import Tensor, TensorLike, apply, as_tensor
from . import mapping
from .check import require
from .declare import broadcast_to, cast, function, integers, normalize_axis, reals
from .elementwise import where
from .shape import expand_dims, flip, narrow, reshape, transpose, zeros

__all__ = ["add_along_axis", "getitem", "one_hot", "scatter_add", "take", "take_along_axis"]


@contextmanager
def _in_range(indices: Any, extent: int) -> Iterator[None]:
    """An index out of range is our error, whoever notices it."""
    try:
        yield
    except IndexError:
        check_range(indices, extent)
        raise


def check_range(indices: Any, extent: int) -> None:
    """Refuse indices that are not between ``-extent`` and ``extent - 1``."""
    if not indices.size or (-extent <= indices.min() and indices.max() < extent):
        return
    first = tuple(np.argwhere(~_is_within(indices, extent))[0].tolist())
    place = f" at {list(first)}" if first else ""
    raise OutOfRangeError("An index is out of range.", expected=_range_of(extent),
                          found=f"{indices[first]}{place}")  # fmt: skip


def _is_within(indices: Any, extent: int) -> Any:
    return (indices >= -extent) & (indices < extent)


def _range_of(extent: int) -> str:
    return f"from {-extent} to {extent - 1}" if extent else "none: the axis is empty"


def _need_integers(name: str, indices: Type) -> None:
    if indices.dtype.kind not in "iu":
        raise TypeRuleError(f"{name} takes integer indices.", found=str(indices))


# ---- take: whole slices by index, as an embedding does --------------------------------------


def _take_type(x: Type, indices: Type, *, axis: int) -> Type:
    _need_integers("take", indices)
    return Type(x.dtype, x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


def _scatter_type(x: Type, indices: Type, updates: Type, *, axis: int) -> Type:
    if updates != _take_type(x, indices, axis=axis):
        raise ShapeError(
            "scatter_add takes one update for every index.",
            expected=str(_take_type(x, indices, axis=axis)),
            found=str(updates),
        )
    return x


def _scatter_add(xp: Any, x: Any, indices: Any, updates: Any, axis: int) -> Any:
    y = np.array(x)
    with _in_range(indices, x.shape[axis]):
        np.add.at(y, (*(slice(None),) * axis, indices), updates)
    return y


def _take(xp: Any, x: Any, indices: Any, axis: int) -> Any:
    with _in_range(indices, x.shape[axis]):
        return xp.take(x, indices, axis=axis)


def _added_rows(node: Node, axes: Axes) -> Places | None:
    """What is added to a value without rows: the gradient of a table of an embedding."""
    base, indices, updates = axes
    if base is not None or indices is None or updates is None:
        return None
    matches = updates.place == node.attributes["axis"] + indices.place
    return (None, indices.place, updates.place) if matches else None


SCATTER_ADD: Operation = register(
    Operation(
        "scatter_add",
        _scatter_type,
        _scatter_add,
        (
            lambda g, y, x, indices, updates, axis: g,
            NON_DIFFERENTIABLE,
            lambda g, y, x, indices, updates, axis: apply(TAKE, g, indices, axis=axis),
        ),
        "{0} + {2} at {1}",
        lambda: [
            Sample((reals(4, 2), np.array([1, 1, 3]), reals(3, 2, seed=1)), {"axis": 0}),
            Sample((reals(2, 3), np.array([[0], [0]]), reals(2, 2, 1, seed=1)), {"axis": 1}),
            Sample((reals(2), np.zeros(0, np.int64), reals(0)), {"axis": 0}),
        ],
        indices=1,
        accumulates=True,
        batch=BatchRule(mixed, sums=_added_rows),
        vmap=mapping.scattered,
    )
)


def _take_rule(g: Tensor, y: Tensor, x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    return apply(SCATTER_ADD, zeros(x.shape, x.dtype), indices, g, axis=axis)


def _take_rows(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    table, indices = axes
    along, rank = node.attributes["axis"], len(node.inputs[1].type.shape)
    if table is None and indices is not None:
        return indices.at(along + indices.place)
    if table is not None and indices is None and table.place != along:
        return table if table.place < along else table.at(table.place + rank - 1)
    raise RowsDependError


TAKE: Operation = register(
    Operation(
        "take",
        _take_type,
        _take,
        (_take_rule, NON_DIFFERENTIABLE),
        "{0}[{1}]",
        lambda: [
            Sample((reals(4, 2), np.array([1, 1, 3])), {"axis": 0}),
            Sample((reals(2, 3), np.array([[0, 2], [1, 1]])), {"axis": 1}),
            Sample((reals(2), np.zeros(0, np.int64)), {"axis": 0}),
        ],
        moves=True,
        indices=1,
        batch=BatchRule(_take_rows),
        notation=Notation(gradient="Of a table only the rows that were gathered get a gradient."),
        vmap=mapping.taken,
    )
)


def _operands(
    name: str, x: TensorLike, axis: int, indices: TensorLike
) -> tuple[Tensor, int, Tensor]:
    x, indices = as_tensor(x), as_tensor(indices)
    axis = normalize_axis(axis, x.ndim)
    _need_integers(name, indices.type)
    return x, axis, indices


@function(lambda: [Sample((reals(4, 2), [3, 0, 3])), Sample((reals(2, 3), [[0], [2]], -1))])
def take(x: TensorLike, indices: TensorLike, axis: int = 0) -> Tensor:
    """The slices at these indices along an axis; repeated ones add up in the gradient."""
    x, axis, indices = _operands("take", x, axis, indices)
    return apply(TAKE, x, indices, axis=axis)


@function(lambda: [Sample((reals(4, 2), np.array([1, 1, 3]), reals(3, 2, seed=1)))])
def scatter_add(x: TensorLike, indices: TensorLike, updates: TensorLike, axis: int = 0) -> Tensor:
    """``x`` with slices added at these indices; repeated ones add up.

    The counterpart of `take` (PyTorch's index_add). For single elements: `add_along_axis`.
    """
    x, axis, indices = _operands("scatter_add", x, axis, indices)
    shape = _take_type(x.type, indices.type, axis=axis).shape
    return apply(
        SCATTER_ADD, x, indices, broadcast_to(as_tensor(updates, x.dtype), shape), axis=axis
    )


# ---- take_along_axis: one element for each index ---------------------------------------------


def _along_type(x: Type, indices: Type, *, axis: int) -> Type:
    _need_integers("take_along_axis", indices)
    same = len(x.shape) == len(indices.shape) and all(
        a == b or i == axis for i, (a, b) in enumerate(zip(x.shape, indices.shape, strict=True))
    )
    if not same:
        raise ShapeError(
            f"take_along_axis takes equal shapes except on axis {axis}.",
            expected=f"like {x.shape}",
            found=str(indices.shape),
        )
    return Type(x.dtype, indices.shape)


def _along_scatter_type(x: Type, indices: Type, updates: Type, *, axis: int) -> Type:
    if updates != _along_type(x, indices, axis=axis):
        raise ShapeError("One update for every index.", expected=str(indices), found=str(updates))
    return x


def _add_along(xp: Any, x: Any, indices: Any, updates: Any, axis: int) -> Any:
    y = np.array(x)
    with _in_range(indices, x.shape[axis]):
        np.add.at(y, _along(indices, axis), updates)
    return y


def _take_along(xp: Any, x: Any, indices: Any, axis: int) -> Any:
    with _in_range(indices, x.shape[axis]):
        return x[_along(indices, axis)] if xp is np else xp.take_along_axis(x, indices, axis=axis)


def _along(indices: Any, axis: int) -> tuple[Any, ...]:
    """NumPy's index of all elements that these indices along an axis name."""
    found = []
    for other, extent in enumerate(indices.shape):
        shape = [1] * indices.ndim
        shape[other] = extent
        found.append(indices if other == axis else np.arange(extent).reshape(shape))
    return tuple(found)


ADD_ALONG_AXIS: Operation = register(
    Operation(
        "add_along_axis",
        _along_scatter_type,
        _add_along,
        (
            lambda g, y, x, indices, updates, axis: g,
            NON_DIFFERENTIABLE,
            lambda g, y, x, indices, updates, axis: apply(TAKE_ALONG, g, indices, axis=axis),
        ),
        "{0} + {2} at {1}",
        lambda: [
            Sample((reals(2, 3), integers(2, 4), reals(2, 4, seed=1)), {"axis": 1}),
            Sample((reals(3, 1), integers(2, 1), reals(2, 1, seed=1)), {"axis": 0}),
        ],
        indices=1,
        accumulates=True,
        batch=BESIDE,
        vmap=mapping.along,
    )
)
TAKE_ALONG: Operation = register(
    Operation(
        "take_along_axis",
        _along_type,
        _take_along,
        (
            lambda g, y, x, indices, axis: apply(
                ADD_ALONG_AXIS, zeros(x.shape, x.dtype), indices, g, axis=axis
            ),
            NON_DIFFERENTIABLE,
        ),
        "{0}[{1}]",
        lambda: [
            Sample((reals(2, 3), integers(2, 4)), {"axis": 1}),
            Sample((reals(3, 2), integers(0, 2)), {"axis": 0}),
        ],
        moves=True,
        indices=1,
        batch=BESIDE,
    )
)


@function(lambda: [Sample((reals(2, 3), integers(2, 1), -1)), Sample((reals(3, 2), [[0, 2]], 0))])
def take_along_axis(x: TensorLike, indices: TensorLike, axis: int) -> Tensor:
    """The element at each index along the axis (PyTorch's gather)."""
    x, axis, indices = _operands("take_along_axis", x, axis, indices)
    return apply(TAKE_ALONG, x, indices, axis=axis)


@function(lambda: [Sample((reals(2, 3), integers(2, 4), reals(2, 4, seed=1), -1))])
def add_along_axis(x: TensorLike, indices: TensorLike, updates: TensorLike, axis: int) -> Tensor:
    """``x`` with single elements added at these indices along an axis (PyTorch's scatter_add)."""
    x, axis, indices = _operands("add_along_axis", x, axis, indices)
    return apply(
        ADD_ALONG_AXIS,
        x,
        indices,
        broadcast_to(as_tensor(updates, x.dtype), indices.shape),
        axis=axis,
    )


@function(lambda: [Sample((integers(2, 3), 4)), Sample((integers(0), 3))])
def one_hot(indices: TensorLike, classes: int, dtype: Any = float) -> Tensor:
    """A new last axis of ``classes`` zeros with a one at the index; none if it is outside."""
    return cast(expand_dims(as_tensor(indices), -1) == np.arange(classes), dtype)


# ---- the index operator ----------------------------------------------------------------------


@function(
    lambda: [
        Sample((reals(4, 3), (slice(1, None, 2), -1))),
        Sample((reals(4, 3), (Ellipsis, None, slice(None, None, -1)))),
        Sample((reals(4, 3), (np.array([0, 2, 2]), np.array([1, 0, 0])))),
        Sample((reals(2, 4, 3), (slice(None), np.array([[3], [0]])))),
        Sample((reals(2, 2), np.array([[True, False], [True, True]]))),
        Sample((reals(0, 3), slice(None, 0))),
    ]
)
def getitem(x: TensorLike, index: Any) -> Tensor:
    """``x[index]`` as in NumPy: integers, slices, None, ``...``, lists of integers, masks."""
    x = as_tensor(x)
    parts = [_as_part(part) for part in (index if isinstance(index, tuple) else (index,))]
    used = sum(_axes_used(part) for part in parts)
    if used > x.ndim or sum(part is Ellipsis for part in parts) > 1:
        raise ShapeError("Too many indices.", expected=f"at most {x.ndim}", found=f"{used}")
    rest = [slice(None)] * (x.ndim - used)
    at = next((i for i, part in enumerate(parts) if part is Ellipsis), None)
    parts = parts + rest if at is None else parts[:at] + rest + parts[at + 1 :]
    return _gather(*_slice(x, parts))


def _as_part(part: Any) -> Any:
    """Lists, arrays and NumPy's numbers as tensors; an empty list has no numbers, so no type."""
    if isinstance(part, (bool, np.bool_)):
        raise TypeRuleError("A single boolean is not an index.", found=repr(part),
                            hint="Use x[None] for a new axis.")  # fmt: skip
    if isinstance(part, list) and not part:
        return as_tensor(np.zeros(0, dtype=np.int64))
    return as_tensor(part) if isinstance(part, (list, np.ndarray)) else part


def _is_mask(part: Any) -> bool:
    return isinstance(part, Tensor) and part.dtype.kind == "b"


def _axes_used(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if _is_mask(part) else 1


def _slice(x: Tensor, parts: list[Any]) -> tuple[Tensor, list[tuple[int, Tensor]]]:
    """Apply numbers, slices and None; what remains are lists of numbers with their axes.

    As in NumPy a number beside lists is a list, too, and a mask the indices of its true elements.
    """
    axis = 0
    lists: list[tuple[int, Tensor]] = []
    among_lists = any(isinstance(part, Tensor) and part.ndim for part in parts)
    for part in parts:
        if part is None:
            x = expand_dims(x, axis)
        elif isinstance(part, slice):
            start, stop, step = part.indices(x.shape[axis])
            if step < 0:
                count = len(range(start, stop, step))
                x = flip(narrow(x, axis, *_ascending(start, step, count)), axis)
            else:
                x = narrow(x, axis, start, max(start, stop), step)
        elif _is_mask(part):
            found = _true_places(part, x.shape[axis : axis + part.ndim])
            lists.extend((axis + i, places) for i, places in enumerate(found))
            axis += part.ndim - 1
        elif isinstance(part, Tensor) and (part.ndim or part.node.value is None):
            lists.append((axis, part))
        elif among_lists:
            lists.append((axis, as_tensor(_one_number(part, x.shape[axis], axis))))
        else:
            number = _one_number(part, x.shape[axis], axis)
            narrowed = narrow(x, axis, number, number + 1)
            x = reshape(narrowed, x.shape[:axis] + x.shape[axis + 1 :])
            axis -= 1
        axis += 1
    return x, lists


def _true_places(mask: Tensor, shape: tuple[int, ...]) -> list[Tensor]:
    if mask.shape != shape:
        raise ShapeError("A mask has the shape of what it selects from.", expected=str(shape),
                         found=str(mask.shape))  # fmt: skip
    return [as_tensor(places) for places in np.nonzero(mask.numpy())]


def _ascending(start: int, step: int, count: int) -> tuple[int, int, int]:
    if count == 0:
        return 0, 0, 1
    return start + (count - 1) * step, start + 1, -step


def _one_number(part: Any, extent: int, axis: int) -> int:
    try:
        number = part.__index__()
    except (AttributeError, TypeError):
        raise TypeRuleError(
            "This is not an index.",
            expected="integers, slices, None, ..., lists or masks",
            found=repr(part),
        ) from None
    if not -extent <= number < extent:
        raise OutOfRangeError(f"There is no element {number} on axis {axis}.",
                              expected=_range_of(extent), found=str(number))  # fmt: skip
    return int(number) % extent


def _gather(x: Tensor, lists: list[tuple[int, Tensor]]) -> Tensor:
    """Several lists of indices go together: they gather from their axes as from one flat axis."""
    if not lists:
        return x
    axes = [axis for axis, _ in lists]
    extents = [x.shape[axis] for axis in axes]
    shape = np.broadcast_shapes(*(numbers.shape for _, numbers in lists))
    flat: Tensor | None = None
    for (_, numbers), extent in zip(lists, extents, strict=True):
        _need_integers("indexing", numbers.type)
        numbers = cast(numbers, int64)
        if len(lists) > 1:  # each has its own range, which the flat index would not show
            about = ("An index is out of range.", _range_of(extent))
            numbers = require(numbers, partial(_is_within, extent=extent), about, "range")
            numbers = where(numbers < 0, numbers + extent, numbers)
        numbers = broadcast_to(numbers, shape)
        flat = numbers if flat is None else flat * extent + numbers
    adjacent = axes == list(range(axes[0], axes[0] + len(axes)))
    others = [axis for axis in range(x.ndim) if axis not in axes]
    place = axes[0] if adjacent else 0
    x = transpose(x, [*others[:place], *axes, *others[place:]])
    x = reshape(x, (*x.shape[:place], math.prod(extents), *x.shape[place + len(axes) :]))
    assert flat is not None
    return take(x, flat, place)
