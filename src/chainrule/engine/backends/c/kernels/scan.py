"""Loops over time and calls as C: a function around the kernels of one step.

Inside of it a step looks like a program of its own: tables of pointers to inputs and outputs, and
an arena. Inputs that stay the same are read where they are; slices and stacked results are
pointers that move on from step to step; a carry goes back and forth between two places, but for
the first, which is read where it was given, and the last, which is a result. A carry that a step
only writes at some indices, such as a cache, has one place, to which the first one is copied.
"""

from __future__ import annotations

from ....ir.graph import Graph
from ....ir.types import Type
from ..expressions import C_TYPES
from ..kernel import Kernel
from .cpu import target_in_use


def size_of(kind: Type) -> int:
    """Bytes of a value."""
    return kind.size * kind.dtype.itemsize


def _aligned(size: int) -> int:
    alignment = target_in_use().alignment
    return -(-max(size, 1) // alignment) * alignment


class Layout:
    """The working memory of a loop: carries, what is added up, what nobody reads; then the arena.

    Attributes:
        length: how many steps there are.
        consts, carries, sums: how many of the inputs and outputs are of these kinds.
        inputs: types of the body's inputs.
        outputs: types of the body's outputs.
        parts: what is stored outside, by the number of the output.
        kept: the numbers of carries that are written in their place.
        places: by the number of an output the offset of its own memory, and of a second one.
        arena: the offset of the arena of a step.
        bytes: of all.
    """

    def __init__(self, kernel: Kernel, arena: int) -> None:
        assert kernel.body is not None
        node = kernel.nodes[0]
        attributes = node.attributes
        self.is_scan = node.op.name == "scan"
        self.length: int = attributes.get("length", 1)
        self.reverse: bool = attributes.get("reverse", False)
        self.consts: int = attributes.get("consts", len(node.inputs))
        self.carries: int = attributes.get("carries", 0)
        self.sums: int = attributes.get("sums", 0)
        self.whole: Graph = attributes["body"]
        self.inputs = [p.type for p in kernel.body.inputs]
        self.outputs = [y.type for y in kernel.body.outputs]
        stored = set(kernel.stores)
        self.parts = {part.attributes["index"]: part for part in kernel.nodes[1:] if part in stored}
        given = kernel.body.inputs[self.consts : self.consts + self.carries]
        self.kept = {n for n, old in enumerate(given) if old in kernel.body.donated}
        self.places: dict[int, tuple[int, int]] = {}
        end = 0
        for number, kind in enumerate(self.outputs):
            if number in self.kept and number in self.parts:
                continue
            if number < self.carries + self.sums or number not in self.parts:
                size = _aligned(size_of(kind))
                self.places[number] = end, end + size
                end += size * (2 if number < self.carries and number not in self.kept else 1)
        self.arena = end
        self.bytes = end + _aligned(arena)


def loop_text(layout: Layout, calls: list[str], stops: bool) -> str:
    """The C function ``@`` around the calls of one step."""
    kind = "static int32_t" if stops else "static void"
    threads = target_in_use().threads
    const = "" if threads else "const "
    head = (
        f"{kind} @(const void *const *given, void *const *results, {const}void *const *constants,\n"
        f"    char *work, char *scratch{', cr_parallel_call parallel, int32_t threads' * threads})"
    )
    lines = ["(void)given, (void)results, (void)constants, (void)work, (void)scratch;"]
    lines += ["(void)parallel, (void)threads;"] * threads
    if layout.length == 0:
        lines += _no_steps(layout)
        return _function(head, lines, stops)
    inputs, outputs = len(layout.inputs), len(layout.outputs)
    lines += [
        f"const void *inputs[{max(inputs, 1)}];",
        f"void *outputs[{max(outputs, 1)}];",
        f"char *const arena = work + {layout.arena};",
        "(void)inputs, (void)outputs, (void)arena;",
    ]
    lines += ["int32_t out_of_range = 0, *const status = &out_of_range;"] * stops
    lines += [f"inputs[{n}] = given[{n}];" for n in range(layout.consts)]
    lines += _cleared(layout)
    fixed, moving = _pointers(layout)
    lines += fixed
    if layout.is_scan:
        lines.append(f"for (idx s = 0; s < {layout.length}; s++) {{")
        lines += [f"  {line}" for line in [*moving, *calls, *_added(layout)]]
        lines.append("}")
    else:
        lines += calls
    return _function(head, lines, stops)


def _function(head: str, lines: list[str], stops: bool) -> str:
    end = ["  return 0;"] if stops else []
    return "\n".join([head, "{", *(f"  {line}" for line in lines), *end, "}"])


def _no_steps(layout: Layout) -> list[str]:
    """The carries as they are, sums of nothing."""
    lines = [
        f"memcpy(results[{n}], given[{layout.consts + n}], {size_of(layout.outputs[n])});"
        for n in range(layout.carries)
        if n in layout.parts and layout.outputs[n].size
    ]
    return lines + _cleared(layout)


def _cleared(layout: Layout) -> list[str]:
    return [
        f"memset(results[{n}], 0, {size_of(layout.outputs[n])});"
        for n in range(layout.carries, layout.carries + layout.sums)
        if n in layout.parts
    ]


def _pointers(layout: Layout) -> tuple[list[str], list[str]]:
    """Where the inputs and outputs of a step are: for all steps, and for step s."""
    fixed, moving = [], []
    first = layout.consts + layout.carries
    last = layout.length - 1
    if len(layout.inputs) > first or len(layout.outputs) > layout.carries + layout.sums:
        moving.append(f"const idx t = {f'{last} - s' if layout.reverse else 's'};")
        moving.append("(void)t;")
    for n in sorted(layout.kept):
        place = f"results[{n}]" if n in layout.parts else f"work + {layout.places[n][0]}"
        fixed.append(f"outputs[{n}] = {place};")
        fixed.append(
            f"memcpy(outputs[{n}], given[{layout.consts + n}], {size_of(layout.outputs[n])});"
        )
        fixed.append(f"inputs[{layout.consts + n}] = outputs[{n}];")
    for n in (n for n in range(layout.carries) if n not in layout.kept):
        one, two = (f"work + {place}" for place in layout.places[n])
        before, after = f"(s % 2 ? {one} : {two})", f"(s % 2 ? {two} : {one})"
        moving.append(
            f"inputs[{layout.consts + n}] = s ? (const void *){before} "
            f": given[{layout.consts + n}];"
        )
        result = f"s == {last} ? results[{n}] : (void *){after}" if n in layout.parts else after
        moving.append(f"outputs[{n}] = {result};")
    for n in range(first, len(layout.inputs)):
        step = size_of(layout.whole.inputs[n].type)
        moving.append(f"inputs[{n}] = (const char *)given[{n}] + t * {step};")
    for n in range(layout.carries, len(layout.outputs)):
        if n in layout.places:
            fixed.append(f"outputs[{n}] = work + {layout.places[n][0]};")
        elif layout.is_scan:
            step = size_of(layout.whole.outputs[n].type)
            moving.append(f"outputs[{n}] = (char *)results[{n}] + t * {step};")
        else:
            fixed.append(f"outputs[{n}] = results[{n}];")
    return fixed, moving


def _added(layout: Layout) -> list[str]:
    """What a step adds to the sums."""
    lines = []
    for n in range(layout.carries, layout.carries + layout.sums):
        if n in layout.parts:
            kind, count = C_TYPES[layout.outputs[n].dtype.name], layout.outputs[n].size
            lines.append(
                f"for (idx i = 0; i < {count}; i++) "
                f"(({kind} *)results[{n}])[i] += ((const {kind} *)outputs[{n}])[i];"
            )
    return lines


def chunks_text(layout: Layout, name: str, scratch: int) -> str:
    """A task that takes parts of the batch through the loop, each with memory of its own."""
    given = [f"p[{n}]" for n in range(layout.consts)]
    given += [
        f"(const char *)p[{n}] + c * {size_of(layout.inputs[n])}"
        for n in range(layout.consts, len(layout.inputs))
    ]
    count = len(layout.inputs)
    results = [
        f"(char *)p[{count + n}] + c * {size_of(kind)}" if n in layout.parts else "NULL"
        for n, kind in enumerate(layout.outputs)
    ]
    end = count + len(layout.outputs)
    return "\n".join(
        [
            f"static void {name}_part(void *const *p, int64_t begin, int64_t end, cr_parts *parts)",
            "{",
            "  (void)parts;",
            "  for (idx c = begin; c < end; c++) {",
            f"    const void *const given[] = {{{', '.join(given) or 'NULL'}}};",
            f"    void *const results[] = {{{', '.join(results) or 'NULL'}}};",
            f"    {name}(given, results, (void *const *)p[{end}], (char *)p[{end + 1}] "
            f"+ c * {layout.bytes},",
            f"        (char *)p[{end + 2}] + c * {_aligned(scratch)}, NULL, 1);",
            "  }",
            "}",
        ]
    )


def all_scratch(chunks: int, scratch: int) -> int:
    """Bytes of the scratch memory of all parts of the batch."""
    return chunks * _aligned(scratch) if chunks > 1 and scratch else scratch
