"""Loops over time, and graphs within a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..declarations import value_info
from ..emitter import Emitter
from ..symbolic import SymbolicGraph, SymbolicNode
from .elementwise import Lowering


def _call(e: Emitter, node: SymbolicNode, *operands: str) -> tuple[str, ...]:
    """The body in its place."""
    return tuple(e.lower(node.attributes["body"], operands))


def _own_derivative(e: Emitter, node: SymbolicNode, value: str, *arguments: str) -> tuple[str]:
    """The value; how it is differentiated is not written."""
    return (value,)


def _part(e: Emitter, node: SymbolicNode, record: tuple[str, ...]) -> str:
    return record[node.attributes["index"]]


def _scan(e: Emitter, node: SymbolicNode, *operands: str) -> tuple[str, ...]:
    """ONNX's Scan. What is the same in every step is read from outside; sums are carried along."""
    a = node.attributes
    body: SymbolicGraph = a["body"]
    consts, carries, sums = a["consts"], a["carries"], a["sums"]
    first = consts + carries
    totals = body.outputs[carries : carries + sums]
    zeros = [e.op("Expand", e.constant(0, total.dtype), e.extents(total.shape)) for total in totals]
    slices = list(operands[first:])
    if not slices:  # Scan goes over something
        slices = [e.constant(np.zeros(a["length"], np.float32))]
    graph = _body(e, node, operands[:consts])
    direction = int(a["reverse"])
    stacks = len(body.outputs) - carries - sums
    results = carries + sums + stacks
    return tuple(
        e.ops(
            "Scan", results, *operands[consts:first], *zeros, *slices, body=graph,
            num_scan_inputs=len(slices),
            scan_input_directions=[direction] * len(slices),
            scan_output_directions=[direction] * stacks if stacks else None,
        )
    )  # fmt: skip


def _body(e: Emitter, node: SymbolicNode, fixed: tuple[str, ...]) -> Any:
    """The body of a loop as a graph of ONNX."""
    a = node.attributes
    body: SymbolicGraph = a["body"]
    consts, carries, sums = a["consts"], a["carries"], a["sums"]
    outer, e.nodes = e.nodes, []
    changing = body.inputs[consts:]
    names = [e.fresh() for _ in changing]
    totals = [(e.fresh(), out) for out in body.outputs[carries : carries + sums]]
    inputs = [value_info(e, name, n) for name, n in zip(names, changing, strict=True)]
    inputs[carries:carries] = [value_info(e, name, n) for name, n in totals]
    if len(changing) == carries:  # nothing to go over but the steps
        step = e.onnx.helper.make_tensor_value_info(e.fresh(), e.tensor_type(np.float32), [])
        inputs.append(step)
    found = list(e.lower(body, [*fixed, *names]))
    for position, (name, _) in enumerate(totals, carries):
        found[position] = e.op("Add", name, found[position])
    # An output has a name of its own: not that of an input, a constant, or another output.
    found = [e.op("Identity", name) for name in found]
    outputs = [value_info(e, name, n) for name, n in zip(found, body.outputs, strict=True)]
    graph = e.onnx.helper.make_graph(e.nodes, e.fresh("body"), inputs, outputs)
    e.nodes = outer
    return graph


LOOPS: Mapping[str, Lowering] = {
    "call": _call,
    "own_derivative": _own_derivative,
    "part": _part,
    "scan": _scan,
}
