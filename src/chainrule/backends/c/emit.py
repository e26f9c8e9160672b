"""From a schedule and a memory plan to one C translation unit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ...ir.node import Node
from .expressions import C_TYPES
from .function import Function, Where, address
from .kernels import SPECIAL, indexing, product, random, rows
from .loops import emit_loop
from .memory import Plan
from .prelude import prelude
from .schedule import Kernel, Schedule, operands
from .views import View

Emitter = Callable[[Node, list[View], Where], Function | None]

EMITTERS: dict[str, Emitter] = {
    "matmul": product.matmul,
    "softmax": rows.softmax,
    "log_softmax": rows.softmax,
    "logsumexp": rows.softmax,
    "cumsum": rows.cumsum,
    "argmax": rows.argmax,
    "argsort": rows.argsort,
    "searchsorted": rows.searchsorted,
    "take": indexing.take,
    "scatter_add": indexing.scatter_add,
    "take_along_axis": indexing.take_along_axis,
    "add_along_axis": indexing.add_along_axis,
    "concatenate": indexing.concatenate,
    "pad": indexing.pad,
    "random_bits": random.random_bits,
    "fold_in": random.fold_in,
}
assert set(EMITTERS) == SPECIAL


@dataclass
class Emitted:
    """A program as C.

    Attributes:
        source: the whole text. It defines ``int32_t cr_step(inputs, constants, outputs, arena)``,
            which returns 0, or the number (from 1) of the kernel that met an index out of range.
        arena: bytes of working memory that it needs.
    """

    source: str
    arena: int


def emit(schedule: Schedule, plan: Plan) -> Emitted:
    """The C text of a program."""
    functions: dict[str, str] = {}
    calls: list[str] = []
    scratch = 0
    for number, kernel in enumerate(schedule.kernels, 1):
        function = _function(kernel, schedule, plan)
        note = _note(kernel)
        while function is not None:
            text = function.text("@")
            name = functions.setdefault(text, f"k{len(functions)}")
            arguments = [*function.arguments(), "0", str(function.extent)]
            calls.append(f"{name}({', '.join(arguments)});" + (f" /* {note} */" if note else ""))
            if function.needs_status:
                calls.append(f"if (*status) return {number};")
            scratch = max(scratch, function.scratch)
            function, note = function.then, ""
    for old, new in plan.copied_back:
        kind = C_TYPES[new.type.dtype.name]
        source, target = address(plan.places[new]), address(plan.places[old])
        calls.append(f"memcpy({target}, {source}, {new.type.size} * sizeof({kind}));")
    texts = [_named(text, name) for text, name in functions.items()]
    body = "\n\n".join([*texts, _step(calls, scratch, plan)]) + "\n"
    return Emitted(prelude(body) + "\n" + body, max(plan.arena + scratch, 64))


def _function(kernel: Kernel, schedule: Schedule, plan: Plan) -> Function | None:
    where = plan.places.__getitem__
    if kernel.is_loop:
        return emit_loop(kernel, schedule.views, where)
    (node,) = kernel.nodes
    return EMITTERS[node.op.name](node, operands(node, schedule.views), where)


def _named(text: str, name: str) -> str:
    return text.replace("@", name)


def _step(calls: list[str], scratch: int, plan: Plan) -> str:
    body = "\n".join(f"  {call}" for call in calls)
    uses = [name for name in ("inputs", "constants", "outputs", "arena") if name not in body]
    lines = [f"  (void){name};" for name in uses if name != "arena" or not scratch]
    if "*status" in body:
        lines.append("  int32_t out_of_range = 0, *status = &out_of_range;")
    if scratch:
        lines.append(f"  char *scratch = arena + {plan.arena};")
    lines.append(body)
    return "\n".join(
        [
            "int32_t cr_step(void *const *inputs, void *const *constants, void *const *outputs, "
            "char *arena);",
            "int32_t cr_step(void *const *inputs, void *const *constants, void *const *outputs, "
            "char *arena)",
            "{",
            *lines,
            "  return 0;",
            "}",
        ]
    )


def _note(kernel: Kernel) -> str:
    """What a call computes and for which layer, in characters that can do nothing in C."""
    names = dict.fromkeys(node.op.name for node in kernel.nodes)
    layers = dict.fromkeys(
        node.origin.layer for node in kernel.nodes if node.origin and node.origin.layer
    )
    result = kernel.nodes[-1].type
    text = f"{result} {', '.join(names)}" + (f" of {', '.join(layers)}" if layers else "")
    return re.sub(r"[^A-Za-z0-9_.,:\[\] ]", "_", text)[:160]
