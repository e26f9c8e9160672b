"""Time series, and sequences with classes, as a kind of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import ConfigError
from ..option_values import MisfitError, column, fractions, integer, kinds, names, text
from ..options import DATA, NETWORK, TRAINING, documented, option, wrong
from .columns import ColumnOptions
from .kind import Kind

MODELS = ("linear", "lstm", "tcn")
#: What can be asked of the calendar, besides the holidays of a country.
CALENDAR = ("hour", "weekday", "year", "season", "none")


@documented
@dataclass(frozen=True)
class SeriesOptions(ColumnOptions):
    """Options for series; see `TrainingOptions`, too.

    With ``group``, whole sequences are classified, and the target is their class.

    Raises:
        ConfigError: an option has an invalid value.
    """

    target: str = option(..., "The column to predict.", "COLUMN", DATA, column, short="t")
    time: str | None = option(
        None,
        "The column of the times of a series, or several such as year+month.",
        "COLUMN",
        DATA,
        text,
    )
    series: str | None = option(
        None,
        "The column that says which series a row belongs to: one model of many series.",
        "COLUMN",
        DATA,
        text,
    )
    known: tuple[str, ...] = option(
        (), "Columns that are known in advance, such as prices.", "A,B,…", DATA, names
    )
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
    calendar: tuple[str, ...] | None = option(
        None,
        "What the calendar says: hour, weekday, year, season, holidays:DE, or none; chosen by "
        "default.",
        "A,B,…",
        DATA,
        names,
    )
    kinds: Mapping[str, str] = option(
        {},
        "How the column of the times is written, such as date=date:%d/%m/%Y.",
        "KIND|COLUMN=KIND",
        DATA,
        kinds,
        name="kind",
    )
    quantiles: tuple[float, ...] = option(
        (), "Quantiles to forecast besides, such as 0.1,0.5,0.9.", "LEVELS", TRAINING, fractions
    )
    cv: int | None = option(
        None, "Evaluation from K origins in time, one after another.", "K", DATA, integer
    )
    model: str | None = option(None, "For series: linear, lstm or tcn.", "NAME", NETWORK, text)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_known(model=MODELS)
        self._check_positive("horizon", "window", "season")
        if self.hidden is not None and (not self.hidden or min(self.hidden) < 1):
            raise wrong("hidden", "sizes above 0, such as 32,32", self.hidden)
        if self.group is None and self.missing is not None:
            raise ConfigError(
                "A series to forecast has no words that mean a missing value.",
                found=f"missing={','.join(self.missing)}",
                hint="Omit --missing, and leave such cells empty.",
            )
        if self.group is None and self.balance:
            raise ConfigError("Only classes can be balanced.", hint="Omit --balance.")
        if self.cv is not None and (self.cv < 2 or isinstance(self.test, str)):
            raise wrong("cv", "at least 2 origins, and no test file", self.cv)
        try:
            object.__setattr__(self, "quantiles", fractions(self.quantiles))
        except MisfitError as misfit:
            raise wrong("quantiles", str(misfit), self.quantiles) from None
        self._check_calendar()
        of_forecasts = ("horizon", "window", "season", "series", "known", "calendar", "quantiles",
                        "cv", "kinds")  # fmt: skip
        if self.group is not None and (given := [n for n in of_forecasts if getattr(self, n)]):
            raise ConfigError(
                f"Sequences that are classified have no {given[0]}.",
                found=", ".join(given),
                hint="Omit them, or omit --group to forecast.",
            )

    def _check_calendar(self) -> None:
        for name in self.calendar or ():
            if name not in CALENDAR and not name.startswith("holidays:"):
                raise wrong("calendar", f"{', '.join(CALENDAR)} or holidays:COUNTRY", name)


KIND = Kind(
    "series",
    "chainrule.tasks.timeseries",
    SeriesOptions,
    noun="series",
    new="NEW_SERIES.csv",
    endings=(".ts",),
    told_by=frozenset(
        {"time", "group", "horizon", "window", "season", "series", "known", "calendar"}
    ),
)
