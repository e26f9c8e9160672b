"""Which token of the targets goes with each token of the sources, by how often they are together.

A network that may write these by a pointer learns to translate from far fewer pairs: it need only
learn where to look (Arthur et al., "Incorporating discrete translation lexicons into neural machine
translation", 2016).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...utils.typing import Array
from ..text.tokenizers import PADDING, SPECIAL

#: So many pairs are counted at most, so many at a time.
_COUNTED, _BLOCK = 50_000, 2000
#: Tokens that are together in fewer pairs have no entry.
_FEWEST = 2
#: With fewer of the tokens of targets among the entries of their sources it is no translation.
_FOUND = 0.15


def lexicon_of(
    sources: Sequence[Array], targets: Sequence[Array], tokens: int, other: int
) -> Array | None:
    """The token of the targets that goes best with each token of the sources; padding where none.

    How well two tokens go together is Dice's coefficient 2·n(both)/(n(first) + n(second)) of the
    pairs that have them. None if it finds too little of the targets.

    Args:
        sources: the tokens of each source.
        targets: those of its target.
        tokens: numbers that a token of a source may be.
        other: numbers that a token of a target may be.

    Example:
        >>> cats, dogs = np.array([2, 3]), np.array([2, 4])
        >>> lexicon_of([cats, dogs] * 2, [np.array([7, 5]), np.array([8, 5])] * 2, 5, 9).tolist()
        [0, 0, 5, 7, 8]
    """
    step = max(len(sources) // _COUNTED, 1)
    first, second = (_different(texts[::step]) for texts in (sources, targets))
    keys, counts = _together(first, second, other)
    a, b = np.divmod(keys, other)
    n_first = np.bincount(np.concatenate(first), minlength=tokens)
    n_second = np.bincount(np.concatenate(second), minlength=other)
    dice = 2 * counts / (n_first[a] + n_second[b])
    found = np.full(tokens, PADDING, np.int32)
    order = np.lexsort((b, dice))  # the best of a token comes last, and stays
    found[a[order]] = b[order]
    return found if _fraction(found, first, second) >= _FOUND else None


def _different(texts: Sequence[Array]) -> list[Array]:
    """The tokens of each text, once each, without those that are no text."""
    found = [np.unique(tokens).astype(np.int64) for tokens in texts]
    return [tokens[tokens >= SPECIAL] for tokens in found]


def _together(first: list[Array], second: list[Array], other: int) -> tuple[Array, Array]:
    """Pairs of tokens, as a·other + b, that are in several pairs of texts, and in how many."""

    def blocks() -> Iterator[tuple[Array, Array]]:
        for start in range(0, len(first), _BLOCK):
            both = zip(first[start : start + _BLOCK], second[start : start + _BLOCK], strict=True)
            keys = [(a[:, None] * other + b).ravel() for a, b in both]
            yield np.unique(np.concatenate(keys), return_counts=True)

    found, counts = (np.concatenate(each) for each in zip(*blocks(), strict=True))
    keys, places = np.unique(found, return_inverse=True)
    total = np.bincount(places, counts).astype(np.int64)
    often = total >= _FEWEST
    return keys[often], total[often]


def _fraction(lexicon: Array, first: list[Array], second: list[Array]) -> float:
    """How many of the tokens of targets are entries of a token of their source."""
    step = max(len(first) // 1000, 1)
    pairs = list(zip(first[::step], second[::step], strict=True))
    found = sum(int(np.isin(b, lexicon[a]).sum()) for a, b in pairs)
    return found / max(sum(len(b) for _, b in pairs), 1)
