"""A function of tensors as a closed graph: the bodies of loops and of checkpoints.

The function is called once with tensors that have no values. What it uses from outside, parameters
and tensors computed earlier, becomes an input of the graph, so that the graph is closed and the
derivative reaches what was used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..errors import TraceError
from . import pytree
from .ir.constants import shrink
from .ir.graph import Graph, topological_order
from .ir.node import CONSTANT, Node, numbers, placeholder
from .ir.types import Type
from .tensor import TRACE_BIT, Tensor, Variable, as_tensor, recording, symbol, tracing

#: Constants up to this size stay in the body; larger ones become inputs of it.
_LARGEST_KEPT = 16


class Captured(NamedTuple):
    """A function as a closed graph.

    Attributes:
        graph: inputs: those from outside, then (with ``stateful``) the values that the assigned
            variables have before, then the symbols; outputs: the tensors of the result, then the
            new values of the variables that were assigned.
        free: the tensors from outside.
        result: what the function returned, a tree of tensors without values.
        assigned: the variables that were given new values; they have their old ones again.
    """

    graph: Graph
    free: list[Tensor]
    result: Any
    assigned: list[Variable]


def capture(
    function: Callable[..., Any], types: Sequence[Type], name: str, *, stateful: bool = False
) -> Captured:
    """Call the function with tensors of these types, and close the graph that it leaves.

    Args:
        function: takes one tensor for each type, returns a tree of tensors and numbers.
        types: the types of its arguments.
        name: what the function is to the user, for messages.
        stateful: the variables that the function assigns differ from call to call: what they are
            before is an input of the graph, in the order of `Captured.assigned`.
    """
    first = next(numbers)
    symbols = [symbol(one, str(number)) for number, one in enumerate(types)]
    hoist = tracing.record is not None
    with recording() as record:
        leaves, rebuild, _ = pytree.flatten(function(*symbols))
        results = [as_tensor(leaf) for leaf in leaves]
        assigned = list(record.assigned)
        outputs = [x.node for x in [*results, *assigned]]
    if any(gradient is not None for gradient in record.gradients.values()):
        raise TraceError(
            f"backward() inside {name}: its gradients would be lost.",
            hint="Use cr.grad inside, or call backward() on the result.",
        )
    before = [variable.node for variable in assigned] if stateful else []
    graph, free = _close([s.node for s in symbols], outputs, hoist, before, first)
    return Captured(graph, [Tensor(node) for node in free], rebuild(results), assigned)


def _close(
    inputs: list[Node], outputs: list[Node], hoist: bool, before: list[Node], first: int
) -> tuple[Graph, list[Node]]:
    """The graph from the inputs to the outputs, and the nodes from outside that it needs.

    The nodes ``before`` are values from outside that differ from call to call: inputs, too. What
    was computed of them before the function was called, by nodes with numbers below ``first``,
    keeps the value that it had then.

    What does not depend on the inputs is computed outside, once, unless it is a mere broadcast,
    which costs nothing inside. Without an outer trace (not ``hoist``) what has no value yet cannot
    be computed outside, and stays inside.
    """
    order = topological_order(outputs)
    changing = {node: placeholder(node.type, f"state {i}", TRACE_BIT)
                for i, node in enumerate(before)}  # fmt: skip
    depends = {*inputs, *before}
    earlier = set(before)  # and what was computed of them
    for node in order:
        if node.number < first and (hoist or node.value is not None):
            if any(source in earlier for source in node.inputs):
                earlier.add(node)
        elif any(source in depends for source in node.inputs):
            depends.add(node)
    earlier -= depends

    def is_inside(node: Node) -> bool:
        if node in earlier:
            return False
        if node in depends or node.op.name == "broadcast_to":
            return True
        return bool(node.inputs) and node.value is None and not hoist

    needed = {*inputs, *before, *outputs}
    for node in reversed(order):
        if node in needed and node not in changing and is_inside(node):
            needed.update(node.inputs)
    new = {node: node for node in inputs} | changing
    free: dict[Node, Node] = {}
    for node in order:
        if node not in needed or node in new:
            continue
        kept = _kept(node)
        if is_inside(node):
            sources = tuple(new[source] for source in node.inputs)
            watched = node.watched | TRACE_BIT
            new[node] = Node(
                node.op, sources, node.attributes, node.type, None, watched, node.origin
            )
        elif kept is not None:
            new[node] = kept
        else:
            free[node] = new[node] = placeholder(node.type, f"free {len(free)}", TRACE_BIT)
    given = [*free.values(), *changing.values(), *inputs]
    return Graph(given, [new[node] for node in outputs]), list(free)


def _kept(node: Node) -> Node | None:
    """A small constant, which may stay inside; None for everything else."""
    if node.op is not CONSTANT or node.watched or "owner" in node.attributes:
        return None
    small = shrink(node)
    size = small.inputs[0].type.size if small.inputs else small.type.size
    return small if size <= _LARGEST_KEPT else None
