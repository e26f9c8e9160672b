"""From a file to a trained model and an honest report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...data import Schema
from ...data.source import with_reading
from ...data.table_scan import is_larger_than_memory
from ...training import Callback, Checkpoints
from .. import runner
from ..kinds.table import TableOptions
from ..result import TrainingResult
from .plan import TablePlan
from .streaming import StreamedTablePlan

Say = Callable[[str], None]


def train_table(
    source: Any,
    options: TableOptions,
    *,
    progress: bool = True,
    say: Say = lambda sentence: None,
    on_schema: Callable[[Schema], None] = lambda schema: None,
    callbacks: tuple[Callback, ...] = (),
    checkpoints: Checkpoints | None = None,
    in_memory: int | None = None,
) -> TrainingResult:
    """Train on a table: understand it, split it, train, evaluate on rows that were held out.

    A file of more than 50 MB is read in parts, so that memory does not grow with it; see
    `chainrule.tasks.tabular.streaming`.

    Args:
        source: a file, a data frame, or a dict of columns; see `chainrule.data.read_table`.
        options: what the user says; the rest is chosen by `chainrule.tasks.tabular.defaults`.
        progress: show the training.
        say: takes plain sentences about what is done and why.
        on_schema: takes what was understood of the columns, before the training.
        callbacks: for the `Trainer`.
        checkpoints: where the state of the training is written, so that it can go on.
        in_memory: files of more bytes than this are read in parts.

    Raises:
        DataError: the table cannot be read or learned from.
        TrainingError: the loss became NaN or infinite in the first epoch; later, it is the
            ``failure`` of the result.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> x = np.linspace(0, 4, 60)
        >>> options = cr.tables.TableOptions(target="y", epochs=60)
        >>> result = cr.tables.train_table({"x": x, "y": 3 * x + 1}, options, progress=False)
        >>> result.report["metrics"]["r2"] > 0.9
        True
    """
    source = with_reading(source, options.reading)
    streamed = is_larger_than_memory(source, in_memory)
    plan = (StreamedTablePlan if streamed else TablePlan)(options, say)
    return runner.train(
        plan, source, progress=progress, on_schema=on_schema, callbacks=callbacks,
        checkpoints=checkpoints,
    )  # fmt: skip
