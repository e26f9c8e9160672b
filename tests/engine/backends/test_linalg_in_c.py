"""Matrices in C: of many sizes, of any rank, of no numbers; and those that are too large."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.base import UnsupportedError
from chainrule.engine.backends.c.program import CProgram
from chainrule.engine.backends.numpy import Program
from chainrule.errors import DataError

from ...nightly import by_night
from .flags import STRICT

RNG = np.random.default_rng(3)
SIZES = (1, 2, 3, 4, 5, 8, 16, 64)
SHAPES = ((3, 5), (5, 3), (64, 7), (1, 64), (2, 1))


def of_size(m: int, n: int) -> Any:
    return RNG.normal(size=(2, m, n))


def everything(squares: list[Any], others: list[Any]) -> list[Any]:
    """What is unique of the results, so that it can be compared between any two algorithms."""
    linalg = cr.linalg
    found: list[Any] = []
    for a in squares:
        positive = a @ a.mT + cr.eye(a.shape[-1], dtype=a.dtype)
        lower = linalg.cholesky(positive)
        found += [lower, linalg.inv(a), *linalg.slogdet(a), linalg.matrix_exp(a / 4)]
        found += [linalg.det(a / a.shape[-1] ** 0.5), *linalg.eigh(positive), *linalg.lu(a)]
        for how in ({"lower": True}, {"unit": True}, {"lower": True, "transpose": True}):
            found.append(linalg.solve_triangular(lower, a, **how) / 1e3)
    for a in [*squares, *others]:
        found += [*linalg.qr(a), *linalg.svd(a), linalg.pinv(a), *linalg.lu(a)]
        found += [*linalg.qr(a, mode="complete")]
        u, _, vt = linalg.svd(a, full_matrices=True)
        found += [u @ u.mT, vt @ vt.mT]
    return found


def compare(function: Any, *given: Any, tolerance: float) -> None:
    graph = cr.trace(function, *given).graph
    arrays = cr.engine.pytree.flatten(list(given))[0]
    found, expected = CProgram(graph, flags=STRICT)(arrays), Program(graph)(arrays)
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        scale = max(1.0, float(np.abs(other).max(initial=0)))
        np.testing.assert_allclose(
            one / scale, other / scale, rtol=0, atol=tolerance, err_msg=f"output {number}"
        )


@pytest.mark.parametrize(
    ("dtype", "tolerance", "sizes"),
    [
        ("float64", 2e-11, (4, 64)),
        by_night("float64", 2e-11, SIZES),
        by_night("float32", 2e-3, SIZES),
    ],
)
def test_of_every_size(dtype, tolerance, sizes):
    squares = [of_size(n, n) + 3 * np.eye(n) for n in sizes]
    others = [of_size(*shape) for shape in SHAPES[: len(sizes)]]
    given = [[x.astype(dtype) for x in part] for part in (squares, others)]
    compare(everything, *given, tolerance=tolerance)


def test_of_any_rank():
    """Deficient matrices: factors are orthogonal and give the matrix, whatever the null space."""
    zero, one = np.zeros((5, 3)), np.outer(np.arange(5.0), [1.0, -2.0, 0.5])
    several = of_size(6, 2)[0] @ of_size(2, 4)[0]
    for a in (zero, one, one.T, several, np.ones((4, 4)), 1e-170 * several, 1e150 * one):

        def factors(a):
            u, s, vt = cr.linalg.svd(a, full_matrices=True)
            q, r = cr.linalg.qr(a, mode="complete")
            return u, s, vt, q, r, cr.linalg.pinv(a)

        graph = cr.trace(factors, a).graph
        u, s, vt, q, r, pinv = CProgram(graph, flags=STRICT)([a])
        scale = float(np.abs(a).max()) or 1.0
        k = len(s)
        for square in (u, vt, q):
            np.testing.assert_allclose(square @ square.T, np.eye(len(square)), atol=1e-13)
        np.testing.assert_allclose((u[:, :k] * (s / scale)) @ vt[:k], a / scale, atol=1e-13)
        np.testing.assert_allclose(q @ (r / scale), a / scale, atol=1e-13)
        np.testing.assert_allclose(s, np.linalg.svd(a)[1], atol=1e-13 * scale)
        np.testing.assert_allclose(pinv * scale, np.linalg.pinv(a / scale, rcond=1e-13), atol=1e-12)


def test_equal_eigenvalues_and_cofactors_of_singular_matrices():
    a = np.diag([2.0, 2.0, 5.0, 2.0])
    turned = np.linalg.qr(of_size(4, 4)[0])[0]
    a = turned @ a @ turned.T
    values, vectors = CProgram(cr.trace(cr.linalg.eigh, a).graph, flags=STRICT)([a])
    np.testing.assert_allclose(values, [2, 2, 2, 5], atol=1e-13)
    np.testing.assert_allclose(vectors * values @ vectors.T, a, atol=1e-13)
    compare(cr.grad(cr.linalg.det), np.outer([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]), tolerance=1e-12)
    compare(cr.grad(cr.linalg.det), np.diag([0.0, 2.0, 3.0]), tolerance=1e-12)


def test_what_is_no_number_stays_none_and_what_is_singular_is_refused():
    bad = np.array([[1.0, np.nan], [0.0, 1.0]])

    def none(a):
        return [*cr.linalg.eigh(a), *cr.linalg.svd(a), cr.linalg.pinv(a), cr.linalg.matrix_exp(a)]

    for y in cr.compile(none, backend="c")(bad):
        assert np.isnan(y.numpy()).all()
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    for function, a in (
        (cr.linalg.inv, np.stack([np.eye(2), singular])),
        (lambda a: cr.linalg.solve_triangular(a, [[1.0], [1.0]]), np.diag([1.0, 0.0])),
        (cr.linalg.cholesky, -np.eye(2)),
    ):
        with pytest.raises(DataError, match=r"singular|positive definite"):
            cr.compile(function, backend="c")(a)
    sign, log_abs = cr.compile(cr.linalg.slogdet, backend="c")(singular)
    assert (sign.item(), log_abs.item()) == (0, -np.inf)


def test_what_is_too_large_is_refused_by_name_and_runs_on_numpy():
    large = np.eye(65) * 2.0
    with pytest.raises(UnsupportedError, match="cholesky of so large") as caught:
        cr.compile(cr.linalg.cholesky, backend="c")(large)
    assert caught.value.found == "65 × 65"
    found = cr.compile(cr.linalg.cholesky, backend="auto")(large)
    np.testing.assert_allclose(found.numpy(), np.linalg.cholesky(large))


def test_the_same_bits_with_every_number_of_threads():
    a = RNG.normal(size=(40, 16, 16))
    program = CProgram(cr.trace(cr.linalg.svd, a).graph, flags=STRICT)
    found = []
    for threads in (1, 2, 3):
        program.threads = threads
        found.append([y.tobytes() for y in program([a])])
    assert found[0] == found[1] == found[2]
