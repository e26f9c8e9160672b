"""What several networks are made of."""

from __future__ import annotations

from typing import Any

from .. import nn


def conv_block(
    inputs: int,
    outputs: int,
    size: int = 3,
    stride: int = 1,
    activation: type[nn.Module] | None = nn.ReLU,
    **options: Any,
) -> nn.Sequential:
    """Convolution, batch normalisation, activation. The normalisation's bias is the only one."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, size, stride, padding="same", bias=False, **options),
        nn.BatchNorm(outputs),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))
