"""Convolutions of bfloat16 numbers by tile registers: how images lie is said in `tile_windows`.

The image is copied once, rounded, with zeros around it; no windows are copied. A tile of A is
loaded from it as it is: 16 positions and a part of a row of the window. A tile of B has the weights
of that part. What goes back to the image is the same sum with the window turned around, over the
gradient with zeros between its elements where there is a stride.

The gradient of the weights sums over positions: A is the image channel by channel, seen from
another place for each element of the window, and B the gradient of the output, with zeros at
positions that are no place of the window. Every number is one sum in order, whatever threads there
are.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....ir.node import Node
from ..function import Function, Where
from ..views import View
from .tile_windows import PAIRS, SIDE, TOGETHER, Windows, tiles
from .tiles import WORDS

#: Groups of positions that see the same weights while these are in the cache.
_GROUPS = 16

WINDOWS_C = """
typedef uint16_t cr_half __attribute__((may_alias));

/* numbers in order, in bfloat16 */
static inline void cr_narrow_run(const float *x, idx count, cr_half *to)
{
  idx i = 0;
  for (; i + 32 <= count; i += 32) *(cr_pairs *)(to + i) = cr_narrow(x + i, x + i + 16);
  if (i < count) {
    float own[32] = {0};
    memcpy(own, x + i, (count - i) * sizeof *x);
    const cr_pairs v = cr_narrow(own, own + 16);
    memcpy(to + i, &v, (count - i) * sizeof *to);
  }
}

/* pixels of few channels, each followed by zeros */
static inline void cr_narrow_pixels(const float *x, idx count, idx from, idx step, idx room,
    cr_half *to)
{
  for (idx i = 0; i < count; i++)
    for (idx c = 0; c < room; c++) {
      uint32_t bits = 0;
      if (c < from) {
        const float y = x[i * from + c] + 0.0f;
        memcpy(&bits, &y, sizeof bits);
        bits = y == y ? (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 : 0x7FC0;
      }
      to[i * step + c] = (cr_half)bits;
    }
}

/* 32 pixels, or zeros: pairs of them by 16 channels; or, turned, 16 channels by those pairs */
static inline void cr_tile_of(const float *const *from, idx start, idx count, uint32_t *to,
    idx step, _Bool turned)
{
  static const float none[16];
  float own[32];
  cr_pairs v[16];
  for (int p = 0; p < 16; p++) {
    const float *low = from[2 * p] ? from[2 * p] + start : none;
    const float *high = from[2 * p + 1] ? from[2 * p + 1] + start : none;
    if (count < 16) {
      memset(own, 0, sizeof own);
      memcpy(own, low, count * sizeof *own);
      memcpy(own + 16, high, count * sizeof *own);
      low = own, high = own + 16;
    }
    v[p] = CR_PAIRED(cr_narrow(low, high));
  }
  if (turned) cr_turn_pairs(v);
  for (int r = 0; r < 16; r++) *(cr_pairs *)(to + step * r) = v[r];
}
"""


def window_rows(node: Node, sources: list[View], where: Where) -> Function | None:
    """The image in order, rounded, with its zeros."""
    how: Windows = node.attributes["windows"]
    function = Function(where)
    x, to = function.pointer(sources[0]), function.writes(node)
    line = function.line
    high, wide, c, room = how.high, how.wide, how.channels, how.cut.channels
    function.extent, function.grain = high.stride * how.rows, how.row
    first = -(wide.before // wide.spread) if wide.before < 0 else 0
    start = wide.before + first * wide.spread
    width = wide.positions * wide.stride
    count = max(min(wide.extent - first, -(-(width - start) // wide.spread)), 0)
    ends = start + (count - 1) * wide.spread + 1 if count else 0
    line(f"cr_half *const image = (cr_half *){to};")
    line("for (idx u = begin; u < end; u++) {")
    line(f"const idx plane = u / {how.rows}, s = u - plane * {how.rows};", 2)
    line(f"const idx n = s / {high.positions};", 2)
    line(f"const idx v = (s - n * {high.positions}) * {high.stride} + plane - {high.before};", 2)
    line(f"cr_half *const row = image + u * {how.row};", 2)
    outside = f"n >= {how.batch} || v < 0 || v >= {high.inner}"
    outside += f" || v % {high.spread}" if high.spread > 1 else ""
    line(f"if ({outside}) {{", 2)
    line(f"memset(row, 0, {how.row} * sizeof *row);", 3)
    line("continue;", 3)
    line("}", 2)
    place = f"((n * {high.extent} + v / {high.spread}) * {wide.extent} + {first}) * {c}"
    line(f"const float *const from = {x} + {place};", 2)
    if wide.spread > 1:
        line(f"memset(row, 0, {how.row} * sizeof *row);", 2)
    elif start:
        line(f"memset(row, 0, {start * room} * sizeof *row);", 2)
    target = f"row + {start * room}"
    if wide.spread == 1 and room == c:
        line(f"cr_narrow_run(from, {count * c}, {target});", 2)
    elif c >= PAIRS and room == c:
        line(f"for (idx j = 0; j < {count}; j++)", 2)
        line(f"cr_narrow_run(from + j * {c}, {c}, {target} + j * {wide.spread * room});", 3)
    else:
        step = wide.spread * room
        line(f"cr_narrow_pixels(from, {count}, {c}, {step}, {room}, {target});", 2)
    if wide.spread == 1 and width > ends:
        line(f"memset(row + {ends * room}, 0, {(width - ends) * room} * sizeof *row);", 2)
    line("}")
    whole = function.extent * how.row
    if how.size > whole:
        line(f"if (end == {function.extent})")
        line(f"memset(image + {whole}, 0, {how.size - whole} * sizeof *image);", 2)
    return function


def window_weights(node: Node, sources: list[View], where: Where) -> Function | None:
    """Weights in tiles; for the way back with the window and the channels turned around."""
    how: Windows = node.attributes["windows"]
    back: bool = node.attributes["back"]
    function, cut = Function(where), how.cut
    line, w, to = function.line, function.pointer(sources[0]), function.writes(node)
    together = how.taps // cut.runs
    function.extent, function.grain = tiles(how.outputs) * cut.chunks, WORDS
    line("float own[32 * 16];")
    line("for (idx u = begin; u < end; u++) {")
    line(f"const idx q = u / {cut.chunks}, t = u - q * {cut.chunks};", 2)
    line(f"const idx run = t / {cut.parts}, part = t - run * {cut.parts};", 2)
    line(f"const idx columns = {how.outputs} - 16 * q < 16 ? {how.outputs} - 16 * q : 16;", 2)
    line("memset(own, 0, sizeof own);", 2)
    line(f"for (idx e = 0; e < {2 * cut.pairs}; e++) {{", 2)
    line(f"const idx f = part * {2 * cut.pairs} + e, k = f / {cut.channels};", 3)
    line(f"const idx c = f - k * {cut.channels};", 3)
    line(f"if (c >= {how.channels}) continue;", 3)
    tap = f"run * {together} + k"
    if back:
        line(f"const float *from = {w} + (({how.taps - 1} - ({tap})) * {how.outputs} + 16 * q)", 3)
        line(f"* {how.channels} + c;", 4)
        line(f"for (idx j = 0; j < columns; j++) own[16 * e + j] = from[j * {how.channels}];", 3)
    else:
        line(
            f"const float *from = {w} + (({tap}) * {how.channels} + c) * {how.outputs} + 16 * q;", 3
        )
        line("memcpy(own + 16 * e, from, columns * sizeof *own);", 3)
    line("}", 2)
    line(f"cr_tile_across(own, 16, 16, 32, {to} + u * {WORDS}, 0);", 2)
    line("}")
    return function


def tile_convolution(node: Node, sources: list[View], where: Where) -> Function | None:
    """The sums over windows of images and weights that were copied."""
    how: Windows = node.attributes["windows"]
    function, cut = Function(where), how.cut
    line, y = function.line, function.writes(node)
    image, weights = (function.pointer(view) for view in sources)
    columns = tiles(how.outputs)
    function.extent = -(-how.positions // TOGETHER)
    function.grain = max(TOGETHER * columns * SIDE * cut.chunks * 2 * PAIRS // 32, 1)
    step = how.wide.stride * cut.channels
    offsets = ", ".join(map(str, how.offsets()))
    line(f"static const idx offsets[{cut.runs}] = {{{offsets}}};")
    line(f"cr_tiles_of({cut.pairs});")
    line(f"float tile[{4 * WORDS}] CR_ALIGNED;")
    line(f"for (idx s = begin; s < end; s += {_GROUPS})")
    line(f"for (idx q = 0; q < {-(-columns // 2)}; q++) {{")
    line(f"const uint32_t *b = {weights} + q * {2 * cut.chunks * WORDS};", 2)
    least = f"{how.outputs} - 32 * q < 32 ? {how.outputs} - 32 * q : 32"
    line(f"const idx columns = {least if how.outputs % 32 else 32};", 2)
    line(f"for (idx u = s; u < end && u < s + {_GROUPS}; u++) {{", 2)
    line(f"const cr_half *a = (const cr_half *){image} + u * {TOGETHER * step};", 3)
    counts = _either(columns)
    for count in counts:
        function.before.append(_sums(f"@_{count}", count, how))
        test = f"if (columns {'>' if count == 2 else '<='} 16) " if len(counts) > 1 else ""
        line(f"{test}@_{count}(a, b, tile, offsets);", 3)
    _keep(function, how, y)
    line("}", 2)
    line("}")
    line("cr_tiles_end();")
    return function


def _sums(name: str, columns: int, how: Windows) -> str:
    """A function that computes 32 positions by so many tiles of channels."""
    cut = how.cut
    step = how.wide.stride * cut.channels
    body = [
        f"for (idx t = 0; t < {cut.runs}; t++) {{",
        "  const cr_half *x = a + offsets[t];",
        f"  for (idx l = 0; l < {cut.parts}; l++, x += {2 * cut.pairs}, b += {WORDS}) {{",
        *(f"    CR_TILE_LOAD({6 + q}, b + {q * cut.chunks * WORDS}, 64);" for q in range(columns)),
        *_added(2, columns, "x", SIDE * step, 2 * step),
        "  }",
        "}",
    ]
    head = "const cr_half *a, const uint32_t *b, float *c, const idx *offsets"
    return _block_function(name, head, 2, columns, body, 2 * SIDE, more=False)


def _either(count: int) -> list[int]:
    """How many tiles are computed together: two, and one where one is left."""
    return sorted({min(count, 2), 2 - count % 2}, reverse=True)


def _added(rows: int, columns: int, a: str, move: int, step: int) -> list[str]:
    """Tiles of A, loaded one after the other, times those of B."""
    lines = []
    for r in range(rows):
        lines.append(f"    CR_TILE_LOAD({4 + r}, {a} + {r * move}, {step});")
        lines += [f"    CR_TILE_ADD({2 * r + q}, {4 + r}, {6 + q});" for q in range(columns)]
    return lines


def _block_function(
    name: str, head: str, rows: int, columns: int, body: Sequence[str], step: int, more: bool
) -> str:
    """A function that adds to so many tiles of sums."""
    cells = [(2 * r + q, f"c + {r * SIDE * step + q * SIDE}, {4 * step}")
             for r in range(rows) for q in range(columns)]  # fmt: skip
    zero = [f"CR_TILE_ZERO({t});" for t, _ in cells]
    if more:
        load = [f"CR_TILE_LOAD({t}, {place});" for t, place in cells]
        zero = ["if (more) {", *load, "} else {", *zero, "}"]
    store = [f"CR_TILE_STORE({t}, {place});" for t, place in cells]
    lines = [f"  {text}" for text in (*zero, *body, *store)]
    return "\n".join([f"static void {name}({head})", "{", *lines, "}"])


def _position(function: Function, how: Windows, start: str) -> None:
    """The position ``start`` as image n, row i and place j."""
    wide, high = how.wide.positions, how.high.positions
    function.line(f"const idx p = {start};", 3)
    function.line(f"idx n = p / {wide * high}, i = p / {wide} % {high}, j = p % {wide};", 3)


def _next(how: Windows) -> str:
    """The one after it."""
    return f"if (++j == {how.wide.positions}) j = 0, ++i == {how.high.positions} ? i = 0, n++ : 0;"


def _keep(function: Function, how: Windows, y: str) -> None:
    """Rows of a tile to where they belong, but for those that are no place of the window."""
    line, places = function.line, (how.high.places, how.wide.places)
    _position(function, how, f"u * {TOGETHER}")
    line(f"for (idx r = 0; r < {TOGETHER}; r++) {{", 3)
    line(f"if (j < {places[1]} && i < {places[0]} && n < {how.batch})", 4)
    place = f"((n * {places[0]} + i) * {places[1]} + j) * {how.outputs} + 32 * q"
    line(f"memcpy({y} + {place}, tile + 32 * r, columns * sizeof *tile);", 5)
    line(_next(how), 4)
    line("}", 3)


# ---- the gradient of the weights -----------------------------------------------------------------


def window_channels(node: Node, sources: list[View], where: Where) -> Function | None:
    """The image channel by channel, in blocks of positions, each with what its windows see."""
    how: Windows = node.attributes["windows"]
    function, high, wide, c = Function(where), how.high, how.wide, how.channels
    line, x, to = function.line, function.pointer(sources[0]), function.writes(node)
    groups = how.line // TOGETHER
    function.extent = how.blocks * how.planes * groups
    function.grain = tiles(c) * 4 * WORDS
    line("for (idx u = begin; u < end; u++) {")
    line(f"const idx g = u / {groups}, z = u - g * {groups}, s = g / {how.planes};", 2)
    line(f"const idx a = g % {how.planes} / {wide.stride}, b = g % {wide.stride};", 2)
    line("const float *from[32];", 2)
    line("{", 2)
    _position(function, how, f"s * {how.block} + z * {TOGETHER}")
    line(f"for (idx r = 0; r < {TOGETHER}; r++) {{", 3)
    line(f"const idx v = i * {high.stride} + a - {high.before};", 4)
    line(f"const idx h = j * {wide.stride} + b - {wide.before};", 4)
    inside = f"n < {how.batch} && v >= 0 && v < {high.extent} && h >= 0 && h < {wide.extent}"
    place = f"((n * {high.extent} + v) * {wide.extent} + h) * {c}"
    line(f"from[r] = {inside} ? {x} + {place} : 0;", 4)
    line(_next(how), 4)
    line("}", 3)
    line("}", 2)
    line(f"for (idx t = 0; t < {tiles(c)}; t++)", 2)
    count = f"{c} - 16 * t < 16 ? {c} - 16 * t : 16" if c % 16 else "16"
    target = f"{to} + (g * {tiles(c)} + t) * {SIDE * how.line // 2} + {TOGETHER // 2} * z"
    line(f"cr_tile_of(from, 16 * t, {count}, {target}, {how.line // 2}, 1);", 3)
    line("}")
    return function


def place_tiles(node: Node, sources: list[View], where: Where) -> Function | None:
    """The gradient of the output in tiles of 32 positions by 16 channels."""
    how: Windows = node.attributes["windows"]
    function, m = Function(where), how.outputs
    line, g, to = function.line, function.pointer(sources[0]), function.writes(node)
    places = how.high.places, how.wide.places
    function.extent, function.grain = how.blocks * how.block // TOGETHER, tiles(m) * 4 * WORDS
    line("for (idx u = begin; u < end; u++) {")
    line("const float *from[32];", 2)
    line("{", 2)
    _position(function, how, f"u * {TOGETHER}")
    line(f"for (idx r = 0; r < {TOGETHER}; r++) {{", 3)
    inside = f"n < {how.batch} && i < {places[0]} && j < {places[1]}"
    place = f"((n * {places[0]} + i) * {places[1]} + j) * {m}"
    line(f"from[r] = {inside} ? {g} + {place} : 0;", 4)
    line(_next(how), 4)
    line("}", 3)
    line("}", 2)
    count = f"{m} - 16 * t < 16 ? {m} - 16 * t : 16" if m % 16 else "16"
    line(f"for (idx t = 0; t < {tiles(m)}; t++)", 2)
    line(f"cr_tile_of(from, 16 * t, {count}, {to} + (u * {tiles(m)} + t) * {WORDS}, 16, 0);", 3)
    line("}")
    return function


def tile_weights(node: Node, sources: list[View], where: Where) -> Function | None:
    """The gradient of the weights: for each element of the window a product over all positions."""
    how: Windows = node.attributes["windows"]
    function = Function(where)
    line, w = function.line, function.writes(node)
    image, gradient = (function.pointer(view) for view in sources)
    c, m = how.channels, how.outputs
    down, across = -(-tiles(c) // 2), -(-tiles(m) // 2)
    function.extent = how.taps * down * across
    function.grain = max(how.positions * 4 * SIDE * SIDE // 32, 1)
    plane = tiles(c) * SIDE * how.line
    offsets = ", ".join(str(z * plane + shift) for z, shift in how.tap_offsets())
    line(f"static const idx offsets[{how.taps}] = {{{offsets}}};")
    line("cr_tiles_begin();")
    line(f"float tile[{4 * WORDS}] CR_ALIGNED;")
    line(f"for (idx s = 0; s < {how.blocks}; s++)")
    line("for (idx u = begin; u < end; u++) {")
    line(f"const idx k = u / {down * across}, i = u / {across} % {down} * 32;", 2)
    line(f"const idx j = u % {across} * 32;", 2)
    line(f"const cr_half *a = (const cr_half *){image} + s * {how.planes * plane}", 2)
    line(f"+ offsets[k] + i * {how.line};", 3)
    line(f"const uint32_t *b = {gradient}", 2)
    line(f"+ (s * {how.block // TOGETHER * tiles(m)} + j / 16) * {WORDS};", 3)
    line(f"float *const to = {w} + (k * {c} + i) * {m} + j;", 2)
    line(f"const idx rows = {c} - i < 32 ? {c} - i : 32;", 2)
    line(f"const idx columns = {m} - j < 32 ? {m} - j : 32;", 2)
    line("if (s)", 2)
    copy = "columns * sizeof *tile"
    line(f"for (idx r = 0; r < rows; r++) memcpy(tile + 32 * r, to + r * {m}, {copy});", 3)
    choices = [(rows, columns) for rows in _either(tiles(c)) for columns in _either(tiles(m))]
    for number, (rows, columns) in enumerate(choices):
        function.before.append(_weight_sums(f"@_{rows}x{columns}", rows, columns, how))
        tests = [f"{name} {'>' if count == 2 else '<='} 16"
                 for name, count in (("rows", rows), ("columns", columns))]  # fmt: skip
        test = f"{'else ' * (number > 0)}if ({' && '.join(tests)}) " if len(choices) > 1 else ""
        line(f"{test}@_{rows}x{columns}(a, b, tile, s > 0);", 2)
    line(f"for (idx r = 0; r < rows; r++) memcpy(to + r * {m}, tile + 32 * r, {copy});", 2)
    line("}")
    line("cr_tiles_end();")
    return function


def _weight_sums(name: str, rows: int, columns: int, how: Windows) -> str:
    """A function that adds the sums over a block of positions."""
    body = [
        f"for (idx l = 0; l < {how.block // TOGETHER}; l++) {{",
        *(f"  CR_TILE_LOAD({6 + q}, b + {q * WORDS}, 64);" for q in range(columns)),
        *_added(rows, columns, "a", SIDE * how.line, 2 * how.line),
        f"  a += {TOGETHER}, b += {tiles(how.outputs) * WORDS};",
        "}",
    ]
    head = "const cr_half *a, const uint32_t *b, float *c, _Bool more"
    return _block_function(name, head, rows, columns, body, 2 * SIDE, more=True)
