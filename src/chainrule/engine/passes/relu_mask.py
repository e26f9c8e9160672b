"""What follows from a value that is kept anyway need not be kept, too."""

from __future__ import annotations

from ..ir.graph import Graph
from ..ir.node import Node
from .rewrite import make, rewrite
from .simplify import single_value


def reuse_relu_results(graph: Graph) -> Graph:
    """x > 0 becomes relu(x) > 0 where relu(x) is computed: so x itself need not be kept.

    Both are false for NaN and for numbers up to 0. The gradient of relu asks for it, when relu(x)
    is kept for the gradient of what follows.
    """
    known = {node.inputs[0]: node for node in graph.nodes if node.op.name == "relu"}
    new: dict[Node, Node] = {}

    def rule(node: Node, before: Node) -> Node:
        new[before] = node
        if node.op.name == "greater" and single_value(node.inputs[1]) == 0:
            relu = known.get(before.inputs[0])
            if relu is not None:
                if relu not in new:
                    new[relu] = make(node, "relu", node.inputs[0])
                return make(node, "greater", new[relu], node.inputs[1])
        return node

    return rewrite(graph, rule)
