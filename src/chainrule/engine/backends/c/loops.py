"""Loops over elements as C: many operations in one pass, with reductions at its end.

The iteration space is the common axes of all that a loop computes (`views.common_axes`), with
neighbouring axes joined again where every buffer allows it. Sums are made in an order that only
the shape decides: rows in lanes (see `prelude.LANES`), columns from top to bottom, both in blocks
and blocks of blocks (`_Reduced`), so that long sums keep their digits.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...ir.node import CONSTANT, Node
from ...ir.operation import Operation
from ...ir.types import DType
from ...ops.reduction import SUM
from .expressions import LOCAL_TYPES, SHORT, expression, literal, template_for
from .function import Function, Where
from .kernel import Kernel, loop_shapes, operands, reduced_axes
from .views import View, common_axes, contiguous_strides, split

#: Elements that are computed before they are added up.
_CHUNK = 256
#: Columns that are added up at once.
_COLUMNS = 1024
#: Elements of one partial sum of a long reduction to a single number.
_BLOCK = 4096
#: Parts of the rows of a long reduction to few columns, and elements from which on there are any.
_PARTS, _LONG = 32, 1 << 16
#: Parts of one row begin at multiples of this, so that vectors and cache lines stay whole.
_UNIT = 64
#: Below this many elements lanes do not pay.
_SHORT_ROW = 16
#: A sum of more numbers than this, one after the other, is made of sums of so many.
_CHAIN, _LINK = 512, 128


@dataclass
class _Access:
    """How a loop reads a buffer."""

    view: View
    strides: list[int]
    variable: str


class _Loop:
    """The axes, accesses and statements of a loop."""

    def __init__(
        self,
        kernel: Kernel,
        views: dict[Node, View],
        function: Function,
        given: Sequence[int] | None = None,
        known: dict[Node, str] | None = None,
    ) -> None:
        self.kernel = kernel
        self.function = function
        self.known = known or {}
        axes = common_axes(loop_shapes(kernel.nodes)) if given is None else tuple(given)
        assert axes is not None
        self.extents = list(axes)
        reductions = kernel.reductions
        self.reduced = [False] * len(axes)
        if reductions:
            self.reduced = list(reduced_axes(reductions[0], axes))
        self.accesses: dict[View, _Access] = {}
        own: set[Node] = set(self.known)
        for node in kernel.nodes:
            for view in operands(node, views):
                inside = view.base in own
                single = view.base.op is CONSTANT and view.base.type.size == 1
                if not inside and not single and view not in self.accesses:
                    strides = list(split(view, axes))
                    self.accesses[view] = _Access(view, strides, f"x{len(self.accesses)}")
            own.add(node)
        self.views = views
        if given is None:
            self._join()

    def _join(self) -> None:
        """Join neighbouring axes that every buffer steps through as through one."""
        axis = 0
        every = [access.strides for access in self.accesses.values()]
        while axis + 1 < len(self.extents):
            inner = self.extents[axis + 1]
            fits = self.reduced[axis] == self.reduced[axis + 1]
            if fits and all(s[axis] == s[axis + 1] * inner for s in every):
                self.extents[axis] *= inner
                del self.extents[axis + 1], self.reduced[axis]
                for strides in every:
                    del strides[axis]
            else:
                axis += 1

    # ---- the statements of one element -------------------------------------------------------

    def element(self, index: list[str], depth: int) -> dict[Node, str]:
        """Emit loads, computations and stores of one element; the variables of the nodes."""
        line, function = self.function.line, self.function
        loaded: dict[View, str] = {}
        for view, access in self.accesses.items():
            kind = LOCAL_TYPES[view.base.type.dtype.name]
            place = subscript(view.offset, access.strides, index)
            line(f"const {kind} {access.variable} = {function.reads(view.base)}[{place}];", depth)
            loaded[view] = access.variable
        names = dict(self.known)
        place = subscript(0, contiguous_strides(self.extents), index)
        for number, node in enumerate(self.kernel.nodes):
            sources = [self._operand(view, names, loaded) for view in operands(node, self.views)]
            reduction = node.op.reduction is not None
            if reduction and any(self.reduced):
                names[node] = sources[0]
                continue
            kind = LOCAL_TYPES[node.type.dtype.name]
            plain = reduction or node.op.view
            value = sources[0] if plain else expression(node, sources)
            names[node] = f"v{number}"
            line(f"const {kind} v{number} = {value};", depth)
            if node in self.kernel.stores:
                line(f"{function.writes(node)}[{place}] = v{number};", depth)
        return names

    def _operand(self, view: View, names: dict[Node, str], loaded: dict[View, str]) -> str:
        if view.base in names:
            return names[view.base]
        if view in loaded:
            return loaded[view]
        assert view.base.value is not None
        return literal(view.base.value.reshape(-1)[0])


def subscript(offset: int, strides: Any, index: list[str]) -> str:
    """The C expression offset + Σ iₖ·strideₖ."""
    terms = [str(offset)] if offset else []
    for stride, name in zip(strides, index, strict=True):
        if stride == 1:
            terms.append(name)
        elif stride:
            terms.append(f"{name} * {stride}" if stride > 0 else f"{name} * ({stride})")
    return " + ".join(terms) or "0"


def tile_statements(
    kernel: Kernel, views: dict[Node, View], function: Function, extents: Sequence[int]
) -> tuple[list[str], list[str]]:
    """What the tail of a matrix product does with an element ``$``, by its place g, i and j.

    Args:
        kernel: the product and its tail.
        views: of all nodes.
        function: gets the parameters.
        extents: of the product: matrices, rows and columns.

    Returns:
        The statements, and the names of the buffers that are read in the place of the element.
    """
    product, index = kernel.nodes[0], ["g" if extents[0] > 1 else "0", "i", "j"]
    kind = LOCAL_TYPES[product.type.dtype.name]
    tail = Kernel(kernel.tail, True, [node for node in kernel.stores if node is not product])
    loop = _Loop(tail, views, function, extents, {product: "y"})
    before, function.body = function.body, [f"const {kind} y = $;"]
    loop.element(index, 0)
    lines, function.body = function.body, before
    return lines, [function.reads(view.base) for view in loop.accesses if view.whole]


def emit_loop(kernel: Kernel, views: dict[Node, View], where: Where) -> Function | None:
    """The C function of a loop; None if there is nothing to compute."""
    function = Function(where)
    if 0 in loop_shapes(kernel.nodes)[0]:
        return _emit_empty(kernel, function)
    loop = _Loop(kernel, views, function)
    if not any(loop.reduced):
        _plain(loop)
    elif not loop.reduced[-1] and _is_tall(loop):
        _tall_reduction(loop)
    elif not loop.reduced[-1]:
        _outer_reduction(loop)
    elif len(loop.extents) == 1 and loop.extents[0] > _BLOCK:
        _blocked_reduction(loop)
    else:
        _inner_reduction(loop)
    return function


def _emit_empty(kernel: Kernel, function: Function) -> Function | None:
    """Loops over no elements: only reductions have a result, that of nothing."""
    for node in kernel.reductions:
        if node.type.size:
            function.line(f"for (idx i = 0; i < {node.type.size}; i++)")
            start = initial(node.op, node.type.dtype)
            function.line(f"{function.writes(node)}[i] = {start};", 2)
    if not function.body:
        return None
    function.serial()
    return function


def _for(loop: _Loop, axes: list[int], depth: int, first: int | None) -> int:
    """Open the loops over these axes; the outermost of all goes from begin to end."""
    for axis in axes:
        low, high = ("begin", "end") if axis == first else ("0", str(loop.extents[axis]))
        loop.function.line(f"for (idx i{axis} = {low}; i{axis} < {high}; i{axis}++) {{", depth)
        depth += 1
    return depth


def _close(function: Function, depth: int, to: int = 1) -> None:
    while depth > to:
        depth -= 1
        function.line("}", depth)


def _plain(loop: _Loop) -> None:
    """No reduction: every element by itself."""
    axes = list(range(len(loop.extents)))
    function = loop.function
    if not axes:
        function.serial()
    depth = _for(loop, axes, 1, 0 if axes else None)
    loop.element([f"i{axis}" for axis in axes], depth)
    _close(function, depth)
    function.extent = loop.extents[0] if axes else 1
    function.unit = _UNIT if len(axes) == 1 else 1
    function.grain = math.prod(loop.extents[1:]) * len(loop.kernel.nodes)


def _outer_reduction(loop: _Loop) -> None:
    """The innermost axis stays: adjacent columns, each added up from top to bottom."""
    function, line = loop.function, loop.function.line
    last = len(loop.extents) - 1
    kept = [axis for axis in range(last) if not loop.reduced[axis]]
    gone = [axis for axis in range(last) if loop.reduced[axis]]
    width = loop.extents[last]
    columns = min(width, _COLUMNS)
    reductions = loop.kernel.reductions
    depth = _for(loop, kept, 1, kept[0] if kept else None)
    low, high = ("0", str(width)) if kept else ("begin", "end")
    line(f"for (idx j0 = {low}; j0 < {high}; j0 += {columns}) {{", depth)
    line(f"const idx n = {high} - j0 < {columns} ? {high} - j0 : {columns};", depth + 1)
    sums = _Reduced(loop, "a", str(columns), "n")
    inner = sums.open([_Range.of(loop, axis) for axis in gone], depth + 1)
    line("for (idx j = 0; j < n; j++) {", inner)
    names = loop.element([*(f"i{axis}" for axis in range(last)), "(j0 + j)"], inner + 1)
    for number, node in enumerate(reductions):
        sums.add(number, "[j]", names[node], inner + 1)
    line("}", inner)
    sums.close(inner)
    extents = [loop.extents[axis] for axis in (*kept, last)]
    for number, node in enumerate(reductions):
        place = subscript(0, contiguous_strides(extents), [*(f"i{k}" for k in kept), "(j0 + j)"])
        line(f"for (idx j = 0; j < n; j++) {function.writes(node)}[{place}] = a{number}[j];",
             depth + 1)  # fmt: skip
    _close(function, depth + 1)
    function.extent = loop.extents[kept[0]] if kept else width
    function.unit = 1 if kept else _UNIT
    function.grain = math.prod(loop.extents) // function.extent * len(loop.kernel.nodes)


def _is_tall(loop: _Loop) -> bool:
    """Whether only the innermost axis stays, and it is short against the others."""
    *outer, width = loop.extents
    return all(loop.reduced[:-1]) and width <= _COLUMNS and math.prod(outer) * width >= _LONG


def _tall_reduction(loop: _Loop) -> None:
    """Few columns: parts of the rows are added up side by side, each from top to bottom."""
    function, line = loop.function, loop.function.line
    last = len(loop.extents) - 1
    rows, width = loop.extents[0], loop.extents[last]
    each = -(-rows // min(rows, _PARTS))
    parts = -(-rows // each)
    reductions = loop.kernel.reductions
    line("for (idx b = begin; b < end; b++) {")
    line(f"const idx low = b * {each}, high = low + {each} < {rows} ? low + {each} : {rows};", 2)
    ranges = [_Range("i0", "low", "high", each), *(_Range.of(loop, k) for k in range(1, last))]
    sums = _Reduced(loop, "a", str(width), str(width))
    inner = sums.open(ranges, 2)
    line(f"for (idx j = 0; j < {width}; j++) {{", inner)
    names = loop.element([*(f"i{axis}" for axis in range(last)), "j"], inner + 1)
    for number, node in enumerate(reductions):
        sums.add(number, "[j]", names[node], inner + 1)
    line("}", inner)
    sums.close(inner)
    second = Function(function.where, extent=width, unit=_UNIT, grain=parts * len(reductions))
    for number, node in enumerate(reductions):
        kind = LOCAL_TYPES[node.type.dtype.name]
        partial = f"(({kind} *)(scratch + {function.scratch}))"
        line(f"for (idx j = 0; j < {width}; j++) {partial}[b * {width} + j] = a{number}[j];", 2)
        total = combine(node.op, node.type.dtype, "total", f"part[b * {width} + j]")
        second.line("for (idx j = begin; j < end; j++) {")
        second.line(f"const {kind} *part = (const {kind} *)(scratch + {function.scratch});", 2)
        second.line(f"{kind} total = part[j];", 2)
        second.line(f"for (idx b = 1; b < {parts}; b++) total = {total};", 2)
        second.line(f"{second.writes(node)}[j] = total;", 2)
        second.line("}")
        function.scratch += -(-parts * width * 8 // 64) * 64
    line("}")
    second.scratch = function.scratch
    function.then = second
    function.extent = parts
    function.grain = math.prod(loop.extents) // parts * len(loop.kernel.nodes)


def _inner_reduction(loop: _Loop) -> None:
    """The innermost axis is summed up: rows, each in lanes."""
    function = loop.function
    kept = [axis for axis, reduced in enumerate(loop.reduced) if not reduced]
    if not kept:
        function.serial()
    depth = _for(loop, kept, 1, kept[0] if kept else None)
    place = subscript(
        0, contiguous_strides([loop.extents[axis] for axis in kept]), [f"i{k}" for k in kept]
    )
    _row(loop, depth)
    for number, node in enumerate(loop.kernel.reductions):
        function.line(f"{function.writes(node)}[{place}] = a{number};", depth)
    _close(function, depth)
    function.extent = loop.extents[kept[0]] if kept else 1
    function.grain = math.prod(loop.extents) // function.extent * len(loop.kernel.nodes)


def _row(loop: _Loop, depth: int) -> None:
    """The reductions of one row, in the variables a0, a1 and so on."""
    line = loop.function.line
    last = len(loop.extents) - 1
    width = loop.extents[last]
    reductions = loop.kernel.reductions
    outer = [axis for axis in range(last) if loop.reduced[axis]]
    index = [f"i{axis}" for axis in range(last + 1)]
    # gcc 12 at -O3 adds up the wrong numbers when nested loops go backwards through memory into
    # one variable (seen for 8 rows of 4); lanes, filled element by element, are safe.
    backwards = any(stride < 0 for access in loop.accesses.values() for stride in access.strides)
    lanes = width >= _SHORT_ROW or backwards
    if not lanes:
        sums = _Reduced(loop, "a")
        inside = sums.open([_Range.of(loop, axis) for axis in (*outer, last)], depth)
        names = loop.element(index, inside)
        for number, node in enumerate(reductions):
            sums.add(number, "", names[node], inside)
        sums.close(inside)
        return
    sums = _Reduced(loop, "l", "16", "16")
    chunks = _Range("j0", "0", str(width), width, _CHUNK)
    inside = sums.open([*(_Range.of(loop, axis) for axis in outer), chunks], depth)
    _chunk(loop, sums, str(width), inside)
    sums.close(inside)
    for number, node in enumerate(reductions):
        kind = LOCAL_TYPES[node.type.dtype.name]
        line(f"const {kind} a{number} = {_total(node, number)};", depth)


def _total(node: Node, number: int) -> str:
    """The reduction of the lanes to one number."""
    return f"cr_lanes_total_{node.op.name}_{SHORT[node.type.dtype.name]}(l{number})"


def _chunk(loop: _Loop, sums: _Reduced, high: str, depth: int) -> None:
    """What lies from j0 on in the innermost axis into the lanes."""
    line = loop.function.line
    last = len(loop.extents) - 1
    reductions = loop.kernel.reductions
    line(f"const idx n = {high} - j0 < {_CHUNK} ? {high} - j0 : {_CHUNK};", depth)
    for number, node in enumerate(reductions):
        line(f"{LOCAL_TYPES[node.type.dtype.name]} t{number}[{_CHUNK}];", depth)
    line("for (idx j = 0; j < n; j++) {", depth)
    names = loop.element([*(f"i{axis}" for axis in range(last)), "(j0 + j)"], depth + 1)
    for number, node in enumerate(reductions):
        line(f"t{number}[j] = {names[node]};", depth + 1)
    line("}", depth)
    for number, node in enumerate(reductions):
        name = f"cr_lanes_{node.op.name}_{SHORT[node.type.dtype.name]}"
        line(f"{name}({sums.name(number)}, t{number}, n);", depth)


def _blocked_reduction(loop: _Loop) -> None:
    """A long row to a single number: partial results of blocks, then one of these."""
    function, line = loop.function, loop.function.line
    width = loop.extents[0]
    blocks = -(-width // _BLOCK)
    reductions = loop.kernel.reductions
    line("for (idx b = begin; b < end; b++) {")
    line(f"const idx high = (b + 1) * {_BLOCK} < {width} ? (b + 1) * {_BLOCK} : {width};", 2)
    sums = _Reduced(loop, "l", "16", "16")
    inside = sums.open([_Range("j0", f"b * {_BLOCK}", "high", _BLOCK, _CHUNK)], 2)
    _chunk(loop, sums, "high", inside)
    sums.close(inside)
    second = Function(function.where)
    second.serial()
    for number, node in enumerate(reductions):
        kind = LOCAL_TYPES[node.type.dtype.name]
        line(f"(({kind} *)(scratch + {function.scratch}))[b] = {_total(node, number)};", 2)
        second.line(f"{kind} *part{number} = ({kind} *)(scratch + {function.scratch});")
        pair = f"part{number}[b]", f"part{number}[b + step]"
        second.line(f"for (idx step = 1; step < {blocks}; step *= 2) /* pairs of pairs */")
        second.line(f"for (idx b = 0; b + step < {blocks}; b += 2 * step)", 2)
        second.line(f"{pair[0]} = {combine(node.op, node.type.dtype, *pair)};", 3)
        second.line(f"{second.writes(node)}[0] = part{number}[0];")
        function.scratch += -(-blocks * 8 // 64) * 64
    line("}")
    second.scratch = function.scratch
    function.then = second
    function.extent = blocks
    function.grain = _BLOCK * len(loop.kernel.nodes)


# ---- the reductions --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Range:
    """A loop that a reduction runs over: a variable, its bounds, how far it goes at most."""

    variable: str
    low: str
    high: str
    extent: int
    step: int = 1

    @staticmethod
    def of(loop: _Loop, axis: int) -> _Range:
        """The whole of an axis."""
        return _Range(f"i{axis}", "0", str(loop.extents[axis]), loop.extents[axis])


class _Reduced:
    """The results of reductions while they grow, with loops in blocks where these are long.

    Args:
        loop: whose reductions they are.
        letter: with which the names of the variables begin.
        size: how many each has side by side; none is a single number.
        used: how many of these are in use.
    """

    def __init__(self, loop: _Loop, letter: str, size: str = "", used: str = "") -> None:
        self.loop, self.letter, self.size, self.used = loop, letter, size, used
        self._levels = 0
        #: Of the loops that are open: whether a block ends with each.
        self._ends: list[bool] = []

    def name(self, number: int, level: int | None = None) -> str:
        """The variable of a reduction, by default that of the innermost block."""
        level = self._levels if level is None else level
        return f"{self.letter}{number}" + (f"_{level}" if level > 1 else "")

    def open(self, ranges: Sequence[_Range], depth: int) -> int:
        """Open these loops, outermost first; the depth inside of them."""
        line = self.loop.function.line
        self._begin(depth)
        for range_, sizes in zip(ranges, self._blocks(ranges), strict=True):
            low, high = range_.low, range_.high
            for number, size in enumerate(sizes):
                block, step = f"{range_.variable}_{number}", size * range_.step
                line(f"for (idx {block} = {low}; {block} < {high}; {block} += {step}) {{", depth)
                depth += 1
                self._begin(depth)
                end = f"{high} - {block} < {step} ? {high} : {block} + {step}"
                line(f"const idx end_{block} = {end};", depth)
                low, high = block, f"end_{block}"
                self._ends.append(True)
            variable = range_.variable
            move = f"{variable}++" if range_.step == 1 else f"{variable} += {range_.step}"
            line(f"for (idx {variable} = {low}; {variable} < {high}; {move}) {{", depth)
            depth += 1
            self._ends.append(False)
        return depth

    def add(self, number: int, place: str, value: str, depth: int) -> None:
        """Another number to a result."""
        node, name = self.loop.kernel.reductions[number], f"{self.name(number)}{place}"
        total = combine(node.op, node.type.dtype, name, value)
        self.loop.function.line(f"{name} = {total};", depth)

    def close(self, depth: int) -> None:
        """Close the loops."""
        while self._ends:
            depth -= 1
            if self._ends.pop():
                self._end(depth + 1)
            self.loop.function.line("}", depth)

    def _blocks(self, ranges: Sequence[_Range]) -> list[list[int]]:
        """For each loop the sizes of its blocks, outermost first: of sums of floats only."""
        nodes = self.loop.kernel.reductions
        if not any(node.op is SUM and node.type.is_float for node in nodes):
            return [[] for _ in ranges]
        found, chain = [], 1
        for range_ in reversed(ranges):
            count, sizes = -(-range_.extent // range_.step), []
            while chain * count > _CHAIN:
                sizes.append(max(_LINK // chain, 1))
                count, chain = -(-count // sizes[-1]), 1
            chain *= max(count, 1)
            found.append(list(reversed(list(itertools.accumulate(sizes, operator.mul)))))
        return found[::-1]

    def _begin(self, depth: int) -> None:
        """Results of nothing, for the block that begins."""
        self._levels += 1
        line = self.loop.function.line
        for number, node in enumerate(self.loop.kernel.reductions):
            kind, start = LOCAL_TYPES[node.type.dtype.name], initial(node.op, node.type.dtype)
            name = self.name(number)
            if self.size:
                line(f"{kind} {name}[{self.size}];", depth)
                line(f"for (idx j = 0; j < {self.used}; j++) {name}[j] = {start};", depth)
            else:
                line(f"{kind} {name} = {start};", depth)

    def _end(self, depth: int) -> None:
        """What a block found goes into the result around it."""
        line, place = self.loop.function.line, "[j]" if self.size else ""
        for number, node in enumerate(self.loop.kernel.reductions):
            outer, inner = (f"{self.name(number, self._levels - k)}{place}" for k in (1, 0))
            head = f"for (idx j = 0; j < {self.used}; j++) " if self.size else ""
            line(f"{head}{outer} = {combine(node.op, node.type.dtype, outer, inner)};", depth)
        self._levels -= 1


def combine(op: Operation, dtype: DType, a: str, b: str) -> str:
    """The C expression of a reduction of two numbers."""
    assert op.reduction is not None
    template = template_for(op.reduction.combine, dtype, dtype)
    assert template is not None
    return template.format(a, b)


def initial(op: Operation, dtype: DType) -> str:
    """The result of a reduction of nothing."""
    assert op.reduction is not None
    return literal(op.reduction.identity(dtype))
