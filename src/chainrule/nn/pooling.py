"""Layers that shrink and enlarge images, (batch, *extents, channels), without weights."""

from __future__ import annotations

from typing import Any, ClassVar

from ..engine import ops
from ..engine.ops.declare import floating
from ..engine.ops.sliding_window import LAYOUT, Padding, PerAxis, check_padding, per_axis
from ..engine.tensor import Tensor, TensorLike
from ..errors import ConfigError
from .checks import image
from .module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "Upsample",
]


#: The options that a representation leaves out.
_USUAL = {
    "stride": None,
    "padding": 0,
    "ceil_mode": False,
    "dilation": 1,
    "return_indices": False,
    "count_include_pad": True,
}


class _Pool(Module):
    rank: ClassVar[int]

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = kernel_size
        per_axis("kernel_size", kernel_size, self.rank)
        if stride is not None:
            per_axis("stride", stride, self.rank)
        check_padding(padding, self.rank)
        self.options: dict[str, Any] = {
            "stride": stride,
            "padding": padding,
            "ceil_mode": ceil_mode,
        }

    def _image(self, x: TensorLike) -> Tensor:
        return image(x, LAYOUT[self.rank])

    def extra_repr(self) -> str:
        shown = [f"{k}={v!r}" for k, v in self.options.items() if v != _USUAL[k]]
        return ", ".join([str(self.kernel_size), *shown])


class _MaxPool(_Pool):
    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        dilation: PerAxis = 1,
        return_indices: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        per_axis("dilation", dilation, self.rank)
        self.options |= {"dilation": dilation, "return_indices": return_indices}

    def forward(self, x: TensorLike) -> Any:
        return ops.max_pool(self._image(x), self.kernel_size, **self.options)


class _AvgPool(_Pool):
    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.options["count_include_pad"] = count_include_pad

    def forward(self, x: TensorLike) -> Tensor:
        return ops.avg_pool(self._image(x), self.kernel_size, **self.options)


class MaxPool1d(_MaxPool):
    """The largest of every window of a series, (batch, length, channels): as `MaxPool2d`."""

    rank = 1


class MaxPool2d(_MaxPool):
    """The largest of every window of an image, channel by channel: `chainrule.ops.max_pool`.

    Takes (batch, height, width, channels). Equal largest elements share the gradient.

    Args:
        kernel_size: extents of the window; one number, or one for each axis.
        stride: from one window to the next; the window's extents if it is not given.
        padding: a number, one for each axis, (before, after) for each, "same" or "valid".
        ceil_mode: whether a last window may reach over the edge, where the stride does not fit.
        dilation: from one element of a window to the next.
        return_indices: whether the result is a pair with the places for `MaxUnpool2d`.

    Raises:
        ShapeError: when called with an image smaller than the window; it names the layer.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.MaxPool2d(2)(cr.ones((5, 28, 28, 3))).shape
        (5, 14, 14, 3)
    """

    rank = 2


class MaxPool3d(_MaxPool):
    """The largest of every window of (batch, depth, height, width, channels): as `MaxPool2d`."""

    rank = 3


class _MaxUnpool(_Pool):
    def __init__(
        self, kernel_size: PerAxis, stride: PerAxis | None = None, padding: Padding = 0
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        del self.options["ceil_mode"]

    def forward(self, x: TensorLike, indices: TensorLike, size: PerAxis | None = None) -> Tensor:
        return ops.max_unpool(self._image(x), indices, self.kernel_size, **self.options, size=size)


class MaxUnpool1d(_MaxUnpool):
    """The largest of windows back in their series, zeros elsewhere: as `MaxUnpool2d`."""

    rank = 1


class MaxUnpool2d(_MaxUnpool):
    """The largest of windows back in their image, zeros elsewhere: `chainrule.ops.max_unpool`.

    Called with what a `MaxPool2d` gave, its indices, and on demand the extents of the image.

    Args:
        kernel_size: extents of the window; one number, or one for each axis.
        stride: from one window to the next; the window's extents if it is not given.
        padding: as of the `MaxPool2d`, but for "same".

    Example:
        >>> import chainrule as cr
        >>> y, indices = cr.nn.MaxPool2d(2, return_indices=True)(cr.ones((5, 28, 28, 3)))
        >>> cr.nn.MaxUnpool2d(2)(y, indices).shape
        (5, 28, 28, 3)
    """

    rank = 2


class MaxUnpool3d(_MaxUnpool):
    """The largest of windows back in their volume, zeros elsewhere: as `MaxUnpool2d`."""

    rank = 3


class AvgPool1d(_AvgPool):
    """The mean of every window of a series, (batch, length, channels): as `AvgPool2d`."""

    rank = 1


class AvgPool2d(_AvgPool):
    """The mean of every window of an image, channel by channel: `chainrule.ops.avg_pool`.

    Args:
        kernel_size: extents of the window; one number, or one for each axis.
        stride: from one window to the next; the window's extents if it is not given.
        padding: see `MaxPool2d`; zeros.
        ceil_mode: whether a last window may reach over the edge.
        count_include_pad: whether zeros of the padding count for the mean.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.AvgPool2d(2)(cr.ones((5, 28, 28, 3))).shape
        (5, 14, 14, 3)
    """

    rank = 2


class AvgPool3d(_AvgPool):
    """The mean of every window of (batch, depth, height, width, channels): as `AvgPool2d`."""

    rank = 3


class _AdaptivePool(Module):
    rank: ClassVar[int]

    def __init__(self, output_size: PerAxis) -> None:
        self.output_size = output_size
        per_axis("output_size", output_size, self.rank)

    def extra_repr(self) -> str:
        return str(self.output_size)


class _AdaptiveAvgPool(_AdaptivePool):
    def forward(self, x: TensorLike) -> Tensor:
        return ops.adaptive_avg_pool(image(x, LAYOUT[self.rank]), self.output_size)


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(self, output_size: PerAxis, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, x: TensorLike) -> Any:
        return ops.adaptive_max_pool(
            image(x, LAYOUT[self.rank]), self.output_size, self.return_indices
        )

    def extra_repr(self) -> str:
        return super().extra_repr() + ", return_indices=True" * self.return_indices


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of the given number of parts of a series: as `AdaptiveAvgPool2d`."""

    rank = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of the given number of parts of an image: `chainrule.ops.adaptive_avg_pool`.

    Args:
        output_size: extents of the result; one number, or one for each axis.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.AdaptiveAvgPool2d(2)(cr.ones((5, 7, 9, 3))).shape
        (5, 2, 2, 3)
    """

    rank = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Means of the given number of parts of a volume: as `AdaptiveAvgPool2d`."""

    rank = 3


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest of the given number of parts of a series: as `AdaptiveMaxPool2d`."""

    rank = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest of the given number of parts of an image: `chainrule.ops.adaptive_max_pool`.

    Args:
        output_size: extents of the result; one number, or one for each axis.
        return_indices: whether the result is a pair with the places in the flat image.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.AdaptiveMaxPool2d(2)(cr.ones((5, 7, 9, 3))).shape
        (5, 2, 2, 3)
    """

    rank = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest of the given number of parts of a volume: as `AdaptiveMaxPool2d`."""

    rank = 3


def _extents(x: TensorLike) -> tuple[Tensor, range]:
    """An image with one to three extents, and their axes."""
    given = floating(x)
    given = image(given, LAYOUT.get(given.ndim - 2, LAYOUT[2]))
    return given, range(1, given.ndim - 1)


class GlobalAvgPool(Module):
    """The mean of every channel over all extents, from (batch, *extents, channels).

    Example:
        >>> import chainrule as cr
        >>> cr.nn.GlobalAvgPool()(cr.ones((5, 7, 7, 3))).shape
        (5, 3)
    """

    def forward(self, x: TensorLike) -> Tensor:
        x, axes = _extents(x)
        return ops.mean(x, axes)


class GlobalMaxPool(Module):
    """The largest of every channel over all extents, from (batch, *extents, channels).

    Example:
        >>> import chainrule as cr
        >>> cr.nn.GlobalMaxPool()(cr.ones((5, 7, 7, 3))).shape
        (5, 3)
    """

    def forward(self, x: TensorLike) -> Tensor:
        x, axes = _extents(x)
        return ops.max(x, axes)


class Upsample(Module):
    """The image with larger (or other) extents: `chainrule.ops.interpolate`.

    Args:
        size: the new extents.
        scale_factor: instead of the size: how many times as large, integers.
        mode: "nearest", or "linear", "bilinear", "trilinear" for one, two and three axes.
        align_corners: of linear modes: whether first and last elements keep their positions.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.Upsample(scale_factor=2)(cr.ones((5, 7, 7, 3))).shape
        (5, 14, 14, 3)
    """

    def __init__(
        self,
        size: PerAxis | None = None,
        scale_factor: PerAxis | None = None,
        mode: str = "nearest",
        align_corners: bool = False,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ConfigError("Upsample takes a size or a scale_factor.",
                              found="both" if size is not None else "neither")  # fmt: skip
        self.options = {
            "size": size,
            "scale_factor": scale_factor,
            "mode": mode,
            "align_corners": align_corners,
        }

    def forward(self, x: TensorLike) -> Tensor:
        return ops.interpolate(x, **self.options)  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        usual = {"size": None, "scale_factor": None, "mode": "nearest", "align_corners": False}
        return ", ".join(f"{k}={v!r}" for k, v in self.options.items() if v != usual[k])
