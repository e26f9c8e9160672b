"""Incomplete gamma and beta functions and zeta against SciPy's, derivatives against differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import special

import chainrule as cr

RNG = np.random.default_rng(7)


def gamma_arguments() -> tuple[Any, Any]:
    """Small and large a; x around a, where the value is neither 0 nor 1, and far from it."""
    a = np.concatenate([RNG.uniform(0.01, 3, 200), RNG.uniform(1, 110, 200),
                        10.0 ** RNG.uniform(2, 5, 100)])  # fmt: skip
    return a, np.maximum(a + RNG.normal(0, 3, a.size) * np.sqrt(a), 1e-3)


@pytest.mark.parametrize("backend", [None, "c"])
def test_gamma_is_scipys(backend: str | None) -> None:
    def both(a: Any, x: Any) -> Any:
        return cr.gammainc(a, x), cr.gammaincc(a, x)

    a, x = gamma_arguments()
    p, q = (both if backend is None else cr.compile(both, backend=backend))(a, x)
    np.testing.assert_allclose(p.numpy(), special.gammainc(a, x), rtol=2e-11)
    np.testing.assert_allclose(q.numpy(), special.gammaincc(a, x), rtol=2e-11)


def test_gamma_at_its_ends() -> None:
    values = np.array([0.0, 1.0, 200.0, math.inf, -1.0, math.nan])
    a, x = map(np.ravel, np.meshgrid(values, values))
    for ours, theirs in ((cr.gammainc, special.gammainc), (cr.gammaincc, special.gammaincc)):
        np.testing.assert_allclose(ours(a, x).numpy(), theirs(a, x), rtol=1e-12)


def test_beta_is_scipys() -> None:
    a, b = 10.0 ** RNG.uniform(-1.5, 3.5, (2, 500))
    spread = np.sqrt(a * b / (a + b + 1)) / (a + b)
    x = np.clip(a / (a + b) + 2 * RNG.normal(size=500) * spread, 1e-4, 1 - 1e-4)
    np.testing.assert_allclose(cr.betainc(a, b, x).numpy(), special.betainc(a, b, x), rtol=1e-9)
    ends = np.array([0.0, 1.0, -0.1, 1.1, math.nan])
    np.testing.assert_array_equal(cr.betainc(2.0, 3.0, ends).numpy(), [0, 1, *[math.nan] * 3])
    assert np.isnan(cr.betainc(4e4, 1.0, cr.tensor(0.5)).item())


def test_zeta_is_scipys() -> None:
    s, q = RNG.uniform(1.01, 20, 300), 10.0 ** RNG.uniform(-2, 3, 300)
    np.testing.assert_allclose(cr.zeta(s, q).numpy(), special.zeta(s, q), rtol=1e-12)
    assert cr.zeta(cr.tensor(1.0)).item() == math.inf
    assert np.isnan(cr.zeta([0.5, 2.0], [1.0, -1.0]).numpy()).all()


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (cr.gammainc, (np.array([0.4, 3.0, 50.0, 300.0]), np.array([0.5, 6.0, 45.0, 310.0]))),
        (cr.gammaincc, (np.array([0.4, 3.0, 50.0, 300.0]), np.array([5.0, 1.0, 55.0, 290.0]))),
        (cr.betainc, (np.array([0.4, 3.0, 50.0]), np.array([2.0, 9.0, 40.0]),
                      np.array([0.1, 0.3, 0.6]))),
        (cr.zeta, (np.array([1.3, 3.0]), np.array([0.4, 9.0]))),
    ],
)  # fmt: skip
def test_derivatives_with_respect_to_every_argument(function: Any, arguments: Any) -> None:
    assert cr.check_grad(function, *arguments) < 1e-5


def test_the_derivative_by_x_is_the_density() -> None:
    a, x = cr.tensor(2.5, "float64"), cr.tensor(1.7, "float64")
    slope = cr.grad(cr.gammainc, argnums=1)(a, x).item()
    assert slope == pytest.approx(1.7**1.5 * math.exp(-1.7) / math.gamma(2.5), rel=1e-13)


def test_single_precision_is_computed_in_double() -> None:
    x = cr.gammainc(cr.tensor([2.0, 90.0]), cr.tensor([3.0, 100.0]))
    assert x.dtype == np.float32
    expected = special.gammainc(np.float64([2, 90]), np.float64([3, 100])).astype(np.float32)
    np.testing.assert_array_equal(x.numpy(), expected)
