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
#if defined __AVX2__ && defined __GNUC__
  /* a word in the lower half of each number; what is in the upper halves does not matter */
  typedef uint64_t lanes __attribute__((vector_size(32), aligned(4), may_alias));
  typedef int halves __attribute__((vector_size(32)));
  const lanes m0 = (lanes){0} + 0xD2511F53u, m2 = (lanes){0} + 0xCD9E8D57u;
  for (int part = 0; part < 2; part++, first += 8) {
    lanes c0[2], c1[2], c2[2], c3[2]; /* eight blocks side by side */
    for (int i = 0; i < 2; i++) {
      c0[i] = first + (uint64_t)(4 * i) + (lanes){0, 1, 2, 3};
      c1[i] = c0[i] >> 32;
      c2[i] = (lanes){0};
      c3[i] = c2[i] + stream;
    }
    uint32_t a = k0, b = k1;
    for (int round = 0; round < 10; round++) {
      for (int i = 0; i < 2; i++) {
        const lanes one = (lanes)__builtin_ia32_pmuludq256((halves)c0[i], (halves)m0);
        const lanes two = (lanes)__builtin_ia32_pmuludq256((halves)c2[i], (halves)m2);
        c0[i] = two >> 32 ^ c1[i] ^ a;
        c1[i] = two;
        c2[i] = one >> 32 ^ c3[i] ^ b;
        c3[i] = one;
      }
      a += 0x9E3779B9u;
      b += 0xBB67AE85u;
    }
    for (int i = 0; i < 2; i++, words += 16) {
      const lanes p = (c0[i] & 0xFFFFFFFFu) | c1[i] << 32, q = (c2[i] & 0xFFFFFFFFu) | c3[i] << 32;
      *(lanes *)words = (lanes){p[0], q[0], p[1], q[1]};
      *(lanes *)(words + 8) = (lanes){p[2], q[2], p[3], q[3]};
    }
  }
#else
  uint32_t c0[16], c1[16], c2[16], c3[16]; /* sixteen blocks side by side, for vectors */
  for (int i = 0; i < 16; i++) {
    c0[i] = (uint32_t)(first + (uint64_t)i);
    c1[i] = (uint32_t)((first + (uint64_t)i) >> 32);
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
#endif
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
    if count % 64:
        function.line(f"if (b == {count // 64}) {{ /* the last words */", 2)
        function.line("uint32_t words[64];", 3)
        function.line(f"cr_philox(words, (uint64_t)b * 16, 0, {key});", 3)
        function.line(f"memcpy({y} + b * 64, words, {count % 64} * sizeof *words);", 3)
        function.line("continue;", 3)
        function.line("}", 2)
    function.line(f"cr_philox({y} + b * 64, (uint64_t)b * 16, 0, {key});", 2)
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
