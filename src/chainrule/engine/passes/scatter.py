"""A scatter-add into zeros that is then added to something scatters into that instead."""

from __future__ import annotations

from collections import Counter

from ..ir.graph import Graph
from ..ir.node import Node
from .rewrite import make, rewrite
from .simplify import single_value


def fuse_scatter_adds(graph: Graph) -> Graph:
    """a + scatter(0, i, u) becomes scatter(a, i, u); likewise with a difference, and its negative.

    And Σ scatter(0, i, u) along the axis becomes Σ u, as the gradient of a log-softmax asks for.
    So the zeros need no memory: where a weight is used twice, as a table of words and as the layer
    that tells the next word, they would be as many as the weight has numbers.
    """
    uses = Counter(
        source for node in graph.nodes for source in node.inputs if not _is_sum_of_updates(node)
    )
    uses.update(graph.outputs)

    def adds_to_zeros(node: Node, before: Node) -> bool:
        return uses[before] == 1 and _adds_to_zeros(node)

    def rule(node: Node, before: Node) -> Node:
        if _is_sum_of_updates(node):
            return make(node, "sum", node.inputs[0].inputs[2], **node.attributes)
        is_difference = node.op.name == "subtract"
        if not (is_difference or node.op.name == "add"):
            return node
        left, right = node.inputs
        if adds_to_zeros(right, before.inputs[1]):
            _, places, updates = right.inputs
            if is_difference:
                updates = make(node, "negative", updates)
            return make(node, right.op.name, left, places, updates, **right.attributes)
        if adds_to_zeros(left, before.inputs[0]):
            _, places, updates = left.inputs
            if is_difference:
                right = make(node, "negative", right)
            return make(node, left.op.name, right, places, updates, **left.attributes)
        return node

    return rewrite(graph, rule)


def _adds_to_zeros(node: Node) -> bool:
    return node.op.accumulates and single_value(node.inputs[0]) == 0


def _is_sum_of_updates(node: Node) -> bool:
    if node.op.name != "sum" or node.inputs[0].op.name != "add_along_axis":
        return False
    scatter = node.inputs[0]
    return _adds_to_zeros(scatter) and node.attributes["axes"] == (scatter.attributes["axis"],)
