"""Attention and its gradients as C, a block of queries at a time.

The scores of a block with all keys that it may see lie in a buffer of their own and never in the
arena: memory grows with the length of the sequences, not with its square. The backward pass
computes the weights again from the logarithms L of the rows' sums.

    forward   S = Q·Kᵀ·scale    P = exp(S - max)   y = P·V / ΣP    L = max + log ΣP
    backward  P = exp(S - L)    D = P·(Ȳ·Vᵀ - δ)·scale
              Q̄ = D·K           K̄ += Dᵀ·Q          V̄ += Pᵀ·Ȳ

Keys and values that are read as columns are copied into panels, filled up with zeros. What a query
must not see has the score -∞ and so the weight 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ....ir.node import Node
from ..expressions import literal
from ..function import Function, Where
from ..views import View
from .matmul import native_target
from .tiles import ELEMENTS, microkernel

#: Queries of a block: few where each block sees other keys; fewer where there are many keys.
_FEW, _SOME, _MANY = 16, 32, 64
#: From so many keys on blocks of `_FEW` do not pay, and blocks of `_MANY` fill the cache.
_SHORT, _LONG = 256, 512
#: From so many heads (of all sequences) on, each is worked on by one thread.
_MANY_HEADS = 16
#: Rows of a tile in registers; of one of keys, which has to divide a panel.
_ROWS, _KEYS = 6, 4
#: Buffers up to this many bytes are on the stack, larger ones in the scratch memory.
_MOST_ON_STACK = 1 << 22


@dataclass(frozen=True)
class _Shape:
    """An attention: ``batch`` times n queries and m keys of d features, values of e features."""

    batch: int
    n: int
    m: int
    d: int
    e: int
    causal: bool
    scale: float
    dtype: str

    @property
    def kind(self) -> str:
        """The C type of an element."""
        return ELEMENTS[self.dtype][0]

    @property
    def f(self) -> str:
        """The ending of the names of C functions."""
        return "f" if self.dtype == "float32" else ""

    @property
    def factor(self) -> str:
        """The scale in C."""
        return literal(np.dtype(self.dtype).type(self.scale))

    @property
    def lanes(self) -> int:
        """Elements of a vector."""
        return max(native_target().vector // ELEMENTS[self.dtype][2], 1)

    @property
    def width(self) -> int:
        """Columns of a panel."""
        return max(2 * self.lanes, 4)

    @property
    def keys(self) -> int:
        """Keys, filled up to whole panels."""
        return -(-self.m // self.width) * self.width

    @property
    def block(self) -> int:
        """Queries of a block."""
        if self.causal and self.m <= _SHORT:
            return min(self.n, _FEW)
        return min(self.n, _MANY if self.m <= _LONG else _SOME)

    @property
    def heights(self) -> list[int]:
        """How many rows a last tile may have."""
        left = {self.block % _ROWS, (self.n % self.block) % _ROWS}
        return sorted(left - {0})


class _Text:
    """A C function that is being written, with the tiles that it calls."""

    def __init__(self, function: Function, shape: _Shape) -> None:
        self.function, self.shape = function, shape
        self.tiles: dict[str, str] = {}

    def line(self, text: str, depth: int = 1) -> None:
        self.function.line(text, depth)

    def tile(
        self, rows: int, width: int, a_steps: tuple[int, int], b_step: int, c_step: int
    ) -> str:
        """The name of a function that computes a tile."""
        steps = "_".join(map(str, (*a_steps, b_step, c_step)))
        name = f"@_{rows}x{width}_{steps}"
        tile = (rows, width)
        text = microkernel(name, self.shape.dtype, tile, self.shape.lanes, a_steps, b_step, c_step)
        self.tiles.setdefault(name, text)
        return name

    def scores(self, a: str, features: int, panels: str, to: str, depth: int) -> None:
        """to = a · panels, for ``rows`` rows and the keys up to ``last``."""
        s = self.shape
        self.line(f"for (idx j = 0; j < last; j += {s.width}) {{", depth)
        self._rows(
            (features, 1), s.width, s.width, s.keys, depth + 1,
            f"{a} + i * {features}, {panels} + j * {features}, {to} + i * {s.keys} + j, "
            f"{features}, 0",
        )  # fmt: skip
        self.line("}", depth)

    def weighted(self, a: str, b: str, columns: int, to: str, depth: int) -> None:
        """to = a · b, sums over the keys up to ``last``, for ``rows`` rows."""
        s = self.shape
        for first in range(0, columns, s.width):
            width = min(s.width, columns - first)
            keys = f"(last < {s.m} ? last : {s.m})"
            self._rows(
                (s.keys, 1), width, columns, columns, depth,
                f"{a} + i * {s.keys}, {b} + {first}, {to} + i * {columns} + {first}, {keys}, 0",
            )  # fmt: skip

    def _rows(
        self, a_steps: tuple[int, int], width: int, b_step: int, c_step: int, depth: int, call: str
    ) -> None:
        """Tiles from the first to the last of ``rows`` rows."""
        whole = self.tile(_ROWS, width, a_steps, b_step, c_step)
        self.line("{", depth)
        self.line("idx i = 0;", depth + 1)
        self.line(f"for (; i + {_ROWS} <= rows; i += {_ROWS}) {whole}({call});", depth + 1)
        for height in self.shape.heights:
            part = self.tile(height, width, a_steps, b_step, c_step)
            self.line(f"if (rows - i == {height}) {part}({call});", depth + 1)
        self.line("}", depth)

    def collected(self, a: str, b: str, columns: int, to: str, depth: int) -> None:
        """to += aᵀ · b, for the keys up to ``last``, sums over ``rows`` rows."""
        s = self.shape
        for first in range(0, columns, s.width):
            width = min(s.width, columns - first)
            call = f"{a} + j, {b} + {first}, {to} + j * {columns} + {first}, rows, 1"
            self.line("{", depth)
            self.line("idx j = 0;", depth + 1)
            whole = self.tile(_KEYS, width, (1, s.keys), columns, columns)
            bound = f"j < last && j + {_KEYS} <= {s.m}"
            self.line(f"for (; {bound}; j += {_KEYS}) {whole}({call});", depth + 1)
            if s.m % _KEYS:
                part = self.tile(s.m % _KEYS, width, (1, s.keys), columns, columns)
                self.line(f"if (j < last) {part}({call});", depth + 1)
            self.line("}", depth)

    def panels(self, source: str, features: int, to: str, keys: str, depth: int) -> None:
        """Copy rows as columns of panels, the last one filled up with zeros."""
        s = self.shape
        short = ELEMENTS[s.dtype][1]
        self.line(f"for (idx j = 0; j < {keys}; j += {s.width}) {{", depth)
        self.line(f"const {s.kind} *from = {source} + j * {features};", depth + 1)
        self.line(f"{s.kind} *to = {to} + j * {features};", depth + 1)
        copy = f"cr_transpose_{short}(from, {features}, to, {features}, {s.width});"
        if s.m % s.width == 0:
            self.line(copy, depth + 1)
        else:
            self.line(f"if (j + {s.width} <= {s.m}) {copy}", depth + 1)
            self.line(f"else for (idx l = 0; l < {features}; l++)", depth + 1)
            self.line(f"for (idx c = 0; c < {s.width}; c++)", depth + 2)
            value = f"j + c < {s.m} ? from[c * {features} + l] : 0"
            self.line(f"to[l * {s.width} + c] = {value};", depth + 3)
        self.line("}", depth)

    def block(self, depth: int) -> None:
        """How many rows there are from r on, and which keys they may see, in whole panels."""
        s = self.shape
        rest = f"{s.n} - r < {s.block} ? {s.n} - r : {s.block}"
        self.line(f"const idx rows = {rest if s.n % s.block else s.block};", depth)
        if s.causal:
            self.line(f"idx last = r + rows + ({s.m - s.n});", depth)
            self.line(f"last = last < 0 ? 0 : last > {s.m} ? {s.m} : last;", depth)
            self.line(f"last = (last + {s.width - 1}) / {s.width} * {s.width};", depth)
        else:
            self.line(f"const idx last = {s.keys};", depth)

    def limit(self, depth: int) -> None:
        """How many keys row i of the block may see."""
        s = self.shape
        if s.causal:
            self.line(f"idx limit = r + i + 1 + ({s.m - s.n});", depth)
            self.line(f"limit = limit < 0 ? 0 : limit > {s.m} ? {s.m} : limit;", depth)
        else:
            self.line(f"const idx limit = {s.m};", depth)

    def buffers(self, sizes: dict[str, int], units: int, unit: str) -> None:
        """Buffers by name, with their numbers of elements."""
        s = self.shape
        item = ELEMENTS[s.dtype][2]
        aligned = {name: -(-max(size, 1) * item // 64) * 64 for name, size in sizes.items()}
        if sum(aligned.values()) <= _MOST_ON_STACK:
            for name, size in aligned.items():
                self.line(f"{s.kind} {name}[{size // item}] CR_ALIGNED;", 2)
            return
        offset = 0
        for name, size in aligned.items():
            place = f"scratch + {unit} * {sum(aligned.values())} + {offset}"
            self.line(f"{s.kind} *const {name} = ({s.kind} *)({place});", 2)
            offset += size
        self.function.scratch = units * sum(aligned.values())

    def finished(self) -> Function:
        """The function, its tiles before it."""
        self.function.before += self.tiles.values()
        return self.function


def _shape_of(node: Node, sources: list[View]) -> _Shape:
    (*outer, n, d), (m, e) = sources[0].shape, sources[2].shape[-2:]
    attributes = node.attributes
    return _Shape(
        math.prod(outer), n, m, d, e, attributes["causal"], attributes["scale"],
        sources[0].base.type.dtype.name,
    )  # fmt: skip


def _pointer(function: Function, view: View) -> str:
    name = function.reads(view.base)
    return f"({name} + {view.offset})" if view.offset else name


def attention(
    node: Node, parts: dict[int, Node], sources: list[View], where: Where
) -> Function | None:
    """The results of all queries, and L."""
    s = _shape_of(node, sources)
    if s.batch * s.n == 0:
        return None
    function = Function(where)
    text, line = _Text(function, s), function.line
    if s.m == 0:
        return _zeros(function, parts)
    q, k, v = (_pointer(function, view) for view in sources)
    blocks = -(-s.n // s.block)
    # A unit is a head, whose keys are copied once; or a block, where there are few heads.
    units = 1 if s.batch >= _MANY_HEADS else blocks
    function.extent = s.batch * units
    function.grain = s.n * s.m * (s.d + s.e + 32) // 4 // units
    line("for (idx u = begin; u < end; u++) {")
    line(f"const idx g = u / {units}, first = u % {units} * {s.block};", 2)
    line(f"const {s.kind} *restrict k = {k} + g * {s.m * s.d};", 2)
    line(f"const {s.kind} *restrict v = {v} + g * {s.m * s.e};", 2)
    line("(void)v;", 2)
    sizes = {"turned": s.keys * s.d, "p": s.block * s.keys, "factors": s.block}
    text.buffers(sizes, function.extent, "u")
    if units == 1:
        text.panels("k", s.d, "turned", str(s.m), 2)
    end = s.n if units == 1 else f"first + 1 < {s.n} ? first + 1 : {s.n}"
    line(f"const idx until = {end};", 2)
    line(f"for (idx r = first; r < until; r += {s.block}) {{", 2)
    text.block(3)
    line(f"const {s.kind} *restrict q = {q} + (g * {s.n} + r) * {s.d};", 3)
    if units > 1:
        text.panels("k", s.d, "turned", "last", 3)
    text.scores("q", s.d, "turned", "p", 3)
    line("for (idx i = 0; i < rows; i++) {", 3)
    text.limit(4)
    _softmax(function, s)
    if 1 in parts:
        sums = function.writes(parts[1])
        line(f"{sums}[g * {s.n} + r + i] = limit ? top + cr_log{s.f}(total) : 0;", 4)
    line("factors[i] = limit ? 1 / total : 0;", 4)
    line("}", 3)
    if 0 in parts:
        target = f"{function.writes(parts[0])} + (g * {s.n} + r) * {s.e}"
        line(f"{s.kind} *restrict y = {target};", 3)
        text.weighted("p", "v", s.e, "y", 3)
        line("for (idx i = 0; i < rows; i++)", 3)
        line(f"for (idx c = 0; c < {s.e}; c++) y[i * {s.e} + c] *= factors[i];", 4)
    line("}", 2)
    line("}")
    return text.finished()


def _softmax(function: Function, s: _Shape) -> None:
    """The largest score of row i, and exp(score - that); 0 where it may not look."""
    line = function.line
    short = ELEMENTS[s.dtype][1]
    scaled = s.scale > 0  # then the largest product is that of the largest number
    line(f"{s.kind} *restrict x = p + i * {s.keys};", 4)
    line(f"{s.kind} tops[16], lanes[16] = {{0}};", 4)
    line("for (int l = 0; l < 16; l++) tops[l] = -INFINITY;", 4)
    if not scaled:
        line(f"for (idx j = 0; j < last; j++) x[j] *= {s.factor};", 4)
    line("for (idx j = limit; j < last; j++) x[j] = -INFINITY;", 4)
    line(f"cr_lanes_max_{short}(tops, x, last);", 4)
    factor = f" * {s.factor}" if scaled else ""
    line(f"const {s.kind} top = limit ? cr_lanes_total_max_{short}(tops){factor} : 0;", 4)
    line(f"for (idx j = 0; j < last; j++) x[j] = cr_exp{s.f}(x[j]{factor} - top);", 4)
    line(f"cr_lanes_sum_{short}(lanes, x, last);", 4)
    line(f"const {s.kind} total = cr_lanes_total_sum_{short}(lanes);", 4)
    line("(void)total;", 4)


def _zeros(function: Function, parts: dict[int, Node]) -> Function:
    """Without keys everything is 0."""
    function.serial()
    for part in parts.values():
        function.line(f"for (idx i = 0; i < {part.type.size}; i++) {function.writes(part)}[i] = 0;")
    return function


def gradients(
    node: Node, parts: dict[int, Node], sources: list[View], where: Where
) -> Function | None:
    """The gradients by queries, keys and values."""
    s = _shape_of(node, sources)
    function = Function(where)
    if s.batch * s.n * s.m * s.e == 0:
        return _zeros(function, parts) if any(p.type.size for p in parts.values()) else None
    text, line = _Text(function, s), function.line
    q, k, v, sums, delta, g = (_pointer(function, view) for view in sources)
    function.extent = s.batch
    function.grain = s.n * s.m * (3 * s.d + 2 * s.e + 32) // 4
    line("for (idx b = begin; b < end; b++) {")
    for name, pointer, size in (
        ("q", q, s.n * s.d), ("k", k, s.m * s.d), ("v", v, s.m * s.e), ("sums", sums, s.n),
        ("delta", delta, s.n), ("g", g, s.n * s.e),
    ):  # fmt: skip
        line(f"const {s.kind} *restrict {name} = {pointer} + b * {size};", 2)
    for number, (name, size) in enumerate(
        (("dq", s.n * s.d), ("dk", s.m * s.d), ("dv", s.m * s.e))
    ):
        if number in parts:
            target = function.writes(parts[number])
            line(f"{s.kind} *restrict {name} = {target} + b * {size};", 2)
            line(f"(void){name};", 2)
            if number:
                line(f"memset({name}, 0, {size} * sizeof *{name});", 2)
    sizes = {"keys": s.keys * s.d, "values": s.keys * s.e,
             "p": s.block * s.keys, "d": s.block * s.keys}  # fmt: skip
    text.buffers(sizes, s.batch, "b")
    text.panels("k", s.d, "keys", str(s.m), 2)
    text.panels("v", s.e, "values", str(s.m), 2)
    line(f"for (idx r = 0; r < {s.n}; r += {s.block}) {{", 2)
    text.block(3)
    text.scores(f"q + r * {s.d}", s.d, "keys", "p", 3)
    text.scores(f"g + r * {s.e}", s.e, "values", "d", 3)
    line("for (idx i = 0; i < rows; i++) {", 3)
    text.limit(4)
    line(f"{s.kind} *restrict x = p + i * {s.keys}, *restrict w = d + i * {s.keys};", 4)
    line(f"const {s.kind} shift = sums[r + i], mean = delta[r + i];", 4)
    scale = s.factor
    line("for (idx j = 0; j < last; j++) {", 4)
    line(f"const {s.kind} e = cr_exp{s.f}(x[j] * {scale} - shift);", 5)
    line("x[j] = e;", 5)
    line(f"w[j] = e * (w[j] - mean) * {scale};", 5)
    line("}", 4)
    line("for (idx j = limit; j < last; j++) x[j] = w[j] = 0;", 4)
    line("}", 3)
    if 0 in parts:
        text.weighted("d", "k", s.d, f"dq + r * {s.d}", 3)
    if 1 in parts:
        text.collected("d", f"q + r * {s.d}", s.d, "dk", 3)
    if 2 in parts:
        text.collected("p", f"g + r * {s.e}", s.e, "dv", 3)
    line("}", 2)
    line("}")
    return text.finished()
