"""Attention as one kernel: any extents, memory that grows with the length, the same bits."""

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.c import toolchain
from chainrule.engine.backends.c.lowering_cache import lowered
from chainrule.engine.backends.c.program import CProgram
from chainrule.engine.backends.numpy import Program

from ...nightly import by_night
from .flags import STRICT


def reals(*shape, seed=0, dtype="float64"):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def truths(*shape, chance=0.7):
    return np.random.default_rng([9, *shape]).random(shape) < chance


def arrays(outer, n, m, d, e, dtype="float64"):
    shapes = ((*outer, n, d), (*outer, m, d), (*outer, m, e))
    return [reals(*shape, seed=seed, dtype=dtype) for seed, shape in enumerate(shapes)]


def value_and_slopes(attention, **how):
    def run(q, k, v, *more):
        def total(q, k, v):
            y = attention(q, k, v, *more, **how)
            weights = np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)
            return (y * weights).sum()

        return attention(q, k, v, *more, **how), cr.grad(total, argnums=(0, 1, 2))(q, k, v)

    return run


def fused(q, k, v, mask=None, key=None, causal=False, scale=0.3, dropout=0.0):
    return cr.scaled_dot_product_attention(q, k, v, mask, causal, scale, dropout, key)


def written_out(q, k, v, mask=None, key=None, causal=False, scale=0.3, dropout=0.0):
    """The same in the operations of everyday."""
    scores = q @ cr.swapaxes(k, -1, -2) * scale
    n, m = scores.shape[-2:]
    allowed = cr.as_tensor(np.tri(n, m, m - n, dtype=bool) if causal else np.ones((n, m), bool))
    if mask is not None and mask.dtype.kind == "f":
        scores, mask = scores + mask, mask > -np.inf
    if mask is not None:
        allowed = cr.broadcast_to(allowed & mask, scores.shape)
    weights = cr.softmax(cr.where(allowed, scores, float(np.finfo(scores.dtype).min)))
    weights = cr.where(allowed, weights, 0.0)
    if dropout:
        keep = cr.random.uniform(key, scores.shape, dtype="float32") >= dropout
        weights = cr.where(keep, weights / (1 - dropout), 0.0)
    return weights @ v


def compare(given, **how):
    """In C, by the reference backend and written out: values and gradients are the same."""
    graph = cr.trace(value_and_slopes(fused, **how), *given).graph
    names = {node.op.name for node in graph.nodes}
    assert {"attention", "attention_gradients"} <= names
    assert "softmax" not in names
    expected = Program(cr.trace(value_and_slopes(written_out, **how), *given).graph)(given)
    tolerance = 6e-6 if given[0].dtype == np.float32 else 1e-13
    for found in (CProgram(graph, flags=STRICT)(given), Program(graph)(given)):
        for one, reference in zip(found, expected, strict=True):
            assert one.dtype == reference.dtype
            np.testing.assert_allclose(one, reference, rtol=0, atol=tolerance)


SHAPES = [
    ((2,), 3, 5, 4, 2), ((2, 3), 64, 64, 32, 32), ((), 7, 33, 5, 9), ((1,), 130, 70, 8, 8),
    ((2,), 70, 130, 3, 16), ((1,), 1, 1, 1, 1), ((2,), 5, 0, 3, 2), ((2,), 0, 5, 3, 2),
    ((2,), 5, 6, 3, 0), ((2,), 5, 6, 0, 3), ((17,), 64, 63, 2, 2), ((1,), 130, 520, 90, 60),
]  # fmt: skip
KINDS = list(itertools.product(("float32", "float64"), (False, True)))


@pytest.mark.parametrize(
    ("outer", "n", "m", "d", "e", "dtype", "causal"),
    [
        by_night(*shape, *kind, unless=i % 4 == j)
        for i, shape in enumerate(SHAPES)
        for j, kind in enumerate(KINDS)
    ],
)
def test_it_is_softmax_of_the_scores_times_the_values(outer, n, m, d, e, dtype, causal):
    compare(arrays(outer, n, m, d, e, dtype), causal=causal)


@pytest.mark.parametrize(("m", "d", "e", "dtype"), [
    (21, 32, 32, "float32"), by_night(5, 16, 7, "float64"), by_night(70, 48, 80, "float32"),
    by_night(64, 16, 1, "float32"), by_night(33, 64, 20, "float64"),
])  # fmt: skip
def test_one_query_reads_keys_where_they_are(m, d, e, dtype):
    given = arrays((3, 2), 1, m, d, e, dtype)
    for mask in ([], [padding([m // 2, m, 0], m)], [truths(3, 2, 1, m)],
                 [additive(3, 1, 1, m, dtype=dtype)]):  # fmt: skip
        compare([*given, *mask], causal=not mask)
    graph = cr.trace(fused, *given).graph
    if toolchain.find().extensions:  # there are vectors
        assert "_dots(" in lowered(graph, {}, (), True).source


def padding(lengths, m):
    """True for the keys that there are, (rows, 1, 1, m)."""
    return (np.arange(m) < np.array(lengths)[:, None])[:, None, None]


def additive(*shape, dtype):
    """Numbers to add to the scores, some of them -∞."""
    return np.where(truths(*shape, chance=0.9), reals(*shape), -np.inf).astype(dtype)


@pytest.mark.parametrize(
    ("number", "dtype", "causal", "dropout"),
    [(0, "float64", True, 0.0), (1, "float32", True, 0.3),
     by_night(0, "float32", False, 0.3),
     by_night(1, "float64", False, 0.0)],
)  # fmt: skip
def test_masks_and_dropout(number, dtype, causal, dropout):
    """Masks broadcast along any axes; lengths that end in the middle, nowhere and at the end."""
    key = [np.array([5, 6], "uint32")] if dropout else []
    how = {"dropout": dropout} if dropout else {}
    for n, m, masks in (
        (33, 33, [
            padding([22, 33, 0], 33), truths(33, 33), truths(3, 2, 33, 33),
            padding([33, 0, 12], 33) & truths(3, 1, 1, 33, chance=0.9),
        ]),
        (4, 70, [truths(70), additive(4, 70, dtype=dtype), truths(1, 1, 1, 1)]),
        (37, 21, [additive(3, 1, 1, 21, dtype=dtype), truths(2, 1, 21), truths(37, 1),
                  additive(2, 37, 1, dtype=dtype)]),
    ):  # fmt: skip
        given = arrays((3, 2), n, m, 8, 5, dtype)
        for mask in masks[number::2]:
            compare([*given, mask, *key], causal=causal, **how)


@pytest.mark.parametrize(
    ("n", "m", "dtype", "scale"), [(64, 64, "float32", -0.3), (50, 67, "float64", 0.0)]
)
def test_dropout_alone(n, m, dtype, scale):
    """Without a mask; scales that turn the order of the scores around."""
    given = [*arrays((2, 2), n, m, 8, 8, dtype), np.array([7, 1], "uint32")]

    def attention(of):
        return value_and_slopes(lambda q, k, v, key: of(q, k, v, None, key, True, scale, 0.2))

    found = CProgram(cr.trace(attention(fused), *given).graph, flags=STRICT)(given)
    expected = Program(cr.trace(attention(written_out), *given).graph)(given)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("kind", ["plain", "both"])
def test_memory_grows_with_the_length_and_not_with_its_square(kind):
    def arena(length):
        given = [np.zeros((2, 4, length, 16), "float32")] * 3
        how = {"causal": True}
        if kind == "both":
            given += [np.ones((2, 1, 1, length), bool), np.array([1, 2], "uint32")]
            how = {"dropout": 0.1}
        return lowered(cr.trace(value_and_slopes(fused, **how), *given).graph, {}, (), True).arena

    assert arena(2048) < 2.1 * arena(1024)
    assert arena(2048) < 2048 * 2048 * 4  # less than the scores of one head


def test_a_layer_with_lengths_and_dropout_trains_in_memory_that_grows_with_the_length():
    def arena(length):
        layer = cr.nn.TransformerEncoderLayer(16, 2, 16, dropout=0.1).initialize(0)

        def loss(x, lengths, key):
            mask = cr.arange(length) < cr.reshape(lengths, (2, 1, 1, 1))
            y = cr.value_and_grad(lambda net: (net(x, mask=mask, train=True, key=key) ** 2).sum())
            return y(layer)

        given = [np.zeros((2, length, 16), "float32"), np.array([5, 7]), np.array([1, 2], "uint32")]
        return lowered(cr.trace(loss, *given).graph, {}, (), True).arena

    assert arena(2048) < 2.1 * arena(1024)
    assert arena(2048) < 2048 * 2048 * 4


def test_same_bits_for_any_number_of_threads():
    given = [*arrays((4, 3), 50, 50, 24, 24, "float32"), padding([50, 31, 0, 9], 50)]
    given.append(np.array([3, 4], "uint32"))
    graphs = [
        cr.trace(value_and_slopes(fused, causal=True), *given[:3]).graph,
        cr.trace(value_and_slopes(fused, dropout=0.2), *given).graph,
    ]
    for graph, inputs in zip(graphs, (given[:3], given), strict=True):
        program = CProgram(graph)
        found = []
        for threads in (1, 2, 3, 8):
            program.threads = threads
            found.append([y.tobytes() for y in program(inputs)])
        assert all(one == found[0] for one in found)


def test_large_scores_and_what_is_not_finite():
    q, k, v = arrays((1,), 4, 6, 3, 2)
    q[0, 1] *= 1e5
    q[0, 2, 0] = np.nan
    v[0, 5, 1] = np.inf
    graph = cr.trace(lambda q, k, v: fused(q, k, v, causal=True), q, k, v).graph
    found, expected = CProgram(graph)([q, k, v])[0], Program(graph)([q, k, v])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_query_that_may_look_nowhere_gets_zeros_and_gives_no_gradient():
    given = arrays((2,), 9, 6, 3, 2)
    for mask in (np.zeros(6, bool), np.full(6, -np.inf), np.arange(9)[:, None] > 8):
        graph = cr.trace(value_and_slopes(fused), *given, mask).graph
        for run in (CProgram(graph), Program(graph)):
            assert not any(result.any() for result in run([*given, mask]))


def test_derivatives_by_finite_differences():
    q, k, v = arrays((2, 1), 5, 6, 3, 2)
    key = cr.random.key(3)
    for mask in (padding([4, 6], 6), truths(2, 1, 5, 6)):
        for order in (1, 2):
            cr.check_grad(
                lambda q, k, v, mask=mask: fused(q, k, v, mask, key, dropout=0.4), q, k, v,
                order=order,
            )  # fmt: skip
    bias = reals(5, 1)

    def learned(q, bias):
        return fused(q, k, v, bias, key, causal=True, dropout=0.4)

    for order in (1, 2):
        cr.check_grad(learned, q, reals(1, 5, 6), order=order)
    graph = cr.trace(cr.grad(lambda q, b: (learned(q, b) ** 2).sum(), (0, 1)), q, bias).graph
    for found, expected in zip(CProgram(graph)([q, bias]), Program(graph)([q, bias]), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.mark.parametrize("masked", [False, True])
def test_second_derivatives_in_c(masked):
    q, k, v = arrays((2,), 3, 3, 2, 2)
    more = (padding([2, 3], 3)[:, 0], cr.random.key(1)) if masked else ()
    how = {"dropout": 0.3} if masked else {"causal": True}

    def curvature(q, t):
        return cr.hvp(lambda q: (fused(q, k, v, *more, **how) ** 2).sum(), q, t)

    graph = cr.trace(curvature, q, reals(2, 3, 2, seed=5)).graph
    given = [q, reals(2, 3, 2, seed=5)]
    np.testing.assert_allclose(CProgram(graph)(given)[0], Program(graph)(given)[0], rtol=1e-10)
