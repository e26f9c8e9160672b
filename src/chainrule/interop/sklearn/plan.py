"""The plan of a table, for rows that come from Python: nothing is guessed of the target."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Column, Schema, Target, infer_schema
from ...engine.ops import reshape
from ...engine.tensor import Tensor, as_tensor
from ...errors import ShapeError
from ...losses.common import reduce
from ...metrics import Metric, measure
from ...tasks.kinds.table import TableOptions
from ...tasks.members import for_each_member
from ...tasks.plan import Examples, Learner, Split
from ...tasks.tabular.defaults import Defaults
from ...tasks.tabular.heads import ClassHead, Head
from ...tasks.tabular.network import TableModel
from ...tasks.tabular.plan import Rows, Table, TablePlan
from ...tasks.tabular.targets import with_quantiles
from ...tasks.tabular.warm_start import Previous
from ...utils.typing import Array

if TYPE_CHECKING:
    import polars as pl

#: Messages call the data so.
WHERE = "X"


@dataclass(frozen=True, eq=False)
class Given:
    """What the `fit` of an estimator was given.

    Attributes:
        frame: features, targets and weights.
        targets: what is predicted.
        plain: all features are numbers of an array.
        weight: the column of the weights.
        validation: rows that choose the best weights, with the same columns.
    """

    frame: pl.DataFrame
    targets: tuple[Target, ...]
    plain: bool
    weight: str | None = None
    validation: pl.DataFrame | None = None
    name: str = WHERE


class EstimatorPlan(TablePlan):
    """Rows of a table without a test set: who fits an estimator has one.

    Args:
        options: as for any table.
        say: takes plain sentences about what is done and why.
        loss: of each row, in place of one with a name.
        metric: on the validation set, by which the best weights are chosen, in place of the loss.
        previous: the model to start from.
    """

    def __init__(
        self,
        options: TableOptions,
        say: Callable[[str], None],
        *,
        loss: Callable[..., Any] | None = None,
        metric: Metric | None = None,
        previous: Previous | None = None,
    ) -> None:
        super().__init__(options, say)
        self.loss, self.metric = loss, metric
        self.__dict__["previous"] = previous
        self._validation: Rows | None = None

    @property
    def learns_mean(self) -> bool:
        """As without a loss of the user's."""
        return self.loss is None and super().learns_mean

    def read(self, source: Given) -> Rows:
        """The rows, and what their columns mean."""
        schema = with_quantiles(_schema(source, self.options), self.options.quantiles)
        if source.validation is not None:
            self._validation = Rows(Table(source.validation, schema, "X_val", self.say))
        return self.rows_of(source.frame, schema, WHERE)

    def warned(self, *about: Any) -> list[str]:
        """Nothing: whoever fits an estimator splits the data."""
        return []

    def split(self, data: Any) -> Split[Any]:
        """All rows are learned from, beside those that the user holds out."""
        if self._validation is not None:
            return Split(data, self._validation, None)
        return self.learned(data, None)

    def defaults(self, rows: int, numbers: int = 0) -> Defaults:
        """Those of any table; with rows of the user's to validate none is held out besides."""
        chosen = super().defaults(rows, numbers)
        if self.loss is not None:
            shape = dataclasses.replace(chosen.shape, linear=False)
            chosen = dataclasses.replace(chosen, shape=shape)
        own = self._validation is not None or self.metric is not None
        return dataclasses.replace(chosen, folds=chosen.folds and not own)

    def examples(
        self, schema: Schema, learner: Learner, split: Split[Any]
    ) -> tuple[Examples, Examples]:
        """Training and validation set, which may be tables of their own."""
        if self._validation is None:
            return super().examples(schema, learner, split)
        train = self.encode(schema, learner, split.train)
        self.solved_on = train
        return train, self.encode(schema, learner, split.validation)

    def learner_of(self, schema: Schema, model: TableModel, chosen: Defaults) -> Learner:
        """With the user's own loss and metric."""
        learner = super().learner_of(schema, model, chosen)
        if self.loss is not None:
            of_classes = bool(schema.targets[0].classes)
            learner = dataclasses.replace(learner, loss=row_loss(self.loss, of_classes))
        if self.metric is not None:
            metric = _in_own_unit(self.metric, model.heads)
            learner = dataclasses.replace(learner, metrics={"metric": metric}, monitor="val_metric")
        return learner


def _schema(given: Given, options: TableOptions) -> Schema:
    """What the columns mean; the targets are known."""
    names = [target.name for target in given.targets]
    weight = given.weight
    if given.plain:
        others = {*names, weight}
        columns = tuple(
            Column(name, "numeric", "numbers of an array")
            for name in given.frame.columns
            if name not in others
        )
        schema = Schema(columns)
    else:
        schema = infer_schema(
            coded(given), names, kinds=options.kinds, missing=options.missing, source=WHERE,
            drop=None if weight is None else [weight],
        )  # fmt: skip
    if weight is not None:
        dropped = tuple(each for each in schema.dropped if each.name != weight)
        column = Column(weight, "numeric", "sample weights")
        schema = dataclasses.replace(schema, weight=column, dropped=dropped)
    return schema.with_targets(given.targets)


def coded(given: Given) -> pl.DataFrame:
    """The table with names of classes that can mean nothing else."""
    import polars as pl

    codes = [
        pl.col(target.name).replace_strict(
            {name: f"class {i}" for i, name in enumerate(target.classes)}
        )
        for target in given.targets
        if target.classes
    ]
    return given.frame.with_columns(codes)


# ---- losses and metrics of the user's ------------------------------------------------------------


def row_loss(loss: Callable[..., Any], of_classes: bool) -> Callable[..., Tensor]:
    """A loss over all members of a network, of a function that gives one number for each row.

    Args:
        loss: ``(prediction, target) -> (rows,)``.
        of_classes: predictions are logits (rows, classes) and targets class indices; otherwise
            both are (rows,) numbers.
    """

    def of_members(
        z: Tensor,
        target: Tensor,
        sample_weights: Tensor | None = None,
        reduction: str = "mean",
    ) -> Tensor:
        members, rows, outputs = z.shape
        flat = reshape(z, (members * rows, outputs) if of_classes else (members * rows,))
        known, weights = for_each_member(members, target, sample_weights)
        found = as_tensor(loss(flat, known))
        if found.shape != (members * rows,):
            raise ShapeError(
                "A loss of one's own gives one number for each row.",
                where=getattr(loss, "__name__", "loss"),
                expected=f"the shape {(members * rows,)}",
                found=str(found.type),
                hint="Leave out the mean: it is taken with the weights of the rows.",
            )
        return reduce(found, reduction, weights)

    of_members.__name__ = getattr(loss, "__name__", "loss")
    return of_members


def _in_own_unit(metric: Metric, heads: Sequence[Head]) -> Metric:
    """The metric of targets as they are learned: numbers are scaled."""
    (head,) = heads
    if isinstance(head, ClassHead):
        return metric

    def measured(target: Array, prediction: Array, sample_weights: Any = None) -> float:
        y = target.astype(np.float64) * head.scale.std.item() + head.scale.mean.item()
        y = np.exp(y) if head.scale.log else y
        numbers = prediction[:, 0] if prediction.ndim > 1 else prediction
        return measure(metric, y, numbers, sample_weights)

    return Metric(measured, metric.higher_is_better, "values")
