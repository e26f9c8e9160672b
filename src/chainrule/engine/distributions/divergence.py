"""The divergence of Kullback and Leibler between distributions of one kind, in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from ...errors import ConfigError
from ..ops import (
    abs,
    digamma,
    exp,
    expand_dims,
    lgamma,
    log,
    squeeze,
    sum,
    where,
    xlog1py,
    xlogy,
)  # fmt: skip
from ..ops.linalg import solve_triangular
from ..tensor import Tensor
from .base import Distribution
from .continuous import Beta, Exponential, Gamma, Laplace, LogNormal, Normal, Uniform
from .discrete import Bernoulli, Categorical, Geometric, Poisson
from .multivariate import Dirichlet, Independent, MultivariateNormal

__all__ = ["kl_divergence"]

F = TypeVar("F", bound=Callable[..., Tensor])
_FORMULAS: dict[type[Distribution], Callable[[Any, Any], Tensor]] = {}


def _of(kind: type[Distribution]) -> Callable[[F], F]:
    def declare(formula: F) -> F:
        _FORMULAS[kind] = formula
        return formula

    return declare


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p ‖ q) = E_p[log p(x) - log q(x)], in nats; at least 0, and 0 only if they are equal.

    Raises:
        ConfigError: there is no closed form for this pair.

    Example:
        >>> import chainrule as cr
        >>> normal = cr.distributions.Normal
        >>> cr.distributions.kl_divergence(normal(1.0, 1.0), normal(0.0, 1.0))
        Tensor(0.5)
    """
    for kind, formula in _FORMULAS.items():
        if isinstance(p, kind) and isinstance(q, kind):
            return formula(p, q)
    known = ", ".join(sorted(kind.__name__ for kind in _FORMULAS))
    raise ConfigError(
        "There is no closed form for the divergence of these distributions.",
        expected=f"two of one kind: {known}",
        found=f"{type(p).__name__} and {type(q).__name__}",
        hint="Estimate it: (p.log_prob(x) - q.log_prob(x)).mean() over samples x of p.",
    )


@_of(Normal)
def _normal(p: Normal, q: Normal) -> Tensor:
    ratio, away = (p.scale / q.scale) ** 2, ((p.loc - q.loc) / q.scale) ** 2
    return 0.5 * (ratio + away - 1.0 - log(ratio))


@_of(LogNormal)
def _log_normal(p: LogNormal, q: LogNormal) -> Tensor:
    return _normal(p.normal, q.normal)


@_of(Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    away, ratio = abs(p.loc - q.loc), p.scale / q.scale
    return away / q.scale + ratio * exp(-away / p.scale) - 1.0 - log(ratio)


@_of(Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    inside = (q.low <= p.low) & (p.high <= q.high)
    return where(inside, log(q.width / p.width), math.inf)


@_of(Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1.0 - log(ratio)


@_of(Gamma)
def _gamma(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    return (
        (a - b) * digamma(a) - lgamma(a) + lgamma(b) + b * log(p.rate / q.rate)
        + a * (q.rate / p.rate - 1.0)
    )  # fmt: skip


@_of(Beta)
def _beta(p: Beta, q: Beta) -> Tensor:
    return (
        q._log_beta() - p._log_beta() + (p.a - q.a) * digamma(p.a) + (p.b - q.b) * digamma(p.b)
        + (q.a - p.a + q.b - p.b) * digamma(p.a + p.b)
    )  # fmt: skip


@_of(Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    expected_logs = digamma(a) - digamma(sum(a, -1, keepdims=True))
    return q._log_beta() - p._log_beta() + sum((a - b) * expected_logs, -1)


@_of(MultivariateNormal)
def _multivariate_normal(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    n = float(p.event_shape[0])
    spread = solve_triangular(q.scale_tril, p.scale_tril, lower=True)
    away = solve_triangular(q.scale_tril, expand_dims(p.loc - q.loc, -1), lower=True)
    quadratic = sum(spread * spread, (-2, -1)) + sum(squeeze(away, -1) ** 2, -1) - n
    return 0.5 * quadratic + q._half_log_determinant() - p._half_log_determinant()


@_of(Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    a, b = p.probs, q.probs
    return xlogy(a, a) - xlogy(a, b) + xlog1py(1.0 - a, -a) - xlog1py(1.0 - a, -b)


@_of(Categorical)
def _categorical(p: Categorical, q: Categorical) -> Tensor:
    return sum(xlogy(p.probs, p.probs) - xlogy(p.probs, q.probs), -1)


@_of(Poisson)
def _poisson(p: Poisson, q: Poisson) -> Tensor:
    return xlogy(p.rate, p.rate / q.rate) - p.rate + q.rate


@_of(Geometric)
def _geometric(p: Geometric, q: Geometric) -> Tensor:
    fails = (1.0 - p.probs) / p.probs
    return log(p.probs / q.probs) + xlog1py(fails, -p.probs) - xlog1py(fails, -q.probs)


@_of(Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    return p._summed(kl_divergence(p.base, q.base))
