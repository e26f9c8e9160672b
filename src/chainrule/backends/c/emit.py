"""From a schedule and a memory plan to one C translation unit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ...ir.node import Node
from .expressions import C_TYPES
from .formulas import formulas
from .function import Function, Where, address
from .kernel import Kernel, operands
from .kernels import SPECIAL, bags, indexing, product, random, rows
from .loops import emit_loop
from .memory import Plan
from .prelude import prelude
from .schedule import Schedule
from .steps import STEPS_C
from .threads import TASK_C
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
    "embedding_bag": bags.embedding_bag,
    "scatter_bag": bags.scatter_bag,
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


#: Operations on single elements, below which other threads are not woken: about 20 µs.
_WORTH_A_THREAD = 1 << 18


@dataclass
class Emitted:
    """A program as C.

    Attributes:
        source: the whole text. It defines ``cr_step``, which returns 0, or the number (from 1) of
            the kernel that met an index out of range, or -1 if a guard was not finite; then no
            input has been overwritten. And ``cr_steps``, see `chainrule.backends.c.steps`.
        arena: bytes of working memory that it needs.
    """

    source: str
    arena: int


def emit(schedule: Schedule, plan: Plan) -> Emitted:
    """The C text of a program."""
    functions: dict[str, tuple[str, str]] = {}  # the text, and its name and comment
    parallel: dict[str, Function] = {}
    calls: list[str] = []
    scratch = 0
    guards = [_guard(node, plan) for node in schedule.guards]
    for number, kernel in enumerate(schedule.kernels, 1):
        function = _function(kernel, schedule, plan)
        comment = formulas(kernel, schedule.views, function) if function is not None else ""
        note = _note(kernel)
        while function is not None:
            text = function.text("@")
            name, _ = functions.setdefault(text, (f"k{len(functions)}", comment))
            if _is_parallel(function):
                parallel[name] = function
            if guards and function.writes_to("input"):
                calls += guards
                guards = []
            calls.append(_call(name, function) + (f" /* {note} */" if note else ""))
            if function.needs_status:
                calls.append(f"if (*status) return {number};")
            scratch = max(scratch, function.scratch)
            function, note, comment = function.then, "", ""
    calls += guards if plan.copied_back else []
    for old, new in plan.copied_back:
        kind = C_TYPES[new.type.dtype.name]
        source, target = address(plan.places[new]), address(plan.places[old])
        calls.append(f"memcpy({target}, {source}, {new.type.size} * sizeof({kind}));")
    texts = []
    for text, (name, comment) in functions.items():
        named = "\n".join(filter(None, [comment, text.replace("@", name)]))
        texts.append(_part(named, name, parallel[name]) if name in parallel else named)
    results = sum(place.kind == "output" for place in plan.places.values())
    loop = STEPS_C.replace("OUTPUTS", str(max(results, 1))).strip()
    body = "\n\n".join([*texts, _step(calls, scratch, plan), loop]) + "\n"
    return Emitted(prelude(body) + TASK_C + "\n" + body, max(plan.arena + scratch, 64))


def _function(kernel: Kernel, schedule: Schedule, plan: Plan) -> Function | None:
    where = plan.places.__getitem__
    if kernel.is_loop:
        return emit_loop(kernel, schedule.views, where)
    (node,) = kernel.nodes
    return EMITTERS[node.op.name](node, operands(node, schedule.views), where)


def _guard(node: Node, plan: Plan) -> str:
    """Stop before anything is overwritten unless this number is finite."""
    kind = C_TYPES[node.type.dtype.name]
    return f"if (!(fabs((double)*({kind} *)({address(plan.places[node])})) < INFINITY)) return -1;"


def _step(calls: list[str], scratch: int, plan: Plan) -> str:
    body = "\n".join(f"  {call}" for call in calls)
    names = ("inputs", "constants", "outputs", "arena", "parallel", "threads")
    lines = [f"  (void){name};" for name in names if not re.search(rf"\b{name}\b", body)]
    if "*status" in body:
        lines.append("  int32_t out_of_range = 0, *status = &out_of_range;")
    if scratch:
        lines.append(f"  char *scratch = arena + {plan.arena};")
    lines.append(body)
    head = (
        "int32_t cr_step(void *const *inputs, void *const *constants, void *const *outputs,\n"
        "                char *arena, cr_parallel_call parallel, int32_t threads)"
    )
    return "\n".join([f"{head};", head, "{", *lines, "  return 0;", "}"])


def _call(name: str, function: Function) -> str:
    """A call of a kernel, in parts on several threads if there is enough to do."""
    if not _is_parallel(function):
        return f"{name}({', '.join([*function.arguments(), '0', str(function.extent)])});"
    pointers = ", ".join(f"(void *){argument}" for argument in function.arguments())
    return (
        f"parallel({name}_part, (void *const[]){{{pointers}}}, {function.extent}, "
        f"{function.unit}, threads);"
    )


def _is_parallel(function: Function) -> bool:
    return function.extent > function.unit and function.extent * function.grain >= _WORTH_A_THREAD


def _part(text: str, name: str, function: Function) -> str:
    """The same kernel as a task of the pool."""
    types = [argument.split(")")[0] + ")" for argument in function.arguments()]
    given = ", ".join(f"{kind}p[{i}]" for i, kind in enumerate(types))
    return (
        f"{text}\n\nstatic void {name}_part(void *const *p, int64_t begin, int64_t end)\n{{\n"
        f"  {name}({given}, begin, end);\n}}"
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
