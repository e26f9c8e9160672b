"""Texts that are written by CTC: a token or the blank for each step of the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...engine.backends.base import Backend
from ...engine.compile import Compiled
from ...engine.ops import log_softmax
from ...engine.tensor import Tensor
from ...losses import ctc
from ...utils.typing import Array
from ..text.tokenizers import PADDING, UNKNOWN, Tokenizer
from .ctc_decoding import ctc_beam, ctc_greedy
from .decoding import Decoding, Written
from .outputs import Output
from .sources import Source, padded


class CtcOutput(Output):
    """A token or the blank, which has the class of padding, for each step of the source.

    Sources give ``steps`` (rows) beside their arrays: how many steps of the network each has.
    """

    name = "ctc"

    @property
    def classes(self) -> int:
        return self.end

    def room(self, source: Source, tokenizer: Tokenizer, texts: Sequence[str]) -> int:
        """As many as there are frames."""
        return source.longest

    def length(self, tokens: Sequence[Array]) -> Array:
        return np.array([max(len(each), 1) for each in tokens], np.int64)

    def batch(
        self, source: dict[str, Array], tokens: Sequence[Array], length: int
    ) -> tuple[dict[str, Array], Array]:
        """The target has the number of steps and of tokens in front of the tokens."""
        counts = [min(len(each), length) for each in tokens]
        numbers = np.stack([source["steps"], counts], axis=1)
        return _inputs(source), np.concatenate([numbers, padded(tokens, length)], axis=1)

    def loss(self, smoothing: float, copies: bool) -> Callable[..., Tensor]:
        return ctc_loss

    def writer(
        self, network: Any, how: Decoding, backend: str | Backend
    ) -> Callable[[dict[str, Array]], list[list[Written]]]:
        scores = self.scorer(network, backend)
        return lambda source: self.read(scores(source), source["steps"], how)

    def scorer(self, network: Any, backend: str | Backend) -> Callable[[dict[str, Array]], Array]:
        """A function of a batch of sources: ln p (rows, steps, classes)."""
        program = Compiled(lambda **inputs: log_softmax(network(inputs)), backend)

        def scores(source: dict[str, Array]) -> Array:
            found = program(**_inputs(source)).numpy().astype(np.float64)
            found[:, :, UNKNOWN] = -np.inf  # it is no text
            return found

        return scores

    def read(self, scores: Array, steps: Array, how: Decoding) -> list[list[Written]]:
        """The best texts for each row of ln p (rows, steps, classes)."""
        if how.beam == 1 and how.language is None:
            found = [[one] for one in ctc_greedy(scores, steps, PADDING)]
        else:
            found = ctc_beam(
                scores, steps, PADDING, beam=how.beam, best=how.best, model=how.language,
                weight=how.language_weight,
            )  # fmt: skip
        return [
            [_written(one.labels, one.log_probability, one.score, how) for one in row]
            for row in found
        ]


def ctc_loss(logits: Tensor, target: Tensor, **options: Any) -> Tensor:
    """CTC of a batch's target, which has the numbers of steps and tokens in front."""
    return ctc(
        logits, target[:, 2:], input_lengths=target[:, 0], target_lengths=target[:, 1],
        blank=PADDING, zero_infinity=True, **options,
    )  # fmt: skip


def _inputs(source: dict[str, Array]) -> dict[str, Array]:
    return {name: source[name] for name in ("source", "lengths")}


def _written(labels: Array, log_probability: float, score: float, how: Decoding) -> Written:
    longest = how.longest or len(labels)
    return Written(labels[:longest], log_probability, score, len(labels) <= longest)
