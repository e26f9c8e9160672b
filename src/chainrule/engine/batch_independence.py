"""Whether the rows of a batch are independent of one another.

Where they are, a batch may be padded with rows that nobody looks at: a program for many rows
then serves fewer. The axis of the rows is followed from the inputs through a graph; wherever an
operation mixes rows, or is not known to keep them apart, the answer is no.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .ir.batch_axis import Axis, RowsDependError
from .ir.graph import Graph
from .ir.node import CONSTANT, PART, PLACEHOLDER, Node
from .ir.types import Record


def rows_are_independent(
    graph: Graph, axes: Mapping[Node, int], rows: int, redraws: bool = False
) -> bool:
    """Whether row i of every output depends on row i of the inputs only.

    Args:
        graph: what is computed for a batch.
        axes: on which axis the inputs have their rows; other inputs have none.
        rows: how many there are, at least 2.
        redraws: random numbers may be other ones of the same distribution where there are more
            rows, such as those of dropout with the rows on its second axis.

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
        found = BatchAxes(rows, redraws).outputs(graph, places)
    except RowsDependError:
        return False
    return all(axis is not None for axis in found)


def single_numbers(graph: Graph) -> list[float]:
    """The constants that are one number everywhere: no number of rows may change them."""
    values = [node.value for node in graph.nodes if node.value is not None and node.value.size]
    return [float(v.flat[0]) for v in values if bool((v == v.flat[0]).all())]


class BatchAxes:
    """The axis of the rows, node by node; None for a value that has none.

    Attributes:
        rows: how many there are.
        redraws: see `rows_are_independent`.
        axes: by node.
    """

    def __init__(self, rows: int, redraws: bool = False) -> None:
        self.rows, self.redraws = rows, redraws
        self.axes: dict[Node, Axis | None] = {}
        self._parts: dict[Node, list[Axis | None]] = {}  # of nodes with several results

    def outputs(self, graph: Graph, axes: Mapping[Node, Axis | None]) -> list[Axis | None]:
        """The axes of a graph's outputs, from those of its inputs.

        Raises:
            RowsDependError: a row depends on another one, or may do so.
        """
        for node in graph.nodes:
            if node.op in (PLACEHOLDER, CONSTANT):
                self.axes[node] = axes.get(node)
            elif node.op is PART:
                self.axes[node] = self._parts[node.inputs[0]][node.attributes["index"]]
            else:
                self._visit(node)
        return [self.axes[node] for node in graph.outputs]

    def _visit(self, node: Node) -> None:
        given = [self.axes.get(source) for source in node.inputs]
        several = isinstance(node.type, Record)
        if not several and all(axis is None for axis in given):
            self.axes[node] = None
        elif node.op.batch is None:
            raise RowsDependError
        elif several:
            self._parts[node] = node.op.batch.through(self, node, given)
        else:
            self.axes[node] = node.op.batch.through(self, node, given)

    def is_same(self, node: Node, axis: Axis) -> bool:
        """Whether a value without rows has the same there for every row, or for every number."""
        if node.op is CONSTANT:
            assert node.value is not None
            return bool(np.all(node.value == np.take(node.value, [0], axis.place)))
        return node.op.batch is not None and node.op.batch.is_same(self, node, axis)
