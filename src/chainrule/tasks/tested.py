"""What was tested, kept so that a report can look into it: examples, answers, and the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..utils.typing import Array


@dataclass(frozen=True, eq=False)
class Tested:
    """A trained network with the examples that it was tested on.

    Attributes:
        schema: of the data.
        learner: the network.
        trainer: after the training; it predicts.
        part: the test set.
        predicted: what the network says of it.
    """

    schema: Any
    learner: Any
    trainer: Any
    part: Any
    predicted: Any


@dataclass(frozen=True, eq=False)
class Answers:
    """What was right and what was said, of one target.

    Attributes:
        name: of the target.
        task: a name in `chainrule.tasks.evaluation.METRICS`.
        target: (rows,) numbers, or class indices.
        predicted: (rows,) numbers, or (rows, classes) probabilities.
        classes: their names; empty for numbers.
        decided: (rows,) the class indices that are predicted.
        fold: (rows,) in which of the test sets each row is.
        row: (rows,) its place there.
        low: (rows,) the lower end of a predicted interval; empty without.
        high: (rows,) its upper end.
    """

    name: str
    task: str
    target: Array
    predicted: Array
    classes: tuple[str, ...] = ()
    decided: Array | None = None
    fold: Array | None = None
    row: Array | None = None
    low: Array | None = None
    high: Array | None = None

    @property
    def said(self) -> Array:
        """(rows,) the predicted class indices, or numbers."""
        if not self.classes:
            return self.predicted
        return self.predicted.argmax(axis=1) if self.decided is None else self.decided

    @property
    def errors(self) -> Array:
        """(rows,) the larger, the worse: |error| of numbers, 1 - p(true class) of classes."""
        if not self.classes:
            return np.asarray(np.abs(self.predicted - self.target))
        return np.asarray(1 - self.predicted[np.arange(len(self.target)), self.target])

    @staticmethod
    def joined(parts: Sequence[Answers]) -> Answers:
        """Those of several test sets of the same target, one after another."""

        def together(arrays: Sequence[Array | None]) -> Array | None:
            known = [array for array in arrays if array is not None]
            return np.concatenate(known) if len(known) == len(arrays) else None

        first = parts[0]
        rows = [np.arange(len(part.target)) if part.row is None else part.row for part in parts]
        folds = [np.full(len(part.target), number) for number, part in enumerate(parts)]
        target, predicted = (np.concatenate([getattr(part, name) for part in parts])
                             for name in ("target", "predicted"))  # fmt: skip
        return Answers(
            first.name, first.task, target, predicted, first.classes,
            together([part.decided for part in parts]), np.concatenate(folds),
            np.concatenate(rows), together([part.low for part in parts]),
            together([part.high for part in parts]),
        )  # fmt: skip

    def worst(self, most: int) -> Array:
        """The rows with the largest errors, the worst first; of classes only wrong ones."""
        errors = np.where(np.isfinite(self.errors), self.errors, -1.0)
        if self.classes:
            errors = np.where(self.said != self.target, errors, -1.0)
        order = np.argsort(-errors, kind="stable")[:most]
        return order[errors[order] >= 0]
