"""New texts as examples for a saved model; see `chainrule.tasks.update`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...data import Schema, read_table, source_name
from ...data.schema import check_present
from ...errors import DataError
from ..class_extension import extended_classes, extended_target, new_classes
from ..update import Continuation, Old, check_enough, check_grows, continue_on_rows
from ..update_options import UpdateOptions
from .classification import ClassSchema, TextClassification, labelled_by, learner_of
from .language_modelling import LanguageModelling, LanguageSchema, Passage
from .language_modelling import learner_of as learner_of_language
from .reading import class_folders, is_text_file, read_texts
from .tokenizers import UNKNOWN

Say = Callable[[str], None]

#: A text of which more than this fraction of the tokens is unknown is of another language.
_MOST_UNKNOWN = 0.5
#: What these files hold is no text to be continued, unless the model was trained on such.
_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow", ".feather", ".ipc")


# ---- classes -------------------------------------------------------------------------------------


def continued_classes(
    schema: ClassSchema, old: Old, source: Any, requested: UpdateOptions, say: Say
) -> Continuation[Any, Any]:
    """New texts with their classes as examples for a saved model that classifies them.

    Raises:
        DataError: the texts do not fit, a class is not known, or there are too few of them.
    """
    name, shape = source_name(source), schema.shape
    inner = 0 if shape.model in ("linear", "bag") else shape.layers * shape.width**2
    width = shape.classes if shape.model == "linear" else shape.width
    old.need_room(shape.vocabulary * width + inner)
    if isinstance(source, str) and source == "-":  # it cannot be read twice
        source = read_table(source, encoding=schema.encoding)
    schema = _extended(schema, source, requested, say)
    found = labelled_by(schema, source, say)
    check_enough(len(found.texts), "texts", name)
    plan = TextClassification(old.options(requested), say)
    found = found.balanced() if plan.options.balance else found
    learner = learner_of(schema, schema.shape.build())
    return continue_on_rows(plan, schema, learner, old, found, requested, plan.size(found))


def _extended(schema: ClassSchema, source: Any, requested: UpdateOptions, say: Say) -> ClassSchema:
    """The schema with the classes that are new, if it may grow."""
    name, target = source_name(source), None
    if schema.target is not None:
        target = Schema.from_json(schema.target).target
        assert target is not None
        new = _new_in_table(schema, source)
        name = f"{name}, column {target.name!r}"
    else:
        new = _new_folders(schema, source)
    classes = extended_classes(schema.classes, new, grow=requested.grow, where=name, say=say)
    if target is not None:
        target = extended_target(target, classes)
    return dataclasses.replace(
        schema,
        classes=classes,
        shape=dataclasses.replace(schema.shape, classes=len(classes)),
        target=None if target is None else Schema((), (), target).to_json(),
    )


def _new_in_table(schema: ClassSchema, source: Any) -> list[str]:
    target = Schema.from_json(str(schema.target)).target
    assert target is not None
    name, needed = source_name(source), [str(schema.column), target.name]
    if isinstance(source, str | Path) and (Path(source).is_dir() or is_text_file(Path(source))):
        raise _no_table(name, needed)
    frame = read_table(source, encoding=schema.encoding)
    check_present(needed, frame.columns, name)
    return new_classes(target, frame, name)


def _no_table(where: str, columns: list[str]) -> DataError:
    return DataError(
        "The model was trained on a table, and this is none.",
        where=where,
        expected=f"a table with the columns {' and '.join(map(repr, columns))}",
    )


def _new_folders(schema: ClassSchema, source: Any) -> list[str]:
    """Class folders with texts whose names are no classes yet."""
    if not isinstance(source, str | Path) or not Path(source).is_dir():
        return []  # an error, which reading tells
    strange = [place for place in class_folders(Path(source)) if place.name not in schema.classes]
    return [place.name for place in strange if any(map(is_text_file, place.rglob("*")))]


# ---- language ------------------------------------------------------------------------------------


def continued_language(
    schema: LanguageSchema, old: Old, source: Any, requested: UpdateOptions, say: Say
) -> Continuation[Any, Any]:
    """A new text as examples for a saved language model.

    It is cut in its order: the first part is learned from, the last one is the test set.

    Raises:
        DataError: it is too short, or most of it is unknown to the model.
        ConfigError: something is to grow.
    """
    check_grows(requested, "of language: the tokens that it knows stay the same")
    name, context = source_name(source), schema.shape.context
    plan = LanguageModelling(old.options(requested), say)
    text = _text(old, source, schema, say)
    cut = int(len(text) * (1 - requested.test_fraction))
    train, test = Passage(text[:cut], name), Passage(text[cut:], name)
    tokens = [part.tokens(schema.tokenizer) for part in (train, test)]
    if len(tokens[0]) <= context or len(tokens[1]) < 2:
        raise DataError(
            "The text is shorter than the context.",
            where=name,
            expected=f"more than {context:,} tokens to learn from, and 2 at least to evaluate",
            found=f"{len(tokens[0]):,} and {len(tokens[1]):,}",
            hint="Give more text: the model has learned to look at so much at once.",
        )
    _check_known(np.concatenate(tokens), name, say)
    learner = learner_of_language(schema, schema.shape.rebuild(old.saved.state()))
    before = plan.predict(schema, learner, None, test)
    return Continuation(plan, schema, learner, train, test, before, {"rows": len(text)})


def _text(old: Old, source: Any, schema: LanguageSchema, say: Say) -> str:
    if not isinstance(source, str | Path):
        raise DataError("A language model learns from a file or a folder of texts.",
                        where=source_name(source))  # fmt: skip
    ending = Path(source).suffix.lower()
    trained_on = str((old.report.get("data") or {}).get("source"))
    if ending in _TABLES and Path(trained_on).suffix.lower() != ending:
        raise DataError(
            "This is a table, and the model continues texts.",
            where=str(source),
            expected=f"texts such as {trained_on}",
            found=f"a file that ends in {ending}",
        )
    return read_texts(Path(source), schema.encoding, say)


def _check_known(numbers: Any, name: str, say: Say) -> None:
    """Say how much of a text is not in the vocabulary; refuse it if that is most of it."""
    unknown = float((numbers == UNKNOWN).mean())
    if unknown > _MOST_UNKNOWN:
        raise DataError(
            "Most of the text is unknown to the model.",
            where=name,
            expected="a text with the vocabulary of the training",
            found=f"{unknown:.0%} of the tokens are not in it",
            hint="Train a new model on it: chainrule train " + name,
        )
    if unknown:
        say(f"{unknown:.2%} of the tokens are not in the vocabulary: they count as unknown")
