"""What a user sees while a network trains."""

from __future__ import annotations

import sys
import time
from typing import Any

from .callbacks import Callback, Training

#: Seconds from one picture of the live line to the next.
_REFRESH = 0.1
_HIDDEN = ("epoch", "seconds", "gradient_norm", "waited")


def progress_display(wanted: bool) -> list[Callback]:
    """The display that fits where the program runs: a live line, or one plain line an epoch."""
    if not wanted:
        return []
    if sys.stderr.isatty() or _in_notebook():
        return [LiveLine()]
    return [PlainLines()]


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


def describe(record: dict[str, float]) -> str:
    """The numbers of an epoch in a line.

    Example:
        >>> describe({"epoch": 1, "loss": 0.51234, "rate": 0.001, "val_accuracy": 0.975})
        'loss 0.5123  rate 0.001  val_accuracy 0.975'
    """
    return "  ".join(f"{k} {v:.4g}" for k, v in record.items() if k not in _HIDDEN)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _Clocked(Callback):
    """Knows how far the training is, and when it will end."""

    def on_start(self, trainer: Training, epochs: int, steps: int) -> None:
        self.epochs, self.steps = epochs, steps
        self.first: tuple[float, float] | None = None

    def left(self, done: float) -> str:
        """The time that is left after this fraction of all steps.

        What came before the first call is not counted: programs were built then.
        """
        now = time.perf_counter()
        if self.first is None:
            self.first = done, now
        here = done - self.first[0]
        if done >= 1:
            return _clock(0)
        return _clock((now - self.first[1]) * (1 - done) / here) if here > 0 else "?"


class PlainLines(_Clocked):
    """One line an epoch, for logs and pipes."""

    def on_epoch_end(self, trainer: Training, record: dict[str, float]) -> None:
        number = trainer.epoch - trainer.first_epoch
        left = self.left(number / self.epochs)
        print(
            f"epoch {number}/{self.epochs}  {describe(record)}  {left} left",
            file=sys.stderr,
            flush=True,
        )

    def on_end(self, trainer: Training) -> None:
        if trainer.stop_reason:
            print(f"stopped: {trainer.stop_reason}", file=sys.stderr, flush=True)


class LiveLine(_Clocked):
    """One line that changes in place, on terminals and in notebooks."""

    def on_start(self, trainer: Training, epochs: int, steps: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        super().on_start(trainer, epochs, steps)
        self.numbers = ""
        self.shown = 0.0
        self.display: Any = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[numbers]}"),
            TextColumn("[dim]{task.fields[left]} left"),
            console=Console(stderr=True),
            refresh_per_second=8,
        )
        self.task = self.display.add_task(
            "", total=epochs * steps, epoch=f"0/{epochs}", numbers="", left="?"
        )
        self.display.start()

    def on_step_end(self, trainer: Training, step: int, loss: float) -> None:
        now = time.perf_counter()
        if now - self.shown < _REFRESH:  # a step may take less time than showing it
            return
        self.shown = now
        number = trainer.epoch - trainer.first_epoch
        done = number * self.steps + step
        self.display.update(
            self.task,
            completed=done,
            epoch=f"{number + 1}/{self.epochs}",
            numbers=self.numbers or f"loss {loss:.4g}",
            left=self.left(done / (self.epochs * self.steps)),
        )

    def on_epoch_end(self, trainer: Training, record: dict[str, float]) -> None:
        self.numbers = describe(record)
        number = trainer.epoch - trainer.first_epoch
        self.display.update(
            self.task,
            completed=number * self.steps,
            epoch=f"{number}/{self.epochs}",
            numbers=self.numbers,
            left=self.left(number / self.epochs),
        )

    def on_end(self, trainer: Training) -> None:
        self.display.stop()
        if trainer.stop_reason:
            self.display.console.print(f"stopped: {trainer.stop_reason}", style="dim")
