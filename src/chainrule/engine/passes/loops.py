"""Loops and calls with less inside: what nobody reads, what stays the same, what is there twice.

A `Loop` is a scan or a call taken apart: the graph of its body, and what it is given from outside.
(A call is a loop of one step without carry.) The rules change it in place; then it is put together
again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ir.graph import Graph, topological_order
from ..ir.node import CONSTANT, PART, PLACEHOLDER, Node, constant, placeholder
from ..ir.types import Record, Type
from ..ops.declare import BROADCAST
from ..ops.shape import RESHAPE
from .rewrite import make, with_inputs

Optimizer = Callable[[Graph], Graph]


class Loop:
    """A scan or a call taken apart.

    Attributes:
        node: what it was.
        consts, carry, slices: placeholders of the body, each with what it stands for outside.
        new_carry, sums, stacks: what a step computes, by the number of the part of the record.
    """

    def __init__(self, node: Node, inputs: tuple[Node, ...]) -> None:
        body, attributes = node.attributes["body"], node.attributes
        self.node = node
        self.is_scan = node.op.name == "scan"
        consts = attributes["consts"] if self.is_scan else len(inputs)
        carries, sums = (attributes["carries"], attributes["sums"]) if self.is_scan else (0, 0)
        pairs = list(zip(body.inputs, inputs, strict=True))
        self.consts = dict(pairs[:consts])
        self.carry = pairs[consts : consts + carries]
        self.slices = dict(pairs[consts + carries :])
        numbered = dict(enumerate(body.outputs))
        self.new_carry = {n: y for n, y in numbered.items() if n < carries}
        self.sums = {n: y for n, y in numbered.items() if carries <= n < carries + sums}
        self.stacks = {n: y for n, y in numbered.items() if n >= carries + sums}
        #: Parts that are known without the loop.
        self.known: dict[int, Node] = {}
        #: Parts that are another part, or the sum of it over axes.
        self.same: dict[int, tuple[int, tuple[int, ...]]] = {}

    @property
    def outputs(self) -> list[Node]:
        """What a step computes."""
        return [*self.new_carry.values(), *self.sums.values(), *self.stacks.values()]

    def substitute(self, new: dict[Node, Node]) -> None:
        """Put other nodes into the body in the place of some."""
        copies: dict[Node, Node] = {}
        for node in topological_order(self.outputs):
            sources = tuple(copies[source] for source in node.inputs)
            copies[node] = new[node] if node in new else with_inputs(node, sources)
        for group in (self.new_carry, self.sums, self.stacks):
            for number, node in group.items():
                group[number] = copies[node]

    def optimize(self, optimizer: Optimizer) -> None:
        """Let the body be optimized."""
        inputs = [*self.consts, *(p for p, _ in self.carry), *self.slices]
        results = iter(optimizer(Graph(inputs, self.outputs)).outputs)
        for group in (self.new_carry, self.sums, self.stacks):
            for number in group:
                group[number] = next(results)

    def rebuilt(self) -> tuple[Node | None, dict[int, Node]]:
        """The node for what is left, None if that is nothing; and its parts by their old number."""
        if not self.outputs:
            return None, self.known
        inputs = [*self.consts.values(), *(x for _, x in self.carry), *self.slices.values()]
        body = Graph([*self.consts, *(p for p, _ in self.carry), *self.slices], self.outputs)
        attributes: dict[str, Any] = {"body": body}
        if self.is_scan:
            attributes |= {
                "consts": len(self.consts), "carries": len(self.carry), "sums": len(self.sums),
                "length": self.node.attributes["length"],
                "reverse": self.node.attributes["reverse"],
            }  # fmt: skip
        node = make(self.node, self.node.op.name, *inputs, **attributes)
        numbers = [*self.new_carry, *self.sums, *self.stacks]
        parts = {
            number: make(node, "part", node, index=index) for index, number in enumerate(numbers)
        }
        for number, (other, axes) in reversed(self.same.items()):
            whole = parts[other]
            parts[number] = make(node, "sum", whole, axes=axes) if axes else whole
        return node, self.known | parts


def optimize_scans(graph: Graph, optimizer: Optimizer) -> Graph:
    """Every scan and call with an optimized body, and without what nobody needs."""
    return rebuild_loops(graph, lambda loop, read: _tidy(loop, read, optimizer))


def rebuild_loops(
    graph: Graph,
    change: Callable[[Loop, set[int]], None],
    parts: dict[Node, dict[int, Node]] | None = None,
) -> Graph:
    """The graph with every loop changed.

    Args:
        graph: with loops or without.
        change: changes a loop in place; it is given the parts that are read.
        parts: filled with the new parts of every old loop, by their old number.
    """
    parts = {} if parts is None else parts
    read: dict[Node, set[int]] = {}
    for node in graph.nodes:
        if node.op is PART and "body" in node.inputs[0].attributes:
            read.setdefault(node.inputs[0], set()).add(node.attributes["index"])
    if not read:
        return graph
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        if node.op is PART and node.inputs[0] in read:
            new[node] = parts[node.inputs[0]][node.attributes["index"]]
        elif node in read:
            loop = Loop(node, tuple(new[source] for source in node.inputs))
            change(loop, read[node])
            _, parts[node] = loop.rebuilt()
            new[node] = node  # nobody but its parts reads it
        else:
            new[node] = with_inputs(node, tuple(new[source] for source in node.inputs))
    return Graph(graph.inputs, [new[node] for node in graph.outputs])


def _tidy(loop: Loop, read: set[int], optimizer: Optimizer) -> None:
    _drop_unread(loop, read)
    loop.optimize(optimizer)
    _take_out_unchanged(loop)
    if loop.is_scan:
        _hoist(loop)
        _add_up_outside(loop)
    _merge_equal_stacks(loop)
    _sink_constants(loop)
    _merge_equal_inputs(loop)
    loop.optimize(optimizer)
    _drop_unread(loop, read)


def _drop_unread(loop: Loop, read: set[int]) -> None:
    """Results that nobody reads, carries that only they need, and inputs without readers."""
    read = read | {other for other, _ in loop.same.values()}
    for group in (loop.sums, loop.stacks):
        for number in set(group) - read:
            del group[number]
    kept = {number for number in loop.new_carry if number in read}
    carried = dict(zip((p for p, _ in loop.carry), loop.new_carry, strict=True))
    while True:
        roots = [*(loop.new_carry[n] for n in kept), *loop.sums.values(), *loop.stacks.values()]
        needed = set(topological_order(roots))
        more = {number for p, number in carried.items() if p in needed} - kept
        if not more:
            break
        kept |= more
    loop.carry = [pair for pair in loop.carry if carried[pair[0]] in kept]
    loop.new_carry = {number: y for number, y in loop.new_carry.items() if number in kept}
    loop.consts = {p: x for p, x in loop.consts.items() if p in needed}
    loop.slices = {p: x for p, x in loop.slices.items() if p in needed}


def _take_out_unchanged(loop: Loop) -> None:
    """A carry that every step passes on as it is is no carry."""
    for (p, x), number in list(zip(loop.carry, loop.new_carry, strict=True)):
        if loop.new_carry[number] is p:
            loop.carry.remove((p, x))
            del loop.new_carry[number]
            loop.consts[p] = loop.known[number] = x


def _hoist(loop: Loop) -> None:
    """What is the same in every step is computed once, before the loop."""
    outside: dict[Node, Node] = dict(loop.consts)
    order = topological_order(loop.outputs)
    for node in order:
        if node.inputs and all(source in outside for source in node.inputs):
            if any(isinstance(value, Graph) for value in node.attributes.values()):
                continue
            if node.op is PART or isinstance(node.type, Record):
                continue
            outside[node] = with_inputs(node, tuple(outside[source] for source in node.inputs))
        elif node.op is CONSTANT:
            outside[node] = node
    new: dict[Node, Node] = {}
    for node in order:
        if node in outside and node.inputs and not node.op.view:
            new[node] = placeholder(node.type, f"invariant {len(loop.consts)}", node.watched)
            loop.consts[new[node]] = outside[node]
    loop.substitute(new)


def _add_up_outside(loop: Loop) -> None:
    """Σₜ of a sum over axes of what is stacked anyway is one sum, over time and these axes."""
    stacked = {y: number for number, y in loop.stacks.items()}
    for number, total in list(loop.sums.items()):
        if total.op.name == "sum" and total.inputs[0] in stacked:
            axes = (0, *(axis + 1 for axis in total.attributes["axes"]))
            loop.same[number] = stacked[total.inputs[0]], axes
            del loop.sums[number]


def _merge_equal_stacks(loop: Loop) -> None:
    """What is stacked twice is stacked once."""
    known: dict[Node, int] = {}
    for number, y in list(loop.stacks.items()):
        if y in known:
            loop.same[number] = known[y], ()
            del loop.stacks[number]
        else:
            known[y] = number


def _sink_constants(loop: Loop) -> None:
    """A single number that fills an input is written into the body."""
    new: dict[Node, Node] = {}
    for group in (loop.consts, loop.slices):
        for p, x in list(group.items()):
            core = _single(x)
            if core is not None:
                new[p] = core if not p.type.shape else _broadcast(p, core)
                del group[p]
    loop.substitute(new)
    loop.slices, same = _without_time(loop)
    loop.consts |= same


def _single(node: Node) -> Node | None:
    """The number that a constant is everywhere, as a node without axes."""
    while node.op is BROADCAST or node.op is RESHAPE:
        node = node.inputs[0]
    if node.op is not CONSTANT or node.value is None or node.value.size != 1:
        return None
    return constant(node.value.reshape(()))


def _broadcast(like: Node, core: Node) -> Node:
    return Node(BROADCAST, (core,), {"shape": like.type.shape}, like.type)


def _without_time(loop: Loop) -> tuple[dict[Node, Node], dict[Node, Node]]:
    """Slices that differ from step to step, and those that are broadcast along time."""
    slices, same = {}, {}
    for p, x in loop.slices.items():
        lead = len(x.type.shape) - len(x.inputs[0].type.shape) if x.inputs else 0
        if x.op.name == "broadcast_to" and (lead or x.inputs[0].type.shape[0] == 1 < _steps(x)):
            source = x.inputs[0]
            if not lead:
                source = make(x, "reshape", source, shape=source.type.shape[1:])
            same[p] = make(x, "broadcast_to", source, shape=p.type.shape)
        else:
            slices[p] = x
    return slices, same


def _steps(x: Node) -> int:
    return x.type.shape[0]


def _merge_equal_inputs(loop: Loop) -> None:
    """What comes in twice comes in once."""
    new: dict[Node, Node] = {}
    for group in (loop.consts, loop.slices):
        known: dict[Node, Node] = {}
        for p, x in list(group.items()):
            if x in known:
                new[p] = known[x]
                del group[p]
            else:
                known[x] = p
    loop.substitute(new)


def free_placeholder(type: Type) -> Node:
    """An input for a body."""
    return placeholder(type, "kept", 0)


def is_leaf(node: Node) -> bool:
    """Whether it is given rather than computed."""
    return node.op is PLACEHOLDER or node.op is CONSTANT
