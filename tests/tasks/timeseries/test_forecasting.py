"""Forecasts: no leakage, metrics by hand, and series whose continuation is known."""

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, DataError, ModelFileError
from chainrule.tasks import load_predictor, recognise
from chainrule.tasks.timeseries import Calendar, SeriesOptions, season_of
from chainrule.tasks.timeseries.cycles import calendar_features, cycles_of
from chainrule.tasks.timeseries.forecast_network import ForecastShape, SeriesScaler, known_mse
from chainrule.tasks.timeseries.forecasting import Forecasting, ForecastSchema
from chainrule.tasks.timeseries.measures import naive_scale, persistence, scores
from chainrule.tasks.timeseries.reading import Panel, Series
from chainrule.tasks.timeseries.windows import Cut
from chainrule.tasks.update import update


def waves(steps=240, noise=0.05, seed=0):
    t = np.arange(steps)
    generator = np.random.default_rng(seed)
    return np.sin(2 * np.pi * t / 12) + 0.02 * t + noise * generator.normal(size=steps)


def monthly(values):
    months = pl.datetime_range(pl.datetime(2000, 1, 1), pl.datetime(2040, 1, 1), "1mo", eager=True)
    return pl.DataFrame({"month": months[: len(values)].cast(pl.Date), "sold": values})


def one_series(values, ends, shape, season=1):
    series = Series(values[:, None], np.zeros((0, 0)), float(len(values)))
    return Cut(Panel((series,), ("y",)), np.array([ends]), season, shape)


def trained(source, **options):
    options = {"target": "sold", "epochs": 15, "backend": "numpy", "model": "linear", **options}
    return cr.series.train(source, SeriesOptions(**options), progress=False)


# ---- parts ---------------------------------------------------------------------------------------


def test_no_target_is_in_two_parts_and_the_past_is_before_it():
    cut = one_series(np.arange(100.0), (70, 80, 100), ForecastShape("linear", 8, 3, 1, (), 0.0))
    limits = [(8, 70), (70, 80), (80, 100)]
    for number, (start, end) in enumerate(limits):
        past, future = cut.part(number).past, cut.part(number).target
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
    z = scale({"past": cr.as_tensor(train[None])}).numpy()[0]
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(0), 1, rtol=1e-5)
    np.testing.assert_allclose(scale.transform(train[:, 0]), z[:, 0], atol=1e-6)
    last, change = cr.as_tensor(z[:, :1]), cr.as_tensor(z[:, :1] * 0)
    np.testing.assert_allclose(scale.inverse({}, change, last).numpy()[:, 0], train[:, 0],
                               rtol=1e-5)  # fmt: skip
    assert np.isnan(scale.transform(np.array([np.nan]))).all()


@pytest.mark.parametrize("model", ["linear", "lstm", "tcn"])
@pytest.mark.parametrize("features", [0, 2])
def test_before_the_training_a_network_says_the_last_value(model, features):
    values = waves()
    shape = ForecastShape(model, 12, 4, 1, () if model == "linear" else (8,), 0.0, features)
    past = one_series(values, (100, 100, 100), shape).part(0).past
    network = shape.build(SeriesScaler(1).fit(values[:, None])).initialize(0)
    inputs = {"past": cr.as_tensor(past)}
    if features:
        inputs["future"] = cr.as_tensor(np.ones((len(past), 4, features)))
    change, last = network.change(inputs)
    found = network.scale.inverse(inputs, change, last).numpy()
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
    shape = ForecastShape("linear", 3, 12, 1, (), 0.0)
    windows = one_series(np.tile([3.0, 1.0, 4.0, 1.0, 5.0], 6), (30, 30, 30), shape, 5).part(0)
    later = windows.origin >= 5
    np.testing.assert_array_equal(windows.earlier(5)[later], windows.target[later])


# ---- the whole way -------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["linear", "lstm", "tcn"])
def test_each_network_beats_what_costs_nothing(model):
    hidden = None if model == "linear" else (8,)
    report = trained(monthly(waves(noise=0.02)), model=model, hidden=hidden, lr=0.01).report
    assert report["season"] == 12
    for name in ("persistence", "seasonal naive"):
        assert report["metrics"]["mae"] < report["baselines"][name]["mae"]
    assert report["rows"]["test"] == 48


def test_a_random_walk_is_forecast_as_the_last_value_and_it_is_said():
    values = np.cumsum(np.random.default_rng(3).normal(size=300))
    report = trained(monthly(values), epochs=1, lr=0.5).report
    assert report["forecast"] == {"starts_from": "persistence", "kept": 0.0}
    assert report["metrics"]["mae"] == pytest.approx(report["baselines"]["persistence"]["mae"])
    assert "The persistence baseline is as good as the network" in report["verdict"]


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
        (waves(100) * 1e300, {}, "too large"),
        (waves(100) * 1e-300, {}, "too small"),
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


# ---- several series, what is known in advance, quantiles, origins --------------------------------


def shops(count=6, steps=80, seed=0):
    """Shops whose sales follow the same law on scales of their own, with gaps and other lengths."""
    generator = np.random.default_rng(seed)
    frames = []
    for number in range(count):
        size, promo = 10.0 ** (number % 4), generator.integers(0, 2, steps).astype(float)
        t = np.arange(steps)
        sold = size * (10 + 3 * np.sin(2 * np.pi * t / 7) + 4 * promo)
        sold += size * 0.1 * generator.normal(size=steps)
        days = pl.date_range(pl.date(2024, 1, 1), pl.date(2026, 1, 1), eager=True)[:steps]
        frame = pl.DataFrame({"shop": [f"s{number}"] * steps, "day": days, "promo": promo,
                              "sold": sold})  # fmt: skip
        frames.append(frame[number * 3 :].filter(pl.Series(np.arange(steps - number * 3) != 9)))
    return pl.concat(frames)


def test_one_model_of_many_series(tmp_path):
    frame, notes = shops(), []
    options = SeriesOptions(target="sold", series="shop", known=("promo",), horizon=3, model="tcn",
                            hidden=(4,), epochs=2, backend="numpy")  # fmt: skip
    result = cr.series.train(frame, options, progress=False)
    assert result.report["data"]["series"] == 6
    assert result.report["metrics"]["mase"] < 0.3
    assert result.report["metrics"]["mae"] < 0.5 * result.report["baselines"]["persistence"]["mae"]
    result.save(tmp_path / "model.safetensors")
    model = load_predictor(tmp_path / "model.safetensors")
    # A shop that was never seen, on a scale of its own, and one that is short.
    other = shops(8, seed=1).filter(pl.col("shop").is_in(["s3", "s7"]))
    other = other.with_columns(
        shop=pl.col("shop").replace({"s7": "new"}),
        sold=pl.when(pl.int_range(pl.len()).over("shop", order_by="day", descending=True) < 3)
        .then(None).otherwise(pl.col("sold")),
    )  # fmt: skip
    truth = shops(8, seed=1).filter(pl.col("shop").is_in(["s3", "s7"]))
    truth = truth.group_by("shop", maintain_order=True).tail(3)["sold"].to_numpy()
    found = model.predict(other, say=notes.append)
    assert found.columns == ["shop", "day", "prediction"]
    assert found["shop"].to_list() == ["s3"] * 3 + ["new"] * 3
    np.testing.assert_allclose(found["prediction"].to_numpy(), truth, rtol=0.1)
    assert any("new" in note and "scale of its own" in note for note in notes)
    short = model.predict(other.filter(pl.col("shop") == "new").tail(8), say=notes.append)
    assert np.isfinite(short["prediction"].to_numpy()).all()
    assert any("shorter than" in note for note in notes)
    with pytest.raises(DataError, match="known in advance is missing"):
        model.predict(frame)


def test_a_forecast_of_one_series_does_not_depend_on_the_others(tmp_path):
    result = trained(shops().drop("promo"), series="shop", horizon=2, epochs=2)
    result.save(tmp_path / "model.safetensors")
    model = load_predictor(tmp_path / "model.safetensors")
    frame = shops().drop("promo")
    every = model.predict(frame).filter(pl.col("shop") == "s2")
    np.testing.assert_allclose(
        every["prediction"].to_numpy(),
        model.predict(frame.filter(pl.col("shop") == "s2"))["prediction"].to_numpy(),
        rtol=1e-12,
    )


def test_forecasts_start_after_the_last_known_target(tmp_path):
    values = waves(noise=0.0)
    result = trained(monthly(values[:200]), horizon=6, epochs=2)
    result.save(tmp_path / "model.safetensors")
    model, notes = load_predictor(tmp_path / "model.safetensors"), []
    frame = monthly(values).with_columns(
        sold=pl.when(pl.int_range(pl.len()) < 210).then(pl.col("sold"))
    )
    found = model.predict(frame, say=notes.append)
    assert found["month"][0] == "2017-07-01"
    assert any("starts after the last known sold" in note for note in notes)


def test_forecasts_go_on_where_a_trend_leaves_the_training_range(tmp_path):
    line = np.arange(400.0) + np.sin(np.arange(400.0))
    result = trained(monthly(line[:200]), horizon=3, epochs=2)
    result.save(tmp_path / "model.safetensors")
    model, notes = load_predictor(tmp_path / "model.safetensors"), []
    later = {"month": monthly(line[:200])["month"], "sold": 1e4 + line[:200]}
    found = model.predict(later, say=notes.append)["prediction"].to_numpy()
    np.testing.assert_allclose(found, 1e4 + line[200:203], atol=2)
    assert any("was from" in note and "in the training" in note for note in notes)


def test_quantiles_cover_what_they_say(tmp_path):
    noise = np.random.default_rng(0).normal(size=900)
    days = pl.date_range(pl.date(2000, 1, 1), pl.date(2005, 1, 1), eager=True)[:900]
    frame = {"day": days, "sold": np.sin(np.arange(900) * 2 * np.pi / 7) + 0.5 * noise}
    result = trained(frame, quantiles=(0.1, 0.5, 0.9), horizon=2, epochs=2)
    assert result.report["metrics"]["coverage_0.1_0.9"] == pytest.approx(0.8, abs=0.08)
    result.save(tmp_path / "model.safetensors")
    found = load_predictor(tmp_path / "model.safetensors").predict(frame)
    assert found.columns == ["day", "prediction", "sold_0.1", "sold_0.5", "sold_0.9"]
    width = (found["sold_0.9"] - found["sold_0.1"]).to_numpy()
    np.testing.assert_allclose(width, 2 * 1.2816 * 0.5, rtol=0.25)


def test_several_origins_are_one_after_another():
    result = trained(monthly(waves()), cv=3, horizon=2, epochs=2)
    assert result.report["cv"]["folds"] == 3
    assert len(result.report["cv"]["metrics"]) == 3
    plan = Forecasting(SeriesOptions(target="sold", cv=3))
    splits = plan.folds(plan.read(monthly(waves())), 3)
    ends = [split.train.cut.ends[0] for split in splits]
    assert [end[1] for end in ends] == [120, 160, 200, 240]
    assert [end[2] for end in ends] == [160, 200, 240, 240]
    assert splits[-1].test is None


def test_a_year_of_days_is_known_by_the_calendar():
    generator = np.random.default_rng(0)
    days = np.arange(3 * 365)
    weather = np.zeros(len(days))
    for day in days[1:]:
        weather[day] = 0.7 * weather[day - 1] + generator.normal()
    dates = pl.date_range(pl.date(2020, 1, 1), pl.date(2023, 6, 1), eager=True)[: len(days)]
    warm = 10 + 12 * np.sin(2 * np.pi * (days - 100) / 365.25) + 2 * weather
    report = trained({"day": dates, "sold": warm}, horizon=7, epochs=1).report
    # The best there is: the mean of the day, with an anomaly that fades by 0.7 a day.
    variance = [4 / (1 - 0.49) * (1 - 0.49**ahead) for ahead in range(1, 8)]
    possible = np.sqrt(2 / np.pi) * np.mean(np.sqrt(variance))
    assert report["metrics"]["mae"] < 1.15 * possible
    without = trained({"day": dates, "sold": warm}, horizon=7, epochs=1, calendar=("none",)).report
    assert report["metrics"]["mae"] < without["metrics"]["mae"]


def test_holidays_are_known_in_advance():
    days = pl.date_range(pl.date(2018, 1, 1), pl.date(2021, 12, 31), eager=True)
    closed = np.array([d.month == 12 and d.day == 25 for d in days])
    cycles = cycles_of(("holidays:DE",), Calendar("seconds", 86_400.0, True), 1, 24, 1000)
    moments = days.cast(pl.Datetime("ms")).to_numpy().astype("datetime64[s]").astype(float)
    found = calendar_features(cycles, Calendar("seconds", 86_400.0, True), moments, 0.0)
    assert found[closed, 0].all()
    assert 30 < found[:, 0].sum() < 60
    with pytest.raises(ConfigError, match="not known"):
        cycles_of(("holidays:ATLANTIS",), Calendar("seconds", 86_400.0, True), 1, 24, 1000)
    with pytest.raises(ConfigError, match="no hour"):
        cycles_of(("hour",), Calendar("seconds", 86_400.0, True), 1, 24, 1000)


def test_a_model_of_many_series_can_be_updated(tmp_path):
    frame = shops().drop("promo")
    result = trained(frame, series="shop", horizon=2, epochs=2)
    result.save(tmp_path / "model.safetensors")
    now = pl.concat([frame, frame.filter(pl.col("shop") == "s1").with_columns(shop=pl.lit("new"))])
    updated = update(tmp_path / "model.safetensors", now, progress=False, epochs=1)
    assert "new" in updated.schema.items
    assert np.isfinite(updated.report["metrics"]["mae"])
