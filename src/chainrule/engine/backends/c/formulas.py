"""The mathematics of a kernel, for the comment above it."""

from __future__ import annotations

import re

from ...ir.node import CONSTANT, Node
from ...ops.declare import CAST
from ...ops.shape import CONCATENATE
from .expressions import literal
from .function import Function
from .kernel import Kernel, operands
from .views import View

#: A longer formula is cut into parts.
_LONGEST = 72


def formulas(kernel: Kernel, views: dict[Node, View], function: Function) -> str:
    """A C comment with a formula for each result, in the names of the function's parameters."""
    known: dict[Node, str] = {}
    lines: list[str] = []
    for node in kernel.nodes:
        sources = [_operand(view, known, function) for view in operands(node, views)]
        text = sources[0] if node.op.view else _applied(node, sources)
        name = function.name_of(node) if node in kernel.stores else None
        if name is None and len(text) > _LONGEST:
            name = f"t{len(lines)}"
        if name is not None:
            lines.append(f"{name} = {text}")
        known[node] = name or text
    return "/* " + "\n   ".join(map(harmless, lines)) + " */" if lines else ""


def _operand(view: View, known: dict[Node, str], function: Function) -> str:
    if view.base in known:
        return known[view.base]
    if view.base.op is CONSTANT and view.base.type.size == 1:
        assert view.base.value is not None
        text = literal(view.base.value.reshape(-1)[0])
        return re.sub(r"^\(|\)$|INT64_C\(|f\b|u\b", "", text)
    return function.name_of(view.base) or "nothing"


def _applied(node: Node, sources: list[str]) -> str:
    if node.op is CONCATENATE or node.op is CAST or not node.op.formula:  # these say too little
        return f"{node.op.name}({', '.join(sources)})"
    text = node.op.formula
    for position, source in enumerate(sources):
        text = text.replace(f"({{{position}}})", f"({source})")
        text = text.replace(f"{{{position}}}", source if _is_one(source) else f"({source})")
    if node.op.reduction is not None:
        axes = ", ".join(map(str, node.attributes["axes"]))
        return f"{text} over axes {axes}"
    return text


def _is_one(text: str) -> bool:
    """Whether it needs no parentheses: there is no space outside of those that it has."""
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == " " and depth == 0:
            return False
    return True


def harmless(text: str) -> str:
    """The text without anything that could end a comment or mean something to a compiler."""
    return re.sub(r"[\\?/*\"'#%\n\r]", lambda m: {"/": "÷", "*": "·"}.get(m[0], "_"), text)
