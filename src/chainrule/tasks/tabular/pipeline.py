"""One network on a table: its rows, its training, and what it must beat."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Encoded, Schema, k_folds, split_indices
from ...engine.ops import broadcast_to, reshape, transpose
from ...engine.tensor import Tensor
from ...errors import TrainingError
from ...losses import LOSSES, check_task
from ...training import Arrays, Callback, History, Stream, Trainer, find_rate
from ...utils.typing import Array
from .. import fit
from ..evaluation import class_weights, constant_prediction, evaluate
from ..result import TrainingResult
from ..scaling import TargetScaler
from ..warm_start import begin, named_model
from .baselines import linear_baseline
from .defaults import Recipe, choose, make_optimizer
from .features import columns_by_kind
from .network import TableModel, TableNetwork
from .options import TableOptions
from .warm_start import Previous

if TYPE_CHECKING:
    import polars as pl


Say = Callable[[str], None]

#: How often the weights are judged in a training, where it has enough epochs.
_VALIDATIONS = 40
LOSS_OF = {"regression": "mse", "binary": "cross_entropy", "multiclass": "cross_entropy"}


@dataclass(frozen=True)
class Job:
    """What stays the same for all folds."""

    options: TableOptions
    schema: Schema
    source: str
    progress: bool
    say: Say
    callbacks: tuple[Callback, ...]

    @property
    def task(self) -> str:
        """Regression, binary or multiclass."""
        assert self.schema.target is not None
        return self.schema.target.task

    @property
    def classes(self) -> int:
        """How many classes there are; 0 for numbers."""
        assert self.schema.target is not None
        return len(self.schema.target.classes)

    def strata(self, frame: pl.DataFrame) -> Array | None:
        """The class of each row, to split in proportion; None for numbers."""
        return self.schema.read_target(frame, self.source) if self.classes else None


# ---- one model -----------------------------------------------------------------------------------


class Fitted:
    """A trained model with all that belongs to it.

    Args:
        schema: with the statistics of the training rows.
        recipe: how it was trained.
        model: raw encoded rows → predictions.
        trainer: after the training.
        rows: those of the training.
        failure: what ended the training.
    """

    def __init__(
        self,
        schema: Schema,
        recipe: Recipe,
        model: TableModel,
        trainer: Trainer,
        rows: Encoded,
        failure: TrainingError | None,
    ) -> None:
        self.schema = schema
        self.recipe = recipe
        self.model = model
        self.trainer = trainer
        self.history: History = trainer.history
        self.rows = rows
        self.failure = failure

    @property
    def complete(self) -> bool:
        """Was neither interrupted nor failed?"""
        return not self.history.interrupted and self.failure is None

    def predict(self, rows: Encoded) -> Array:
        """Numbers, or probabilities of classes."""
        return self.trainer.predict(given(self.model.network, rows))


def fit_rows(job: Job, frame: pl.DataFrame) -> Fitted:
    """Train on these rows, some of which decide when the weights are the best."""
    recipe, previous = plan(job, frame.height)
    schema, rows, kept, judges = _rows(job, frame, recipe, previous)
    assert rows.target is not None
    model = make_model(job, recipe, previous, schema, rows.target[kept])
    target = rows.target if model.scale is None else model.scale.transform(rows.target)
    train, validation = examples(job, model.network, rows, target, kept, judges)
    trainer, failure = learn(job, recipe, model, train, validation)
    return Fitted(schema, recipe, model, trainer, rows, failure)


def plan(job: Job, rows: int) -> tuple[Recipe, Previous | None]:
    """How to train on so many rows, and the model to begin with."""
    recipe = choose(job.options, rows)
    previous = _previous(job.options)
    if previous is not None:
        shape = previous.shape_for(recipe.shape, job.options)
        recipe = dataclasses.replace(recipe, shape=shape, folds=recipe.folds and shape.members > 1)
    return recipe, previous


def make_model(
    job: Job, recipe: Recipe, previous: Previous | None, schema: Schema, target: Array
) -> TableModel:
    """The model before its training; the scale of a regression's target is that of these rows."""
    scale = None if job.classes else _scale(previous, schema, target)
    network = TableNetwork(schema, job.classes or 1, recipe.shape, job.options.seed)
    model = TableModel(network, scale)
    if previous is not None:
        _begin(job, previous, model, schema)
    return model


def learn(
    job: Job, recipe: Recipe, model: TableModel, train: Arrays | Stream, validation: Arrays
) -> tuple[Trainer, TrainingError | None]:
    """Train; what ended the training after some epochs, if something did."""
    trainer = _trainer(job, recipe, model, train, validation)
    failure = fit.fit(
        trainer,
        train,
        validation=validation,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        patience=job.options.patience,
        validate_every=max(recipe.epochs // _VALIDATIONS, 1),
    )
    return trainer, failure


def _previous(options: TableOptions) -> Previous | None:
    saved = named_model(options)
    return None if saved is None else Previous(saved, str(options.from_model))


def _scale(previous: Previous | None, schema: Schema, target: Array) -> TargetScaler:
    """The scale of a target: the one that the model to begin with has for it, or a new one."""
    scale = previous.scale() if previous is not None and previous.same_target(schema) else None
    if scale is None:
        return TargetScaler().fit(target)
    scale.widen(target)
    return scale


def _begin(job: Job, previous: Previous, model: TableModel, schema: Schema) -> None:
    """The weights of another model for the features that both have."""
    assert schema.target is not None
    state = previous.aligned(model, schema)
    if model.scale is not None:  # `_scale` has seen to it
        state |= {f"scale.{path}": array for path, array in model.scale.state().items()}
    begin(
        model,
        job.options,
        classes=schema.target.classes,
        say=job.say,
        state=state,
        skip=() if previous.same_target(schema) else ("head",),
    )


def _rows(
    job: Job, frame: pl.DataFrame, recipe: Recipe, previous: Previous | None
) -> tuple[Schema, Encoded, Array, Array]:
    """The encoded rows; which of them train, and which judge.

    With folds all rows train, and a matrix says which members each row judges instead.
    """
    strata = job.strata(frame)
    if recipe.folds:
        kept = np.arange(frame.height)
        judges = _member_folds(frame.height, recipe.shape.members, job.options.seed, strata)
    else:
        parts = (1 - recipe.held_out, recipe.held_out)
        kept, judges = split_indices(frame.height, parts, job.options.seed + 1, stratify=strata)
    schema = job.schema.fit(frame[kept], source=job.source)
    schema = adopted(job, schema, previous)
    rows = schema.encode(frame, target=True, source=job.source)
    for note in rows.notes:
        job.say(note)
    return schema, rows, kept, judges


def adopted(job: Job, schema: Schema, previous: Previous | None) -> Schema:
    """With the statistics of the model to begin with, if there is one."""
    if previous is None:
        return schema
    schema, shared = previous.adopt(schema)
    columns = ", ".join(shared) or "none"
    job.say(f"columns that the model to begin with has, too, keep its statistics: {columns}")
    return schema


def given(network: TableNetwork, rows: Encoded) -> dict[str, Array]:
    """What the network takes: nothing in its features is learned, so they are computed once."""
    return {name: part.numpy() for name, part in network.features(columns_by_kind(rows)).items()}


def examples(
    job: Job, network: TableNetwork, rows: Encoded, target: Array, kept: Array, judges: Array
) -> tuple[Arrays, Arrays]:
    """Training and validation examples, with their weights."""
    assert rows.target is not None
    inputs = given(network, rows)
    importance = class_weights(rows.target, job.classes) if job.options.balance else None
    if judges.ndim == 2:  # folds
        weigh = np.ones((len(rows), 1)) if importance is None else importance[:, None]
        return (
            Arrays(inputs, target, _float32((1 - judges) * weigh)),
            Arrays(inputs, target, _float32(judges * weigh)),
        )
    data = Arrays(inputs, target, None if importance is None else _float32(importance))
    return data.take(kept), data.take(judges)


def _trainer(
    job: Job, recipe: Recipe, model: TableModel, train: Arrays | Stream, validation: Arrays
) -> Trainer:
    """The trainer of a network, with a learning rate from the rules or from a trial."""
    options, network = job.options, model.network
    loss = member_loss(options.loss or LOSS_OF[job.task], job)

    def trainer(rate: float, **extra: Any) -> Trainer:
        optimizer = make_optimizer(options, recipe, network, len(train), rate)
        return Trainer(
            network, loss, optimizer, seed=options.seed, backend=options.backend, **extra
        )

    rate = recipe.lr
    if rate is None:
        trial = trainer(1e-3, progress=False)
        rate = find_rate(trial, train, batch_size=recipe.batch_size).suggestion
    job.say(_plan(recipe, network, train, validation, rate))
    return trainer(
        rate,
        output=model.output,
        average=recipe.average,
        progress=job.progress,
        callbacks=job.callbacks,
    )


def _float32(x: Array) -> Array:
    return x.astype(np.float32)


def _member_folds(rows: int, members: int, seed: int, strata: Array | None) -> Array:
    """(rows, members): 1 where the row does not train the member but judges it.

    Every row judges one member, so all rows are used for both, and never for both in one member.
    """
    held = np.zeros((rows, members))
    for member, (_, judged) in enumerate(k_folds(rows, members, seed, stratify=strata)):
        held[judged, member] = 1.0
    return held


def member_loss(name: str, job: Job) -> Callable[..., Tensor]:
    """A loss over all members: each is trained as if it were alone."""
    # The network gives a logit for each class, also for each of two.
    check_task(name, *(("multiclass", "logits") if job.classes else ("regression", "values")))
    loss = LOSSES[name]

    def of_members(z: Tensor, target: Tensor, sample_weights: Tensor | None = None) -> Tensor:
        members, rows, outputs = z.shape
        flat = reshape(z, (members * rows, outputs) if job.classes else (members * rows,))
        if sample_weights is None:
            return loss(flat, _for_each_member(target, members))
        by_member = transpose(sample_weights) if sample_weights.ndim == 2 else sample_weights
        weights = _for_each_member(by_member, members)
        return loss(flat, _for_each_member(target, members), sample_weights=weights)

    return of_members


def _for_each_member(x: Tensor, members: int) -> Tensor:
    """(rows,) or (members, rows) → (members · rows,)."""
    return reshape(broadcast_to(x, (members, x.shape[-1])), (members * x.shape[-1],))


def _plan(
    recipe: Recipe,
    network: TableNetwork,
    train: Arrays | Stream,
    validation: Arrays,
    rate: float,
) -> str:
    shape = recipe.shape
    count = sum(p.size for p in network.parameters().values())
    widths = "-".join(map(str, shape.hidden)) or "none"
    networks = f"{shape.members} networks" if shape.members > 1 else "a network"
    judged = f"{len(validation):,} others choose the best weights"
    if recipe.folds:
        judged = "each row is held out from one of them to choose its best weights"
    return (
        f"{networks} with hidden layers {widths} ({shape.activation}), {count:,} parameters; "
        f"{len(train):,} rows in batches of {recipe.batch_size}, {recipe.epochs} epochs, "
        f"rate {rate:.3g} ({recipe.schedule}); {judged}"
    )


# ---- the report ----------------------------------------------------------------------------------


def baseline_scores(job: Job, fitted: Fitted, test: Encoded) -> dict[str, dict[str, float]]:
    """The metrics of a constant answer and of a linear model."""
    assert fitted.rows.target is not None
    name, constant = constant_prediction(fitted.rows.target, len(test), job.classes)
    linear = linear_baseline(fitted.schema, fitted.rows, test, job.classes)
    return {
        name: evaluate(job.task, test.target, constant),
        "linear": evaluate(job.task, test.target, linear),
    }


def _sizes(fitted: Fitted) -> dict[str, Any]:
    """What the network must be built from again, as JSON data."""
    scale = fitted.model.scale
    sizes = dataclasses.asdict(fitted.recipe.shape)
    return {**sizes, "hidden": list(sizes["hidden"]), "log_target": scale and scale.log}


def _raw_rows(fitted: Fitted) -> dict[str, Array]:
    """Two rows of what the model takes."""
    kinds = {
        "numeric": np.zeros((2, len(fitted.schema.numeric))),
        "category": np.zeros((2, len(fitted.schema.category)), dtype=np.int64),
        "date": np.zeros((2, len(fitted.schema.date))),
    }
    return {kind: kinds[kind] for kind in fitted.model.network.features.kinds}


class TableResult(TrainingResult):
    """A trained model and what is known of it.

    Attributes:
        schema: what the columns mean.
        history: of the training.
        report: task, rows, metrics on the test part beside those of the baselines, time; JSON data.
        failure: what ended the training after some epochs; the model is the best one of them.
    """

    def __init__(self, fitted: Fitted, job: Job) -> None:
        self._fitted = fitted
        self.schema = fitted.schema
        assert self.schema.target is not None
        report = {
            "task": job.task,
            "target": job.options.target,
            "rows": {"train": len(fitted.rows), "test": 0},
            "metrics": {},
            "baselines": {},
            "network": _sizes(fitted),
        }
        super().__init__(fitted.trainer, fitted.model, _raw_rows(fitted), self.schema,
                         job.options, report, fitted.failure,
                         self.schema.target.classes)  # fmt: skip

    def summary(self) -> str:
        """The layers of the network behind the preprocessing."""
        network = self._fitted.model.network
        return str(network.summary(network.features(self._example)))
