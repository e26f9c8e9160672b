"""Passes: from a graph to a graph that computes the same with less work."""

from __future__ import annotations

from ..ir.graph import Graph
from ..ir.node import PART
from .cse import eliminate_common_subexpressions
from .gather import postpone_gathers
from .loops import optimize_scans
from .product_rule import join_product_rule
from .relu_mask import reuse_relu_results
from .scan_residuals import save_residuals
from .scatter import fuse_scatter_adds
from .simplify import simplify

__all__ = ["eliminate_common_subexpressions", "optimize", "reuse_relu_results", "simplify"]


def optimize(graph: Graph) -> Graph:
    """Simplify and share until nothing changes.

    Nodes that no output depends on are gone as soon as a graph is rebuilt.

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
        graph = _shared(postpone_gathers(graph))
    if any(node.op is PART for node in graph.nodes):
        graph = _shared(optimize_scans(graph, optimize))
        kept = save_residuals(graph)
        if kept is not graph:  # a loop inside of loops would be optimized again by each of them
            graph = _shared(optimize_scans(kept, optimize))
    joined = join_product_rule(graph)
    if joined is not graph:
        graph = _shared(joined)
    return eliminate_common_subexpressions(fuse_scatter_adds(reuse_relu_results(graph)))


def _shared(graph: Graph) -> Graph:
    for _ in range(8):
        before = len(graph.nodes)
        graph = eliminate_common_subexpressions(simplify(graph))
        if len(graph.nodes) == before:
            break
    return graph
