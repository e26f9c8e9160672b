"""What is special to a kind of task in a training: the steps that its `Plan` fills in."""

from __future__ import annotations

import dataclasses
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from ..drawing.blocks import Block, Section
from ..engine.backends.registry import find_backend
from ..engine.tensor import Tensor
from ..errors import DataError
from ..metrics import Metric
from ..training import Arrays, Callback, Checkpoints, Stream
from ..utils.typing import Array
from . import evaluation
from .examination import default_answers, described
from .options import TrainingOptions
from .partition import Partition
from .tested import Answers, Tested
from .verdict import verdict, verdicts
from .warm_start import warm_start

Say = Callable[[str], None]
Examples = Arrays | Stream

#: How often weights are validated in a training that has enough epochs.
_VALIDATIONS = 40
#: Fewer examples cannot be split into training, validation and test set.
_FEWEST = 6


class Part(Protocol):
    """Examples as they were read: a training, validation or test set.

    Attributes:
        target: of each; what `chainrule.tasks.evaluation.evaluate` takes.
    """

    def __len__(self) -> int: ...

    @property
    def target(self) -> Any:
        """What is to be predicted of each."""


class Schema(Protocol):
    """What was understood of the data; it goes into the model file.

    Those of other data than tables have ``notes``, which are warnings, and ``described()``: names
    and texts for the user.
    """

    def to_json(self) -> Any:
        """JSON data or text for the model file."""


D = TypeVar("D")
P = TypeVar("P", bound=Part)
S = TypeVar("S", bound=Schema)


@dataclass(frozen=True, eq=False)
class Split(Generic[P]):
    """The three sets of a training; no test set where it is a file of its own."""

    train: P
    validation: P
    test: P | None

    @property
    def seen(self) -> int:
        """How many examples training and validation set have."""
        both = self.train, self.validation
        return len(self.train) if self.train is self.validation else sum(map(len, both))

    def counts(self, unit: str) -> str:
        """How many examples each set has, in words."""
        if self.train is self.validation:
            learned = f"{len(self.train):,} {unit} to learn from and to validate"
        else:
            learned = (
                f"{len(self.train):,} {unit} to learn from, {len(self.validation):,} to validate"
            )
        return f"{learned}." if self.test is None else f"{learned}, {len(self.test):,} to test."


@dataclass(frozen=True, eq=False)
class Learner:
    """A network that learns, and how its output is read.

    Attributes:
        network: the module that is trained; it takes examples.
        loss: a name, or a function of the network's output and the target.
        model: what is saved: raw examples in, predictions out, with the network in it; the network
            itself by default.
        name: of the network, for the user.
        output: makes predictions of the network's output, if the loss does not say it.
        metrics: names of metrics to follow on the validation set, or metrics by name.
        monitor: the number in the history that says which weights are the best.
        example: two raw examples, which the model takes; those of the training by default.
        augment: what changes training examples at random, where the kind has such.
        choice: what the plan has chosen and needs to know again.
        note: what else there is to say of the training.
    """

    network: Any
    loss: str | Callable[..., Tensor]
    name: str
    model: Any = None
    output: Callable[[Tensor], Tensor] | None = None
    metrics: tuple[str, ...] | Mapping[str, Metric] = ()
    monitor: str = "val_loss"
    example: Any = None
    augment: Any = None
    choice: Any = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.model is None:
            object.__setattr__(self, "model", self.network)


@dataclass(frozen=True)
class Recipe:
    """How long and how fast a network learns, where the user says nothing else.

    Attributes:
        batch_size: examples in a step.
        epochs: at most.
        lr: the highest learning rate, for optimizers that scale their steps.
        weight_decay: of the weights, decoupled.
        l2: penalty of the weights, as part of the loss.
        clip: largest norm of the gradient.
        schedule: of the rate.
        validate_every: epochs from one validation to the next.
    """

    batch_size: int
    epochs: int
    lr: float
    weight_decay: float = 0.0
    l2: float = 0.0
    clip: float | None = None
    schedule: str = "cosine"
    validate_every: int = 1

    @staticmethod
    def of(
        options: TrainingOptions,
        examples: int,
        *,
        batch_size: int,
        epochs: int,
        updates: int = 0,
        most_epochs: int | None = None,
        **rest: Any,
    ) -> Recipe:
        """Batches and epochs as the options say; what they leave open follows from the data.

        Args:
            options: of the user.
            examples: in the training set.
            batch_size: the usual one.
            epochs: the fewest.
            updates: the fewest.
            most_epochs: not more of them, even if that makes fewer updates.
            rest: the other fields.

        Example:
            >>> options = TrainingOptions()
            >>> Recipe.of(options, 320, batch_size=32, epochs=10, updates=150, lr=0.1).epochs
            15
        """
        batch = min(options.batch_size or batch_size, examples)
        chosen = max(epochs, math.ceil(updates / math.ceil(examples / batch)))
        return Recipe(batch, options.epochs or min(chosen, most_epochs or chosen), **rest)

    def with_validations(self) -> Recipe:
        """Validated about 40 times in a long training instead of after each epoch."""
        return dataclasses.replace(self, validate_every=max(self.epochs // _VALIDATIONS, 1))

    def steps(self, examples: Examples) -> int:
        """All steps over these examples; of a stream only whole batches count."""
        if isinstance(examples, Stream):
            return self.epochs * max(examples.steps(self.batch_size), 1)
        return self.epochs * math.ceil(len(examples) / self.batch_size)


def inputs_of(examples: Examples) -> Any:
    """What a trainer predicts from: all but target and weights."""
    return examples if isinstance(examples, Stream) else examples.inputs


class _Rows(Protocol):
    """Examples of which some can be taken."""

    def __len__(self) -> int: ...

    def take(self, rows: Array) -> Any:
        """These."""


def split_rows(
    data: _Rows,
    options: TrainingOptions,
    strata: Array | None,
    unit: str,
    *,
    test: float,
    fewest: int = _FEWEST,
    found: str = "",
    partition: Partition | None = None,
) -> Split[Any]:
    """Training, validation and test set by chance, classes in proportion, or as a partition says.

    Args:
        data: all of it.
        options: with the fractions; there is no test set if that is another file.
        strata: the class of each row; None for numbers.
        unit: what rows are called in messages.
        test: the fraction of the test set, if the options leave it open.
        fewest: rows.
        found: how many there are, in words.
        partition: which rows stay together, or when they were; by chance without it.

    Raises:
        DataError: there are too few.
    """
    if len(data) < fewest:
        raise DataError(f"There are too few {unit} to train and to evaluate.",
                        expected=f"at least {fewest}", found=found or str(len(data)))  # fmt: skip
    partition = partition or Partition()
    rows, held_out = np.arange(len(data)), None
    if not isinstance(options.test, str):
        fraction = options.test or test
        rows, held_out = partition.split(len(data), (1 - fraction, fraction), options.seed, strata)
    fraction = options.validation or 0.1
    strata = None if strata is None else strata[rows]
    kept, validation = partition.take(rows).split(
        len(rows), (1 - fraction, fraction), options.seed + 1, strata
    )
    tested = None if held_out is None else data.take(held_out)
    return Split(data.take(rows[kept]), data.take(rows[validation]), tested)


def once(say: Say) -> Say:
    """Say each sentence once.

    Example:
        >>> heard = []
        >>> say = once(heard.append)
        >>> for sentence in ("a", "b", "a"):
        ...     say(sentence)
        >>> heard
        ['a', 'b']
    """
    said: set[str] = set()

    def say_new(sentence: str) -> None:
        if sentence not in said:
            said.add(sentence)
            say(sentence)

    return say_new


class Plan(ABC, Generic[D, P, S]):
    """What is special to a kind of task: the steps of its training.

    Attributes:
        kind: of the data; a name in `chainrule.tasks.KINDS`.
        task: of the kind, where it has several, for lists of plans.
        unit: what examples are called.
        options: of the user.
        say: takes plain sentences about what is done and why.
        backend: what runs the network, on as many threads as the options say.
        until: when the training is to end, by `time.perf_counter`; None without a limit.

    Args:
        options: of the user.
        say: see above.
    """

    kind: ClassVar[str]
    task: ClassVar[str]
    unit: ClassVar[str]

    def __init__(self, options: Any, say: Say = lambda sentence: None) -> None:
        self.options = options
        self.say = once(say)
        self.backend = find_backend(
            options.backend,
            options.threads,
            device=options.device,
            devices=options.devices,
            precision=options.precision,
            sharding=options.sharding,
            exact=options.exact,
        )
        self.checkpoints: Checkpoints | None = None  # set by the runner
        self.until: float | None = None
        #: Sentences that the report repeats: what its figures do not tell by themselves.
        self.notes: list[str] = []

    def note(self, *sentences: str) -> None:
        """Say them now, and in the report."""
        for sentence in sentences:
            self.say(sentence)
            self.notes.append(sentence)

    def minutes_left(self) -> float | None:
        """What is left of the time that the user gives to the training; None without a limit."""
        return None if self.until is None else max(self.until - time.perf_counter(), 1e-3) / 60

    # ---- data ------------------------------------------------------------------------------------

    @abstractmethod
    def read(self, source: Any) -> D:
        """All the data, with their target."""

    @abstractmethod
    def split(self, data: D) -> Split[P]:
        """What is trained on, validated and tested on."""

    def fold_count(self, data: D) -> int:
        """In how many folds to cross-validate; 0 for one test set."""
        return getattr(self.options, "cv", None) or 0

    def folds(self, data: D, count: int) -> list[Split[P]]:
        """For cross-validation, where the options have ``cv``; the last one tests nothing.

        Where it does, too, the model is the mean of the networks of the folds (`averaged`).
        """
        raise NotImplementedError

    def averaged(self, schema: S, learners: Sequence[Learner]) -> tuple[Split[P], Learner]:
        """All data, and the networks of some folds as one; see `folds`."""
        raise NotImplementedError

    def places(self, part: P) -> Array | None:
        """(rows,) which of all examples these are, where some are tested several times."""
        return None

    @abstractmethod
    def understand(self, split: Split[P]) -> S:
        """The schema; statistics are of the training set only."""

    def check(self, schema: S, split: Split[P]) -> Split[P]:
        """The split without examples that cannot be used, or an error that names them."""
        return split

    def read_test(self, schema: S) -> P:
        """The test set, where the options say that it is a file of its own."""
        raise NotImplementedError

    def size(self, data: D) -> dict[str, Any]:
        """How much data there is, for the report."""
        raise NotImplementedError

    # ---- network ---------------------------------------------------------------------------------

    @abstractmethod
    def build(self, schema: S, split: Split[P]) -> Learner:
        """The network with its first weights, and what belongs to it."""

    def warm_start(self, schema: S, learner: Learner) -> None:
        """Give the network the weights of another model, if the options name one."""
        warm_start(learner.model, self.options, classes=self.classes(schema), say=self.say)

    # ---- learning --------------------------------------------------------------------------------

    @abstractmethod
    def encode(self, schema: S, learner: Learner, part: P) -> Examples:
        """Examples as the network takes them, with target and weights."""

    def encode_training(self, schema: S, learner: Learner, part: P) -> Examples:
        """Examples to learn from, where these are others than those to evaluate on."""
        return self.encode(schema, learner, part)

    def examples(self, schema: S, learner: Learner, split: Split[P]) -> tuple[Examples, Examples]:
        """The encoded training and validation set."""
        return (
            self.encode_training(schema, learner, split.train),
            self.encode(schema, learner, split.validation),
        )

    @abstractmethod
    def recipe(self, schema: S, learner: Learner, examples: Examples) -> Recipe:
        """Batches, epochs and rate that suit so many examples."""

    def average(self, steps: int) -> float | None:
        """Decay of the averaged weights in a training of so many steps, if there are such."""
        return None

    def listeners(self, learner: Learner, recipe: Recipe) -> Sequence[Callback]:
        """What else looks at the training."""
        return ()

    def tried(
        self, schema: S, learner: Learner, split: Split[P], trial: Callable[[], Any],
        recipe: Recipe, steps: int,
    ) -> Learner:  # fmt: skip
        """What short trainings before the real one say: the learner, perhaps with other changes.

        Args:
            schema: of the data.
            learner: with its first weights, which it has again in the end.
            split: of the data.
            trial: makes a trainer of the learner's network.
            recipe: of the training.
            steps: of the training.
        """
        return learner

    def settle(
        self, schema: S, learner: Learner, validation: Examples, trainer: Any, split: Split[P]
    ) -> S:
        """What held-out examples say of the trained network, put into model and schema."""
        return schema

    def measure(
        self, schema: S, learner: Learner, trainer: Any, part: P, predicted: Any
    ) -> dict[str, Any]:
        """What the report says of a test set besides metrics, as nested numbers by name."""
        return {}

    def precision(self, schema: S, part: P) -> dict[str, int | None]:
        """How many decimals the numbers of each target are written with, where that is known."""
        return {}

    def for_baselines(self, schema: S) -> S:
        """The schema by which baselines are scored, where the network's is its own."""
        return schema

    # ---- report ----------------------------------------------------------------------------------

    def classes(self, schema: S) -> tuple[str, ...]:
        """Names of the classes; empty for numbers."""
        return tuple(getattr(schema, "classes", ()))

    @abstractmethod
    def about(self, schema: S) -> dict[str, Any]:
        """The task, the name of the target, and what else the report says of them."""

    def details(self, learner: Learner) -> dict[str, Any]:
        """What the report says of the network besides."""
        return {}

    def summarized(self, learner: Learner, example: Any) -> Any:
        """Two examples as the network takes them, where the examples are a stream."""
        return example

    def predict(self, schema: S, learner: Learner, trainer: Any, part: P) -> Any:
        """What the trained network says of a part."""
        return trainer.predict(inputs_of(self.encode(schema, learner, part)))

    def score(self, schema: S, part: P, predicted: Any) -> dict[str, float]:
        """The metrics of such predictions."""
        return evaluation.evaluate(self.about(schema)["task"], part.target, predicted)

    @abstractmethod
    def baselines(self, schema: S, split: Split[P], test: P) -> Mapping[str, Any]:
        """What costs nothing says of the test set, by name."""

    def row_errors(self, schema: S, part: P, predicted: Any) -> Array | None:
        """The error of each example, to compare methods on the same ones; None where none is known.

        A kind whose first metric is another one than that of its task gives its own.
        """
        return evaluation.row_errors(self.about(schema)["task"], part.target, predicted)

    def verdict(self, report: dict[str, Any]) -> dict[str, Any]:
        """What a report says besides, when all metrics are known: whether a baseline is better."""
        say = verdicts if report.get("targets") else verdict
        said = say(report, self.unit, self.more_tests(report))
        return {"verdict": said} if said else {}

    def more_tests(self, report: dict[str, Any]) -> str:
        """What makes the test set larger, as a sentence."""
        return ""

    # ---- pictures --------------------------------------------------------------------------------

    def profile(self, schema: S, split: Split[P]) -> list[Section]:
        """What a report shows of the data, before the training."""
        return described(schema, split.counts(self.unit))

    def answers(self, schema: S, part: P, predicted: Any) -> list[Answers]:
        """What is right and what was said of each example, by target; none without such."""
        about = self.about(schema)
        return default_answers(
            about["task"], about["target"], self.classes(schema), part.target, predicted
        )

    def shown(
        self, picked: Sequence[tuple[Tested, int]], said: Sequence[tuple[str, str]]
    ) -> Sequence[Block]:
        """Some examples as they are, with what is right and what was predicted of each.

        Args:
            picked: what was tested, and the place of the example in its part.
            said: the right answer and the prediction, in words.
        """
        return ()

    def inside(self, tested: Tested) -> list[Section]:
        """What a report shows of the network: what it looks at, and what it has learned."""
        return []
