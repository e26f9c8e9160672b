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
from ...training import Arrays, Trainer
from ..class_extension import extended_classes, extended_target, new_classes
from ..classification import learn_on
from ..result import TrainingResult
from ..update import Continuation, Old, UpdateOptions, check_enough, check_grows
from .classification import BATCH, ClassSchema, TextClassification, labelled_by, learner_of
from .language import next_token_loss, windows
from .modelling import BATCHES, UNITS, LanguageSchema, evaluate_language
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
) -> Continuation:
    """New texts with their classes as examples for a saved model that tells them apart.

    Raises:
        DataError: the texts do not fit, a class is not known, or there are too few of them.
    """
    name, shape = source_name(source), schema.shape
    inner = 0 if shape.model == "bag" else shape.layers * shape.width**2
    old.need_room(shape.vocabulary * shape.width + inner)
    if isinstance(source, str) and source == "-":  # it cannot be read twice
        source = read_table(source, encoding=schema.encoding)
    schema = _grown(schema, source, requested, say)
    found = labelled_by(schema, source, say)
    check_enough(len(found.texts), "texts", name)
    options = old.options(requested)
    plan, network = TextClassification(options, say), schema.shape.build()
    found = found.balanced() if options.balance else found
    learned, judged = (
        plan.encode(schema, learner_of(schema, network), found.take(rows))
        for rows in old.split(len(found), requested, found.target)
    )
    return learn_on(
        old, network, schema, options, learned, judged, target=old.report["target"],
        unit="texts", batch_size=options.batch_size or BATCH, data={"rows": len(found.texts)},
    )  # fmt: skip


def _grown(schema: ClassSchema, source: Any, requested: UpdateOptions, say: Say) -> ClassSchema:
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
) -> Continuation:
    """A new text as examples for a saved language model.

    It is cut in its order: the first part is learned from, the last one judges.

    Raises:
        DataError: it is too short, or most of it is unknown to the model.
        ConfigError: something is to grow.
    """
    check_grows(requested, "of language: the tokens that it knows stay the same")
    name, options, context = source_name(source), old.options(requested), schema.shape.context
    text = _text(old, source, schema, say)
    cut = int(len(text) * (1 - requested.test_fraction))
    learned, judged = (schema.tokenizer.encode(part) for part in (text[:cut], text[cut:]))
    if len(learned) <= context or len(judged) < 2:
        raise DataError(
            "The text is shorter than the context.",
            where=name,
            expected=f"more than {context:,} tokens to learn from, and 2 at least to judge",
            found=f"{len(learned):,} and {len(judged):,}",
            hint="Give more text: the model has learned to look at so much at once.",
        )
    _check_known(np.concatenate([learned, judged]), name, say)
    network = schema.shape.rebuild(old.saved.state())
    data = Arrays(*windows(learned, context))

    def judged_by(trainer: Trainer | None = None) -> dict[str, float]:
        return evaluate_language(network, judged, schema, options.backend)

    def result(trainer: Trainer) -> TrainingResult:
        report = {"task": "language", "target": f"the next {UNITS[schema.tokenizer.kind][0]}"}
        example = data.inputs[:2]
        return TrainingResult(trainer, network, example, schema, options, report, None)

    return Continuation(
        network=network,
        learned=data,
        rows=(cut, len(text) - cut),
        unit="characters",
        batch_size=options.batch_size or BATCHES[schema.shape.model],
        optimizer=old.optimizer(network),
        training={"loss": next_token_loss},
        before=judged_by(),
        after=judged_by,
        result=result,
        data={"rows": len(text)},
    )


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
