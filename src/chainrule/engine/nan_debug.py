"""Where a number that is not finite comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..utils.typing import Array
from .ir.graph import Graph, topological_order
from .ir.node import CONSTANT, PLACEHOLDER, Node
from .ir.program import Program
from .ir.types import as_value


class BadNumber(NamedTuple):
    """The first operation whose result is not finite although its operands are.

    Inside of loops over time ``steps`` are the steps in which it happened, outermost first; they
    count from 0, as slices do.
    """

    node: Node
    kind: str  # "NaN" or "infinity"
    operands: str
    steps: tuple[int, ...] = ()

    def __str__(self) -> str:
        place = "".join(f" in step {step} of a loop" for step in reversed(self.steps))
        place += f" in {self.node.origin}" if self.node.origin and str(self.node.origin) else ""
        if self.node.op in (PLACEHOLDER, CONSTANT):
            name = self.node.attributes.get("name", "a constant")
            return f"the input {name!r} already holds {self.kind}"
        return f"{self.node.op.name}({self.operands}) made the first {self.kind}{place}"


def first_bad_number(graph: Graph, inputs: Sequence[Array], output: int = 0) -> BadNumber | None:
    """Run a graph node by node and find where the first bad number of an output came from.

    Only what the output depends on is looked at. If the output is NaN an infinity on the way is
    blamed only when the first NaN comes from it.

    Args:
        graph: the graph.
        inputs: its inputs.
        output: the position of the output to explain.
    """
    values: dict[Node, Array] = dict(zip(graph.inputs, inputs, strict=True))
    bad: list[Node] = []
    with np.errstate(all="ignore"):
        for node in topological_order([graph.outputs[output]]):
            if node.op is CONSTANT:
                assert node.value is not None
                values[node] = node.value
            elif node.op is not PLACEHOLDER:
                assert node.op.compute is not None
                operands = [values[source] for source in node.inputs]
                values[node] = as_value(node.op.compute(np, *operands, **node.attributes))
            if _is_bad(values[node]):
                bad.append(node)
    result = graph.outputs[output]
    if result not in values or not _is_bad(values[result]):
        return None
    chain = _ancestors_of(result, set(bad))
    first = next(node for node in bad if node in chain)
    if "body" in first.attributes:
        read = {node.attributes["index"] for node in chain if first in node.inputs}
        inside = _inside(first, [values[source] for source in first.inputs], read)
        if inside is not None:
            return inside
    kind = "NaN" if _has_nan(values[first]) else "infinity"
    described = ", ".join(_describe(values[source]) for source in first.inputs)
    return BadNumber(first, kind, described)


def _inside(node: Node, operands: list[Array], read: set[int]) -> BadNumber | None:
    """Where a loop over time, or a call, made the first bad number of the results that are read."""
    body: Graph = node.attributes["body"]
    if node.op.name != "scan":
        return _first_of(body, operands, read)
    consts, carries = node.attributes["consts"], node.attributes["carries"]
    fixed, carry = operands[:consts], operands[consts : consts + carries]
    slices = operands[consts + carries :]
    run, steps = Program(body), range(node.attributes["length"])
    for step in reversed(steps) if node.attributes["reverse"] else steps:
        inputs = [*fixed, *carry, *(np.asarray(x[step, ...]) for x in slices)]
        results = run(inputs)
        if any(_is_bad(results[number]) for number in {*read, *range(carries)}):
            found = _first_of(body, inputs, {*read, *range(carries)})
            return None if found is None else found._replace(steps=(step, *found.steps))
        carry = results[:carries]
    return None


def _first_of(graph: Graph, inputs: list[Array], outputs: set[int]) -> BadNumber | None:
    found = (first_bad_number(graph, inputs, number) for number in sorted(outputs))
    return next((bad for bad in found if bad is not None), None)


def _is_bad(value: Array | tuple[Array, ...]) -> bool:
    if isinstance(value, tuple):
        return any(map(_is_bad, value))
    return value.dtype.kind == "f" and not np.isfinite(value).all()


def _has_nan(value: Array | tuple[Array, ...]) -> bool:
    if isinstance(value, tuple):
        return any(map(_has_nan, value))
    return value.dtype.kind == "f" and bool(np.isnan(value).any())


def _ancestors_of(result: Node, bad: set[Node]) -> set[Node]:
    """The bad nodes that reach the result through bad nodes only."""
    chain = {result}
    stack = [result]
    while stack:
        for source in stack.pop().inputs:
            if source in bad and source not in chain:
                chain.add(source)
                stack.append(source)
    return chain


def _describe(value: Array) -> str:
    if value.size == 0:
        return "empty"
    if value.size == 1:
        return f"{value.item():.6g}"
    if value.dtype.kind != "f":
        return f"{value.min()}…{value.max()}"
    return f"{np.nanmin(value):.6g}…{np.nanmax(value):.6g}"
