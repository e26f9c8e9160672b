"""The gradient of a convolution with respect to its weights with fewer multiplications.

What `winograd` computes, y = Aᵀ ((G w Gᵀ) ⊙ (Bᵀ x B)) A for every tile, is linear in w; so the
gradient with respect to w is

    Gᵀ (Σ over tiles (A g Aᵀ) ⊙ (Bᵀ x B)) G,

where the sum is a matrix product for every place of the tile, channels × tiles × channels. It stays
in the cache, for as many columns as fit there, while tiles go by in chunks; only the sum is
transformed back. Blocks of images have sums of their own, which are added up in the end. Chunks and
blocks depend on the shape only: the same bits for any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....ir.node import Node
from ..function import Function, Where
from ..views import View
from .convolution_panels import (
    MULTIPLICATIONS,
    UNITS,
    Lines,
    chain,
    gradient_kernel,
    sum_of_blocks,
)
from .cpu import target_in_use
from .sliding_window import Axis
from .winograd import OUTPUTS, Tiles, matrices

#: Bytes of the transformed inputs at work, of the sums of one unit, and of all blocks together.
_INPUTS, _SUMS, _BLOCKS = 3 << 17, 1 << 18, 1 << 22
#: Tiles of a chunk at most.
_CHUNK = 64


class WinogradWeights(Tiles):
    """Writes the gradient with respect to the weights.

    Args:
        node: the gradient.
        x: the image.
        g: the gradient of the output.
        where: of the functions.
        axes: of the convolution.
    """

    def __init__(self, node: Node, x: View, g: View, where: Where, axes: Sequence[Axis]) -> None:
        self.node, self.g, self.where = node, g, where
        self.columns, item = g.shape[-1], node.type.dtype.itemsize
        depth, batch = x.shape[-1], x.shape[0]
        one = (len(axes[2].taps) + OUTPUTS - 1) ** 2 * depth * item  # of a tile, of a column
        #: Columns of a unit, and how many such groups there are.
        self.share = min(max(_SUMS // one // 32 * 32, 16), self.columns)
        self.groups = -(-self.columns // self.share)
        most = min(UNITS // self.groups, _BLOCKS // (node.type.size * item), batch)
        self.images = -(-batch // max(most, 1))
        self.blocks = -(-batch // self.images)
        _, high, wide = (-(-axis.count // OUTPUTS) for axis in axes)
        tiles = self.images * high * wide
        count = -(-tiles // -(-tiles // max(min(_INPUTS // one, _CHUNK), 8)))
        super().__init__(x, axes, depth, node.type.dtype.name, count)
        #: Columns of a panel, which divide those of every unit.
        even = self.lanes == 16 and self.share % 32 == self.columns % 32 == 0
        self.width = 32 if even else 16
        #: Elements from one place of the transformed gradients to the next.
        self.slope_step = count * self.width + 16

    def functions(self) -> Function:
        """The sums of blocks, and their sum."""
        run, depth, width = Function(self.where), self.channels, self.width
        out = Lines(run)
        x, g = run.pointer(self.x), run.pointer(self.g)
        size = self.node.type.size
        result = f"({self.c_type} *)scratch" if self.blocks > 1 else run.writes(self.node)
        run.before.append(self.input_text(self.where))
        run.before.append(self._slope_text())
        self.buffers(out)
        panel = self.places * depth * width
        out.line(f"{self.c_type} slopes[{self.places * self.slope_step}] CR_ALIGNED;")
        out.line(f"{self.c_type} sums[{self.share // width * panel}] CR_ALIGNED;")
        with out.block("for (idx u = begin; u < end; u++)"):
            out.line(f"const idx block = u / {self.groups};")
            out.line(f"const idx j0 = u % {self.groups} * {self.share}; /* columns */")
            end = f"j0 + {self.share}"
            out.line(f"const idx j1 = {end} < {self.columns} ? {end} : {self.columns};")
            first, last = f"block * {self.images}", f"(block + 1) * {self.images}"
            batch = self.x.shape[0]
            out.line(f"const idx q0 = {first} * {self.each}; /* tiles */")
            out.line(f"const idx n1 = {last} < {batch} ? {last} : {batch}, q1 = n1 * {self.each};")
            move = f" + block * {size}" if self.blocks > 1 else ""
            out.line(f"{self.c_type} *const total = {result}{move};")
            with out.block(f"for (idx q = q0; q < q1; q += {self.count})"):
                out.line(f"const idx count = q1 - q < {self.count} ? q1 - q : {self.count};")
                self.gather(out, x)
                with out.block(f"for (idx j = j0; j < j1; j += {width})"):
                    self._slopes(out, g)
                    out.line(f"{self.c_type} *const sum = sums + (j - j0) / {width} * {panel};")
                    self._products(run, out)
            with out.block(f"for (idx j = j0; j < j1; j += {width})"):
                out.line(f"{self.c_type} *const sum = sums + (j - j0) / {width} * {panel};")
                self._back(out)
        units = self.blocks * self.groups
        work = self.places * batch * self.each * depth * self.columns // units
        run.extent, run.grain = units, max(work // MULTIPLICATIONS, 1)
        if self.blocks == 1:
            return run
        run.scratch = -(-self.blocks * size * self.item // 64) * 64
        return chain([run, sum_of_blocks(self.node, run, self.blocks)])

    def _slope_text(self) -> str:
        """The function that transforms the gradient of the outputs of a tile."""
        own = Function(self.where)
        out, row = Lines(own), self.axes[2].count
        out.line(f"static const {self.c_type} none[{self.width}] = {{0}};")
        for i in range(OUTPUTS):
            for j in range(OUTPUTS):
                place = f"x + {(i * row + j) * self.columns}"
                tests = [f"high > {i}"] * (i > 0) + [f"wide > {j}"] * (j > 0)
                value = f"{' && '.join(tests)} ? {place} : none" if tests else place
                out.line(f"const {self.c_type} *const g{i * OUTPUTS + j} = {value};")
        transposed = tuple(zip(*matrices(self.window)[0], strict=True))
        with out.block(f"for (idx c = 0; c < {self.width}; c += {self.lanes})"):
            target = f"y + {{}} * {self.slope_step} + c"
            self.transform(out, transposed, "g{} + c", target)
        head = [
            "/* the transformed gradient of one tile; outside of the image it is 0 */",
            f"static void @_slope(const {self.c_type} *restrict x, {self.c_type} *restrict y,",
            "    idx high, idx wide)",
        ]
        return "\n".join([*head, "{", *own.body, "}"])

    def _slopes(self, out: Lines, g: str) -> None:
        """The transformed gradients of one panel."""
        high, wide = self.axes[1].count, self.axes[2].count
        with out.block("for (idx p = 0; p < count; p++)"):
            self.place(out, "q + p")
            place = f"{g} + ((n * {high} + r) * {wide} + k) * {self.columns} + j"
            out.line(f"@_slope({place}, slopes + p * {self.width}, {high} - r, {wide} - k);")

    def _products(self, run: Function, out: Lines) -> None:
        """What the tiles add to the sums of one panel."""
        depth, width = self.channels, self.width
        most = max(target_in_use().accumulators // max(width // self.lanes, 1), 1)
        tiles = -(-depth // most)
        low, more = divmod(depth, tiles)
        with (
            out.block(f"for (idx k = 0; k < {self.places}; k++)"),
            out.block(f"for (idx t = 0; t < {tiles}; t++)"),
        ):
            extra = f" + (t < {more} ? t : {more})" if more else ""
            out.line(f"const idx i = t * {low}{extra}; /* the first channel */")
            a, b = f"inputs + k * {self.step} + i", f"slopes + k * {self.slope_step}"
            c = f"sum + k * {depth * width} + i * {width}"
            for rows in (low + 1, low) if more else (low,):
                name = f"@_{rows}"
                text = gradient_kernel(
                    name, self.node.type.dtype.name, list(range(rows)),
                    [row * width for row in range(rows)], width, self.lanes,
                    (depth, 0, width, 0), False,
                )  # fmt: skip
                if text not in run.before:
                    run.before.append(text)
                condition = "" if not more else f"if (t < {more}) " if rows > low else "else "
                out.line(f"{condition}{name}({a}, {b}, {c}, 1, count, q > q0);")

    def _back(self, out: Lines) -> None:
        """The sums of one panel, transformed back."""
        depth, width = self.channels, self.width
        g = tuple(zip(*matrices(self.window)[1], strict=True))
        with (
            out.block(f"for (idx i = 0; i < {depth}; i++)"),
            out.block(f"for (idx c = 0; c < {width}; c += {self.lanes})"),
        ):
            out.line(f"const {self.c_type} *const x = sum + i * {width} + c;")
            out.line(f"{self.c_type} *const y = total + i * {self.columns} + j + c;")
            place = f"y + {{}} * {depth * self.columns}"
            self.transform(out, g, f"x + {{}} * {depth * width}", place)
