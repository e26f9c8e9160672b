"""Philox4x32-10, the random number generator (see `chainrule.ops.random`), in C."""

from __future__ import annotations

from ....ir.node import Node
from ..function import Function, Where
from ..views import View

RANDOM_C = """
/* Philox4x32-10: four words c, enciphered with two words of key */
static inline void cr_philox(uint32_t *c, uint32_t k0, uint32_t k1)
{
  for (int round = 0; round < 10; round++) {
    const uint64_t first = (uint64_t)0xD2511F53u * c[0], second = (uint64_t)0xCD9E8D57u * c[2];
    const uint32_t c1 = c[1], c3 = c[3];
    c[0] = (uint32_t)(second >> 32) ^ c1 ^ k0;
    c[1] = (uint32_t)second;
    c[2] = (uint32_t)(first >> 32) ^ c3 ^ k1;
    c[3] = (uint32_t)first;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}
"""


def random_bits(node: Node, sources: list[View], where: Where) -> Function | None:
    """Block b of four words is the enciphered counter (b, 0)."""
    count = node.type.size
    if count == 0:
        return None
    function = Function(where, extent=-(-count // 4), grain=100)
    key, offset = function.reads(sources[0].base), sources[0].offset
    y = function.writes(node)
    function.line("for (idx b = begin; b < end; b++) {")
    function.line("uint32_t c[4] = {(uint32_t)b, (uint32_t)((uint64_t)b >> 32), 0, 0};", 2)
    function.line(f"cr_philox(c, {key}[{offset}], {key}[{offset + 1}]);", 2)
    function.line(f"const idx n = {count} - b * 4 < 4 ? {count} - b * 4 : 4;", 2)
    function.line(f"for (idx j = 0; j < n; j++) {y}[b * 4 + j] = c[j];", 2)
    function.line("}")
    return function


def fold_in(node: Node, sources: list[View], where: Where) -> Function | None:
    """A new key: the enciphered number, in a stream of counters of its own."""
    function = Function(where)
    function.serial()
    key, offset = function.reads(sources[0].base), sources[0].offset
    number = f"{function.reads(sources[1].base)}[{sources[1].offset}]"
    y = function.writes(node)
    function.line(f"const uint64_t number = (uint64_t){number};")
    function.line("uint32_t c[4] = {(uint32_t)number, (uint32_t)(number >> 32), 0, 1};")
    function.line(f"cr_philox(c, {key}[{offset}], {key}[{offset + 1}]);")
    function.line(f"{y}[0] = c[0];")
    function.line(f"{y}[1] = c[1];")
    return function
