"""What a loop computes again can be kept by the loop that computed it first.

The derivative of a scan is a scan that computes every step again (see `ops.scan`). Where memory
allows it, what is expensive in a step, products and transcendental functions, is stacked by the
forward loop, and the backward loop reads it. Nodes of the two bodies are the same when they are
the same operation of the same sources; slices and constants are, when they are the same outside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..ir.graph import Graph
from ..ir.node import PART, Node
from ..ir.operation import Cost
from ..ir.types import Record
from .cse import key
from .loops import Loop, free_placeholder, is_leaf, rebuild_loops

#: Nothing is kept if a step would leave more than so many times the elements of its carry.
_MOST_KEPT = 8


@dataclass
class _Residuals:
    """What the loops of a graph keep and read.

    Attributes:
        stacks: by loop, the nodes of its body that it has to stack, each with its new number.
        reads: by loop, the nodes of its body that it reads instead: whose stack, what number.
    """

    stacks: dict[Node, dict[Node, int]] = field(default_factory=dict)
    reads: dict[Node, dict[Node, tuple[Node, int]]] = field(default_factory=dict)


def save_residuals(graph: Graph) -> Graph:
    """The graph whose backward loops read what the forward loops computed."""
    plan = _Residuals()
    loops = [node for node in graph.nodes if node.op.name == "scan"]
    for number, later in enumerate(loops):
        for earlier in loops[:number]:
            if earlier.attributes["length"] == later.attributes["length"]:
                _match(earlier, later, plan)
    if not plan.reads:
        return graph
    new_parts: dict[Node, dict[int, Node]] = {}

    def change(loop: Loop, read: set[int]) -> None:
        old = loop.node
        for node, number in plan.stacks.get(old, {}).items():
            loop.stacks[number] = node
        substituted = {}
        for node, (source, number) in plan.reads.get(old, {}).items():
            substituted[node] = free_placeholder(node.type)
            loop.slices[substituted[node]] = new_parts[source][number]
        loop.substitute(substituted)

    return rebuild_loops(graph, change, new_parts)


def _match(earlier: Node, later: Node, plan: _Residuals) -> None:
    """Find what the later loop computes that the earlier one has computed, and plan for it."""
    first, second = earlier.attributes["body"], later.attributes["body"]
    same = _same_inputs(earlier, later)
    if not same:
        return
    known = {key(node): node for node in first.nodes if not is_leaf(node)}
    for node in second.nodes:
        if node in same or is_leaf(node):
            continue
        sources = [same.get(source) for source in node.inputs]
        found = known.get(key(node, [s if s is not None else node for s in sources]))
        if found is not None:
            same[node] = found
    wanted = _wanted(second, same, plan.reads.get(later, {}))
    size = sum(node.type.size for node in wanted)
    a = earlier.attributes
    carry = sum(x.type.size for x in first.inputs[a["consts"] : a["consts"] + a["carries"]])
    if not wanted or size > _MOST_KEPT * carry:
        return
    stacks = plan.stacks.setdefault(earlier, {})
    for node in wanted:
        number = stacks.setdefault(same[node], len(first.outputs) + len(stacks))
        plan.reads.setdefault(later, {})[node] = earlier, number


def _same_inputs(earlier: Node, later: Node) -> dict[Node, Node]:
    """Inputs of the later body, each with the node of the earlier one that has its value."""
    a, b = earlier.attributes, later.attributes
    consts: dict[Any, Node] = {}
    slices: dict[Any, Node] = {}
    for number, (p, x) in enumerate(zip(a["body"].inputs, earlier.inputs, strict=True)):
        if number < a["consts"]:
            consts[x] = p
        elif number >= a["consts"] + a["carries"]:
            slices[x] = p
    same: dict[Node, Node] = {}
    reads_earlier = False
    for number, (p, x) in enumerate(zip(b["body"].inputs, later.inputs, strict=True)):
        if number < b["consts"]:
            if x in consts:
                same[p] = consts[x]
        elif number >= b["consts"] + b["carries"]:
            if x.op is PART and x.inputs[0] is earlier:
                same[p] = a["body"].outputs[x.attributes["index"]]
                reads_earlier = True
            elif x in slices:
                same[p] = slices[x]
    if not reads_earlier:
        return {}
    constants = {key(node): node for node in a["body"].nodes if is_leaf(node) and _known(node)}
    for node in b["body"].nodes:
        if is_leaf(node) and _known(node) and key(node) in constants:
            same[node] = constants[key(node)]
    return same


def _known(node: Node) -> bool:
    return node.value is not None


def _wanted(body: Graph, same: dict[Node, Node], taken: dict[Node, Any]) -> list[Node]:
    """The expensive nodes that are in both bodies and that the others need."""
    found: dict[Node, None] = {}
    stack = [source for node in body.nodes if node not in same for source in node.inputs]
    stack += body.outputs
    seen: set[Node] = set()
    while stack:
        node = stack.pop()
        if node in seen or node not in same or is_leaf(node) or node in taken:
            continue
        seen.add(node)
        if node.op.cost <= Cost.SELECTION or isinstance(node.type, Record):
            stack += node.inputs
        else:
            found[node] = None
    return [node for node in body.nodes if node in found]
