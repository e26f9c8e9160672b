"""From labelled files to a trained model and an honest report."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...data import Target, split_indices
from ...engine.ops import softmax
from ...engine.tensor import Tensor
from ...errors import DataError
from ...losses import cross_entropy, mse
from ...nn import Module
from ...optim import Optimizer
from ...training import Callback, Stream, Trainer, find_rate
from ...utils.typing import Array
from .. import fit
from ..evaluation import class_weights, constant_prediction, evaluate
from ..linear_baseline import linear_model
from ..optimizer import SCALED, make_optimizer
from ..result import TrainingResult
from ..scaling import TargetScaler
from ..warm_start import begin
from .files import Files, Look, find_known, find_labelled
from .options import MediaOptions
from .reading import FileReader

if TYPE_CHECKING:
    pass

Say = Callable[[str], None]

#: Up to so many files are read once before the training, so that a bad one is found at once.
_FEW = 20_000
#: Up to so many files the test part is a fifth, otherwise a tenth.
_SMALL = 10_000
#: So many files are enough for the linear model.
_LINEAR = 4_000
#: How often the weights are judged in a training, where it has enough epochs.
_VALIDATIONS = 40
#: ε: the target is (1 - ε) for the class, and ε shared by all (Szegedy et al., 2016).
_SMOOTHING = 0.05
#: So many bad files are named.
NAMED = 10
#: Files in memory at once.
CHUNK = 256

#: What changes a batch at random: (batch, rows, epoch) -> (batch, share, partner), see `streamed`.
Augment = Callable[[Array, Array, int], tuple[Array, Array | None, Array | None]]


class Schema(Protocol):
    """What is known of the files of a medium; travels as JSON in the model file."""

    @property
    def target(self) -> Target:
        """What is predicted."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one decoded file."""

    def described(self) -> list[tuple[str, str]]:
        """What was understood, for the user."""

    def to_json(self) -> str:
        """As JSON text, with the kind."""


@dataclass(frozen=True)
class Plan:
    """How a network is trained on files; made by a medium's rules.

    Attributes:
        network: untrained; takes decoded files as float32 as they are, gives (rows, outputs).
        name: of the network.
        augment: what changes the training examples at random, or None.
        changes: what it does, in words.
        epochs: at most.
        batch_size: files in a step.
        lr: the highest rate, for methods that scale their steps.
        weight_decay: of the weights, decoupled.
    """

    network: Module
    name: str
    augment: Augment | None
    changes: str
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float


class Medium(Protocol):
    """What is special to a medium, such as images.

    Attributes:
        kind: its name.
        look: which files.
        dtype: of decoded files while they wait in memory.
    """

    kind: str
    look: Look
    dtype: Any

    def understand(self, files: Files, target: Target, options: Any, say: Say) -> Any:
        """The schema, from a sample of the files."""

    def schema(self, text: str) -> Any:
        """The schema in a model file."""

    def read(self, schema: Any, path: str) -> Array:
        """One file as an array; a `DataError` names it if it cannot be read."""

    def plan(self, schema: Any, options: Any, reader: FileReader, rows: Array) -> Plan:
        """What suits so many files; statistics are taken from these rows only."""

    def features(self, schema: Any, batch: Array) -> Array:
        """A few numbers of each file, for the linear model."""


@dataclass(frozen=True)
class Understood:
    """What was understood of the files, before the training."""

    rows: list[tuple[str, str]]
    notes: Sequence[str]

    def described(self) -> list[tuple[str, str]]:
        """Names and texts."""
        return self.rows


class MediaModel(Module):
    """Decoded files → predictions: numbers in the target's unit, or class probabilities."""

    def __init__(self, network: Module, scale: TargetScaler | None) -> None:
        self.network = network
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Decoded files (rows, …) → (rows,) float64 numbers, or (rows, classes) probabilities."""
        return self.output(self.network(x))

    def output(self, z: Tensor) -> Tensor:
        """(rows, outputs) of the network → predictions."""
        return softmax(z) if self.scale is None else self.scale(z[:, 0])


# ---- training ------------------------------------------------------------------------------------


def train_files(
    medium: Medium,
    source: Any,
    options: MediaOptions,
    *,
    progress: bool = True,
    say: Say = lambda sentence: None,
    on_schema: Callable[[Understood], None] = lambda understood: None,
    callbacks: tuple[Callback, ...] = (),
) -> MediaResult:
    """Train on files: understand them, split them, train, judge on files that were held out.

    Args:
        medium: what the files are.
        source: a folder with a folder for each class, or a table with a column of paths.
        options: what the user says; the rest is chosen by the medium's rules.
        progress: show the training.
        say: takes plain sentences about what is done and why.
        on_schema: takes what was understood of the files, before the training.
        callbacks: for the `Trainer`.

    Raises:
        DataError: files cannot be read or learned from.
        TrainingError: the loss became NaN or infinite in the first epoch; later, it is the
            ``failure`` of the result.
    """
    started = time.perf_counter()
    files, target = find_labelled(source, medium.look, options.target)
    schema = medium.understand(files, target, options, say)
    on_schema(Understood(schema.described(), files.notes))
    job = Job(medium, schema, target, options, say)
    with fit.threads(options.threads):
        parts = _Parts.of(job, files)
        result = _trained(job, parts, progress, callbacks)
    result.report["seconds"] = time.perf_counter() - started
    result.report["data"] = {"kind": medium.kind, "source": files.source, "rows": len(files)}
    return result


@dataclass(frozen=True)
class Job:
    """What a training on files has throughout."""

    medium: Medium
    schema: Any
    target: Target
    options: MediaOptions
    say: Say

    @property
    def classes(self) -> int:
        """How many classes there are; 0 for numbers."""
        return len(self.target.classes)

    def reader(self, files: Files) -> FileReader:
        """The files as arrays."""
        medium, schema = self.medium, self.schema
        read = functools.partial(medium.read, schema)
        return FileReader(files.paths, read, schema.shape, medium.dtype)


@dataclass(frozen=True)
class _Parts:
    """Files that train, those that choose the weights, and those of the report."""

    files: Files
    reader: FileReader
    train: Array
    validation: Array
    test: Array
    test_files: Files
    test_reader: FileReader

    @staticmethod
    def of(job: Job, files: Files) -> _Parts:
        options = job.options
        reader = job.reader(files)
        rows = np.arange(len(files))
        other = None
        if isinstance(options.test, str):
            other = find_known(options.test, job.medium.look, job.target)
            for note in other.notes:
                job.say(note)
        if options.skip_bad or len(files) <= _FEW:
            rows = readable(job, reader, rows)
        strata = files.target if job.classes else None
        test = rows[:0]
        if other is None:
            share = options.test or (0.2 if len(rows) <= _SMALL else 0.1)
            rows, test = _split(rows, share, options.seed, strata)
        share = 0.1 if options.validation is None else options.validation
        train, validation = _split(rows, share, options.seed + 1, strata)
        if len(files) > _FEW and not options.skip_bad:  # a bad file must not end a long training
            readable(job, reader, np.concatenate([validation, test]))
        if other is None:
            return _Parts(files, reader, train, validation, test, files, reader)
        other_reader = job.reader(other)
        test = readable(job, other_reader, np.arange(len(other)))
        return _Parts(files, reader, train, validation, test, other, other_reader)


def _split(rows: Array, share: Any, seed: int, strata: Array | None) -> tuple[Array, Array]:
    first, second = split_indices(
        len(rows), (1 - share, share), seed, None if strata is None else strata[rows]
    )
    return rows[first], rows[second]


def readable(job: Job, reader: FileReader, rows: Array) -> Array:
    """These files without the bad ones, which are an error unless the user wants them skipped."""
    bad = reader.check(rows)
    if not bad:
        return rows
    noun = job.medium.look.noun
    if not job.options.skip_bad:
        first = next(iter(bad.values()))
        more = f", and {len(bad) - 1:,} more like it" if len(bad) > 1 else ""
        raise DataError(
            first.what,
            where=first.where,
            expected=first.expected,
            found=f"{first.found or 'a damaged file'}{more}",
            hint="--skip-bad leaves such files out and lists them",
        )
    job.say(f"{len(bad):,} {noun} cannot be read and are left out:")
    for error in list(bad.values())[:NAMED]:
        job.say(f"{error.where}: {error.found}")
    if len(bad) > NAMED:
        job.say(f"… and {len(bad) - NAMED:,} more")
    kept = np.array([row for row in rows if int(row) not in bad], dtype=np.int64)
    if len(kept) < 4:
        raise DataError(f"There are too few {noun} that can be read.", expected="at least 4",
                        found=str(len(kept)))  # fmt: skip
    return kept


def _trained(
    job: Job, parts: _Parts, progress: bool, callbacks: tuple[Callback, ...]
) -> MediaResult:
    options, target = job.options, parts.files.target
    assert target is not None
    plan = job.medium.plan(job.schema, options, parts.reader, parts.train)
    plan.network.initialize(options.seed)
    scale = None if job.classes else TargetScaler().fit(target[parts.train])
    model = MediaModel(plan.network, scale)
    begin(model, options, classes=job.target.classes, say=job.say)
    goal = target if scale is None else scale.transform(target)
    importance = class_weights(target, job.classes) if options.balance else None
    if importance is not None:
        importance = importance.astype(np.float32)
    learned = streamed(parts.reader, goal, plan.augment, job.classes, importance).take(parts.train)
    learned.whole = True
    judged = streamed(parts.reader, goal, None, job.classes, importance).take(parts.validation)
    trainer = _trainer(job, plan, model, learned, len(judged), progress, callbacks)
    failure = fit.fit(
        trainer,
        learned,
        validation=judged,
        epochs=plan.epochs,
        batch_size=plan.batch_size,
        patience=options.patience,
        validate_every=max(plan.epochs // _VALIDATIONS, 1),
    )
    result = MediaResult(job, plan, model, trainer, failure)
    known = parts.test_files.target
    assert known is not None
    found = trainer.predict(streamed(parts.test_reader, known, None, 0, None).take(parts.test))
    task = job.target.task
    rows = len(parts.train) + len(parts.validation)
    result.report["rows"] = {"train": rows, "test": len(parts.test)}
    result.report["metrics"] = evaluate(task, known[parts.test], found)
    result.report["baselines"] = {
        name: evaluate(task, known[parts.test], predicted)
        for name, predicted in _baselines(job, parts, target, plan.batch_size).items()
    }
    return result


def streamed(
    reader: FileReader, target: Array, augment: Augment | None, classes: int, weights: Array | None
) -> Stream:
    """All files as examples; epoch 0 is without changes.

    Where a row is a mixture of itself, with a share λ, and of another row of its batch, so is its
    target: λ·t + (1 - λ)·t′ (mixup: Zhang et al., 2018).
    """

    def load(rows: Array, epoch: int) -> tuple[Any, ...]:
        batch, share, partner = reader(rows), None, None
        goal = target[rows]
        if augment is not None and epoch:
            batch, share, partner = augment(batch, rows, epoch)
        if share is not None:
            soft = np.eye(classes, dtype=np.float32)[goal] if classes else goal[:, None]
            share = share.astype(np.float32)[:, None]
            soft = share * soft + (1 - share) * soft[partner]
            goal = soft if classes else soft[:, 0]
        batch = batch.astype(np.float32)
        return (batch, goal) if weights is None else (batch, goal, weights[rows])

    return Stream(load, target, weights=weights)


def _trainer(
    job: Job,
    plan: Plan,
    model: MediaModel,
    train: Stream,
    judged: int,
    progress: bool,
    callbacks: tuple[Callback, ...],
) -> Trainer:
    """The trainer, with a learning rate from the rules or, where no rule has one, from a trial."""
    options = job.options
    steps = plan.epochs * max(len(train) // plan.batch_size, 1)

    def trainer(rate: float, **extra: Any) -> Trainer:
        optimizer: Optimizer = make_optimizer(
            options, plan.network, steps, lr=rate, weight_decay=plan.weight_decay,
            schedule="one-cycle",
        )  # fmt: skip
        loss = smoothed_cross_entropy if job.classes else squared
        return Trainer(
            plan.network, loss, optimizer, seed=options.seed, backend=options.backend, **extra
        )

    rate = plan.lr
    if options.lr is None and options.optimizer not in SCALED:
        trial = trainer(1e-3, progress=False)
        rate = find_rate(trial, train, batch_size=plan.batch_size).suggestion
    count = sum(p.size for p in plan.network.parameters().values())
    choose = f"{judged:,} {'others choose' if judged > 1 else 'other chooses'} the best weights"
    job.say(
        f"{plan.name}, {count:,} parameters; {len(train):,} {job.medium.look.noun} in batches of "
        f"{plan.batch_size}, {plan.epochs} epochs, {plan.changes}; {choose}"
    )
    return trainer(
        rate, output=model.output, average=average_of(steps), progress=progress, callbacks=callbacks
    )


def average_of(steps: int) -> float:
    """Of the averaged weights: they remember a fiftieth of the training."""
    return min(1 - 50 / max(steps, 100), 0.999)


def smoothed_cross_entropy(z: Tensor, target: Tensor, **options: Any) -> Tensor:
    """-Σ t · ln softmax(z), where t is 0.95 for the class, and 0.05 is shared by all."""
    # Without smoothing a few confident errors decide which weights are the best.
    return cross_entropy(z, target, label_smoothing=_SMOOTHING, **options)


def squared(z: Tensor, target: Tensor, **options: Any) -> Tensor:
    """The mean of (z - target)² for a network of one output."""
    return mse(z[:, 0], target, **options)


def _baselines(job: Job, parts: _Parts, target: Array, size: int) -> dict[str, Array]:
    """A constant answer, and a linear model on a few numbers of each file."""
    name, constant = constant_prediction(target[parts.train], len(parts.test), job.classes)
    rows = parts.train[:: -(-len(parts.train) // _LINEAR)]
    x = np.concatenate([*_features(job, parts.reader, rows)])
    mean, std = x.mean(axis=0), x.std(axis=0)
    std[std == 0] = 1.0
    linear = linear_model((x - mean) / std, target[rows], job.classes)
    found = [linear((z - mean) / std) for z in _features(job, parts.test_reader, parts.test)]
    return {name: constant, "linear": np.concatenate(found)}


def _features(job: Job, reader: FileReader, rows: Array) -> Iterator[Array]:
    return computed(lambda batch: job.medium.features(job.schema, batch), reader, rows)


def computed(compute: Callable[[Array], Array], reader: FileReader, rows: Array) -> Iterator[Array]:
    """Part by part, so that memory does not grow with the number of files."""
    for start in range(0, len(rows), CHUNK):
        yield compute(reader(rows[start : start + CHUNK]))


class MediaResult(TrainingResult):
    """A trained model and what is known of it; see `chainrule.tasks.Result`."""

    def __init__(
        self, job: Job, plan: Plan, model: MediaModel, trainer: Trainer, failure: Any
    ) -> None:
        self.schema = job.schema
        self._network = plan.network
        times = [(record["seconds"], record["waited"]) for record in trainer.history]
        spent = sum(seconds for seconds, _ in times)
        report: dict[str, Any] = {
            "task": job.target.task,
            "target": job.target.name,
            "unit": job.medium.look.noun,
            "rows": {},
            "metrics": {},
            "baselines": {},
            "network": plan.name,
            "waited": sum(s * share for s, share in times) / spent if spent else None,
        }
        example = np.zeros((2, *self.schema.shape), np.float32)
        super().__init__(trainer, model, example, self.schema, job.options, report,
                         failure, job.target.classes)  # fmt: skip

    def summary(self) -> str:
        """The layers of the network, without what makes predictions of its result."""
        return str(self._network.summary(self._example))
