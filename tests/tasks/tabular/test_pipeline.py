"""From a table to a model that takes raw rows."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from chainrule.errors import ConfigError, DataError, ModelFileError
from chainrule.tasks import load_predictor
from chainrule.tasks.tabular import TableOptions, train_table
from chainrule.tasks.tabular.defaults import choose
from chainrule.tasks.tabular.features import columns_by_kind
from chainrule.tasks.tabular.plan import TablePlan


def predicted(result, rows):
    """What a trained model says of encoded rows."""
    return result._model(columns_by_kind(rows)).numpy()


def houses(rows=200, seed=0):
    g = np.random.default_rng(seed)
    area = g.uniform(30, 200, rows)
    city = g.choice(["Oslo", "Rome", "Bonn"], rows)
    extra = {"Oslo": 50.0, "Rome": 20.0, "Bonn": 0.0}
    price = 3 * area + np.array([extra[c] for c in city]) + g.normal(0, 5, rows)
    return pl.DataFrame({"area": area, "city": city, "price": price})


def flowers(rows=150, seed=0):
    g = np.random.default_rng(seed)
    kind = g.choice(["iris", "rose", "lily"], rows, p=[0.45, 0.45, 0.1])
    middle = {"iris": 0.0, "rose": 2.0, "lily": 4.0}
    return pl.DataFrame(
        {"petal": [middle[k] + g.normal(0, 0.3) for k in kind], "leaf": g.normal(size=rows),
         "kind": kind}
    )  # fmt: skip


def train(frame, target, **options):
    options = {"epochs": 30, "members": 2, "hidden": (16,), **options}
    return train_table(frame, TableOptions(target=target, **options), progress=False)


def test_regression_beats_the_mean_and_the_line_is_there_to_compare():
    report = train(houses(), "price", epochs=150).report
    assert report["task"] == "regression"
    assert report["metrics"]["r2"] > 0.95
    assert report["baselines"]["linear"]["r2"] > 0.98  # the data are linear
    assert abs(report["baselines"]["mean"]["r2"]) < 0.2
    assert report["rows"] == {"train": 160, "test": 40}


@pytest.mark.usefixtures("without_compiler")
def test_classes_and_their_probabilities(tmp_path):
    result = train(flowers(), "kind", epochs=80)
    assert result.report["metrics"]["accuracy"] > 0.9
    assert result.report["baselines"]["majority"]["accuracy"] < 0.6
    result.save(tmp_path / "m.safetensors")
    found = load_predictor(tmp_path / "m.safetensors").predict(flowers(20, seed=1), proba=True)
    names = ["probability iris", "probability lily", "probability rose"]
    assert sorted(found.columns[1:]) == names
    np.testing.assert_allclose(found.select(names).to_numpy().sum(1), 1, rtol=1e-5)
    best = found.select(found.columns[1:]).to_numpy().argmax(1)
    assert [found.columns[1 + i].split()[1] for i in best] == found["prediction"].to_list()


def test_the_saved_model_takes_raw_rows_and_says_the_same(tmp_path):
    result = train(houses(), "price")
    result.save(tmp_path / "model.safetensors")
    predictor = load_predictor(tmp_path)
    frame = houses(37, seed=5)
    rows = result.schema.encode(frame)
    expected = predicted(result, rows)
    assert predictor.predict(frame)["prediction"].to_list() == pytest.approx(expected.tolist())
    one = predictor.predict({"city": ["Rome"], "area": ["100"]})["prediction"].to_list()
    assert 200 < one[0] < 450
    notes: list[str] = []
    predictor.predict({"city": ["Paris", None], "area": [100, None]}, say=notes.append)
    assert any("city" in note for note in notes)
    assert predictor.evaluate(frame)["r2"] > 0.5


def test_same_seed_same_model():
    def predictions(seed):
        result = train(houses(), "price", epochs=3, seed=seed)
        return predicted(result, result.schema.encode(houses(10, seed=1)))

    assert np.array_equal(predictions(3), predictions(3))
    assert not np.array_equal(predictions(3), predictions(4))


@pytest.mark.usefixtures("without_compiler")
def test_cross_validation_evaluates_every_row_once():
    report = train(flowers(60), "kind", cv=3).report
    folds = report["cv"]["metrics"]
    assert len(folds) == 3
    mean = np.mean([fold["accuracy"] for fold in folds])
    assert report["metrics"]["accuracy"] == pytest.approx(mean)


@pytest.mark.usefixtures("without_compiler")
def test_a_test_part_from_a_file(tmp_path):
    houses(50, seed=9).write_csv(tmp_path / "test.csv")
    report = train(houses(), "price", test=str(tmp_path / "test.csv")).report
    assert report["rows"] == {"train": 200, "test": 50}


@pytest.mark.usefixtures("without_compiler")
def test_balancing_finds_the_rare_class_more_often():
    g = np.random.default_rng(0)
    ill = g.random(1000) < 0.08
    frame = pl.DataFrame({"x": g.normal(ill * 1.2, 1.0), "ill": np.where(ill, "yes", "no")})

    def found(balance):
        result = train(frame, "ill", epochs=40, balance=balance, test=0.3)
        test = predicted(result, result.schema.encode(frame))
        return (test[ill, 1] > 0.5).mean()

    assert found(True) > found(False) + 0.2


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize(
    "options",
    [
        {"norm": "batch"}, {"norm": "layer"}, {"dropout": 0.0, "activation": "relu"},
        {"optimizer": "sgd", "lr": 0.01, "schedule": "one-cycle"}, {"loss": "huber"},
        {"l1": 1e-4, "l2": 1e-4, "clip": 1.0, "weight_decay": 0.0}, {"schedule": "plateau"},
        {"members": 1, "validation": 0.2, "patience": 3}, {"hidden": ()}, {"batch_size": 7},
    ],
)  # fmt: skip
def test_every_option_trains(options):
    options = {"hidden": (16,), **options}
    metrics = train(houses(120), "price", **options).report["metrics"]
    assert math.isfinite(metrics["rmse"])


def test_rules_follow_the_number_of_rows():
    small, large = (choose(TableOptions(target="y"), rows) for rows in (150, 20_000))
    assert (small.shape.members, small.folds, small.shape.bins) == (8, True, 0)
    assert (large.shape.members, large.folds, large.shape.bins) == (1, False, 64)
    assert (small.batch_size, large.batch_size) == (56, 512)
    assert small.epochs * (150 // 56) >= 800
    assert (small.shape.dropout, large.shape.dropout, large.shape.hidden) == (0.3, 0.0, (256, 128))
    many = choose(TableOptions(target="y"), 90_000)
    assert (many.shape.dropout, many.shape.hidden, many.epochs) == (0.0, (256, 128), 20)
    asked = choose(TableOptions(target="y", dropout=0.2, hidden=(64,)), 90_000).shape
    assert (asked.dropout, asked.hidden) == (0.2, (64,))


def test_rules_follow_the_number_of_columns_of_numbers():
    options = TableOptions(target="y")
    usual, wide = choose(options, 1_500, 200), choose(options, 1_500, 300)
    assert usual == choose(options, 1_500)
    assert (usual.shape.members, usual.shape.ranks, usual.folds) == (8, True, True)
    assert (wide.shape.members, wide.shape.ranks, wide.folds) == (1, False, False)
    assert (usual.lr, wide.lr) == (3e-3, 1e-3)
    few, many = choose(options, 200, 300), choose(options, 20_000, 300)
    assert (few.shape, few.folds) == (choose(options, 200).shape, True)
    assert (many.shape.bins, many.shape.members) == (0, 1)
    assert choose(TableOptions(target="y", members=3), 1_500, 300).shape.members == 3


@pytest.mark.parametrize(
    ("rows", "target", "options", "more"),
    [(1_300, "y", {}, 2), (1_300, "c", {}, 1), (900, "y", {}, 1), (1_300, "y", {"epochs": 7}, 1)],
)
def test_numbers_of_many_rows_are_trained_longer(rows, target, options, more):
    x = np.arange(rows) / rows
    frame = pl.DataFrame({"x": x, "c": np.where(x > 0.5, "a", "b"), "y": np.sin(9 * x)})
    plan = TablePlan(TableOptions(target=target, hidden=(2,), **options))
    split = plan.split(plan.read(frame))
    chosen = plan.build(plan.understand(split), split).choice
    assert chosen.epochs == more * choose(plan.options, split.seen).epochs


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize(("columns", "plain"), [(250, False), (260, True)])
def test_wide_tables_are_not_encoded_in_pieces(columns, plain):
    """A column with heavy tails would be."""
    x, said = np.random.default_rng(0).normal(size=(1_300, columns)), list[str]()
    x[:, 0] **= 5
    frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(columns)} | {"y": x[:, 1]})
    options = TableOptions(target="y", hidden=(2,), epochs=1)
    result = train_table(frame, options, progress=False, say=said.append)
    members, inputs, _ = result._model.network.layers[0].weight.shape
    assert (members, inputs) == (1, columns) if plain else (members, inputs > columns) == (8, True)
    assert any(f"on {columns} standardised numbers" in each for each in said) == plain


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"x": [1.0], "y": [2.0]}, "no two|too few|one|constant|same"),
        ({"x": [1.0, 2.0, 3.0], "y": [2.0, 3.0, 4.0]}, "too few rows"),
        ({"x": [1, 2, 3, 4, 5, 6], "y": ["a"] * 6}, "class"),
        ({"x": [1.0, 2.0, 3.0, 4.0], "z": [1, 2, 3, 4]}, "'y'"),
    ],
)
def test_tables_that_nothing_can_be_learned_from(frame, message):
    with pytest.raises(DataError, match=message):
        train(frame, "y")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "lr"), ({"epochs": 0}, "epochs"), ({"dropout": 1.0}, "dropout"),
        ({"validation": 1.5}, "validation"), ({"cv": 1}, "cv"), ({"norm": "group"}, "norm"),
        ({"activation": "rlu"}, "rlu"), ({"optimizer": "adamm"}, "adamm"),
        ({"hidden": (0,)}, "hidden"), ({"cv": 3, "test": "t.csv"}, "Cross-validation"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ConfigError, match=message):
        TableOptions(target="y", **options)


def test_losses_and_balance_must_fit_the_target():
    with pytest.raises(ConfigError, match="not for regression"):
        train(houses(), "price", loss="cross_entropy")
    with pytest.raises(ConfigError, match="Only classes"):
        train(houses(), "price", balance=True)


def test_a_model_that_was_not_trained_on_a_table(tmp_path):
    import chainrule as cr

    cr.save(tmp_path / "m.safetensors", cr.nn.Linear(1, 1), np.zeros((2, 1), np.float32))
    with pytest.raises(ModelFileError, match="not trained on a table"):
        load_predictor(tmp_path / "m.safetensors")
