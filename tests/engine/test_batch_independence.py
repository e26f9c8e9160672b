"""Which networks keep the rows of a batch apart: the analysis against what really happens."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.batch_independence import rows_are_independent

ROWS = 6
IMAGE = (8, 8, 2)


def analysed(predict, *inputs):
    traced = cr.trace(predict, *inputs)
    graph = traced.graph
    return rows_are_independent(graph, dict.fromkeys(graph.inputs[: len(inputs)], 0), ROWS)


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
