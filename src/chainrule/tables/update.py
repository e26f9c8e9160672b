"""Learning on from new rows, without the old ones: `update_table`."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Schema, cells, read_table, source_name, split_indices
from ..data.schema import check_present, tidy_column
from ..errors import DataError
from ..kinds import fitting
from ..kinds.judging import judge
from ..model_file import load
from ..optim import Optimizer
from ..train import Trainer, load_training, transfer
from .features import columns_by_kind
from .network import TableModel, TableNetwork
from .pipeline import LOSS_OF, Fitted, Job, TableResult, examples, member_loss, with_target
from .previous import Previous, grown
from .recipe import choose, make_optimizer

if TYPE_CHECKING:
    import polars as pl

Array = np.ndarray[Any, Any]
Say = Callable[[str], None]

#: The rate of an update, as a share of the highest one of the training.
_RATE = 0.3
#: An update takes at least so many steps, in no more than so many epochs.
_STEPS, _MOST_EPOCHS = 100, 20
#: Share of the new rows that judge the old model and the new one.
_TEST = 0.2
#: The fewest new rows: some to learn from, and some to judge.
_FEWEST = 5


def update_table(
    model: str | Path,
    source: Any,
    *,
    epochs: int | None = None,
    lr: float | None = None,
    test: float | None = None,
    grow: bool = False,
    progress: bool = True,
    say: Say = lambda sentence: None,
) -> TableResult:
    """Go on with the training of a saved model on new rows only.

    The optimizer goes on from the state that lies beside the model in its run folder, at a
    constant rate. Statistics of the columns stay as they are, for the weights belong to them;
    running statistics of normalisations go on. Nothing is written.

    Args:
        model: a model file or run folder.
        source: rows with the columns of the training, and their target.
        epochs: how often to go through the new rows; enough for 100 steps, at most 20, without it.
        lr: the learning rate; 0.3 of the training's highest one without it.
        test: share of the new rows that judge the old model and the new one; 0.2 without it.
        grow: give new categories and new classes a place of their own. Otherwise categories that
            were never seen count as unknown, and unknown classes are an error.
        progress: show the training.
        say: takes plain sentences about what is done.

    Returns:
        The result; its report has the metrics of the old model on the same rows as the baseline
        ``before the update``.

    Raises:
        DataError: columns are missing, a class is not known, or there are too few rows.
    """
    begun = time.perf_counter()
    path = Path(model)
    file = path / "model.safetensors" if path.is_dir() else path
    previous = Previous(load(file), str(file))
    name = source_name(source)
    frame = read_table(source)
    columns = [column.name for column in previous.schema.columns]
    check_present([*columns, str(previous.report.get("target"))], frame.columns, name)
    schema = previous.schema
    if grow:
        schema = _grown(schema, frame, name, say)
    elif new := _new_classes(schema, frame, name):
        raise DataError(
            "The new rows have classes that the model does not know.",
            where=f"{name}, column {previous.report.get('target')!r}",
            expected=", ".join(previous.schema.target.classes) if previous.schema.target else None,
            found=", ".join(new),
            hint="give them outputs of their own with --grow (grow=True), or remove these rows",
        )
    options = dataclasses.replace(previous.options, epochs=epochs, test=test)
    job = Job(options, schema, name, progress, say, ())
    frame = with_target(frame, schema, name, say)
    if frame.height < _FEWEST:
        raise DataError(
            "There are too few new rows to learn from and to judge.",
            where=name,
            expected=f"at least {_FEWEST} rows with a target",
            found=str(frame.height),
        )
    learned, judged = split_indices(
        frame.height,
        (1 - (test or _TEST), test or _TEST),
        options.seed + previous.report.get("updates", 0),
        job.strata(frame),
    )
    with fitting.threads(options.threads):
        fitted = _updated(previous, job, frame[learned], lr, file)
    result = TableResult(fitted, job)
    rows = schema.encode(frame[judged], target=True, source=name)
    for sentence in rows.notes:
        say(sentence)
    before = previous.saved.predict(columns_by_kind(previous.schema.encode(frame[judged])))
    if job.classes:  # the old model gives new classes no chance
        before = np.pad(before, ((0, 0), (0, job.classes - before.shape[1])))
    result.report |= {
        "updates": previous.report.get("updates", 0) + 1,
        "metrics": judge(job.task, rows.target, fitted.predict(rows)),
        "baselines": {"before the update": judge(job.task, rows.target, before)},
        "seconds": time.perf_counter() - begun,
        "data": {
            "kind": "table",
            "source": name,
            "rows": frame.height,
            "columns": len(schema.columns),
        },
    }
    result.report["rows"]["test"] = len(rows)
    return result


def _updated(
    previous: Previous, job: Job, frame: pl.DataFrame, lr: float | None, file: Path
) -> Fitted:
    """Learn from these rows."""
    options = job.options
    recipe = dataclasses.replace(choose(options, frame.height), shape=previous.shape)
    model = _model(previous, job.schema, job.say)
    rows = job.schema.encode(frame, target=True, source=job.source)
    for sentence in rows.notes:
        job.say(sentence)
    assert rows.target is not None
    target = rows.target if model.scale is None else model.scale.encode(rows.target)
    everything = np.arange(len(rows))
    train, _ = examples(job, model.network, rows, target, everything, everything[:1])
    updates = math.ceil(len(rows) / recipe.batch_size)
    epochs = options.epochs or min(math.ceil(_STEPS / updates), _MOST_EPOCHS)
    rate = lr if lr is not None else _RATE * (recipe.lr or previous.highest_rate)
    optimizer = make_optimizer(options, recipe, model.network, len(rows), rate)
    optimizer.set_rate(rate)
    _load_memory(optimizer, file.parent / "training.safetensors", job.say)
    trainer = Trainer(
        model.network,
        member_loss(options.loss or LOSS_OF[job.task], job),
        optimizer,
        output=model.output,
        average=recipe.average,
        seed=options.seed + 1 + previous.report.get("updates", 0),
        progress=job.progress,
        backend=options.backend,
    )
    job.say(f"{len(rows):,} new rows in batches of {recipe.batch_size}, {epochs} epochs, "
            f"constant rate {rate:.3g}")  # fmt: skip
    trainer.partial_fit(train, epochs=epochs, batch_size=recipe.batch_size)
    return Fitted(job.schema, recipe, model, trainer, rows, None)


def _model(previous: Previous, schema: Schema, say: Say) -> TableModel:
    """The old model, with places for what has come anew."""
    if schema is previous.schema:
        return previous.model()
    outputs = len(schema.target.classes) if schema.target else 0
    network = TableNetwork(schema, outputs or 1, previous.shape, seed=0)
    model = TableModel(network, previous.scale())
    done = transfer(model, previous.aligned(model, schema, zero=True))
    for path, (here, there) in done.different.items():
        say(f"starts anew: {path}, as its shape is {here} here and {there} there")
    return model


def _load_memory(optimizer: Optimizer, path: Path, say: Say) -> None:
    """The optimizer's memory from the training, as far as it still fits."""
    if not path.exists():
        say("the state of the optimizer was not kept with the model: it starts anew")
        return
    start = "optimizer."
    own = optimizer.state()
    kept = {
        name.removeprefix(start): array
        for name, array in load_training(path).items()
        if name.startswith(start)
    }
    fits = {
        name: array
        for name, array in kept.items()
        if name in own and np.shape(array) == np.shape(own[name]) and "schedule." not in name
    }
    optimizer.load_state(own | fits)


def _grown(schema: Schema, frame: pl.DataFrame, source: str, say: Say) -> Schema:
    """The schema with the categories and classes that are new in these rows."""
    more: dict[str, list[str]] = {}
    for column in schema.category:
        new = _new_words(column.vocabulary, tidy_column(frame, column.name, source))
        if new:
            more[column.name] = new
    classes = _new_classes(schema, frame, source)
    result = grown(schema, more, classes)
    for before, after in zip(schema.columns, result.columns, strict=True):
        added = after.vocabulary[len(before.vocabulary) :]
        if added:
            say(f"column {before.name}: new categories {', '.join(added)}")
        if missed := len(more.get(before.name, ())) - len(added):
            say(f"column {before.name}: no room for {missed} more categories; they are unknown")
    if classes:
        say(f"new classes: {', '.join(classes)}")
    return result if more or classes else schema


def _new_classes(schema: Schema, frame: pl.DataFrame, source: str) -> list[str]:
    target = schema.target
    if target is None or not target.classes:
        return []
    known = {name.lower() for name in target.classes}  # case is ignored in classes
    words = _new_words((), tidy_column(frame, target.name, source))
    return [word for word in words if word.lower() not in known]


def _new_words(known: tuple[str, ...], tidy: pl.Series) -> list[str]:
    """The categories in a column that are not known, in the order of the text."""
    words = cells.read_categories(tidy).drop_nulls().unique().sort().to_list()
    return [word for word in words if word not in set(known)]


__all__ = ["update_table"]
