"""Passes: from a graph to a graph that computes the same with less work."""

from __future__ import annotations

from ..ir.graph import Graph
from ..ir.node import PART
from .cse import eliminate_common_subexpressions
from .gather import pick_late
from .loops import tidy_loops
from .relu_mask import reuse_results
from .scan_residuals import keep_results
from .scatter import add_at_once
from .simplify import simplify

__all__ = ["eliminate_common_subexpressions", "optimize", "reuse_results", "simplify"]


def optimize(graph: Graph) -> Graph:
    """Simplify and share until nothing changes.

    Nodes that no output depends on are gone as soon as a graph is made anew.

    Example:
        >>> import chainrule as cr
        >>> graph = cr.trace(lambda x: -(-x) * 1.0 - x.T * x.T, cr.tensor([1.0, 2.0])).graph
        >>> print(optimize(graph))
        %0: float32[2] = placeholder(name='0')
        %1: float32[2] = multiply(%0, %0)  # <doctest chainrule.engine.passes.optimize[1]>:1
        %2: float32[2] = subtract(%0, %1)  # <doctest chainrule.engine.passes.optimize[1]>:1
        return %2
    """
    graph = _shared(graph)
    if any(node.op.name == "take" for node in graph.nodes):
        graph = _shared(pick_late(graph))
    if any(node.op is PART for node in graph.nodes):
        graph = _shared(tidy_loops(graph, optimize))
        graph = _shared(tidy_loops(keep_results(graph), optimize))
    return eliminate_common_subexpressions(add_at_once(reuse_results(graph)))


def _shared(graph: Graph) -> Graph:
    for _ in range(8):
        before = len(graph.nodes)
        graph = eliminate_common_subexpressions(simplify(graph))
        if len(graph.nodes) == before:
            break
    return graph
