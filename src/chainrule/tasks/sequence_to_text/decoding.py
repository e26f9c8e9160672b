"""From a trained network to a text: the tokens one after another, greedily or by beam search."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...engine import pytree
from ...engine.backends.base import Backend
from ...engine.compile import Compiled
from ...engine.ops import argmax, expand_dims, log_softmax, scan, take_along_axis, where
from ...engine.tensor import Tensor
from ...errors import ConfigError
from ...utils.typing import Array
from ..text.tokenizers import SPECIAL, UNKNOWN


@dataclass(frozen=True)
class Decoding:
    """How a text is found.

    Attributes:
        beam: continuations that are followed at once; 1 takes the most probable token each time.
        length_penalty: α: texts are compared by Σ ln p / lengthᵅ; 0 favours short ones.
        best: how many texts are wanted of each source.
        longest: tokens, if fewer than the network has room for.
        mbr: so many texts are drawn, too, and the best of all is the one that is most like these,
            instead of the likeliest (minimum Bayes risk): see `consensus`; 0 without it.
        language: what is known of texts beside what the network says of the source, where texts are
            written by CTC: a `ctc_decoding.LabelModel`; it is in no file.
        language_weight: of that.
        word_bonus: what each word adds where words are known.

    Raises:
        ConfigError: a value is out of range.
    """

    beam: int = 1
    length_penalty: float = 0.6
    best: int = 1
    longest: int | None = None
    mbr: int = 0
    language: Any = None
    language_weight: float = 1.0
    word_bonus: float = 0.0

    def __post_init__(self) -> None:
        if self.beam < 1 or self.best < 1 or (self.longest is not None and self.longest < 1):
            raise ConfigError(
                "No text can be found like this.",
                expected="a beam, a number of texts and a length from 1",
                found=f"beam={self.beam}, best={self.best}, longest={self.longest}",
            )
        if self.mbr < 0:
            raise ConfigError("A number of texts is drawn.", expected="mbr from 0, such as 32",
                              found=f"mbr={self.mbr}")  # fmt: skip
        if self.best > self.beam + self.mbr:
            raise ConfigError(
                "A beam finds no more texts than it is wide.",
                expected=f"a beam of {self.best} or more",
                found=f"beam={self.beam}, best={self.best}",
            )

    def to_json(self) -> dict[str, Any]:
        """JSON data for the model file."""
        return {name: value for name, value in vars(self).items() if name != "language"}


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
        #: Tokens that are written in one call: a call costs as much as a token or two, and those
        #: after the end of all texts are for nothing.
        self.at_once = -(-self.room // math.ceil(self.room / math.sqrt(3 * self.room)))
        beam, room = how.beam, -(-self.room // self.at_once) * self.at_once
        self._start = Compiled(lambda inputs: self.network.start(inputs, room, beam), backend)
        self._step = Compiled(self._next, backend)
        self._several = Compiled(self._greedily, backend)
        self._changing: list[int] = []

    def _next(self, previous: Tensor, state: Any, rows: Tensor | None) -> Any:
        logits, new = self.network.step(previous, state, rows)
        before, after = pytree.flatten(state)[0], pytree.flatten(new)[0]
        pairs = enumerate(zip(before, after, strict=True))
        # What stays as it is, such as the encoded source, need not be written again in each step.
        self._changing = [place for place, (old, leaf) in pairs if old is not leaf]
        return log_softmax(logits), [after[place] for place in self._changing]

    def _greedily(self, previous: Tensor, state: Any) -> Any:
        leaves, rebuild, _ = pytree.flatten(state)
        self._next(previous, state, None)  # says what changes; nobody needs what it computes

        def body(carry: Any, _: Any) -> Any:
            last, changing = carry
            now = list(leaves)
            for place, leaf in zip(self._changing, changing, strict=True):
                now[place] = leaf
            known = where(last > self.end, UNKNOWN, last)
            scores, new = self._next(known, rebuild(now), None)
            best = argmax(scores[:, SPECIAL:], 1) + SPECIAL
            return (best, new), (best, take_along_axis(scores, expand_dims(best, 1), 1)[:, 0])

        carry = previous, [leaves[place] for place in self._changing]
        return scan(body, carry, length=self.at_once, differentiable=False)

    def several(self, last: Array, state: Any) -> tuple[Array, Array, Any]:
        """The most probable tokens that follow, `at_once` of them, each after the one before.

        Args:
            last: (rows) tokens.
            state: of `start`, or of the call before.

        Returns:
            Tokens (at_once, rows), ln p of each, and the new state.
        """
        (_, changed), (tokens, scores) = self._several(last, state)
        return tokens.numpy(), scores.numpy(), self._changed(state, changed)

    def _changed(self, state: Any, changed: list[Any]) -> Any:
        leaves, rebuild, _ = pytree.flatten(state)
        for place, leaf in zip(self._changing, changed, strict=True):
            leaves[place] = leaf
        return rebuild(leaves)

    def advance(self, last: Array, state: Any, rows: Array | None = None) -> tuple[Array, Any]:
        """ln p of each next token (rows, vocabulary), and the new state.

        Args:
            last: (rows) tokens.
            state: of the step before.
            rows: (rows) which row of the state each goes on from; each from its own without it.
        """
        # Tokens that were copied and are not in the vocabulary go in as the unknown.
        known = np.where(last > self.end, UNKNOWN, last)
        found, changed = self._step(known, state, rows)
        return found.numpy(), self._changed(state, changed)

    def start(self, source: dict[str, Array]) -> Any:
        """The state before the first token."""
        return self._start(source)

    def write(self, source: dict[str, Array]) -> list[list[Written]]:
        """The best texts for each row of a source, the best first."""
        state = self.start(source)
        rows = len(source["lengths"])
        return self._greedy(state, rows) if self.how.beam == 1 else self._search(state, rows)

    def _greedy(self, state: Any, rows: int) -> list[list[Written]]:
        """The most probable token each time."""
        last = np.full(rows, self.end, np.int64)
        tokens, scores = np.zeros((2, 0, rows))
        while len(tokens) < self.room:
            more, each, state = self.several(last, state)
            tokens, scores = np.concatenate([tokens, more]), np.concatenate([scores, each])
            last = more[-1]
            if (tokens == self.end).any(axis=0).all():
                break
        tokens, scores = tokens[: self.room].astype(np.int64), scores[: self.room]
        ends = tokens == self.end
        lengths = np.where(ends.any(axis=0), ends.argmax(axis=0) + 1, len(tokens))
        counts = np.arange(len(tokens))[:, None] < lengths
        total = np.where(counts, scores, 0.0).sum(axis=0)
        return [[self.written(tokens[: lengths[row], row], total[row])] for row in range(rows)]

    def _search(self, state: Any, rows: int) -> list[list[Written]]:
        """Beam search: in each step the best continuations of all texts that are followed."""
        beam = self.how.beam
        found = _Beams(self, rows, beam)
        last = np.full(rows * beam, self.end, np.int64)
        parents = np.arange(rows * beam)
        first = np.arange(rows)[:, None] * beam
        for position in range(self.room):
            scores, state = self.advance(last, state, parents)
            tokens, origins = found.advance(scores.reshape(rows, beam, -1), position)
            last, parents = tokens.ravel(), (first + origins).ravel()
            if found.done.all():
                break
        return [found.best(row) for row in range(rows)]

    def score(self, log_probability: float, length: int) -> float:
        """By which texts of one source are compared: Σ ln p / lengthᵅ."""
        return log_probability / float(max(length, 1)) ** self.how.length_penalty

    def written(self, tokens: Array, total: float) -> Written:
        """A text with its score."""
        ended = bool(len(tokens)) and int(tokens[-1]) == self.end
        score = self.score(float(total), len(tokens))
        return Written(tokens[:-1] if ended else tokens, float(total), score, ended)


class _Beams:
    """The texts of some sources that are followed, and those that are ended.

    Args:
        writer: compares them.
        rows: sources.
        width: how many texts of each are followed.
    """

    def __init__(self, writer: Writer, rows: int, width: int) -> None:
        self.writer, self.width = writer, width
        self.totals = np.full((rows, width), -np.inf)
        self.totals[:, 0] = 0.0  # all begin alike: one of them is followed
        self.tokens = np.zeros((rows, width, 0), np.int64)
        self.ended: list[list[Written]] = [[] for _ in range(rows)]
        self.done = np.zeros(rows, bool)

    def advance(self, scores: Array, position: int) -> tuple[Array, Array]:
        """Take the best continuations: their last tokens, and which text each goes on from.

        Args:
            scores: (rows, width, vocabulary) ln p of each next token.
            position: of this token.
        """
        totals = self.totals[:, :, None] + scores.astype(np.float64)
        totals[:, :, :SPECIAL] = -np.inf
        flat = totals.reshape(len(totals), -1)
        # Each of the best texts may end in one way: twice as many leave enough to go on.
        count = min(2 * self.width, flat.shape[1])
        chosen = np.argpartition(-flat, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(flat, chosen, 1)
        order = np.lexsort((chosen, -values), axis=1)
        chosen, values = (np.take_along_axis(x, order, 1) for x in (chosen, values))
        origins, tokens = np.divmod(chosen, scores.shape[2])
        exists = (values > -np.inf) & ~self.done[:, None]
        ends = tokens == self.writer.end
        for row, rank in np.argwhere((exists & ends)[:, : self.width]).tolist():
            whole = np.append(self.tokens[row, origins[row, rank]], self.writer.end)
            self.ended[row].append(self.writer.written(whole, values[row, rank]))
        found = self._follow(exists & ~ends, values, tokens, origins)
        self.done |= self._are_done(position)
        return found

    def _follow(
        self, goes_on: Array, values: Array, tokens: Array, origins: Array
    ) -> tuple[Array, Array]:
        """Go on with the first of those that do, as many as are followed."""
        places = np.cumsum(goes_on, axis=1) - 1
        row, rank = np.nonzero(goes_on & (places < self.width))
        target = row, places[row, rank]
        shape = self.totals.shape
        last, came = np.full(shape, self.writer.end), np.zeros(shape, np.int64)
        last[target], came[target] = tokens[row, rank], origins[row, rank]
        going = ~self.done
        new = np.full(shape, -np.inf)
        new[target] = values[row, rank]
        self.totals = np.where(going[:, None], new, self.totals)
        before = np.take_along_axis(self.tokens, came[:, :, None], 1)
        self.tokens = np.concatenate([before, last[:, :, None]], 2)
        return last, came

    def _are_done(self, position: int) -> Array:
        """(rows) whether no text that is still followed can become one of the best ones.

        Σ ln p only falls; what it is divided by only grows with the length for α > 0, and only
        falls for α < 0.
        """
        wanted, alpha = self.writer.how.best, self.writer.how.length_penalty
        worst = np.array(
            [
                sorted((text.score for text in ended), reverse=True)[wanted - 1]
                if len(ended) >= wanted
                else -np.inf
                for ended in self.ended
            ]
        )
        length = self.writer.room if alpha > 0 else position + 2
        most = self.totals.max(axis=1) / float(max(length, 1)) ** alpha
        # Where nothing is followed, or can be better.
        return (most == -np.inf) | ((worst > -np.inf) & (worst >= most))

    def best(self, row: int) -> list[Written]:
        """The best texts, the best first; those that had no more room come last."""
        found = sorted(self.ended[row], key=lambda each: -each.score)
        if not self.done[row]:
            open_ = [
                self.writer.written(tokens, total)
                for tokens, total in zip(self.tokens[row], self.totals[row].tolist(), strict=True)
                if np.isfinite(total)
            ]
            found += sorted(open_, key=lambda each: -each.score)
        return found[: self.writer.how.best]
