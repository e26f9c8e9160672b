"""Whole sequences and their classes: a table in which several rows make one example."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import models, nn
from ...data import Schema, Target, infer_schema, read_table, source_name
from ...data.schema import check_present
from ...engine.ops import arange, concatenate, expand_dims, maximum, sum, where
from ...engine.ops import max as largest
from ...engine.tensor import Buffer, Tensor
from ...errors import DataError, ModelFileError
from ...serialization import SavedModel
from ...training import Arrays, Callback, Trainer
from ...utils.typing import Array
from .. import fit
from ..class_extension import task_of
from ..classification import Classifier, three_parts
from ..evaluation import class_weights, constant_prediction, evaluate
from ..examples import Examples, RawRow, check_rows, no_target, said
from ..linear_baseline import linear_predictions
from ..optimizer import make_optimizer
from ..predictions import predictions
from ..result import TrainingResult
from ..warm_start import begin
from .options import SeriesOptions
from .reading import column_of_numbers, fill_forward, input_columns, times_of

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

#: More steps of a sequence are not looked at, but for the last ones.
_LONGEST = 500
_UPDATES = 1000
_EPOCHS = 20
BATCH = 32
#: Decay of the averaged weights.
AVERAGE = 0.97
_RATES = {"linear": 1e-2, "lstm": 3e-3, "tcn": 2e-3}
_HIDDEN = {"linear": (), "lstm": (64,), "tcn": (32, 32, 32, 32)}


@dataclass(frozen=True)
class SequenceSchema:
    """What was understood of sequences; it goes into the model file.

    Attributes:
        names: of the columns that are looked at.
        group: the column that says which sequence a row belongs to.
        time: the column of the times, or None for the order of the rows.
        target: the column of the class, as the JSON of a `Schema`.
        longest: steps of a sequence that are looked at, from its end.
        model: linear, lstm or tcn.
        hidden: sizes of the layers.
        dropout: fraction of the hidden units that are set to 0 in training.
        notes: warnings.
    """

    names: tuple[str, ...]
    group: str
    time: str | None
    target: str
    longest: int
    model: str
    hidden: tuple[int, ...]
    dropout: float
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        target = Schema.from_json(self.target).target
        assert target is not None
        return target.classes

    @property
    def needed(self) -> list[str]:
        """The columns of a table of such sequences, without that of the class."""
        return [self.group, *([self.time] if self.time else []), *self.names]

    def described(self) -> list[tuple[str, str]]:
        """What there is to tell."""
        return [
            ("sequences", f"the rows of each {self.group}, by {self.time or 'their order'}"),
            ("columns", ", ".join(self.names)),
            ("classes", f"{len(self.classes)}: {', '.join(self.classes[:10])}"),
            ("network", f"{self.model}, looks at up to {self.longest} steps"),
        ]

    def to_json(self) -> dict[str, Any]:
        """JSON data for the model file."""
        content = dataclasses.asdict(self)
        del content["notes"]
        return {"kind": "series", "task": "sequence", **content}

    @staticmethod
    def from_json(content: Any, where: str) -> SequenceSchema:
        """What `to_json` gave.

        Raises:
            ModelFileError: it is damaged.
        """
        try:
            rest = {name: value for name, value in content.items() if name not in ("kind", "task")}
            rest["names"], rest["hidden"] = tuple(rest["names"]), tuple(rest["hidden"])
            schema = SequenceSchema(**rest)
            assert len(schema.classes) > 1
            return schema
        except (KeyError, TypeError, AttributeError, AssertionError, DataError) as error:
            raise ModelFileError("The description of the sequences is damaged.", where=where,
                                 found=f"{type(error).__name__}: {error}") from None  # fmt: skip


# ---- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sequences:
    """Sequences of different lengths.

    Attributes:
        names: what the group column calls each.
        steps: (its length, columns) of each, NaN where nothing is known.
        rows: a row of the table for each.
    """

    names: list[str]
    steps: list[Array]
    rows: Array

    def take(self, rows: Array) -> Sequences:
        """Some of them, by their numbers."""
        names, steps = [self.names[row] for row in rows], [self.steps[row] for row in rows]
        return Sequences(names, steps, self.rows[rows])


def read_sequences(
    frame: pl.DataFrame, columns: Sequence[str], group: str, time: str | None, name: str
) -> Sequences:
    """The rows of each group in the order of their times, groups in that of their first rows.

    Raises:
        DataError: a group or a time is missing.
    """
    import polars as pl

    groups = frame[group].cast(pl.String)
    if groups.null_count():
        row = int(np.flatnonzero(groups.is_null().to_numpy())[0])
        raise DataError("A row belongs to no sequence.",
                        where=f"{name}, column {group!r}, row {row + 1:,}")  # fmt: skip
    values = np.stack([column_of_numbers(frame, column, name) for column in columns], axis=1)
    order = np.arange(frame.height)
    if time is not None:
        order = np.argsort(times_of(frame, time, name)[0], kind="stable")
    labels = groups.to_list()
    members: dict[str, list[int]] = {label: [] for label in labels}
    for row in order.tolist():
        members[labels[row]].append(row)
    return Sequences(
        list(members),
        [values[rows] for rows in members.values()],
        np.array([min(rows) for rows in members.values()]),
    )


def _targets(frame: pl.DataFrame, found: Sequences, schema: Schema, group: str, name: str) -> Array:
    """The class of each sequence; an error if its rows have several."""
    import polars as pl

    target = schema.read_target(frame, name)
    labels = frame[group].cast(pl.String).to_numpy()
    of_group = dict(zip(found.names, target[found.rows], strict=True))
    expected = np.array([of_group[label] for label in labels])
    if (wrong := np.flatnonzero(target != expected)).size:
        raise DataError(
            "The rows of a sequence have different classes.",
            where=f"{name}, row {int(wrong[0]) + 1:,}",
            expected=f"one class for all rows of {group} {labels[wrong[0]]}",
            hint="Is it the right --group?",
        )
    if (target < 0).any():
        row = int(np.flatnonzero(target < 0)[0])
        raise DataError("A sequence has no class.", where=f"{name}, row {row + 1:,}")
    return np.array([of_group[label] for label in found.names])


def _inputs(found: Sequences, longest: int) -> dict[str, Array]:
    """The ends of the sequences, side by side: what the networks take."""
    columns = found.steps[0].shape[1]
    x = np.zeros((len(found.steps), longest, columns))
    lengths = np.zeros(len(found.steps), np.int64)
    for number, steps in enumerate(found.steps):
        kept = fill_forward(steps)[-longest:]
        x[number, : len(kept)] = kept
        lengths[number] = len(kept)
    return {"x": x, "lengths": lengths}


# ---- networks ------------------------------------------------------------------------------------


class SequenceClassifier(nn.Module):
    """Standardised columns, a network over the steps that there are, logits.

    Args:
        schema: sizes.
        train: all steps of the training sequences, for the statistics.
    """

    def __init__(self, schema: SequenceSchema, train: Array) -> None:
        deviation = np.nan_to_num(np.nanstd(train, axis=0))
        self.mean = Buffer(np.nan_to_num(np.nanmean(train, axis=0)), "float64")
        self.std = Buffer(np.where(deviation > 0, deviation, 1.0), "float64")
        columns, classes = train.shape[1], len(schema.classes)
        self.model = schema.model
        self.core: Any = None
        width = columns
        if schema.model == "lstm":
            self.core = nn.LSTM(columns, schema.hidden[0], len(schema.hidden),
                                dropout=schema.dropout, bidirectional=True)  # fmt: skip
            width = 2 * schema.hidden[0]
        elif schema.model == "tcn":
            width = schema.hidden[-1]
            self.core = models.tcn(width, columns, schema.hidden, dropout=schema.dropout,
                                   every_step=True)  # fmt: skip
        self.head = nn.Linear(2 * width, classes, init="xavier_uniform")

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """{"x": (rows, time, columns), "lengths": (rows,)} → logits (rows, classes)."""
        y = ((inputs["x"] - self.mean) / self.std).astype("float32")
        lengths = inputs["lengths"]
        if self.model == "lstm":
            y, _ = self.core(y, lengths=lengths)
        elif self.core is not None:
            y = self.core(y)
        present = expand_dims(arange(y.shape[1]) < expand_dims(lengths, 1), 2)
        mean = sum(where(present, y, 0.0), 1) / expand_dims(maximum(lengths, 1), 1).astype(y.dtype)
        best = largest(where(present, y, -1e9), 1)
        result: Tensor = self.head(concatenate([mean, best], 1))
        return result


def _summaries(found: Sequences) -> Array:
    """Mean, deviation, first and last of each column and the length: for the linear baseline."""
    rows = []
    for steps in found.steps:
        filled = fill_forward(steps)
        parts = [filled.mean(0), filled.std(0), filled[0], filled[-1], [len(filled)]]
        rows.append(np.concatenate(parts))
    return np.array(rows)


# ---- training ------------------------------------------------------------------------------------


def train_sequences(
    source: Any,
    options: SeriesOptions,
    *,
    progress: bool = True,
    say: Say = lambda sentence: None,
    on_schema: Callable[[SequenceSchema], None] = lambda schema: None,
    callbacks: tuple[Callback, ...] = (),
) -> TrainingResult:
    """Train a network that tells the class of a sequence; arguments as of `series.train`."""
    started = time.perf_counter()
    name = source_name(source)
    found, classes, columns, target = _learned_from(source, options, name, say)
    count = f"{len(classes)} different {options.group}"
    train, validation, test = three_parts(classes, options, "sequences", found=count)
    longest = max(len(found.steps[row]) for row in train)
    schema = _schema(options, columns, target, longest)
    on_schema(schema)
    statistics = np.concatenate(found.take(train).steps)
    network = SequenceClassifier(schema, statistics).initialize(options.seed)
    begin(network, options, classes=schema.classes, say=say)
    data = examples_of(found, classes, schema, options.balance)
    pace = fit.Pace.of(options, len(train), batch_size=BATCH, epochs=_EPOCHS, steps=_UPDATES)
    trainer = _trainer(network, pace, options, progress, callbacks)
    say(
        f"{len(train):,} sequences of up to {longest:,} steps in batches of {pace.batch_size}, "
        f"{pace.epochs} epochs; {len(validation):,} others choose the best weights"
    )
    with fit.threads(options.threads):
        failure = fit.fit(
            trainer, data.take(train), validation=data.take(validation), epochs=pace.epochs,
            batch_size=pace.batch_size, patience=options.patience,
            validate_every=max(pace.epochs // 40, 1),
        )  # fmt: skip
        judged, known = found.take(test), classes[test]
        if isinstance(options.test, str):
            judged, known = read_again(schema, options.test)
        predicted = trainer.predict(_inputs(judged, schema.longest))
    task = task_of(schema.classes)
    answers = _baselines(found.take(train), classes[train], judged, len(schema.classes))
    report = {
        "task": task,
        "target": options.target,
        "unit": "sequences",
        "rows": {"train": len(train) + len(validation), "test": len(known)},
        "metrics": evaluate(task, known, predicted),
        "baselines": {which: evaluate(task, known, answer) for which, answer in answers.items()},
        "seconds": time.perf_counter() - started,
        "data": {"kind": "series", "source": name, "rows": len(found.steps),
                 "columns": len(columns)},
    }  # fmt: skip
    example = {key: array[train[:2]] for key, array in data.inputs.items()}
    return TrainingResult(trainer, network, example, schema, options, report, failure,
                   schema.classes, trainer.output)  # fmt: skip


def _learned_from(
    source: Any, options: SeriesOptions, name: str, say: Say
) -> tuple[Sequences, Array, tuple[str, ...], Target]:
    """The sequences, their classes, the columns that are looked at, and the target."""
    frame, group = read_table(source), options.group or ""
    named = [group, options.target, *(options.features or []), *options.drop]
    check_present([*named, *([options.time] if options.time else [])], frame.columns, name)
    drop = (*options.drop, group)
    columns = tuple(
        options.features or input_columns(frame, options.target, options.time, drop, name, say)
    )
    if not columns:
        raise DataError("There is no column of numbers to look at.", where=name,
                        found=", ".join(frame.columns))  # fmt: skip
    schema = infer_schema(frame, options.target, features=[group], kinds={group: "category"},
                          task="classification", source=name)  # fmt: skip
    assert schema.target is not None
    found = read_sequences(frame, columns, group, options.time, name)
    return found, _targets(frame, found, schema, group, name), columns, schema.target


def _schema(
    options: SeriesOptions, columns: tuple[str, ...], target: Target, longest: int
) -> SequenceSchema:
    """What suits sequences of which the longest has so many steps."""
    model = options.model or "tcn"
    return SequenceSchema(
        names=columns,
        group=options.group or "",
        time=options.time,
        target=Schema((), (), target).to_json(),
        longest=min(longest, _LONGEST),
        model=model,
        hidden=_HIDDEN[model] if options.hidden is None else options.hidden,
        dropout=0.1 if options.dropout is None else options.dropout,
    )


def _trainer(
    network: SequenceClassifier,
    pace: fit.Pace,
    options: SeriesOptions,
    progress: bool,
    callbacks: tuple[Callback, ...],
) -> Trainer:
    optimizer = make_optimizer(options, network, pace.steps, lr=_RATES[network.model],
                               weight_decay=0.02, clip=1.0)  # fmt: skip
    return Trainer(
        network, "cross_entropy", optimizer, metrics=["accuracy"], average=AVERAGE,
        seed=options.seed, callbacks=callbacks, progress=progress, backend=options.backend,
    )  # fmt: skip


def _baselines(train: Sequences, classes: Array, judged: Sequences, count: int) -> dict[str, Array]:
    """How frequent the classes are, and a linear model of a few numbers of each sequence."""
    name, shares = constant_prediction(classes, len(judged.steps), count)
    x = _summaries(train)
    center, spread = x.mean(0), np.where(x.std(0) > 0, x.std(0), 1.0)
    z = (_summaries(judged) - center) / spread
    return {name: shares, "linear": linear_predictions((x - center) / spread, classes, z, count)}


def examples_of(found: Sequences, classes: Array, schema: SequenceSchema, balance: bool) -> Arrays:
    """Sequences as a network learns from them."""
    weights = None
    if balance:
        weights = class_weights(classes, len(schema.classes)).astype(np.float32)
    return Arrays(_inputs(found, schema.longest), classes, weights)


def read_again(schema: SequenceSchema, source: Any, name: str = "") -> tuple[Sequences, Array]:
    """Later sequences with their classes."""
    name, frame = name or source_name(source), read_table(source)
    check_present(schema.needed, frame.columns, name)
    found = read_sequences(frame, schema.names, schema.group, schema.time, name)
    return found, _targets(frame, found, Schema.from_json(schema.target), schema.group, name)


# ---- use -----------------------------------------------------------------------------------------


class SequencePredictor(Classifier[SequenceSchema]):
    """A saved model that tells the class of a sequence: a `chainrule.tasks.Predictor`."""

    def __init__(self, saved: SavedModel, path: str) -> None:
        super().__init__(saved, SequenceSchema.from_json(saved.schema, path))

    def predict(
        self, source: Any, *, proba: bool = False, say: Say = lambda sentence: None
    ) -> pl.DataFrame:
        """The class of each sequence, in the order of their first rows."""
        import polars as pl

        schema, name, frame = self.schema, source_name(source), read_table(source)
        check_present(schema.needed, frame.columns, name)
        found = read_sequences(frame, schema.names, schema.group, schema.time, name)
        told = predictions(self.saved.predict(_inputs(found, schema.longest)), self.classes, proba)
        return pl.DataFrame({schema.group: found.names}).with_columns(told.get_columns())

    def examples(
        self, source: Any, rows: Sequence[int], *, say: Say = lambda sentence: None
    ) -> Examples:
        """Sequences in the order of their first rows, with their classes.

        Raises:
            DataError: there is no such sequence, or its class is not known.
        """
        schema, name, frame = self.schema, source_name(source), read_table(source)
        target = Schema.from_json(schema.target).target
        assert target is not None
        if target.name not in frame.columns:
            raise no_target(name, f"a column {target.name!r}", ", ".join(frame.columns[:20]))
        found, classes = read_again(schema, frame, name)
        check_rows(
            rows, len(found.names), name, "Sequences are counted from 0, by their first row."
        )
        inputs = {key: x[list(rows)] for key, x in _inputs(found, schema.longest).items()}
        predicted = self.saved.predict(inputs)
        raw = tuple(
            RawRow(
                row,
                ({"column": schema.group, "text": found.names[row],
                  "encoded": f"{len(found.steps[row]):,} steps", "input": f"x.x[{place}]"},),
                {"column": target.name, "text": schema.classes[classes[row]]},
                said(predicted[place], schema.classes),
                f"Sequence {row}",
            )
            for place, row in enumerate(rows)
        )  # fmt: skip
        goal = classes[list(rows)]
        return Examples(inputs, goal, "cross_entropy", raw, labels={"x.x": schema.names})

    def evaluate(self, source: Any, *, say: Say = lambda sentence: None) -> dict[str, float]:
        """The metrics on sequences whose class is known."""
        found, classes = read_again(self.schema, source)
        return evaluate(
            task_of(self.classes), classes, self.saved.predict(_inputs(found, self.schema.longest))
        )
