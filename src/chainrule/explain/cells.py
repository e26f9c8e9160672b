"""The parts of recurrent cells by their usual letters: i, f, g, o, c, h, and r, u, n.

They are recognised by what is computed, so that the cell of a stored graph, or one that a user has
written out, has its letters, too.

    LSTM   c' = f·c + i·g,   h' = o·tanh(c')   (Hochreiter and Schmidhuber, 1997; Gers et al., 2000)
    GRU    h' = n + u·(h - n),   n = tanh(… + r·…)   (Cho et al., 2014, where u is z)

The update gate is u here, as z is a weighted sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..engine.ir.node import Node

Sources = Callable[[Node], list[Node]]


def letters(order: Iterable[Node], sources: Sources) -> dict[Node, str]:
    """The letter of each node that is a part of a cell.

    Args:
        order: the nodes.
        sources: the inputs of a node, with slices, broadcasts and the like looked through.
    """
    found: dict[Node, str] = {}
    for node in order:
        found.update(_lstm(node, sources) or _gru(node, sources))
    return found


def _lstm(h: Node, sources: Sources) -> dict[Node, str]:
    """The parts of the step of an LSTM whose output is h; nothing if it is none."""
    if h.op.name != "multiply":
        return {}
    o, bent = sorted(sources(h), key=lambda part: part.op.name)
    if o.op.name != "sigmoid" or bent.op.name != "tanh":
        return {}
    c = sources(bent)[0]
    while not c.op.notation.is_activation and len(sources(c)) == 1:
        c = sources(c)[0]  # normalised inside of the tanh
    if c.op.name != "add" or any(part.op.name != "multiply" for part in sources(c)):
        return {}
    (_, i, g), (_, f, _) = sorted(
        (_product(part, sources) for part in sources(c)),
        key=lambda parts: parts[2].op.name != "tanh",
    )
    if i.op.name != "sigmoid" or g.op.name != "tanh" or f.op.name != "sigmoid":
        return {}
    return {h: "h", bent: "tanh_c", c: "c", o: "o", i: "i", f: "f", g: "g"}


def _product(node: Node, sources: Sources) -> tuple[Node, Node, Node]:
    """A product, its gate, and what goes through the gate."""
    first, second = sources(node)
    return (node, second, first) if second.op.name == "sigmoid" else (node, first, second)


def _gru(h: Node, sources: Sources) -> dict[Node, str]:
    """The parts of the step of a GRU whose output is h; nothing if it is none."""
    if h.op.name != "add":
        return {}
    n, moved = sorted(sources(h), key=lambda part: part.op.name != "tanh")
    if n.op.name != "tanh" or moved.op.name != "multiply":
        return {}
    _, u, change = _product(moved, sources)
    if u.op.name != "sigmoid" or change.op.name != "subtract" or n not in sources(change):
        return {}
    parts = {h: "h", n: "n", u: "u"}
    for term in sources(sources(n)[0]):
        if term.op.name == "multiply":
            r = _product(term, sources)[1]
            parts |= {r: "r"} if r.op.name == "sigmoid" else {}
    return parts
