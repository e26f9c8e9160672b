"""A generator of matrix products C = A·B: one C text for one shape, one element type, one target.

The innermost work is a *microkernel*: a tile of C, a few rows by a few vectors, held in registers
while the common index l runs over a block of its range (Goto and van de Geijn, "Anatomy of
high-performance matrix multiplication", 2008). Around it, outermost first:

    unit     a panel of columns, or a tile of rows, of one matrix of the batch: what threads share
    columns  as many panels of B as a buffer in the second-level cache takes, if A is packed, too;
             with units of rows there are as many units for each of these
    depth    the range of l in blocks, so that a packed panel stays in the first-level cache
    rows     tiles of rows, as many as are packed at once
    panels   of B, each packed before its tiles unless all were packed for several blocks of rows
    tiles    the microkernel

Every element of C is the sum of its blocks of depth, in order, each one chain ``c = fma(a[i, l],
b[l, j], c)``, so that long sums keep their digits. The blocks depend on the length of l alone: so
neither tile, nor panels, nor threads, nor width of vectors change a bit of the result.

B is copied into panels, one row of a panel after the other, unless it is small or seldom used.
Columns that do not fill a vector are computed in one that is padded where B is copied, otherwise in
shorter vectors, the last few as single numbers. A and C are never padded.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..autotune_cache import TileChoice
from .cpu import TARGETS, Target, target_in_use
from .gemm_tiles import ELEMENTS, Fetched, microkernel, packer, pieces

__all__ = [
    "TARGETS", "GemmPlan", "Pointers", "Product", "Target", "Text", "emit",
    "plan", "target_in_use",
]  # fmt: skip


#: Bytes of the buffers, which are on the stack.
_PACKED_B = 1 << 19
_PACKED_A = 1 << 16
#: A matrix B of at most this many bytes stays in the first-level cache: it is read where it is.
_SMALL_B = 1 << 14
#: The same where an epilogue reads rows of other matrices.
_SMALL_WITH_READS = 1 << 16
#: Up to this many rows it does not pay to copy B.
_FEW_ROWS = 128
#: From so many rows on it pays to copy a narrow B, so that its last vector may be padded.
_PADDED_ROWS = 32
#: So many rows of A at most are read at once if they share the places of a cache.
_NEAR_ROWS = 12
#: Up to this k panels of `Target.short_panel` stay in the first-level cache, if no column is left.
_SHORT = 128
#: So many rows at most has a tile of one vector: most batches are multiples of it, and tiles of one
#: height need one function, which takes the compiler half of the time of two.
_NARROW_ROWS = 16
#: From such k and n on it pays to copy A if it is transposed, or a block of it has so many bytes.
_LONG, _WIDE = 128, 128
_LARGE_A = 1 << 20
#: From vectors of so many bytes on it pays to copy A and B for the sake of what an epilogue reads,
#: if B has so many panels.
_LONG_VECTOR, _SOME = 32, 4
#: With so many panels what is left of the columns does not matter.
_MANY = 8
#: From so many bytes on it takes long to get what another processor has in its cache, and so many
#: rows of a tile are computed meanwhile.
_SHARED, _EARLY = 1 << 16, 24
#: From so many bytes on, a B in panels does not stay in the cache between its uses.
_FAR = 1 << 18
#: Bytes that come into a cache at once.
_LINE = 64
#: The range of l is cut into blocks of at most this length.
_DEPTH = 256


@dataclass(frozen=True)
class Product:
    """C[g] = A[g]·B[g] for g < batch; C is m × n, the common index l runs to k.

    A is stored as m × k, or as k × m if ``transpose_a``; B as k × n, or n × k if ``transpose_b``,
    or, ``in_panels``, as `emit_panels` leaves it.
    """

    m: int
    n: int
    k: int
    transpose_a: bool = False
    transpose_b: bool = False
    batch: int = 1
    dtype: str = "float32"
    in_panels: bool = False

    @property
    def item(self) -> int:
        """Bytes of an element."""
        return ELEMENTS[self.dtype][2]

    @property
    def c_type(self) -> str:
        """The C type of an element."""
        return ELEMENTS[self.dtype][0]

    @property
    def a_strides(self) -> tuple[int, int]:
        """Elements from a[i, l] to a[i+1, l] and to a[i, l+1]."""
        return (1, self.m) if self.transpose_a else (self.k, 1)

    @property
    def b_strides(self) -> tuple[int, int]:
        """Elements from b[l, j] to b[l+1, j] and to b[l, j+1]."""
        return (1, self.k) if self.transpose_b else (self.n, 1)

    @property
    def kind(self) -> str:
        """The products that are like it: type, transposes, whether panels are short."""
        return f"{self._form}, k {'>' if self.k > _SHORT else '≤'} {_SHORT}"

    @property
    def name(self) -> str:
        """The products that take as long, matrix by matrix: m×n×k.

        Example:
            >>> Product(784, 128, 64, transpose_a=True).name
            'float32 Aᵀ·B 784×128×64'
        """
        return f"{self._form} {self.m}×{self.n}×{self.k}"

    @property
    def _form(self) -> str:
        a, b = "Aᵀ" if self.transpose_a else "A", "Bᵀ" if self.transpose_b else "B"
        return f"{self.dtype} {a}·{b}"

    def swapped(self) -> Product:
        """Cᵀ = Bᵀ·Aᵀ, which is C itself in memory if C has one row or column."""
        return replace(
            self, m=self.n, n=self.m, transpose_a=not self.transpose_b,
            transpose_b=not self.transpose_a,
        )  # fmt: skip


@dataclass(frozen=True)
class GemmPlan:
    """How a product is computed; every plan gives the same bits.

    Attributes:
        rows: of a tile at most.
        columns: of a panel.
        depth: of a block of l at most.
        panels: that are packed at once where A is packed in several blocks, otherwise it is one;
            0 if B is read where it is.
        pack_a: tiles of rows of A that are packed at once; 0 if A is read where it is.
        by_rows: whether the units are tiles of rows; otherwise they are panels.
    """

    rows: int
    columns: int
    depth: int
    panels: int
    pack_a: int
    by_rows: bool

    @property
    def rows_first(self) -> bool:
        """Whether the tiles of a row follow one another, if the epilogue reads more."""
        return not self.panels or self.pack_a == 1


def plan(product: Product, target: Target, measured_packing: bool = True) -> GemmPlan:
    """The plan by what was measured on this machine, otherwise by rules, from measurements on some.

    Args:
        product: what to compute.
        target: the processor.
        measured_packing: whether it may be by measurement, too, what is packed.
    """
    n, k, item = product.n, product.k, product.item
    lanes = max(target.vector // item, 1)
    choice = _choice(product, target)
    rows, vectors = (choice.rows, choice.vectors) if choice else _tile(product, target)
    columns = vectors * lanes
    depth = -(-k // -(-k // _DEPTH)) if k else 1
    tiles, panels = -(-product.m // rows), -(-n // columns)
    packed, pack_a = (False, False) if target.frugal else _packing(product, tiles, columns, lanes)
    if choice is not None and choice.pack_b is not None and measured_packing:
        packed = product.transpose_b or choice.pack_b
        pack_a = packed and bool(choice.pack_a)
    # With units of rows every thread packs B for itself, with panels A: rather the smaller one.
    by_rows = panels < tiles if not packed else panels < 8 or (pack_a and n < product.m)
    return GemmPlan(
        rows,
        columns,
        depth,
        panels=max(_PACKED_B // (depth * columns * item), 1) if packed else 0,
        pack_a=max(_PACKED_A // (depth * rows * item), 1) if pack_a else 0,
        by_rows=by_rows,
    )


def _choice(product: Product, target: Target) -> TileChoice | None:
    """What was measured for this product, or for its kind if such a tile fits it.

    The columns after the last whole panel take longer, for narrow tiles multiply less at a time.
    """
    available = -(-product.n // max(target.vector // product.item, 1))
    choice = target.choices.get(product.name)
    if choice is None:
        choice = target.choices.get(product.kind)
        if choice and available % choice.vectors and available < _MANY * choice.vectors:
            return None
    if choice and choice.rows <= product.m and choice.vectors <= available:
        return choice
    return None


def _tile(product: Product, target: Target) -> tuple[int, int]:
    """Rows and vectors of a tile by rules."""
    available = -(-product.n // max(target.vector // product.item, 1))
    vectors = min(target.panel, available)
    if product.m * vectors < target.accumulators:  # few rows: wider panels instead
        vectors = min(target.accumulators // product.m, available)
    elif product.k <= _SHORT and available % target.short_panel == 0:
        vectors = target.short_panel
    rows = target.accumulators // vectors
    if vectors == 1 and product.m > rows:
        rows = min(rows, _NARROW_ROWS)
    if not product.transpose_a and product.k * product.item % 2048 == 0:
        rows = min(rows, _NEAR_ROWS)
    return rows, vectors


def _packing(product: Product, tiles: int, columns: int, lanes: int) -> tuple[bool, bool]:
    """Whether B, and A, are packed, by rules; with so many tiles of rows, columns and lanes."""
    m, n, k, item = product.m, product.n, product.k, product.item
    few = m <= _FEW_ROWS and n * item % 2048 != 0  # rows far apart would share cache lines' places
    in_place = tiles == 1 or few or k * n * item <= _SMALL_B
    narrow = m >= _PADDED_ROWS and tiles > 1 and n < 2 * columns
    padded = narrow and _is_padded(n % columns, lanes, item)
    packed = product.transpose_b or not in_place or padded
    if product.transpose_a:
        far = m * item >= 2048  # from a[i, l] to a[i, l + 1]
    else:  # more than the second-level cache takes of it
        near = k * item % 4096 == 0  # rows share places in it
        far = m * min(k, _DEPTH) * item >= (_LARGE_A // 2 if near else _LARGE_A)
    return packed, packed and far and k >= _LONG and n >= _WIDE


def _is_padded(rest: int, lanes: int, item: int) -> bool:
    """Whether so many columns take fewer multiplications if the last vector is padded.

    Vectors of 8 bytes are multiplied number by number.
    """
    cut = [width if width * item < 16 else 1 for _, width in pieces(rest, lanes, item)]
    return lanes > 1 and sum(cut) > -(-rest // lanes)


def panel_columns(product: Product) -> int:
    """How wide the panels are in which B is best stored, to be used many times."""
    return plan(product, target_in_use()).columns


def plan_in_panels(product: Product, columns: int) -> GemmPlan:
    """The plan of a product whose B is stored in panels."""
    target = target_in_use()
    vectors = max(columns // max(target.vector // product.item, 1), 1)
    default = plan(product, target)
    same = default.columns == columns
    rows = default.rows if same else max(target.accumulators // vectors, 1)
    return replace(default, rows=rows, columns=columns, panels=product.n, pack_a=0, by_rows=True)


def plan_with_reads(product: Product, target: Target) -> GemmPlan:
    """The plan of a product whose epilogue reads more for every element.

    Where that is worth it rows go before columns, so that what is read lies together: with a
    small B, which is read where it is, and with gradients of weights of many columns, whose
    A is copied tile by tile, B in as many panels as the second-level cache takes. What is packed
    was measured without such reads, so it goes by rules here.
    """
    default = plan(product, target, measured_packing=False)
    size, row = product.k * product.n * product.item, product.n * product.item
    if size <= _SMALL_WITH_READS and row % 2048 and not product.transpose_b:
        return replace(default, panels=0, pack_a=0, by_rows=True)
    wide = target.vector >= _LONG_VECTOR and product.n >= _SOME * default.columns
    if wide and product.transpose_a and not product.transpose_b and _LONG <= product.k <= _DEPTH:
        panel = product.k * default.columns * product.item
        return replace(default, panels=max(_PACKED_B // panel, 1), pack_a=1, by_rows=True)
    return default


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
        copies: whether every call of some of them copies B, or the panels that it needs.
        asks: whether the body asks `parts` for further units, to use what it copied again.
    """

    functions: list[str]
    body: list[tuple[int, str]]
    units: int
    grain: int
    copies: bool = False
    asks: bool = False


def emit(
    product: Product,
    pointers: Pointers,
    target: Target | None = None,
    chosen: GemmPlan | None = None,
    epilogue: Sequence[str] = (),
    kept: bool = True,
    fetched: Sequence[str] = (),
    asks: bool = False,
) -> Text:
    """A product as C.

    Args:
        product: what to compute; nothing of it may be empty but k.
        pointers: to operands and result, which must not overlap.
        target: the processor; by default that of this machine.
        chosen: the plan; by default `plan`.
        epilogue: statements that are run for every finished element while its tile is in the
            first-level cache: ``$`` is the element of row i and column j of matrix g of the batch.
        kept: whether C is needed in memory besides. Without it `GemmPlan.depth` is at least k.
        fetched: pointers to what the epilogue reads in the place of an element: is fetched
            into the cache while the tile is computed.
        asks: whether the body may ask ``parts``, unless that is NULL, for further units.
    """
    names = ("i", "j")
    if (product.n == 1 and product.transpose_a) or (product.m == 1 and product.transpose_b):
        product, pointers = product.swapped(), Pointers(pointers.b, pointers.a, pointers.c)
        names = ("j", "i")
    if product.k == 1:  # vectors, which are their own transposes
        product = replace(product, transpose_a=False, transpose_b=False)
    target = target or target_in_use()
    chosen = chosen or (plan_with_reads if fetched else plan)(product, target)
    writer = _Writer(product, pointers, target, chosen)
    writer.epilogue, writer.names, writer.kept = epilogue, names, kept
    writer.fetched, writer.asks = fetched, asks and writer.can_ask
    return writer.text()


def emit_panels(n: int, k: int, transposed: bool, dtype: str, columns: int) -> Text:
    """Copy B, k × n or its transpose, into panels: column j of block l begins at l·n + j·d."""
    product = Product(1, n, k, False, transposed, 1, dtype, in_panels=True)
    writer = _Writer(
        product, Pointers("b", "b", "packed"), target_in_use(), plan_in_panels(product, columns)
    )
    return writer.panels_text()


class _Writer:
    """Writes one product.

    Attributes:
        epilogue: statements for a finished element.
        names: what these call the row and the column.
        kept: whether C is stored.
        fetched: pointers to what the epilogue reads.
        asks: whether there may be further units that use the same copies.
    """

    epilogue: Sequence[str] = ()
    names = ("i", "j")
    kept = True
    fetched: Sequence[str] = ()
    asks = False
    _part = ""

    def __init__(
        self, product: Product, pointers: Pointers, target: Target, plan: GemmPlan
    ) -> None:
        self.product, self.pointers, self.plan = product, pointers, plan
        self.lanes = max(target.vector // product.item, 1)
        self.tiles = -(-product.m // plan.rows)
        #: The rows shared evenly: rows of a tile, and how many tiles have one more.
        self.low, self.more = divmod(product.m, self.tiles)
        self.whole = product.n // plan.columns
        self.in_copy = in_copy = plan.panels > 0 and not product.in_panels
        #: Whether a panel is packed just before its tiles, so that one buffer is enough.
        self.one_by_one = in_copy and not 0 < plan.pack_a < self.tiles
        self.padded = in_copy and _is_padded(product.n % plan.columns, self.lanes, product.item)
        self.rest = self._rest()
        self.panels = self.whole + bool(self.rest)
        self.by_rows = plan.by_rows or self.panels == 1
        at_once = self.panels if self.one_by_one or not plan.panels else plan.panels
        #: Into how many blocks of columns units of rows are cut, so that a call copies some only.
        self.blocks = -(-self.panels // at_once) if self.by_rows else 1
        self.functions: dict[str, str] = {}
        self.lines: list[tuple[int, str]] = []
        self.depth = 1

    @property
    def can_ask(self) -> bool:
        """Whether the copies of one call serve another, as they are all of some columns."""
        p = self.product
        in_one = p.batch == 1 and p.k <= self.plan.depth
        return self.by_rows and self.in_copy and not self.one_by_one and in_one

    def _rest(self) -> list[tuple[int, int]]:
        """The columns after the whole panels, (first, width) each, with no more vectors."""
        start, most = self.whole * self.plan.columns, max(self.plan.columns // self.lanes, 1)
        if self.padded:
            return [(start, self.product.n - start)]
        cut = pieces(self.product.n - start, self.lanes, self.product.item)
        groups = [cut[i : i + most] for i in range(0, len(cut), most)]
        return [(start + group[0][0], sum(width for _, width in group)) for group in groups]

    def text(self) -> Text:
        """The functions and the body."""
        p = self.product
        units = self.tiles if self.by_rows else self.panels
        at, bt = "^T" * p.transpose_a, "^T" * p.transpose_b
        many = f", {p.batch} of them" if p.batch > 1 else ""
        self._line(f"/* C = A{at} B{bt}: {p.m} x {p.n}, sums of {p.k}{many} */")
        count = p.batch * self.blocks
        if self.asks:
            self._buffers()
            self._line("CR_SOME(packed_b);")
            self._line("idx copied = -1; /* the columns that packed_b has */")
            self._open("do")
        if count == 1:
            self._matrix("begin", "end")
        else:
            number = "h" if self.blocks > 1 else "g"
            self._open("for (idx u = begin, next; u < end; u = next)")
            self._line(f"const idx {number} = u / {units};")
            self._line(f"next = ({number} + 1) * {units} < end ? ({number} + 1) * {units} : end;")
            if self.blocks > 1 and p.batch > 1:
                self._line(f"const idx g = h / {self.blocks};")
            self._matrix(f"u - {number} * {units}", f"next - {number} * {units}")
            self._close(1 + self.asks)
        if self.asks:
            self.depth -= 1
            self._line("} while (parts && parts->next(parts, &begin, &end));")
        grain = max(p.m * p.n * p.k // (units * self.blocks), 1)
        copies = self.by_rows and self.in_copy and p.batch == 1 and not self.asks
        functions = list(self.functions.values())
        return Text(functions, self.lines, units * count, grain, copies, self.asks)

    def panels_text(self) -> Text:
        """The functions and statements that copy B into panels, block of depth by block."""
        p, plan = self.product, self.plan
        self._line(f"for (idx l = 0; l < {p.k}; l += {plan.depth}) {{")
        self.depth += 1
        self._line(f"const idx d = {p.k} - l < {plan.depth} ? {p.k} - l : {plan.depth};")
        if self.whole:
            self._line(f"const idx s = 0, e = {self.panels}, whole = {self.whole};")
            self._line("(void)s, (void)e;")

        def pack(j: str, width: int, packed: str) -> None:
            self._pack_b(j, width, f"packed + l * {p.n} + {j} * d")

        self._each_panel(pack)
        self._close(1)
        return Text(list(self.functions.values()), self.lines, 1, p.k * p.n)

    def _line(self, text: str) -> None:
        self.lines.append((self.depth, text))

    def _open(self, text: str) -> None:
        self._line(text + " {")
        self.depth += 1

    def _close(self, depth: int) -> None:
        while self.depth > depth:
            self.depth -= 1
            self._line("}")

    # ---- the loops, outermost first ------------------------------------------------------------

    def _matrix(self, first: str, last: str) -> None:
        """Units of one matrix."""
        p, c_type = self.product, self.product.c_type
        extents = {"a": p.m * p.k, "b": p.k * p.n} | ({"c": p.m * p.n} if self.kept else {})
        for name, extent in extents.items():
            const = "const " if name != "c" else ""
            move = f" + g * {extent}" if p.batch > 1 else ""
            pointer = getattr(self.pointers, name)
            self._line(f"{const}{c_type} *restrict {name} = {pointer}{move};")
        rows = (first, last) if self.by_rows else ("0", str(self.tiles))
        panels = ("0", str(self.panels)) if self.by_rows else (first, last)
        self._line(f"const idx t0 = {rows[0]}, t1 = {rows[1]}; /* tiles of rows */")
        if self.whole:
            self._line(f"const idx q0 = {panels[0]}, q1 = {panels[1]}; /* panels of columns */")
        self._columns()

    def _columns(self) -> None:
        """As many panels from s to e as are packed at once, then blocks of depth."""
        plan, p, depth = self.plan, self.product, self.depth
        block = ("h" if p.batch == 1 else f"h % {self.blocks}") if self.blocks > 1 else "0"
        if not self.asks:
            self._buffers()
        if self.whole:
            if self.blocks > 1:
                self._line(f"const idx s = q0 + {block} * {plan.panels};")
                self._line(f"const idx e = s + {plan.panels} < q1 ? s + {plan.panels} : q1;")
            elif plan.panels and plan.panels < self.panels and not self.one_by_one:
                self._open(f"for (idx s = q0; s < q1; s += {plan.panels})")
                self._line(f"const idx e = s + {plan.panels} < q1 ? s + {plan.panels} : q1;")
            else:
                self._line("const idx s = q0, e = q1;")
            bound = f"e < {self.whole} ? e : {self.whole}" if self.rest else "e"
            self._line(f"const idx whole = {bound};")
        if p.k > plan.depth:
            self._open(f"for (idx l = 0; l < {p.k}; l += {plan.depth})")
            self._line(f"const idx d = {p.k} - l < {plan.depth} ? {p.k} - l : {plan.depth};")
        else:
            self._line(f"const idx l = 0, d = {p.k};")
        if plan.panels and not p.in_panels and not self.one_by_one:
            if self.asks:
                self._open(f"if (copied != {block})")
            self._each_panel(self._pack_b)
            if self.asks:
                self._line(f"copied = {block};")
                self._close(self.depth - 1)
        self._rows()
        self._close(depth)

    def _buffers(self) -> None:
        """Arrays for what is packed."""
        plan, p = self.plan, self.product
        longest = min(plan.depth, p.k)
        at_once = 1 if self.one_by_one else plan.panels
        for name, most, width in (
            ("packed_b", 0 if p.in_panels else min(at_once, self.panels), plan.columns),
            ("packed_a", min(plan.pack_a, self.tiles), plan.rows),
        ):
            if most:
                self._line(f"{p.c_type} {name}[{max(most * width * longest, 1)}] CR_ALIGNED;")

    def _each_panel(self, inside: Callable[[str, int, str], None]) -> None:
        """What is done for every panel: given its first column, its width, its packed copy."""
        columns, own = self.plan.columns, "packed_b" if self.one_by_one else ""
        if self.whole:
            self._open("for (idx q = s; q < whole; q++)")
            self._line(f"const idx j = q * {columns};")
            inside("j", columns, own or f"packed_b + (q - s) * {columns} * d")
            self._close(self.depth - 1)
        if self.rest:
            depth = self.depth
            if self.whole:
                self._open(f"if (e > {self.whole})")
            for start, width in self.rest:
                before = f"({start} - s * {columns})" if self.whole else str(start)
                inside(str(start), width, own or f"packed_b + {before} * d")
            self._close(depth)

    def _pack_b(self, j: str, width: int, packed: str) -> None:
        step_l, step_j = self.product.b_strides
        pack = self._packer(
            self.product.transpose_b, width, max(step_l, step_j), self._row_of(width)
        )
        self._line(f"{pack}(b + {_times('l', step_l)} + {_times(j, step_j)}, {packed}, d);")

    def _row_of(self, width: int) -> int:
        """Elements of a row of a panel with so many columns, with padding."""
        return -(-width // self.lanes) * self.lanes if self.padded else width

    def _rows(self) -> None:
        """As many tiles of rows from r to f as are packed at once."""
        plan, depth = self.plan, self.depth
        if plan.pack_a and plan.pack_a < self.tiles:
            self._open(f"for (idx r = t0; r < t1; r += {plan.pack_a})")
            self._line(f"const idx f = r + {plan.pack_a} < t1 ? r + {plan.pack_a} : t1;")
        else:
            self._line("const idx r = t0, f = t1;")
        if plan.pack_a:
            self._each_tile()
            self._each_height(self._pack_a)
            self._close(self.depth - 1)
        if self.fetched and not plan.panels:
            self._each_tile()
            self._each_panel(self._tile)
        else:
            self._each_panel(self._tiles)
        self._close(depth)

    def _each_tile(self) -> None:
        """For every tile of rows: its number t, its first row i."""
        self._open("for (idx t = r; t < f; t++)")
        shift = f" + (t < {self.more} ? t : {self.more})" if self.more else ""
        self._line(f"const idx i = t * {self.low}{shift};")

    def _each_height(self, call: Callable[[int], str]) -> None:
        """A call for tile t, according to how many rows it has."""
        if not self.more:
            self._line(call(self.low))
        else:
            self._line(f"if (t < {self.more}) {call(self.low + 1)}")
            self._line(f"else {call(self.low)}")

    def _fetched(self, rows: int) -> Fetched | None:
        """What the epilogue of a tile of so many rows reads."""
        if not self.fetched or self.lanes == 1:
            return None
        return Fetched(len(self.fetched), self.product.n, max(self.product.k // rows, 1))

    def _a_block(self) -> str:
        """Where the rows of tile t begin."""
        if self.plan.pack_a:
            return f"packed_a + (t - r) * {self.low + bool(self.more)} * d"
        return self._a_in_place()

    def _a_in_place(self) -> str:
        step_i, step_l = self.product.a_strides
        return f"a + {_times('i', step_i)} + {_times('l', step_l)}"

    def _pack_a(self, rows: int) -> str:
        pack = self._packer(not self.product.transpose_a, rows, max(self.product.a_strides), rows)
        return f"{pack}({self._a_in_place()}, {self._a_block()}, d);"

    def _tiles(self, j: str, width: int, packed: str) -> None:
        """The tiles of one panel."""
        if self.one_by_one:
            self._pack_b(j, width, packed)
        self._each_tile()
        self._tile(j, width, packed, open_block=False)
        self._close(self.depth - 1)

    def _tile(self, j: str, width: int, packed: str, open_block: bool = True) -> None:
        """A tile of one panel."""
        depth = self.depth
        if open_block:
            self._open("/* a tile */")
        plan, p = self.plan, self.product
        step_l, step_j = p.b_strides
        b, b_step = f"b + {_times('l', step_l)} + {_times(j, step_j)}", step_l
        row = self._row_of(width)
        if plan.panels:
            b, b_step, step_j = packed, row, 1
        if p.in_panels:
            b = f"b + l * {p.n} + {j} * d"

        tile = f"c + i * {p.n} + {j}" if self.kept else "tile"
        c_step = p.n if self.kept else row

        place = (f"g * {p.m * p.n} + " if p.batch > 1 else "") + f"i * {p.n} + {j}"

        def call(rows: int, ahead: int = 0, next_: str = "") -> str:
            a_steps = (1, rows) if plan.pack_a else p.a_strides
            name = self._micro((rows, row), a_steps, (b_step, step_j), c_step, width, ahead)
            if ahead and not next_:
                next_ = f"{b} + {width} * d + (t - 1) * {ahead} * d"
            next_ = f", {next_}" if next_ else ""
            asked = "".join(
                f", (const char *)({pointer} + {place}), sizeof *{pointer}"
                for pointer in self.fetched
                if self.lanes > 1
            )
            more = "" if self.product.k <= self.plan.depth else ", l > 0"
            return f"{name}({self._a_block()}, {b}, {tile}, d{more}{next_}{asked});"

        if not self.kept:
            self._line(f"{p.c_type} tile[{(self.low + bool(self.more)) * row}] CR_ALIGNED;")
        if helpers := self._helpers(width):
            # While later tiles are computed, what the first tile of the next panel reads comes in.
            self._open(f"if (t > 0 && t <= {helpers})")
            self._each_height(lambda rows: call(rows, width // helpers))
            self._close(self.depth - 1)
            self._open("else")
            self._each_height(call)
            self._close(self.depth - 1)
        elif parts := self._next_block(j):
            self._with_next_block(parts, call)
        else:
            self._each_height(call)
        if self.epilogue:
            self._finish(j, width)
        self._close(depth)

    def _next_block(self, j: str) -> list[tuple[int, str]]:
        """What the first tiles ask for because a later block reads it: counts, and where it is.

        Of A transposed a tile reads a few numbers of each row, and where it is copied, a few rows
        at once: no processor foresees that. The tiles of a block are counted by `part`.
        """
        p, plan, line = self.product, self.plan, _LINE // self.product.item
        q = f"{j} / {plan.columns}"
        if self.lanes == 1 or p.in_panels or not self.whole:
            return []
        if p.transpose_a and not p.transpose_b and p.k >= 2 * plan.depth:
            self._part = f"{q} * {self.tiles} + t"
            found = [
                (-(-extent // line), f"{name} + (l + d) * {extent}")
                for name, extent in (("a", p.m), ("b", p.n))
            ]
            return found if sum(n for n, _ in found) <= self.tiles * self.panels else []
        if not p.transpose_a and 0 < plan.pack_a < self.tiles and p.k <= plan.depth:
            self._part = f"({q} - s) * (f - r) + t - r"
            count = -(-plan.pack_a * plan.rows // line)
            more = f" + (f < {self.more} ? f : {self.more})" if self.more else ""
            fits = count <= plan.pack_a * self.panels
            return [(count, f"a + (f * {self.low}{more}) * {p.k}")] if fits else []
        return []

    def _with_next_block(self, parts: list[tuple[int, str]], call: Callable[..., str]) -> None:
        """A tile, of which the first ones ask for the parts of the next block."""
        line, first = _LINE // self.product.item, 0
        self._line(f"const idx part = {self._part};")
        for count, begin in parts:
            start = f"(part - {first})" if first else "part"
            self._open(f"{'else ' * bool(first)}if (part < {first + count})")
            place = f"{begin} + {start} * {line} * d"
            self._each_height(functools.partial(call, ahead=line, next_=place))
            self._close(self.depth - 1)
            first += count
        self._open("else")
        self._each_height(call)
        self._close(self.depth - 1)

    def _helpers(self, width: int) -> int:
        """How many tiles of a panel each ask for a part of the next one."""
        p = self.product
        if not p.in_panels or self.lanes == 1 or p.k * p.n * p.item < _FAR or self.whole < 2:
            return 0
        lines = width * p.item // _LINE
        return max(
            (n for n in range(1, min(self.tiles - 1, lines) + 1) if width % n == 0), default=0
        )

    def _finish(self, j: str, width: int) -> None:
        """The epilogue of the tile whose rows begin at i."""
        depth = self.depth
        if self.product.k > self.plan.depth:
            self._open(f"if (l + d == {self.product.k})")
        rows = f"{self.low} + (t < {self.more})" if self.more else str(self.low)
        row, column = self.names
        self._line(f"const idx i0 = i, i1 = i + {rows}, j0 = {j}, j1 = j0 + {width};")
        self._open(f"for (idx {row} = i0; {row} < i1; {row}++)")
        if self.lanes > 1:
            self._line("#pragma GCC unroll 1")  # otherwise no loop is left to be vectorised
        self._open(f"for (idx {column} = j0; {column} < j1; {column}++)")
        n = self.product.n
        element = f"c[{row} * {n} + {column}]"
        if not self.kept:
            element = f"tile[({row} - i0) * {self._row_of(width)} + {column} - j0]"
        for line in self.epilogue:
            self._line(line.replace("$", element))
        self._close(depth)

    # ---- the functions -------------------------------------------------------------------------

    def _micro(
        self, tile: tuple[int, int], a_steps: tuple[int, int], b_steps: tuple[int, int],
        c_step: int, stored: int, ahead: int,
    ) -> str:  # fmt: skip
        """The name of a function that computes a tile, of which so many columns are stored."""
        name = f"@_{tile[0]}x{stored}" + "_ahead" * bool(ahead)
        p = self.product
        stored = stored if self.kept else tile[1]
        text = microkernel(
            name, p.dtype, tile, self.lanes, a_steps, b_steps, c_step, ahead, stored,
            self._fetched(tile[0]), self._early(), one_block=p.k <= self.plan.depth,
        )  # fmt: skip
        self.functions[name] = text
        return name

    def _early(self) -> int:
        """How many rows before its use a row of B is asked for.

        Of a B that is read in place, as weights are that were just updated, half may be in another
        processor's cache, and rows of a panel lie so far apart that no processor foresees them.
        """
        p = self.product
        far = p.k * p.n * p.item >= _SHARED and p.batch == 1 and not p.transpose_b
        return _EARLY if far and not self.plan.panels and self.tiles > 1 and self.lanes > 1 else 0

    def _packer(self, transposed: bool, width: int, step: int, row: int) -> str:
        """The name of a function that copies a panel into rows of so many elements."""
        name = f"@_{'turn' if transposed else 'pack'}_{width}_{step}"
        self.functions[name] = packer(name, self.product.dtype, width, step, transposed, row)
        return name


def _times(index: str, step: int) -> str:
    """A term of a subscript."""
    return index if step == 1 else f"{index} * {step}"
