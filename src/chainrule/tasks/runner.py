"""One training for every kind of data: a plan says what is special, the runner does the rest.

    read → split → schema → network → warm start → examples → trainer → fit → evaluate → report

A kind of task derives from `chainrule.tasks.plan.Plan` and fills in the steps that are its own;
`train` takes them in their order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np

from ..data import source_name
from ..errors import TrainingError
from ..training import Callback, Trainer, find_rate
from .fit import threads
from .optimizer import SCALED, make_optimizer
from .options import TrainingOptions
from .plan import D, Examples, Learner, P, Plan, Recipe, S, Split, inputs_of
from .result import TrainingResult


@dataclass(frozen=True, eq=False)
class Fitted(Generic[P, S]):
    """A network after its training, and what it was trained on."""

    split: Split[P]
    test: P | None
    schema: S
    learner: Learner
    train: Examples
    trainer: Trainer
    failure: TrainingError | None

    @property
    def complete(self) -> bool:
        """Neither interrupted nor failed."""
        return not self.trainer.history.interrupted and self.failure is None


def train(
    plan: Plan[D, P, S],
    source: Any,
    *,
    progress: bool = True,
    on_schema: Callable[[S], None] = lambda schema: None,
    callbacks: Iterable[Callback] = (),
) -> TrainingResult:
    """Train as a plan says, and report on data that was held out.

    Args:
        plan: of the kind of task, with the options.
        source: the data.
        progress: show the training.
        on_schema: takes what was understood of the data, before the training.
        callbacks: for the `Trainer`.

    Raises:
        DataError: the data cannot be read or learned from.
        ConfigError: an option does not fit.
        TrainingError: the loss became NaN or infinite in the first epoch; later, it is the
            ``failure`` of the result.
    """
    started = time.perf_counter()
    with threads(plan.options.threads):
        data = plan.read(source)
        fitted = fit(plan, plan.split(data), progress, on_schema, callbacks)
        result = report(plan, fitted)
    result.report["seconds"] = time.perf_counter() - started
    result.report["data"] = {"kind": plan.kind, "source": source_name(source), **plan.size(data)}
    return result


def fit(
    plan: Plan[D, P, S],
    split: Split[P],
    progress: bool = True,
    on_schema: Callable[[S], None] = lambda schema: None,
    callbacks: Iterable[Callback] = (),
) -> Fitted[P, S]:
    """Build a network for the training set and train it; what was reached is kept."""
    options = plan.options
    schema = plan.understand(split)
    on_schema(schema)
    test = split.test
    if test is None and isinstance(options.test, str):
        test = plan.read_test(schema)
    learner = plan.build(schema, split)
    plan.warm_start(schema, learner)
    data, validation = plan.examples(schema, learner, split)
    recipe = plan.recipe(schema, data)
    make = _trainers(options, learner, recipe, recipe.steps(data))
    rate = _rate(options, recipe, make, data)
    plan.say(_sentence(plan, learner, recipe, split, data, rate))
    trainer = make(
        rate, output=learner.output, average=recipe.average, metrics=learner.metrics,
        progress=progress, callbacks=callbacks,
    )  # fmt: skip
    failure = _fit(trainer, data, validation, recipe, options)
    return Fitted(split, test, schema, learner, data, trainer, failure)


def _trainers(
    options: TrainingOptions, learner: Learner, recipe: Recipe, steps: int
) -> Callable[..., Trainer]:
    def make(rate: float, **more: Any) -> Trainer:
        optimizer = make_optimizer(
            options, learner.network, steps, lr=rate, weight_decay=recipe.weight_decay,
            clip=recipe.clip, schedule=recipe.schedule,
        )  # fmt: skip
        return Trainer(
            learner.network, learner.loss, optimizer, seed=options.seed, backend=options.backend,
            **more,
        )  # fmt: skip

    return make


def _rate(
    options: TrainingOptions, recipe: Recipe, make: Callable[..., Trainer], data: Examples
) -> float:
    """The rate of the user, of the recipe, or, where no rule has one, from a trial."""
    if options.lr is not None:
        return options.lr
    if options.optimizer in SCALED:
        return recipe.lr
    return find_rate(make(1e-3, progress=False), data, batch_size=recipe.batch_size).suggestion


def _sentence(
    plan: Plan[D, P, S],
    learner: Learner,
    recipe: Recipe,
    split: Split[P],
    data: Examples,
    rate: float,
) -> str:
    """What is about to be done."""
    count = sum(p.size for p in learner.network.parameters().values())
    schedule = plan.options.schedule or recipe.schedule
    windows = f", {len(data):,} windows" if len(data) != len(split.train) else ""
    held_out = f"{len(split.validation):,} others choose the best weights"
    return (
        f"{learner.name}, {count:,} parameters; {len(split.train):,} {plan.unit}{windows} in "
        f"batches of {recipe.batch_size}, {recipe.epochs} epochs, rate {rate:.3g} ({schedule}); "
        f"{learner.note or held_out}"
    )


def _fit(
    trainer: Trainer, data: Examples, validation: Examples, recipe: Recipe, options: TrainingOptions
) -> TrainingError | None:
    """`Trainer.fit`; what ended the training after some epochs, whose best model is kept."""
    try:
        trainer.fit(
            data,
            validation=validation,
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            patience=options.patience,
            validate_every=recipe.validate_every,
        )
    except TrainingError as error:
        if trainer.history.best is None:
            raise
        return error
    return None


def report(plan: Plan[D, P, S], fitted: Fitted[P, S]) -> TrainingResult:
    """The result of a training, with the metrics of the test set beside those of baselines."""
    result = result_of(plan, fitted.schema, fitted.learner, fitted.train, fitted.trainer,
                       fitted.failure)  # fmt: skip
    tested = {} if fitted.test is None else scores(plan, fitted, fitted.test)
    rows = {"train": fitted.split.seen, "test": len(fitted.test or ())}
    result.report |= {"unit": plan.unit, "rows": rows, **tested}
    result.report |= plan.verdict(result.report)
    return result


def scores(plan: Plan[D, P, S], fitted: Fitted[P, S], test: P) -> dict[str, Any]:
    """The metrics of the network and of the baselines on a test set."""
    schema = fitted.schema
    predicted = plan.predict(schema, fitted.learner, fitted.trainer, test)
    baselines = plan.baselines(schema, fitted.split, test)
    return {
        "metrics": plan.score(schema, test, predicted),
        "baselines": {name: plan.score(schema, test, said) for name, said in baselines.items()},
    }


def result_of(
    plan: Plan[D, P, S],
    schema: S,
    learner: Learner,
    train: Examples,
    trainer: Trainer,
    failure: TrainingError | None = None,
) -> TrainingResult:
    """What is kept of a trained network, before anything is measured."""
    example = learner.example
    if example is None:
        example = _first_two(inputs_of(train))
    return TrainingResult(
        trainer,
        learner.model,
        example,
        schema,
        plan.options,
        plan.about(schema),
        failure,
        plan.classes(schema),
        trainer.output if learner.model is learner.network else None,
    )


def _first_two(inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return {name: array[:2] for name, array in inputs.items()}
    return np.asarray(inputs)[:2]
