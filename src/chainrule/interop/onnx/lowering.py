"""A graph of operations as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .declarations import refuse
from .emitter import Emitter, Extent
from .lowerings import LOWERINGS, REFUSED
from .symbolic import SymbolicGraph, SymbolicNode


class Writer(Emitter):
    """An emitter that writes graphs."""

    def lower(self, graph: Any, inputs: Sequence[str]) -> list[str]:
        """Write the nodes of a graph; the names of its outputs."""
        return _lower(self, graph, inputs)


def _lower(e: Emitter, graph: SymbolicGraph, inputs: Sequence[str]) -> list[str]:
    """Write the nodes of a graph.

    A broadcast is not written where an operator that reads it broadcasts by itself.

    Args:
        e: takes the nodes.
        graph: what to write.
        inputs: the names of its inputs.

    Raises:
        ConfigError: an operation has no ONNX; it is named, with its layer and the reason.
    """
    names: dict[SymbolicNode, Any] = dict(zip(graph.inputs, inputs, strict=True))
    narrow: dict[SymbolicNode, SymbolicNode] = {}

    def name_of(node: SymbolicNode) -> Any:
        if node not in names:  # a broadcast that somebody reads as it is
            names[node] = LOWERINGS["broadcast_to"](e, node, name_of(node.inputs[0]))
        return names[node]

    for node in graph.nodes:
        if node in names:
            continue
        name = node.op.name
        if name == "constant":
            names[node] = e.constant(node.value)
        elif name == "broadcast_to":
            narrow[node] = narrow.get(node.inputs[0], node.inputs[0])
        else:
            if name not in LOWERINGS:
                raise refuse(node, REFUSED.get(name, "it is an operation of your own"))
            given = _as_narrow(node, narrow) if node.op.elementwise else node.inputs
            names[node] = LOWERINGS[name](e, node, *[name_of(source) for source in given])
    return [name_of(node) for node in graph.outputs]


def _as_narrow(node: SymbolicNode, narrow: dict[SymbolicNode, SymbolicNode]) -> list[SymbolicNode]:
    """Operands before they were broadcast, if together they still have the shape of the result."""
    given = [narrow.get(source, source) for source in node.inputs]
    if _broadcast([source.shape for source in given]) == node.shape:
        return given
    # One of them as large as the result is enough.
    return [node.inputs[0], *given[1:]]


def _broadcast(shapes: Sequence[tuple[Extent, ...]]) -> tuple[Extent, ...]:
    rank = max(map(len, shapes))
    found: list[Extent] = [1] * rank
    for shape in shapes:
        for axis, extent in enumerate(shape, rank - len(shape)):
            if extent != 1:
                found[axis] = extent
    return tuple(found)
