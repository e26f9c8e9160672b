"""A graph: inputs, outputs and the nodes between; ordered, verified, printed, stored as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import ChainruleError, ModelFileError
from .node import CONSTANT, PLACEHOLDER, Node, constant, placeholder
from .operation import OPERATIONS
from .types import DTYPES, Type, as_dtype


def topological_order(outputs: Iterable[Node]) -> list[Node]:
    """Every node that the outputs depend on, inputs before their users.

    Iterative, so that a graph may be deeper than Python's stack.
    """
    order: list[Node] = []
    done: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(node, False) for node in reversed(list(outputs))]
    while stack:
        node, inputs_are_done = stack.pop()
        if node in done:
            continue
        if inputs_are_done or not node.inputs:
            done.add(node)
            order.append(node)
            continue
        stack.append((node, True))
        stack.extend((source, False) for source in reversed(node.inputs) if source not in done)
    return order


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
            if node.inputs:
                types = (source.type for source in node.inputs)
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

    # ---- JSON ------------------------------------------------------------------------------

    def to_json(self, stored: dict[int, str] | None = None) -> dict[str, Any]:
        """The graph as JSON data.

        Args:
            stored: names for constants that are kept elsewhere, by ``id(node)``; the others are
                written in place.
        """
        stored = stored or {}
        number = {node: position for position, node in enumerate(self.nodes)}
        nodes = []
        for node in self.nodes:
            entry: dict[str, Any] = {
                "op": node.op.name,
                "type": [node.type.dtype.name, list(node.type.shape)],
            }
            if node.inputs:
                entry["inputs"] = [number[source] for source in node.inputs]
            if node.attributes:
                entry["attributes"] = {k: _encode(v) for k, v in node.attributes.items()}
            if node.op is CONSTANT:
                assert node.value is not None
                if id(node) in stored:
                    entry["array"] = stored[id(node)]
                else:
                    entry["value"] = [_encode(item) for item in node.value.ravel().tolist()]
            nodes.append(entry)
        return {
            "nodes": nodes,
            "inputs": [number[node] for node in self.inputs],
            "outputs": [number[node] for node in self.outputs],
        }

    @staticmethod
    def from_json(data: Any, arrays: dict[str, np.ndarray[Any, Any]] | None = None) -> Graph:
        """A graph from JSON data; everything is checked, nothing in it is ever executed."""
        try:
            nodes: list[Node] = []
            for entry in data["nodes"]:
                nodes.append(_read_node(entry, nodes, arrays or {}))
            graph = Graph(
                [nodes[_index(i, nodes)] for i in data["inputs"]],
                [nodes[_index(i, nodes)] for i in data["outputs"]],
            )
            graph.verify()
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise ModelFileError(
                "The stored graph is damaged.", found=f"{type(error).__name__}: {error}"
            ) from error
        return graph


def _line(node: Node, names: dict[Node, str]) -> str:
    attributes = [f"{key}={value!r}" for key, value in node.attributes.items()]
    if node.op is CONSTANT and node.value is not None and node.value.size == 1:
        attributes.append(f"{node.value.item()!r}")
    arguments = ", ".join([*(names[source] for source in node.inputs), *attributes])
    origin = f"  # {node.origin}" if node.origin and str(node.origin) else ""
    return f"{names[node]}: {node.type} = {node.op.name}({arguments}){origin}"


def _read_node(
    entry: dict[str, Any], earlier: list[Node], arrays: dict[str, np.ndarray[Any, Any]]
) -> Node:
    name, shape = entry["type"]
    if not all(type(extent) is int and 0 <= extent < 2**40 for extent in shape):
        raise ValueError(f"shape {shape!r}")
    node_type = Type(as_dtype(name), tuple(shape))
    if entry["op"] not in OPERATIONS:
        raise ModelFileError(
            f"Unknown operation {entry['op']!r}.",
            hint="The model may come from a newer version of chainrule, or use an operation "
            "of your own: define it before you load the model.",
        )
    op = OPERATIONS[entry["op"]]
    if op is CONSTANT:
        return constant(_read_array(entry, node_type, arrays))
    attributes = {str(k): _decode(v) for k, v in entry.get("attributes", {}).items()}
    if op is PLACEHOLDER:
        return placeholder(node_type, str(attributes["name"]), 0)
    inputs = tuple(earlier[_index(i, earlier)] for i in entry["inputs"])
    return Node(op, inputs, attributes, node_type)


def _read_array(
    entry: dict[str, Any], node_type: Type, arrays: dict[str, np.ndarray[Any, Any]]
) -> np.ndarray[Any, Any]:
    if "array" in entry:
        array = arrays[entry["array"]]
        if Type(array.dtype, array.shape) != node_type:
            raise ValueError(f"array {entry['array']!r} is not {node_type}")
        return array
    items = [_decode(item) for item in entry["value"]]
    return np.array(items, dtype=node_type.dtype).reshape(node_type.shape)


def _index(position: Any, nodes: list[Node]) -> int:
    if type(position) is not int or not 0 <= position < len(nodes):
        raise ValueError(f"node number {position!r}")
    return position


def _encode(value: Any) -> Any:
    """An attribute as JSON: tuples are lists, numbers that JSON lacks are named."""
    if isinstance(value, (tuple, list)):
        return [_encode(item) for item in value]
    if isinstance(value, np.dtype):
        return {"dtype": value.name}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"attribute {value!r}")


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item) for item in value)
    if isinstance(value, dict):
        if set(value) == {"dtype"} and value["dtype"] in {dtype.name for dtype in DTYPES}:
            return as_dtype(value["dtype"])
        if set(value) == {"float"} and value["float"] in ("inf", "-inf", "nan"):
            return float(value["float"])
        raise ValueError(f"attribute {value!r}")
    return value
