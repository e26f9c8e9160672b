"""What a user can say about the training on a table; None means that the program decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...errors import ConfigError
from ...nn import ACTIVATIONS
from ..options import TrainingOptions, wrong

NORMS = ("none", "batch", "layer")
#: Activations of a hidden layer: functions of one number, with no other arguments.
HIDDEN_ACTIVATIONS = tuple(
    name for name in ACTIVATIONS if name not in ("glu", "log_softmax", "softmax", "threshold")
)


@dataclass(frozen=True)
class TableOptions(TrainingOptions):
    """Options of `train_table`, one for each of ``chainrule train``; see `TrainingOptions`, too.

    Attributes:
        target: the column to predict.
        features: the columns to use; None takes all others.
        drop: columns to leave out.
        kinds: kinds of columns where the program would guess wrong, such as
            ``{"zipcode": "category"}``.
        hidden: sizes of the hidden layers.
        activation: name of a function in `HIDDEN_ACTIVATIONS`.
        norm: normalisation of the hidden layers: none, batch or layer.
        members: networks that are trained side by side and averaged.
        loss: name of a loss.
        cv: number of folds for cross-validation.

    Raises:
        ConfigError: an option has an invalid value.
    """

    target: str = field()
    features: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[int, ...] | None = None
    activation: str | None = None
    norm: str | None = None
    members: int | None = None
    loss: str | None = None
    cv: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_positive("members")
        if self.hidden is not None and any(width < 1 for width in self.hidden):
            raise wrong("hidden", "sizes above 0, such as 128,64", self.hidden)
        if self.cv is not None and self.cv < 2:
            raise wrong("cv", "at least 2 folds", self.cv)
        if self.cv is not None and isinstance(self.test, str):
            raise ConfigError(
                "Cross-validation makes its own test parts.",
                found=f"cv={self.cv} and test={self.test}",
                hint="Omit one of the two.",
            )
        self._check_known(norm=NORMS, activation=HIDDEN_ACTIVATIONS)
