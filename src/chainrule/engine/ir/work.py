"""How much work a graph is, roughly: what is computed for a file from anywhere is bounded."""

from __future__ import annotations

from .graph import Graph
from .node import Node
from .operation import Cost

#: Of a function of an element, in multiplications.
_FUNCTION = 8
#: Of starting an operation, or another part of one, in multiplications: about a microsecond.
STARTED = 2**10


def work(graph: Graph) -> int:
    """Elements that are computed and multiplications, loops with all their steps.

    Example:
        >>> import chainrule as cr, numpy as np
        >>> product = cr.trace(lambda x, y: x @ y, np.zeros((2, 1000)), np.zeros((1000, 3))).graph
        >>> 6000 < work(product) < 10_000
        True
    """
    return sum(_work_of(node) for node in graph.nodes if node.inputs)


def _work_of(node: Node) -> int:
    op, size = node.op, node.type.size
    bodies = [value for value in node.attributes.values() if isinstance(value, Graph)]
    if bodies:
        return int(node.attributes.get("length", 1)) * (STARTED + sum(map(work, bodies)))
    if op.work is not None:
        types = [source.type for source in node.inputs]
        return size + STARTED + op.work(node.type, *types, **node.attributes)
    return STARTED + size * (_FUNCTION if op.elementwise and op.cost is Cost.FUNCTION else 1)
