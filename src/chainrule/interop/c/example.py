"""The example beside the exported files: it calls every function, and what it then prints."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...data import Column
from ...engine.backends.c.expressions import C_TYPES
from ...engine.ir.program import Program as Reference
from ...utils.typing import Array
from .names import string
from .program import Argument, Entry, Program
from .raw_inputs import Interface

#: Numbers that are printed at most, of each result.
_SHOWN = 8
#: Steps of training in the example.
_STEPS = 20


def typical_row(columns: dict[str, Column]) -> list[tuple[str, float, str]]:
    """For each column of a table its name, a usual value, and that in C without the prefix."""
    found = []
    for name, column in columns.items():
        statistics = column.statistics
        value = statistics.median if statistics is not None else 0.0
        if column.kind == "category":
            value = 1.0 if column.vocabulary else 0.0
        elif column.kind == "text":
            value = 0.0
        elif column.kind == "boolean":
            value = float(round(value))
        found.append((name, float(np.float32(value)) if column.kind != "date" else value, ""))
    return found


def example_values(argument: Argument, made: Interface | None) -> Array:
    """The values of an argument in the example."""
    shape, dtype = argument.type.shape, argument.type.dtype
    if made is not None and made.columns:
        numbers: list[float] = []
        for (_, value, _), column in zip(typical_row(made.columns), made.columns.values(),
                                         strict=True):  # fmt: skip
            numbers += [value] * (column.longest if column.kind == "text" else 1)
        return np.array(numbers, dtype).reshape(1, -1).repeat(shape[0], 0)
    found: Array
    flat = np.arange(argument.type.size)
    if dtype.kind == "f":
        found = (flat % 5) * 0.25
    elif dtype.kind == "u" and dtype.itemsize == 1:
        found = flat * 37 % 256
    else:
        found = np.ones(len(flat))
    return found.astype(dtype).reshape(shape)


def expected(entry: Entry, given: Sequence[Array], state: Sequence[Array]) -> list[Array]:
    """What a function gives by the reference."""
    variables = [state[number] for number in entry.variables]
    results = Reference(entry.reference or entry.task.graph)([*given, *variables])
    return list(results[: len(entry.results)])


def main_text(program: Program, made: Interface | None, classes: Sequence[str]) -> str:
    """The text of main.c."""
    prefix, first = program.prefix, program.entries[0]
    lines = [
        "/* An example of all functions. The README says how to build it. */",
        "#include <math.h>",
        "#include <stdio.h>",
        "",
        f'#include "{prefix}.h"',
        "",
        f"static {prefix}_arena arena; /* may lie anywhere, even on the stack */",
    ]
    lines += [f"static {prefix}_state state;"] * bool(program.state)
    lines += ["", "int main(void)", "{"]
    for argument in first.arguments:
        lines += [f"  {line}" for line in _filled(program, argument, made, "")]
    lines += [f"  {_declaration(program, result, '')};" for result in first.results]
    lines += [f"  {prefix}_init(&state);"] * bool(program.state)
    lines += _call(program, first, "")
    lines += _shown(program, first, made, classes)
    for entry in program.entries[1:]:
        lines += _more(program, entry, made)
    lines += ["  return 0;", "}", ""]
    return "\n".join(lines)


def _declaration(program: Program, argument: Argument, end: str) -> str:
    name = C_TYPES[argument.type.dtype.name]
    kind = f"{program.prefix}_number" if name == program.number else name
    return f"{kind} {argument.name}{end}[{max(argument.type.size, 1)}]"


def _filled(program: Program, argument: Argument, made: Interface | None, end: str) -> list[str]:
    """Statements that declare and fill an argument, as `example_values` has it."""
    name, kind = argument.name + end, argument.type
    if made is not None and made.columns:
        lines = [f"{program.prefix}_number {name}[{program.prefix.upper()}_COLUMNS];"]
        lines.append(f"for (int i = 0; i < {program.prefix.upper()}_COLUMNS; i++) {name}[i] = 0;")
        for column, value, _ in typical_row(made.columns):
            if value:
                lines.append(f"{name}[{program.prefix}_{column}] = {_literal(value, program)};")
        return lines
    if not kind.shape:
        c_type = C_TYPES[kind.dtype.name]
        return [f"const {c_type} {name} = ({c_type}){example_values(argument, None).item()};"]
    declaration = f"{_declaration(program, argument, end)};"
    c_type = C_TYPES[kind.dtype.name]
    if kind.dtype.kind == "f":
        formula = f"({c_type})(i % 5) * ({c_type})0.25"
    else:
        is_pixel = kind.dtype.kind == "u" and kind.dtype.itemsize == 1
        formula = f"({c_type})(i * 37 % 256)" if is_pixel else "1"
    return [declaration, f"for (int i = 0; i < {kind.size}; i++) {name}[i] = {formula};"]


def _literal(value: float, program: Program) -> str:
    text = repr(float(value)) if program.number == "double" else str(np.float32(value))
    text = text if "." in text or "e" in text else f"{text}.0"
    return text if program.number == "double" else f"{text}f"


def _arguments(entry: Entry, end: str, targets: Sequence[str] = ()) -> str:
    given = ["&state"] * bool(entry.variables)
    names = [a.name + end for a in entry.arguments]
    given += [*names[: len(names) - len(targets)], *targets]
    given += [result.name + end for result in entry.results]
    return ", ".join([*given, "&arena"])


def _call(program: Program, entry: Entry, end: str) -> list[str]:
    return [f"  if ({program.prefix}_{entry.name}({_arguments(entry, end)}) != 0) {{",
            '    printf("a value is out of range\\n");', "    return 1;", "  }"]  # fmt: skip


def _shown(
    program: Program, entry: Entry, made: Interface | None, classes: Sequence[str]
) -> list[str]:
    """Print the results."""
    (first, *_), prefix = entry.results, program.prefix
    if classes and made is not None:
        return [
            f'  printf("class: %s\\n", {prefix}_class_names[{prefix}_class({first.name})]);',
            f"  for (int c = 0; c < {prefix.upper()}_CLASSES; c++)",
            f'    printf("%s: %.6f\\n", {prefix}_class_names[c], (double){first.name}[c]);',
        ]
    if made is not None and len(made.labels) == first.type.size:
        return [f'  printf({string(label + ": ")} "%.6g\\n", (double){first.name}[{i}]);'
                for i, label in enumerate(made.labels)]  # fmt: skip
    lines = []
    for result in entry.results:
        count = min(max(result.type.size, 1), _SHOWN)
        lines.append(f"  for (int i = 0; i < {count}; i++)")
        lines.append(f'    printf("{result.name}[%d]: %.6g\\n", i, (double){result.name}[i]);')
    return lines


def _more(program: Program, entry: Entry, made: Interface | None) -> list[str]:
    """Call another function: gradients once, learning some steps."""
    end = f"_{entry.name}"
    if entry.name != "learn":
        used = {a.name for a in program.entries[0].arguments}
        lines = [f"  {_declaration(program, result, end)};" for result in entry.results]
        given = [a.name for a in entry.arguments]
        assert used >= set(given)
        call = ", ".join([*given, *(r.name + end for r in entry.results), "&arena"])
        lines.append(f"  if ({program.prefix}_{entry.name}({call}) != 0) return 1;")
        for result in entry.results:
            count = min(max(result.type.size, 1), _SHOWN)
            lines.append(f"  for (int i = 0; i < {count}; i++)")
            lines.append(f'    printf("{result.name}[%d]: %.6g\\n", i, '
                         f"(double){result.name}{end}[i]);")  # fmt: skip
        return lines
    return _learning(program, entry)


def _learning(program: Program, entry: Entry) -> list[str]:
    """Twenty steps on copies of the one row, towards a target of its own."""
    *rows, targets, _ = entry.arguments
    single = program.entries[0].arguments
    batch = rows[0].type.shape[0]
    lines = ["", "  /* learning: the same row again and again */"]
    names = []
    for argument, one in zip(rows, single, strict=True):
        count = math.prod(one.type.shape)
        lines.append(f"  {_declaration(program, argument, '_learn')};")
        lines.append(f"  for (int r = 0; r < {batch}; r++)")
        lines.append(f"    for (int i = 0; i < {count}; i++) "
                     f"{argument.name}_learn[r * {count} + i] = {one.name}[i];")  # fmt: skip
        names.append(f"{argument.name}_learn")
    kind = C_TYPES[targets.type.dtype.name]
    out = program.entries[0].results[0]
    value = "0" if targets.type.dtype.kind == "i" else (
        f"({kind}){out.name}[i % {max(out.type.size, 1)}] * ({kind})1.1 + ({kind})0.1"
    )  # fmt: skip
    lines += [
        f"  {kind} targets[{targets.type.size}];",
        f"  for (int i = 0; i < {targets.type.size}; i++) targets[i] = {value};",
        "  float loss[1];",
        f"  for (int step = 0; step < {_STEPS}; step++) {{",
        f"    if ({program.prefix}_learn(&state, {', '.join(names)}, targets, 0.01f, loss, &arena) "
        "!= 0) {",
        '      printf("the loss is not finite, or a value is out of range\\n");',
        "      return 1;",
        "    }",
        f"    if (step % {_STEPS - 1} == 0) "
        'printf("loss of step %d: %.6f\\n", step + 1, (double)loss[0]);',
        "  }",
        f"  static unsigned char saved[{program.prefix.upper()}_SAVED_BYTES];",
        f"  {program.prefix}_save(&state, saved);",
        f"  if ({program.prefix}_load(&state, saved, sizeof saved) != 0) return 1;",
    ]
    return lines


def printed(program: Program, made: Interface | None, classes: Sequence[str]) -> list[str]:
    """What the example prints first, by the reference; other machines may round otherwise."""
    first = program.entries[0]
    given = [example_values(argument, made) for argument in first.arguments]
    found = expected(first, given, [stored.value for stored in program.state])
    values = np.asarray(found[0]).reshape(-1)
    if classes and made is not None:
        best = f"class: {classes[made.best(values)]}"
        return [best, *(f"{name}: {p:.6f}" for name, p in zip(classes, values, strict=True))]
    if made is not None and len(made.labels) == len(values):
        return [f"{label}: {v:.6g}" for label, v in zip(made.labels, values, strict=True)]
    return [
        f"{result.name}[{i}]: {value:.6g}"
        for result, array in zip(first.results, found, strict=True)
        for i, value in enumerate(np.asarray(array).reshape(-1)[:_SHOWN].tolist())
    ]
