"""Rows of a table whose class is probably wrong, as a table to go through.

The rows are predicted in folds, each by a network that was trained on the others as the options
say; confident learning (`chainrule.doctor.labels`) names those whose class is improbable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import read_table, source_name
from ...data.schema import known_targets
from ...data.source import with_reading
from ...doctor.labels import suspects
from ...errors import ConfigError
from .. import runner
from ..kinds.table import TableOptions
from .plan import TablePlan

if TYPE_CHECKING:
    import polars as pl

_FOLDS = 5
#: Columns that come before those of the table.
COLUMNS = ("row", "given", "likely", "sure")


def doubtful_labels(
    source: Any, options: TableOptions, say: Callable[[str], None] = lambda sentence: None
) -> pl.DataFrame:
    """The rows whose class is probably wrong, the surest first.

    Args:
        source: the table.
        options: of the training.
        say: takes what is done meanwhile.

    Returns:
        A row each: its number in the table from 0, the class that is given, the one that is more
        probable, how sure that is from 0 to 1, and the columns of the table.

    Raises:
        ConfigError: the target is not one of classes.
    """
    import polars as pl

    plan = TablePlan(options)
    source = with_reading(source, options.reading)
    name, frame = source_name(source), read_table(source)
    schema = plan.understood(frame, name)
    if schema.more_targets or not schema.targets[0].classes:
        raise ConfigError(
            "Only labels of classes can be gone through.",
            where=name,
            expected="one target of classes",
            found=", ".join(f"{t.name}: {t.reason}" for t in schema.targets),
        )
    numbers = np.flatnonzero(known_targets(schema.read_target(frame, name)))
    data = plan.rows_of(frame, schema, name)
    labels, classes = data.target, schema.targets[0].classes
    probabilities = np.zeros((len(data), len(classes)))
    folds = data.table.partition.folds(len(data), _FOLDS, options.seed, labels)
    for number, (train, test) in enumerate(folds, 1):
        say(f"fold {number} of {len(folds)}")
        split = plan.learned(data.take(train), data.take(test))
        fitted = runner.fit(plan, split, progress=False)
        found = plan.predict(fitted.schema, fitted.learner, fitted.trainer, split.test)
        probabilities[test] = np.asarray(found).reshape(len(test), -1)
    found = suspects(labels, probabilities)
    names = np.array(classes, dtype=object)
    head = pl.DataFrame(
        {
            COLUMNS[0]: numbers[found.rows],
            COLUMNS[1]: [str(c) for c in names[found.given]],
            COLUMNS[2]: [str(c) for c in names[found.likely]],
            COLUMNS[3]: np.round(found.sure, 4),
        }
    )
    rest = data.frame[found.rows]
    taken = {column: f"{column} (table)" for column in rest.columns if column in COLUMNS}
    return pl.concat([head, rest.rename(taken)], how="horizontal")
