"""Keys and values that loops keep as bfloat16 numbers, two in a word, where they are rounded.

Attention of one query takes as long as its keys and values take to be read. ``halves`` packs them
before the loop, and in it what is added; ``attention_of_halves`` reads them so, with the same sums
in the same order; ``widened`` are those that a loop returns. No graph of a user has these.
"""

from __future__ import annotations

from typing import Any

from ...ir.graph import Graph
from ...ir.node import PART, Node, placeholder
from ...ir.operation import Operation
from ...ir.types import Record, Type, float32, uint32
from ...passes.kept_keys import Kept, kept_keys
from ...passes.rewrite import rewrite, with_inputs
from .in_tiles import unrounded
from .kernels.attention_scores import STEP
from .kernels.cpu import target_in_use


def _halves_type(x: Type) -> Type:
    return Type(uint32, (*x.shape[:-1], x.shape[-1] // 2))


def _widened_type(x: Type) -> Type:
    return Type(float32, (*x.shape[:-1], x.shape[-1] * 2))


def _attention_type(*operands: Type, **how: Any) -> Type:
    raise AssertionError("its type is that of the attention that it was")


HALVES = Operation("halves", _halves_type, None, formula="bf16({0})")
WIDENED = Operation("widened", _widened_type, None, formula="{0}")
#: Of one query, with keys and values in halves.
ATTENTION_OF_HALVES = Operation(
    "attention_of_halves", _attention_type, None, formula="softmax({0} · {1}ᵀ) · {2}"
)


def keep_halves(graph: Graph) -> Graph:
    """The graph with keys and values of its loops in half of the memory."""
    if not target_in_use().tile_registers:
        return graph
    changed: dict[Node, set[int]] = {}

    def rule(node: Node, before: Node) -> Node:
        if node.op.name == "scan":
            new, carries = _with_halves(node)
            changed[new] = carries
            return new
        if node.op is PART and node.attributes["index"] in changed.get(node.inputs[0], ()):
            kind = _halves_type(node.type)
            part = Node(PART, node.inputs, node.attributes, kind, None, 0, node.origin)
            return Node(WIDENED, (part,), {}, node.type, None, 0, node.origin)
        return node

    return rewrite(graph, rule)


def _packed(x: Node) -> Node:
    source = unrounded(x) or x
    return Node(HALVES, (source,), {}, _halves_type(x.type), None, 0, x.origin)


def _with_halves(scan: Node) -> tuple[Node, set[int]]:
    """The loop, and the numbers of the carries that it has in halves."""
    body, first = scan.attributes["body"], scan.attributes["consts"]
    kept, attending = kept_keys(scan, _is_fit)
    if not kept or not all(_is_rounded(each, scan) for each in kept):
        return scan, set()
    inputs, own = list(scan.inputs), list(body.inputs)
    for each in kept:
        inputs[each.position] = _packed(inputs[each.position])
        own[each.position] = placeholder(inputs[each.position].type, "halves", 0)
    updates = {each.update for each in kept}
    new = dict(zip(body.inputs, own, strict=True))
    for node in body.nodes:
        if node in new:
            continue
        sources = tuple(new[source] for source in node.inputs)
        if node in updates:
            x, added, start = sources
            sources = x, _packed(added), start
            new[node] = Node(node.op, sources, node.attributes, x.type, None, 0, node.origin)
        elif node in attending:
            new[node] = Node(
                ATTENTION_OF_HALVES, sources, node.attributes, node.type, None, 0, node.origin
            )
        else:
            new[node] = with_inputs(node, sources)
    outputs = [new[node] for node in body.outputs]
    carries = {each.position - first for each in kept if each.update is not None}
    parts = [
        outputs[number].type if number in carries else kind
        for number, kind in enumerate(scan.type.parts)  # type: ignore[attr-defined]
    ]
    attributes = scan.attributes | {"body": Graph(own, outputs)}
    made = Node(scan.op, tuple(inputs), attributes, Record(parts), None, scan.watched, scan.origin)
    return made, carries


def _is_fit(node: Node) -> bool:
    k, v = (x.type.shape for x in node.inputs[1:3])
    return k[-1] % (2 * STEP) == 0 and v[-1] % (2 * STEP) == 0 and k[-2] > 0


def _is_rounded(kept: Kept, scan: Node) -> bool:
    """Whether what is kept has been rounded: then it is the same in halves."""
    added = kept.update is None or unrounded(kept.update.inputs[1]) is not None
    return added and unrounded(scan.inputs[kept.position]) is not None
