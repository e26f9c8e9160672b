"""Distributions of single real numbers.

Densities and moments are those of the textbooks: Johnson, Kotz and Balakrishnan, Continuous
Univariate Distributions, 2nd edition.
"""

from __future__ import annotations

import math
from typing import ClassVar

from ..ops import (
    abs,
    arctan,
    betainc,
    clip,
    digamma,
    erf,
    erfinv,
    exp,
    expm1,
    gammainc,
    gammaincc,
    lgamma,
    log,
    log1p,
    log_ndtr,
    log_sigmoid,
    ndtr,
    ndtri,
    sigmoid,
    sign,
    softplus,
    tan,
    where,
    xlog1py,
    xlogy,
    zeros_like,
)  # fmt: skip
from ..ops.declare import align, broadcast_to
from ..ops.random import fold_in, normal, uniform
from ..tensor import Tensor, TensorLike
from .base import POSITIVE, REAL, Constraint, Distribution
from .gamma_samples import gamma_samples, log_gamma_samples

__all__ = [
    "Beta", "Cauchy", "Chi2", "Exponential", "Gamma", "Gumbel", "HalfNormal", "InverseGamma",
    "Laplace", "LogNormal", "Logistic", "Normal", "StudentT", "Uniform", "Weibull",
]  # fmt: skip

_EULER = 0.5772156649015329
_LOG_ROOT = 0.5 * math.log(2 * math.pi)


def _inside(is_inside: Tensor, value: Tensor) -> Tensor:
    """A log density where there is one, -∞ elsewhere."""
    return where(is_inside, value, -math.inf)


def _unit(key: Tensor, like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Uniform numbers strictly between 0 and 1."""
    u = uniform(key, shape, dtype=like.dtype)
    least = 2.0**-25 if u.dtype.itemsize == 4 else 2.0**-54
    return u * (1.0 - 2 * least) + least


class _ByScale(Distribution):
    """A standard distribution, shifted and scaled: z = (x - loc) / scale."""

    loc: Tensor
    scale: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {"loc": REAL, "scale": POSITIVE}

    def __init__(self, loc: TensorLike = 0.0, scale: TensorLike = 1.0) -> None:
        super().__init__(loc=loc, scale=scale)

    def _z(self, x: Tensor) -> Tensor:
        return (x - self.loc) / self.scale

    def _log_prob(self, x: Tensor) -> Tensor:
        return self._log_density(self._z(x)) - log(self.scale)

    def _cdf(self, x: Tensor) -> Tensor:
        return self._standard_cdf(self._z(x))

    def _icdf(self, p: Tensor) -> Tensor:
        return self.loc + self.scale * self._quantile(p)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.loc + self.scale * self._quantile(_unit(key, self.loc, shape))

    def _log_density(self, z: Tensor) -> Tensor:
        raise self._missing("log_prob")

    def _standard_cdf(self, z: Tensor) -> Tensor:
        raise self._missing("cdf")

    def _quantile(self, p: Tensor) -> Tensor:
        raise self._missing("icdf")


class Normal(_ByScale):
    """The normal distribution, of mean ``loc`` and standard deviation ``scale``.

    Example:
        >>> import chainrule as cr
        >>> normal = cr.distributions.Normal(1.0, 2.0)
        >>> normal.log_prob(1.0)
        Tensor(-1.61208...)
        >>> normal.sample(cr.random.key(0), (2, 3)).shape
        (2, 3)
    """

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.loc + self.scale * normal(key, shape, self.dtype)

    def _log_density(self, z: Tensor) -> Tensor:
        return -0.5 * z * z - _LOG_ROOT

    def _standard_cdf(self, z: Tensor) -> Tensor:
        return ndtr(z)

    def _quantile(self, p: Tensor) -> Tensor:
        return ndtri(p)

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, exact in the lower tail."""
        return log_ndtr(self._z(self._like(x)))

    def _entropy(self) -> Tensor:
        return 0.5 + _LOG_ROOT + log(self.scale)

    def _mean(self) -> Tensor:
        return self.loc

    def _variance(self) -> Tensor:
        return self.scale * self.scale


class LogNormal(Distribution):
    """exp of a normal number of mean ``loc`` and standard deviation ``scale``."""

    loc: Tensor
    scale: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {"loc": REAL, "scale": POSITIVE}

    def __init__(self, loc: TensorLike = 0.0, scale: TensorLike = 1.0) -> None:
        super().__init__(loc=loc, scale=scale)
        self.normal = Normal(self.loc, self.scale)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return exp(self.normal._sample(key, shape))

    def _log_prob(self, x: Tensor) -> Tensor:
        y = log(where(x > 0.0, x, 1.0))
        return _inside(x > 0.0, self.normal._log_prob(y) - y)

    def _cdf(self, x: Tensor) -> Tensor:
        return where(x > 0.0, self.normal._cdf(log(where(x > 0.0, x, 1.0))), 0.0)

    def _icdf(self, p: Tensor) -> Tensor:
        return exp(self.normal._icdf(p))

    def _entropy(self) -> Tensor:
        return self.normal._entropy() + self.loc

    def _mean(self) -> Tensor:
        return exp(self.loc + self.scale**2 / 2.0)

    def _variance(self) -> Tensor:
        return expm1(self.scale**2) * exp(2.0 * self.loc + self.scale**2)


class HalfNormal(Distribution):
    """|x| of a normal number of mean 0 and standard deviation ``scale``."""

    scale: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {"scale": POSITIVE}

    def __init__(self, scale: TensorLike = 1.0) -> None:
        super().__init__(scale=scale)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.scale * abs(normal(key, shape, self.dtype))

    def _log_prob(self, x: Tensor) -> Tensor:
        z = x / self.scale
        return _inside(x >= 0.0, math.log(2) - _LOG_ROOT - 0.5 * z * z - log(self.scale))

    def _cdf(self, x: Tensor) -> Tensor:
        z = x / self.scale
        return where(z > 0.0, erf(z / math.sqrt(2)), 0.0)

    def _icdf(self, p: Tensor) -> Tensor:
        return self.scale * (math.sqrt(2) * erfinv(p))

    def _entropy(self) -> Tensor:
        return 0.5 + _LOG_ROOT - math.log(2) + log(self.scale)

    def _mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    def _variance(self) -> Tensor:
        return self.scale**2 * (1 - 2 / math.pi)


class Laplace(_ByScale):
    """Two exponential distributions back to back: exp(-|x - loc| / scale) / (2·scale)."""

    def _log_density(self, z: Tensor) -> Tensor:
        return -abs(z) - math.log(2)

    def _standard_cdf(self, z: Tensor) -> Tensor:
        return 0.5 - 0.5 * sign(z) * expm1(-abs(z))

    def _quantile(self, p: Tensor) -> Tensor:
        return -sign(p - 0.5) * log1p(-2.0 * abs(p - 0.5))

    def _entropy(self) -> Tensor:
        return 1.0 + math.log(2) + log(self.scale)

    def _mean(self) -> Tensor:
        return self.loc

    def _variance(self) -> Tensor:
        return 2.0 * self.scale**2


class Cauchy(_ByScale):
    """Cauchy's distribution, which has no mean."""

    def _log_density(self, z: Tensor) -> Tensor:
        return -math.log(math.pi) - log1p(z * z)

    def _standard_cdf(self, z: Tensor) -> Tensor:
        return arctan(z) / math.pi + 0.5

    def _quantile(self, p: Tensor) -> Tensor:
        return tan(math.pi * (p - 0.5))

    def _entropy(self) -> Tensor:
        return math.log(4 * math.pi) + log(self.scale)

    def _mean(self) -> Tensor:
        return self.loc * math.nan

    def _variance(self) -> Tensor:
        return self.loc * math.nan


class Gumbel(_ByScale):
    """The largest of many: exp(-z - exp(-z)) / scale."""

    def _log_density(self, z: Tensor) -> Tensor:
        return -z - exp(-z)

    def _standard_cdf(self, z: Tensor) -> Tensor:
        return exp(-exp(-z))

    def _quantile(self, p: Tensor) -> Tensor:
        return -log(-log(p))

    def _entropy(self) -> Tensor:
        return 1.0 + _EULER + log(self.scale)

    def _mean(self) -> Tensor:
        return self.loc + _EULER * self.scale

    def _variance(self) -> Tensor:
        return math.pi**2 / 6 * self.scale**2


class Logistic(_ByScale):
    """The distribution whose distribution function is the sigmoid."""

    def _log_density(self, z: Tensor) -> Tensor:
        return -z - 2.0 * softplus(-z)

    def _standard_cdf(self, z: Tensor) -> Tensor:
        return sigmoid(z)

    def _quantile(self, p: Tensor) -> Tensor:
        return log(p) - log1p(-p)

    def log_cdf(self, x: TensorLike) -> Tensor:
        """The logarithm of `cdf`, exact in the lower tail."""
        return log_sigmoid(self._z(self._like(x)))

    def _entropy(self) -> Tensor:
        return 2.0 + log(self.scale)

    def _mean(self) -> Tensor:
        return self.loc

    def _variance(self) -> Tensor:
        return math.pi**2 / 3 * self.scale**2


class Uniform(Distribution):
    """Equally likely everywhere from ``low`` to ``high``; ``high`` must be the larger one."""

    low: Tensor
    high: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {"low": REAL, "width": POSITIVE}

    def __init__(self, low: TensorLike = 0.0, high: TensorLike = 1.0) -> None:
        low, high = align(low, high, floats=True)
        super().__init__(low=low, width=high - low)
        self.high = high
        self.width: Tensor

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.low + self.width * uniform(key, shape, dtype=self.dtype)

    def _log_prob(self, x: Tensor) -> Tensor:
        return _inside((x >= self.low) & (x <= self.high), x * 0.0 - log(self.width))

    def _cdf(self, x: Tensor) -> Tensor:
        return clip((x - self.low) / self.width, 0.0, 1.0)

    def _icdf(self, p: Tensor) -> Tensor:
        return self.low + self.width * p

    def _entropy(self) -> Tensor:
        return log(self.width)

    def _mean(self) -> Tensor:
        return (self.low + self.high) / 2.0

    def _variance(self) -> Tensor:
        return self.width**2 / 12.0


class Exponential(Distribution):
    """rate·exp(-rate·x) for x ≥ 0."""

    rate: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {"rate": POSITIVE}

    def __init__(self, rate: TensorLike = 1.0) -> None:
        super().__init__(rate=rate)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self._icdf(uniform(key, shape, dtype=self.dtype))

    def _log_prob(self, x: Tensor) -> Tensor:
        return _inside(x >= 0.0, log(self.rate) - self.rate * x)

    def _cdf(self, x: Tensor) -> Tensor:
        return where(x > 0.0, -expm1(-self.rate * x), 0.0)

    def _icdf(self, p: Tensor) -> Tensor:
        return -log1p(-p) / self.rate

    def _entropy(self) -> Tensor:
        return 1.0 - log(self.rate)

    def _mean(self) -> Tensor:
        return 1.0 / self.rate

    def _variance(self) -> Tensor:
        return 1.0 / self.rate**2


class Weibull(Distribution):
    """Lifetimes whose rate grows with the power ``concentration`` - 1 of the age."""

    concentration: Tensor
    scale: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {"concentration": POSITIVE, "scale": POSITIVE}

    def __init__(self, concentration: TensorLike, scale: TensorLike = 1.0) -> None:
        super().__init__(concentration=concentration, scale=scale)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self._icdf(_unit(key, self.scale, shape))

    def _log_prob(self, x: Tensor) -> Tensor:
        k = self.concentration
        z = where(x > 0.0, x / self.scale, 1.0)
        return _inside(x > 0.0, log(k / self.scale) + (k - 1.0) * log(z) - z**k)

    def _cdf(self, x: Tensor) -> Tensor:
        z = where(x > 0.0, x / self.scale, 1.0)
        return where(x > 0.0, -expm1(-(z**self.concentration)), 0.0)

    def _icdf(self, p: Tensor) -> Tensor:
        return self.scale * (-log1p(-p)) ** (1.0 / self.concentration)

    def _entropy(self) -> Tensor:
        k = self.concentration
        return _EULER * (1.0 - 1.0 / k) + log(self.scale / k) + 1.0

    def _moment(self, order: int) -> Tensor:
        return self.scale**order * exp(lgamma(1.0 + float(order) / self.concentration))

    def _mean(self) -> Tensor:
        return self._moment(1)

    def _variance(self) -> Tensor:
        return self._moment(2) - self._moment(1) ** 2


class Gamma(Distribution):
    """xᵅ⁻¹·exp(-βx)·βᵅ / Γ(α): α is ``concentration``, β is ``rate``.

    Example:
        >>> import chainrule as cr
        >>> gamma = cr.distributions.Gamma(2.0, 0.5)
        >>> gamma.mean, gamma.variance
        (Tensor(4.), Tensor(8.))
    """

    concentration: Tensor
    rate: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {"concentration": POSITIVE, "rate": POSITIVE}

    def __init__(self, concentration: TensorLike, rate: TensorLike = 1.0) -> None:
        super().__init__(concentration=concentration, rate=rate)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return gamma_samples(key, _wide(self.concentration, shape)) / self.rate

    def _log_prob(self, x: Tensor) -> Tensor:
        a = self.concentration
        safe = where(x >= 0.0, x, 1.0)
        value = xlogy(a, self.rate) + xlogy(a - 1.0, safe) - self.rate * safe - lgamma(a)
        return _inside(x >= 0.0, value)

    def _cdf(self, x: Tensor) -> Tensor:
        return where(x > 0.0, gammainc(self.concentration, self.rate * where(x > 0.0, x, 1.0)), 0.0)

    def _entropy(self) -> Tensor:
        a = self.concentration
        return a - log(self.rate) + lgamma(a) + (1.0 - a) * digamma(a)

    def _mean(self) -> Tensor:
        return self.concentration / self.rate

    def _variance(self) -> Tensor:
        return self.concentration / self.rate**2


class Chi2(Gamma):
    """The sum of the squares of ``df`` standard normal numbers."""

    df: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {"df": POSITIVE}

    def __init__(self, df: TensorLike) -> None:
        Distribution.__init__(self, df=df)
        self.concentration, self.rate = self.df / 2.0, zeros_like(self.df) + 0.5


class InverseGamma(Distribution):
    """1/x of a gamma number."""

    concentration: Tensor
    rate: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {"concentration": POSITIVE, "rate": POSITIVE}

    def __init__(self, concentration: TensorLike, rate: TensorLike = 1.0) -> None:
        super().__init__(concentration=concentration, rate=rate)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.rate * exp(-log_gamma_samples(key, _wide(self.concentration, shape)))

    def _log_prob(self, x: Tensor) -> Tensor:
        a = self.concentration
        safe = where(x > 0.0, x, 1.0)
        return _inside(
            x > 0.0, a * log(self.rate) - lgamma(a) - (a + 1.0) * log(safe) - self.rate / safe
        )

    def _cdf(self, x: Tensor) -> Tensor:
        safe = where(x > 0.0, x, 1.0)
        return where(x > 0.0, gammaincc(self.concentration, self.rate / safe), 0.0)

    def _entropy(self) -> Tensor:
        a = self.concentration
        return a + log(self.rate) + lgamma(a) - (1.0 + a) * digamma(a)

    def _mean(self) -> Tensor:
        a = self.concentration
        return where(a > 1.0, self.rate / where(a > 1.0, a - 1.0, 1.0), math.inf)

    def _variance(self) -> Tensor:
        a = self.concentration
        safe = where(a > 2.0, a, 3.0)
        return where(a > 2.0, self.rate**2 / ((safe - 1.0) ** 2 * (safe - 2.0)), math.inf)


class Beta(Distribution):
    """xᵃ⁻¹(1-x)ᵇ⁻¹ / B(a, b) between 0 and 1."""

    a: Tensor
    b: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {"a": POSITIVE, "b": POSITIVE}

    def __init__(self, a: TensorLike, b: TensorLike) -> None:
        super().__init__(a=a, b=b)

    def _log_beta(self) -> Tensor:
        return lgamma(self.a) + lgamma(self.b) - lgamma(self.a + self.b)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        first = log_gamma_samples(fold_in(key, 0), _wide(self.a, shape))
        second = log_gamma_samples(fold_in(key, 1), _wide(self.b, shape))
        return sigmoid(first - second)

    def _log_prob(self, x: Tensor) -> Tensor:
        inside = (x >= 0.0) & (x <= 1.0)
        safe = where(inside, x, 0.5)
        value = xlogy(self.a - 1.0, safe) + xlog1py(self.b - 1.0, -safe) - self._log_beta()
        return _inside(inside, value)

    def _cdf(self, x: Tensor) -> Tensor:
        return betainc(self.a, self.b, clip(x, 0.0, 1.0))

    def _entropy(self) -> Tensor:
        a, b = self.a, self.b
        return (
            self._log_beta()
            - (a - 1.0) * digamma(a)
            - (b - 1.0) * digamma(b)
            + (a + b - 2.0) * digamma(a + b)
        )

    def _mean(self) -> Tensor:
        return self.a / (self.a + self.b)

    def _variance(self) -> Tensor:
        total = self.a + self.b
        return self.a * self.b / (total**2 * (total + 1.0))


class StudentT(Distribution):
    """Student's t with ``df`` degrees of freedom, shifted and scaled."""

    df: Tensor
    loc: Tensor
    scale: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {"df": POSITIVE, "loc": REAL, "scale": POSITIVE}

    def __init__(self, df: TensorLike, loc: TensorLike = 0.0, scale: TensorLike = 1.0) -> None:
        super().__init__(df=df, loc=loc, scale=scale)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        half = _wide(self.df, shape) / 2.0
        root = exp(-0.5 * (log_gamma_samples(fold_in(key, 1), half) - log(half)))
        return self.loc + self.scale * normal(fold_in(key, 0), shape, self.dtype) * root

    def _log_prob(self, x: Tensor) -> Tensor:
        z, half = (x - self.loc) / self.scale, self.df / 2.0
        constant = lgamma(half + 0.5) - lgamma(half) - 0.5 * log(math.pi * self.df)
        return constant - log(self.scale) - (half + 0.5) * log1p(z * z / self.df)

    def _cdf(self, x: Tensor) -> Tensor:
        z = (x - self.loc) / self.scale
        tail = 0.5 * betainc(self.df / 2.0, 0.5, self.df / (self.df + z * z))
        return where(z > 0.0, 1.0 - tail, tail)

    def _entropy(self) -> Tensor:
        half = self.df / 2.0
        log_beta = lgamma(half) + lgamma(zeros_like(half) + 0.5) - lgamma(half + 0.5)
        spread = (half + 0.5) * (digamma(half + 0.5) - digamma(half))
        return spread + 0.5 * log(self.df) + log_beta + log(self.scale)

    def _mean(self) -> Tensor:
        return where(self.df > 1.0, self.loc, math.nan)

    def _variance(self) -> Tensor:
        df = self.df
        finite = self.scale**2 * df / where(df > 2.0, df - 2.0, 1.0)
        return where(df > 2.0, finite, where(df > 1.0, math.inf, math.nan))


def _wide(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return broadcast_to(x, shape)
