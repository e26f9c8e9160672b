"""NaN, ties, infinities and the ends of ranges: eagerly, on NumPy and in C, as NumPy has them."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy import special

import chainrule as cr

BACKENDS = ["eager", "numpy", "c"]
inf, nan = np.inf, np.nan


@pytest.fixture(params=BACKENDS)
def run(request: Any) -> Any:
    """``run(f, *arrays)``: the result as an array."""

    def call(function: Any, *arrays: Any) -> Any:
        if request.param == "eager":
            return function(*map(cr.tensor, arrays)).numpy()
        return cr.compile(function, backend=request.param)(*arrays).numpy()

    return call


def gradient(function: Any) -> Any:
    """The gradient of the sum of the results, each with a weight of its own."""

    def weighted(x: Any) -> Any:
        y = function(x)
        return (y * np.arange(1.0, y.size + 1).reshape(y.shape)).sum()

    return cr.grad(weighted)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_polygamma_below_zero(run: Any, order: int) -> None:
    x = np.array([-0.37, -0.5, -1.01, -2.75, -9.125, -30.5, -1234.25])

    def by_recurrence(v: float) -> float:
        """From SciPy's above 0 downwards, one step at a time."""
        steps = math.ceil(-v) + 1
        sign = (-1) ** (order + 1) * math.factorial(order)
        terms = [sign / (v + k) ** (order + 1) for k in range(steps)]
        return math.fsum([float(special.polygamma(order, v + steps)), *terms])

    expected = [by_recurrence(v) for v in x]
    found = run(lambda x: cr.polygamma(x, order), x)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_polygamma_at_its_poles_and_ends(run: Any) -> None:
    x = np.array([-1.0, -7.0, -inf, nan, inf])
    np.testing.assert_array_equal(run(cr.digamma, x), [nan, nan, nan, nan, inf])
    np.testing.assert_array_equal(run(lambda x: cr.polygamma(x, 1), x[:4]), [inf, inf, nan, nan])


def test_the_slopes_of_lgamma_and_digamma_below_zero(run: Any) -> None:
    x = np.array([-3.4, -0.2, 1.5])
    one = run(cr.grad(lambda x: cr.lgamma(x).sum()), x)
    np.testing.assert_allclose(one, special.digamma(x), rtol=1e-12)
    two = run(cr.grad(lambda x: cr.digamma(x).sum()), x)
    step = 1e-5
    slope = (special.digamma(x + step) - special.digamma(x - step)) / (2 * step)
    np.testing.assert_allclose(two, slope, rtol=1e-7)


@pytest.mark.parametrize("axis", [0, 1, -1, -2, 2])
def test_cosine_similarity_broadcasts_first(run: Any, axis: int) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(1, 4, 3)), rng.normal(size=(2, 1, 3))
    wide_a, wide_b = np.broadcast_arrays(a, b)
    lengths = np.linalg.norm(wide_a, axis=axis) * np.linalg.norm(wide_b, axis=axis)
    expected = (wide_a * wide_b).sum(axis) / lengths
    found = run(lambda a, b: cr.cosine_similarity(a, b, axis=axis), a, b)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    vector = run(lambda a, b: cr.cosine_similarity(a, b, axis=-1), a, b[0, 0])
    assert np.abs(vector).max() <= 1 + 1e-12
    assert vector.shape == (1, 4)


def test_a_median_of_nan_is_nan(run: Any) -> None:
    x = np.array([[nan, 4.0, 2.0, 3.0], [1.0, 4.0, 2.0, 3.0], [inf, -inf, 0.0, 5.0]])
    for axis in (None, 0, 1):
        expected = np.median(x, axis)
        np.testing.assert_array_equal(run(lambda x, a=axis: cr.median(x, a), x), expected)
    slope = run(gradient(lambda x: cr.median(x, 1)), x[1:])
    np.testing.assert_array_equal(slope, [[0, 0, 0.5, 0.5], [0, 0, 1, 1]])


RUNNING = {
    "cummax": (cr.cummax, np.maximum),
    "cummin": (cr.cummin, np.minimum),
    "cumprod": (cr.cumprod, np.multiply),
}
ROWS = [
    [1.0, 3.0, 2.0, 3.0],
    [nan, 1.0, 2.0, 0.0],
    [1.0, 2.0, nan, 5.0],
    [-inf, -inf, -inf, 1.0],
    [inf, inf, 2.0, inf],
    [-inf, inf, 0.0, nan],
    [0.0, 5.0, 0.0, 7.0],
]


@pytest.mark.parametrize("name", RUNNING)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "bool"])
def test_running_extremes_and_products_are_numpys(run: Any, name: str, dtype: str) -> None:
    ours, ufunc = RUNNING[name]
    x = np.array(ROWS, dtype) if dtype[0] == "f" else np.arange(-10, 14).reshape(6, 4)[:, ::-1] % 7
    x = x.astype(dtype)
    if dtype == "int64":
        x = x + 2**53 + 1
    for axis in (0, 1):
        given = x.astype(np.int64) if dtype == "bool" and name == "cumprod" else x
        with np.errstate(all="ignore"):
            expected = ufunc.accumulate(given, axis, dtype=given.dtype)
        found = run(lambda x, a=axis: ours(x, a), x)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("function", "row", "expected"),
    [
        # 1·2·3·4 are the weights of the results
        (cr.cummax, [1.0, 3.0, 2.0, 3.0], [1, 2 + 3 + 4 / 2, 0, 4 / 2]),
        (cr.cummax, [-inf, -inf, 0.0, 0.0], [1 + 2 / 2, 2 / 2, 3 + 4 / 2, 4 / 2]),
        (cr.cummin, [inf, inf, 2.0, inf], [1 + 2 / 2, 2 / 2, 3 + 4, 0]),
        (cr.cummin, [inf, 2.0, -inf, -inf], [1, 2, 3 + 4 / 2, 4 / 2]),
        (cr.cumprod, [0.0, 2.0, 0.0, 3.0], [1 + 2 * 2, 0, 0, 0]),
        (cr.cumprod, [2.0, 0.0, 3.0, 1.0], [1, 2 * 2 + 3 * 6 + 4 * 6, 0, 0]),
        (cr.cumprod, [1.0, 2.0, nan, 1.0], [nan, nan, 3 * 2 + 4 * 2, nan]),
    ],
)
def test_gradients_of_running_extremes_and_products(
    run: Any, function: Any, row: list[float], expected: list[float]
) -> None:
    np.testing.assert_allclose(run(gradient(function), np.array(row)), expected, rtol=1e-12)
    columns = np.array([row, row]).T
    weights = np.arange(1.0, 5.0)[:, None]
    slope = cr.grad(lambda x: (function(x, 0) * weights).sum())
    np.testing.assert_allclose(run(slope, columns), np.array([expected, expected]).T, rtol=1e-12)


def test_second_derivatives_of_the_running_product_at_zeros() -> None:
    x = np.array([2.0, 0.0, 0.0, 3.0])
    cr.check_grad(lambda x: cr.cumprod(x), x, order=2)


def test_the_running_product_takes_the_memory_that_it_says() -> None:
    x = cr.tensor(np.linspace(0.9, 1.1, 200))
    cr.grad(lambda x: cr.cumprod(x).sum())(x)
    tracemalloc.start()
    cr.grad(lambda x: cr.cumprod(x).sum())(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 200**2 * 8  # n³ would be 200 times n²
    tracemalloc.start()
    cr.cummax(np.ones(20_000))  # and the values only n
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 20_000 * 8


def test_the_product_of_booleans_is_an_integer(run: Any) -> None:
    x = np.array([[True, False], [True, True]])
    found = run(lambda x: cr.prod(x, 1), x)
    np.testing.assert_array_equal(found, np.prod(x, 1))
    assert found.dtype == np.int64


@pytest.mark.parametrize("order", [0, 1, 2, 3, 0.5, -1, -2, inf, -inf])
def test_norms_of_every_order_are_numpys(run: Any, order: float) -> None:
    x = np.array([[3.0, -4.0, 1.0], [0.0, 2.0, -1.0], [0.0, 0.0, 0.0], [1.0, nan, 2.0]])
    x = np.concatenate([x, [[inf, 1.0, -inf], [-inf, inf, inf]]])
    with np.errstate(all="ignore"):
        expected = np.linalg.norm(x, order, axis=1)
    found = run(lambda x: cr.norm(x, 1, order=order), x)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(2**18, 3), (4, 2**18, 3), (512, 512, 3), (1000, 300, 2, 5)])
@pytest.mark.parametrize("backend", ["eager", "numpy"])
def test_long_sums_keep_their_digits_along_every_axis(shape: tuple[int, ...], backend: str) -> None:
    x = np.random.default_rng(0).uniform(0.05, 0.15, shape).astype(np.float32)
    few = tuple(a for a in range(len(shape)) if a < len(shape) - 1)
    for axis in (0, shape.index(max(shape)), few, None):
        expected = x.astype(np.float64).sum(axis)
        for function, truth in ((cr.sum, expected), (cr.mean, x.astype(np.float64).mean(axis))):
            call = lambda x, f=function, a=axis: f(x, a)  # noqa: E731
            found = call(x) if backend == "eager" else cr.compile(call, backend=backend)(x)
            np.testing.assert_allclose(found.numpy(), truth, rtol=2e-6)
    empty = np.zeros((1000, 0, 2), np.float32)
    np.testing.assert_array_equal(cr.sum(empty, 0).numpy(), np.zeros((0, 2)))
    np.testing.assert_array_equal(cr.sum(empty, 1).numpy(), np.zeros((1000, 2)))


def close(found: Any, expected: Any, dtype: str) -> None:
    np.testing.assert_allclose(found, np.array(expected, dtype), rtol=4e-6, atol=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_slopes_at_the_ends_of_ranges(run: Any, dtype: str) -> None:
    huge = np.array([1e25, -1e25], dtype)
    close(run(gradient(cr.arcsinh), huge), [1e-25, 2e-25], dtype)
    close(run(gradient(cr.arccosh), huge[:1]), [1e-25], dtype)
    near = 1 - np.array([2**-24, 2**-20, 2**-10], dtype)
    gap = 1 - near.astype(np.float64)
    weights = np.arange(1.0, 4.0)
    close(run(gradient(cr.arcsin), near), weights / np.sqrt(gap * (2 - gap)), dtype)
    close(run(gradient(cr.arccos), near), -weights / np.sqrt(gap * (2 - gap)), dtype)
    close(run(gradient(cr.arctanh), -near), weights / (gap * (2 - gap)), dtype)
    for size in (1e-25, 1e25):
        at = np.array([size, size], dtype)
        slope = cr.grad(lambda x: cr.arctan2(x[0], x[1]))
        close(run(slope, at), [0.5 / size, -0.5 / size], dtype)
    assert run(slope, np.zeros(2, dtype)).tolist() == [0.0, 0.0]
    assert np.isnan(run(gradient(cr.arccosh), np.array([-2.0], dtype))).all()


def test_slopes_of_powers_at_their_ends(run: Any) -> None:
    """a⁰ is 1 for every a; what is multiplied by 0 there is not looked at."""
    base, zero = np.array([0.0, -2.0, inf, -inf, nan, 3.0]), np.zeros(6)
    by_base = cr.grad(lambda a, b: cr.power(a, b).sum())
    np.testing.assert_array_equal(run(by_base, base, zero), 0.0)
    np.testing.assert_array_equal(run(by_base, np.array([0.0, 4.0]), np.ones(2)), 1.0)
    by_exponent = cr.grad(lambda a, b: cr.power(a, b).sum(), 1)
    at = np.array([0.0, 0.0, 1.0, 4.0]), np.array([1.0, 2.5, 7.0, 0.5])
    np.testing.assert_allclose(run(by_exponent, *at), [0, 0, 0, 2 * math.log(4)], rtol=1e-12)


def test_logarithms_without_a_factor(run: Any) -> None:
    a, b = np.array([0.0, 0.0, 0.0, 2.0]), np.array([inf, 0.0, nan, inf])
    np.testing.assert_array_equal(run(cr.xlogy, a, b), special.xlogy(a, b))
    np.testing.assert_array_equal(run(cr.xlog1py, a, b - 1), special.xlog1py(a, b - 1))


SQUARES = {
    "norm": (lambda x: cr.norm(x) ** 2, 2 * np.eye(3)),
    "a product": (lambda x: (lambda n: n * n)(cr.norm(x)), 2 * np.eye(3)),
    "square": (lambda x: cr.square(cr.norm(x)) + x.sum(), 2 * np.eye(3)),
    "of rows": (lambda x: (cr.norm(x.reshape(3, 1), 1) ** 2.0).sum(), 2 * np.eye(3)),
    "abs": (lambda x: (abs(x) ** 2).sum(), 2 * np.eye(3)),
    "std": (lambda x: cr.std(x) ** 2, 2 / 3 * (np.eye(3) - 1 / 3)),
    "sqrt": (lambda x: (cr.sqrt(x * x) ** 2).sum(), 2 * np.eye(3)),
}


@pytest.mark.parametrize("name", SQUARES)
def test_the_square_of_a_norm_has_a_second_derivative_at_zero(run: Any, name: str) -> None:
    function, expected = SQUARES[name]
    for x in (np.zeros(3), np.array([3.0, -4.0, 1.0])):
        found = run(cr.jacobian(cr.grad(function)), x)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_the_square_of_a_norm_has_the_same_bits_watched_or_not() -> None:
    x = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    plain = (cr.norm(x, 1) ** 2).numpy()
    np.testing.assert_array_equal((cr.norm(cr.parameter(x), 1) ** 2).numpy(), plain)
    for backend in ("numpy", "c"):
        compiled = cr.compile(lambda x: cr.norm(x, 1) ** 2, backend=backend)(x).numpy()
        np.testing.assert_allclose(compiled, plain, rtol=0 if backend == "numpy" else 1e-6)


@pytest.mark.parametrize(
    ("options", "rank"),
    [
        ({"mode": "cubic"}, 2),
        ({"mode": "bicubic"}, 3),
        ({"padding": "wrap"}, 2),
        ({"mode": "cubic", "padding": "wrap"}, 2),
    ],
)
def test_unknown_modes_of_grid_sample(options: dict[str, str], rank: int) -> None:
    image, grid = np.ones((1, *(3,) * rank, 1)), np.zeros((1, *(2,) * rank, rank))
    with pytest.raises(cr.errors.ConfigError, match="mode or padding") as caught:
        cr.grid_sample(image, grid, **options)
    assert ("bicubic" in str(caught.value).partition("found")[0]) == (rank == 2)


@pytest.mark.parametrize("pool", ["max_pool", "avg_pool"])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("extent", [6, 7, 8])
def test_numbers_between_windows_get_no_gradient(pool: str, stride: int, extent: int) -> None:
    """In C as on NumPy: windows of two, also where a whole number of strides fits."""
    x = np.random.default_rng(2).normal(size=(2, extent, 3)).astype(np.float32)
    of_x = gradient(lambda x: getattr(cr, pool)(x, 2, stride))
    expected = np.zeros_like(x)
    starts = range(0, extent - 1, stride)
    weights = np.arange(1.0, 2 * len(starts) * 3 + 1).reshape(2, len(starts), 3)
    for k, start in enumerate(starts):
        part = x[:, start : start + 2]
        share = part == part.max(1, keepdims=True) if pool == "max_pool" else 0.5
        expected[:, start : start + 2] += weights[:, k : k + 1] * share
    for backend in ("numpy", "c"):
        found = cr.compile(of_x, backend=backend)(x).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-6)
