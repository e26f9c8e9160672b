"""The matrix product as a kernel: operands in order, any batch, both transpose flags."""

from __future__ import annotations

import math

from ....ir.node import Node
from ..expressions import C_TYPES
from ..function import Function, Where
from ..views import View


def matmul(node: Node, sources: list[View], where: Where) -> Function | None:
    """C = A·B for every matrix of the batch."""
    a, b = sources
    batch = math.prod(node.type.shape[:-2])
    m, n = node.type.shape[-2:]
    k = a.shape[-2] if node.attributes["transpose_a"] else a.shape[-1]
    if batch * m * n == 0:
        return None
    function = Function(where, extent=batch, grain=m * n * k)
    x, y, z = function.reads(a.base), function.reads(b.base), function.writes(node)
    kind = C_TYPES[node.type.dtype.name]
    at = ("1", str(m)) if node.attributes["transpose_a"] else (str(k), "1")
    bt = ("1", str(k)) if node.attributes["transpose_b"] else (str(n), "1")
    line = function.line
    line("for (idx g = begin; g < end; g++) {")
    line(f"const {kind} *restrict a = {x} + {a.offset} + g * {m * k};", 2)
    line(f"const {kind} *restrict b = {y} + {b.offset} + g * {k * n};", 2)
    line(f"{kind} *restrict c = {z} + g * {m * n};", 2)
    line(f"for (idx i = 0; i < {m}; i++) {{", 2)
    line(f"for (idx j = 0; j < {n}; j++) c[i * {n} + j] = 0;", 3)
    line(f"for (idx l = 0; l < {k}; l++)", 3)
    line(f"for (idx j = 0; j < {n}; j++)", 4)
    line(f"c[i * {n} + j] += a[i * {at[0]} + l * {at[1]}] * b[l * {bt[0]} + j * {bt[1]}];", 5)
    line("}", 2)
    line("}")
    return function
