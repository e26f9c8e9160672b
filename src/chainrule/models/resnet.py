"""ResNet (He et al., "Deep residual learning for image recognition", CVPR 2016)."""

from __future__ import annotations

from collections.abc import Sequence

from .. import nn
from .common import conv_block


def resnet(
    classes: int = 10, channels: int = 3, widths: Sequence[int] = (16, 32, 64), blocks: int = 3
) -> nn.Sequential:
    """The residual network for small images (section 4.2): 2·stages·blocks + 2 layers, here 20.

    Args:
        classes: how many logits.
        channels: of the images, (batch, height, width, channels).
        widths: channels of each stage; all but the first halve the extents.
        blocks: residual blocks of two convolutions in each stage.

    Example:
        >>> import chainrule as cr
        >>> cr.models.resnet(widths=(4, 8), blocks=1)(cr.ones((2, 8, 8, 3))).shape
        (2, 10)
    """
    layers: list[nn.Module] = [conv_block(channels, widths[0])]
    channels = widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers += [_block(channels, width, stride), nn.ReLU()]
            channels = width
    head = nn.Linear(channels, classes, init="xavier_uniform")
    return nn.Sequential(*layers, nn.GlobalAvgPool(), head)


def _block(inputs: int, outputs: int, stride: int) -> nn.Residual:
    """Two convolutions; where the shape changes, the way around them is a convolution 1×1."""
    change = nn.Sequential(
        conv_block(inputs, outputs, stride=stride), conv_block(outputs, outputs, activation=None)
    )
    same = inputs == outputs and stride == 1
    shortcut = None if same else conv_block(inputs, outputs, 1, stride, activation=None)
    return nn.Residual(change, shortcut)
