"""Several networks that write a text together: the mean of their probabilities in each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...engine.ops import log_softmax, logsumexp, stack
from ...engine.tensor import TensorLike


class Ensemble:
    """Networks with the same tokens as one that writes: with ``start`` and ``step``.

        ln p(token) = ln Σ pₙ(token) / N

    Args:
        networks: such as `chainrule.models.Seq2SeqLSTM` and `chainrule.models.Seq2SeqTransformer`.

    Example:
        >>> import chainrule as cr
        >>> both = [cr.models.seq2seq_lstm(10, width=8).initialize(seed) for seed in range(2)]
        >>> inputs = {"source": cr.tensor([[1, 2, 3]]), "lengths": cr.tensor([3])}
        >>> together = Ensemble(both)
        >>> log_p, _ = together.step(cr.tensor([9]), together.start(inputs, 5))
        >>> round(float(cr.ops.exp(log_p).sum().item()), 4)
        1.0
    """

    def __init__(self, networks: Sequence[Any]) -> None:
        self.networks = list(networks)

    def start(self, inputs: Any, room: int, beam: int = 1) -> Any:
        """The states of all: see `chainrule.models.Seq2SeqTransformer.start`."""
        return [network.start(inputs, room, beam) for network in self.networks]

    def step(self, previous: TensorLike, state: Any, rows: TensorLike | None = None) -> Any:
        """ln p (rows, vocabulary) of the next token, and the new states."""
        each = zip(self.networks, state, strict=True)
        found = [network.step(previous, own, rows) for network, own in each]
        log_p = stack([log_softmax(logits) for logits, _ in found])
        return logsumexp(log_p, 0) - math.log(len(found)), [new for _, new in found]
