"""Time series, and sequences with classes, as a kind of data."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ConfigError
from ..option_values import column, integer, text
from ..options import DATA, NETWORK, documented, option, wrong
from .columns import ColumnOptions
from .kind import Kind

MODELS = ("linear", "lstm", "tcn")


@documented
@dataclass(frozen=True)
class SeriesOptions(ColumnOptions):
    """Options for series; see `TrainingOptions`, too.

    With ``group``, whole sequences are classified, and the target is their class.

    Raises:
        ConfigError: an option has an invalid value.
    """

    target: str = option(..., "The column to predict.", "COLUMN", DATA, column, short="t")
    time: str | None = option(None, "The column of the times of a series.", "COLUMN", DATA, text)
    group: str | None = option(
        None,
        "The column that says which sequence a row belongs to, to classify sequences.",
        "COLUMN",
        DATA,
        text,
    )
    horizon: int | None = option(None, "Number of steps to forecast.", "H", DATA, integer)
    window: int | None = option(
        None, "Number of past steps that a forecast sees.", "W", DATA, integer
    )
    season: int | None = option(
        None, "Number of steps in a season; detected by default.", "N", DATA, integer
    )
    model: str | None = option(None, "For series: linear, lstm or tcn.", "NAME", NETWORK, text)

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


KIND = Kind(
    "series",
    "chainrule.tasks.timeseries",
    SeriesOptions,
    noun="series",
    new="NEW_SERIES.csv",
    told_by=frozenset({"time", "group", "horizon", "window", "season"}),
)
