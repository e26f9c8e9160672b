"""One graph for any number of rows.

The types of a graph are static, and the number of rows is a part of them. A network computes the
same for every row, so its graphs for different numbers of rows differ in a few integers only:
extents and bounds, each of the form a·rows + b. Two graphs give a and b, a third one is the proof.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.ir.constants import bits, shrink
from ..engine.ir.graph import Graph
from ..engine.ir.node import CONSTANT, Node
from ..engine.ir.serialize import from_json, to_json
from ..errors import ModelFileError, ShapeError
from ..utils.typing import Array

#: Two numbers of rows to compare, and one to try the result on. Any other numbers would do, but
#: small ones hit shortcuts in the user's code, such as an extent of 1 that is not broadcast.
ROWS = (5, 7, 11)
#: Constants of more elements than this are kept as arrays, not in the text.
_IN_PLACE = 16


@dataclass
class Sample:
    """A graph for one number of rows, the names of nodes that are arrays, and these arrays."""

    graph: Graph
    stored: dict[Node, str] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Template:
    """A graph for any number of rows.

    Attributes:
        graph: JSON data as of `chainrule.ir.to_json`, in which ``{"rows": [a, b]}`` stands for
            a·rows + b.
        arrays: the values of its constants, by name.
    """

    graph: dict[str, Any]
    arrays: Mapping[str, Array]

    def instantiate(self, rows: int, max_elements: int | None = None) -> Graph:
        """The graph for this number of rows, checked like every graph that is read.

        Raises:
            ModelFileError: it is damaged, or a node has more than ``max_elements``.
        """
        try:
            graph = _fill_graph(self.graph, rows)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ModelFileError("The stored graph is damaged.", found=str(error)[:200]) from error
        return from_json(graph, self.arrays, max_elements)

    def largest(self, rows: int) -> int:
        """How many elements the largest node has that depends on the number of rows."""
        types = [entry["type"] for entry in self.graph["nodes"]]
        growing = [_fill(one, rows) for one in types if _fill(one, 0) != _fill(one, 1)]
        return max(map(_size, growing), default=1)


def _size(stored_type: Any) -> int:
    """The number of elements of a type as it is stored: of all parts, if it is a record."""
    kind, shape = stored_type
    if kind == "record":
        return sum(map(_size, shape))
    return int(np.prod(shape, dtype=object))


def generalize(sample_of: Callable[[int], Sample]) -> Template:
    """The graph for any number of rows, from graphs for three numbers of rows.

    Args:
        sample_of: gives the graph for a number of rows.

    Raises:
        ShapeError: what is computed depends on the number of rows; it names the user's line.

    Example:
        >>> import chainrule as cr
        >>> def pairs(rows):
        ...     return Sample(cr.trace(lambda x: x.reshape(-1), np.zeros((rows, 2))).graph)
        >>> template = generalize(pairs)
        >>> template.graph["nodes"][1]["attributes"]
        {'shape': [{'rows': [2, 0]}]}
        >>> print(template.instantiate(100))
        %0: float64[100, 2] = placeholder(name='0')
        %1: float64[200] = reshape(%0, shape=(200,))
        return %1
    """
    samples = {rows: _compact(sample_of(rows)) for rows in ROWS}
    graphs = {rows: to_json(sample.graph, sample.stored) for rows, sample in samples.items()}
    first, second, _ = graphs.values()
    nodes = [_merge_nodes(a, b) for a, b in zip(first["nodes"], second["nodes"], strict=False)]
    template = Template({**first, "nodes": nodes}, samples[ROWS[0]].arrays)
    for rows, sample in samples.items():
        _compare(template, rows, sample, graphs[rows])
    return template


def _merge_nodes(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Only types and attributes may depend on the number of rows; values and edges may not."""
    if first["op"] == CONSTANT.name:
        return first
    merged = {**first, "type": _merge(first["type"], second["type"])}
    if "attributes" in first:
        others = second.get("attributes", {})
        merged["attributes"] = {k: _merge(v, others.get(k)) for k, v in first["attributes"].items()}
    return merged


def _merge(first: Any, second: Any) -> Any:
    """The line through two integers; what differs otherwise is left for `_compare`."""
    if type(first) is int and type(second) is int and first != second:
        a = (second - first) // (ROWS[1] - ROWS[0])
        return {"rows": [a, first - a * ROWS[0]]}
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return [_merge(a, b) for a, b in zip(first, second, strict=True)]
    if _is_graph(first) and _is_graph(second):
        inner = zip(first["graph"]["nodes"], second["graph"]["nodes"], strict=False)
        return {"graph": {**first["graph"], "nodes": [_merge_nodes(a, b) for a, b in inner]}}
    return first


def _is_graph(value: Any) -> bool:
    """Whether an attribute is a graph, such as the body of a loop."""
    return isinstance(value, dict) and value.keys() == {"graph"}


def _fill_graph(template: dict[str, Any], rows: int) -> dict[str, Any]:
    nodes = []
    for entry in template["nodes"]:
        node = {**entry, "type": _fill(entry["type"], rows)}
        if "attributes" in entry:
            node["attributes"] = {k: _fill(v, rows) for k, v in entry["attributes"].items()}
        nodes.append(node)
    return {**template, "nodes": nodes}


def _fill(template: Any, rows: int) -> Any:
    if isinstance(template, list):
        return [_fill(item, rows) for item in template]
    if isinstance(template, dict) and template.keys() == {"rows"}:
        a, b = template["rows"]
        if type(a) is not int or type(b) is not int:
            raise TypeError(f"not a number of rows: {template!r:.80}")
        return a * rows + b
    if _is_graph(template):
        return {"graph": _fill_graph(template["graph"], rows)}
    return template


def _compare(template: Template, rows: int, sample: Sample, graph: dict[str, Any]) -> None:
    """An error unless the template gives exactly this graph."""
    instance = _fill_graph(template.graph, rows)
    pairs = zip(instance["nodes"], graph["nodes"], strict=False)
    for position, (expected, found) in enumerate(pairs):
        name = found.get("array")
        if expected != found or (name and not _same(template.arrays[name], sample.arrays[name])):
            raise _dependence(sample.graph, position)
    if instance != graph:
        raise _dependence(sample.graph, min(len(instance["nodes"]), len(graph["nodes"])) - 1)


def _dependence(graph: Graph, position: int) -> ShapeError:
    """The error, with the line of the node or the first known line that it leads to."""
    reached = {graph.nodes[position]}
    origin = graph.nodes[position].origin
    for node in graph.nodes[position:]:
        if origin is None and reached & set(node.inputs):
            reached.add(node)
            origin = node.origin
    kind = "a number" if graph.nodes[position].op is CONSTANT else graph.nodes[position].op.name
    return ShapeError(
        "The output for one row depends on how many rows come with it.",
        where=str(origin) if origin else None,
        expected="the same computation for every row, for a model that takes any number of them",
        found=f"{kind} that changes with the number of rows",
        hint="Sum or average over other axes than the first, and make no arrays from the number "
        "of rows, except constant ones.",
    )


def _same(a: Array, b: Array) -> bool:
    """Bit by bit, for NaN is equal to itself here and 0 is not -0."""
    same_type = a.dtype == b.dtype and a.shape == b.shape
    return same_type and bool((bits(a) == bits(b)).all())


# ---- constants -----------------------------------------------------------------------------------


def _compact(sample: Sample) -> Sample:
    """The same with each constant as small as it can be, and large ones named.

    A trace computes with constants at once, so that the 2 of ``x * 2`` has the shape of x. Here
    it becomes a single number again, and a broadcast that follows the number of rows.
    """
    new: dict[Node, Node] = {}
    for node in sample.graph.nodes:
        sources = tuple(new[source] for source in node.inputs)
        new[node] = node
        if node.op is CONSTANT:
            new[node] = shrink(node)
        elif sources != node.inputs:
            new[node] = Node(
                node.op, sources, node.attributes, node.type, None, node.watched, node.origin
            )
    graph = Graph(sample.graph.inputs, [new[node] for node in sample.graph.outputs])
    stored, arrays = dict(sample.stored), dict(sample.arrays)
    for node in graph.nodes:
        if node.value is not None and node.type.size > _IN_PLACE:
            stored[node] = f"constant:{len(arrays)}"
            arrays[stored[node]] = node.value
    return Sample(graph, stored, arrays)
