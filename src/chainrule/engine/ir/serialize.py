"""Graphs as JSON data, and back with every part checked.

A stored graph may come from anywhere. Reading one runs nothing that is in it: operations are looked
up by name in the registry, and what they would make is compared with what the file says it is.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import ModelFileError
from ...utils.typing import Array
from .graph import Graph
from .node import CONSTANT, PLACEHOLDER, Node, constant, placeholder
from .operation import ANY_TEXT, OPERATIONS, Operation
from .types import DTYPES, Record, Type, as_dtype, type_of

Arrays = Mapping[str, Array]

_MAX_RANK = 32  # of arrays in every NumPy
_MAX_EXTENT = 2**40
#: A loop needs no data to be endless: so many steps of all loops together, and no more.
_MAX_STEPS = 2**22
#: Of a graph and those inside of it; reading one takes about a quarter of a millisecond.
_MAX_NODES = 2**15


# ---- writing -------------------------------------------------------------------------------------


def to_json(graph: Graph, stored: Mapping[Node, str] | None = None) -> dict[str, Any]:
    """The graph as JSON data.

    Args:
        graph: any graph.
        stored: names of constants whose values are kept elsewhere; the others are written in
            place. A placeholder named here becomes such a constant, and is no longer an input.

    Example:
        >>> import chainrule as cr
        >>> graph = cr.trace(lambda x: x.sum(0), cr.tensor([1.0, 2.0])).graph
        >>> to_json(graph)["nodes"][1]
        {'op': 'sum', 'type': ['float32', []], 'inputs': [0], 'attributes': {'axes': [0]}}
    """
    stored = stored or {}
    number = {node: position for position, node in enumerate(graph.nodes)}
    return {
        "nodes": [_write_node(node, number, stored) for node in graph.nodes],
        "inputs": [number[node] for node in graph.inputs if node not in stored],
        "outputs": [number[node] for node in graph.outputs],
    }


def _write_node(node: Node, number: dict[Node, int], stored: Mapping[Node, str]) -> dict[str, Any]:
    node_type = _write_type(node.type)
    if node in stored:
        return {"op": CONSTANT.name, "type": node_type, "array": stored[node]}
    entry: dict[str, Any] = {"op": node.op.name, "type": node_type}
    if node.op is CONSTANT:
        assert node.value is not None
        entry["value"] = [encode(item) for item in node.value.ravel().tolist()]
        return entry
    if node.inputs:
        entry["inputs"] = [number[source] for source in node.inputs]
    if node.attributes:
        entry["attributes"] = {key: encode(value) for key, value in node.attributes.items()}
    return entry


def _write_type(node_type: Type) -> list[Any]:
    if isinstance(node_type, Record):
        return ["record", [_write_type(part) for part in node_type.parts]]
    return [node_type.dtype.name, list(node_type.shape)]


def encode(value: Any) -> Any:
    """An attribute as JSON: tuples are lists; graphs, types and numbers that JSON lacks are named.

    Raises:
        TypeError: there is no JSON for it.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if isinstance(value, Graph):
        return {"graph": to_json(value)}
    if isinstance(value, np.dtype):
        return {"dtype": value.name}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be stored")


# ---- reading -------------------------------------------------------------------------------------


def from_json(data: Any, arrays: Arrays | None = None, max_elements: int | None = None) -> Graph:
    """A graph from what `to_json` wrote.

    Args:
        data: JSON data from anywhere.
        arrays: the values of the constants that are kept elsewhere, by name.
        max_elements: no node may have more elements than this; arrays are not counted.

    Raises:
        ModelFileError: whatever is wrong with it.
    """
    nodes: list[Node] = []
    try:
        _need_keys(data, {"nodes", "inputs", "outputs"})
        if len(data["nodes"]) > _MAX_NODES:
            raise ModelFileError(
                "The graph is too large.",
                expected=f"at most {_MAX_NODES:,} nodes",
                found=f"{len(data['nodes']):,}",
                hint="Loops of many steps belong into cr.scan.",
            )
        for entry in data["nodes"]:
            nodes.append(_read_node(entry, nodes, arrays or {}, max_elements))
            if max_elements is not None and "array" not in entry:
                _need_size(nodes[-1].type, max_elements)
        graph = Graph(
            [nodes[_index(i, nodes)] for i in data["inputs"]],
            [nodes[_index(i, nodes)] for i in data["outputs"]],
        )
        if len(set(graph.inputs)) < len(graph.inputs):
            raise ValueError("an input is listed twice")
        _need_steps(graph)
        leaves = {node for node in graph.nodes if node.op is PLACEHOLDER}
        if leaves != set(graph.inputs):
            raise ValueError("the inputs are not the placeholders")
    except ModelFileError as error:
        error.where = error.where or f"node {len(nodes)} of the graph"
        raise
    except Exception as error:  # type rules meet data that no program of ours would give them
        raise ModelFileError(
            "The stored graph is damaged.",
            where=f"node {len(nodes)} of the graph",
            found=f"{type(error).__name__}: {error}"[:500],
        ) from error
    return graph


def _read_type(data: Any) -> Type:
    name, shape = data
    if name == "record" and isinstance(shape, list):
        return Record([_read_type(part) for part in shape])
    if not isinstance(shape, list) or len(shape) > _MAX_RANK:
        raise ValueError(f"shape {shape!r:.80}")
    if not all(type(extent) is int and 0 <= extent < _MAX_EXTENT for extent in shape):
        raise ValueError(f"shape {shape!r:.80}")
    return Type(as_dtype(_text(name)), tuple(shape))


def _read_node(entry: Any, earlier: list[Node], arrays: Arrays, max_elements: int | None) -> Node:
    node_type = _read_type(entry["type"])
    if _text(entry["op"]) not in OPERATIONS:
        raise ModelFileError(
            f"Unknown operation {entry['op']!r:.80}.",
            hint="The model may come from a newer version of chainrule, or use an operation "
            "of your own: define it before you load the model.",
        )
    op = OPERATIONS[entry["op"]]
    if op is CONSTANT:
        return constant(_read_value(entry, node_type, arrays))
    attributes = {
        key: decode(value, max_elements) for key, value in entry.get("attributes", {}).items()
    }
    if op is PLACEHOLDER:
        _need_keys(entry, {"op", "type", "attributes"})
        _need_keys(attributes, {"name"})
        return placeholder(node_type, _text(attributes["name"]), 0)
    _need_keys(entry, {"op", "type", "inputs"} | entry.keys() & {"attributes"})
    inputs = tuple(earlier[_index(i, earlier)] for i in entry["inputs"])
    _check_call(op, inputs, attributes)
    expected = op.type_rule(*[source.type for source in inputs], **attributes)
    if expected != node_type:
        raise ValueError(f"{op.name} of these inputs is {expected}, not {node_type}")
    return Node(op, inputs, attributes, node_type)


def _read_value(entry: dict[str, Any], node_type: Type, arrays: Arrays) -> Array:
    if "array" in entry:
        _need_keys(entry, {"op", "type", "array"})
        if entry["array"] not in arrays:
            raise ModelFileError("An array is missing.", expected=f"{entry['array']!r:.200}")
        array = arrays[entry["array"]]
        if type_of(array) != node_type:
            raise ModelFileError(
                f"The array {entry['array']!r} is of another type than the graph says.",
                expected=str(node_type),
                found=str(type_of(array)),
            )
        return array
    _need_keys(entry, {"op", "type", "value"})
    items = [decode(item) for item in entry["value"]]
    expected = {"b": bool, "f": float}.get(node_type.dtype.kind, int)
    if len(items) != node_type.size or any(type(item) is not expected for item in items):
        raise ValueError(f"these are not the values of {node_type}")
    return np.array(items, dtype=node_type.dtype).reshape(node_type.shape)


def decode(value: Any, max_elements: int | None = None) -> Any:
    """What `encode` wrote; a graph is checked like the one that it belongs to."""
    if isinstance(value, list):
        return tuple(decode(item) for item in value)
    if isinstance(value, dict):
        ((kind, name),) = value.items()
        if kind == "dtype" and name in {dtype.name for dtype in DTYPES}:
            return as_dtype(name)
        if kind == "float" and name in ("inf", "-inf", "nan"):
            return float(name)
        if kind == "graph":
            return from_json(name, max_elements=max_elements)
        raise ValueError(f"attribute {value!r:.80}")
    return value


# ---- checks --------------------------------------------------------------------------------------


def _need_keys(entry: Any, keys: set[str]) -> None:
    if not isinstance(entry, dict) or entry.keys() != keys:
        raise ValueError(f"expected the keys {', '.join(sorted(keys))}: {entry!r:.80}")


def _need_size(node_type: Type, max_elements: int) -> None:
    if node_type.size > max_elements:
        raise ModelFileError(
            "A node of the graph is too large.",
            expected=f"at most {max_elements:,} elements",
            found=f"{node_type.size:,} in {node_type}",
        )


def _need_steps(graph: Graph) -> None:
    steps = _steps(graph)
    if steps > _MAX_STEPS:
        raise ModelFileError(
            "The loops of the graph are too long.",
            expected=f"at most {_MAX_STEPS:,} steps in all",
            found=f"{steps:,}",
        )


def _steps(graph: Graph) -> int:
    """How many steps the loops of a graph make, those inside of loops included."""
    total = 0
    for node in graph.nodes:
        bodies = [value for value in node.attributes.values() if isinstance(value, Graph)]
        inside = sum(map(_steps, bodies))
        total += node.attributes["length"] * (1 + inside) if node.op.name == "scan" else inside
    return total


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a name: {value!r:.80}")
    return value


def _index(position: Any, nodes: list[Node]) -> int:
    """The number of a node that is there already, so that there can be no cycle."""
    if type(position) is not int or not 0 <= position < len(nodes):
        raise ValueError(f"node number {position!r:.80}, expected 0 to {len(nodes) - 1}")
    return position


def _check_call(op: Operation, inputs: tuple[Node, ...], attributes: dict[str, Any]) -> None:
    """Number of inputs, names and kinds of attributes; what they are worth, the type rule says.

    Backends write attributes into programs, so that none may be of an unexpected kind.
    """
    assert op.compute is not None
    if not inputs:
        raise ValueError(f"{op.name} without inputs")
    _signature(op).bind(np, *inputs, **attributes)
    examples = _examples(op)
    for key, value in attributes.items():
        if examples is not None and not _is_like(value, examples.get(key, [])):
            raise TypeError(f"{op.name} with {key} = {value!r:.80}")
    # By convention these count the axes of the first input, from 0.
    axes = (*attributes.get("axes", ()), *[v for k, v in attributes.items() if k == "axis"])
    if not all(0 <= axis < len(inputs[0].type.shape) for axis in axes):
        raise ValueError(f"{op.name} of {inputs[0].type} along axis {axes}")


@functools.cache
def _signature(op: Operation) -> inspect.Signature:
    return inspect.signature(op.compute)  # type: ignore[arg-type]


@functools.cache
def _examples(op: Operation) -> dict[str, list[Any]] | None:
    """The attributes in the samples of an operation; None if it has no samples."""
    found: dict[str, list[Any]] = {}
    samples = list(op.samples())
    for sample in samples:
        for key, value in sample.attributes.items():
            found.setdefault(key, []).append(value)
    return found if samples else None


def _is_like(value: Any, examples: list[Any]) -> bool:
    """Whether an attribute is of a kind that the samples have: the same type, or a known word."""
    if isinstance(value, str):
        known = [example for example in examples if isinstance(example, str)]
        return value in known or ANY_TEXT in known
    if isinstance(value, tuple):
        tuples = [example for example in examples if isinstance(example, tuple)]
        return bool(tuples) and all(
            _is_like(item, list(itertools.chain(*tuples))) for item in value
        )
    if isinstance(value, np.dtype):
        return any(isinstance(example, np.dtype) for example in examples)
    number = type(value) in (bool, int) and any(type(example) is float for example in examples)
    return number or any(type(example) is type(value) for example in examples)
