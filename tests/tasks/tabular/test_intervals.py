"""Quantiles and intervals: they do not cross, and hold what they state."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from chainrule.cli import display
from chainrule.data import Target
from chainrule.errors import ConfigError
from chainrule.tasks import load_predictor
from chainrule.tasks.intervals import interval_scores, shift
from chainrule.tasks.scaling import TargetScaler
from chainrule.tasks.tabular import TableOptions, train_table
from chainrule.tasks.tabular.heads import NumberHead
from chainrule.tasks.tabular.held_out import HeldOut, correct_quantiles, held_out
from chainrule.tasks.tabular.losses import table_loss

pytestmark = pytest.mark.usefixtures("without_compiler")


def spread(rows, seed=0):
    """Noise that grows with x: the true 0.1 and 0.9 quantiles are 5 + 4z ∓ 1.28·(0.1 + x²)."""
    g = np.random.default_rng(seed)
    x = g.uniform(0, 2, rows)
    z, noise = g.normal(size=(2, rows))
    return pl.DataFrame({"x": x, "z": z, "y": 5 + 4 * z + (0.1 + x * x) * noise})


def train(frame, said=None, **options):
    options = {"target": "y", "epochs": 40, "members": 2, "hidden": (16,), **options}
    say = (lambda sentence: None) if said is None else said.append
    return train_table(frame, TableOptions(**options), progress=False, say=say)


@pytest.mark.parametrize("validation", [None, 0.3])
def test_intervals_cover_what_they_state_and_follow_the_noise(validation, tmp_path):
    result = train(spread(600), quantiles=(0.9, 0.1, 0.5), validation=validation, epochs=80)
    metrics, constant = result.report["metrics"], result.report["baselines"]["mean"]
    assert abs(metrics["coverage_0.1_0.9"] - 0.8) < 0.1
    assert metrics["pinball"] < constant["pinball"]
    assert np.isnan(result.report["baselines"]["linear"]["pinball"])
    result.save(tmp_path / "model.safetensors")
    predictor = load_predictor(tmp_path / "model.safetensors")
    new = spread(2000, seed=1)
    found = predictor.predict(new.drop("y"))
    assert found.columns == ["prediction", "y_0.1", "y_0.5", "y_0.9"]
    low, middle, high = (found[name].to_numpy() for name in found.columns[1:])
    assert (low <= middle).all()
    assert (middle <= high).all()
    y = new["y"].to_numpy()
    inside = (low <= y) & (y <= high)
    assert 0.74 < inside.mean() < 0.88
    calm = (new["x"] < 0.5).to_numpy()
    assert (high - low)[calm].mean() < 0.7 * (high - low)[~calm].mean()
    again = predictor.evaluate(new)
    assert again["coverage_0.1_0.9"] == pytest.approx(inside.mean())
    assert again["width_0.1_0.9"] == pytest.approx((high - low).mean())


def test_a_skewed_target_keeps_its_order_and_its_sign(tmp_path):
    frame = spread(200).with_columns(y=(pl.col("y") / 4).exp())
    result = train(frame, quantiles=(0.05, 0.95))
    assert result.report["network"]["log_target"]
    result.save(tmp_path / "model.safetensors")
    found = load_predictor(tmp_path / "model.safetensors").predict(frame)
    assert (found["y_0.05"] > 0).all()
    assert (found["y_0.05"] <= found["y_0.95"]).all()


def test_the_correction_is_an_order_statistic_of_the_errors():
    g = np.random.default_rng(0)
    errors = g.normal(size=99)
    assert shift(0.9, errors) == np.sort(errors)[89]
    assert shift(0.1, errors) == np.sort(errors)[9]
    assert shift(0.995, errors) == errors.max()  # too few rows for it
    assert shift(0.9, errors, np.ones(99)) == shift(0.9, errors)
    # Rows of no weight say nothing.
    assert shift(0.9, np.append(errors, 99.0), np.append(np.ones(99), 0.0)) < 3
    # A heavy row counts as so many.
    assert shift(0.5, np.array([1.0, 5.0, 9.0]), np.array([1.0, 1.0, 8.0])) == 9.0


def test_coverage_is_guaranteed_on_average():
    """Exact for exchangeable rows: over many draws at least the level, by 1/(n + 1) at most."""
    g = np.random.default_rng(0)
    rows = 40
    held, new = g.normal(size=(4000, rows)), g.normal(size=4000)
    for level in (0.6, 0.9, 0.95):
        covered = np.mean([y <= shift(level, e) for e, y in zip(held, new, strict=True)])
        assert level - 0.015 < covered < level + 1 / (rows + 1) + 0.015


def test_quantiles_do_not_cross_whatever_the_network_and_the_rows_say():
    head = NumberHead(TargetScaler(log=False), (0.1, 0.2, 0.5, 0.9))
    z = np.random.default_rng(0).normal(0, 5, (3, 50, 5)).astype(np.float32)
    assert (np.diff(head(z).numpy()[:, 1:]) >= 0).all()
    head.shift.assign(np.array([3.0, 0.0, -2.0, -4.0]))
    assert (np.diff(head(z).numpy()[:, 1:]) >= 0).all()
    at_first = NumberHead(TargetScaler(log=False), (0.1, 0.5, 0.9))(np.zeros((1, 1, 4), np.float32))
    np.testing.assert_allclose(at_first.numpy(), [[0, -1.28155, 0, 1.28155]], atol=1e-4)


def test_the_loss_adds_the_pinball_losses():
    target = Target("y", "regression", "", quantiles=(0.25, 0.75))
    from chainrule.data import Schema

    head = NumberHead(TargetScaler(log=False), target.quantiles)
    z = np.random.default_rng(0).normal(size=(2, 3, 3)).astype(np.float32)
    y = np.array([0.5, -1.0, 2.0], np.float32)
    loss = table_loss(Schema((), (), target), [head], None)
    errors = y[:, None] - head.quantiles(z).numpy()
    pinball = np.maximum(np.array([0.25, 0.75]) * errors, (np.array([0.25, 0.75]) - 1) * errors)
    expected = ((z[:, :, 0] - y) ** 2).mean() + 2 * pinball.mean()
    assert loss(z, y).item() == pytest.approx(expected, rel=1e-5)


def test_few_held_out_rows_are_said():
    said = []
    train(spread(60), said, quantiles=(0.01, 0.5, 0.99), epochs=2)
    assert any("48 held-out rows are too few for the quantiles 0.01, 0.99 of y" in s for s in said)
    head = NumberHead(TargetScaler(log=False), (0.5,))
    empty = HeldOut(np.zeros((1, 0, 2), np.float32), np.zeros(0), np.zeros(0))
    correct_quantiles(head, "y", empty, said.append)
    assert "no held-out row has a y" in said[-1]


def test_each_row_is_answered_by_the_member_that_did_not_see_it():
    from types import SimpleNamespace

    from chainrule.training import Arrays

    class Members:
        def __call__(self, x, train=False, key=None):
            return np.array([[[1.0]], [[2.0]]], np.float32) * x["x"][None]

    model = SimpleNamespace(heads=[NumberHead(TargetScaler(log=False))])
    learner = SimpleNamespace(network=Members(), loss=lambda z, y: z, model=model)
    x, weights = np.ones((3, 1), np.float32), np.array([[1.0, 0], [0, 2.0], [0, 0]], np.float32)
    (rows,) = held_out(learner, Arrays({"x": x}, np.arange(3.0), weights))
    assert rows.z[..., 0].tolist() == [[1.0, 2.0]]
    assert rows.weights.tolist() == [1.0, 2.0]
    assert rows.target.tolist() == [0.0, 1.0]


def test_what_cannot_be_is_refused():
    classes = spread(60).with_columns(y=pl.Series(["a", "b"] * 30))
    with pytest.raises(ConfigError, match="Quantiles are of numbers"):
        train(classes, quantiles=(0.5,))
    for levels in ((0.0, 0.5), (10, 90), "a", [True], (float("nan"),)):
        with pytest.raises(ConfigError, match="Invalid value for quantiles"):
            TableOptions(target="y", quantiles=levels)
    assert TableOptions(target="y", quantiles="0.9, 0.1,0.1").quantiles == (0.1, 0.9)


def test_the_report_states_and_measures_the_coverage():
    assert display.title("coverage_0.1_0.9") == "coverage 0.1 to 0.9 (0.8 stated)"
    assert display.title("width_0.05_0.95 of price") == "width 0.05 to 0.95 of price"
    assert display.smaller_error("coverage_0.1_0.9", 0.8, 0.7).plain == "–"
    assert interval_scores((), np.zeros(1), np.zeros((1, 0))) == {}
