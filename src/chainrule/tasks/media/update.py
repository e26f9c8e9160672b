"""New files as examples for a saved model; see `chainrule.tasks.update`."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ...data import read_table
from ..class_extension import extended_classes, extended_target, for_classes, restore
from ..examples import has_log_target
from ..members import count_members
from ..scaling import TargetScaler
from ..update import Continuation, Old, check_enough, check_grows
from ..update_options import UpdateOptions
from .ensemble import side_by_side
from .files import Files, find_known, unknown_classes
from .plan import FilePart, FilePlan, computed, learner_of, readable


def continued(
    plan: FilePlan, old: Old, source: Any, requested: UpdateOptions
) -> Continuation[FilePart, Any]:
    """New files as examples for the saved model of such files.

    Raises:
        DataError: files cannot be read, a class is not known, or there are too few of them.
        ConfigError: classes are to grow where there are none.
    """
    if isinstance(source, str) and source == "-":  # it cannot be read twice
        source = read_table(source)
    schema, files = _understood(plan, old, source, requested)
    reader = plan.reader(schema, files)
    good = readable(plan, reader, np.arange(len(files)))
    check_enough(len(good), plan.unit, files.source)
    data = FilePart.of(files, schema.target, plan.options.balance).take(good)
    strata = data.target if schema.classes else None
    train, test = (data.take(rows) for rows in old.split(len(data), requested, strata))
    count = max(count_members(old.saved.state()), 1)
    design = side_by_side(
        [plan.medium.design(schema, plan.options, reader, train.rows) for _ in range(count)]
    )
    # Its statistics and those of the scaler are overwritten by what was saved.
    learner = learner_of(
        schema, design, None if schema.classes else TargetScaler(has_log_target(old.saved))
    )
    restore(learner.model, old.saved.state())
    if learner.model.scale is not None:
        learner.model.scale.widen(train.target)
    before = np.concatenate([*computed(old.saved.predict, reader, test.rows)])
    before = for_classes(before, len(schema.classes))
    return Continuation(plan, schema, learner, train, test, before, plan.size(data))


def _understood(
    plan: FilePlan, old: Old, source: Any, requested: UpdateOptions
) -> tuple[Any, Files]:
    """The saved schema, with places for new classes, and the files."""
    schema, medium = plan.medium.schema(old.saved.schema), plan.medium
    target = schema.target
    if not target.classes:
        check_grows(requested, "that predicts numbers")
    new = unknown_classes(source, medium.file_type, target)
    if target.classes:
        classes = extended_classes(
            target.classes, new, grow=requested.grow, where=str(source), say=plan.say
        )
        target = extended_target(target, classes)
        schema = dataclasses.replace(schema, target=target)
    files = find_known(source, medium.file_type, target)
    for note in files.notes:
        plan.say(note)
    return schema, files
