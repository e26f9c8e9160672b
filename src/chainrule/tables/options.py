"""What a user can say about the training on a table; None means that the program decides."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..compile import BACKENDS
from ..errors import ConfigError
from ..nn import ACTIVATIONS
from ..optim import OPTIMIZERS
from ..optim.state import nearest

NORMS = ("none", "batch", "layer")
#: Activations of a hidden layer: functions of one number, with no other arguments.
HIDDEN_ACTIVATIONS = tuple(
    name for name in ACTIVATIONS if name not in ("glu", "log_softmax", "softmax", "threshold")
)


@dataclass(frozen=True)
class TableOptions:
    """Options of `train_table`, one for each of ``chainrule train``.

    Attributes:
        target: the column to predict.
        features: the columns to use; None takes all others.
        drop: columns to leave out.
        kinds: kinds of columns where the program would guess wrong, such as
            ``{"zipcode": "category"}``.
        hidden: widths of the hidden layers.
        activation: name of a function in `HIDDEN_ACTIVATIONS`.
        dropout: share of the hidden numbers that are set to 0 in training.
        norm: normalisation of the hidden layers: none, batch or layer.
        members: networks that are trained side by side and averaged.
        epochs: how often to go through the training rows at most.
        batch_size: rows in a step.
        optimizer: name of an optimizer.
        lr: learning rate; None finds one.
        schedule: how the rate changes.
        loss: name of a loss.
        l1: weight of Σ|w|.
        l2: weight of Σw².
        weight_decay: decoupled decay of the weights.
        clip: largest norm of the gradient.
        validation: share of the rows that decides when to stop.
        test: share of the rows that is held out for the report, or a file.
        cv: number of folds for cross-validation.
        patience: epochs without progress before training stops.
        balance: weigh rows so that every class counts the same.
        seed: splits, initial weights and everything random follow from it.
        backend: what runs the network: "c" (native code), "numpy", or "auto".
        threads: of the native code; all processors without it. Results don't depend on it.

    Raises:
        ConfigError: an option that makes no sense.
    """

    target: str
    features: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[int, ...] | None = None
    activation: str | None = None
    dropout: float | None = None
    norm: str | None = None
    members: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    optimizer: str = "adamw"
    lr: float | None = None
    schedule: str | None = None
    loss: str | None = None
    l1: float = 0.0
    l2: float = 0.0
    weight_decay: float | None = None
    clip: float | None = None
    validation: float | None = None
    test: float | str | None = None
    cv: int | None = None
    patience: int | None = None
    balance: bool = False
    seed: int = 0
    backend: str = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        positive = {"members", "epochs", "batch_size", "patience", "clip", "threads"}
        not_negative = {"lr", "l1", "l2", "weight_decay", "seed"}
        for name in positive | not_negative:
            value = getattr(self, name)
            lowest = "above 0" if name in positive else "0 or more"
            if value is not None and (value < 0 or (name in positive and value == 0)):
                raise _wrong(name, lowest, value)
        for name in ("validation", "test"):
            value = getattr(self, name)
            if isinstance(value, float) and not 0 < value < 1:
                raise _wrong(name, "a share between 0 and 1, such as 0.1", value)
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise _wrong("dropout", "from 0 up to but without 1", self.dropout)
        if self.hidden is not None and any(width < 1 for width in self.hidden):
            raise _wrong("hidden", "widths above 0, such as 128,64", self.hidden)
        if self.cv is not None and self.cv < 2:
            raise _wrong("cv", "at least 2 folds", self.cv)
        if self.cv is not None and isinstance(self.test, str):
            raise ConfigError(
                "Cross-validation makes its own test parts.",
                found=f"cv={self.cv} and test={self.test}",
                hint="Leave one of the two away.",
            )
        names = {
            "backend": BACKENDS,
            "norm": NORMS,
            "activation": HIDDEN_ACTIVATIONS,
            "optimizer": tuple(OPTIMIZERS),
        }
        for name, known in names.items():
            value = getattr(self, name)
            if value is not None and value not in known:
                raise nearest(name, value, known)

    def to_json(self) -> dict[str, Any]:
        """The options that were given, as JSON data."""
        fields = dataclasses.fields(self)
        given = {f.name: getattr(self, f.name) for f in fields}
        defaults = {f.name: f.default for f in fields}
        return {
            name: list(value)
            if isinstance(value, tuple)
            else dict(value)
            if name == "kinds"
            else value
            for name, value in given.items()
            if name == "target" or (value != defaults[name] and value not in ({}, ()))
        }


def _wrong(name: str, expected: str, found: Any) -> ConfigError:
    return ConfigError(f"The option {name} makes no sense.", expected=expected, found=str(found))
