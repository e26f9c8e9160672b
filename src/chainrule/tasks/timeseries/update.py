"""New steps and new sequences as examples for a saved model; see `chainrule.tasks.update`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from ...data import Schema, read_table, source_name
from ...data.schema import check_present
from ...errors import DataError, ModelFileError
from ...training import Arrays, Trainer
from ...utils.typing import Array
from ..class_extension import extended_classes, extended_target, new_classes, restore
from ..classification import learn_on
from ..result import TrainingResult
from ..update import Continuation, Old, UpdateOptions, check_enough, check_grows
from . import forecasting, sequences
from .forecast import SeriesScaler, known_mse, scores
from .forecasting import ForecastModel, ForecastSchema, parts_of
from .sequences import (
    SequenceClassification,
    SequenceClassifier,
    SequenceSchema,
    learner_of,
    read_again,
)

Say = Callable[[str], None]


# ---- forecasts -----------------------------------------------------------------------------------


def continued_forecast(
    schema: ForecastSchema, old: Old, source: Any, requested: UpdateOptions, say: Say
) -> Continuation:
    """The windows of a later part of a series as examples for a saved model that forecasts it.

    It is cut in its order: the first part is learned from, the last one judges.

    Raises:
        DataError: columns are missing, the step of time is another, or there are too few steps.
        ConfigError: something is to grow.
    """
    check_grows(requested, "that forecasts numbers")
    options, model = old.options(requested), _forecaster(schema, old)
    learned, judged, steps = _windows(schema, source, requested, say)
    network, (past, future) = model.network, judged
    scale = network.scale
    scale.widen(learned[1])
    data = Arrays(learned[0], scale.transform(learned[1]))

    def after(trainer: Trainer) -> dict[str, float]:
        return scores(future, trainer.predict(past), schema.naive)

    def result(trainer: Trainer) -> TrainingResult:
        report = {"task": "forecast", "target": schema.names[0], "season": schema.season}
        example = data.inputs[:2]
        return TrainingResult(trainer, model, example, schema, options, report, None)

    return Continuation(
        network=network,
        learned=data,
        rows=(len(data), len(past)),
        unit="windows",
        batch_size=options.batch_size or forecasting.BATCH,
        optimizer=old.optimizer(network),
        training={"loss": known_mse, "output": scale.inverse, "average": forecasting.AVERAGE},
        before=scores(future, old.saved.predict(past), schema.naive),
        after=after,
        result=result,
        data={"rows": steps, "columns": len(schema.names)},
    )


def _forecaster(schema: ForecastSchema, old: Old) -> ForecastModel:
    """The saved model, ready to be trained on."""
    if len(schema.floor) != len(schema.names) or len(schema.log) != len(schema.names):
        raise ModelFileError(
            "This model cannot be trained on.",
            where=old.where,
            expected="the scale of each column",
            hint="Train it again with this version of chainrule.",
        )
    shape = schema.shape
    linear = shape.window * shape.columns * shape.horizon
    old.need_room(max(linear, _least(shape.model, shape.columns, shape.hidden)))
    scaler = SeriesScaler(len(schema.names), schema.log, schema.floor)
    model = ForecastModel(schema.shape.build(scaler))
    restore(model, old.saved.state())
    return model


def _windows(
    schema: ForecastSchema, source: Any, requested: UpdateOptions, say: Say
) -> tuple[tuple[Array, Array], tuple[Array, Array], int]:
    """Windows to learn from, windows that judge, and the number of steps."""
    name, shape = source_name(source), schema.shape
    series = schema.read(source, say)
    count = len(series.values)
    cut = int(count * (1 - requested.test_fraction))
    if cut >= shape.window + shape.horizon and count - cut >= shape.horizon:
        learned, judged = parts_of(series, (cut, count), shape)
        if len(learned[0]) and len(judged[0]):
            check_enough(len(learned[0]) + len(judged[0]), "windows", name)
            return learned, judged, count
    raise DataError(
        "There are too few new steps to learn from and to evaluate.",
        where=name,
        expected=f"{shape.window} steps to look at and {shape.horizon} that follow, to learn from; "
        f"and {shape.horizon} more at least to judge",
        found=f"{count:,} steps, of which {count - cut:,} judge",
        hint="Give the steps before the new ones, too: a forecast looks at them.",
    )


def _least(model: str, columns: int, hidden: Sequence[int]) -> int:
    """How many numbers the layers of a network have at least."""
    if model == "lstm":  # its layers are all as wide as the first one
        return sum(hidden[0] ** 2 for _ in hidden)
    return sum(a * b for a, b in pairwise((columns, *hidden))) if model == "tcn" else columns


# ---- sequences -----------------------------------------------------------------------------------


def continued_sequences(
    schema: SequenceSchema, old: Old, source: Any, requested: UpdateOptions, say: Say
) -> Continuation:
    """New sequences as examples for a saved model that tells their classes.

    Raises:
        DataError: columns are missing, a class is not known, or there are too few sequences.
    """
    name, frame = source_name(source), read_table(source)
    target = Schema.from_json(schema.target).target
    assert target is not None
    check_present([*schema.needed, target.name], frame.columns, name)
    new = new_classes(target, frame, name)
    where = f"{name}, column {target.name!r}"
    target = extended_target(
        target, extended_classes(target.classes, new, grow=requested.grow, where=where, say=say)
    )
    schema = dataclasses.replace(schema, target=Schema((), (), target).to_json())
    found = read_again(schema, frame, name)
    check_enough(len(found), "sequences", name)
    options = old.options(requested)
    found = found.balanced() if options.balance else found
    old.need_room(_least(schema.model, len(schema.names), schema.hidden))
    plan, network = SequenceClassification(options, say), SequenceClassifier(schema)
    learned, judged = (
        plan.encode(schema, learner_of(schema, network), found.take(rows))
        for rows in old.split(len(found), requested, found.target)
    )
    return learn_on(
        old, network, schema, options, learned, judged, target=target.name, unit="sequences",
        batch_size=options.batch_size or sequences.BATCH, average=sequences.AVERAGE,
        data={"rows": len(found), "columns": len(schema.names)},
    )  # fmt: skip
