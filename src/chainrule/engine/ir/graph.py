"""A graph: inputs, outputs and the nodes between; ordered, verified and printed."""

from __future__ import annotations

import textwrap
from collections.abc import Container, Iterable, Sequence

from ...errors import ChainruleError
from .node import CONSTANT, PLACEHOLDER, Node


def topological_order(outputs: Iterable[Node], known: Container[Node] = ()) -> list[Node]:
    """Every node that the outputs depend on, inputs before their users.

    Nodes that are known, and what only they depend on, are left out.

    Iterative, so that a graph may be deeper than Python's stack.
    """
    order: list[Node] = []
    done: set[Node] = set()
    stack: list[Node | None] = list(outputs)
    stack.reverse()
    while stack:
        node = stack.pop()
        if node is None:  # the inputs of the one below it are done
            node = stack.pop()
            if node not in done:
                done.add(node)  # type: ignore[arg-type]
                order.append(node)  # type: ignore[arg-type]
        elif node not in done and node not in known:
            inputs = node.inputs
            if inputs:
                stack.append(node)
                stack.append(None)
                stack.extend([source for source in reversed(inputs) if source not in done])
            else:
                done.add(node)
                order.append(node)
    return order


def reachable(outputs: Iterable[Node]) -> dict[Node, int]:
    """Every node that the outputs depend on, numbered: the same for computations of one form.

    The order is no topological one, and found in a fraction of its time.
    """
    place: dict[Node, int] = {}
    for node in outputs:
        place.setdefault(node, len(place))
    found = list(place)
    for node in found:
        for source in node.inputs:
            if source not in place:
                place[source] = len(found)
                found.append(source)
    return place


class Graph:
    """A closed function: its value depends on its inputs and constants only.

    Args:
        inputs: placeholders, in the order of the arguments.
        outputs: the nodes whose values are the results.
    """

    def __init__(self, inputs: Sequence[Node], outputs: Sequence[Node]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.nodes = topological_order([*self.inputs, *self.outputs])

    def verify(self) -> None:
        """Check every node against its type rule, and that no placeholder is free."""
        known = set(self.inputs)
        for node in self.nodes:
            if node.op is PLACEHOLDER and node not in known:
                raise ChainruleError(f"Free placeholder {node.attributes['name']!r} in a graph.")
            if node.op is CONSTANT and node.value is None:
                raise ChainruleError("A constant without a value.")
            for value in node.attributes.values():
                if isinstance(value, Graph):
                    value.verify()
            if node.op not in (CONSTANT, PLACEHOLDER):
                types = [source.type for source in node.inputs]
                expected = node.op.type_rule(*types, **node.attributes)
                if expected != node.type:
                    raise ChainruleError(
                        f"Wrong type of {node.op.name}.",
                        expected=str(expected),
                        found=str(node.type),
                    )

    def __str__(self) -> str:
        names = {node: f"%{number}" for number, node in enumerate(self.nodes)}
        lines = [_line(node, names) for node in self.nodes]
        lines.append("return " + ", ".join(names[node] for node in self.outputs))
        return "\n".join(lines)


def _line(node: Node, names: dict[Node, str]) -> str:
    attributes = [
        f"{key}={{\n{textwrap.indent(str(value), '    ')}\n}}"
        if isinstance(value, Graph)
        else f"{key}={value!r}"
        for key, value in node.attributes.items()
    ]
    if node.op is CONSTANT and node.value is not None and node.value.size == 1:
        attributes.append(f"{node.value.item()!r}")
    arguments = ", ".join([*(names[source] for source in node.inputs), *attributes])
    origin = f"  # {node.origin}" if node.origin and str(node.origin) else ""
    return f"{names[node]}: {node.type} = {node.op.name}({arguments}){origin}"
