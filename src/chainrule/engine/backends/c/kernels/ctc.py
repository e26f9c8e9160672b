"""CTC as C: the loss of a sequence and its gradient, forwards and backwards through its steps.

Blanks and labels are two arrays, label i between blanks i - 1 and i, so that what a state is
reached from lies at the same index or one before, and every loop is over vectors of sixteen
numbers. In each step the largest logarithm is subtracted: see `chainrule.engine.ops.ctc`.
"""

from __future__ import annotations

import math

from ....ir.node import Node
from ..expressions import C_TYPES, SHORT
from ..function import Function, Where
from ..views import View

#: Buffers up to this many bytes are on the stack, larger ones in the scratch memory.
_MOST_ON_STACK = 1 << 22
#: Numbers that are worked on at a time.
_LANES = 16

CTC_C = """
/* ln(exp(a) + exp(b)); that of nothing is -infinity */
static inline T cr_log_addF(T a, T b)
{
  const T high = a > b ? a : b, low = a > b ? b : a;
  const T top = high > -INFINITY ? high : 0;
  return top + cr_logF((T)(high > -INFINITY) + cr_exp_weightF(low - top));
}

/* ln(exp(a) + exp(b) + exp(c)) */
static inline T cr_log_add3F(T a, T b, T c)
{
  const T more = a > b ? a : b, low = a > b ? b : a;
  const T high = more > c ? more : c, mid = more > c ? c : more;
  const T top = high > -INFINITY ? high : 0;
  const T rest = cr_exp_weightF(mid - top) + cr_exp_weightF(low - top);
  return top + cr_logF((T)(high > -INFINITY) + rest);
}

/* the largest of n numbers, a multiple of 16 */
static inline T cr_largest16_S(const T *restrict x, idx n)
{
  T top[16];
  for (int l = 0; l < 16; l++) top[l] = -INFINITY;
  for (idx i = 0; i < n; i += 16)
    for (int l = 0; l < 16; l++) top[l] = x[i + l] > top[l] ? x[i + l] : top[l];
  for (int half = 8; half; half /= 2)
    for (int l = 0; l < half; l++) top[l] = top[l + half] > top[l] ? top[l + half] : top[l];
  return top[0];
}

/* x = exp(x - top) for n numbers, a multiple of 16, and their sum */
static inline T cr_weigh16_S(T *restrict x, idx n, T top)
{
  T sum[16];
  for (int l = 0; l < 16; l++) sum[l] = 0;
  for (idx i = 0; i < n; i += 16)
    for (int l = 0; l < 16; l++) {
      x[i + l] = cr_exp_weightF(x[i + l] - top);
      sum[l] += x[i + l];
    }
  for (int half = 8; half; half /= 2)
    for (int l = 0; l < half; l++) sum[l] += sum[l + half];
  return sum[0];
}

/* ln of the sum of exp(z) over the classes; y, if wanted, is softmax(z); row is room for them */
static inline T cr_softmax_row_S(const T *restrict z, idx classes, T *restrict row, T *restrict y)
{
  const idx wide = (classes + 15) / 16 * 16;
  for (idx c = 0; c < classes; c++) row[c] = z[c];
  for (idx c = classes; c < wide; c++) row[c] = -INFINITY;
  const T top = cr_largest16_S(row, wide), sum = cr_weigh16_S(row, wide, top);
  const T part = 1 / sum;
  if (y)
    for (idx c = 0; c < classes; c++) y[c] = row[c] * part;
  return top + cr_logF(sum);
}

/* The states of one step from those of the step before it, labels from l on, blanks from l + w;
   at is what the labels emit, skip 0 where the blank before a label may be left out. Gives the
   number that was subtracted. */
static inline T cr_ctc_ahead_S(const T *restrict l, T *restrict to, idx w, const T *restrict at,
                               const T *restrict skip, T blank)
{
  const T *b = l + w;
  for (idx i = 0; i < w; i += 16)
    for (int k = 0; k < 16; k++) {
      to[i + k] = at[i + k] + cr_log_add3F(l[i + k], b[i + k - 1], l[i + k - 1] + skip[i + k]);
      to[w + i + k] = blank + cr_log_addF(b[i + k], l[i + k]);
    }
  const T top = cr_largest16_S(to, 2 * w);
  if (top > -INFINITY)
    for (idx i = 0; i < 2 * w; i++) to[i] -= top;
  return top;
}

/* The same from the step after: labels and blanks of l with what they emit, to is without. */
static inline void cr_ctc_back_S(const T *restrict l, T *restrict to, idx w, const T *restrict skip)
{
  const T *b = l + w + 16;
  for (idx i = 0; i < w; i += 16)
    for (int k = 0; k < 16; k++) {
      to[i + k] = cr_log_add3F(l[i + k], b[i + k], l[i + k + 1] + skip[i + k + 1]);
      to[w + i + k] = cr_log_addF(b[i + k], l[i + k + 1]);
    }
}

/* What the labels emit in a step; the first place is no state, nor are those behind the last. */
static inline void cr_ctc_emit_S(const T *restrict z, T total, const idx *restrict at, idx count,
                                 T *restrict to)
{
  for (idx i = 1; i <= count; i++) to[i] = z[at[i]] - total;
}

/* The loss of a sequence of n steps of all, and its gradient if that is wanted. room is for
   16 + (all + 3) 2 w + all + wide + 4 (w + 16) numbers, w and wide the labels + 1 and the classes,
   rounded up to 16. */
static __attribute__((noinline)) T cr_ctc_S(const T *restrict z, idx n, idx all, idx classes,
                                            const int64_t *restrict target, idx count, idx blank,
                                            T *restrict room, idx *restrict at, T *restrict y)
{
  const idx w = (count + 1 + 15) / 16 * 16, wide = (classes + 15) / 16 * 16;
  T *alpha = room + 16, *totals = alpha + (all + 1) * 2 * w, *row = totals + all;
  T *emitted = row + wide, *skip = emitted + w + 16, *later = skip + w + 16;
  T *beta = later + 2 * (w + 16);
  double offset = 0;
  int bad = 0;
  for (idx i = 0; i < 16; i++) room[i] = -INFINITY;
  for (idx i = 0; i < w + 16; i++) emitted[i] = skip[i] = -INFINITY;
  for (idx i = 1; i <= count; i++) {
    const int64_t c = target[i - 1];
    at[i] = c < 0 ? 0 : c < classes ? c : classes - 1;
    if (i > 1 && at[i] != at[i - 1]) skip[i] = 0;
  }
  for (idx i = 0; i < 2 * w; i++) alpha[i] = i == w ? 0 : -INFINITY;
  T *a = alpha;
  for (idx t = 0; t < n; t++) {
    const T *now = z + t * classes;
    totals[t] = cr_softmax_row_S(now, classes, row, y ? y + t * classes : NULL);
    bad |= totals[t] != totals[t];
    cr_ctc_emit_S(now, totals[t], at, count, emitted);
    T *next = y ? a + 2 * w : alpha + (t % 2 ? 0 : 2 * w);
    offset += cr_ctc_ahead_S(a, next, w, emitted, skip, now[blank] - totals[t]);
    a = next;
  }
  T loss = -(T)(offset + cr_log_addF(a[w + count], count ? a[count] : -INFINITY));
  loss = bad ? NAN : loss > 0 ? loss : 0;
  if (!y) return loss;
  const idx until = loss < INFINITY ? n : 0;
  for (idx i = until * classes; i < all * classes; i++) y[i] = bad ? NAN : 0;
  if (bad)
    for (idx i = 0; i < n * classes; i++) y[i] = NAN;
  for (idx i = 0; i < 2 * (w + 16); i++) later[i] = -INFINITY;
  for (idx t = until - 1; t >= 0 && !bad; t--, a -= 2 * w) {
    const T *now = z + t * classes;
    T *to = y + t * classes;
    if (t == until - 1)
      for (idx i = 0; i < 2 * w; i++)
        beta[i] = i == w + count || (count && i == count) ? 0 : -INFINITY;
    else
      cr_ctc_back_S(later, beta, w, skip);
    for (idx i = 0; i < 2 * w; i++) a[i] += beta[i];
    const T top = cr_largest16_S(a, 2 * w), sum = cr_weigh16_S(a, 2 * w, top);
    T blanks = 0;
    for (idx i = 0; i <= count; i++) blanks += a[w + i];
    to[blank] -= blanks / sum;
    for (idx i = 1; i <= count; i++) to[at[i]] -= a[i] / sum;
    cr_ctc_emit_S(now, totals[t], at, count, emitted);
    const T empty = now[blank] - totals[t] - top;
    for (idx i = 0; i < w; i++) {
      later[i] = beta[i] + (emitted[i] - top);
      later[w + 16 + i] = beta[w + i] + empty;
    }
  }
  return loss;
}
"""


def ctc(node: Node, parts: dict[int, Node], sources: list[View], where: Where) -> Function | None:
    """The losses of all sequences, and their gradients where these are wanted."""
    *outer, steps, classes = sources[0].shape
    batch, labels = math.prod(outer), sources[1].shape[-1]
    if batch == 0 or not parts:
        return None
    dtype = sources[0].base.type.dtype.name
    kind = C_TYPES[dtype]
    width = -(-(labels + 1) // _LANES) * _LANES
    wide = -(-classes // _LANES) * _LANES
    room = _LANES + (steps + 3) * 2 * width + steps + wide + 4 * (width + _LANES)
    size = -(-room * (4 if kind == "float" else 8) // 64) * 64
    function = Function(where, extent=batch)
    function.grain = steps * (classes + 4 * (2 * labels + 1)) * (2 if 1 in parts else 1)
    line = function.line
    z, target, lengths, counts = (function.pointer(view) for view in sources)
    results = {number: function.writes(part) for number, part in parts.items()}
    line("for (idx g = begin; g < end; g++) {")
    line(f"idx at[{labels + 1}];", 2)
    if size <= _MOST_ON_STACK:
        line(f"{kind} room[{size // (4 if kind == 'float' else 8)}] CR_ALIGNED;", 2)
        line("CR_SOME(room);", 2)
    else:
        line(f"{kind} *const room = ({kind} *)(scratch + g * {size});", 2)
        function.scratch = batch * size
    line(f"const idx n = {_clipped(f'{lengths}[g]', steps)};", 2)
    line(f"const idx s = {_clipped(f'{counts}[g]', labels)};", 2)
    gradient = f"{results[1]} + g * {steps * classes}" if 1 in results else "NULL"
    call = (
        f"cr_ctc_{SHORT[dtype]}({z} + g * {steps * classes}, n, {steps}, {classes}, "
        f"{target} + g * {labels}, s, {node.attributes['blank']}, room, at, {gradient})"
    )
    line(f"{results[0]}[g] = {call};" if 0 in results else f"(void){call};", 2)
    line("}")
    return function


def _clipped(value: str, most: int) -> str:
    return f"{value} < 0 ? 0 : {value} < {most} ? (idx){value} : {most}"
