"""What the kernels of convolutions share: weights in panels, a tile in registers, a writer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ....ir.node import Node
from ...base import UnsupportedError
from ..function import Function, Where
from ..views import View
from .cpu import target_in_use
from .gemm_tiles import ELEMENTS, fused, packer, pieces
from .sliding_window import Taps

#: How many multiplications take as long as one operation of a loop.
MULTIPLICATIONS = 4
#: Units of work that there should be, for as many threads.
UNITS = 16
#: Bytes of the largest buffer on the stack.
_STACK = 1 << 22


def check_stack(node: Node, size: int) -> None:
    """Check that a buffer of so many bytes fits on the stack of a thread.

    Raises:
        UnsupportedError: it does not; such windows and channels are out of the ordinary.
    """
    if size > _STACK:
        raise UnsupportedError(
            f"The C backend has no kernel for {node.op.name} with so large a window.",
            where=str(node.origin) if node.origin else None,
            expected=f"at most {_STACK} bytes of inputs for a few outputs",
            found=f"{size} bytes",
            hint="Compile with backend='numpy'.",
        )


def chain(functions: list[Function]) -> Function:
    """One function after the other."""
    for function, later in itertools.pairwise(functions):
        function.then = later
    return functions[0]


def zeros(node: Node, where: Where) -> Function:
    """The function that sets a result to 0."""
    function = Function(where)
    function.serial()
    y = function.writes(node)
    function.line(f"memset({y}, 0, {node.type.size} * sizeof *{y});")
    return function


class Lines:
    """Writes the body of a function."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.depth = 1

    def line(self, text: str) -> None:
        """A statement, if there is one."""
        if text:
            self.function.line(text, self.depth)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Braces after a head."""
        self.line(f"{head} {{".lstrip())
        self.depth += 1
        yield
        self.depth -= 1
        self.line("}")


def is_depthwise(w: View, groups: int) -> bool:
    """Whether each channel has one output."""
    return groups > 1 and w.shape[-2] == 1 and w.shape[-1] == groups


@dataclass(frozen=True)
class Weights:
    """The weights of a phase, in panels of columns.

    Attributes:
        dtype: of the elements.
        groups: of channels.
        depth: how many channels of a group are summed.
        columns: how many of a group are results.
        taps: of the phase.
        depthwise: whether channels are not mixed, so that a panel reads as many as it gives;
            such weights are not copied.
    """

    dtype: str
    groups: int
    depth: int
    columns: int
    taps: Taps
    depthwise: bool = False

    @property
    def lanes(self) -> int:
        """Elements of a vector."""
        return max(target_in_use().vector // ELEMENTS[self.dtype][2], 1)

    @property
    def width(self) -> int:
        """Columns of a panel; the last one has what is left."""
        return min(target_in_use().panel * self.lanes, self.columns)

    @property
    def rows(self) -> int:
        """How many products are summed."""
        return len(self.taps.elements) * self.depth

    @property
    def size(self) -> int:
        """How many there are."""
        return 0 if self.depthwise else self.groups * self.columns * self.rows


def pack(weights: Weights, w: View, where: Where, at: int, back: bool) -> Function:
    """The function that copies weights, so that those of one panel follow one another.

    Args:
        weights: which.
        w: where they are, (*window, in / groups, out).
        where: of the function.
        at: where they go in the working memory, in elements.
        back: whether their rows are the results.
    """
    function = Function(where, scratch=1)
    out = Lines(function)
    c_type = ELEMENTS[weights.dtype][0]
    depth, columns, rows, width = weights.depth, weights.columns, weights.rows, weights.width
    source = function.pointer(w)
    whole, rest = divmod(columns, width)
    panels = whole + bool(rest)
    row, step = w.shape[-1], columns * depth * weights.groups  # of a row, of an element
    elements = ", ".join(map(str, weights.taps.elements))
    function.before.append(f"static const int32_t @_elements[] = {{{elements}}};")
    out.line(f"{c_type} *restrict packed = ({c_type} *)scratch + {at};")
    with out.block("for (idx u = begin; u < end; u++)"):
        out.line(f"const idx g = u / {panels}, j = u % {panels} * {width};")
        column = f"g * {depth} + j * {row}" if back else f"g * {columns} + j"
        out.line(f"const {c_type} *const from = {source} + {column};")
        out.line(f"{c_type} *const to = packed + (g * {columns} + j) * {rows};")
        with out.block(f"for (idx t = 0; t < {len(weights.taps.elements)}; t++)"):
            for size, condition in (
                (width, f"if (j < {whole * width}) " if rest else ""),
                (rest, f"if (j >= {whole * width}) "),
            ):
                if size:
                    name = f"@_copy_{size}"
                    text = packer(name, weights.dtype, size, row, back)
                    function.before.append(text)
                    place = f"from + @_elements[t] * {step}, to + t * {depth * size}, {depth}"
                    out.line(f"{condition}{name}({place});")
    function.extent, function.grain = weights.groups * panels, rows * width
    return function


def microkernel(
    name: str,
    dtype: str,
    inputs: list[int],
    outputs: list[int],
    width: int,
    lanes: int,
    depthwise: bool,
) -> str:
    """A C function that adds to a tile of outputs what some taps contribute.

    Args:
        name: of the function.
        dtype: of the elements.
        inputs: where the input of each pixel is, from that of the first.
        outputs: where the output of each pixel is, from that of the first.
        width: columns.
        lanes: elements of the longest vector.
        depthwise: whether each column reads a channel of its own, instead of all the same one.
    """
    c_type, short, item = ELEMENTS[dtype]
    vectors = [
        (v, first, c_type if size == 1 else f"cr_{short}x{size}")
        for v, (first, size) in enumerate(pieces(width, lanes, item))
    ]
    cells = [
        (f"c{i}_{v}", kind, place + first)
        for i, place in enumerate(outputs)
        for v, first, kind in vectors
    ]

    def each(form: Callable[[str, str, int], str]) -> list[str]:
        return [form(*cell) for cell in cells]

    pointer = "b" if depthwise else "w"

    def load(kind: str, at: str, offset: int) -> str:
        return f"*(const {kind} *)({at} + {offset})"

    return "\n".join(
        [
            f"/* {len(inputs)} pixels x {width}: y[i, j] += x[i, t, l] w[t, l, j] */",
            f"static void {name}(const {c_type} *restrict x, const {c_type} *restrict w,",
            f"    {c_type} *restrict y, idx first, idx last, idx run, _Bool more)",
            "{",
            *each(lambda cell, kind, _: f"  {kind} {cell} = {'0' if kind == c_type else '{0}'};"),
            "  for (idx t = first; t < last; t++) {",
            f"    const {c_type} *restrict a = x + @_taps[t];",
            *([f"    const {c_type} *restrict b = w + @_weights[t];"] if depthwise else []),
            "    for (idx l = 0; l < run; l++) {",
            *(
                f"      const {kind} w{v} = {load(kind, pointer, first)};"
                for v, first, kind in vectors
            ),
            *(
                line
                for i, place in enumerate(inputs)
                for line in _products(i, place, vectors, c_type, depthwise)
            ),
            *([] if depthwise else ["      a++;", f"      w += {width};"]),
            "    }",
            "  }",
            "  if (more) { /* what earlier taps left */",
            *each(lambda cell, kind, offset: f"    {cell} += {load(kind, 'y', offset)};"),
            "  }",
            *each(lambda cell, kind, offset: f"  *({kind} *)(y + {offset}) = {cell};"),
            "}",
        ]
    )


def _products(
    i: int, place: int, vectors: list[tuple[int, int, str]], c_type: str, depthwise: bool
) -> list[str]:
    """The products of one pixel."""
    if depthwise:
        return [
            f"      {fused(f'c{i}_{v}', _wide(kind, place + first), f'w{v}', kind, False)};"
            for v, first, kind in vectors
        ]
    return [
        f"      const {c_type} a{i} = a[{place}];",
        *(f"      {fused(f'c{i}_{v}', f'a{i}', f'w{v}', kind)};" for v, _, kind in vectors),
    ]


def _wide(kind: str, place: int) -> str:
    """As many channels of a pixel as there are columns."""
    return f"*(const {kind} *)(a + {place})"


def gradient_kernel(
    name: str,
    dtype: str,
    inputs: list[int],
    outputs: list[int],
    width: int,
    lanes: int,
    steps: tuple[int, int, int, int],
    depthwise: bool,
) -> str:
    """A C function that adds to a tile of the gradient what some rows of pixels contribute.

    Args:
        name: of the function.
        dtype: of the elements.
        inputs: where the inputs of the rows of the tile are, from that of the first.
        outputs: where the rows of the tile are, from the first.
        width: columns.
        lanes: elements of the longest vector.
        steps: elements from pixel to pixel and from row to row, of x and of g.
        depthwise: whether each column reads a channel of its own, instead of all the same one.
    """
    c_type, short, item = ELEMENTS[dtype]
    x_step, x_row, g_step, g_row = steps
    vectors = [
        (v, first, c_type if size == 1 else f"cr_{short}x{size}")
        for v, (first, size) in enumerate(pieces(width, lanes, item))
    ]
    cells = [
        (f"c{i}_{v}", kind, place + first)
        for i, place in enumerate(outputs)
        for v, first, kind in vectors
    ]
    products: list[str] = []
    for i, place in enumerate(inputs):
        if not depthwise:
            products.append(f"const {c_type} a{i} = a[{place}];")
        for v, first, kind in vectors:
            a = _wide(kind, place + first) if depthwise else f"a{i}"
            products.append(f"{fused(f'c{i}_{v}', a, f'b{v}', kind, not depthwise)};")
    return "\n".join(
        [
            f"/* {len(inputs)} x {width}: w[i, j] += sum over pixels p of x[p, i] g[p, j] */",
            f"static void {name}(const {c_type} *restrict x, const {c_type} *restrict g,",
            f"    {c_type} *restrict w, idx high, idx wide, _Bool more)",
            "{",
            *(f"  {kind} {cell} = {'0' if kind == c_type else '{0}'};" for cell, kind, _ in cells),
            "  for (idx r = 0; r < high; r++) {",
            f"    const {c_type} *restrict a = x + r * {x_row}, *restrict b = g + r * {g_row};",
            f"    for (idx p = 0; p < wide; p++, a += {x_step}, b += {g_step}) {{",
            *(f"      const {kind} b{v} = *(const {kind} *)(b + {first});"
              for v, first, kind in vectors),
            *(f"      {line}" for line in products),
            "    }",
            "  }",
            "  if (more) { /* what earlier pixels left */",
            *(f"    {cell} += *(const {kind} *)(w + {place});" for cell, kind, place in cells),
            "  }",
            *(f"  *({kind} *)(w + {place}) = {cell};" for cell, kind, place in cells),
            "}",
        ]
    )  # fmt: skip


def sum_of_blocks(node: Node, run: Function, blocks: int) -> Function:
    """The function that adds up the blocks that another left in the working memory.

    Args:
        node: the result.
        run: the function that computes the blocks.
        blocks: how many there are.
    """
    size, kind = node.type.size, ELEMENTS[node.type.dtype.name][0]
    total = Function(run.where, scratch=run.scratch, extent=size, unit=64, grain=blocks)
    y = total.writes(node)
    total.line(f"const {kind} *restrict part = (const {kind} *)scratch;")
    total.line("for (idx i = begin; i < end; i++) {")
    total.line(f"{kind} sum = part[i];", 2)
    total.line(f"for (idx b = 1; b < {blocks}; b++) sum += part[b * {size} + i];", 2)
    total.line(f"{y}[i] = sum;", 2)
    total.line("}")
    return total
