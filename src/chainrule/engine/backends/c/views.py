"""Strided views: broadcasts, transposes, slices, flips and most reshapes cost nothing.

The element of a view at index (i₀, i₁, …) is the element ``offset + Σ iₖ·strideₖ`` of a buffer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...ir.node import Node
from ...ir.types import Record


class View(NamedTuple):
    """A way to look at the buffer of a node."""

    base: Node
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def contiguous(self) -> bool:
        """Whether its elements follow one another in the buffer, in order."""
        expected = contiguous_strides(self.shape)
        triples = zip(self.shape, self.strides, expected, strict=True)
        return self.size == 0 or all(n == 1 or own == wanted for n, own, wanted in triples)

    @property
    def whole(self) -> bool:
        """Whether it is the whole buffer, in order: element i is element i of the base."""
        return self.contiguous and self.offset == 0 and self.size == self.base.type.size


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of an array without gaps, the last axis next to itself."""
    strides = []
    step = 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


def whole(node: Node) -> View:
    """The view of a node as it is; of one with several results, none of whose elements is read."""
    if isinstance(node.type, Record):
        return View(node, 0, (), ())
    return View(node, 0, node.type.shape, contiguous_strides(node.type.shape))


def through(node: Node, source: View) -> View | None:
    """The view that a view operation makes of a view; None for a reshape that must copy."""
    return _RULES[node.op.name](source, node.type.shape, node.attributes)


def _same(source: View, shape: tuple[int, ...], attributes: dict[str, Any]) -> View:
    return source


def _broadcast(source: View, shape: tuple[int, ...], attributes: dict[str, Any]) -> View:
    lead = len(shape) - len(source.shape)
    strides = (0,) * lead + tuple(
        0 if extent == 1 else stride
        for extent, stride in zip(source.shape, source.strides, strict=True)
    )
    return source._replace(shape=shape, strides=strides)


def _transpose(source: View, shape: tuple[int, ...], attributes: dict[str, Any]) -> View:
    strides = tuple(source.strides[axis] for axis in attributes["axes"])
    return source._replace(shape=shape, strides=strides)


def _slice(source: View, shape: tuple[int, ...], attributes: dict[str, Any]) -> View:
    moves = zip(attributes["start"], source.strides, strict=True)
    offset = source.offset + sum(start * stride for start, stride in moves)
    steps = zip(attributes["step"], source.strides, strict=True)
    return View(source.base, offset, shape, tuple(step * stride for step, stride in steps))


def _flip(source: View, shape: tuple[int, ...], attributes: dict[str, Any]) -> View:
    offset, strides = source.offset, list(source.strides)
    for axis in attributes["axes"]:
        offset += (shape[axis] - 1) * strides[axis]
        strides[axis] = -strides[axis]
    return View(source.base, offset, shape, tuple(strides))


def _reshape(source: View, shape: tuple[int, ...], attributes: dict[str, Any]) -> View | None:
    strides = reshaped_strides(source.shape, source.strides, shape)
    return None if strides is None else source._replace(shape=shape, strides=strides)


_RULES = {
    "identity": _same,
    "stop_gradient": _same,
    "broadcast_to": _broadcast,
    "transpose": _transpose,
    "slice": _slice,
    "flip": _flip,
    "reshape": _reshape,
}


def reshaped_strides(
    shape: tuple[int, ...], strides: tuple[int, ...], new: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The strides of the same elements in another shape; None if no strides can say it.

    Both shapes are cut into the smallest groups of axes of equal size. Within a group the old
    axes must be as of one axis (each stride that of the next times its extent), which the new
    axes then divide.
    """
    if math.prod(new) == 0:
        return contiguous_strides(new)
    olds = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    places = [place for place, extent in enumerate(new) if extent != 1]
    result = [0] * len(new)
    old_end = new_end = 0
    while new_end < len(places):
        old_start, new_start = old_end, new_end
        old_size, new_size = olds[old_start][0], new[places[new_start]]
        old_end, new_end = old_end + 1, new_end + 1
        while old_size != new_size:
            if new_size < old_size:
                new_size *= new[places[new_end]]
                new_end += 1
            else:
                old_size *= olds[old_end][0]
                old_end += 1
        group = olds[old_start:old_end]
        if any(outer[1] != inner[0] * inner[1] for outer, inner in itertools.pairwise(group)):
            return None
        step = group[-1][1]
        for place in reversed(places[new_start:new_end]):
            result[place] = step
            step *= new[place]
    return tuple(result)


def split(view: View, dims: Sequence[int]) -> tuple[int, ...]:
    """The strides of a view on finer axes, of which each of its own axes is made up."""
    strides = reshaped_strides(view.shape, view.strides, tuple(dims))
    assert strides is not None
    return strides


def common_axes(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The coarsest axes that every one of these shapes, all of one size, is made up of.

    An axis of a shape begins where the product of the extents after it says; the common axes
    begin wherever one of them does. None if these do not divide one another.

    Example:
        >>> common_axes([(6, 4), (2, 12)])
        (2, 3, 4)
        >>> common_axes([(2, 3), (3, 2)]) is None
        True
    """
    sizes = {math.prod(shape) for shape in shapes}
    assert len(sizes) == 1
    if sizes == {0}:
        return (0,)
    starts = {1}
    for shape in shapes:
        step = 1
        for extent in reversed(shape):
            step *= extent
            starts.add(step)
    ordered = sorted(starts)
    dims = []
    for inner, outer in itertools.pairwise(ordered):
        if outer % inner:
            return None
        dims.append(outer // inner)
    return tuple(reversed(dims))
