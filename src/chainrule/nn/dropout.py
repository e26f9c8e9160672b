"""Layers that drop a random part of their input while training."""

from __future__ import annotations

from ..engine.ops import random, where
from ..engine.ops.declare import floating
from ..engine.tensor import Tensor, TensorLike
from ..errors import ConfigError
from .checks import fraction
from .module import Module

__all__ = ["AlphaDropout", "Dropout", "SpatialDropout"]


class _Dropout(Module):
    def __init__(self, p: float = 0.5) -> None:
        self.p = fraction("The probability p of dropping", p, include_one=False)

    def forward(self, x: TensorLike, *, train: bool = False, key: Tensor | None = None) -> Tensor:
        given = floating(x)
        if not train or self.p == 0:
            return given
        drawn = random.uniform(self._needed(key), self._drawn(given.shape), dtype=given.dtype)
        return self._drop(given, drawn >= self.p)

    def _needed(self, key: Tensor | None) -> Tensor:
        if key is None:
            raise ConfigError(
                f"{type(self).__name__.lstrip('_')} needs a random key to train.",
                expected="model(x, train=True, key=key)",
                found="no key",
                hint="Make a key with cr.random.key(seed), and for every step a new one with "
                "cr.random.fold_in(key, step).",
            )
        return key

    def _drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of what is drawn, which is broadcast to that of the input."""
        return shape

    def _drop(self, x: Tensor, keep: Tensor) -> Tensor:
        raise NotImplementedError

    def extra_repr(self) -> str:
        return str(self.p)


class Dropout(_Dropout):
    """While training each number becomes 0 with probability p, the others are divided by 1 - p.

    So the mean is kept, and without training it does nothing (Srivastava et al., 2014; "inverted").
    Which numbers depends on the key alone.

    Args:
        p: probability of dropping, 0 ≤ p < 1.

    Raises:
        ConfigError: when training without a key.

    Example:
        >>> import chainrule as cr
        >>> y = cr.nn.Dropout(0.5)(cr.ones(1000), train=True, key=cr.random.key(0))
        >>> sorted(set(y.tolist()))
        [0.0, 2.0]
    """

    def _drop(self, x: Tensor, keep: Tensor) -> Tensor:
        return where(keep, x * (1 / (1 - self.p)), 0.0)


class SpatialDropout(Dropout):
    """Dropout of whole channels: neighbours in an image are too alike to be dropped one by one.

    PyTorch's Dropout1d, 2d and 3d: for each image of (batch, *extents, channels) each channel
    becomes 0 with probability p, the others are divided by 1 - p (Tompson et al., CVPR 2015).

    Args:
        p: probability of dropping, 0 ≤ p < 1.

    Example:
        >>> import chainrule as cr
        >>> y = cr.nn.SpatialDropout(0.5)(cr.ones((4, 2, 2, 3)), train=True, key=cr.random.key(0))
        >>> bool((y == y[:, :1, :1]).all())
        True
    """

    def _drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], *(1 for _ in shape[1:-1]), shape[-1]) if len(shape) > 1 else shape


#: Where selu ends for x → -∞: -scale·α.
_SELU_FLOOR = -1.7580993408473768


class AlphaDropout(_Dropout):
    """Dropout for selu: keeps mean 0 and variance 1 (Klambauer et al., 2017).

    A dropped number becomes α' = -1.758, selu's lowest value; then all become a·x + b with
    a = ((1-p)(1 + p·α'²))^(-1/2) and b = -a·p·α'.

    Args:
        p: probability of dropping, 0 ≤ p < 1.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.AlphaDropout(0.2)(cr.tensor([1.0, 2.0])).tolist()
        [1.0, 2.0]
    """

    def _drop(self, x: Tensor, keep: Tensor) -> Tensor:
        a = ((1 - self.p) * (1 + self.p * _SELU_FLOOR**2)) ** -0.5
        y: Tensor = a * where(keep, x, _SELU_FLOOR) - a * self.p * _SELU_FLOOR
        return y
