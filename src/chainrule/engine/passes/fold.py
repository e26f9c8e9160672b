"""Whatever depends on constants only, computed once: for graphs whose weights do not change."""

from __future__ import annotations

import numpy as np

from ...utils.typing import Array
from ..ir.graph import Graph
from ..ir.node import CONSTANT, Node, constant
from ..ir.types import Record, as_value
from ..ops.declare import BROADCAST
from .rewrite import rewrite

#: Results of so few elements are folded, whatever they come from.
_SMALL = 1024


def fold_constants(graph: Graph, keep_broadcasts: bool = False) -> Graph:
    """The graph with constants in the place of what can be computed from constants alone.

    Large results that are larger than what they come from, such as broadcasts, stay as they are.

    Args:
        graph: what to simplify.
        keep_broadcasts: whether small ones stay, too, where memory counts more than time.

    Example:
        >>> import chainrule as cr
        >>> def f(x):
        ...     return x + cr.exp(cr.tensor([0.0, 0.0])) * 2.0
        >>> folded = fold_constants(cr.trace(f, cr.tensor([1.0, 2.0])).graph)
        >>> [node.op.name for node in folded.nodes]
        ['placeholder', 'constant', 'add']
    """
    values: dict[Node, Array] = {}
    for node in graph.nodes:
        if node.op is CONSTANT:
            assert node.value is not None
            values[node] = node.value
        elif _can_be_computed(node, values):
            operands = [values[source] for source in node.inputs]
            with np.errstate(all="ignore"):
                found = node.op.compute(np, *operands, **node.attributes)  # type: ignore[misc]
            values[node] = as_value(found)

    def folded(new: Node, old: Node) -> Node:
        if old not in values or (keep_broadcasts and old.op is BROADCAST):
            return new
        return constant(np.ascontiguousarray(values[old]))

    return rewrite(graph, folded)


def _can_be_computed(node: Node, values: dict[Node, Array]) -> bool:
    if not node.inputs or node.op.compute is None or isinstance(node.type, Record):
        return False
    if not all(source in values for source in node.inputs):
        return False
    return node.type.size <= max(_SMALL, sum(values[source].size for source in node.inputs))
