"""Convolutions for small devices: weights and images are read where they are, nothing is copied.

For a pixel of the result a few of its channels are kept in registers while the window goes by;
taps outside of the image are left out. So there is no working memory and little code. The order of
the sums is that of `direct_convolution`, but for long ones, which that cuts into blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ....ir.node import Node
from ..expressions import C_TYPES
from ..function import Function, Where
from ..views import View
from .convolution_panels import Lines, is_depthwise
from .gemm_tiles import ELEMENTS, fma
from .sliding_window import Axis, Extents, Geometry, forward

#: Channels of the result that are computed at a time.
_BLOCK = 8
#: The index of an axis in a result, and that of a tap along it.
_PLACES, _TAPS = ("i", "j", "k"), ("ta", "tb", "tc")


class _Sums:
    """Writes the sums of one phase, forward or back."""

    def __init__(
        self, node: Node, sources: list[View], where: Where, axes: list[Axis], window: Extents,
        back: bool,
    ) -> None:  # fmt: skip
        x, w = sources
        self.axes, self.window = axes, window
        self.run = Function(where)
        self.out = Lines(self.run)
        self.kind = C_TYPES[node.type.dtype.name]
        self.kinds = [C_TYPES[view.base.type.dtype.name] for view in sources]
        groups = node.attributes["groups"]
        outputs = w.shape[-1]
        taken, given = w.shape[-2], outputs // groups  # channels of a group
        self.depthwise = is_depthwise(w, groups)
        self.groups = 1 if self.depthwise else groups
        self.depth: int = given if back else taken
        self.columns: int = taken if back else given
        if self.depthwise:
            self.depth, self.columns = 1, groups
        #: Steps in the weights: from element to element of the window, along depth, along columns.
        self.element = taken * outputs
        self.steps = (1, outputs) if back and not self.depthwise else (outputs, 1)
        self.given = given
        self.channels = x.shape[-1], node.type.shape[-1]
        self.x, self.w = self.run.pointer(x), self.run.pointer(w)
        self.y = self.run.writes(node)
        self.batch = node.type.shape[0]

    def function(self) -> Function:
        """The loops: pixels, groups, blocks of channels, taps, channels of the input."""
        out, axes = self.out, self.axes
        deep, high, wide = (axis.count for axis in axes)
        with out.block("for (idx u = begin; u < end; u++)"):
            out.line(f"const idx k = u % {wide}, j = u / {wide} % {high};")
            out.line(f"const idx i = u / {wide * high} % {deep}, n = u / {wide * high * deep};")
            places = [
                f"({axis.first} + {name} * {axis.step})" if axis.step > 1 else name
                for axis, name in zip(axes, _PLACES, strict=True)
            ]
            row = f"(n * {axes[0].outputs} + {places[0]}) * {axes[1].outputs} + {places[1]}"
            pixel = f"({row}) * {axes[2].outputs} + {places[2]}"
            out.line(f"{self.kind} *const to = {self.y} + ({pixel}) * {self.channels[1]};")
            with out.block(f"for (idx g = 0; g < {self.groups}; g++)"):
                each_block(out, self.columns, self._block)
        self.run.extent = self.batch * deep * high * wide
        self.run.grain = max(self.columns * self.depth * math.prod(self.window), 1)
        return self.run

    def _block(self, width: int) -> None:
        out, kind = self.out, self.kind
        out.line("; ".join(f"{kind} c{c} = 0" for c in range(width)) + ";")
        deep, high, wide = self.axes
        along = self.steps[1]
        group = f" + g * {self.given}" if self.groups > 1 else ""
        merged = self.groups == 1 and not self.depthwise and _follow(wide, self.channels[0],
                                                                     self.depth)  # fmt: skip
        with taps(out, self.axes, self.window, merged):
            place = f"((n * {deep.extent} + z) * {high.extent} + v) * {wide.extent} + h"
            shift = f" + g * {self.depth}" if self.groups > 1 else ""
            shift = " + m" if self.depthwise else shift
            out.line(
                f"const {self.kinds[0]} *p = {self.x} + ({place}) * {self.channels[0]}{shift};"
            )
            move = f" + m * {along}" if along > 1 else " + m"
            out.line(f"const {self.kinds[1]} *q = {self.w} + e * {self.element}{group}{move};")
            self._products(width, merged)
        target = f"g * {self.columns} + m + " if self.groups > 1 else "m + "
        for c in range(width):
            out.line(f"to[{target}{c}] = c{c};")

    def _products(self, width: int, merged: bool) -> None:
        """What the taps contribute to the channels of a block."""
        out, along = self.out, self.steps[1]
        if self.depthwise:
            for c in range(width):
                out.line(self._added(f"c{c}", f"p[{c}]", f"q[{c}]"))
            return
        count = f"(last - first) * {self.depth}" if merged else str(self.depth)
        with out.block(f"for (idx l = 0; l < {count}; l++, q += {self.steps[0]})"):
            for c in range(width):
                out.line(self._added(f"c{c}", "p[l]", f"q[{c * along}]"))

    def _added(self, c: str, a: str, b: str) -> str:
        """The statement c = a b + c."""
        if self.kind in ("float", "double"):
            return f"{c} = {fma(self.kind)}({a}, {b}, {c});"
        return f"{c} += {a} * {b};"


def _follow(wide: Axis, channels: int, depth: int) -> bool:
    """Whether the taps of a row are one run of numbers, in the image as in the weights."""
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(wide.taps, wide.taps[1:], strict=False)]
    return channels == depth and all(step == (1, 1) for step in steps)


def each_block(out: Lines, columns: int, inside: Callable[[int], None]) -> None:
    """Blocks of channels from m on: whole ones in a loop, then what is left."""
    whole, rest = divmod(columns, _BLOCK)
    if whole:
        with out.block(f"for (idx m = 0; m < {whole * _BLOCK}; m += {_BLOCK})"):
            inside(_BLOCK)
    if rest:
        with out.block("/* the last channels */"):
            out.line(f"const idx m = {whole * _BLOCK};")
            inside(rest)


@contextmanager
def taps(out: Lines, axes: list[Axis], window: Extents, merged: bool) -> Iterator[None]:
    """Loops over the taps that meet the image: z, v and h are the input, e the element.

    Args:
        out: where to write.
        axes: of the phase.
        window: its extents.
        merged: whether the innermost axis is no loop, but the run of taps from first to last.
    """
    depth, elements = out.depth, []
    for number, (axis, input_) in enumerate(zip(axes, ("z", "v", "h"), strict=True)):
        place, tap, inner = _PLACES[number], _TAPS[number], math.prod(window[number + 1 :])
        (shift, element), (move, next_) = axis.taps[0], _moves(axis)
        start = f"{place} * {axis.stride} + {shift}" if axis.stride > 1 else f"{place} + {shift}"
        if number == 2 and merged:
            count = len(axis.taps)
            out.line(f"const idx left = {start}, past = {axis.extent} - left;")
            out.line("const idx first = left < 0 ? -left : 0;")
            out.line(f"const idx last = past < {count} ? past : {count}, h = left + first;")
            elements.append(f"({element} + first)" if element else "first")
            continue
        loop = len(axis.taps) > 1
        if loop:
            out.line(f"for (idx {tap} = 0; {tap} < {len(axis.taps)}; {tap}++) {{")
            out.depth += 1
            start += f" + {tap} * {move}"
            elements.append(f"({element} + {tap} * {next_}) * {inner}")
        elif element:
            elements.append(str(element * inner))
        out.line(f"const idx {input_} = {start};")
        if not axis.inside:
            test = f"{input_} < 0 || {input_} >= {axis.extent}"
            out.line(f"if ({test}) continue;" if loop else f"if (!({test})) {{")
            out.depth += not loop
    out.line(f"const idx e = {' + '.join(elements) or '0'};")
    yield
    close(out, depth)


def close(out: Lines, depth: int) -> None:
    """Close braces down to a depth."""
    while out.depth > depth:
        out.depth -= 1
        out.line("}")


def _moves(axis: Axis) -> tuple[int, int]:
    """From one tap to the next: the shift, and the element of the window."""
    if len(axis.taps) == 1:
        return 0, 0
    first, second = axis.taps[:2]
    return second[0] - first[0], second[1] - first[1]


def sums(
    node: Node, sources: list[View], where: Where, axes: list[Axis], window: Extents, back: bool
) -> Function:
    """The sums of one phase of a convolution, or of its transpose."""
    return _Sums(node, sources, where, axes, window, back).function()


def weight_gradient(node: Node, x: View, g: View, where: Where, geometry: Geometry) -> Function:
    """w[k, c, m] = Σ x[o·stride + k, c] · g[o, m]: a chain through the pixels for each weight."""
    function = Function(where)
    out, kind = Lines(function), ELEMENTS[node.type.dtype.name][0]
    axes = forward(*geometry.numbers)
    groups, outputs = node.attributes["groups"], g.shape[-1]
    each, given = node.type.shape[-2], outputs // groups
    images, gradients, y = function.pointer(x), function.pointer(g), function.writes(node)
    deep, high, wide = axes
    elements = math.prod(geometry.window)

    def block(width: int) -> None:
        out.line("; ".join(f"{kind} c{c} = 0" for c in range(width)) + ";")
        depth = out.depth
        _open_pixels(out, axes, x.shape[0], geometry.window)
        place = f"((n * {deep.extent} + z) * {high.extent} + v) * {wide.extent} + h"
        pixel = f"((n * {deep.count} + i) * {high.count} + j) * {wide.count} + k"
        out.line(f"const {kind} a = {images}[({place}) * {x.shape[-1]} + group * {each} + l];")
        out.line(f"const {kind} *q = {gradients} + ({pixel}) * {outputs} + group * {given} + m;")
        for c in range(width):
            out.line(f"c{c} = {fma(kind)}(a, q[{c}], c{c});")
        close(out, depth)
        target = f"(e * {each} + l) * {outputs} + group * {given} + m"
        for c in range(width):
            out.line(f"{y}[{target} + {c}] = c{c};")

    with out.block("for (idx u = begin; u < end; u++)"):
        out.line(f"const idx e = u / {each}, l = u % {each};")
        with out.block(f"for (idx group = 0; group < {groups}; group++)"):
            each_block(out, given, block)
    function.extent = elements * each
    function.grain = max(g.size, 1)
    return function


def _open_pixels(out: Lines, axes: list[Axis], batch: int, window: Extents) -> None:
    """Loops over the pixels whose tap e meets the image."""
    out.line(f"for (idx n = 0; n < {batch}; n++) {{")
    out.depth += 1
    for number, (axis, name, place) in enumerate(zip(axes, ("z", "v", "h"), _PLACES, strict=True)):
        inner = math.prod(window[number + 1 :])
        shift, gap = axis.taps[0][0], axis.taps[1][0] - axis.taps[0][0] if len(axis.taps) > 1 else 0
        element = f"e / {inner} % {window[number]}" if inner > 1 else f"e % {window[number]}"
        out.line(f"for (idx {place} = 0; {place} < {axis.count}; {place}++) {{")
        out.depth += 1
        out.line(f"const idx {name} = {place} * {axis.stride} + {shift} + {element} * {gap};")
        if not axis.inside:
            out.line(f"if ({name} < 0 || {name} >= {axis.extent}) continue;")
