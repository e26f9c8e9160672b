"""Operations that pick elements by number, and their counterparts that add at these places."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ShapeError, TypeRuleError
from ..ir.operation import NON_DIFFERENTIABLE, Operation, Sample, register
from ..ir.types import Type, int64
from ..tensor import Tensor, TensorLike, apply, as_tensor
from .declare import broadcast_to, cast, function, integers, normalize_axis, reals
from .elementwise import where
from .shape import expand_dims, flip, narrow, reshape, transpose, zeros


def _need_integers(name: str, indices: Type) -> None:
    if indices.dtype.kind not in "iu":
        raise TypeRuleError(f"{name} takes whole numbers as indices.", found=str(indices))


# ---- take: whole slices by number, as an embedding does ------------------------------------------------


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
    np.add.at(y, (*(slice(None),) * axis, indices), updates)
    return y


SCATTER_ADD = register(
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
    )
)


def _take_rule(g: Tensor, y: Tensor, x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    return apply(SCATTER_ADD, zeros(x.shape, x.dtype), indices, g, axis=axis)


TAKE = register(
    Operation(
        "take",
        _take_type,
        lambda xp, x, indices, axis: xp.take(x, indices, axis=axis),
        (_take_rule, NON_DIFFERENTIABLE),
        "{0}[{1}]",
        lambda: [
            Sample((reals(4, 2), np.array([1, 1, 3])), {"axis": 0}),
            Sample((reals(2, 3), np.array([[0, 2], [1, 1]])), {"axis": 1}),
            Sample((reals(2), np.zeros(0, np.int64)), {"axis": 0}),
        ],
    )
)


@function(lambda: [Sample((reals(4, 2), [3, 0, 3])), Sample((reals(2, 3), [[0], [2]], -1))])
def take(x: TensorLike, indices: TensorLike, axis: int = 0) -> Tensor:
    """The slices of these numbers along an axis; repeated numbers add up in the gradient."""
    x = as_tensor(x)
    return apply(TAKE, x, as_tensor(indices), axis=normalize_axis(axis, x.ndim))


@function(lambda: [Sample((reals(4, 2), np.array([1, 1, 3]), reals(3, 2, seed=1)))])
def scatter_add(x: TensorLike, indices: TensorLike, updates: TensorLike, axis: int = 0) -> Tensor:
    """``x`` with the updates added at these places; places that are named twice get both."""
    x = as_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    indices = as_tensor(indices)
    shape = _take_type(x.type, indices.type, axis=axis).shape
    return apply(
        SCATTER_ADD, x, indices, broadcast_to(as_tensor(updates, x.dtype), shape), axis=axis
    )


# ---- take_along_axis: one element for each place ---------------------------------------------------------


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
    places = list(np.meshgrid(*map(np.arange, indices.shape), indexing="ij", sparse=True))
    places[axis] = indices
    np.add.at(y, tuple(places), updates)
    return y


ADD_ALONG_AXIS = register(
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
    )
)
TAKE_ALONG = register(
    Operation(
        "take_along_axis",
        _along_type,
        lambda xp, x, indices, axis: xp.take_along_axis(x, indices, axis=axis),
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
    )
)


@function(lambda: [Sample((reals(2, 3), integers(2, 1), -1)), Sample((reals(3, 2), [[0, 2]], 0))])
def take_along_axis(x: TensorLike, indices: TensorLike, axis: int) -> Tensor:
    """For each place the element of that number along the axis (PyTorch's gather)."""
    x = as_tensor(x)
    return apply(TAKE_ALONG, x, as_tensor(indices), axis=normalize_axis(axis, x.ndim))


@function(lambda: [Sample((integers(2, 3), 4)), Sample((integers(0), 3))])
def one_hot(indices: TensorLike, classes: int, dtype: Any = float) -> Tensor:
    """A new last axis of ``classes`` zeros with a one at the index; none if it is outside."""
    return cast(expand_dims(as_tensor(indices), -1) == np.arange(classes), dtype)


# ---- the index operator ------------------------------------------------------------------------------------


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
    """``x[index]`` as in NumPy: numbers, slices, None, ``...``, lists of numbers, masks."""
    x = as_tensor(x)
    parts = _expand_mask(list(index) if isinstance(index, tuple) else [index])
    used = sum(part is not None and part is not Ellipsis for part in parts)
    if used > x.ndim or sum(part is Ellipsis for part in parts) > 1:
        raise ShapeError("Too many indices.", expected=f"at most {x.ndim}", found=f"{used}")
    rest = [slice(None)] * (x.ndim - used)
    at = next((i for i, part in enumerate(parts) if part is Ellipsis), None)
    parts = parts + rest if at is None else parts[:at] + rest + parts[at + 1 :]
    return _gather(*_slice(x, parts))


def _expand_mask(parts: list[Any]) -> list[Any]:
    """Masks become the numbers of their true places, one list for each axis of the mask."""
    expanded: list[Any] = []
    for part in parts:
        if isinstance(part, (list, np.ndarray, Tensor)):
            part = as_tensor(part)
            if part.dtype.kind == "b":
                expanded.extend(map(as_tensor, np.nonzero(part.numpy())))
                continue
        expanded.append(part)
    return expanded


def _slice(x: Tensor, parts: list[Any]) -> tuple[Tensor, list[tuple[int, Tensor]]]:
    """Apply numbers, slices and None; what remains are lists of numbers with their axes."""
    axis = 0
    lists: list[tuple[int, Tensor]] = []
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
        elif isinstance(part, Tensor) and (part.ndim or part.node.value is None):
            lists.append((axis, part))
        else:
            number = _one_number(part, x.shape[axis], axis)
            narrowed = narrow(x, axis, number, number + 1)
            x = reshape(narrowed, x.shape[:axis] + x.shape[axis + 1 :])
            axis -= 1
        axis += 1
    return x, lists


def _ascending(start: int, step: int, count: int) -> tuple[int, int, int]:
    if count == 0:
        return 0, 0, 1
    return start + (count - 1) * step, start + 1, -step


def _one_number(part: Any, extent: int, axis: int) -> int:
    try:
        number = part.__index__()
    except (AttributeError, TypeError):
        raise TypeRuleError("This is not an index.", found=repr(part),
                            expected="whole numbers, slices, None, ..., lists or masks") from None  # fmt: skip
    if not -extent <= number < extent:
        raise IndexError(f"index {number} is out of bounds for axis {axis} with size {extent}")
    return int(number) % extent


def _gather(x: Tensor, lists: list[tuple[int, Tensor]]) -> Tensor:
    """Several lists of numbers go together: they pick from their axes as from one flat axis."""
    if not lists:
        return x
    axes = [axis for axis, _ in lists]
    extents = [x.shape[axis] for axis in axes]
    shape = np.broadcast_shapes(*(numbers.shape for _, numbers in lists))
    flat: Tensor | None = None
    for (_, numbers), extent in zip(lists, extents, strict=True):
        _need_integers("indexing", numbers.type)
        _check_range(numbers, extent)
        numbers = cast(numbers, int64)
        numbers = broadcast_to(where(numbers < 0, numbers + extent, numbers), shape)
        flat = numbers if flat is None else flat * extent + numbers
    adjacent = axes == list(range(axes[0], axes[0] + len(axes)))
    others = [axis for axis in range(x.ndim) if axis not in axes]
    place = axes[0] if adjacent else 0
    x = transpose(x, [*others[:place], *axes, *others[place:]])
    x = reshape(x, (*x.shape[:place], math.prod(extents), *x.shape[place + len(axes) :]))
    assert flat is not None
    return take(x, flat, place)


def _check_range(numbers: Tensor, extent: int) -> None:
    known = numbers.node.value
    if known is not None and known.size and not (-extent <= known.min() and known.max() < extent):
        raise IndexError(f"an index is out of bounds for an axis of {extent} elements")


