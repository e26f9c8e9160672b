"""New files as examples for a saved model; see `chainrule.tasks.update`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ...data import read_table
from ...training import Stream, Trainer
from ...utils.typing import Array
from ..class_extension import extended_classes, extended_target, for_classes, restore
from ..evaluation import class_weights, evaluate
from ..examples import has_log_target
from ..scaling import TargetScaler
from ..update import Continuation, Old, UpdateOptions, check_enough, check_grows
from .files import Files, find_known, unknown_classes
from .pipeline import (
    Job,
    MediaModel,
    MediaResult,
    Medium,
    Plan,
    average_of,
    computed,
    readable,
    smoothed_cross_entropy,
    squared,
    streamed,
)
from .reading import FileReader

Say = Callable[[str], None]


def continued(
    medium: Medium, old: Old, source: Any, requested: UpdateOptions, say: Say
) -> Continuation:
    """New files as examples for the saved model of such files.

    Raises:
        DataError: files cannot be read, a class is not known, or there are too few of them.
        ConfigError: classes are to grow where there are none.
    """
    if isinstance(source, str) and source == "-":  # it cannot be read twice
        source = read_table(source)
    job, files = _job(medium, old, source, requested, say)
    reader, target = job.reader(files), files.target
    assert target is not None
    rows = readable(job, reader, np.arange(len(files)))
    check_enough(len(rows), medium.look.noun, files.source)
    learned, judged = (
        rows[part]
        for part in old.split(len(rows), requested, target[rows] if job.classes else None)
    )
    plan = medium.plan(job.schema, job.options, reader, learned)
    model = _model(old, job, plan)
    steps = requested.epochs_for(len(learned), plan.batch_size) * max(
        len(learned) // plan.batch_size, 1
    )
    known, task = target[judged], job.target.task
    before = np.concatenate([*computed(old.saved.predict, reader, judged)])

    def after(trainer: Trainer) -> dict[str, float]:
        test = streamed(reader, target, None, 0, None).take(judged)
        return evaluate(task, known, trainer.predict(test))

    return Continuation(
        network=plan.network,
        learned=_examples(job, plan, model, reader, target, learned),
        rows=(len(learned), len(judged)),
        unit=medium.look.noun,
        batch_size=plan.batch_size,
        optimizer=old.optimizer(plan.network),
        training={
            "loss": smoothed_cross_entropy if job.classes else squared,
            "output": model.output,
            "average": average_of(steps),
        },
        before=evaluate(task, known, for_classes(before, job.classes)),
        after=after,
        result=lambda trainer: MediaResult(job, plan, model, trainer, None),
        data={"rows": len(rows)},
    )


def _job(
    medium: Medium, old: Old, source: Any, requested: UpdateOptions, say: Say
) -> tuple[Job, Files]:
    """What is known of the files by the saved model, with places for new classes."""
    schema = medium.schema(old.saved.schema)
    target = schema.target
    if not target.classes:
        check_grows(requested, "that predicts numbers")
    new = unknown_classes(source, medium.look, target)
    if target.classes:
        classes = extended_classes(
            target.classes, new, grow=requested.grow, where=str(source), say=say
        )
        target = extended_target(target, classes)
        schema = dataclasses.replace(schema, target=target)
    files = find_known(source, medium.look, target)
    for note in files.notes:
        say(note)
    return Job(medium, schema, target, old.options(requested), say), files


def _model(old: Old, job: Job, plan: Plan) -> MediaModel:
    """The old model, with places for new classes."""
    # Its statistics and those of the target's scale are overwritten by what was saved.
    scale = None
    if not job.classes:
        scale = TargetScaler(has_log_target(old.saved))
    model = MediaModel(plan.network, scale)
    restore(model, old.saved.state())
    return model


def _examples(
    job: Job, plan: Plan, model: MediaModel, reader: FileReader, target: Array, rows: Array
) -> Stream:
    goal = target
    if model.scale is not None:
        model.scale.widen(target[rows])
        goal = model.scale.transform(target)
    importance = None
    if job.options.balance:
        importance = class_weights(target, job.classes).astype(np.float32)
    learned = streamed(reader, goal, plan.augment, job.classes, importance).take(rows)
    learned.whole = True
    return learned
