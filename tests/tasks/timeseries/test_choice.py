"""Which linear forecast would have been best before, and how two are mixed."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.tasks.timeseries import SeriesOptions, choice, train
from chainrule.tasks.timeseries.choice import choose, origins
from chainrule.tasks.timeseries.forecast_network import ForecastShape, SeriesScaler
from chainrule.tasks.timeseries.forecasting import Forecasting
from chainrule.tasks.timeseries.paths import Examples, Path


def examples(y, window=8, horizon=2):
    y = (y - y.mean()) / y.std()
    starts = np.arange(window, len(y) - horizon + 1)
    last = y[starts - 1]
    past = (y[starts[:, None] + np.arange(-window, 0)] - last[:, None])[:, :, None]
    change = y[starts[:, None] + np.arange(horizon)] - last[:, None]
    return Examples(past, last, np.zeros((len(starts), horizon, 0)), change)


def always(change):
    """What learns to forecast one change, whatever it sees."""

    def fit(part):
        path = Path.persistence(part)
        return Path("always", path.window, path.level, path.bias + change, path.future)

    return fit


@pytest.mark.parametrize(("ours", "theirs", "weight"), [
    (1.0, 1.0, 0.5), (1.0, 1.2, 1 / (1 + 1.2**8)), (1.2, 1.0, 1 / (1 + 1.2**-8)),
    (1.0, 2.0, 0.0), (2.0, 1.0, 1.0),
])  # fmt: skip
def test_weights_go_with_a_power_of_the_errors(ours, theirs, weight):
    still = examples(np.r_[np.zeros(100), 1.0])
    folds = origins(Examples(still.past, still.last, still.future, 0 * still.change))
    found = choice._weight(always(ours), always(-theirs), folds, careful=False)
    assert found == pytest.approx(weight)


def test_the_last_value_is_left_for_what_is_clearly_better_only():
    noise = np.random.default_rng(0).normal(size=(5, 400))
    names = []
    for steps in noise:
        found = examples(np.cumsum(steps))
        names.append(choose(found, origins(found), 1, 0)[0](found).name)
    assert names.count("persistence") >= 4
    found = examples(np.cumsum(np.convolve(noise[0], [1.0, 0.9, 0.8])))
    assert "regression" in choose(found, origins(found), 1, 0)[0](found).name


def test_a_level_that_moves_slowly_is_smoothed_and_waves_are_not():
    generator = np.random.default_rng(1)
    level = 0.1 * np.cumsum(generator.normal(size=300)) + generator.normal(size=300)
    found = examples(level)
    fit, simple = choose(found, origins(found), 1, 0)
    assert simple(found).name == "smoothing"
    assert fit(found).name.startswith("smoothing")
    waves = examples(np.sin(np.arange(300) * 0.7) + np.sin(np.arange(300) * 0.31))
    assert choose(waves, origins(waves), 1, 0)[0](waves).name == "regression"


@pytest.mark.usefixtures("without_compiler")
def test_simple_forecasts_stand_beside_the_network_and_it_is_said_when_they_are_better(monkeypatch):
    monkeypatch.setattr(Forecasting, "settle", lambda self, schema, *rest: schema)
    y = 20 + 8 * np.sin(2 * np.pi * np.arange(1150) / 365.2425)
    y += np.random.default_rng(0).normal(size=1150)
    days = [date(2022, 1, 1) + timedelta(days=day) for day in range(1150)]
    options = SeriesOptions(target="y", horizon=7, epochs=1, model="linear", lr=1.0)
    report = train(pl.DataFrame({"day": days, "y": y}), options, progress=False).report
    errors = {name: metrics["mae"] for name, metrics in report["baselines"].items()}
    assert errors["time of the cycle"] < errors["smoothing"] < errors["persistence"]
    assert errors["time of the cycle"] < 0.95  # E|noise| is 0.8
    assert "is better than the network" in report["verdict"]


def test_a_level_that_was_never_seen_is_not_pulled_back_to_the_mean():
    scale = SeriesScaler(1)
    scale.know(np.array([-1.0, 0.2, 1.0]))
    network = ForecastShape("linear", 3, 2, 1, (), 0.0).build(scale).initialize(0)
    zeros = np.zeros(2)
    network.start_from(Path("back to 0", np.zeros((3, 2)), zeros - 1, zeros, np.zeros((2, 0))))
    past = np.array([0.5, -1.5, 200.0, -30.0])[:, None, None] * np.ones((4, 3, 1))
    found = network({"past": cr.tensor(past)}).numpy()
    np.testing.assert_allclose(found, [[0.0] * 2, [0.0] * 2, [198.0] * 2, [-28.0] * 2], atol=1e-4)
