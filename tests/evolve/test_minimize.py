"""Searches as users call them: of functions, and of the weights of a model."""

from __future__ import annotations

import math
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, ShapeError, TraceError, TrainingError, TypeRuleError
from chainrule.evolve import (
    CMAES,
    EvolutionStrategy,
    GeneticAlgorithm,
    HillClimbing,
    RandomSearch,
    Search,
    f1_error,
    fit,
    maximize,
    minimize,
    zero_one,
)

RNG = np.random.default_rng(5)


def test_a_candidate_is_a_tree_like_the_start():
    start = {"a": np.zeros((2, 2), "float32"), "b": [1.0, cr.tensor(2.0)]}

    def loss(p):
        assert p["a"].type == cr.tensor(start["a"]).type
        return ((p["a"] - 1) ** 2).sum() + p["b"][0] ** 2 + (p["b"][1] - 3) ** 2

    found = minimize(loss, start, "cma", target=1e-8, backend="numpy")
    np.testing.assert_allclose(found.best["a"], np.ones((2, 2)), atol=1e-3)
    assert found.best["a"].dtype == np.float32
    np.testing.assert_allclose([*found.best["b"]], [0, 3], atol=1e-3)


def test_functions_that_cannot_be_traced():
    def loss(x):
        assert isinstance(x, np.ndarray)
        return abs(float(x[0]) - 2) if x[0] > 0 else 100

    with pytest.raises(TraceError, match="compiled=False"):
        minimize(lambda x: x.sum() if x[0] > 0 else -x.sum(), [1.0], evaluations=100)
    found = minimize(loss, [-0.5], "cma", compiled=False, target=1e-6, backend="numpy")
    assert found.best[0] == pytest.approx(2, abs=1e-5)
    with ThreadPoolExecutor(2) as pool:
        pooled = minimize(loss, [-0.5], "cma", compiled=False, target=1e-6, backend="numpy",
                          map=pool.map)  # fmt: skip
    np.testing.assert_array_equal(found.best, pooled.best)


def test_maximize_is_the_other_direction():
    found = maximize(lambda x: 5 - (x**2).sum(), [1.0, 1.0], "cma", target=5 - 1e-8,
                     backend="numpy")  # fmt: skip
    assert 5 - 1e-8 <= found.loss <= 5
    assert found.progress.best == sorted(found.progress.best)
    assert found.progress.best[-1] == found.loss


def test_budgets():
    spent = minimize(lambda x: (x**2).sum(), [1.0], RandomSearch(population=10), evaluations=57,
                     backend="numpy")  # fmt: skip
    assert (spent.evaluations, spent.reason) == (50, "the evaluations are spent")
    timed = minimize(lambda x: (x**2).sum(), [1.0], RandomSearch(population=10), seconds=0.05,
                     backend="numpy")  # fmt: skip
    assert timed.reason == "the time is over"
    assert timed.seconds < 5
    calls = []
    minimize(lambda x: (x**2).sum(), [1.0], "random", evaluations=1280, backend="numpy",
             on_progress=lambda progress: calls.append(progress.evaluations[-1]))  # fmt: skip
    assert calls[-1] == 1280
    assert calls == sorted(calls)


def plain(x):
    return (x**2).sum()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: minimize(plain, [1.0], evaluations=0), ConfigError, "evaluations"),
        (lambda: minimize(plain, [1.0], seconds=0), ConfigError, "seconds"),
        (lambda: minimize(plain, [1.0], seconds=math.nan), ConfigError, "seconds"),
        (lambda: minimize(plain, [1.0], evaluations=3), ConfigError, "too small for one gen"),
        (lambda: minimize(plain, [1.0], target=math.nan), ConfigError, "target"),
        (lambda: minimize(plain, [1.0], "cmaes"), ConfigError, "Did you mean 'cma'"),
        (lambda: minimize(plain, []), ConfigError, "nothing to search"),
        (lambda: minimize(plain, [math.nan]), ConfigError, "not finite"),
        (lambda: minimize(plain, np.arange(3)), TypeRuleError, "floating-point"),
        (lambda: minimize(lambda x: x, [1.0, 2.0], evaluations=100), ShapeError, "one number"),
        (lambda: minimize(plain, [1.0], bounds=(1, 0)), ConfigError, "bounds"),
        (lambda: minimize(plain, [1.0], bounds=([0, 0], 1)), ConfigError, "bounds"),
        (lambda: minimize(plain, [1.0], bounds=3), ConfigError, "bounds"),
        (lambda: minimize(plain, [1.0], chunk=0, evaluations=99), ConfigError, "chunk"),
        (
            lambda: minimize(lambda x: x.sum() * math.nan, [1.0], evaluations=99, backend="numpy"),
            TrainingError,
            "No candidate",
        ),
        (lambda: Search(CMAES(), [1.0]).tell([1.0]), ConfigError, "Call ask first"),
        (lambda: Search(CMAES(), np.zeros((2, 2))), ShapeError, "one vector"),
    ],
)
def test_what_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_as_many_losses_as_candidates():
    search = Search(CMAES(), [1.0, 2.0], backend="numpy")
    search.ask()
    with pytest.raises(ShapeError, match="One loss for each"):
        search.tell([1.0])


def test_an_interrupt_keeps_what_was_found():
    def interrupt(progress):
        if progress.evaluations[-1] > 60:
            os.kill(os.getpid(), signal.SIGINT)

    found = minimize(plain, [3.0, 3.0], HillClimbing(population=4), evaluations=10**6,
                     backend="numpy", on_progress=interrupt)  # fmt: skip
    assert found.interrupted
    assert found.loss == pytest.approx((found.best**2).sum())
    assert 60 < found.evaluations < 10**6


# ---- models ------------------------------------------------------------------------------------


def xor():
    x = RNG.uniform(-1, 1, size=(60, 2)).astype("float32")
    return x, (x[:, 0] * x[:, 1] > 0).astype("int64")


def test_a_model_is_trained_without_a_derivative():
    x, y = xor()
    model = cr.models.mlp(2, 2, [6], cr.nn.Tanh).initialize(0)
    before = model.state()
    at_first = zero_one(model(x), y).item()
    found = fit(model, zero_one, (x, y), CMAES(population=24), evaluations=2_400, backend="numpy")
    assert found.loss < 0.25 < at_first
    # What is reported is what the model does now.
    classes = model(x).numpy().argmax(1)
    assert float((classes != y).mean()) == pytest.approx(found.loss)
    assert found.best.keys() == before.keys()
    for path, array in model.state().items():
        np.testing.assert_array_equal(array, found.best[path])
        assert not np.array_equal(array, before[path])


def test_frozen_parameters_stay_and_batches_are_drawn():
    x = RNG.normal(size=(200, 3)).astype("float32")
    y = x @ np.array([[1.0], [-2.0], [0.5]], "float32") + 3
    model = cr.nn.Linear(3, 1).initialize(0)
    model.bias.assign([3.0])
    model.freeze("bias")
    strategy = EvolutionStrategy(0.05, lr=0.05, population=16)
    found = fit(model, "mse", (x, y), strategy, evaluations=16 * 150, batch_size=32,
                backend="numpy")  # fmt: skip
    assert model.bias.tolist() == [3.0]
    np.testing.assert_allclose(model.weight.numpy()[:, 0], [1.0, -2.0, 0.5], atol=0.15)
    assert found.loss == pytest.approx(float(((model(x).numpy() - y) ** 2).mean()), rel=1e-4)


def test_chunks_change_nothing():
    x, y = xor()
    ends = []
    for chunk in (None, 1, 4, 10):
        model = cr.models.mlp(2, 2, [4], cr.nn.Tanh).initialize(0)
        found = fit(model, "cross_entropy", (x, y), GeneticAlgorithm(population=10),
                    evaluations=60, chunk=chunk, backend="numpy")  # fmt: skip
        ends.append(found.progress.lowest)
    for other in ends[1:]:
        np.testing.assert_allclose(other, ends[0], rtol=1e-5)


def test_every_layer_that_a_population_goes_through_gives_what_it_gives_alone():
    model = cr.nn.Sequential(
        cr.nn.Conv2d(1, 2, 3), cr.nn.BatchNorm(2), cr.nn.ReLU(), cr.nn.Dropout(0.5),
        cr.nn.Flatten(), cr.nn.Linear(2 * 4, 3),
    ).initialize(0)  # fmt: skip
    x = RNG.normal(size=(5, 4, 4, 1)).astype("float32")
    y = np.array([0, 1, 2, 1, 0])
    found = fit(model, "cross_entropy", (x, y), RandomSearch(0.3, population=6), evaluations=12,
                backend="numpy")  # fmt: skip
    assert found.loss == pytest.approx(found.progress.best[-1], rel=1e-5)
    assert cr.losses.cross_entropy(model(x), y).item() == pytest.approx(found.loss, rel=1e-5)


def test_a_model_without_parameters_and_unknown_losses_are_refused():
    with pytest.raises(ConfigError, match="no parameters"):
        fit(cr.nn.ReLU(), "mse", (np.ones((2, 1)), np.ones((2, 1))))
    with pytest.raises(ConfigError, match="loss"):
        fit(cr.nn.Linear(1, 1), "msee", (np.ones((2, 1)), np.ones((2, 1))))


# ---- losses without a derivative ---------------------------------------------------------------


def test_errors_and_f1_are_those_of_the_metrics():
    logits = RNG.normal(size=(40, 3))
    target = RNG.integers(0, 3, 40)
    classes = logits.argmax(1)
    assert zero_one(logits, target).item() == pytest.approx((classes != target).mean())
    expected = 1 - cr.metrics.f1(target, classes, average="macro")
    assert f1_error(logits, target).item() == pytest.approx(expected)
    one = logits[:, :1]
    assert zero_one(one, target % 2).item() == pytest.approx(((one[:, 0] > 0) != target % 2).mean())
    assert zero_one(one, (target % 2)[:, None]).item() == zero_one(one[:, 0], target % 2).item()
    with pytest.raises(ShapeError, match="do not fit"):
        zero_one(logits, target[:3])
