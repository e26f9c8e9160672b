"""Layers for images that neither convolve nor pool: patches, shuffles, channels beside others."""

from __future__ import annotations

from ..engine import ops
from ..engine.ops.sliding_window import PerAxis
from ..engine.tensor import Tensor, TensorLike
from .checks import positive_integer
from .module import Module

__all__ = ["Fold", "LocalResponseNorm", "PixelShuffle", "PixelUnshuffle", "Unfold"]


class _Shuffle(Module):
    def __init__(self, factor: int) -> None:
        self.factor = positive_integer("factor", factor)

    def extra_repr(self) -> str:
        return str(self.factor)


class PixelShuffle(_Shuffle):
    """Channels as places: `chainrule.ops.pixel_shuffle`.

    Args:
        factor: how many times as large each extent becomes.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.PixelShuffle(2)(cr.ones((5, 7, 7, 12))).shape
        (5, 14, 14, 3)
    """

    def forward(self, x: TensorLike) -> Tensor:
        return ops.pixel_shuffle(x, self.factor)


class PixelUnshuffle(_Shuffle):
    """Places as channels, the inverse of `PixelShuffle`: `chainrule.ops.pixel_unshuffle`.

    Args:
        factor: what divides each extent.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.PixelUnshuffle(2)(cr.ones((5, 14, 14, 3))).shape
        (5, 7, 7, 12)
    """

    def forward(self, x: TensorLike) -> Tensor:
        return ops.pixel_unshuffle(x, self.factor)


class Unfold(Module):
    """The patches of an image: `chainrule.ops.unfold`.

    Args:
        window: extents of a patch.
        stride: from one patch to the next.
        padding: zeros around the image.
        dilation: from one element of a patch to the next.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.Unfold(2, stride=2)(cr.ones((5, 8, 6, 3))).shape
        (5, 4, 3, 2, 2, 3)
    """

    def __init__(
        self, window: PerAxis, stride: PerAxis = 1, padding: PerAxis = 0, dilation: PerAxis = 1
    ) -> None:
        self.window = window
        self.options = {"stride": stride, "padding": padding, "dilation": dilation}

    def forward(self, x: TensorLike) -> Tensor:
        return ops.unfold(x, self.window, **self.options)

    def extra_repr(self) -> str:
        return ", ".join([str(self.window), *(f"{k}={v}" for k, v in self.options.items())])


class Fold(Module):
    """The image of its patches, added where they overlap: `chainrule.ops.fold`.

    Args:
        size: the extents of the image.
        stride: from one patch to the next.
        padding: zeros around the image.
        dilation: from one element of a patch to the next.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.Fold((8, 6), stride=2)(cr.ones((5, 4, 3, 2, 2, 3))).shape
        (5, 8, 6, 3)
    """

    def __init__(
        self, size: PerAxis, stride: PerAxis = 1, padding: PerAxis = 0, dilation: PerAxis = 1
    ) -> None:
        self.size = size
        self.options = {"stride": stride, "padding": padding, "dilation": dilation}

    def forward(self, x: TensorLike) -> Tensor:
        return ops.fold(x, self.size, **self.options)

    def extra_repr(self) -> str:
        return ", ".join([str(self.size), *(f"{k}={v}" for k, v in self.options.items())])


class LocalResponseNorm(Module):
    """x / (k + alpha·mean of the squares of neighbouring channels)^beta.

    Krizhevsky et al., 2012: `chainrule.ops.local_response_norm`.

    Args:
        size: how many channels are neighbours.
        alpha: what their squares count for.
        beta: the exponent.
        k: what is added.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.LocalResponseNorm(2, alpha=6.0, beta=1.0)(cr.ones((1, 2))).tolist()
        [[0.25, 0.142...]]
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size = positive_integer("size", size)
        self.alpha, self.beta, self.k = alpha, beta, k

    def forward(self, x: TensorLike) -> Tensor:
        return ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
