"""Copying from the source: a pointer beside the vocabulary (See et al., 2017)."""

from __future__ import annotations

import functools
import math

from .. import nn
from ..engine.ops import (
    add_along_axis,
    arange,
    broadcast_to,
    concatenate,
    exp,
    expand_dims,
    log,
    masked,
    matmul,
    sigmoid,
    softmax,
    sum,
    swapaxes,
    where,
)
from ..engine.ops.cross_entropy import cross_entropy_from_logits
from ..engine.ops.declare import cast
from ..engine.ops.shape import zeros
from ..engine.tensor import Tensor, TensorLike, as_tensor

#: So that nothing is impossible: the logarithm of 0 has no gradient.
_LEAST = 1e-9
#: What scores lose with each place, in the beginning.
_FAR = 0.2


class Pointer(nn.Module):
    """Writes a token of the vocabulary, or copies one of the source.

        p(w) = (1 - g)·softmax(z)[w] + g·Σ aₛ over the steps s of the source that hold w

    g is a sigmoid of what the decoder gives, a its attention to the source. Words of a source that
    the vocabulary lacks have the numbers behind it, each source its own (``copies`` of them), so
    that they can be copied, too.

    A call takes what the decoder gives (rows, steps, width), its logits z (rows, steps,
    vocabulary), the encoded source (rows, time, features), a mask (rows, 1, time) and ``copied``
    (rows, time), what each step of the source is as a token of the target; it gives ln p (rows,
    steps, vocabulary + copies). With ``wanted`` (rows, steps), tokens of the target, it gives only
    theirs, (rows, steps): training needs no others, which cost more than all the rest.

    Args:
        width: features of the decoder.
        features: of the encoded source.
        copies: words that the vocabulary may lack, in each source.
        ordered: the target goes along with its source, as a translation does: what stands far from
            the step that is written scores less, by a weight for each place between them, which is
            learned, too.
    """

    def __init__(self, width: int, features: int, copies: int, ordered: bool = False) -> None:
        self.query = nn.Linear(width, features, bias=False, init="xavier_uniform")
        self.gate = nn.Linear(width, 1)
        self.copies = copies
        far = functools.partial(nn.init.constant, value=_FAR)
        self.far = nn.init.parameter((1,), far) if ordered else None

    def forward(
        self,
        y: Tensor,
        logits: Tensor,
        memory: Tensor,
        seen: Tensor,
        copied: TensorLike,
        first: TensorLike = 0,
        wanted: TensorLike | None = None,
    ) -> Tensor:
        copying, attention = self.parts(y, memory, seen, first)
        if wanted is not None:
            return _of_tokens(as_tensor(wanted), logits, copying, attention, as_tensor(copied))
        p = softmax(logits) * (1 - copying)
        if self.copies:
            rows, steps, _ = p.shape
            p = concatenate([p, zeros((rows, steps, self.copies), p.dtype)], 2)
        held = broadcast_to(expand_dims(as_tensor(copied), 1), attention.shape)
        found: Tensor = log(add_along_axis(p, held, attention * copying, 2) + _LEAST)
        return found

    def parts(
        self, y: Tensor, memory: Tensor, seen: Tensor, first: TensorLike = 0
    ) -> tuple[Tensor, Tensor]:
        """The probability g of copying (rows, steps, 1), and where from (rows, steps, time).

        Args:
            y: what the decoder gives.
            memory: the encoded source.
            seen: which of its steps there are.
            first: the number of the first step in y.
        """
        scores = matmul(self.query(y), swapaxes(memory, 1, 2)) / math.sqrt(memory.shape[2])
        if self.far is not None:
            steps = expand_dims(arange(y.shape[1]) + first, 1)
            scores = scores - self.far * cast(abs(arange(memory.shape[1]) - steps), y.dtype)
        attention: Tensor = masked.softmax(scores, seen)
        return sigmoid(self.gate(y)), attention

    def extra_repr(self) -> str:
        return f"copies={self.copies}"


def _of_tokens(
    wanted: Tensor, logits: Tensor, copying: Tensor, attention: Tensor, copied: Tensor
) -> Tensor:
    """ln p of one token in each step: its softmax, and the attention to what is that token."""
    known = wanted < logits.shape[-1]
    classes = where(known, wanted, 0)
    written = where(known, exp(-cross_entropy_from_logits(logits, classes)), 0.0)
    same = expand_dims(wanted, 2) == expand_dims(copied, 1)
    held = sum(where(same, attention, 0.0), 2)
    found: Tensor = log(written * (1 - copying[:, :, 0]) + held * copying[:, :, 0] + _LEAST)
    return found
