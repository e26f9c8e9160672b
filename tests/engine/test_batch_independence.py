"""Which networks keep the rows of a batch apart: the analysis against what really happens."""

from itertools import product

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.batch_independence import rows_are_independent
from chainrule.engine.ir.batch_axis import ELEMENTWISE, Axis
from chainrule.engine.ir.operation import OPERATIONS
from chainrule.engine.tensor import apply

ROWS = 6
IMAGE = (8, 8, 2)


def analysed(predict, *inputs, **options):
    traced = cr.trace(predict, *inputs)
    graph = traced.graph
    axes = dict.fromkeys(graph.inputs[: len(inputs)], 0)
    return rows_are_independent(graph, axes, ROWS, **options)


def mixed(predict, x):
    """Whether other rows at the end change the first ones, or fewer rows do."""
    other = x.copy()
    other[ROWS // 2 :] = x[ROWS // 2 :][::-1] + (1 if x.dtype.kind == "i" else 0.5)
    first = [np.asarray(predict(cr.tensor(rows)))[: ROWS // 2] for rows in (x, other)]
    fewer = np.asarray(predict(cr.tensor(x[: ROWS // 2])))
    return any(
        not np.allclose(first[0], found, rtol=1e-4, atol=1e-5) for found in (first[1], fewer)
    )


def reals(*shape):
    return np.random.default_rng(0).normal(size=(ROWS, *shape)).astype(np.float32)


def tokens(length):
    return np.random.default_rng(0).integers(0, 8, (ROWS, length))


NORM = cr.nn.BatchNorm(5)
KEY = cr.random.key(3)
APART = {
    "mlp": (cr.models.mlp(5, 3, hidden=(8, 8)), reals(5)),
    "lenet": (cr.models.lenet(3, 2, 8), reals(*IMAGE)),
    "lstm": (cr.models.lstm(3, 4), reals(5, 4)),
    "gru": (cr.models.gru(3, 4), reals(5, 4)),
    "tcn": (cr.models.tcn(3, 4), reals(9, 4)),
    "gpt": (cr.models.gpt(9, 6, width=8, heads=2, layers=1), tokens(6)),
    "transformer": (
        cr.models.transformer_classifier(3, 4, width=8, heads=2, layers=1),
        reals(6, 4),
    ),
    "group norm": (cr.nn.GroupNorm(1, 2), reals(*IMAGE)),
    "layer norm": (cr.nn.LayerNorm(5), reals(5)),
    "columns by index": (lambda x: cr.take(x, np.array([[2, 0], [1, 1]]), 1), reals(5)),
    "by index before the rows": (
        lambda x: cr.transpose(cr.take(cr.transpose(x), np.array([[2, 0], [1, 1]]), 0), (2, 0, 1)),
        reals(5),
    ),
    "dropout": (lambda x: cr.nn.Dropout(0.5)(x, train=True, key=KEY), reals(5)),
}
MIXED = {
    "batch norm": (lambda x: NORM(x, train=True), reals(5)),
    "mean of rows": (lambda x: x - cr.mean(x, 0), reals(5)),
    "largest of rows": (lambda x: x / cr.max(x, 0), reals(5)),
    "softmax of rows": (lambda x: cr.softmax(x, 0), reals(5)),
    "neighbours": (lambda x: x + cr.flip(x, 0), reals(5)),
    "similar rows": (lambda x: x @ cr.transpose(x) @ x, reals(5)),
    "by number": (lambda x: x * np.arange(len(x), dtype=np.float32)[::-1, None], reals(5)),
    "rows by index": (lambda x: cr.take(x, np.arange(len(x))[::-1].copy(), 0), reals(5)),
    "dropout behind a turn": (
        lambda x: cr.transpose(cr.nn.Dropout(0.5)(cr.transpose(x), train=True, key=KEY)),
        reals(5),
    ),
    "attention to rows": (lambda x: cr.scaled_dot_product_attention(x, x, x), reals(5)),
}


def of_sequences(x, targets):
    """The CTC loss of each row."""
    return cr.losses.ctc(x, targets, reduction="none")


T = cr.transpose
FIVE = np.arange(5.0, dtype=np.float32)
TABLE = np.random.default_rng(2).normal(size=(9, 3)).astype(np.float32)
MATRIX = np.random.default_rng(1).normal(size=(5, 5)).astype(np.float32)


def later(x, step, start):
    """What a loop over the second axis ends with."""
    return cr.scan(step, start, cr.swapaxes(x, 0, 1))[0]


#: Operations one by one, with the rows on other axes and results that have them in front again.
APART |= {
    "sum before": (lambda x: T(cr.sum(cr.reshape(T(x), (1, 5, len(x))), 0)), reals(5)),
    "sum behind": (lambda x: cr.sum(x, (1, 2)), reals(2, 3)),
    "softmax before": (lambda x: T(cr.softmax(T(x), 0)), reals(5)),
    "argmax before": (lambda x: cr.argmax(T(x), 0), reals(5)),
    "argmax behind": (lambda x: cr.argmax(x, 2), reals(2, 3)),
    "sorted": (lambda x: cr.sort(x, 1), reals(5)),
    "cumulated before": (lambda x: T(cr.cumsum(T(x), 0)), reals(5)),
    "concatenated": (lambda x: cr.concatenate([x, x * 2], 1), reals(5)),
    "concatenated with the same": (
        lambda x: cr.concatenate([x, cr.broadcast_to(FIVE, x.shape)], 1), reals(5)),
    "stacked": (lambda x: cr.stack([x, -x], 1), reals(5)),
    "sliced": (lambda x: x[:, 1:4:2], reals(5)),
    "padded": (lambda x: cr.pad(x, [(0, 0), (1, 2)]), reals(5)),
    "padded before": (lambda x: T(cr.pad(T(x), [(1, 2), (0, 0)])), reals(5)),
    "flipped": (lambda x: cr.flip(x, 1), reals(5)),
    "flipped before": (lambda x: T(cr.flip(T(x), 0)), reals(5)),
    "broadcast behind": (lambda x: cr.broadcast_to(x[:, :, None], (len(x), 5, 2)), reals(5)),
    "broadcast before": (
        lambda x: cr.swapaxes(cr.broadcast_to(x, (3, len(x), 5)), 0, 1), reals(5)),
    "turned": (lambda x: T(T(x, (2, 0, 1)) * 2, (1, 2, 0)), reals(2, 3)),
    "one number each": (lambda x: x * FIVE + 1, reals(5)),
    "flat": (lambda x: cr.reshape(x, (len(x), 6)), reals(2, 3)),
    "split": (lambda x: cr.reshape(x, (len(x), 2, 3)), reals(6)),
    "flat with time before": (
        lambda x: T(cr.reshape(cr.tanh(cr.reshape(cr.swapaxes(x, 0, 1), (2 * len(x), 3))),
                               (2, len(x), 3)), (1, 0, 2)), reals(2, 3)),
    "where": (lambda x: cr.where(x > 0, x, cr.broadcast_to(FIVE, x.shape)), reals(5)),
    "matrix on the right": (lambda x: x @ MATRIX, reals(5)),
    "matrix on the left": (lambda x: T(MATRIX @ T(x)), reals(5)),
    "matrices of rows": (lambda x: x @ cr.swapaxes(x, 1, 2), reals(3, 4)),
    "matrix on the right, batched": (lambda x: x @ MATRIX, reals(3, 5)),
    "determinants": (lambda x: cr.linalg.det(x), reals(3, 3)),
    "factors": (lambda x: cr.linalg.qr(x)[1], reals(3, 3)),
    "convolution": (lambda x: cr.conv1d(x, np.ones((2, 2, 3), np.float32)), reals(7, 2)),
    "pooling": (lambda x: cr.max_pool(x, 2) + cr.avg_pool(x, 2), reals(4, 2)),
    "ctc with a target for all": (lambda x: of_sequences(x, [[1, 2]] * len(x)), reals(5, 4)),
    "attention in rows": (lambda x: cr.scaled_dot_product_attention(x, x, x), reals(4, 3)),
    "attention with a mask": (
        lambda x: cr.scaled_dot_product_attention(x, x, x, mask=np.eye(4, dtype=bool)),
        reals(4, 3)),
    "attention with heads": (
        lambda x: cr.scaled_dot_product_attention(x, x, x, causal=True), reals(2, 4, 3)),
    "embedded": (lambda x: cr.take(TABLE, x), tokens(3)),
    "embedded before": (lambda x: cr.swapaxes(cr.take(TABLE, T(x)), 0, 1), tokens(3)),
    "bag": (lambda x: cr.embedding_bag(TABLE, x, cr.astype(x, "float32")), tokens(3)),
    "looked up": (lambda x: cr.searchsorted(FIVE, x), reals(4)),
    "looked up along": (
        lambda x: cr.take_along_axis(x, cr.argsort(x, 1), 1), reals(4)),
    "loop": (lambda x: later(x, lambda h, r: (h + r, ()), cr.zeros((len(x), 3), x.dtype)),
             reals(4, 3)),
    "loop from a row": (
        lambda x: later(x, lambda h, r: (cr.tanh(h) * r, ()), x[:, 0]), reals(4, 3)),
    "stacked by a loop": (
        lambda x: cr.swapaxes(cr.scan(lambda h, r: (h + r, h * r), x[:, 0],
                                      cr.swapaxes(x, 0, 1))[1], 0, 1), reals(4, 3)),
    "recomputed": (lambda x: cr.remat(lambda z: cr.tanh(z) * 2)(x), reals(4)),
    "bits for all": (
        lambda x: x * cr.random.uniform(KEY, (5,), dtype=x.dtype), reals(5)),
}  # fmt: skip
MIXED |= {
    "ctc with a target for each": (
        lambda x: of_sequences(x, [[1 + k % 2, 2 + k % 2] for k in range(len(x))][::-1]),
        reals(5, 4)),
    "sum over rows": (lambda x: x - cr.sum(x, 0), reals(5)),
    "rows beside one another": (lambda x: cr.concatenate([x[1:], x[:1]], 0), reals(5)),
    "some rows": (lambda x: cr.pad(x[1:], [(0, 1), (0, 0)]), reals(5)),
    "every second row": (lambda x: cr.concatenate([x[::2], x[::2]], 0)[: len(x)], reals(5)),
    "cumulated rows": (lambda x: cr.flip(cr.cumsum(cr.flip(x, 0), 0), 0), reals(5)),
    "sorted rows": (lambda x: cr.sort(x, 0), reals(5)),
    "another reshape": (
        lambda x: cr.reshape(T(x, (1, 0, 2)), (len(x), 2, 3)), reals(2, 3)),
    "a sum of products": (lambda x: x @ (T(x) @ x), reals(5)),
    "attention with rows as keys": (
        lambda x: cr.scaled_dot_product_attention(x[None], x[None], x[None])[0], reals(5)),
    "a loop over rows": (
        lambda x: cr.scan(lambda h, r: (h + r, h), cr.zeros((5,), x.dtype), cr.flip(x, 0))[1],
        reals(5)),
    "a matrix of rows": (lambda x: x + cr.linalg.inv(cr.abs(T(x) @ x) + 9 * np.eye(5)).sum(),
                         reals(5)),
    "images along the rows": (
        lambda x: cr.conv1d(x[None], np.ones((3, 5, 5), np.float32), padding="same")[0], reals(5)),
    "looked up in rows": (lambda x: cr.searchsorted(cr.sort(x), x), reals()),
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_rows_stay_apart(name):
    predict, x = APART[name]
    assert not mixed(predict, x)
    assert analysed(predict, x)


@pytest.mark.parametrize("name", MIXED)
def test_rows_meet(name):
    predict, x = MIXED[name]
    assert mixed(predict, x)
    assert not analysed(predict, x)


def test_other_random_numbers_are_as_good_where_they_may_be_drawn_again():
    predict, x = MIXED["dropout behind a turn"]
    assert analysed(predict, x, redraws=True)
    predict, x = MIXED["sum over rows"]
    noise = cr.nn.Dropout(0.5)
    assert not analysed(lambda x: noise(predict(x), train=True, key=KEY), x, redraws=True)


# ---- sums over the rows --------------------------------------------------------------------------

SUMS = [op for op in OPERATIONS.values() if op.batch and op.batch.sums is not ELEMENTWISE.sums]


@pytest.mark.parametrize("operation", SUMS, ids=lambda op: op.name)
def test_a_sum_over_rows_is_the_sum_of_those_of_its_parts(operation):
    """Wherever the rows of the operands may be, of every sample."""
    looked_at = 0
    for sample in operation.samples():
        arrays = [np.asarray(x) for x in sample.inputs]
        traced = cr.trace(lambda *xs, how=sample.attributes: apply(operation, *xs, **how), *arrays)
        (node,) = [n for n in traced.graph.nodes if n.op is operation]
        for places in product(*([None, *range(x.ndim)] for x in arrays)):
            axes = [None if place is None else Axis(place) for place in places]
            found = operation.batch.sums(node, axes) if any(axes) else None
            if found is None:
                continue
            looked_at += 1
            rows = {x.shape[k] for x, k in zip(arrays, found, strict=True) if k is not None}
            assert len(rows) == 1
            whole = operation.compute(np, *arrays, **sample.attributes)
            total = sum(x for x, k in zip(arrays, found, strict=True) if k is None)
            for row in range(*rows):
                part = [
                    np.zeros_like(x) if k is None else np.take(x, [row], k)
                    for x, k in zip(arrays, found, strict=True)
                ]
                total = total + operation.compute(np, *part, **sample.attributes)
            if rows != {0}:
                np.testing.assert_allclose(total, whole, rtol=1e-5, atol=1e-6)
    assert looked_at


def test_what_sums_rows_is_known():
    assert {op.name for op in SUMS} >= {"sum", "matmul", "convolution_weights", "scatter_add"}
