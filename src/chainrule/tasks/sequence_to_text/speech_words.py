"""Which words help to read what a network hears: decided on the validation set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError, DataError
from ...metrics import word_error_rate
from ...utils.typing import Array
from ..kinds.sequence_to_text import SequenceToTextOptions
from ..plan import Split
from ..text.reading import read_text
from .ctc_output import CtcOutput
from .decoding import Decoding, Written
from .pairs import Pairs
from .schema import SequenceSchema
from .word_ngrams import WordNGrams

#: Words of an n-gram, and prefixes that are followed.
_ORDER, BEAM = 3, 16
#: Weights of the words, and what each word adds, that are tried, on so many sounds: an n-gram is
#: worth little beside a network, and without a bonus few long words would win.
_TRIED = ((0.15, 4.0), (0.3, 4.0), (0.5, 4.0))
_SOUNDS = 60
#: Lengths are rounded up to so many frames.
_ROUND = 16


def words_of_file(path: str, schema: SequenceSchema) -> WordNGrams:
    """The n-grams of a file with a sentence in each line, as they are heard."""
    lines = read_text(path).splitlines()
    return WordNGrams.fit((schema.source.text(line) for line in lines), _ORDER)


def helped_by_words(
    schema: SequenceSchema,
    network: Any,
    split: Split[Pairs],
    options: SequenceToTextOptions,
    note: Callable[[str], None],
) -> SequenceSchema:
    """The schema with the words that lower the word error rate most, if any do.

    Raises:
        ConfigError: there is no such language model.
    """
    asked = options.language_model or "words"
    if asked == "none":
        return schema
    if asked == "words":
        words = _words_of(split.train)
    elif Path(asked).is_file():
        words = words_of_file(asked, schema)
    else:
        raise ConfigError("There is no such language model.",
                          expected="words, none, or a file with a sentence in each line",
                          found=asked)  # fmt: skip
    if words is None:
        return schema
    validation = split.validation
    rows = validation.first[:: max(len(validation.first) // _SOUNDS, 1)][:_SOUNDS]
    right = [validation.target[row] for row in rows]
    scores, steps = scores_of(schema, network, [validation.sources[row] for row in rows])
    rate, how = _rate(schema, scores, steps, schema.decoding, right), schema.decoding
    before = rate
    for weight, bonus in _TRIED:
        beam = options.beam or BEAM
        tried = replace(how, beam=beam, language_weight=weight, word_bonus=bonus)
        found = _rate(schema, scores, steps, schema.with_words(words, tried), right)
        if found < rate:
            rate, schema = found, replace(schema, decoding=tried, words=words)
    if schema.words is None:
        return schema
    source = "the training" if asked == "words" else asked
    note(
        f"the words of {source} help to read what is heard: word error rate {100 * before:.1f} % "
        f"without them, {100 * rate:.1f} % with them, on {len(rows):,} sounds that were held out"
    )
    return schema


def _words_of(train: Pairs) -> WordNGrams | None:
    try:
        return WordNGrams.fit(train.target, _ORDER)
    except DataError:
        return None


def scores_of(schema: SequenceSchema, network: Any, items: list[Any]) -> tuple[Array, Array]:
    """ln p (items, steps, classes) of some sounds, and the number of steps of each."""
    source, output = schema.source, schema.output
    assert isinstance(output, CtcOutput)
    prepared = source.prepared(items)
    longest = min(int(source.lengths(prepared).max()), source.longest)
    batch = source.batch(prepared, -(-longest // _ROUND) * _ROUND)
    return output.scorer(network, "numpy")(batch), np.asarray(batch["steps"])


def _rate(
    schema: SequenceSchema, scores: Array, steps: Array, how: Decoding, right: list[str]
) -> float:
    output = schema.output
    assert isinstance(output, CtcOutput)
    found: list[list[Written]] = output.read(scores, steps, replace(how, best=1))
    texts = [schema.tokenizer.decode(row[0].tokens.tolist()).strip() for row in found]
    return word_error_rate(right, texts)
