"""Whether the rows of a batch are independent of one another.

Where they are, a batch may be padded with rows that nobody looks at: a program for many rows
then serves fewer. The axis of the rows is followed from the inputs through a graph; wherever an
operation mixes rows, or is not known to keep them apart, the answer is no.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .backends.c.expressions import ELEMENTWISE
from .ir.graph import Graph
from .ir.node import CONSTANT, PART, PLACEHOLDER, Node


class Axis(NamedTuple):
    """Where a value has its rows: index i of an axis belongs to row (i // inner) mod rows.

    So a reshape may put the rows on one axis with others, as (time, rows) → (time·rows).
    """

    place: int
    inner: int = 1

    def at(self, place: int) -> Axis:
        """The same on another axis."""
        return Axis(place, self.inner)


_REDUCTIONS = frozenset({"sum", "max", "min", "prod", "logsumexp"})
_ALONG_AN_AXIS = frozenset({"softmax", "log_softmax", "cumsum", "argmax", "argsort"})
_OF_IMAGES = frozenset({"convolution", "transposed_convolution", "sum_pool", "max_pool"})
_SAME = frozenset({"identity", "stop_gradient"})


class _RowsDependError(Exception):
    """A row depends on another one, or may do so."""


def rows_are_independent(graph: Graph, axes: Mapping[Node, int], rows: int) -> bool:
    """Whether row i of every output depends on row i of the inputs only.

    Args:
        graph: what is computed for a batch.
        axes: on which axis the inputs have their rows; other inputs have none.
        rows: how many there are, at least 2.

    Example:
        >>> import chainrule as cr
        >>> def apart(function):
        ...     graph = cr.trace(function, np.zeros((4, 3))).graph
        ...     return rows_are_independent(graph, {graph.inputs[0]: 0}, 4)
        >>> apart(lambda x: cr.softmax(x @ np.ones((3, 2)))), apart(lambda x: x - cr.mean(x, 0))
        (True, False)
    """
    try:
        places = {node: Axis(place) for node, place in axes.items()}
        found = _BatchAxis(rows).outputs(graph, places)
    except _RowsDependError:
        return False
    return all(axis is not None for axis in found)


def single_numbers(graph: Graph) -> list[float]:
    """The constants that are one number everywhere: no number of rows may change them."""
    values = [node.value for node in graph.nodes if node.value is not None and node.value.size]
    return [float(v.flat[0]) for v in values if bool((v == v.flat[0]).all())]


class _BatchAxis:
    """The axis of the rows, node by node; None for a value that has none."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._axes: dict[Node, Axis | None] = {}
        self._parts: dict[Node, list[Axis | None]] = {}  # of nodes with several results

    def outputs(self, graph: Graph, axes: Mapping[Node, Axis | None]) -> list[Axis | None]:
        """The axes of a graph's outputs, from those of its inputs."""
        for node in graph.nodes:
            if node.op in (PLACEHOLDER, CONSTANT):
                self._axes[node] = axes.get(node)
            elif node.op is PART:
                self._axes[node] = self._parts[node.inputs[0]][node.attributes["index"]]
            else:
                self._visit(node)
        return [self._axes[node] for node in graph.outputs]

    def _visit(self, node: Node) -> None:
        name = node.op.name
        given = [self._axes.get(source) for source in node.inputs]
        if name == "call":
            body = node.attributes["body"]
            self._parts[node] = self.outputs(body, dict(zip(body.inputs, given, strict=True)))
        elif name == "scan":
            self._parts[node] = self._scan(node, given)
        elif name == "attention":
            self._parts[node] = self._attention(node, given)
        elif all(axis is None for axis in given):
            self._axes[node] = None
        else:
            self._axes[node] = self._through(node, given)

    def _through(self, node: Node, given: list[Axis | None]) -> Axis:
        """The axis of the result of an operation some of whose operands have rows."""
        name, how, sources = node.op.name, node.attributes, node.inputs
        axis, *_ = [axis for axis in given if axis is not None]
        place = axis.place
        only_first = given[0] is not None and all(other is None for other in given[1:])
        beside = name in ("take_along_axis", "concatenate") and how["axis"] != place
        if name in ELEMENTWISE or beside:
            return self._together(sources, given, axis)
        if name in _SAME:
            return axis
        if name == "broadcast_to":
            return axis.at(place + len(node.type.shape) - len(sources[0].type.shape))
        if name == "transpose":
            return axis.at(how["axes"].index(place))
        if name == "reshape":
            return self._reshaped(sources[0].type.shape, node.type.shape, axis)
        if name in _REDUCTIONS and place not in how["axes"]:
            return axis.at(place - sum(reduced < place for reduced in how["axes"]))
        if name in _ALONG_AN_AXIS and how["axis"] != place:
            return axis.at(place - (name == "argmax" and how["axis"] < place))
        if name == "matmul":
            return self._product(node, given)
        if name == "take":
            return self._taken(how["axis"], given, len(sources[1].type.shape))
        if name == "embedding_bag" and given[0] is None and given[1] == given[2]:
            return axis
        if name == "searchsorted" and given[0] is None:
            return axis
        if name in _OF_IMAGES and place == 0 and only_first:
            return axis
        if name == "flip" and place not in how["axes"]:
            return axis
        if name == "slice":
            bounds = [how[bound][place] for bound in ("start", "stop", "step")]
            if bounds == [0, sources[0].type.shape[place], 1]:
                return axis
        if name == "pad" and only_first:
            sides = [how[side][place] for side in ("before", "after", "between")]
            if not any(sides):
                return axis
        raise _RowsDependError

    def _together(self, sources: Sequence[Node], given: list[Axis | None], axis: Axis) -> Axis:
        """Operands of one shape: rows on one axis, or the same for any number of rows."""
        for source, own in zip(sources, given, strict=True):
            if own != axis and not (own is None and self._is_stable(source, axis)):
                raise _RowsDependError
        return axis

    def _reshaped(self, old: tuple[int, ...], new: tuple[int, ...], axis: Axis) -> Axis:
        """From one row to the next there are as many elements as before."""
        stride = axis.inner * math.prod(old[axis.place + 1 :])
        for place, extent in enumerate(new):
            after = math.prod(new[place + 1 :])
            inner = stride // max(after, 1)
            if inner and stride % after == 0 and extent % (inner * self.rows) == 0:
                return Axis(place, inner)
        raise _RowsDependError

    def _product(self, node: Node, given: list[Axis | None]) -> Axis:
        a, b = given
        how, matrix = node.attributes, len(node.type.shape) - 2
        axis = a or b
        assert axis is not None
        if axis.place < matrix:
            return self._together(node.inputs, given, axis)
        if b is None and axis.place == matrix + how["transpose_a"]:
            return axis.at(matrix)
        if a is None and axis.place == matrix + 1 - how["transpose_b"]:
            return axis.at(matrix + 1)
        raise _RowsDependError

    def _taken(self, along: int, given: list[Axis | None], places: int) -> Axis:
        table, indices = given
        if table is None and indices is not None:
            return indices.at(along + indices.place)
        if table is not None and indices is None and table.place != along:
            return table if table.place < along else table.at(table.place + places - 1)
        raise _RowsDependError

    def _attention(self, node: Node, given: list[Axis | None]) -> list[Axis | None]:
        """The rows come first; a mask may be the same for all of them."""
        rank = len(node.inputs[0].type.shape)
        first = given[0]
        if first is None or first.place != 0 or rank < 3 or given[1:3] != [first, first]:
            raise _RowsDependError
        for source, axis in zip(node.inputs, given, strict=True):
            shape = source.type.shape
            own = axis == first and len(shape) == rank
            shared = axis is None and (len(shape) < rank or shape[0] == 1)
            if not (own or shared):
                raise _RowsDependError
        return [first, first]

    def _scan(self, node: Node, given: list[Axis | None]) -> list[Axis | None]:
        """A carry that begins with the same for every row, such as zeros, is taken to have rows."""
        how = node.attributes
        body: Graph = how["body"]
        first, last = how["consts"], how["consts"] + how["carries"]
        if any(axis is not None and axis.place == 0 for axis in given[last:]):
            raise _RowsDependError
        slices = [axis and axis.at(axis.place - 1) for axis in given[last:]]
        carries = [
            axis or self._start(start)
            for start, axis in zip(node.inputs[first:last], given[first:last], strict=True)
        ]
        axes = [*given[:first], *carries, *slices]
        found = self.outputs(body, dict(zip(body.inputs, axes, strict=True)))
        if found[: len(carries)] != carries:
            raise _RowsDependError
        whole = len(carries) + how["sums"]
        return [*found[:whole], *(axis and axis.at(axis.place + 1) for axis in found[whole:])]

    def _start(self, node: Node) -> Axis | None:
        first = Axis(0)
        return (
            first if node.type.shape[:1] == (self.rows,) and self._is_stable(node, first) else None
        )

    def _is_stable(self, node: Node, axis: Axis) -> bool:
        """Whether a value without rows has the same there for every row, or for every number."""
        name, shape, place = node.op.name, node.type.shape, axis.place
        if node.op is CONSTANT:
            value: Any = node.value
            return bool(np.all(value == np.take(value, [0], place)))
        if name == "random_bits":  # the number of an element decides
            return math.prod(shape[:place]) * shape[place] == axis.inner * self.rows
        if name == "broadcast_to":
            (source,) = node.inputs
            inner = place - len(shape) + len(source.type.shape)
            fixed = inner < 0 or source.type.shape[inner] != shape[place]
            return fixed or self._is_stable(source, axis.at(inner))
        if name in _SAME or name in ELEMENTWISE:
            return all(self._is_stable(source, axis) for source in node.inputs)
        if name == "transpose":
            return self._is_stable(node.inputs[0], axis.at(node.attributes["axes"][place]))
        if name == "reshape":
            try:
                before = self._reshaped(shape, node.inputs[0].type.shape, axis)
            except _RowsDependError:
                return False
            return self._is_stable(node.inputs[0], before)
        return False
