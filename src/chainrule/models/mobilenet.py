"""MobileNet (Howard et al., 2017), for small images."""

from __future__ import annotations

from collections.abc import Sequence

from .. import nn
from .common import conv_block


def mobilenet(
    classes: int = 10,
    channels: int = 3,
    widths: Sequence[int] = (32, 64, 128, 128, 256, 256),
    strides: Sequence[int] = (1, 1, 2, 1, 2, 1),
) -> nn.Sequential:
    """Depthwise separable convolutions: windows for each channel, then mixtures of the channels.

    About an eighth of the multiplications of full convolutions 3×3.

    Args:
        classes: how many logits.
        channels: of the images, (batch, height, width, channels).
        widths: channels of the first, full convolution, and of each separable one.
        strides: of each of them.

    Example:
        >>> import chainrule as cr
        >>> cr.models.mobilenet(widths=(4, 8), strides=(1, 2))(cr.ones((2, 8, 8, 3))).shape
        (2, 10)
    """
    layers: list[nn.Module] = [conv_block(channels, widths[0], stride=strides[0])]
    channels = widths[0]
    for width, stride in zip(widths[1:], strides[1:], strict=True):
        layers += [
            conv_block(channels, channels, stride=stride, activation=nn.ReLU6, groups=channels),
            conv_block(channels, width, 1, activation=nn.ReLU6),
        ]
        channels = width
    head = nn.Linear(channels, classes, init="xavier_uniform")
    return nn.Sequential(*layers, nn.GlobalAvgPool(), head)
