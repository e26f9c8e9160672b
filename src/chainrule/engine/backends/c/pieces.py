"""Arithmetic on elements as a native function for arrays of any size: see `ir.pieces`.

A program has fixed shapes and arrays; this has neither, so that one function updates all weights.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

from ....utils.typing import Array
from ...ir.node import Node
from ...ir.pieces import Part, number_of
from ..base import UnsupportedError
from . import toolchain
from .expressions import C_TYPES, LOCAL_TYPES, expression, literal, rule
from .prelude import prelude
from .threads import TASK_C, parallel

#: Elements of which a thread takes as many at a time; fewer than some of these are done by one.
_UNIT, _WORTH_A_THREAD = 1 << 12, 1 << 16

_RUN_C = f"""
void cr_run(void *const *pointers, int64_t size, cr_parallel_call parallel, int32_t threads);
void cr_run(void *const *pointers, int64_t size, cr_parallel_call parallel, int32_t threads)
{{
  if (size < {_WORTH_A_THREAD}) cr_elements(pointers, 0, size);
  else parallel(cr_elements, pointers, size, {_UNIT}, threads);
}}
"""


def native(part: Part) -> Callable[[Sequence[Array], Sequence[Array], Sequence[Array]], None]:
    """A function that fills the outputs of a part from its leaves and numbers, in order in memory.

    The bits are those of NumPy: nothing is fused, and IEEE 754 says the rest.

    Raises:
        BuildError: there is no compiler, or no C for an operation.
    """
    for node in part.nodes:
        if rule(node) is None:
            raise UnsupportedError(f"{node.op.name} of {node.type} has no C expression.")
    text = _text(part)
    run = toolchain.load(prelude(text) + TASK_C + text + _RUN_C).cr_run
    run.restype = None
    pool, threads = parallel(), ctypes.c_int32(toolchain.threads_wanted())
    table_of = ctypes.c_void_p * (len(part.leaves) + len(part.outputs) + len(part.numbers))

    def compute(given: Sequence[Array], made: Sequence[Array], numbers: Sequence[Array]) -> None:
        table = table_of(*[x.ctypes.data for x in (*given, *made, *numbers)])
        run(table, ctypes.c_int64(made[0].size), pool, threads)

    return compute


def _text(part: Part) -> str:
    """The loop over the elements, and the task of a thread that calls it."""
    arrays: list[str] = []
    arguments: list[str] = []
    body: list[str] = []
    name: dict[Node, str] = {}
    groups = ((part.leaves, "const "), (part.outputs, ""), (part.numbers, "const "))
    for group, (nodes, const) in enumerate(groups):
        for node in nodes:
            kind, local = (of[node.type.dtype.name] for of in (C_TYPES, LOCAL_TYPES))
            pointer = f"({const}{kind} *)p[{len(arguments)}]"
            if group == 2:
                arrays.append(f"{local} n{len(arguments)}")
                name[node] = f"n{len(arguments)}"
            else:
                arrays.append(f"{const}{kind} *restrict a{len(arguments)}")
            if group == 0:
                name[node] = f"x{len(arguments)}"
                body.append(f"const {local} {name[node]} = a{len(arguments)}[i];")
            arguments.append(f"*{pointer}" if group == 2 else pointer)
    for count, node in enumerate(part.nodes):
        local = LOCAL_TYPES[node.type.dtype.name]
        value = expression(node, [_operand(source, name) for source in node.inputs])
        name[node] = f"y{count}"
        body.append(f"const {local} {name[node]} = {value};")
    first = len(part.leaves)
    body += [f"a{first + i}[i] = {name[node]};" for i, node in enumerate(part.outputs)]
    lines = "\n".join(f"    {line}" for line in body)
    return f"""
CR_APART static void cr_loop({", ".join(arrays)}, int64_t begin, int64_t end)
{{
  for (idx i = begin; i < end; i++) {{
{lines}
  }}
}}

static void cr_elements(void *const *p, int64_t begin, int64_t end)
{{
  cr_loop({", ".join(arguments)}, begin, end);
}}
"""


def _operand(source: Node, name: dict[Node, str]) -> str:
    """What an operand is called, or the number that it is."""
    number = number_of(source)
    if source in name or number is None:
        return name[source]
    return name[number] if number in name else literal(number.value.reshape(-1)[0])  # type: ignore[union-attr]
