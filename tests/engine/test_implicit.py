"""Functions with their own derivative, roots, fixed points and differential equations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, optimize

import chainrule as cr
from chainrule.errors import ConfigError, DerivativeError, ShapeError, TrainingError


def double(*values: float) -> Any:
    return cr.tensor(values, "float64")


BACKENDS = [None, "numpy", "c"]


def run(function: Any, backend: str | None) -> Any:
    return function if backend is None else cr.compile(function, backend=backend)


# ---- own derivatives -------------------------------------------------------------------------


@cr.custom_vjp(lambda g, y, x, w: (g * w * y, g * x * y))
def grown(x: Any, w: Any) -> Any:
    """exp(x·w)."""
    return cr.exp(x * w)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_rule_is_differentiated_again(backend: str | None) -> None:
    x, w = double(0.3, -0.5), double(0.7, 1.1)

    def first(x: Any, w: Any) -> Any:
        return cr.grad(lambda x, w: grown(x, w).sum(), (0, 1))(x, w)

    def second(x: Any, w: Any) -> Any:
        return cr.grad(lambda x: first(x, w)[1].sum())(x)

    e = np.exp(x.numpy() * w.numpy())
    np.testing.assert_allclose(run(grown, backend)(x, w).numpy(), e)
    by_x, by_w = run(first, backend)(x, w)
    np.testing.assert_allclose(by_x.numpy(), w.numpy() * e)
    np.testing.assert_allclose(by_w.numpy(), x.numpy() * e)
    found = run(second, backend)(x, w).numpy()
    np.testing.assert_allclose(found, e * (1 + x.numpy() * w.numpy()))


def test_a_rule_of_ones_own_choice_counts() -> None:
    straight = cr.custom_vjp(lambda g, y, x: (cr.clip(g, -1.0, 1.0),))(lambda x: x * 100.0)
    x = double(1.0, 2.0)
    assert straight(x).tolist() == [100.0, 200.0]
    assert cr.grad(lambda x: (straight(x) * double(0.5, 7.0)).sum())(x).tolist() == [0.5, 1.0]
    slopes = cr.vmap(cr.grad(lambda x: straight(x).sum()))(cr.tensor(np.ones((3, 2))))
    assert slopes.tolist() == [[1.0, 1.0]] * 3
    assert straight.__name__ == "<lambda>"
    assert grown.__doc__ == "exp(x·w)."


def test_second_derivatives_reach_what_a_rule_uses() -> None:
    x, scale = double(1.0, 4.0), double(2.0, 3.0)

    def first(scale: Any) -> Any:
        own = cr.custom_vjp(lambda g, y, x: (g * scale * x,))(lambda x: x * x)
        return cr.grad(lambda x: own(x).sum())(x)

    assert first(scale).tolist() == [2.0, 12.0]
    assert cr.grad(lambda scale: first(scale).sum())(scale).tolist() == [1.0, 4.0]


def test_rules_that_cannot_be() -> None:
    x, w = double(1.0), cr.parameter([2.0])
    with pytest.raises(DerivativeError, match="from outside"):
        cr.grad(lambda x: cr.custom_vjp(lambda g, y, x: (g,))(lambda x: x * w)(x).sum())(x)
    with pytest.raises(DerivativeError, match="for each argument"):
        cr.custom_vjp(lambda g, y, x: (g, g))(lambda x: x)(x)
    with pytest.raises(ShapeError, match="wrong shape"):
        cr.custom_vjp(lambda g, y, x: (g.sum(),))(lambda x: x)(x)
    with pytest.raises(DerivativeError, match="one tensor"):
        cr.custom_vjp(lambda g, y, x: (g,))(lambda x: (x, x))(x)


def test_linearize() -> None:
    x, calls = double(0.5, 1.5), []

    def function(x: Any) -> Any:
        calls.append(1)
        return cr.stack([x[0] * x[1], cr.exp(x[0])])

    y, along = cr.linearize(function, x)
    before = len(calls)
    matrix = np.array([[1.5, 0.5], [math.exp(0.5), 0]])
    for v in ([1.0, 0.0], [-2.0, 3.0]):
        np.testing.assert_allclose(along(v).numpy(), matrix @ v)
    np.testing.assert_allclose(y.numpy(), [0.75, math.exp(0.5)])
    assert len(calls) == before
    with pytest.raises(ShapeError, match="shape of the point"):
        along([1.0])


# ---- equations -------------------------------------------------------------------------------


def equations(x: Any, a: Any) -> Any:
    return cr.stack([x[0] ** 2 + a[0] * x[1] - 3.0, cr.exp(x[1] * a[1]) - x[0]])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_root_and_its_derivatives(backend: str | None) -> None:
    a = double(0.8, 0.6)

    def solved(a: Any) -> Any:
        return cr.root(lambda x: equations(x, a), double(1.0, 0.5))

    x = run(solved, backend)(a)
    expected = optimize.root(
        lambda x: np.asarray(equations(double(*x), a)), [1.0, 0.5], tol=1e-14
    ).x
    np.testing.assert_allclose(x.numpy(), expected, rtol=1e-12)
    slopes = run(cr.jacobian(solved), backend)(a).numpy()
    by_x = cr.jacobian(lambda x: equations(x, a))(x).numpy()
    by_a = cr.jacobian(lambda a: equations(x, a))(a).numpy()
    np.testing.assert_allclose(slopes, -np.linalg.solve(by_x, by_a), rtol=1e-10)


def test_derivatives_of_a_root_of_any_order() -> None:
    def cube_root(a: Any) -> Any:
        return cr.root(lambda x: x * x * x - a, double(1.0))

    assert cr.check_grad(cube_root, np.array([2.0]), order=2) < 1e-6
    third = cube_root
    for _ in range(3):
        third = cr.grad(lambda a, f=third: f(a).sum())
    assert third(double(8.0)).item() == pytest.approx(10 / 27 * 8 ** (-8 / 3), rel=1e-9)


def test_many_roots_at_once() -> None:
    a = cr.tensor(np.array([4.0, 9.0, 16.0]))
    roots = cr.vmap(lambda a: cr.root(lambda x: x * x - a, cr.tensor(1.0, "float64")))
    np.testing.assert_allclose(roots(a).numpy(), [2, 3, 4])
    np.testing.assert_allclose(cr.grad(lambda a: roots(a).sum())(a).numpy(), [1 / 4, 1 / 6, 1 / 8])


def test_a_fixed_point_reaches_the_parameters() -> None:
    weight = cr.tensor(np.random.default_rng(0).normal(size=(3, 3)))
    x = double(0.2, -0.4, 0.9)

    def layer(z: Any, weight: Any) -> Any:
        return cr.tanh(z @ (weight * 0.3) + x)

    def equilibrium(weight: Any) -> Any:
        return (cr.fixed_point(lambda z: layer(z, weight), double(0, 0, 0)) ** 2).sum()

    def unrolled(weight: Any) -> Any:
        z = double(0, 0, 0)
        for _ in range(60):
            z = layer(z, weight)
        return (z**2).sum()

    found, expected = (cr.grad(f)(weight).numpy() for f in (equilibrium, unrolled))
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_does_not_converge_is_an_error(backend: str | None) -> None:
    with pytest.raises(TrainingError, match=r"cr.root has not converged"):
        run(lambda a: cr.root(lambda x: x * x + a, double(0.7)), backend)(double(1.0))
    with pytest.raises(TrainingError, match=r"cr.fixed_point has not converged"):
        run(lambda a: cr.fixed_point(lambda x: a * x + 1.0, double(0.7)), backend)(double(-1.0))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: cr.root(lambda x: x.sum(), double(1.0, 2.0)), ShapeError),
        (lambda: cr.root(lambda x: x, double(1.0), steps=0), ConfigError),
        (lambda: cr.fixed_point(lambda x: (x, x), double(1.0)), ShapeError),
        (lambda: cr.odeint(lambda y, t: y, 1.0, [0.0, 1.0], method="rk45"), ConfigError),
        (lambda: cr.odeint(lambda y, t: y, 1.0, []), ShapeError),
        (lambda: cr.odeint(lambda y, t: cr.stack([y, y]), 1.0, [0.0]), ShapeError),
        (lambda: cr.odeint(lambda y, t: y, 1.0, [0.0], steps=0), ConfigError),
    ],
)
def test_what_is_refused(call: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        call()


# ---- differential equations ------------------------------------------------------------------

TIMES = np.array([0.0, 0.4, 1.0, 1.5])


def pendulum(y: Any, t: Any, length: Any) -> Any:
    return cr.stack([y[1], -cr.sin(y[0]) / length - 0.1 * t * y[1]])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_a_path_is_scipys(backend: str | None, method: str) -> None:
    def path(y0: Any) -> Any:
        return cr.odeint(lambda y, t: pendulum(y, t, 1.3), y0, TIMES, 40, method)

    expected = integrate.solve_ivp(
        lambda t, y: [y[1], -math.sin(y[0]) / 1.3 - 0.1 * t * y[1]], (0, 1.5), [0.5, 0.2],
        t_eval=TIMES, rtol=1e-12, atol=1e-12,
    )  # fmt: skip
    found = run(path, backend)(double(0.5, 0.2)).numpy()
    np.testing.assert_allclose(found, expected.y.T, rtol=1e-7)


@pytest.mark.parametrize(
    ("method", "order"), [("euler", 1), ("midpoint", 2), ("rk4", 4), ("dopri5", 5)]
)
def test_orders_of_the_methods(method: str, order: int) -> None:
    def error(steps: int) -> float:
        y = cr.odeint(lambda y, t: -y + t, double(1.0), [0.0, 1.0], steps, method)[1]
        return abs(y.item() - 2 / math.e)

    assert math.log2(error(4) / error(8)) == pytest.approx(order, abs=0.35)


@pytest.mark.parametrize("backend", [None, "c"])
def test_both_derivatives_agree(backend: str | None) -> None:
    weights = np.random.default_rng(0).normal(size=(4, 2))

    def loss(y0: Any, times: Any, length: Any, adjoint: bool) -> Any:
        path = cr.odeint(
            lambda y, t: pendulum(y, t, length), y0, times, 12, "dopri5", adjoint=adjoint
        )
        return (path * weights).sum()

    given = (double(0.5, 0.2), cr.tensor(TIMES), cr.tensor(1.3, "float64"))
    for number in range(3):
        one, other = (
            run(cr.grad(lambda *x, a=adjoint: loss(*x, a), number), backend)(*given).numpy()
            for adjoint in (False, True)
        )
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)
    assert cr.check_grad(lambda y0: loss(y0, given[1], given[2], True), np.array([0.5, 0.2])) < 1e-6


def test_one_time_is_the_state() -> None:
    path = cr.odeint(lambda y, t: y, double(2.0, 3.0), [0.0])
    assert path.tolist() == [[2.0, 3.0]]
