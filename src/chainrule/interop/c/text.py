"""The header and the source of a program, as C99."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from ... import __version__
from ...engine.backends.c.expressions import C_TYPES
from ...engine.backends.c.standalone import Standalone, array_text, standalone
from ...engine.ir.types import Type
from .names import comment
from .processors import PROCESSORS, guard
from .program import Argument, Entry, Program

_WIDTH = 100


def lower(program: Program) -> Standalone:
    """The kernels of a program.

    Raises:
        UnsupportedError: an operation has no C; it is named.
    """
    kernels = PROCESSORS[program.processor].kernels
    tasks = {entry.name: entry.task for entry in program.entries}
    return standalone(tasks, kernels, exact=program.exact)


# ---- the header ----------------------------------------------------------------------------------


def header(program: Program, made: Standalone) -> str:
    """The text of PREFIX.h."""
    prefix, upper = program.prefix, program.prefix.upper()
    arena = max(made.arenas.values())
    lines = [
        f"/* {comment(program.title, 90)}. Written by chainrule {__version__}. */",
        f"#ifndef {upper}_H",
        f"#define {upper}_H",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        "/* Working memory, for one call at a time; nothing in it has to last between calls. */",
        f"#define {upper}_ARENA_BYTES {arena}",
        "typedef union {",
        f"  unsigned char bytes[{upper}_ARENA_BYTES];",
        "  double align;",
        "  int64_t align_integers;",
        f"}} {prefix}_arena;",
        "",
    ]
    if program.number:
        lines += [f"typedef {program.number} {prefix}_number;", ""]
    for block in program.declarations:
        lines += [block, ""]
    if program.state:
        lines += _state_declarations(program)
    lines += [
        "/* What functions return: 0, or one of these; then nothing but the arena was written. */",
        f"enum {{ {upper}_OUT_OF_RANGE = 1{f', {upper}_NOT_FINITE = -1' * _guards(program)} }};",
        "",
    ]
    for entry in program.entries:
        lines += [*_about(program, entry), f"{signature(program, entry)};", ""]
    lines += ["#ifdef __cplusplus", "}", "#endif", "", "#endif", ""]
    return "\n".join(lines)


def _guards(program: Program) -> bool:
    return any(entry.task.guards for entry in program.entries)


def _state_declarations(program: Program) -> list[str]:
    prefix, upper = program.prefix, program.prefix.upper()
    return [
        "/* What learning changes: weights and the state of the optimizer. */",
        f"#define {upper}_STATE_BYTES {program.state_bytes}",
        "typedef union {",
        f"  unsigned char bytes[{upper}_STATE_BYTES];",
        "  double align;",
        "  int64_t align_integers;",
        f"}} {prefix}_state;",
        "",
        "/* The state as it was exported; to be called before anything else. */",
        f"void {prefix}_init({prefix}_state *state);",
        "",
        "/* The state in bytes that any machine reads, such as for a page of flash memory. */",
        f"#define {upper}_SAVED_BYTES {_saved_bytes(program)}",
        f"void {prefix}_save(const {prefix}_state *state, unsigned char *saved);",
        "/* 0, or -1 if the bytes are damaged or of another program: then the state stays. */",
        f"int {prefix}_load({prefix}_state *state, const unsigned char *saved, size_t bytes);",
        "",
    ]


def _about(program: Program, entry: Entry) -> list[str]:
    named = [a for a in (*entry.arguments, *entry.results) if a.about]
    lines = [f"/* {entry.about}"]
    lines += [f" *   {a.name}: {comment(a.about, 88)}" for a in named]
    return [*lines[:-1], f"{lines[-1]} */"]


def signature(program: Program, entry: Entry) -> str:
    """The head of a function, without a semicolon."""
    prefix = program.prefix
    given = []
    if entry.variables:
        given.append(f"{'' if entry.changes else 'const '}{prefix}_state *state")
    given += [_declared(program, argument, "const ") for argument in entry.arguments]
    given += [_declared(program, result, "") for result in entry.results]
    given.append(f"{prefix}_arena *arena")
    return _wrapped(f"int {prefix}_{entry.name}(", given)


def _wrapped(head: str, given: Sequence[str]) -> str:
    lines = [head]
    for number, one in enumerate(given):
        piece = one + (")" if number == len(given) - 1 else ",")
        if len(lines[-1]) + len(piece) + 1 > _WIDTH:
            lines.append(f"    {piece}")
        else:
            lines[-1] += piece if lines[-1].endswith("(") else f" {piece}"
    return "\n".join(lines)


def _kind(program: Program, kind: Type) -> str:
    name = C_TYPES[kind.dtype.name]
    return f"{program.prefix}_number" if name == program.number else name


def _declared(program: Program, argument: Argument, const: str) -> str:
    kind = _kind(program, argument.type)
    if const and not argument.type.shape:
        return f"{kind} {argument.name}"
    extent = argument.extent or str(max(argument.type.size, 1))
    return f"{const}{kind} {argument.name}[{extent}]"


# ---- the source ----------------------------------------------------------------------------------


def source(program: Program, made: Standalone) -> str:
    """The text of PREFIX.c."""
    parts = [
        f"/* Written by chainrule {__version__}: see {program.prefix}.h. */",
        *([guard(program.processor)] if PROCESSORS[program.processor].needs else ()),
        f'#include "{program.prefix}.h"',
        "#if defined __clang__ /* products and sums are rounded one by one, as written */\n"
        "#pragma STDC FP_CONTRACT OFF\n#endif",
        made.source.rstrip(),
        *program.definitions,
    ]
    if program.state:
        parts += _state_functions(program)
    parts += [_function(program, entry) for entry in program.entries]
    return "\n\n".join(parts) + "\n"


def _function(program: Program, entry: Entry) -> str:
    """The function of the header, around the kernels."""
    inputs = [
        f"(void *){a.name}" if a.type.shape else f"(void *)&{a.name}" for a in entry.arguments
    ]
    inputs += [f"(void *)(state->bytes + {program.state[n].offset})" for n in entry.variables]
    outputs = [result.name for result in entry.results]
    return "\n".join(
        [
            signature(program, entry),
            "{",
            f"  void *inputs[] = {{{', '.join(inputs) or 'NULL'}}};",
            f"  void *outputs[] = {{{', '.join(outputs) or 'NULL'}}};",
            f"  const int32_t status = {entry.name}_step(inputs, outputs, (char *)arena->bytes);",
            "  return status > 0 ? 1 : (int)status;",
            "}",
        ]
    )


def _saved_bytes(program: Program) -> int:
    return 8 + sum(stored.value.nbytes for stored in program.state) + 4


def _fingerprint(program: Program) -> int:
    """A number of this layout: what was saved with another is not loaded."""
    layout = [(s.name, s.value.dtype.str, s.value.shape) for s in program.state]
    return zlib.crc32(repr(layout).encode())


_STATE_C = """\
/* The variables of the state: where each begins, its elements, the bytes of one. */
static const struct {
  uint32_t place, count, size;
} cr_parts[] = {
PARTS
};

void PREFIX_init(PREFIX_state *state)
{
INIT
}

/* One element, the least byte first, from or to the order of this machine. */
static void cr_element(unsigned char *to, const unsigned char *from, uint32_t size)
{
  const uint16_t one = 1;
  unsigned char low;
  memcpy(&low, &one, 1);
  for (uint32_t b = 0; b < size; b++) to[b] = from[low ? b : size - 1 - b];
}

/* CRC-32 as of zlib. */
static uint32_t cr_crc(const unsigned char *bytes, size_t count)
{
  uint32_t crc = 0xFFFFFFFFu;
  for (size_t i = 0; i < count; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1u ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

static void cr_put(unsigned char *to, uint32_t number)
{
  for (int b = 0; b < 4; b++) to[b] = (unsigned char)(number >> (8 * b) & 0xFFu);
}

static uint32_t cr_get(const unsigned char *from)
{
  uint32_t number = 0;
  for (int b = 0; b < 4; b++) number |= (uint32_t)from[b] << (8 * b);
  return number;
}

void PREFIX_save(const PREFIX_state *state, unsigned char *saved)
{
  unsigned char *to = saved + 8;
  memcpy(saved, "CRST", 4);
  cr_put(saved + 4, FINGERPRINT);
  for (size_t p = 0; p < sizeof cr_parts / sizeof *cr_parts; p++)
    for (uint32_t i = 0; i < cr_parts[p].count; i++, to += cr_parts[p].size)
      cr_element(to, state->bytes + cr_parts[p].place + i * cr_parts[p].size, cr_parts[p].size);
  cr_put(to, cr_crc(saved, (size_t)(to - saved)));
}

int PREFIX_load(PREFIX_state *state, const unsigned char *saved, size_t bytes)
{
  const unsigned char *from = saved + 8;
  if (bytes < SAVED || memcmp(saved, "CRST", 4) != 0) return -1;
  if (cr_get(saved + 4) != FINGERPRINT || cr_get(saved + SAVED - 4) != cr_crc(saved, SAVED - 4))
    return -1;
  for (size_t p = 0; p < sizeof cr_parts / sizeof *cr_parts; p++)
    for (uint32_t i = 0; i < cr_parts[p].count; i++, from += cr_parts[p].size)
      cr_element(state->bytes + cr_parts[p].place + i * cr_parts[p].size, from, cr_parts[p].size);
  return 0;
}"""


def _state_functions(program: Program) -> list[str]:
    """The first values, and the functions around the state."""
    arrays, init, parts = [], [], []
    for number, stored in enumerate(program.state):
        value = np.ascontiguousarray(stored.value)
        place = f"state->bytes + {stored.offset}"
        if value.any() or np.signbit(value.astype(float)).any():
            arrays.append(array_text(f"static const {{}} cr_w{number}[{{}}]", value))
            init.append(f"  memcpy({place}, cr_w{number}, {value.nbytes});")
        else:
            init.append(f"  memset({place}, 0, {max(value.nbytes, 1)});")
        parts.append(f"  {{{stored.offset}, {value.size}, {value.dtype.itemsize}}},"
                     f" /* {comment(stored.name)} */")  # fmt: skip
    text = _STATE_C.replace("PREFIX", program.prefix).replace("PARTS", "\n".join(parts))
    text = text.replace("FINGERPRINT", f"0x{_fingerprint(program):08X}u")
    text = text.replace("INIT", "\n".join(init)).replace("SAVED", f"{_saved_bytes(program)}u")
    return [*arrays, text]
