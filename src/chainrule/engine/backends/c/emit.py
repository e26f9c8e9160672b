"""From a schedule and a memory plan to one C translation unit."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...ir.node import Node
from ...ir.types import Record
from .expressions import C_TYPES
from .formulas import formulas
from .function import Function, address
from .kernel import Kernel, KernelSchedule, operands
from .kernels import matmul, scan
from .kernels.cpu import target_in_use
from .loops import emit_loop, tile_statements
from .lowerings import KERNELS
from .memory import MemoryPlan
from .prelude import prelude
from .run_steps import STEPS_C
from .threads import TASK_C
from .views import View

#: Operations on single elements, below which other threads are not woken: about 10 µs.
_WORTH_A_THREAD = 1 << 17


#: A kernel must not become a part of what calls it. In a loop gcc 12 at -O3 forgets that
#: ``restrict`` holds for one call only, and takes a carry that was just written for the one of the
#: step before; and one function of all kernels would take compilers twice as long.
_APART = "CR_APART"


@dataclass
class Emitted:
    """A program as C.

    Attributes:
        source: the whole text. It defines ``cr_step``, which returns 0, or the number (from 1) of
            the node that met an index out of range, or -1 if a guard was not finite; then no
            input has been overwritten. And ``cr_steps``, see `run_steps`.
        arena: bytes of working memory that it needs.
        stops: the nodes that may stop it, by their number from 1 on.
    """

    source: str
    arena: int
    stops: list[Node]


def emit(schedule: KernelSchedule, plan: MemoryPlan) -> Emitted:
    """The C text of a program."""
    writer = Writer()
    calls, scratch = writer.program(schedule, plan)
    results = sum(place.kind == "output" for place in plan.places.values())
    loop = STEPS_C.replace("OUTPUTS", str(max(results, 1))).strip()
    body = "\n\n".join([*writer.texts(), _step(calls, scratch, plan), loop]) + "\n"
    source = prelude(body) + TASK_C + "\n" + body
    return Emitted(source, max(plan.arena + scratch, 64), writer.stops)


class Writer:
    """The functions of a program: of kernels, and of loops around kernels.

    Attributes:
        stops: the nodes that may stop the program, by the number from 1 that it then returns.
    """

    def __init__(self) -> None:
        self.stops: list[Node] = []
        self._functions: dict[str, tuple[str, str]] = {}  # the text, and its name and comment
        self._tasks: dict[str, str] = {}  # by the name of a function what runs a part of it

    def texts(self) -> list[str]:
        """All functions, those that are called first."""
        found = []
        for text, (name, comment) in self._functions.items():
            text = text.replace("@", name)
            text = text.replace(f"static void {name}(", f"{_APART} static void {name}(")
            found.append("\n".join(filter(None, [comment, text])))
            if name in self._tasks:
                found.append(self._tasks[name])
        return found

    def program(self, schedule: KernelSchedule, plan: MemoryPlan) -> tuple[list[str], int]:
        """The calls of a whole program in order, and the bytes of scratch memory they need."""
        guards = [_guard(node, plan) for node in schedule.guards]
        calls, scratch = self.calls(schedule, plan, guards)
        for old, new in plan.copied_back:
            kind = C_TYPES[new.type.dtype.name]
            source, target = address(plan.places[new]), address(plan.places[old])
            calls.append(f"memcpy({target}, {source}, {new.type.size} * sizeof({kind}));")
        return calls, scratch

    def calls(
        self,
        schedule: KernelSchedule,
        plan: MemoryPlan,
        guards: Sequence[str] = (),
        *,
        alone: bool = False,
    ) -> tuple[list[str], int]:
        """The calls of kernels in order, and the bytes of scratch memory that they need.

        Args:
            schedule: the kernels.
            plan: where their values are.
            guards: statements that come before anything is overwritten.
            alone: whether everything is done by one thread.
        """
        calls: list[str] = []
        scratch = 0
        for kernel in schedule.kernels:
            if kernel.body is not None:
                lines, needed = self._loop(kernel, kernel.body, schedule, plan, alone)
                calls += lines
                scratch = max(scratch, needed)
                continue
            function = _function(kernel, schedule, plan)
            comment = formulas(kernel, schedule.views, function) if function is not None else ""
            note = description(kernel)
            while function is not None:
                name = self._named(function.text("@"), comment)
                in_parts = _is_parallel(function) and not alone and target_in_use().threads
                if in_parts:
                    self._tasks[name] = _part(name, function)
                if guards and function.writes_to("input"):
                    calls += guards
                    guards = ()
                calls.append(_call(name, function, in_parts) + (f" /* {note} */" if note else ""))
                if function.needs_status:
                    self.stops.append(kernel.nodes[0])
                    calls.append(f"if (*status) return {len(self.stops)};")
                scratch = max(scratch, function.scratch)
                function, note, comment = function.then, "", ""
        if guards and plan.copied_back:
            calls += guards
        return calls, scratch

    def _named(self, text: str, comment: str) -> str:
        return self._functions.setdefault(text, (f"k{len(self._functions)}", comment))[0]

    def _loop(
        self,
        kernel: Kernel,
        body: KernelSchedule,
        schedule: KernelSchedule,
        plan: MemoryPlan,
        alone: bool,
    ) -> tuple[list[str], int]:
        """The call of a loop over time, or of a call; and the scratch memory that it needs."""
        node, inside = kernel.nodes[0], plan.bodies[kernel]
        layout = scan.Layout(kernel, inside.arena)
        first = len(self.stops)
        calls: list[str] = []
        scratch = 0
        if layout.length:
            calls, scratch = self.calls(body, inside, alone=alone or kernel.chunks > 1)
        stops = len(self.stops) > first
        steps = f"{layout.length} steps{', backwards' * layout.reverse}" if layout.is_scan else ""
        name = self._named(scan.loop_text(layout, calls, stops), f"/* {steps or 'a part'} */")
        given = [_address(view, plan) for view in operands(node, schedule.views)]
        results = [
            address(plan.places[layout.parts[n]]) if n in layout.parts else "NULL"
            for n in range(len(layout.outputs))
        ]
        work = address(plan.places[node])
        own = "scratch" if scratch else "NULL"
        note = f" /* {description(kernel)} */"
        if kernel.chunks > 1:
            self._tasks[name] = scan.chunks_text(layout, name, scratch)
            pointers = [*given, *results, "constants", work, own]
            table = ", ".join(f"(void *)({pointer})" for pointer in pointers)
            call = f"parallel({name}_part, (void *[]){{{table}}}, {kernel.chunks}, 1, threads);"
            return [call + note], scan.all_scratch(kernel.chunks, scratch)
        tables = (
            f"(const void *[]){{{', '.join(given) or 'NULL'}}}, "
            f"(void *[]){{{', '.join(results) or 'NULL'}}}"
        )
        pool = ", parallel, threads" if target_in_use().threads else ""
        call = f"{name}({tables}, constants, {work}, {own}{pool})"
        if stops:
            return [f"*status = {call};{note}", "if (*status) return *status;"], scratch
        return [f"{call};{note}"], scratch


def _address(view: View, plan: MemoryPlan) -> str:
    """Where the first element of a view is."""
    place = address(plan.places[view.base])
    offset = view.offset * view.base.type.dtype.itemsize
    return f"(const char *)({place}) + {offset}" if offset else place


def _function(kernel: Kernel, schedule: KernelSchedule, plan: MemoryPlan) -> Function | None:
    where = plan.places.__getitem__
    if kernel.is_loop:
        return emit_loop(kernel, schedule.views, where)
    node, *results = kernel.nodes
    if kernel.tail:
        tail = functools.partial(tile_statements, kernel, schedule.views)
        kept = node in kernel.stores
        return matmul.matmul(node, operands(node, schedule.views), where, tail, kept)
    given = operands(node, schedule.views)
    if isinstance(node.type, Record):
        parts = {part.attributes["index"]: part for part in results if part in kernel.stores}
        return KERNELS[node.op.name](node, parts, given, where)
    return KERNELS[node.op.name](node, given, where)


def _guard(node: Node, plan: MemoryPlan) -> str:
    """Stop before anything is overwritten unless this number is finite."""
    kind = C_TYPES[node.type.dtype.name]
    return f"if (!(fabs((double)*({kind} *)({address(plan.places[node])})) < INFINITY)) return -1;"


def _step(calls: list[str], scratch: int, plan: MemoryPlan) -> str:
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


def _call(name: str, function: Function, in_parts: bool) -> str:
    """A call of a kernel, in parts on several threads if there is enough to do."""
    if not in_parts:
        all_of_it = ["0", str(function.extent)] + ["NULL"] * function.asks
        return f"{name}({', '.join([*function.arguments(), *all_of_it])});"
    pointers = ", ".join(f"(void *){argument}" for argument in function.arguments())
    extent = function.extent
    unit = f"CR_LARGE_PART({extent}, threads)" if function.copies else str(function.unit)
    return f"parallel({name}_part, (void *[]){{{pointers}}}, {extent}, {unit}, threads);"


def _is_parallel(function: Function) -> bool:
    return function.extent > function.unit and function.extent * function.grain >= _WORTH_A_THREAD


def _part(name: str, function: Function) -> str:
    """A kernel as a task of the pool."""
    types = [argument.split(")")[0] + ")" for argument in function.arguments()]
    given = [f"{kind}p[{i}]" for i, kind in enumerate(types)]
    given += ["begin", "end"] + ["parts"] * function.asks
    unused = [] if function.asks else ["  (void)parts;"]
    head = f"static void {name}_part(void *const *p, int64_t begin, int64_t end, cr_parts *parts)"
    return "\n".join([head, "{", *unused, f"  {name}({', '.join(given)});", "}"])


def description(kernel: Kernel) -> str:
    """What a call computes and for which layer, in characters that can do nothing in C."""
    names = dict.fromkeys(node.op.name for node in kernel.nodes)
    layers = dict.fromkeys(
        node.origin.layer for node in kernel.nodes if node.origin and node.origin.layer
    )
    result = kernel.nodes[-1].type
    text = f"{result} {', '.join(names)}" + (f" of {', '.join(layers)}" if layers else "")
    return re.sub(r"[^A-Za-z0-9_.,:\[\] ]", "_", text)[:160]
