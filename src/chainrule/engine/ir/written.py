"""A graph as a Python function without loops, whose steps cost as much as small arrays.

What an operation of the graph is to NumPy is called directly, on operands that NumPy broadcasts
itself, and what is made of constants only is computed once; the results have the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import ChainruleError
from ...utils.typing import Array
from .graph import Graph
from .node import CONSTANT, PLACEHOLDER, Node, Origin
from .types import as_value

#: Constants that are computed once have at most so many numbers, unless they are views.
_MOST_NUMBERS = 4096


def written(
    graph: Graph, xp: Any, lowerings: Mapping[str, Callable[..., Any]]
) -> Callable[[Sequence[Array]], list[Any]]:
    """The function from the inputs of a graph to its outputs.

    Args:
        graph: what to compute.
        xp: the array namespace.
        lowerings: by operation what is called instead of its ``compute``.
    """
    direct = _direct(graph, lowerings) if xp is np else frozenset()
    operands = {node: _operands(node, node in direct) for node in graph.nodes}
    known = _known_before(graph, operands, lowerings if xp is np else None)
    needed = _needed(graph, operands, known)
    name = {node: f"v{number}" for number, node in enumerate(graph.nodes)}
    values: dict[str, Any] = {"xp": xp, "array": np.ndarray, "as_value": as_value}
    values |= {name[node]: value for node, value in known.items()}
    kept = {*graph.inputs, *graph.outputs, *known}
    last_use = {source: node for node in needed for source in operands[node]}
    loose = (
        direct - set(graph.outputs) - {s for n in needed if n not in direct for s in operands[n]}
    )
    lines = ["def run(inputs):", f" ({''.join(f'{name[n]}, ' for n in graph.inputs)}) = inputs"]
    origins: list[Origin | None] = []
    for number, node in enumerate(needed):
        call = f"f{number}"
        given = [name[source] for source in operands[node]]
        if node in direct:
            values[call] = node.op.numpy
            is_array = bool(node.type.shape) or node in loose
        else:
            values[call] = lowerings.get(node.op.name, node.op.compute)
            given.insert(0, "xp")
            if node.attributes:
                values[f"a{number}"] = node.attributes
                given.append(f"**a{number}")
            is_array = False
        y = name[node]
        parts = [f" {y} = {call}({', '.join(given)})"]
        if not is_array:
            parts.append(f"{y} = {y} if type({y}) is array else as_value({y})")
        done = {s for s in operands[node] if last_use[s] is node and s not in kept}
        parts += [f"del {name[source]}" for source in done]
        lines.append("; ".join(parts))
        origins.append(node.origin)
    lines.append(f" return [{', '.join(name[node] for node in graph.outputs)}]")
    exec("\n".join(lines), values)
    return _with_places(values["run"], origins)


def _direct(graph: Graph, lowerings: Collection[str]) -> frozenset[Node]:
    """The nodes that a function of NumPy computes as it is."""
    return frozenset(
        node for node in graph.nodes if node.op.numpy is not None and node.op.name not in lowerings
    )


def _operands(node: Node, broadcasts: bool) -> tuple[Node, ...]:
    """What a node reads: where it broadcasts by itself what others have before they are."""
    if not broadcasts or not any(source.op.repeats for source in node.inputs):
        return node.inputs
    before = tuple([s.inputs[0] if s.op.repeats else s for s in node.inputs])
    shape = np.broadcast_shapes(*[source.type.shape for source in before])
    return before if shape == node.type.shape else node.inputs


def _known_before(
    graph: Graph,
    operands: Mapping[Node, tuple[Node, ...]],
    lowerings: Collection[str] | None,
) -> dict[Node, Any]:
    """The values of constants and, unless there are no lowerings, of what NumPy makes of them."""
    known: dict[Node, Any] = {}
    results = set(graph.outputs)  # these belong to the caller
    for node in graph.nodes:
        if node.op is CONSTANT:
            known[node] = node.value
        elif node in results:
            continue
        elif lowerings is not None and _is_worth(node) and node.op.name not in lowerings:
            found = [known.get(source) for source in operands[node]]
            if found and all(value is not None for value in found):
                assert node.op.compute is not None
                with np.errstate(all="ignore"):
                    known[node] = as_value(node.op.compute(np, *found, **node.attributes))
    return known


def _is_worth(node: Node) -> bool:
    small = node.op.view or node.type.size <= _MOST_NUMBERS
    return small and (node.op.moves or node.op.numpy is not None) and not node.op.stops


def _needed(
    graph: Graph, operands: Mapping[Node, tuple[Node, ...]], known: Collection[Node]
) -> list[Node]:
    """The nodes that have to be computed, in order."""
    wanted = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node in wanted:
            wanted.update(operands[node])
    computed = [node for node in graph.nodes if node in wanted and node not in known]
    return [node for node in computed if node.op is not PLACEHOLDER]


def _with_places(
    function: Any, origins: Sequence[Origin | None]
) -> Callable[[Sequence[Array]], list[Any]]:
    """The function; its errors say where the node of the line comes from."""

    def run(inputs: Sequence[Array]) -> list[Any]:
        try:
            results: list[Any] = function(inputs)
        except ChainruleError as error:
            trace = error.__traceback__
            while trace is not None:
                if trace.tb_frame.f_code is function.__code__:
                    origin = origins[trace.tb_lineno - 3]
                    error.where = error.where or str(origin or "") or None
                trace = trace.tb_next
            raise
        return results

    return run
