"""Which of several texts is most like what the network expects: minimum Bayes risk.

The likeliest text is not always the nearest to the right one: much of the probability is spread
over texts that differ little. Of the texts that were found the best is the one whose chrF with all
of them, each weighted by its probability, is the highest. The probability is taken by length,
exp(ln p / lengthᵅ): otherwise that of the likeliest would be all of it, as a beam finds only few.

Sources: Kumar and Byrne, "Minimum Bayes-risk decoding for statistical machine translation", 2004;
Müller and Sennrich, "Understanding the properties of minimum Bayes risk decoding in neural machine
translation", 2021.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...utils.typing import Array

#: chrF: sequences of up to so many characters; recall counts so many times as much as precision.
_ORDER, _BETA = 6, 2.0


def by_expected_chrf(texts: Sequence[str], scores: Sequence[float]) -> list[int]:
    """The places of the texts by their expected chrF, the best first; of equal ones the likeliest.

    Args:
        texts: that were found for a source.
        scores: ln p / lengthᵅ of each.

    Example:
        >>> by_expected_chrf(["a dog", "the cat sat", "the cats sat"], [-1.0, -1.1, -1.2])[0]
        1
    """
    if not texts:
        return []
    weights = np.exp(np.array(scores) - max(scores))
    expected = chrf_of_all(texts) @ (weights / weights.sum())
    return [int(place) for place in np.lexsort((-np.array(scores), -expected))]


def chrf_of_all(texts: Sequence[str]) -> Array:
    """(texts, texts) chrF2 of each text, a row, with each as the right one, from 0 to 1.

    Example:
        >>> chrf_of_all(["abc", "abc", "xyz"])[0].tolist()
        [1.0, 1.0, 0.0]
    """
    plain = ["".join(text.split()) for text in texts]
    precision, recall, orders = np.zeros((3, len(texts), len(texts)))
    for order in range(1, _ORDER + 1):
        counts = _counts(plain, order)
        sizes = counts.sum(axis=1)
        both = np.stack([np.minimum(row, counts).sum(axis=1) for row in counts])
        there = (sizes[:, None] > 0) & (sizes > 0)
        precision += np.where(there, both / np.maximum(sizes[:, None], 1), 0)
        recall += np.where(there, both / np.maximum(sizes, 1), 0)
        orders += there
    p, r = precision / np.maximum(orders, 1), recall / np.maximum(orders, 1)
    found: Array = (1 + _BETA**2) * p * r / np.maximum(_BETA**2 * p + r, 1e-16)
    return found


def _counts(texts: Sequence[str], order: int) -> Array:
    """(texts, sequences) how often each sequence of so many characters is in each text."""
    numbers: dict[str, int] = {}
    rows = [
        [numbers.setdefault(text[at : at + order], len(numbers))
         for at in range(len(text) - order + 1)]
        for text in texts
    ]  # fmt: skip
    return np.stack([np.bincount(row, minlength=len(numbers)) for row in map(_integers, rows)])


def _integers(row: list[int]) -> Array:
    return np.array(row, np.int64)
