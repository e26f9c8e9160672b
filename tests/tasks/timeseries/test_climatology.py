"""The time of a long cycle with an anomaly that fades, beside what windows say."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from chainrule.tasks.timeseries import SeriesOptions, train
from chainrule.tasks.timeseries.calendar import Calendar
from chainrule.tasks.timeseries.choice import errors_of, origins
from chainrule.tasks.timeseries.climatology import climatology, with_climatology
from chainrule.tasks.timeseries.cycles import whole_cycle
from chainrule.tasks.timeseries.forecasting import Forecasting
from chainrule.tasks.timeseries.paths import Examples, Path

YEAR = 365.2425


def fading(steps, memory, seed):
    noise = np.random.default_rng(seed).normal(size=steps)
    anomaly = np.zeros(steps)
    for step in range(1, steps):
        anomaly[step] = memory * anomaly[step - 1] + noise[step]
    return anomaly


def temperatures(steps=1100, seed=0):
    return 10 + 6 * np.sin(2 * np.pi * np.arange(steps) / YEAR) + fading(steps, 0.6, seed)


def table(y):
    days = [date(2019, 1, 1) + timedelta(days=day) for day in range(len(y))]
    return pl.DataFrame({"day": days, "y": y})


def examples(y, window=10, horizon=5):
    origins = np.arange(window, len(y) - horizon + 1)
    angle = 2 * np.pi * (origins[:, None] + np.arange(horizon)) / YEAR
    future = np.stack([np.sin(angle), np.cos(angle)], axis=2)
    last = y[origins - 1]
    past = y[origins[:, None] + np.arange(-window, 0)][:, :, None] - last[:, None, None]
    return Examples(past, last, future, y[origins[:, None] + np.arange(horizon)] - last[:, None])


def test_it_is_the_best_forecast_of_a_cycle_with_a_fading_anomaly():
    y = temperatures(4000)
    found = examples(y)
    path = climatology(found, np.arange(2))
    fades = 0.6 ** np.arange(1, 6)
    assert np.allclose(path.level + 1, fades, atol=0.05)
    usual = 10 + 6 * np.sin(2 * np.pi * np.arange(4000) / YEAR)
    origins = np.arange(10, 3996)
    best = usual[origins[:, None] + np.arange(5)] + (y - usual)[origins - 1, None] * fades
    assert np.abs(path(found) + found.last[:, None] - best).mean() < 0.1


def test_unknown_targets_are_left_out():
    found = examples(temperatures())
    change = found.change.copy()
    change[::7, 2] = np.nan
    holes = Examples(found.past, found.last, found.future, change)
    whole, some = (climatology(each, np.arange(2)) for each in (found, holes))
    assert np.allclose(whole.level, some.level, atol=0.02)
    assert np.isfinite(some.bias).all()


def test_each_origin_learns_from_what_comes_before():
    seen = []

    def fit(part):
        seen.append(len(part))
        return Path.persistence(part)

    found = examples(temperatures(215))
    errors = errors_of(fit, origins(found))
    assert seen == [95, 115, 135, 155, 175]  # of 200, with the horizon left out
    assert errors.shape == (101, 5) or errors.shape == (100, 5)
    assert np.allclose(errors, np.abs(found.change[100 : 100 + len(errors)]))


@pytest.mark.parametrize(("y", "kept"), [
    (temperatures(), True), (np.cumsum(np.random.default_rng(1).normal(size=1100)), False),
], ids=["year", "random walk"])  # fmt: skip
def test_it_is_kept_where_it_is_better_at_several_origins(y, kept):
    found = examples(y)
    mixed = with_climatology(origins(found), Path.persistence, Path.persistence, [np.arange(2)])
    assert (mixed is not None) == kept


def trained(y, **options):
    said = []
    options = {"target": "y", "horizon": 7, "epochs": 1, "model": "linear"} | options
    result = train(table(y), SeriesOptions(**options), progress=False, say=said.append)
    return result, said


@pytest.mark.usefixtures("without_compiler")
def test_daily_temperatures_beat_the_day_of_the_year():
    y = temperatures(1100, seed=3)
    result, said = trained(y)
    assert any("the time of the cycle" in sentence for sentence in said)
    begin = int(0.8 * len(y))
    angle = 2 * np.pi * np.arange(len(y)) / YEAR
    waves = np.c_[np.ones(len(y)), np.sin(angle), np.cos(angle)]
    usual = waves @ np.linalg.lstsq(waves[:begin], y[:begin], rcond=None)[0]
    assert result.report["metrics"]["mae"] < np.abs(y - usual)[begin:].mean()
    assert result.report["metrics"]["mae"] < result.report["baselines"]["linear"]["mae"]


@pytest.mark.usefixtures("without_compiler")
def test_a_random_walk_has_no_time_of_the_year():
    _, said = trained(np.cumsum(np.random.default_rng(5).normal(size=1100)))
    assert not any("the time of the cycle" in sentence for sentence in said)


def test_a_season_of_nearly_a_year_is_a_year():
    days = Calendar("seconds", 86400.0)
    assert [whole_cycle(season, days) for season in (342, 371, 365)] == [365, 365, 365]
    assert [whole_cycle(season, days) for season in (7, 14, 30, 182)] == [7, 14, 30, 182]
    assert whole_cycle(342, None) == 342
    assert whole_cycle(52, Calendar("seconds", 7 * 86400.0)) == 52


def test_a_network_that_is_better_in_one_season_must_be_clearly_better(monkeypatch):
    asked = []
    from chainrule.tasks.timeseries import blending

    def better(ours, theirs, horizon, by):
        asked.append(by)
        return False

    monkeypatch.setattr(blending, "clearly_better", better)
    for y in (temperatures(), np.cumsum(np.random.default_rng(5).normal(size=1100))):
        plan = Forecasting(SeriesOptions(target="y", horizon=7), lambda sentence: None)
        split = plan.split(plan.read(table(y)))
        blending.Blending.of(Same(split.train.cut), split.train, split.validation)
    assert asked == [2.0, 1.0]


class Same:
    """A trainer whose network adds nothing to the linear forecast."""

    def __init__(self, cut):
        self.shape = cut.shape

    def predict(self, inputs):
        return np.zeros((len(inputs["past"]), self.shape.horizon))
