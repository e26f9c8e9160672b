"""A generator of matrix products C = A·B: one C text for one shape, one element type, one target.

The innermost work is a *microkernel*: a tile of C, a few rows by a few vectors, held in registers
while the common index l runs over a block of its range (Goto and van de Geijn, "Anatomy of
high-performance matrix multiplication", 2008). Around it, outermost first:

    unit     a panel of columns, or a tile of rows, of one matrix of the batch: what threads share
    columns  as many panels of B as a buffer in the second-level cache takes
    depth    the range of l in blocks, so that a packed panel stays in the first-level cache
    rows     tiles of rows
    panels   the microkernel

Every element of C is one chain ``c = fma(a[i, l], b[l, j], c)`` with l = 0, 1, …: between blocks
of depth it is stored and loaded again, which is exact. So neither tile, nor blocks, nor threads,
nor width of vectors change a bit of the result.

B is copied into panels, one row of a panel after the other, unless it is small or used only once.
Columns that do not fill a vector are computed in shorter vectors, the last few as single numbers:
nothing is padded.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path


def _vector_types() -> str:
    """Vectors of every length, which may begin at any element."""
    lines = []
    for c_type, short, item in (("float", "f32", 4), ("double", "f64", 8)):
        for size in (8, 16, 32, 64):
            name, count = f"cr_{short}x{size // item}", size // item
            lines.append(
                f"typedef {c_type} {name} "
                f"__attribute__((vector_size({size}), aligned({item}), may_alias));"
            )
            assert count
    return "\n\n".join(lines)


#: What the text of a product uses.
MATMUL_C = (
    """
#define CR_ALIGNED __attribute__((aligned(64)))

"""
    + _vector_types()
    + """

/* a pair of vectors, shuffled */
#if defined __clang__ || __GNUC__ >= 12
#define CR_SHUFFLE(a, b, whole, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define CR_SHUFFLE(a, b, whole, ...) __builtin_shuffle(a, b, (whole){__VA_ARGS__})
#endif

typedef int32_t cr_i32x4 __attribute__((vector_size(16)));

typedef int64_t cr_i64x2 __attribute__((vector_size(16)));

/* to[l, j] = from[j, l] for l < depth and j < width; rows of from are step apart */
static void cr_transpose_f32(const float *restrict from, idx step, float *restrict to,
    idx depth, idx width)
{
  const idx whole = depth - depth % 4, full = width - width % 4;
  for (idx j = 0; j < full; j += 4) {
    const float *restrict x = from + j * step;
    float *restrict y = to + j;
    for (idx l = 0; l < whole; l += 4, x += 4, y += 4 * width) {
      const cr_f32x4 r0 = *(const cr_f32x4 *)x;
      const cr_f32x4 r1 = *(const cr_f32x4 *)(x + step);
      const cr_f32x4 r2 = *(const cr_f32x4 *)(x + 2 * step);
      const cr_f32x4 r3 = *(const cr_f32x4 *)(x + 3 * step);
      const cr_f32x4 low01 = CR_SHUFFLE(r0, r1, cr_i32x4, 0, 4, 1, 5);
      const cr_f32x4 low23 = CR_SHUFFLE(r2, r3, cr_i32x4, 0, 4, 1, 5);
      const cr_f32x4 high01 = CR_SHUFFLE(r0, r1, cr_i32x4, 2, 6, 3, 7);
      const cr_f32x4 high23 = CR_SHUFFLE(r2, r3, cr_i32x4, 2, 6, 3, 7);
      *(cr_f32x4 *)y = CR_SHUFFLE(low01, low23, cr_i32x4, 0, 1, 4, 5);
      *(cr_f32x4 *)(y + width) = CR_SHUFFLE(low01, low23, cr_i32x4, 2, 3, 6, 7);
      *(cr_f32x4 *)(y + 2 * width) = CR_SHUFFLE(high01, high23, cr_i32x4, 0, 1, 4, 5);
      *(cr_f32x4 *)(y + 3 * width) = CR_SHUFFLE(high01, high23, cr_i32x4, 2, 3, 6, 7);
    }
    for (idx l = whole; l < depth; l++, x++, y += width)
      for (idx i = 0; i < 4; i++) y[i] = x[i * step];
  }
  for (idx j = full; j < width; j++)
    for (idx l = 0; l < depth; l++) to[l * width + j] = from[j * step + l];
}

/* to[l, j] = from[j, l] for l < depth and j < width; rows of from are step apart */
static void cr_transpose_f64(const double *restrict from, idx step, double *restrict to,
    idx depth, idx width)
{
  const idx whole = depth - depth % 2, full = width - width % 2;
  for (idx j = 0; j < full; j += 2) {
    const double *restrict x = from + j * step;
    double *restrict y = to + j;
    for (idx l = 0; l < whole; l += 2, x += 2, y += 2 * width) {
      const cr_f64x2 r0 = *(const cr_f64x2 *)x, r1 = *(const cr_f64x2 *)(x + step);
      *(cr_f64x2 *)y = CR_SHUFFLE(r0, r1, cr_i64x2, 0, 2);
      *(cr_f64x2 *)(y + width) = CR_SHUFFLE(r0, r1, cr_i64x2, 1, 3);
    }
    for (idx l = whole; l < depth; l++, x++, y += width) y[0] = x[0], y[1] = x[step];
  }
  for (idx j = full; j < width; j++)
    for (idx l = 0; l < depth; l++) to[l * width + j] = from[j * step + l];
}
"""
)

#: Bytes of the buffers, which are on the stack.
_PACKED_B = 1 << 19
_PACKED_A = 1 << 16
#: A matrix B of at most this many bytes stays in the first-level cache: it is read where it is.
_SMALL_B = 1 << 14
#: From this many columns on it pays to copy A, too.
_WIDE = 512
#: The range of l is cut into blocks of at most this length.
_DEPTH = 256


@dataclass(frozen=True)
class Target:
    """What a processor offers.

    Attributes:
        name: for comments.
        vector: bytes of a vector; 0 for plain C without vectors.
        accumulators: vectors of C that fit into registers beside those of A and B.
        panel: the best width of a panel in vectors, by measurement.
    """

    name: str
    vector: int
    accumulators: int
    panel: int


#: Tiles in single precision: 12 × 32, 6 × 16, 8 × 12, 4 × 8 and 4 × 4.
TARGETS = {
    "avx512": Target("avx512", 64, 24, 2),
    "avx2": Target("avx2", 32, 12, 2),
    "neon": Target("neon", 16, 24, 3),
    "sse": Target("sse", 16, 8, 2),
    "plain": Target("plain", 0, 8, 4),
}


@functools.cache
def native_target() -> Target:
    """The target for the processor that this runs on."""
    machine = platform.machine().lower()
    if machine in ("arm64", "aarch64"):
        return TARGETS["neon"]
    if machine not in ("x86_64", "amd64"):
        return TARGETS["plain"]
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return TARGETS["sse"]
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    if "avx512f" in flags:
        return TARGETS["avx512"]
    return TARGETS["avx2"] if {"avx2", "fma"} <= set(flags) else TARGETS["sse"]


@dataclass(frozen=True)
class Product:
    """C[g] = A[g]·B[g] for g < batch; C is m × n, the common index l runs to k.

    A is stored as m × k, or as k × m if ``transpose_a``; B as k × n, or n × k if ``transpose_b``.
    """

    m: int
    n: int
    k: int
    transpose_a: bool = False
    transpose_b: bool = False
    batch: int = 1
    dtype: str = "float32"

    @property
    def item(self) -> int:
        """Bytes of an element."""
        return {"float32": 4, "float64": 8}[self.dtype]

    @property
    def c_type(self) -> str:
        return {"float32": "float", "float64": "double"}[self.dtype]

    @property
    def a_strides(self) -> tuple[int, int]:
        """Elements from a[i, l] to a[i+1, l] and to a[i, l+1]."""
        return (1, self.m) if self.transpose_a else (self.k, 1)

    @property
    def b_strides(self) -> tuple[int, int]:
        """Elements from b[l, j] to b[l+1, j] and to b[l, j+1]."""
        return (1, self.k) if self.transpose_b else (self.n, 1)

    def swapped(self) -> Product:
        """Cᵀ = Bᵀ·Aᵀ, which is C itself in memory if C has one row or column."""
        return replace(
            self, m=self.n, n=self.m, transpose_a=not self.transpose_b,
            transpose_b=not self.transpose_a,
        )  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """How a product is computed; every plan gives the same bits.

    Attributes:
        rows: of a tile at most.
        columns: of a panel.
        depth: of a block of l at most.
        panels: that are packed at once; 0 if B is read where it is.
        pack_a: tiles of rows of A that are packed at once; 0 if A is read where it is.
        by_rows: whether the units are tiles of rows; otherwise they are panels.
    """

    rows: int
    columns: int
    depth: int
    panels: int
    pack_a: int
    by_rows: bool


def plan(product: Product, target: Target) -> Plan:
    """The default plan, from measurements."""
    lanes = max(target.vector // product.item, 1)
    vectors = min(target.panel, -(-product.n // lanes))
    if product.m * vectors < target.accumulators:  # few rows: wider panels instead
        vectors = min(target.accumulators // max(product.m, 1), -(-product.n // lanes))
    columns = vectors * lanes
    rows = max(target.accumulators // max(vectors, 1), 1)
    depth = -(-product.k // -(-product.k // _DEPTH)) if product.k else 1
    tiles = -(-product.m // rows)
    small = product.k * product.n * product.item <= _SMALL_B
    direct = not product.transpose_b and (small or tiles == 1)
    panels = 0 if direct else max(_PACKED_B // (depth * columns * product.item), 1)
    many = product.n >= _WIDE and tiles >= 4
    pack_a = max(_PACKED_A // (depth * rows * product.item), 1) if many and not direct else 0
    return Plan(rows, columns, depth, panels, pack_a, -(-product.n // columns) < tiles)


# ---- the text ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pointers:
    """C expressions: where A, B and C begin."""

    a: str
    b: str
    c: str


@dataclass
class Text:
    """A product in C.

    Attributes:
        functions: to be put before the function that the body belongs to; ``@`` is its name.
        body: statements that compute the units from ``begin`` to ``end``, as (depth, line).
        units: how many there are.
        grain: multiplications that one unit takes.
    """

    functions: list[str]
    body: list[tuple[int, str]]
    units: int
    grain: int


def pieces(width: int, lanes: int, item: int) -> list[tuple[int, int]]:
    """Columns as vectors, each (first column, width); an odd last one as a single number.

    Example:
        >>> pieces(31, 8, 4)
        [(0, 8), (8, 8), (16, 8), (24, 4), (28, 2), (30, 1)]
    """
    result, start = [], 0
    while start < width:
        while lanes > width - start:
            lanes //= 2
        lanes = lanes if lanes * item >= 8 else 1
        result.append((start, lanes))
        start += lanes
    return result


def emit(
    product: Product,
    pointers: Pointers,
    target: Target | None = None,
    chosen: Plan | None = None,
    epilogue: Sequence[str] = (),
) -> Text:
    """A product as C.

    Args:
        product: what to compute; nothing of it may be empty but k.
        pointers: to operands and result, which must not overlap.
        target: the processor; by default that of this machine.
        chosen: the plan; by default `plan`.
        epilogue: statements that are run for every finished element, in which ``c[i * n + j]``
            (n as a number) is the element of row i and column j of matrix g of the batch.
    """
    if (product.n == 1 and product.transpose_a) or (product.m == 1 and product.transpose_b):
        if not epilogue:
            pointers = Pointers(pointers.b, pointers.a, pointers.c)
            return emit(product.swapped(), pointers, target, chosen)
    if product.k == 1:  # vectors, which are their own transposes
        product = replace(product, transpose_a=False, transpose_b=False)
    target = target or native_target()
    return _Writer(product, pointers, target, chosen or plan(product, target), epilogue).text()


class _Writer:
    """Writes one product."""

    def __init__(
        self,
        product: Product,
        pointers: Pointers,
        target: Target,
        chosen: Plan,
        epilogue: Sequence[str],
    ) -> None:
        self.product, self.pointers, self.plan, self.epilogue = product, pointers, chosen, epilogue
        self.lanes = max(target.vector // product.item, 1)
        self.tiles = -(-product.m // chosen.rows)
        self.whole = product.n // chosen.columns
        self.rest = self._rest()
        self.panels = self.whole + bool(self.rest)
        self.short = "f32" if product.item == 4 else "f64"
        self.functions: dict[str, str] = {}
        self.lines: list[tuple[int, str]] = []
        self.depth = 1

    def _rest(self) -> list[tuple[int, int]]:
        """The columns after the last whole panel, cut so that a tile has no more vectors."""
        start, most = self.whole * self.plan.columns, self.plan.columns // self.lanes
        cut = pieces(self.product.n - start, self.lanes, self.product.item)
        groups = [cut[i : i + most] for i in range(0, len(cut), max(most, 1))]
        return [(start + group[0][0], sum(width for _, width in group)) for group in groups]

    def text(self) -> Text:
        """The functions and the body."""
        p = self.product
        per_matrix = self.tiles if self.plan.by_rows else self.panels
        self._line(f"/* {self._formula()} */")
        if p.batch == 1:
            self._units("begin", "end")
        else:
            self._line("for (idx u = begin, next; u < end; u = next) {")
            self.depth += 1
            self._line(f"const idx g = u / {per_matrix};")
            self._line(f"next = (g + 1) * {per_matrix} < end ? (g + 1) * {per_matrix} : end;")
            self._units(f"u - g * {per_matrix}", f"next - g * {per_matrix}")
            self._close(1)
        units = per_matrix * p.batch
        grain = max(p.m * p.n * p.k * p.batch // max(units, 1), 1)
        return Text(list(self.functions.values()), self.lines, units, grain)

    def _formula(self) -> str:
        p = self.product
        at, bt = "^T" * p.transpose_a, "^T" * p.transpose_b
        count = f", {p.batch} of them" if p.batch > 1 else ""
        return f"C = A{at} B{bt}: {p.m} x {p.n}, sums of {p.k}{count}"

    # ---- the loops -----------------------------------------------------------------------------

    def _line(self, text: str) -> None:
        self.lines.append((self.depth, text))

    def _open(self, text: str) -> None:
        self._line(text + " {")
        self.depth += 1

    def _close(self, depth: int) -> None:
        while self.depth > depth:
            self.depth -= 1
            self._line("}")

    def _units(self, first: str, last: str) -> None:
        """Units of one matrix."""
        p, c_type = self.product, self.product.c_type
        for name, extent in (("a", p.m * p.k), ("b", p.k * p.n), ("c", p.m * p.n)):
            const = "const " if name != "c" else ""
            move = f" + g * {extent}" if p.batch > 1 else ""
            pointer = getattr(self.pointers, name)
            self._line(f"{const}{c_type} *restrict {name} = {pointer}{move};")
        if self.plan.by_rows:
            self._line(f"const idx t0 = {first}, t1 = {last}; /* tiles of rows */")
            self._line(f"const idx q0 = 0, q1 = {self.panels}; /* panels of columns */")
        else:
            self._line(f"const idx t0 = 0, t1 = {self.tiles}; /* tiles of rows */")
            self._line(f"const idx q0 = {first}, q1 = {last}; /* panels of columns */")
        self._columns()

    def _columns(self) -> None:
        """Blocks of columns, then blocks of depth."""
        plan, depth = self.plan, self.depth
        if plan.panels:
            size = min(plan.panels, self.panels) * plan.columns * min(plan.depth, self.product.k)
            self._line(f"{self.product.c_type} packed_b[{size}] CR_ALIGNED;")
        if plan.pack_a:
            size = min(plan.pack_a, self.tiles) * plan.rows * min(plan.depth, self.product.k)
            self._line(f"{self.product.c_type} packed_a[{size}] CR_ALIGNED;")
        if plan.panels and plan.panels < self.panels:
            self._open(f"for (idx s = q0; s < q1; s += {plan.panels})")
            self._line(f"const idx e = s + {plan.panels} < q1 ? s + {plan.panels} : q1;")
        else:
            self._line("const idx s = q0, e = q1;")
        if self.whole:
            bound = f"e < {self.whole} ? e : {self.whole}" if self.rest else "e"
            self._line(f"const idx whole = {bound};")
        elif not plan.panels:
            self._line("(void)s;")
        if self.product.k > plan.depth:
            self._open(f"for (idx l = 0; l < {self.product.k}; l += {plan.depth})")
            left = f"{self.product.k} - l"
            self._line(f"const idx d = {left} < {plan.depth} ? {left} : {plan.depth};")
        else:
            self._line(f"const idx l = 0, d = {self.product.k};")
        self._pack_b()
        self._rows()
        self._close(depth)

    def _pack_b(self) -> None:
        plan = self.plan
        if not plan.panels:
            return
        step_l, step_j = self.product.b_strides
        pack = self._packer(self.product.transpose_b, plan.columns, max(step_l, step_j))
        place = f"b + l * {step_l} + q * {plan.columns * step_j}"
        if self.whole:
            self._line("for (idx q = s; q < whole; q++)")
            self._line(f"  {pack}({place}, packed_b + (q - s) * d * {plan.columns}, d);")
        if self.rest:
            self._open(f"if (e > {self.whole})")
            for start, width in self.rest:
                pack = self._packer(self.product.transpose_b, width, max(step_l, step_j))
                place = f"b + l * {step_l} + {start * step_j}"
                self._line(f"{pack}({place}, {self._packed_rest(start)}, d);")
            self._close(self.depth - 1)

    def _packed_rest(self, start: int) -> str:
        return f"packed_b + ({start} - s * {self.plan.columns}) * d"

    def _rows(self) -> None:
        """Blocks of tiles of rows, panels, tiles."""
        plan, depth = self.plan, self.depth
        if plan.pack_a:
            self._open(f"for (idx r = t0; r < t1; r += {plan.pack_a})")
            self._line(f"const idx f = r + {plan.pack_a} < t1 ? r + {plan.pack_a} : t1;")
            self._pack_a()
        else:
            self._line("const idx r = t0, f = t1;")
        if self.whole:
            self._open("for (idx q = s; q < whole; q++)")
            self._line(f"const idx j = q * {plan.columns};")
            packed = f"packed_b + (q - s) * d * {plan.columns}"
            self._tiles("j", plan.columns, packed)
            self._close(self.depth - 1)
        if self.rest:
            self._open(f"if (e > {self.whole})")
            for start, width in self.rest:
                self._tiles(str(start), width, self._packed_rest(start))
            self._close(self.depth - 1)
        self._close(depth)

    def _sizes(self) -> tuple[int, int]:
        """(rows of a smaller tile, how many tiles have one more): the rows shared evenly."""
        return divmod(self.product.m, self.tiles)

    def _first_row(self, t: str) -> str:
        low, more = self._sizes()
        if not more:
            return f"{t} * {low}"
        return f"{t} * {low} + ({t} < {more} ? {t} : {more})"

    def _pack_a(self) -> None:
        low, more = self._sizes()
        step_i, step_l = self.product.a_strides
        self._open("for (idx t = r; t < f; t++)")
        self._line(f"const idx i = {self._first_row('t')};")
        place = f"a + i * {step_i} + l * {step_l}"
        to = f"packed_a + (t - r) * d * {low + bool(more)}"

        def call(rows: int) -> str:
            pack = self._packer(not self.product.transpose_a, rows, max(step_i, step_l))
            return f"{pack}({place}, {to}, d);"

        self._choose(call)
        self._close(self.depth - 1)

    def _choose(self, call: Callable[[int], str]) -> None:
        """A call for a tile t, which has one of two numbers of rows."""
        low, more = self._sizes()
        if not more:
            self._line(call(low))
        else:
            self._line(f"if (t < {more}) {call(low + 1)}")
            self._line(f"else {call(low)}")

    def _tiles(self, j: str, width: int, packed_b: str) -> None:
        """The tiles of one panel, from tile r to tile f."""
        plan, p = self.plan, self.product
        low, more = self._sizes()
        step_i, step_l = p.a_strides
        self._open("for (idx t = r; t < f; t++)")
        self._line(f"const idx i = {self._first_row('t')};")
        if plan.pack_a:
            a = f"packed_a + (t - r) * d * {low + bool(more)}"
        else:
            a = f"a + i * {step_i} + l * {step_l}"
        b = packed_b if plan.panels else f"b + l * {p.n} + {j}"
        step_b = width if plan.panels else p.n

        def call(rows: int) -> str:
            steps = (1, rows) if plan.pack_a else p.a_strides
            name = self._micro(rows, width, steps, step_b)
            return f"{name}({a}, {b}, c + i * {p.n} + {j}, d, l > 0);"

        self._choose(call)
        if self.epilogue:
            self._finish(j, width)
        self._close(self.depth - 1)

    def _finish(self, j: str, width: int) -> None:
        low, more = self._sizes()
        rows = f"(t < {more} ? {low + 1} : {low})" if more else str(low)
        depth = self.depth
        if self.product.k > self.plan.depth:
            self._open(f"if (l + d == {self.product.k})")
        self._line(f"const idx i0 = i, j0 = {j};")
        self._open(f"for (idx i = i0; i < i0 + {rows}; i++)")
        self._open(f"for (idx j = j0; j < j0 + {width}; j++)")
        for line in self.epilogue:
            self._line(line)
        self._close(depth)

    # ---- the functions -------------------------------------------------------------------------

    def _vector(self, width: int) -> str:
        return self.product.c_type if width == 1 else f"cr_{self.short}x{width}"

    def _micro(self, rows: int, width: int, steps: tuple[int, int], step_b: int) -> str:
        """A function that computes a tile; its name."""
        name = f"@_{rows}x{width}"
        if name in self.functions:
            return name
        cut = pieces(width, self.lanes, self.product.item)
        c_type, (step_i, step_l) = self.product.c_type, steps
        tile = [
            (f"c{i}_{v}", self._vector(w), i * self.product.n + first)
            for i in range(rows)
            for v, (first, w) in enumerate(cut)
        ]
        lines = [
            f"/* {rows} x {width}: c[i, j] += a[i, 0] b[0, j] + a[i, 1] b[1, j] + ... */",
            f"static void {name}(const {c_type} *restrict a, const {c_type} *restrict b,",
            f"    {c_type} *restrict c, idx depth, _Bool more)",
            "{",
        ]
        for c, kind, _ in tile:
            zero = "0" if kind == c_type else "{0}"
            lines.append(f"  {kind} {c} = {zero};")
        lines.append("  if (more) {")
        lines += [f"    {c} = {_at(kind, c_type, 'c', at)};" for c, kind, at in tile]
        lines += ["  }", "  for (idx l = 0; l < depth; l++) {"]
        for v, (first, w) in enumerate(cut):
            kind = self._vector(w)
            lines.append(f"    const {kind} b{v} = {_at(kind, c_type, 'b', first)};")
        for i in range(rows):
            lines.append(f"    const {c_type} a{i} = a[{i * step_i}];")
            lines += [f"    c{i}_{v} += a{i} * b{v};" for v in range(len(cut))]
        lines += [f"    a += {step_l};", f"    b += {step_b};", "  }"]
        lines += [f"  {_at(kind, c_type, 'c', at, '')} = {c};" for c, kind, at in tile]
        self.functions[name] = "\n".join([*lines, "}"])
        return name

    def _packer(self, transposed: bool, width: int, step: int) -> str:
        """A function that copies a panel; its name."""
        c_type = self.product.c_type
        name = f"@_{'turn' if transposed else 'pack'}_{width}_{step}"
        if name in self.functions:
            return name
        lines = [
            f"/* to[l, j] = from[{'j, l' if transposed else 'l, j'}] for {width} columns j */",
            f"static void {name}(const {c_type} *restrict from, {c_type} *restrict to, idx depth)",
            "{",
        ]
        if transposed:
            lines.append(f"  cr_transpose_{self.short}(from, {step}, to, depth, {width});")
        else:
            lines += [
                "  for (idx l = 0; l < depth; l++)",
                f"    for (idx j = 0; j < {width}; j++) to[l * {width} + j] = from[l * {step} + j];",
            ]
        self.functions[name] = "\n".join([*lines, "}"])
        return name


def _at(kind: str, c_type: str, pointer: str, offset: int, const: str = "const ") -> str:
    """A vector, or a number, in memory."""
    if kind == c_type:
        return f"{pointer}[{offset}]"
    return f"*({const}{kind} *)({pointer} + {offset})"
