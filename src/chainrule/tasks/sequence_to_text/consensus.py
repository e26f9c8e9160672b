"""Which of several texts is most like what a network expects: minimum Bayes risk.

The likeliest text is not always the nearest to the right one: the probability is spread over many
texts, most of which are longer than it. So texts are drawn at random, and of them and of those
that a beam finds that one is written whose mean chrF with the drawn ones is the highest.

Sources: Kumar and Byrne, "Minimum Bayes-risk decoding for statistical machine translation", 2004;
Eikema and Aziz, "Is MAP decoding all you need?", 2020; Müller and Sennrich, "Understanding the
properties of minimum Bayes risk decoding in neural machine translation", 2021. What is drawn has a
probability of `LEAST` or more in each step: Hewitt et al., "Truncation sampling as language model
desmoothing", 2022; Freitag et al., "Epsilon sampling rocks", 2023.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...engine.backends.base import Backend
from ...utils.random import generator
from ...utils.typing import Array
from ..text.tokenizers import SPECIAL
from .decoding import Decoding, Writer, Written

#: Tokens that are less probable are not drawn.
LEAST = 0.02
#: chrF: sequences of up to so many characters; recall counts so many times as much as precision.
_ORDER, _BETA = 6, 2.0
#: Texts that are drawn at once: the states of more do not stay in the cache.
_AT_ONCE = 256
#: When so many of the texts of a source are ended the others, which ramble, are given up.
_ENDED = 0.95


class Sampler:
    """A network that draws texts; which ones follows from the source alone.

    Args:
        network: as of `Writer`.
        end: the token that begins and ends a text.
        longest: tokens of a text.
        count: texts that are drawn for each source.
        how: compares them; ``longest`` counts, too.
        backend: what runs the network.
    """

    def __init__(
        self, network: Any, end: int, longest: int, count: int, how: Decoding,
        backend: str | Backend = "numpy",
    ) -> None:  # fmt: skip
        wide = Decoding(beam=count, length_penalty=how.length_penalty, longest=how.longest)
        self.writer, self.count = Writer(network, end, longest, wide, backend), count

    def draw(self, source: dict[str, Array]) -> list[list[Written]]:
        """So many texts for each row of a source."""
        rows, each = len(source["lengths"]), max(_AT_ONCE // self.count, 1)
        found: list[list[Written]] = []
        for start in range(0, rows, each):
            found += self._draw({name: part[start : start + each] for name, part in source.items()})
        return found

    def _draw(self, source: dict[str, Array]) -> list[list[Written]]:
        end, room = self.writer.end, self.writer.room
        chances = np.concatenate(
            [self._chances(tokens[:length]) for tokens, length in
             zip(source["source"], source["lengths"], strict=True)]
        )  # fmt: skip
        state = self.writer.start(source)
        last = np.full(len(chances), end, np.int64)
        tokens = np.full((len(chances), room), end, np.int64)
        totals, lengths = np.zeros(len(chances)), np.full(len(chances), room)
        ended = np.zeros(len(chances), bool)
        for step in range(room):
            scores, state = self.writer.advance(last, state)
            last = _drawn(scores, chances[:, step])
            going = lengths == room
            last[~going] = end
            tokens[:, step] = last
            totals += np.where(going, np.take_along_axis(scores, last[:, None], 1)[:, 0], 0.0)
            ended |= going & (last == end)
            lengths[going & (last == end)] = step + 1
            enough = ended.reshape(-1, self.count).mean(axis=1) >= _ENDED
            lengths[(lengths == room) & np.repeat(enough, self.count)] = step + 1
            if (lengths <= step + 1).all():
                break
        written = [
            self.writer.written(row[:length], float(total))
            for row, length, total in zip(tokens, lengths, totals, strict=True)
        ]
        return [written[at : at + self.count] for at in range(0, len(written), self.count)]

    def _chances(self, source: Array) -> Array:
        """(count, room) numbers in [0, 1) that belong to this source."""
        key = zlib.crc32(np.ascontiguousarray(source).tobytes())
        return generator(0, "texts", key).random((self.count, self.writer.room))


def _drawn(scores: Array, chances: Array) -> Array:
    """A token for each row of ln p (rows, vocabulary), by numbers in [0, 1)."""
    p = np.exp(scores[:, SPECIAL:])
    least = np.minimum(LEAST, p.max(axis=1, keepdims=True))
    sums = np.cumsum(np.where(p >= least, p, 0.0), axis=1)
    places = (sums <= chances[:, None] * sums[:, -1:]).sum(axis=1)
    found: Array = np.minimum(places, p.shape[1] - 1) + SPECIAL
    return found


def by_expected_chrf(texts: Sequence[str], drawn: Sequence[str]) -> list[int]:
    """The places of the texts by their mean chrF with those that were drawn, the best first.

    Of equal ones the first comes first.

    Example:
        >>> by_expected_chrf(["a dog", "the cat sat"], ["the cat sat", "the cats sat"])
        [1, 0]
    """
    return [int(place) for place in np.argsort(-chrf(texts, drawn).mean(axis=1), kind="stable")]


def chrf(texts: Sequence[str], right: Sequence[str]) -> Array:
    """(texts, right) chrF2 of each text with each of the right ones, from 0 to 1.

    Example:
        >>> chrf(["abc", "xyz"], ["abc"]).tolist()
        [[1.0], [0.0]]
    """
    count = len(texts)
    precision, recall, orders = np.zeros((3, count, len(right)))
    for counts in _counted(["".join(text.split()) for text in (*texts, *right)]):
        said, wanted = counts[:count], counts[count:]
        n, m = said.sum(axis=1)[:, None], wanted.sum(axis=1)
        both = np.stack([np.minimum(row, wanted).sum(axis=1) for row in said])
        precision += both / np.maximum(n, 1)
        recall += both / np.maximum(m, 1)
        orders += (n > 0) & (m > 0)
    p, r = precision / np.maximum(orders, 1), recall / np.maximum(orders, 1)
    found: Array = (1 + _BETA**2) * p * r / np.maximum(_BETA**2 * p + r, 1e-16)
    return found


def _counted(texts: Sequence[str]) -> Iterator[Array]:
    """(texts, sequences) how often each sequence of characters is in each text, for each length."""
    lengths = np.array([len(text) for text in texts])
    row, end = np.repeat(np.arange(len(texts)), lengths), np.repeat(np.cumsum(lengths), lengths)
    symbols = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    symbol = np.unique(symbols, return_inverse=True)[1].reshape(-1)
    place, number, base = np.arange(len(symbol)), symbol, int(symbol.max(initial=0)) + 1
    for order in range(1, _ORDER + 1):
        if order > 1:  # a sequence is the one before and a symbol
            whole = place + order <= end
            row, end, place, number = (each[whole] for each in (row, end, place, number))
            longer = number * base + symbol[place + order - 1]
            number = np.unique(longer, return_inverse=True)[1].reshape(-1)
        kinds = int(number.max(initial=0)) + 1
        found = np.bincount(row * kinds + number, minlength=len(texts) * kinds)
        yield found.reshape(len(texts), kinds).astype(np.int32)
