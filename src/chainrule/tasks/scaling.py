"""Numbers to predict on a scale on which errors are alike, and the way back."""

from __future__ import annotations

from typing import Self

import numpy as np

from ..engine.ops import exp, maximum, minimum
from ..engine.tensor import Buffer, Tensor
from ..nn import Module
from ..utils.typing import Array


class TargetScaler(Module):
    """The target of a regression, standardised; its logarithm where that is far less skewed.

    t = (ln y - mean) / std if y is positive and its logarithm is far less skewed, otherwise
    (y - mean) / std. Back: y = exp(t · std + mean), where t is first cut off a little outside of
    what was seen in training, so that an exponential cannot run away.

    Args:
        log: whether to take the logarithm; None lets `fit` decide it.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> scaler = TargetScaler().fit(np.array([1.0, 3.0]))
        >>> scaler.transform(np.array([3.0])), scaler(cr.tensor([1.0])).numpy()
        (array([1.], dtype=float32), array([3.]))
    """

    _MARGIN = 0.5

    def __init__(self, log: bool | None = None) -> None:
        self.log = log
        self.mean, self.std = Buffer(0.0, "float64"), Buffer(1.0, "float64")
        self.low, self.high = Buffer(0.0, "float64"), Buffer(0.0, "float64")

    def fit(self, target: Array) -> Self:
        """Take the statistics of these numbers, the training ones."""
        if self.log is None:
            self.log = log_is_better(target)
        y = np.log(target) if self.log else target
        self.mean.assign(float(y.mean()))
        self.std.assign(float(y.std()) or 1.0)
        scaled = self.transform(target)
        self.low.assign(float(scaled.min()) - self._MARGIN)
        self.high.assign(float(scaled.max()) + self._MARGIN)
        return self

    def widen(self, target: Array) -> Self:
        """Let predictions go as far as these numbers, too."""
        scaled = self.transform(target)
        self.low.assign(min(self.low.item(), float(scaled.min()) - self._MARGIN))
        self.high.assign(max(self.high.item(), float(scaled.max()) + self._MARGIN))
        return self

    def transform(self, target: Array) -> Array:
        """Numbers → what the network is trained on, float32."""
        y = np.log(np.maximum(target, np.finfo(float).tiny)) if self.log else target
        return np.asarray((y - self.mean.item()) / self.std.item(), np.float32)

    def forward(self, scaled: Tensor) -> Tensor:
        """What the network gives → numbers, float64: the inverse of `transform`."""
        scaled = scaled.astype("float64")
        if self.log:
            scaled = minimum(maximum(scaled, self.low), self.high)
            return exp(scaled * self.std + self.mean)
        return scaled * self.std + self.mean


def log_is_better(values: Array) -> bool:
    """Whether the known values are positive and their logarithm is far less skewed.

    Example:
        >>> import numpy as np
        >>> log_is_better(np.exp(np.arange(9.0))), log_is_better(np.arange(1.0, 9.0))
        (True, False)
    """
    known = values[~np.isnan(values)]
    if not len(known) or known.min() <= 0:
        return False
    before, after = _skewness(known), _skewness(np.log(known))
    return before > 1 and abs(after) < 0.5 * before


def _skewness(y: Array) -> float:
    deviation = y.std()
    return float((((y - y.mean()) / deviation) ** 3).mean()) if deviation > 0 else 0.0
