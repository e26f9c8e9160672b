"""A table as a plan of the runner: rows, one network with several members, two baselines."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import (
    Encoded,
    Schema,
    infer_schema,
    read_table,
    source_name,
)
from ...data.infer_target import unusable, without_target
from ...data.schema import known_targets
from ...data.source import FileReading, with_reading
from ...drawing.blocks import Block, Section
from ...errors import ConfigError, DataError
from ...training import Arrays, Callback
from ...utils.typing import Array
from ..digits import decimals_of
from ..early_stop import stop_when_worse
from ..evaluation import class_weights
from ..kinds.table import TableOptions
from ..partition import KeyReader, Partition, combinations
from ..plan import Examples, Learner, Plan, Recipe, Split
from ..scaling import TargetScaler
from ..tested import Answers, Tested
from ..warm_start import named_model, warm_start
from . import inspection, targets
from .baselines import linear_baseline
from .defaults import SMALL, Defaults, choose, epochs_for_numbers, for_numbers, pieces_for
from .features import blank_rows, columns_by_kind
from .heads import ClassHead, Head, NumberHead, head_for
from .held_out import calibrate, correct_quantiles, held_out, predict_once, with_threshold
from .log_target import logarithm_helps
from .losses import table_loss, task_of_loss
from .network import TableModel, TableNetwork
from .pieces import pieces_help
from .settle import choose_linear_share, correct_mean
from .split_check import warnings_of
from .warm_start import Previous

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

#: Fewer rows are nothing to learn from.
_FEWEST = 4
#: No more rows than this are predicted without a native program the first time, which is the only
#: one in most trainings.
_FEW_TO_PREDICT = 2_000
#: Decay of the averaged weights.
_AVERAGE = 0.97


class Table:
    """A table whose rows have a target; what it is encoded as is kept.

    Args:
        frame: the rows.
        schema: what its columns mean, without their statistics.
        where: it comes from, for messages.
        say: takes notes on cells that could not be used.
        partition: how the rows may be split.
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        schema: Schema,
        where: str,
        say: Say,
        partition: Partition | None = None,
    ) -> None:
        self.frame, self.schema, self.where, self.say = frame, schema, where, say
        self.partition = partition or Partition()
        #: The rows with the statistics of the last schemas; that for baselines may be another one.
        self._encoded: list[tuple[Schema, Encoded]] = []

    def encoded(self, schema: Schema) -> Encoded:
        """All rows as arrays, with the statistics of this schema."""
        for known, rows in self._encoded:
            if known is schema:
                return rows
        rows = schema.encode(self.frame, target=True, source=self.where)
        for note in rows.notes:
            self.say(note)
        self._encoded = [*self._encoded[-1:], (schema, rows)]
        return rows

    def target(self) -> Array:
        """Class indices, or numbers."""
        return self.schema.read_target(self.frame, self.where)


class Rows:
    """Some rows of a table."""

    def __init__(self, table: Table, rows: Array | None = None) -> None:
        self.table = table
        self.rows = np.arange(table.frame.height) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def target(self) -> Array:
        """Class indices, or numbers."""
        return self.table.target()[self.rows]

    @property
    def frame(self) -> pl.DataFrame:
        """As they stand in the table."""
        return self.table.frame[self.rows]

    def encoded(self, schema: Schema) -> Encoded:
        """As arrays."""
        return self.table.encoded(schema).take(self.rows)

    def take(self, rows: Array) -> Rows:
        """Some of them as a table of their own."""
        table, partition = self.table, self.table.partition.take(self.rows[rows])
        return Rows(Table(self.frame[rows], table.schema, table.where, table.say, partition))


class TablePlan(Plan[Any, Any, Schema]):
    """The rows of a table: a network predicts the class, or the number, in a column."""

    kind, task, unit = "table", "rows", "rows"
    options: TableOptions
    #: What the linear model beside the network is solved on.
    solved_on: Arrays | None = None
    #: The trainer whose network has predicted rows.
    _predicted_with: Any = None
    #: Whether the logarithm of a number is learned, as trials said; None leaves it to its skewness.
    logarithm: bool | None = None

    @functools.cached_property
    def previous(self) -> Previous | None:
        """The model to start from, if the options name one."""
        saved = named_model(self.options)
        return None if saved is None else Previous(saved, str(self.options.from_model))

    @property
    def learns_mean(self) -> bool:
        """Does the loss make predictions of numbers means?"""
        return self.options.loss in (None, "mse")

    # ---- data ------------------------------------------------------------------------------------

    def read(self, source: Any) -> Any:
        """The rows with a target, and what the columns mean."""
        name, notes, used = source_name(source), list[str](), list[FileReading]()
        frame = read_table(source, notes=notes, used=used)
        for sentence in notes:
            self.say(sentence)
        read_as = f" (read as {used[0].encoding})" if used and used[0].encoding else ""
        schema = self.understood(frame, name + read_as)
        schema = dataclasses.replace(schema, reading=used[0] if used else None)
        return self.rows_of(frame, schema, name)

    def rows_of(self, frame: pl.DataFrame, schema: Schema, name: str) -> Rows:
        """The rows of a table that have a target, and how they may be split."""
        frame = with_target(frame, schema, name, self.say)
        need_rows(frame.height, name)
        keys = KeyReader(frame, schema, self.options, name)
        partition, notes = keys.partition(
            keys.read(frame),
            lambda: combinations(schema, frame, name),
            schema.read_target(frame, name),
        )
        self.note(*notes, *self.warned(frame, schema, partition.groups, name))
        return Rows(Table(frame, schema, name, self.say, partition))

    def understood(self, frame: pl.DataFrame, name: str) -> Schema:
        """What the columns mean; that of the groups is none to learn from, unless asked for."""
        options = self.options
        names = targets.named_targets(options.target, frame.columns, self.say)
        group, drop = options.split_by_group, options.drop
        for name_of, column in (("group", group), ("time", options.split_by_time)):
            if column in names:
                raise ConfigError(f"The target {column!r} cannot say how rows are split.",
                                  found=f"--split-by-{name_of} {column}",
                                  hint="Name another column.")  # fmt: skip
        if group is not None and group not in (*(options.features or ()), *drop, *names):
            drop = (*drop, group)
        schema = infer_schema(
            frame, names, features=options.features, drop=drop or None, kinds=options.kinds,
            task=options.task or (task_of_loss(options.loss) if len(names) == 1 else None),
            missing=options.missing, source=name, weight=options.weight,
        )  # fmt: skip
        self.check_options(schema)
        return explained(targets.with_quantiles(schema, options.quantiles), group)

    def check_options(self, schema: Schema) -> None:
        """Refuse what these targets cannot have."""
        if self.options.threshold_for and all(len(t.classes) != 2 for t in schema.targets):
            raise ConfigError(
                "A threshold tells two classes apart.",
                where=" and ".join(repr(target.name) for target in schema.targets),
                expected="a target of two classes",
                found=schema.targets[0].reason,
                hint="Omit --threshold-for.",
            )
        if self.options.balance and schema.more_targets:
            raise ConfigError(
                "Only the classes of a single target can be balanced.",
                expected="one target",
                found=f"--balance and {len(schema.targets)} targets",
                hint="Omit --balance.",
            )

    def warned(
        self, frame: pl.DataFrame, schema: Schema, copies: Array | None, name: str
    ) -> list[str]:
        """What a split by chance hides, where the rows are split so."""
        options = self.options
        told = options.split_by_group, options.split_by_time
        if any(told) or isinstance(options.test, str):
            return []
        return warnings_of(frame, schema, copies, name, options.seed)

    def split(self, data: Any) -> Split[Any]:
        """By chance, classes in proportion; of a small table all rows train and validate."""
        if isinstance(self.options.test, str):
            return self.learned(data, None)
        fraction = choose(self.options, len(data)).test
        train, test = data.table.partition.split(
            len(data), (1 - fraction, fraction), self.options.seed, _strata(data)
        )
        return self.learned(data.take(train), data.take(test))

    def learned(self, data: Rows, test: Rows | None) -> Split[Rows]:
        """Training and validation set of these rows."""
        chosen = self.defaults(len(data), len(data.table.schema.numeric))
        if chosen.folds:
            return Split(data, data, test)
        parts = (1 - chosen.held_out, chosen.held_out)
        kept, held_out = data.table.partition.split(
            len(data), parts, self.options.seed + 1, _strata(data)
        )
        return Split(Rows(data.table, kept), Rows(data.table, held_out), test)

    def folds(self, data: Rows, count: int) -> list[Split[Rows]]:
        """For cross-validation; the last one has all rows to learn from."""
        folds = data.table.partition.folds(len(data), count, self.options.seed, _strata(data))
        parts = [self.learned(data.take(train), data.take(test)) for train, test in folds]
        return [*parts, self.learned(data, None)]

    def understand(self, split: Split[Any]) -> Schema:
        """The statistics of the training rows, or those of the model to start from."""
        train = split.train
        return self.adopted(train.table.schema.fit(train.frame, source=train.table.where))

    def adopted(self, schema: Schema) -> Schema:
        """With the statistics of the model to start from, if there is one."""
        if self.previous is None:
            return schema
        schema, shared = self.previous.adopt(schema)
        columns = ", ".join(shared) or "none"
        self.say(f"columns that the model to start from has, too, keep its statistics: {columns}")
        return schema

    def read_test(self, schema: Schema) -> Rows:
        """The rows of the test file."""
        name = str(self.options.test)
        test = with_reading(self.options.test, usual=schema.reading)
        frame = with_target(read_table(test), schema, name, self.say)
        return Rows(Table(frame, schema, name, self.say))

    def size(self, data: Any) -> dict[str, Any]:
        """How many rows and columns there are."""
        return {"rows": len(data), "columns": len(data.table.schema.columns)}

    # ---- network ---------------------------------------------------------------------------------

    def defaults(self, rows: int, numbers: int = 0) -> Defaults:
        """What suits so many rows and columns of numbers, and the model to start from."""
        chosen = choose(self.options, rows, numbers)
        if self.previous is None:
            return chosen
        shape = self.previous.shape_for(chosen.shape, self.options)
        folds = chosen.folds and shape.members > 1
        return dataclasses.replace(chosen, shape=shape, folds=folds, wide=False)

    def count(self, split: Split[Any]) -> int:
        """How many rows training and validation set have."""
        return split.seen

    def build(self, schema: Schema, split: Split[Any]) -> Learner:
        """The network that suits so many rows; its target is scaled by the training rows."""
        usual = self.defaults(self.count(split), len(schema.numeric))
        chosen = self.suited(schema, split, usual)
        values = split.train.encoded(schema).target
        heads = self._heads(schema, values)
        outputs = sum(head.outputs for head in heads)
        network = TableNetwork(schema, outputs, chosen.shape, self.options.seed)
        weights = targets.loss_weights(schema, values) if schema.more_targets else ()
        return self.learner_of(schema, TableModel(network, heads, weights), chosen)

    def suited(self, schema: Schema, split: Split[Any], chosen: Defaults) -> Defaults:
        """With what the targets and the rows of a small table say of the network."""
        count, shape = self.count(split), chosen.shape
        if self.previous is not None or count >= SMALL:
            return chosen
        if any(not each.classes for each in schema.targets):
            if self.options.dropout is None:
                shape = for_numbers(shape)
            if self.options.epochs is None and not chosen.wide:
                epochs = epochs_for_numbers(chosen.epochs, count)
                chosen = dataclasses.replace(chosen, epochs=epochs)
        bins = 0 if chosen.wide else pieces_for(count)
        if not shape.bins and pieces_help(schema, self.seen(schema, split), bins):
            shape = dataclasses.replace(shape, bins=bins, input_dropout=0.0)
        return dataclasses.replace(chosen, shape=shape)

    def learner_of(self, schema: Schema, model: TableModel, chosen: Defaults) -> Learner:
        """What is trained of a model of a table."""
        shape, network = chosen.shape, model.network
        sizes = "-".join(map(str, shape.hidden)) or "none"
        networks = f"{shape.members} networks" if shape.members > 1 else "a network"
        of = f" on {len(schema.numeric)} standardised numbers" if chosen.wide else ""
        folds = "each row is held out from one of them to choose its best weights"
        return Learner(
            network,
            table_loss(schema, model.heads, self.options.loss, model.loss_weights),
            f"{networks} with hidden layers {sizes} ({shape.activation}){of}",
            model,
            model.output,
            example=blank_rows(schema, 2),
            choice=chosen,
            note=folds if chosen.folds else "",
        )

    def _heads(self, schema: Schema, values: Array) -> list[Head]:
        """A head for each target; numbers are scaled by the training rows."""
        columns = values.reshape(len(values), -1).T
        heads = []
        for i, (target, column) in enumerate(zip(schema.targets, columns, strict=True)):
            known = column[~np.isnan(column)] if schema.more_targets else column
            scaler = None if target.classes else self._scaler(schema, i, known)
            heads.append(head_for(target, scaler))
        return heads

    def _scaler(self, schema: Schema, number: int, target: Any) -> TargetScaler:
        """The one that the model to start from has for this target, or a new one."""
        previous = self.previous
        if previous is not None and previous.same_target(schema):
            scaler = previous.scale(number)
            if scaler is not None:
                return scaler.widen(target)
        return TargetScaler(self.logarithm).fit(target)

    def warm_start(self, schema: Schema, learner: Learner) -> None:
        """The weights of another model for the features that both have."""
        previous, model = self.previous, learner.model
        if previous is None:
            return
        state = previous.aligned(model, schema)
        own = model.state().items()  # `_heads` has seen to these
        state |= {p: array for p, array in own if p.startswith(("heads.", "scale."))}
        warm_start(
            model, self.options, classes=self.classes(schema), say=self.say, state=state,
            skip=() if previous.same_target(schema) else ("head", "linear"), saved=previous.saved,
        )  # fmt: skip

    # ---- learning --------------------------------------------------------------------------------

    def encode(self, schema: Schema, learner: Learner, part: Rows) -> Arrays:
        """What the features give: as nothing in them is learned, they are computed once."""
        return self._whole(schema, learner, part.table).take(part.rows)

    def examples(
        self, schema: Schema, learner: Learner, split: Split[Any]
    ) -> tuple[Examples, Examples]:
        """With folds all rows are in both sets, weighted for each member by itself."""
        whole = self._whole(schema, learner, split.train.table)
        if not learner.choice.folds:
            train = whole.take(split.train.rows)
            self.solved_on = train
            return train, whole.take(split.validation.rows)
        members, strata = learner.choice.shape.members, _strata(split.train)
        partition = split.train.table.partition
        held = _member_folds(len(whole), members, self.options.seed, strata, partition)
        rows = np.ones((len(whole), 1)) if whole.weights is None else whole.weights[:, None]
        weights = [(part * rows).astype(np.float32) for part in (1 - held, held)]
        train, validation = (Arrays(whole.inputs, whole.target, own) for own in weights)
        self.solved_on = train
        return train, validation

    def _whole(self, schema: Schema, learner: Learner, table: Table) -> Arrays:
        rows = table.encoded(schema)
        weights = rows.weights
        if self.options.balance:
            assert rows.target is not None
            weights = class_weights(rows.target, len(self.classes(schema)), weights)
        weights = None if weights is None else weights.astype(np.float32)
        return Arrays(features_of(learner, rows), learned(learner, rows), weights)

    def recipe(self, schema: Schema, learner: Learner, examples: Examples) -> Recipe:
        """By the rules for so many rows."""
        chosen = learner.choice
        return Recipe(
            batch_size=chosen.batch_size,
            epochs=chosen.epochs,
            lr=chosen.lr,
            weight_decay=chosen.weight_decay,
            schedule=chosen.schedule,
        ).with_validations()

    def tried(
        self, schema: Schema, learner: Learner, split: Split[Any], trial: Callable[[], Any],
        recipe: Recipe, steps: int,
    ) -> Learner:  # fmt: skip
        """Without the logarithm of the target, if trials find that it does harm."""
        if not self._doubts_logarithm(learner):
            return learner
        train, validation = self.examples(schema, learner, split)
        if not isinstance(train, Arrays) or not isinstance(validation, Arrays):
            return learner  # larger than memory: by its skewness alone

        def compared() -> tuple[bool, str]:
            return logarithm_helps(
                learner, trial, train, validation, recipe, steps, self.minutes_left()
            )

        kept = self.checkpoints
        helps, told = compared() if kept is None else kept.decided("logarithm", compared)
        name, word = schema.targets[0].name, "is" if helps else "is not"
        self.note(f"the logarithm of {name!r} {word} learned: {told}")
        if helps:
            return learner
        self.logarithm = False
        try:
            return self.build(schema, split)
        finally:
            self.logarithm = None

    def _doubts_logarithm(self, learner: Learner) -> bool:
        """Only that of one number, learned by squared errors, which no earlier model settled."""
        head, *others = learner.model.heads
        usual = self.options.loss in (None, "mse") and not self.options.quantiles
        return (
            not others
            and isinstance(head, NumberHead)
            and bool(head.scale.log)
            and usual
            and self.previous is None
        )

    def listeners(self, learner: Learner, recipe: Recipe) -> Sequence[Callback]:
        """Where the user says nothing of the time, a training that gets worse ends."""
        options = self.options
        if options.epochs is not None or options.patience is not None:
            return ()
        return stop_when_worse(learner.monitor, recipe)

    def average(self, steps: int) -> float:
        """Always the same."""
        return _AVERAGE

    def settle(
        self, schema: Schema, learner: Learner, validation: Examples, trainer: Any, split: Any
    ) -> Schema:
        """Held-out rows say how linear the answer is; they correct means, quantiles, temperatures.

        They choose thresholds, too.
        """
        heads, options = learner.model.heads, self.options
        self.calibrated: dict[str, dict[str, Any]] = {}
        assert isinstance(validation, Arrays)
        for head in heads:
            if isinstance(head, ClassHead):  # that of an earlier model says nothing of this one
                head.temperature.assign(1.0)
        if self.solved_on is not None and not (
            self.previous is not None and self.previous.same_target(schema)
        ):  # what another model began is trained as a whole
            names = [target.name for target in schema.targets]
            choose_linear_share(learner, names, self.solved_on, validation, self.note)
        if not any(isinstance(head, ClassHead) or head.levels or head.scale.log for head in heads):
            return schema
        found = []
        for target, head, rows in zip(
            schema.targets, heads, held_out(learner, validation), strict=True
        ):
            if isinstance(head, NumberHead):
                if self.learns_mean:
                    correct_mean(head, target.name, rows, self.note)
                if head.levels:
                    correct_quantiles(head, target.name, rows, self.say)
            else:
                self.calibrated[target.name] = calibrate(head, rows)
                if options.threshold_for and len(target.classes) == 2:
                    target = with_threshold(target, head, rows, options.threshold_for, self.say)
            found.append(target)
        return schema.with_targets(found)

    def measure(
        self, schema: Schema, learner: Learner, trainer: Any, part: Any, predicted: Any
    ) -> dict[str, Any]:
        """What calibration and thresholds have changed on the test rows."""
        heads = learner.model.heads
        of_classes = [head for head in heads if isinstance(head, ClassHead)]
        if not of_classes:
            return {}
        chosen = [head.temperature.item() for head in of_classes]
        before = predicted
        if any(value != 1.0 for value in chosen):
            for head in of_classes:
                head.temperature.assign(1.0)
            self._predicted_with = None  # once more, as before
            before = self.predict(schema, learner, trainer, part)
            for head, value in zip(of_classes, chosen, strict=True):
                head.temperature.assign(value)
        rows = part.encoded(schema)
        return targets.measured(
            schema.targets, rows.target, before, predicted, rows.weights, self.calibrated
        )

    def precision(self, schema: Schema, part: Any) -> dict[str, int | None]:
        """Decimals of the targets that are numbers."""
        values = part.encoded(schema).target
        columns = values.reshape(len(values), -1).T
        return {
            target.name: decimals_of(column.astype(float))
            for target, column in zip(schema.targets, columns, strict=True)
            if not target.classes
        }

    def for_baselines(self, schema: Schema) -> Schema:
        """Without the network's own thresholds."""
        return targets.without_thresholds(schema)

    # ---- report ----------------------------------------------------------------------------------

    def classes(self, schema: Schema) -> tuple[str, ...]:
        """Names of the classes; empty for numbers, and for several targets."""
        return () if schema.target is None or schema.more_targets else schema.target.classes

    def about(self, schema: Schema) -> dict[str, Any]:
        """Classes or numbers."""
        return targets.about(schema.targets)

    def details(self, learner: Learner) -> dict[str, Any]:
        """What the network must be built from again."""
        sizes, model = dataclasses.asdict(learner.choice.shape), learner.model
        sizes["hidden"] = list(sizes["hidden"])
        return {"network": {**sizes, **described(model)}}

    def predict(self, schema: Schema, learner: Learner, trainer: Any, part: Any) -> Any:
        """Numbers, or probabilities of classes."""
        inputs = self.features(learner, part.encoded(schema))
        if self._predicted_with is not trainer and len(part) <= _FEW_TO_PREDICT:
            self._predicted_with = trainer
            return predict_once(learner, learner.output, inputs)
        return trainer.predict(inputs)

    def features(self, learner: Learner, rows: Encoded) -> dict[str, Array]:
        """What the network takes."""
        return features_of(learner, rows)

    def score(self, schema: Schema, part: Any, predicted: Any) -> dict[str, float]:
        """The metrics of the task."""
        rows = part.encoded(schema)
        return targets.scores(schema.targets, rows.target, predicted, rows.weights)

    def row_errors(self, schema: Schema, part: Any, predicted: Any) -> Array | None:
        """By the task of the table."""
        rows = part.encoded(schema)
        return targets.errors(schema.targets, rows.target, predicted, rows.weights)

    def more_tests(self, report: dict[str, Any]) -> str:
        """A cross-validation, if the table is not tested by one, or by rows of its own."""
        if self.options.cv or isinstance(self.options.test, str):
            return ""
        return "--cv 5 tests on all rows."

    def summarized(self, learner: Learner, example: Any) -> Any:
        """What the features give."""
        return learner.network.features(example)

    def baselines(self, schema: Schema, split: Split[Any], test: Any) -> dict[str, Array]:
        """A constant answer and a linear model of the rows of training and validation."""
        rows = self.seen(schema, split)
        assert rows.target is not None
        name, constant = targets.constants(schema.targets, rows.target, len(test), rows.weights)
        return {name: constant, "linear": linear_baseline(schema, rows, test.encoded(schema))}

    def seen(self, schema: Schema, split: Split[Any]) -> Encoded:
        """The encoded rows of training and validation."""
        rows: Encoded = split.train.table.encoded(schema)
        return rows

    # ---- pictures --------------------------------------------------------------------------------

    def profile(self, schema: Schema, split: Split[Any]) -> list[Section]:
        """Target and columns, in the training rows."""
        return inspection.profile(schema, split.train.encoded(schema), split.counts(self.unit))

    def answers(self, schema: Schema, part: Any, predicted: Any) -> list[Answers]:
        """Of each target the rows that have it."""
        return targets.answers(schema.targets, part.encoded(schema).target, predicted)

    def shown(
        self, picked: Sequence[tuple[Tested, int]], said: Sequence[tuple[str, str]]
    ) -> Sequence[Block]:
        """Their cells."""
        return [inspection.rows_as_they_are(picked, said)]

    def inside(self, tested: Tested) -> list[Section]:
        """Permutation importance and partial dependence."""
        return inspection.inside(self, tested)


def features_of(learner: Learner, rows: Encoded) -> dict[str, Array]:
    """What the network takes."""
    found = learner.network.features(columns_by_kind(rows))
    return {name: part.numpy() for name, part in found.items()}


def learned(learner: Learner, rows: Encoded) -> Array:
    """The target as it is learned."""
    assert rows.target is not None
    return targets.learned(learner.model.heads, rows.target)


def described(model: TableModel) -> dict[str, Any]:
    """What the heads must be built from again."""
    logs = [head.scale and head.scale.log for head in model.heads]
    if len(logs) == 1:
        return {"log_target": logs[0]}
    return {"log_target": logs, "loss_weights": list(model.loss_weights)}


def with_target(frame: pl.DataFrame, schema: Schema, name: str, say: Say) -> pl.DataFrame:
    """The rows that have a target."""
    known = known_targets(schema.read_target(frame, name))
    if not known.all():
        lost, targets = int((~known).sum()), schema.targets
        say(unusable(lost, targets[0].name) if len(targets) == 1 else without_target(lost))
        frame = frame.filter(known)
    return frame


def need_rows(count: int, where: str) -> None:
    """Refuse tables that are too small."""
    if count < _FEWEST:
        raise DataError(
            "There are too few rows to train and to evaluate.",
            where=where,
            expected=f"at least {_FEWEST} rows with a target",
            found=str(count),
        )


def explained(schema: Schema, group: str | None) -> Schema:
    """The schema, with the reason why the column of groups is left out."""
    reason = "it says which rows stay on one side of a split"
    dropped = [
        dataclasses.replace(each, reason=reason) if each.name == group else each
        for each in schema.dropped
    ]
    return dataclasses.replace(schema, dropped=tuple(dropped))


def _strata(data: Rows) -> Array | None:
    """The class of each row, to split in proportion; None for numbers."""
    return targets.strata(data.table.schema.targets, data.target)


def _member_folds(
    rows: int, members: int, seed: int, strata: Array | None, partition: Partition
) -> Array:
    """(rows, members): 1 where the row validates the member instead of training it.

    Every row validates one member, so all rows are used for both, and never for both in one member;
    several members share a part where there are fewer rows that differ than members.
    """
    held = np.zeros((rows, members))
    parts = partition.folds_at_most(rows, members, seed, strata)
    for member in range(members):
        held[parts[member % len(parts)][1], member] = 1.0
    return held
