"""Graphs of saved models computed anew, within what is traced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...engine.ir.graph import Graph
from ...engine.ir.node import CONSTANT, PLACEHOLDER, Node
from ...engine.tensor import Tensor, apply
from ...utils.typing import Array


def run_graph(
    graph: Graph, given: Sequence[Tensor], arrays: Mapping[str, Array],
    weights: Mapping[str, Tensor],
) -> list[Tensor]:  # fmt: skip
    """The outputs of a graph for tensors, with tensors in the place of some of its arrays.

    Args:
        graph: what to compute.
        given: its inputs.
        arrays: of its constants, by name.
        weights: what stands for the arrays of these names.
    """
    by_array = {id(arrays[name]): weight for name, weight in weights.items()}
    known: dict[Node, Tensor] = dict(zip(graph.inputs, given, strict=True))
    for node in graph.nodes:
        if node in known:
            continue
        if node.op is CONSTANT:
            weight = by_array.get(id(node.value))
            known[node] = Tensor(node) if weight is None else weight
        else:
            assert node.op is not PLACEHOLDER
            sources = [known[source] for source in node.inputs]
            known[node] = apply(node.op, *sources, **node.attributes)
    return [known[node] for node in graph.outputs]
