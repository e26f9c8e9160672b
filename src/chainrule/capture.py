"""A function of tensors as a closed graph: the bodies of loops and of checkpoints.

The function is called once with tensors that have no values. What it uses from outside, parameters
and tensors computed earlier, becomes an input of the graph, so that the graph is closed and the
derivative reaches what was used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from . import tree
from .errors import TraceError
from .ir.constants import shrink
from .ir.graph import Graph, topological_order
from .ir.node import CONSTANT, Node, placeholder
from .ir.types import Type
from .tensor import TRACE_BIT, Tensor, TraceRecord, Variable, as_tensor, symbol, tracing

#: Constants up to this size stay in the body; larger ones become inputs of it.
_LARGEST_KEPT = 16


class Captured(NamedTuple):
    """A function as a closed graph.

    Attributes:
        graph: inputs: those from outside, then the symbols; outputs: the tensors of the result,
            then the new values of the variables that were assigned.
        free: the tensors from outside.
        result: what the function returned, a tree of tensors without values.
        assigned: the variables that were given new values; they have their old ones again.
    """

    graph: Graph
    free: list[Tensor]
    result: Any
    assigned: list[Variable]


def capture(function: Callable[..., Any], types: Sequence[Type], name: str) -> Captured:
    """Call the function with tensors of these types, and close the graph that it leaves.

    Args:
        function: takes one tensor for each type, returns a tree of tensors and numbers.
        types: the types of its arguments.
        name: what the function is to the user, for messages.
    """
    symbols = [symbol(one, str(number)) for number, one in enumerate(types)]
    hoist = tracing.record is not None
    with _recording(name) as record:
        leaves, rebuild, _ = tree.flatten(function(*symbols))
        results = [as_tensor(leaf) for leaf in leaves]
        assigned = list(record.assigned)
        outputs = [x.node for x in [*results, *assigned]]
    graph, free = _close([s.node for s in symbols], outputs, hoist)
    return Captured(graph, [Tensor(node) for node in free], rebuild(results), assigned)


@contextmanager
def _recording(name: str) -> Iterator[TraceRecord]:
    """A trace of its own, inside of another one or not; afterwards all variables are as before."""
    outer = tracing.record
    record = tracing.record = TraceRecord()
    try:
        yield record
    finally:
        tracing.record = outer
        for variable, node in record.assigned.items():
            variable.node = node
        for variable, gradient in record.gradients.items():
            variable.grad = gradient
        if outer is not None:
            outer.asked.update(record.asked)
    if record.gradients:
        raise TraceError(
            f"backward() inside {name}: its gradients would be lost.",
            hint="Use cr.grad inside, or call backward() on the result.",
        )


def _close(inputs: list[Node], outputs: list[Node], hoist: bool) -> tuple[Graph, list[Node]]:
    """The graph from the inputs to the outputs, and the nodes from outside that it needs.

    What does not depend on the inputs is computed outside, once, where it is not a mere broadcast:
    a broadcast costs nothing inside. Without an outer trace (``hoist``) nodes that have no value
    cannot be computed outside and stay, down to those that have one.
    """
    depends = set(inputs)
    order = topological_order(outputs)
    for node in order:
        if any(source in depends for source in node.inputs):
            depends.add(node)
    new: dict[Node, Node] = {node: node for node in inputs}
    free: dict[Node, Node] = {}
    stack = [(node, False) for node in reversed(outputs)]
    while stack:  # as in topological_order, but not into what is outside
        node, done = stack.pop()
        if node in new:
            continue
        kept = node if node in depends else _kept(node, hoist)
        if kept is None:
            free[node] = new[node] = placeholder(node.type, f"free {len(free)}", TRACE_BIT)
        elif done or not kept.inputs:
            new[node] = _with_sources(kept, new)
        else:
            for source in kept.inputs:  # those that only `_kept` made are leaves
                if source.op is CONSTANT and not source.attributes and kept is not node:
                    new.setdefault(source, source)
            stack.append((node, True))
            stack.extend((source, False) for source in reversed(kept.inputs))
    graph = Graph([*free.values(), *inputs], [new[node] for node in outputs])
    return graph, list(free)


def _kept(node: Node, hoist: bool) -> Node | None:
    """What stands for a node from outside in the body; None if it is an input of the body."""
    if node.op is CONSTANT and "owner" not in node.attributes and not node.watched:
        small = shrink(node)
        source = small.inputs[0] if small.inputs else small
        return small if source.type.size <= _LARGEST_KEPT else None
    if node.op.name == "broadcast_to":
        return node
    return node if node.inputs and node.value is None and not hoist else None


def _with_sources(node: Node, new: dict[Node, Node]) -> Node:
    sources = tuple(new[source] for source in node.inputs)
    if node.value is None and all(a is b for a, b in zip(sources, node.inputs, strict=True)):
        return node
    if not node.inputs:
        return node
    watched = node.watched | TRACE_BIT
    return Node(node.op, sources, node.attributes, node.type, None, watched, node.origin)
