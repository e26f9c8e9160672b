"""Operations that move elements: shapes, slices, gathering, scattering, sorting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..emitter import Emitter, plus, times
from ..symbolic import SymbolicNode
from .elementwise import Lowering, need_opset


def _reshape(e: Emitter, node: SymbolicNode, x: str) -> str:
    empty = 1 if 0 in node.shape else None
    return e.op("Reshape", x, e.new_shape(node.shape), allowzero=empty)


def _broadcast_to(e: Emitter, node: SymbolicNode, x: str) -> str:
    return e.op("Expand", x, e.extents(node.shape))


def _transpose(e: Emitter, node: SymbolicNode, x: str) -> str:
    return e.op("Transpose", x, perm=list(node.attributes["axes"]))


def _concatenate(e: Emitter, node: SymbolicNode, *arrays: str) -> str:
    return e.op("Concat", *arrays, axis=node.attributes["axis"])


def _slice(e: Emitter, node: SymbolicNode, x: str) -> str:
    start, stop, step = (node.attributes[key] for key in ("start", "stop", "step"))
    shape = node.inputs[0].shape
    bounds = zip(start, stop, step, shape, strict=True)
    cut = [i for i, (a, b, s, extent) in enumerate(bounds) if (a, b, s) != (0, extent, 1)]
    if not cut:
        return x
    of = [e.extents([values[i] for i in cut]) for values in (start, stop)]
    return e.op("Slice", x, *of, e.ints(cut), e.extents([step[i] for i in cut]))


def _flip(e: Emitter, node: SymbolicNode, x: str) -> str:
    axes = node.attributes["axes"]
    ends = e.ints([np.iinfo(np.int64).min] * len(axes))
    last = e.ints([-1] * len(axes))
    return e.op("Slice", x, last, ends, e.ints(axes), last)


def _pad(e: Emitter, node: SymbolicNode, x: str) -> str:
    a = node.attributes
    shape = list(node.inputs[0].shape)
    for axis, gap in enumerate(a["between"]):
        if gap and shape[axis] != 0:
            x = _spread(e, node, x, shape, axis, gap)
    if not any(a["before"]) and not any(a["after"]):
        return x
    if node.dtype.kind in "bu":
        wide = e.cast(x, np.int64)
        return e.cast(pad(e, wide, a["before"], a["after"], a["value"], np.int64), node.dtype)
    return pad(e, x, a["before"], a["after"], a["value"], node.dtype)


def pad(e: Emitter, x: str, before: Any, after: Any, value: Any, dtype: Any) -> str:
    """With elements of a value before and after, on each axis."""
    return e.op("Pad", x, e.extents([*before, *after]), e.constant(value, dtype))


def _spread(e: Emitter, node: SymbolicNode, x: str, shape: list[Any], axis: int, gap: int) -> str:
    """With so many elements of the value between neighbours."""
    wide = e.unsqueeze(x, axis + 1)
    after = [0] * (len(shape) + 1)
    after[axis + 1] = gap
    wide = pad(e, wide, [0] * len(after), after, node.attributes["value"], node.dtype)
    shape[axis] = times(shape[axis], gap + 1)
    wide = e.op("Reshape", wide, e.new_shape(shape))
    shape[axis] = plus(shape[axis], -gap)
    return e.op("Slice", wide, e.ints([0]), e.extents([shape[axis]]), e.ints([axis]))


def _take(e: Emitter, node: SymbolicNode, x: str, indices: str) -> str:
    return e.op("Gather", x, _signed(e, node.inputs[1], indices), axis=node.attributes["axis"])


def _signed(e: Emitter, node: SymbolicNode, indices: str) -> str:
    return e.cast(indices, np.int64) if node.dtype == np.uint32 else indices


def _take_along_axis(e: Emitter, node: SymbolicNode, x: str, indices: str) -> str:
    return e.op("GatherElements", x, _signed(e, node.inputs[1], indices),
                axis=node.attributes["axis"])  # fmt: skip


def _scatter_add(e: Emitter, node: SymbolicNode, x: str, indices: str, updates: str) -> str:
    axis, rank = node.attributes["axis"], len(node.shape)
    inner = len(node.inputs[1].shape)
    if axis:  # the axis first, and what the indices have in its place in front of the updates
        first = [axis, *(i for i in range(rank) if i != axis)]
        front = list(range(axis, axis + inner))
        rest = [i for i in range(rank - 1 + inner) if i not in front]
        x = e.op("Transpose", x, perm=first)
        updates = e.op("Transpose", updates, perm=[*front, *rest])
    found = _scatter_rows(e, node, x, indices, updates, "add")
    return e.op("Transpose", found, perm=np.argsort(first).tolist()) if axis else found


def _scatter_rows(
    e: Emitter, node: SymbolicNode, x: str, indices: str, updates: str, how: str
) -> str:
    numbers = e.cast(indices, np.int64)
    positions = e.unsqueeze(numbers, len(node.inputs[1].shape))
    return e.op("ScatterND", x, positions, updates, reduction=how)


def _add_along_axis(e: Emitter, node: SymbolicNode, x: str, indices: str, updates: str) -> str:
    return e.op("ScatterElements", x, _signed(e, node.inputs[1], indices), updates,
                axis=node.attributes["axis"], reduction="add")  # fmt: skip


def _scatter(e: Emitter, node: SymbolicNode, x: str, indices: str, updates: str) -> str:
    mode = node.attributes["mode"]
    if mode != "set":
        need_opset(e, node, 18)
    return _scatter_rows(e, node, x, indices, updates, "none" if mode == "set" else mode)


def _update_slice(e: Emitter, node: SymbolicNode, x: str, updates: str, start: str) -> str:
    axis, rank = node.attributes["axis"], len(node.shape)
    count = node.inputs[1].shape[axis]
    last = node.shape[axis] - count
    first = e.op("Max", e.cast(start, np.int64), e.constant(0, np.int64))
    first = e.op("Min", first, e.constant(last, np.int64))
    places = e.op("Add", first, e.ints(list(range(count))))
    order = [axis, *(i for i in range(rank) if i != axis)]
    x, updates = (e.op("Transpose", each, perm=order) for each in (x, updates))
    y = e.op("ScatterND", x, e.unsqueeze(places, 1), updates)
    return e.op("Transpose", y, perm=np.argsort(order).tolist())


def _argsort(e: Emitter, node: SymbolicNode, x: str) -> str:
    """Of equal elements the first comes first, in TopK as here."""
    axis = node.attributes["axis"]
    if node.inputs[0].dtype.kind in "bu":
        x = e.cast(x, np.int64)
    count = e.extents([node.shape[axis]])
    return e.ops("TopK", 2, x, count, axis=axis, largest=0, sorted=1)[1]


def _searchsorted(e: Emitter, node: SymbolicNode, bounds: str, values: str) -> str:
    """How many bounds are below each value."""
    side = node.attributes["side"]
    each = e.unsqueeze(values, len(node.shape))
    below = e.op("Less" if side == "left" else "LessOrEqual", bounds, each)
    return e.reduce("ReduceSum", e.cast(below, np.int64), [len(node.shape)])


def _check(e: Emitter, node: SymbolicNode, x: str, fits: str) -> str:
    """ONNX cannot refuse a value: it becomes NaN, or an index that every runtime refuses."""
    if node.dtype.kind == "f":
        return e.op("Where", fits, x, e.constant(np.nan, node.dtype))
    if node.dtype.kind == "i":
        return e.op("Where", fits, x, e.constant(np.iinfo(node.dtype).min, node.dtype))
    return x


ARRANGEMENT: Mapping[str, Lowering] = {
    "reshape": _reshape,
    "broadcast_to": _broadcast_to,
    "transpose": _transpose,
    "concatenate": _concatenate,
    "slice": _slice,
    "flip": _flip,
    "pad": _pad,
    "take": _take,
    "take_along_axis": _take_along_axis,
    "scatter_add": _scatter_add,
    "add_along_axis": _add_along_axis,
    "scatter": _scatter,
    "dynamic_update_slice": _update_slice,
    "argsort": _argsort,
    "searchsorted": _searchsorted,
    "check": _check,
}
