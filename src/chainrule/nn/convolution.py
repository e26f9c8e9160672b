"""Layers of convolutions; images are channels-last, (batch, *extents, channels)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from ..engine import ops
from ..engine.ops import reshape, swapaxes
from ..engine.ops.sliding_window import LAYOUT, Padding, PerAxis, check_padding, per_axis
from ..engine.tensor import Tensor, TensorLike
from ..errors import ConfigError
from .checks import image, positive_integer
from .initialization import Initializer, _find, parameter
from .module import Module

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "DepthwiseConv2d",
    "SeparableConv2d",
]


class _Convolution(Module):
    """What convolutions and transposed convolutions share; a subclass names the function."""

    rank: ClassVar[int]
    function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PerAxis,
        options: dict[str, Any],
        bias: bool,
        init: str | Initializer,
    ) -> None:
        self.in_channels = positive_integer("in_channels", in_channels)
        self.out_channels = positive_integer("out_channels", out_channels)
        self.kernel_size = per_axis("kernel_size", kernel_size, self.rank)
        self.options = options
        for name in ("stride", "dilation"):
            per_axis(name, options[name], self.rank)
        check_padding(options["padding"], self.rank)
        groups = positive_integer("groups", options["groups"])
        if in_channels % groups or out_channels % groups:
            raise ConfigError(
                "The number of groups must divide the channels of a convolution.",
                where=f"layer {type(self).__name__}",
                expected=f"in_channels and out_channels that {groups} divides",
                found=f"{in_channels} and {out_channels}",
            )
        self.weight = parameter(*self._weights(in_channels, out_channels, groups, init))
        self.bias = parameter((out_channels,), "zeros") if bias else None

    def _weights(
        self, inputs: int, outputs: int, groups: int, init: str | Initializer
    ) -> tuple[tuple[int, ...], str | Initializer]:
        return (*self.kernel_size, inputs // groups, outputs), init

    def forward(self, x: TensorLike) -> Tensor:
        x = image(x, LAYOUT[self.rank], self.in_channels)
        return type(self).function(x, self.weight, self.bias, **self.options)

    def extra_repr(self) -> str:
        return _listed(self.in_channels, self.out_channels, *self._sizes())

    def _sizes(self, **more: Any) -> list[Any]:
        """The window, then the options that are not as usual."""
        size = self.kernel_size
        shown = {**more, **self.options, "bias": self.bias is not None}
        return [
            size[0] if len(set(size)) == 1 else size,
            *(f"{name}={value!r}" for name, value in shown.items() if value != _USUAL[name]),
        ]


_USUAL = {
    "stride": 1,
    "padding": 0,
    "output_padding": 0,
    "dilation": 1,
    "groups": 1,
    "multiplier": 1,
    "bias": True,
}


def _listed(*parts: Any) -> str:
    return ", ".join(map(str, parts))


class _Conv(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PerAxis,
        stride: PerAxis = 1,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        init: str | Initializer = "kaiming_uniform",
    ) -> None:
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        super().__init__(in_channels, out_channels, kernel_size, options, bias, init)


class Conv1d(_Conv):
    """Convolution over one axis, such as time: (batch, length, channels); else as `Conv2d`.

    Example:
        >>> import chainrule as cr
        >>> causal = cr.nn.Conv1d(3, 8, 2, padding=((1, 0),))
        >>> causal(cr.ones((5, 10, 3))).shape
        (5, 10, 8)
    """

    rank = 1
    function = staticmethod(ops.conv1d)


class Conv2d(_Conv):
    """A weighted sum of every window of an image: `chainrule.ops.conv2d` with learned weights.

    Takes (batch, height, width, in), gives (batch, new height, new width, out).

    ``weight`` is (window height, window width, in / groups, out), ``bias`` (out); PyTorch's weights
    are (out, in / groups, height, width). For the initialisation see `Linear`: a fan is the number
    of terms of a sum, here window·in / groups.

    Args:
        in_channels: extent of the last axis of the input.
        out_channels: that of the output.
        kernel_size: extents of the window; one number, or one for each axis.
        stride: from one window to the next.
        padding: zeros around the image: a number, one for each axis, (before, after) for each,
            "valid" or "same".
        dilation: from one element of the window to the next.
        groups: into how many parts the channels are split, each with weights of its own.
        bias: whether a bias is added.
        init: a name from `chainrule.nn.init.INITIALIZERS` or a function (key, shape, dtype).

    Raises:
        ConfigError: the groups do not divide the channels, or an option is invalid.
        ShapeError: when called with other channels or a window larger than the padded image; it
            names the layer.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.Conv2d(3, 8, 5, padding="same")(cr.ones((2, 28, 28, 3))).shape
        (2, 28, 28, 8)
    """

    rank = 2
    function = staticmethod(ops.conv2d)


class Conv3d(_Conv):
    """Convolution of volumes or videos, (batch, depth, height, width, channels); as `Conv2d`.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.Conv3d(1, 2, 3)(cr.ones((1, 5, 5, 5, 1))).shape
        (1, 3, 3, 3, 2)
    """

    rank = 3
    function = staticmethod(ops.conv3d)


class DepthwiseConv2d(Conv2d):
    """Each channel has windows of its own: a `Conv2d` with as many groups as channels.

    Args:
        channels: of the input.
        kernel_size: see `Conv2d`.
        multiplier: how many outputs each channel has.
        stride: see `Conv2d`.
        padding: see `Conv2d`.
        dilation: see `Conv2d`.
        bias: see `Conv2d`.
        init: see `Conv2d`.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.DepthwiseConv2d(3, 5, padding="same").weight.shape
        (5, 5, 1, 3)
    """

    def __init__(
        self,
        channels: int,
        kernel_size: PerAxis,
        multiplier: int = 1,
        stride: PerAxis = 1,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        bias: bool = True,
        *,
        init: str | Initializer = "kaiming_uniform",
    ) -> None:
        self.multiplier = positive_integer("multiplier", multiplier)
        outputs = positive_integer("channels", channels) * multiplier
        super().__init__(
            channels, outputs, kernel_size, stride, padding, dilation, channels, bias, init=init
        )

    def extra_repr(self) -> str:
        sizes = self._sizes(multiplier=self.multiplier)
        return _listed(self.in_channels, *(one for one in sizes if "groups" not in str(one)))


class SeparableConv2d(Module):
    """A depthwise convolution, then one that mixes the channels at each position (1×1).

    window·in + in·out weights instead of window·in·out (Chollet, "Xception", CVPR 2017).

    Args:
        in_channels: extent of the last axis of the input.
        out_channels: that of the output.
        kernel_size: of the depthwise convolution; see `Conv2d`.
        stride: of the depthwise convolution.
        padding: of the depthwise convolution.
        dilation: of the depthwise convolution.
        bias: whether the second one adds a bias.
        init: see `Conv2d`.

    Example:
        >>> import chainrule as cr
        >>> layer = cr.nn.SeparableConv2d(16, 32, 3, padding=1)
        >>> sum(p.size for p in layer.parameters().values())
        688
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PerAxis,
        stride: PerAxis = 1,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        bias: bool = True,
        *,
        init: str | Initializer = "kaiming_uniform",
    ) -> None:
        self.depthwise = DepthwiseConv2d(
            in_channels, kernel_size, 1, stride, padding, dilation, bias=False, init=init
        )
        self.pointwise = Conv2d(in_channels, out_channels, 1, bias=bias, init=init)

    def forward(self, x: TensorLike) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


class _ConvTranspose(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PerAxis,
        stride: PerAxis = 1,
        padding: Padding = 0,
        output_padding: PerAxis = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: PerAxis = 1,
        *,
        init: str | Initializer = "kaiming_uniform",
    ) -> None:
        options = {
            "stride": stride,
            "padding": padding,
            "output_padding": output_padding,
            "groups": groups,
            "dilation": dilation,
        }
        per_axis("output_padding", output_padding, self.rank, least=0)
        super().__init__(in_channels, out_channels, kernel_size, options, bias, init)

    def _weights(
        self, inputs: int, outputs: int, groups: int, init: str | Initializer
    ) -> tuple[tuple[int, ...], str | Initializer]:
        """The initialiser gets (…, in / groups, out), from which it computes the fans."""
        drawn = _find(init)

        def swapped(key: Tensor, shape: tuple[int, ...], dtype: Any) -> Tensor:
            natural = (*self.kernel_size, inputs // groups, outputs)
            weights = reshape(
                drawn(key, natural, dtype), (math.prod(self.kernel_size), -1, outputs)
            )
            return reshape(swapaxes(weights, 1, 2), shape)

        return (*self.kernel_size, outputs // groups, inputs), swapped


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution over one axis, (batch, length, channels); as `ConvTranspose2d`.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.ConvTranspose1d(3, 2, 4, stride=2, padding=1)(cr.ones((5, 8, 3))).shape
        (5, 16, 2)
    """

    rank = 1
    function = staticmethod(ops.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """The transpose of a convolution, which enlarges: `chainrule.ops.conv_transpose2d`.

    ``weight`` is (window height, window width, out / groups, in), ``bias`` (out); PyTorch's weights
    are (in, out / groups, height, width).

    Args:
        in_channels: extent of the last axis of the input.
        out_channels: that of the output.
        kernel_size: extents of the window; best a multiple of the stride, so that all elements of
            the output are sums of as many terms.
        stride: how much larger the output is.
        padding: what the convolution would pad and so is cut off here; "same" gives extents of
            ``stride`` times those of the input.
        output_padding: enlarges the output at the end, by less than the stride.
        groups: into how many parts the channels are split.
        bias: whether a bias is added.
        dilation: from one element of the window to the next.
        init: see `Conv2d`.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.ConvTranspose2d(8, 3, 4, stride=2, padding="same")(cr.ones((2, 7, 7, 8))).shape
        (2, 14, 14, 3)
    """

    rank = 2
    function = staticmethod(ops.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution of volumes, (batch, depth, height, width, channels).

    Example:
        >>> import chainrule as cr
        >>> cr.nn.ConvTranspose3d(2, 1, 2, stride=2)(cr.ones((1, 3, 3, 3, 2))).shape
        (1, 6, 6, 6, 1)
    """

    rank = 3
    function = staticmethod(ops.conv_transpose3d)
