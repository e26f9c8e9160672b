"""The README beside exported files."""

from __future__ import annotations

from collections.abc import Sequence

from ... import __version__
from .names import comment
from .processors import PROCESSORS
from .program import Program
from .report import Report


def readme(program: Program, found: Report, printed: Sequence[str], extra: Sequence[str]) -> str:
    """The text of README.md.

    Args:
        program: what was exported.
        found: what it costs.
        printed: the first lines of the example.
        extra: files beside, with what they are.
    """
    prefix, chosen = program.prefix, PROCESSORS[program.processor]
    options = " ".join(("-O3", *chosen.flags)) if chosen.needs else "-O2"
    parts = [
        f"# {prefix} in C\n\n{comment(program.title, 90)}, written by chainrule {__version__}: "
        f"`{prefix}.h` and `{prefix}.c`, plain C99. Nothing is allocated; weights are constants; "
        "working memory is the caller's.",
        f"## Try it\n\n    gcc {options} -o {prefix} main.c {prefix}.c -lm\n    ./{prefix}\n\n"
        "It prints\n\n" + "\n".join(f"    {comment(line, 90)}" for line in printed),
        _costs(found),
        _functions(program),
    ]
    if program.notes:
        parts.append("## To know\n\n" + "\n".join(f"- {_text(note)}" for note in program.notes))
    if extra:
        parts.append("## Beside\n\n" + "\n".join(f"- {line}" for line in extra))
    parts.append(_building(program, found))
    parts += [_kernels(name, found) for name in found.kernels]
    return "\n\n".join(parts) + "\n"


def _text(note: str) -> str:
    return note.replace("`", "'").replace("<", "&lt;")


def _costs(found: Report) -> str:
    def bytes_(size: int | None) -> str:
        return "unknown: no compiler for it was found" if size is None else f"{size:,} bytes"

    rows = [
        ("flash: weights and tables", bytes_(found.constants)),
        ("flash: code (this machine, -Os)", bytes_(found.code)),
        ("RAM: working memory (arena)", bytes_(found.arena)),
    ]
    if found.state:
        rows.append(("RAM: what learns (state)", bytes_(found.state)))
    rows.append(("RAM: deepest stack (this machine, -Os)", bytes_(found.stack)))
    rows += [(f"operations of {name}", f"{count:,}") for name, count in found.operations.items()]
    lines = [f"| {name} | {value} |" for name, value in rows]
    return "\n".join(["## What it costs", "", "| | |", "|---|---:|", *lines])


def _functions(program: Program) -> str:
    prefix = program.prefix
    lines = [f"- `{prefix}_{entry.name}`: {entry.about}" for entry in program.entries]
    if program.state:
        lines.append(f"- `{prefix}_init`: the state as it was exported; call it first.")
        lines.append(f"- `{prefix}_save`, `{prefix}_load`: the state as bytes for any machine.")
    return (
        "## Functions\n\n" + "\n".join(lines) + f"\n\nAll are described in `{prefix}.h`. They "
        "return 0 if all went well. Calls with different arenas (and states) may run at the same "
        "time."
    )


def _building(program: Program, found: Report) -> str:
    names, chosen = ", ".join(found.library) or "none", PROCESSORS[program.processor]
    return (
        f"## For a device\n\nIt is for {chosen.about}, for example\n\n"
        f"    {chosen.compiler} -std=c99 -c {program.prefix}.c\n\n"
        f"Functions of the C library that are called: {names}. Do not use -ffast-math: missing "
        "values are NaN."
    )


def _kernels(name: str, found: Report) -> str:
    head = [
        "| computes | operations | constants (bytes) | results (bytes) |",
        "|---|---:|---:|---:|",
    ]
    rows = [
        f"| {part.about} | {part.operations:,} | {part.constants:,} | {part.results:,} |"
        for part in found.kernels[name]
    ]
    return "\n".join([f"## Inside of {name}", "", *head, *rows])
