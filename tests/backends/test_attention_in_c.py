"""Attention as one kernel: any extents, memory that grows with the length, the same bits."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends.c.program import CProgram
from chainrule.backends.numpy import Program
from chainrule.ops.attention import attention_weights

STRICT = ("-Wall", "-Wextra", "-Werror")


def reals(*shape, seed=0, dtype="float64"):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def arrays(outer, n, m, d, e, dtype="float64"):
    shapes = ((*outer, n, d), (*outer, m, d), (*outer, m, e))
    return [reals(*shape, seed=seed, dtype=dtype) for seed, shape in enumerate(shapes)]


def value_and_slopes(attention, causal):
    def run(q, k, v):
        def total(q, k, v):
            y = attention(q, k, v, causal)
            weights = np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)
            return (y * weights).sum()

        return attention(q, k, v, causal), cr.grad(total, argnums=(0, 1, 2))(q, k, v)

    return run


def fused(q, k, v, causal):
    return cr.scaled_dot_product_attention(q, k, v, causal=causal, scale=0.3)


def written_out(q, k, v, causal):
    return attention_weights(q, k, None, causal, 0.3) @ v


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("outer", "n", "m", "d", "e"),
    [
        ((2,), 3, 5, 4, 2), ((2, 3), 64, 64, 32, 32), ((), 7, 33, 5, 9), ((1,), 130, 70, 8, 8),
        ((2,), 70, 130, 3, 16), ((1,), 1, 1, 1, 1), ((2,), 5, 0, 3, 2), ((2,), 0, 5, 3, 2),
        ((2,), 5, 6, 3, 0), ((2,), 5, 6, 0, 3), ((1,), 600, 530, 4, 4),
    ],
)  # fmt: skip
def test_it_is_softmax_of_the_scores_times_the_values(outer, n, m, d, e, dtype, causal):
    given = arrays(outer, n, m, d, e, dtype)
    graph = cr.trace(value_and_slopes(fused, causal), *given).graph
    assert {"attention", "attention_gradients"} <= {node.op.name for node in graph.nodes}
    program = CProgram(graph, flags=STRICT)
    expected = Program(cr.trace(value_and_slopes(written_out, causal), *given).graph)(given)
    for found, reference in zip(program(given), expected, strict=True):
        tolerance = 3e-6 if dtype == "float32" else 1e-13
        np.testing.assert_allclose(found, reference, rtol=0, atol=tolerance)


def test_memory_grows_with_the_length_and_not_with_its_square():
    def arena(length):
        given = [np.zeros((2, 4, length, 16), "float32")] * 3
        return CProgram(cr.trace(value_and_slopes(fused, True), *given).graph).arena_bytes

    assert arena(2048) < 2.1 * arena(1024)
    assert arena(2048) < 2048 * 2048 * 4  # less than the scores of one head


def test_same_bits_for_any_number_of_threads():
    given = arrays((4, 3), 50, 50, 24, 24, "float32")
    program = CProgram(cr.trace(value_and_slopes(fused, True), *given).graph)
    found = []
    for threads in (1, 2, 5):
        program.threads = threads
        found.append([y.tobytes() for y in program(given)])
    assert found[0] == found[1] == found[2]


def test_large_scores_and_what_is_not_finite():
    q, k, v = arrays((1,), 4, 6, 3, 2)
    q[0, 1] *= 1e5
    q[0, 2, 0] = np.nan
    v[0, 5, 1] = np.inf
    graph = cr.trace(lambda q, k, v: fused(q, k, v, True), q, k, v).graph
    found, expected = CProgram(graph)([q, k, v])[0], Program(graph)([q, k, v])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_second_derivatives_in_c():
    q, k, v = arrays((2,), 3, 3, 2, 2)

    def curvature(q, t):
        return cr.hvp(lambda q: (fused(q, k, v, True) ** 2).sum(), q, t)

    graph = cr.trace(curvature, q, reals(2, 3, 2, seed=5)).graph
    given = [q, reals(2, 3, 2, seed=5)]
    np.testing.assert_allclose(CProgram(graph)(given)[0], Program(graph)(given)[0], rtol=1e-10)
