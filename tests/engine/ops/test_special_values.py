"""NaN, infinities, zeros of both signs, denormal and huge numbers, against SciPy and Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import chainrule as cr

Array = np.ndarray[Any, Any]
DTYPES = ["float32", "float64"]


def probes(dtype: str) -> Array:
    """All kinds of numbers: ordinary, tiny, huge, denormal, infinite, NaN; with both signs."""
    limits = np.finfo(dtype)
    sizes: list[Any] = [
        *(0.0, limits.smallest_subnormal, limits.tiny, limits.eps, 1e-3, 0.3, 0.5, 1.0, 1.5, 2.0),
        *(3.0, 5.9, 6.1, 9.0, 20.0, 50.0, 88.0, 89.0, 105.0, 700.0, 710.0, 746.0, 1e4, 1e19),
        *(limits.max, math.inf, math.nan),
    ]
    return np.array([sign * size for size in sizes for sign in (1, -1)], dtype)


def assert_close(found: cr.Tensor, expected: Any, dtype: str, units: float = 4) -> None:
    """Equal up to some units in the last place; NaN, infinities and zeros exactly."""
    assert found.dtype == dtype
    with np.errstate(all="ignore"):
        expected = np.asarray(expected).astype(dtype)
    limits = np.finfo(dtype)
    relative, absolute = units * float(limits.eps), 2 * float(limits.tiny)
    np.testing.assert_allclose(found.numpy(), expected, rtol=relative, atol=absolute)


TRUTH: dict[str, tuple[Any, Any]] = {
    "sigmoid": (cr.sigmoid, special.expit),
    "log_sigmoid": (cr.log_sigmoid, special.log_expit),
    "softplus": (cr.softplus, lambda x: -special.log_expit(-x)),
    "tanh": (cr.tanh, np.tanh),
    "erf": (cr.erf, special.erf),
    "erfc": (cr.erfc, special.erfc),
    "exp": (cr.exp, np.exp),
    "expm1": (cr.expm1, np.expm1),
    "log": (cr.log, np.log),
    "log1p": (cr.log1p, np.log1p),
    "sqrt": (cr.sqrt, np.sqrt),
    "cbrt": (cr.cbrt, np.cbrt),
    "silu": (cr.silu, lambda x: x * special.expit(x)),
    "relu": (cr.relu, lambda x: np.where(np.isnan(x), x, np.maximum(x, 0))),
    "elu": (cr.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    "gelu": (cr.gelu, lambda x: x * stats.norm.cdf(x)),
    "softsign": (cr.softsign, lambda x: x / (1 + np.abs(x))),
    "lgamma": (cr.lgamma, special.gammaln),
    "sinc": (cr.sinc, np.sinc),
}
#: Where the plain formula is meant, with what it loses: 1 + erf(x) far below 0, ∞/∞.
DOMAINS: dict[str, Any] = {
    "gelu": lambda x: x > -2,
    "silu": lambda x: ~(x < -700),
    "softsign": lambda x: np.isfinite(x),
    "lgamma": lambda x: (x > 1e-300) | np.isnan(x),
    "sinc": lambda x: np.abs(x) < 0.9,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TRUTH)
def test_functions_of_all_kinds_of_numbers(name: str, dtype: str) -> None:
    ours, truth = TRUTH[name]
    x = probes(dtype)
    x = x[DOMAINS.get(name, lambda x: np.full(x.shape, True))(x)]
    with np.errstate(all="ignore"):
        expected = truth(x.astype(np.float64))
    # SciPy's erfc itself is only good to some ten units.
    assert_close(ours(cr.tensor(x)), expected, dtype, units=16 if name == "erfc" else 8)


@pytest.mark.parametrize("function", ["erf", "erfc"])
def test_error_functions_are_those_of_the_c_library(function: str) -> None:
    x = np.concatenate([np.linspace(-7, 27, 4001), 10.0 ** -np.arange(1, 300, 7)])
    expected = np.array([getattr(math, function)(one) for one in x])
    found = getattr(cr, function)(x).numpy()
    assert (np.abs(found - expected) <= 4 * np.spacing(np.abs(expected))).all()


def test_the_inverse_error_function() -> None:
    y = np.concatenate(
        [np.linspace(-1, 1, 801), 1 - 10.0 ** -np.arange(1, 17), [1e-300, 2, np.nan]]
    )
    np.testing.assert_allclose(cr.erfinv(y).numpy(), special.erfinv(y), rtol=1e-14)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 6])
def test_polygamma(order: int) -> None:
    x = np.concatenate([10.0 ** np.arange(-5, 7), np.linspace(0.05, 40, 100)])
    expected = special.polygamma(order, x)
    np.testing.assert_allclose(cr.polygamma(x, order).numpy(), expected, rtol=1e-13, atol=1e-15)


def test_digamma_below_zero() -> None:
    x = np.array([-0.5, -1.3, -7.9, -100.25])
    np.testing.assert_allclose(cr.digamma(x).numpy(), special.digamma(x), rtol=1e-12)
    assert np.isnan(cr.digamma([-2.0]).numpy()).all()


ROWS = [
    [1.0, 2.0, 3.0],
    [1e4, 1e4 - 1, -1e4],
    [-1e4, -1e4 + 2, -1e4],
    [0.0, -math.inf, 1.0],
    [3e38, 0.0, -3e38],
    [1e-40, -1e-40, 0.0],
    [88.9, 88.9, 88.9],
    [1.0, math.nan, 2.0],
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_of_rows(dtype: str) -> None:
    rows = np.array(ROWS, dtype)
    wide = rows.astype(np.float64)
    with np.errstate(all="ignore"):
        assert_close(cr.logsumexp(rows, 1), special.logsumexp(wide, axis=1), dtype)
        assert_close(cr.softmax(rows), special.softmax(wide, axis=1), dtype, units=8)
        assert_close(cr.log_softmax(rows), special.log_softmax(wide, axis=1), dtype, units=8)
        a, b = rows[:, 0], rows[:, 1]
        assert_close(cr.logaddexp(a, b), np.logaddexp(wide[:, 0], wide[:, 1]), dtype)
    classes = np.array([0, 1, 2, 0, 0, 1, 2, 0])
    expected = -np.take_along_axis(special.log_softmax(wide, axis=1), classes[:, None], 1)[:, 0]
    assert_close(cr.cross_entropy_from_logits(rows, classes), expected, dtype, units=8)


def test_only_minus_infinity() -> None:
    row = np.full(3, -math.inf)
    assert cr.logsumexp(row).item() == -math.inf
    assert cr.grad(cr.logsumexp)(cr.tensor(row)).tolist() == [0.0, 0.0, 0.0]


STABLE: list[Any] = [
    *(cr.sigmoid, cr.softplus, cr.log_sigmoid, cr.tanh, cr.silu, cr.mish, cr.gelu, cr.elu, cr.selu),
    *(cr.celu, cr.softsign, cr.tanhshrink, cr.erf, cr.erfc, cr.hardswish, cr.relu, cr.arctan),
    *(cr.arcsinh, cr.logsumexp, cr.softmax, cr.log_softmax, cr.softmin),
    lambda x: cr.gelu(x, approximate="tanh"),
    lambda x: cr.logaddexp(x, -x),
    lambda x: cr.hypot(x, 1.0),
    lambda x: cr.cross_entropy_from_logits(x, 0),
    lambda x: cr.binary_cross_entropy_from_logits(x, 0.5),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", range(len(STABLE)))
def test_stable_functions_have_finite_gradients_of_both_orders(number: int, dtype: str) -> None:
    function = STABLE[number]
    x = cr.tensor([-1e4, -1e3, -90.0, -1.0, 0.0, 1.0, 90.0, 1e3, 1e4], dtype)
    weights = np.linspace(0.5, 1.5, 9).astype(dtype)
    slope = cr.grad(lambda x: (function(x) * weights).sum())
    assert np.isfinite(function(x).numpy()).all()
    assert np.isfinite(slope(x).numpy()).all()
    assert np.isfinite(cr.grad(lambda x: (slope(x) * weights).sum())(x).numpy()).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_keeps_small_probabilities(dtype: str) -> None:
    """-ln p of a class whose p is rounded to 0, and its gradient p - 1 = -1."""
    logits = cr.tensor([0.0, -2000.0], dtype)
    value, slope = cr.value_and_grad(lambda z: cr.cross_entropy_from_logits(z, 1))(logits)
    assert value.item() == 2000.0
    assert slope.tolist() == [1.0, -1.0]
    value, slope = cr.value_and_grad(lambda z: cr.binary_cross_entropy_from_logits(z, 1.0))(
        cr.tensor(-2000.0, dtype)
    )
    assert (value.item(), slope.item()) == (2000.0, -1.0)


def test_the_sign_of_zero() -> None:
    assert math.copysign(1, (-cr.tensor(0.0)).item()) == -1.0
    assert cr.copysign([3.0, 3.0], [-0.0, 0.0]).tolist() == [-3.0, 3.0]
    assert (cr.tensor(1.0) / cr.tensor(-0.0)).item() == -math.inf


def test_nan_to_num() -> None:
    x = np.array([math.nan, math.inf, -math.inf, 1.0])
    for dtype in DTYPES:
        np.testing.assert_array_equal(
            cr.nan_to_num(x.astype(dtype)).numpy(), np.nan_to_num(x.astype(dtype))
        )
    assert cr.nan_to_num(x, 7.0, 8.0, 9.0).tolist() == [7.0, 8.0, 9.0, 1.0]
    assert cr.grad(lambda x: cr.nan_to_num(x).sum())(cr.tensor(x)).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("name", ["argmax", "argmin", "max", "min", "sum", "mean", "any"])
def test_axes_that_are_kept_have_one_element(name: str, axis: int | None) -> None:
    x = np.array([[0.0, 3.0, -1.0], [2.0, 0.0, 5.0]])
    found = getattr(cr, name)(x, axis, keepdims=True)
    np.testing.assert_array_equal(found.numpy(), getattr(np, name)(x, axis=axis, keepdims=True))


def test_whole_numbers_at_their_ends() -> None:
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    assert cr.argmin(np.array([0, low, high])).item() == 1
    assert cr.argmax(np.array([0, low, high])).item() == 2
    assert cr.argmin(np.array([3, 1, 2], "uint32")).item() == 1
    assert cr.argmin([True, False]).item() == 1


@pytest.mark.parametrize("count", [1, 2])
def test_a_variance_of_too_few_numbers_is_not_a_number(count):
    """As NumPy's: 0 / 0, or something / 0, and no negative divisor."""
    x = np.arange(count, dtype=np.float64)
    found = cr.var(x, correction=2).item()
    assert np.isnan(found) if count == 1 else np.isinf(found)
