"""Kernels of small matrices: elimination, Cholesky, Householder, Jacobi, exponential.

All is computed in double precision. Larger matrices than `LARGEST` are LAPACK's, which NumPy has:
these loops are neither blocked nor vectorised by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ....ir.node import Node
from ....ir.types import Record, Type
from ....ops.linalg.functions import PADE, PADE_NORM
from ...base import UnsupportedError
from ..expressions import C_TYPES
from ..function import Function, Where
from ..views import View

#: Up to so many rows and columns there is a kernel.
LARGEST = 64

#: Long functions are compiled once, however often they are called: ``ONCE``.
LINALG_C = """
/* L below U in the place of the m × n matrix a, rows exchanged for the largest pivots: their order,
   and how many exchanges there were. */
static ONCE idx cr_lu(double *restrict a, idx m, idx n, int64_t *restrict rows)
{
  idx exchanges = 0;
  for (idx i = 0; i < m; i++) rows[i] = i;
  for (idx k = 0; k < m - 1 && k < n; k++) {
    idx found = k;
    for (idx i = k + 1; i < m; i++)
      if (fabs(a[i * n + k]) > fabs(a[found * n + k])) found = i;
    if (found != k) {
      const int64_t row = rows[k];
      rows[k] = rows[found];
      rows[found] = row;
      for (idx j = 0; j < n; j++) {
        const double upper = a[k * n + j];
        a[k * n + j] = a[found * n + j];
        a[found * n + j] = upper;
      }
      exchanges++;
    }
    const double pivot = a[k * n + k];
    for (idx i = k + 1; i < m; i++) {
      const double factor = pivot == 0 ? a[i * n + k] : a[i * n + k] / pivot;
      a[i * n + k] = factor;
      for (idx j = k + 1; j < n; j++) a[i * n + j] -= factor * a[k * n + j];
    }
  }
  return exchanges;
}

/* The solution of A·Y = Y for c columns in place, A a triangle, or its transpose; infinite if the
   diagonal has a 0. */
static ONCE void cr_substitute(const double *restrict a, idx n, double *restrict y, idx c,
                                 int lower, int transpose, int unit)
{
  const idx along = transpose ? 1 : n, across = transpose ? n : 1;
  const int forward = lower != transpose;
  double least = 1;
  for (idx i = 0; i < n && !unit; i++) least = fmin(least, fabs(a[i * n + i]));
  if (least == 0) {
    for (idx i = 0; i < n * c; i++) y[i] = INFINITY;
    return;
  }
  for (idx step = 0; step < n; step++) {
    const idx r = forward ? step : n - 1 - step;
    const idx from = forward ? 0 : r + 1, to = forward ? r : n;
    for (idx k = from; k < to; k++) {
      const double factor = a[r * along + k * across];
      for (idx j = 0; j < c; j++) y[r * c + j] -= factor * y[k * c + j];
    }
    if (!unit)
      for (idx j = 0; j < c; j++) y[r * c + j] /= a[r * n + r];
  }
}

/* A⁻¹·B, B of c columns; a becomes L and U. Infinite where a pivot is 0. */
static ONCE void cr_solve(double *restrict a, idx n, const double *restrict b, idx c,
                            double *restrict y)
{
  int64_t rows[64];
  cr_lu(a, n, n, rows);
  for (idx i = 0; i < n; i++) memcpy(y + i * c, b + rows[i] * c, (size_t)c * sizeof *y);
  cr_substitute(a, n, y, c, 1, 0, 1);
  cr_substitute(a, n, y, c, 0, 0, 0);
}

/* L of A = L·Lᵀ in place, from the lower triangle; NaN if a pivot is not positive. */
static ONCE void cr_cholesky(double *restrict a, idx n)
{
  for (idx j = 0; j < n; j++) {
    double pivot = a[j * n + j];
    for (idx k = 0; k < j; k++) pivot -= a[j * n + k] * a[j * n + k];
    if (!(pivot > 0)) {
      for (idx i = 0; i < n * n; i++) a[i] = NAN;
      return;
    }
    const double root = sqrt(pivot);
    a[j * n + j] = root;
    for (idx i = j + 1; i < n; i++) {
      double total = a[i * n + j];
      for (idx k = 0; k < j; k++) total -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = total / root;
      a[j * n + i] = 0;
    }
  }
}

/* √Σx² of every ``step``-th of the numbers up to n, without overflow. */
static inline double cr_norm(const double *x, idx n, idx step)
{
  double largest = 0, total = 0;
  for (idx i = 0; i < n; i += step) largest = fmax(largest, fabs(x[i]));
  if (largest == 0 || largest == INFINITY) return largest;
  for (idx i = 0; i < n; i += step) total += x[i] / largest * (x[i] / largest);
  return largest * sqrt(total);
}

/* Householder's R in place of a, below it the reflections I - τ·v·vᵀ without the 1 of v. */
static ONCE void cr_reflect(double *restrict a, idx m, idx n, double *restrict tau)
{
  const idx count = m < n ? m : n;
  for (idx k = 0; k < count; k++) {
    const double rest = k + 1 < m ? cr_norm(a + (k + 1) * n + k, (m - k - 1) * n - k, n) : 0;
    const double head = a[k * n + k];
    tau[k] = 0;
    if (rest == 0) continue;
    const double beta = -copysign(hypot(head, rest), head);
    tau[k] = (beta - head) / beta;
    for (idx i = k + 1; i < m; i++) a[i * n + k] /= head - beta;
    a[k * n + k] = beta;
    for (idx j = k + 1; j < n; j++) {
      double along = a[k * n + j];
      for (idx i = k + 1; i < m; i++) along += a[i * n + k] * a[i * n + j];
      a[k * n + j] -= tau[k] * along;
      for (idx i = k + 1; i < m; i++) a[i * n + j] -= tau[k] * along * a[i * n + k];
    }
  }
}

/* The columns from ``first`` on, c of them, of the product of the reflections of `cr_reflect`. */
static ONCE void cr_orthogonal(const double *restrict a, idx m, idx n,
                               const double *restrict tau, idx first, idx c, double *restrict q)
{
  const idx count = m < n ? m : n;
  for (idx j = 0; j < c; j++) {
    for (idx i = 0; i < m; i++) q[i * c + j] = i == first + j;
    for (idx k = count - 1; k >= 0; k--) {
      double along = q[k * c + j];
      for (idx i = k + 1; i < m; i++) along += a[i * n + k] * q[i * c + j];
      q[k * c + j] -= tau[k] * along;
      for (idx i = k + 1; i < m; i++) q[i * c + j] -= tau[k] * along * a[i * n + k];
    }
  }
}

/* -1 if the first of the n large components of a vector is negative, otherwise 1. */
static inline double cr_sign_of(const double *x, idx n)
{
  double largest = 0;
  for (idx i = 0; i < n; i++) largest = fmax(largest, fabs(x[i]));
  for (idx i = 0; i < n; i++)
    if (fabs(x[i]) >= 0.618 * largest) return x[i] < 0 ? -1 : 1;
  return 1;
}

/* Rows p and q turned by an angle with cosine c and sine s. */
static inline void cr_turn(double *p, double *q, idx n, double c, double s)
{
  for (idx i = 0; i < n; i++) {
    const double x = p[i], y = q[i];
    p[i] = c * x - s * y;
    q[i] = s * x + c * y;
  }
}

/* The cosine and the sine that turn what zeta = cot 2φ says to 0. */
static inline void cr_angle(double zeta, double *c, double *s)
{
  const double t = copysign(1, zeta) / (fabs(zeta) + hypot(1, zeta));
  *c = 1 / hypot(1, t);
  *s = *c * t;
}

/* Jacobi's method: the eigenvalues of the symmetric a come on its diagonal, its eigenvectors are
   the rows of v. */
static ONCE void cr_jacobi(double *restrict a, idx n, double *restrict v)
{
  for (idx i = 0; i < n * n; i++) v[i] = i % (n + 1) == 0;
  const double small = cr_norm(a, n * n, 1) * 0x1p-56 / (double)n;
  for (int sweep = 0, turned = 1; sweep < 40 && turned; sweep++) {
    turned = 0;
    for (idx p = 0; p < n; p++)
      for (idx q = p + 1; q < n; q++) {
        if (!(fabs(a[p * n + q]) > small)) continue;
        const double first = a[p * n + p], second = a[q * n + q], between = a[p * n + q];
        double c, s;
        cr_angle((second - first) / (2 * between), &c, &s);
        cr_turn(a + p * n, a + q * n, n, c, s);
        cr_turn(v + p * n, v + q * n, n, c, s);
        a[p * n + p] = first - s / c * between;
        a[q * n + q] = second + s / c * between;
        a[p * n + q] = a[q * n + p] = 0;
        for (idx i = 0; i < n; i++) { /* the columns, by symmetry */
          a[i * n + p] = a[p * n + i];
          a[i * n + q] = a[q * n + i];
        }
        turned = 1;
      }
  }
}

/* The order of n numbers, ascending or descending. */
static inline void cr_order(const double *x, idx n, int descending, idx *order)
{
  for (idx i = 0; i < n; i++) {
    idx k = i;
    for (; k > 0 && (descending ? x[order[k - 1]] < x[i] : x[order[k - 1]] > x[i]); k--)
      order[k] = order[k - 1];
    order[k] = i;
  }
}

static inline int cr_all_finite(const double *x, idx n)
{
  for (idx i = 0; i < n; i++)
    if (!(fabs(x[i]) < INFINITY)) return 0;
  return 1;
}

/* Eigenvalues of the symmetric a in ascending order, and eigenvectors as columns; only the lower
   triangle of a is read, and a is used up. */
static ONCE void cr_eigh(double *restrict a, idx n, double *restrict values,
                           double *restrict vectors)
{
  double v[64 * 64], found[64];
  idx order[64];
  CR_UNKNOWN(n); /* not a constant: gcc 12 mirrors 4 × 4 numbers wrongly */
  for (idx i = 0; i < n; i++)
    for (idx j = 0; j < i; j++) a[j * n + i] = a[i * n + j];
  if (!cr_all_finite(a, n * n)) {
    for (idx i = 0; i < n * n; i++) vectors[i] = NAN;
    for (idx i = 0; i < n; i++) values[i] = NAN;
    return;
  }
  cr_jacobi(a, n, v);
  for (idx i = 0; i < n; i++) found[i] = a[i * n + i];
  cr_order(found, n, 0, order);
  for (idx j = 0; j < n; j++) {
    const double *row = v + order[j] * n, sign = cr_sign_of(row, n);
    values[j] = found[order[j]];
    for (idx i = 0; i < n; i++) vectors[i * n + j] = sign * row[i];
  }
}

/* A unit vector at right angles to the n rows u of length m, n < m. */
static ONCE void cr_beside(const double *restrict u, idx n, idx m, double *restrict x)
{
  double best = -1;
  idx place = 0;
  for (idx i = 0; i < m; i++) { /* the unit vector that lies least in what the rows span */
    double rest = 1;
    for (idx k = 0; k < n; k++) rest -= u[k * m + i] * u[k * m + i];
    if (rest > best) best = rest, place = i;
  }
  for (idx i = 0; i < m; i++) x[i] = i == place;
  for (int twice = 0; twice < 2; twice++) {
    for (idx k = 0; k < n; k++) {
      double along = 0;
      for (idx i = 0; i < m; i++) along += u[k * m + i] * x[i];
      for (idx i = 0; i < m; i++) x[i] -= along * u[k * m + i];
    }
    const double norm = cr_norm(x, m, 1);
    for (idx i = 0; i < m; i++) x[i] /= norm;
  }
}

/* One-sided Jacobi: of the n rows w of length m ≥ n, w = v·diag(s)·u with orthonormal rows of vᵀ
   and u, s descending; w is used up. */
static ONCE void cr_one_sided(double *restrict w, idx n, idx m, double *restrict u,
                                double *restrict s, double *restrict v)
{
  double turned_by[64 * 64], found[64];
  idx order[64];
  for (idx i = 0; i < n * n; i++) turned_by[i] = i % (n + 1) == 0;
  for (int sweep = 0, turned = 1; sweep < 40 && turned; sweep++) {
    turned = 0;
    for (idx p = 0; p < n; p++)
      for (idx q = p + 1; q < n; q++) {
        double a = 0, b = 0, along = 0;
        for (idx i = 0; i < m; i++) {
          a += w[p * m + i] * w[p * m + i];
          b += w[q * m + i] * w[q * m + i];
          along += w[p * m + i] * w[q * m + i];
        }
        if (!(fabs(along) > 0x1p-51 * sqrt(a) * sqrt(b))) continue;
        double c, t;
        cr_angle((b - a) / (2 * along), &c, &t);
        cr_turn(w + p * m, w + q * m, m, c, t);
        cr_turn(turned_by + p * n, turned_by + q * n, n, c, t);
        turned = 1;
      }
  }
  for (idx k = 0; k < n; k++) found[k] = cr_norm(w + k * m, m, 1);
  cr_order(found, n, 1, order);
  for (idx k = 0; k < n; k++) {
    const double *row = w + order[k] * m, size = found[order[k]];
    s[k] = size;
    if (size > 0)
      for (idx i = 0; i < m; i++) u[k * m + i] = row[i] / size;
    else
      cr_beside(u, k, m, u + k * m);
    for (idx i = 0; i < n; i++) v[i * n + k] = turned_by[order[k] * n + i];
  }
}

/* U (m × k), s and Vᵀ (k × n) of A = U·diag(s)·Vᵀ, k the smaller of m and n. */
static ONCE void cr_svd(const double *restrict a, idx m, idx n, double *restrict u,
                          double *restrict s, double *restrict vt)
{
  const idx k = m < n ? m : n, wide = m < n ? n : m;
  double w[64 * 64], large[64 * 64], square[64 * 64], scale = 0;
  for (idx i = 0; i < m * n; i++) scale = fmax(scale, fabs(a[i]));
  if (!cr_all_finite(a, m * n)) {
    for (idx i = 0; i < m * k; i++) u[i] = NAN;
    for (idx i = 0; i < k; i++) s[i] = NAN;
    for (idx i = 0; i < k * n; i++) vt[i] = NAN;
    return;
  }
  if (scale == 0) scale = 1;
  for (idx i = 0; i < k; i++)
    for (idx j = 0; j < wide; j++) w[i * wide + j] = (m < n ? a[i * n + j] : a[j * n + i]) / scale;
  cr_one_sided(w, k, wide, large, s, square);
  for (idx r = 0; r < k; r++) {
    double left[64];
    for (idx i = 0; i < m; i++) left[i] = m < n ? square[i * k + r] : large[r * wide + i];
    const double sign = cr_sign_of(left, m);
    s[r] *= scale;
    for (idx i = 0; i < m; i++) u[i * k + r] = sign * left[i];
    for (idx j = 0; j < n; j++)
      vt[r * n + j] = sign * (m < n ? large[r * wide + j] : square[j * k + r]);
  }
}

static ONCE double cr_det(double *restrict a, idx n)
{
  int64_t rows[64];
  double product = cr_lu(a, n, n, rows) % 2 ? -1 : 1;
  for (idx i = 0; i < n; i++) product *= a[i * n + i];
  return product;
}

/* det(A)·A⁻ᵀ by singular values, which holds for singular matrices, too. */
static ONCE void cr_cofactors(const double *restrict a, idx n, double *restrict y)
{
  double u[64 * 64], vt[64 * 64], s[64], copy[64 * 64];
  cr_svd(a, n, n, u, s, vt);
  memcpy(copy, u, (size_t)(n * n) * sizeof *u);
  double sign = cr_det(copy, n);
  memcpy(copy, vt, (size_t)(n * n) * sizeof *vt);
  sign = sign * cr_det(copy, n) < 0 ? -1 : 1;
  for (idx i = 0; i < n * n; i++) y[i] = 0;
  for (idx r = 0; r < n; r++) {
    double others = sign;
    for (idx k = 0; k < n; k++) others *= k == r ? 1 : s[k];
    for (idx i = 0; i < n; i++)
      for (idx j = 0; j < n; j++) y[i * n + j] += u[i * n + r] * others * vt[r * n + j];
  }
}

/* The pseudo-inverse (n × m): singular values up to rtol times the largest count as 0. */
static ONCE void cr_pinv(const double *restrict a, idx m, idx n, double rtol, double *restrict y)
{
  const idx k = m < n ? m : n;
  double u[64 * 64], vt[64 * 64], s[64];
  cr_svd(a, m, n, u, s, vt);
  for (idx i = 0; i < n * m; i++) y[i] = 0;
  for (idx r = 0; r < k; r++) {
    if (s[r] <= rtol * s[0]) continue;
    for (idx j = 0; j < n; j++)
      for (idx i = 0; i < m; i++) y[j * m + i] += vt[r * n + j] / s[r] * u[i * k + r];
  }
}

/* c = a·b of n × n matrices. */
static ONCE void cr_product(const double *restrict a, const double *restrict b, idx n,
                              double *restrict c)
{
  for (idx i = 0; i < n; i++) {
    for (idx j = 0; j < n; j++) c[i * n + j] = 0;
    for (idx k = 0; k < n; k++)
      for (idx j = 0; j < n; j++) c[i * n + j] += a[i * n + k] * b[k * n + j];
  }
}

/* exp(A): Padé's approximation of A / 2ˢ, squared s times; a is used up. */
static ONCE void cr_matrix_exp(double *restrict a, idx n, double *restrict y)
{
  static const double b[] = {PADE};
  double a2[64 * 64], a4[64 * 64], a6[64 * 64], odd[64 * 64], even[64 * 64], t[64 * 64];
  CR_SOME(t);
  double largest = 0;
  int steps = 0;
  if (!cr_all_finite(a, n * n)) {
    for (idx i = 0; i < n * n; i++) y[i] = NAN;
    return;
  }
  for (idx j = 0; j < n; j++) {
    double column = 0;
    for (idx i = 0; i < n; i++) column += fabs(a[i * n + j]);
    largest = fmax(largest, column);
  }
  for (; largest > PADE_NORM; largest /= 2) steps++;
  for (idx i = 0; i < n * n; i++) a[i] = ldexp(a[i], -steps);
  cr_product(a, a, n, a2);
  cr_product(a2, a2, n, a4);
  cr_product(a4, a2, n, a6);
  for (idx i = 0; i < n * n; i++) t[i] = b[13] * a6[i] + b[11] * a4[i] + b[9] * a2[i];
  cr_product(a6, t, n, even);
  for (idx i = 0; i < n * n; i++)
    even[i] += b[7] * a6[i] + b[5] * a4[i] + b[3] * a2[i] + (i % (n + 1) == 0 ? b[1] : 0);
  cr_product(a, even, n, odd);
  for (idx i = 0; i < n * n; i++) t[i] = b[12] * a6[i] + b[10] * a4[i] + b[8] * a2[i];
  cr_product(a6, t, n, even);
  for (idx i = 0; i < n * n; i++) {
    even[i] += b[6] * a6[i] + b[4] * a4[i] + b[2] * a2[i] + (i % (n + 1) == 0 ? b[0] : 0);
    a2[i] = even[i] - odd[i];
    a4[i] = even[i] + odd[i];
  }
  cr_solve(a2, n, a4, n, y);
  for (int i = 0; i < steps; i++) {
    memcpy(t, y, (size_t)(n * n) * sizeof *y);
    cr_product(t, t, n, y);
  }
}
"""
for _name, _text in (
    ("ONCE", "__attribute__((noinline))"),
    ("PADE_NORM", repr(PADE_NORM)),
    ("PADE", ", ".join(f"{c}.0" for c in PADE)),
):
    LINALG_C = LINALG_C.replace(_name, _text)


def _check_size(node: Node) -> tuple[int, int]:
    """The extents of the matrices; of right-hand sides only the rows count.

    Raises:
        UnsupportedError: they are too large.
    """
    m, n = node.inputs[0].type.shape[-2:]
    if max(m, n) > LARGEST:
        raise UnsupportedError(
            f"The C backend has no kernel for {node.op.name} of so large matrices.",
            where=str(node.origin) if node.origin else None,
            expected=f"at most {LARGEST} rows and columns",
            found=f"{m} × {n}",
            hint="Compile with backend='numpy'.",
        )
    return m, n


class _Matrices:
    """The loop over the matrices of a batch: copies in double precision, a call, copies back."""

    def __init__(self, sources: list[View], where: Where, grain: int) -> None:
        self.batch = math.prod(sources[0].shape[:-2])
        self.function = Function(where, extent=self.batch, grain=max(grain, 1))
        self.line = self.function.line
        self.pointers = [self.function.pointer(view) for view in sources]
        self.line("for (idx g = begin; g < end; g++) {")
        for name, view, pointer in zip("ab", sources, self.pointers, strict=False):
            size = math.prod(view.shape[-2:])
            self.line(f"double {name}[{max(size, 1)}];", 2)
            copied = f"{name}[i] = {pointer}[g * {size} + i]"
            self.line(f"for (idx i = 0; i < {size}; i++) {copied};", 2)

    def result(self, name: str, size: int) -> None:
        """Room for a result."""
        self.line(f"double {name}[{max(size, 1)}];", 2)

    def store(self, name: str, target: Node, size: int) -> None:
        """A result to its place."""
        kind = C_TYPES[target.type.dtype.name]
        pointer = self.function.writes(target)
        self.line(
            f"for (idx i = 0; i < {size}; i++) {pointer}[g * {size} + i] = ({kind}){name}[i];", 2
        )

    def finished(self) -> Function:
        self.line("}")
        return self.function


Kernel = Callable[[Node, list[View], Where], Function | None]


def _plain(call: str, used_up: bool = False) -> Kernel:
    """A kernel of one result: ``{m}`` and ``{n}`` are the extents, ``{c}`` the columns of b."""

    def kernel(node: Node, sources: list[View], where: Where) -> Function | None:
        if node.type.size == 0:
            return None
        m, n = _check_size(node)
        loop = _Matrices(sources, where, 2 * m * n * max(m, n))
        size = node.type.size // loop.batch
        result = "a" if used_up else "y"
        if not used_up:
            loop.result("y", size)
        options = {
            key: float(v) if isinstance(v, float) else int(v) for key, v in node.attributes.items()
        }
        loop.line(call.format(m=m, n=n, c=sources[-1].shape[-1], **options), 2)
        loop.store(result, node, size)
        return loop.finished()

    return kernel


cholesky = _plain("cr_cholesky(a, {n});", used_up=True)
solve = _plain("cr_solve(a, {n}, b, {c}, y);")
solve_triangular = _plain(
    "memcpy(y, b, sizeof y); cr_substitute(a, {n}, y, {c}, {lower}, {transpose}, {unit});"
)
det = _plain("y[0] = cr_det(a, {n});")
cofactors = _plain("cr_cofactors(a, {n}, y);")
pinv = _plain("cr_pinv(a, {m}, {n}, {rtol!r}, y);")
matrix_exp = _plain("cr_matrix_exp(a, {n}, y);")


def _parts(names: str, *lines: str) -> Callable[..., Function | None]:
    """A kernel of several results, by their names."""

    def kernel(
        node: Node, parts: dict[int, Node], sources: list[View], where: Where
    ) -> Function | None:
        types: tuple[Type, ...] = node.type.parts if isinstance(node.type, Record) else ()
        if not any(part.type.size for part in parts.values()):
            return None
        m, n = _check_size(node)
        loop = _Matrices(sources, where, 4 * m * n * max(m, n))
        sizes = [part.size // loop.batch for part in types]
        for name, part, size in zip(names.split(), types, sizes, strict=True):
            kind = "double" if part.is_float else "int64_t"
            loop.line(f"{kind} {name}[{max(size, 1)}];", 2)
            loop.line(f"(void){name};", 2)
        for text in lines:
            loop.line(text.format(m=m, n=n, k=min(m, n)), 2)
        for number, name in enumerate(names.split()):
            if number in parts:
                loop.store(name, parts[number], sizes[number])
        return loop.finished()

    return kernel


lu = _parts("packed rows", "memcpy(packed, a, sizeof a);", "cr_lu(packed, {m}, {n}, rows);")
qr = _parts(
    "q r",
    "double tau[{k} + 1];",
    "cr_reflect(a, {m}, {n}, tau);",
    "cr_orthogonal(a, {m}, {n}, tau, 0, {k}, q);",
    "for (idx i = 0; i < {k} * {n}; i++) r[i] = i % {n} < i / {n} ? 0 : a[i];",
)
eigh = _parts(
    "values vectors",
    "cr_eigh(a, {n}, values, vectors);",
)
svd = _parts("u s vt", "cr_svd(a, {m}, {n}, u, s, vt);")
slogdet = _parts(
    "sign logarithm",
    "int64_t rows[{n} + 1];",
    "sign[0] = cr_lu(a, {n}, {n}, rows) % 2 ? -1 : 1;",
    "logarithm[0] = 0;",
    "for (idx i = 0; i < {n}; i++) {{",
    "  logarithm[0] += log(fabs(a[i * {n} + i]));",
    "  if (a[i * {n} + i] < 0) sign[0] = -sign[0];",
    "  if (a[i * {n} + i] == 0) sign[0] = 0;",
    "}}",
)
complement = _plain(
    "double tau[{n} + 1]; cr_reflect(a, {m}, {n}, tau); "
    "cr_orthogonal(a, {m}, {n}, tau, {n}, {m} - {n}, y);"
)
