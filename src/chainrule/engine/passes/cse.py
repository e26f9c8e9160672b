"""Common subexpressions: what is computed twice is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir.graph import Graph
from ..ir.node import CONSTANT, PLACEHOLDER, Node
from .rewrite import with_inputs

#: Larger constants are compared by identity only.
_LARGEST_COMPARED = 64


def eliminate_common_subexpressions(graph: Graph) -> Graph:
    """Merge nodes of the same operation, attributes and sources.

    Randomness is a function of its key, so that equal draws are merged like anything else.
    """
    known: dict[Any, Node] = {}
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        sources = tuple(new[source] for source in node.inputs)
        merged = with_inputs(node, sources)
        new[node] = known.setdefault(key(merged), merged)
    return Graph(graph.inputs, [new[node] for node in graph.outputs])


def key(node: Node, inputs: Sequence[Node] | None = None) -> Any:
    """What two nodes of equal value have in common; ``inputs`` stand for the node's own."""
    if node.op is PLACEHOLDER:
        return id(node)
    if node.op is CONSTANT:
        assert node.value is not None
        if node.value.size > _LARGEST_COMPARED:
            return id(node.value)
        return node.type, np.ascontiguousarray(node.value).tobytes()
    attributes = tuple((name, repr(value)) for name, value in sorted(node.attributes.items()))
    return node.op.name, tuple(map(id, node.inputs if inputs is None else inputs)), attributes
