"""A C function for a kernel: its text, its parameters, and how it is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ...ir.node import Node
from .expressions import C_TYPES
from .views import View


class Place(NamedTuple):
    """Where a value is: in the arena at an offset, or in a buffer of a caller by number."""

    kind: str  # "arena", "input", "constant" or "output"
    position: int


#: From a node to the place that its value has.
Where = Callable[[Node], Place]


@dataclass
class Function:
    """One C function, written while its parameters are collected.

    Two operands in the same place are one parameter, so that pointers never alias.

    Attributes:
        body: lines between the braces; ``begin`` and ``end`` bound what one call computes.
        extent: what ``end`` is when one call computes everything.
        grain: elements that one unit of the extent takes, to decide what is worth a thread.
        unit: parts of the extent begin at multiples of it.
        copies: whether each part first copies what others copy, too: then there are few.
        asks: whether it asks for further parts itself, and then uses what it copied again.
        needs_status: whether it reports indices out of range through ``status``.
        scratch: bytes of working memory, through ``scratch``.
        then: a function to be called after all of this one is done.
    """

    where: Where
    body: list[str] = field(default_factory=list)
    extent: int = 1
    grain: int = 1
    unit: int = 1
    copies: bool = False
    asks: bool = False
    needs_status: bool = False
    scratch: int = 0
    then: Function | None = None
    before: list[str] = field(default_factory=list)
    _parameters: dict[Place, tuple[str, Node, bool]] = field(default_factory=dict)

    def reads(self, node: Node) -> str:
        """The name of the pointer to an operand."""
        return self._parameter(node, False)

    def pointer(self, view: View) -> str:
        """Where a C-contiguous view of an operand begins."""
        name = self.reads(view.base)
        return f"({name} + {view.offset})" if view.offset else name

    def writes(self, node: Node) -> str:
        """The name of the pointer to a result."""
        return self._parameter(node, True)

    def name_of(self, node: Node) -> str | None:
        """The name of the pointer to a value, if it is a parameter."""
        found = self._parameters.get(self.where(node))
        return None if found is None else found[0]

    def _parameter(self, node: Node, written: bool) -> str:
        place = self.where(node)
        name, first, was_written = self._parameters.get(
            place, (f"p{len(self._parameters)}", node, False)
        )
        self._parameters[place] = name, first, written or was_written
        return name

    def writes_to(self, kind: str) -> bool:
        """Whether a result goes to a place of this kind."""
        places = self._parameters.items()
        return any(written and place.kind == kind for place, (_, _, written) in places)

    def serial(self) -> None:
        """One call computes everything."""
        self.line("(void)begin;")
        self.line("(void)end;")

    def line(self, text: str, depth: int = 1) -> None:
        """Add a line to the body."""
        self.body.append("  " * depth + text)

    def text(self, name: str) -> str:
        """The whole C function."""
        parameters = []
        for parameter, node, written in self._parameters.values():
            const = "" if written else "const "
            parameters.append(f"{const}{C_TYPES[node.type.dtype.name]} *restrict {parameter}")
        if self.scratch:
            parameters.append("char *restrict scratch")
        if self.needs_status:
            parameters.append("int32_t *restrict status")
        parameters += ["idx begin", "idx end"] + ["cr_parts *parts"] * self.asks
        head = f"static void {name}({', '.join(parameters)})"
        return "\n".join([*self.before, head, "{", *self.body, "}"]).replace("@", name)

    def arguments(self) -> list[str]:
        """The pointers of a call, as C expressions."""
        result = []
        for place, (_, node, written) in self._parameters.items():
            const = "" if written else "const "
            result.append(f"({const}{C_TYPES[node.type.dtype.name]} *)({address(place)})")
        if self.scratch:
            result.append("(char *)(scratch)")
        if self.needs_status:
            result.append("(int32_t *)(status)")
        return result


def address(place: Place) -> str:
    """Where a place begins, as a C expression."""
    table = {"input": "inputs", "constant": "constants", "output": "outputs"}
    if place.kind == "arena":
        return f"arena + {place.position}"
    return f"{table[place.kind]}[{place.position}]"
