"""One training for every kind of data: a plan says what is special, the runner does the rest.

    read → split → schema → network → warm start → examples → trainer → fit → evaluate → report

A kind of task derives from `chainrule.tasks.plan.Plan` and fills in the steps that are its own;
`train` takes them in their order.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np

from ..data import source_name
from ..data.source import with_reading
from ..engine.backends.registry import get_ready
from ..errors import TrainingError
from ..training import Callback, Checkpoints, Stream, Trainer, Training, find_rate
from ..training.checkpoints import seconds_spent
from ..utils.typing import Array
from .examination import could_not, examine
from .members import joined_state, mean_by_row
from .optimizer import SCALED, make_optimizer
from .options import TrainingOptions
from .plan import D, Examples, Learner, P, Plan, Recipe, S, Split
from .result import TrainingResult
from .run_callback import RunCallback
from .tested import Tested
from .verdict import compare, compare_targets

#: The part of the minutes that is kept for what comes after the training: held-out rows, baselines.
_AFTERWARDS = 0.1


@dataclass(frozen=True)
class Scores:
    """What was measured on a test set.

    Attributes:
        tested: the network and the test set, to be looked at.
        metrics: of the network.
        baselines: those of each baseline.
        errors: of the network on each row, if there are such.
        rivals: those of the baselines.
        more: what else was measured, as nested numbers by name.
    """

    tested: Tested
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    errors: Array | None
    rivals: dict[str, Array | None]
    more: dict[str, Any]


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
    rate: float

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
    checkpoints: Checkpoints | None = None,
) -> TrainingResult:
    """Train as a plan says, and report on data that was held out.

    Args:
        plan: of the kind of task, with the options.
        source: the data.
        progress: show the training.
        on_schema: takes what was understood of the data, before the training.
        callbacks: for the `Trainer`.
        checkpoints: where the state of the training is written, so that it can go on; those of
            its first network are in the folder ``fit-1`` and so on.

    Raises:
        DataError: the data cannot be read or learned from.
        ConfigError: an option does not fit, or data or options are not those of the checkpoints.
        TrainingError: the loss became NaN or infinite in the first epoch; later, it is the
            ``failure`` of the result.
    """
    started = time.perf_counter()
    plan.checkpoints = checkpoints
    source = with_reading(source, plan.options.reading)
    if plan.options.minutes is not None:
        given = 60 * plan.options.minutes * (1 - _AFTERWARDS)
        plan.until = started + given - _spent(checkpoints)
    get_ready(plan.backend)
    data = plan.read(source)
    if folds := plan.fold_count(data):
        splits = plan.folds(data, folds)
        result = _cross_validated(plan, splits, progress, on_schema, callbacks)
    else:
        fitted = fit(plan, plan.split(data), progress, on_schema, callbacks)
        found = [] if fitted.test is None else [scores(plan, fitted)]
        result = report(plan, fitted, _tested(found) if found else {}, found)
    result.report["seconds"] = time.perf_counter() - started
    result.report["data"] = {"kind": plan.kind, "source": source_name(source), **plan.size(data)}
    return result


def _spent(checkpoints: Checkpoints | None) -> float:
    """The seconds that a training that goes on has learned before."""
    if checkpoints is None or not checkpoints.resume:
        return 0.0
    return seconds_spent(checkpoints.folder)


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
    split = plan.check(schema, split)
    _tell_profile(plan, schema, split, callbacks)
    test = split.test
    if test is None and isinstance(options.test, str):
        test = plan.read_test(schema)
    learner = plan.build(schema, split)
    plan.warm_start(schema, learner)
    data, validation = plan.examples(schema, learner, split)
    recipe = plan.recipe(schema, learner, data)
    steps = recipe.steps(data)
    make = _trainers(plan, learner, recipe, steps)
    rate = _rate(options, recipe, make, data)
    average = plan.average(steps)
    trial = _Trials(make, rate, output=learner.output, average=average)
    if (revised := plan.tried(schema, learner, split, trial, recipe, steps)) is not learner:
        learner = revised
        make = _trainers(plan, learner, recipe, steps)
        data, validation = plan.examples(schema, learner, split)
    plan.say(_sentence(plan, learner, recipe, split, data, rate))
    trainer = trial.as_new(learner) or make(
        rate, output=learner.output, average=average, metrics=learner.metrics
    )
    trainer.progress = progress
    trainer.callbacks = [*callbacks, *plan.listeners(learner, recipe)]
    if test is not None and any(isinstance(each, RunCallback) for each in callbacks):
        trainer.rows_to_predict = len(test)  # for the page of the run
    failure = _fit(trainer, learner, data, validation, recipe, plan)
    schema = plan.settle(schema, learner, validation, trainer, split)
    return Fitted(split, test, schema, learner, data, trainer, failure, rate)


def _tell_profile(
    plan: Plan[D, P, S], schema: S, split: Split[P], callbacks: Iterable[Callback]
) -> None:
    """Show the data to those who listen; a picture that fails ends no training."""
    listeners = [each for each in callbacks if isinstance(each, RunCallback)]
    if not listeners:
        return
    try:
        sections = plan.profile(schema, split)
    except Exception as error:
        sections = could_not("data", "The data", error)
    for listener in listeners:
        listener.on_profile(sections)


def _trainers(
    plan: Plan[D, P, S], learner: Learner, recipe: Recipe, steps: int
) -> Callable[..., Trainer]:
    options = plan.options

    def make(rate: float, **more: Any) -> Trainer:
        optimizer = make_optimizer(
            options, learner.network, steps, lr=rate, weight_decay=recipe.weight_decay,
            l2=recipe.l2, clip=recipe.clip, schedule=recipe.schedule,
        )  # fmt: skip
        return Trainer(
            learner.network, learner.loss, optimizer, seed=options.seed, backend=plan.backend,
            **more,
        )  # fmt: skip

    return make


class _Trials:
    """Makes trainers for trials; the programs of one that is as new again serve the training."""

    def __init__(self, make: Callable[..., Trainer], rate: float, **more: Any) -> None:
        self._make = functools.partial(make, rate, progress=False, callbacks=[_Trial()], **more)
        self._last: Trainer | None = None

    def __call__(self) -> Trainer:
        self._last = self._make()
        return self._last

    def as_new(self, learner: Learner) -> Trainer | None:
        """The last one, if it is of this network, and nothing is left of its trial."""
        last = self._last
        own = last is not None and last.model is learner.network and not last.epoch
        return last if own and not learner.metrics else None


class _Trial(Callback):
    """Who interrupts a trial wants all to end, not what the trial has reached."""

    def on_end(self, trainer: Training) -> None:
        """Go on with the interruption, which a fit takes as its own end."""
        if trainer.history.interrupted:
            raise KeyboardInterrupt


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
    trainer: Trainer,
    learner: Learner,
    data: Examples,
    validation: Examples,
    recipe: Recipe,
    plan: Plan[D, P, S],
) -> TrainingError | None:
    """`Trainer.fit`; what ended the training after some epochs, whose best model is kept."""
    try:
        trainer.fit(
            data,
            validation=validation,
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            patience=plan.options.patience,
            monitor=learner.monitor,
            validate_every=recipe.validate_every,
            checkpoints=None if plan.checkpoints is None else plan.checkpoints.next_part(),
            minutes=plan.minutes_left(),
        )
    except TrainingError as error:
        if trainer.history.best is None:
            raise
        return error
    return None


def _cross_validated(
    plan: Plan[D, P, S],
    splits: list[Split[P]],
    progress: bool,
    on_schema: Callable[[S], None],
    callbacks: Iterable[Callback],
) -> TrainingResult:
    """The mean metrics of all folds, with a model of all data.

    It is learned from all of them, where the last split tests nothing; otherwise it is the mean of
    the networks of the folds.
    """
    found: list[Scores] = []
    fits: list[Fitted[P, S]] = []
    end, say, notes = plan.until, plan.say, list(plan.notes)
    averaged = splits[-1].test is not None
    told = notes
    for number, split in enumerate(splits, 1):
        if end is not None:  # each has an equal part of the time that is left
            now = time.perf_counter()
            plan.until = now + max(end - now, 0) / (len(splits) - number + 1)
        say("all data, for the model that is kept" if split.test is None else
            f"fold {number} of {len(splits) - (not averaged)}")  # fmt: skip
        # What is said of a network is said of the one that is kept, or of the first of these.
        speaks = number == (1 if averaged else len(splits))
        plan.say, plan.notes = (say if speaks else _nothing), list(notes)
        fitted = fit(plan, split, progress, on_schema, callbacks)
        on_schema = lambda schema: None  # noqa: E731 - it is told once
        told = plan.notes if speaks or not averaged else told
        if split.test is not None:
            found.append(scores(plan, fitted))
        if fitted.complete or not fits:
            fits.append(fitted)
        if not fitted.complete:
            break
    interrupted = fitted.trainer.history.interrupted
    plan.say, plan.notes = say, told
    if averaged:
        fitted = _averaged(plan, fits, fitted.failure)
        fitted.trainer.history.interrupted = interrupted
    found = _together(plan, found)
    tested = _tested(found) | {
        "cv": {"folds": len(found), "metrics": [fold.metrics for fold in found]}
    }
    result = report(plan, fitted, tested, found)
    result.report["rows"]["test"] = 0
    return result


def _averaged(
    plan: Plan[D, P, S], fits: list[Fitted[P, S]], failure: TrainingError | None
) -> Fitted[P, S]:
    """The networks of several folds as one model, which can be trained on."""
    last = fits[-1]
    split, learner = plan.averaged(last.schema, [each.learner for each in fits])
    data = plan.encode_training(last.schema, learner, split.train)
    recipe = plan.recipe(last.schema, learner, data)
    steps = recipe.steps(data)
    trainer = _trainers(plan, learner, recipe, steps)(
        last.rate, output=learner.output, average=plan.average(steps), progress=False
    )
    states = [each.trainer.state() for each in fits]
    trainer.go_on_from(last.trainer, joined_state(states, last.learner.network.variables()))
    return Fitted(split, None, last.schema, learner, data, trainer, failure, last.rate)


def _together(plan: Plan[D, P, S], found: list[Scores]) -> list[Scores]:
    """Scores in which each example is tested once: by the mean of all networks that tested it."""
    parts: list[tuple[Array, Array]] = []
    for each in found:
        places = plan.places(each.tested.part)
        if places is None:
            return found
        parts.append((places, each.tested.predicted))
    means = mean_by_row(parts)
    kept, seen = [], set[int]()
    for (places, _), each in zip(parts, found, strict=True):
        if not seen.intersection(places.tolist()):
            seen.update(places.tolist())
            kept.append(_predicting(plan, each, np.stack([means[row] for row in places.tolist()])))
    return kept


def _predicting(plan: Plan[D, P, S], each: Scores, predicted: Any) -> Scores:
    """The same test set with other predictions."""
    schema, part = each.tested.schema, each.tested.part
    return dataclasses.replace(
        each,
        tested=dataclasses.replace(each.tested, predicted=predicted),
        metrics=plan.score(schema, part, predicted),
        errors=plan.row_errors(schema, part, predicted),
    )


def _nothing(sentence: str) -> None:
    """Say nothing."""


def _tested(found: list[Scores]) -> dict[str, Any]:
    """What the report says of one test set, or of those of a cross-validation together."""
    baselines = {
        name: _mean([fold.baselines[name] for fold in found]) for name in found[0].baselines
    }
    tested: dict[str, Any] = {
        "metrics": _mean([fold.metrics for fold in found]),
        "baselines": baselines,
        **_mean_of([fold.more for fold in found]),
    }
    ours = _joined([fold.errors for fold in found])
    if ours is not None:
        rivals = {name: _joined([fold.rivals[name] for fold in found]) for name in baselines}
        tested["tested"] = len(ours)
        tested["comparisons"] = {
            name: (compare if ours.ndim == 1 else compare_targets)(ours, theirs)
            for name, theirs in rivals.items()
            if theirs is not None
        }
    return tested


def _joined(errors: list[Array | None]) -> Array | None:
    known = [part for part in errors if part is not None]
    return np.concatenate(known) if len(known) == len(errors) else None


def _mean_of(found: list[Any]) -> Any:
    """The mean of nested numbers; of other values the first."""
    first = found[0]
    if isinstance(first, Mapping):
        names = [name for name in first if all(name in each for each in found)]
        return {name: _mean_of([each[name] for each in found]) for name in names}
    if isinstance(first, float):
        return float(np.mean(found))
    return first


def _mean(metrics: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in metrics])) for name in metrics[0]}


def report(
    plan: Plan[D, P, S], fitted: Fitted[P, S], tested: dict[str, Any], found: list[Scores]
) -> TrainingResult:
    """The result of a training, with what was measured on the test set."""
    result = result_of(plan, fitted.schema, fitted.learner, fitted.train, fitted.trainer,
                       fitted.failure)  # fmt: skip
    rows = {"train": fitted.split.seen, "test": len(fitted.test or ())}
    precision = plan.precision(fitted.schema, fitted.split.train)
    result.report |= {"unit": plan.unit, "rows": rows, **tested}
    if precision:
        result.report["precision"] = precision
    if tested:
        result.report |= plan.verdict(result.report)
    if plan.notes:
        result.report["notes"] = list(plan.notes)
    result.examine = functools.partial(examine, plan, [each.tested for each in found])
    return result


def scores(plan: Plan[D, P, S], fitted: Fitted[P, S]) -> Scores:
    """What network and baselines reach on the test set."""
    schema, test = fitted.schema, fitted.test
    assert test is not None
    predicted = plan.predict(schema, fitted.learner, fitted.trainer, test)
    baselines = plan.baselines(schema, fitted.split, test)
    plain = plan.for_baselines(schema)
    return Scores(
        Tested(schema, fitted.learner, fitted.trainer, test, predicted),
        plan.score(schema, test, predicted),
        {name: plan.score(plain, test, said) for name, said in baselines.items()},
        plan.row_errors(schema, test, predicted),
        {name: plan.row_errors(plain, test, said) for name, said in baselines.items()},
        plan.measure(schema, fitted.learner, fitted.trainer, test, predicted),
    )


def result_of(
    plan: Plan[D, P, S],
    schema: S,
    learner: Learner,
    train: Examples,
    trainer: Trainer,
    failure: TrainingError | None = None,
) -> TrainingResult:
    """What is kept of a trained network, before anything is measured."""
    inputs = None if isinstance(train, Stream) else _first_two(train.inputs)
    example = inputs if learner.example is None else learner.example
    return TrainingResult(
        trainer,
        learner.model,
        example,
        schema,
        plan.options,
        plan.about(schema) | plan.details(learner) | _waited(train, trainer),
        failure,
        plan.classes(schema),
        trainer.output if learner.model is learner.network else None,
        (learner.network, plan.summarized(learner, example) if inputs is None else inputs),
    )


def _waited(train: Examples, trainer: Trainer) -> dict[str, Any]:
    """The fraction of the time in which the training waited for a stream."""
    if not isinstance(train, Stream):
        return {}
    times = [(epoch["seconds"], epoch["waited"]) for epoch in trainer.history]
    spent = sum(seconds for seconds, _ in times)
    return {"waited": sum(s * waited for s, waited in times) / spent if spent else None}


def _first_two(inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return {name: array[:2] for name, array in inputs.items()}
    return np.asarray(inputs)[:2]
