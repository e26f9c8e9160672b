"""Temperatures and thresholds from held-out rows."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from chainrule import metrics
from chainrule.cli import display
from chainrule.errors import ConfigError
from chainrule.tasks import load_predictor
from chainrule.tasks.tabular import TableOptions, train_table
from chainrule.tasks.tabular.calibration import (
    best_temperature,
    log_loss,
    probabilities,
    quality,
    temperature_of_mean,
)
from chainrule.tasks.tabular.thresholds import choose_threshold, score_at

pytestmark = pytest.mark.usefixtures("without_compiler")


def rare(rows=400, seed=0, names=("yes", "no")):
    """A class of a tenth of the rows, which x tells in part."""
    g = np.random.default_rng(seed)
    x, z = g.normal(size=(2, rows))
    positive = x + g.normal(0, 0.7, rows) > 1.6
    return pl.DataFrame({"x": x, "z": z, "y": np.where(positive, *names)})


def train(frame, said=None, **options):
    options = {"target": "y", "epochs": 40, "members": 2, "hidden": (16,), **options}
    say = (lambda sentence: None) if said is None else said.append
    return train_table(frame, TableOptions(**options), progress=False, say=say)


class TestTemperature:
    def test_logits_that_are_three_times_too_large_are_divided_by_three(self):
        g = np.random.default_rng(0)
        logits = g.normal(0, 2, (1, 20_000, 3))
        p = probabilities(logits, 1.0)
        target = (p.cumsum(axis=1) < g.random((20_000, 1))).sum(axis=1)
        ones = np.ones(len(target))
        assert best_temperature(3 * logits, target, ones) == pytest.approx(3, rel=0.05)
        assert best_temperature(logits / 2, target, ones) == pytest.approx(0.5, rel=0.05)

    @pytest.mark.parametrize("sure", [1.0, 2.0])
    @pytest.mark.parametrize("noise", [0.3, 1.0, 1.5])
    def test_the_temperature_is_that_of_the_mean_and_not_of_a_member(self, sure, noise):
        """What eight members need that no row trained, when each row says this of one only."""
        g = np.random.default_rng(2)
        truth, rows = g.normal(0, 2, (3000, 3)), np.ones(3000)
        target = (probabilities(truth[None], 1.0).cumsum(axis=1) < g.random((3000, 1))).sum(axis=1)
        z = sure * (truth + g.normal(0, noise, (8, 3000, 3)))
        apart = z[1:] - z[1:].mean(axis=0)
        found, losses = temperature_of_mean(z[:1], apart, target, rows)
        best, alone = best_temperature(z, target, rows), best_temperature(z[:1], target, rows)
        lost, lost_alone = (
            log_loss(z, target, rows, each) - log_loss(z, target, rows, best)
            for each in (found, alone)
        )
        assert best < alone
        assert lost < 0.35 * lost_alone
        assert losses["after"] <= losses["before"]
        if noise < 1:
            assert losses["after"] == pytest.approx(log_loss(z, target, rows, found), rel=0.03)

    def test_it_is_1_where_nothing_is_gained(self):
        assert best_temperature(np.zeros((1, 4, 2)), np.array([0, 1, 0, 1]), np.ones(4)) == 1.0
        assert best_temperature(np.zeros((1, 0, 2)), np.zeros(0, int), np.zeros(0)) == 1.0

    def test_weights_count_rows(self):
        g = np.random.default_rng(1)
        z, target = g.normal(0, 3, (2, 50, 2)), g.integers(0, 2, 50)
        weights = np.r_[np.full(25, 2.0), np.zeros(25)]
        some = best_temperature(z[:, :25], target[:25], np.ones(25))
        assert best_temperature(z, target, weights) == pytest.approx(some, rel=1e-3)
        assert log_loss(z, target, weights, 1.5) == pytest.approx(
            metrics.log_loss(target[:25], probabilities(z[:, :25], 1.5))
        )

    @pytest.mark.parametrize("validation", [None, 0.25])
    def test_predict_evaluate_and_report_agree(self, validation, tmp_path):
        g = np.random.default_rng(0)
        noise = pl.Series(np.where(g.random(300) < 0.15, "no", "yes"))
        frame = rare(300).with_columns(
            y=pl.when(pl.col("x") > 0).then(noise).otherwise(pl.lit("no"))
        )
        result = train(frame, epochs=150, dropout=0.0, hidden=(64,), validation=validation)
        told = result.report["calibration"]["y"]
        assert told["kept"] == (told["temperature"] != 1.0)
        held_out = told["held_out_log_loss"]
        assert held_out["after"] <= held_out["before"]
        assert told["test"]["after"]["log_loss"] == pytest.approx(
            result.report["metrics"]["log_loss"], rel=1e-5
        )
        result.save(tmp_path / "model.safetensors")
        predictor = load_predictor(tmp_path / "model.safetensors")
        found = predictor.predict(frame, proba=True)
        p = found.select("probability no", "probability yes").to_numpy()
        target = (frame["y"] == "yes").to_numpy().astype(int)
        assert predictor.evaluate(frame)["log_loss"] == pytest.approx(metrics.log_loss(target, p))
        z = result._model.network(result._model.network.features(inputs(result, frame))).numpy()
        np.testing.assert_allclose(p, probabilities(z, told["temperature"]), rtol=1e-4, atol=1e-6)
        (line,) = display.measured(result.report)
        assert line.startswith("Probabilities: Brier score 0.")


def inputs(result, frame):
    from chainrule.tasks.tabular.features import columns_by_kind

    return columns_by_kind(result.schema.encode(frame))


class TestQuality:
    def test_by_hand(self):
        p = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
        target = np.array([0, 1, 1, 1])
        found = quality(target, p)
        assert found["brier"] == pytest.approx((0.01 + 0.64 + 0.16 + 0.09) / 4)
        # Each row is in a group of its own: the mean of |hit - confidence|.
        assert found["calibration_error"] == pytest.approx((0.1 + 0.8 + 0.4 + 0.3) / 4)
        assert np.isnan(quality(target[:0], p[:0])["brier"])

    def test_groups_and_weights(self):
        error = metrics.calibration_error([1, 0], [0.9, 0.9])
        assert error == pytest.approx(0.4)
        weighted = metrics.calibration_error([1, 0], [0.9, 0.9], sample_weights=[9, 1])
        assert weighted == pytest.approx(0)
        assert metrics.calibration_error([1], [1.0]) == 0
        assert metrics.calibration_error([0, 1], [0.2, 0.4], bins=1) == pytest.approx(0.2)
        with pytest.raises(ConfigError):
            metrics.calibration_error([1], [0.5], bins=0)


class TestThreshold:
    def test_all_thresholds_are_tried(self):
        g = np.random.default_rng(0)
        p, positive = g.random(60).round(2), g.random(60) < 0.3
        weights = g.uniform(0.5, 2, 60)
        for metric in ("f1", "balanced_accuracy", "matthews", "accuracy"):
            chosen = choose_threshold(metric, p, positive, weights)
            measure = metrics.METRICS[metric].function
            by_hand = [
                measure(positive.astype(int), (p >= t).astype(int), sample_weights=weights)
                for t in [*np.unique(p), 2.0]
            ]
            assert chosen.score == pytest.approx(max(by_hand[:-1]))
            again = measure(positive.astype(int), (p >= chosen.value).astype(int),
                            sample_weights=weights)  # fmt: skip
            assert again == pytest.approx(chosen.score)
            assert score_at(metric, chosen.value, p, positive, weights) == pytest.approx(again)
            half = measure(positive.astype(int), (p >= 0.5).astype(int), sample_weights=weights)
            assert chosen.at_half == pytest.approx(half)

    def test_one_metric_with_another_one_reached(self):
        p = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
        positive = np.array([False, True, False, True, True])
        found = choose_threshold("recall@precision=0.9", p, positive, np.ones(5))
        assert (found.value, found.score) == (0.35, pytest.approx(2 / 3))
        found = choose_threshold("precision@recall=1", p, positive, np.ones(5))
        assert (found.value, found.score) == (pytest.approx(0.15), 0.75)
        never = choose_threshold("recall@precision=0.9", p, ~positive, np.ones(5))
        assert not never.reached

    @pytest.mark.parametrize("names", [("yes", "no"), ("a", "b")])
    def test_it_is_kept_used_and_reported(self, names, tmp_path):
        """Whichever of the two classes is the rare one."""
        frame, said = rare(names=names), []
        result = train(frame, said, threshold_for="f1", epochs=80)
        threshold = result.schema.target.threshold
        assert threshold.positive == names[0]
        assert threshold.metric == "f1"
        assert any(f"{names[0]} is predicted from a probability of" in s for s in said)
        result.save(tmp_path / "model.safetensors")
        predictor = load_predictor(tmp_path / "model.safetensors")
        new = rare(300, seed=1, names=names)
        found = predictor.predict(new, proba=True)
        p = found[f"probability {names[0]}"].to_numpy()
        assert ((found["prediction"] == names[0]).to_numpy() == (p >= threshold.value)).all()
        right = (found["prediction"] == new["y"]).mean()
        assert predictor.evaluate(new)["accuracy"] == pytest.approx(right)
        told = result.report["threshold"]["y"]
        assert told["class"] == names[0]
        assert told["metrics"]["f1"]["test"] > told["metrics"]["f1"]["test_at_half"] - 0.1
        assert "chosen for f1" in display.measured(result.report)[1]
        # A baseline has no share in the threshold of the network.
        assert result.report["baselines"]["majority"]["accuracy"] == pytest.approx(0.9, abs=0.03)

    def test_what_cannot_be_is_refused(self):
        three = rare(90).with_columns(y=pl.Series(["a", "b", "c"] * 30))
        with pytest.raises(ConfigError, match="tells two classes apart"):
            train(three, threshold_for="f1")
        for wrong in ("auc", "recall@precision", "recall@recall=0.5", "precision@recall=1.5", "f1@",
                      "recall@precision=0", 3):  # fmt: skip
            with pytest.raises(ConfigError, match="Invalid value for threshold_for"):
                TableOptions(target="y", threshold_for=wrong)
        assert TableOptions(target="y", threshold_for="Balanced-Accuracy").threshold_for == (
            "balanced_accuracy"
        )

    def test_few_rows_of_a_class_are_said(self):
        said = []
        train(rare(80), said, threshold_for="recall@precision=0.99", epochs=3)
        assert any("are few for a threshold" in s for s in said)


def test_a_cross_validation_gives_means():
    report = train(rare(120), epochs=3, cv=2, threshold_for="f1").report
    assert 0 < report["calibration"]["y"]["test"]["after"]["brier"] < 1
    assert 0 <= report["threshold"]["y"]["metrics"]["f1"]["test"] <= 1
