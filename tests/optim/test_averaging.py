"""Averages of the weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import ConfigError
from chainrule.optim import EMA, SWA

VALUES = np.random.default_rng(0).normal(size=(20, 3))
MAKERS: dict[str, Callable[[Any], EMA]] = {
    "ema": lambda w: EMA(w, decay=0.9, warmup=False),
    "ema, warmed up": lambda w: EMA(w, decay=0.9),
    "swa": SWA,
}


def averaged(average: EMA, w: cr.Parameter, values: Any) -> Any:
    update = cr.compile(average.update, backend="numpy")
    for value in values:
        w.assign(value)
        update()
    return average.averages["0"].numpy()


@given(st.floats(0, 0.999), st.booleans())
@settings(deadline=None, max_examples=20)
def test_ema_by_its_formula(decay: float, warmup: bool) -> None:
    w = cr.parameter(np.zeros(3))
    expected = np.zeros(3)
    for t, value in enumerate(VALUES):
        d = min(decay, (1 + t) / (10 + t)) if warmup else decay
        expected = d * expected + (1 - d) * value
    found = averaged(EMA([w], decay, warmup), w, VALUES)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_swa_is_the_mean() -> None:
    w = cr.parameter(np.full(3, 9.0))
    np.testing.assert_allclose(averaged(SWA([w]), w, VALUES), VALUES.mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("name", MAKERS)
def test_compiled_as_eager_and_resumed_to_the_bit(name: str) -> None:
    w = cr.parameter(np.zeros(3, np.float32))
    eager, compiled, first = (MAKERS[name]([w]) for _ in range(3))
    update = cr.compile(compiled.update, backend="numpy")
    resumed = first
    for t, value in enumerate(VALUES):
        w.assign(value)
        if t == 7:
            resumed = MAKERS[name]([w])
            resumed.load_state(first.state())
        eager.update()
        update()
        resumed.update()
    found = [average.averages["0"].numpy().tobytes() for average in (eager, compiled, resumed)]
    assert found[0] == found[1] == found[2]
    assert eager.averages["0"].dtype == np.float32


def test_weights_are_swapped_for_a_while_even_if_it_fails() -> None:
    w = cr.parameter(np.zeros(2))
    average = EMA({"w": w}, decay=0.5, warmup=False)
    w.assign(np.array([2.0, 4.0]))
    average.update()
    predict = cr.compile(lambda x: w * x, backend="numpy")

    def inside() -> None:
        with average.applied():
            assert predict(cr.tensor(1.0, "float64")).tolist() == [1.0, 2.0]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inside()
    assert w.tolist() == [2.0, 4.0]
    assert w.requires_grad
    average.apply()
    assert w.tolist() == [1.0, 2.0]
    w.assign(np.zeros(2))
    assert average.averages["w"].tolist() == [1.0, 2.0]


def test_inside_a_training_step_the_new_weights_count() -> None:
    w = {"w": cr.parameter(np.array([1.0]))}
    optimizer = cr.optim.SGD(w, lr=0.25)
    average = EMA(w, decay=0.5, warmup=False)

    @cr.compile(backend="numpy")
    def step() -> None:
        optimizer.update(cr.grad(lambda p: (p["w"] ** 2).sum())(w))
        average.update()

    step()
    assert w["w"].tolist() == [0.5]
    assert average.averages["w"].tolist() == [0.75]


def test_averages_of_noisy_weights_are_nearer_to_the_optimum() -> None:
    """SGD with noise swings around the minimum; its averages swing less."""
    rng = np.random.default_rng(3)
    w = {"w": cr.parameter(np.zeros(50))}
    optimizer = cr.optim.SGD(w, lr=0.2)
    averages = [EMA(w, decay=0.98), SWA(w)]
    far = []
    for step in range(400):
        optimizer.update({"w": w["w"] - 1.0 + cr.tensor(rng.normal(size=50))})
        averages[0].update()
        if step >= 100:
            averages[1].update()
    for average in averages:
        with average.applied():
            far.append(float(np.abs(w["w"].numpy() - 1).mean()))
    assert max(far) < 0.5 * float(np.abs(w["w"].numpy() - 1).mean())


def test_frozen_parameters_are_left_out() -> None:
    a, b = cr.parameter(1.0), cr.parameter(2.0)
    b.requires_grad = False
    assert list(EMA({"a": a, "b": b}).averages) == ["a"]


@pytest.mark.parametrize("decay", [1.0, -0.1, None, "0.9"])
def test_nonsense_is_refused(decay: Any) -> None:
    with pytest.raises(ConfigError, match="below 1"):
        EMA([cr.parameter(1.0)], decay=decay)


def test_foreign_states_are_refused() -> None:
    average = EMA([cr.parameter(1.0)])
    with pytest.raises(ConfigError, match="another average"):
        average.load_state(EMA({"w": cr.parameter(1.0)}).state())


def test_an_average_begins_anew_where_the_weights_are() -> None:
    """After that the first weights count as much as they do at the very beginning."""
    model = cr.nn.Linear(1, 1).initialize(seed=0)
    found = []
    for make in (cr.optim.SWA, cr.optim.EMA):
        average = make(model)
        for run in range(2):
            average.restart() if run else None
            values = []
            for value in (5.0, 1.0, 4.0):
                model.weight.assign(np.full((1, 1), value, np.float32))
                average.update()
                values.append(average.averages["weight"].item())
            found.append(values)
            model.weight.assign(np.full((1, 1), 9.0, np.float32))
    assert found[0] == pytest.approx([5.0, 3.0, 10 / 3])
    assert found[1] == pytest.approx(found[0])
    assert average.steps.item() == 3
