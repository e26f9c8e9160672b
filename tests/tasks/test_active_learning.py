"""Which rows to label next."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule import active
from chainrule.errors import ConfigError, DataError
from chainrule.tasks import load_predictor
from chainrule.tasks.label_next import next_rows
from chainrule.tasks.tabular import TableOptions, train_table


def test_entropy_and_margin_against_their_definitions():
    p = np.random.default_rng(0).dirichlet([1, 1, 1], 50)
    scipy = pytest.importorskip("scipy.stats")
    np.testing.assert_allclose(active.entropy(p), scipy.entropy(p, axis=1))
    for row, margin in zip(p, active.margin(p), strict=True):
        largest, second, _ = sorted(row, reverse=True)
        assert margin == pytest.approx(1 - (largest - second))


def test_k_center_is_within_twice_the_best_cover():
    """Gonzalez' bound, against all choices of centers of a small set."""
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=(9, 2))
        distance = np.linalg.norm(x[:, None] - x[None], axis=2)
        best = min(
            distance[:, list(centers)].min(axis=1).max()
            for centers in itertools.combinations(range(9), 3)
        )
        found, _ = active.k_center(x, 3)
        assert len(set(found)) == 3
        assert distance[:, found].min(axis=1).max() <= 2 * best + 1e-6


def test_k_center_keeps_away_from_what_is_covered_and_takes_no_row_twice():
    x = np.array([[0.0], [0.1], [5.0], [5.0], [5.0]])
    rows, distances = active.k_center(x, 5, covered=np.array([[0.0]]))
    assert rows[0] in (2, 3, 4)
    assert distances[0] == pytest.approx(5.0)
    assert sorted(rows) == [0, 1, 2, 3, 4]


def test_a_batch_of_uncertain_rows_is_varied():
    """Ten equal rows are the most uncertain; with features only one of them is asked for."""
    p = np.array([[0.5, 0.5]] * 10 + [[0.6, 0.4]] * 10)
    x = np.concatenate([np.zeros((10, 2)), np.random.default_rng(0).normal(3, 1, (10, 2))])
    alike = active.label_next(4, "margin", probabilities=p)
    varied = active.label_next(5, "margin", probabilities=p, features=x)
    assert (alike.rows < 10).all()
    assert (varied.rows < 10).sum() == 1


def test_mistakes():
    with pytest.raises(ConfigError, match="Unknown strategy 'hope'"):
        active.label_next(1, "hope", probabilities=np.ones((1, 2)))
    with pytest.raises(ConfigError, match="needs probabilities"):
        active.label_next(1, "entropy", features=np.ones((1, 2)))
    with pytest.raises(ConfigError, match="needs activations"):
        active.label_next(1, "coreset", probabilities=np.ones((1, 2)))
    with pytest.raises(ConfigError, match="At least one"):
        active.label_next(0, "random", probabilities=np.ones((1, 2)))
    with pytest.raises(DataError, match="no rows"):
        active.label_next(1, "random", probabilities=np.ones((0, 2)))


def test_hidden_activations_of_a_saved_model_are_those_of_the_network(tmp_path):
    layers = cr.nn.Linear(3, 5), cr.nn.Tanh(), cr.nn.Linear(5, 4), cr.nn.Tanh(), cr.nn.Linear(4, 2)
    model = cr.nn.Sequential(*layers).initialize(0)
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    cr.save(tmp_path / "m", model, x, output=cr.softmax)
    hidden = x
    for layer in layers[:-1]:
        hidden = layer(hidden)
    np.testing.assert_allclose(cr.load(tmp_path / "m").hidden(x), hidden.numpy(), rtol=1e-5)


def test_a_model_without_weights_has_no_hidden_layer(tmp_path):
    cr.save(tmp_path / "m", cr.nn.Tanh(), np.zeros((2, 3), np.float32))
    assert cr.load(tmp_path / "m").hidden(np.zeros((4, 3), np.float32)) is None


# ---- with a model of a table -------------------------------------------------------------------


def stripes(rows, seed=0):
    x = np.random.default_rng(seed).uniform(-1, 1, (rows, 2))
    return pl.DataFrame({"x": x[:, 0], "y": x[:, 1], "side": np.where(x[:, 0] > 0, "r", "l")})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("active") / "model.safetensors"
    options = TableOptions(target="side", epochs=40, members=2, hidden=(8,), backend="numpy")
    train_table(stripes(200), options, progress=False).save(path)
    return load_predictor(path)


@pytest.mark.parametrize("strategy", ["entropy", "margin"])
def test_uncertain_rows_lie_at_the_border(model, strategy):
    pool = stripes(300, seed=1).drop("side")
    found = next_rows(model, pool, 10, strategy)
    chosen = pool[found["row"].to_numpy()]["x"].abs()
    assert chosen.mean() < 0.7 * pool["x"].abs().mean()
    assert found["score"].is_sorted(descending=True)
    assert "r" in found["reason"][0]


def test_rows_without_a_target_are_the_pool(model):
    frame = stripes(100, seed=2).with_columns(
        side=pl.when(pl.int_range(pl.len()) >= 60).then("side")
    )
    for strategy in active.STRATEGIES:
        found = next_rows(model, frame, 5, strategy)
        assert found.height == 5
        assert (found["row"] < 60).all()
        again = next_rows(model, frame, 5, strategy)
        assert found["row"].to_list() == again["row"].to_list()


def test_numbers_are_covered(tmp_path):
    frame = stripes(80).with_columns(z=pl.col("x") * 2).drop("side")
    options = TableOptions(target="z", epochs=2, members=2, hidden=(8,), backend="numpy")
    train_table(frame, options, progress=False).save(tmp_path / "m")
    predictor = load_predictor(tmp_path / "m")
    assert next_rows(predictor, frame, 3).height == 3
    with pytest.raises(ConfigError, match="needs a model of classes"):
        next_rows(predictor, frame, 3, "margin")
