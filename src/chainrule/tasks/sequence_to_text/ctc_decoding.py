"""From scores of labels and a blank in each step to sequences of labels: CTC's decoding.

Source of the prefix beam search: Hannun et al., "First-pass large vocabulary continuous speech
recognition using bi-directional recurrent DNNs", 2014.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...errors import ConfigError, ShapeError
from ...utils.typing import Array

_NEVER = -math.inf
#: Labels that are so much less probable than the best of a step (in nats) begin nothing.
_LEAST = 9.0
#: And no more of them than so many.
_LABELS = 40
#: Rows that are read side by side.
_ROWS = 64


class LabelModel(Protocol):
    """What is known of sequences of labels beside the scores, such as a language model.

    A state stands for what was read; it never changes. A model whose score most labels leave as it
    is may have a function ``adds`` of a label: whether it may change it; only then it is asked.
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
    found = []
    for first in range(0, len(scores), _ROWS):
        rows = slice(first, first + _ROWS)
        found += _Search(blank, beam, model, weight).read(scores[rows], lengths[rows])
    return [readings[:best] for readings in found]


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


class _Prefixes:
    """All prefixes that were followed, by number: each is one before it and a label.

    Args:
        model: what it adds for a label is asked once.
    """

    def __init__(self, model: LabelModel | None) -> None:
        self.model = model
        self._numbers: dict[tuple[int, int], int] = {}
        self._came: list[tuple[int, int]] = []
        self._states: list[Any] = []
        self._read: dict[tuple[int, int], tuple[float, Any]] = {}

    def root(self) -> int:
        """A new empty prefix."""
        self._came.append((-1, -1))
        self._states.append(None if self.model is None else self.model.start())
        return len(self._came) - 1

    def longer(self, prefix: int, label: int) -> int:
        """The prefix with one more label; the same number each time."""
        key = prefix, label
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._came)
            self._came.append(key)
            self._states.append(self._asked(prefix, label)[1])
        return number

    def added(self, prefix: int, label: int) -> float:
        """What the model adds for one more label."""
        return self._asked(prefix, label)[0]

    def _asked(self, prefix: int, label: int) -> tuple[float, Any]:
        if self.model is None:
            return 0.0, None
        key = prefix, label
        found = self._read.get(key)
        if found is None:
            found = self._read[key] = self.model.read(self._states[prefix], label)
        return found

    def end(self, prefix: int) -> float:
        """What the model adds that nothing follows."""
        return 0.0 if self.model is None else self.model.end(self._states[prefix])

    def labels(self, prefix: int) -> Array:
        """All labels of a prefix."""
        found = []
        before, label = self._came[prefix]
        while before >= 0:
            found.append(label)
            before, label = self._came[before]
        return np.array(found[::-1], np.int64)


@dataclass(eq=False)
class _Beam:
    """The prefixes of some rows, (rows, beam) each.

    Attributes:
        number: of the prefix; -1 where there is none.
        before: of the one without its last label.
        last: that label.
        blank, other: ln p of the paths that end in the blank, and of the others.
        known: what the model adds for all of its labels.
        added: (rows, beam, classes) what it adds for one more; NaN where that was not asked yet.
    """

    number: Array
    before: Array
    last: Array
    blank: Array
    other: Array
    known: Array
    added: Array | None

    def rows(self, rows: Array) -> _Beam:
        """Some of the rows."""
        some: dict[str, Any] = {
            name: None if x is None else x[rows] for name, x in vars(self).items()
        }
        return _Beam(**some)

    def put(self, rows: Array, new: _Beam) -> None:
        """Other prefixes for some of the rows."""
        for own, other in zip(vars(self).values(), vars(new).values(), strict=True):
            if own is not None:
                own[rows] = other


class _Search:
    """The search through some rows at once, a step at a time."""

    def __init__(self, blank: int, beam: int, model: LabelModel | None, weight: float) -> None:
        self.blank, self.beam, self.weight = blank, beam, weight
        self.prefixes = _Prefixes(model)
        self.has_model = model is not None
        self._adds = getattr(model, "adds", lambda label: True)

    def read(self, scores: Array, lengths: Array) -> list[list[Reading]]:
        """All readings of each row, the best first."""
        beam = self._start(len(scores), scores.shape[2])
        for step in range(int(lengths.max(initial=0))):
            rows = np.flatnonzero(lengths > step)
            beam.put(rows, self._step(beam.rows(rows), scores[rows, step]))
        return [self._readings(beam, row) for row in range(len(scores))]

    def _start(self, rows: int, classes: int) -> _Beam:
        shape = rows, self.beam
        number, blank = np.full(shape, -1), np.full(shape, _NEVER)
        number[:, 0], blank[:, 0] = [self.prefixes.root() for _ in range(rows)], 0.0
        #: (classes,) what a label adds as far as that is known without asking.
        self._unasked = np.array([np.nan if self._adds(n) else 0.0 for n in range(classes)])
        added = np.tile(self._unasked, (*shape, 1)) if self.has_model else None
        return _Beam(
            number, np.full(shape, -1), np.full(shape, -1), blank, np.full(shape, _NEVER),
            np.zeros(shape), added,
        )  # fmt: skip

    def _step(self, beam: _Beam, step: Array) -> _Beam:
        """One step further, from scores (rows, classes): the best prefixes."""
        labels, scores = self._labels(step)
        total = np.logaddexp(beam.blank, beam.other)
        repeated = labels[:, None] == beam.last[:, :, None]
        longer = np.where(repeated, beam.blank[:, :, None], total[:, :, None]) + scores[:, None]
        silent = total + step[:, self.blank, None]
        again = beam.other + np.take_along_axis(step, np.maximum(beam.last, 0), 1)
        self._merge(beam, labels, longer, again)
        weighed = np.concatenate([np.logaddexp(silent, again)[:, :, None], longer], 2)
        weighed += self.weight * beam.known[:, :, None]
        if beam.added is not None:
            self._ask(beam, labels, longer)
            added = np.take_along_axis(beam.added, labels[:, None], 2)
            weighed[:, :, 1:] += self.weight * np.where(longer == _NEVER, 0.0, added)
        flat = weighed.reshape(len(step), -1)
        chosen = np.argsort(-flat, 1, kind="stable")[:, : self.beam]
        return self._chosen(beam, chosen, flat, labels, (silent, again, longer))

    def _labels(self, step: Array) -> tuple[Array, Array]:
        """Labels that may follow, (rows, labels), and their scores; -∞ for those that may not."""
        scores = np.where(step >= step.max(1, keepdims=True) - _LEAST, step, _NEVER)
        scores[:, self.blank] = _NEVER
        most = min(max(int((scores > _NEVER).sum(1).max()), 1), _LABELS)
        labels = np.argsort(-scores, 1, kind="stable")[:, :most]
        return labels, np.take_along_axis(scores, labels, 1)

    def _merge(self, beam: _Beam, labels: Array, longer: Array, again: Array) -> None:
        """Paths that reach a prefix which is followed already are added there."""
        from_ = beam.before[:, :, None] == beam.number[:, None]
        from_ &= ((beam.before >= 0) & (beam.number >= 0))[:, :, None]
        by = beam.last[:, :, None] == labels[:, None]
        row, place = np.nonzero(from_.any(2) & by.any(2))
        source = row, from_[row, place].argmax(1), by[row, place].argmax(1)
        again[row, place] = np.logaddexp(again[row, place], longer[source])
        longer[source] = _NEVER

    def _ask(self, beam: _Beam, labels: Array, longer: Array) -> None:
        """Ask the model what it adds, where it was not asked yet."""
        assert beam.added is not None
        unknown = np.isnan(np.take_along_axis(beam.added, labels[:, None], 2)) & (longer > _NEVER)
        for row, place, which in np.argwhere(unknown).tolist():
            label = int(labels[row, which])
            prefix = int(beam.number[row, place])
            beam.added[row, place, label] = self.prefixes.added(prefix, label)

    def _chosen(
        self, beam: _Beam, chosen: Array, flat: Array, labels: Array, ways: tuple[Array, ...]
    ) -> _Beam:
        """The prefixes at such places among those that go on and those that get longer."""
        silent, again, longer = ways
        place, which = np.divmod(chosen, 1 + labels.shape[1])
        rows = np.arange(len(chosen))[:, None]
        label, came = labels[rows, which - 1], longer[rows, place, which - 1]
        exists, stays = flat[rows, chosen] > _NEVER, which == 0
        before, known = beam.number[rows, place], beam.known[rows, place]
        number = before.copy()
        for row, rank in np.argwhere(exists & ~stays).tolist():
            key = int(before[row, rank]), int(label[row, rank])
            number[row, rank] = self.prefixes.longer(*key)
            known[row, rank] += self.prefixes.added(*key)
        return _Beam(
            np.where(exists, number, -1),
            np.where(stays, beam.before[rows, place], before),
            np.where(stays, beam.last[rows, place], label),
            np.where(exists & stays, silent[rows, place], _NEVER),
            np.where(exists, np.where(stays, again[rows, place], came), _NEVER),
            known,
            None
            if beam.added is None
            else np.where(stays[:, :, None], beam.added[rows, place], self._unasked),
        )

    def _readings(self, beam: _Beam, row: int) -> list[Reading]:
        found = []
        for place in np.flatnonzero(beam.number[row] >= 0).tolist():
            prefix = int(beam.number[row, place])
            probability = float(np.logaddexp(beam.blank[row, place], beam.other[row, place]))
            known = float(beam.known[row, place]) + self.prefixes.end(prefix)
            score = probability + self.weight * known
            found.append(Reading(self.prefixes.labels(prefix), probability, score))
        return sorted(found, key=lambda reading: -reading.score)


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

    def adds(self, label: int) -> bool:
        """Whether a label may end a word."""
        return any(character.isspace() for character in self.text.get(label, ""))

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
