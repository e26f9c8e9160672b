"""Text as a kind of data: tokenizers, classes of texts, and language models.

A table with a target, or a folder of class folders, is learned from to tell the class of a text; a
text file, or a folder of text files, to continue it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import ModelFileError
from ...serialization import SavedModel
from ...training import Callback, Checkpoints
from .. import load_predictor, runner
from ..kinds.text import KIND, TextOptions
from ..plan import Plan
from ..result import TrainingResult
from ..update import Continuation, Old
from ..update_options import UpdateOptions
from .classification import TextClassification, TextClassifier
from .generate import Reader, generate
from .language_modelling import LanguageModel, LanguageModelling
from .ngrams import Grams
from .reading import class_folders, read_text
from .tokenizers import (
    CharacterTokenizer,
    PieceTokenizer,
    Tokenizer,
    WordTokenizer,
    normalize,
    tokenizer_from_json,
)
from .update import continued_classes, continued_language

__all__ = [
    "NEW",
    "CharacterTokenizer",
    "Grams",
    "LanguageModel",
    "Options",
    "PieceTokenizer",
    "Reader",
    "TextClassifier",
    "TextOptions",
    "Tokenizer",
    "WordTokenizer",
    "continuation",
    "generate",
    "load",
    "normalize",
    "predictor",
    "read_text",
    "tokenizer_from_json",
    "train",
]

Options, NEW = KIND.options, KIND.new
PLANS = (TextClassification, LanguageModelling)


def train(
    source: Any,
    options: TextOptions,
    *,
    progress: bool = True,
    say: Callable[[str], None] = lambda sentence: None,
    on_schema: Callable[[Any], None] = lambda schema: None,
    callbacks: tuple[Callback, ...] = (),
    checkpoints: Checkpoints | None = None,
) -> TrainingResult:
    """Learn from text: its classes if there are any, otherwise its language.

    Args:
        source: a table with ``options.target``, a folder of class folders, a text file, or a
            folder of text files.
        options: what the user says; the rest follows from the data.
        progress: show the training.
        say: takes plain sentences about what is done and why.
        on_schema: takes what was understood of the data, before the training.
        callbacks: for the `Trainer`.
        checkpoints: where the state of the training is written, so that it can go on.

    Raises:
        DataError: the text cannot be read or learned from.
        ConfigError: an option does not fit.

    Example:
        >>> import chainrule as cr
        >>> words = [f"{mood} film {n}" for n in range(50) for mood in ("good", "bad")]
        >>> texts = {"text": words, "mood": ["glad", "sad"] * 50}
        >>> options = cr.text.TextOptions(target="mood", epochs=20)
        >>> cr.text.train(texts, options, progress=False).report["metrics"]["accuracy"]
        1.0
    """
    of_classes = _has_classes(source, options)
    plan: Plan[Any, Any, Any] = (TextClassification if of_classes else LanguageModelling)(
        options, say
    )
    return runner.train(
        plan, source, progress=progress, on_schema=on_schema, callbacks=callbacks,
        checkpoints=checkpoints,
    )  # fmt: skip


def _has_classes(source: Any, options: TextOptions) -> bool:
    """A target, or folders in a folder, mean classes; anything else is a text to be continued."""
    if options.target is not None or not isinstance(source, str | Path):
        return True
    return Path(source).is_dir() and bool(class_folders(Path(source)))


def load(path: str | os.PathLike[str]) -> TextClassifier | LanguageModel:
    """The model in a file or run folder, ready for texts.

    Raises:
        ModelFileError: it is no model for texts.
    """
    found = load_predictor(path)
    if isinstance(found, TextClassifier | LanguageModel):
        return found
    raise ModelFileError("The model is not for texts.", where=os.fspath(path))


def predictor(saved: SavedModel, path: str) -> TextClassifier | LanguageModel:
    """A saved model of this kind, ready for use."""
    task = saved.schema.get("task") if isinstance(saved.schema, dict) else None
    if task == "classification":
        return TextClassifier(saved, path)
    if task == "language":
        return LanguageModel(saved, path)
    raise ModelFileError("The model is for text, but of no known task.", where=path,
                         expected="classification or language", found=f"{task!r:.40}")  # fmt: skip


def continuation(
    old: Old, source: Any, requested: UpdateOptions, say: Callable[[str], None]
) -> Continuation[Any, Any]:
    """New texts as examples for a saved model of texts; see `chainrule.tasks.update`."""
    model = predictor(old.saved, old.where)
    if isinstance(model, TextClassifier):
        return continued_classes(model.schema, old, source, requested, say)
    return continued_language(model.schema, old, source, requested, say)
