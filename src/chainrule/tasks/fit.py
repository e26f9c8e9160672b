"""How long a training is, on how many threads; it keeps what was reached, whatever ends it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import TrainingError
from ..training import Trainer
from .options import TrainingOptions


@dataclass(frozen=True)
class Pace:
    """How a training goes through its examples.

    Attributes:
        batch_size: examples in a step.
        epochs: how often it goes through all of them.
        steps: of all epochs together.
    """

    batch_size: int
    epochs: int
    steps: int

    @staticmethod
    def of(
        options: TrainingOptions, examples: int, *, batch_size: int, epochs: int, steps: int
    ) -> Pace:
        """As the options say; what they leave open is at least so many epochs and so many steps.

        Example:
            >>> Pace.of(TrainingOptions(), 320, batch_size=32, epochs=10, steps=150)
            Pace(batch_size=32, epochs=15, steps=150)
        """
        batch = min(options.batch_size or batch_size, examples)
        updates = math.ceil(examples / batch)
        times = options.epochs or max(epochs, math.ceil(steps / updates))
        return Pace(batch, times, times * updates)


def fit(trainer: Trainer, data: Any, **options: Any) -> TrainingError | None:
    """`Trainer.fit`; what ended the training after some epochs, whose best model is kept.

    Raises:
        TrainingError: nothing is worth keeping.
    """
    try:
        trainer.fit(data, **options)
    except TrainingError as error:
        if trainer.history.best is None:
            raise
        return error
    return None


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Inside, native programs use so many threads."""
    before = os.environ.get("CHAINRULE_THREADS")
    if count is not None:
        os.environ["CHAINRULE_THREADS"] = str(count)
    try:
        yield
    finally:
        if count is not None:
            del os.environ["CHAINRULE_THREADS"]
            if before is not None:
                os.environ["CHAINRULE_THREADS"] = before
