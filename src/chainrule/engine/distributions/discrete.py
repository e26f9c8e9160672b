"""Distributions of integers: samples are int64 and have no derivative."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ...errors import ConfigError
from ..ops import (
    argmax,
    astype,
    betainc,
    ceil,
    clip,
    exp,
    expand_dims,
    floor,
    gammaincc,
    lgamma,
    log,
    log1p,
    log_softmax,
    sigmoid,
    softmax,
    softplus,
    squeeze,
    sum,
    take_along_axis,
    where,
    xlog1py,
    xlogy,
)  # fmt: skip
from ..ops.declare import broadcast_to, common_shape
from ..ops.random import uniform
from ..ops.scan import scan
from ..tensor import Tensor, TensorLike, as_tensor
from .base import NOT_NEGATIVE, POSITIVE, PROBABILITY, REAL, Constraint, Distribution, _short
from .continuous import _inside, _unit

__all__ = ["Bernoulli", "Binomial", "Categorical", "Geometric", "NegativeBinomial", "Poisson"]


class _Counts(Distribution):
    """Numbers from 0 on."""

    reparameterized: ClassVar[bool] = False

    def _log_prob(self, x: Tensor) -> Tensor:
        possible = (x >= 0.0) & (x == floor(x))
        return _inside(possible, self._log_mass(where(possible, x, 0.0)))

    def _cdf(self, x: Tensor) -> Tensor:
        x = floor(x)
        return where(x >= 0.0, self._up_to(where(x >= 0.0, x, 0.0)), 0.0)

    def _log_mass(self, k: Tensor) -> Tensor:
        raise self._missing("log_prob")

    def _up_to(self, k: Tensor) -> Tensor:
        raise self._missing("cdf")

    def _largest(self) -> Tensor:
        """A number that is not exceeded, but for 1 in 10¹⁶."""
        raise self._missing("sample")

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The smallest k with P(x ≤ k) ≥ u, by bisection."""
        u = uniform(key, shape, dtype="float64")
        high = broadcast_to(astype(ceil(self._largest()), "float64"), shape)

        def halve(ends: Any, _: Any) -> Any:
            low, high = ends
            middle = floor((low + high) / 2.0)
            enough = astype(self._up_to(astype(middle, self.dtype)), "float64") >= u
            return (where(enough, low, middle), where(enough, middle, high)), None

        (_, found), _ = scan(
            halve, (high * 0.0 - 1.0, high), length=_HALVINGS, differentiable=False
        )
        return astype(found, "int64")


#: Bisection of up to 2³⁰ numbers.
_HALVINGS = 31


class Bernoulli(Distribution):
    """1 with a probability, else 0. Give ``probs`` or ``logits`` = ln(p / (1 - p)).

    Example:
        >>> import chainrule as cr
        >>> cr.distributions.Bernoulli(0.25).log_prob([0, 1])
        Tensor([-0.28768..., -1.38629...])
    """

    reparameterized: ClassVar[bool] = False
    constraints: ClassVar[dict[str, Constraint]] = {"logits": REAL, "probs": PROBABILITY}

    def __init__(
        self, probs: TensorLike | None = None, *, logits: TensorLike | None = None
    ) -> None:
        self.logits: Tensor | None = None
        if logits is None:
            super().__init__(probs=_one_of(probs, logits, "Bernoulli"))
            self.probs: Tensor
        else:
            super().__init__(logits=_one_of(probs, logits, "Bernoulli"))
            self.probs = sigmoid(self.logits)

    def __repr__(self) -> str:
        return _shown(self)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return astype(uniform(key, shape, dtype=self.dtype) < self.probs, "int64")

    def _log_prob(self, x: Tensor) -> Tensor:
        if self.logits is not None:
            value = x * self.logits - softplus(self.logits)
        else:
            value = xlogy(x, self.probs) + xlog1py(1.0 - x, -self.probs)
        return _inside((x == 0.0) | (x == 1.0), value)

    def _cdf(self, x: Tensor) -> Tensor:
        return where(x < 0.0, 0.0, where(x < 1.0, 1.0 - self.probs, 1.0))

    def _entropy(self) -> Tensor:
        p = self.probs
        return -xlogy(p, p) - xlog1py(1.0 - p, -p)

    def _mean(self) -> Tensor:
        return self.probs

    def _variance(self) -> Tensor:
        return self.probs * (1.0 - self.probs)


class Categorical(Distribution):
    """A class index, from ``probs`` or ``logits`` along the last axis.

    ``probs`` are divided by their sum; of ``logits`` the softmax is taken.

    Example:
        >>> import chainrule as cr
        >>> cr.distributions.Categorical(probs=[0.5, 0.25, 0.25]).entropy()
        Tensor(1.0397...)
    """

    reparameterized: ClassVar[bool] = False
    constraints: ClassVar[dict[str, Constraint]] = {"logits": REAL, "probs": NOT_NEGATIVE}

    def __init__(
        self, probs: TensorLike | None = None, *, logits: TensorLike | None = None
    ) -> None:
        given = as_tensor(_one_of(probs, logits, "Categorical"))
        if not given.ndim or not given.shape[-1]:
            raise ConfigError("Categorical takes probabilities of classes along the last axis.",
                              expected="(..., classes)", found=str(given.shape))  # fmt: skip
        if logits is None:
            super().__init__(probs=given)
            self.probs = self.probs / sum(self.probs, -1, keepdims=True)
            self.logits = log(self.probs)
        else:
            super().__init__(logits=given)
            self.logits = log_softmax(self.logits, -1)
            self.probs = softmax(self.logits, -1)
        self.classes = self.shape[-1]
        self.shape = self.shape[:-1]

    probs: Tensor
    logits: Tensor

    def __repr__(self) -> str:
        return _shown(self)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The largest of logits with Gumbel noise."""
        noise = -log(-log(_unit(key, self.logits, (*shape, self.classes))))
        return argmax(self.logits + noise, -1)

    def _log_prob(self, x: Tensor) -> Tensor:
        x = as_tensor(x)
        index = astype(x, "int64")
        possible = (index >= 0) & (index < self.classes) & (astype(index, x.dtype) == x)
        shape = common_shape([index.shape, self.shape])
        table = broadcast_to(self.logits, (*shape, self.classes))
        safe = broadcast_to(where(possible, index, 0), shape)
        found = squeeze(take_along_axis(table, expand_dims(safe, -1), -1), -1)
        return _inside(broadcast_to(possible, shape), found)

    def _entropy(self) -> Tensor:
        return -sum(xlogy(self.probs, self.probs), -1)

    def _mean(self) -> Tensor:
        raise self._missing("mean: classes have no order")


class Binomial(_Counts):
    """How many of ``n`` trials succeed, each with probability ``probs``."""

    n: Tensor
    probs: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {
        "n": (lambda x: (x >= 0) & (x < math.inf) & (x == x // 1), "an integer of at least 0"),
        "probs": PROBABILITY,
    }

    def __init__(self, n: TensorLike, probs: TensorLike) -> None:
        super().__init__(n=n, probs=probs)

    def _log_prob(self, x: Tensor) -> Tensor:
        return _inside(x <= self.n, super()._log_prob(where(x <= self.n, x, 0.0)))

    def _log_mass(self, k: Tensor) -> Tensor:
        ways = lgamma(self.n + 1.0) - lgamma(k + 1.0) - lgamma(self.n - k + 1.0)
        return ways + xlogy(k, self.probs) + xlog1py(self.n - k, -self.probs)

    def _up_to(self, k: Tensor) -> Tensor:
        all_of_them = k >= self.n
        safe = where(all_of_them, 0.0, k)
        some = betainc(where(all_of_them, 1.0, self.n - safe), safe + 1.0, 1.0 - self.probs)
        return where(all_of_them, 1.0, some)

    def _largest(self) -> Tensor:
        return self.n

    def _mean(self) -> Tensor:
        return self.n * self.probs

    def _variance(self) -> Tensor:
        return self.n * self.probs * (1.0 - self.probs)


class Poisson(_Counts):
    """How many events happen that are expected ``rate`` times."""

    rate: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {"rate": POSITIVE}

    def __init__(self, rate: TensorLike) -> None:
        super().__init__(rate=rate)

    def _log_mass(self, k: Tensor) -> Tensor:
        return xlogy(k, self.rate) - self.rate - lgamma(k + 1.0)

    def _up_to(self, k: Tensor) -> Tensor:
        return gammaincc(k + 1.0, self.rate)

    def _largest(self) -> Tensor:
        return self.rate + 9.0 * self.rate**0.5 + 45.0

    def _mean(self) -> Tensor:
        return self.rate

    def _variance(self) -> Tensor:
        return self.rate


class Geometric(_Counts):
    """How many trials fail before the first success, each succeeding with probability ``probs``."""

    probs: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {
        "probs": (lambda x: (x > 0) & (x <= 1), "above 0, up to 1")
    }

    def __init__(self, probs: TensorLike) -> None:
        super().__init__(probs=probs)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        u = 1.0 - uniform(key, shape, dtype="float64")
        certain = self.probs >= 1.0
        rate = log1p(-astype(where(certain, 0.5, self.probs), "float64"))
        return astype(where(certain, 0.0, floor(log(u) / rate)), "int64")

    def _log_mass(self, k: Tensor) -> Tensor:
        return xlog1py(k, -self.probs) + log(self.probs)

    def _up_to(self, k: Tensor) -> Tensor:
        return 1.0 - exp(xlog1py(k + 1.0, -self.probs))

    def _entropy(self) -> Tensor:
        p = self.probs
        return (-xlogy(p, p) - xlog1py(1.0 - p, -p)) / p

    def _mean(self) -> Tensor:
        return (1.0 - self.probs) / self.probs

    def _variance(self) -> Tensor:
        return (1.0 - self.probs) / self.probs**2


class NegativeBinomial(_Counts):
    """How many trials fail before ``n`` of them succeed; ``n`` may be any number above 0."""

    n: Tensor
    probs: Tensor
    constraints: ClassVar[dict[str, Constraint]] = {
        "n": POSITIVE,
        "probs": (lambda x: (x > 0) & (x <= 1), "above 0, up to 1"),
    }

    def __init__(self, n: TensorLike, probs: TensorLike) -> None:
        super().__init__(n=n, probs=probs)

    def _log_mass(self, k: Tensor) -> Tensor:
        ways = lgamma(k + self.n) - lgamma(k + 1.0) - lgamma(self.n)
        return ways + self.n * log(self.probs) + xlog1py(k, -self.probs)

    def _up_to(self, k: Tensor) -> Tensor:
        return betainc(self.n, k + 1.0, self.probs)

    def _largest(self) -> Tensor:
        """The sum of n waiting times, each of which is rarely more than 40 times its mean."""
        return clip(self.mean + 9.0 * self.variance**0.5 + 45.0 / self.probs, 0.0, 2.9e4)

    def _mean(self) -> Tensor:
        return self.n * (1.0 - self.probs) / self.probs

    def _variance(self) -> Tensor:
        return self.n * (1.0 - self.probs) / self.probs**2


def _one_of(probs: TensorLike | None, logits: TensorLike | None, name: str) -> TensorLike:
    """The one that is given."""
    if (probs is None) == (logits is None):
        raise ConfigError(f"{name} takes either probs or logits.",
                          found="both" if probs is not None else "neither")  # fmt: skip
    return probs if logits is None else logits


def _shown(self: Any) -> str:
    return f"{type(self).__name__}(probs={_short(self.probs)})"
