"""The recipe on tables that a network alone is bad at: linear ones, heavy tails, logarithms."""

import numpy as np
import polars as pl
import pytest

from chainrule import load
from chainrule.data import infer_schema
from chainrule.tasks import runner
from chainrule.tasks.linear_baseline import linear_predictions, logistic
from chainrule.tasks.scaling import TargetScaler, log_is_better
from chainrule.tasks.tabular import TableOptions, TablePredictor, train_table
from chainrule.tasks.tabular.features import TableFeatures, has_heavy_tails
from chainrule.tasks.tabular.heads import NumberHead
from chainrule.tasks.tabular.held_out import HeldOut
from chainrule.tasks.tabular.linear_path import _ridge
from chainrule.tasks.tabular.pieces import _directions, _left_out, pieces_help
from chainrule.tasks.tabular.settle import _best_share, correct_mean
from chainrule.training import Trainer

pytestmark = pytest.mark.usefixtures("without_compiler")


def trained(table, **options):
    options = {"target": "y", "epochs": 15, "hidden": (16,), "members": 4, **options}
    return train_table(table, TableOptions(**options), progress=False)


@pytest.fixture
def linear():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    return {**dict(zip("abc", x.T, strict=True)),
            "y": 1000 + x @ [200.0, -80.0, 50.0] + rng.normal(size=60)}  # fmt: skip


class TestLinearShare:
    def test_a_linear_world_is_learned_as_well_as_by_a_linear_model(self, linear):
        result = trained(linear)
        assert result.report["metrics"]["r2"] > 0.999
        (sentence,) = result.report["notes"]
        assert sentence.startswith("a linear model beside the network makes")

    @pytest.mark.parametrize(("noise", "share"), [(0.0, 1.0), (0.3, 0.5), (50.0, 0.0)])
    def test_the_share_is_that_of_the_least_loss(self, noise, share):
        rng = np.random.default_rng(0)
        y = rng.normal(size=4000).astype(np.float32)
        head = NumberHead(TargetScaler(False).fit(y))
        network, other = (y + rng.normal(size=4000) * each for each in (0.3, noise))
        rows = HeldOut(network[None, :, None], y, np.ones(4000))
        assert _best_share(head, rows, other[None, :, None]) == pytest.approx(share, abs=0.051)

    def test_it_is_said_once_with_folds(self, linear):
        said = []
        options = TableOptions(target="y", epochs=2, hidden=(4,), members=2, cv=3)
        report = train_table(linear, options, progress=False, say=said.append).report
        assert said.count("fold 1 of 3") == 1
        for sentences in (said, report["notes"]):
            assert len([s for s in sentences if s.startswith("a linear model beside")]) == 1

    def test_it_is_in_the_model_file(self, linear, tmp_path):
        result = trained(linear)
        result.save(tmp_path / "m.safetensors")
        predictor = TablePredictor(load(tmp_path / "m.safetensors"), "m")
        found = predictor.predict(linear)["prediction"].to_numpy()
        assert np.abs(found - linear["y"]).max() < 10

    def test_the_network_has_the_say_where_it_knows_better(self):
        rng = np.random.default_rng(0)
        x = rng.uniform(-3, 3, 400)
        result = trained({"x": x, "y": np.abs(x) + 0.05 * rng.normal(size=400)}, epochs=60)
        assert result.report["metrics"]["r2"] > 0.6
        assert result.report["baselines"]["linear"]["r2"] < 0.1
        assert "notes" not in result.report

    def test_classes(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(80, 12))
        y = np.where(x[:, 0] + 0.3 * rng.normal(size=80) > 0, "yes", "no")
        report = trained({**{f"x{i}": c for i, c in enumerate(x.T)}, "y": y}, epochs=3).report
        assert report["metrics"]["accuracy"] >= report["baselines"]["linear"]["accuracy"] - 0.07

    def test_another_loss_has_no_linear_model_beside_it(self, linear):
        assert not trained(linear, loss="mae", epochs=2).report["network"]["linear"]

    def test_ridge_solves_each_member_on_its_own_rows(self):
        rng = np.random.default_rng(0)
        x = np.concatenate([rng.normal(size=(50, 2)), np.ones((50, 1))], axis=1)
        y = np.where(np.arange(50) < 25, x @ [1.0, 2.0, 3.0], x @ [-1.0, 0.0, 5.0])
        weights = np.stack([np.arange(50) < 25, np.arange(50) >= 25], axis=1).astype(float)
        first, second = _ridge(x, y, weights)
        assert first == pytest.approx([1, 2, 3], abs=0.3)
        assert second == pytest.approx([-1, 0, 5], abs=0.3)

    def test_logistic_regression_reaches_the_optimum(self):
        from sklearn.linear_model import LogisticRegression

        rng = np.random.default_rng(0)
        x = np.concatenate([rng.normal(size=(300, 3)), np.ones((300, 1))], axis=1)
        y = (x[:, 0] - x[:, 1] + 0.5 + rng.logistic(size=300) > 0).astype(int)
        (w,) = logistic(x.astype(np.float32), y, np.ones((300, 1)), 2, 150)
        known = LogisticRegression(C=1e3).fit(x[:, :3], y)
        assert (w[:3, 1] - w[:3, 0]) == pytest.approx(known.coef_[0], abs=0.1)
        assert w[3, 1] - w[3, 0] == pytest.approx(known.intercept_[0], abs=0.1)

    def test_logistic_regression_of_many_rows_takes_parts_in_turns(self):
        from sklearn.linear_model import LogisticRegression

        rng = np.random.default_rng(0)
        x = rng.normal(size=(40_000, 2))
        # The parts differ, as those of rows in some order would: in every other row all is shifted.
        shift = np.arange(40_000) % 2
        y = (x[:, 0] - x[:, 1] + 2 * shift - 1 + rng.logistic(size=40_000) > 0).astype(int)
        known = LogisticRegression(C=1e3).fit(x, y)
        found = linear_predictions(x, y, x[:500], 2)
        assert found == pytest.approx(known.predict_proba(x[:500]), abs=0.02)


class TestExtremeNumbers:
    @pytest.mark.parametrize(
        ("change", "least"),
        [
            (lambda a: np.where(np.arange(len(a)) == 5, 1e30, a), 0.95),
            (lambda a: np.where(np.arange(len(a)) < 2, [1e308, -1e308] * (len(a) // 2), a), 0.95),
            (lambda a: a * 1e300, 0.99),
            (lambda a: a * 1e-310, 0.99),  # denormal
        ],
    )
    def test_they_do_not_poison_the_statistics_of_a_column(self, change, least):
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=(2, 300))
        table = {"a": change(a), "b": b, "y": 2 * a - b + 0.05 * rng.normal(size=300)}
        assert trained(table, members=1).report["metrics"]["r2"] > least

    @pytest.mark.parametrize("scale", [1e30, 1e-30])
    def test_a_target_may_have_any_scale(self, scale, linear):
        linear["y"] = linear["y"] * scale
        report = trained(linear, members=1).report
        assert report["metrics"]["r2"] > 0.99


class TestHeavyTails:
    def test_normal_scores_are_normal(self):
        rng = np.random.default_rng(0)
        frame = pl.DataFrame({"x": np.exp(2 * rng.normal(size=1000)), "y": np.arange(1000.0)})
        schema = infer_schema(frame, "y").fit(frame)
        assert has_heavy_tails(schema.columns[0].statistics)
        features = TableFeatures(schema, 0, ranks=True)
        labels = features.labels()["numbers"]
        place = labels.index(("x", "normal score"))
        found = features({"numeric": frame[["x"]].to_numpy()})["numbers"].numpy()
        assert found.shape == (1000, len(labels))
        assert np.corrcoef(found[:, place], np.log(frame["x"]))[0, 1] > 0.98
        assert found[:, place].std() == pytest.approx(1, abs=0.1)
        assert ("x", "normal score") not in TableFeatures(schema, 0).labels()["numbers"]

    def test_they_are_learned(self):
        rng = np.random.default_rng(0)
        log = rng.normal(size=(600, 2))
        table = {"a": np.exp(2 * log[:, 0]), "b": np.exp(3 * log[:, 1]),
                 "y": 2 * log[:, 0] + np.abs(log[:, 1])}  # fmt: skip
        report = trained(table, epochs=60, members=2).report
        assert report["metrics"]["r2"] > 0.9
        assert report["baselines"]["linear"]["r2"] < 0.7

    def test_constants_and_normal_columns_have_none(self):
        rng = np.random.default_rng(0)
        x = {"n": rng.normal(size=200), "z": np.where(np.arange(200) < 190, 0.0, 50.0)}
        frame = pl.DataFrame({**x, "y": np.arange(200.0)})
        schema = infer_schema(frame, "y").fit(frame)
        assert not [k for k in TableFeatures(schema, 0, ranks=True).labels()["numbers"]
                    if k[1] == "normal score"]  # fmt: skip


class TestPieces:
    """What a small table is like decides whether its numbers are encoded in pieces."""

    def helps(self, table, bins=20):
        frame = pl.DataFrame(table)
        schema = infer_schema(frame, "y", kinds={"x": "numeric"}).fit(frame)
        return pieces_help(schema, schema.encode(frame, target=True), bins)

    @pytest.fixture
    def x(self):
        return np.random.default_rng(0).uniform(-3, 3, 600)

    @pytest.mark.parametrize(("wave", "helps"), [
        (lambda x: 2 * x, False), (lambda x: x + x**2, False), (lambda x: 0 * x, False),
        (lambda x: np.sin(4 * x), True), (lambda x: 1.0 * (np.abs(x) < 0.5), True),
    ])  # fmt: skip
    def test_waves_and_steps_need_them(self, x, wave, helps):
        y = wave(x) + 0.2 * np.random.default_rng(1).normal(size=600)
        assert self.helps({"x": x, "y": y}) is helps
        if helps:
            assert self.helps({"x": x, "y": np.where(y > np.median(y), "b", "a")})

    def test_a_few_rows_say_nothing(self, x):
        assert not self.helps({"x": x[:290], "y": np.sin(4 * x[:290])})

    def test_the_network_has_them(self, x):
        y = np.sin(4 * x)
        shape = trained({"x": x, "y": y}, epochs=2).report["network"]
        assert (shape["bins"], shape["dropout"], shape["input_dropout"]) == (15, 0.1, 0.0)
        luck = np.random.default_rng(1).choice(["a", "b"], 600)
        shape = trained({"x": x, "y": luck}, epochs=2).report["network"]
        assert (shape["bins"], shape["dropout"], shape["input_dropout"]) == (0, 0.3, 0.1)

    @pytest.mark.parametrize("width", [3, 20])
    def test_left_out_errors_are_those_without_the_row(self, width):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(12, width)), rng.normal(size=(12, 1))
        x[:, 1] = x[:, 0]  # a direction in which nothing happens
        found = _left_out(*_directions(x), y, 0.7)
        for i in range(12):
            rest = np.arange(12) != i
            gram = x[rest].T @ x[rest] + 0.7 * np.eye(width)
            weights = np.linalg.solve(gram, x[rest].T @ y[rest])
            assert found[i] == pytest.approx(((y[i] - x[i] @ weights) ** 2).sum())


class TestLogarithm:
    def test_predictions_are_means(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=3000)
        y = np.exp(3 + 0.5 * x + rng.normal(size=3000))
        result = trained({"x": x, "y": y}, epochs=8)
        told, _, sentence = result.report["notes"]
        assert told.startswith("the logarithm of 'y' is learned: in short trials the error (RMSE)")
        assert "predictions are multiplied by 1." in sentence
        found = result.report["metrics"]["r2"], result.report["baselines"]["linear"]["r2"]
        assert found[0] > found[1]
        assert result._model.heads[0].factor.item() == pytest.approx(np.exp(0.5), rel=0.15)

    def test_what_adds_up_is_learned_as_it_is(self):
        rng = np.random.default_rng(0)
        x = rng.exponential(size=(600, 2))
        y = 0.05 + 20 * x[:, 0] * (x[:, 1] > 1) + 0.1 * rng.exponential(size=600)
        assert log_is_better(y)
        result = trained({"a": x[:, 0], "b": x[:, 1], "y": y}, epochs=60)
        (told,) = [s for s in result.report["notes"] if "logarithm" in s]
        assert told.startswith("the logarithm of 'y' is not learned: in short trials")
        assert result._model.heads[0].scale.log is False
        assert result.report["network"]["log_target"] is False
        assert result.report["metrics"]["r2"] > 0.6

    def test_the_trials_leave_no_trace_in_the_training(self, monkeypatch):
        rng = np.random.default_rng(0)
        x = rng.normal(size=300)
        table = {"x": x, "y": np.exp(3 + 0.5 * x + rng.normal(size=300))}
        made = []
        monkeypatch.setattr(runner, "Trainer", lambda *a, **k: made.append(0) or Trainer(*a, **k))
        ours = trained(table)
        assert len(made) == 1  # its programs serve both trials and the training
        monkeypatch.setattr(runner._Trials, "as_new", lambda *_: None)
        fresh = trained(table)
        assert len(made) == 3
        assert ours.history["loss"] == fresh.history["loss"]
        assert ours.history["val_loss"] == fresh.history["val_loss"]
        assert ours.report["metrics"] == fresh.report["metrics"]

    def test_without_noise_nothing_is_changed(self):
        rng = np.random.default_rng(0)
        y = np.exp(rng.normal(size=500))
        head = NumberHead(TargetScaler(True).fit(y))
        z = head.encode(y)[None, :, None]
        said = []
        correct_mean(head, "y", HeldOut(z, z[0, :, 0], np.ones(500)), said.append)
        assert head.factor.item() == 1
        assert said == [
            "'y' is the exponential of what is learned: held-out rows show no bias of that"
        ]

    def test_the_factor_is_the_ratio_of_means(self):
        rng = np.random.default_rng(0)
        median = np.exp(rng.normal(size=4000))
        y = median * np.exp(0.8 * rng.normal(size=4000))
        head = NumberHead(TargetScaler(True).fit(y))
        z = head.encode(median)[None, :, None]
        correct_mean(head, "y", HeldOut(z, head.encode(y), np.ones(4000)), [].append)
        assert head.factor.item() == pytest.approx(np.exp(0.32), rel=0.08)

    def test_medians_stay_medians_where_a_loss_asks_for_them(self):
        rng = np.random.default_rng(0)
        y = np.exp(3 + rng.normal(size=600))
        result = trained({"x": rng.normal(size=600), "y": y}, epochs=2, loss="mae")
        assert result._model.heads[0].factor.item() == 1
