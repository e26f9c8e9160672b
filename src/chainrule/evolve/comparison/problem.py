"""What all methods solve: one network, one loss, the same rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data import source_name
from ...engine.compile import Compiled
from ...engine.tensor import Tensor
from ...errors import ConfigError
from ...nn import Module
from ...tasks import KINDS, recognise
from ...tasks.kinds.table import TableOptions
from ...tasks.tabular.defaults import Defaults
from ...tasks.tabular.plan import TablePlan
from ...training import Arrays, Trainer
from ...utils.typing import Array
from ..fitness import zero_one
from ..vectors import Weights

#: Hidden units, where the user says nothing.
_HIDDEN = (16,)
OBJECTIVES = ("loss", "error")


@dataclass(frozen=True, eq=False)
class Problem:
    """One network to be trained, and what it is measured by.

    Attributes:
        name: of the data.
        task: "regression", or of classes.
        network: that all methods train.
        loss: of its output and the target; it has a derivative.
        objective: what the searches minimise, and all are measured by.
        train: rows to learn from.
        held_out: others.
        measured: what is measured, in words.
        batch_size: rows of a step of backpropagation.
        lr: its learning rate.
        final: metrics of the network on rows that were held out.
        constant: those of a constant answer, and of a linear model.
        notes: what was said of the data.
    """

    name: str
    task: str
    network: Module
    loss: Callable[..., Tensor]
    objective: Callable[..., Tensor]
    train: Arrays
    held_out: Arrays
    measured: str
    batch_size: int
    lr: float
    final: Callable[[], dict[str, float]]
    constant: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...] = ()

    def initialize(self, seed: int) -> None:
        """The same first weights for every method."""
        self.network.initialize(seed)

    @property
    def parameters(self) -> int:
        """Numbers to be found."""
        return sum(p.size for p in self.network.trainable_parameters().values())

    def measures(self) -> Callable[[Array], tuple[float, float]]:
        """What weights, as a vector, are worth on the training rows, and on those held out."""
        weights = Weights(self.network)

        def both(vector: Tensor, rows: Any, others: Any) -> tuple[Tensor, Tensor]:
            with weights.standing(vector):
                return _of(self, rows), _of(self, others)

        measured = Compiled(both, "numpy")
        parts = [(data.inputs, data.target, data.weights) for data in (self.train, self.held_out)]

        def measure(vector: Array) -> tuple[float, float]:
            found = measured(vector, *parts)
            return float(found[0].item()), float(found[1].item())

        return measure


def _of(problem: Problem, rows: Any) -> Tensor:
    return measured_by(problem.objective, problem.network, *rows)


def measured_by(
    objective: Callable[..., Tensor], network: Module, inputs: Any, target: Any, weights: Any
) -> Tensor:
    """An objective of rows, weighted if they have weights."""
    options = {} if weights is None else {"sample_weights": weights}
    return objective(network(inputs), target, **options)


class _ComparedPlan(TablePlan):
    """A table with one plain network: no members, pieces, linear path or dropout beside it."""

    def defaults(self, rows: int, numbers: int = 0) -> Defaults:
        chosen = super().defaults(rows, numbers)
        options = self.options
        shape = dataclasses.replace(
            chosen.shape, members=1, bins=0, ranks=False, linear=False, input_dropout=0.0,
            hidden=_HIDDEN if options.hidden is None else options.hidden,
            activation=options.activation or "tanh", dropout=options.dropout or 0.0,
        )  # fmt: skip
        return dataclasses.replace(chosen, shape=shape, folds=False)

    def suited(self, schema: Any, split: Any, chosen: Defaults) -> Defaults:
        return chosen


def problem_of(source: Any, objective: str = "loss", **options: Any) -> Problem:
    """A table as a problem.

    Args:
        source: of the table.
        objective: "loss", or "error": the fraction of rows in the wrong class.
        options: of the table and its network; see `chainrule.tables.TableOptions`.

    Raises:
        ConfigError: an option does not fit.
        DataError: the table cannot be read or learned from.
    """
    if objective not in OBJECTIVES:
        raise ConfigError(f"Unknown objective {objective!r}.", expected=", ".join(OBJECTIVES))
    if options.get("target") is None:
        raise ConfigError("Which column is to be predicted?", where=source_name(source),
                          expected="a target, the name of a column")  # fmt: skip
    kind = recognise(source, options.get("target"), options)
    if kind != "table":
        raise ConfigError(
            "Methods are compared on tables.", expected="a table with a column to predict",
            found=f"{source_name(source)}: {KINDS[kind].noun}",
        )  # fmt: skip
    notes: list[str] = []
    plan = _ComparedPlan(TableOptions(**options), notes.append)
    data = plan.read(source)
    split = plan.split(data)
    schema = plan.understand(split)
    split = plan.check(schema, split)
    test = plan.read_test(schema) if split.test is None else split.test
    learner = plan.build(schema, split)
    train = plan.encode(schema, learner, split.train)
    assert isinstance(train, Arrays)
    held_out = plan.encode(schema, learner, test)
    assert isinstance(held_out, Arrays)
    task = plan.about(schema)["task"]
    if objective == "error" and task == "regression":
        raise ConfigError("Only classes can be wrong.", expected="objective loss",
                          found="objective error, and a target of numbers")  # fmt: skip

    loss, predicted = learner.loss, learner.output
    assert callable(loss)
    assert predicted is not None

    def wrong(output: Tensor, target: Tensor, sample_weights: Any = None) -> Tensor:
        return zero_one(predicted(output), target)

    def final() -> dict[str, float]:
        trainer = Trainer(
            learner.network, learner.loss, output=learner.output, progress=False, backend="numpy"
        )
        return plan.score(schema, test, plan.predict(schema, learner, trainer, test))

    recipe = plan.recipe(schema, learner, train)
    constant = {
        name: plan.score(schema, test, said)
        for name, said in plan.baselines(schema, split, test).items()
    }
    return Problem(
        source_name(source), task, learner.network, loss,
        loss if objective == "loss" else wrong, train, held_out,
        "loss" if objective == "loss" else "error rate", min(recipe.batch_size, len(train)),
        recipe.lr if plan.options.lr is None else plan.options.lr, final, constant,
        tuple(notes),
    )  # fmt: skip


def vector_of(network: Module) -> Array:
    """The weights as one vector."""
    return np.array(Weights(network).start)
