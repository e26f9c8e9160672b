"""Samples of the standard gamma distribution, and their derivative with respect to its shape."""

from __future__ import annotations

from typing import Any

from ..autodiff import grad
from ..ops import exp, gammainc, log, sqrt, stop_gradient, sum, where
from ..ops.own_derivative import with_rule
from ..ops.random import fold_in, normal, uniform
from ..tensor import Tensor

#: Each proposal is refused with probability below 0.05: of so many, one is taken but for 1 in 10¹⁵.
_PROPOSALS = 12


def log_gamma_samples(key: Tensor, a: Tensor) -> Tensor:
    """ln x of one x for each shape parameter a > 0, which does not underflow for small a.

    Marsaglia and Tsang (2000), a normal number cubed, which is refused now and then; below a = 1
    x(a) = x(a + 1)·u^(1/a). The derivative is implicit: at a fixed quantile P(a, x) of the sample,
    dx/da = -(∂P/∂a)/(∂P/∂x) (Figurnov et al., 2018).
    """
    is_small = a < 1.0
    shape = where(is_small, a + 1.0, a)
    x = with_rule(_above_one(key, stop_gradient(shape)), [shape], _implicit, "gamma")
    u = 1.0 - uniform(fold_in(key, 2), a.shape, dtype=a.dtype)
    return log(x) + where(is_small, log(u) / a, 0.0)


def _above_one(key: Tensor, a: Tensor) -> Tensor:
    shape = (_PROPOSALS, *a.shape)
    z = normal(fold_in(key, 0), shape, a.dtype)
    u = 1.0 - uniform(fold_in(key, 1), shape, dtype=a.dtype)
    d = a - 1.0 / 3.0
    root = 1.0 + z / sqrt(9.0 * d)
    cube = root * root * root
    is_positive = cube > 0.0
    safe = where(is_positive, cube, 1.0)
    is_taken = is_positive & (log(u) < 0.5 * z * z + d * (1.0 - safe + log(safe)))
    chosen = safe[_PROPOSALS - 1]
    for proposal in reversed(range(_PROPOSALS - 1)):
        chosen = where(is_taken[proposal], safe[proposal], chosen)
    return d * chosen


def _implicit(g: Tensor, x: Tensor, a: Tensor) -> list[Any]:
    by_shape, by_x = grad(lambda a, x: sum(gammainc(a, x)), (0, 1))(a, x)
    known = by_x > 0.0
    return [g * where(known, -by_shape / where(known, by_x, 1.0), 0.0)]


def gamma_samples(key: Tensor, a: Tensor) -> Tensor:
    """One x for each shape parameter."""
    return exp(log_gamma_samples(key, a))
