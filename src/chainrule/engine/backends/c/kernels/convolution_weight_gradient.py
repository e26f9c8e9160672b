"""The weight gradient of a convolution: w[k, c, m] = Σ x[o·stride + k, c] · g[o, m].

For every element of the window that is a matrix product whose common index runs through the pixels
of all images: tiles of a few input channels by a few vectors of output channels stay in registers
while pixels go by. Windows that reach over the edge miss some pixels, which are left out. If the
image has few channels a row of the window counts as its channels, and the image is copied with
zeros around it.

Images are cut into blocks, each with a sum of its own unless there is one only; these are added up
in the end. Within a block there is a sum for each band of rows, one chain through the pixels in
order, so that errors stay small. Blocks and bands depend on the shape only: the same bits for any
number of threads.
"""

from __future__ import annotations

import math

from ....ir.node import Node
from ..function import Function, Where
from ..views import View
from .convolution_panels import (
    MULTIPLICATIONS,
    UNITS,
    Lines,
    chain,
    check_stack,
    gradient_kernel,
    is_depthwise,
    sum_of_blocks,
    zeros,
)
from .cpu import target_in_use
from .direct_convolution import PATCH, copy_patch
from .frugal_convolution import weight_gradient
from .gemm_tiles import ELEMENTS
from .sliding_window import Axis, Geometry, Taps, forward, join
from .winograd import fits
from .winograd_weight_gradient import WinogradWeights

#: An image of fewer channels than this takes a row of the window as its channels.
_FEW_CHANNELS = 12
#: Pixels that go by before the next tile.
_PIXELS = 128


def weights(node: Node, sources: list[View], where: Where) -> Function | None:
    """w[k, c, m] = Σ x[o·stride + k·dilation - before, c] · g[o, m], over batch and places o."""
    x, g = sources
    if node.type.size == 0:
        return None
    if x.size == 0 or g.size == 0:
        return zeros(node, where)
    geometry = Geometry.of(node.attributes, x.shape[1:-1], g.shape[1:-1], node.type.shape[:-2])
    if target_in_use().frugal:
        return weight_gradient(node, x, g, where, geometry)
    axes = forward(*geometry.numbers)
    if fits(node.type.dtype.name, node.attributes["groups"], x.shape[-1], g.shape[-1], axes):
        return WinogradWeights(node, x, g, where, axes).functions()
    return _Weights(node, x, g, where, geometry).functions()


class _Weights:
    """Writes the loops, and the sum of the blocks."""

    def __init__(self, node: Node, x: View, g: View, where: Where, geometry: Geometry) -> None:
        self.node, self.x, self.g = node, x, g
        self.run = Function(where)
        self.out = Lines(self.run)
        self.dtype = node.type.dtype.name
        self.c_type, _, self.item = ELEMENTS[self.dtype]
        self.groups = node.attributes["groups"]
        self.depthwise = is_depthwise(View(node, 0, node.type.shape, ()), self.groups)
        self.channels, self.outputs = x.shape[-1], g.shape[-1]
        self.axes = forward(*geometry.numbers)
        each = node.type.shape[-2]
        self.merged = self.groups == 1 and each < _FEW_CHANNELS and geometry.window[2] > 1
        #: The taps: whole rows of the window if merged.
        self.taps: Taps = join(self.axes, geometry.window, each, self.merged)
        #: Rows and columns of the matrix of each tap and group.
        self.rows = self.taps.run
        self.columns = self.channels if self.depthwise else self.outputs // self.groups
        self.padded = (self.merged or self.depthwise) and not all(a.inside for a in self.axes)
        self._cut()

    # ---- how it is cut ---------------------------------------------------------------------------

    def _cut(self) -> None:
        target = target_in_use()
        self.lanes = max(target.vector // self.item, 1)
        vectors = 1 if self.depthwise else min(target.panel, -(-self.columns // self.lanes))
        self.width = min(vectors * self.lanes, self.columns)
        self.panels = -(-self.columns // self.width)
        most = max(target.accumulators // vectors, 1)
        count = len(self.taps.shifts) if self.depthwise else self.rows
        #: Tiles of rows (of taps, if depthwise): rows of one, and how many have one more.
        self.tiles = -(-count // most)
        self.low, self.more = divmod(count, self.tiles)
        #: Pixels that go by at once: rows, and pixels of a row.
        wide = self.axes[2].count
        self.segment = wide if wide <= 2 * _PIXELS else _PIXELS
        self.band = max(min(_PIXELS // self.segment, self.axes[1].count), 1)
        while self.band > 1 and self._patch_size() * self.item > PATCH:
            self.band = -(-self.band // 2)
        while self.segment > 8 and self._patch_size() * self.item > PATCH:
            self.segment //= 2
        check_stack(self.node, self._patch_size() * self.item)
        #: Blocks of images; how many must not depend on the processor.
        units = 1 if self.depthwise else self.groups * -(-self.columns // 16)
        wanted = -(-UNITS // units)
        affordable = (self.x.size + self.g.size) // (4 * self.node.type.size)
        batch = self.x.shape[0]
        self.images = -(-batch // max(min(batch, wanted, affordable), 1))
        self.blocks = -(-batch // self.images)

    @property
    def patch(self) -> tuple[int, int, int]:
        """The extents of the part of an image that a band reads."""
        deep, high, wide = self.axes
        return deep.inputs(1), high.inputs(self.band), wide.inputs(self.segment)

    def _patch_size(self) -> int:
        return math.prod(self.patch) * self.channels if self.padded else 0

    # ---- the text --------------------------------------------------------------------------------

    def functions(self) -> Function:
        """The sums of blocks, and their sum."""
        run, out = self.run, self.out
        x, g = run.pointer(self.x), run.pointer(self.g)
        size = self.node.type.size
        result = f"({self.c_type} *)scratch" if self.blocks > 1 else run.writes(self.node)
        units = 1 if self.depthwise else self.groups * self.panels
        if self.padded:
            out.line(f"{self.c_type} patch[{self._patch_size()}] CR_ALIGNED;")
        with out.block("for (idx u = begin; u < end; u++)"):
            out.line(f"const idx block = u / {units};")
            if not self.depthwise:
                out.line(f"const idx q = u % {self.panels} * {self.width}; /* the panel */")
            if self.groups > 1 and not self.depthwise:
                out.line(f"const idx group = u / {self.panels} % {self.groups};")
            out.line(f"const idx n0 = block * {self.images};")
            batch = self.x.shape[0]
            out.line(f"const idx n1 = n0 + {self.images} < {batch} ? n0 + {self.images} : {batch};")
            move = f" + block * {size}" if self.blocks > 1 else ""
            out.line(f"{self.c_type} *const to = {result}{move};")
            self._images(x, g)
        work = size * math.prod(self.g.shape[:-1]) * self.images // batch
        heavy = 1 if self.depthwise else MULTIPLICATIONS
        run.extent, run.grain = self.blocks * units, max(work // units // heavy, 1)
        if self.blocks == 1:
            return run
        run.scratch = -(-self.blocks * size * self.item // 64) * 64
        return chain([run, sum_of_blocks(self.node, run, self.blocks)])

    def _images(self, x: str, g: str) -> None:
        """Images, planes, bands of rows and parts of rows go by."""
        out, (deep, high, wide) = self.out, self.axes
        with (
            out.block("for (idx n = n0; n < n1; n++)"),
            out.block(f"for (idx i = 0; i < {deep.count}; i++)"),
            out.block(f"for (idx j0 = 0; j0 < {high.count}; j0 += {self.band})"),
            out.block(f"for (idx k0 = 0; k0 < {wide.count}; k0 += {self.segment})"),
        ):
            for name, step, axis in (("j", self.band, high), ("k", self.segment, wide)):
                end = f"{name}0 + {step}"
                out.line(f"const idx {name}1 = {end} < {axis.count} ? {end} : {axis.count};")
            out.line("const _Bool more = n > n0 || i > 0 || j0 > 0 || k0 > 0;")
            if self.padded:
                copy_patch(out, self.c_type, self.axes, self.patch, self.channels, x)
                out.line(f"const {self.c_type} *const from = patch;")
            else:
                image = math.prod(axis.extent for axis in self.axes) * self.channels
                terms = [
                    f"({q} * {axis.stride}{_signed(axis.low)}) * {step}"
                    for q, axis, step in zip(("i", "j0", "k0"), self.axes, self.steps, strict=True)
                ]
                out.line(f"const idx from = n * {image} + {' + '.join(terms)};")
            places = [axis.count for axis in self.axes]
            pixel = f"((n * {places[0]} + i) * {places[1]} + j0) * {places[2]} + k0"
            out.line(f"const {self.c_type} *const slope = {g} + ({pixel}) * {self.outputs};")
            if self.depthwise:
                self._depthwise(x)
            else:
                self._taps(x)

    @property
    def steps(self) -> tuple[int, int, int]:
        """Elements between neighbours of what is read."""
        _, high, wide = self.patch if self.padded else tuple(axis.extent for axis in self.axes)
        return high * wide * self.channels, wide * self.channels, self.channels

    def _shifts(self) -> list[int]:
        """Where the taps are, from the least on."""
        return [
            sum(
                (s - axis.low) * step
                for s, axis, step in zip(shift, self.axes, self.steps, strict=True)
            )
            for shift in self.taps.shifts
        ]

    def _taps(self, x: str) -> None:
        """Every tap: the pixels that it meets, and the tiles of its matrix."""
        out, run = self.out, self.run
        whole = self.padded or all(axis.inside for axis in self.axes)
        table = [
            [place, *(bound for s, axis in zip(shift, self.axes, strict=True)
                      for bound in _range(s, axis))]
            for place, shift in zip(self._shifts(), self.taps.shifts, strict=True)
        ]  # fmt: skip
        rows = ", ".join("{" + ", ".join(map(str, row)) + "}" for row in table)
        run.before.append(
            "/* where a tap is, and from where to where outputs have it, on each axis */\n"
            f"static const int32_t @_taps[][7] = {{{rows}}};"
        )
        with out.block(f"for (idx t = 0; t < {len(table)}; t++)"):
            out.line("const int32_t *const tap = @_taps[t];")
            if whole:
                out.line("const idx j = j0, k = k0, high = j1 - j0, wide = k1 - k0;")
            else:
                out.line("const idx j = j0 > tap[3] ? j0 : tap[3], k = k0 > tap[5] ? k0 : tap[5];")
                out.line("const idx rest = (j1 < tap[4] ? j1 : tap[4]) - j;")
                out.line("const idx wide = (k1 < tap[6] ? k1 : tap[6]) - k;")
                out.line("const _Bool none = i < tap[1] || i >= tap[2] || wide <= 0 || rest <= 0;")
                out.line("if (none && more) continue;")
                out.line("const idx high = none ? 0 : rest;")
            base = "from" if self.padded else f"{x} + from"
            moves = [f"(j - j0) * {self.axes[1].stride * self.steps[1]}",
                     f"(k - k0) * {self.axes[2].stride * self.steps[2]}"]  # fmt: skip
            group = f"group * {self.channels // self.groups}"
            moves += [group] if self.groups > 1 else []
            out.line(f"const {self.c_type} *const a = {base} + tap[0] + {' + '.join(moves)};")
            column = f"group * {self.columns} + q" if self.groups > 1 else "q"
            step = self.axes[2].count * self.outputs
            out.line(f"const {self.c_type} *const b = slope + {column} + (j - j0) * {step}"
                     f" + (k - k0) * {self.outputs};")  # fmt: skip
            out.line(f"{self.c_type} *const c = to + t * {self.rows * self.outputs} + {column};")
            self._tiles()

    def _tiles(self) -> None:
        out = self.out
        rest = self.columns % self.width
        with out.block(f"for (idx s = 0; s < {self.tiles}; s++)"):
            out.line(f"const idx r = {self._first('s')};")
            for width in filter(None, (self.width, rest)):
                condition = ""
                if rest:
                    condition = f"if (q {'<' if width != rest else '>='} {self.columns - rest}) "
                call = f"a + r, b, c + r * {self.outputs}, high, wide, more"
                if self.more:
                    with out.block(condition):
                        name = self._micro(self.low + 1, width)
                        out.line(f"if (s < {self.more}) {name}({call});")
                        out.line(f"else {self._micro(self.low, width)}({call});")
                else:
                    out.line(f"{condition}{self._micro(self.low, width)}({call});")

    def _first(self, tile: str) -> str:
        more = f" + ({tile} < {self.more} ? {tile} : {self.more})" if self.more else ""
        return f"{tile} * {self.low}{more}"

    def _micro(self, rows: int, width: int) -> str:
        name = f"@_{rows}x{width}"
        self._add(
            gradient_kernel(
                name, self.dtype, list(range(rows)), [r * self.outputs for r in range(rows)],
                width, self.lanes, self._pixel_steps(), False,
            )
        )  # fmt: skip
        return name

    def _pixel_steps(self) -> tuple[int, int, int, int]:
        """From pixel to pixel, and from row to row, of the image and of the outputs."""
        _, high, wide = self.axes
        return (
            wide.stride * self.steps[2], high.stride * self.steps[1],
            self.outputs, wide.count * self.outputs,
        )  # fmt: skip

    def _add(self, text: str) -> None:
        if text not in self.run.before:
            self.run.before.append(text)

    def _depthwise(self, x: str) -> None:
        """A vector of channels, and as many taps as fit into registers."""
        out = self.out
        shifts = self._shifts()
        base = "from" if self.padded else f"({x} + from)"
        first = 0
        whole, rest = divmod(self.columns, self.width)
        for tile in range(self.tiles):
            count = self.low + (tile < self.more)
            places = shifts[first : first + count]
            elements = self.taps.elements[first : first + count]
            for width, condition in (
                (self.width, f"for (idx q = 0; q < {whole * self.width}; q += {self.width})"),
                (rest, f"for (idx q = {whole * self.width}; q < {self.columns}; q += {rest})"),
            ):
                if width:
                    name = f"@_{tile}_{width}"
                    outputs = [element * self.columns for element in elements]
                    self._add(
                        gradient_kernel(
                            name, self.dtype, places, outputs, width, self.lanes,
                            self._pixel_steps(), True,
                        )
                    )  # fmt: skip
                    out.line(condition)
                    pointers = f"{base} + q, slope + q, to + q"
                    out.line(f"  {name}({pointers}, j1 - j0, k1 - k0, more);")
            first += count


def _signed(number: int) -> str:
    return f" + {number}" if number >= 0 else f" - {-number}"


def _range(shift: int, axis: Axis) -> tuple[int, int]:
    """The outputs whose input at this shift is inside of the image: from, to."""
    low = max(-(shift // axis.stride), 0)
    return low, max(min((axis.extent - 1 - shift) // axis.stride + 1, axis.count), low)
