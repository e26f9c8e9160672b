"""From a file to a trained model and an honest report."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Schema, infer_schema, k_folds, read_table, source_name, split_indices
from ...data.table_scan import is_larger_than_memory
from ...errors import DataError
from ...training import Callback
from .. import fit
from ..evaluation import evaluate
from .defaults import choose
from .options import TableOptions
from .pipeline import Job, TableResult, baseline_scores, fit_rows
from .streaming import train_in_parts

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]


def train_table(
    source: Any,
    options: TableOptions,
    *,
    progress: bool = True,
    say: Say = lambda sentence: None,
    on_schema: Callable[[Schema], None] = lambda schema: None,
    callbacks: tuple[Callback, ...] = (),
    in_memory: int | None = None,
) -> TableResult:
    """Train on a table: understand it, split it, train, judge on rows that were held out.

    A file of more than 50 MB is read in parts, so that memory does not grow with it; see
    `chainrule.tasks.tabular.streaming`.

    Args:
        source: a file, a data frame, or a dict of columns; see `chainrule.data.read_table`.
        options: what the user says; the rest is chosen by `chainrule.tasks.tabular.defaults`.
        progress: show the training.
        say: takes plain sentences about what is done and why.
        on_schema: takes what was understood of the columns, before the training.
        callbacks: for the `Trainer`.
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
    if is_larger_than_memory(source, in_memory):
        return train_in_parts(
            source, options, progress=progress, say=say, on_schema=on_schema, callbacks=callbacks
        )
    started = time.perf_counter()
    name = source_name(source)
    notes: list[str] = []
    frame = read_table(source, notes=notes)
    for sentence in notes:
        say(sentence)
    schema = infer_schema(
        frame,
        options.target,
        features=options.features,
        drop=options.drop or None,
        kinds=options.kinds,
        source=name,
    )
    on_schema(schema)
    frame = with_target(frame, schema, name, say)
    job = Job(options, schema, name, progress, say, callbacks)
    with fit.threads(options.threads):
        result = _cross_validated(job, frame) if options.cv else _held_out(job, frame)
    result.report["seconds"] = time.perf_counter() - started
    result.report["data"] = {
        "kind": "table",
        "source": name,
        "rows": frame.height,
        "columns": len(schema.columns),
    }
    return result


def with_target(frame: pl.DataFrame, schema: Schema, name: str, say: Say) -> pl.DataFrame:
    """The rows that have a target."""
    target = schema.read_target(frame, name)
    known = np.isfinite(target) if target.dtype.kind == "f" else target >= 0
    if not known.all():
        say(f"{int((~known).sum()):,} rows have no target and are left out")
        frame = frame.filter(known)
    if frame.height < 4:
        raise DataError(
            "There are too few rows to train and to evaluate.",
            where=name,
            expected="at least 4 rows with a target",
            found=str(frame.height),
        )
    return frame


def _held_out(job: Job, frame: pl.DataFrame) -> TableResult:
    """Hold out a test part, train on the rest, report."""
    options = job.options
    if isinstance(options.test, str):
        test_frame = read_table(options.test)
        train_frame = frame
    else:
        share = choose(options, frame.height).test
        strata = job.strata(frame)
        train, test = split_indices(frame.height, (1 - share, share), options.seed, strata)
        train_frame, test_frame = frame[train], frame[test]
    fitted = fit_rows(job, train_frame)
    rows = fitted.schema.encode(test_frame, target=True, source=str(options.test or job.source))
    for note in rows.notes:
        job.say(note)
    result = TableResult(fitted, job)
    result.report["rows"]["test"] = len(rows)
    result.report["metrics"] = evaluate(job.task, rows.target, fitted.predict(rows))
    result.report["baselines"] = baseline_scores(job, fitted, rows)
    return result


def _cross_validated(job: Job, frame: pl.DataFrame) -> TableResult:
    """Train and judge on each fold, then train the model that is kept on all rows."""
    options = job.options
    assert options.cv is not None
    scores: list[dict[str, float]] = []
    baselines: list[dict[str, dict[str, float]]] = []
    folds = k_folds(frame.height, options.cv, options.seed, stratify=job.strata(frame))
    for number, (train, test) in enumerate(folds, 1):
        job.say(f"fold {number} of {options.cv}")
        fitted = fit_rows(job, frame[train])
        rows = fitted.schema.encode(frame[test], target=True, source=job.source)
        scores.append(evaluate(job.task, rows.target, fitted.predict(rows)))
        baselines.append(baseline_scores(job, fitted, rows))
        if not fitted.complete:
            break
    if fitted.complete:
        job.say("all rows, for the model that is kept")
        fitted = fit_rows(job, frame)
    result = TableResult(fitted, job)
    result.report["metrics"] = _averaged(scores)
    result.report["baselines"] = {
        kind: _averaged([one[kind] for one in baselines]) for kind in baselines[0]
    }
    result.report["cv"] = {"folds": len(scores), "metrics": scores}
    return result


def _averaged(scores: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
