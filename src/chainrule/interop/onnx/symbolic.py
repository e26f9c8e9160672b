"""Graphs for any number of rows, as the lowerings read them.

A saved model gives its graph for each number of rows; what differs between two of them is of the
form a·n + b, and so are extents and attributes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...engine.ir.graph import Graph
from ...engine.ir.node import Node
from ...engine.ir.operation import Operation
from ...engine.ir.types import Record
from ...utils.typing import Array
from .emitter import Extent, Rows


@dataclass(eq=False)
class SymbolicNode:
    """A node whose extents may depend on the number of rows.

    Attributes:
        op: the operation.
        inputs: the nodes before.
        attributes: with `Rows` in place of integers that depend on the rows, and with bodies as
            `SymbolicGraph`.
        dtype: of the result; None of a record.
        shape: of the result.
        value: of a constant.
        parts: which results are read, if there are several.
        origin: the user's line and layer.
    """

    op: Operation
    inputs: list[SymbolicNode]
    attributes: Mapping[str, Any]
    dtype: Any
    shape: tuple[Extent, ...]
    value: Array | None
    origin: str
    parts: set[int] = field(default_factory=set)


@dataclass(eq=False)
class SymbolicGraph:
    """A graph of such nodes."""

    nodes: list[SymbolicNode]
    inputs: list[SymbolicNode]
    outputs: list[SymbolicNode]


def symbolic(first: Graph, second: Graph, rows: tuple[int, int] = (2, 3)) -> SymbolicGraph:
    """The graph for any number of rows, from those for two.

    Args:
        first: the graph for ``rows[0]`` rows.
        second: the same graph for ``rows[1]`` rows.
        rows: the two numbers.
    """
    made: dict[Node, SymbolicNode] = {}
    nodes = []
    for one, two in zip(first.nodes, second.nodes, strict=True):
        record = isinstance(one.type, Record)
        node = SymbolicNode(
            one.op,
            [made[source] for source in one.inputs],
            {
                key: _merged(value, two.attributes[key], rows)
                for key, value in one.attributes.items()
            },
            None if record else one.type.dtype,
            () if record else _merged(one.type.shape, two.type.shape, rows),
            one.value,
            str(one.origin or ""),
        )
        if one.op.name == "part":
            node.inputs[0].parts.add(node.attributes["index"])
        made[one] = node
        nodes.append(node)
    return SymbolicGraph(nodes, [made[n] for n in first.inputs], [made[n] for n in first.outputs])


def _merged(one: Any, two: Any, rows: tuple[int, int]) -> Any:
    if isinstance(one, Graph):
        return symbolic(one, two, rows)
    if isinstance(one, tuple):
        return tuple(_merged(a, b, rows) for a, b in zip(one, two, strict=True))
    if type(one) is int and one != two:
        a = (two - one) // (rows[1] - rows[0])
        return Rows(a, one - a * rows[0])
    if isinstance(one, np.generic):
        return one.item()
    return one
