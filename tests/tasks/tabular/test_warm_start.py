"""A saved model as the beginning of another: transfer to another table, update on new rows."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, DataError, ModelFileError
from chainrule.tasks import load_predictor
from chainrule.tasks.tabular import TableOptions, train_table
from chainrule.tasks.tabular.calibration import probabilities
from chainrule.tasks.tabular.defaults import choose
from chainrule.tasks.tabular.features import columns_by_kind
from chainrule.tasks.update import update
from chainrule.training import load_training

EXTRA = {"Oslo": 50.0, "Rome": 20.0, "Bonn": 0.0, "Bern": 80.0}


def predicted(result, rows):
    """What a trained model says of encoded rows."""
    return result._model(columns_by_kind(rows)).numpy()


def houses(rows, seed=0, cities=("Oslo", "Rome", "Bonn"), factor=1.0):
    g = np.random.default_rng(seed)
    area, city = g.uniform(30, 200, rows), g.choice(list(cities), rows)
    price = 3 * area + np.array([EXTRA[c] for c in city]) + g.normal(0, 5, rows)
    return pl.DataFrame({"area": area, "city": city, "age": g.uniform(0, 50, rows),
                         "price": price * factor})  # fmt: skip


def with_classes(frame, *more):
    dear = pl.when(pl.col("price") > 350).then(pl.lit("dear"))
    for limit, name in more:
        dear = dear.when(pl.col("price") > limit).then(pl.lit(name))
    return frame.with_columns(dear.otherwise(pl.lit("cheap")).alias("class")).drop("price")


def options(target, **more):
    small = {"epochs": 15, "members": 2, "hidden": (16, 8), "backend": "numpy"}
    return TableOptions(target=target, **{**small, **more})


def trained(frame, target, folder, **more):
    """A run folder as the command line makes it."""
    folder.mkdir()
    result = train_table(frame, options(target, **more), progress=False)
    result.save(folder / "model.safetensors")
    result.save_training(folder / "training.safetensors")
    return result


@pytest.fixture(scope="module")
def prices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "prices"
    trained(houses(400), "price", folder)
    return folder


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "classes"
    trained(with_classes(houses(400)), "class", folder)
    return folder


# ---- transfer ----------------------------------------------------------------------------------


def test_without_a_step_the_new_model_predicts_what_the_old_one_does(prices):
    """Columns have changed their places: weights follow their names, statistics come along."""
    frame = houses(60, seed=1).select("age", "price", "city", "area")
    start = options("price", from_model=str(prices), lr=0.0, epochs=1)
    # The recipe's averages and rate 0 leave the weights as they were taken over.
    result = train_table(frame, start, progress=False)
    rows = result.schema.encode(frame)
    ours = predicted(result, rows)
    theirs = load_predictor(prices).predict(frame)["prediction"].to_numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_sizes_are_those_of_the_model_to_begin_with(prices):
    said = []
    frame = houses(40, seed=2)
    chosen = TableOptions(target="price", epochs=1, from_model=str(prices))
    result = train_table(frame, chosen, progress=False, say=said.append)
    assert result.report["network"]["hidden"] == [16, 8]
    assert any(s.startswith("taken over: ") and "layers.0" in s for s in said)


def test_other_classes_get_a_head_of_their_own_and_frozen_layers_stay(prices, tmp_path):
    said = []
    frame = with_classes(houses(80, seed=3))
    chosen = options("class", from_model=str(prices), freeze=("layers.0",))
    result = train_table(frame, chosen, progress=False, say=said.append)
    assert "newly initialised: network.head, network.linear" in said
    assert "frozen: network.layers.0" in said
    result.save(tmp_path / "new.safetensors")
    old, new = (cr.load(p).state() for p in (prices / "model.safetensors",
                                             tmp_path / "new.safetensors"))  # fmt: skip
    np.testing.assert_array_equal(old["network.layers.0.weight"], new["network.layers.0.weight"])
    assert not np.array_equal(old["network.layers.1.weight"], new["network.layers.1.weight"])


def test_a_column_more_begins_anew_and_the_others_do_not(prices):
    frame = houses(60, seed=4).with_columns(rooms=pl.Series(np.arange(60) % 5 + 1))
    said = []
    start = options("price", from_model=str(prices), lr=0.0, epochs=1)
    result = train_table(frame, start, progress=False, say=said.append)
    old = cr.load(prices / "model.safetensors").state()["network.layers.0.weight"]
    new = result._model.state()["network.layers.0.weight"]
    labels = result._model.network.features.labels()["numbers"]
    assert new.shape[1] == old.shape[1] + 1
    kept = [i for i, label in enumerate(labels) if label[0] != "rooms"]
    assert {tuple(row) for row in old[0].tolist()} == {tuple(r) for r in new[0, kept].tolist()}


def test_mistakes(prices, tmp_path):
    frame = houses(40)
    with pytest.raises(ConfigError, match="no layer 'body'"):
        train_table(frame, options("price", from_model=str(prices), freeze=("body",)))
    with pytest.raises(ConfigError, match="begin at random"):
        options("price", freeze=("layers.0",))
    cr.save(tmp_path / "bare", cr.nn.Linear(1, 1).initialize(0), np.zeros((1, 1), np.float32))
    with pytest.raises(ModelFileError, match="cannot be trained on"):
        train_table(frame, options("price", from_model=str(tmp_path / "bare")))


# ---- update ------------------------------------------------------------------------------------


def test_an_update_adapts_to_new_rows_and_leaves_the_file_alone(prices):
    before = (prices / "model.safetensors").read_bytes()
    dearer = houses(300, seed=5, factor=1.5)
    report = update(prices, dearer, progress=False).report
    old = report["baselines"]["before the update"]
    assert report["metrics"]["rmse"] < 0.7 * old["rmse"]
    assert report["rows"] == {"train": 240, "test": 60}
    assert (prices / "model.safetensors").read_bytes() == before


def test_an_update_goes_on_with_the_optimizer_and_the_statistics(prices):
    result = update(prices, houses(100, seed=6), epochs=1, progress=False)
    updated, saved = result._trainer.state(), load_training(prices / "training.safetensors")
    steps = -(-80 // choose(options("price"), 80).batch_size)
    assert updated["optimizer.steps"] == saved["optimizer.steps"] + steps
    assert result.schema.to_json() == cr.load(prices / "model.safetensors").schema


def test_new_categories_are_unknown_unless_they_may_grow(prices):
    said = []
    frame = houses(300, seed=7, cities=("Bern", "Oslo"))
    update(prices, frame, epochs=1, progress=False, say=said.append)
    assert any("never seen in training: 'Bern'" in s for s in said)
    result = update(prices, frame, epochs=1, grow=True, progress=False, say=said.append)
    assert "column city: new categories Bern" in said
    assert result.schema.category[0].vocabulary[-1] == "Bern"


def test_growing_changes_no_answer_for_what_was_known(prices, classes):
    for folder, frame in (
        (prices, houses(50, seed=8, cities=("Bern", "Oslo"))),
        (classes, with_classes(houses(50, seed=8, cities=("Bern", "Oslo")), (250, "fair"))),
    ):
        result = update(folder, frame, epochs=1, lr=1e-12, grow=True, progress=False)
        known = houses(30, seed=9).drop("price")
        ours = predicted(result, result.schema.encode(known))
        saved = load_predictor(folder).predict(known, proba=True)
        if folder is prices:
            np.testing.assert_allclose(ours, saved["prediction"].to_numpy(), rtol=1e-4)
        else:  # the new class takes some probability; in each member the ratio of the others stays
            theirs = saved.select("probability cheap", "probability dear").to_numpy()
            model, rows = result._model, columns_by_kind(result.schema.encode(known))
            z = model.network(model.network.features(rows)).numpy()[:, :, :2]
            two = probabilities(z, model.heads[0].temperature.item())
            np.testing.assert_allclose(two, theirs, atol=1e-5)
            assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() > 0.8


def test_new_classes_are_an_error_unless_they_may_grow(classes):
    frame = with_classes(houses(300, seed=10), (250, "fair"))
    with pytest.raises(DataError, match="classes that the model does not know") as caught:
        update(classes, frame, progress=False)
    assert "fair" in caught.value.found
    assert "--grow" in caught.value.hint
    report = update(classes, frame, grow=True, progress=False).report
    assert report["task"] == "multiclass"
    before = report["baselines"]["before the update"]
    assert report["metrics"]["accuracy"] >= before["accuracy"]
    assert report["metrics"]["log_loss"] < before["log_loss"]


def test_updates_follow_each_other(prices, tmp_path):
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        start = prices if number == 1 else tmp_path / "1"
        result = update(start, houses(100, seed=11), epochs=2, progress=False)
        result.save(folder / "model.safetensors")
        result.save_training(folder / "training.safetensors")
        assert result.report["updates"] == number


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.drop("price"), "no column 'price'"),
        (lambda f: f.drop("area"), "no column 'area'"),
        (lambda f: f.head(3), "too few"),
        (lambda f: f.head(4), "too few new rows"),
        (lambda f: f.with_columns(area=pl.lit("big")), "Most of column 'area' cannot be read"),
    ],
)
def test_new_rows_that_do_not_fit(prices, change, says):
    with pytest.raises(DataError, match=says):
        update(prices, change(houses(50)), progress=False)
