"""Graphs as C that leaves this machine: functions for any compiler, any processor, any program.

The kernels are those of the backend, written without threads for a target of
``kernels.cpu.PORTABLE``: ``plain`` is C99 for any processor, the others need the vectors of one
kind, and gcc or clang. Nothing is allocated. Constants become arrays of the text, which linkers put
into read-only memory; everything else is in the caller's memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ....utils.typing import Array
from ...ir.graph import Graph
from ...ir.node import Node
from ...ir.types import Record
from ...passes import optimize
from ...passes.fold import fold_constants
from .emit import Writer, description
from .expressions import C_TYPES, literal
from .kernel import Kernel
from .kernels.cpu import PORTABLE, writing_for
from .lowered import Stop
from .memory import plan_memory
from .prelude import prelude
from .schedule import check_support, schedule

#: Numbers of a line.
_LINE = 8


@dataclass(frozen=True)
class Task:
    """A graph that is to become a function.

    Attributes:
        graph: what to compute.
        donated: positions of inputs that are overwritten, with those of the outputs that are their
            next values.
        guards: positions of outputs that must be finite, or nothing is overwritten.
    """

    graph: Graph
    donated: Mapping[int, int] = field(default_factory=dict)
    guards: Sequence[int] = ()


@dataclass(frozen=True)
class Part:
    """A kernel, for reports.

    Attributes:
        about: what it computes, and for which layer.
        operations: multiplications with an addition, or single operations.
        constants: bytes of constants that it reads.
        results: bytes of what it stores in working memory or gives back.
    """

    about: str
    operations: int
    constants: int
    results: int


@dataclass(frozen=True)
class Standalone:
    """Functions as C.

    Attributes:
        source: the text. For each task of the name *t* it defines ``static int32_t t_step(void
            *const *inputs, void *const *outputs, char *arena)``, which returns 0, or -1 if a guard
            was not finite, or the number (from 1) of one of ``stops``.
        arenas: bytes of working memory of each task, by name.
        stops: what may stop a program, by number.
        constants: bytes of the constants.
        parts: the kernels of each task, by name.
    """

    source: str
    arenas: dict[str, int]
    stops: tuple[Stop, ...]
    constants: int
    parts: dict[str, list[Part]]


def standalone(
    tasks: Mapping[str, Task], target: str = "plain", *, exact: bool = False
) -> Standalone:
    """Functions of graphs as one C text, in which equal kernels and constants are there once.

    Args:
        tasks: by the names that they have in C.
        target: one of `kernels.cpu.PORTABLE`.
        exact: whether the bits are to be the same on every processor: see `program.CProgram`.

    Raises:
        UnsupportedError: there is no kernel for an operation; it is named.

    Example:
        >>> import chainrule as cr
        >>> graph = cr.trace(lambda x: x * 2.0, cr.tensor([1.0, 2.0])).graph
        >>> text = standalone({"twice": Task(graph)}).source
        >>> "static int32_t twice_step(" in text
        True
    """
    for task in tasks.values():
        check_support(task.graph)
    with writing_for(replace(PORTABLE[target], exact=exact)):
        return _write(tasks)


def _write(tasks: Mapping[str, Task]) -> Standalone:
    writer, table = Writer(), _Constants()
    steps, arenas, parts = [], {}, {}
    for name, task in tasks.items():
        graph = optimize(fold_constants(task.graph, keep_broadcasts=True))
        kernels = schedule(graph, dict(task.donated), task.guards)
        wanted = {kernels.inputs[i]: kernels.outputs[j] for i, j in task.donated.items()}
        plan = plan_memory(kernels, wanted)
        calls, scratch = writer.program(kernels, plan)
        first = table.add(plan.constants)
        steps.append(_step(name, calls, plan.arena, scratch, first))
        arenas[name] = max(plan.arena + scratch, 1)
        parts[name] = [_part(kernel) for kernel in kernels.kernels]
    body = "\n\n".join([*table.texts(), *writer.texts(), *steps]) + "\n"
    source = prelude(body) + "\n" + body
    stops = tuple(
        Stop(node.op.name, str(node.origin or "") or None, str(node.inputs[0].type))
        for node in writer.stops
    )
    return Standalone(source, arenas, stops, table.bytes, parts)


def _step(name: str, calls: list[str], arena: int, scratch: int, first: int) -> str:
    body = "\n".join(f"  {call}" for call in calls)
    lines = [
        f"  (void){name};"
        for name in ("inputs", "outputs", "arena")
        if not re.search(rf"\b{name}\b", body) and not (name == "arena" and scratch)
    ]
    if re.search(r"\bconstants\b", body):
        lines.append(f"  const void *const *const constants = cr_constants + {first};")
    if "*status" in body:
        lines.append("  int32_t out_of_range = 0, *status = &out_of_range;")
    if scratch:
        lines.append(f"  char *scratch = arena + {arena};")
    head = f"static int32_t {name}_step(void *const *inputs, void *const *outputs, char *arena)"
    return "\n".join([head, "{", *lines, body, "  return 0;", "}"])


class _Constants:
    """The arrays of a text: equal ones are written once."""

    def __init__(self) -> None:
        self.bytes = 0
        self._names: dict[tuple[str, bytes], str] = {}
        self._arrays: list[str] = []
        self._entries: list[str] = []

    def add(self, constants: Sequence[Node]) -> int:
        """Enter constants; the position of the first in the table."""
        first = len(self._entries)
        for node in constants:
            assert node.value is not None
            self._entries.append(self._name(np.asarray(node.value)))
        return first

    def _name(self, array: Array) -> str:
        key = array.dtype.str, array.tobytes()
        if key not in self._names:
            self._names[key] = name = f"cr_c{len(self._names)}"
            self._arrays.append(array_text(f"static const {{}} {name}[{{}}]", array))
            self.bytes += array.nbytes
        return self._names[key]

    def texts(self) -> list[str]:
        """The arrays, and the table of them."""
        if not self._entries:
            return []
        entries = ", ".join(self._entries)
        return [*self._arrays, f"static const void *const cr_constants[] = {{{entries}}};"]


def array_text(head: str, array: Array) -> str:
    r"""An array in C.

    Args:
        head: with places for the element type and the number of elements.
        array: the values.

    Example:
        >>> array_text("static const {} t[{}]", np.array([1.5, -2.0], np.float32))
        'static const float t[2] = {\n  1.5f, -2.0f,\n};'
    """
    flat = array.reshape(-1)
    numbers = [_number(x) for x in flat] or ["0"]
    lines = [f"  {', '.join(numbers[i : i + _LINE])}," for i in range(0, len(numbers), _LINE)]
    kind = C_TYPES[array.dtype.name]
    return "\n".join([f"{head.format(kind, len(numbers))} = {{", *lines, "};"])


def _number(value: np.generic[Any]) -> str:
    """A number in an initialiser, which needs no brackets."""
    if value.dtype.kind == "i" and abs(int(value)) < 2**31:
        return str(int(value))
    text = literal(value)
    return text[1:-1] if text.startswith("(") else text


def _part(kernel: Kernel) -> Part:
    constants = {
        source: source.value.nbytes
        for node in kernel.nodes
        for source in node.inputs
        if source.value is not None
    }
    stored = sum(
        node.type.size * node.type.dtype.itemsize
        for node in kernel.stores
        if not isinstance(node.type, Record)
    )
    return Part(description(kernel), _operations(kernel.nodes), sum(constants.values()), stored)


def _operations(nodes: Sequence[Node]) -> int:
    """Multiplications with an addition, or operations on single elements."""
    total = 0
    for node in nodes:
        op = node.op
        if op.has_body:
            body = node.attributes["body"]
            total += node.attributes.get("length", 1) * _operations(body.nodes)
        elif op.work is not None:
            types = [source.type for source in node.inputs]
            total += op.work(node.type, *types, **node.attributes)
        elif op.reduction is not None:
            total += node.inputs[0].type.size
        elif node.inputs and not isinstance(node.type, Record) and not op.view:
            total += node.type.size
    return total


def library_of(source: str) -> tuple[str, ...]:
    """The functions of ``math.h`` and ``string.h`` that a C text calls."""
    text = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    known = re.compile(
        r"\b(mem(?:cpy|set|cmp)|(?:fabs|floor|ceil|rint|trunc|fmod|copysign|fma|sqrt|pow|exp|exp2|"
        r"expm1|log|log2|log10|log1p|sin|cos|tan|asin|acos|atan|atan2|sinh|cosh|tanh|asinh|acosh|"
        r"atanh|erf|erfc|cbrt|lgamma|tgamma|round|hypot|ldexp|frexp|nextafter|fmin|fmax)f?)\("
    )
    return tuple(sorted(set(known.findall(text))))
