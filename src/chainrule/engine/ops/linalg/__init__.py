"""Linear algebra, as ``cr.linalg``: systems of equations, factorisations, norms.

All functions take batches of matrices on the last two axes. NumPy's LAPACK computes them; in native
programs `solve`, `solve_triangular`, `cholesky` and `det` have kernels of their own. Derivatives
have any order. Products of matrices are functions of ``cr.ops``.
"""

from __future__ import annotations

from ..products import cross as cross
from ..products import matmul as matmul
from ..products import outer as outer
from ..products import tensordot as tensordot
from ..products import trace as trace
from . import factorizations, functions, systems
from .factorizations import *  # noqa: F403
from .functions import *  # noqa: F403
from .systems import *  # noqa: F403

__all__ = [
    "cross", "matmul", "outer", "tensordot", "trace",
    *factorizations.__all__, *functions.__all__, *systems.__all__,
]  # fmt: skip
