"""Attention and its gradients as C, a block of queries at a time.

The scores of a block with all keys that it may see are in a buffer of their own and never in the
arena: memory grows with the length of the sequences, not with its square. The backward pass
computes the weights again from the logarithms L of the rows' sums.

    forward   S = Q·Kᵀ·scale + M   P = exp(S - max)   y = (P∘R)·V / ΣP   L = max + log ΣP
    backward  P = exp(S - L)       D = P∘((Ȳ·Vᵀ)∘R - δ)·scale
              Q̄ = D·K              K̄ += Dᵀ·Q           V̄ += (P∘R)ᵀ·Ȳ

Keys and values that are read as columns are copied into panels, padded with zeros, unless there is
one query only. What a query must not see has the score -∞ and so the weight 0; panels of keys that
no query of a block may see are left out. R, which drops weights, is drawn for a row at a time, in
both passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ....ir.node import Node
from ....ir.types import uint32
from ....ops.attention import smallest_kept
from ..expressions import C_TYPES, literal
from ..function import Function, Where
from ..views import View
from .attention_scores import STEP, row_functions, single_functions
from .cpu import target_in_use
from .gemm_tiles import ELEMENTS, microkernel

#: Rows of a tile in registers; of one of keys, which has to divide a panel.
_ROWS, _KEYS = 6, 4
#: Queries of a block: a tile as long as all keys and values stay in the cache, then more.
_FEW, _MANY = _ROWS, 5 * _ROWS
#: Elements of keys and values from which they do not stay there.
_LARGE = 1 << 16
#: From so many heads (of all sequences) on, each is worked on by one thread; a thread takes at
#: least so many queries otherwise.
_MANY_HEADS, _QUERIES = 16, 10 * _ROWS
#: Elements of weights that the backward pass keeps before they are summed up by keys.
_KEPT = 1 << 14
#: Columns of the widest panel of any target.
_WIDEST = 32
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
    dropout: float
    #: The element type of a mask, its C expression for a sequence g, and its steps from query to
    #: query and from key to key.
    mask: tuple[str, str, int, int] | None

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
        return max(target_in_use().vector // ELEMENTS[self.dtype][2], 1)

    @property
    def width(self) -> int:
        """Columns of a panel."""
        return max(2 * self.lanes, 4)

    @property
    def whole(self) -> int:
        """Scores of a row are worked on so many at a time."""
        return max(self.width, STEP)

    @property
    def keys(self) -> int:
        """Keys, padded to whole panels, and to what rows of scores are worked on in."""
        return -(-self.m // self.whole) * self.whole

    @property
    def block(self) -> int:
        """Queries of a block."""
        return min(self.n, _FEW if self.m * (self.d + self.e) < _LARGE else _MANY)

    @property
    def group(self) -> int:
        """Queries whose weights the backward pass keeps, a multiple of a block or all.

        Sums over queries are made of those of groups, so the width of a panel has no say in it.
        """
        keys = -(-self.m // _WIDEST) * _WIDEST
        return min(self.n, max(_KEPT // keys // self.block, 1) * self.block)

    @property
    def hides_keys(self) -> bool:
        """Whether keys are hidden, the same for all queries: padding, at the end as a rule."""
        return self.mask is not None and self.mask[0] == "bool" and self.mask[2:] == (0, 1)

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
        text = microkernel(
            name, self.shape.dtype, tile, self.shape.lanes, a_steps, (b_step, 1), c_step
        )
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
        """to += aᵀ · b, for the keys up to ``last``, sums over the rows of a group."""
        s = self.shape
        if columns == 0:
            return
        more = int(s.group < s.n)
        self.line("{", depth)
        self.line("idx j = 0;", depth + 1)
        self.line(f"for (; j < last; j += {_KEYS}) {{", depth + 1)
        if s.causal:  # those before it do not see key j
            self.line(f"const idx before = j - {s.m - s.n} - first;", depth + 2)
            self.line("const idx from = before > 0 ? before : 0;", depth + 2)
        else:
            self.line("const idx from = 0;", depth + 2)
        calls = []
        for column in range(0, columns, s.width):
            width = min(s.width, columns - column)
            calls.append((width, (
                f"({a} + from * {s.keys} + j, {b} + (first + from) * {columns} + {column}, "
                f"{to} + j * {columns} + {column}, until - first - from, {more});"
            )))  # fmt: skip
        for width, call in calls:
            whole = self.tile(_KEYS, width, (1, s.keys), columns, columns)
            if s.m % _KEYS:
                part = self.tile(s.m % _KEYS, width, (1, s.keys), columns, columns)
                self.line(f"if (j + {_KEYS} <= {s.m}) {whole}{call}", depth + 2)
                self.line(f"else {part}{call}", depth + 2)
            else:
                self.line(f"{whole}{call}", depth + 2)
        self.line("}", depth + 1)
        if not more and (s.hides_keys or s.causal):
            rest = f"(size_t)({s.m} - j) * {columns} * sizeof *{to}"
            self.line(f"if (j < {s.m}) memset({to} + j * {columns}, 0, {rest});", depth + 1)
        self.line("}", depth)

    def panels(self, source: str, features: int, to: str, keys: str, depth: int) -> None:
        """Copy rows as columns of panels, the last one padded with zeros."""
        s = self.shape
        short = ELEMENTS[s.dtype][1]
        self.line(f"for (idx j = 0; j < {keys}; j += {s.width}) {{", depth)
        self.line(f"const {s.kind} *from = {source} + j * {features};", depth + 1)
        self.line(f"{s.kind} *to = {to} + j * {features};", depth + 1)
        copy = f"cr_transpose_{short}(from, {features}, to, {s.width}, {features}, {s.width});"
        if s.m % s.width == 0:
            self.line(copy, depth + 1)
        else:
            self.line(f"if (j + {s.width} <= {s.m}) {copy}", depth + 1)
            self.line(f"else for (idx l = 0; l < {features}; l++)", depth + 1)
            self.line(f"for (idx c = 0; c < {s.width}; c++)", depth + 2)
            value = f"j + c < {s.m} ? from[c * {features} + l] : 0"
            self.line(f"to[l * {s.width} + c] = {value};", depth + 3)
        self.line("}", depth)

    def sequence(self, depth: int) -> None:
        """The mask of sequence g, and how many keys there are before padding."""
        s = self.shape
        if s.mask is not None:
            kind, pointer, _, _ = s.mask
            self.line(f"const {C_TYPES[kind]} *restrict mask = {pointer};", depth)
        if s.hides_keys:
            self.line(f"idx seen = {s.m};", depth)
            self.line("while (seen && !mask[seen - 1]) seen--;", depth)

    def block(self, depth: int, until: str) -> None:
        """How many rows there are from r on, and which keys they may see, in whole panels."""
        self.line(f"const idx rows = {_least(f'{until} - r', self.shape.block)};", depth)
        self.keys("last", "r + rows - 1", depth)
        s = self.shape
        self.line(f"const idx wide = (last + {s.whole - 1}) / {s.whole} * {s.whole};", depth)
        self.line(f"last = (last + {s.width - 1}) / {s.width} * {s.width};", depth)

    def keys(self, name: str, row: str, depth: int) -> None:
        """How many keys a row may see, but for what the mask hides among them."""
        s = self.shape
        most = "seen" if s.hides_keys else str(s.m)
        if not s.causal:
            self.line(f"idx {name} = {most};", depth)
            return
        self.line(f"idx {name} = {row} + {s.m - s.n + 1};", depth)
        self.line(f"{name} = {name} < 0 ? 0 : {name} > {most} ? {most} : {name};", depth)

    def masked(self, depth: int, scaled: bool = False) -> bool:
        """Apply the mask to the products x of row i; whether they are scaled now."""
        s = self.shape
        if s.mask is None:
            return scaled
        kind, _, step, one = s.mask
        bound = "last" if s.m % s.width == 0 else "limit"
        if step:
            self.line(f"const {C_TYPES[kind]} *restrict own = mask + (r + i) * {step};", depth)
        value = f"{'own' if step else 'mask'}[{'j' if one else 0}]"
        added = f"x[j] + {value}" if scaled else f"CR_FMA{s.f}(x[j], {s.factor}, {value})"
        new = added if kind != "bool" else f"{value} ? x[j] : -INFINITY"
        self.line(f"for (idx j = 0; j < {bound}; j++) x[j] = {new};", depth)
        return scaled or kind != "bool"

    def rows(self) -> None:
        """The functions of rows of scores."""
        self.tiles["@_rows"] = row_functions("@", self.shape.dtype, self.shape.lanes)

    def drawn(self, key: View | None, depth: int) -> None:
        """R of row i, in ``drawn``."""
        s = self.shape
        if key is None:
            return
        name = self.function.reads(key.base)
        words = f"{name}[{key.offset}], {name}[{key.offset + 1}]"
        start = f"(uint64_t)(g * {s.n} + r + i) * {s.m}"
        self.line(f"@_drawn(drawn, {start}, limit, {words});", depth)
        self.line("for (idx j = limit; j < wide; j++) drawn[j] = 0;", depth)
        factor = literal(np.dtype(s.dtype).type(1 / (1 - s.dropout)))
        text = _DRAWN.replace("KIND", s.kind).replace("FACTOR", factor)
        self.tiles["@_drawn"] = text.replace("SMALLEST", str(smallest_kept(s.dropout)))

    def buffers(self, sizes: dict[str, int], units: int, unit: str) -> None:
        """Buffers by name, with their numbers of elements."""
        s = self.shape
        item = ELEMENTS[s.dtype][2]
        aligned = {name: -(-max(size, 1) * item // 64) * 64 for name, size in sizes.items()}
        if sum(aligned.values()) <= _MOST_ON_STACK:
            for name, size in aligned.items():
                self.line(f"{s.kind} {name}[{size // item}] CR_ALIGNED;", 2)
                self.line(f"CR_SOME({name});", 2)
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


#: A row of R, for the words of these numbers in the stream of a key.
_DRAWN = """
/* to[j]: whether the weight whose random word has number start + j is kept, and its factor */
static void @_drawn(KIND *restrict to, uint64_t start, idx count, uint32_t k0, uint32_t k1)
{
  uint32_t words[64];
  for (idx j = -(idx)(start % 4); j < count; j += 64) {
    cr_philox(words, (start + (uint64_t)j) / 4, 0, k0, k1);
    const idx from = j < 0 ? -j : 0, until = count - j < 64 ? count - j : 64;
    for (idx l = from; l < until; l++)
      to[j + l] = (int32_t)(words[l] >> 8) >= SMALLEST ? FACTOR : 0;
  }
}""".strip()


def _least(a: str, b: int) -> str:
    return f"({a} < {b} ? {a} : {b})"


def _shape_of(function: Function, node: Node, sources: list[View], mask: View | None) -> _Shape:
    (*outer, n, d), (m, e) = sources[0].shape, sources[2].shape[-2:]
    attributes = node.attributes
    return _Shape(
        math.prod(outer), n, m, d, e, attributes["causal"], attributes["scale"],
        sources[0].base.type.dtype.name, attributes.get("dropout", 0.0),
        None if mask is None else _mask_of(function, mask, (*outer, n, m)),
    )  # fmt: skip


def _mask_of(function: Function, mask: View, scores: tuple[int, ...]) -> tuple[str, str, int, int]:
    """See `_Shape.mask`: along an axis where it is broadcast its step is 0."""
    extents = (1,) * (len(scores) - len(mask.shape)) + tuple(mask.shape)
    steps = [
        0 if extent == 1 else math.prod(extents[axis + 1 :]) for axis, extent in enumerate(extents)
    ]
    place = function.pointer(mask)
    for axis, step in enumerate(steps[:-2]):
        if step:
            inner = math.prod(scores[axis + 1 : -2])
            place += f" + g / {inner} % {scores[axis]} * {step}"
    return mask.base.type.dtype.name, place, steps[-2], steps[-1]


def _options(views: list[View]) -> tuple[View | None, View | None]:
    """The mask and the key among the operands that may be missing."""
    masks = [view for view in views if view.base.type.dtype != uint32]
    keys = [view for view in views if view.base.type.dtype == uint32]
    return masks[0] if masks else None, keys[0] if keys else None


def attention(
    node: Node, parts: dict[int, Node], sources: list[View], where: Where
) -> Function | None:
    """The results of all queries, and L."""
    function = Function(where)
    mask, key = _options(sources[3:])
    s = _shape_of(function, node, sources, mask)
    if s.batch * s.n == 0:
        return None
    if s.m == 0:
        return _zeros(Function(where), parts)
    if s.n == 1 and key is None and s.d % STEP == 0 and not target_in_use().frugal:
        return _of_one_query(function, parts, sources, s)
    text, line = _Text(function, s), function.line
    q, k, v = (function.pointer(view) for view in sources[:3])
    # A unit is a head, whose keys are copied once; or some queries, where there are few heads.
    queries = s.n if s.batch >= _MANY_HEADS else min(s.n, _QUERIES)
    units = -(-s.n // queries)
    function.extent = s.batch * units
    function.grain = s.n * s.m * (s.d + s.e + 32 + 16 * (key is not None)) // 4 // units
    line("for (idx u = begin; u < end; u++) {")
    line(f"const idx g = u / {units}, first = u % {units} * {queries};", 2)
    line(f"const idx until = first + {_least(f'{s.n} - first', queries)};", 2)
    line(f"const {s.kind} *restrict k = {k} + g * {s.m * s.d};", 2)
    line(f"const {s.kind} *restrict v = {v} + g * {s.m * s.e};", 2)
    line("(void)v;", 2)
    text.sequence(2)
    sizes = {"turned": s.keys * s.d, "p": s.block * s.keys,
             "tops": s.block, "totals": s.block, "factors": s.block}  # fmt: skip
    text.buffers(sizes | {"drawn": s.keys} if key else sizes, function.extent, "u")
    text.keys("most", "until - 1", 2)
    text.panels("k", s.d, "turned", "most", 2)
    line(f"for (idx r = first; r < until; r += {s.block}) {{", 2)
    text.block(3, "until")
    line(f"const {s.kind} *restrict q = {q} + (g * {s.n} + r) * {s.d};", 3)
    text.scores("q", s.d, "turned", "p", 3)
    line("for (idx i = 0; i < rows; i++) {", 3)
    text.keys("limit", "r + i", 4)
    _softmax(text, s)
    if key is not None:
        text.drawn(key, 4)
        line("for (idx j = 0; j < wide; j++) x[j] *= drawn[j];", 4)
    line("}", 3)
    line("for (idx i = 0; i < rows; i++) factors[i] = totals[i] == 0 ? 0 : 1 / totals[i];", 3)
    if 1 in parts:
        line(f"{s.kind} *restrict sums = {function.writes(parts[1])} + g * {s.n} + r;", 3)
        logarithm = f"tops[i] + cr_log{s.f}(totals[i])"
        line("for (idx i = 0; i < rows; i++)", 3)
        line(f"sums[i] = totals[i] == 0 ? 0 : {logarithm};", 4)
    if 0 in parts:
        target = f"{function.writes(parts[0])} + (g * {s.n} + r) * {s.e}"
        line(f"{s.kind} *restrict y = {target};", 3)
        text.weighted("p", "v", s.e, "y", 3)
        line("for (idx i = 0; i < rows; i++)", 3)
        line(f"for (idx c = 0; c < {s.e}; c++) y[i * {s.e} + c] *= factors[i];", 4)
    line("}", 2)
    line("}")
    return text.finished()


def attention_of_halves(
    node: Node, parts: dict[int, Node], sources: list[View], where: Where
) -> Function | None:
    """The same of one query, with keys and values in bfloat16: see `single_functions`."""
    function = Function(where)
    s = _shape_of(function, node, sources, _options(sources[3:])[0])
    return _of_one_query(function, parts, sources, replace(s, e=2 * s.e), halves=True)


def _of_one_query(
    function: Function, parts: dict[int, Node], sources: list[View], s: _Shape,
    halves: bool = False,
) -> Function:  # fmt: skip
    """The same where there is one query for each head, as when tokens are written: no copies."""
    text, line = _Text(function, s), function.line
    part = 2 if halves else 1
    q, k, v = (function.pointer(view) for view in sources[:3])
    function.extent = s.batch
    function.grain = s.m * (s.d + s.e + 32) // 4
    line("for (idx g = begin; g < end; g++) {")
    text.sequence(2)
    text.buffers({"p": s.keys, "tops": 1, "totals": 1}, s.batch, "g")
    text.keys("limit", "0", 2)
    line("const idx r = 0, i = 0, last = limit;", 2)
    line(f"const idx wide = (last + {s.whole - 1}) / {s.whole} * {s.whole};", 2)
    line("(void)r, (void)last;", 2)
    line(f"@_dots({q} + g * {s.d}, {k} + g * {s.m * s.d // part}, p, limit);", 2)
    _softmax(text, s)
    single = single_functions("@", s.dtype, max(s.lanes, 2), s.d, s.e, s.m, halves)
    text.tiles["@_single"] = single
    if 1 in parts:
        logarithm = f"tops[0] + cr_log{s.f}(totals[0])"
        target = f"{function.writes(parts[1])}[g]"
        line(f"{target} = totals[0] == 0 ? 0 : {logarithm};", 2)
    if 0 in parts:
        y = f"{function.writes(parts[0])} + g * {s.e}"
        line("const KIND factor = totals[0] == 0 ? 0 : 1 / totals[0];".replace("KIND", s.kind), 2)
        line(f"@_mixed(p, {v} + g * {s.m * s.e // part}, {y}, limit, factor);", 2)
    line("}")
    return text.finished()


def halves(node: Node, sources: list[View], where: Where) -> Function | None:
    """Numbers rounded to bfloat16, 32 in 16 words: see `single_functions`."""
    function = Function(where, extent=node.type.size // STEP, grain=2 * STEP)
    x, y = function.pointer(sources[0]), function.writes(node)
    function.line("for (idx u = begin; u < end; u++)")
    function.line(f"for (idx j = 0; j < {STEP}; j++) {{", 2)
    function.line("uint32_t low, high;", 3)
    for name, place in (("low", ""), ("high", f" + {STEP}")):
        function.line(f"const float {name}_part = cr_bfloat16f({x}[u * {2 * STEP} + j{place}]);", 3)
        function.line(f"memcpy(&{name}, &{name}_part, sizeof {name});", 3)
    function.line(f"{y}[u * {STEP} + j] = low >> 16 | high;", 3)
    function.line("}", 2)
    return function


def widened(node: Node, sources: list[View], where: Where) -> Function | None:
    """The numbers that `halves` had."""
    function = Function(where, extent=node.type.size // (2 * STEP), grain=2 * STEP)
    x, y = function.pointer(sources[0]), function.writes(node)
    function.line("for (idx u = begin; u < end; u++)")
    function.line(f"for (idx j = 0; j < {STEP}; j++) {{", 2)
    function.line(f"const uint32_t both = {x}[u * {STEP} + j];", 3)
    function.line("const uint32_t low = both << 16, high = both & 0xFFFF0000u;", 3)
    for name, place in (("low", ""), ("high", f" + {STEP}")):
        function.line(f"memcpy({y} + u * {2 * STEP} + j{place}, &{name}, sizeof {name});", 3)
    function.line("}", 2)
    return function


def _softmax(text: _Text, s: _Shape) -> None:
    """The largest score of row i, exp(score - that), 0 where it may not look, and their sum."""
    line = text.line
    line(f"{s.kind} *restrict x = p + i * {s.keys};", 4)
    scaled = s.scale <= 0  # otherwise the largest score is that of the largest product
    if scaled:
        line(f"for (idx j = 0; j < last; j++) x[j] *= {s.factor};", 4)
    scaled = text.masked(4, scaled)
    text.rows()
    factor = "1" if scaled else s.factor
    line("@_hide(x, limit, wide, -INFINITY);", 4)
    line(f"const {s.kind} top = @_largest(x, wide) * {factor};", 4)
    line("tops[i] = top == -INFINITY ? 0 : top; /* it may look nowhere */", 4)
    line(f"totals[i] = @_weigh(x, wide, {factor}, tops[i]);", 4)


def _zeros(function: Function, parts: dict[int, Node]) -> Function:
    """Without keys everything is 0."""
    function.serial()
    for part in parts.values():
        function.line(f"for (idx i = 0; i < {part.type.size}; i++) {function.writes(part)}[i] = 0;")
    return function


def gradients(
    node: Node, parts: dict[int, Node], sources: list[View], where: Where
) -> Function | None:
    """The gradients with respect to queries, keys and values."""
    function = Function(where)
    mask, key = _options(sources[6:])
    s = _shape_of(function, node, sources, mask)
    if s.batch * s.n * s.m * s.e == 0:
        some = any(part.type.size for part in parts.values())
        return _zeros(Function(where), parts) if some else None
    text, line = _Text(function, s), function.line
    pointers = [function.pointer(view) for view in sources[:6]]
    function.extent = s.batch
    function.grain = s.n * s.m * (3 * s.d + 2 * s.e + 32 + 16 * (key is not None)) // 4
    line("for (idx g = begin; g < end; g++) {")
    q, k, v, rows = s.n * s.d, s.m * s.d, s.m * s.e, s.n
    names = {"q": q, "k": k, "v": v, "sums": rows, "delta": rows, "dy": s.n * s.e}
    for (name, size), pointer in zip(names.items(), pointers, strict=True):
        line(f"const {s.kind} *restrict {name} = {pointer} + g * {size};", 2)
    for number, (name, size) in enumerate((("dq", q), ("dk", k), ("dv", v))):
        if number in parts:
            target = function.writes(parts[number])
            line(f"{s.kind} *restrict {name} = {target} + g * {size};", 2)
            line(f"(void){name};", 2)
            if number and s.group < s.n:
                line(f"memset({name}, 0, {size} * sizeof *{name});", 2)
    text.sequence(2)
    sizes = {"keys": s.keys * s.d, "values": s.keys * s.e,
             "ps": s.group * s.keys, "ds": s.group * s.keys}  # fmt: skip
    text.buffers(sizes | {"drawn": s.keys} if key else sizes, s.batch, "g")
    text.keys("most", f"{s.n - 1}", 2)
    text.panels("k", s.d, "keys", "most", 2)
    text.panels("v", s.e, "values", "most", 2)
    line(f"for (idx first = 0; first < {s.n}; first += {s.group}) {{", 2)
    line(f"const idx until = first + {_least(f'{s.n} - first', s.group)};", 3)
    line(f"for (idx r = first; r < until; r += {s.block}) {{", 3)
    text.block(4, "until")
    for name in "pd":
        line(f"{s.kind} *restrict {name} = {name}s + (r - first) * {s.keys};", 4)
    text.scores(f"q + r * {s.d}", s.d, "keys", "p", 4)
    text.scores(f"dy + r * {s.e}", s.e, "values", "d", 4)
    line("for (idx i = 0; i < rows; i++) {", 4)
    _slopes(text, key)
    line("}", 4)
    if 0 in parts:
        text.weighted("d", "k", s.d, f"dq + r * {s.d}", 4)
    line("}", 3)
    text.keys("last", "until - 1", 3)
    line("(void)last;", 3)
    if 1 in parts:
        text.collected("ds", "q", s.d, "dk", 3)
    if 2 in parts:
        text.collected("ps", "dy", s.e, "dv", 3)
    line("}", 2)
    line("}")
    return text.finished()


def _slopes(text: _Text, key: View | None) -> None:
    """Row i of P∘R and of D, from those of Q·Kᵀ and of Ȳ·Vᵀ."""
    s, line = text.shape, text.line
    text.keys("limit", "r + i", 5)
    line(f"{s.kind} *restrict x = p + i * {s.keys}, *restrict w = d + i * {s.keys};", 5)
    line(f"const {s.kind} shift = sums[r + i], mean = delta[r + i];", 5)
    scaled = text.masked(5)
    text.drawn(key, 5)
    text.rows()
    line("for (idx j = 0; j < wide; j++) {", 5)
    score = "x[j] - shift" if scaled else f"CR_FMA{s.f}(x[j], {s.factor}, -shift)"
    hidden = s.mask is not None and not scaled
    value = f"cr_exp_weight{s.f}({score})"
    line(f"const {s.kind} e = {f'x[j] == -INFINITY ? 0 : {value}' if hidden else value};", 6)
    drawn = " * drawn[j]" if key is not None else ""
    line(f"x[j] = e{drawn};", 6)
    slope = "w[j] - mean" if key is None else f"CR_FMA{s.f}(w[j], drawn[j], -mean)"
    line(f"w[j] = e * ({slope}) * {s.factor};", 6)
    line("}", 5)
    line("@_hide(x, limit, wide, 0);", 5)
    line("@_hide(w, limit, wide, 0);", 5)
