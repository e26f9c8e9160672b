"""Exported C as WebAssembly, with an ES module around it for browsers and Node."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ...engine.backends.c.expressions import C_TYPES
from ...errors import ConfigError
from ..category_codes import code_of_others, codes_of
from .names import comment
from .program import Argument, Entry, Program
from .raw_inputs import Interface

#: Clang by the names that it has on usual systems, newest first.
_CLANGS = ("clang", *(f"clang-{version}" for version in range(22, 11, -1)))
#: What a module needs of the C library if there is none for WebAssembly.
_MEMORY_C = """
void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
  unsigned char *t = to;
  const unsigned char *f = from;
  while (n--) *t++ = *f++;
  return to;
}

void *memset(void *to, int value, size_t n)
{
  unsigned char *t = to;
  while (n--) *t++ = (unsigned char)value;
  return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
  const unsigned char *x = a, *y = b;
  for (; n--; x++, y++)
    if (*x != *y) return *x < *y ? -1 : 1;
  return 0;
}
"""
_OPTIONS = ("-std=c99", "-O2", "-ffp-contract=off", "-nostdlib", "-Wl,--no-entry",
            "-Wl,--strip-all")  # fmt: skip


def build_wasm(
    files: Mapping[str, str], program: Program, made: Interface | None, classes: Sequence[str]
) -> dict[str, bytes]:
    """``PREFIX.wasm`` and ``PREFIX.mjs`` of exported files, by name.

    Args:
        files: header and source, by name.
        program: what was exported.
        made: how it is called, if it is a model.
        classes: of a model.

    Raises:
        ConfigError: there is no compiler for WebAssembly, or it failed.
    """
    prefix = program.prefix
    text = resources.files(__package__).joinpath("module.mjs").read_text(encoding="utf-8")
    about = json.dumps(description(program, made, classes), indent=1, ensure_ascii=True)
    text = text.replace("PREFIX", prefix).replace("/* ABOUT */ {}", about)
    with tempfile.TemporaryDirectory(prefix="chainrule-") as name:
        folder = Path(name)
        for file, content in ({**files, "wasm.c": glue(program)}).items():
            (folder / file).write_text(content, encoding="utf-8")
        _compile(folder, prefix)
        binary = (folder / "module.wasm").read_bytes()
    return {f"{prefix}.wasm": binary, f"{prefix}.mjs": text.encode()}


def _compile(folder: Path, prefix: str) -> None:
    """By the first compiler that can; the errors of all if none can."""
    files: tuple[str, ...] = (f"{prefix}.c", "wasm.c")
    said = []
    for command, libraries in _compilers():
        own = files
        if not libraries:
            (folder / "memory.c").write_text("#include <stddef.h>\n" + _MEMORY_C, encoding="utf-8")
            own = (*files, "memory.c")
        line = (*command, *_OPTIONS, *own, *libraries, "-o", "module.wasm")
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL)  # fmt: skip
        if done.returncode == 0 and not imports((folder / "module.wasm").read_bytes()):
            return
        if done.returncode == 0:
            said.append(f"{command[0]}: error: the module would import functions")
            continue
        lines = [one for one in done.stderr.splitlines() if "error" in one] or [done.stderr[:200]]
        said.append(f"{command[0]}: {lines[0].strip()}")
    raise ConfigError(
        "There is no compiler for WebAssembly.",
        expected="clang with lld and wasi-libc, or the package ziglang",
        found="; ".join(said)[:600] or "none",
        hint="pip install 'chainrule[cc]', or: apt install clang lld wasi-libc",
    )


def imports(module: bytes) -> int:
    r"""How many things a WebAssembly module imports.

    Args:
        module: its bytes.

    Example:
        >>> imports(b"\0asm\1\0\0\0" + b"\2\7\1\1a\1b\0\0"), imports(b"\0asm\1\0\0\0")
        (1, 0)
    """
    place = 8
    while place < len(module):
        section = module[place]
        size, start = _leb128(module, place + 1)
        if section == _IMPORTS:
            return _leb128(module, start)[0]
        place = start + size
    return 0


#: The number of the section of a module that lists what it imports.
_IMPORTS = 2


def _leb128(text: bytes, place: int) -> tuple[int, int]:
    """A number as WebAssembly writes it, and where it ends."""
    number = shift = 0
    while True:
        byte = text[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place


def _compilers() -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Commands, and the libraries that each has for WebAssembly."""
    found: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    clang = next((path for name in _CLANGS if (path := shutil.which(name))), None)
    if clang is not None:
        found.append(((clang, "--target=wasm32-wasi"), ("-lc",)))
        # Without a C library for it: enough for programs that need no more than memory.
        headers = "-isystem", str(_headers())
        found.append(((clang, "--target=wasm32", "-ffreestanding", *headers), ()))
    if importlib.util.find_spec("ziglang") is not None:
        # A library ("reactor"), or else there would be a main, which imports what starts it.
        zig = (sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-wasi")
        found.append(((*zig, "-mexec-model=reactor"), ("-lc",)))
    return found


def _headers() -> Path:
    """Headers that declare what clang has as instructions of WebAssembly."""
    return Path(str(resources.files(__package__).joinpath("wasm_headers")))


# ---- the C side ----------------------------------------------------------------------------------


def glue(program: Program) -> str:
    """C that keeps arguments and results of each function in memory that JavaScript sees."""
    prefix = program.prefix
    lines = [f'#include "{prefix}.h"', "",
             "#define SHOWN(name) __attribute__((export_name(name)))",
             f"static {prefix}_arena arena;"]  # fmt: skip
    if program.state:
        lines += [
            f"static {prefix}_state state;",
            f"static unsigned char saved[{prefix.upper()}_SAVED_BYTES];",
            f'SHOWN("init") void js_init(void) {{ {prefix}_init(&state); }}',
            f'SHOWN("save") void js_save(void) {{ {prefix}_save(&state, saved); }}',
            'SHOWN("load") int js_load(void)',
            f"{{ return {prefix}_load(&state, saved, sizeof saved); }}",
            'SHOWN("saved") unsigned char *js_saved(void) { return saved; }',
        ]
    for entry in program.entries:
        lines += _entry(program, entry)
    return "\n".join(lines) + "\n"


def _entry(program: Program, entry: Entry) -> list[str]:
    lines, given = [], ["&state"] * bool(entry.variables)
    for argument in (*entry.arguments, *entry.results):
        name = f"{entry.name}_{argument.name}"
        kind = C_TYPES[argument.type.dtype.name]
        size = max(argument.type.size, 1)
        lines.append(f"static {kind} at_{name}[{size}];")
        lines.append(f'SHOWN("{name}") {kind} *js_{name}(void) {{ return at_{name}; }}')
        scalar = argument in entry.arguments and not argument.type.shape
        given.append(f"at_{name}[0]" if scalar else f"at_{name}")
    call = f"{program.prefix}_{entry.name}({', '.join([*given, '&arena'])})"
    lines.append(f'SHOWN("{entry.name}") int js_{entry.name}(void) {{ return {call}; }}')
    return lines


# ---- the JavaScript side -------------------------------------------------------------------------


def description(program: Program, made: Interface | None, classes: Sequence[str]) -> dict[str, Any]:
    """What the module has to know, as JSON data."""
    columns = [
        {"name": column.name, "kind": column.kind, "width": column.longest or 1}
        | ({"codes": codes_of(column), "others": code_of_others(column)}
           if column.kind == "category" else {})
        for column in (made.columns.values() if made is not None else ())
    ]  # fmt: skip
    rule = None if made is None or made.rule is None else list(made.rule)
    return {
        "title": comment(program.title, 90),
        "columns": columns,
        "classes": list(classes),
        "rule": rule,
        "state": bool(program.state),
        "savedBytes": 8 + sum(s.value.nbytes for s in program.state) + 4 if program.state else 0,
        "functions": {entry.name: _function(entry) for entry in program.entries},
    }


def _function(entry: Entry) -> dict[str, Any]:
    def one(argument: Argument) -> dict[str, Any]:
        kind = argument.type
        return {"name": argument.name, "type": kind.dtype.name, "size": max(kind.size, 1)}

    return {"arguments": [one(a) for a in entry.arguments],
            "results": [one(r) for r in entry.results]}  # fmt: skip
