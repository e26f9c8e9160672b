"""Distributions of actions: what is drawn, how likely it was, how uncertain the choice is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..engine.ops import (
    argmax,
    clip,
    exp,
    expand_dims,
    log,
    log_softmax,
    random,
    squeeze,
    take_along_axis,
    tanh,
)
from ..engine.ops import sum as total
from ..engine.tensor import Tensor

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
#: Added inside of the logarithm of 1 − a², which is 0 at the bounds.
_INSIDE = 1e-6


@dataclass(frozen=True)
class Categorical:
    """One of several actions.

    Attributes:
        logits: float32 (rows, actions).

    Example:
        >>> import chainrule as cr
        >>> even = Categorical(cr.zeros((1, 4)))
        >>> round(even.entropy().item(), 4), round(even.log_prob(cr.tensor([2])).item(), 4)
        (1.3863, -1.3863)
    """

    logits: Tensor

    def sample(self, key: Tensor) -> Tensor:
        """An action for each row, int64: the largest of the logits plus Gumbel noise."""
        u = random.uniform(key, self.logits.shape)
        noise = -log(-log(u + 2.0**-25))  # u is a multiple of 2⁻²⁴, and may be 0
        return argmax(self.logits + noise, 1)

    def mode(self) -> Tensor:
        """The most probable action of each row."""
        return argmax(self.logits, 1)

    def log_prob(self, action: Tensor) -> Tensor:
        """ln p(a) for each row."""
        chosen = take_along_axis(log_softmax(self.logits, 1), expand_dims(action, 1), 1)
        return squeeze(chosen, 1)

    def entropy(self) -> Tensor:
        """−Σ p ln p of each row."""
        logs = log_softmax(self.logits, 1)
        return -total(exp(logs) * logs, 1)


@dataclass(frozen=True)
class Gaussian:
    """Independent normal numbers.

    Attributes:
        mean: float32 (rows, numbers).
        log_std: (numbers,) or (rows, numbers).

    Example:
        >>> import chainrule as cr
        >>> one = Gaussian(cr.zeros((1, 2)), cr.zeros(2))
        >>> round(one.log_prob(cr.zeros((1, 2))).item(), 4), round(one.entropy().item(), 4)
        (-1.8379, 2.8379)
    """

    mean: Tensor
    log_std: Tensor

    def sample(self, key: Tensor) -> Tensor:
        """Numbers for each row."""
        return self.mean + exp(self.log_std) * random.normal(key, self.mean.shape)

    def mode(self) -> Tensor:
        """The mean."""
        return self.mean

    def log_prob(self, action: Tensor) -> Tensor:
        """The logarithm of the density of each row."""
        z = (action - self.mean) * exp(-self.log_std)
        return total(-0.5 * z * z - self.log_std - _HALF_LOG_TWO_PI, 1)

    def entropy(self) -> Tensor:
        """Of each row."""
        return total(self.log_std + (0.5 + _HALF_LOG_TWO_PI) + 0.0 * self.mean, 1)


@dataclass(frozen=True)
class SquashedGaussian:
    """tanh of independent normal numbers: actions between −1 and 1, as SAC takes them.

    Attributes:
        mean: float32 (rows, numbers), before tanh.
        log_std: the same.

    Example:
        >>> import chainrule as cr
        >>> one = SquashedGaussian(cr.zeros((1, 1)), cr.zeros((1, 1)))
        >>> round(one.log_prob_of(cr.zeros((1, 1))).item(), 4)
        -0.9189
    """

    mean: Tensor
    log_std: Tensor

    def sample(self, key: Tensor) -> tuple[Tensor, Tensor]:
        """Actions (rows, numbers), and the logarithm of their density (rows,)."""
        return self.at(random.normal(key, self.mean.shape))

    def at(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Actions and log-densities for given normal noise: derivatives reach mean and log_std."""
        before = self.mean + exp(self.log_std) * noise
        return tanh(before), self.log_prob_of(before)

    def log_prob_of(self, before: Tensor) -> Tensor:
        """ln p(tanh u) = ln N(u) − Σ ln(1 − tanh²u)."""
        squashed = tanh(before)
        inside = 1.0 - squashed * squashed + _INSIDE
        return Gaussian(self.mean, self.log_std).log_prob(before) - total(log(inside), 1)

    def mode(self) -> Tensor:
        """tanh of the mean."""
        return tanh(self.mean)


def scaled_to(action: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Actions from −1 … 1 between bounds."""
    return low + 0.5 * (clip(action, -1.0, 1.0) + 1.0) * (high - low)


__all__ = ["Categorical", "Gaussian", "SquashedGaussian", "scaled_to"]
