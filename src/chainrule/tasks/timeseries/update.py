"""New steps and new sequences as examples for a saved model; see `chainrule.tasks.update`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ...data import Schema, source_name
from ...data.schema import check_present
from ...engine.tensor import as_tensor
from ...errors import DataError, ModelFileError
from ..class_extension import extended_classes, extended_target, new_classes
from ..update import Continuation, Old, check_enough, check_grows, continue_on_rows
from ..update_options import UpdateOptions
from .archive import read_rows
from .blending import FRACTIONS
from .choice import clearly_better
from .forecast_network import Forecaster, ForecastModel
from .forecaster import SeriesForecaster, restored
from .forecasting import Forecasting, ForecastSchema, learner_of
from .sequences import SequenceClassification, SequenceClassifier, SequenceSchema, read_again
from .sequences import learner_of as learner_of_sequences
from .windows import Cut, Windows, ends_of

Say = Callable[[str], None]
#: The earlier part of the new steps suggests a linear forecast, the later one validates it; with
#: fewer windows nothing is chosen.
_EARLIER, _FEW = 0.8, 10


# ---- forecasts -----------------------------------------------------------------------------------


def continued_forecast(
    schema: ForecastSchema, old: Old, source: Any, requested: UpdateOptions, say: Say
) -> Continuation[Any, Any]:
    """The windows of a later part of a series as examples for a saved model that forecasts it.

    It is cut in its order: the first part is learned from, the last one is the test set.

    Raises:
        DataError: columns are missing, the step of time is another, or there are too few steps.
        ConfigError: something is to grow.
    """
    check_grows(requested, "that forecasts numbers")
    plan, model = Forecasting(old.options(requested), say), _forecaster(schema, old)
    train, test, size = _windows(schema, old, source, requested, say)
    model.network.scale.bound(train.examples().change)
    _start_anew(model.network, train.cut, say)
    forecaster, cut = SeriesForecaster(old.saved, old.where), train.cut
    before = forecaster.run(test.inputs)
    if cut.several:
        scales = cut.scales
        rows = zip(cut.panel.series, scales.center.tolist(), scales.scale.tolist(),
                   scales.naive.tolist(), strict=True)  # fmt: skip
        now = {series.name: (tuple(c), tuple(s), n) for series, c, s, n in rows}
        schema = dataclasses.replace(schema, items={**schema.items, **now})
    schema = dataclasses.replace(schema, version=2)
    return Continuation(plan, schema, learner_of(schema, model), train, test, before, size)


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
    return restored(schema, old.saved)


def _windows(
    schema: ForecastSchema, old: Old, source: Any, requested: UpdateOptions, say: Say
) -> tuple[Windows, Windows, dict[str, Any]]:
    """Windows to learn from, windows of the test set, and how much there is."""
    name, shape = source_name(source), schema.shape
    panel = schema.read(source, say)
    forecaster = SeriesForecaster(old.saved, old.where)
    cut = ends_of(panel, (1 - requested.test_fraction, 1.0))
    ends = np.stack([cut[:, 0], cut[:, 0], cut[:, 1]], axis=1)
    told = forecaster.scaler(), forecaster.scales(panel, say)
    whole = Cut(panel, ends, schema.season, shape, schema.cycles, told)
    train, test = whole.part(0), whole.part(2)
    if len(train) and len(test):
        check_enough(len(train) + len(test), "windows", name)
        size = {"rows": panel.steps, "columns": len(schema.names)}
        return train, test, size
    raise DataError(
        "There are too few new steps to learn from and to evaluate.",
        where=name,
        expected=f"{shape.window} steps to look at and {shape.horizon} that follow, to learn from; "
        f"and {shape.horizon} more at least to evaluate",
        found=f"{panel.steps:,} steps, of which {int((ends[:, 2] - ends[:, 1]).sum()):,} are held "
        "out",
        hint="Give the steps before the new ones, too: a forecast looks at them.",
    )


def _start_anew(network: Forecaster, whole: Cut, say: Say) -> None:
    """Take the linear forecast that the new windows ask for, if it is clearly better there.

    It is no weight that steps of an optimizer would move: after a jump of the level, or another
    rhythm, they could only learn on top of a forecast that is wrong by now. The latest part of the
    new windows says whether another one is better, and how much of what was learned besides still
    helps it.
    """
    ends = whole.ends.copy()
    ends[:, 0] = (ends[:, 1] * _EARLIER).astype(int)
    cut = dataclasses.replace(whole, ends=ends)
    later, horizon = cut.part(1), cut.shape.horizon
    if len(cut.part(0)) < _FEW or len(later) < _FEW:
        return
    chosen, again = cut.paths
    examples = later.examples()
    inputs = {name: as_tensor(array) for name, array in later.inputs.items()}
    before = network(inputs).numpy() - examples.last[:, None]
    learned = before - network.path()(examples)
    fresh = chosen(dataclasses.replace(examples, level=None))  # it was learned at this level
    errors = {f: np.abs(fresh + f * learned - examples.change) for f in FRACTIONS}
    best = min(FRACTIONS, key=lambda f: float(np.nanmean(errors[f])))
    if clearly_better(errors[best], np.abs(before - examples.change), horizon):
        network.start_from(again)
        network.scale.know(whole.part(0).examples().last)
        network.keep(best)
        say(
            f"it starts from the forecast by {again.name} of the new steps, and keeps {best:.0%} "
            "of what was learned besides: the latest of them say so"
        )


def _least(model: str, columns: int, hidden: Sequence[int]) -> int:
    """How many numbers the layers of a network have at least."""
    if model == "lstm":  # its layers are all as wide as the first one
        return sum(hidden[0] ** 2 for _ in hidden)
    return sum(a * b for a, b in pairwise((columns, *hidden))) if model == "tcn" else columns


# ---- sequences -----------------------------------------------------------------------------------


def continued_sequences(
    schema: SequenceSchema, old: Old, source: Any, requested: UpdateOptions, say: Say
) -> Continuation[Any, Any]:
    """New sequences as examples for a saved model that predicts their classes.

    Raises:
        DataError: columns are missing, a class is not known, or there are too few sequences.
    """
    name, frame = source_name(source), read_rows(source)
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
    plan = SequenceClassification(old.options(requested), say)
    found = found.balanced() if plan.options.balance else found
    old.need_room(_least(schema.model, len(schema.names), schema.hidden))
    learner = learner_of_sequences(schema, SequenceClassifier(schema))
    return continue_on_rows(plan, schema, learner, old, found, requested, plan.size(found))
