"""A callback that writes the events of a training for TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..tasks.metric_names import title
from ..training import Callback
from ..training.callbacks import Training
from .event_files import (
    PREFIX,
    EventFile,
    histogram,
    scalar,
    session_end,
    session_start,
    text,
)

#: So many histograms of each parameter are written in a training.
_HISTOGRAMS = 30
_BESIDE = ("epoch",)


class TensorBoard(Callback):
    """Writes event files that TensorBoard reads: scalars of each epoch, histograms of the weights.

    Numbers have the names of the history (``loss``, ``val_loss``, ``rate``, …) and the epoch as
    their step. TensorBoard itself is not needed to write them.

    Args:
        folder: where the files go; the run is called as it.
        options: of the training, for the table of hyperparameters.
        histograms: whether the weights are written, too, about 30 times in a training.

    Example:
        >>> import tempfile
        >>> import chainrule as cr, numpy as np
        >>> x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
        >>> model = cr.nn.Linear(1, 1).initialize(seed=0)
        >>> board = TensorBoard(tempfile.mkdtemp())
        >>> trainer = cr.Trainer(model, "mse", callbacks=[board], progress=False)
        >>> history = trainer.fit((x, 3 * x), epochs=3)
        >>> board.close()
        >>> board.path.name.startswith("events.out.tfevents.")
        True
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        options: Mapping[str, Any] | None = None,
        histograms: bool = True,
    ) -> None:
        self._folder = Path(folder)
        self._options = dict(options or {})
        self._histograms = histograms
        self._events: EventFile | None = None
        self._fits = 0
        self._every = 1
        self.problem = ""

    @property
    def path(self) -> Path:
        """The file that was written last."""
        assert self._events is not None, "nothing was written yet"
        return self._events.path

    def on_start(self, trainer: Training, epochs: int, steps: int) -> None:
        """The first fit opens the file and writes the options; further fits are parts of it."""
        self._fits += 1
        self._every = max(epochs // _HISTOGRAMS, 1)
        if self._events is None:
            try:
                self._events = EventFile(self._folder)
            except OSError as error:
                self.problem = str(error)
                return
            if self._options:
                self._write(0, *session_start(self._options, self._tags(), self._events.now()))

    def _tags(self) -> list[str]:
        return ["loss", "val_loss"]

    def on_epoch_end(self, trainer: Training, record: dict[str, float]) -> None:
        """Scalars, and now and then histograms."""
        part = f"part {self._fits}/" if self._fits > 1 else ""
        values = [scalar(f"{part}{name}", float(value)) for name, value in record.items()
                  if name not in _BESIDE and value is not None]  # fmt: skip
        if self._histograms and int(record["epoch"]) % self._every == 0:
            weights = trainer.model.parameters().items()
            values += [histogram(f"{part}{path}", np.asarray(w.numpy())) for path, w in weights]
        self._write(int(record["epoch"]), *values)

    def _write(self, step: int, *values: bytes) -> None:
        """A full disk ends no training."""
        if self._events is None or self.problem:
            return
        try:
            self._events.write(step, *values)
        except OSError as error:
            self.problem = str(error)

    def finish(
        self, report: Mapping[str, Any], sentences: Sequence[str] = (),
        findings: Sequence[str] = (), failed: bool = False,
    ) -> None:  # fmt: skip
        """The training is over: metrics of the test set, what is to be said, the end.

        Args:
            report: with ``metrics`` and ``epochs``.
            sentences: a summary.
            findings: of the doctor.
            failed: whether it ended with an error.
        """
        if self._events is None:
            return
        step = int(report.get("epochs") or 0)
        metrics = dict(report.get("metrics") or {})
        known = {f"test/{title(name)}": v for name, v in metrics.items() if v is not None}
        values = [scalar(tag, float(value)) for tag, value in known.items()]
        texts = {"summary": "\n\n".join(sentences), "findings": "\n\n".join(findings)}
        values += [text(name, content) for name, content in texts.items() if content]
        now = self._events.now()
        if self._options:
            values += session_start(self._options, [*self._tags(), *known], now)
        self._write(step, *values, session_end(now, failed))
        self.close()

    def close(self) -> None:
        """No more events come."""
        if self._events is not None:
            with suppress(OSError):
                self._events.close()


def event_files(folder: Path) -> list[Path]:
    """The event files that are in a folder."""
    return sorted(folder.glob(f"{PREFIX}*"))
