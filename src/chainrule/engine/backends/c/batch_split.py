"""Loops over time whose rows are independent: parts of the batch go through by themselves.

A thread that takes some rows through all steps meets the others only at the end. So the body is
written for fewer rows, wherever its nodes let every row of the batch depend on the same row only.
"""

from __future__ import annotations

import math
from typing import Any

from ...ir.graph import Graph
from ...ir.node import CONSTANT, PLACEHOLDER, Node, placeholder
from .expressions import rule
from .kernel import REDUCTIONS
from .kernels import may_stop

#: So many rows make products fast, fewer than these too slow.
_ENOUGH_ROWS, _FEWEST_ROWS = 16, 4
#: Less work than this, in multiplications or the like, is not worth other threads.
_WORTH_THREADS = 1 << 20


class _RowsDependError(Exception):
    """A row depends on another one."""


def split_batch(node: Node) -> tuple[Graph, int]:
    """The body of a scan for a part of the batch, and the number of parts; or as it is, and 1.

    How many parts there are depends on the shapes only, so that programs are the same for any
    number of threads.
    """
    body: Graph = node.attributes["body"]
    if node.op.name != "scan" or may_stop(node):
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
    except _RowsDependError:
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
            raise _RowsDependError
        inputs = [self.new[p] for p in self.body.inputs]
        return Graph(inputs, [self.new[node] for node in self.body.outputs])

    def _fewer(self, node: Node) -> Any:
        return node.type._replace(shape=(self.rows, *node.type.shape[1:]))

    def _visit(self, node: Node) -> None:
        name, shape = node.op.name, node.type.shape
        are_split = [source in self.split for source in node.inputs]
        attributes = dict(node.attributes)
        if not any(are_split):
            core = node.inputs[0].type.shape
            spread = name == "broadcast_to" and shape[:1] == (self.batch,)
            if not spread or (len(core) == len(shape) and core[0] != 1):
                self.new[node] = node
                return
        elif shape[:1] != (self.batch,) or not self._keeps_rows(node, are_split):
            raise _RowsDependError
        if name in ("broadcast_to", "reshape"):
            attributes["shape"] = (self.rows, *shape[1:])
        elif name == "slice":
            attributes["stop"] = (self.rows, *attributes["stop"][1:])
        sources = tuple(self.new[source] for source in node.inputs)
        found = node.op.type_rule(*(source.type for source in sources), **attributes)
        if found != self._fewer(node):
            raise _RowsDependError
        self.new[node] = Node(node.op, sources, attributes, found, None, 0, node.origin)
        self.split.add(node)

    def _keeps_rows(self, node: Node, are_split: list[bool]) -> bool:
        """Whether row i of the result depends on row i of what has rows, and on what has none."""
        name, attributes = node.op.name, node.attributes
        if name == "matmul":
            rank = len(node.type.shape)
            if rank > 2:
                return all(are_split)
            return are_split == [True, False] and not attributes["transpose_a"]
        if name == "panel_product":
            return are_split == [True, False]
        if name == "concatenate":
            return all(are_split) and attributes["axis"] != 0
        if rule(node) is not None:
            return all(are_split)
        if len(node.inputs) > 1:
            return False
        if name in REDUCTIONS or name in ("flip", "logsumexp"):
            return 0 not in attributes["axes"]
        if name in ("softmax", "log_softmax", "cumsum", "argmax", "argsort"):
            return bool(attributes["axis"] != 0)
        if name == "transpose":
            return bool(attributes["axes"][0] == 0)
        if name == "reshape":
            return node.inputs[0].type.shape[:1] == (self.batch,)
        if name == "slice":
            first = [attributes[key][0] for key in ("start", "stop", "step")]
            return first == [0, self.batch, 1]
        if name == "pad":
            return not any(attributes[key][0] for key in ("before", "after", "between"))
        return name in ("broadcast_to", "identity", "stop_gradient")


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
        elif node.inputs:
            total += math.prod(node.type.shape)
    return total
