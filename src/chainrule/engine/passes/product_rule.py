"""The derivative of a function of one number is kept as one number, not as its parts.

The product rule leaves sums such as GELU's g·Φ(x) + g·x·φ(x) behind, with an upstream gradient g.
As g·(Φ(x) + x·φ(x)) they take one array from the forward pass to the backward one in place of
several, for what stands in the brackets does not wait for g. It is rounded otherwise, by an ulp or
two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..ir.graph import Graph
from ..ir.node import Node, constant
from ..ir.operation import Cost
from .rewrite import make, rewrite
from .simplify import single_value

#: So many operations of a sum, and of what it is computed from, are looked at.
_MOST = 32


def join_product_rule(graph: Graph) -> Graph:
    """The graph with sums of multiples of one gradient as a multiple of it."""
    place = {node: number for number, node in enumerate(graph.nodes)}
    users: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for source in node.inputs:
            users.setdefault(source, []).append(node)
    known: set[Node] = set()
    sums: dict[Node, _Sum] = {}
    for node in reversed(graph.nodes):
        if node.op.additive and node not in known and node.type.is_float:
            found = _sum_of_multiples(node, users, place, set(graph.outputs))
            if found is not None:
                known |= found.inside
                sums[node] = found
    if not sums:
        return graph
    new: dict[Node, Node] = {}

    def rule(node: Node, before: Node) -> Node:
        if before in sums:
            found = sums[before]
            node = make(node, "multiply", new.get(found.g, found.g), found.factor(before, new))
        new[before] = node
        return node

    return rewrite(graph, rule)


@dataclass
class _Sum:
    """A sum of multiples of one node.

    Attributes:
        g: that node.
        inside: the operations that depend on it.
    """

    g: Node
    inside: set[Node]

    def factor(self, node: Node, new: dict[Node, Node]) -> Node:
        """What g is multiplied by in one of the operations.

        Single numbers come first: a loop that ends with them would be taken for one that is cheap
        enough to be computed again in the backward pass.
        """
        like, number, factors = node, 1.0, []
        while node is not self.g and node.op.name == "multiply":
            first, second = node.inputs
            if first is self.g or first in self.inside:
                first, second = second, first
            value = single_value(first)
            if value is None:
                factors.append(new.get(first, first))
            else:
                number *= value
            node = second
        if node is not self.g:
            parts = [self.factor(source, new) for source in node.inputs]
            factors.append(make(node, node.op.name, *parts))
        if number != 1 or not factors:
            one = constant(np.array(number, like.type.dtype))
            factors.insert(0, make(like, "broadcast_to", one, shape=like.type.shape))
        product = factors[0]
        for factor in factors[1:]:
            product = make(like, "multiply", product, factor)
        return product


def _sum_of_multiples(
    root: Node, users: dict[Node, list[Node]], place: dict[Node, int], outputs: set[Node]
) -> _Sum | None:
    """What a node is a multiple of, if that is worth while: see `join_product_rule`."""
    inside = {root}
    waiting = list(root.inputs)
    given: set[Node] = set()
    while waiting and len(inside) < _MOST:
        node = max(waiting, key=place.__getitem__)  # so all that may read it is known
        waiting = [other for other in waiting if other is not node]
        own = node not in outputs and all(user in inside for user in users[node])
        if own and _keeps_multiples(node):
            inside.add(node)
            waiting += node.inputs
        else:
            given.add(node)
    given = {node for node in given if single_value(node) is None}
    if waiting or len(given) < 3:
        return None
    order = sorted(inside, key=place.__getitem__)
    for g in sorted(given, key=place.__getitem__, reverse=True):
        depends = _multiples(g, order)
        if root in depends and _is_worth_while(g, given):
            return _Sum(g, depends)
    return None


def _keeps_multiples(node: Node) -> bool:
    """Whether it makes multiples of a number of multiples of it."""
    return node.op.additive or (node.op.scales and node.op.name != "divide")


def _multiples(g: Node, order: list[Node]) -> set[Node]:
    """The operations that give multiples of a node, if all do that depend on it."""
    found: set[Node] = set()
    for node in order:
        count = sum(source is g or source in found for source in node.inputs)
        if count and count != (2 if node.op.additive else 1):
            return set()
        if count:
            found.add(node)
    return found


def _is_worth_while(g: Node, given: set[Node]) -> bool:
    """Whether the factors are functions of one node, and more than arithmetic."""
    sources = [_sources(node) for node in given if node is not g]
    common = set.intersection(*sources)
    shared = any(x.type.shape == g.type.shape and single_value(x) is None for x in common)
    if not shared or any(g in found for found in sources):
        return False
    return any(x.op.elementwise and x.op.cost is Cost.FUNCTION for found in sources for x in found)


def _sources(node: Node) -> set[Node]:
    """What a node is computed from, element by element, and itself."""
    found, stack = {node}, [node]
    while stack and len(found) < _MOST:
        node = stack.pop()
        if node.op.elementwise:
            stack += [source for source in node.inputs if source not in found]
            found.update(node.inputs)
    return found
