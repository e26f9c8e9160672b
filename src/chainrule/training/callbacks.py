"""Code of the user's that runs at certain moments of the training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ..errors import TrainingError
from ..nn import Module
from ..optim import Optimizer
from .history import History

if TYPE_CHECKING:
    from .resume import FitOptions


class Training(Protocol):
    """What callbacks may rely on in the `Trainer` that calls them."""

    model: Module
    optimizer: Optimizer
    history: History
    epoch: int  # how many are done
    first_epoch: int  # how many were done before this call of `fit`

    @property
    def stop_reason(self) -> str | None:
        """Why it ends before its last epoch."""

    def stop(self, reason: str) -> None:
        """End it after the current epoch."""


class Callback:
    """Override what you need; `Trainer.stop` ends the training after the current epoch.

    Example:
        >>> import chainrule as cr
        >>> class StopBelow(cr.Callback):
        ...     def on_epoch_end(self, trainer, record):
        ...         if record["loss"] < 0.1:
        ...             trainer.stop("the loss is small enough")
    """

    def on_data(self, trainer: Training, data: Any, validation: Any, options: FitOptions) -> None:
        """Before all else: what `fit` learns from and validates on, and its options."""

    def on_start(self, trainer: Training, epochs: int, steps: int) -> None:
        """Training begins: at most this many epochs, this many steps in each."""

    def on_step_end(self, trainer: Training, step: int, loss: float) -> None:
        """A step is done; ``step`` counts from 1 within the epoch."""

    def on_epoch_end(self, trainer: Training, record: dict[str, float]) -> None:
        """An epoch is done, its validation too; ``record`` is its line in the history."""

    def on_error(self, trainer: Training, error: TrainingError) -> None:
        """Training ends because the loss is not finite; `on_end` follows."""

    def on_end(self, trainer: Training) -> None:
        """Training is over, also after an interruption or an error."""
