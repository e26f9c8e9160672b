"""Word n-grams with interpolated absolute discounting: what words are likely after others."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from ...errors import ConfigError, DataError

#: What is taken from each count for words that were not seen (Ney, Essen and Kneser, 1994).
_DISCOUNT = 0.75
#: The end of a sentence, as a word; a space cannot be in a word.
END = " "


class WordNGrams:
    """How probable a word is after the words before it.

    p(w | h) = (max(n(h w) - d, 0) + d · types(h) · p(w | shorter h)) / n(h), and for words alone
    the rest is for words that were never seen, each character of which is equally probable.

    Args:
        order: of the longest n-gram.
        counts: of n-grams by the words before, for each order.
        characters: different ones, with the end of a word.

    Example:
        >>> grams = WordNGrams.fit(["the cat sat", "the cat ran"], 3)
        >>> grams.log_probability(("the",), "cat") > grams.log_probability(("the",), "sat")
        True
        >>> probabilities = [grams.log_probability(("cat",), w) for w in ("sat", "ran", "the")]
        >>> probabilities[0] == probabilities[1] > probabilities[2]
        True
    """

    def __init__(
        self, order: int, counts: Sequence[dict[tuple[str, ...], dict[str, int]]], characters: int
    ) -> None:
        self.order, self.characters = order, characters
        self._counts = counts
        self._totals = [
            {before: (sum(words.values()), len(words)) for before, words in each.items()}
            for each in counts
        ]

    @staticmethod
    def fit(texts: Iterable[str], order: int = 3) -> WordNGrams:
        """Count the n-grams of texts, a sentence each; words are what stands between spaces.

        Raises:
            ConfigError: an order below 1.
            DataError: there is no word.
        """
        if order < 1:
            raise ConfigError("An n-gram has a word or more.", expected="an order from 1",
                              found=str(order))  # fmt: skip
        counts: list[dict[tuple[str, ...], Counter[str]]] = [
            defaultdict(Counter) for _ in range(order)
        ]
        characters: set[str] = set()
        for text in texts:
            words = text.split()
            if not words:
                continue
            characters.update(*words)
            sentence = [*words, END]
            for place, word in enumerate(sentence):
                for before in range(min(order - 1, place) + 1):
                    counts[before][tuple(sentence[place - before : place])][word] += 1
        if not characters:
            raise DataError("There are no words to count.", expected="sentences, one in a line")
        return WordNGrams(order, [dict(each) for each in counts], len(characters) + 1)

    def log_probability(self, before: Sequence[str], word: str | None) -> float:
        """ln p of a word after others; None is the end of the sentence."""
        told = END if word is None else word
        known = tuple(before)[max(len(before) - self.order + 1, 0) :]
        return math.log(self._probability(known, told))

    def _probability(self, before: tuple[str, ...], word: str) -> float:
        total, types = self._totals[len(before)].get(before, (0, 0))
        if not total:
            return self._probability(before[1:], word)
        rest = self._probability(before[1:], word) if before else self._spelt(word)
        count = self._counts[len(before)][before].get(word, 0)
        return (max(count - _DISCOUNT, 0.0) + _DISCOUNT * types * rest) / total

    def _spelt(self, word: str) -> float:
        return max(float(self.characters) ** -(len(word) + 1), 1e-300)

    def to_json(self) -> dict[str, Any]:
        """JSON data for a model file."""
        lists = [
            [[list(before), dict(words)] for before, words in each.items()] for each in self._counts
        ]
        return {"order": self.order, "characters": self.characters, "counts": lists}

    @staticmethod
    def from_json(content: Any) -> WordNGrams:
        """What `to_json` gave; a KeyError, TypeError or ValueError where it is damaged."""
        counts = [
            {tuple(map(str, before)): {str(w): int(n) for w, n in words.items()}
             for before, words in each}
            for each in content["counts"]
        ]  # fmt: skip
        order, characters = int(content["order"]), int(content["characters"])
        if order != len(counts) or order < 1 or characters < 1 or not counts[0].get(()):
            raise ValueError("n-grams")
        if any(n < 1 for each in counts for words in each.values() for n in words.values()):
            raise ValueError("counts of n-grams")
        return WordNGrams(order, counts, characters)
