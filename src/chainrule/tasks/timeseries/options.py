"""What a user can say about learning from series; None means that the program decides."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import ConfigError
from ..options import TrainingOptions, wrong

MODELS = ("linear", "lstm", "tcn")


@dataclass(frozen=True)
class SeriesOptions(TrainingOptions):
    """Options for series; see `TrainingOptions`, too.

    Attributes:
        time: the column of the times; found, or the order of the rows.
        group: the column that says which sequence a row belongs to: then whole sequences are
            classified, and the target is their class.
        features: the columns to use beside the target; None takes all others that are numbers.
        drop: columns to leave out.
        horizon: how many steps are forecast.
        window: how many steps are looked at for it.
        season: how many steps a season has; found without it, 1 for none.
        model: linear, lstm or tcn.
        hidden: sizes of the layers.

    Raises:
        ConfigError: an option has an invalid value.
    """

    target: str = field()
    time: str | None = None
    group: str | None = None
    features: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    horizon: int | None = None
    window: int | None = None
    season: int | None = None
    model: str | None = None
    hidden: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_known(model=MODELS)
        self._check_positive("horizon", "window", "season")
        if self.hidden is not None and (not self.hidden or min(self.hidden) < 1):
            raise wrong("hidden", "sizes above 0, such as 32,32", self.hidden)
        if self.group is None and self.balance:
            raise ConfigError("Only classes can be balanced.", hint="Omit --balance.")
        if self.group is not None and any((self.horizon, self.window, self.season)):
            raise ConfigError("Sequences that are classified have no horizon, window or season.",
                              hint="Omit them, or omit --group to forecast.")  # fmt: skip
