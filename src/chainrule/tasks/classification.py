"""What kinds share in which one network tells the class of an example, such as a text."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from ..data import split_indices
from ..errors import DataError
from ..nn import Module
from ..serialization import SavedModel
from ..training import Arrays, Trainer
from ..utils.typing import Array
from .class_extension import for_classes, restore, task_of
from .evaluation import evaluate
from .options import TrainingOptions
from .result import TrainingResult
from .update import Continuation, Old

#: Fewer examples can not be split into those that train, that choose and that judge.
_FEWEST = 6


class _OfClasses(Protocol):
    """A schema of examples with classes."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    def to_json(self) -> dict[str, Any]: ...


S = TypeVar("S", bound=_OfClasses)


class Classifier(Generic[S]):
    """What saved models of classes have in common as a `chainrule.tasks.Predictor`."""

    def __init__(self, saved: SavedModel, schema: S) -> None:
        self.saved = saved
        self.schema = schema
        self.record = saved.record

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.schema.classes


def three_parts(
    target: Array, options: TrainingOptions, unit: str, *, test: float = 0.2, found: str = ""
) -> tuple[Array, Array, Array]:
    """Examples that train, that choose the best weights, and that judge; classes in proportion.

    Args:
        target: the class of each.
        options: with the shares. No example judges if the test is another file.
        unit: what examples are called in messages.
        test: the share that judges, if the options leave it open.
        found: how many there are, in words.

    Raises:
        DataError: there are fewer than 6.
    """
    count = len(target)
    if count < _FEWEST:
        raise DataError(f"There are too few {unit} to train and to evaluate.",
                        expected=f"at least {_FEWEST}", found=found or str(count))  # fmt: skip
    share = options.test if isinstance(options.test, float) else test
    shares = (1.0,) if isinstance(options.test, str) else (1 - share, share)
    first, *rest = split_indices(count, shares, options.seed, stratify=target)
    held = options.validation or 0.1
    kept, validation = split_indices(
        len(first), (1 - held, held), options.seed + 1, stratify=target[first]
    )
    return first[kept], first[validation], rest[0] if rest else np.array([], int)


def learn_on(
    old: Old,
    network: Module,
    schema: _OfClasses,
    options: Any,
    learned: Arrays,
    judged: Arrays,
    *,
    target: str,
    unit: str,
    batch_size: int,
    data: dict[str, Any],
    average: float | None = None,
) -> Continuation:
    """An update of a network that tells classes.

    Args:
        old: the saved model.
        network: as its sizes say, with an output for each class of ``schema``; it gets the saved
            weights.
        schema: of the new model; its classes begin with those of the old one.
        options: of the training.
        learned: the examples to learn from.
        judged: those that judge.
        target: what is predicted.
        unit: what examples are called.
        batch_size: examples in a step, at most.
        data: the new data, for the report.
        average: decay of the averaged weights.
    """
    restore(network, old.saved.state())
    task, count = task_of(schema.classes), len(schema.classes)
    before = for_classes(old.saved.predict(judged.inputs), count)

    def after(trainer: Trainer) -> dict[str, float]:
        return evaluate(task, judged.target, trainer.predict(judged.inputs))

    def result(trainer: Trainer) -> TrainingResult:
        example = {name: array[:2] for name, array in learned.inputs.items()}
        report = {"task": task, "target": target}
        return TrainingResult(trainer, network, example, schema, options, report, None,
                       schema.classes, trainer.output)  # fmt: skip

    return Continuation(
        network=network,
        learned=learned,
        rows=(len(learned), len(judged)),
        unit=unit,
        batch_size=batch_size,
        optimizer=old.optimizer(network),
        training={"loss": "cross_entropy", "average": average},
        before=evaluate(task, judged.target, before),
        after=after,
        result=result,
        data=data,
    )
