"""What happened in training, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..drawing.chart import Chart
from .curves import learning_charts


class History:
    """One record an epoch: a dict of numbers by name.

    Names: ``epoch`` (from 1), ``loss`` (mean over the training rows, while the weights changed),
    ``rate``, ``gradient_norm`` (of the last step), ``seconds``; with validation data also
    ``val_loss`` and ``val_`` and the name of each metric; with a `Stream` also ``waited``, the
    fraction of the time of the training steps that they had to wait for data.

    Attributes:
        records: the records.
        best: the record whose weights were the best, or None.
        interrupted: whether the user stopped the training.

    Example:
        >>> history = History()
        >>> history.records.append({"epoch": 1, "loss": 0.5})
        >>> history["loss"]
        [0.5]
    """

    def __init__(self) -> None:
        self.records: list[dict[str, float]] = []
        self.best: dict[str, float] | None = None
        self.interrupted = False

    def __getitem__(self, name: str) -> list[float]:
        return [record[name] for record in self.records if name in record]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.records)

    def __repr__(self) -> str:
        parts = [f"{len(self)} epoch{'s' * (len(self) != 1)}"]
        if self.records:
            parts.append(f"loss {self.records[-1].get('loss', math.nan):.4g}")
        if self.best is not None:
            shown = {n: v for n, v in self.best.items() if n.startswith("val_")}
            parts.append(f"best: epoch {self.best['epoch']:.0f}")
            parts += [f"{name} {value:.4g}" for name, value in shown.items()]
        return f"History({', '.join(parts)})"

    @property
    def charts(self) -> list[Chart]:
        """The learning curves as `chainrule.drawing.chart.Chart`."""
        return learning_charts(self.records, self.best)

    def plot(self, *names: str, ax: Any = None) -> Any:
        """Draw the learning curves with matplotlib (the extra ``plot``).

        Args:
            names: of the curves, such as ``"loss"``, ``"val_accuracy"``, ``"rate"`` or
                ``"gradient_norm"``; all by default.
            ax: axes to draw a single one into; a new figure is made without.

        Returns:
            The axes of a single name, otherwise axes by name.

        Raises:
            ConfigError: there is no such curve, or matplotlib is not installed.

        Example:
            >>> history = History()
            >>> history.records += [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.3}]
            >>> history.plot("loss").get_title()
            'Loss'
        """
        from ..drawing.axes import plotted

        return plotted(self.charts, names, ax)

    def _repr_html_(self) -> str:
        from ..drawing.notebook import fragment

        return fragment(repr(self), self.charts[:3])

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON data."""
        return {"epochs": self.records, "best": self.best, "interrupted": self.interrupted}
