"""What exported files cost: flash, RAM, stack, operations, each kernel."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...engine.backends.c import toolchain
from ...engine.backends.c.standalone import Part, Standalone, library_of
from .comparison import Metrics
from .processors import PROCESSORS
from .program import Program


@dataclass(frozen=True)
class Report:
    """What a program costs, in bytes and operations.

    Attributes:
        constants: of weights and tables, in flash.
        code: of the functions for this machine, optimised for size; None without a compiler.
        arena: of working memory, in RAM.
        state: of what learning changes, in RAM.
        stack: of the deepest call on this machine; None without a compiler that says it.
        operations: of each function.
        kernels: of each function.
        library: functions of the C library that are called.
        in_8_bits: how predictions in 8 bits compare with those in floating point; empty of others.
        metrics: on a test set, by "int8" and "float32"; None without one.
    """

    constants: int
    code: int | None
    arena: int
    state: int
    stack: int | None
    operations: dict[str, int]
    kernels: dict[str, list[Part]]
    library: tuple[str, ...]
    in_8_bits: str = ""
    metrics: Metrics | None = None

    @property
    def ram(self) -> int:
        """Bytes of RAM, with the stack if it is known."""
        return self.arena + self.state + (self.stack or 0)

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self) | {"ram": self.ram}


def report(program: Program, made: Standalone, files: dict[str, str]) -> Report:
    """What a program costs.

    Args:
        program: what it is.
        made: its kernels.
        files: its header and source, by name.
    """
    weights = sum(s.value.nbytes for s in program.state if s.value.any())
    code, stack = _measured(program, files, made.constants + weights)
    operations = {name: sum(p.operations for p in parts) for name, parts in made.parts.items()}
    library = library_of(files[f"{program.prefix}.c"])
    return Report(made.constants + weights, code, max(made.arenas.values()), program.state_bytes,
                  stack, operations, dict(made.parts), library)  # fmt: skip


def _measured(
    program: Program, files: dict[str, str], constants: int
) -> tuple[int | None, int | None]:
    """Bytes of code, and of the deepest stack, as this machine's compiler has them."""
    flags = PROCESSORS[program.processor].flags
    with tempfile.TemporaryDirectory(prefix="chainrule-") as name:
        folder = Path(name)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        try:
            toolchain.call(("-std=c99", "-Os", "-fstack-usage", *flags, "-c",
                            f"{program.prefix}.c", "-o", "program.o"), folder)  # fmt: skip
        except (toolchain.CompilerError, OSError):
            return None, None
        usage = next(iter(folder.glob("*.su")), None)
        stack = None if usage is None else _deepest(program, usage.read_text())
        return _code(folder / "program.o", constants), stack


def _deepest(program: Program, usage: str) -> int:
    """A function of the header, its step, a kernel, and what that calls."""
    entries = {f"{program.prefix}_{entry.name}" for entry in program.entries}
    steps = {f"{entry.name}_step" for entry in program.entries}
    deepest = dict.fromkeys(("entry", "step", "kernel", "helper"), 0)
    for line in usage.splitlines():
        place, size, *_ = line.split("\t")
        name = place.rpartition(":")[2]
        level = ("entry" if name in entries else "step" if name in steps
                 else "kernel" if re.fullmatch(r"k\d+", name) else "helper")  # fmt: skip
        deepest[level] = max(deepest[level], int(size))
    return sum(deepest.values())


def _code(file: Path, constants: int) -> int | None:
    """Bytes of an object file that are no constants."""
    tool = shutil.which("size")
    if tool is None:
        return None
    said = subprocess.run([tool, str(file)], capture_output=True, text=True, check=False).stdout
    lines = said.splitlines()
    if len(lines) < 2 or not lines[1].split()[0].isdigit():
        return None
    text, data, *_ = map(int, lines[1].split()[:2])
    return max(text + data - constants, 0)
