"""What costs nothing writes: the source itself, words by a dictionary, the text of a neighbour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...data.words import words_of
from ...utils.typing import Array
from .pairs import Pairs
from .scoring import most_frequent
from .sources import Source, TextSource

#: Neighbours have the most of these in common: pieces of so many letters.
_PIECE = 4
#: So many training pairs are compared with, and so many words have an entry.
_COMPARED, _ENTRIES = 30_000, 50_000


def texts_for_nothing(source: Source, train: Pairs, test: Pairs) -> dict[str, list[str]]:
    """Texts for each different source of a test set, by baseline.

    Args:
        source: the kind of source; of others than texts only the most frequent target is known.
        train: pairs to learn from.
        test: pairs whose sources are asked for.
    """
    train = train.some()
    asked = [test.sources[row] for row in test.first]
    if not isinstance(source, TextSource):
        return {"most frequent": [most_frequent(train.target)] * len(asked)}
    known, new = ([" ".join(item) for item in items] for items in (train.sources, asked))
    return {
        "copying": [item[-1] for item in asked],
        "dictionary": by_dictionary(known, train.target, new),
        "nearest neighbour": nearest(known, train.target, new),
    }


def by_dictionary(
    sources: Sequence[str], targets: Sequence[str], asked: Sequence[str]
) -> list[str]:
    """Word by word: for each word of the source the word of the target that goes with it best.

    How well two words go together is Dice's coefficient 2·n(both)/(n(first) + n(second)) of the
    pairs that have them (Smadja et al., 1996). What has no entry is copied. Words are letters where
    a source has no spaces.

    Example:
        >>> by_dictionary(["red cat", "red dog"], ["chat rouge", "chien rouge"], ["dog red"])
        ['chien rouge']
    """
    apart = sum(" " in text for text in sources) < len(sources) / 2
    split = list if apart else words_of
    in_source: Counter[str] = Counter()
    in_target: Counter[str] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    for source, target in zip(sources, targets, strict=True):
        first, second = set(split(source)), set(target.split())
        in_source.update(first)
        in_target.update(second)
        both.update((a, b) for a in first for b in second)
    best: dict[str, tuple[float, str]] = {}
    for (a, b), count in both.items():
        dice = 2 * count / (in_source[a] + in_target[b])
        if a not in best or (dice, b) > best[a]:
            best[a] = dice, b
    return [" ".join(best.get(word, (0.0, word))[1] for word in split(text)) for text in asked]


def nearest(sources: Sequence[str], targets: Sequence[str], asked: Sequence[str]) -> list[str]:
    """The target of the training source that is most similar: by pieces of words, with TF-IDF.

    Example:
        >>> nearest(["a red cat", "two dogs"], ["chat", "chiens"], ["dogs"])
        ['chiens']
    """
    step = max(len(sources) // _COMPARED, 1)
    sources, targets = sources[::step], targets[::step]
    known = [_pieces(text) for text in sources]
    frequency = Counter(piece for pieces in known for piece in pieces)
    idf = {piece: float(np.log(len(known) / count) + 1) for piece, count in frequency.items()}
    rows: dict[str, list[int]] = {}
    norms = np.zeros(len(known))
    for row, pieces in enumerate(known):
        for piece in pieces:
            rows.setdefault(piece, []).append(row)
        norms[row] = np.sqrt(sum(idf[piece] ** 2 for piece in pieces)) or 1.0
    places = {piece: np.array(found) for piece, found in rows.items()}
    said = []
    for text in asked:
        similar: Array = np.zeros(len(known))
        for piece in _pieces(text):
            if piece in places:
                similar[places[piece]] += idf[piece] ** 2
        said.append(targets[int((similar / norms).argmax())])
    return said


def _pieces(text: str) -> set[str]:
    """Pieces of words with their ends, from 2 to so many letters."""
    spread = f" {' '.join(text.lower().split())} "
    return {
        spread[start : start + size]
        for size in range(2, _PIECE + 1)
        for start in range(len(spread) - size + 1)
    }
