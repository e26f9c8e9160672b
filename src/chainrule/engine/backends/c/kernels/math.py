"""Elementary functions in plain C that compilers turn into vector instructions.

No branches, no tables, no calls: a loop over any of them becomes a loop over vectors at ``-O3``.
NaN, infinities, signed zeros and denormal numbers come out as IEEE 754 and C have them. Arguments
are first brought into a small interval in which a polynomial is enough. The polynomials are our
own: they interpolate the function, computed to 60 digits, at Chebyshev nodes.

What is not here is seldom used in training: for the inverse and hyperbolic functions, cbrt, erfc,
lgamma, and for log10, power, sin, cos and tan in double the C library's will do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

#: The largest errors in units in the last place of the exact result, for float and for double, with
#: fused multiply-add; None where there is no function of ours. Found by tens of millions of
#: arguments in float and by a million in double, and rounded up.
ULPS: dict[str, tuple[float, float | None]] = {
    "exp": (1.1, 1.0),
    "exp2": (0.51, 1.1),
    "expm1": (1.7, 1.9),
    "log": (0.85, 0.85),
    "log2": (1.8, 1.8),
    "log10": (0.51, None),
    "log1p": (0.9, 0.9),
    "tanh": (2.5, 2.6),
    "sigmoid": (2.4, 2.4),
    "softplus": (1.7, 1.7),
    "erf": (1.3, 1.1),
    "sin": (0.51, None),
    "cos": (0.51, None),
    "tan": (0.51, None),
    "power": (0.51, None),
}

#: The parts that differ between the types: T stands for the type, U for as long an unsigned
#: integer, F for the ending of function names, and the rest for numbers.
_FLOAT = {
    "T": "float", "U": "uint32_t", "I": "int32_t",
    "MANTISSA": "23", "BIAS": "127",
    "MAGIC": "0x1.8p23f",       # x + 1.5·2²³ has x, rounded, in its last bits
    "MAGIC_BITS": "0x4B400000u",
    "WHOLE": "0x1p23f",         # the integers below 2²³ are its last bits
    "WHOLE_BITS": "0x4B000000u",
    "LN2_HIGH": "0x1.62ep-1f", "LN2_LOW": "0x1.0bfbe8p-15f",  # 11 bits: n·LN2_HIGH is exact
    "SMALLEST": "0x1p-126f", "UP": "0x1p24f", "UP_BITS": "24",
    "SQRT_HALF_BITS": "0x3F3504F3u",
    "EXP_LOW": "-104", "WEIGHT_LOW": "-88", "EXP_HIGH": "89", "EXPM1_LOW": "-18", "TANH_HIGH": "10",
    "ERF_SMALL": "0.92f", "ERF_HIGH": "4", "ERF_CENTRE": "0",
}  # fmt: skip
_DOUBLE = {
    "T": "double", "U": "uint64_t", "I": "int64_t",
    "MANTISSA": "52", "BIAS": "1023",
    "MAGIC": "0x1.8p52",
    "MAGIC_BITS": "0x4338000000000000u",
    "WHOLE": "0x1p52",
    "WHOLE_BITS": "0x4330000000000000u",
    "LN2_HIGH": "0x1.62e42feep-1", "LN2_LOW": "0x1.a39ef35793c76p-33",
    "SMALLEST": "0x1p-1022", "UP": "0x1p53", "UP_BITS": "53",
    "SQRT_HALF_BITS": "0x3FE6A09E667F3BCDu",
    "EXP_LOW": "-746", "WEIGHT_LOW": "-709", "EXP_HIGH": "710", "EXPM1_LOW": "-40",
    "TANH_HIGH": "21",
    "ERF_SMALL": "1", "ERF_HIGH": "6", "ERF_CENTRE": "1",
}  # fmt: skip

_Coefficients = tuple[Sequence[float], Sequence[float]]

#: (expm1(r) - r) / r² for |r| ≤ ln 2 / 2.
_EXPM1: _Coefficients = (
    (0.5, 0.16666577, 0.0416665546, 0.00836317905, 0.00139261836),
    (0.5, 0.16666666666666671, 0.041666666666666671, 0.0083333333333261358,
     0.0013888888888883748, 0.00019841269874820627, 2.4801587325547743e-05,
     2.7557255400206422e-06, 2.7557273643110297e-07, 2.5105217004720745e-08,
     2.0914686968086876e-09),
)  # fmt: skip
#: (ln((1 + s) / (1 - s)) - 2 s) / s³ in s², for |s| ≤ (√2 - 1) / (√2 + 1).
_LOG: _Coefficients = (
    (0.666666666, 0.400001219, 0.285508124, 0.233306967),
    (0.66666666666666696, 0.39999999999899383, 0.28571428626031065, 0.2222221112572281,
     0.18182889786191042, 0.15331699633543858, 0.14616721179861816),
)  # fmt: skip
#: erf(x) / x - 1 in x², for small x.
_ERF: _Coefficients = (
    (0.128379167, -0.376126341, 0.112837012, -0.0268596907, 0.00520171457, -0.000815005049,
     8.39977779e-05),
    (0.12837916709551259, -0.37612638903183748, 0.11283791670954879, -0.026866170645076792,
     0.0052239776248180145, -0.000854832698083379, 0.0001205533111164271,
     -1.4925595266831182e-05, 1.6461000484121368e-06, -1.6350312701054695e-07,
     1.4659775274047436e-08, -1.1372848856791674e-09, 5.9571761477489113e-11),
)  # fmt: skip
#: -ln(erfc(x)) in x less a centre, from where _ERF ends to where erf(x) is 1 but for rounding.
_ERF_TAIL: _Coefficients = (
    (-0.000362899333, 1.13044669, 0.631373907, 0.11061599, -0.0268133548, 0.00494387776,
     -0.000652536341, 5.65466898e-05, -2.75470286e-06, 5.14856737e-08),
    (1.8496055099332482, 2.638967514234795, 0.8431072563583275, 0.04156109804938037,
     -0.010033825462634972, 0.0019779031986228326, -0.00023732547115646525,
     -2.6267990577569252e-05, 2.713550927299477e-05, -9.567176249351182e-06,
     2.0042076999507634e-06, -8.646472354339328e-08, -1.4152970860425964e-07,
     7.846484305037978e-08, -2.7148106745723257e-08, 7.217267174036438e-09,
     -1.5518802262158816e-09, 2.733640797285654e-10, -3.930970685424521e-11,
     4.550533230853445e-12, -4.139267766144228e-13, 2.847812684810216e-14,
     -1.3920849232129402e-15, 4.304840113498005e-17, -6.325520588718493e-19),
)  # fmt: skip
_POLYNOMIALS = {"EXPM1": _EXPM1, "LOG": _LOG, "ERF": _ERF, "ERF_TAIL": _ERF_TAIL}

#: Named wherever it is wanted: programs are built so that compilers make none by themselves, and
#: a·a - b·b of equal numbers is 0.
FMA_C = """
/* a b + c, rounded once where the processor can */
#if defined __FMA__ || defined __FP_FAST_FMA || defined __ARM_FEATURE_FMA
#define CR_FUSES 1
#define CR_FMAf(a, b, c) fmaf(a, b, c)
#define CR_FMA(a, b, c) fma(a, b, c)
#else
#define CR_FMAf(a, b, c) ((a) * (b) + (c))
#define CR_FMA(a, b, c) ((a) * (b) + (c))
#endif
"""

#: The same, rounded once on any processor. A product of two floats is exact in double; its sum
#: with the third number is rounded to double and then to float. Twice makes a difference only
#: where the first result lies halfway between two floats, or is too small for a normal one. There
#: it is made *odd*: if the sum is not exact and its last bit is 0, it goes to the neighbour on the
#: side of the exact sum (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved
#: algorithms using rounding to odd", 2008). In double the 106 digits of a product and those of the
#: third number are added up as integers: not every C library has an fma that rounds once.
EXACT_FMA_C = """
#if __FLT_EVAL_METHOD__ + 0 == 1 || __FLT_EVAL_METHOD__ + 0 == 2
#error "exact programs need numbers rounded to their type: compile with -msse2 -mfpmath=sse"
#endif

static inline float cr_fused_odd(float a, float b, float c)
{
  const double p = (double)a * b, s = p + c;
  const double t = s - p, lost = (p - (s - t)) + (c - t);
  uint64_t sum, side;
  double odd;
  memcpy(&sum, &s, sizeof sum);
  memcpy(&side, &lost, sizeof side);
  const uint64_t even = (uint64_t)(lost < 0 || lost > 0) & ~sum;
  sum += (1 - ((sum ^ side) >> 63 << 1)) & -(even & 1);
  memcpy(&odd, &sum, sizeof odd);
  return (float)odd;
}

CR_APART static float cr_fused_seldom(float a, float b, float c)
{
  return cr_fused_odd(a, b, c);
}

static inline float cr_fused_f32(float a, float b, float c)
{
  const double s = (double)a * b + c;
  uint64_t bits;
  memcpy(&bits, &s, sizeof bits);
  const uint32_t rest = (uint32_t)bits << 3, size = (uint32_t)(bits >> 32) << 1;
  if (rest == 0x80000000u || size - 1 < 0x701FFFFFu) return cr_fused_seldom(a, b, c);
  return (float)s;
}

/* an integer of 128 bits, times 2^e */
typedef struct {
  uint64_t high, low;
  int32_t e;
} cr_long;

/* The integer moved up by so many bits, below 64; what it stands for stays. */
static inline cr_long cr_moved_up(cr_long x, int32_t bits)
{
  if (bits) x.high = x.high << bits | x.low >> (64 - bits);
  x.low <<= bits;
  x.e -= bits;
  return x;
}

/* The integer moved down to the exponent e; what falls off leaves a last bit of 1. */
static inline cr_long cr_moved_down(cr_long x, int32_t e)
{
  int32_t bits = e - x.e;
  x.e = e;
  uint64_t lost = 0;
  for (; bits >= 64 && (x.high | x.low); bits -= 64)
    lost |= x.low, x.low = x.high, x.high = 0;
  if (bits > 0 && bits < 64) {
    lost |= x.low << (64 - bits);
    x.low = x.low >> bits | x.high << (64 - bits);
    x.high >>= bits;
  }
  x.low |= lost != 0;
  return x;
}

/* of a number that is neither 0 nor infinite: 53 bits, times 2^e */
static inline uint64_t cr_digits(double x, int32_t *e)
{
  uint64_t bits;
  int32_t more = 0;
  if (fabs(x) < 0x1p-1022) x *= 0x1p54, more = 54;
  memcpy(&bits, &x, sizeof bits);
  *e = (int32_t)(bits >> 52 & 0x7FF) - 1075 - more;
  return (bits & 0xFFFFFFFFFFFFFu) | 0x10000000000000u;
}

/* m 2^e rounded, where the highest bit of m is 1; its last bit may stand for what follows */
static inline double cr_rounded(uint64_t m, int32_t e, uint64_t sign)
{
  const int32_t field = e + 1086, drop = field < 1 ? 12 - field : 11;
  uint64_t bits = drop < 64 ? m >> drop : 0;
  const uint64_t rest = drop < 64 ? m << (64 - drop) : drop == 64 ? m : 1;
  const uint64_t half = (uint64_t)1 << 63;
  bits += rest > half || (rest == half && (bits & 1));
  if (field > 1) bits += (uint64_t)(field - 1) << 52;
  if (field > 2046) bits = (uint64_t)2047 << 52;
  bits |= sign << 63;
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static inline double cr_fused_f64(double a, double b, double c)
{
  if (!(fabs(a) < INFINITY && fabs(b) < INFINITY) || a == 0 || b == 0) return a * b + c;
  if (!(fabs(c) < INFINITY)) return c;
  if (c == 0) return a * b;
  int32_t ea, eb, ec;
  const uint64_t x = cr_digits(a, &ea), y = cr_digits(b, &eb), z = cr_digits(c, &ec);
  const uint64_t x1 = x >> 32, x0 = x & 0xFFFFFFFF, y1 = y >> 32, y0 = y & 0xFFFFFFFF;
  const uint64_t middle = x1 * y0 + (x0 * y0 >> 32), other = x0 * y1 + (middle & 0xFFFFFFFF);
  cr_long p = {x1 * y1 + (middle >> 32) + (other >> 32), x * y, ea + eb};
  p = cr_moved_up(p, p.high >> 41 ? 20 : 21); /* the highest bit is now number 125 */
  cr_long q = {z << 9, 0, ec - 73};
  uint64_t sign = (a < 0) != (b < 0);
  const _Bool differ = sign != (c < 0);
  if (p.e < q.e || (p.e == q.e && (p.high < q.high || (p.high == q.high && p.low < q.low)))) {
    const cr_long swap = p;
    p = q;
    q = swap;
    sign = c < 0;
  }
  q = cr_moved_down(q, p.e);
  if (differ) {
    p.high -= q.high + (p.low < q.low);
    p.low -= q.low;
  } else {
    p.low += q.low;
    p.high += q.high + (p.low < q.low);
  }
  if (!(p.high | p.low)) return 0;
  if (!p.high) p.high = p.low, p.low = 0, p.e -= 64;
  while (!(p.high >> 63)) p = cr_moved_up(p, p.high >> 47 ? 1 : 16);
  return cr_rounded(p.high | (p.low != 0), p.e + 64, sign);
}

/* a b + c, rounded once */
#if defined __FMA__ || defined __FP_FAST_FMA || defined __ARM_FEATURE_FMA
#define CR_FUSES 1
#define CR_FMAf(a, b, c) fmaf(a, b, c)
#define CR_FMA(a, b, c) fma(a, b, c)
#else
#define CR_FMAf(a, b, c) cr_fused_f32(a, b, c)
#define CR_FMA(a, b, c) cr_fused_f64(a, b, c)
#endif
"""

_TEMPLATE = """
static inline U cr_bits_ofF(T x)
{
  U bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline T cr_of_bitsF(U bits)
{
  T x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* x = n ln 2 + r; w is n plus twice the bias of exponents; the result is exp(r) - 1 */
static inline T cr_exp_reducedF(T x, U *w)
{
  const T shifted = CR_FMAF(x, (T)1.44269504088896340736, MAGIC); /* 1 / ln 2 */
  const T n = shifted - MAGIC;
  *w = cr_bits_ofF(shifted) - (MAGIC_BITS - 2 * BIAS);
  T r = CR_FMAF(n, -LN2_HIGH, x);
  r = CR_FMAF(n, -LN2_LOW, r);
  POLYNOMIAL(EXPM1, r)
  return CR_FMAF(p * r, r, r);
}

/* exp(x) = 2^n exp(r); 2^n in two factors, for it may be too large or small for one */
static inline T cr_expF(T x)
{
  U w;
  x = x < EXP_LOW ? EXP_LOW : x;
  x = x > EXP_HIGH ? EXP_HIGH : x;
  const T e = 1 + cr_exp_reducedF(x, &w);
  const U half = w >> 1;
  return e * cr_of_bitsF(half << MANTISSA) * cr_of_bitsF((w - half) << MANTISSA);
}

/* exp(x) for x up to 88; 0 where 2^n is not a normal number, for processors are slow with these */
static inline T cr_exp_weightF(T x)
{
  U w;
  x = x < WEIGHT_LOW ? WEIGHT_LOW : x;
  const T e = 1 + cr_exp_reducedF(x, &w);
  return e * cr_of_bitsF((w - BIAS) << MANTISSA); /* bits 0 for n = -BIAS */
}

/* exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1), computed at half the size, for 2^n may be too large */
static inline T cr_expm1F(T x)
{
  U w;
  T y = x < EXPM1_LOW ? EXPM1_LOW : x;
  y = y > EXP_HIGH ? EXP_HIGH : y;
  const T e = cr_exp_reducedF(y, &w);
  const T scale = cr_of_bitsF((w - (BIAS + 1)) << MANTISSA); /* 2^(n - 1) */
  return copysignF(2 * CR_FMAF(e, scale, scale - (T)0.5), x);
}

/* tanh(t) = (exp(2t) - 1) / (exp(2t) + 1) */
static inline T cr_tanhF(T x)
{
  U w;
  T t = fabsF(x);
  t = t > TANH_HIGH ? TANH_HIGH : t;
  const T e = cr_exp_reducedF(2 * t, &w);
  const T scale = cr_of_bitsF((w - BIAS) << MANTISSA);
  const T m = CR_FMAF(e, scale, scale - 1); /* exp(2t) - 1 */
  return copysignF(m / (m + 2), x);
}

/* 1 / (1 + exp(-x)), with an exponential that is at most 1 */
static inline T cr_sigmoidF(T x)
{
  const T e = cr_expF(-fabsF(x));
  return (x < 0 ? e : 1) / (1 + e);
}

/* x = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), for normal x > 0 */
static inline T cr_log_reducedF(T x, T *k)
{
  const U u = cr_bits_ofF(x) - SQRT_HALF_BITS + ((U)(BIAS + 1) << MANTISSA);
  *k = cr_of_bitsF(u >> MANTISSA | WHOLE_BITS) - (WHOLE + (BIAS + 1));
  return cr_of_bitsF((u & (((U)1 << MANTISSA) - 1)) + SQRT_HALF_BITS) - 1;
}

/* k ln 2 + ln(1 + f) + c = k ln 2 + f - f^2 / 2 + s (f^2 / 2 + s^2 P(s^2)) + c, s = f / (2 + f) */
static inline T cr_log_sumF(T k, T f, T c)
{
  const T s = f / (2 + f), z = s * s, h = (T)0.5 * f * f;
  POLYNOMIAL(LOG, z)
  const T small = CR_FMAF(s, CR_FMAF(z, p, h), CR_FMAF(k, LN2_LOW, c));
  return CR_FMAF(k, LN2_HIGH, f - (h - small));
}

/* 0 instead of a denormal number */
static inline T cr_flushF(T x)
{
  return fabsF(x) < SMALLEST ? 0 : x;
}

static inline T cr_logF(T x)
{
  T k;
  const _Bool tiny = x < SMALLEST; /* denormal numbers are made normal first */
  const T f = cr_log_reducedF(tiny ? x * UP : x, &k);
  const T y = cr_log_sumF(tiny ? k - UP_BITS : k, f, 0);
  return x > 0 && x < INFINITY ? y : x == 0 ? -INFINITY : x < 0 ? NAN : x;
}

/* k + ln(1 + f) / ln 2 */
static inline T cr_log2F(T x)
{
  T k;
  const _Bool tiny = x < SMALLEST;
  const T f = cr_log_reducedF(tiny ? x * UP : x, &k);
  const T l = cr_log_sumF(0, f, 0);
  const T y = CR_FMAF(l, (T)1.44269504088896340736, tiny ? k - UP_BITS : k);
  return x > 0 && x < INFINITY ? y : x == 0 ? -INFINITY : x < 0 ? NAN : x;
}

/* ln(u) + c / u, where u is 1 + x but for the rounding error c */
static inline T cr_log1pF(T x)
{
  T k;
  const T u = 1 + x, v = u - x;
  const T c = (x - (u - v)) + (1 - v);
  const T f = cr_log_reducedF(u, &k);
  const T y = copysignF(cr_log_sumF(k, f, c / u), x);
  return x > -1 && x < INFINITY ? y : x == -1 ? -INFINITY : x < -1 ? NAN : x;
}

/* ln(1 + exp(x)), with an exponential that is at most 1 */
static inline T cr_softplusF(T x)
{
  return (x < 0 ? 0 : x) + cr_log1pF(cr_expF(-fabsF(x)));
}

/* x + x P(x^2) for small x, otherwise 1 - exp(-Q(|x|)) */
static inline T cr_erf_smallF(T z)
{
  POLYNOMIAL(ERF, z)
  return p;
}

static inline T cr_erf_tailF(T t)
{
  POLYNOMIAL(ERF_TAIL, t)
  return p;
}

static inline T cr_erfF(T x)
{
  T t = fabsF(x);
  t = t > ERF_HIGH ? ERF_HIGH : t;
  const T near = CR_FMAF(x, cr_erf_smallF(x * x), x);
  const T far = 1 - cr_exp_weightF(-cr_erf_tailF(t - ERF_CENTRE)); /* never small */
  return t < ERF_SMALL ? near : copysignF(far, x);
}
"""

#: In double: what single precision has time for.
_FLOAT_BY_DOUBLE = """
static inline float cr_exp2f(float x)
{
  return (float)cr_exp((double)x * 0.693147180559945309417);
}

static inline float cr_log10f(float x)
{
  return (float)(cr_log((double)x) * 0.43429448190325182765);
}

/* exp(b ln |a|), with the sign and the special cases of C's pow */
static inline float cr_powerf(float a, float b)
{
  const double x = fabsf(a);
  const float half = 0.5f * b;
  const _Bool whole = rintf(b) == b, odd = whole && rintf(half) != half;
  const float size = (float)cr_exp(b * cr_log(x));
  const float y = copysignf(size, odd ? a : 1);
  const _Bool one = b == 0 || a == 1 || (a == -1 && fabsf(b) == INFINITY);
  return one ? 1 : a < 0 && a > -INFINITY && !whole ? NAN : y;
}
"""

_EXP2 = """
static inline double cr_exp2(double x)
{
  uint64_t w;
  x = x < -1080 ? -1080 : x;
  x = x > 1025 ? 1025 : x;
  const double n = (x + MAGIC) - MAGIC;
  const double e = 1 + cr_exp_reduced((x - n) * 0.693147180559945309417, &w);
  w = cr_bits_of(x + MAGIC) - (MAGIC_BITS - 2 * BIAS);
  const uint64_t half = w >> 1;
  return e * cr_of_bits(half << MANTISSA) * cr_of_bits((w - half) << MANTISSA);
}
"""

#: 1 / 2π in pieces of 24 bits: the product of each with a float is exact in double.
_TURN = (
    "0x28be60p-24", "0xdb9391p-48", "0x54a7fp-72", "0x9d5f4p-96",
    "0x7d4d37p-120", "0x7036d8p-144", "0xa5664fp-168", "0x10e410p-192",
)  # fmt: skip

#: Angles of any size: whole turns are taken off each of the exact products.
_CIRCLE = (
    """
/* x / 2 pi without whole turns: -1/2 to 1/2 */
static inline double cr_turnsf(float x)
{
  double p, turns = 0;
"""
    + "\n".join(f"  p = x * {piece}, turns += p - rint(p);" for piece in _TURN)
    + """
  return turns - rint(turns);
}

/* the sine and the cosine; quarters of a turn are taken off, too */
static inline void cr_circlef(float x, double *sine, double *cosine)
{
  const double quarters = 4 * cr_turnsf(x), q = rint(quarters), far = fabs(q);
  const double r = (quarters - q) * 1.57079632679489661923, z = r * r;
  double s = CR_FMA(2.7249864655139585e-06, z, -0.00019840086263755443);
  s = CR_FMA(s, z, 0.0083333318738370889);
  s = CR_FMA(s, z, -0.16666666663853044);
  s = CR_FMA(s * z, r, r);
  double c = CR_FMA(2.4463721163611998e-05, z, -0.0013887588637815805);
  c = CR_FMA(c, z, 0.041666650634930837);
  c = CR_FMA(c, z, -0.49999999969094655);
  c = CR_FMA(c, z, 1);
  *sine = far == 1 ? copysign(1, q) * c : far == 2 ? -s : s;
  *cosine = far == 1 ? -copysign(1, q) * s : far == 2 ? -c : c;
}

static inline float cr_sinf(float x)
{
  double s, c;
  cr_circlef(x, &s, &c);
  return x == 0 ? x : (float)s;
}

static inline float cr_cosf(float x)
{
  double s, c;
  cr_circlef(x, &s, &c);
  return (float)c;
}

static inline float cr_tanf(float x)
{
  double s, c;
  cr_circlef(x, &s, &c);
  return x == 0 ? x : (float)(s / c);
}
"""
)


def _polynomial(name: str, variable: str, which: int) -> str:
    """Horner's scheme, as statements that leave the value in p."""
    fma, ending = (("CR_FMAf", "f"), ("CR_FMA", ""))[which]
    *rest, last = [f"{value!r}{ending}" for value in _POLYNOMIALS[name][which]]
    lines = [f"  T p = {last};"]
    lines += [f"  p = {fma}(p, {variable}, {value});" for value in reversed(rest)]
    return "\n".join(lines)


def _instance(template: str, which: int) -> str:
    """The template for float (0) or double (1)."""
    text = re.sub(
        r"  POLYNOMIAL\((\w+), (\w+)\)", lambda m: _polynomial(m[1], m[2], which), template
    )
    numbers = (_FLOAT, _DOUBLE)[which]
    text = re.sub(r"\b[A-Z][A-Z0-9_]*\b", lambda m: numbers.get(m[0], m[0]), text)
    return re.sub(r"(?<=\w)F\(", ("f(", "(")[which], text)


#: But for `FMA_C`, which comes before it.
MATH_C = "\n".join(
    [
        _instance(_TEMPLATE, 0),
        _instance(_TEMPLATE, 1),
        _instance(_EXP2, 1),
        _FLOAT_BY_DOUBLE,
        _CIRCLE,
    ]
)
