"""Kernels that gather, scatter-add, concatenate and pad, and the check of values.

A number outside of its axis never reaches memory: it is reported, and the program stops.
"""

from __future__ import annotations

import math

from ....ir.node import Node
from ..expressions import literal
from ..function import Function, Where
from ..loops import subscript
from ..views import View, contiguous_strides
from .axis import subtotal

#: Columns that a thread takes at least.
_UNIT = 64

INDEX_C = """
/* A number from the front, or from the end if it is negative. */
static inline idx cr_place(int64_t number, idx extent, int32_t *status)
{
  const int64_t place = number < 0 ? number + extent : number;
  if (place >= 0 && place < extent) return (idx)place;
  *status = 1;
  return 0;
}
"""


def _parts(view: View, axis: int) -> tuple[int, int, int]:
    shape = view.shape
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def _guard(function: Function, extent: int) -> None:
    function.needs_status = True
    if extent == 0:
        function.line("*status = 1;")


def take(node: Node, sources: list[View], where: Where) -> Function | None:
    """Gathered rows: y[o, k, :] = x[o, indices[k], :]."""
    outer, extent, inner = _parts(sources[0], node.attributes["axis"])
    count = sources[1].size
    if node.type.size == 0:
        return None
    function = Function(where, extent=count, grain=outer * inner)
    x, numbers = function.pointer(sources[0]), function.pointer(sources[1])
    y = function.writes(node)
    _guard(function, extent)
    if not extent:
        function.serial()
    if extent:
        function.line("for (idx k = begin; k < end; k++) {")
        function.line(f"const idx place = cr_place({numbers}[k], {extent}, status);", 2)
        function.line(f"for (idx o = 0; o < {outer}; o++)", 2)
        target, source = f"(o * {count} + k) * {inner}", f"(o * {extent} + place) * {inner}"
        function.line(f"for (idx j = 0; j < {inner}; j++)", 3)
        function.line(f"{y}[{target} + j] = {x}[{source} + j];", 4)
        function.line("}")
    return function


def check(node: Node, sources: list[View], where: Where) -> Function | None:
    """The values, if every one of them fits; it is the reference that says which one does not."""
    size = node.type.size
    if size == 0:
        return None
    function = Function(where)
    function.serial()
    function.needs_status = True
    _copied(function, node, sources[0])
    fits = function.pointer(sources[1])
    function.line("unsigned char all = 1;")
    function.line(f"for (idx i = 0; i < {size}; i++) all &= {fits}[i];")
    function.line("if (!all) *status = 1;")
    return function


def _copied(function: Function, node: Node, view: View) -> str:
    """The result, which begins as a copy of an operand, unless it is in its place."""
    x, y = function.pointer(view), function.writes(node)
    if x != y:
        function.line(f"memcpy({y}, {x}, {node.type.size} * sizeof *{y});")
    return y


def scatter_add(node: Node, sources: list[View], where: Where) -> Function | None:
    """Scattered rows, added: y = x, then y[o, indices[k], :] += updates[o, k, :]."""
    return _scattered(node, sources, where, node.attributes["axis"], "{y} += {u};")


def scatter(node: Node, sources: list[View], where: Where) -> Function | None:
    """Scattered rows, set in their order, or the larger or smaller number; NaN stays."""
    mode = node.attributes["mode"]
    sign = ">" if mode == "max" else "<"
    chosen = f"if ({{u}} {sign} {{y}} || {{u}} != {{u}}) {{y}} = {{u}};"
    statement = "{y} = {u};" if mode == "set" else chosen
    return _scattered(node, sources, where, 0, statement)


def _scattered(
    node: Node, sources: list[View], where: Where, axis: int, statement: str
) -> Function | None:
    """The loops over rows that go to places; threads share the columns, for rows may meet."""
    outer, extent, inner = _parts(sources[0], axis)
    count = sources[1].size
    if node.type.size == 0 and sources[2].size == 0:
        return None
    function = Function(where, extent=max(inner, 1), grain=outer * (count + extent), unit=_UNIT)
    x, y = function.pointer(sources[0]), function.writes(node)
    if x != y:
        function.line(f"for (idx r = 0; r < {outer * extent}; r++)")
        row = f"r * {inner} + begin"
        function.line(f"memcpy({y} + {row}, {x} + {row}, (size_t)(end - begin) * sizeof *{y});", 2)
    numbers, updates = function.pointer(sources[1]), function.pointer(sources[2])
    _guard(function, extent if count else 1)
    if not extent or not inner:
        function.serial()
    if extent:
        function.line(f"for (idx k = 0; k < {count}; k++) {{")
        function.line(f"const idx place = cr_place({numbers}[k], {extent}, status);", 2)
        target, source = f"(o * {extent} + place) * {inner}", f"(o * {count} + k) * {inner}"
        if inner:
            function.line(f"for (idx o = 0; o < {outer}; o++)", 2)
            function.line("for (idx j = begin; j < end; j++)", 3)
            own = {"y": f"{y}[{target} + j]", "u": f"{updates}[{source} + j]"}
            function.line(statement.format(**own), 4)
        else:
            function.line("(void)place;", 2)
        function.line("}")
    return function


def update_slice(node: Node, sources: list[View], where: Where) -> Function | None:
    """A slice from a number on: y[o, start + k, :] = updates[o, k, :], otherwise x."""
    outer, extent, inner = _parts(sources[0], node.attributes["axis"])
    row, part = extent * inner, sources[1].shape[node.attributes["axis"]] * inner
    if node.type.size == 0:
        return None
    function = Function(where, extent=outer)
    x, y = function.pointer(sources[0]), function.writes(node)
    updates, start = function.pointer(sources[1]), function.pointer(sources[2])
    copies = x != y
    function.grain = max(part + copies * row, 1)
    last = extent - part // max(inner, 1)
    function.line(f"const int64_t wanted = (int64_t){start}[0];")
    function.line(f"const idx first = wanted < 0 ? 0 : wanted > {last} ? {last} : (idx)wanted;")
    function.line("for (idx o = begin; o < end; o++) {")
    if copies:
        function.line(f"memcpy({y} + o * {row}, {x} + o * {row}, {row} * sizeof *{y});", 2)
    if part:
        to = f"{y} + o * {row} + first * {inner}"
        function.line(f"memcpy({to}, {updates} + o * {part}, {part} * sizeof *{y});", 2)
    else:
        function.line(f"(void)first, (void){updates};", 2)
    function.line("}")
    return function


def _along(node: Node, sources: list[View], function: Function, statement: str, array: str) -> None:
    """The loops over places of an index array, one statement in each."""
    axis = node.attributes["axis"]
    shape, strides = sources[1].shape, list(contiguous_strides(sources[0].shape))
    numbers = function.pointer(sources[1])
    _guard(function, sources[0].shape[axis])
    if sources[0].shape[axis] == 0:
        return
    index = [f"i{k}" for k in range(len(shape))]
    for depth, extent in enumerate(shape, 1):
        name = index[depth - 1]
        function.line(f"for (idx {name} = 0; {name} < {extent}; {name}++) {{", depth)
    depth = len(shape) + 1
    own = subscript(0, contiguous_strides(shape), index)
    extent = sources[0].shape[axis]
    function.line(f"const idx place = cr_place({numbers}[{own}], {extent}, status);", depth)
    index[axis] = "place"
    function.line(statement.format(array=array, place=subscript(0, strides, index), own=own), depth)
    for depth in range(len(shape), 0, -1):
        function.line("}", depth)


def take_along_axis(node: Node, sources: list[View], where: Where) -> Function | None:
    """Gathered elements: y[i, j] = x[i, indices[i, j]]."""
    if node.type.size == 0:
        return None
    function = Function(where)
    function.serial()
    x, y = function.pointer(sources[0]), function.writes(node)
    _along(node, sources, function, f"{y}[{{own}}] = {{array}}[{{place}}];", x)
    return function


def add_along_axis(node: Node, sources: list[View], where: Where) -> Function | None:
    """Scattered elements, added: y = x, then y[i, indices[i, j]] += updates[i, j]."""
    if node.type.size == 0 and sources[1].size == 0:
        return None
    function = Function(where)
    function.serial()
    y = _copied(function, node, sources[0])
    if sources[1].size:
        updates = function.pointer(sources[2])
        _along(node, sources, function, f"{{array}}[{{place}}] += {updates}[{{own}}];", y)
    return function


def concatenate(node: Node, sources: list[View], where: Where) -> Function | None:
    """One after the other along an axis."""
    axis = node.attributes["axis"]
    shape = node.type.shape
    outer, row = math.prod(shape[:axis]), math.prod(shape[axis:])
    if node.type.size == 0:
        return None
    function = Function(where, extent=outer, grain=row)
    y = function.writes(node)
    function.line("for (idx o = begin; o < end; o++) {")
    start = 0
    for view in sources:
        part = math.prod(view.shape[axis:])
        if part:
            x = f"{function.reads(view.base)} + {subtotal('o', part, view.offset)}"
            function.line(f"memcpy({y} + o * {row} + {start}, {x}, {part} * sizeof *{y});", 2)
        start += part
    function.line("}")
    return function


def pad(node: Node, sources: list[View], where: Where) -> Function | None:
    """A margin around the elements and gaps between them, filled with one value."""
    if node.type.size == 0:
        return None
    function = Function(where)
    function.serial()
    dtype = node.type.dtype
    y = function.writes(node)
    value = literal(dtype.type(node.attributes["value"]))
    function.line(f"for (idx i = 0; i < {node.type.size}; i++) {y}[i] = {value};")
    view = sources[0]
    if view.size == 0:
        return function
    own = contiguous_strides(node.type.shape)
    offset = sum(b * s for b, s in zip(node.attributes["before"], own, strict=True))
    steps = [(gap + 1) * s for gap, s in zip(node.attributes["between"], own, strict=True)]
    index = [f"i{k}" for k in range(len(view.shape))]
    for depth, (name, extent) in enumerate(zip(index, view.shape, strict=True), 1):
        function.line(f"for (idx {name} = 0; {name} < {extent}; {name}++)", depth)
    source = subscript(view.offset, contiguous_strides(view.shape), index)
    target = subscript(offset, steps, index)
    function.line(f"{y}[{target}] = {function.reads(view.base)}[{source}];", len(index) + 1)
    return function
