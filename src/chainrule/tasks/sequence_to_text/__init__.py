"""Sequences that become texts as a kind of data: translations, spellings, answers.

A table with a source and a target of texts is learned from, or sounds with what is said in them;
the network reads the source and writes the target. What a source is stands in `sources`, how a text
is written in `outputs`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ...errors import ModelFileError
from ...serialization import SavedModel
from ...training import Callback, Checkpoints
from .. import load_predictor, runner
from ..kinds.sequence_to_text import KIND, SequenceToTextOptions
from ..result import TrainingResult
from ..update import Continuation, Old
from ..update_options import UpdateOptions
from .ctc_decoding import (
    LabelModel,
    LanguageModelOfLabels,
    Reading,
    WordModel,
    ctc_beam,
    ctc_greedy,
)
from .decoding import Decoding
from .plan import SequenceToText
from .translator import Text, Translator
from .update import continued
from .word_ngrams import WordNGrams

__all__ = [
    "NEW",
    "Decoding",
    "LabelModel",
    "LanguageModelOfLabels",
    "Options",
    "Reading",
    "SequenceToTextOptions",
    "Text",
    "Translator",
    "WordModel",
    "WordNGrams",
    "continuation",
    "ctc_beam",
    "ctc_greedy",
    "load",
    "predictor",
    "train",
]

Options, NEW = KIND.options, KIND.new
PLANS = (SequenceToText,)


def train(
    source: Any,
    options: SequenceToTextOptions,
    *,
    progress: bool = True,
    say: Callable[[str], None] = lambda sentence: None,
    on_schema: Callable[[Any], None] = lambda schema: None,
    callbacks: tuple[Callback, ...] = (),
    checkpoints: Checkpoints | None = None,
) -> TrainingResult:
    """Learn to write a text from a source.

    Args:
        source: a table with columns of the source and ``options.target``.
        options: what the user says; the rest follows from the data.
        progress: show the training.
        say: takes plain sentences about what is done and why.
        on_schema: takes what was understood of the data, before the training.
        callbacks: for the `Trainer`.
        checkpoints: where the state of the training is written, so that it can go on.

    Raises:
        DataError: the pairs cannot be read or learned from.
        ConfigError: an option does not fit.

    Example:
        >>> import chainrule as cr
        >>> names = {"one": "1", "two": "2", "three": "3", "four": "4"}
        >>> pairs = {"word": list(names) * 3, "digit": list(names.values()) * 3}
        >>> options = cr.sequence_to_text.SequenceToTextOptions(
        ...     target="digit", hidden=(16,), epochs=1, test=0.25
        ... )
        >>> pairs = {name: [f"{x} {k}" for k in range(3) for x in values[:4]]
        ...          for name, values in pairs.items()}
        >>> result = cr.sequence_to_text.train(pairs, options, progress=False)
        >>> sorted(result.report["metrics"])
        ['character_error_rate', 'exact_match', 'word_error_rate']
    """
    return runner.train(
        SequenceToText(options, say), source, progress=progress, on_schema=on_schema,
        callbacks=callbacks, checkpoints=checkpoints,
    )  # fmt: skip


def load(path: str | os.PathLike[str], *others: str | os.PathLike[str]) -> Translator:
    """The model in a file or run folder, ready for sources.

    Args:
        path: of the model.
        others: models with the same tokens, which write together with it (an ensemble).

    Raises:
        ModelFileError: it is no model that writes texts.
        ConfigError: the models do not go together.
    """
    found = load_predictor(path)
    if isinstance(found, Translator):
        if others:
            found.join([load(other) for other in others])
        return found
    raise ModelFileError("The model writes no texts.", where=os.fspath(path))


def predictor(saved: SavedModel, path: str) -> Translator:
    """A saved model of this kind, ready for use."""
    return Translator(saved, path)


def continuation(
    old: Old, source: Any, requested: UpdateOptions, say: Callable[[str], None]
) -> Continuation[Any, Any]:
    """New pairs as examples for a saved model; see `chainrule.tasks.update`."""
    return continued(predictor(old.saved, old.where), old, source, requested, say)
