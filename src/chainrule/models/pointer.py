"""Copying from the source: a pointer beside the vocabulary (See et al., 2017)."""

from __future__ import annotations

import math

from .. import nn
from ..engine.ops import (
    add_along_axis,
    broadcast_to,
    concatenate,
    expand_dims,
    log,
    masked,
    matmul,
    sigmoid,
    softmax,
    swapaxes,
)
from ..engine.ops.shape import zeros
from ..engine.tensor import Tensor, TensorLike, as_tensor

#: So that nothing is impossible: the logarithm of 0 has no gradient.
_LEAST = 1e-9


class Pointer(nn.Module):
    """Writes a token of the vocabulary, or copies one of the source.

        p(w) = (1 - g)·softmax(z)[w] + g·Σ aₛ over the steps s of the source that hold w

    g is a sigmoid of what the decoder gives, a its attention to the source. Words of a source that
    the vocabulary lacks have the numbers behind it, each source its own (``copies`` of them), so
    that they can be copied, too.

    A call takes what the decoder gives (rows, steps, width), its logits z (rows, steps,
    vocabulary), the encoded source (rows, time, features), a mask (rows, 1, time) and ``copied``
    (rows, time), what each step of the source is as a token of the target; it gives ln p (rows,
    steps, vocabulary + copies).

    Args:
        width: features of the decoder.
        features: of the encoded source.
        copies: words that the vocabulary may lack, in each source.
    """

    def __init__(self, width: int, features: int, copies: int) -> None:
        self.query = nn.Linear(width, features, bias=False, init="xavier_uniform")
        self.gate = nn.Linear(width, 1)
        self.copies = copies

    def forward(
        self, y: Tensor, logits: Tensor, memory: Tensor, seen: Tensor, copied: TensorLike
    ) -> Tensor:
        copying, attention = self.parts(y, memory, seen)
        p = softmax(logits) * (1 - copying)
        if self.copies:
            rows, steps, _ = p.shape
            p = concatenate([p, zeros((rows, steps, self.copies), p.dtype)], 2)
        held = broadcast_to(expand_dims(as_tensor(copied), 1), attention.shape)
        found: Tensor = log(add_along_axis(p, held, attention * copying, 2) + _LEAST)
        return found

    def parts(self, y: Tensor, memory: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """The probability g of copying (rows, steps, 1), and where from (rows, steps, time)."""
        scores = matmul(self.query(y), swapaxes(memory, 1, 2)) / math.sqrt(memory.shape[2])
        attention: Tensor = masked.softmax(scores, seen)
        return sigmoid(self.gate(y)), attention

    def extra_repr(self) -> str:
        return f"copies={self.copies}"
