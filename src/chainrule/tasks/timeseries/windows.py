"""Series cut into parts in time, the statistics of the first, and the windows of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...engine.tensor import as_tensor
from ...utils.typing import Array
from ..scaling import log_is_better
from .choice import choose, origins
from .climatology import with_climatology
from .cycles import Cycle, calendar_features, steps_of, whole_cycle
from .forecast_network import ForecastShape, SeriesScaler, statistics
from .measures import naive_scale, season_of
from .paths import Examples, Path
from .reading import Panel, Series, fill_forward

#: More windows than these are thinned out evenly.
_MOST = 100_000
#: Windows of more numbers, or more numbers in all, are not compared at several origins.
_NARROW, _MANY = 400, 300_000
#: So many of the longest series say what season all have.
_ASKED = 20


@dataclass(frozen=True, eq=False)
class Scales:
    """What each series is measured by.

    Attributes:
        center: (series, columns) mean in the training part, after logarithms.
        scale: (series, columns) standard deviation.
        naive: (series,) the mean error of the seasonal naive forecast, for MASE.
    """

    center: Array
    scale: Array
    naive: Array


@dataclass(frozen=True, eq=False)
class Cut:
    """Series, where the parts of each end, and the sizes that suit them.

    Attributes:
        panel: the series.
        ends: (series, 3) where training, validation and test part of each end.
        season: steps of a season; 1 for none.
        shape: of the network.
        cycles: what is known of each time.
        told: the scale of a saved model, and those of the series.
    """

    panel: Panel
    ends: Array
    season: int
    shape: ForecastShape
    cycles: tuple[Cycle, ...] = ()
    told: tuple[SeriesScaler, Scales] | None = None

    @property
    def several(self) -> bool:
        """Whether there are several series, each with a scale of its own."""
        return self.panel.item is not None

    def seen(self, number: int) -> Array:
        """The training part of a series; of one that begins later, its first window."""
        series, end = self.panel.series[number], int(self.ends[number, 0])
        return series.values[: end if end > 1 else self.shape.window]

    @cached_property
    def scaler(self) -> SeriesScaler:
        """The scale of the training part."""
        if self.told is not None:
            return self.told[0]
        columns, known = len(self.panel.columns), self.panel.known
        parts = [self.seen(number) for number in range(len(self.panel.series))]
        if not self.several:
            scaler = SeriesScaler(columns).fit(parts[0])
            if known:
                scaler.log = (*scaler.log[: columns - known], *(False,) * known)
                scaler.refit(parts[0])
            return scaler
        log = tuple(
            i < columns - known
            and float(np.mean([log_is_better(part[:, i]) for part in parts])) >= 0.5
            and all(np.nanmin(part[:, i], initial=np.inf) > 0 for part in parts)
            for i in range(columns)
        )
        floor = [np.nanmin([np.nanmin(part[:, i], initial=np.inf) for part in parts])
                 for i in range(columns)]  # fmt: skip
        return SeriesScaler(columns, log, tuple(float(f) if np.isfinite(f) else 0.0
                                                for f in floor))  # fmt: skip

    @cached_property
    def scales(self) -> Scales:
        """Center and scale of each series, and what its MASE is measured by."""
        if self.told is not None:
            return self.told[1]
        parts = [self.seen(number) for number in range(len(self.panel.series))]
        found = [statistics(self.scaler.logged(part)) for part in parts]
        center, scale = (np.stack([pair[i] for pair in found]) for i in (0, 1))
        naive = [naive_scale(p[:, 0], min(self.season, len(p) - 1)) if len(p) > 1 else np.nan
                 for p in parts]  # fmt: skip
        return Scales(center, usable_scale(scale), np.array(naive))

    def part(self, number: int) -> Windows:
        """The windows whose targets all lie in one part: 0 trains, 1 validates, 2 tests.

        The past of a window may reach back into an earlier part: it is known when one forecasts.
        """
        window, horizon = self.shape.window, self.shape.horizon
        items, origins = [], []
        for item, series in enumerate(self.panel.series):
            start = int(self.ends[item, number - 1]) if number else 0
            end = int(self.ends[item, number])
            own = np.arange(max(start, window), end - horizon + 1)
            own = own[_any_known(series.target, own, horizon)]
            items.append(np.full(len(own), item))
            origins.append(own)
        found = Windows(self, np.concatenate(items), np.concatenate(origins).astype(int))
        if number == 0 and len(found) > _MOST:
            kept = np.unique(np.linspace(0, len(found) - 1, _MOST).astype(int))
            return Windows(self, found.item[kept], found.origin[kept])
        return found

    @property
    def paths(self) -> tuple[Path, Path]:
        """The linear forecast to start from, as validated, and with the validation part learned.

        See `chainrule.tasks.timeseries.choice.choose` and `with_climatology`.
        """
        return self._chosen[:2]

    @property
    def follows_cycle(self) -> bool:
        """Whether it is one of the time of a cycle that windows do not see."""
        return self._chosen[2]

    @cached_property
    def _chosen(self) -> tuple[Path, Path, bool]:
        train, validation = self.part(0).examples(), self.part(1).examples()
        both = Examples.joined([train, validation])
        # Windows of several series are in no common order, and many tell enough at the end.
        by_end = self.several or train.past[0].size > _NARROW or both.past.size > _MANY
        folds = [(train, validation)] if by_end else origins(both)
        fit, simple = choose(both, folds, self.season, self.shape.features - self.panel.known)
        waves, mixed = self.waves(len(both)), None
        if waves and train.past[0].size <= _NARROW:
            mixed = with_climatology(origins(both), simple, fit, waves)
        fit = mixed or fit
        return fit(train), fit(both), mixed is not None

    def waves(self, count: int) -> list[Array]:
        """Of the longest cycle that windows do not see: which features are one wave, two, ….

        It must come twice in so many windows of one series.
        """
        if self.several or self.shape.horizon < 2 or self.panel.calendar is None:
            return []
        place, found, longest = self.panel.known, list[Array](), float(self.shape.window)
        for cycle in self.cycles:
            steps = steps_of(cycle, self.panel.calendar)
            if steps is not None and longest < steps <= count / 2:
                longest = steps
                one = np.arange(place, place + cycle.waves)
                found = [np.concatenate([one[:waves], one[:waves] + cycle.waves])
                         for waves in range(1, cycle.waves + 1)]  # fmt: skip
            place += cycle.width
        return found


def usable_scale(scale: Array) -> Array:
    """Scales (series, columns), where a column of a series never changes those of the others.

    Example:
        >>> usable_scale(np.array([[2.0], [0.0], [4.0]])).ravel().tolist()
        [2.0, 3.0, 4.0]
    """
    scale = scale.copy()
    for column in scale.T:
        changing = column[column > 0]
        column[column <= 0] = np.median(changing) if len(changing) else 1.0
    return scale


def _any_known(target: Array, origins: Array, horizon: int) -> Array:
    known = np.concatenate([[0], np.cumsum(~np.isnan(target))])
    return np.asarray(known[origins + horizon] > known[origins])


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of series, and what follows each.

    Attributes:
        cut: the series.
        item: (rows,) the series of each.
        origin: (rows,) its first step that is forecast.
    """

    cut: Cut
    item: Array
    origin: Array

    def __len__(self) -> int:
        return len(self.item)

    @cached_property
    def target(self) -> Array:
        """(rows, horizon) what follows; NaN where nothing is known."""
        return self._gathered([s.target for s in self.cut.panel.series],
                              np.arange(self.cut.shape.horizon))  # fmt: skip

    @cached_property
    def past(self) -> Array:
        """(rows, window, columns) what is looked at."""
        filled = [series.filled() for series in self.cut.panel.series]
        return self._gathered(filled, np.arange(-self.cut.shape.window, 0))

    @property
    def naive(self) -> Array:
        """(rows,) what MASE is measured by."""
        return self.cut.scales.naive[self.item]

    @cached_property
    def inputs(self) -> dict[str, Array]:
        """What the network takes."""
        cut = self.cut
        found = {"past": self.past}
        if cut.shape.features:
            rows = [future_features(cut.panel, series, cut.cycles) for series in cut.panel.series]
            found["future"] = self._gathered(rows, np.arange(cut.shape.horizon))
        if cut.several:
            found["center"] = cut.scales.center[self.item]
            found["scale"] = cut.scales.scale[self.item]
        return found

    def scaled_target(self) -> Array:
        """What the network is trained on, float32."""
        inputs = self.inputs
        return self.cut.scaler.transform(self.target, inputs.get("center"), inputs.get("scale"))

    def examples(self) -> Examples:
        """The windows as closed forms take them."""
        scaler, inputs = self.cut.scaler, self.inputs
        tensors = {name: as_tensor(array) for name, array in inputs.items()}
        z = scaler(tensors).numpy().astype(float)
        last = z[:, -1, 0].copy()
        z[:, :, 0] -= last[:, None]
        future = np.zeros((len(self), self.cut.shape.horizon, 0))
        if self.cut.shape.features:
            future = scaler.ahead(tensors, self.cut.panel.known).numpy().astype(float)
        level = np.clip(last, scaler.low.item(), scaler.high.item())
        change = self.scaled_target().astype(float) - last[:, None]
        return Examples(z, last, future, change, level)

    def earlier(self, steps: int) -> Array:
        """(rows, horizon) the target so many steps before; a whole season ago at least."""
        filled = [fill_forward(s.values[:, :1])[:, 0] for s in self.cut.panel.series]
        ahead = np.arange(self.cut.shape.horizon) % steps - steps
        return self._gathered(filled, ahead, lowest=0)

    def _gathered(self, arrays: Sequence[Array], ahead: Array, lowest: int | None = None) -> Array:
        """Elements of the array of each row's series, so many steps from its origin."""
        joined = np.concatenate(arrays)
        starts = np.cumsum([0, *map(len, arrays)])[self.item]
        places = self.origin[:, None] + ahead
        if lowest is not None:
            places = np.maximum(places, lowest)
        return joined[starts[:, None] + places]


def future_features(
    panel: Panel, series: Series, cycles: tuple[Cycle, ...], ahead: int = 0
) -> Array:
    """What is known of each step of a series, and of so many that follow.

    Returns:
        (steps + ahead, features): columns that are known in advance, then the calendar.
    """
    moments = panel.moments(series)
    known = fill_forward(series.values[:, series.values.shape[1] - panel.known :])
    if ahead and panel.calendar is not None:
        later = panel.calendar.moments(series.last, np.arange(1, ahead + 1))
        moments = np.concatenate([moments, later])
    elif ahead:
        moments = np.concatenate([moments, series.last + np.arange(1, ahead + 1)])
    if ahead:
        known = fill_forward(np.concatenate([known, series.ahead[:ahead]]))
    features = calendar_features(cycles, panel.calendar, moments, series.zone)
    return np.concatenate([known, features[: len(known)]], axis=1) if panel.known else features


# ---- cutting -------------------------------------------------------------------------------------


def ends_of(panel: Panel, fractions: Sequence[float]) -> Array:
    """Where the parts of each series end, (series, parts): at fractions of all steps.

    Several series are cut at the same times, so that nothing of a later part is known in an
    earlier one; without times, or if most are of other times, each is cut by itself.

    Example:
        >>> series = Series(np.zeros((10, 1)), np.zeros((0, 0)), 10.0)
        >>> ends_of(Panel((series,), ("y",)), (0.7, 0.8, 1.0)).tolist()
        [[7, 8, 10]]
    """
    counts = [len(series.values) for series in panel.series]
    if panel.calendar is None or len(panel.series) == 1:
        return np.array([[int(count * f + 1e-9) for f in fractions] for count in counts])
    moments = [panel.moments(series) for series in panel.series]
    every = np.sort(np.concatenate(moments))
    first = every[int(len(every) * fractions[0])]
    if np.mean([own[0] <= first <= own[-1] for own in moments]) < 0.5:
        # They are of different times: there is nothing that one could tell of another.
        return np.array([[int(count * f + 1e-9) for f in fractions] for count in counts])
    ends = []
    for own in moments:
        limits = [every[min(int(len(every) * f), len(every) - 1)] for f in fractions]
        ends.append([len(own) if f >= 1 else int(np.searchsorted(own, limit))
                     for f, limit in zip(fractions, limits, strict=True)])  # fmt: skip
    return np.array(ends)


def season_of_all(panel: Panel, ends: Array) -> int:
    """The season of a series; of several, that which most of the longest have, if half of them."""
    order = np.argsort(-ends[:, 0], kind="stable")[:_ASKED]
    found = [season_of(panel.series[i].target[: ends[i, 0]]) for i in order]
    best = max(sorted(set(found)), key=found.count)
    return whole_cycle(best, panel.calendar) if 2 * found.count(best) >= len(found) else 1


def with_later(panel: Panel, later: Panel) -> tuple[Panel, Array]:
    """The series with those of a test file at their ends, and where these begin."""
    after = {series.name: series for series in later.series}
    joined, ends = [], []
    for series in panel.series:
        ends.append(len(series.values))
        if series.name not in after:
            joined.append(series)
            continue
        more = after.pop(series.name)
        values, last = more.values, more.last
        if panel.calendar is not None:
            values = _following(panel, series, more)
        else:
            last = series.last + len(values)
        joined.append(dataclasses.replace(
            more, values=np.concatenate([series.values, values]), last=last
        ))  # fmt: skip
    for series in after.values():  # never seen in the training
        joined.append(series)
        ends.append(0)
    return dataclasses.replace(panel, series=tuple(joined)), np.array(ends)


def _following(panel: Panel, series: Series, more: Series) -> Array:
    """The steps of a later table that follow a series, with those that are missing between."""
    assert panel.calendar is not None
    count = len(more.values)
    both = np.array([series.last, *panel.moments(more)])
    fresh = both[1:] > series.last
    if not fresh.any():
        return more.values[:0]
    first = int(np.argmax(fresh))
    gap = int(panel.calendar.places(np.array([series.last, both[1 + first]]))[-1]) - 1
    empty = np.full((max(gap, 0), more.values.shape[1]), np.nan)
    return np.concatenate([empty, more.values[first:count]])
