"""Code of the user's that runs at certain moments of the training."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .trainer import Trainer


class Callback:
    """Override what you need; `Trainer.stop` ends the training after the current epoch.

    Example:
        >>> import chainrule as cr
        >>> class StopBelow(cr.Callback):
        ...     def on_epoch_end(self, trainer, record):
        ...         if record["loss"] < 0.1:
        ...             trainer.stop("the loss is small enough")
    """

    def on_start(self, trainer: Trainer, epochs: int, steps: int) -> None:
        """Training begins: at most this many epochs, this many steps in each."""

    def on_step_end(self, trainer: Trainer, step: int, loss: float) -> None:
        """A step is done; ``step`` counts from 1 within the epoch."""

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """An epoch is done, its validation too; ``record`` is its line in the history."""

    def on_end(self, trainer: Trainer) -> None:
        """Training is over, also after an interruption or an error."""
