"""The one way in which passes change a graph: node by node, sources first, into a new graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ir.graph import Graph
from ..ir.node import Node
from ..ir.operation import OPERATIONS

#: What a node becomes, given with its new sources and as it was: another node, or itself.
Rule = Callable[[Node, Node], Node]


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """The graph with every node replaced by what the rule makes of it."""
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        sources = tuple(new[source] for source in node.inputs)
        new[node] = rule(with_inputs(node, sources), node) if node.inputs else node
    return Graph(graph.inputs, [new[node] for node in graph.outputs])


def with_inputs(node: Node, inputs: tuple[Node, ...]) -> Node:
    """The same operation of other nodes of the same types; itself if they are its own."""
    if inputs == node.inputs:
        return node
    return Node(node.op, inputs, node.attributes, node.type, None, node.watched, node.origin)


def copy(node: Node) -> Node:
    """The same once more, to be computed at another place."""
    return Node(node.op, node.inputs, node.attributes, node.type, None, node.watched, node.origin)


def make(like: Node, name: str, *inputs: Node, **attributes: Any) -> Node:
    """A new node in the place of ``like``, whose origin it takes over."""
    op = OPERATIONS[name]
    found = op.type_rule(*(source.type for source in inputs), **attributes)
    return Node(op, inputs, attributes, found, None, like.watched, like.origin)
