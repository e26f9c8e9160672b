"""Convolutions with fewer multiplications, after Winograd.

(Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.)

Along one axis, m outputs of a window of r elements need m·r multiplications, but m + r - 1 will do:

    y = Aᵀ ((G w) ⊙ (Bᵀ x)),

with fixed matrices A, B and G of small numbers (Toom and Cook: x and w as polynomials, multiplied
by their values at m + r - 1 points). On two axes that is done along each: the image is cut into
tiles of m × m outputs, each from (m + r - 1)² inputs; tiles and weights are transformed, every
place of the transformed tile is a matrix product of tiles × channels and channels × outputs, and
the results are transformed back. With m = 2 a window of 3 × 3 takes 16 multiplications in place of
36, one of 5 × 5 takes 36 in place of 100.

The points are chosen so that rounding errors stay small. Measured against float64, as a fraction of
the largest result in root mean square: 0.4e-7 to 0.8e-7 for 3 × 3, as for a matrix product, and
1.3e-7 to 2.4e-7 for 5 × 5. Every element of a product is one chain through the channels: the same
bits for any number of threads and any tile.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction

from ....ir.node import Node
from ..function import Function, Where
from ..views import View
from .convolution_panels import MULTIPLICATIONS, UNITS, Lines, Weights, microkernel
from .cpu import target_in_use
from .gemm_tiles import ELEMENTS, fma, pieces
from .sliding_window import Axis

#: Outputs of a tile on each axis.
OUTPUTS = 2
#: The finite points for a window of so many elements; one more lies at infinity.
_POINTS = {3: (0, 1, -1), 5: (0, 1, -1, Fraction(1, 2), -2)}
#: Channels come in multiples of this, so that all vectors are whole.
_CHANNELS = 16
#: Bytes of one transformed tile at most, for several of them are on the stack.
_TILE = 1 << 16
#: Bytes of the transformed tiles, and their products, that are at work.
_WORK = 3 << 16

Matrix = tuple[tuple[Fraction, ...], ...]


def fits(dtype: str, groups: int, depth: int, columns: int, axes: Sequence[Axis]) -> bool:
    """Whether a convolution can be computed like this, and gains from it.

    Args:
        dtype: of the elements.
        groups: of channels.
        depth: channels of a group that are summed.
        columns: channels of a group that are results.
        axes: of its only phase.
    """
    deep, high, wide = axes
    square = len(high.taps) == len(wide.taps) in _POINTS and len(deep.taps) == deep.count == 1
    dense = all(axis.stride == axis.step == 1 for axis in axes)
    dense = dense and all(axis.span == len(axis.taps) for axis in axes)
    channels = depth % _CHANNELS == columns % _CHANNELS == 0
    large = min(high.count, wide.count) > OUTPUTS
    small = (len(wide.taps) + OUTPUTS - 1) ** 2 * depth * ELEMENTS["float32"][2] <= _TILE
    fit = dense and channels and large and small
    return square and fit and dtype == "float32" and groups == 1


@functools.cache
def matrices(window: int) -> tuple[Matrix, Matrix, Matrix]:
    """Aᵀ, G and Bᵀ for a window.

    Example:
        >>> for row in matrices(3)[2]:
        ...     print(*row)
        -1 0 1 0
        0 1 1 0
        0 -1 1 0
        0 -1 0 1
    """
    points = [Fraction(point) for point in _POINTS[window]]
    a = [(*(point**i for point in points), Fraction(i == OUTPUTS - 1)) for i in range(OUTPUTS)]
    g, b = [], []
    for point in points:
        others = [other for other in points if other != point]
        norm = Fraction(1)
        for other in others:
            norm *= point - other
        g.append(tuple(point**k / norm for k in range(window)))
        b.append((*_polynomial(others), Fraction(0)))
    g.append((*(Fraction(0),) * (window - 1), Fraction(1)))
    b.append(_polynomial(points))
    return tuple(a), tuple(g), tuple(b)


def _polynomial(roots: list[Fraction]) -> tuple[Fraction, ...]:
    """The coefficients of Π (t - root), the constant first."""
    found = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *found], [*(root * c for c in found), Fraction(0)]
        found = [high - low for high, low in zip(shifted, scaled, strict=True)]
    return tuple(found)


class Tiles:
    """An image cut into tiles, and how their inputs are transformed.

    Args:
        x: the image.
        axes: of the sum over windows.
        channels: of the image.
        dtype: of its elements.
        count: tiles that are at work at once.
    """

    def __init__(
        self, x: View, axes: Sequence[Axis], channels: int, dtype: str, count: int
    ) -> None:
        self.x, self.axes, self.channels, self.count = x, axes, channels, count
        self.window = len(axes[2].taps)
        self.extent = self.window + OUTPUTS - 1
        self.places = self.extent**2
        self.c_type, self.short, self.item = ELEMENTS[dtype]
        self.lanes = max(target_in_use().vector // self.item, 1)
        self.kind = self.c_type if self.lanes == 1 else f"cr_{self.short}x{self.lanes}"
        self.high, self.wide = (-(-axis.count // OUTPUTS) for axis in axes[1:])
        #: Elements from one place of the transformed tiles to the next, not a power of two.
        self.step = count * channels + 16

    @property
    def each(self) -> int:
        """Tiles of an image."""
        return self.high * self.wide

    def transform(self, out: Lines, matrix: Matrix, source: str, target: str) -> None:
        """M X Mᵀ for a matrix X of vectors: ``source`` and ``target`` with the number of each."""
        rows, columns = len(matrix), len(matrix[0])
        for b in range(columns):
            for a in range(columns):
                place = source.format(a * columns + b)
                out.line(f"const {self.kind} x{a}_{b} = *(const {self.kind} *)({place});")
            for i, row in enumerate(matrix):
                value = self.combined(row, [f"x{a}_{b}" for a in range(columns)])
                out.line(f"const {self.kind} e{i}_{b} = {value};")
        for i in range(rows):
            for j, row in enumerate(matrix):
                value = self.combined(row, [f"e{i}_{b}" for b in range(columns)])
                place = target.format(i * rows + j)
                out.line(f"*({self.kind} *)({place}) = {value};")

    def combined(self, row: Sequence[Fraction], names: Sequence[str]) -> str:
        """The sum of these with factors; what has the factor 1 or -1 comes first."""
        pairs = [(f, name) for f, name in zip(row, names, strict=True) if f]
        total = ""
        for factor, name in sorted(pairs, key=lambda pair: (abs(pair[0]) != 1, -pair[0])):
            number = f"({float(factor)!r}{'f' * (self.item == 4)})"
            if abs(factor) == 1:
                sign = "-" if factor < 0 else "+" if total else ""
                total = f"{total} {sign} {name}" if total else f"{sign}{name}"
            elif total:
                whole = f"CR_ALL({self.kind}, {number})" if self.lanes > 1 else number
                total = f"{fma(self.kind)}({whole}, {name}, {total})"
            else:
                total = f"{number} * {name}"
        return total

    def place(self, out: Lines, tile: str) -> None:
        """Image, row and pixel of the first output of a tile."""
        out.line(f"const idx n = ({tile}) / {self.each};")
        out.line(f"const idx r = ({tile}) / {self.wide} % {self.high} * {OUTPUTS};")
        out.line(f"const idx k = ({tile}) % {self.wide} * {OUTPUTS};")

    def input_text(self, where: Where) -> str:
        """The function that transforms the inputs of a tile."""
        own = Function(where)
        out, c = Lines(own), self.channels
        with out.block(f"for (idx c = 0; c < {c}; c += {self.lanes})"):
            places = f"x + ({{0}} / {self.extent} * row + {{0}} % {self.extent} * {c}) + c"
            self.transform(out, matrices(self.window)[2], places, f"y + {{}} * {self.step} + c")
        head = [
            "/* the transformed inputs of one tile */",
            f"static void @_input(const {self.c_type} *restrict x, idx row,",
            f"    {self.c_type} *restrict y)",
        ]
        return "\n".join([*head, "{", *own.body, "}"])

    def buffers(self, out: Lines) -> None:
        """Memory for the transformed inputs of as many tiles as are at work."""
        t, c = self.extent, self.channels
        out.line(f"{self.c_type} inputs[{self.places * self.step}] CR_ALIGNED;")
        out.line(f"{self.c_type} edge[{t * t * c}] CR_ALIGNED; /* of the image */")

    def gather(self, out: Lines, x: str) -> None:
        """The transformed inputs of ``count`` tiles from tile q on, and zeros for those missing."""
        with out.block("for (idx p = 0; p < count; p++)"):
            self._gather_one(out, x)
        out.line(f"for (idx k = 0; k < {self.places}; k++)")
        size = f"(size_t)({self.count} - count) * {self.channels} * sizeof *inputs"
        out.line(f"  memset(inputs + k * {self.step} + count * {self.channels}, 0, {size});")

    def _gather_one(self, out: Lines, x: str) -> None:
        c, t = self.channels, self.extent
        _, high, wide = self.axes
        self.place(out, "q + p")
        out.line(f"const idx r0 = r{_signed(high.low)}, k0 = k{_signed(wide.low)};")
        out.line(f"{self.c_type} *const to = inputs + p * {c};")
        image = f"{x} + (n * {high.extent} * {wide.extent} + r0 * {wide.extent} + k0) * {c}"
        inside = f"r0 >= 0 && r0 + {t} <= {high.extent} && k0 >= 0 && k0 + {t} <= {wide.extent}"
        with out.block(f"if ({inside})"):
            out.line(f"@_input({image}, {wide.extent * c}, to);")
            out.line("continue;")
        with (
            out.block(f"for (idx a = 0; a < {t}; a++)"),
            out.block(f"for (idx b = 0; b < {t}; b++)"),
        ):
            out.line("const idx v = r0 + a, h = k0 + b;")
            out.line(f"{self.c_type} *const one = edge + (a * {t} + b) * {c};")
            inside = f"v >= 0 && v < {high.extent} && h >= 0 && h < {wide.extent}"
            place = f"((n * {high.extent} + v) * {wide.extent} + h) * {c}"
            out.line(f"if ({inside}) memcpy(one, {x} + {place}, {c} * sizeof *one);")
            out.line(f"else memset(one, 0, {c} * sizeof *one);")
        out.line(f"@_input(edge, {t * c}, to);")


def _signed(number: int) -> str:
    return f" + {number}" if number >= 0 else f" - {-number}"


class Winograd(Tiles):
    """Writes a convolution.

    Args:
        node: the convolution, or the transposed one.
        x: the image that it reads.
        where: of the functions.
        axes: of its only phase.
        weights: its weights, in panels.
        packed: where these are in the working memory, in elements.
    """

    def __init__(
        self, node: Node, x: View, where: Where, axes: Sequence[Axis], weights: Weights,
        packed: int,
    ) -> None:  # fmt: skip
        self.node, self.where, self.weights, self.packed = node, where, weights, packed
        _, high, wide = axes
        self.tiles = node.type.shape[0] * -(-high.count // OUTPUTS) * -(-wide.count // OUTPUTS)
        places = (len(wide.taps) + OUTPUTS - 1) ** 2
        each = places * (weights.depth + weights.width) * node.type.dtype.itemsize
        count = min(_WORK // each, -(-self.tiles // UNITS))
        vectors = -(-weights.width // weights.lanes)
        #: Rows of a tile of the products; a unit of work has whole ones.
        self.rows = max(target_in_use().accumulators // vectors, 1)
        count = max(-(-count // self.rows), 1) * self.rows
        super().__init__(x, axes, weights.depth, weights.dtype, count)

    @property
    def size(self) -> int:
        """Elements of the transformed weights."""
        return self.places * self.weights.depth * self.weights.columns

    @property
    def at(self) -> int:
        """Where they begin in the working memory, in elements."""
        return self.packed + self.weights.size

    # ---- the weights -----------------------------------------------------------------------------

    def transformed(self) -> Function:
        """The function that transforms the weights, panel by panel."""
        function, w = Function(self.where, scratch=1), self.weights
        out = Lines(function)
        panels = -(-w.columns // w.width)
        whole = w.columns // w.width * w.width
        out.line(f"const {self.c_type} *const packed = (const {self.c_type} *)scratch + "
                 f"{self.packed};")  # fmt: skip
        out.line(f"{self.c_type} *const to = ({self.c_type} *)scratch + {self.at};")
        with out.block("for (idx u = begin; u < end; u++)"):
            out.line(f"const idx j = u * {w.width};")
            rest = w.columns - whole
            width = f"(j < {whole} ? {w.width} : {rest})" if rest else str(w.width)
            out.line(f"const idx size = {w.depth} * {width};")
            out.line(f"const {self.c_type} *const x = packed + j * {w.rows};")
            out.line(f"{self.c_type} *const y = to + j * {self.places * w.depth};")
            with out.block(f"for (idx l = 0; l < size; l += {w.lanes})"):
                self.transform(out, matrices(self.window)[1], "x + l + {} * size",
                                "y + l + {} * size")  # fmt: skip
        function.extent, function.grain = panels, w.depth * w.width * self.places
        return function

    # ---- the tiles -------------------------------------------------------------------------------

    def function(self) -> Function:
        """The function that computes the tiles."""
        run, w = Function(self.where, scratch=1), self.weights
        out = Lines(run)
        x, y = run.pointer(self.x), run.writes(self.node)
        run.before.append("static const int32_t @_taps[] = {0};")
        run.before.append(self.input_text(self.where))
        out.line(f"const {self.c_type} *const weights = (const {self.c_type} *)scratch + "
                 f"{self.at};")  # fmt: skip
        self.buffers(out)
        out.line(f"{self.c_type} products[{self.places * (self.count * w.width + 16)}] CR_ALIGNED;")
        with out.block("for (idx u = begin; u < end; u++)"):
            out.line(f"const idx q = u * {self.count}; /* the first tile */")
            last = f"{self.tiles} - q < {self.count} ? {self.tiles} - q : {self.count}"
            out.line(f"const idx count = {last};")
            self.gather(out, x)
            whole, rest = divmod(w.columns, w.width)
            with out.block(f"for (idx j = 0; j < {whole * w.width}; j += {w.width})"):
                self._panel(run, out, y, "j", w.width)
            if rest:
                with out.block(""):
                    self._panel(run, out, y, str(whole * w.width), rest)
        run.extent = -(-self.tiles // self.count)
        work = self.count * self.places * w.depth * w.columns
        run.grain = max(work // MULTIPLICATIONS, 1)
        return run

    def _panel(self, run: Function, out: Lines, y: str, column: str, width: int) -> None:
        """The products of one panel, and the outputs of their tiles."""
        w = self.weights
        self._products(run, width)
        with (
            out.block(f"for (idx k = 0; k < {self.places}; k++)"),
            out.block(f"for (idx p = 0; p < {self.count}; p += {self.rows})"),
        ):
            panel = f"weights + {column} * {self.places * w.depth} + k * {w.depth * width}"
            target = f"products + k * {self.count * width + 16} + p * {width}"
            place = f"inputs + k * {self.step} + p * {w.depth}"
            out.line(f"@_{width}({place}, {panel}, {target}, 0, 1, {w.depth}, 0);")
        _, high, wide = self.axes
        with out.block("for (idx p = 0; p < count; p++)"):
            self.place(out, "q + p")
            pixel = f"(n * {high.count} + r) * {wide.count} + k"
            channels = self.node.type.shape[-1]
            out.line(f"{self.c_type} *const to = {y} + ({pixel}) * {channels} + {column};")
            out.line(f"@_output_{width}(products + p * {width}, to, {high.count} - r, "
                     f"{wide.count} - k);")  # fmt: skip

    def _products(self, run: Function, width: int) -> None:
        """The functions of a panel: a tile of the product, and the inverse transform."""
        w = self.weights
        own = Function(self.where)
        out = Lines(own)
        a = matrices(self.window)[0]
        channels, row = self.node.type.shape[-1], self.axes[2].count
        for _, (first, size) in enumerate(pieces(width, w.lanes, self.item)):
            assert size == w.lanes
            with out.block(""):
                step = self.count * width + 16
                for b in range(self.extent):
                    for i in range(self.extent):
                        place = f"x + {(i * self.extent + b) * step + first}"
                        out.line(f"const {self.kind} x{i}_{b} = *(const {self.kind} *)({place});")
                    for i, factors in enumerate(a):
                        names = [f"x{k}_{b}" for k in range(self.extent)]
                        out.line(f"const {self.kind} e{i}_{b} = {self.combined(factors, names)};")
                for i in range(OUTPUTS):
                    for j, factors in enumerate(a):
                        names = [f"e{i}_{b}" for b in range(self.extent)]
                        place = f"y + {(i * row + j) * channels + first}"
                        tests = [f"high > {i}"] * (i > 0) + [f"wide > {j}"] * (j > 0)
                        store = f"*({self.kind} *)({place}) = {self.combined(factors, names)};"
                        out.line(f"if ({' && '.join(tests)}) {store}" if tests else store)
        head = [
            "/* the outputs of one tile, as far as they are in the image */",
            f"static void @_output_{width}(const {self.c_type} *restrict x,",
            f"    {self.c_type} *restrict y, idx high, idx wide)",
        ]
        run.before.append("\n".join([*head, "{", *own.body, "}"]))
        places = range(self.rows)
        run.before.append(
            microkernel(
                f"@_{width}", w.dtype, [p * w.depth for p in places], [p * width for p in places],
                width, w.lanes, False,
            )
        )  # fmt: skip
