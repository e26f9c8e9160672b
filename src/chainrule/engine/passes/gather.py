"""Gathered rows: what is done to all of them is done before they are gathered.

A text has far more letters than there are letters. The product of embedded letters and a weight,
E[i]·W, is the product of the table and the weight, gathered: (E·W)[i]. The gradients follow: with
S the rows of Ȳ scatter-added by index, W̄ = E[i]ᵀ·Ȳ = Eᵀ·S, and Ē = S·Wᵀ. These are as many rows as
the table has. Rows that no index picks are taken as zeros, for they may be NaN.
"""

from __future__ import annotations

import math

import numpy as np

from ..ir.graph import Graph
from ..ir.node import Node, constant
from ..ir.operation import Cost
from ..ops.shape import RESHAPE, TRANSPOSE
from .rewrite import make, rewrite
from .simplify import single_value

#: The table must have so many times fewer rows than are gathered.
_FEWER = 2


def postpone_gathers(graph: Graph) -> Graph:
    """The graph with products and sums of gathered rows computed for the rows of the table."""
    return rewrite(graph, _GatherRewriter().rule)


class _GatherRewriter:
    """Nodes that are gathered rows of a table.

    Attributes:
        gathered: by node the table, two-dimensional, and the indices, of the shape of the rows.
    """

    def __init__(self) -> None:
        self.gathered: dict[Node, tuple[Node, Node]] = {}

    def rule(self, node: Node, before: Node) -> Node:
        """The same, with the rows gathered later, or added up earlier."""
        name = node.op.name
        if name == "take" and node.attributes["axis"] == 0 and len(node.inputs[0].type.shape) == 2:
            self.gathered[node] = node.inputs[0], node.inputs[1]
        elif _is_move(node) and node.inputs[0] in self.gathered:
            table, indices = self.gathered[node.inputs[0]]
            moved = _moved_indices(node, indices)
            if moved is not None:
                return self._take(node, table, moved)
        elif name == "matmul" and node.inputs[0] in self.gathered:
            return self._product(node)
        elif node.op.cost is Cost.ARITHMETIC:
            return self._elementwise(node)
        elif name == "scatter_add":
            return _product_of_scattered(node)
        return node

    def _take(self, like: Node, table: Node, indices: Node) -> Node:
        node = make(like, "take", table, indices, axis=0)
        self.gathered[node] = table, indices
        return node

    def _product(self, node: Node) -> Node:
        table, indices = self.gathered[node.inputs[0]]
        if not _is_small(table, indices) or len(node.type.shape) != 2:
            return node
        other, flags = node.inputs[1], node.attributes
        if not flags["transpose_a"]:
            return self._take(node, make(node, "matmul", table, other, **flags), indices)
        if flags["transpose_b"] or len(indices.type.shape) != 1:
            return node
        read = _if_read(node, table, indices)
        return make(node, "matmul", read, _scatter_rows(node, table, indices, other), **flags)

    def _elementwise(self, node: Node) -> Node:
        for place, source in enumerate(node.inputs):
            other = node.inputs[1 - place]
            row = _same_row(other)
            if source in self.gathered and row is not None:
                table, indices = self.gathered[source]
                if not _is_small(table, indices):
                    continue
                wide = make(node, "broadcast_to", row, shape=table.type.shape)
                operands = (table, wide) if place == 0 else (wide, table)
                return self._take(node, make(node, node.op.name, *operands), indices)
        return node


def _is_move(node: Node) -> bool:
    """Whether it may move whole rows."""
    return node.op is TRANSPOSE or node.op is RESHAPE


def _is_small(table: Node, indices: Node) -> bool:
    return _FEWER * table.type.shape[0] <= indices.type.size


def _moved_indices(node: Node, indices: Node) -> Node | None:
    """The indices of rows that are moved by a transpose or reshape; None if not in whole rows."""
    rank, shape = len(indices.type.shape), node.type.shape
    if node.op.name == "transpose":
        axes = node.attributes["axes"]
        if axes[-1] != rank:
            return None
        return make(node, "transpose", indices, axes=axes[:-1])
    if not shape or shape[-1] != node.inputs[0].type.shape[-1] or not node.type.size:
        return None
    return make(node, "reshape", indices, shape=shape[:-1])


def _same_row(node: Node) -> Node | None:
    """The row that a broadcast repeats."""
    if node.op.name != "broadcast_to" or not node.type.size:
        return None
    (source,) = node.inputs
    shape = source.type.shape
    if not shape or math.prod(shape[:-1]) != 1 or shape[-1] != node.type.shape[-1]:
        return None
    return make(node, "reshape", source, shape=shape[-1:])


def _scatter_rows(like: Node, table: Node, indices: Node, rows: Node) -> Node:
    """Rows scatter-added, as many sums as the table has rows."""
    shape = (table.type.shape[0], rows.type.shape[1])
    nothing = constant(np.array(0, rows.type.dtype))
    wide = make(like, "broadcast_to", nothing, shape=shape)
    return make(like, "scatter_add", wide, indices, rows, axis=0)


def _if_read(like: Node, table: Node, indices: Node) -> Node:
    """The table with zeros in the rows that no index picks: what is not read may be NaN."""
    rows, shape = table.type.shape[0], table.type.shape
    nothing, one = (constant(np.array(number, np.float32)) for number in (0, 1))
    none = make(like, "broadcast_to", nothing, shape=(rows,))
    each = make(like, "broadcast_to", one, shape=indices.type.shape)
    count = make(like, "scatter_add", none, indices, each, axis=0)
    read = make(like, "reshape", make(like, "greater", count, none), shape=(rows, 1))
    blank = constant(np.array(0, table.type.dtype))
    wide = make(like, "broadcast_to", blank, shape=shape)
    return make(like, "where", make(like, "broadcast_to", read, shape=shape), table, wide)


def _product_of_scattered(node: Node) -> Node:
    """Products that are scatter-added are products of what is scatter-added."""
    start, indices, rows = node.inputs
    if single_value(start) != 0 or node.attributes["axis"] or len(start.type.shape) != 2:
        return node
    while _is_move(rows):
        found = _indices_before(rows, indices)
        if found is None:
            return node
        rows, indices = rows.inputs[0], found
    flat = len(rows.type.shape) == 2 and len(indices.type.shape) == 1
    if rows.op.name != "matmul" or not flat or rows.attributes["transpose_a"]:
        return node
    if not _is_small(start, indices):
        return node
    a, b = rows.inputs
    scattered = _scatter_rows(node, start, indices, a)
    return _if_read(node, make(node, "matmul", scattered, b, **rows.attributes), indices)


def _indices_before(node: Node, indices: Node) -> Node | None:
    """The indices of the rows before they were moved."""
    shape = node.inputs[0].type.shape
    if node.op.name == "reshape":
        if len(shape) < 2 or shape[-1] != node.type.shape[-1] or not node.type.size:
            return None
        return make(node, "reshape", indices, shape=shape[:-1])
    axes = node.attributes["axes"]
    if axes[-1] != len(axes) - 1:
        return None
    back = tuple(axes[:-1].index(axis) for axis in range(len(axes) - 1))
    return make(node, "transpose", indices, axes=back)
