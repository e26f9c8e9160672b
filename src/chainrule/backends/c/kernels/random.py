"""Philox4x32-10, the random number generator (see `chainrule.ops.random`), in C."""

from __future__ import annotations

from ....ir.node import Node
from ..function import Function, Where
from ..views import View

RANDOM_C = """
/* Philox4x32-10: the words of blocks first, first + 1, ..., first + 15 of a stream */
static void cr_philox(uint32_t *restrict words, uint64_t first, uint32_t stream,
    uint32_t k0, uint32_t k1)
{
  uint32_t c0[16], c1[16], c2[16], c3[16]; /* sixteen blocks side by side, for vectors */
  for (int i = 0; i < 16; i++) {
    c0[i] = (uint32_t)(first + i);
    c1[i] = (uint32_t)((first + i) >> 32);
    c2[i] = 0;
    c3[i] = stream;
  }
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < 16; i++) {
      const uint64_t one = (uint64_t)0xD2511F53u * c0[i], two = (uint64_t)0xCD9E8D57u * c2[i];
      c0[i] = (uint32_t)(two >> 32) ^ c1[i] ^ k0;
      c1[i] = (uint32_t)two;
      c2[i] = (uint32_t)(one >> 32) ^ c3[i] ^ k1;
      c3[i] = (uint32_t)one;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int i = 0; i < 16; i++) {
    words[4 * i] = c0[i];
    words[4 * i + 1] = c1[i];
    words[4 * i + 2] = c2[i];
    words[4 * i + 3] = c3[i];
  }
}
"""


def random_bits(node: Node, sources: list[View], where: Where) -> Function | None:
    """Block b of four words is the enciphered counter (b, 0); a unit is 16 of them."""
    count = node.type.size
    if count == 0:
        return None
    function = Function(where, extent=-(-count // 64), grain=400)
    key = _key(function, sources[0])
    y = function.writes(node)
    function.line("for (idx b = begin; b < end; b++) {")
    function.line("uint32_t words[64];", 2)
    function.line(f"cr_philox(words, (uint64_t)b * 16, 0, {key});", 2)
    function.line(f"const idx n = {count} - b * 64 < 64 ? {count} - b * 64 : 64;", 2)
    function.line(f"memcpy({y} + b * 64, words, n * sizeof *words);", 2)
    function.line("}")
    return function


def fold_in(node: Node, sources: list[View], where: Where) -> Function | None:
    """A new key: the enciphered number, in a stream of counters of its own."""
    function = Function(where)
    function.serial()
    key = _key(function, sources[0])
    number = f"{function.reads(sources[1].base)}[{sources[1].offset}]"
    y = function.writes(node)
    function.line(f"const uint64_t number = (uint64_t){number};")
    function.line("uint32_t words[64];")
    function.line(f"cr_philox(words, number, 1, {key});")
    function.line(f"{y}[0] = words[0];")
    function.line(f"{y}[1] = words[1];")
    return function


def _key(function: Function, view: View) -> str:
    """The two words of a key, as arguments."""
    name = function.reads(view.base)
    return f"{name}[{view.offset}], {name}[{view.offset + 1}]"
