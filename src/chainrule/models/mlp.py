"""Multi-layer perceptrons."""

from __future__ import annotations

from collections.abc import Sequence

from .. import nn


def mlp(
    inputs: int,
    outputs: int,
    hidden: Sequence[int] = (64, 64),
    activation: type[nn.Module] = nn.ReLU,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Linear layers with activations between them, for vectors: (batch, inputs) → (batch, outputs).

    Args:
        inputs: extent of the last axis of the input.
        outputs: that of the output; for classes these are logits.
        hidden: hidden units of each layer.
        activation: the class of the activations.
        dropout: the probability of dropping after each of them.

    Example:
        >>> import chainrule as cr
        >>> cr.models.mlp(4, 3, hidden=[16])(cr.ones((5, 4))).shape
        (5, 3)
    """
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(inputs, width), activation()]
        layers += [nn.Dropout(dropout)] * (dropout > 0)
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs, init="xavier_uniform"))
