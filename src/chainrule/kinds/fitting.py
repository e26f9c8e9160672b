"""A training that keeps what was reached, whatever ends it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import TrainingError
from ..train import Trainer


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
