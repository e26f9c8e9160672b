"""What all distributions share: parameters of one shape, samples from a key, densities, moments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from ..ops import exp, sqrt
from ..ops.check import require
from ..ops.declare import align
from ..tensor import Tensor, TensorLike, as_tensor, has_value

Shape = Iterable[int]

#: What a parameter must be: a test, and how it is said.
Constraint = tuple[Callable[[Any], Any], str]
REAL: Constraint = (lambda x: x == x, "a number")
POSITIVE: Constraint = (lambda x: (x > 0) & (x < math.inf), "a finite number above 0")
NOT_NEGATIVE: Constraint = (lambda x: (x >= 0) & (x < math.inf), "a finite number of at least 0")
PROBABILITY: Constraint = (lambda x: (x >= 0) & (x <= 1), "from 0 to 1")


class Distribution:
    """A distribution, or one for each element of its parameters.

    Subclasses say what is special; a method that a distribution does not have raises
    `NotImplementedError` with its name.

    Attributes:
        shape: of the parameters: how many distributions there are.
        event_shape: of one sample of one of them; () for single numbers.
        reparameterized: whether derivatives go through `sample` to the parameters.
    """

    reparameterized: ClassVar[bool] = True
    event_shape: tuple[int, ...] = ()
    #: The parameters by name, and what each must be.
    constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, **parameters: TensorLike) -> None:
        """Parameters are converted to floating point and broadcast to one shape."""
        for name, x in zip(parameters, align(*parameters.values(), floats=True), strict=True):
            test, expected = self.constraints[name]
            about = (f"{type(self).__name__} cannot have this {name}.", expected)
            setattr(self, name, require(x, test, about))
        first: Tensor = getattr(self, next(iter(parameters)))
        self.shape, self.dtype = first.shape, first.dtype

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={_short(getattr(self, name))}" for name in self.constraints)
        return f"{type(self).__name__}({given})"

    # ---- what a distribution has -------------------------------------------------------------

    def sample(self, key: Tensor, shape: Shape = ()) -> Tensor:
        """Random samples, (*shape, *self.shape, *event_shape), the same ones for the same key.

        Derivatives reach the parameters where the distribution is `reparameterized`; the others
        give integers.
        """
        return self._sample(key, (*shape, *self.shape))

    def log_prob(self, x: TensorLike) -> Tensor:
        """The logarithm of the density, or probability, at ``x``; -∞ where x cannot occur."""
        return self._log_prob(self._like(x))

    def prob(self, x: TensorLike) -> Tensor:
        """The density, or probability, at ``x``."""
        return exp(self.log_prob(x))

    def cdf(self, x: TensorLike) -> Tensor:
        """The probability of at most ``x``."""
        return self._cdf(self._like(x))

    def icdf(self, p: TensorLike) -> Tensor:
        """The quantile at probability ``p``: the inverse of `cdf`."""
        return self._icdf(self._like(p))

    def entropy(self) -> Tensor:
        """-E[log p(x)], in nats."""
        return self._entropy()

    @property
    def mean(self) -> Tensor:
        """E[x]; NaN where there is none."""
        return self._mean()

    @property
    def variance(self) -> Tensor:
        """E[(x - E[x])²]; NaN where there is none."""
        return self._variance()

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return sqrt(self.variance)

    # ---- what subclasses say, of tensors of the element type of the parameters ---------------

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        raise self._missing("sample")

    def _log_prob(self, x: Tensor) -> Tensor:
        raise self._missing("log_prob")

    def _cdf(self, x: Tensor) -> Tensor:
        raise self._missing("cdf")

    def _icdf(self, p: Tensor) -> Tensor:
        raise self._missing("icdf")

    def _entropy(self) -> Tensor:
        raise self._missing("entropy")

    def _mean(self) -> Tensor:
        raise self._missing("mean")

    def _variance(self) -> Tensor:
        raise self._missing("variance")

    # ---- for subclasses ----------------------------------------------------------------------

    def _missing(self, name: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} has no {name}.")

    def _like(self, x: TensorLike) -> Tensor:
        """The argument as floating point: numbers in the element type of the parameters."""
        if isinstance(x, (Tensor, np.ndarray)):
            x = as_tensor(x)
            return x if x.type.is_float else x.astype(self.dtype)
        return as_tensor(x, self.dtype)


def _short(x: Tensor) -> str:
    return str(x.tolist()) if x.size <= 4 and has_value(x.node) else str(x.type)
