"""Weighted sums of numbered rows in C: any width, the same bits for any number of threads."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.c.program import CProgram
from chainrule.engine.backends.numpy import Program
from chainrule.errors import OutOfRangeError


def _case(columns, dtype, bags=300, many=7, rows=40):
    generator = np.random.default_rng(0)
    indices = generator.integers(-rows, rows, (bags, many))
    table, weights = generator.normal(size=(rows, columns)), generator.normal(size=(bags, many))
    return table.astype(dtype), indices, weights.astype(dtype)


def _step(table, indices, weights):
    """The sums, and the derivatives of a function of them."""
    return cr.embedding_bag(table, indices, weights), *cr.grad(
        lambda t, w: (cr.embedding_bag(t, indices, w) ** 2).sum(), (0, 1)
    )(table, weights)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [1, 7, 64, 79, 256])
def test_same_as_numpy(columns, dtype):
    arrays = _case(columns, dtype)
    graph = cr.trace(_step, *arrays).graph
    tolerance = {"float32": 3e-4, "float64": 1e-11}[dtype]
    for found, expected in zip(CProgram(graph)(arrays), Program(graph)(arrays), strict=True):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_same_bits_for_any_number_of_threads():
    arrays = _case(256, "float32", bags=2000, many=9)
    program = CProgram(cr.trace(_step, *arrays).graph)
    assert "k0_part" in program.source
    results = []
    for threads in (1, 2, 3, 8):
        program.threads = threads
        results.append([y.tobytes() for y in program(arrays)])
    assert all(one == results[0] for one in results)


def test_an_index_outside_of_the_table():
    table, indices, weights = _case(64, "float32")
    program = CProgram(cr.trace(_step, table, indices, weights).graph)
    indices[5, 2] = 40
    with pytest.raises(OutOfRangeError, match="index is out of range"):
        program([table, indices, weights])
