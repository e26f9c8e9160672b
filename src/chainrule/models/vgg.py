"""VGG (Simonyan and Zisserman, ICLR 2015), with batch normalisation, for small images."""

from __future__ import annotations

from collections.abc import Sequence

from .. import nn
from .common import conv_block


def vgg(
    classes: int = 10, channels: int = 3, widths: Sequence[int] = (32, 64, 128), depth: int = 2
) -> nn.Sequential:
    """Stages of convolutions 3×3, each ending in a pooling that halves the extents.

    The mean over what is left of the extents goes into one linear layer, so that images of any
    size from 2^stages fit.

    Args:
        classes: how many logits.
        channels: of the images, (batch, height, width, channels).
        widths: channels of each stage.
        depth: convolutions in each stage.

    Example:
        >>> import chainrule as cr
        >>> cr.models.vgg(widths=(4, 8))(cr.ones((2, 8, 8, 3))).shape
        (2, 10)
    """
    layers: list[nn.Module] = []
    for width in widths:
        for _ in range(depth):
            layers.append(conv_block(channels, width))
            channels = width
        layers.append(nn.MaxPool2d(2))
    head = nn.Linear(channels, classes, init="xavier_uniform")
    return nn.Sequential(*layers, nn.GlobalAvgPool(), head)
