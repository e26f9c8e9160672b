"""What every program begins with: headers and the small functions that expressions name."""

from __future__ import annotations

from .kernels.math import MATH_C

_HEADERS = """\
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef int64_t idx; /* the number of an element */
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

static inline T cr_powerF(T a, T b)
{
  return powF(a, b);
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

#: Whole numbers from floating-point numbers: the fraction is cut off; what does not fit, NaN
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

static inline uint32_t cr_u32_of_f64(double x)
{
  return (uint32_t)cr_i64_of_f64(x);
}
"""

#: Sums of a row are made in 16 lanes and a tree: an order that no vector width, number of
#: threads or compiler changes, that is quick, and that rounds less than one long chain.
_LANES = """
typedef T cr_lanes_S __attribute__((vector_size(16 * sizeof(T)), aligned(sizeof(T)), may_alias));

static inline void cr_lanes_add_S(T *restrict lanes, const T *restrict x, idx n)
{
  cr_lanes_S sum;
  memcpy(&sum, lanes, sizeof sum);
  idx i = 0;
  for (; i + 16 <= n; i += 16) sum += *(const cr_lanes_S *)(x + i);
  memcpy(lanes, &sum, sizeof sum);
  for (idx l = 0; i < n; i++, l++) lanes[l] += x[i];
}

static inline T cr_lanes_sum_S(const T *lanes)
{
  T s[8];
  for (int l = 0; l < 8; l++) s[l] = lanes[l] + lanes[l + 8];
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}
"""


def _instances(template: str, *types: tuple[str, str, str]) -> str:
    """The template for each (C type, short name, ending of library functions)."""
    made = []
    for c_type, short, ending in types:
        text = _replace_word(template, "T", c_type)
        made.append(text.replace("_S", f"_{short}").replace("F(", f"{ending}("))
    return "".join(made)


def _replace_word(text: str, word: str, new: str) -> str:
    import re

    return re.sub(rf"\\b{word}\\b", new, text)


_FLOATS = (("float", "f32", "f"), ("double", "f64", ""))
_SIGNED = (("int32_t", "i32", ""), ("int64_t", "i64", ""))
_UNSIGNED = (("uint32_t", "u32", ""),)
