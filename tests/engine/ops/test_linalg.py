"""Linear algebra against NumPy and SciPy, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import linalg, special

import chainrule as cr
from chainrule.errors import ChainruleError, DataError, DerivativeError, ShapeError

RNG = np.random.default_rng(7)
SQUARE = RNG.normal(size=(5, 5)) + 3 * np.eye(5)
POSITIVE = SQUARE @ SQUARE.T + np.eye(5)
TALL = RNG.normal(size=(6, 3))
SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])


def close(found: Any, expected: Any, tolerance: float = 1e-11) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=tolerance, atol=tolerance)


def test_values():
    b = RNG.normal(size=(5, 2))
    close(cr.linalg.solve(SQUARE, b), np.linalg.solve(SQUARE, b))
    close(cr.linalg.inv(SQUARE), np.linalg.inv(SQUARE))
    close(cr.linalg.det(SQUARE), np.linalg.det(SQUARE))
    close(cr.linalg.cholesky(POSITIVE), np.linalg.cholesky(POSITIVE))
    close(cr.linalg.matrix_exp(4 * SQUARE), linalg.expm(4 * SQUARE), 1e-9)
    close(cr.linalg.pinv(TALL), np.linalg.pinv(TALL))
    close(cr.linalg.cond(SQUARE), np.linalg.cond(SQUARE))
    close(cr.linalg.matrix_rank(SINGULAR), 1)
    for order in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
        close(cr.linalg.norm(TALL, order), np.linalg.norm(TALL, order))
    p, low, up = linalg.lu(TALL)
    for found, expected in zip(cr.linalg.lu(TALL), (p, low, up), strict=True):
        close(found, expected)


def test_triangular_systems_larger_than_a_block():
    n = 150
    a = np.tril(RNG.normal(size=(n, n)) / n) + np.eye(n)
    b = RNG.normal(size=(n, 3))
    for lower in (True, False):
        for transpose in (True, False):
            for unit in (True, False):
                matrix = a if lower else a.T
                expected = linalg.solve_triangular(
                    matrix, b, trans=int(transpose), lower=lower, unit_diagonal=unit
                )
                close(cr.linalg.solve_triangular(matrix, b, lower, unit, transpose), expected)


def test_least_squares_of_any_rank():
    for a in (TALL, TALL.T, np.outer(TALL[:, 0], [1.0, 2.0])):
        b = RNG.normal(size=(len(a), 2))
        close(cr.linalg.lstsq(a, b)[0], np.linalg.lstsq(a, b)[0], 1e-9)


@pytest.mark.parametrize(
    ("function", "bad"),
    [
        (lambda a: cr.linalg.solve(a, [1.0, 1.0]), SINGULAR),
        (lambda a: cr.linalg.inv(a), np.stack([np.eye(2), SINGULAR])),
        (lambda a: cr.linalg.cholesky(a), -np.eye(3)),
        (lambda a: cr.linalg.cholesky(a), np.full((2, 2), np.nan)),
        (lambda a: cr.linalg.solve_triangular(a, [[1.0], [1.0]]), np.diag([1.0, 0.0])),
        (lambda a: cr.grad(lambda x: cr.linalg.slogdet(x)[1])(a), SINGULAR),
    ],
)
def test_what_is_refused_eagerly_is_refused_compiled(function, bad):
    with pytest.raises(DataError) as eager:
        function(cr.tensor(bad, "float64"))
    with pytest.raises(DataError) as compiled:
        cr.compile(function, backend="numpy")(bad)
    assert eager.value.what == compiled.value.what
    assert eager.value.found == compiled.value.found


def test_the_matrix_of_a_batch_is_named():
    with pytest.raises(DataError, match=r"matrix \[1\] of the batch"):
        cr.linalg.inv(np.stack([np.eye(2), SINGULAR]))


def test_shapes_are_named():
    for call in (
        lambda: cr.linalg.inv(TALL),
        lambda: cr.linalg.solve(SQUARE, np.ones(4)),
        lambda: cr.linalg.cholesky(np.ones(3)),
        lambda: cr.linalg.multi_dot([TALL]),
    ):
        with pytest.raises(ShapeError, match="found:"):
            call()
    with pytest.raises(ChainruleError, match="reduced"):
        cr.linalg.qr(TALL, "raw")


def test_not_a_number_stays_one():
    hole = SQUARE.copy()
    hole[1, 2] = np.nan
    stack = np.stack([SQUARE, hole])
    for function in (cr.linalg.svdvals, cr.linalg.eigvalsh, cr.linalg.pinv, cr.linalg.matrix_exp):
        found = function(stack).numpy()
        assert np.isfinite(found[0]).all(), function
        assert np.isnan(found[1]).all(), function


def test_the_determinant_of_a_singular_matrix_has_a_derivative():
    close(cr.grad(cr.linalg.det)(cr.tensor(SINGULAR, "float64")), [[4.0, -2.0], [-2.0, 1.0]])
    rank_one = np.outer([1.0, 2.0, 3.0], [1.0, -1.0, 2.0])
    close(cr.grad(cr.linalg.det)(cr.tensor(rank_one, "float64")), np.zeros((3, 3)))


def test_equal_eigenvalues_and_singular_values():
    """Functions of the values have the right derivative; vectors have none, and that is not 0."""
    twice = cr.tensor(np.diag([1.0, 1.0, 3.0]), "float64")
    cubes = cr.grad(lambda x: (cr.linalg.eigvalsh(x) ** 3).sum())
    close(cubes(twice), np.diag([3.0, 3.0, 27.0]))
    nuclear = cr.grad(lambda x: cr.linalg.matrix_norm(x, "nuc"))
    close(nuclear(cr.tensor(np.eye(3), "float64")), np.eye(3))
    weights = np.sin(np.arange(9.0)).reshape(3, 3)
    assert np.isnan(cr.grad(lambda x: (weights * cr.linalg.eigh(x)[1]).sum())(twice).numpy()).any()
    assert np.isnan(cr.grad(lambda x: (weights * cr.linalg.svd(x)[0]).sum())(twice).numpy()).any()


def test_every_matrix_of_a_batch_is_by_itself():
    batch = np.stack([POSITIVE, POSITIVE + np.eye(5)])
    for name in ("cholesky", "inv", "det", "svdvals", "eigvalsh", "pinv", "matrix_exp"):
        function = getattr(cr.linalg, name)
        together = function(batch).numpy()
        for one, expected in zip(batch, together, strict=True):
            close(function(one), expected)


def test_functions_of_numpy_are_these():
    """numpy.linalg on a tensor that is differentiated."""
    x = cr.tensor(SQUARE, "float64")
    found = cr.grad(lambda x: np.linalg.norm(x, 1))(x)
    close(found, cr.grad(lambda x: cr.linalg.norm(x, 1))(x).numpy())
    close(cr.grad(lambda x: np.linalg.det(x))(x), cr.grad(cr.linalg.det)(x).numpy())


# ---- others of the same time -------------------------------------------------------------------


def test_special_functions():
    x = np.array([-1e300, -40.0, -5.0, -1.0, 0.0, 0.5, 3.0, 24.9, 25.1, 100.0, np.inf, np.nan])
    p = np.array([0.0, 1e-300, 1e-10, 0.3, 0.77, 1 - 1e-12, 1.0, np.nan, 2.0])
    for name, at in [("i0e", x), ("i1e", x), ("erfcx", x[1:]), ("log_ndtr", x[1:]), ("ndtri", p)]:
        found = getattr(cr, name)(cr.tensor(at, "float64")).numpy()
        np.testing.assert_allclose(found, getattr(special, name)(at), rtol=2e-13, err_msg=name)
    some = np.array([-3.0, -1.5, -1.0, -1e-9, 0.0, 1e-9, 0.5, 1.0, 2.25, 30.0])
    for name in ("entr", "ndtr", "log_ndtr", "i0", "i1"):
        found = getattr(cr, name)(cr.tensor(some, "float64")).numpy()
        np.testing.assert_allclose(found, getattr(special, name)(some), rtol=2e-13, err_msg=name)
    for d in (1, 2, 3):
        at = np.array([1.01, 1.5, 4.0, 20.0])
        found = cr.multigammaln(cr.tensor(at, "float64"), d).numpy()
        np.testing.assert_allclose(found, [special.multigammaln(a, d) for a in at], rtol=1e-12)
    assert cr.frac(cr.tensor([-1.25, 2.75, 3.0])).tolist() == [-0.25, 0.75, 0.0]
    assert cr.ldexp(cr.tensor([3.0, -1.5]), [4, -1]).tolist() == [48.0, -0.75]
    angles = cr.angle(cr.tensor([-2.0, -0.5, 0.0, 3.0])).numpy()
    np.testing.assert_allclose(angles, np.angle([-2.0, -0.5, 0.0, 3.0]), rtol=1e-6)


def test_norms_are_numpys_for_every_way_to_name_axes():
    x = RNG.normal(size=(3, 4))
    for order in (None, 1, 2, 3, np.inf):
        for axis in (0, -1, (1,)):
            found = cr.linalg.norm(x, order, axis=axis)
            close(found, np.linalg.norm(x, order, axis=axis if axis != (1,) else 1))
    close(cr.linalg.norm(x, keepdims=True), np.linalg.norm(x, keepdims=True))
    close(cr.linalg.norm(x, 1, axis=(1, 0)), np.linalg.norm(x, 1, axis=(1, 0)))


def test_rows_that_are_too_long_are_shortened():
    x = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0], [-6.0, 8.0]])
    close(cr.renorm(x, 0, 2.0), [[1.2, 1.6], [0.3, 0.4], [0, 0], [-1.2, 1.6]], 1e-6)
    close(cr.renorm(x.T, 1, 2.0, 1), [[6 / 7, 0.3, 0, -6 / 7], [8 / 7, 0.4, 0, 8 / 7]], 1e-6)
    close(cr.normalize(x), [[0.6, 0.8], [0.6, 0.8], [0, 0], [-0.6, 0.8]])
    close(cr.normalize(x, 0, 1), x / [[9.3, 12.4]])
    close(cr.normalize(x, eps=20.0), x / 20.0)


def test_the_last_of_repeated_updates_wins():
    x = cr.zeros((3,))
    assert cr.scatter(x, [1, 1, -1], [4.0, 5.0, 6.0]).tolist() == [0.0, 5.0, 6.0]
    slopes = cr.grad(lambda u: cr.scatter(x, [1, 1, -1], u).sum())(cr.tensor([4.0, 5.0, 6.0]))
    assert slopes.tolist() == [0.0, 1.0, 1.0]
    for backend in ("numpy", "c"):
        function = cr.compile(lambda u: cr.scatter(x, [1, 1, -1], u), backend=backend)
        assert function(np.array([4.0, 5.0, 6.0], np.float32)).tolist() == [0.0, 5.0, 6.0]


def test_quantiles_and_nan():
    x = RNG.normal(size=(3, 7))
    for method in ("linear", "lower", "higher", "nearest", "midpoint"):
        close(cr.quantile(x, [0.1, 0.55], 1, method=method),
              np.quantile(x, [0.1, 0.55], axis=1, method=method))  # fmt: skip
    x[0, 2] = np.nan
    close(cr.quantile(x, 0.4, 1), np.quantile(x, 0.4, axis=1))
    close(cr.nanquantile(x, 0.4, 1), np.nanquantile(x, 0.4, axis=1))
    for name in ("nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin"):
        close(getattr(cr, name)(x, 1), getattr(np, name)(x, axis=1))


def test_samples_of_fixed_size_can_be_compiled():
    mask = np.array([True, False, True, True])
    function = cr.compile(lambda x, m: cr.masked_select(x, m, 2), backend="numpy")
    assert function(np.arange(4.0), mask).tolist() == [0.0, 2.0]
    assert cr.masked_select([1.0, 2.0], [False, True], 3, -1.0).tolist() == [2.0, -1.0, -1.0]
    with pytest.raises(ShapeError, match="without a size"):
        cr.compile(cr.masked_select, backend="numpy")(np.arange(4.0), mask)
    assert [i.tolist() for i in cr.nonzero([[0, 1], [2, 0]])] == [[0, 1], [1, 0]]
    assert cr.unique([3, 1, 3], 4, 9).tolist() == [1, 3, 9, 9]


def test_against_numpy():
    x, y = np.sort(RNG.normal(size=6)), RNG.normal(size=6)
    at = np.linspace(-3, 3, 11)
    close(cr.interp(at, x, y), np.interp(at, x, y))
    close(cr.trapezoid(y, x), np.trapezoid(y, x))
    close(cr.gradient(y, x, edge_order=2), np.gradient(y, x, edge_order=2))
    close(cr.cov(TALL.T), np.cov(TALL.T))
    close(cr.corrcoef(TALL.T), np.corrcoef(TALL.T))
    counts, edges = cr.histogram(y, 4)
    expected = np.histogram(y, 4)
    assert counts.tolist() == expected[0].tolist()
    close(edges, expected[1])
    assert cr.bincount([0, 2, 2], 4).tolist() == [1, 0, 2, 0]


def test_complete_factors_are_orthogonal_and_extend_the_reduced_ones():
    for a in (TALL, np.stack([TALL.T, 2 * TALL.T]), SINGULAR, np.zeros((3, 1))):
        q, r = (y.numpy() for y in cr.linalg.qr(a, mode="complete"))
        expected = np.linalg.qr(a, "complete")
        assert (q.shape, r.shape) == (expected[0].shape, expected[1].shape)
        np.testing.assert_allclose(q @ r, a, atol=1e-13)
        close(cr.linalg.qr(a)[0], q[..., : min(a.shape[-2:])])
        u, s, vt = (y.numpy() for y in cr.linalg.svd(a, full_matrices=True))
        for square in (q, u, vt):
            eye = np.broadcast_to(np.eye(square.shape[-1]), square.shape)
            np.testing.assert_allclose(square @ square.swapaxes(-1, -2), eye, atol=1e-13)
        k = s.shape[-1]
        np.testing.assert_allclose((u[..., :k] * s[..., None, :]) @ vt[..., :k, :], a, atol=1e-13)


def test_the_derivative_of_completed_factors_is_that_of_their_unique_part():
    """R and the singular values have one; what completes Q, U and V is refused."""
    weights = RNG.normal(size=(6, 3))
    cr.check_grad(lambda a: (cr.linalg.qr(a, mode="complete")[1] * weights).sum(), TALL)
    cr.check_grad(lambda a: (cr.linalg.svd(a, full_matrices=True)[1] ** 2).sum(), TALL)
    for function in (
        lambda a: cr.linalg.qr(a, mode="complete")[0].sum(),
        lambda a: cr.linalg.svd(a, full_matrices=True)[0].sum(),
        lambda a: cr.linalg.svd(a.T, full_matrices=True)[2].sum(),
    ):
        with pytest.raises(DerivativeError, match="complement has no derivative"):
            cr.grad(function)(cr.tensor(TALL))


def test_signs_of_vectors_are_those_of_their_first_large_component():
    for vectors in (cr.linalg.eigh(POSITIVE)[1].numpy(), cr.linalg.svd(TALL)[0].numpy()):
        large = np.abs(vectors) >= 0.618 * np.abs(vectors).max(0)
        assert all(column[mask][0] > 0 for column, mask in zip(vectors.T, large.T, strict=True))
    found = cr.linalg.eigh([[2.0, 1.0], [1.0, 2.0]])[1]
    close(found, np.array([[1, 1], [-1, 1]]) / np.sqrt(2), 1e-6)


def test_weighted_histograms_and_covariances_are_numpys() -> None:
    rng = np.random.default_rng(3)
    x, weights = rng.normal(size=(2, 3)), rng.uniform(0.5, 2, (2, 3))
    counts, _ = cr.histogram(x, 4, weights=weights)
    np.testing.assert_allclose(counts.numpy(), np.histogram(x, 4, weights=weights)[0])
    repeats, reliability = np.array([1, 3, 2]), weights[0]
    for options in ({"fweights": repeats}, {"aweights": reliability},
                    {"fweights": repeats, "aweights": reliability}):  # fmt: skip
        found = cr.cov(x, **options).numpy()
        np.testing.assert_allclose(found, np.cov(x, **options), rtol=1e-12)
