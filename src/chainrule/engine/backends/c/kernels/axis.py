"""Kernels along one axis: softmax and similar, cumulative sums, argmax, sorting.

An array is taken as (outer, n, inner) with the axis in the middle. With inner = 1 the rows are
contiguous and are added up in lanes; otherwise adjacent columns are computed together.
"""

from __future__ import annotations

import math

from ....ir.node import Node
from ....ir.operation import Operation
from ....ops.reduction import MAX, SUM
from ..expressions import C_TYPES, SHORT
from ..function import Function, Where
from ..loops import combine, initial
from ..views import View

_COLUMNS = 256
#: As in `loops`: from how long a sum is made of sums of so many.
_CHAIN, _LINK = 512, 128
#: Numbers of a row in a chain of `prelude`'s sums: blocks of so many change no sum.
_LANE_BLOCK = 2048

#: What comes before what: NaN comes last, as in NumPy.
BEFORE_FLOAT_C = """
static inline int cr_before_S(T a, T b)
{
  return a < b || (b != b && a == a);
}
"""
BEFORE_C = """
static inline int cr_before_S(T a, T b)
{
  return a < b;
}
"""

#: Merge sort from runs of one element on, which is stable; and bisection.
SORT_C = """
/* The places of the n elements x[0], x[step], … in ascending order. */
static inline void cr_argsort_S(const T *x, idx step, idx n, int64_t *order, int64_t *other)
{
  int64_t *from = order, *to = other;
  for (idx i = 0; i < n; i++) from[i] = i;
  for (idx run = 1; run < n; run *= 2) {
    for (idx low = 0; low < n; low += 2 * run) {
      const idx middle = low + run < n ? low + run : n;
      const idx high = low + 2 * run < n ? low + 2 * run : n;
      idx a = low, b = middle;
      for (idx k = low; k < high; k++) {
        const int second = b < high && (a >= middle || cr_before_S(x[from[b] * step],
                                                                   x[from[a] * step]));
        to[k] = second ? from[b++] : from[a++];
      }
    }
    int64_t *swap = from;
    from = to;
    to = swap;
  }
  if (from != order) memcpy(order, from, (size_t)n * sizeof *order);
}

/* How many of the n ascending numbers x come before v, or with ``right`` do not come after it. */
static inline idx cr_bisect_S(const T *x, idx n, T v, int right)
{
  idx low = 0, high = n;
  while (low < high) {
    const idx middle = low + (high - low) / 2;
    if (right ? !cr_before_S(v, x[middle]) : cr_before_S(x[middle], v)) low = middle + 1;
    else high = middle;
  }
  return low;
}
"""


def _axis(view: View, axes: tuple[int, ...]) -> tuple[int, int, int]:
    """(outer, n, inner) of neighbouring axes."""
    if not axes:
        return math.prod(view.shape), 1, 1
    outer, inner = view.shape[: axes[0]], view.shape[axes[-1] + 1 :]
    return math.prod(outer), math.prod(view.shape[axes[0] : axes[-1] + 1]), math.prod(inner)


def softmax(node: Node, sources: list[View], where: Where) -> Function | None:
    """exp(x - max) / Σ exp(x - max), or its logarithm, or the logarithm of the sum.

    The first two may be written over x.
    """
    name, dtype = node.op.name, node.type.dtype
    axes = node.attributes["axes"] if name == "logsumexp" else (node.attributes["axis"],)
    outer, n, inner = _axis(sources[0], axes)
    function = Function(where, extent=outer, grain=8 * n * inner)
    if outer * n * inner == 0:
        return None
    function.line("for (idx o = begin; o < end; o++) {")
    kind = C_TYPES[dtype.name]
    result = subtotal("o", inner if name == "logsumexp" else n * inner, 0)
    x, y = function.reads(sources[0].base), function.writes(node)
    function.line(f"{kind} *restrict y = {y} + {result};", 2)
    if x != y:
        source = f"{x} + {subtotal('o', n * inner, sources[0].offset)}"
        function.line(f"const {kind} *restrict x = {source};", 2)
    write = _softmax_row if inner == 1 else _softmax_columns
    write(function, node, n, inner, "x" if x != y else "y")
    function.line("}")
    return function


def subtotal(index: str, stride: int, offset: int) -> str:
    """The C expression offset + index·stride."""
    return f"{index} * {stride}" + (f" + {offset}" if offset else "")


def _reduce_row(
    function: Function, op: Operation, node: Node, n: int, row: str, result: str
) -> None:
    """A reduction of n numbers in order to one."""
    dtype = node.type.dtype
    kind, start = C_TYPES[dtype.name], initial(op, dtype)
    if n < 16:
        function.line(f"{kind} {result} = {start};", 2)
        total = combine(op, dtype, result, f"{row}[j]")
        function.line(f"for (idx j = 0; j < {n}; j++) {result} = {total};", 2)
        return
    short = SHORT[dtype.name]
    function.line(f"{kind} {result}_lanes[16];", 2)
    function.line(f"for (int l = 0; l < 16; l++) {result}_lanes[l] = {start};", 2)
    function.line(f"cr_lanes_{op.name}_{short}({result}_lanes, {row}, {n});", 2)
    function.line(f"const {kind} {result} = cr_lanes_total_{op.name}_{short}({result}_lanes);", 2)


def _softmax_row(function: Function, node: Node, n: int, inner: int, x: str) -> None:
    f = "f" if node.type.dtype.itemsize == 4 else ""
    kind = C_TYPES[node.type.dtype.name]
    _reduce_row(function, MAX, node, n, x, "top")
    if node.op.name == "logsumexp":
        function.line(f"const {kind} safe = fabs{f}(top) < INFINITY ? top : 0;", 2)
        short = SHORT[node.type.dtype.name]
        function.line(f"{kind} lanes[16] = {{0}};", 2)
        function.line(f"for (idx j0 = 0; j0 < {n}; j0 += 256) {{", 2)
        function.line(f"const idx m = {n} - j0 < 256 ? {n} - j0 : 256;", 3)
        function.line(f"{kind} t[256];", 3)
        function.line(f"for (idx j = 0; j < m; j++) t[j] = cr_exp{f}({x}[j0 + j] - safe);", 3)
        function.line(f"cr_lanes_sum_{short}(lanes, t, m);", 3)
        function.line("}", 2)
        function.line(f"*y = safe + cr_log{f}(cr_lanes_total_sum_{short}(lanes));", 2)
        return
    if node.op.name == "softmax":
        function.line(f"for (idx j = 0; j < {n}; j++) y[j] = cr_exp{f}({x}[j] - top);", 2)
        _reduce_row(function, SUM, node, n, "y", "total")
        function.line(f"for (idx j = 0; j < {n}; j++) y[j] /= total;", 2)
        return
    if x == "y":
        _sum_of_exponentials(function, node, n)
    else:
        function.line(f"for (idx j = 0; j < {n}; j++) y[j] = cr_exp{f}(x[j] - top);", 2)
        _reduce_row(function, SUM, node, n, "y", "total")
    function.line(f"const {kind} shift = cr_log{f}(total);", 2)
    function.line(f"for (idx j = 0; j < {n}; j++) y[j] = {x}[j] - top - shift;", 2)


def _sum_of_exponentials(function: Function, node: Node, n: int) -> None:
    """The same sum as of a whole row of them, where there is no room for one."""
    f, short = ("f" if node.type.dtype.itemsize == 4 else ""), SHORT[node.type.dtype.name]
    kind, block = C_TYPES[node.type.dtype.name], min(n, _LANE_BLOCK)
    function.line(f"{kind} e[{block}];", 2)
    if n <= block:
        function.line(f"for (idx j = 0; j < {n}; j++) e[j] = cr_exp{f}(y[j] - top);", 2)
        _reduce_row(function, SUM, node, n, "e", "total")
        return
    function.line(f"{kind} lanes[16] = {{0}};", 2)
    function.line(f"for (idx j0 = 0; j0 < {n}; j0 += {block}) {{", 2)
    function.line(f"const idx m = {n} - j0 < {block} ? {n} - j0 : {block};", 3)
    function.line(f"for (idx j = 0; j < m; j++) e[j] = cr_exp{f}(y[j0 + j] - top);", 3)
    function.line(f"cr_lanes_sum_{short}(lanes, e, m);", 3)
    function.line("}", 2)
    function.line(f"const {kind} total = cr_lanes_total_sum_{short}(lanes);", 2)


def _softmax_columns(function: Function, node: Node, n: int, inner: int, x: str) -> None:
    line, dtype = function.line, node.type.dtype
    f, kind = ("f" if dtype.itemsize == 4 else ""), C_TYPES[dtype.name]
    columns = min(inner, _COLUMNS)
    line(f"for (idx c = 0; c < {inner}; c += {columns}) {{", 2)
    line(f"const idx m = {inner} - c < {columns} ? {inner} - c : {columns};", 3)
    line(f"{kind} top[{columns}], total[{columns}];", 3)
    line(f"for (idx j = 0; j < m; j++) top[j] = {initial(MAX, dtype)}, total[j] = 0;", 3)
    line(f"for (idx i = 0; i < {n}; i++)", 3)
    largest = combine(MAX, dtype, "top[j]", f"{x}[i * {inner} + c + j]")
    line(f"for (idx j = 0; j < m; j++) top[j] = {largest};", 4)
    if node.op.name == "logsumexp":
        line(f"for (idx j = 0; j < m; j++) top[j] = fabs{f}(top[j]) < INFINITY ? top[j] : 0;", 3)
    block = n if n <= _CHAIN else _LINK
    line(f"for (idx i0 = 0; i0 < {n}; i0 += {block}) {{", 3)
    line(f"const idx end = {n} - i0 < {block} ? {n} : i0 + {block};", 4)
    line(f"{kind} part[{columns}];", 4)
    line("for (idx j = 0; j < m; j++) part[j] = 0;", 4)
    line("for (idx i = i0; i < end; i++)", 4)
    line("for (idx j = 0; j < m; j++) {", 5)
    line(f"const {kind} e = cr_exp{f}({x}[i * {inner} + c + j] - top[j]);", 6)
    if node.op.name == "softmax":
        line(f"y[i * {inner} + c + j] = e;", 6)
    line("part[j] += e;", 6)
    line("}", 5)
    line("for (idx j = 0; j < m; j++) total[j] += part[j];", 4)
    line("}", 3)
    if node.op.name == "logsumexp":
        line(f"for (idx j = 0; j < m; j++) y[c + j] = top[j] + cr_log{f}(total[j]);", 3)
    elif node.op.name == "softmax":
        line(f"for (idx i = 0; i < {n}; i++)", 3)
        line(f"for (idx j = 0; j < m; j++) y[i * {inner} + c + j] /= total[j];", 4)
    else:
        line(f"for (idx j = 0; j < m; j++) total[j] = cr_log{f}(total[j]);", 3)
        line(f"for (idx i = 0; i < {n}; i++)", 3)
        place = f"i * {inner} + c + j"
        line(f"for (idx j = 0; j < m; j++) y[{place}] = {x}[{place}] - top[j] - total[j];", 4)
    line("}", 2)


def running(reduction: Operation, node: Node, sources: list[View], where: Where) -> Function | None:
    """yᵢ = yᵢ₋₁ + xᵢ, or as another reduction combines two, or from the end."""
    outer, n, inner = _axis(sources[0], (node.attributes["axis"],))
    if outer * n * inner == 0:
        return None
    function = Function(where, extent=outer, grain=2 * n * inner)
    kind = C_TYPES[node.type.dtype.name]
    source = f"{function.reads(sources[0].base)} + {subtotal('o', n * inner, sources[0].offset)}"
    first, step = (n - 1, -inner) if node.attributes.get("reverse") else (0, inner)
    function.line("for (idx o = begin; o < end; o++) {")
    function.line(f"const {kind} *restrict x = {source} + {first * inner};", 2)
    target = f"{function.writes(node)} + o * {n * inner} + {first * inner}"
    function.line(f"{kind} *restrict y = {target};", 2)
    function.line(f"for (idx j = 0; j < {inner}; j++) y[j] = x[j];", 2)
    function.line(f"for (idx i = 1; i < {n}; i++)", 2)
    place = f"i * ({step}) + j"
    function.line(f"for (idx j = 0; j < {inner}; j++)", 3)
    both = f"y[{place} - ({step})]", f"x[{place}]"
    function.line(f"y[{place}] = {combine(reduction, node.type.dtype, *both)};", 4)
    function.line("}")
    return function


def argmax(node: Node, sources: list[View], where: Where) -> Function | None:
    """The first place of the largest element; NaN counts as larger than all."""
    outer, n, inner = _axis(sources[0], (node.attributes["axis"],))
    if outer * inner == 0:
        return None
    function = Function(where, extent=outer, grain=4 * n * inner)
    kind = C_TYPES[sources[0].base.type.dtype.name]
    source = f"{function.reads(sources[0].base)} + {subtotal('o', n * inner, sources[0].offset)}"
    function.line("for (idx o = begin; o < end; o++)")
    function.line(f"for (idx j = 0; j < {inner}; j++) {{", 2)
    function.line(f"const {kind} *x = {source} + j;", 3)
    function.line("idx best = 0;", 3)
    function.line(f"for (idx i = 1; i < {n}; i++) {{", 3)
    function.line(f"const {kind} a = x[i * {inner}], b = x[best * {inner}];", 4)
    is_float = sources[0].base.type.is_float
    function.line(f"if (a > b{' || (a != a && b == b)' if is_float else ''}) best = i;", 4)
    function.line("}", 3)
    function.line(f"{function.writes(node)}[o * {inner} + j] = best;", 3)
    function.line("}", 2)
    return function


def argsort(node: Node, sources: list[View], where: Where) -> Function | None:
    """The places of the elements in ascending order; equal ones keep their order."""
    outer, n, inner = _axis(sources[0], (node.attributes["axis"],))
    if outer * n * inner == 0:
        return None
    function = Function(where, scratch=2 * 8 * n)
    source = f"{function.reads(sources[0].base)} + {subtotal('o', n * inner, sources[0].offset)}"
    short = SHORT[sources[0].base.type.dtype.name]
    function.serial()
    function.line(f"int64_t *order = (int64_t *)scratch, *other = order + {n};")
    function.line(f"for (idx o = 0; o < {outer}; o++)")
    function.line(f"for (idx j = 0; j < {inner}; j++) {{", 2)
    function.line(f"cr_argsort_{short}({source} + j, {inner}, {n}, order, other);", 3)
    target = f"{function.writes(node)}[(o * {n} + i) * {inner} + j]"
    function.line(f"for (idx i = 0; i < {n}; i++) {target} = order[i];", 3)
    function.line("}", 2)
    return function


def searchsorted(node: Node, sources: list[View], where: Where) -> Function | None:
    """How many of the ascending bounds lie before each value."""
    if node.type.size == 0:
        return None
    bounds, values = sources
    function = Function(where, extent=node.type.size, grain=20)
    x, v = function.reads(bounds.base), function.reads(values.base)
    y, right = function.writes(node), int(node.attributes["side"] == "right")
    short = SHORT[bounds.base.type.dtype.name]
    value = f"{v}[i + {values.offset}]"
    call = f"cr_bisect_{short}({x} + {bounds.offset}, {bounds.size}, {value}, {right})"
    function.line(f"for (idx i = begin; i < end; i++) {y}[i] = {call};")
    return function
