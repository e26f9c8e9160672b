"""Special functions that the C library lacks, in double precision as in `ops.special`."""

from __future__ import annotations

#: ``T`` is the type of an element, ``F(`` the ending of the names of functions for it.
SPECIAL_C = """
/* The x with erf(x) = y: Winitzki's approximation, then three of Halley's steps. */
static inline T cr_erfinvF(T y)
{
  const double z = fabs((double)y);
  if (!(z < 1)) return z == 1 ? (T)copysign(INFINITY, (double)y) : (T)NAN;
  const double log = cr_log1p(-z) + cr_log1p(z), a = 0.147;
  const double t = 2 / (3.14159265358979323846 * a) + log / 2;
  const double square = sqrt(t * t - log / a) - t;
  double x = square > 0 ? sqrt(square) : 0;
  for (int step = 0; step < 3; step++) {
    const double error = z > 0.5 ? (1 - z) - cr_erfc(x) : cr_erf(x) - z;
    const double move = error * 0.88622692545275801365 * cr_exp(x * x); /* sqrt(pi) / 2 */
    x -= move / (1 + x * move);
  }
  return (T)copysign(x, (double)y);
}
"""

#: Of both element types.
POLYGAMMA_C = """
/* exp(-|x|) I_n(x) of order 0 or 1: the power series, then the asymptotic one. */
static inline double cr_bessel_scaled(double x, int order)
{
  const double size = fabs(x);
  if (!(size >= 0)) return NAN;
  double y;
  if (size < 25) {
    double term = (order ? size / 2 : 1) * cr_exp(-size);
    y = term;
    for (int k = 1; k < 70; k++) {
      term *= size / 2 * (size / 2) / (k * (k + order));
      y += term;
    }
  } else {
    double part = 1;
    y = 1;
    for (int k = 1; k <= 25; k++) {
      part *= ((2 * k - 1) * (2 * k - 1) - 4 * order * order) / (8 * k * size);
      y += part;
    }
    y = size < INFINITY ? y / sqrt(2 * 3.14159265358979323846 * size) : 0;
  }
  return order ? copysign(y, x) : y;
}

static inline float cr_bessel_scaledf(float x, int order)
{
  return (float)cr_bessel_scaled((double)x, order);
}

/* exp(x^2) erfc(x): the product up to 3, from there on the continued fraction. */
static inline double cr_erfcx(double x)
{
  if (!(x >= 3)) return cr_exp(x * x) * cr_erfc(x);
  double fraction = 0;
  for (int k = 60; k > 0; k--) fraction = k / 2.0 / (x + fraction);
  return 1 / (x + fraction) / 1.77245385090551602730;
}

static inline float cr_erfcxf(float x) { return (float)cr_erfcx((double)x); }

/* The quantile of the normal distribution: an approximation, then two of Halley's steps. */
static inline double cr_ndtri(double p)
{
  if (!(p > 0 && p < 1)) return p == 0 ? -INFINITY : p == 1 ? INFINITY : NAN;
  const double half = p < 0.5 ? p : 1 - p, t = sqrt(-2 * cr_log(half));
  double x = t - (2.515517 + t * (0.802853 + t * 0.010328))
    / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (int step = 0; step < 3; step++) { /* of Phi(-x) = half, relative to its density */
    const double error = cr_erfcx(x * 0.70710678118654752440) * 1.25331413731550025121
      - half * 2.50662827463100050242 * cr_exp(x * x / 2);
    x += error / (1 - x * error / 2);
  }
  return p < 0.5 ? -x : x;
}

static inline float cr_ndtrif(float x) { return (float)cr_ndtri((double)x); }

static inline double cr_whole_power(double x, int n)
{
  double y = 1;
  for (; n > 0; n--) y *= x;
  return y;
}

/* low (low + 1) ... high */
static inline double cr_rising(int low, int high)
{
  double y = 1;
  for (int k = low; k <= high; k++) y *= k;
  return y;
}

/* The derivative of this order of digamma above 0: recurrence, then the asymptotic series. */
static inline double cr_polygamma_above(double x, int order)
{
  static const double bernoulli[] = {1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66,
    -691.0 / 2730, 7.0 / 6, -3617.0 / 510, 43867.0 / 798};
  const double sign = order % 2 ? 1 : -1, factorial = cr_rising(1, order);
  if (!(x >= 0)) return NAN;
  double total = 0, z = x;
  for (; z < 15 + order; z++) total += sign * factorial / cr_whole_power(z, order + 1);
  double tail = order == 0 ? -cr_log(z) : cr_rising(1, order - 1) / cr_whole_power(z, order);
  tail += factorial / (2 * cr_whole_power(z, order + 1));
  for (int k = 1; k <= 9; k++) {
    const double rising = order > 0 ? cr_rising(2 * k + 1, 2 * k + order - 1) : 1.0 / (2 * k);
    tail += bernoulli[k - 1] * rising / cr_whole_power(z, 2 * k + order);
  }
  return total + sign * tail;
}

/* Below 0: the reflection, with the polynomial P in c = cot x that is the derivative of cot x. */
static inline double cr_polygamma(double x, int order)
{
  if (!(x < 0)) return cr_polygamma_above(x, order);
  const double pi = 3.14159265358979323846, turn = x - rint(x);
  if (turn == 0) return order % 2 ? INFINITY : NAN;
  const double c = 1 / tan(pi * turn);
  double p[order + 4], power = pi, value = 0;
  for (int k = 0; k < order + 4; k++) p[k] = k == 1;
  for (int n = 1; n <= order; n++) {
    for (int k = 0; k <= n + 2; k++) p[k] = (k + 1) * p[k + 1]; /* the derivative of P */
    for (int k = n + 1; k >= 0; k--) p[k] = -p[k] - (k > 1 ? p[k - 2] : 0);
    power *= pi;
  }
  for (int k = order + 1; k >= 0; k--) value = value * c + p[k];
  const double above = cr_polygamma_above(1 - x, order);
  return (order % 2 ? -above : above) - power * value;
}

static inline float cr_polygammaf(float x, int order)
{
  return (float)cr_polygamma((double)x, order);
}
"""
