"""Learning on from batch to batch: what is kept between the calls of `partial_fit`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Schema, Target
from ...tasks.kinds.table import TableOptions
from ...tasks.optimizer import highest_rate, make_optimizer, optimizer_again
from ...tasks.plan import Learner, Split
from ...tasks.result import TrainingResult
from ...tasks.runner import result_of
from ...tasks.tabular.plan import Rows, Table
from ...training import Arrays, Trainer
from ...utils.typing import Array
from .fitted import Fitted
from .plan import EstimatorPlan, Given

if TYPE_CHECKING:
    import polars as pl

#: The rate after a `fit`, as a fraction of its highest one; as in an update.
_RATE = 0.3


@dataclass(eq=False)
class Online:
    """A network that learns on from batch to batch, with its optimizer.

    Attributes:
        plan: of the estimator.
        schema: what the columns mean; the first batch, or a `fit` before, decides it.
        learner: the network.
        trainer: with the optimizer's state.
        batch_size: rows in a step.
    """

    plan: EstimatorPlan
    schema: Schema
    learner: Learner
    trainer: Trainer
    batch_size: int

    @property
    def targets(self) -> tuple[Target, ...]:
        """What is predicted."""
        return self.schema.targets

    def learn(self, frame: pl.DataFrame, weights: Array | None) -> Fitted:
        """One epoch over these rows; the model after it."""
        rows = Rows(Table(frame, self.schema, "X", self.plan.say))
        values = rows.target.reshape(len(rows), -1).T
        for head, column in zip(self.learner.model.heads, values, strict=True):
            if head.scale is not None:
                head.scale.widen(column)
        data = self.plan.encode(self.schema, self.learner, rows)
        if weights is not None:
            data = Arrays(data.inputs, data.target, weights.astype(np.float32))
        self.trainer.partial_fit(data, epochs=1, batch_size=min(self.batch_size, len(rows)))
        result = result_of(self.plan, self.schema, self.learner, data, self.trainer)
        return Fitted(_content(result))


def _content(result: TrainingResult) -> Callable[[], bytes]:
    return result.to_bytes


Options = Callable[[str, str | None], TableOptions]


def begin(
    given: Given, options: TableOptions, plan: EstimatorPlan, trainer: Mapping[str, Any]
) -> Online:
    """A new network for the columns of a first batch.

    Args:
        given: the batch.
        options: of the estimator.
        plan: of the estimator.
        trainer: further arguments of the `Trainer`.
    """
    rows = plan.read(given)
    split = Split(rows, rows, None)
    schema = plan.understand(split)
    learner = plan.build(schema, split)
    recipe = plan.recipe(schema, learner, plan.encode(schema, learner, rows))
    optimizer = make_optimizer(
        dataclasses.replace(options, schedule=None), learner.network, 1, lr=recipe.lr,
        weight_decay=recipe.weight_decay, schedule="constant",
    )  # fmt: skip
    optimizer.set_rate(options.lr or recipe.lr)
    return Online(plan, schema, learner, _trainer(plan, learner, optimizer, trainer),
                  recipe.batch_size)  # fmt: skip


def go_on(
    fitted: Fitted,
    plan: EstimatorPlan,
    state: tuple[Mapping[str, Array], int] | None,
    trainer: Mapping[str, Any],
) -> Online:
    """The network of a fitted estimator.

    Args:
        fitted: its model.
        plan: of the estimator.
        state: of the trainer, and rows in a step, if batches were learned before.
        trainer: further arguments of the `Trainer`.
    """
    previous = fitted.previous
    model, schema = previous.model(), previous.schema
    chosen = plan.defaults(int((previous.report.get("rows") or {}).get("train", 100)))
    chosen = dataclasses.replace(chosen, shape=previous.shape, folds=False)
    learner = plan.learner_of(schema, model, chosen)
    optimizer = optimizer_again(TableOptions, fitted.saved.record, learner.network)
    optimizer.set_rate(plan.options.lr or _RATE * highest_rate(fitted.saved.record))
    made = _trainer(plan, learner, optimizer, trainer)
    batch_size = chosen.batch_size
    if state is not None:  # with its rate
        arrays, batch_size = state
        made.load_state(arrays)
    return Online(plan, schema, learner, made, batch_size)


def _trainer(
    plan: EstimatorPlan, learner: Learner, optimizer: Any, more: Mapping[str, Any]
) -> Trainer:
    return Trainer(
        learner.network, learner.loss, optimizer, output=learner.output, seed=plan.options.seed,
        backend=plan.backend, **more,
    )  # fmt: skip


def rows_of(features: pl.DataFrame, targets: Mapping[Target, Sequence[Any]]) -> pl.DataFrame:
    """A batch as a table."""
    import polars as pl

    return features.with_columns([pl.Series(t.name, v) for t, v in targets.items()])
