"""Tables as a kind of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigError
from ..option_values import MisfitError, column, fractions, integer, kinds, text, threshold_metric
from ..options import DATA, NETWORK, TRAINING, documented, option, wrong
from .columns import ColumnOptions, SplitOptions
from .kind import Kind

TASKS = ("regression", "classification")
NORMS = ("none", "batch", "layer")
#: Activations that are no functions of one number, or have other arguments.
_NOT_HIDDEN = ("glu", "log_softmax", "softmax", "threshold")
#: Options that the Python API takes as the command line does.
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "target": column,
    "quantiles": fractions,
    "weight": column,
    "threshold_for": threshold_metric,
}


@documented
@dataclass(frozen=True)
class TableOptions(SplitOptions, ColumnOptions):
    """Options of `train_table`, one for each of ``chainrule train``; see `TrainingOptions`, too.

    Raises:
        ConfigError: an option has an invalid value.
    """

    target: str = option(
        ..., "The column to predict, or several at once, with commas between.", "COLUMN", DATA,
        column, short="t",
    )  # fmt: skip
    kinds: Mapping[str, str] = option(
        {},
        "What the data are (table, images, …) or what a column is (numeric, boolean, category, "
        "date, text or image), where the program would guess wrong.",
        "KIND|COLUMN=KIND",
        DATA,
        kinds,
        name="kind",
    )
    weight: str | None = option(
        None,
        "The column that says what each row counts for, in training, metrics and baselines.",
        "COLUMN",
        DATA,
        column,
    )
    activation: str | None = option(
        None, "Activation of the hidden layers: relu, gelu, silu, tanh, …", "NAME", NETWORK, text
    )
    norm: str | None = option(None, "Normalisation: none, batch or layer.", "NAME", NETWORK, text)
    members: int | None = option(
        None,
        "Size of the ensemble: networks that are trained together and averaged.",
        "N",
        NETWORK,
        integer,
    )
    loss: str | None = option(
        None, "Loss: mse, mae, huber, cross_entropy, …", "NAME", TRAINING, text
    )
    quantiles: tuple[float, ...] = option(
        (),
        "Quantiles of a number to predict besides, such as 0.1,0.5,0.9, right on held-out rows.",
        "LEVELS",
        TRAINING,
        fractions,
    )
    task: str | None = option(
        None, "What the target is: regression or classification.", "NAME", DATA, text
    )
    threshold_for: str | None = option(
        None,
        "Choose the threshold of the rarer of two classes on held-out rows for f1, "
        "balanced_accuracy, matthews, accuracy, recall@precision=0.9 or precision@recall=0.8.",
        "METRIC",
        TRAINING,
        threshold_metric,
    )
    cv: int | None = option(None, "Cross-validation with K folds.", "K", DATA, integer)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, read in _READERS.items():
            if getattr(self, name) is None:
                continue
            try:
                object.__setattr__(self, name, read(getattr(self, name)))
            except MisfitError as misfit:
                raise wrong(name, str(misfit), getattr(self, name)) from None
        self._check_positive("members")
        if self.hidden is not None and any(size < 1 for size in self.hidden):
            raise wrong("hidden", "sizes above 0, such as 128,64", self.hidden)
        if self.cv is not None and self.cv < 2:
            raise wrong("cv", "at least 2 folds", self.cv)
        if self.cv is not None and isinstance(self.test, str):
            raise ConfigError(
                "Cross-validation makes its own test sets.",
                found=f"cv={self.cv} and test={self.test}",
                hint="Omit one of the two.",
            )
        self._check_known(task=TASKS)
        from ...nn import ACTIVATIONS

        activations = tuple(name for name in ACTIVATIONS if name not in _NOT_HIDDEN)
        self._check_known(norm=NORMS, activation=activations)


KIND = Kind("table", "chainrule.tasks.tabular", TableOptions, noun="tables", new="NEW_ROWS.csv")
