"""What every program begins with: headers and the small functions that expressions name."""

from __future__ import annotations

import functools
import re

from ...ops.reduction import MAX, MIN
from .kernels.axis import BEFORE_C, BEFORE_FLOAT_C, SORT_C
from .kernels.cpu import target_in_use
from .kernels.ctc import CTC_C
from .kernels.gemm_tiles import matmul_c
from .kernels.indexing import INDEX_C
from .kernels.linalg import LINALG_C
from .kernels.math import EXACT_FMA_C, FMA_C, MATH_C
from .kernels.random import RANDOM_C
from .kernels.special import POLYGAMMA_C, SPECIAL_C
from .kernels.tile_convolution import WINDOWS_C
from .kernels.tiles import ROUNDING_C, TILES_C

#: In a program that leaves this machine an index is as long as a pointer of where it goes.
_HEADERS = """\
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef int64_t idx; /* the number of an element */
"""

#: What compilers have beside the standard. What is known of one kernel must not be used in what
#: calls it: gcc 12 at -O1 then forgets a call whose result another kernel reads and overwrites.
_COMPILERS = """
#if defined __GNUC__ && __GNUC__ >= 8 && !defined __clang__
#define CR_APART __attribute__((noipa))
#elif defined __GNUC__
#define CR_APART __attribute__((noinline))
#else
#define CR_APART
#endif

#if defined __GNUC__
#define CR_UNKNOWN(n) __asm__("" : "+r"(n))
#else
#define CR_UNKNOWN(n) (void)(n)
#endif
"""

#: Division of NumPy and Python: rounded down; the remainder has the sign of the divisor.
_FLOAT_DIVISION = """
static inline T cr_remainder_S(T a, T b)
{
  T r = fmodF(a, b);
  if (b == 0) return r;
  if (r != 0) return (b < 0) != (r < 0) ? r + b : r;
  return copysignF(0, b);
}

static inline T cr_floor_divide_S(T a, T b)
{
  if (b == 0) return a / b;
  T r = fmodF(a, b);
  T q = (a - r) / b;
  if (r != 0 && (b < 0) != (r < 0)) q -= 1;
  if (q == 0) return copysignF(0, a / b);
  T down = floorF(q);
  return q - down > (T)0.5 ? down + 1 : down;
}

/* ln(exp(a) + exp(b)) = max + ln(1 + exp(-|a - b|)) */
static inline T cr_logaddexpF(T a, T b)
{
  if (a == b) return a + (T)0.693147180559945309417;
  T d = a - b;
  if (d > 0) return a + cr_log1pF(cr_expF(-d));
  if (d <= 0) return b + cr_log1pF(cr_expF(d));
  return d;
}
"""

_SIGNED_DIVISION = """
static inline T cr_floor_divide_S(T a, T b)
{
  if (b == 0) return 0;
  if (b == -1) return -a; /* the least number has no counterpart: it wraps around */
  T q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

static inline T cr_remainder_S(T a, T b)
{
  if (b == 0 || b == -1) return 0;
  T r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static inline T cr_fmod_S(T a, T b)
{
  return b == 0 || b == -1 ? 0 : a % b;
}
"""

_UNSIGNED_DIVISION = """
static inline T cr_floor_divide_S(T a, T b)
{
  return b == 0 ? 0 : a / b;
}

static inline T cr_remainder_S(T a, T b)
{
  return b == 0 ? 0 : a % b;
}

static inline T cr_fmod_S(T a, T b)
{
  return b == 0 ? 0 : a % b;
}
"""

_INTEGER_POWER = """
static inline T cr_power_S(T a, T b)
{
  T y = 1;
  for (; b > 0; b >>= 1, a *= a)
    if (b & 1) y *= a;
  return y;
}
"""

#: Integers from floating-point numbers: the fraction is cut off; what does not fit, NaN
#: among it, becomes the least number, as the processor's own instructions have it.
_CASTS = """
static inline int64_t cr_i64_of_f64(double x)
{
  return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN;
}

static inline int32_t cr_i32_of_f64(double x)
{
  return x > -0x1p31 - 1 && x < 0x1p31 ? (int32_t)x : INT32_MIN;
}

/* of numbers that were clipped before: no double, which small processors lack */
static inline int8_t cr_i8_of_f64(float x)
{
  return (int8_t)x;
}

static inline uint32_t cr_u32_of_f64(double x)
{
  return (uint32_t)cr_i64_of_f64(x);
}
"""

#: Sums of a row are made in 16 lanes and a tree: an order that no vector width, number of
#: threads or compiler changes, that is quick, and that rounds less than one long chain.
_LANE_TYPE = """
/* sixteen chains side by side */
typedef T cr_lanes_S __attribute__((vector_size(16 * sizeof(T)), aligned(sizeof(T)), may_alias));
"""

_LANES = """
static inline void cr_lanes_NAME_S(T *restrict lanes, const T *restrict x, idx n)
{
  cr_lanes_S total;
  memcpy(&total, lanes, sizeof total);
  idx i = 0;
  while (i + 16 <= n) { /* at most 128 numbers in a chain */
    const idx end = n - i < 2048 ? n : i + 2048;
    cr_lanes_S part = *(const cr_lanes_S *)(x + i);
    for (i += 16; i + 16 <= end; i += 16) part = part SIGN *(const cr_lanes_S *)(x + i);
    total = total SIGN part;
  }
  memcpy(lanes, &total, sizeof total);
  for (idx l = 0; i < n; i++, l++) lanes[l] = lanes[l] SIGN x[i];
}

static inline T cr_lanes_total_NAME_S(const T *lanes)
{
  T s[8];
  for (int l = 0; l < 8; l++) s[l] = lanes[l] SIGN lanes[l + 8];
  return ((s[0] SIGN s[4]) SIGN (s[2] SIGN s[6])) SIGN ((s[1] SIGN s[5]) SIGN (s[3] SIGN s[7]));
}
"""

#: For floating-point numbers without branches, which data without order would make slow. Vectors
#: of 16 bytes are compared in one instruction everywhere; longer ones gcc may take apart.
_EXTREME_FLOAT_LANES = """
#define CR_KEEP_NAME(a, b) (((a) SIGN (b)) | ((a) != (a)))

/* where keep is true that of a, otherwise that of b */
#define CR_BLEND_NAME(kind, a, b) \\
  (kind)(((__typeof__((a) < (b)))(a) & CR_KEEP_NAME(a, b)) | \\
         ((__typeof__((a) < (b)))(b) & ~CR_KEEP_NAME(a, b)))

static inline void cr_lanes_NAME_S(T *restrict lanes, const T *restrict x, idx n)
{
  typedef T part __attribute__((vector_size(16), aligned(sizeof(T)), may_alias));
  enum { WIDTH = 16 / sizeof(T), PARTS = 16 / WIDTH };
  part best[PARTS];
  memcpy(best, lanes, sizeof best);
  idx i = 0;
  for (; i + 16 <= n; i += 16)
    for (int p = 0; p < PARTS; p++) {
      const part next = *(const part *)(x + i + p * WIDTH);
      best[p] = CR_BLEND_NAME(part, best[p], next);
    }
  memcpy(lanes, best, sizeof best);
  for (idx l = 0; l < 16 && i < n; i++, l++)
    lanes[l] = CR_KEEP_NAME(lanes[l], x[i]) ? lanes[l] : x[i];
}

static inline T cr_lanes_total_NAME_S(const T *lanes)
{
  typedef T part __attribute__((vector_size(16), aligned(sizeof(T)), may_alias));
  enum { WIDTH = 16 / sizeof(T) };
  T s[WIDTH];
  part best = *(const part *)lanes;
  for (int l = WIDTH; l < 16; l += WIDTH) {
    const part next = *(const part *)(lanes + l);
    best = CR_BLEND_NAME(part, best, next);
  }
  memcpy(s, &best, sizeof s);
  T total = s[0];
  for (int l = 1; l < WIDTH; l++) total = CR_KEEP_NAME(total, s[l]) ? total : s[l];
  return total;
}
"""

_EXTREME_LANES = """
static inline void cr_lanes_NAME_S(T *restrict lanes, const T *restrict x, idx n)
{
  idx i = 0;
  for (; i + 16 <= n; i += 16)
    for (int l = 0; l < 16; l++) lanes[l] = CHOICE(lanes[l], x[i + l]);
  for (idx l = 0; i < n; i++, l++) lanes[l] = CHOICE(lanes[l], x[i]);
}

static inline T cr_lanes_total_NAME_S(const T *lanes)
{
  T best = lanes[0];
  for (int l = 1; l < 16; l++) best = CHOICE(best, lanes[l]);
  return best;
}
"""

_FLOATS = (("float", "f32", "f"), ("double", "f64", ""))
_SIGNED = (("int32_t", "i32", ""), ("int64_t", "i64", ""))
_UNSIGNED = (("uint32_t", "u32", ""),)
_BOOLEAN = (("_Bool", "b8", ""),)
_BYTES = (("unsigned char", "b8", ""),)

#: Functions for which the C library's will do, by our name.
_LIBRARY = {
    "exp": "exp", "exp2": "exp2", "expm1": "expm1", "log": "log", "log2": "log2",
    "log10": "log10", "log1p": "log1p", "sin": "sin", "cos": "cos", "tan": "tan",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "sinh": "sinh", "cosh": "cosh",
    "tanh": "tanh", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "erf": "erf",
    "erfc": "erfc", "cbrt": "cbrt", "power": "pow",
    "lgamma": "lgamma",
}  # fmt: skip

_COMPOSED = {
    "sigmoid": """
static inline T cr_sigmoidF(T x)
{
  T e = cr_expF(-fabsF(x)); /* at most 1 */
  return (x >= 0 ? 1 : e) / (1 + e);
}
""",
    "softplus": """
static inline T cr_softplusF(T x)
{
  return (x < 0 ? 0 : x) + cr_log1pF(cr_expF(-fabsF(x)));
}
""",
}


def _instances(template: str, *types: tuple[str, str, str]) -> str:
    """The template for each (C type, short name, ending of library functions)."""
    made = []
    for c_type, short, ending in types:
        text = re.sub(r"\bT\b", c_type, template)
        made.append(text.replace("_S", f"_{short}").replace("F(", f"{ending}("))
    return "".join(made)


def _mathematics() -> str:
    """Our own functions, and the C library's where there is none of our own."""
    parts = [MATH_C]
    for types in _FLOATS:
        for ours, library in _LIBRARY.items():
            takes, gives = ("T a, T b", "a, b") if ours == "power" else ("T x", "x")
            body = f"\nstatic inline T cr_{ours}F({takes})\n{{\n  return {library}F({gives});\n}}\n"
            parts.append(_unless_own(ours, body, types))
        for ours, body in _COMPOSED.items():
            parts.append(_unless_own(ours, body, types))
    return "\n".join(parts)


def _unless_own(name: str, body: str, types: tuple[str, str, str]) -> str:
    defined = re.search(rf"^static .*\bcr_{name}{types[2]}\(", MATH_C, re.MULTILINE)
    return "" if defined else _instances(body, types)


#: The same sums in the same order in C without vectors.
_PLAIN_LANES = """
static inline void cr_lanes_NAME_S(T *restrict lanes, const T *restrict x, idx n)
{
  idx i = 0;
  while (i + 16 <= n) {
    const idx end = n - i < 2048 ? n : i + 2048;
    T part[16];
    for (int l = 0; l < 16; l++) part[l] = x[i + l];
    for (i += 16; i + 16 <= end; i += 16)
      for (int l = 0; l < 16; l++) part[l] = part[l] SIGN x[i + l];
    for (int l = 0; l < 16; l++) lanes[l] = lanes[l] SIGN part[l];
  }
  for (idx l = 0; i < n; i++, l++) lanes[l] = lanes[l] SIGN x[i];
}
"""


def _plain_lanes() -> str:
    """Reductions of rows in lanes, for any compiler."""
    total = "\n\n" + _LANES.split("\n\n")[-1]
    parts = []
    for name, sign in (("sum", "+"), ("prod", "*")):
        template = (_PLAIN_LANES.rstrip() + total).replace("NAME", name).replace("SIGN", sign)
        parts.append(_instances(template, *_FLOATS, *_SIGNED, *_UNSIGNED))
    for op, rest in ((MAX, ">="), (MIN, "<=")):
        keep = f"(({{0}}) {rest} ({{1}}) || ({{0}}) != ({{0}}) ? ({{0}}) : ({{1}}))"
        assert op.reduction is not None
        for rule, types in ((keep, _FLOATS), (op.reduction.combine.c["*"],
                                              (*_SIGNED, *_UNSIGNED, *_BOOLEAN))):  # fmt: skip
            template = _chosen(rule).replace("NAME", op.name)
            parts.append(_instances(template, *types))
    return "".join(parts)


def _chosen(rule: str) -> str:
    """The lanes of an extreme, by the C expression of the extreme of two."""
    return re.sub(
        r"CHOICE\((.*), (.*?)\);", lambda m: rule.format(m[1], m[2]) + ";", _EXTREME_LANES
    )


def _lanes() -> str:
    parts = [_instances(_LANE_TYPE, *_FLOATS, *_SIGNED, *_UNSIGNED)]
    for name, sign in (("sum", "+"), ("prod", "*")):
        template = _LANES.replace("NAME", name).replace("SIGN", sign)
        parts.append(_instances(template, *_FLOATS, *_SIGNED, *_UNSIGNED))
    for op, sign in ((MAX, ">="), (MIN, "<=")):
        name = op.name
        macros, functions = _EXTREME_FLOAT_LANES.split("\n\nstatic", 1)
        parts.append(macros.replace("NAME", name).replace("SIGN", sign) + "\n")
        text = "\nstatic" + functions.replace("NAME", name)
        parts.append(_instances(text, *_FLOATS))
        assert op.reduction is not None
        template = _chosen(op.reduction.combine.c["*"])
        parts.append(_instances(template.replace("NAME", name), *_SIGNED, *_UNSIGNED, *_BOOLEAN))
    return "".join(parts)


@functools.cache
def _paragraphs(plain: bool, exact: bool) -> list[tuple[frozenset[str], str]]:
    """The pieces of all helpers, in order, with the names that each defines."""
    text = "\n".join(
        [
            _COMPILERS,
            EXACT_FMA_C if exact else FMA_C,
            _mathematics(),
            _instances(SPECIAL_C, *_FLOATS),
            POLYGAMMA_C,
            matmul_c(exact),
            TILES_C,
            WINDOWS_C,
            ROUNDING_C,
            _instances(_FLOAT_DIVISION, *_FLOATS),
            _instances(_SIGNED_DIVISION, *_SIGNED),
            _instances(_UNSIGNED_DIVISION, *_UNSIGNED),
            _instances(_INTEGER_POWER, *_SIGNED, *_UNSIGNED),
            _CASTS,
            INDEX_C,
            RANDOM_C,
            _instances(BEFORE_FLOAT_C, *_FLOATS),
            _instances(BEFORE_C, *_SIGNED, *_UNSIGNED, *_BYTES),
            _instances(SORT_C, *_FLOATS, *_SIGNED, *_UNSIGNED, *_BYTES),
            _plain_lanes() if plain else _lanes(),
            LINALG_C,
            _instances(CTC_C, *_FLOATS),
        ]
    )
    pieces: list[tuple[frozenset[str], str]] = []
    pending = ""
    for paragraph in text.split("\n\n"):
        pending = f"{pending}\n\n{paragraph}" if pending else paragraph.strip("\n")
        open_comment = pending.count("/*") > pending.count("*/")
        if pending and pending.count("{") == pending.count("}") and not open_comment:
            pieces.append((_defined(pending), pending))
            pending = ""
    assert not pending
    return pieces


def _defined(piece: str) -> frozenset[str]:
    """The names that a piece defines: of macros, and those in the heads of functions and types."""
    lines = piece.splitlines()
    macros = re.findall(r"^#define ((?:cr|CR)_\w+)", piece, re.MULTILINE)
    heads = [line for line in lines if line[:1] not in (" ", "\t", "#")]
    return frozenset(macros) | frozenset(re.findall(r"\b(?:cr|CR)_\w+", "\n".join(heads)))


def prelude(text: str) -> str:
    """The beginning of a program: what this text uses, and what that uses."""
    target = target_in_use()
    headers = _HEADERS if target.threads else _HEADERS.replace("int64_t idx", "ptrdiff_t idx")
    used = set(re.findall(r"\b(?:cr|CR)_\w+", text))
    kept: list[str] = []
    for names, piece in reversed(_paragraphs(target.frugal, target.exact)):
        if names & used or not names:
            kept.append(piece)
            used |= set(re.findall(r"\b(?:cr|CR)_\w+", piece))
    return "\n\n".join([headers.rstrip(), *reversed(kept)]) + "\n"
