"""Products of bfloat16 numbers by the tile registers of x86 processors that have them (AMX).

Such a register holds a tile of 16 rows of 64 bytes: of A 16 rows of 32 numbers in bfloat16, of B
16 rows of pairs, a row for two l and a pair for each of 16 columns, of C 16 × 16 sums in float32.
One instruction adds the product of a tile of A and a tile of B to a tile of C: pair by pair, the
products exact, the sums rounded to the nearest float32, numbers below the least normal one as 0.

Both operands are copied once before the product, by functions of their own, rounded to bfloat16, a
tile after the other along l; what lacks to whole tiles is 0. The product then goes over blocks of
2 × 2 tiles, each loaded tile being used twice. Every element of C is one sum over l in order, cut
only after `_DEPTH`: no thread, block or shape of C changes a bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..function import Function
from .gemm import Pointers, Text

#: Rows of a tile of A and columns of one of B; the common index l goes through both in 32.
SIDE, LENGTH = 16, 32
#: Numbers of 4 bytes in a tile.
WORDS = 256
#: Up to so many l are summed before C is stored.
_DEPTH = 2048
#: Bytes of an operand that stay in the second-level cache while the other one goes by.
_NEAR = 1 << 20
#: A product with shorter sides is mostly padding, and one with fewer multiplications mostly copies.
_SHORT, _FEW = 8, 1 << 15

TILES_C = """
typedef uint32_t cr_pairs __attribute__((vector_size(64), aligned(4), may_alias));

typedef int16_t cr_halves __attribute__((vector_size(64)));

/* 32 floats as bfloat16, of two neighbours the even one */
static inline cr_pairs cr_narrow(const float *low, const float *high)
{
  cr_pairs y;
  const cr_f32x16 x0 = *(const cr_f32x16 *)low, x1 = *(const cr_f32x16 *)high;
  __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(y) : "v"(x0), "v"(x1));
  return y;
}

/* from two rows of 16 numbers to 16 pairs */
#define CR_PAIRED(x) ((cr_pairs)CR_SHUFFLE((cr_halves)(x), (cr_halves)(x), cr_halves, \\
    0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, \\
    8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31))
#define CR_ZIP_LOW(a, b) CR_SHUFFLE(a, b, cr_pairs, \\
    0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define CR_ZIP_HIGH(a, b) CR_SHUFFLE(a, b, cr_pairs, \\
    8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

/* 16 x 16 pairs, transposed: each zip moves one bit of the row's number to the column's */
static inline void cr_turn_pairs(cr_pairs *x)
{
  cr_pairs y[16];
  for (int step = 0; step < 2; step++) {
    for (int i = 0; i < 8; i++)
      y[2 * i] = CR_ZIP_LOW(x[i], x[i + 8]), y[2 * i + 1] = CR_ZIP_HIGH(x[i], x[i + 8]);
    for (int i = 0; i < 8; i++)
      x[2 * i] = CR_ZIP_LOW(y[i], y[i + 8]), x[2 * i + 1] = CR_ZIP_HIGH(y[i], y[i + 8]);
  }
}

/* a tile of rows of 32 numbers in order, which are step apart; or, turned, of such columns */
static inline void cr_tile_along(const float *x, idx step, int rows, int length, uint32_t *to,
    _Bool turned)
{
  float own[16 * 32];
  cr_pairs v[16];
  if (rows < 16 || length < 32) { /* the rest is 0 */
    memset(own, 0, sizeof own);
    for (int r = 0; r < rows; r++) memcpy(own + 32 * r, x + r * step, length * sizeof *x);
    x = own, step = 32;
  }
  for (int r = 0; r < 16; r++) v[r] = cr_narrow(x + r * step, x + r * step + 16);
  if (turned) cr_turn_pairs(v);
  for (int r = 0; r < 16; r++) *(cr_pairs *)(to + 16 * r) = v[r];
}

/* a tile of 32 rows of 16 numbers, which are step apart, as 16 rows of pairs; or turned */
static inline void cr_tile_across(const float *x, idx step, int rows, int length, uint32_t *to,
    _Bool turned)
{
  float own[32 * 16];
  cr_pairs v[16];
  if (rows < 16 || length < 32) {
    memset(own, 0, sizeof own);
    for (int l = 0; l < length; l++) memcpy(own + 16 * l, x + l * step, rows * sizeof *x);
    x = own, step = 16;
  }
  for (int p = 0; p < 16; p++)
    v[p] = CR_PAIRED(cr_narrow(x + 2 * p * step, x + (2 * p + 1) * step));
  if (turned) cr_turn_pairs(v);
  for (int r = 0; r < 16; r++) *(cr_pairs *)(to + 16 * r) = v[r];
}

/* sums in registers 0 to 3, rows of so many pairs in 4 and 5, so many rows of them in 6 and 7 */
static inline void cr_tiles_of(int pairs)
{
  struct { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; } how;
  memset(&how, 0, sizeof how);
  how.palette = 1;
  for (int t = 0; t < 8; t++) {
    how.bytes[t] = t == 4 || t == 5 ? 4 * pairs : 64;
    how.rows[t] = t > 5 ? pairs : 16;
  }
  __asm__ volatile("ldtilecfg %0" : : "m"(how));
}

/* every register a whole tile */
static inline void cr_tiles_begin(void)
{
  cr_tiles_of(16);
}

static inline void cr_tiles_end(void)
{
  __asm__ volatile("tilerelease");
}

#define CR_TILE_LOAD(t, from, step) \\
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t : : "r"(from), "r"((idx)(step)) : "memory")
#define CR_TILE_STORE(t, to, step) \\
  __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" : : "r"(to), "r"((idx)(step)) : "memory")
#define CR_TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t : :)
#define CR_TILE_ADD(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :)
"""

#: A number of 8 significant bits, of two the even one; what is no number stays.
ROUNDING_C = """
static inline float cr_bfloat16f(float x)
{
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u;
  float y;
  memcpy(&y, &bits, sizeof y);
  return x == x ? y : x;
}

static inline double cr_bfloat16(double x)
{
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0xFFFFFFFFFFF + (bits >> 45 & 1)) & 0xFFFFE00000000000u;
  double y;
  memcpy(&y, &bits, sizeof y);
  return x == x ? y : x;
}
"""


@dataclass(frozen=True)
class TileProduct:
    """C[g] = A[g]·B[g] for g < batch, with A and B in tiles; C is m × n, l runs to k."""

    m: int
    n: int
    k: int
    batch: int = 1

    @property
    def is_fit(self) -> bool:
        """Whether tiles pay for it."""
        sides = min(self.m, self.n) >= _SHORT and self.k >= LENGTH // 2
        return sides and self.m * self.n * self.k >= _FEW

    @property
    def in_one(self) -> bool:
        """Whether each element is summed before it is stored."""
        return self.k <= _DEPTH

    @property
    def lengths(self) -> int:
        """Tiles along l."""
        return -(-self.k // LENGTH)


def tiles(extent: int) -> int:
    """How many tiles so many rows, or columns, take."""
    return -(-extent // SIDE)


def words(extent: int, k: int, batch: int) -> int:
    """Numbers of 4 bytes that an operand with so many rows, or columns, takes in tiles."""
    return batch * tiles(extent) * -(-k // LENGTH) * WORDS


def copy_in_tiles(
    function: Function, source: str, target: str, extent: int, k: int, batch: int,
    *, along: bool, turned: bool,
) -> None:  # fmt: skip
    """Copy an operand into tiles: those of a row, or a column, of tiles follow one another.

    Args:
        function: gets the statements.
        source: where the operand begins.
        target: where the tiles begin.
        extent: its rows, if it is the left one, or its columns.
        k: the common extent.
        batch: how many matrices.
        along: whether l goes along its rows in memory.
        turned: whether pairs of it are to be transposed.
    """
    line, lengths, count = function.line, -(-k // LENGTH), tiles(extent)
    outer, inner = (count, lengths) if along else (lengths, count)
    function.extent, function.grain = batch * outer, inner * WORDS
    line("for (idx u = begin; u < end; u++) {")
    line(f"const idx g = u / {outer};", 2)
    first, second = ("t", "l") if along else ("l", "t")
    line(f"const idx {first} = u - g * {outer};", 2)
    line(f"for (idx {second} = 0; {second} < {inner}; {second}++) {{", 2)
    rows = _least(f"{extent} - {SIDE} * t", SIDE, extent)
    length = _least(f"{k} - {LENGTH} * l", LENGTH, k)
    step = k if along else extent
    place = (
        f"{SIDE} * t * {step} + {LENGTH} * l" if along else f"{LENGTH} * l * {step} + {SIDE} * t"
    )
    to = f"{target} + ((g * {count} + t) * {lengths} + l) * {WORDS}"
    kind = "along" if along else "across"
    line(f"cr_tile_{kind}({source} + g * {extent * k} + {place}, {step}, {rows}, {length},", 3)
    line(f"{to}, {int(turned)});", 4)
    line("}", 2)
    line("}")


def _least(rest: str, most: int, extent: int) -> str:
    """The smaller one; the larger one alone if nothing is left over."""
    return f"{rest} < {most} ? {rest} : {most}" if extent % most else str(most)


def emit_tiles(
    product: TileProduct,
    pointers: Pointers,
    epilogue: Sequence[str] = (),
    kept: bool = True,
    fetched: Sequence[str] = (),
    *,
    copies_left: bool = False,
) -> Text:
    """A product of operands in tiles as C.

    Args:
        product: what to compute.
        pointers: to operands and result.
        epilogue: this and the following are as in `gemm.emit`.
        kept: see there.
        fetched: see there.
        copies_left: whether A is a matrix, whose rows are copied into tiles one pair after the
            other; then there is one such product.
    """
    return _Writer(product, pointers, epilogue, kept, fetched, copies_left).text()


class _Writer:
    """Writes one product: its units are pairs of rows, or of columns, of tiles."""

    def __init__(
        self, product: TileProduct, pointers: Pointers, epilogue: Sequence[str], kept: bool,
        fetched: Sequence[str], copies_left: bool,
    ) -> None:  # fmt: skip
        self.product, self.pointers = product, pointers
        self.epilogue, self.kept, self.fetched = epilogue, kept, fetched
        self.rows, self.columns = -(-tiles(product.m) // 2), -(-tiles(product.n) // 2)
        self.copies_left = copies_left
        #: Rows go first where an epilogue reads in the place of what is computed.
        self.rows_first = bool(fetched) or copies_left
        self.by_rows = self.rows_first or self.rows >= self.columns
        self.functions: dict[str, str] = {}
        self.lines: list[tuple[int, str]] = []
        self.depth = 1

    def _line(self, text: str) -> None:
        self.lines.append((self.depth, text))

    def _open(self, text: str) -> None:
        self._line(text + " {")
        self.depth += 1

    def _close(self, depth: int) -> None:
        while self.depth > depth:
            self.depth -= 1
            self._line("}")

    def text(self) -> Text:
        """The functions and the body."""
        p = self.product
        units = self.rows if self.by_rows else self.columns
        self._line(f"/* {p.m} x {p.n}, sums of {p.k} products in bfloat16 */")
        self._line("cr_tiles_begin();")
        if p.batch == 1:
            self._matrix("begin", "end")
        else:
            self._open("for (idx u = begin, next; u < end; u = next)")
            self._line(f"const idx g = u / {units};")
            self._line(f"next = (g + 1) * {units} < end ? (g + 1) * {units} : end;")
            self._matrix(f"u - g * {units}", f"next - g * {units}")
            self._close(1)
        self._line("cr_tiles_end();")
        grain = max(p.m * p.n * p.k // units, 1)
        return Text(list(self.functions.values()), self.lines, units * p.batch, grain)

    def _matrix(self, first: str, last: str) -> None:
        """Units of one matrix: of the smaller operand as much as stays in a cache at a time."""
        p = self.product
        for name, extent in (("a", p.m), ("b", p.n)):
            move = f" + g * {words(extent, p.k, 1)}" if p.batch > 1 else ""
            kind = "float" if self.copies_left and name == "a" else "uint32_t"
            self._line(f"const {kind} *restrict {name} = {getattr(self.pointers, name)}{move};")
        if self.kept:
            move = f" + g * {p.m * p.n}" if p.batch > 1 else ""
            self._line(f"float *restrict c = {self.pointers.c}{move};")
        self._line(f"float tile[{4 * WORDS}] CR_ALIGNED;")
        if self._is_whole and self.kept:
            self._line("(void)tile;")
        depth = self.depth
        if p.in_one:
            self._line(f"const idx l = 0, d = {p.lengths};")
        else:
            most = _DEPTH // LENGTH
            self._open(f"for (idx l = 0; l < {p.lengths}; l += {most})")
            self._line(f"const idx d = {p.lengths} - l < {most} ? {p.lengths} - l : {most};")
        if self.copies_left:
            self._line(f"uint32_t packed[{2 * p.lengths * WORDS}] CR_ALIGNED;")
        names = ("t", "q") if self.rows_first else ("q", "t")
        ranges = {"t": ("0", str(self.rows)), "q": ("0", str(self.columns))}
        ranges["t" if self.by_rows else "q"] = first, last
        self._blocks(names, ranges)
        self._close(depth)

    @property
    def _is_whole(self) -> bool:
        return self.product.m % (2 * SIDE) == 0 and self.product.n % (2 * SIDE) == 0

    def _blocks(self, names: tuple[str, str], ranges: dict[str, tuple[str, str]]) -> None:
        """Blocks of the inner index, the outer one, the inner one."""
        outer, inner = names
        at_once = max(_NEAR // (min(self.product.k, _DEPTH) * 2 * 2 * SIDE), 1)
        (first, last), (low, high) = ranges[inner], ranges[outer]
        self._open(f"for (idx s = {first}; s < {last}; s += {at_once})")
        self._line(f"const idx e = s + {at_once} < {last} ? s + {at_once} : {last};")
        self._open(f"for (idx {outer} = {low}; {outer} < {high}; {outer}++)")
        if self.copies_left:
            self._copy_rows()
        self._open(f"for (idx {inner} = s; {inner} < e; {inner}++)")
        self._block()

    def _copy_rows(self) -> None:
        """Rows of A for a pair of tiles."""
        p = self.product
        self._open(f"for (idx i = t * {2 * SIDE}, r = 0; r < 2 && i < {p.m}; r++, i += {SIDE})")
        self._open(f"for (idx l = 0; l < {p.lengths}; l++)")
        rows, length = _least(f"{p.m} - i", SIDE, p.m), _least(f"{p.k} - {LENGTH} * l", LENGTH, p.k)
        to = f"packed + (r * {p.lengths} + l) * {WORDS}"
        self._line(
            f"cr_tile_along(a + i * {p.k} + {LENGTH} * l, {p.k}, {rows}, {length}, {to}, 0);"
        )
        self._close(self.depth - 2)

    def _block(self) -> None:
        """2 × 2 tiles of C, or what is left of them."""
        p = self.product
        self._line(f"const idx i = t * {2 * SIDE}, j = q * {2 * SIDE};")
        place = f"+ l * {WORDS}" if not p.in_one else ""
        row = 2 * p.lengths * WORDS
        left = "packed" if self.copies_left else f"a + t * {row}{place}"
        self._line(f"const uint32_t *x = {left}, *y = b + q * {row}{place};")
        if not self._is_whole:
            for name, index, extent in (("rows", "i", p.m), ("columns", "j", p.n)):
                rest = f"{extent} - {index}"
                self._line(f"const idx {name} = {_least(rest, 2 * SIDE, extent)};")
        if self._is_whole and self.kept:
            self._line(self._call(2, 2, f"c + i * {p.n} + j", p.n))
        elif self.kept:
            self._open(f"if (rows == {2 * SIDE} && columns == {2 * SIDE})")
            self._line(self._call(2, 2, f"c + i * {p.n} + j", p.n))
            self._close(self.depth - 1)
            self._open("else")
            if not p.in_one:
                self._copy("tile", f"c + i * {p.n} + j", "l > 0")
            self._choose()
            self._copy(f"c + i * {p.n} + j", "tile")
            self._close(self.depth - 1)
        else:
            self._choose()
        if self.epilogue:
            self._finish()

    def _choose(self) -> None:
        """The call for as many tiles as there are."""
        p = self.product
        rows = sorted({2, tiles(p.m) % 2 or 2}, reverse=True) if p.m > SIDE else [1]
        columns = sorted({2, tiles(p.n) % 2 or 2}, reverse=True) if p.n > SIDE else [1]
        found = []
        for r in rows:
            for q in columns:
                tests = [f"rows > {SIDE}"] * (len(rows) > 1 and r == 2)
                tests += [f"rows <= {SIDE}"] * (len(rows) > 1 and r == 1)
                tests += [f"columns > {SIDE}"] * (len(columns) > 1 and q == 2)
                tests += [f"columns <= {SIDE}"] * (len(columns) > 1 and q == 1)
                found.append((" && ".join(tests), self._call(r, q, "tile", 2 * SIDE)))
        for number, (test, call) in enumerate(found):
            self._line(f"{'else ' * bool(number)}if ({test}) {call}" if test else call)

    def _copy(self, to: str, source: str, condition: str = "") -> None:
        """Between a tile at the edge and C."""
        steps = {"tile": 2 * SIDE}
        n = self.product.n
        if condition:
            self._line(f"if ({condition})")
        self._line("for (idx r = 0; r < rows; r++)")
        move = f"{to} + r * {steps.get(to, n)}, {source} + r * {steps.get(source, n)}"
        self._line(f"  memcpy({move}, columns * sizeof(float));")

    def _call(self, rows: int, columns: int, to: str, step: int) -> str:
        name = f"@_{rows}x{columns}_{step}"
        length = self.product.lengths * WORDS
        self.functions[name] = _block_text(name, rows, columns, length, step)
        return f"{name}(x, y, {to}, d, {'l > 0' if not self.product.in_one else '0'});"

    def _finish(self) -> None:
        """The epilogue of the block whose first element is i, j."""
        p, depth = self.product, self.depth
        if not p.in_one:
            self._open(f"if (l + d == {p.lengths})")
        whole = self._is_whole
        rows, columns = (str(2 * SIDE),) * 2 if whole else ("rows", "columns")
        self._line(f"const idx i0 = i, i1 = i + {rows}, j0 = j, j1 = j + {columns};")
        self._open("for (idx i = i0; i < i1; i++)")
        self._line("#pragma GCC unroll 1")
        self._open("for (idx j = j0; j < j1; j++)")
        element = f"c[i * {p.n} + j]" if self.kept else f"tile[(i - i0) * {2 * SIDE} + j - j0]"
        for line in self.epilogue:
            self._line(line.replace("$", element))
        self._close(depth)


@functools.cache
def _block_text(name: str, rows: int, columns: int, length: int, step: int) -> str:
    """A function that computes a block of so many tiles of C.

    Args:
        name: of the function.
        rows: of tiles.
        columns: of tiles.
        length: from one row of tiles of A, or one column of B, to the next.
        step: from one row of C to the next.
    """
    cells = [(2 * r + q, r, q) for r in range(rows) for q in range(columns)]

    def each(form: Callable[[int, int, int], str]) -> list[str]:
        return [f"  {form(*cell)}" for cell in cells]

    def at(cell: int, r: int, q: int) -> str:
        return f"c + {r * SIDE * step + q * SIDE}, {4 * step}"

    return "\n".join(
        [
            f"/* {rows} x {columns} tiles of sums */",
            f"static void {name}(const uint32_t *a, const uint32_t *b, float *c, idx depth,",
            "    _Bool more)",
            "{",
            "  if (more) { /* what earlier blocks left */",
            *each(lambda *cell: f"  CR_TILE_LOAD({cell[0]}, {at(*cell)});"),
            "  } else {",
            *each(lambda *cell: f"  CR_TILE_ZERO({cell[0]});"),
            "  }",
            "  for (idx l = 0; l < depth; l++) {",
            *(f"    CR_TILE_LOAD({6 + q}, b + {q * length}, 64);" for q in range(columns)),
            *(
                line
                for r in range(rows)
                for line in (
                    f"    CR_TILE_LOAD({4 + r}, a + {r * length}, 64);",
                    *(f"    CR_TILE_ADD({2 * r + q}, {4 + r}, {6 + q});" for q in range(columns)),
                )
            ),
            f"    a += {WORDS};",
            f"    b += {WORDS};",
            "  }",
            *each(lambda *cell: f"CR_TILE_STORE({cell[0]}, {at(*cell)});"),
            "}",
        ]
    )
