"""From series to a model that forecasts them, beside what costs nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...data import source_name
from ...data.infer_target import check_size
from ...data.json_dataclass import check_types
from ...drawing.blocks import Block, Section
from ...engine.tensor import as_tensor
from ...errors import ConfigError, DataError, ModelFileError
from ...training import Arrays
from ...utils.numbers import counted
from ...utils.typing import Array
from ..kinds.series import SeriesOptions
from ..linear_baseline import linear_predictions
from ..plan import Examples as Encoded
from ..plan import Learner, Plan, Recipe, Split
from ..tested import Answers, Tested
from ..warm_start import warm_start
from . import inspection
from .blending import Blending
from .calendar import Calendar
from .climatology import climatology
from .cycles import Cycle, cycles_json, cycles_of
from .forecast_network import ForecastModel, ForecastShape, known_mse
from .measures import persistence, scores
from .paths import best_smoothing
from .reading import Columns, Panel, Written, named, read_series
from .times import TimeNotation
from .windows import Cut, Windows, ends_of, season_of_all, with_later

Say = Callable[[str], None]

#: Training takes at least so many updates: fewer leave the network unfinished.
_UPDATES = 2000
_EPOCHS = 10
_BATCH = 32
#: From so many windows on, batches are larger.
_MANY, _LARGE_BATCH = 10_000, 128
#: Decay of the averaged weights.
_AVERAGE = 0.97
_RATES = {"linear": 2e-3, "lstm": 2e-3, "tcn": 1e-3}
_HIDDEN = {"linear": (), "lstm": (32,), "tcn": (16, 16, 16, 16)}
#: Fewer windows are nothing to learn from.
_FEWEST = 8
#: Below so many windows a network learns noise.
_ENOUGH = 500
#: A longer season is no part of the window, if the calendar says where in it a step is.
_LONG_SEASON = 100


@dataclass(frozen=True)
class ForecastSchema:
    """What was understood of series; it goes into the model file.

    Attributes:
        names: of the columns, the target first, those that are known in advance last.
        time: the column of the times; None for the order of the rows.
        calendar: of the times.
        season: steps of a season; 1 for none.
        naive: the mean error of the seasonal naive forecast in the training part, for MASE.
        shape: of the network.
        log: of which columns the network takes the logarithm.
        floor: the smallest number of each column in the training part.
        item: the column that says the series of a row; None for a single series.
        items: of each series its name, center and scale of each column, and its naive error.
        cycles: what the calendar says of a step.
        notation: how times are written.
        kinds: what the user says of columns.
        quantiles: that are forecast besides.
        low: the smallest number of each column in the training part; of several series, on their
            scale.
        high: the largest.
        written: how the numbers of each column are written; see `reading.Written`.
        version: 1 for models of windows alone, without what has come since.
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
    item: str | None = None
    items: Mapping[str, tuple[tuple[float, ...], tuple[float, ...], float]] = field(
        default_factory=dict
    )
    cycles: tuple[Cycle, ...] = ()
    notation: TimeNotation = field(default_factory=TimeNotation)
    kinds: Mapping[str, str] = field(default_factory=dict)
    quantiles: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    written: tuple[Written, ...] = ()
    version: int = 2
    notes: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        """The columns that are known in advance."""
        return self.names[len(self.names) - self.shape.known :]

    def described(self) -> list[tuple[str, str]]:
        """What there is to tell."""
        others = ", ".join(self.names[1:]) or "nothing else"
        steps = "each row" if self.calendar is None else (
            f"{self.calendar.step:g} {self.calendar.unit}, by {self.time}"
        )  # fmt: skip
        shape = self.shape
        found = [
            ("target", f"{self.names[0]}, forecast from itself and {others}"),
            ("step", steps),
            ("season", f"{self.season} steps" if self.season > 1 else "none"),
        ]
        if self.item is not None:
            found.insert(1, ("series", f"{len(self.items):,}, by {self.item}"))
        if self.shape.known:
            found.append(("known in advance", ", ".join(self.known)))
        if self.cycles:
            found.append(("calendar", ", ".join(cycle.name for cycle in self.cycles)))
        found.append(("network", f"{shape.model}, looks at {shape.window} steps and forecasts the "
                      f"next {shape.horizon}"))  # fmt: skip
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON data for the model file."""
        rest = {name: getattr(self, name) for name in ("season", "naive", "item", "version")}
        lists = {name: list(getattr(self, name)) for name in
                 ("log", "floor", "quantiles", "low", "high")}  # fmt: skip
        return {
            "kind": "series",
            "task": "forecast",
            "columns": list(self.names),
            "time": self.time,
            "calendar": None if self.calendar is None else dataclasses.asdict(self.calendar),
            "shape": dataclasses.asdict(self.shape),
            "items": {name: [list(c), list(s), n] for name, (c, s, n) in self.items.items()},
            "cycles": cycles_json(self.cycles),
            "notation": dataclasses.asdict(self.notation),
            "kinds": dict(self.kinds),
            "written": [list(how) for how in self.written],
            **rest,
            **lists,
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
            items = content.get("items", {})
            numbers: dict[str, Any] = {
                name: tuple(map(float, content.get(name, ())))
                for name in ("floor", "quantiles", "low", "high")
            }
            schema = ForecastSchema(
                tuple(map(str, content["columns"])),
                content["time"],
                None if calendar is None else Calendar(**calendar),
                int(content["season"]),
                float(content["naive"]),
                ForecastShape(**shape),
                tuple(map(bool, content.get("log", ()))),
                item=content.get("item"),
                items={str(n): (tuple(map(float, c)), tuple(map(float, s)), float(x))
                       for n, (c, s, x) in items.items()},
                cycles=tuple(Cycle(**cycle) for cycle in content.get("cycles", ())),
                notation=TimeNotation(**content.get("notation", {})),
                kinds=dict(content.get("kinds", {})),
                written=tuple(tuple(how) for how in content.get("written", ())),
                version=int(content.get("version", 1)),
                **numbers,
            )  # fmt: skip
            check_types(schema, "series")
            return schema
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelFileError("The description of the series is damaged.", where=where,
                                 found=f"{type(error).__name__}: {error}") from None  # fmt: skip

    def read(self, source: Any, say: Say) -> Panel:
        """Series as in the training."""
        rest = self.names[1 : len(self.names) - self.shape.known]
        written = dict(zip(self.names, self.written, strict=False))  # none in old models
        columns = Columns(self.names[0], self.time, self.item, self.known, rest, (), self.kinds,
                          written)  # fmt: skip
        return read_series(source, columns, calendar=self.calendar, say=say)


class Forecasting(Plan[Panel, Windows, ForecastSchema]):
    """Series: a network forecasts their next steps.

    They are cut in their order: the first part trains, the second chooses the best weights, the
    report is on the last. No target of a part, and no statistic, comes from a later one.
    """

    kind, task, unit = "series", "forecast", "windows"
    options: SeriesOptions

    def read(self, source: Any) -> Panel:
        """The series of a table."""
        options = self.options
        columns = Columns(options.target, options.time, options.series, options.known,
                          options.features, options.drop, options.kinds)  # fmt: skip
        self._name = source_name(source)
        panel = read_series(source, columns, say=self.say)
        if rest := sum(len(series.ahead) for series in panel.series):
            self.say(f"left out: {counted(rest, 'step')} after the last known {options.target}")
        return panel

    def split(self, data: Panel) -> Split[Windows]:
        """By time."""
        held = self.options.validation or 0.1
        if isinstance(self.options.test, str):
            later = self._later(data)
            data, begins = with_later(data, later)
            counts = np.array([len(series.values) for series in data.series])
            kept = (begins * (1 - held)).astype(int)
            return self._split(data, np.stack([kept, begins, counts], axis=1))
        last = self.options.test or 0.2
        if held + last >= 1:
            raise ConfigError("Nothing is left to train on.", expected="less than 1 in all",
                              found=f"validation={held}, test={last}")  # fmt: skip
        return self._split(data, ends_of(data, (1 - held - last, 1 - last, 1.0)))

    def folds(self, data: Panel, count: int) -> list[Split[Windows]]:
        """Origins one after another: each fold learns all before, and is tested on what follows.

        The test parts are of one length, and make up the last half of the steps.
        """
        held, splits = self.options.validation or 0.1, []
        for number in range(count):
            begin, end = (0.5 + 0.5 * (number + step) / count for step in (0, 1))
            splits.append(self._split(data, ends_of(data, (begin * (1 - held), begin, end))))
        whole = ends_of(data, (1 - held, 1.0, 1.0))
        return [*splits, self._split(data, whole, tested=False)]

    def _later(self, data: Panel) -> Panel:
        options = self.options
        rest = data.columns[1 : len(data.columns) - data.known]
        written = dict(zip(data.columns, data.written, strict=True))
        columns = Columns(options.target, data.time, data.item, options.known, rest, (),
                          options.kinds, written)  # fmt: skip
        return read_series(options.test, columns, calendar=data.calendar, say=self.say)

    def _split(self, data: Panel, ends: Array, tested: bool = True) -> Split[Windows]:
        options = self.options
        season = options.season or season_of_all(data, ends)
        steps = int(np.median(ends[ends[:, 0] > 0, 0])) if (ends[:, 0] > 0).any() else 0
        shape, cycles = _shape(options, data, steps, season)
        cut = Cut(data, ends, season, shape, cycles)
        train, validation, test = (cut.part(number) for number in range(3))
        _check(cut, (train, validation, test), self._name, tested)
        short = [s for s, end in zip(data.series, ends[:, 0], strict=True)
                 if end < shape.window + shape.horizon]  # fmt: skip
        if short:
            self.say(f"too short to learn from, as a window has {shape.window} steps and "
                     f"{shape.horizon} follow: {named(short)}")  # fmt: skip
        return Split(train, validation, test if tested else None)

    def understand(self, split: Split[Windows]) -> ForecastSchema:
        """The statistics of the training part."""
        cut = split.train.cut
        panel, scaler, scales = cut.panel, cut.scaler, cut.scales
        naive = scales.naive
        items: dict[str, Any] = {}
        if cut.several:
            rows = zip(panel.series, scales.center.tolist(), scales.scale.tolist(), naive.tolist(),
                       strict=True)  # fmt: skip
            items = {s.name: (tuple(c), tuple(d), n) for s, c, d, n in rows}
        low, high = seen_range(cut)
        known = naive[np.isfinite(naive)]
        return ForecastSchema(
            panel.columns, panel.time, panel.calendar, cut.season,
            float(known.mean()) if len(known) else float("nan"), cut.shape,
            scaler.log, scaler.floor, panel.item, items, cut.cycles, panel.notation,
            dict(self.options.kinds), self.options.quantiles, low, high, panel.written,
        )  # fmt: skip

    def size(self, data: Panel) -> dict[str, Any]:
        """How many steps, columns and series there are."""
        several = {} if data.item is None else {"series": len(data.series)}
        return {"rows": data.steps, "columns": len(data.columns), **several}

    def build(self, schema: ForecastSchema, split: Split[Windows]) -> Learner:
        """The network of the schema's sizes, on top of the best linear forecast."""
        cut = split.train.cut
        network = schema.shape.build(cut.scaler).initialize(self.options.seed)
        validated, _ = cut.paths
        network.start_from(validated)
        examples = split.train.examples()
        network.scale.bound(examples.change)
        network.scale.know(examples.last)
        self.say(f"it starts from the forecast by {validated.name}")
        tested = "" if split.test is None else f", the last {len(split.test):,} are the test set"
        note = f"the next {len(split.validation):,} choose the best weights{tested}"
        return learner_of(schema, ForecastModel(network, len(schema.quantiles)), note,
                          split.train)  # fmt: skip

    def warm_start(self, schema: ForecastSchema, learner: Learner) -> None:
        """All but the scale: each series has one of its own."""
        warm_start(learner.model, self.options, say=self.say, skip=("scale",))

    def encode(self, schema: ForecastSchema, learner: Learner, part: Windows) -> Arrays:
        """Windows as they are; the network standardises them."""
        return Arrays(part.inputs, part.scaled_target())

    def recipe(self, schema: ForecastSchema, learner: Learner, examples: Encoded) -> Recipe:
        """Rates by network."""
        batch = _BATCH if len(examples) < _MANY else _LARGE_BATCH
        return Recipe.of(
            self.options, len(examples), batch_size=batch, epochs=_EPOCHS, updates=_UPDATES,
            lr=_RATES[schema.shape.model], weight_decay=0.05, clip=1.0,
        ).with_validations()  # fmt: skip

    def average(self, steps: int) -> float:
        """Always the same."""
        return _AVERAGE

    def settle(
        self, schema: ForecastSchema, learner: Learner, validation: Encoded, trainer: Any,
        split: Split[Windows],
    ) -> ForecastSchema:  # fmt: skip
        """How much of what was learned is kept, and what quantiles are, by the validation part.

        The linear forecast then learns the validation part, too: the latest steps say most.
        """
        blending = Blending.of(trainer, split.train, split.validation)
        learner.network.start_from(split.train.cut.paths[1])
        learner.network.keep(blending.kept)
        learner.choice["kept"] = blending.kept
        if schema.quantiles:
            learner.model.offsets.assign(blending.offsets(schema.quantiles))
        kept = "nothing" if blending.kept == 0 else f"{blending.kept:.0%}"
        self.say(f"by the validation part, {kept} of what the network learned besides is kept")
        return schema

    def predict(
        self, schema: ForecastSchema, learner: Learner, trainer: Any, part: Windows
    ) -> Array:
        """Forecasts in the unit of the target, and quantiles besides, if there are such."""
        found = trainer.predict(part.inputs)
        inputs = {name: as_tensor(array) for name, array in part.inputs.items()}
        last = learner.network.scale(inputs)[:, -1, :1]
        return np.asarray(learner.model.finish(inputs, as_tensor(found) - last, last).numpy())

    def about(self, schema: ForecastSchema) -> dict[str, Any]:
        """The season, too."""
        return {"task": "forecast", "target": schema.names[0], "season": schema.season}

    def details(self, learner: Learner) -> dict[str, Any]:
        """The linear forecast that it starts from, and how much was learned besides."""
        return {"forecast": dict(learner.choice)}

    def score(self, schema: ForecastSchema, part: Windows, predicted: Array) -> dict[str, float]:
        """Errors over all known steps; with quantiles, how many targets lie below each."""
        return scores(part.target, predicted, part.naive, schema.quantiles)

    def row_errors(self, schema: ForecastSchema, part: Windows, predicted: Array) -> Array:
        """The mean absolute error of each window; those that overlap count as one."""
        predicted = predicted[..., 0] if predicted.ndim == 3 else predicted
        with np.errstate(invalid="ignore"):
            errors = np.nanmean(np.abs(predicted - part.target), axis=1)
        return np.asarray(errors[:: schema.shape.horizon])

    def baselines(
        self, schema: ForecastSchema, split: Split[Windows], test: Windows
    ) -> dict[str, Array]:
        """Forecasts of no cost, and a linear one."""
        found = {"persistence": persistence(test.past, schema.shape.horizon)}
        if schema.season > 1:
            found["seasonal naive"] = test.earlier(schema.season)
        found["linear"] = _autoregression(split.train, test)
        learned, later = split.train.examples(), test.examples()
        change = best_smoothing(learned, schema.season)(later)
        if not np.allclose(change, 0.0):  # otherwise it is persistence
            found["smoothing"] = _in_units(test, change)
        if waves := split.train.cut.waves(len(learned)):
            found["time of the cycle"] = _in_units(test, climatology(learned, waves[-1])(later))
        return found

    def profile(self, schema: ForecastSchema, split: Split[Windows]) -> list[Section]:
        """The series, with the parts that train, validate and test."""
        return inspection.profile(self, schema, split)

    def answers(self, schema: ForecastSchema, part: Windows, predicted: Array) -> list[Answers]:
        """Every step of every window that is known."""
        return inspection.answers(schema, part, predicted)

    def shown(
        self, picked: Sequence[tuple[Tested, int]], said: Sequence[tuple[str, str]]
    ) -> Sequence[Block]:
        """Windows with what was forecast and what came."""
        return inspection.windows_as_they_are(picked)

    def inside(self, tested: Tested) -> list[Section]:
        """Forecasts over the test part, and the error by step."""
        return inspection.inside(tested)

    def more_tests(self, report: dict[str, Any]) -> str:
        """Several origins, if there is one now."""
        if self.options.cv or isinstance(self.options.test, str):
            return ""
        return "--cv 5 tests from five origins in time."


def learner_of(
    schema: ForecastSchema, model: ForecastModel, note: str = "", train: Windows | None = None
) -> Learner:
    """What is trained of a model that forecasts."""
    start = {} if train is None else {"starts_from": train.cut.paths[0].name}
    example = None if train is None else {n: x[:2] for n, x in train.inputs.items()}
    return Learner(model.network, known_mse, schema.shape.model, model, None, note=note,
                   choice=start, example=example)  # fmt: skip


def seen_range(cut: Cut) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The smallest and largest number of each column in the training part.

    Of several series they are on the scale of each.
    """
    parts = [cut.seen(number) for number in range(len(cut.panel.series))]
    if cut.several:
        scales = cut.scales
        parts = [cut.scaler.standardised(p[None], scales.center[i : i + 1],
                                         scales.scale[i : i + 1])[0]
                 for i, p in enumerate(parts)]  # fmt: skip
    every = np.concatenate(parts)
    filled = (np.where(np.isnan(every), fill, every) for fill in (np.inf, -np.inf))
    low, high = next(filled).min(axis=0), next(filled).max(axis=0)
    return (tuple(map(float, np.where(np.isfinite(low), low, 0.0))),
            tuple(map(float, np.where(np.isfinite(high), high, 0.0))))  # fmt: skip


def _shape(
    options: SeriesOptions, panel: Panel, steps: int, season: int
) -> tuple[ForecastShape, tuple[Cycle, ...]]:
    """What suits the length of the series."""
    horizon = options.horizon or 1
    long = season > _LONG_SEASON and panel.calendar is not None
    usual = max(2 * horizon, 24) if long else max(2 * season, 2 * horizon, 24)
    window = options.window or max(min(usual, steps // 4), 1 if long else season, 2)
    cycles = cycles_of(options.calendar, panel.calendar, season, window, steps)
    model = options.model or ("linear" if int(steps) < _ENOUGH and panel.item is None else "tcn")
    if panel.item is not None and options.model is None:
        model = "linear" if steps * len(panel.series) < _ENOUGH else "tcn"
    hidden = _HIDDEN[model] if options.hidden is None else options.hidden
    dropout = 0.1 if options.dropout is None else options.dropout
    features = panel.known + sum(cycle.width for cycle in cycles)
    shape = ForecastShape(model, window, horizon, len(panel.columns), hidden, dropout, features,
                          panel.known)  # fmt: skip
    return shape, cycles


def _check(cut: Cut, parts: tuple[Windows, Windows, Windows], name: str, tested: bool) -> None:
    """Refuse series that are too short, or never change."""
    shape, panel = cut.shape, cut.panel
    train = [series.target[:end] for series, end in zip(panel.series, cut.ends[:, 0], strict=True)]
    enough = len(parts[0]) >= _FEWEST and len(parts[1]) and (len(parts[2]) or not tested)
    if not enough:
        counts = np.diff(np.concatenate([np.zeros((len(cut.ends), 1), int), cut.ends], axis=1))
        trained, validated, held_out = counts.sum(axis=0).tolist()
        several = f" in {len(panel.series):,} series" if cut.several else ""
        raise DataError(
            "The series is too short." if not cut.several else "The series are too short.",
            where=name,
            expected=f"enough steps to train on windows of {shape.window} and the {shape.horizon} "
            "that follow, and as many for validation and for the test",
            found=f"{trained + validated + held_out:,} steps{several}: {trained:,} train, "
            f"{validated:,} validate, {held_out:,} test",
            hint="Give more steps, or a smaller --window or --horizon.",
        )
    known = [part[~np.isnan(part)] for part in train]
    if all(len(np.unique(part)) < 2 for part in known):
        value = next(part[0] for part in known if len(part))
        raise DataError(
            "The series is constant in the training part.",
            where=f"{name}, column {panel.columns[0]!r}",
            expected="numbers that change",
            found=f"{value:g} in all {sum(map(len, known)):,} steps",
            hint="There is nothing to learn: the forecast is the last value.",
        )
    for part in known:
        if len(np.unique(part)) > 1:
            check_size(part, f"{name}, column {panel.columns[0]!r}")


def _autoregression(train: Windows, later: Windows) -> Array:
    """Ridge regression of each step on the standardised window and on what is known of the step."""
    columns, parts = [], [part.examples() for part in (train, later)]
    x, z = (np.concatenate([p.past.reshape(len(p), -1), p.last[:, None]], axis=1) for p in parts)
    for step in range(train.cut.shape.horizon):
        target = parts[0].change[:, step]
        known = ~np.isnan(target)
        both = [np.concatenate([w, p.future[:, step]], axis=1)
                for w, p in zip((x, z), parts, strict=True)]  # fmt: skip
        columns.append(linear_predictions(both[0][known], target[known], both[1], 0))
    return _in_units(later, np.stack(columns, axis=1))


def _in_units(windows: Windows, change: Array) -> Array:
    """Standardised changes from the last value, in the unit of the target."""
    inputs = {name: as_tensor(array) for name, array in windows.inputs.items()}
    last = as_tensor(windows.examples().last[:, None])
    return np.asarray(windows.cut.scaler.inverse(inputs, as_tensor(change), last).numpy())
