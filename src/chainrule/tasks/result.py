"""The result of a training, of any kind of data: what it is, how it went, and how to keep it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ..drawing.blocks import Section, Table
from ..drawing.chart import Chart
from ..engine.tensor import Tensor
from ..errors import TrainingError
from ..nn import Module
from ..serialization import to_bytes
from ..training import Trainer, save_training
from ..utils.files import write_atomically
from .metric_names import score_table
from .optimizer import effective
from .options import TrainingOptions

#: Depends on the machine and its load.
_VARYING = {"seconds", "waited"}


class TrainingResult:
    """A trained model and what is known of it.

    Attributes:
        history: of the training.
        report: task, target, rows, metrics, baselines, cv, parameters, epochs, best_epoch,
            stop_reason, options, data (with the kind), seconds; JSON data.
        failure: what ended the training after some epochs; the model is the best one of them.
        examine: makes the pictures of a report from network and test set, which takes a while;
            see `sections`.

    Args:
        trainer: after the training.
        model: what is saved: raw numbers in, predictions out.
        example: two rows of what the model takes.
        schema: what the inputs mean; its JSON has the ``kind``.
        options: that were given.
        report: of the kind's own: task, target, rows, metrics, baselines, data and so on.
        failure: what ended the training.
        classes: names of the classes.
        output: makes predictions of what the model gives, where it does not do so by itself.
        network: what was trained, and two rows of what it takes, for the summary.
    """

    def __init__(
        self,
        trainer: Trainer,
        model: Module,
        example: Any,
        schema: Any,
        options: TrainingOptions,
        report: dict[str, Any],
        failure: TrainingError | None,
        classes: tuple[str, ...] = (),
        output: Callable[[Tensor], Tensor] | None = None,
        network: tuple[Module, Any] | None = None,
    ) -> None:
        self._network = network or (model, example)
        self._trainer = trainer
        self._model = model
        self._example = example
        self.schema = schema
        self._classes = classes
        self._output = output
        self.history = trainer.history
        self.failure = failure
        self.examine: Callable[[], list[Section]] = list
        self._sections: list[Section] | None = None
        self.report: dict[str, Any] = {
            **report,
            "cv": None,
            "parameters": sum(p.size for p in model.parameters().values()),
            "epochs": len(self.history),
            "best_epoch": (self.history.best or {}).get("epoch"),
            "stop_reason": trainer.stop_reason,
            "optimizer": effective(trainer.optimizer),
            "options": options.to_json(),
        }

    def __repr__(self) -> str:
        report = self.report
        scores = ", ".join(f"{name} {value:.4g}" for name, value in report["metrics"].items())
        return (
            f"{type(self).__name__}({report['target']}, {report['task']}: {scores}; "
            f"epoch {report['best_epoch']} of {report['epochs']})"
        )

    @property
    def sections(self) -> list[Section]:
        """What a report shows of the network: right and wrong, the worst, what it looks at.

        They are made when they are asked for first.
        """
        if self._sections is None:
            self._sections = self.examine()
        return self._sections

    @property
    def charts(self) -> list[Chart]:
        """All pictures of a report: learning curves and those of `sections`."""
        return [*self.history.charts, *(c for section in self.sections for c in section.charts)]

    def plot(self, *names: str, ax: Any = None) -> Any:
        """Draw pictures of the report with matplotlib (the extra ``plot``).

        Args:
            names: of the pictures, such as ``"loss"``, ``"confusion"``, ``"roc"``,
                ``"calibration"``, ``"predicted_actual"`` or ``"importance"``; all by default.
            ax: axes to draw a single one into; a new figure is made without.

        Returns:
            The axes of a single name, otherwise axes by name.

        Raises:
            ConfigError: there is no such picture (the message names those that there are), or
                matplotlib is not installed.
        """
        from ..drawing.axes import plotted

        return plotted(self.charts, names, ax)

    def _repr_html_(self) -> str:
        from ..drawing.notebook import fragment

        shown = [self.scores, *self.history.charts[:1]]
        return fragment(repr(self), [block for block in shown if block is not None])

    @property
    def scores(self) -> Table | None:
        """Metrics on the test set beside the baselines, as a table; None without a test set."""
        return score_table(self.report)

    @property
    def model(self) -> Module:
        """What is saved: raw rows in, predictions out."""
        return self._model

    @property
    def source(self) -> str:
        """The program of a training step: C, or the graph where NumPy runs it."""
        return self._trainer.source

    def summary(self) -> str:
        """The layers of the network, their shapes and parameters."""
        network, inputs = self._network
        return str(network.summary(inputs))

    def save_training(self, path: str | os.PathLike[str], model: str = "") -> None:
        """Write what an update needs besides the model file: the optimizer's state.

        Args:
            path: the file.
            model: SHA-256 of the model file that it belongs to.
        """
        save_training(path, self._trainer.state(), model=model)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file; it needs nothing else."""
        write_atomically(path, self.to_bytes())

    def to_bytes(self) -> bytes:
        """The content of the model file."""
        return to_bytes(
            self._model,
            (self._example,),
            output=self._output,
            schema=self.schema.to_json(),
            classes=list(self._classes) or None,
            record=self._lasting_record(),
        )

    def _lasting_record(self) -> dict[str, Any]:
        """What the model file says of the training: nothing that differs when it is repeated."""
        report = _without(self.report, "seconds", "waited")
        report["options"] = _without(report["options"], "threads")
        history = self.history.to_json()
        history["epochs"] = [_without(epoch, "seconds", "waited") for epoch in history["epochs"]]
        history["best"] = history["best"] and _without(history["best"], "seconds", "waited")
        return {"report": report, "history": history}


def _without(content: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in names}
