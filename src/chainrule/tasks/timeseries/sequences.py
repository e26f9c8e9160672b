"""Whole sequences and their classes: a table in which several rows make one example."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import models, nn
from ...data import Schema, Target, infer_schema, source_name
from ...data.infer_target import notes_on_classes
from ...data.json_dataclass import check_types
from ...data.schema import check_present
from ...drawing.blocks import Block, Section
from ...engine.ops import arange, concatenate, expand_dims, maximum, sum, where
from ...engine.ops import max as largest
from ...engine.tensor import Buffer, Tensor
from ...errors import DataError, ModelFileError
from ...serialization import SavedModel
from ...training import Arrays
from ...utils.typing import Array
from ..class_extension import task_of
from ..classification import Classifier
from ..evaluation import class_weights, constant_prediction, evaluate
from ..examples import Examples, RawRow, check_rows, no_target, said
from ..kinds.series import SeriesOptions
from ..linear_baseline import linear_predictions
from ..plan import Examples as Encoded
from ..plan import Learner, Plan, Recipe, Split, split_rows
from ..predictions import predictions
from ..tested import Tested
from . import inspection
from .archive import read_rows
from .reading import Written, columns_of_numbers, fill_forward, input_columns
from .times import read_times

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

#: More steps of a sequence are not looked at, but for the last ones.
_LONGEST = 500
_UPDATES = 1000
_EPOCHS = 20
_BATCH = 32
#: Decay of the averaged weights.
_AVERAGE = 0.97
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
        written: how the numbers of each column are written; see `reading.Written`.
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
    written: tuple[Written, ...] = ()
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
            rest["written"] = tuple(tuple(how) for how in rest.get("written", ()))
            schema = SequenceSchema(**rest)
            check_types(schema, "series")
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
        written: how the numbers of each column are written; see `reading.Written`.
    """

    names: list[str]
    steps: list[Array]
    rows: Array
    written: tuple[Written, ...] = ()

    def take(self, rows: Array) -> Sequences:
        """Some of them, by their numbers."""
        names, steps = [self.names[row] for row in rows], [self.steps[row] for row in rows]
        return Sequences(names, steps, self.rows[rows], self.written)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Sequences with their class indices, and where both come from.

    Attributes:
        sequences: each.
        target: its class index.
        columns: that are looked at.
        column: of the class.
        weights: how much each sequence counts, if not all the same.
    """

    sequences: Sequences
    target: Array
    columns: tuple[str, ...]
    column: Target
    weights: Array | None = None

    def __len__(self) -> int:
        return len(self.sequences.steps)

    def balanced(self) -> Labelled:
        """With weights by which all classes count the same."""
        weights = class_weights(self.target, len(self.column.classes)).astype(np.float32)
        return dataclasses.replace(self, weights=weights)

    def take(self, rows: Array) -> Labelled:
        """Some of the sequences."""
        weights = None if self.weights is None else self.weights[rows]
        return dataclasses.replace(
            self, sequences=self.sequences.take(rows), target=self.target[rows], weights=weights
        )


def read_sequences(
    frame: pl.DataFrame, columns: Sequence[str], group: str, time: str | None, name: str,
    *, written: Sequence[Written] = (), say: Say = lambda sentence: None,
) -> Sequences:  # fmt: skip
    """The rows of each group in the order of their times, groups in that of their first rows.

    Args:
        frame: the table.
        columns: to look at.
        group: the column that says the sequence of a row.
        time: the column of the times.
        name: of the table, in messages.
        written: how the numbers of the columns were written in training.
        say: takes notes.

    Raises:
        DataError: a group or a time is missing.
    """
    import polars as pl

    groups = frame[group].cast(pl.String)
    if groups.null_count():
        row = int(np.flatnonzero(groups.is_null().to_numpy())[0])
        raise DataError("A row belongs to no sequence.",
                        where=f"{name}, column {group!r}, row {row + 1:,}")  # fmt: skip
    known = dict(zip(columns, written, strict=False))  # none in old models
    values, how = columns_of_numbers(frame, columns, name, known, say)
    order = np.arange(frame.height)
    if time is not None:
        order = np.argsort(read_times(frame, time, name).values, kind="stable")
    labels = groups.to_list()
    members: dict[str, list[int]] = {label: [] for label in labels}
    for row in order.tolist():
        members[labels[row]].append(row)
    return Sequences(
        list(members),
        [values[rows] for rows in members.values()],
        np.array([min(rows) for rows in members.values()]),
        how,
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
    """

    def __init__(self, schema: SequenceSchema) -> None:
        columns, classes = len(schema.names), len(schema.classes)
        self.mean = Buffer(np.zeros(columns), "float64")
        self.std = Buffer(np.ones(columns), "float64")
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

    def fit(self, steps: Array) -> SequenceClassifier:
        """Take the statistics of the columns: of all steps of the training sequences."""
        deviation = np.nan_to_num(np.nanstd(steps, axis=0))
        self.mean.assign(np.nan_to_num(np.nanmean(steps, axis=0)))
        self.std.assign(np.where(deviation > 0, deviation, 1.0))
        return self

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


class SequenceClassification(Plan[Labelled, Labelled, SequenceSchema]):
    """Whole sequences with classes: a network predicts the class of a sequence."""

    kind, task, unit = "series", "sequences", "sequences"
    options: SeriesOptions

    def read(self, source: Any) -> Labelled:
        """The sequences of a table."""
        found = _labelled(source, self.options, source_name(source), self.say)
        counts = np.bincount(found.target, minlength=len(found.column.classes))
        for note in notes_on_classes(found.column.classes, counts, unit="sequence"):
            self.say(note)
        return found.balanced() if self.options.balance else found

    def split(self, data: Labelled) -> Split[Labelled]:
        """By chance, classes in proportion; no sequence is cut."""
        found = f"{len(data)} different {self.options.group}"
        return split_rows(data, self.options, data.target, self.unit, test=0.2, found=found)

    def understand(self, split: Split[Labelled]) -> SequenceSchema:
        """Columns and sizes; no more steps are looked at than a training sequence has."""
        return _schema(self.options, split.train)

    def read_test(self, schema: SequenceSchema) -> Labelled:
        """The sequences of the test file."""
        return read_again(schema, self.options.test)

    def size(self, data: Labelled) -> dict[str, Any]:
        """How many sequences and columns there are."""
        return {"rows": len(data), "columns": len(data.columns)}

    def build(self, schema: SequenceSchema, split: Split[Labelled]) -> Learner:
        """The network of the schema's sizes, with the statistics of the training steps."""
        network = SequenceClassifier(schema).fit(np.concatenate(split.train.sequences.steps))
        return learner_of(schema, network.initialize(self.options.seed))

    def encode(self, schema: SequenceSchema, learner: Learner, part: Labelled) -> Arrays:
        """Sequences padded to one length."""
        return Arrays(_inputs(part.sequences, schema.longest), part.target, part.weights)

    def recipe(self, schema: SequenceSchema, learner: Learner, examples: Encoded) -> Recipe:
        """Rates by network."""
        return Recipe.of(
            self.options, len(examples), batch_size=_BATCH, epochs=_EPOCHS, updates=_UPDATES,
            lr=_RATES[schema.model], weight_decay=0.02, clip=1.0,
        ).with_validations()  # fmt: skip

    def average(self, steps: int) -> float:
        """Always the same."""
        return _AVERAGE

    def about(self, schema: SequenceSchema) -> dict[str, Any]:
        """Two classes, or more."""
        return {"task": task_of(schema.classes), "target": self.options.target}

    def profile(self, schema: SequenceSchema, split: Split[Labelled]) -> list[Section]:
        """The classes, and a sequence of each."""
        return inspection.sequences_profile(self, schema, split)

    def shown(
        self, picked: Sequence[tuple[Tested, int]], said: Sequence[tuple[str, str]]
    ) -> Sequence[Block]:
        """Sequences over their steps."""
        return inspection.sequences_as_they_are(picked, said)

    def inside(self, tested: Tested) -> list[Section]:
        """Which columns matter."""
        return inspection.sequences_inside(self, tested)

    def baselines(
        self, schema: SequenceSchema, split: Split[Labelled], test: Labelled
    ) -> dict[str, Array]:
        """How frequent the classes are, and a linear model of a few numbers of each sequence."""
        train, count = split.train, len(schema.classes)
        name, constant = constant_prediction(train.target, len(test), count)
        x = _summaries(train.sequences)
        mean, std = x.mean(0), np.where(x.std(0) > 0, x.std(0), 1.0)
        z = (_summaries(test.sequences) - mean) / std
        linear = linear_predictions((x - mean) / std, train.target, z, count)
        return {name: constant, "linear": linear}


def learner_of(schema: SequenceSchema, network: SequenceClassifier) -> Learner:
    """What is trained of a network that predicts classes of sequences."""
    name = f"{schema.model} over up to {schema.longest:,} steps"
    return Learner(network, "cross_entropy", name=name, metrics=("accuracy",))


def _labelled(source: Any, options: SeriesOptions, name: str, say: Say) -> Labelled:
    """The sequences of a table with their classes."""
    frame, group = read_rows(source), options.group or ""
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
                          task="classification", missing=options.missing, source=name)  # fmt: skip
    assert schema.target is not None
    found = read_sequences(frame, columns, group, options.time, name, say=say)
    return Labelled(found, _targets(frame, found, schema, group, name), columns, schema.target)


def _schema(options: SeriesOptions, train: Labelled) -> SequenceSchema:
    """What suits these sequences."""
    model = options.model or "tcn"
    longest = max(len(steps) for steps in train.sequences.steps)
    return SequenceSchema(
        names=train.columns,
        group=options.group or "",
        time=options.time,
        target=Schema((), (), train.column).to_json(),
        longest=min(longest, _LONGEST),
        model=model,
        hidden=_HIDDEN[model] if options.hidden is None else options.hidden,
        dropout=0.1 if options.dropout is None else options.dropout,
        written=train.sequences.written,
    )


def _sequences(
    schema: SequenceSchema, frame: pl.DataFrame, name: str, say: Say = lambda sentence: None
) -> Sequences:
    """The sequences of later data, read as those of the training."""
    return read_sequences(frame, schema.names, schema.group, schema.time, name,
                          written=schema.written, say=say)  # fmt: skip


def read_again(schema: SequenceSchema, source: Any, name: str = "") -> Labelled:
    """Later sequences with their classes."""
    name, frame = name or source_name(source), read_rows(source)
    check_present(schema.needed, frame.columns, name)
    found = _sequences(schema, frame, name)
    of_target = Schema.from_json(schema.target)
    assert of_target.target is not None
    target = _targets(frame, found, of_target, schema.group, name)
    return Labelled(found, target, schema.names, of_target.target)


# ---- use -----------------------------------------------------------------------------------------


class SequencePredictor(Classifier[SequenceSchema]):
    """A saved model that predicts the class of a sequence: a `chainrule.tasks.Predictor`."""

    def __init__(self, saved: SavedModel, path: str) -> None:
        super().__init__(saved, SequenceSchema.from_json(saved.schema, path))

    def predict(
        self, source: Any, *, proba: bool = False, say: Say = lambda sentence: None
    ) -> pl.DataFrame:
        """The class of each sequence, in the order of their first rows."""
        import polars as pl

        schema, name, frame = self.schema, source_name(source), read_rows(source)
        check_present(schema.needed, frame.columns, name)
        found = _sequences(schema, frame, name, say)
        told = predictions(self.probabilities(found), self.classes, proba)
        return pl.DataFrame({schema.group: found.names}).with_columns(told.get_columns())

    def probabilities(self, found: Sequences) -> Array:
        """Of each sequence, of each class."""
        return self.saved.predict(_inputs(found, self.schema.longest))

    def examples(
        self, source: Any, rows: Sequence[int], *, say: Say = lambda sentence: None
    ) -> Examples:
        """Sequences in the order of their first rows, with their classes.

        Raises:
            DataError: there is no such sequence, or its class is not known.
        """
        schema, name, frame = self.schema, source_name(source), read_rows(source)
        target = Schema.from_json(schema.target).target
        assert target is not None
        if target.name not in frame.columns:
            raise no_target(name, f"a column {target.name!r}", ", ".join(frame.columns[:20]))
        labelled = read_again(schema, frame, name)
        found, classes = labelled.sequences, labelled.target
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
        known = read_again(self.schema, source)
        predicted = self.probabilities(known.sequences)
        return evaluate(task_of(self.classes), known.target, predicted)
