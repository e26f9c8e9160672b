"""Rows that are picked by number: what is done to all of them is done before they are picked.

A text has far more letters than there are letters. The product of embedded letters and a weight,
E[i]·W, is the product of the table and the weight, picked: (E·W)[i]. The gradients follow: with
S the rows of Ȳ added up by number, W̄ = E[i]ᵀ·Ȳ = Eᵀ·S, and Ē = S·Wᵀ. These are as many rows as the
table has. (Its rows should be finite, those that are not picked, too.)
"""

from __future__ import annotations

import math

import numpy as np

from ..ir.graph import Graph
from ..ir.node import Node, constant
from .rewrite import make, rewrite
from .simplify import single_value

#: Operations of picked rows and a row that is the same for all.
_ELEMENTWISE = frozenset({"add", "subtract", "multiply"})
#: The table must have so many times fewer rows than are picked.
_FEWER = 2


def pick_late(graph: Graph) -> Graph:
    """The graph with products and sums of picked rows computed for the rows of the table."""
    return rewrite(graph, _Picker().rule)


class _Picker:
    """Nodes that are rows of a table, by number.

    Attributes:
        picked: by node the table, two-dimensional, and the numbers, of the shape of the rows.
    """

    def __init__(self) -> None:
        self.picked: dict[Node, tuple[Node, Node]] = {}

    def rule(self, node: Node, before: Node) -> Node:
        """The same, with the rows picked later, or added up earlier."""
        name = node.op.name
        if name == "take" and node.attributes["axis"] == 0 and len(node.inputs[0].type.shape) == 2:
            self.picked[node] = node.inputs[0], node.inputs[1]
        elif name in ("transpose", "reshape") and node.inputs[0] in self.picked:
            table, numbers = self.picked[node.inputs[0]]
            moved = _moved(node, numbers)
            if moved is not None:
                return self._take(node, table, moved)
        elif name == "matmul" and node.inputs[0] in self.picked:
            return self._product(node)
        elif name in _ELEMENTWISE:
            return self._elementwise(node)
        elif name == "scatter_add":
            return _added_before(node)
        return node

    def _take(self, like: Node, table: Node, numbers: Node) -> Node:
        node = make(like, "take", table, numbers, axis=0)
        self.picked[node] = table, numbers
        return node

    def _product(self, node: Node) -> Node:
        table, numbers = self.picked[node.inputs[0]]
        if not _is_small(table, numbers) or len(node.type.shape) != 2:
            return node
        other, flags = node.inputs[1], node.attributes
        if not flags["transpose_a"]:
            return self._take(node, make(node, "matmul", table, other, **flags), numbers)
        if flags["transpose_b"] or len(numbers.type.shape) != 1:
            return node
        return make(node, "matmul", table, _by_number(node, table, numbers, other), **flags)

    def _elementwise(self, node: Node) -> Node:
        for place, source in enumerate(node.inputs):
            other = node.inputs[1 - place]
            row = _same_row(other)
            if source in self.picked and row is not None:
                table, numbers = self.picked[source]
                if not _is_small(table, numbers):
                    continue
                wide = make(node, "broadcast_to", row, shape=table.type.shape)
                operands = (table, wide) if place == 0 else (wide, table)
                return self._take(node, make(node, node.op.name, *operands), numbers)
        return node


def _is_small(table: Node, numbers: Node) -> bool:
    return _FEWER * table.type.shape[0] <= numbers.type.size


def _moved(node: Node, numbers: Node) -> Node | None:
    """The numbers of rows that are moved by a transpose or reshape; None if not in whole rows."""
    rank, shape = len(numbers.type.shape), node.type.shape
    if node.op.name == "transpose":
        axes = node.attributes["axes"]
        if axes[-1] != rank:
            return None
        return make(node, "transpose", numbers, axes=axes[:-1])
    if not shape or shape[-1] != node.inputs[0].type.shape[-1] or not node.type.size:
        return None
    return make(node, "reshape", numbers, shape=shape[:-1])


def _same_row(node: Node) -> Node | None:
    """The row that a broadcast repeats."""
    if node.op.name != "broadcast_to" or not node.type.size:
        return None
    (source,) = node.inputs
    shape = source.type.shape
    if not shape or math.prod(shape[:-1]) != 1 or shape[-1] != node.type.shape[-1]:
        return None
    return make(node, "reshape", source, shape=shape[-1:])


def _by_number(like: Node, table: Node, numbers: Node, rows: Node) -> Node:
    """Rows added up by number, as many sums as the table has rows."""
    shape = (table.type.shape[0], rows.type.shape[1])
    nothing = constant(np.array(0, rows.type.dtype))
    wide = make(like, "broadcast_to", nothing, shape=shape)
    return make(like, "scatter_add", wide, numbers, rows, axis=0)


def _added_before(node: Node) -> Node:
    """Products that are added up by number are products of what is added up."""
    start, numbers, rows = node.inputs
    if single_value(start) != 0 or node.attributes["axis"] or len(start.type.shape) != 2:
        return node
    while rows.op.name in ("transpose", "reshape"):
        found = _moved_back(rows, numbers)
        if found is None:
            return node
        rows, numbers = rows.inputs[0], found
    flat = len(rows.type.shape) == 2 and len(numbers.type.shape) == 1
    if rows.op.name != "matmul" or not flat or rows.attributes["transpose_a"]:
        return node
    if not _is_small(start, numbers):
        return node
    a, b = rows.inputs
    return make(node, "matmul", _by_number(node, start, numbers, a), b, **rows.attributes)


def _moved_back(node: Node, numbers: Node) -> Node | None:
    """The numbers of the rows before they were moved."""
    shape = node.inputs[0].type.shape
    if node.op.name == "reshape":
        if len(shape) < 2 or shape[-1] != node.type.shape[-1] or not node.type.size:
            return None
        return make(node, "reshape", numbers, shape=shape[:-1])
    axes = node.attributes["axes"]
    if axes[-1] != len(axes) - 1:
        return None
    back = tuple(axes[:-1].index(axis) for axis in range(len(axes) - 1))
    return make(node, "transpose", numbers, axes=back)
