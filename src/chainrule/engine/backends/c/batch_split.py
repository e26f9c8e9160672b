"""Loops over time whose rows are independent: parts of the batch go through by themselves.

A thread that takes some rows through all steps meets the others only at the end. So the body is
written for fewer rows, wherever its nodes let every row of the batch depend on the same row only.
"""

from __future__ import annotations

import math
from typing import Any

from ....errors import ShapeError
from ...batch_independence import BatchAxes
from ...ir.batch_axis import IMAGES, Axis, RowsDependError
from ...ir.graph import Graph
from ...ir.node import CONSTANT, PLACEHOLDER, Node, placeholder
from ...ir.types import Record
from ...ops.declare import BROADCAST
from ...ops.shape import SLICE
from .kernel import may_stop
from .kernels.cpu import target_in_use

#: So many rows make products fast, fewer than these too slow.
_ENOUGH_ROWS, _FEWEST_ROWS = 16, 4
#: Less work than this, in multiplications or the like, is not worth other threads.
_WORTH_THREADS = 1 << 20


def split_batch(node: Node) -> tuple[Graph, int]:
    """The body of a scan for a part of the batch, and the number of parts; or as it is, and 1.

    How many parts there are depends on the shapes only, so that programs are the same for any
    number of threads.
    """
    body: Graph = node.attributes["body"]
    if node.op.name != "scan" or may_stop(node) or not target_in_use().threads:
        return body, 1
    attributes = node.attributes
    first = attributes["consts"]
    given = body.inputs[first:]
    carries, sums = attributes["carries"], attributes["sums"]
    if not carries or sums or any(p.type.shape[:1] != given[0].type.shape[:1] for p in given):
        return body, 1
    if not given[0].type.shape or work_of(body) * attributes["length"] < _WORTH_THREADS:
        return body, 1
    batch = given[0].type.shape[0]
    chunks = _count(batch)
    if chunks == 1:
        return body, 1
    try:
        return _FewerRows(body, first, batch, batch // chunks).graph(), chunks
    except (RowsDependError, ShapeError):
        return body, 1


def _count(batch: int) -> int:
    """The most parts that have enough rows for fast products, otherwise the fewest that there are.

    Example:
        >>> [_count(batch) for batch in (64, 48, 32, 16, 9, 7)]
        [4, 3, 2, 2, 1, 1]
    """
    counts = [n for n in range(2, batch // _FEWEST_ROWS + 1) if batch % n == 0]
    good = [n for n in counts if batch // n >= _ENOUGH_ROWS]
    return max(good) if good else min(counts, default=1)


class _FewerRows:
    """A body, node by node, for ``rows`` rows instead of ``batch``.

    Every node either has its rows on the first axis, or is the same for all rows.
    """

    def __init__(self, body: Graph, consts: int, batch: int, rows: int) -> None:
        self.body, self.batch, self.rows = body, batch, rows
        self.new: dict[Node, Node] = {}
        self.split: set[Node] = set(body.inputs[consts:])
        self.consts = body.inputs[:consts]

    def graph(self) -> Graph:
        """The body for some rows."""
        for p in self.body.inputs:
            self.new[p] = p if p in self.consts else placeholder(self._fewer(p), "rows", 0)
        for node in self.body.nodes:
            if node.op not in (PLACEHOLDER, CONSTANT):
                self._visit(node)
            elif node.op is CONSTANT:
                self.new[node] = node
        if not all(node in self.split for node in self.body.outputs):
            raise RowsDependError
        inputs = [self.new[p] for p in self.body.inputs]
        return Graph(inputs, [self.new[node] for node in self.body.outputs])

    def _fewer(self, node: Node) -> Any:
        return node.type._replace(shape=(self.rows, *node.type.shape[1:]))

    def _visit(self, node: Node) -> None:
        shape = node.type.shape
        axes = [Axis(0) if source in self.split else None for source in node.inputs]
        if not any(axes):
            core = node.inputs[0].type.shape
            is_repeated = node.op is BROADCAST and shape[:1] == (self.batch,)
            if not is_repeated or (len(core) == len(shape) and core[0] != 1):
                self.new[node] = node
                return
        elif shape[:1] != (self.batch,) or not self._keeps_rows(node, axes):
            raise RowsDependError
        sources = tuple(self.new[source] for source in node.inputs)
        attributes = self._attributes(node)
        found = node.op.type_rule(*(source.type for source in sources), **attributes)
        if found != self._fewer(node):
            raise RowsDependError
        self.new[node] = Node(node.op, sources, attributes, found, None, 0, node.origin)
        self.split.add(node)

    def _keeps_rows(self, node: Node, axes: list[Axis | None]) -> bool:
        """Whether the rows stay on the first axis, in a kernel that does not count them."""
        rule = node.op.batch
        if rule is None or rule is IMAGES or isinstance(node.type, Record):
            return False
        return bool(rule.through(BatchAxes(self.batch), node, axes) == Axis(0))

    def _attributes(self, node: Node) -> dict[str, Any]:
        """With the extents of the result for fewer rows."""
        attributes = dict(node.attributes)
        if attributes.get("shape") == node.type.shape:
            attributes["shape"] = (self.rows, *node.type.shape[1:])
        if node.op is SLICE:
            attributes["stop"] = (self.rows, *attributes["stop"][1:])
        return attributes


def work_of(graph: Graph) -> int:
    """About how many multiplications, or operations on single elements, a graph takes."""
    total = 0
    for node in graph.nodes:
        body = node.attributes.get("body")
        if isinstance(body, Graph):
            total += work_of(body) * node.attributes.get("length", 1)
        elif node.op.name == "matmul":
            a = node.inputs[0].type.shape
            k = a[-2] if node.attributes["transpose_a"] else a[-1]
            total += node.type.size * k // 4
        elif node.op.name == "tile_step":
            total += node.type.size * node.attributes["k"] // 4
        elif node.inputs:
            total += math.prod(node.type.shape)
    return total
