"""What a user can say about the training on data of any kind; None means the program decides."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ..engine.compile import BACKENDS
from ..errors import ConfigError
from ..optim import OPTIMIZERS
from ..optim.state import nearest

#: What another training with the same options need not repeat.
_NOT_AGAIN = {"from_model", "freeze", "test", "cv"}


@dataclass(frozen=True)
class TrainingOptions:
    """Options that all kinds of data share; those of a kind derive from it and add their own.

    Attributes:
        target: the column to predict, where the data have columns.
        epochs: how often to go through the training rows at most.
        batch_size: rows in a step.
        optimizer: name of an optimizer.
        lr: learning rate; None finds one.
        schedule: how the rate changes.
        l1: weight of Σ|w|.
        l2: weight of Σw².
        weight_decay: decoupled decay of the weights.
        clip: largest norm of the gradient.
        dropout: fraction of the hidden units that are set to 0 in training.
        validation: fraction of the rows for validation, which decides when to stop.
        test: fraction of the rows that is held out as the test set, or a file or folder.
        patience: epochs without progress before training stops.
        balance: weigh rows so that every class counts the same.
        seed: splits, initial weights and everything random follow from it.
        backend: what runs the network: "c" (native code), "numpy", or "auto".
        threads: of the native code; all processors without it. Results don't depend on it.
        from_model: a model file or run folder whose weights the network begins with.
        freeze: layers that keep these weights.

    Raises:
        ConfigError: an option has an invalid value.

    Example:
        >>> TrainingOptions(epochs=3, test=0.2).to_json()
        {'target': None, 'epochs': 3, 'test': 0.2}
    """

    target: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    optimizer: str = "adamw"
    lr: float | None = None
    schedule: str | None = None
    l1: float = 0.0
    l2: float = 0.0
    weight_decay: float | None = None
    clip: float | None = None
    dropout: float | None = None
    validation: float | None = None
    test: float | str | None = None
    patience: int | None = None
    balance: bool = False
    seed: int = 0
    backend: str = "auto"
    threads: int | None = None
    from_model: str | None = None
    freeze: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_positive("epochs", "batch_size", "patience", "clip", "threads")
        for name in ("lr", "l1", "l2", "weight_decay", "seed"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise wrong(name, "0 or more", value)
        for name in ("validation", "test"):
            value = getattr(self, name)
            if isinstance(value, float) and not 0 < value < 1:
                raise wrong(name, "a fraction between 0 and 1, such as 0.1", value)
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise wrong("dropout", "from 0 up to but without 1", self.dropout)
        self._check_known(backend=BACKENDS, optimizer=tuple(OPTIMIZERS))
        if self.freeze and self.from_model is None:
            raise ConfigError(
                "Layers that begin at random must be learned.",
                found=f"freeze={','.join(self.freeze)}",
                hint="Say with --from which model's weights they are to keep.",
            )

    def _check_positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise wrong(name, "above 0", value)

    def _check_known(self, **known: tuple[str, ...]) -> None:
        for name, values in known.items():
            value = getattr(self, name)
            if value is not None and value not in values:
                raise nearest(name, value, values)

    def to_json(self) -> dict[str, Any]:
        """The options that were given, as JSON data."""
        fields = dataclasses.fields(self)
        given = {f.name: getattr(self, f.name) for f in fields}
        defaults = {f.name: f.default for f in fields}
        return {
            name: _plain(value)
            for name, value in given.items()
            if name == "target" or (value != defaults[name] and value not in ({}, ()))
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The options that `to_json` told, without those that name other files or cost time.

        Example:
            >>> TrainingOptions.from_json({"target": "price", "epochs": 3, "test": 0.2}).epochs
            3
        """
        known = {field.name for field in dataclasses.fields(cls)} - _NOT_AGAIN
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in content.items()
            if name in known
        }
        return cls(**given)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def wrong(name: str, expected: str, found: Any) -> ConfigError:
    """The error of an option with an invalid value."""
    return ConfigError(f"Invalid value for {name}.", expected=expected, found=str(found))
