"""The innermost parts of a matrix product as C: a tile in registers, and the copying of panels.

Vectors are those of GCC and Clang. Each is a variable with a name: compilers keep these in
registers, but not elements of arrays. Products are added up by fused multiply-adds that are named,
for vectors as for single numbers (see `math.FMA_C`): programs are built so that no compiler makes
one of its own from a product and a sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: C types of elements, short names and bytes, by the name of the type.
ELEMENTS = {"float32": ("float", "f32", 4), "float64": ("double", "f64", 8)}


def _vector_types() -> str:
    """Vectors of every length, which may begin at any element."""
    lines = []
    for c_type, short, item in ELEMENTS.values():
        for size in (8, 16, 32, 64):
            attributes = f"vector_size({size}), aligned({item}), may_alias"
            name = f"cr_{short}x{size // item}"
            lines.append(f"typedef {c_type} {name} __attribute__(({attributes}));")
    return "\n\n".join(lines)


#: Bytes that come into a cache at once.
_LINE = 64

#: GCC's names of a b + c in vectors of so many bytes, and what the processor must have.
_X86 = {
    16: ("__FMA__", "__builtin_ia32_vfmaddp{}(a, b, c)"),
    32: ("__FMA__", "__builtin_ia32_vfmaddp{}256(a, b, c)"),
    64: ("__AVX512F__", "__builtin_ia32_vfmaddp{}512_mask(a, b, c, -1, 4)"),
}
_VECTOR_FMA = """
#if defined __has_builtin
#define CR_HAS_BUILTIN(name) __has_builtin(name)
#else
#define CR_HAS_BUILTIN(name) 0
#endif

/* a vector of one number; its sign stays, also that of 0 */
#define CR_ALL(kind, a) ((a) - (kind){0})

/* a b + c lane by lane */
#define CR_FMA_LANES(kind, lanes, fma, a, b, c) ({ \\
    const kind a_ = a, b_ = b; \\
    kind c_ = c; \\
    for (int l = 0; l < lanes; l++) c_[l] = fma(a_[l], b_[l], c_[l]); \\
    c_; })
"""


#: `math.EXACT_FMA_C` for four lanes, where two doubles make a vector.
_EXACT_LANES = """
#if defined __SSE2__ && !defined CR_FUSES
#include <emmintrin.h>
CR_APART static cr_f32x4 cr_fused_seldom_f32x4(cr_f32x4 a, cr_f32x4 b, cr_f32x4 c)
{
  for (int l = 0; l < 4; l++) c[l] = cr_fused_odd(a[l], b[l], c[l]);
  return c;
}
static inline cr_f32x4 cr_fused_f32x4(cr_f32x4 a, cr_f32x4 b, cr_f32x4 c)
{
#define CR_SUMS(x, y, z) \\
  _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd((__m128)(x)), _mm_cvtps_pd((__m128)(y))), \\
             _mm_cvtps_pd((__m128)(z)))
#define CR_HIGH(x) _mm_movehl_ps((__m128)(x), (__m128)(x))
#define CR_WORDS(which) _mm_castps_si128(_mm_shuffle_ps((__m128)low, (__m128)high, which))
  const __m128d low = CR_SUMS(a, b, c), high = CR_SUMS(CR_HIGH(a), CR_HIGH(b), CR_HIGH(c));
  const __m128i rest = _mm_slli_epi32(CR_WORDS(0x88), 3), size = _mm_slli_epi32(CR_WORDS(0xDD), 1);
  const __m128i half = _mm_cmpeq_epi32(rest, _mm_set1_epi32(INT32_MIN));
  const __m128i tiny = /* as unsigned numbers: size - 1 < 0x701FFFFF */
      _mm_cmplt_epi32(_mm_add_epi32(size, _mm_set1_epi32(INT32_MAX)),
                      _mm_set1_epi32(0x701FFFFF + INT32_MIN));
  if (__builtin_expect(_mm_movemask_epi8(_mm_or_si128(half, tiny)), 0))
    return cr_fused_seldom_f32x4(a, b, c);
  return (cr_f32x4)_mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
}
#else
#define cr_fused_f32x4(a, b, c) CR_FMA_LANES(cr_f32x4, 4, CR_FMAf, a, b, c)
#endif
"""


def _vector_fma(exact: bool) -> str:
    """Macros ``CR_FMA_f32x8(a, b, c)`` for all vectors: a b + c, rounded once as ``CR_FMA``."""
    parts = [_VECTOR_FMA.strip()]
    for _, short, item in ELEMENTS.values():
        for size in (8, 16, 32, 64):
            if size > item:
                parts.append(_fma_of(short, item, size, exact))
    return "\n\n".join(parts)


def _fma_of(short: str, item: int, size: int, exact: bool) -> str:
    """The macro for vectors of so many bytes: by a name that this compiler has, or by lanes."""
    lanes, letter = size // item, "s" if item == 4 else "d"
    kind = f"cr_{short}x{lanes}"
    choices = [("1", "__builtin_elementwise_fma(a, b, c)")]  # Clang's
    if size in _X86:
        has, call = _X86[size]
        choices.append((f"defined {has}", call.format(letter)))
    if size <= 16:
        choices.append(("1", f"__builtin_aarch64_fmav{lanes}{letter}f(a, b, c)"))
    scalar = "CR_FMAf" if item == 4 else "CR_FMA"
    by_lanes = f"CR_FMA_LANES({kind}, {lanes}, {scalar}, a, b, c)"
    before, unfused = "", by_lanes if exact else "((a) * (b) + (c))"
    if exact and kind == "cr_f32x4":
        before, unfused = _EXACT_LANES.strip() + "\n\n", "cr_fused_f32x4(a, b, c)"
    lines = ["#if !defined CR_FUSES", f"#define CR_FMA_{short}x{lanes}(a, b, c) {unfused}"]
    for condition, call in choices:
        name = call.partition("(")[0]
        needs = "" if condition == "1" else f"{condition} && "
        lines.append(f"#elif {needs}CR_HAS_BUILTIN({name})")
        lines.append(f"#define CR_FMA_{short}x{lanes}(a, b, c) (({kind}){call})")
    lines += ["#else", f"#define CR_FMA_{short}x{lanes}(a, b, c) {by_lanes}", "#endif"]
    return before + "\n".join(lines)


_ALIGNED = """
#if defined __GNUC__
#define CR_ALIGNED __attribute__((aligned(64)))
#else
#define CR_ALIGNED
#endif
"""

_COPIES = """
/* Once loaded a vector stays in a register, rather than being read from memory at every use. */
#if defined __x86_64__ && defined __clang__ /* it puts no vector of 8 bytes into these registers */
#define CR_REGISTER(v) do { if (sizeof(v) >= 16) __asm__("" : "+v"(v)); } while (0)
#elif defined __x86_64__
#define CR_REGISTER(v) __asm__("" : "+x"(v))
#elif defined __aarch64__
#define CR_REGISTER(v) __asm__("" : "+w"(v))
#else
#define CR_REGISTER(v) (void)(v)
#endif

/* An array that is filled as far as anybody looks at what follows from it: no warning. */
#if defined __GNUC__
#define CR_SOME(array) __asm__("" : "=m"(array))
#else
#define CR_SOME(array) (void)(array)
#endif

/* a pair of vectors, shuffled */
#if defined __clang__ || __GNUC__ >= 12
#define CR_SHUFFLE(a, b, whole, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define CR_SHUFFLE(a, b, whole, ...) __builtin_shuffle(a, b, (whole){__VA_ARGS__})
#endif

typedef int32_t cr_i32x4 __attribute__((vector_size(16)));

typedef int64_t cr_i64x2 __attribute__((vector_size(16)));

/* 4 x 4 numbers, transposed */
static inline void cr_turn4_f32(const float *restrict x, idx step, float *restrict y, idx row)
{
  const cr_f32x4 r0 = *(const cr_f32x4 *)x;
  const cr_f32x4 r1 = *(const cr_f32x4 *)(x + step);
  const cr_f32x4 r2 = *(const cr_f32x4 *)(x + 2 * step);
  const cr_f32x4 r3 = *(const cr_f32x4 *)(x + 3 * step);
  const cr_f32x4 low01 = CR_SHUFFLE(r0, r1, cr_i32x4, 0, 4, 1, 5);
  const cr_f32x4 low23 = CR_SHUFFLE(r2, r3, cr_i32x4, 0, 4, 1, 5);
  const cr_f32x4 high01 = CR_SHUFFLE(r0, r1, cr_i32x4, 2, 6, 3, 7);
  const cr_f32x4 high23 = CR_SHUFFLE(r2, r3, cr_i32x4, 2, 6, 3, 7);
  *(cr_f32x4 *)y = CR_SHUFFLE(low01, low23, cr_i32x4, 0, 1, 4, 5);
  *(cr_f32x4 *)(y + row) = CR_SHUFFLE(low01, low23, cr_i32x4, 2, 3, 6, 7);
  *(cr_f32x4 *)(y + 2 * row) = CR_SHUFFLE(high01, high23, cr_i32x4, 0, 1, 4, 5);
  *(cr_f32x4 *)(y + 3 * row) = CR_SHUFFLE(high01, high23, cr_i32x4, 2, 3, 6, 7);
}

/* 8 x 4 numbers, where the processor has such vectors: both halves as the 4 x 4 above */
#if defined __AVX__ && (defined __clang__ || __GNUC__ >= 12)
#define CR_TURN8 1
#define CR_PAIR(p, q) \
  __builtin_shufflevector(*(const cr_f32x4 *)(p), *(const cr_f32x4 *)(q), 0, 1, 2, 3, 4, 5, 6, 7)
#define CR_HALVES(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
static inline void cr_turn8_f32(const float *restrict x, idx step, float *restrict y, idx row)
{
  const cr_f32x8 r0 = CR_PAIR(x, x + 4 * step), r1 = CR_PAIR(x + step, x + 5 * step);
  const cr_f32x8 r2 = CR_PAIR(x + 2 * step, x + 6 * step);
  const cr_f32x8 r3 = CR_PAIR(x + 3 * step, x + 7 * step);
  const cr_f32x8 low01 = CR_HALVES(r0, r1, 0, 8, 1, 9, 4, 12, 5, 13);
  const cr_f32x8 low23 = CR_HALVES(r2, r3, 0, 8, 1, 9, 4, 12, 5, 13);
  const cr_f32x8 high01 = CR_HALVES(r0, r1, 2, 10, 3, 11, 6, 14, 7, 15);
  const cr_f32x8 high23 = CR_HALVES(r2, r3, 2, 10, 3, 11, 6, 14, 7, 15);
  *(cr_f32x8 *)y = CR_HALVES(low01, low23, 0, 1, 8, 9, 4, 5, 12, 13);
  *(cr_f32x8 *)(y + row) = CR_HALVES(low01, low23, 2, 3, 10, 11, 6, 7, 14, 15);
  *(cr_f32x8 *)(y + 2 * row) = CR_HALVES(high01, high23, 0, 1, 8, 9, 4, 5, 12, 13);
  *(cr_f32x8 *)(y + 3 * row) = CR_HALVES(high01, high23, 2, 3, 10, 11, 6, 7, 14, 15);
}
#endif

/* to[l, j] = from[j, l] for l < depth and j < width; rows of from are step apart, of to row */
static void cr_transpose_f32(const float *restrict from, idx step, float *restrict to, idx row,
    idx depth, idx width)
{
  for (idx first = 0; first < depth; first += 16) { /* as many as come into a cache at once */
    const idx count = depth - first < 16 ? depth - first : 16, whole = count - count % 4;
    const float *restrict x = from + first;
    float *restrict y = to + first * row;
    idx j = 0;
#if defined CR_TURN8
    for (; j + 8 <= width; j += 8) {
      for (idx l = 0; l < whole; l += 4)
        cr_turn8_f32(x + j * step + l, step, y + l * row + j, row);
      for (idx l = whole; l < count; l++)
        for (idx i = j; i < j + 8; i++) y[l * row + i] = x[i * step + l];
    }
#endif
    for (; j + 4 <= width; j += 4) {
      for (idx l = 0; l < whole; l += 4)
        cr_turn4_f32(x + j * step + l, step, y + l * row + j, row);
      for (idx l = whole; l < count; l++)
        for (idx i = j; i < j + 4; i++) y[l * row + i] = x[i * step + l];
    }
    for (; j < width; j++)
      for (idx l = 0; l < count; l++) y[l * row + j] = x[j * step + l];
  }
}

/* to[l, j] = from[j, l] for l < depth and j < width; rows of from are step apart, of to row */
static void cr_transpose_f64(const double *restrict from, idx step, double *restrict to, idx row,
    idx depth, idx width)
{
  const idx whole = depth - depth % 2, full = width - width % 2;
  for (idx j = 0; j < full; j += 2) {
    const double *restrict x = from + j * step;
    double *restrict y = to + j;
    for (idx l = 0; l < whole; l += 2, x += 2, y += 2 * row) {
      const cr_f64x2 r0 = *(const cr_f64x2 *)x, r1 = *(const cr_f64x2 *)(x + step);
      *(cr_f64x2 *)y = CR_SHUFFLE(r0, r1, cr_i64x2, 0, 2);
      *(cr_f64x2 *)(y + row) = CR_SHUFFLE(r0, r1, cr_i64x2, 1, 3);
    }
    for (idx l = whole; l < depth; l++, x++, y += row) y[0] = x[0], y[1] = x[step];
  }
  for (idx j = full; j < width; j++)
    for (idx l = 0; l < depth; l++) to[l * row + j] = from[j * step + l];
}
"""


def matmul_c(exact: bool) -> str:
    """What the text of a product uses.

    Args:
        exact: as in `cpu.Target`.
    """
    return "\n\n".join([_ALIGNED.strip(), _vector_types(), _vector_fma(exact), _COPIES.strip()])


def pieces(width: int, lanes: int, item: int) -> list[tuple[int, int]]:
    """Columns as vectors, each (first column, width); an odd last one as a single number.

    Args:
        width: how many columns.
        lanes: elements of the longest vector.
        item: bytes of an element; vectors have at least 8 bytes.

    Example:
        >>> pieces(31, 8, 4)
        [(0, 8), (8, 8), (16, 8), (24, 4), (28, 2), (30, 1)]
    """
    result, start = [], 0
    while start < width:
        while lanes > width - start:
            lanes //= 2
        lanes = lanes if lanes * item >= 8 and lanes > 1 else 1
        result.append((start, lanes))
        start += lanes
    return result


@dataclass(frozen=True)
class Fetched:
    """What is read in the places of a tile.

    Attributes:
        count: of the matrices.
        row: elements from a row of these to the next.
        part: steps of l after each of which a row is asked for.
    """

    count: int
    row: int
    part: int


def microkernel(
    name: str,
    dtype: str,
    tile: tuple[int, int],
    lanes: int,
    a_steps: tuple[int, int],
    b_steps: tuple[int, int],
    c_step: int,
    ahead: int = 0,
    stored: int | None = None,
    fetched: Fetched | None = None,
    early: int = 0,
    one_block: bool = False,
) -> str:
    """A C function that adds to a tile of C what a block of depth contributes.

    Args:
        name: of the function.
        dtype: of the elements.
        tile: rows and columns.
        lanes: elements of the longest vector.
        a_steps: elements from a[i, l] to a[i+1, l] and to a[i, l+1].
        b_steps: elements from b[l, j] to b[l+1, j], and to b[l, j+1], 1 if there are vectors.
        c_step: elements from c[i, j] to c[i+1, j].
        ahead: elements that each step asks for, from a further pointer on, for they are needed
            soon.
        stored: columns that C has; the others are computed for the sake of whole vectors.
        fetched: what is read in the places of the tile when it is done. It is asked for row by row
            meanwhile: all at once would keep the tile's own operands waiting.
        early: how many rows before its use a row of b is asked for; 0 if it is not.
        one_block: whether there is no other: then nothing was there before.
    """
    c_type, short, item = ELEMENTS[dtype]
    rows, columns = tile
    stored = columns if stored is None else stored
    further = f", const {c_type} *restrict ahead" if ahead else ""
    opened, closed = ["  for (idx l = 0; l < depth; l++) {"], ["  }"]
    if fetched is not None:
        further += "".join(f", const char *f{n}, idx s{n}" for n in range(fetched.count))
        opened, closed = _row_by_row(rows, stored, _LINE // item, fetched)
    asked = [f"__builtin_prefetch(ahead + {at}, 0, 2);" for at in range(0, ahead, _LINE // item)]
    if early:
        places = [early * b_steps[0] + at for at in range(0, stored, _LINE // item)]
        asked += [f"__builtin_prefetch(b + {at}, 0, 3);" for at in places]
    vectors = [
        (v, first, c_type if width == 1 else f"cr_{short}x{width}")
        for v, (first, width) in enumerate(pieces(columns, lanes, item))
    ]
    cells = [
        (f"c{i}_{v}", kind, i * c_step + first) for i in range(rows) for v, first, kind in vectors
    ]
    last = stored - vectors[-1][1]
    part = {
        cell: last * item
        for cell, kind, _ in cells
        if stored < columns and cell.endswith(f"_{vectors[-1][0]}")
    }

    earlier = [
        "  if (more) { /* what earlier blocks left */",
        *(f"    {_added(*cell, part.get(cell[0]))}" for cell in cells),
        "  }",
    ]
    return "\n".join(
        [
            f"/* {rows} x {columns}: c[i, j] += a[i, 0] b[0, j] + a[i, 1] b[1, j] + ... */",
            f"static void {name}(const {c_type} *restrict a, const {c_type} *restrict b,",
            f"    {c_type} *restrict c, idx depth{'' if one_block else ', _Bool more'}{further})",
            "{",
            *(f"  {kind} {cell} = {'0' if kind == c_type else '{0}'};" for cell, kind, _ in cells),
            *opened,
            *(f"    {line}" for line in _step(c_type, vectors, rows, a_steps[0], b_steps[1])),
            f"    a += {a_steps[1]};",
            f"    b += {b_steps[0]};",
            *(f"    {line}" for line in asked),
            *([f"    ahead += {ahead};"] if ahead else []),
            *closed,
            *([] if one_block else earlier),
            *(f"  {_stored(*cell, part.get(cell[0]))}" for cell in cells),
            "}",
        ]
    )


def _row_by_row(
    rows: int, columns: int, line: int, fetched: Fetched
) -> tuple[list[str], list[str]]:
    """What begins and ends the loop over l, in parts that each ask for a row of a tile."""
    places = [*range(0, columns, line), columns - 1]  # rows may begin within a line of a cache
    return [
        f"  for (idx z = 0, l = 0; z < {rows}; z++) {{",
        f"    const idx end = z < {rows - 1} && depth - l > {fetched.part} ? "
        f"l + {fetched.part} : depth;",
        *(
            f"    {' '.join(f'__builtin_prefetch(f{n} + {at} * s{n});' for at in places)} "
            f"f{n} += {fetched.row} * s{n};"
            for n in range(fetched.count)
        ),
        "    for (; l < end; l++) {",
    ], ["    }", "  }"]


def _added(cell: str, kind: str, offset: int, part: int | None) -> str:
    """The statement that adds what is in C to a vector, of so many bytes if it is a part of one."""
    if part is None:
        return f"{cell} += {_at(kind, 'c', offset)};"
    return f"{{ {kind} x = {{0}}; memcpy(&x, c + {offset}, {part}); {cell} += x; }}"


def _stored(cell: str, kind: str, offset: int, part: int | None) -> str:
    """The statement that stores a vector, of so many bytes if it is a part of one."""
    if part is None:
        return f"{_at(kind, 'c', offset)} = {cell};"
    return f"{{ const {kind} x = {cell}; memcpy(c + {offset}, &x, {part}); }}"


def _at(kind: str, pointer: str, offset: int) -> str:
    """What is in memory at a place."""
    const = "" if pointer == "c" else "const "
    return f"*({const}{kind} *)({pointer} + {offset})"


def _step(
    c_type: str, vectors: Sequence[tuple[int, int, str]], rows: int, step: int, across: int
) -> list[str]:
    """What one l adds to a tile.

    The shorter side of the tile stays in registers while the longer one goes by, so that
    rows·vectors + min(rows, vectors) + 1 registers are enough.
    """

    def load(v: int, first: int, kind: str) -> str:
        keep = f" CR_REGISTER(b{v});" if kind != c_type and rows > 1 else ""
        return f"{kind} b{v} = {_at(kind, 'b', first * across)};{keep}"

    def broadcast(i: int) -> str:
        return f"const {c_type} a{i} = a[{i * step}];"

    def add(i: int, v: int, kind: str) -> str:
        return f"{fused(f'c{i}_{v}', f'a{i}', f'b{v}', kind)};"

    if rows < len(vectors):
        return [
            *map(broadcast, range(rows)),
            *(
                line
                for v, first, kind in vectors
                for line in (load(v, first, kind), *(add(i, v, kind) for i in range(rows)))
            ),
        ]
    return [
        *(load(*vector) for vector in vectors),
        *(
            line
            for i in range(rows)
            for line in (broadcast(i), *(add(i, v, kind) for v, _, kind in vectors))
        ),
    ]


def fused(c: str, a: str, b: str, kind: str, number: bool = True) -> str:
    """The statement c = a b + c, rounded once.

    Args:
        c: a variable.
        a: a factor.
        b: the other factor, of the same type as c.
        kind: the C type of c.
        number: whether a is a single number in any case.
    """
    a = f"CR_ALL({kind}, {a})" if number and kind.startswith("cr_") else a
    return f"{c} = {fma(kind)}({a}, {b}, {c})"


def fma(kind: str) -> str:
    """The name of a b + c for a C type."""
    return {"float": "CR_FMAf", "double": "CR_FMA"}.get(kind) or kind.replace("cr_", "CR_FMA_")


def packer(
    name: str, dtype: str, width: int, step: int, transposed: bool, row: int | None = None
) -> str:
    """A C function that copies a panel, so that its rows follow one another.

    Args:
        name: of the function.
        dtype: of the elements.
        width: columns of the panel.
        step: elements from one row to the next; from one column to the next if transposed.
        transposed: whether the columns of the panel are rows in memory.
        row: elements of a row of the copy, the last ones 0; by default as many as columns.
    """
    c_type, short, _ = ELEMENTS[dtype]
    place = "j, l" if transposed else "l, j"
    row = row or width
    copy = [
        "  for (idx l = 0; l < depth; l++)",
        f"    for (idx j = 0; j < {width}; j++) to[l * {row} + j] = from[l * {step} + j];",
    ]
    turn = [f"  cr_transpose_{short}(from, {step}, to, {row}, depth, {width});"]
    padding = [
        "  for (idx l = 0; l < depth; l++)",
        f"    for (idx j = {width}; j < {row}; j++) to[l * {row} + j] = 0;",
    ] * (row > width)
    return "\n".join(
        [
            f"/* to[l, j] = from[{place}] for {width} columns j */",
            f"static void {name}(const {c_type} *restrict from, {c_type} *restrict to, idx depth)",
            "{",
            *(turn if transposed else copy),
            *padding,
            "}",
        ]
    )
