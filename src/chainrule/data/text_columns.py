"""Columns of free text: which words and pairs of words each cell has, as numbers.

The vocabulary of a column are the words that most training rows have, of many rows also pairs.
Number 0 is no word, 1 a missing text, the others count through the vocabulary.
"""

from __future__ import annotations

import dataclasses
import itertools
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from .records import Column, Integers, Statistics
from .words import is_unspaced, words_of

if TYPE_CHECKING:
    import polars as pl

#: Words and pairs of a column that are known at most.
_MOST = 2000
#: So many different ones of a cell are seen at most: those that the fewest rows have.
_LONGEST = 256
#: Below so many rows a word that a single row has is known, too.
_FEW_ROWS = 100
#: And pairs of words teach noise; but those of scripts without spaces are words.
_ENOUGH_FOR_PAIRS = 2000
NO_WORD, MISSING_TEXT, SPECIAL = 0, 1, 2


def parts_of(text: str) -> list[str]:
    """The words of a text in lower case, and all pairs of neighbours, each once.

    Example:
        >>> parts_of("No, no!")
        ['no', ',', '!', 'no ,', ', no', 'no !']
    """
    words = words_of(unicodedata.normalize("NFC", text).lower())
    return list(dict.fromkeys([*words, *map(" ".join, itertools.pairwise(words))]))


def fit_text(column: Column, texts: pl.Series) -> Column:
    """The column with the vocabulary of its training rows, and how many of these have each part."""
    counts = Counter(part for text in texts.drop_nulls() for part in parts_of(text))
    least = 2 if len(texts) >= _FEW_ROWS else 1
    pairs = len(texts) >= _ENOUGH_FOR_PAIRS
    known = [
        part
        for part, count in counts.items()
        if count >= least and (pairs or " " not in part or all(map(is_unspaced, part.split())))
    ]
    kept = sorted(known, key=lambda part: (-counts[part], part))[:_MOST]
    statistics = Statistics(
        count=len(texts) - texts.null_count(), missing=texts.null_count(), distinct=len(kept)
    )
    fitted = dataclasses.replace(
        column, vocabulary=tuple(kept), frequencies=tuple(counts[part] for part in kept),
        statistics=statistics, longest=_LONGEST,
    )  # fmt: skip
    used = (encode_text(fitted, texts) != NO_WORD).sum(axis=1)
    return dataclasses.replace(fitted, longest=int(used.max(initial=1)))


def encode_text(column: Column, texts: pl.Series) -> Integers:
    """The numbers of the known parts of each text, the rarest first: (rows, longest)."""
    numbers = {part: number for number, part in enumerate(column.vocabulary, SPECIAL)}
    found = np.full((len(texts), column.longest), NO_WORD, np.int64)
    for row, text in zip(found, texts.to_list(), strict=True):
        if text is None:
            row[0] = MISSING_TEXT
            continue
        # Numbers follow from frequencies: the rare parts have the high ones.
        known = sorted((numbers[part] for part in parts_of(text) if part in numbers), reverse=True)
        known = known[: column.longest]
        row[: len(known)] = known
    return found
