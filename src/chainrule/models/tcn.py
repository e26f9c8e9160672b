"""Temporal convolution.

Source: Bai et al., "An empirical evaluation of generic convolutional and recurrent networks for
sequence modeling", 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import nn
from ..engine.tensor import Tensor, TensorLike


class TCN(nn.Module):
    """Residual blocks of causal convolutions over time, and a linear map.

    Args:
        blocks: from (rows, time, features) to the same rows and times.
        head: of the features of the last block.
        every_step: a result for every element, (rows, time, outputs); otherwise one for the
            sequence, (rows, outputs), at its last element.
    """

    def __init__(self, blocks: nn.Module, head: nn.Module, every_step: bool) -> None:
        self.blocks, self.head = blocks, head
        self.every_step = every_step

    def forward(self, x: TensorLike) -> Tensor:
        y = self.blocks(x)
        result: Tensor = self.head(y if self.every_step else y[:, -1])
        return result

    def extra_repr(self) -> str:
        return f"every_step={self.every_step}"


def tcn(
    outputs: int,
    features: int,
    widths: Sequence[int] = (32, 32, 32, 32),
    kernel_size: int = 3,
    dropout: float = 0.0,
    every_step: bool = False,
) -> TCN:
    """Dilated causal convolutions: no element sees a later one.

    Block i has two convolutions whose taps are 2ⁱ elements apart, so that the last block sees
    1 + 2·(kernel_size - 1)·(2ⁿ - 1) elements with n blocks: 61 by default.

    Args:
        outputs: features of the result; for classes these are logits.
        features: of the elements of a sequence (rows, time, features).
        widths: features of each block.
        kernel_size: taps of a convolution.
        dropout: the probability of dropping after each of them.
        every_step: a result for every element instead of one for the sequence.

    Example:
        >>> import chainrule as cr
        >>> cr.models.tcn(3, 2, widths=[8, 8])(cr.ones((5, 20, 2))).shape
        (5, 3)
    """
    blocks = []
    for number, width in enumerate(widths):
        blocks += [_block(features, width, kernel_size, 2**number, dropout), nn.ReLU()]
        features = width
    return TCN(
        nn.Sequential(*blocks), nn.Linear(features, outputs, init="xavier_uniform"), every_step
    )


def _block(inputs: int, width: int, size: int, dilation: int, dropout: float) -> nn.Module:
    before = (size - 1) * dilation  # all padding is in front: the window ends at its position
    layers: list[nn.Module] = []
    for channels in (inputs, width):
        causal = nn.Conv1d(channels, width, size, padding=((before, 0),), dilation=dilation)
        layers += [causal, nn.ReLU(), nn.Dropout(dropout)]
    return nn.Residual(
        nn.Sequential(*layers), None if inputs == width else nn.Linear(inputs, width)
    )
