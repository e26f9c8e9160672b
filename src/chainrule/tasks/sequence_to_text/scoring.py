"""How good texts are, in the terms of what they are for; what costs nothing writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from ... import metrics
from ...metrics.texts import has_sacrebleu
from ...utils.typing import Array

Say = Callable[[str], None]
References = Sequence[tuple[str, ...]]

#: Targets of so many words, on average, are translated rather than spelt: few of them are right to
#: the last character, and BLEU and chrF tell more.
_SENTENCES = 4.0


def metric_names(references: References, answers: bool, symbols: bool = False) -> list[str]:
    """The metrics that tell most about such texts, the most telling first.

    Args:
        references: what is right.
        answers: to questions.
        symbols: the words are symbols, such as phones.
    """
    words = float(np.mean([len(one.split()) for right in references for one in right[:1]]))
    if answers:
        return ["exact_match", "token_f1", "character_error_rate"]
    rates = ["word_error_rate", "character_error_rate"]
    if symbols or words < _SENTENCES:
        return ["exact_match", *(rates if words > 1.05 else rates[1:])]
    if has_sacrebleu():
        return ["chrf", "bleu", "exact_match", *rates]
    return ["character_error_rate", "word_error_rate", "exact_match"]


def scores(
    names: Sequence[str], references: References, written: Sequence[str]
) -> dict[str, float]:
    """These metrics of some texts."""
    return {name: float(metrics.METRICS[name].function(references, written)) for name in names}


def text_errors(name: str, references: References, written: Sequence[str]) -> Array:
    """The error of each text, the larger the worse: wrong or not, or its character error rate."""
    if name in ("exact_match", "token_f1"):
        measure = metrics.METRICS[name].function
        return np.array(
            [1 - measure([right], [said]) for right, said in zip(references, written, strict=True)]
        )
    rate = metrics.character_error_rate
    return np.array(
        [rate([right], [said]) for right, said in zip(references, written, strict=True)]
    )


def most_frequent(targets: Sequence[str]) -> str:
    """The text that is there most often, the first of those in the order of Unicode."""
    counts = Counter(targets)
    return min(counts, key=lambda text: (-counts[text], text))
