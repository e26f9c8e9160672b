"""Distributions of vectors."""

from __future__ import annotations

import math
from typing import ClassVar

from ...errors import ConfigError, ShapeError
from ..ops import abs as absolute
from ..ops import (
    diagonal,
    digamma,
    exp,
    expand_dims,
    lgamma,
    log,
    log_softmax,
    matmul,
    squeeze,
    sum,
    swapaxes,
    where,
    xlogy,
)  # fmt: skip
from ..ops.declare import broadcast_to, common_shape
from ..ops.linalg import cholesky, solve_triangular
from ..ops.random import normal
from ..tensor import Tensor, TensorLike, as_tensor
from .base import POSITIVE, Constraint, Distribution
from .continuous import _inside
from .gamma_samples import log_gamma_samples

__all__ = ["Dirichlet", "Independent", "MultivariateNormal"]


class Dirichlet(Distribution):
    """Probabilities of classes that sum to 1: Π xᵢ^(αᵢ-1) / B(α), α along the last axis."""

    concentration: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {"concentration": POSITIVE}

    def __init__(self, concentration: TensorLike) -> None:
        super().__init__(concentration=concentration)
        if not self.shape:
            raise ShapeError("Dirichlet takes a vector of concentrations.", found="a number")
        self.shape, self.event_shape = self.shape[:-1], self.shape[-1:]

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        wide = broadcast_to(self.concentration, (*shape, *self.event_shape))
        return exp(log_softmax(log_gamma_samples(key, wide), -1))

    def _log_prob(self, x: Tensor) -> Tensor:
        a = self.concentration
        tolerance = 1e-4 if self.dtype.itemsize == 4 else 1e-9
        inside = (absolute(sum(x, -1) - 1.0) < tolerance) & (
            sum(where(x < 0.0, 1.0, 0.0), -1) == 0.0
        )
        value = sum(xlogy(a - 1.0, where(x < 0.0, 1.0, x)), -1) - self._log_beta()
        return _inside(inside, value)

    def _log_beta(self) -> Tensor:
        return sum(lgamma(self.concentration), -1) - lgamma(sum(self.concentration, -1))

    def _entropy(self) -> Tensor:
        a = self.concentration
        total, count = sum(a, -1), float(self.event_shape[0])
        return self._log_beta() + (total - count) * digamma(total) - sum((a - 1.0) * digamma(a), -1)

    def _mean(self) -> Tensor:
        return self.concentration / sum(self.concentration, -1, keepdims=True)

    def _variance(self) -> Tensor:
        total = sum(self.concentration, -1, keepdims=True)
        return self.mean * (1.0 - self.mean) / (total + 1.0)


class MultivariateNormal(Distribution):
    """Normal vectors of a mean and a ``covariance``, or its lower Cholesky factor ``scale_tril``.

    Example:
        >>> import chainrule as cr
        >>> normal = cr.distributions.MultivariateNormal([0.0, 0.0], [[2.0, 1.0], [1.0, 2.0]])
        >>> normal.log_prob([0.0, 0.0])
        Tensor(-2.38718...)
    """

    def __init__(
        self, loc: TensorLike, covariance: TensorLike | None = None, *,
        scale_tril: TensorLike | None = None,
    ) -> None:  # fmt: skip
        if (covariance is None) == (scale_tril is None):
            raise ConfigError("MultivariateNormal takes either covariance or scale_tril.",
                              found="neither" if covariance is None else "both")  # fmt: skip
        loc = as_tensor(loc)
        loc = loc if loc.type.is_float else loc.astype("float32")
        matrix = as_tensor(scale_tril if covariance is None else covariance, loc.dtype)
        if not loc.ndim or matrix.shape[-2:] != (loc.shape[-1],) * 2:
            raise ShapeError("MultivariateNormal takes a mean and a square matrix of its size.",
                             expected="(..., n) and (..., n, n)",
                             found=f"{loc.shape} and {matrix.shape}")  # fmt: skip
        self.dtype = loc.dtype
        self.event_shape = loc.shape[-1:]
        root = matrix if covariance is None else cholesky(matrix)
        self.shape = common_shape([loc.shape[:-1], root.shape[:-2]])
        n = self.event_shape[0]
        self.loc = broadcast_to(loc, (*self.shape, n))
        self.scale_tril = broadcast_to(root, (*self.shape, n, n))

    def __repr__(self) -> str:
        return f"MultivariateNormal({self.loc.type})"

    @property
    def covariance(self) -> Tensor:
        """L·Lᵀ."""
        return matmul(self.scale_tril, swapaxes(self.scale_tril, -1, -2))

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        z = normal(key, (*shape, *self.event_shape), self.dtype)
        return self.loc + squeeze(matmul(self.scale_tril, expand_dims(z, -1)), -1)

    def _half_log_determinant(self) -> Tensor:
        return sum(log(absolute(diagonal(self.scale_tril))), -1)

    def _log_prob(self, x: Tensor) -> Tensor:
        away = x - self.loc
        root = broadcast_to(self.scale_tril, (*away.shape, self.event_shape[0]))
        z = squeeze(solve_triangular(root, expand_dims(away, -1), lower=True), -1)
        constant = 0.5 * self.event_shape[0] * math.log(2 * math.pi)
        return -0.5 * sum(z * z, -1) - self._half_log_determinant() - constant

    def _entropy(self) -> Tensor:
        constant = 0.5 * self.event_shape[0] * (1 + math.log(2 * math.pi))
        return self._half_log_determinant() + constant

    def _mean(self) -> Tensor:
        return self.loc

    def _variance(self) -> Tensor:
        return sum(self.scale_tril * self.scale_tril, -1)


class Independent(Distribution):
    """A vector, or array, of independent numbers: the last ``axes`` axes are one event.

    Example:
        >>> import chainrule as cr
        >>> cr.distributions.Independent(cr.distributions.Normal([0.0, 1.0])).log_prob([0.0, 1.0])
        Tensor(-1.83787...)
    """

    def __init__(self, base: Distribution, axes: int = 1) -> None:
        if not 0 <= axes <= len(base.shape):
            raise ShapeError("A distribution does not have so many axes.",
                             expected=f"0 to {len(base.shape)}", found=str(axes))  # fmt: skip
        cut = len(base.shape) - axes
        self.base, self.axes, self.dtype = base, axes, base.dtype
        self.reparameterized = base.reparameterized  # type: ignore[misc]
        self.shape = base.shape[:cut]
        self.event_shape = (*base.shape[cut:], *base.event_shape)

    def __repr__(self) -> str:
        return f"Independent({self.base}, {self.axes})"

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.base._sample(key, (*shape, *self.base.shape[len(self.shape) :]))

    def _summed(self, x: Tensor) -> Tensor:
        return sum(x, tuple(range(-self.axes, 0))) if self.axes else x

    def _log_prob(self, x: Tensor) -> Tensor:
        return self._summed(self.base.log_prob(x))

    def _entropy(self) -> Tensor:
        return self._summed(self.base.entropy())

    def _mean(self) -> Tensor:
        return self.base.mean

    def _variance(self) -> Tensor:
        return self.base.variance
