"""Forecasts: no leakage, metrics by hand, and series whose continuation is known."""

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, DataError, ModelFileError
from chainrule.tasks import load_predictor, recognise
from chainrule.tasks.timeseries import SeriesOptions, season_of
from chainrule.tasks.timeseries.forecast_network import (
    ForecastShape,
    SeriesScaler,
    known_mse,
    naive_scale,
    persistence,
    scores,
    seasonal,
    windows,
)
from chainrule.tasks.timeseries.forecasting import ForecastSchema, parts_of
from chainrule.tasks.timeseries.reading import Series


def waves(steps=240, noise=0.05, seed=0):
    t = np.arange(steps)
    generator = np.random.default_rng(seed)
    return np.sin(2 * np.pi * t / 12) + 0.02 * t + noise * generator.normal(size=steps)


def monthly(values):
    months = pl.datetime_range(pl.datetime(2000, 1, 1), pl.datetime(2040, 1, 1), "1mo", eager=True)
    return pl.DataFrame({"month": months[: len(values)].cast(pl.Date), "sold": values})


def trained(source, **options):
    options = {"target": "sold", "epochs": 15, "backend": "numpy", "model": "linear", **options}
    return cr.series.train(source, SeriesOptions(**options), progress=False)


# ---- parts ---------------------------------------------------------------------------------------


def test_no_target_is_in_two_parts_and_the_past_is_before_it():
    values = np.arange(100.0)[:, None]
    series = Series(values, ("y",), None, None, 100.0)
    shape = ForecastShape("linear", 8, 3, 1, (), 0.0)
    parts = parts_of(series, (70, 80, 100), shape)
    limits = [(8, 70), (70, 80), (80, 100)]
    for (past, future), (start, end) in zip(parts, limits, strict=True):
        assert future.min() == start
        assert future.max() == end - 1
        np.testing.assert_array_equal(past[:, -1, 0] + 1, future[:, 0])
        np.testing.assert_array_equal(np.diff(past[..., 0], axis=1), 1)


def test_the_statistics_are_those_of_the_training_part():
    values = waves()
    later = values.copy()
    later[200:] = 1000 + 50 * later[200:]
    first, second = (trained(monthly(y), window=12, epochs=3) for y in (values, later))
    state, other = (r._model.network.scale for r in (first, second))
    np.testing.assert_array_equal(state.mean.numpy(), other.mean.numpy())
    np.testing.assert_array_equal(state.std.numpy(), other.std.numpy())
    assert first.history["loss"] == second.history["loss"]


def test_the_scale_and_its_way_back():
    generator = np.random.default_rng(0)
    train = np.stack([np.exp(generator.normal(0, 1, 300)), generator.normal(5, 3, 300)], 1)
    scale = SeriesScaler(2).fit(train)
    assert scale.log == (True, False)
    z = scale(train[None]).numpy()[0]
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(0), 1, rtol=1e-5)
    np.testing.assert_allclose(scale.transform(train[:, 0]), z[:, 0], atol=1e-6)
    np.testing.assert_allclose(scale.inverse(cr.as_tensor(z[:, :1])).numpy()[:, 0], train[:, 0],
                               rtol=1e-5)  # fmt: skip
    assert np.isnan(scale.transform(np.array([np.nan]))).all()


@pytest.mark.parametrize("model", ["linear", "lstm", "tcn"])
def test_before_the_training_a_network_says_the_last_value(model):
    values = waves()[:, None]
    shape = ForecastShape(model, 12, 4, 1, () if model == "linear" else (8,), 0.0)
    network = shape.build(SeriesScaler(values.shape[1]).fit(values)).initialize(0)
    past, _ = windows(values, values, 12, 4)
    found = network.scale.inverse(network(past)).numpy()
    np.testing.assert_allclose(found, persistence(past, 4), atol=1e-5)


def test_unknown_targets_do_not_count():
    prediction = cr.parameter([[1.0, 2.0], [3.0, 4.0]])
    target = np.array([[0.0, np.nan], [np.nan, 1.0]], np.float32)
    loss = known_mse(prediction, target)
    assert loss.item() == pytest.approx((1 + 9) / 2)
    loss.backward()
    np.testing.assert_allclose(prediction.grad.numpy(), [[1.0, 0.0], [0.0, 3.0]])


# ---- baselines and metrics -----------------------------------------------------------------------


@pytest.mark.parametrize("season", [4, 7, 12, 52])
def test_a_season_is_found(season):
    t = np.arange(season * 20)
    noise = np.random.default_rng(season).normal(0, 0.2, len(t))
    values = np.sin(2 * np.pi * t / season) + 0.05 * t + noise
    values[5:8] = np.nan
    assert season_of(values) == season


def test_no_season_is_found_where_there_is_none():
    generator = np.random.default_rng(0)
    assert season_of(generator.normal(size=300)) == 1
    assert season_of(np.cumsum(generator.normal(size=300))) == 1
    assert season_of(np.ones(100)) == 1
    assert season_of(np.arange(5.0)) == 1


def test_metrics_by_hand():
    target = np.array([[1.0, 2.0], [np.nan, 4.0]])
    found = scores(target, np.array([[2.0, 2.0], [7.0, 1.0]]), 2.0)
    assert found["mae"] == pytest.approx(4 / 3)
    assert found["rmse"] == pytest.approx(np.sqrt(10 / 3))
    assert found["mase"] == pytest.approx(2 / 3)
    assert naive_scale(np.array([1.0, 2.0, 4.0, 8.0]), 2) == pytest.approx((3 + 6) / 2)


def test_the_seasonal_forecast_of_a_season_has_no_error():
    values = np.tile([3.0, 1.0, 4.0, 1.0, 5.0], 6)[:, None]
    past, future = windows(values, values, 7, 12)
    np.testing.assert_array_equal(seasonal(past, 12, 5), future)


# ---- the whole way -------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["linear", "lstm", "tcn"])
def test_each_network_beats_what_costs_nothing(model):
    hidden = None if model == "linear" else (8,)
    report = trained(monthly(waves(noise=0.02)), model=model, hidden=hidden, lr=0.01).report
    assert report["season"] == 12
    for name in ("persistence", "seasonal naive"):
        assert report["metrics"]["mae"] < report["baselines"][name]["mae"]
    assert report["rows"]["test"] == 48


def test_it_is_said_when_nothing_beats_the_baselines():
    values = np.cumsum(np.random.default_rng(1).normal(size=300))
    report = trained(monthly(values), epochs=1, lr=0.5).report
    assert report["verdict"].startswith("The network is no better than")


def test_a_forecast_continues_the_series(tmp_path):
    values = waves(noise=0.0)
    result = trained(monthly(values[:200]), horizon=6, epochs=60, lr=0.01)
    result.save(tmp_path / "model.safetensors")
    model = load_predictor(tmp_path / "model.safetensors")
    found = model.predict(monthly(values[:200]))
    assert found["month"].to_list()[:2] == ["2016-09-01", "2016-10-01"]
    np.testing.assert_allclose(found["prediction"].to_numpy(), values[200:206], atol=0.15)
    assert model.evaluate(monthly(values))["mae"] < 0.1
    with pytest.raises(DataError, match="too short for a forecast"):
        model.predict(monthly(values[:5]))


def test_a_test_file_comes_after_the_series(tmp_path):
    values = waves()
    whole = monthly(values)
    whole[200:].write_csv(tmp_path / "later.csv")
    report = trained(whole[:200], test=str(tmp_path / "later.csv")).report
    assert report["rows"]["test"] == 40


def test_other_columns_help(tmp_path):
    generator = np.random.default_rng(0)
    hint = generator.normal(size=300)
    frame = pl.DataFrame({"sold": np.roll(hint, 1), "hint": hint})
    with_it, without = (trained(frame, drop=drop, lr=0.02, epochs=40, window=4).report["metrics"]
                        for drop in ((), ("hint",)))  # fmt: skip
    assert with_it["mae"] < 0.5 * without["mae"]


def test_a_horizon_means_a_series():
    assert recognise("sales.csv", "sold", ["target", "horizon"]) == "series"


@pytest.mark.parametrize(
    ("values", "options", "what"),
    [
        (np.ones(100), {}, "constant"),
        (waves(10), {}, "too short"),
        (waves(100), {"window": 90}, "too short"),
        (waves(100), {"horizon": 40}, "too short"),
    ],
)
def test_series_that_cannot_be_learned(values, options, what):
    with pytest.raises(DataError, match=what):
        trained(monthly(values), **options)


@pytest.mark.parametrize(
    "options",
    [{"horizon": 0}, {"model": "oracle"}, {"balance": True}, {"hidden": (0,)},
     {"group": "id", "horizon": 3}, {"validation": 0.5, "test": 0.6}],
)  # fmt: skip
def test_options_that_make_no_sense(options):
    with pytest.raises(ConfigError):
        trained(monthly(waves()), **options)


def test_a_damaged_description_is_refused():
    with pytest.raises(ModelFileError):
        ForecastSchema.from_json({"kind": "series", "task": "forecast", "columns": 3}, "file")
