"""LeNet (LeCun et al., "Gradient-based learning applied to document recognition", 1998)."""

from __future__ import annotations

from .. import nn


def lenet(
    classes: int = 10,
    channels: int = 1,
    size: int = 28,
    widths: tuple[int, int] = (16, 32),
    hidden: int = 128,
) -> nn.Sequential:
    """Two convolutions 5×5 with pooling, then two linear layers: the smallest network for digits.

    With today's relu and the largest of each window instead of sigmoids and means.

    Args:
        classes: how many logits.
        channels: of the images, (batch, size, size, channels).
        size: height and width of the images.
        widths: channels of the two convolutions.
        hidden: width of the linear layer between.

    Example:
        >>> import chainrule as cr
        >>> cr.models.lenet()(cr.ones((2, 28, 28, 1))).shape
        (2, 10)
    """
    first, second = widths
    return nn.Sequential(
        nn.Conv2d(channels, first, 5, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 5, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear((size // 4) ** 2 * second, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes, init="xavier_uniform"),
    )
