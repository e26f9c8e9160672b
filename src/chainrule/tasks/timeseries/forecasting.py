"""From a series to a model that forecasts it, beside what costs nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import source_name
from ...engine.tensor import Tensor, as_tensor
from ...errors import ConfigError, DataError, ModelFileError
from ...nn import Module
from ...serialization import SavedModel
from ...training import Arrays
from ...utils.typing import Array
from ..examples import Examples, RawRow, check_rows, has_log_target, no_target, said, scaled
from ..kinds.series import SeriesOptions
from ..linear_baseline import linear_predictions
from ..plan import Examples as Encoded
from ..plan import Learner, Plan, Recipe, Split
from ..warm_start import warm_start
from .calendar import Calendar
from .forecast_network import (
    Forecaster,
    ForecastShape,
    SeriesScaler,
    known_mse,
    naive_scale,
    persistence,
    scores,
    season_of,
    seasonal,
    windows,
)
from .reading import Series, read_series

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

#: Training takes at least so many updates: fewer leave the network unfinished.
_UPDATES = 2000
_EPOCHS = 10
_BATCH = 32
#: Decay of the averaged weights.
_AVERAGE = 0.97
_RATES = {"linear": 2e-3, "lstm": 2e-3, "tcn": 1e-3}
_HIDDEN = {"linear": (), "lstm": (32,), "tcn": (16, 16, 16, 16)}
#: Fewer windows are nothing to learn from.
_FEWEST = 8
#: Below so many windows a network learns noise.
_ENOUGH = 500


@dataclass(frozen=True)
class ForecastSchema:
    """What was understood of a series; it goes into the model file.

    Attributes:
        names: of the columns, the target first.
        time: the column of the times; None for the order of the rows.
        calendar: of the times.
        season: steps of a season; 1 for none.
        naive: the mean error of the seasonal naive forecast in the training part, for MASE.
        shape: of the network.
        log: of which columns the network takes the logarithm.
        floor: the smallest number of each column in the training part.
        notes: warnings.
    """

    names: tuple[str, ...]
    time: str | None
    calendar: Calendar | None
    season: int
    naive: float
    shape: ForecastShape
    log: tuple[bool, ...] = ()
    floor: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    def described(self) -> list[tuple[str, str]]:
        """What there is to tell."""
        others = ", ".join(self.names[1:]) or "nothing else"
        steps = "each row" if self.calendar is None else (
            f"{self.calendar.step:g} {self.calendar.unit}, by {self.time}"
        )  # fmt: skip
        shape = self.shape
        return [
            ("target", f"{self.names[0]}, forecast from itself and {others}"),
            ("step", steps),
            ("season", f"{self.season} steps" if self.season > 1 else "none"),
            ("network", f"{shape.model}, looks at {shape.window} steps and forecasts the next "
             f"{shape.horizon}"),
        ]  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """JSON data for the model file."""
        return {
            "kind": "series",
            "task": "forecast",
            "columns": list(self.names),
            "time": self.time,
            "calendar": None if self.calendar is None else dataclasses.asdict(self.calendar),
            "season": self.season,
            "naive": self.naive,
            "shape": dataclasses.asdict(self.shape),
            "log": list(self.log),
            "floor": list(self.floor),
        }

    @staticmethod
    def from_json(content: Any, where: str) -> ForecastSchema:
        """What `to_json` gave.

        Raises:
            ModelFileError: it is damaged.
        """
        try:
            shape = {**content["shape"], "hidden": tuple(content["shape"]["hidden"])}
            calendar = content["calendar"]
            return ForecastSchema(
                tuple(map(str, content["columns"])),
                content["time"],
                None if calendar is None else Calendar(**calendar),
                int(content["season"]),
                float(content["naive"]),
                ForecastShape(**shape),
                tuple(map(bool, content.get("log", ()))),
                tuple(map(float, content.get("floor", ()))),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError("The description of the series is damaged.", where=where,
                                 found=f"{type(error).__name__}: {error}") from None  # fmt: skip

    def read(self, source: Any, say: Say) -> Series:
        """A series as in the training."""
        return read_series(source, self.names[0], time=self.time, features=self.names[1:],
                           calendar=self.calendar, say=say)  # fmt: skip


class ForecastModel(Module):
    """What is saved: windows in, forecasts in the unit of the target out."""

    def __init__(self, network: Forecaster) -> None:
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Windows (rows, window, columns) float64 → (rows, horizon) float64."""
        return self.network.scale.inverse(self.network(x))


@dataclass(frozen=True, eq=False)
class Cut:
    """A series, where its three parts end, and the sizes that suit it."""

    series: Series
    ends: tuple[int, int, int]
    season: int
    shape: ForecastShape


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of a part of a series.

    Attributes:
        past: (windows, steps, columns).
        target: (windows, horizon), what follows; NaN where nothing is known.
        cut: the whole series.
    """

    past: Array
    target: Array
    cut: Cut

    def __len__(self) -> int:
        return len(self.past)


class Forecasting(Plan[Cut, Windows, ForecastSchema]):
    """A series: a network forecasts its next steps.

    The series is cut in its order: the first part trains, the second chooses the best weights, the
    report is on the last. No target of a part, and no statistic, comes from a later one.
    """

    kind, task, unit = "series", "forecast", "windows"
    options: SeriesOptions

    def read(self, source: Any) -> Cut:
        """The series, with that of a test file at its end."""
        options = self.options
        series = read_series(source, options.target, time=options.time, features=options.features,
                             drop=options.drop, say=self.say)  # fmt: skip
        series, ends = _with_test(series, options, self.say)
        season = options.season or season_of(series.target[: ends[0]])
        shape = _shape(options, ends, season, len(series.columns))
        _check(series, ends, shape, source_name(source))
        return Cut(series, ends, season, shape)

    def split(self, data: Cut) -> Split[Windows]:
        """By time."""
        parts = parts_of(data.series, data.ends, data.shape)
        return Split(*(Windows(past, future, data) for past, future in parts))

    def understand(self, split: Split[Windows]) -> ForecastSchema:
        """The statistics of the training part."""
        cut = split.train.cut
        train, series = cut.series.values[: cut.ends[0]], cut.series
        naive = naive_scale(train[:, 0], min(cut.season, len(train) - 1))
        scaler = SeriesScaler(len(series.columns)).fit(train)
        return ForecastSchema(series.columns, series.time, series.calendar, cut.season, naive,
                              cut.shape, scaler.log, scaler.floor)  # fmt: skip

    def size(self, data: Cut) -> dict[str, Any]:
        """How many steps and columns there are."""
        return {"rows": len(data.series.values), "columns": len(data.series.columns)}

    def build(self, schema: ForecastSchema, split: Split[Windows]) -> Learner:
        """The network of the schema's sizes, with the statistics of the training part."""
        cut = split.train.cut
        scaler = SeriesScaler(len(schema.names)).fit(cut.series.values[: cut.ends[0]])
        network = schema.shape.build(scaler).initialize(self.options.seed)
        note = (
            f"the next {len(split.validation):,} choose the best weights, the last "
            f"{len(split.test or ()):,} are the test set"
        )
        return learner_of(schema, ForecastModel(network), note)

    def warm_start(self, schema: ForecastSchema, learner: Learner) -> None:
        """All but the scale: each series has one of its own."""
        warm_start(learner.model, self.options, say=self.say, skip=("scale",))

    def encode(self, schema: ForecastSchema, learner: Learner, part: Windows) -> Arrays:
        """Windows as they are; the network standardises them."""
        return Arrays(part.past, learner.network.scale.transform(part.target))

    def recipe(self, schema: ForecastSchema, learner: Learner, examples: Encoded) -> Recipe:
        """Rates by network."""
        return Recipe.of(
            self.options, len(examples), batch_size=_BATCH, epochs=_EPOCHS, updates=_UPDATES,
            lr=_RATES[schema.shape.model], weight_decay=0.05, clip=1.0,
        ).with_validations()  # fmt: skip

    def average(self, steps: int) -> float:
        """Always the same."""
        return _AVERAGE

    def about(self, schema: ForecastSchema) -> dict[str, Any]:
        """The season, too."""
        return {"task": "forecast", "target": schema.names[0], "season": schema.season}

    def score(self, schema: ForecastSchema, part: Windows, predicted: Array) -> dict[str, float]:
        """Errors over all known steps."""
        return scores(part.target, predicted, schema.naive)

    def baselines(
        self, schema: ForecastSchema, split: Split[Windows], test: Windows
    ) -> dict[str, Array]:
        """Forecasts of no cost, and a linear one."""
        horizon, past = schema.shape.horizon, test.past
        found = {"persistence": persistence(past, horizon)}
        if 1 < schema.season <= past.shape[1]:
            found["seasonal naive"] = seasonal(past, horizon, schema.season)
        found["linear"] = _autoregression(split.train, past)
        return found

    def verdict(self, report: dict[str, Any]) -> dict[str, Any]:
        """Whether the network is worth anything."""
        return {"verdict": verdict(report["metrics"], report["baselines"])}


def learner_of(schema: ForecastSchema, model: ForecastModel, note: str = "") -> Learner:
    """What is trained of a model that forecasts."""
    network = model.network
    return Learner(network, known_mse, schema.shape.model, model, network.scale.inverse, note=note)


def verdict(metrics: dict[str, float], baselines: dict[str, dict[str, float]]) -> str:
    """Whether the network is worth anything, in a sentence.

    Example:
        >>> verdict({"mae": 2.0}, {"persistence": {"mae": 1.0}})
        'The network is no better than persistence, which needs no network: use that.'
    """
    best = min(baselines, key=lambda name: baselines[name]["mae"])
    if metrics["mae"] < baselines[best]["mae"]:
        return f"The network errs less than every baseline, the best of which is {best}."
    return f"The network is no better than {best}, which needs no network: use that."


def _with_test(
    series: Series, options: SeriesOptions, say: Say
) -> tuple[Series, tuple[int, int, int]]:
    """The series, with that of a test file at its end, and where its three parts end."""
    held = options.validation or 0.1
    if not isinstance(options.test, str):
        last = options.test or 0.2
        if held + last >= 1:
            raise ConfigError("Nothing is left to train on.", expected="less than 1 in all",
                              found=f"validation={held}, test={last}")  # fmt: skip
        count = len(series.values)
        ends = (int(count * (1 - held - last)), int(count * (1 - last)), count)
        return series, ends
    later = read_series(options.test, options.target, time=series.time,
                        features=series.columns[1:], calendar=series.calendar, say=say)  # fmt: skip
    count = len(series.values)
    both = dataclasses.replace(series, values=np.concatenate([series.values, later.values]))
    return both, (int(count * (1 - held)), count, len(both.values))


def _shape(
    options: SeriesOptions, ends: tuple[int, int, int], season: int, columns: int
) -> ForecastShape:
    """What suits the length of the series."""
    horizon = options.horizon or 1
    usual = max(2 * season, 2 * horizon, 24)
    window = options.window or max(min(usual, ends[0] // 4), season, 2)
    model = options.model or ("linear" if ends[0] < _ENOUGH else "tcn")
    hidden = _HIDDEN[model] if options.hidden is None else options.hidden
    dropout = 0.1 if options.dropout is None else options.dropout
    return ForecastShape(model, window, horizon, columns, hidden, dropout)


def _check(series: Series, ends: tuple[int, int, int], shape: ForecastShape, name: str) -> None:
    train = series.target[: ends[0]]
    needed = shape.window + shape.horizon
    shortest = min(ends[0] - needed, ends[1] - ends[0] - shape.horizon,
                   ends[2] - ends[1] - shape.horizon) + 1  # fmt: skip
    if shortest < 1 or ends[0] - needed + 1 < _FEWEST:
        raise DataError(
            "The series is too short.",
            where=name,
            expected=f"enough steps to train on windows of {shape.window} and the {shape.horizon} "
            "that follow, and as many for validation and for the test",
            found=f"{ends[2]:,} steps: {ends[0]:,} train, {ends[1] - ends[0]:,} validate, "
            f"{ends[2] - ends[1]:,} test",
            hint="Give more steps, or a smaller --window or --horizon.",
        )
    if np.nanmax(train) == np.nanmin(train):
        raise DataError(
            "The series is constant in the training part.",
            where=f"{name}, column {series.columns[0]!r}",
            expected="numbers that change",
            found=f"{np.nanmax(train):g} in all {len(train):,} steps",
            hint="There is nothing to learn: the forecast is the last value.",
        )


def parts_of(
    series: Series, ends: Sequence[int], shape: ForecastShape
) -> list[tuple[Array, Array]]:
    """Windows whose targets all lie in one part of a series, for each part, which end there.

    The past of a window may reach back into an earlier part: it is known when one forecasts.
    """
    filled = series.filled()
    parts = []
    for start, end in zip((shape.window, *ends[:-1]), ends, strict=True):
        first = start - shape.window
        past, future = windows(filled[first:end], series.values[first:end], shape.window,
                               shape.horizon)  # fmt: skip
        known = ~np.isnan(future).all(axis=1)
        parts.append((past[known], future[known]))
    return parts


def _autoregression(train: Windows, later: Array) -> Array:
    """Ridge regression of each step of the horizon on the standardised window."""
    cut = train.cut
    scaler = SeriesScaler(len(cut.series.columns)).fit(cut.series.values[: cut.ends[0]])
    columns = []
    x, z = (
        scaler(part).numpy().reshape(len(part), -1).astype(float) for part in (train.past, later)
    )
    target = scaler.transform(train.target).astype(float)
    for step in range(target.shape[1]):
        known = ~np.isnan(target[:, step])
        columns.append(linear_predictions(x[known], target[known, step], z, 0))
    return scaler.inverse(as_tensor(np.stack(columns, axis=1))).numpy()


# ---- use -----------------------------------------------------------------------------------------


class SeriesForecaster:
    """A saved model that forecasts: a `chainrule.tasks.Predictor`."""

    def __init__(self, saved: SavedModel, path: str) -> None:
        self.saved = saved
        self.schema = ForecastSchema.from_json(saved.schema, path)
        self.record = saved.record

    @property
    def classes(self) -> tuple[str, ...]:
        """There are none."""
        return ()

    def predict(
        self, source: Any, *, proba: bool = False, say: Say = lambda sentence: None
    ) -> pl.DataFrame:
        """The steps that follow the end of a series.

        Args:
            source: a table with the columns of the training: the past, as long as a window at
                least.
            proba: has no meaning here.
            say: takes notes.

        Returns:
            A row for each step of the horizon: its time and the forecast.
        """
        import polars as pl

        series = self.schema.read(source, say)
        shape = self.schema.shape
        if len(series.values) < shape.window:
            raise DataError("The series is too short for a forecast.", where=source_name(source),
                            expected=f"{shape.window} steps at least",
                            found=f"{len(series.values)}")  # fmt: skip
        found = self.saved.predict(series.filled()[None, -shape.window :])[0]
        if self.schema.calendar is None:
            times: Any = [str(int(series.last) + 1 + step) for step in range(shape.horizon)]
        else:
            times = self.schema.calendar.following(series.last, shape.horizon)
        return pl.DataFrame({self.schema.time or "row": times, "prediction": found})

    def examples(
        self, source: Any, rows: Sequence[int], *, say: Say = lambda sentence: None
    ) -> Examples:
        """Windows of a series by the step that they begin at, with the steps that follow.

        Raises:
            DataError: there is no such window, or nothing is known of what follows it.
        """
        name, names = source_name(source), self.schema.names
        past, future = self._windows(source, say)
        check_rows(rows, len(past), name, "A window is called by its first step, from 0.")
        past, future = past[list(rows)], future[list(rows)]
        known = ~np.isnan(future)
        if not known.any(axis=1).all():
            raise no_target(name, f"a known {names[0]!r} in the steps after each window")
        found = self.saved.predict(past)
        raw = tuple(
            RawRow(
                row,
                tuple(
                    {"column": column,
                     "text": f"{past[place, 0, i]:.6g} … {past[place, -1, i]:.6g}",
                     "encoded": f"{past.shape[1]} steps", "input": f"x[{place},:,{i}]"}
                    for i, column in enumerate(names)
                ),
                {"column": names[0], "text": said(future[place], ())},
                said(found[place], ()),
                f"The window from step {row}",
            )
            for place, row in enumerate(rows)
        )  # fmt: skip
        is_log = self.schema.log[0] if self.schema.log else has_log_target(self.saved)
        target, story = scaled(self.saved, future, "network.scale", is_log)
        loss = "mse" if known.all() else known_mse
        return Examples(past, target, loss, raw, labels={"x": names}, story=story)

    def _windows(self, source: Any, say: Say) -> tuple[Array, Array]:
        """All windows of a series, and what follows them, as far as it is known."""
        series = self.schema.read(source, say)
        shape = self.schema.shape
        past, future = windows(series.filled(), series.values, shape.window, shape.horizon)
        if np.isnan(future).all():
            raise DataError(
                "The series is too short to evaluate forecasts.",
                where=source_name(source),
                expected=f"{shape.window + shape.horizon} steps at least",
                found=f"{len(series.values)}",
            )
        return past, future

    def evaluate(self, source: Any, *, say: Say = lambda sentence: None) -> dict[str, float]:
        """The metrics of the forecasts from every window of a series."""
        past, future = self._windows(source, say)
        known = ~np.isnan(future).all(axis=1)
        return scores(future[known], self.saved.predict(past[known]), self.schema.naive)
