"""What is suspicious in pairs of texts: targets that do not belong to their sources."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...errors import DataError
from ...utils.typing import Array
from .pairs import Pairs
from .sources import TextSource

#: Fewer pairs say nothing of the others.
_FEWEST = 30
#: Pairs are compared with those so many rows before and after, in blocks of so many rows.
_SHIFTS, _BLOCK = 3, 200
#: Lengths of texts and their translations agree at least like that.
_AGREEMENT = 0.3
#: So much likelier must the words of a pair be the other way round, on average (in nats).
_SWAPPED = 1.0
_NAMED = 5
#: Scripts of fewer texts are words in between.
_SCRIPT = 0.02
_SAMPLE = 5000


def check_targets(pairs: Pairs, where: str) -> None:
    """Refuse targets that are all the same.

    Raises:
        DataError: there is nothing to learn.
    """
    first = pairs.target[0]
    if len(pairs) > 1 and all(text == first for text in pairs.target):
        raise DataError(
            "The target is the same in every pair.",
            where=where,
            expected="different texts",
            found=f"{first!r:.60} in all {len(pairs):,} pairs",
            hint="there is nothing to learn: is it the right column?",
        )


def doubts(source: object, pairs: Pairs) -> list[str]:
    """Sentences on pairs that may be wrong; rows are those that are left, from 0."""
    if not isinstance(source, TextSource) or len(pairs) < _FEWEST:
        return []
    pairs = pairs.some(spread=False)
    sources = [" ".join(item) for item in pairs.sources]
    found = [*_repeated(pairs.target), *_copies(pairs), *_scripts(pairs.target)]
    if len(source.columns) == 1:
        found += [*_shifted(sources, pairs.target), *_swapped(sources, pairs.target)]
    return found


def _repeated(targets: Sequence[str]) -> list[str]:
    text, count = Counter(targets).most_common(1)[0]
    if 2 * count <= len(targets):
        return []
    return [
        f"{count:,} of {len(targets):,} targets are {text!r:.40}: a network may write it always"
    ]


def _copies(pairs: Pairs) -> list[str]:
    same = sum(item[-1] == text for item, text in zip(pairs.sources, pairs.target, strict=True))
    if same * 10 < len(pairs):
        return []
    return [f"{same:,} of {len(pairs):,} targets are their source, word for word: is that right?"]


# ---- rows that do not belong together ------------------------------------------------------------


def _shifted(sources: Sequence[str], targets: Sequence[str]) -> list[str]:
    """Whether the lengths of targets agree with those of other rows: one line is too many."""
    first, second = (np.log1p([len(text) for text in texts]) for texts in (sources, targets))
    starts = range(0, max(len(first) - _BLOCK // 2, 1), _BLOCK)
    best = [_best_shift(first, second, start) for start in starts]
    wrong = [(start, shift) for start, shift in zip(starts, best, strict=True) if shift]
    if len(wrong) * 10 < len(best) or not wrong:
        return []
    start, shift = wrong[0]
    place = "from the beginning" if not start else f"from about row {start:,} on"
    rows = f"{abs(shift)} row{'s' * (abs(shift) > 1)} {'later' if shift > 0 else 'before'}"
    return [
        f"{place} the targets fit the sources better that stand {rows}: a line may be missing or "
        "too many in one of the columns"
    ]


def _best_shift(first: Array, second: Array, start: int) -> int:
    """By how many rows the lengths of a block agree far better than as they stand; 0 for none."""
    stop = min(start + _BLOCK, len(first)) - _SHIFTS
    low = max(start, _SHIFTS)
    if stop - low < _FEWEST:
        return 0
    there = second[low:stop]
    agreement = {
        shift: _correlation(first[low + shift : stop + shift], there)
        for shift in range(-_SHIFTS, _SHIFTS + 1)
    }
    best = max(agreement, key=lambda shift: agreement[shift])
    clear = agreement[best] - agreement[0] > 5 / math.sqrt(stop - low)
    return best if clear and agreement[best] > _AGREEMENT else 0


def _correlation(first: Array, second: Array) -> float:
    if first.std() < 1e-6 or second.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _swapped(sources: Sequence[str], targets: Sequence[str]) -> list[str]:
    """Pairs whose words are those of the other column: source and target changed places."""
    split = [([*set(a.lower().split())], [*set(b.lower().split())])
             for a, b in zip(sources, targets, strict=True)]  # fmt: skip
    first = Counter(word for words, _ in split for word in words)
    second = Counter(word for _, words in split for word in words)

    def odds(word: str) -> float:
        """How much more a word is one of the target's column."""
        return math.log((second[word] + 0.5) / (first[word] + 0.5))

    sums = np.array([(sum(map(odds, a)), -sum(map(odds, b))) for a, b in split])
    scores = sums.sum(axis=1) / [max(len(a) + len(b), 1) for a, b in split]
    # Both, for one alone is a year that is a number elsewhere.
    rows = np.flatnonzero((scores > _SWAPPED) & (sums > 0).all(axis=1))
    if not len(rows) or 2 * len(rows) > len(split) or np.median(scores) > -_SWAPPED:
        return []  # the columns have the same words, or each row has words of its own
    named = ", ".join(map(str, rows[:_NAMED].tolist())) + ", …" * (len(rows) > _NAMED)
    return [f"{len(rows):,} pairs seem to be swapped: their words are those of the other column "
            f"(rows {named})"]  # fmt: skip


# ---- scripts -------------------------------------------------------------------------------------


def _scripts(targets: Sequence[str]) -> list[str]:
    """Targets in several scripts, such as Latin and Cyrillic letters."""
    some = targets[:: max(len(targets) // _SAMPLE, 1)]
    counts = Counter(script_of(text) for text in some)
    counts.pop("", None)
    total = counts.total()
    kept = [(name, n / total) for name, n in counts.most_common() if n >= _SCRIPT * total]
    if len(kept) < 2:
        return []
    told = ", ".join(f"{fraction:.0%} {name}" for name, fraction in kept)
    return [f"the targets are in several scripts ({told}): one network learns them all"]


#: Scripts that stand side by side in one language, by the first word of their letters' names.
_TOGETHER = frozenset({"hiragana", "katakana", "cjk"})


def script_of(text: str) -> str:
    """The script of most letters of a text; empty without letters.

    Example:
        >>> script_of("a house"), script_of("дом"), script_of("12")
        ('latin', 'cyrillic', '')
    """
    names = Counter(
        unicodedata.name(letter, "").partition(" ")[0].lower()
        for letter in text
        if letter.isalpha()
    )
    if not names:
        return ""
    name = names.most_common(1)[0][0]
    return "japanese or chinese" if name in _TOGETHER else name
