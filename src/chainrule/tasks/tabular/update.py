"""New rows of a table as examples for a saved model; see `chainrule.tasks.update`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Encoded, Schema, read_table, source_name
from ...data.schema import check_present, tidy_column
from ...training import Arrays, Trainer, transfer
from ..class_extension import extended_classes, for_classes, new_classes, new_words
from ..evaluation import evaluate
from ..update import Continuation, Old, UpdateOptions, check_enough
from .defaults import Recipe, choose, make_optimizer
from .features import columns_by_kind
from .network import TableModel, TableNetwork
from .pipeline import LOSS_OF, Fitted, Job, TableResult, examples, given, member_loss
from .train import with_target
from .warm_start import Previous, grown

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]


def continuation(old: Old, source: Any, requested: UpdateOptions, say: Say) -> Continuation:
    """New rows as examples for the saved model of a table.

    Raises:
        DataError: columns are missing, a class is not known, or there are too few rows.
    """
    previous = Previous(old.saved, old.where)
    name = source_name(source)
    frame = read_table(source)
    columns = [column.name for column in previous.schema.columns]
    check_present([*columns, str(previous.report.get("target"))], frame.columns, name)
    schema = _grown(previous.schema, frame, requested, name, say)
    job = Job(old.options(requested), schema, name, False, say, ())
    frame = with_target(frame, schema, name, say)
    check_enough(frame.height, "rows", name)
    learned, judged = old.split(frame.height, requested, job.strata(frame))
    recipe = choose(job.options, len(learned))
    recipe = dataclasses.replace(recipe, shape=previous.shape)
    model = _model(previous, schema, say)
    rows, train = _examples(job, model, frame[learned])
    test = _encoded(job, frame[judged])
    before = old.saved.predict(columns_by_kind(previous.schema.encode(frame[judged])))

    def after(trainer: Trainer) -> dict[str, float]:
        return evaluate(job.task, test.target, trainer.predict(given(model.network, test)))

    def result(trainer: Trainer) -> TableResult:
        return TableResult(Fitted(schema, recipe, model, trainer, rows, None), job)

    return Continuation(
        network=model.network,
        learned=train,
        rows=(len(train), len(test)),
        unit="rows",
        batch_size=recipe.batch_size,
        optimizer=make_optimizer(job.options, recipe, model.network, len(train), lr=1.0),
        training=_training(job, recipe, model),
        before=evaluate(job.task, test.target, for_classes(before, job.classes)),
        after=after,
        result=result,
        data={"rows": frame.height, "columns": len(schema.columns)},
    )


def _training(job: Job, recipe: Recipe, model: TableModel) -> dict[str, Any]:
    loss = member_loss(job.options.loss or LOSS_OF[job.task], job)
    return {"loss": loss, "output": model.output, "average": recipe.average}


def _encoded(job: Job, frame: pl.DataFrame) -> Encoded:
    rows = job.schema.encode(frame, target=True, source=job.source)
    for sentence in rows.notes:
        job.say(sentence)
    return rows


def _examples(job: Job, model: TableModel, frame: pl.DataFrame) -> tuple[Encoded, Arrays]:
    """Encoded rows, and what the network learns of them."""
    rows = _encoded(job, frame)
    assert rows.target is not None
    target = rows.target
    if model.scale is not None:
        model.scale.widen(target)
        target = model.scale.transform(target)
    everything = np.arange(len(rows))
    train, _ = examples(job, model.network, rows, target, everything, everything[:1])
    return rows, train


def _model(previous: Previous, schema: Schema, say: Say) -> TableModel:
    """The old model, with places for what has come anew."""
    if schema is previous.schema:
        return previous.model()
    outputs = len(schema.target.classes) if schema.target else 0
    network = TableNetwork(schema, outputs or 1, previous.shape, seed=0)
    model = TableModel(network, previous.scale())
    done = transfer(model, previous.aligned(model, schema, zero=True))
    for path, (here, there) in done.different.items():
        say(f"newly initialised: {path}, as its shape is {here} here and {there} there")
    return model


def _grown(
    schema: Schema, frame: pl.DataFrame, requested: UpdateOptions, source: str, say: Say
) -> Schema:
    """The schema with the categories and classes that are new in these rows, if it may grow."""
    target = schema.target
    classes: list[str] = []
    if target is not None:
        classes = new_classes(target, frame, source)
        where = f"{source}, column {target.name!r}"
        extended_classes(target.classes, classes, grow=requested.grow, where=where, say=say)
    if not requested.grow:
        return schema
    found = {
        column.name: new_words(column.vocabulary, tidy_column(frame, column.name, source))
        for column in schema.category
    }
    more = {name: words for name, words in found.items() if words}
    result = grown(schema, more, classes)
    for before, after in zip(schema.columns, result.columns, strict=True):
        added = after.vocabulary[len(before.vocabulary) :]
        if added:
            say(f"column {before.name}: new categories {', '.join(added)}")
        if missed := len(more.get(before.name, ())) - len(added):
            say(f"column {before.name}: no room for {missed} more categories; they are unknown")
    return result if more or classes else schema
