"""New rows of a table as examples for a saved model; see `chainrule.tasks.update`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Schema, read_table, source_name
from ...data.schema import check_present, tidy_column
from ...errors import DataError
from ...training import transfer
from ..class_extension import extended_classes, for_classes, new_classes, new_words
from ..update import Continuation, Old, check_enough
from ..update_options import UpdateOptions
from . import targets
from .defaults import choose
from .features import columns_by_kind
from .network import TableModel, TableNetwork
from .plan import Rows, Table, TablePlan, with_target
from .warm_start import Previous, extended

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]


def continuation(
    old: Old, source: Any, requested: UpdateOptions, say: Say
) -> Continuation[Any, Schema]:
    """New rows as examples for the saved model of a table.

    Raises:
        DataError: columns are missing, a class is not known, or there are too few rows.
    """
    previous = Previous(old.saved, old.where)
    name = source_name(source)
    frame = read_table(source)
    columns = [column.name for column in previous.schema.columns]
    aims = [target.name for target in previous.schema.targets]
    check_present([*columns, *aims], frame.columns, name)
    schema = _extended(previous.schema, frame, requested, name, say)
    plan = TablePlan(old.options(requested), say)
    frame = with_target(frame, schema, name, say)
    check_enough(frame.height, "rows", name)
    data = Rows(Table(frame, schema, name, say))
    strata = targets.strata(schema.targets, data.target)
    train, test = (data.take(rows) for rows in old.split(frame.height, requested, strata))
    chosen = dataclasses.replace(
        choose(plan.options, len(train)), shape=previous.shape, folds=False
    )
    model = _model(previous, schema, say)
    for head, values in zip(model.heads, train.target.reshape(len(train), -1).T, strict=True):
        if head.scale is not None and (known := values[~np.isnan(values)]).size:
            head.scale.widen(known)
    before = old.saved.predict(columns_by_kind(previous.schema.encode(test.frame)))
    before = for_classes(before, len(plan.classes(schema)))
    learner = plan.learner_of(schema, model, chosen)
    return Continuation(plan, schema, learner, train, test, before, plan.size(data))


def _model(previous: Previous, schema: Schema, say: Say) -> TableModel:
    """The old model, extended by what is new."""
    if schema is previous.schema:
        return previous.model()
    heads = previous.heads(schema)
    outputs = sum(head.outputs for head in heads)
    network = TableNetwork(schema, outputs, previous.shape, seed=0)
    model = TableModel(network, heads, previous.loss_weights)
    done = transfer(model, previous.aligned(model, schema, zero=True))
    for path, (here, there) in done.different.items():
        say(f"newly initialised: {path}, as its shape is {here} here and {there} there")
    return model


def _extended(
    schema: Schema, frame: pl.DataFrame, requested: UpdateOptions, source: str, say: Say
) -> Schema:
    """The schema with the categories and classes that are new in these rows, if it may grow."""
    classes: list[str] = []
    for target in schema.targets:
        classes = new_classes(target, frame, source)
        where = f"{source}, column {target.name!r}"
        if classes and requested.grow and schema.more_targets:
            raise _cannot_grow(classes, where)
        extended_classes(target.classes, classes, grow=requested.grow, where=where, say=say)
    if not requested.grow:
        return schema
    found = {
        column.name: new_words(
            column.vocabulary, tidy_column(frame, column.name, source, column.missing)
        )
        for column in schema.category
    }
    more = {name: words for name, words in found.items() if words}
    result = extended(schema, more, classes)
    for before, after in zip(schema.columns, result.columns, strict=True):
        added = after.vocabulary[len(before.vocabulary) :]
        if added:
            say(f"column {before.name}: new categories {', '.join(added)}")
        if missed := len(more.get(before.name, ())) - len(added):
            say(f"column {before.name}: no room for {missed} more categories; they are unknown")
    return result if more or classes else schema


def _cannot_grow(classes: list[str], where: str) -> DataError:
    return DataError(
        "A model of several targets takes no new classes.",
        where=where,
        expected="classes that the model knows",
        found=", ".join(classes),
        hint="remove these rows, or train anew on all data",
    )
