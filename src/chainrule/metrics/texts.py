"""Metrics of texts: target and prediction are sequences of texts.

A target may be a tuple of texts of which any is right, such as the pronunciations of a word: the
one that is nearest to the prediction then counts.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from ..errors import ConfigError, DataError, ShapeError

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def edit_distance(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """The fewest insertions, deletions and substitutions from one sequence to another.

    Levenshtein's distance, a column of the table at a time in the bits of one integer (Myers, 1999;
    Hyyrö, 2003).

    Example:
        >>> edit_distance("kitten", "sitting"), edit_distance(["a", "b"], [])
        (3, 2)
    """
    if not first or not second:
        return max(len(first), len(second))
    places: dict[Hashable, int] = {}
    for place, symbol in enumerate(first):
        places[symbol] = places.get(symbol, 0) | 1 << place
    every, last = (1 << len(first)) - 1, 1 << (len(first) - 1)
    rises, falls, distance = every, 0, len(first)
    for symbol in second:
        same = places.get(symbol, 0)
        vertical = same | falls
        horizontal = (((same & rises) + rises) ^ rises) | same
        up, down = falls | ~(horizontal | rises), rises & horizontal
        distance += bool(up & last) - bool(down & last)
        up, down = (up << 1 | 1) & every, (down << 1) & every
        rises, falls = (down | ~(vertical | up)) & every, up & vertical
    return distance


def _paired(target: Any, prediction: Any) -> list[tuple[tuple[str, ...], str]]:
    references = [(one,) if isinstance(one, str) else tuple(one) for one in target]
    said = list(prediction)
    if len(references) != len(said):
        raise ShapeError("There is one prediction for each target.",
                         expected=f"{len(references):,} texts", found=f"{len(said):,}")  # fmt: skip
    if not references:
        raise DataError("A metric needs at least one row.", found="no texts")
    return list(zip(references, said, strict=True))


def exact_match(target: Any, prediction: Any) -> float:
    """The fraction of texts that are right to the last character.

    Example:
        >>> exact_match(["a b", ("c", "d")], ["a b", "d"])
        1.0
    """
    pairs = _paired(target, prediction)
    return sum(said in right for right, said in pairs) / len(pairs)


def _error_rate(target: Any, prediction: Any, split: Callable[[str], Sequence[str]]) -> float:
    errors = length = 0
    for right, said in _paired(target, prediction):
        units = split(said)
        found = [(edit_distance(split(one), units), len(split(one))) for one in right]
        best = min(found, key=lambda each: each[0] / max(each[1], 1))
        errors, length = errors + best[0], length + best[1]
    return errors / length if length else float(errors > 0)


def word_error_rate(target: Any, prediction: Any) -> float:
    """Insertions, deletions and substitutions of words per word of the targets; may exceed 1.

    Words are what stands between spaces. Errors and words of all texts are added up first.

    Example:
        >>> word_error_rate(["one two", "three"], ["one too", "three"])
        0.3333333333333333
    """
    return _error_rate(target, prediction, str.split)


def character_error_rate(target: Any, prediction: Any) -> float:
    """As `word_error_rate`, of characters.

    Example:
        >>> character_error_rate(["abcd"], ["abd"])
        0.25
    """
    return _error_rate(target, prediction, lambda text: text)


def token_f1(target: Any, prediction: Any) -> float:
    """The mean F1 of the words that answer and target have in common (Rajpurkar et al., 2016).

    Case, punctuation and the articles of English do not count, as in SQuAD.

    Example:
        >>> round(token_f1(["the red house"], ["Red!"]), 3)
        0.667
    """
    pairs = _paired(target, prediction)
    return sum(max(_f1(one, said) for one in right) for right, said in pairs) / len(pairs)


def _f1(right: str, said: str) -> float:
    first, second = _answer_words(right), _answer_words(said)
    common = (Counter(first) & Counter(second)).total()
    if not first or not second:
        return float(first == second)
    return 2 * common / (len(first) + len(second))


def _answer_words(text: str) -> list[str]:
    plain = text.lower().translate(_PUNCTUATION)
    return _ARTICLES.sub(" ", plain).split() or plain.split()


def bleu(target: Any, prediction: Any, *, tokenize: str | None = None) -> float:
    """BLEU of a corpus from 0 to 100, computed by sacrebleu (the extra ``translation``).

    Args:
        target: texts, or tuples of texts of which each counts.
        prediction: texts.
        tokenize: of sacrebleu: 13a by default, zh or ja-mecab for Chinese or Japanese.

    Raises:
        ConfigError: sacrebleu is not installed.
    """
    found = _sacrebleu().corpus_bleu(*_streams(target, prediction), tokenize=tokenize)
    return float(found.score)


def chrf(target: Any, prediction: Any) -> float:
    """chrF2 of a corpus from 0 to 100: F-score of the characters that both have side by side.

    Computed by sacrebleu (the extra ``translation``); see Popović, 2015.

    Raises:
        ConfigError: sacrebleu is not installed.
    """
    return float(_sacrebleu().corpus_chrf(*_streams(target, prediction)).score)


def _streams(target: Any, prediction: Any) -> tuple[list[str], list[list[str | None]]]:
    pairs = _paired(target, prediction)
    most = max(len(right) for right, _ in pairs)
    columns: list[list[str | None]] = [
        [right[place] if place < len(right) else None for right, _ in pairs]
        for place in range(most)
    ]
    return [said for _, said in pairs], columns


def _sacrebleu() -> Any:
    try:
        import sacrebleu
    except ImportError:
        raise ConfigError(
            "BLEU and chrF need the package sacrebleu.",
            hint="pip install 'chainrule[translation]'",
        ) from None
    return sacrebleu


def has_sacrebleu() -> bool:
    """Whether sacrebleu is installed."""
    import importlib.util

    return importlib.util.find_spec("sacrebleu") is not None
