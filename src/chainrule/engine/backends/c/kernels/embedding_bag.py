"""Weighted sums of gathered rows, and the transpose: rows scatter-added.

A block of columns is held in vector registers while the numbers of a bag are gone through, so
each element of a result is one chain of fused multiply-adds in the order of the numbers. Threads
share the bags, or, where bags meet in the same rows, the columns.
"""

from __future__ import annotations

from collections.abc import Callable

from ....ir.node import Node
from ..function import Function, Where
from ..views import View
from .cpu import target_in_use
from .gemm_tiles import ELEMENTS, fused, pieces

#: Vectors of a block of columns.
_VECTORS = 8
#: How many multiplications take as long as one operation of a loop.
_MULTIPLICATIONS = 4

#: The vectors of a block: C type and first column of each.
_Vectors = list[tuple[str, int]]


class _Blocks:
    """The columns of a matrix in blocks of vectors; what is left is a shorter block."""

    def __init__(self, columns: int, dtype: str) -> None:
        self.element, self._short, item = ELEMENTS[dtype]
        lanes = max(target_in_use().vector // item, 1)
        self.width = _VECTORS * lanes
        self.whole, rest = divmod(columns, self.width)
        self.count = self.whole + bool(rest)
        self._kinds = [
            [(self._type(w), first) for first, w in pieces(extent, lanes, item)]
            for extent in (self.width, rest)
        ]

    def _type(self, lanes: int) -> str:
        return self.element if lanes == 1 else f"cr_{self._short}x{lanes}"

    def each(self, function: Function, depth: int, body: Callable[[_Vectors, int], None]) -> None:
        """The body for block u, which begins at column j, by the vectors that it has."""
        function.line(f"const idx j = u * {self.width};", depth)
        if self.whole and self.count > self.whole:
            function.line(f"if (u < {self.whole}) {{", depth)
            body(self._kinds[0], depth + 1)
            function.line("} else {", depth)
            body(self._kinds[1], depth + 1)
            function.line("}", depth)
        else:
            body(self._kinds[0 if self.whole else 1], depth)


def _zero(kind: str) -> str:
    return "0" if kind in ("float", "double") else "{0}"


def embedding_bag(node: Node, sources: list[View], where: Where) -> Function | None:
    """y[b] = Σₖ weights[b, k] · table[indices[b, k]]."""
    bags, columns = node.type.shape
    rows, many = sources[0].shape[0], sources[1].shape[1]
    if node.type.size == 0:
        return None
    function = Function(where, extent=bags, grain=max(many * columns // _MULTIPLICATIONS, 1))
    function.needs_status = True
    line = function.line
    table, numbers, weights = (function.pointer(view) for view in sources)
    y = function.writes(node)
    blocks = _Blocks(columns, node.type.dtype.name)

    def block(vectors: _Vectors, depth: int) -> None:
        for v, (kind, _) in enumerate(vectors):
            line(f"{kind} c{v} = {_zero(kind)};", depth)
        line(f"for (idx k = 0; k < {many}; k++) {{", depth)
        line(f"const {blocks.element} a = w[k], *x = {table} + at[k] + j;", depth + 1)
        for v, (kind, first) in enumerate(vectors):
            line(fused(f"c{v}", "a", f"*(const {kind} *)(x + {first})", kind) + ";", depth + 1)
        line("}", depth)
        for v, (kind, first) in enumerate(vectors):
            line(f"*({kind} *)({y} + b * {columns} + j + {first}) = c{v};", depth)

    line("for (idx b = begin; b < end; b++) {")
    line(f"const {blocks.element} *w = {weights} + b * {many};", 2)
    line(f"idx at[{max(many, 1)}]; /* where the rows begin */", 2)
    line(f"for (idx k = 0; k < {many}; k++)", 2)
    line(f"at[k] = cr_place({numbers}[b * {many} + k], {rows}, status) * {columns};", 3)
    if rows == 0 and many:
        line("if (*status) return;", 2)
    line(f"for (idx u = 0; u < {blocks.count}; u++) {{", 2)
    blocks.each(function, 3, block)
    line("}", 2)
    line("}")
    return function


def scatter_bag(node: Node, sources: list[View], where: Where) -> Function | None:
    """x[indices[b, k]] += weights[b, k] · y[b], from zeros."""
    rows, columns = node.type.shape
    bags, many = sources[1].shape
    if columns == 0 or (rows == 0 and bags * many == 0):
        return None
    blocks = _Blocks(columns, node.type.dtype.name)
    function = Function(where, extent=blocks.count)
    function.grain = max(bags * many * blocks.width // _MULTIPLICATIONS, 1)
    function.needs_status = True
    line = function.line
    y, numbers, weights = (function.pointer(view) for view in sources)
    x = function.writes(node)

    def block(vectors: _Vectors, depth: int) -> None:
        line(f"for (idx i = 0; i < {rows}; i++) {{", depth)
        for kind, first in vectors:
            zero = f"({kind}){_zero(kind)}"
            line(f"*({kind} *)({x} + i * {columns} + j + {first}) = {zero};", depth + 1)
        line("}", depth)
        line(f"for (idx b = 0; b < {bags}; b++) {{", depth)
        for v, (kind, first) in enumerate(vectors):
            place = f"{y} + b * {columns} + j + {first}"
            line(f"const {kind} y{v} = *(const {kind} *)({place});", depth + 1)
        line(f"for (idx k = 0; k < {many}; k++) {{", depth + 1)
        number = f"cr_place({numbers}[b * {many} + k], {rows}, status)"
        line(f"{blocks.element} *to = {x} + {number} * {columns} + j;", depth + 2)
        line(f"const {blocks.element} a = {weights}[b * {many} + k];", depth + 2)
        for v, (kind, first) in enumerate(vectors):
            line(f"{kind} c{v} = *({kind} *)(to + {first});", depth + 2)
            line(fused(f"c{v}", "a", f"y{v}", kind) + ";", depth + 2)
            line(f"*({kind} *)(to + {first}) = c{v};", depth + 2)
        line("}", depth + 1)
        line("}", depth)

    if rows == 0:
        function.serial()
        line("*status = 1;")
        return function
    line("for (idx u = begin; u < end; u++) {")
    blocks.each(function, 2, block)
    line("}")
    return function
