"""Learning on from new data, without the old ones, whatever their kind: `update`.

A kind gives ``continuation``, which makes examples of new data as the saved model understands them;
all else is the same for every kind: the optimizer's state, epochs and rate, what is held out, old
beside new, the report.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

from ..data import source_name, split_indices
from ..data.source import with_reading
from ..errors import ConfigError, DataError, ModelFileError
from ..metrics import METRICS
from ..nn import Module
from ..optim import Optimizer
from ..serialization import SavedModel, load
from ..training import Callback, Checkpoints, Trainer
from ..training.checkpoints import seconds_spent
from ..utils.files import TRAINING, model_in
from ..utils.typing import Array
from ..utils.unfinished import digest_of
from . import kind_of, module_of
from .class_extension import for_classes, restore
from .detection import ENDINGS, recognise
from .evaluation import metric_of
from .examination import examine
from .kinds import KINDS
from .model_reading import need_missing, usual_reading
from .optimizer import highest_rate, optimizer_again, remember
from .options import TrainingOptions
from .plan import Examples, Learner, P, Plan, S
from .result import TrainingResult
from .runner import result_of
from .tested import Tested
from .update_options import UpdateOptions

Say = Callable[[str], None]

#: The rate of an update, as a fraction of the highest one of the training.
_RATE = 0.3
#: The fewest new examples: some to learn from, and some to evaluate on.
_FEWEST = 5
#: What the report calls the saved model.
BEFORE = "before the update"


@dataclass(frozen=True, eq=False)
class Old:
    """The saved model that an update begins with.

    Attributes:
        saved: as it was loaded.
        where: its file, for messages.
        kind: of its data.
        report: of its training.
    """

    saved: SavedModel
    where: str
    kind: str
    report: dict[str, Any]

    @staticmethod
    def of(model: str | os.PathLike[str]) -> Old:
        """The model in a file or run folder.

        Raises:
            ModelFileError: it is damaged, or does not say how it was trained.
        """
        path = model_in(model)
        saved = load(path)
        record = saved.record if isinstance(saved.record, dict) else {}
        report = record.get("report")
        kind = kind_of(saved.schema, str(path))
        trained = isinstance(report, dict) and isinstance(report.get("options"), dict)
        if report is None or not trained or kind not in KINDS:
            raise ModelFileError(
                "This model cannot be trained on.",
                where=str(path),
                expected="a model that chainrule train has made",
                hint="Train it again with this version of chainrule.",
            )
        return Old(saved, str(path), kind, report)

    @property
    def updates(self) -> int:
        """How many updates there were before."""
        return int(self.report.get("updates", 0))

    @property
    def training(self) -> Any:
        """The options of its training, as the kind of its data takes them."""
        options: TrainingOptions = KINDS[self.kind].options.from_json(self.report["options"])
        return options

    def options(self, requested: UpdateOptions) -> Any:
        """The options of its training, with what is said about the update."""
        said: dict[str, Any] = {"epochs": requested.epochs, "test": requested.test}
        if requested.skip_bad:
            said["skip_bad"] = True
        return dataclasses.replace(self.training, **said)

    def optimizer(self, network: Module) -> Optimizer:
        """The optimizer of its training, with an empty state."""
        return optimizer_again(type(self.training), self.saved.record, network)

    def need_room(self, numbers: int) -> None:
        """Refuse sizes that claim more numbers than the file holds, before all memory is taken.

        Args:
            numbers: that a network of these sizes has at least.

        Raises:
            ModelFileError: they are not in the file.
        """
        held = sum(array.size for array in self.saved.state().values())
        if not 0 < numbers <= held:
            raise ModelFileError(
                "The description of the network is damaged.",
                where=self.where,
                expected=f"at most {held:,} numbers",
                found=f"{numbers:,}",
            )

    def split(
        self, rows: int, requested: UpdateOptions, strata: Array | None
    ) -> tuple[Array, Array]:
        """The indices of the training rows and of the test rows, classes in proportion."""
        parts = (1 - requested.test_fraction, requested.test_fraction)
        train, test = split_indices(rows, parts, self.training.seed + self.updates, strata)
        return train, test


@dataclass(frozen=True, eq=False)
class Continuation(Generic[P, S]):
    """New data for a saved model, in which all that is new has its place.

    Attributes:
        plan: of the kind of task, with the options of the training.
        schema: of the new model.
        learner: what learns; it has the saved weights.
        train: the new data to learn from.
        test: those that are held out.
        before: what the saved model predicts of these.
        size: how much new data there is, for the report.
    """

    plan: Plan[Any, P, S]
    schema: S
    learner: Learner
    train: P
    test: P
    before: Any
    size: dict[str, Any] = field(default_factory=dict)


def update(
    model: str | os.PathLike[str],
    source: Any,
    *,
    progress: bool = True,
    say: Say = lambda sentence: None,
    callbacks: Iterable[Callback] = (),
    checkpoints: Checkpoints | None = None,
    **requested: Any,
) -> TrainingResult:
    """Go on with the training of a saved model on new data only. Nothing is written.

    The optimizer goes on from the state that lies beside the model in its run folder, at a
    constant rate. What was understood of the data (statistics of columns, vocabularies, sizes)
    stays as it is, for the weights belong to it; running statistics of normalisations go on.

    Args:
        model: a model file or run folder, of any kind of data.
        source: data as those of the training, with their target.
        progress: show the training.
        callbacks: for the `Trainer`.
        checkpoints: where the state of the update is written, so that it can go on.
        say: takes plain sentences about what is done.
        requested: the fields of `UpdateOptions`.

    Returns:
        The result; its report has the metrics of the old model on the same held-out data as the
        baseline ``before the update``.

    Raises:
        DataError: the data do not fit, a class is not known, or there are too few of them.
        ConfigError: an option has an invalid value, or this kind of data does not have it.
        TrainingError: the loss became NaN or infinite.

    Example:
        >>> import tempfile, chainrule as cr
        >>> words = ["good film", "bad film", "good", "bad"] * 10
        >>> texts = {"text": words, "mood": ["glad", "sad"] * 20}
        >>> options = cr.text.TextOptions(target="mood", epochs=20)
        >>> file = tempfile.mkdtemp() + "/model.safetensors"
        >>> cr.text.train(texts, options, progress=False).save(file)
        >>> new = {"text": ["poor film", "fine film"] * 10, "mood": ["sad", "glad"] * 10}
        >>> update(file, new, progress=False).report["rows"]
        {'train': 16, 'test': 4}
    """
    started = time.perf_counter()
    asked = UpdateOptions(**requested)
    old = Old.of(model)
    need_missing(old.saved, asked.missing)
    source = with_reading(source, asked.reading, usual_reading(old.saved))
    _check(old, source, asked)
    new: Continuation[Any, Any]
    new = module_of(old.kind).continuation(old, source, asked, say)
    plan, schema, learner = new.plan, new.schema, new.learner
    data = plan.encode_training(schema, learner, new.train)
    trainer = _learn(old, new, data, asked, progress, callbacks, checkpoints)
    after = plan.predict(schema, learner, trainer, new.test)
    result = result_of(plan, schema, learner, data, trainer)
    result.report |= _report(old, new, plan.score(schema, new.test, after))
    tested = Tested(schema, learner, trainer, new.test, after)
    result.examine = functools.partial(examine, plan, [tested])
    result.report["seconds"] = time.perf_counter() - started
    result.report["data"] = {"kind": old.kind, "source": source_name(source), **new.size}
    return result


def _report(old: Old, new: Continuation[Any, Any], metrics: dict[str, float]) -> dict[str, Any]:
    """The new model beside the old one."""
    return {
        "updates": old.updates + 1,
        "unit": new.plan.unit,
        "rows": {"train": len(new.train), "test": len(new.test)},
        "metrics": metrics,
        "baselines": {BEFORE: new.plan.score(new.schema, new.test, new.before)},
        "optimizer": {
            **(old.report.get("optimizer") or {}),
            "rate": highest_rate(old.saved.record),
        },
    }


def _learn(
    old: Old,
    new: Continuation[Any, Any],
    data: Examples,
    requested: UpdateOptions,
    progress: bool,
    callbacks: Iterable[Callback],
    checkpoints: Checkpoints | None,
) -> Trainer:
    """The trainer, after the update."""
    plan, learner, say = new.plan, new.learner, new.plan.say
    recipe = plan.recipe(new.schema, learner, data)
    epochs = requested.epochs_for(len(data), recipe.batch_size)
    recipe = dataclasses.replace(recipe, epochs=epochs)
    rate = _RATE * highest_rate(old.saved.record) if requested.lr is None else requested.lr
    optimizer = old.optimizer(learner.network)
    optimizer.set_rate(rate)
    beside = Path(old.where).parent / TRAINING
    if not remember(optimizer, beside, digest_of(Path(old.where))):
        say("the state of the optimizer was not kept with the model: it starts anew")
    trainer = Trainer(
        learner.network,
        learner.loss,
        optimizer,
        output=learner.output,
        average=plan.average(recipe.steps(data)),
        seed=old.training.seed + 1 + old.updates,
        backend=plan.backend,
        progress=progress,
        callbacks=callbacks,
    )
    windows = f", {len(data):,} windows" if len(data) != len(new.train) else ""
    times = "1 epoch" if epochs == 1 else f"{epochs} epochs"
    say(
        f"{len(new.train):,} new {plan.unit}{windows} in batches of {recipe.batch_size}, {times}, "
        f"constant rate {rate:.3g}"
    )
    trainer.partial_fit(
        data, epochs=epochs, batch_size=recipe.batch_size,
        minutes=_minutes_left(requested.minutes, checkpoints),
        checkpoints=None if checkpoints is None else checkpoints.next_part(),
    )  # fmt: skip
    return trainer


def _minutes_left(minutes: float | None, checkpoints: Checkpoints | None) -> float | None:
    """Without those before an interruption."""
    if minutes is None or checkpoints is None or not checkpoints.resume:
        return minutes
    return max(minutes - seconds_spent(checkpoints.folder) / 60, 1e-4)


def continue_on_rows(
    plan: Plan[Any, Any, S],
    schema: S,
    learner: Learner,
    old: Old,
    data: Any,
    requested: UpdateOptions,
    size: dict[str, Any],
) -> Continuation[Any, S]:
    """An update of a classifier on rows that are independent.

    Args:
        plan: of the kind of task.
        schema: of the new model; its classes begin with those of the old one.
        learner: with an output for each class; it gets the saved weights.
        old: the saved model.
        data: all new rows.
        requested: by the user.
        size: of the data, for the report.
    """
    restore(learner.network, old.saved.state())
    train, test = (data.take(rows) for rows in old.split(len(data), requested, data.target))
    known = plan.predict(schema, learner, old.saved, test)
    before = for_classes(known, len(plan.classes(schema)))
    return Continuation(plan, schema, learner, train, test, before, size)


# ---- checks --------------------------------------------------------------------------------------


def _check(old: Old, source: Any, requested: UpdateOptions) -> None:
    """Refuse what is of another kind by its name, and options that the kind does not have."""
    names = {field.name for field in dataclasses.fields(old.training)}
    if requested.skip_bad and "skip_bad" not in names:
        raise ConfigError(
            f"An update of a model of {KINDS[old.kind].noun} has no option --skip-bad.",
            expected="epochs, lr, test, grow",
            hint="It is for images and sounds, which are files that may be damaged.",
        )
    if not isinstance(source, str | Path):
        return
    path = Path(source)
    endings = {ending for known in ENDINGS.values() for ending in known}
    if not path.is_dir() and path.suffix.lower() not in endings:
        return  # a table may be a table, texts, series, or names of files
    found = recognise(path)
    if found != old.kind:
        raise DataError(
            "The new data are of another kind than those that the model was trained on.",
            where=str(source),
            expected=KINDS[old.kind].noun,
            found=KINDS[found].noun,
        )


def check_grows(requested: UpdateOptions, what: str) -> None:
    """Refuse ``grow`` where nothing can.

    Raises:
        ConfigError: it was asked for; ``what`` says of which model.
    """
    if requested.grow:
        raise ConfigError(
            f"Nothing can grow in a model {what}.",
            expected="a model of classes, or of a table with categories",
            found="--grow",
            hint="Omit --grow.",
        )


def check_enough(count: int, unit: str, where: str) -> None:
    """Refuse an update on too few examples.

    Raises:
        DataError: there are fewer than 5.
    """
    if count < _FEWEST:
        raise DataError(
            f"There are too few new {unit} to learn from and to evaluate.",
            where=where,
            expected=f"at least {_FEWEST} {unit}",
            found=str(count),
        )


def is_no_better(report: Mapping[str, Any]) -> bool:
    """Whether an update was of no use for any target, by the most telling metric that differs.

    Example:
        >>> is_no_better({"metrics": {"mae": 2.0}, "baselines": {BEFORE: {"mae": 3.0}}})
        False
    """
    decided: dict[str, bool] = {}
    for name, value in report["metrics"].items():
        metric, gain = metric_of(name), value - report["baselines"][BEFORE][name]
        if gain and not math.isnan(gain):
            higher_is_better = metric in METRICS and METRICS[metric].higher_is_better
            worse = bool(gain < 0 if higher_is_better else gain > 0)
            decided.setdefault(name.removeprefix(metric), worse)
    return all(decided.values())
