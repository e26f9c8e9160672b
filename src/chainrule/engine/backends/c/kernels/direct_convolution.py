"""Convolutions as direct sums of products, in registers.

Outputs are computed in *tiles*, some pixels of a row (or of a few short rows) by a few vectors of
channels, as in a matrix product whose common index runs through the taps of the window and the
channels of the input. Neighbouring pixels follow one another in memory, so a row of the window is
one run of numbers, and nothing is copied but the weights, into panels of as many columns as a tile
has ("direct convolution": Georganas et al., "Anatomy of high-performance deep learning convolutions
on SIMD architectures", SC 2018). Where windows reach over the edge, the part of the image that a
unit of work needs is copied first, with zeros around it, which the cache then holds.

Every output is a chain ``y = fma(x, w, y)`` through taps and channels in order, or the sum of such
chains where there are many, so that it keeps its digits. That depends on window and channels alone:
neither tile, nor threads, nor width of vectors change a bit of it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from ....ir.node import Node
from ..function import Function, Where
from ..views import View
from .convolution_panels import (
    MULTIPLICATIONS,
    UNITS,
    Lines,
    Weights,
    check_stack,
    microkernel,
)
from .cpu import target_in_use
from .gemm_tiles import ELEMENTS
from .sliding_window import Axis

#: Bytes of the buffer for a part of the image, which is on the stack.
PATCH = 1 << 17
#: A sum of at most this many products is made at once; of a longer one, so many at a time.
_WHOLE, _DEPTH = 640, 384


def copy_patch(
    out: Lines, c_type: str, axes: list[Axis], patch: tuple[int, ...], c: int, x: str
) -> None:
    """What the plane i, the rows j0 … j1 and the pixels from k0 on of image n read, into ``patch``.

    Args:
        out: where to write.
        c_type: of the elements.
        axes: of the sum.
        patch: extents of the patch; what is not in the image is 0.
        c: channels.
        x: the pointer to the images.
    """
    (deep, high, wide), (planes, _, width) = axes, patch
    out.line(f"const idx rows = (j1 - j0 - 1) * {high.stride} + {high.span};")
    out.line(f"const idx left = k0 * {wide.stride} + {wide.low}; /* of the patch */")
    out.line(f"const idx gap = left < 0 ? -left : 0, most = {wide.extent} - left;")
    out.line(f"const idx last = most < gap ? gap : most < {width} ? most : {width};")
    with (
        out.block(f"for (idx d = 0; d < {planes}; d++)"),
        out.block("for (idx r = 0; r < rows; r++)"),
    ):
        out.line(f"const idx z = i * {deep.stride} + {deep.low} + d;")
        out.line(f"const idx v = j0 * {high.stride} + {high.low} + r;")
        out.line(f"{c_type} *const line = patch + (d * {patch[1]} + r) * {width * c};")
        with out.block(f"if (z < 0 || z >= {deep.extent} || v < 0 || v >= {high.extent})"):
            out.line(f"memset(line, 0, {width * c} * sizeof *line);")
            out.line("continue;")
        place = f"((n * {deep.extent} + z) * {high.extent} + v) * {wide.extent} + left + gap"
        size = f"{c} * sizeof *line"
        out.line(f"memset(line, 0, (size_t)gap * {size});")
        out.line(f"memcpy(line + gap * {c}, {x} + ({place}) * {c}, (size_t)(last - gap) * {size});")
        out.line(f"memset(line + last * {c}, 0, (size_t)({width} - last) * {size});")


class Direct:
    """Writes the loops of one phase."""

    def __init__(
        self, node: Node, sources: list[View], where: Where, axes: list[Axis], panels: Weights,
        packed: int,
    ) -> None:  # fmt: skip
        self.node, self.axes, self.panels, self.packed = node, axes, panels, packed
        self.x, self.w = x, _ = sources
        self.run = Function(where, scratch=not panels.depthwise)
        self.out = Lines(self.run)
        self.c_type, self.short, self.item = ELEMENTS[panels.dtype]
        self.channels, self.outputs = x.shape[-1], node.type.shape[-1]
        self.padded = not all(axis.inside for axis in axes)
        self._cut()
        deep, high, wide = self.patch if self.padded else tuple(axis.extent for axis in axes)
        del deep
        self.steps = (high * wide * self.channels, wide * self.channels, self.channels)
        axis = self.axes[2]
        self.out_steps = (
            self.axes[1].outputs * axis.outputs * self.outputs,
            axis.outputs * self.outputs,
            self.outputs,
        )

    # ---- how the outputs are cut -----------------------------------------------------------------

    def _cut(self) -> None:
        """Pixels into tiles, tiles into units of work."""
        _, rows, columns = (axis.count for axis in self.axes)
        vectors = -(-self.panels.width // self.panels.lanes)
        most = max(target_in_use().accumulators // vectors, 1)
        self.most = most
        for tallest, most_rest in ((most, rows), (most, 1), (1, 1)):
            #: How rows are cut into strips, with tiles as high as these.
            self.strips = strips(rows, columns, most, vectors, tallest, most_rest)
            self._share()
            if self._patch_bytes() <= PATCH:
                break
        self.patch = self._patch()
        check_stack(self.node, self._patch_bytes())

    def _share(self) -> None:
        """Strips and parts of a row into units."""
        batch, planes, rows = self.node.type.shape[0], self.axes[0].count, self.axes[1].count
        self.band = self.strips.count  # strips in a unit
        self.segment = self.tiles(self.strips.height)[0]  # tiles of a row in a unit
        while self._few(batch * planes) and self.band > 1 and self.strips.rest <= 1:
            self.band = -(-self.band // 2)
        if self.strips.height == 1:
            while self.segment > 1 and self._patch_bytes() > PATCH:
                self.segment = -(-self.segment // 2)
            if rows == 1:
                wanted = -(-UNITS // max(batch * planes, 1))
                self.segment = max(min(self.segment, self.tiles(1)[0] // wanted), 1)

    def _few(self, planes: int) -> bool:
        """Whether there are too few units, or too large ones."""
        return self._patch_bytes() > PATCH or planes * self._bands() < UNITS

    def tiles(self, height: int) -> tuple[int, int, int]:
        """Tiles of that height along a row: how many, their pixels, how many have one more."""
        columns = self.axes[2].count
        count = -(-columns // max(self.most // height, 1))
        return count, *divmod(columns, count)

    def _bands(self) -> int:
        return -(-self.strips.count // self.band)

    def _patch(self) -> tuple[int, int, int]:
        """The extents of what a unit reads."""
        deep, high, wide = self.axes
        _, low, more = self.tiles(self.strips.height)
        rows = min(self.band * self.strips.height, high.count)
        if self.band == self.strips.count:
            rows = high.count
        columns = min(self.segment * (low + bool(more)), wide.count)
        return deep.inputs(1), high.inputs(rows), wide.inputs(columns)

    def _patch_bytes(self) -> int:
        return math.prod(self._patch()) * self.channels * self.item if self.padded else 0

    # ---- the loops, outermost first --------------------------------------------------------------

    def function(self) -> Function:
        """The function of the phase."""
        run, out, c_type, axes = self.run, self.out, self.c_type, self.axes
        batch = self.node.type.shape[0]
        planes, bands = axes[0].count, self._bands()
        tiles = self.tiles(self.strips.height)[0]
        segments = -(-tiles // self.segment)
        x, y = run.pointer(self.x), run.writes(self.node)
        self._table()
        panels = self.panels
        place = f"(const {c_type} *)scratch + {self.packed}"
        weights = run.pointer(self.w) if panels.depthwise else place
        out.line(f"const {c_type} *const packed = {weights};")
        if self.padded:
            size = math.prod(self.patch) * self.channels
            out.line(f"{c_type} patch[{size}] CR_ALIGNED; /* with zeros around the image */")
        with out.block("for (idx u = begin; u < end; u++)"):
            out.line(f"const idx n = u / {planes * bands * segments};")
            out.line(f"const idx i = u / {bands * segments} % {planes}; /* the plane */")
            rows, step = axes[1].count, self.band * self.strips.height
            if bands == 1:
                out.line("const idx j0 = 0; /* the first row */")
                if self.padded:
                    out.line(f"const idx j1 = {rows};")
            else:
                out.line(f"const idx j0 = u / {segments} % {bands} * {step};")
                out.line(f"const idx j1 = j0 + {step} < {rows} ? j0 + {step} : {rows}; /* rows */")
            if segments == 1:
                out.line("const idx k0 = 0; /* the first pixel of these */")
            else:
                out.line(f"const idx t0 = u % {segments} * {self.segment};")
                out.line(f"const idx t1 = t0 + {self.segment} < {tiles} ? "
                         f"t0 + {self.segment} : {tiles}; /* tiles of a row */")  # fmt: skip
                out.line(f"const idx k0 = {self._column('t0', 1)}; /* their first pixel */")
            if self.padded:
                copy_patch(out, self.c_type, self.axes, self.patch, self.channels, x)
                out.line(f"const {c_type} *const from = patch;")
            else:
                image = math.prod(axis.extent for axis in axes) * self.channels
                terms = [
                    f"({q} * {axis.stride} + {axis.low}) * {step}"
                    for q, axis, step in zip(("i", "j0", "k0"), axes, self.steps, strict=True)
                ]
                out.line(f"const {c_type} *const from = {x} + n * {image} + {' + '.join(terms)};")
            image = math.prod(axis.outputs for axis in axes) * self.outputs
            terms = [
                f"({q} * {axis.step} + {axis.first}) * {step}"
                for q, axis, step in zip(("i", "j0", "k0"), axes, self.out_steps, strict=True)
            ]
            out.line(f"{c_type} *const to = {y} + n * {image} + {' + '.join(terms)};")
            if panels.groups > 1:
                with out.block(f"for (idx g = 0; g < {panels.groups}; g++)"):
                    self._blocks()
            else:
                self._blocks()
        pixels = math.prod(axis.count for axis in axes)
        run.extent = batch * planes * bands * segments
        work = batch * pixels * self.outputs * panels.rows // run.extent
        run.grain = max(work // (1 if panels.depthwise else MULTIPLICATIONS), 1)
        return run

    def _column(self, tile: str, height: int) -> str:
        """The first pixel of a tile."""
        _, low, more = self.tiles(height)
        return f"{tile} * {low}" + (f" + ({tile} < {more} ? {tile} : {more})" if more else "")

    def _table(self) -> None:
        """Where the taps are."""
        lows = [axis.low for axis in self.axes]
        offsets = [
            sum((s - low) * step for s, low, step in zip(shift, lows, self.steps, strict=True))
            for shift in self.panels.taps.shifts
        ]
        numbers = ", ".join(map(str, offsets))
        self.run.before.append(f"static const int32_t @_taps[] = {{{numbers}}};")
        if self.panels.depthwise:
            places = (element * self.channels for element in self.panels.taps.elements)
            numbers = ", ".join(map(str, places))
            self.run.before.append(f"static const int32_t @_weights[] = {{{numbers}}};")

    def _blocks(self) -> None:
        """Blocks of the sum, so that a panel of weights stays in the first-level cache."""
        out, panels = self.out, self.panels
        taps, run = len(panels.taps.shifts), panels.taps.run
        if taps * run <= _WHOLE:
            self._panels("0", str(taps), "0", str(run), "0")
        elif run <= _WHOLE:
            at_once = max(_DEPTH // run, 1)
            with out.block(f"for (idx a = 0; a < {taps}; a += {at_once})"):
                out.line(f"const idx b = a + {at_once} < {taps} ? a + {at_once} : {taps};")
                self._panels("a", "b", "0", str(run), "a > 0")
        else:
            part = -(-run // -(-run // _DEPTH))
            with (
                out.block(f"for (idx a = 0; a < {taps}; a++)"),
                out.block(f"for (idx l = 0; l < {run}; l += {part})"),
            ):
                out.line(f"const idx length = l + {part} < {run} ? {part} : {run} - l;")
                self._panels("a", "a + 1", "l", "length", "a + l > 0")

    def _panels(self, first: str, last: str, l: str, run: str, more: str) -> None:  # noqa: E741
        """The panels of columns, for the taps from first to last, from number l of each on."""
        panels = self.panels
        whole, rest = divmod(panels.columns, panels.width)

        def inside(column: str, width: int) -> None:
            if panels.depthwise:
                return self._rows(column, width, f"packed + {column}", (first, last, l, run, more))
            group = f"g * {panels.columns * panels.rows} + " if panels.groups > 1 else ""
            begin = f"({first} * {panels.taps.run} + {l}) * {width}"
            weights = f"packed + {group}{column} * {panels.rows} + {begin}"
            self._rows(column, width, weights, (first, last, l, run, more))

        if whole > 1:
            with self.out.block(
                f"for (idx m = 0; m < {whole * panels.width}; m += {panels.width})"
            ):
                inside("m", panels.width)
        else:
            inside("0", panels.width)
        if rest:
            inside(str(whole * panels.width), rest)

    def _rows(self, column: str, width: int, weights: str, sum_: tuple[str, ...]) -> None:
        """The tiles of a unit."""
        out, strips = self.out, self.strips
        first, last, l, run, more = sum_  # noqa: E741
        group = (f"{column} + " if self.panels.depthwise else "", "")
        if self.panels.groups > 1:
            group = (f"g * {self.panels.depth} + ", f"g * {self.panels.columns} + ")
        strides = [axis.stride * step for axis, step in zip(self.axes, self.steps, strict=True)]
        steps = [axis.step * step for axis, step in zip(self.axes, self.out_steps, strict=True)]

        def strip(height: int) -> None:
            count, low, wider = self.tiles(height)
            cut = self.segment < count and height == 1
            begin, end = ("t0", "t1") if cut else ("0", str(count))
            with out.block(f"for (idx t = {begin}; t < {end}; t++)"):
                out.line(f"const idx k = {self._column('t', height)} - k0;")
                x = f"from + {group[0]}r * {strides[1]} + k * {strides[2]} + {l}"
                y = f"to + {group[1]}{column} + r * {steps[1]} + k * {steps[2]}"
                call = f"({x}, w, {y}, {first}, {last}, {run}, {more});"
                if wider:
                    out.line(f"if (t < {wider}) {self._micro(height, low + 1, width)}{call}")
                out.line(f"{'else ' * bool(wider)}{self._micro(height, low, width)}{call}")

        with out.block(""):
            out.line(f"const {self.c_type} *const w = {weights};")
            out.line("idx r = 0; /* the row */")
            height = strips.height
            all_ = self._bands() == 1
            end = str(strips.whole * height) if all_ else f"j1 - j0 - {height - 1}"
            with out.block(f"for (; r < {end}; r += {height})"):
                strip(height)
            if strips.rest:
                end = str(self.axes[1].count) if all_ else "j1 - j0"
                with out.block(f"for (; r < {end}; r += {strips.rest_height})"):
                    strip(strips.rest_height)

    def _micro(self, rows: int, pixels: int, width: int) -> str:
        name = f"@_{rows}x{pixels}x{width}"
        step = self.axes[1].stride * self.steps[1], self.axes[2].stride * self.steps[2]
        out_step = self.axes[1].step * self.out_steps[1], self.axes[2].step * self.out_steps[2]
        places = [(r, k) for r in range(rows) for k in range(pixels)]
        text = microkernel(
            name,
            self.panels.dtype,
            [r * step[0] + k * step[1] for r, k in places],
            [r * out_step[0] + k * out_step[1] for r, k in places],
            width,
            self.panels.lanes,
            self.panels.depthwise,
        )
        if text not in self.run.before:
            self.run.before.append(text)
        return name


@dataclass(frozen=True)
class Strips:
    """How the rows of an image are cut: so many strips of one height, then of a lower one."""

    whole: int
    height: int
    rest: int
    rest_height: int

    @property
    def count(self) -> int:
        """How many strips there are."""
        return self.whole + self.rest


#: So many chains of products must be under way for a processor to be busy.
_CHAINS = 10


@functools.cache
def strips(
    rows: int, columns: int, most: int, vectors: int, tallest: int, most_rest: int
) -> Strips:
    """The cut whose tiles take the least time, by a simple model.

    Args:
        rows: of the image.
        columns: of the image.
        most: pixels of a tile at most.
        vectors: columns of a tile.
        tallest: how high a strip may be.
        most_rest: how many strips there may be of a second height.

    Example:
        >>> strips(8, 8, 6, 2, 6, 8)  # tiles of 5 × 1 and 3 × 2 pixels
        Strips(whole=1, height=5, rest=1, rest_height=3)
    """

    def time(height: int) -> int:
        """Of a strip: products, or loads, or the wait for the chains, and something around."""
        count = -(-columns // max(most // height, 1))
        low, more = divmod(columns, count)
        sizes = ((height * (low + 1), more), (height * low, count - more))
        return sum((max(p * vectors, p + vectors, _CHAINS) + 1) * number for p, number in sizes)

    heights = list(range(1, min(tallest, rows) + 1))
    times = {height: time(height) for height in heights}
    best = min(
        (whole * times[height] + rest * times[other], height, other, whole, rest)
        for height in heights
        for whole in range(1, rows // height + 1)
        if rows - whole * height < max(2 * most, height) or whole == rows // height
        for other in heights[:height]
        for rest in [(rows - whole * height) // other]
        if rest * other == rows - whole * height and rest <= most_rest
    )
    _, height, other, whole, rest = best
    return Strips(whole, height, rest, other)
