"""From a trained network to a text: the tokens one after another, greedily or by beam search."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...engine.backends.base import Backend
from ...engine.compile import Compiled
from ...engine.ops import log_softmax
from ...engine.tensor import Tensor
from ...errors import ConfigError
from ...utils.typing import Array
from ..text.tokenizers import SPECIAL


@dataclass(frozen=True)
class Decoding:
    """How a text is found.

    Attributes:
        beam: continuations that are followed at once; 1 takes the most probable token each time.
        length_penalty: α: texts are compared by Σ ln p / lengthᵅ; 0 favours short ones.
        best: how many texts are wanted of each source.
        longest: tokens, if fewer than the network has room for.

    Raises:
        ConfigError: a value is out of range.
    """

    beam: int = 1
    length_penalty: float = 1.0
    best: int = 1
    longest: int | None = None

    def __post_init__(self) -> None:
        if self.beam < 1 or self.best < 1 or (self.longest is not None and self.longest < 1):
            raise ConfigError(
                "No text can be found like this.",
                expected="a beam, a number of texts and a length from 1",
                found=f"beam={self.beam}, best={self.best}, longest={self.longest}",
            )
        if self.best > self.beam:
            raise ConfigError(
                "A beam finds no more texts than it is wide.",
                expected=f"a beam of {self.best} or more",
                found=f"beam={self.beam}, best={self.best}",
            )


@dataclass(frozen=True, eq=False)
class Written:
    """A text that a network has written.

    Attributes:
        tokens: without the end.
        log_probability: Σ ln p of the tokens, and of the end.
        score: by which texts are compared.
        ended: whether the network ended it; otherwise there was no more room.
    """

    tokens: Array = field(repr=False)
    log_probability: float
    score: float
    ended: bool


class Writer:
    """A network that writes, with the programs of its steps, which are kept.

    What is no text, such as padding and the unknown, is never written.

    Args:
        network: with ``start`` and ``step``, such as `chainrule.models.Seq2SeqTransformer`.
        end: the token that begins and ends a text.
        longest: tokens of a text.
        how: greedily, or by a beam.
        backend: what runs the network.
    """

    def __init__(
        self, network: Any, end: int, longest: int, how: Decoding, backend: str | Backend = "numpy"
    ) -> None:
        self.network, self.end, self.how = network, end, how
        self.room = min(longest, how.longest or longest)
        self._start = Compiled(
            lambda x, lengths: self.network.start(x, lengths, self.room), backend
        )
        self._step = Compiled(self._next, backend)

    def _next(self, previous: Tensor, state: Any) -> Any:
        logits, state = self.network.step(previous, state)
        return log_softmax(logits), state

    def write(self, source: dict[str, Array]) -> list[list[Written]]:
        """The best texts for each row of a source, the best first."""
        return self._greedy(source)

    def _greedy(self, source: dict[str, Array]) -> list[list[Written]]:
        """The most probable token each time."""
        rows, room = len(source["lengths"]), self.room
        state = self._start(source["source"], source["lengths"])
        last = np.full(rows, self.end, np.int64)
        tokens = np.zeros((rows, room), np.int64)
        lengths, total, open_ = np.zeros(rows, np.int64), np.zeros(rows), np.ones(rows, bool)
        for position in range(room):
            found, state = self._step(last, state)
            scores = found.numpy()
            last = scores[:, SPECIAL:].argmax(axis=1) + SPECIAL
            total += np.where(open_, scores[np.arange(rows), last], 0.0)
            lengths += open_
            open_ &= last != self.end
            tokens[:, position] = last
            if not open_.any():
                break
        return [[self._written(tokens[row, : lengths[row]], total[row])] for row in range(rows)]

    def _written(self, tokens: Array, total: float) -> Written:
        ended = bool(len(tokens)) and int(tokens[-1]) == self.end
        score = float(total) / max(len(tokens), 1) ** self.how.length_penalty
        return Written(tokens[:-1] if ended else tokens, float(total), score, ended)
