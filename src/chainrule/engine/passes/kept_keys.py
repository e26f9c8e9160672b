"""Keys and values that a loop over time keeps, rounded to bfloat16: of texts that are written.

A step of such a loop has one query for each head, and most of its time goes into reading keys and
values. They are rounded before the loop, and in it as they are added, so that what is kept has been
rounded wherever it is read, and a backend may keep it in half of the memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..ir.node import Node
from ..ir.types import float32
from ..ops.attention import ATTENTION
from ..ops.scatter import UPDATE_SLICE
from .rewrite import rewrite, with_inputs

__all__ = ["Kept", "kept_keys", "with_rounded_keys"]


@dataclass(frozen=True)
class Kept:
    """Keys or values of a loop.

    Attributes:
        position: of the input of the loop that has them.
        update: what a step adds to them; None if they are the same in all steps.
    """

    position: int
    update: Node | None


def kept_keys(scan: Node, is_fit: Callable[[Node], bool]) -> tuple[list[Kept], set[Node]]:
    """What a loop keeps for attentions of one query, and these.

    Args:
        scan: the loop.
        is_fit: whether an attention counts.
    """
    body, attributes = scan.attributes["body"], scan.attributes
    first, carries = attributes["consts"], attributes["carries"]
    readers: dict[Node, list[tuple[Node, int]]] = {}
    for node in body.nodes:
        for number, source in enumerate(node.inputs):
            readers.setdefault(source, []).append((node, number))
    place = {p: number for number, p in enumerate(body.inputs[: first + carries])}
    fit = (node for node in body.nodes if _has_one_query(node) and is_fit(node))
    attending = dict.fromkeys(fit)

    def only_attended(node: Node) -> bool:
        return all(reader in attending and n in (1, 2) for reader, n in readers[node])

    def kept(node: Node) -> Kept | None:
        if node in place and place[node] < first and node not in body.outputs:
            return Kept(place[node], None) if only_attended(node) else None
        if node.op is not UPDATE_SLICE or node.attributes["axis"] == len(node.type.shape) - 1:
            return None
        number = place.get(node.inputs[0], 0)
        is_next = number >= first and body.outputs[number - first] is node
        alone = len(readers[node.inputs[0]]) == 1 and list(body.outputs).count(node) == 1
        return Kept(number, node) if is_next and alone and only_attended(node) else None

    while True:
        pairs = [(node, [kept(x) for x in node.inputs[1:3]]) for node in attending]
        lasting = {node: None for node, found in pairs if None not in found}
        if len(lasting) == len(attending):
            return list(dict.fromkeys(k for _, found in pairs for k in found if k)), set(lasting)
        attending = lasting  # what the others read may not be rounded for these


def _has_one_query(node: Node) -> bool:
    if node.op is not ATTENTION or node.attributes.get("dropout"):
        return False
    q = node.inputs[0].type
    return q.dtype == float32 and q.shape[-2] == 1


def with_rounded_keys(scan: Node, rounded: Callable[[Node], Node]) -> Node:
    """The loop with the keys and values that it keeps rounded."""
    kept, _ = kept_keys(scan, lambda node: True)
    if not kept:
        return scan
    inputs = list(scan.inputs)
    updates = {each.update for each in kept if each.update is not None}
    for each in kept:
        inputs[each.position] = rounded(inputs[each.position])

    def rule(node: Node, before: Node) -> Node:
        if before not in updates:
            return node
        x, added, *rest = node.inputs
        return with_inputs(node, (x, rounded(added), *rest))

    attributes = scan.attributes | {"body": rewrite(scan.attributes["body"], rule)}
    return Node(scan.op, tuple(inputs), attributes, scan.type, None, scan.watched, scan.origin)
