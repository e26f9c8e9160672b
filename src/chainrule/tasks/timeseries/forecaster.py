"""A saved model that forecasts, in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import source_name
from ...errors import DataError
from ...serialization import SavedModel
from ...utils.typing import Array
from ..class_extension import restore
from ..examples import Examples, RawRow, check_rows, has_log_target, no_target, said, scaled
from .forecast_network import Forecaster, ForecastModel, SeriesScaler, known_mse, statistics
from .forecasting import ForecastSchema
from .measures import naive_scale, scores
from .reading import Panel, Series, named
from .windows import Cut, Scales, Windows, future_features, usable_scale

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

#: Numbers outside of the training range by less than this fraction of it are not worth a word.
_TOLD = 0.05


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
        """The steps that follow the last known target of each series.

        Args:
            source: a table with the columns of the training: the past, as long as a window at
                least; and, where columns are known in advance, rows of the steps to forecast, in
                which the target is empty.
            proba: has no meaning here.
            say: takes notes.

        Returns:
            A row for each step of the horizon: the series, if there are several, the time, the
            forecast, and its quantiles.

        Raises:
            DataError: a series is too short, or what is known in advance is missing.
        """
        import polars as pl

        name, schema = source_name(source), self.schema
        panel = self._padded(schema.read(source, say), name, say)
        steps = [self._steps_ahead(panel, series, name, say) for series in panel.series]
        inputs = self._inputs(panel, say)
        self._tell_range(panel, inputs, say)
        found = self.run(inputs)
        found = found[..., None] if found.ndim == 2 else found
        self._tell_bound(inputs, found[..., 0], say)
        frames = []
        for series, count, forecast in zip(panel.series, steps, found, strict=True):
            columns: dict[str, Any] = {}
            if schema.item is not None:
                columns[schema.item] = [series.name] * count
            columns[schema.time or "row"] = panel.following(series, count)
            columns["prediction"] = forecast[:count, 0]
            for i, level in enumerate(schema.quantiles):
                columns[f"{schema.names[0]}_{level:g}"] = forecast[:count, 1 + i]
            frames.append(pl.DataFrame(columns))
        return pl.concat(frames)

    def run(self, inputs: dict[str, Array]) -> Array:
        """What the model gives; those of the first version take the windows alone."""
        given: Any = inputs["past"] if self.schema.version < 2 else inputs
        return np.asarray(self.saved.predict(given))

    # ---- inputs ----------------------------------------------------------------------------------

    def _padded(self, panel: Panel, name: str, say: Say) -> Panel:
        """Series that are long enough: of several, the first value stands for steps before it."""
        import dataclasses

        window = self.schema.shape.window
        short = [series for series in panel.series if len(series.values) < window]
        if not short:
            return panel
        if self.schema.item is None:
            raise DataError("The series is too short for a forecast.", where=name,
                            expected=f"{window} steps at least",
                            found=f"{len(short[0].values)}")  # fmt: skip
        say(f"shorter than the {window} steps that are looked at, their first value stands for "
            f"what was before: {named(short)}")  # fmt: skip
        longer = []
        for series in panel.series:
            missing = max(window - len(series.values), 0)
            first = np.repeat(series.filled()[:1], missing, axis=0)
            values = np.concatenate([first, series.values])
            longer.append(dataclasses.replace(series, values=values))
        return dataclasses.replace(panel, series=tuple(longer))

    def _steps_ahead(self, panel: Panel, series: Series, name: str, say: Say) -> int:
        """How many steps can be forecast: as many as are known in advance, if anything is."""
        schema, horizon = self.schema, self.schema.shape.horizon
        of = f" of {series.name}" if series.name else ""
        if not schema.shape.known:
            if len(series.ahead):
                say(f"the forecast{of} starts after the last known {schema.names[0]}, "
                    f"{len(series.ahead):,} steps before the end of the table")  # fmt: skip
            return horizon
        there = np.flatnonzero(~np.isnan(series.ahead[:horizon]).all(axis=1))
        count = int(there[-1]) + 1 if len(there) else 0
        if not count:
            raise DataError(
                "What is known in advance is missing.",
                where=name + (f", series {series.name}" if series.name else ""),
                expected=f"rows after the last known {schema.names[0]} with "
                f"{', '.join(schema.known)}, up to {horizon} of them",
                found="none",
                hint=f"Add rows of the steps to forecast, in which {schema.names[0]} is empty.",
            )
        if count < horizon:
            say(f"{', '.join(schema.known)}{of} known for {count:,} of {horizon:,} steps: only "
                "these are forecast")  # fmt: skip
        if np.isnan(series.ahead[:count]).any():
            say(f"{', '.join(schema.known)}{of} not known of all these steps: the last known value "
                "stands for them")  # fmt: skip
        return count

    def _inputs(self, panel: Panel, say: Say) -> dict[str, Array]:
        """The last window of each series."""
        schema = self.schema
        horizon, window = schema.shape.horizon, schema.shape.window
        found = {"past": np.stack([series.filled()[-window:] for series in panel.series])}
        if schema.shape.features:
            rows = []
            for series in panel.series:
                known = future_features(panel, series, schema.cycles, horizon)
                rows.append(_lengthened(known[len(series.values) :], horizon))
            found["future"] = np.stack(rows)
        if schema.item is not None:
            scales = self.scales(panel, say)
            found["center"], found["scale"] = scales.center, scales.scale
        return found

    def scaler(self) -> SeriesScaler:
        """The scale as NumPy needs it: logarithms and floors."""
        schema, state = self.schema, self.saved.state()
        scaler = SeriesScaler(len(schema.names), schema.log, schema.floor)
        if schema.item is None:
            scaler.mean.assign(state["network.scale.mean"])
            scaler.std.assign(state["network.scale.std"])
        for name in ("low", "high"):
            if (path := f"network.scale.{name}") in state:  # not in old models
                getattr(scaler, name).assign(state[path])
        return scaler

    def scales(self, panel: Panel, say: Say) -> Scales:
        """The scale of each series: that of its training, or of what is known of a new one."""
        schema, scaler = self.schema, self.scaler()
        if schema.item is None:
            ones = np.ones((1, len(schema.names)))
            return Scales(scaler.mean.numpy()[None], scaler.std.numpy()[None] * ones,
                          np.array([schema.naive]))  # fmt: skip
        new = [series for series in panel.series if series.name not in schema.items]
        if new:
            say(f"not seen in the training, each on a scale of its own values: {named(new)}")
        rows: list[tuple[Any, Any, float]] = []
        usual = np.array([scale for _, scale, _ in schema.items.values()])
        for series in panel.series:
            if series.name in schema.items:
                rows.append(schema.items[series.name])
                continue
            center, scale = statistics(scaler.logged(series.values))
            naive = naive_scale(series.target, min(schema.season, len(series.values) - 1))
            rows.append((center, usable_scale(np.stack([scale, *usual]))[0], naive))
        return Scales(*(np.array([row[i] for row in rows]) for i in range(3)))

    # ---- what is said ----------------------------------------------------------------------------

    def _tell_range(self, panel: Panel, inputs: dict[str, Array], say: Say) -> None:
        """Say which columns leave the range of the training part."""
        schema = self.schema
        if not schema.low:
            return
        past = inputs["past"]
        if schema.item is not None:
            past = self.scaler().standardised(past, inputs["center"], inputs["scale"])
        low, high = past.min(axis=1), past.max(axis=1)
        for i, column in enumerate(schema.names):
            margin = _TOLD * (schema.high[i] - schema.low[i])
            outside = np.flatnonzero(
                (low[:, i] < schema.low[i] - margin) | (high[:, i] > schema.high[i] + margin)
            )
            if not len(outside):
                continue
            if schema.item is not None:
                series = [panel.series[j] for j in outside]
                say(f"{column} leaves the range of the training in {named(series)}: forecasts "
                    "there go on from the last values, of which nothing was learned")  # fmt: skip
            else:
                say(f"{column} is from {low[0, i]:g} to {high[0, i]:g} in the window, but was from "
                    f"{schema.low[i]:g} to {schema.high[i]:g} in the training: the forecast goes "
                    "on from the last values, of which nothing was learned")  # fmt: skip

    def _tell_bound(self, inputs: dict[str, Array], found: Array, say: Say) -> None:
        """Say that logarithms were kept from running away."""
        state = self.saved.state()
        if not (self.schema.log and self.schema.log[0]) or "network.scale.fall" not in state:
            return
        scaler = self.scaler()
        center, scale = inputs.get("center"), inputs.get("scale")
        with np.errstate(divide="ignore", invalid="ignore"):
            change = scaler.transform(found, center, scale)
            change = change - scaler.transform(inputs["past"][:, -1:, 0], center, scale)
        fall, rise = (float(state[f"network.scale.{n}"]) for n in ("fall", "rise"))
        near = 1e-4 * max(abs(fall), abs(rise), 1.0)
        if (change <= fall + near).any() or (change >= rise - near).any():
            say("a forecast would move much further from the last value than anything in the "
                "training, and is bounded there")  # fmt: skip

    # ---- evaluation ------------------------------------------------------------------------------

    def _windows(self, source: Any, say: Say) -> Windows:
        """All windows of the series, and what follows them, as far as it is known."""
        schema, shape = self.schema, self.schema.shape
        panel = schema.read(source, say)
        counts = np.array([len(series.values) for series in panel.series])
        ends = np.stack([counts * 0, counts * 0, counts], axis=1)
        told = self.scaler(), self.scales(panel, say)
        found = Cut(panel, ends, schema.season, shape, schema.cycles, told).part(2)
        if not len(found):
            raise DataError(
                "The series is too short to evaluate forecasts.",
                where=source_name(source),
                expected=f"{shape.window + shape.horizon} steps at least",
                found=f"{int(counts.max())}",
            )
        return found

    def evaluate(self, source: Any, *, say: Say = lambda sentence: None) -> dict[str, float]:
        """The metrics of the forecasts from every window of the series."""
        windows = self._windows(source, say)
        predicted = self.run(windows.inputs)
        return scores(windows.target, predicted, windows.naive, self.schema.quantiles)

    def network(self) -> Forecaster:
        """The network, to be explained or trained on."""
        return restored(self.schema, self.saved).network

    def examples(
        self, source: Any, rows: Sequence[int], *, say: Say = lambda sentence: None
    ) -> Examples:
        """Windows of a series by the step that they begin at, with the steps that follow.

        Raises:
            DataError: there is no such window, or nothing is known of what follows it.
        """
        name, names = source_name(source), self.schema.names
        windows = self._windows(source, say)
        check_rows(rows, len(windows), name, "A window is called by its first step, from 0.")
        windows = Windows(windows.cut, windows.item[list(rows)], windows.origin[list(rows)])
        past, future = windows.past, windows.target
        known = ~np.isnan(future)
        if not known.any(axis=1).all():
            raise no_target(name, f"a known {names[0]!r} in the steps after each window")
        found = self.run(windows.inputs)
        found = found[..., 0] if found.ndim == 3 else found
        first = self.schema.version < 2
        place = "x" if first else "x.past"
        raw = tuple(
            RawRow(
                row,
                tuple(
                    {"column": column,
                     "text": f"{past[number, 0, i]:.6g} … {past[number, -1, i]:.6g}",
                     "encoded": f"{past.shape[1]} steps", "input": f"{place}[{number},:,{i}]"}
                    for i, column in enumerate(names)
                ),
                {"column": names[0], "text": said(future[number], ())},
                said(found[number], ()),
                f"The window from step {row}",
            )
            for number, row in enumerate(rows)
        )  # fmt: skip
        loss: Any = "mse" if known.all() else known_mse
        is_log = self.schema.log[0] if self.schema.log else has_log_target(self.saved)
        if first:
            target, story = scaled(self.saved, future, "network.scale", is_log)
            return Examples(past, target, loss, raw, labels={"x": names}, story=story)
        of = "The logarithm of the target" if is_log else "The target"
        story = (f"{of} is standardised with the mean and standard deviation of its series.",)
        return Examples(windows.inputs, windows.scaled_target(), loss, raw, self.network(),
                        labels={place: names}, story=story)  # fmt: skip


def _lengthened(rows: Array, count: int) -> Array:
    """So many rows: the last one again, where there are fewer; their forecasts are left out."""
    missing = count - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing > 0 else rows


def restored(schema: ForecastSchema, saved: SavedModel) -> ForecastModel:
    """A saved model as modules; what has come since its version adds nothing."""
    scaler = SeriesScaler(len(schema.names), schema.log, schema.floor)
    model = ForecastModel(schema.shape.build(scaler), len(schema.quantiles))
    usual = {path: v.numpy() for path, v in model.variables().items() if ".base_" in path}
    usual |= {path: v.numpy() for path, v in model.variables().items()
              if path.endswith((".fall", ".rise", ".low", ".high", ".mean", ".std"))}  # fmt: skip
    known = model.variables().keys()
    state = {path: array for path, array in saved.state().items() if path in known}
    restore(model, usual | state)
    return model
