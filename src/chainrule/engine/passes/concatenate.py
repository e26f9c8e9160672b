"""Parts of an array that are computed for themselves: the gates of a cell, the heads of a product.

A network cuts one product into parts, and the derivative of a cut is a pad with zeros. So the
gradients of all parts are added up as padded arrays: that is their concatenation. And what is done
to all of an array before it is cut can be done to its parts, in the loop that reads them.
"""

from __future__ import annotations

from ..ir.node import Node
from ..ir.operation import Cost
from .rewrite import make

#: A sum of more terms is left alone.
_MOST_TERMS = 16


def as_concatenation(node: Node) -> Node | None:
    """A sum of arrays padded with zeros to be adjacent is their concatenation."""
    terms: list[Node] = []
    stack = [node]
    while stack:
        term = stack.pop()
        if term.op.name == "add" and len(terms) + len(stack) < _MOST_TERMS:
            stack += term.inputs
        elif term.op.name == "pad" and _is_plain(term):
            terms.append(term)
        else:
            return None
    axes = {axis for term in terms for axis in _padded(term)}
    if len(axes) != 1:
        return None
    (axis,) = axes
    terms.sort(key=lambda term: int(term.attributes["before"][axis]))
    end = 0
    for term in terms:
        if term.attributes["before"][axis] != end:
            return None
        end += term.inputs[0].type.shape[axis]
    if end != node.type.shape[axis]:
        return None
    return make(node, "concatenate", *(term.inputs[0] for term in terms), axis=axis)


def _is_plain(pad: Node) -> bool:
    return not any(pad.attributes["between"]) and pad.attributes["value"] == 0


def _padded(pad: Node) -> list[int]:
    sides = zip(pad.attributes["before"], pad.attributes["after"], strict=True)
    return [axis for axis, (low, high) in enumerate(sides) if low or high]


def slice_operands(node: Node) -> Node:
    """slice(a + b) = slice(a) + slice(b), for a sum that is only read in slices."""
    (source,) = node.inputs
    if source.op.cost is not Cost.ARITHMETIC or 2 * node.type.size > source.type.size:
        return node
    parts = [make(node, "slice", operand, **node.attributes) for operand in source.inputs]
    return make(node, source.op.name, *parts)
