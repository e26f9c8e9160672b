"""A node: an operation applied to inputs, with attributes and a type."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

from ...errors import TypeRuleError
from ...utils.typing import Array
from .operation import Operation, register
from .types import Record, Type, type_of


class Origin(NamedTuple):
    """Where a node comes from: the user's line and the path of the layer, for messages only.

    A node that was made in the backward pass through another one has the place of that one.
    """

    file: str
    line: int
    layer: str
    backward: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file else ""
        layer = f"layer {self.layer}" if self.layer else ""
        where = ", ".join(part for part in (layer, place) if part)
        return f"the backward pass of {where}" if self.backward and where else where


#: Nodes are numbered in the order in which they are made.
numbers = itertools.count()


class Node:
    """An operation applied to inputs. Never changed after it is made.

    ``value`` is the array if it is known (eager computation, constants) and None inside a trace.
    ``watched`` is a set of bits that says who may differentiate with respect to something that this
    node depends on: see `chainrule.engine.tensor`. ``number`` is larger than that of every node
    that was made before, and says so what a function found and what it made itself.
    """

    __slots__ = (
        "__weakref__", "attributes", "inputs", "number", "op", "origin", "type", "value", "watched",
    )  # fmt: skip

    def __init__(
        self,
        op: Operation,
        inputs: tuple[Node, ...],
        attributes: dict[str, Any],
        type: Type,
        value: Array | None = None,
        watched: int = 0,
        origin: Origin | None = None,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.attributes = attributes
        self.type = type
        self.value = value
        self.watched = watched
        self.origin = origin
        self.number = next(numbers)

    def __repr__(self) -> str:
        return f"<{self.op.name}: {self.type}>"


def _leaf_type(*types: Type, **attributes: Any) -> Type:
    raise AssertionError("leaves are made with their type")


#: A leaf whose value is known.
CONSTANT = register(Operation("constant", _leaf_type, None))
#: A leaf whose value is given when the graph is run.
PLACEHOLDER = register(Operation("placeholder", _leaf_type, None))


def _part_type(record: Type, *, index: int) -> Type:
    if not isinstance(record, Record) or not 0 <= index < len(record.parts):
        raise TypeRuleError(f"There is no part {index!r} of {record}.")
    return record.parts[index]


#: One result of a node that has several: the only operation that takes a `Record` apart. Its
#: derivative is the chain rule's own business: what comes back is kept for the record, by part.
PART = register(
    Operation("part", _part_type, lambda xp, record, index: record[index], formula="{0}.{index}")
)


def constant(value: Array, watched: int = 0, type: Type | None = None) -> Node:
    """A leaf with a value; its type, if that is known."""
    return Node(CONSTANT, (), {}, type or type_of(value), value, watched)


def placeholder(type: Type, name: str, watched: int) -> Node:
    """A leaf whose value is given when the graph is run."""
    return Node(PLACEHOLDER, (), {"name": name}, type, None, watched)
