"""Predictions and losses of many rows are those of one call of the model."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import chainrule as cr
from chainrule import losses, metrics
from chainrule.errors import ConfigError
from chainrule.training import Stream, evaluation

RNG = np.random.default_rng(0)
BACKENDS = pytest.mark.parametrize("backend", ["numpy", "c"])


class Centered(cr.nn.Module):
    """Rows that depend on one another."""

    def forward(self, x):
        return x - cr.mean(x, 0)


class Mixed(cr.nn.Module):
    """A fixed number of rows, each a mixture of all."""

    def __init__(self, rows):
        self.matrix = cr.Buffer(RNG.normal(size=(rows, rows)).astype(np.float32))

    def forward(self, x):
        return self.matrix @ x


def trainer(model, loss="mse", **options):
    return cr.Trainer(model, loss, cr.optim.SGD([cr.parameter(0.0)]), progress=False, **options)


@BACKENDS
@pytest.mark.parametrize("rows", [1, 13, 20, 2500])
def test_rows_that_depend_on_one_another_are_never_padded_or_parted(rows, backend):
    x = RNG.normal(size=(rows, 3)).astype(np.float32)
    for model in [Centered(), *([Mixed(rows)] if rows < 100 else [])]:
        found = trainer(model, backend=backend)
        expected = model(x).numpy()
        np.testing.assert_allclose(found.predict(x), expected, rtol=1e-4, atol=1e-5)
        loss = found.evaluate((x, x))["loss"]
        assert loss == pytest.approx(losses.mse(expected, x).item(), rel=1e-3)


def test_independent_rows_are_evaluated_in_few_sizes(monkeypatch):
    """In parts of 64 rows, to which the last one is padded; a single one to a power of two."""
    monkeypatch.setattr(evaluation, "_CHUNK", 64)
    model = cr.nn.Linear(3, 2).initialize(0)
    found = trainer(model, backend="numpy")
    sizes = set()
    for rows in (20, 2500, 70):
        x = RNG.normal(size=(rows, 3)).astype(np.float32)
        with cr.nn.observe(lambda path, module, inputs, result: sizes.add(len(result))):
            predicted = found.predict(x)
        np.testing.assert_allclose(predicted, model(x).numpy(), rtol=1e-5, atol=1e-6)
    assert sizes - {5, 7} == {32, 64}  # with 5 and 7 independence is proved


CLASSES = np.r_[np.zeros(2048), np.ones(512)].astype(np.int64)
LOSSES = {
    "weighted classes": partial(losses.cross_entropy, class_weights=[1.0, 10.0]),
    "mean": losses.cross_entropy,
    "sum": partial(losses.cross_entropy, reduction="sum"),
    "smoothed": partial(losses.cross_entropy, class_weights=[1.0, 10.0], label_smoothing=0.1),
}


@BACKENDS
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_parts_is_the_loss_of_all(name, weighted, backend):
    x = RNG.normal(size=(2560, 3)).astype(np.float32)
    weights = RNG.uniform(0, 2, 2560).astype(np.float32) if weighted else None
    model, loss = cr.nn.Linear(3, 2).initialize(0), LOSSES[name]
    data = (x, CLASSES) if weights is None else (x, CLASSES, weights)
    found = trainer(model, loss, backend=backend).evaluate(data)["loss"]
    assert found == pytest.approx(loss(model(x), CLASSES, sample_weights=weights).item(), rel=1e-4)
    rows = Stream(lambda rows, epoch: tuple(a[rows] for a in data), CLASSES, weights=weights)
    assert trainer(model, loss).evaluate(rows)["loss"] == pytest.approx(found, rel=1e-5)


def test_metrics_are_weighted_as_the_loss():
    x = RNG.normal(size=(300, 2)).astype(np.float32)
    target = (x[:, 0] + RNG.normal(size=300) > 0).astype(np.int64)
    weights = RNG.uniform(0, 2, 300).astype(np.float32)
    model = cr.nn.Linear(2, 2).initialize(0)
    found = trainer(model, "cross_entropy", metrics=["accuracy", "roc_auc"])
    results, probabilities = found.evaluate((x, target, weights)), found.predict(x)
    for name in ("accuracy", "roc_auc"):
        expected = metrics.compute(name, target, probabilities, weights)
        assert results[name] == pytest.approx(expected)
        assert results[name] != pytest.approx(metrics.compute(name, target, probabilities))


def test_no_weight_is_no_loss():
    x = np.ones((4, 1), np.float32)
    model = cr.nn.Linear(1, 1)
    assert trainer(model).evaluate((x, x, np.zeros(4, np.float32)))["loss"] == 0.0


@BACKENDS
@pytest.mark.parametrize("rows", [1, 40, 300])
def test_predictions_in_pieces_are_those_of_all_rows(backend, rows):
    model = cr.nn.Sequential(cr.nn.Linear(3, 8), cr.nn.Tanh(), cr.nn.Linear(8, 2)).initialize(0)
    x = RNG.normal(size=(rows, 3)).astype(np.float32)
    hidden = np.tanh(x @ model[0].weight.numpy() + model[0].bias.numpy())
    expected = hidden @ model[2].weight.numpy() + model[2].bias.numpy()
    found = trainer(model, backend=backend).predict(x, at_once=20)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@BACKENDS
def test_rows_that_depend_on_one_another_are_predicted_piece_by_piece(backend):
    x = RNG.normal(size=(50, 3)).astype(np.float32)
    found = trainer(Centered(), backend=backend).predict(x, at_once=20)
    expected = np.concatenate([part - part.mean(axis=0) for part in (x[:20], x[20:40], x[40:])])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_pieces_of_no_rows_are_refused():
    with pytest.raises(ConfigError, match="at_once must be positive") as error:
        trainer(Centered()).predict(np.ones((4, 3), np.float32), at_once=0)
    assert error.value.found == "0"
