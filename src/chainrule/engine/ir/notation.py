"""How an operation is written and named for people: a part of its record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Notation:
    """What explanations say of an operation.

    Attributes:
        text: how it is written in a line, with ``{0}``, ``{1}`` for its operands; like the formula
            of the operation if empty.
        latex: the same in LaTeX.
        title: what its result is; the name of the operation if empty.
        inside: operations in whose formula its own is written, where nothing else uses it.
        is_activation: whether its result is named after the weighted sum that it is computed from.
        derivatives: for each operand the local derivative: ``{x}`` is the operand, ``{other}``
            the other one and ``{y}`` the result.
        gradient: one sentence on how the gradient passes through.
    """

    text: str = ""
    latex: str = ""
    title: str = ""
    inside: tuple[str, ...] = ()
    is_activation: bool = False
    derivatives: tuple[str, ...] = ()
    gradient: str = ""


#: Written as the formula of the operation says.
PLAIN = Notation()
