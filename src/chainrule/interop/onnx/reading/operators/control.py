"""Branches and loops, whose conditions and lengths are known before anything is computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .....engine import ops
from .....engine.tensor import as_tensor
from ..values import Value, value_of
from .calls import Call, operator

#: Steps of a loop, each of which is written out.
_MAX_STEPS = 4096


@operator("If", static=(0,))
def _if(c: Call) -> Any:
    branch = "then_branch" if bool(c.static(0).ravel()[0]) else "else_branch"
    found = c.attributes[branch]([])
    return list(found)


@operator("Loop", static=(0, 1))
def _loop(c: Call) -> Any:
    """Written out, step by step."""
    trips = int(c.static(0).ravel()[0]) if c.has(0) else None
    going = bool(c.static(1).ravel()[0]) if c.has(1) else True
    carried: list[Any] = [c.value(i) for i in range(2, len(c))]
    body = c.attributes["body"]
    stacks: list[list[Any]] = [[] for _ in range(c.outputs - len(carried))]
    step = 0
    while going and (trips is None or step < trips):
        if step >= _MAX_STEPS:
            raise c.error("The loop is too long.", f"more than {_MAX_STEPS:,} steps")
        condition, *new = body(
            [value_of(np.array(step, np.int64)), value_of(np.array(True)), *carried]
        )
        carried, rest = new[: len(carried)], new[len(carried) :]
        for stack, value in zip(stacks, rest, strict=False):
            stack.append(value)
        state = condition.tensor.node.value
        if state is None:
            raise c.error("A loop that ends by a computed value is not read.",
                          "a condition that depends on the inputs")  # fmt: skip
        going = bool(state)
        step += 1
    if any(not stack for stack in stacks):
        raise c.error("A loop without a step has no results to stack.", "0 steps")
    return [*carried, *(_stacked(stack, 0) for stack in stacks)]


def _stacked(values: list[Any], axis: int) -> Value:
    return Value(ops.stack([value.tensor for value in values], axis), values[0].dtype)


@operator("Scan")
def _scan(c: Call) -> Any:
    """Of version 9 and later, as a loop over time of chainrule."""
    count = int(c.attributes["num_scan_inputs"])
    if c.opset < 9:
        raise c.error("Scan of version 8 is not read.", f"opset {c.opset}", "opset 9 or later")
    body = c.attributes["body"]
    states = [c.value(i) for i in range(len(c) - count)]
    scanned = [c.value(i) for i in range(len(c) - count, len(c))]
    back = list(c.attribute("scan_input_directions", [0] * count))
    axes = list(c.attribute("scan_input_axes", [0] * count))
    outputs = c.outputs - len(states)
    turned = list(c.attribute("scan_output_directions", [0] * outputs))
    places = list(c.attribute("scan_output_axes", [0] * outputs))
    xs = []
    for value, axis, reverse in zip(scanned, axes, back, strict=True):
        x = ops.moveaxis(value.tensor, int(axis), 0)
        xs.append(ops.flip(x, 0) if reverse else x)
    kinds: list[Any] = []

    def step(carry: Any, slices: Any) -> Any:
        given = [Value(x, s.dtype) for x, s in zip(carry, states, strict=True)]
        given += [Value(x, s.dtype) for x, s in zip(slices, scanned, strict=True)]
        found = body(given)
        kinds[:] = [value.dtype for value in found]
        new = tuple(as_tensor(v.tensor, s.tensor.dtype)
                    for v, s in zip(found, states, strict=False))  # fmt: skip
        return new, tuple(v.tensor for v in found[len(states) :])

    last, stacks = ops.scan(step, tuple(s.tensor for s in states), tuple(xs))
    results = [Value(x, s.dtype) for x, s in zip(last, states, strict=True)]
    for number, y in enumerate(stacks):
        y = ops.flip(y, 0) if turned[number] else y
        results.append(Value(ops.moveaxis(y, 0, int(places[number])), kinds[len(states) + number]))
    return results
