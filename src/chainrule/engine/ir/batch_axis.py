"""How the rows of a batch go through an operation: a part of its record.

A rule gets the axis on which each operand has its rows, None where it has none, and gives that of
the result, for which row i must depend on row i of the operands only; otherwise it raises
`RowsDependError`. `chainrule.engine.batch_independence` applies the rules to a whole graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

#: A `Node` and a `Graph`: these have operations, whose records have the rules here.
Node = Any
Graph = Any


class Axis(NamedTuple):
    """Where a value has its rows: index i of an axis belongs to row (i // inner) mod rows.

    So a reshape may put the rows on one axis with others, as (time, rows) → (time·rows).
    """

    place: int
    inner: int = 1

    def at(self, place: int) -> Axis:
        """The same on another axis."""
        return Axis(place, self.inner)


class RowsDependError(Exception):
    """A row depends on another one, or may do so."""


class BatchWalk(Protocol):
    """The walk through a graph, as rules see it.

    Attributes:
        rows: how many there are.
        redraws: whether random numbers may be other ones of the same distribution where there are
            more rows, as in a step of training.
    """

    rows: int
    redraws: bool

    def is_same(self, node: Node, axis: Axis) -> bool:
        """Whether a value without rows has the same there for every row."""

    def outputs(self, graph: Graph, axes: Mapping[Node, Axis | None]) -> list[Axis | None]:
        """The axes of the outputs of a body, from those of its inputs."""


Axes = Sequence[Axis | None]
#: For each operand the axis that a sum over the rows goes along; None for one it is added to.
Places = tuple[int | None, ...]


class BatchRule(NamedTuple):
    """How rows go through an operation.

    Attributes:
        through: ``(walk, node, axes of operands) -> axis of the result``, where some operand has
            rows; of a node with several results, always asked, a list of theirs.
        is_same: ``(walk, node, axis)``: whether a result without rows has the same at this axis for
            every row, or for every number of rows.
        sums: ``(node, axes of operands) -> places``, where the result is a sum over the rows, to
            which each part of them adds what it would be of these alone; None where it is not.
    """

    through: Callable[[BatchWalk, Node, Axes], Any]
    is_same: Callable[[BatchWalk, Node, Axis], bool] = lambda walk, node, axis: False
    sums: Callable[[Node, Axes], Places | None] = lambda node, axes: None


def first_axis(axes: Axes) -> Axis:
    """That of the first operand that has rows."""
    return next(axis for axis in axes if axis is not None)


def only_first(axes: Axes) -> Axis:
    """That of the first operand, when no other one has rows."""
    if axes[0] is None or any(axis is not None for axis in axes[1:]):
        raise RowsDependError
    return axes[0]


def mixed(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    """Each row of the result, if it has any, may depend on every row."""
    raise RowsDependError


def at_places(axes: Axes, places: Places) -> Places | None:
    """These, if no operand has its rows elsewhere."""
    there = [axis is None or axis.place == k for axis, k in zip(axes, places, strict=True)]
    return places if all(there) else None


def on_first_axes(node: Node, axes: Axes) -> Places | None:
    """A sum over the rows of operands that all have them on the first axis."""
    return at_places(axes, (0,) * len(axes))


def together(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    """Operands of one shape: rows on one axis, or the same for any number of rows."""
    axis = first_axis(axes)
    for source, own in zip(node.inputs, axes, strict=True):
        if own != axis and not (own is None and walk.is_same(source, axis)):
            raise RowsDependError
    return axis


def all_same(walk: BatchWalk, node: Node, axis: Axis) -> bool:
    """Whether all operands, which have the result's shape, are the same for every row."""
    return all(walk.is_same(source, axis) for source in node.inputs)


def reshaped(old: Sequence[int], new: Sequence[int], axis: Axis, rows: int) -> Axis:
    """The axis after a reshape: from one row to the next there are as many elements as before."""
    stride = axis.inner * math.prod(old[axis.place + 1 :])
    for place, extent in enumerate(new):
        after = math.prod(new[place + 1 :])
        inner = stride // max(after, 1)
        if inner and stride % after == 0 and extent % (inner * rows) == 0:
            return Axis(place, inner)
    raise RowsDependError


def _reduced(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    axis, gone = first_axis(axes), node.attributes["axes"]
    if axis.place in gone:
        raise RowsDependError
    return axis.at(axis.place - sum(reduced < axis.place for reduced in gone))


def _summed(node: Node, axes: Axes) -> Places | None:
    place = first_axis(axes).place
    return (place,) if place in node.attributes["axes"] else None


def _along(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    axis, along = first_axis(axes), node.attributes["axis"]
    if along == axis.place:
        raise RowsDependError
    is_gone = len(node.type.shape) < len(node.inputs[0].type.shape)
    return axis.at(axis.place - (is_gone and along < axis.place))


def _beside(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    if node.attributes["axis"] == first_axis(axes).place:
        raise RowsDependError
    return together(walk, node, axes)


def _images(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    axis = only_first(axes)
    if axis.place:
        raise RowsDependError
    return axis


#: Every element by itself.
ELEMENTWISE = BatchRule(together, all_same)
#: ``axes`` are reduced.
REDUCED = BatchRule(_reduced)
#: The same of sums.
SUMMED = BatchRule(_reduced, sums=_summed)
#: Whatever is computed along ``axis``, each line by itself.
ALONG = BatchRule(_along)
#: Operands of one shape but for ``axis``, which are put or looked up beside one another.
BESIDE = BatchRule(_beside)
#: The first operand has its rows on the first axis, such as images.
IMAGES = BatchRule(_images)
