"""From scores of labels and a blank in each step to sequences of labels: CTC's decoding.

Source of the prefix beam search: Hannun et al., "First-pass large vocabulary continuous speech
recognition using bi-directional recurrent DNNs", 2014.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ...errors import ConfigError, ShapeError
from ...utils.typing import Array

_NEVER = -math.inf
#: Labels that are so much less probable than the best of a step (in nats) begin nothing.
_LEAST = 9.0
#: And no more of them than so many.
_LABELS = 40


class LabelModel(Protocol):
    """What is known of sequences of labels beside the scores, such as a language model.

    A state stands for what was read; it never changes.
    """

    def start(self) -> Any:
        """The state before the first label."""

    def read(self, state: Any, label: int) -> tuple[float, Any]:
        """What one more label adds to the score, and the state after it."""

    def end(self, state: Any) -> float:
        """What it adds that nothing follows."""


@dataclass(frozen=True, eq=False)
class Reading:
    """A sequence of labels that was read.

    Attributes:
        labels: (labels,) integers.
        log_probability: ln p of the labels: of the most probable path where it was read greedily,
            otherwise of all paths that were followed.
        score: by which readings are compared: with what a `LabelModel` adds.
        steps: (labels,) in which step each label began, of a greedy reading.
    """

    labels: Array
    log_probability: float
    score: float
    steps: Array | None = None


def ctc_greedy(log_probabilities: Any, lengths: Any = None, blank: int = 0) -> list[Reading]:
    """The most probable label of each step; repeated ones count once, then blanks are left out.

    Args:
        log_probabilities: (rows, steps, classes).
        lengths: (rows) how many steps count; all without it.
        blank: the class index of the blank.

    Example:
        >>> p = np.array([[[0.1, 0.9], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]]])
        >>> [reading] = ctc_greedy(np.log(p))
        >>> reading.labels.tolist(), reading.steps.tolist(), round(float(np.exp(reading.score)), 3)
        ([1, 1], [0, 3], 0.302)
    """
    scores, lengths = _checked(log_probabilities, lengths, blank)
    found = []
    for row, length in zip(scores, lengths, strict=True):
        best = row[:length].argmax(axis=1)
        total = float(row[np.arange(length), best].sum())
        begins = np.flatnonzero((best != blank) & (best != np.concatenate([[-1], best[:-1]])))
        found.append(Reading(best[begins], total, total, begins))
    return found


def ctc_beam(
    log_probabilities: Any,
    lengths: Any = None,
    blank: int = 0,
    *,
    beam: int = 16,
    best: int = 1,
    model: LabelModel | None = None,
    weight: float = 1.0,
) -> list[list[Reading]]:
    """The most probable sequences of labels, the best first: the paths of each are added up.

    In each step the ``beam`` best prefixes are kept, each with the probability of the paths that
    end in the blank and of those that do not: only after a blank a label may be repeated.

    Args:
        log_probabilities: (rows, steps, classes).
        lengths: (rows) how many steps count; all without it.
        blank: the class index of the blank.
        beam: how many prefixes are followed.
        best: how many readings of each row are wanted.
        model: what else is known of the labels.
        weight: of what the model adds.

    Raises:
        ConfigError: a beam of 0, or more readings than it is wide.
        ShapeError: scores and lengths do not fit.

    Example:
        >>> p = np.array([[[0.6, 0.4], [0.6, 0.4]]])  # nothing is the best path, "1" more probable
        >>> [[reading]] = ctc_beam(np.log(p))
        >>> reading.labels.tolist(), round(float(np.exp(reading.log_probability)), 2)
        ([1], 0.64)
    """
    if beam < 1 or not 1 <= best <= beam:
        raise ConfigError("Nothing can be read with this beam.",
                          expected="a beam from 1, and no more readings than it is wide",
                          found=f"beam={beam}, best={best}")  # fmt: skip
    scores, lengths = _checked(log_probabilities, lengths, blank)
    return [
        _Search(blank, beam, model, weight).read(row[:length])[:best]
        for row, length in zip(scores, lengths, strict=True)
    ]


def _checked(log_probabilities: Any, lengths: Any, blank: int) -> tuple[Array, Array]:
    scores = np.asarray(log_probabilities, np.float64)
    if scores.ndim != 3 or not 0 <= blank < scores.shape[2]:
        raise ShapeError("Labels are read from scores of every step.",
                         expected=f"(rows, steps, classes), the blank {blank} among them",
                         found=str(scores.shape))  # fmt: skip
    known = np.full(len(scores), scores.shape[1]) if lengths is None else np.asarray(lengths)
    if known.shape != (len(scores),) or (known < 0).any() or (known > scores.shape[1]).any():
        raise ShapeError("Every row has a length, which is no more than the steps.",
                         expected=f"({len(scores)},), from 0 to {scores.shape[1]}",
                         found=f"{known.shape}, {known.tolist()[:10]}")  # fmt: skip
    return scores, known.astype(np.int64)


@dataclass(eq=False)
class _Prefix:
    """Labels that were read so far, as the last one and the prefix before it."""

    parent: _Prefix | None
    label: int
    state: Any
    #: What the model adds for all of its labels.
    known: float
    children: dict[int, _Prefix] = field(default_factory=dict)
    #: ln p of the paths up to the last step that end in the blank, and of the others.
    blank: float = _NEVER
    other: float = _NEVER
    next_blank: float = _NEVER
    next_other: float = _NEVER

    @property
    def labels(self) -> list[int]:
        found = []
        node = self
        while node.parent is not None:
            found.append(node.label)
            node = node.parent
        return found[::-1]


class _Search:
    def __init__(self, blank: int, beam: int, model: LabelModel | None, weight: float) -> None:
        self.blank, self.beam, self.model, self.weight = blank, beam, model, weight

    def read(self, scores: Array) -> list[Reading]:
        root = _Prefix(None, -1, None if self.model is None else self.model.start(), 0.0)
        root.blank = 0.0
        prefixes = [root]
        for step in scores:
            prefixes = self._step(prefixes, step)
        found = [self._reading(prefix) for prefix in prefixes]
        return sorted(found, key=lambda reading: -reading.score)

    def _step(self, prefixes: list[_Prefix], step: Array) -> list[_Prefix]:
        """One step further: the best prefixes."""
        labels = np.flatnonzero(step >= step.max() - _LEAST)
        if len(labels) > _LABELS:
            labels = labels[np.argsort(-step[labels], kind="stable")[:_LABELS]]
        pairs = [(label, float(step[label])) for label in labels.tolist() if label != self.blank]
        silent = float(step[self.blank])
        reached: list[_Prefix] = []
        for prefix in prefixes:
            total = _added(prefix.blank, prefix.other)
            if prefix.next_blank == prefix.next_other == _NEVER:
                reached.append(prefix)
            prefix.next_blank = _added(prefix.next_blank, total + silent)
            if prefix.parent is not None:
                again = prefix.other + float(step[prefix.label])
                prefix.next_other = _added(prefix.next_other, again)
            for label, score in pairs:
                longer = self._longer(prefix, label)
                came = (prefix.blank if label == prefix.label else total) + score
                if came == _NEVER:
                    continue
                if longer.next_blank == longer.next_other == _NEVER:
                    reached.append(longer)
                longer.next_other = _added(longer.next_other, came)
        for prefix in (*prefixes, *reached):
            prefix.blank = prefix.other = _NEVER
        for prefix in reached:
            prefix.blank, prefix.other = prefix.next_blank, prefix.next_other
            prefix.next_blank = prefix.next_other = _NEVER
        reached.sort(key=lambda prefix: -self._score(prefix))
        return reached[: self.beam]

    def _longer(self, prefix: _Prefix, label: int) -> _Prefix:
        found = prefix.children.get(label)
        if found is None:
            added, state = 0.0, None
            if self.model is not None:
                added, state = self.model.read(prefix.state, label)
            found = _Prefix(prefix, label, state, prefix.known + added)
            prefix.children[label] = found
        return found

    def _score(self, prefix: _Prefix) -> float:
        return _added(prefix.blank, prefix.other) + self.weight * prefix.known

    def _reading(self, prefix: _Prefix) -> Reading:
        end = 0.0 if self.model is None else self.model.end(prefix.state)
        probability = _added(prefix.blank, prefix.other)
        score = probability + self.weight * (prefix.known + end)
        return Reading(np.array(prefix.labels, np.int64), probability, score)


def _added(a: float, b: float) -> float:
    """ln(exp(a) + exp(b))."""
    if a < b:
        a, b = b, a
    return a if b == _NEVER else a + math.log1p(math.exp(b - a))


# ---- what is known of texts ----------------------------------------------------------------------


class WordModel:
    """A word n-gram as a `LabelModel` of characters: a word counts when it ends.

    Args:
        ngrams: of words.
        text: the text of each label.
        bonus: what each word adds, so that few long words are not preferred.

    Example:
        >>> from chainrule.tasks.sequence_to_text.word_ngrams import WordNGrams
        >>> model = WordModel(WordNGrams.fit(["a cat", "a dog"], 2), dict(enumerate("_ acdgot")))
        >>> letters = {letter: label for label, letter in enumerate("_ acdgot")}
        >>> def score(text):
        ...     total, state = 0.0, model.start()
        ...     for letter in text:
        ...         added, state = model.read(state, letters[letter])
        ...         total += added
        ...     return total + model.end(state)
        >>> score("a cat") > score("a cot")
        True
    """

    def __init__(self, ngrams: Any, text: dict[int, str], bonus: float = 0.0) -> None:
        self.ngrams, self.text, self.bonus = ngrams, text, bonus

    def start(self) -> Any:
        """No word before."""
        return (), ""

    def read(self, state: Any, label: int) -> tuple[float, Any]:
        """A space ends a word."""
        before, word = state
        added = 0.0
        for character in self.text.get(label, ""):
            if not character.isspace():
                word += character
            elif word:
                added += self._word(before, word)
                before, word = self._after(before, word), ""
        return added, (before, word)

    def end(self, state: Any) -> float:
        """The last word, and that the sentence ends."""
        before, word = state
        added = 0.0
        if word:
            added, before = self._word(before, word), self._after(before, word)
        return added + float(self.ngrams.log_probability(before, None))

    def _word(self, before: tuple[str, ...], word: str) -> float:
        return float(self.ngrams.log_probability(before, word)) + self.bonus

    def _after(self, before: tuple[str, ...], word: str) -> tuple[str, ...]:
        keep = self.ngrams.order - 1
        return (*before, word)[-keep:] if keep else ()


class LanguageModelOfLabels:
    """A chainrule language model as a `LabelModel`: it reads the text of each label.

    Args:
        model: of `chainrule.tasks.text.load`.
        text: the text of each label.
        bonus: what each label adds.
    """

    def __init__(self, model: Any, text: dict[int, str], bonus: float = 0.0) -> None:
        self.model, self.text, self.bonus = model, text, bonus
        self._known: dict[Hashable, Any] = {}

    def start(self) -> Any:
        """As after the end of a line."""
        from ..text.generate import Reader

        reader = Reader(self.model.network, self.model.schema.shape.context)
        return self._after(reader, self._tokens("\n"))[1]

    def read(self, state: Any, label: int) -> tuple[float, Any]:
        """ln p of the tokens of the label."""
        added, state = self._after(
            state[0].copy(), self._tokens(self.text.get(label, "")), state[1]
        )
        return added + self.bonus, state

    def end(self, state: Any) -> float:
        """ln p of the end of the line."""
        tokens = self._tokens("\n")
        return float(state[1][tokens[0]]) if tokens else 0.0

    def _tokens(self, text: str) -> Sequence[int]:
        found: list[int] = self.model.schema.tokenizer.encode(text).tolist()
        return found

    def _after(
        self, reader: Any, tokens: Sequence[int], known: Array | None = None
    ) -> tuple[float, Any]:
        added = 0.0
        for token in tokens:
            if known is not None:
                added += float(known[token])
            logits = reader.read(token).astype(np.float64)
            logits -= logits.max()
            known = logits - np.log(np.exp(logits).sum())
        return added, (reader, known)
