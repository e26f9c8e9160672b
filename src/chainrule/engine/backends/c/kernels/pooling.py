"""Sums and largest of windows, and their transposes: loops over channels, which are contiguous.

For each place of the window there is a pointer to the channels of every element that it covers. An
element outside of the image points to neutral numbers instead, and counts for nothing. Windows of
many elements are gone through in loops, from the first to the last that lies in the image.
"""

from __future__ import annotations

import itertools
import math

from ....ir.node import Node
from ..expressions import C_TYPES
from ..function import Function, Where
from ..views import View
from .convolution_panels import Lines
from .sliding_window import Axis, Geometry, forward


def sum_pool(node: Node, sources: list[View], where: Where) -> Function | None:
    """y[o, c] = Σₖ x[o·stride + k - before, c]."""
    return _Pool(node, node.type.shape, sources[0].shape, where, "sum").gather(sources)


def max_pool(node: Node, sources: list[View], where: Where) -> Function | None:
    """y[o, c] = maxₖ x[o·stride + k - before, c]; not a number if one of them is none."""
    return _Pool(node, node.type.shape, sources[0].shape, where, "max").gather(sources)


def max_pool_gather(node: Node, sources: list[View], where: Where) -> Function | None:
    """The mean of v over the largest elements of each window of x."""
    return _Pool(node, node.type.shape, sources[0].shape, where, "mean").gather(sources)


def sum_unpool(node: Node, sources: list[View], where: Where) -> Function | None:
    """x[i, c] = the sum of g[o, c] over the windows o that cover i."""
    return _Pool(node, sources[0].shape, node.type.shape, where, "sum").scatter(None, sources[0])


def max_pool_scatter(node: Node, sources: list[View], where: Where) -> Function | None:
    """g[o, c] in equal parts to the largest elements of window o of x."""
    return _Pool(node, sources[1].shape, node.type.shape, where, "max").scatter(*sources)


#: Windows of more elements are gone through in loops.
_MANY = 27


class _Pool:
    """The loops over windows and channels.

    Attributes:
        kind: "sum", "max", or "mean" of other numbers where the largest are.
        elements: of the window, as (plane, row, pixel).
        inside: whether no window leaves the image.
        many: whether there are too many elements to name each.
        loop: the head of the loop over channels.
    """

    def __init__(
        self, node: Node, windows: tuple[int, ...], image: tuple[int, ...], where: Where,
        kind: str,
    ) -> None:  # fmt: skip
        self.node, self.kind = node, kind
        geometry = Geometry.of(node.attributes, image[1:-1], windows[1:-1])
        self.axes = forward(*geometry.numbers)
        self.inside = all(axis.inside for axis in self.axes)
        self.elements = list(itertools.product(*(axis.taps for axis in self.axes)))
        self.many = len(self.elements) > _MANY
        self.batch, self.channels = image[0], image[-1]
        self.function = Function(where)
        self.out = Lines(self.function)
        self.dtype = node.type.dtype
        self.c_type = C_TYPES[self.dtype.name]
        self.loop = f"for (idx c = 0; c < {self.channels}; c++)"

    # ---- expressions of one channel --------------------------------------------------------------

    def all(self, pointer: str, c: str) -> list[str]:
        """The channel of every element."""
        return [f"{pointer}_{k}[{c}]" for k in range(len(self.elements))]

    def largest(self, c: str) -> str:
        """The largest in a variable; once one is not a number, it stays."""
        first, *others = self.all("x0", c)
        line = self.out.line
        line(f"{self.c_type} best = {first}{', next' * bool(others)};")
        line("_Bool none = best != best;" if others else "")
        for other in others:
            line(f"next = {other};")
            line("best = ((best >= next) | none) ? best : next;")
            line("none = none | (next != next);" if other != others[-1] else "")
        return "best"

    def winners(self, c: str) -> None:
        """Which elements are the largest: 1 or 0 for each in a variable."""
        self.largest(c)
        for k, x in enumerate(self.all("x0", c)):
            valid = "1" if self.inside else f"in{k}"
            self.out.line(f"const {self.c_type} s{k} = {x} == best ? {valid} : 0;")

    def count(self) -> str:
        """How many of them there are."""
        return " + ".join(f"s{k}" for k in range(len(self.elements)))

    # ---- loops -----------------------------------------------------------------------------------

    def gather(self, sources: list[View]) -> Function | None:
        """One number for each window and channel."""
        if self.node.type.size == 0:
            return None
        function, out = self.function, self.out
        names = [function.pointer(view) for view in sources]
        y = function.writes(self.node)
        deep, high, wide = (axis.count for axis in self.axes)
        self._neutral(len(names))
        with out.block("for (idx u = begin; u < end; u++)"):
            out.line(f"const idx n = u / {deep * high}, i = u / {high} % {deep}, j = u % {high};")
            with out.block(f"for (idx k = 0; k < {wide}; k++)"):
                out.line(f"{self.c_type} *const to = {y} + (u * {wide} + k) * {self.channels};")
                if self.many:
                    self._gather_many(names)
                else:
                    self._pointers(names)
                    with out.block(self.loop):
                        out.line(f"to[c] = {self._value()};")
        return self._measured(self.batch * deep * high)

    def _value(self) -> str:
        if self.kind == "sum":
            return " + ".join(self.all("x0", "c"))
        if self.kind == "max":
            return self.largest("c")
        self.winners("c")
        terms = (f"s{k} * {v}" for k, v in enumerate(self.all("x1", "c")))
        return f"({' + '.join(terms)}) / ({self.count()})"

    def scatter(self, x: View | None, g: View) -> Function | None:
        """The number of each window to its elements, or to the largest of x, where it is added."""
        if self.node.type.size == 0:
            return None
        function, out = self.function, self.out
        slopes = function.pointer(g)
        names = [] if x is None else [function.pointer(x)]
        y = function.writes(self.node)
        deep, high, wide = (axis.count for axis in self.axes)
        image = math.prod(axis.extent for axis in self.axes) * self.channels
        apart = all(axis.stride >= len(axis.taps) for axis in self.axes) and self.inside
        full = apart and all(
            axis.stride == len(axis.taps) and axis.count * axis.stride == axis.extent
            for axis in self.axes
        )
        self._neutral(len(names))
        if not self.inside and not self.many:
            count = len(self.elements)
            out.line(f"{self.c_type} ignored[{count}][{self.channels}] = {{{{0}}}};")
        with out.block("for (idx n = begin; n < end; n++)"):
            if not full or self.many:
                out.line(f"memset({y} + n * {image}, 0, {image} * sizeof *{y});")
            with (
                out.block(f"for (idx i = 0; i < {deep}; i++)"),
                out.block(f"for (idx j = 0; j < {high}; j++)"),
                out.block(f"for (idx k = 0; k < {wide}; k++)"),
            ):
                place = f"((n * {deep} + i) * {high} + j) * {wide} + k"
                out.line(f"const {self.c_type} *const g = {slopes} + ({place}) * {self.channels};")
                if self.many:
                    self._scatter_many(names, y)
                else:
                    self._pointers(names)
                    self._targets(y)
                    (self._apart if apart else self._overlapping)()
        return self._measured(self.batch)

    def _apart(self) -> None:
        """Each element is in one window at most: it is set."""
        out, largest = self.out, self.kind == "max"
        with out.block(self.loop):
            if largest:
                self.winners("c")
                out.line(f"const {self.c_type} share = g[c] / ({self.count()});")
            for k in range(len(self.elements)):
                out.line(f"y_{k}[c] = {f's{k} * share' if largest else 'g[c]'};")

    def _overlapping(self) -> None:
        """Windows share elements: one loop for each element of the window."""
        out, t, largest = self.out, self.c_type, self.kind == "max"
        if largest:
            out.line(f"{t} most[{self.channels}], share[{self.channels}];")
            with out.block(self.loop):
                self.winners("c")
                out.line("most[c] = best;")
                out.line(f"share[c] = g[c] / ({self.count()});")
        for k in range(len(self.elements)):
            valid = "1" if self.inside else f"in{k}"
            wins = f"({t})(x0_{k}[c] == most[c] ? {valid} : 0)"
            out.line(f"{self.loop} y_{k}[c] += {f'{wins} * share[c]' if largest else 'g[c]'};")

    # ---- windows of many elements ----------------------------------------------------------------

    def _gather_many(self, names: list[str]) -> None:
        out = self.out
        if self.kind == "sum":
            out.line(f"{self.loop} to[c] = 0;")
            self._each(names, ["to[c] += x0[c];"])
            return
        self._most(names)
        if self.kind == "max":
            out.line(f"{self.loop} to[c] = most[c];")
            return
        out.line(f"{self.c_type} count[{self.channels}];")
        out.line(f"{self.loop} count[c] = to[c] = 0;")
        wins = f"const {self.c_type} wins = x0[c] == most[c] ? 1 : 0;"
        self._each(names, [wins, "count[c] += wins;", "to[c] += wins * x1[c];"])
        out.line(f"{self.loop} to[c] /= count[c];")

    def _scatter_many(self, names: list[str], y: str) -> None:
        out = self.out
        if self.kind == "sum":
            self._each(names, ["y[c] += g[c];"], y)
            return
        self._most(names)
        out.line(f"{self.c_type} share[{self.channels}];")
        out.line(f"{self.loop} share[c] = 0;")
        self._each(names, ["share[c] += x0[c] == most[c] ? 1 : 0;"])
        out.line(f"{self.loop} share[c] = g[c] / share[c];")
        wins = f"({self.c_type})(x0[c] == most[c] ? 1 : 0)"
        self._each(names, [f"y[c] += {wins} * share[c];"], y)

    def _most(self, names: list[str]) -> None:
        """The largest of every channel."""
        self.out.line(f"{self.c_type} most[{self.channels}];")
        self.out.line(f"{self.loop} most[c] = -INFINITY;")
        keep = "(most[c] >= x0[c]) | (most[c] != most[c])"
        self._each(names, [f"most[c] = {keep} ? most[c] : x0[c];"])

    def _each(self, names: list[str], statements: list[str], y: str = "") -> None:
        """Statements for each element of the window that is in the image, and each channel."""
        out = self.out
        loops = []
        for name, axis in zip("ijk", self.axes, strict=True):
            at, low = name * 2, _place(name, axis, axis.low)
            inside = f"{at} < {axis.extent} && {at} < {low} + {axis.span}"
            loops.append(f"for (idx {at} = {low} > 0 ? {low} : 0; {inside}; {at}++)")
        deep, high, wide = (axis.extent for axis in self.axes)
        extent = f"((n * {deep} + ii) * {high} + jj) * {wide} + kk"
        with out.block(loops[0]), out.block(loops[1]), out.block(loops[2]):
            text = " ".join(statements)
            for number, name in enumerate(names):
                if f"x{number}[" in text:
                    place = f"{name} + ({extent}) * {self.channels}"
                    out.line(f"const {self.c_type} *const x{number} = {place};")
            if y:
                out.line(f"{self.c_type} *const y = {y} + ({extent}) * {self.channels};")
            with out.block(self.loop):
                for statement in statements:
                    out.line(statement)

    # ---- where the elements are ------------------------------------------------------------------

    def _measured(self, extent: int) -> Function:
        function = self.function
        function.extent = extent
        windows = self.batch * math.prod(axis.count for axis in self.axes)
        work = windows * self.channels * len(self.elements) * 2
        function.grain = max(work // max(extent, 1), 1)
        return function

    def _neutral(self, sources: int) -> None:
        """What elements outside of the image look like, in each source."""
        if self.inside or self.many:
            return
        for number in range(sources):
            neutral = "0" if number or self.kind == "sum" else "-INFINITY"
            self.out.line(f"{self.c_type} outside{number}[{self.channels}];")
            self.out.line(f"{self.loop} outside{number}[c] = {neutral};")

    def _pointers(self, names: list[str]) -> None:
        """A pointer to the channels of every element of the window."""
        out = self.out
        for k, (element, valid) in enumerate(zip(self._places(), self._valid(), strict=True)):
            if not self.inside:
                out.line(f"const _Bool in{k} = {valid};")
                out.line(f"(void)in{k};")
            for number, name in enumerate(names):
                place = f"{name} + ({element}) * {self.channels}"
                value = place if self.inside else f"in{k} ? {place} : outside{number}"
                out.line(f"const {self.c_type} *const x{number}_{k} = {value};")

    def _targets(self, y: str) -> None:
        for k, element in enumerate(self._places()):
            place = f"{y} + ({element}) * {self.channels}"
            value = place if self.inside else f"in{k} ? {place} : ignored[{k}]"
            self.out.line(f"{self.c_type} *restrict const y_{k} = {value};")

    def _places(self) -> list[str]:
        """The number of the pixel of every element."""
        deep, high, wide = self.axes
        return [
            f"((n * {deep.extent} + {_place('i', deep, d)}) * {high.extent} + "
            f"{_place('j', high, h)}) * {wide.extent} + {_place('k', wide, w)}"
            for (d, _), (h, _), (w, _) in self.elements
        ]

    def _valid(self) -> list[str]:
        """Whether the element is in the image."""
        found = []
        for element in self.elements:
            tests = []
            for name, axis, (shift, _) in zip("ijk", self.axes, element, strict=True):
                if not axis.inside:
                    place = _place(name, axis, shift)
                    tests.append(f"{place} >= 0 && {place} < {axis.extent}")
            found.append(" && ".join(tests) or "1")
        return found


def _place(name: str, axis: Axis, shift: int) -> str:
    sign = f" + {shift}" if shift >= 0 else f" - {-shift}"
    return f"({name} * {axis.stride}{sign})"
