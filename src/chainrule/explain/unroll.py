"""Loops, calls and fused attention written out, so that every part has nodes of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine.ir.graph import Graph
from ..engine.ir.node import CONSTANT, PART, PLACEHOLDER, Node
from ..engine.ir.types import Record
from ..engine.ops import exp, log, matmul, random, softmax, stack, sum, swapaxes, where
from ..engine.ops.attention import ATTENTION, options
from ..engine.ops.scan import CALL, SCAN
from ..engine.tensor import TRACE_BIT, Tensor

#: Loops that would become more nodes than this stay one node.
MAX_NODES = 20_000


class Unrolled:
    """A graph whose loops are unrolled, and whose attention is made of plain operations.

    Attributes:
        graph: the same function, without scans and calls unless they are too long.
        step: for nodes of a loop their time step.
        twin: for nodes of a loop the node of its body that they are a copy of.
        kept: the loops that were not unrolled.
        weights: the nodes that are the weights of an attention.
    """

    def __init__(self, graph: Graph) -> None:
        self.step: dict[Node, int] = {}
        self.twin: dict[Node, Node] = {}
        self.kept: list[Node] = []
        self.weights: set[Node] = set()
        self._room = MAX_NODES
        new = self._copy(graph.nodes, {node: node for node in graph.inputs}, None)
        self.graph = Graph([new[n] for n in graph.inputs], [new[n] for n in graph.outputs])

    def _copy(
        self, nodes: Sequence[Node], new: dict[Node, Node], step: int | None
    ) -> dict[Node, Node]:
        """The nodes with their inputs replaced; ``new`` knows some, and learns the others."""
        parts: dict[Node, dict[int, Node]] = {}
        needed = self._needed_parts(nodes)
        for node in nodes:
            if node in new:
                continue
            if node.op in (SCAN, CALL) and self._fits(node):
                sources = [new[source] for source in node.inputs]
                unroll = self._scan if node.op is SCAN else self._call
                parts[node] = unroll(node, sources, needed.get(node, set()), step)
                continue
            if node.op is ATTENTION:
                sources = [new[source] for source in node.inputs]
                parts[node] = self._attention(node, sources, needed.get(node, set()), step)
                continue
            if node.op in (SCAN, CALL):
                self.kept.append(node)
            if node.op is PART and node.inputs[0] in parts:
                new[node] = parts[node.inputs[0]][node.attributes["index"]]
            elif self._stays(node, new, step):
                new[node] = node
            else:
                made = new[node] = self._node(node, tuple(new[s] for s in node.inputs), step)
                self.twin[made] = self.twin.get(node, node)
        return new

    def _stays(self, node: Node, new: dict[Node, Node], step: int | None) -> bool:
        """Whether a node needs no copy: it is a leaf, or outside loops with its own inputs."""
        if node.op in (CONSTANT, PLACEHOLDER):
            return True
        return step is None and all(new[source] is source for source in node.inputs)

    def _node(self, node: Node, inputs: tuple[Node, ...], step: int | None) -> Node:
        watched = node.watched | TRACE_BIT
        made = Node(node.op, inputs, node.attributes, node.type, None, watched, node.origin)
        if step is not None:
            self.step[made] = step
        return made

    def _needed_parts(self, nodes: Sequence[Node]) -> dict[Node, set[int]]:
        needed: dict[Node, set[int]] = {}
        for node in nodes:
            if node.op is PART:
                needed.setdefault(node.inputs[0], set()).add(node.attributes["index"])
        return needed

    def _fits(self, node: Node) -> bool:
        length = node.attributes.get("length", 1)
        count = (len(node.attributes["body"].nodes) + len(node.inputs)) * length
        if count > self._room:
            return False
        self._room -= count
        return True

    def _call(
        self, node: Node, sources: list[Node], needed: set[int], step: int | None
    ) -> dict[int, Node]:
        body: Graph = node.attributes["body"]
        new = self._copy(body.nodes, dict(zip(body.inputs, sources, strict=True)), step)
        return {index: new[output] for index, output in enumerate(body.outputs)}

    def _scan(
        self, node: Node, sources: list[Node], needed: set[int], step: int | None
    ) -> dict[int, Node]:
        """c, s, y of every step in turn; see `chainrule.ops.scan`."""
        body: Graph = node.attributes["body"]
        consts, carries, sums, length = (
            node.attributes[key] for key in ("consts", "carries", "sums", "length")
        )
        assert isinstance(node.type, Record)
        fixed, carry = sources[:consts], sources[consts : consts + carries]
        slices = [Tensor(source) for source in sources[consts + carries :]]
        first = carries + sums
        stacked: dict[int, dict[int, Tensor]] = {i: {} for i in needed if i >= first}
        totals: dict[int, Tensor] = {}
        for number in reversed(range(length)) if node.attributes["reverse"] else range(length):
            rows = [self._placed(x[number], node, set(sources), number) for x in slices]
            given = dict(zip(body.inputs, [*fixed, *carry, *rows], strict=True))
            new = self._copy(body.nodes, given, number)
            results = [new[output] for output in body.outputs]
            carry = results[:carries]
            for index in range(carries, first):
                found = Tensor(results[index])
                totals[index] = totals[index] + found if index in totals else found
                totals[index].node.origin = node.origin
            for index, rows_of in stacked.items():
                rows_of[number] = Tensor(results[index])
        done = dict(enumerate(carry)) | {i: x.node for i, x in totals.items()}
        for index, rows_of in stacked.items():
            whole = stack([rows_of[number] for number in range(length)])
            done[index] = self._placed(whole, node, {x.node for x in rows_of.values()})
        return done

    def _placed(self, x: Tensor, loop: Node, stop: set[Node], step: int | None = None) -> Node:
        """The nodes that cut out or join the steps, up to those given, are the loop's."""
        pending = [x.node]
        while pending:
            node = pending.pop()
            if node in stop or node.origin is loop.origin or node.op in (CONSTANT, PLACEHOLDER):
                continue
            node.origin = loop.origin
            if step is not None:
                self.step[node] = step
            pending += node.inputs
        return x.node

    def _attention(
        self, node: Node, sources: list[Node], needed: set[int], step: int | None
    ) -> dict[int, Node]:
        """softmax(Q·Kᵀ·scale)·V with the scores and the weights; see `engine.ops.attention`."""
        query, keys, values, *more = (Tensor(source) for source in sources)
        mask, key = options(tuple(more))
        scores = matmul(query, swapaxes(keys, -1, -2)) * node.attributes["scale"]
        n, m = scores.shape[-2:]
        visible: Any = np.tri(n, m, m - n, dtype=bool) if node.attributes["causal"] else None
        attends: Any = None if n <= m or visible is None else visible.any(-1, keepdims=True)
        if mask is not None and mask.dtype == bool:
            visible = mask if visible is None else mask & visible
            attends = visible.any(-1, keepdims=True)
        elif mask is not None:
            scores = scores + mask
        if visible is not None:
            # A query that attends to nothing gets zeros; its scores are left as they are for that.
            seen = visible if attends is None else visible | ~attends
            scores = where(seen, scores, -math.inf)
        weights = softmax(scores, -1)
        if attends is not None:
            weights = where(attends, weights, 0.0)
        self.weights.add(weights.node)
        if key is not None:
            dropout = node.attributes["dropout"]
            kept = random.uniform(key, weights.shape, dtype="float32") >= dropout
            weights = where(kept, weights / (1 - dropout), 0.0)
        found = {0: matmul(weights, values).node}
        if 1 in needed:
            found[1] = log(sum(exp(scores), -1)).node
        stop = set(sources)
        return {index: self._placed(Tensor(one), node, stop, step) for index, one in found.items()}
