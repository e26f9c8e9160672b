"""What eager code refuses, compiled code refuses with the same error; what one computes, all do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, DataError, OutOfRangeError

BACKENDS = ("numpy", "c")


def refused(function: Any, *arguments: Any) -> tuple[type, str, str | None, str | None, str | None]:
    with pytest.raises(ChainruleError) as caught:
        function(*arguments)
    error = caught.value
    return type(error), error.what, error.expected, error.found, error.hint


def same_refusal(function: Any, *arrays: Any) -> type:
    eager = refused(function, *map(cr.tensor, arrays))
    for backend in BACKENDS:
        assert refused(cr.compile(function, backend=backend), *arrays) == eager, backend
    return eager[0]


LOGITS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize("bad", [-1, 3, -(2**40), 2**40])
@pytest.mark.parametrize("loss", ["cross_entropy", "nll", "multi_margin"])
def test_classes(loss, bad):
    classes = np.array([0, 2, bad, 1])
    assert same_refusal(getattr(cr.losses, loss), LOGITS, classes) is DataError


def test_classes_of_the_function_below_the_loss():
    assert (
        same_refusal(cr.ops.cross_entropy_from_logits, LOGITS, np.array([0, -1, 0, 0])) is DataError
    )


@pytest.mark.parametrize(
    ("loss", "bad"),
    [
        ("binary_cross_entropy", 255.0),
        ("binary_cross_entropy", np.nan),
        ("focal", 0.5),
        ("multilabel_soft_margin", -0.1),
        ("hinge", 0.0),
        ("squared_hinge", 2.0),
        ("soft_margin", np.nan),
        ("poisson_nll", -1.0),
        ("msle", -1.0),
        ("kl_div", 1.5),
    ],
)
def test_targets(loss, bad):
    target = np.ones((4, 3), np.float32)
    target[2, 1] = bad
    assert same_refusal(getattr(cr.losses, loss), LOGITS, target) is DataError


def test_weights_and_variances():
    def weighted(x, w):
        return cr.losses.mse(x, np.zeros((4, 3)), sample_weights=w)

    assert same_refusal(weighted, LOGITS, np.array([1.0, -1.0, 0.0, 1.0], np.float32)) is DataError

    def likelihood(x, v):
        return cr.losses.gaussian_nll(x, np.zeros((4, 3)), v)

    assert same_refusal(likelihood, LOGITS, LOGITS) is DataError


@pytest.mark.parametrize("bad", [5, -6, 2**40, -(2**40)])
def test_indices(bad):
    x, index = np.arange(15.0, dtype=np.float32).reshape(5, 3), np.array([0, bad])
    functions = [
        lambda x, i: x[i],
        lambda x, i: x[i, [0, 1]],
        lambda x, i: x[[0, 1], i],
        lambda x, i: cr.take(x, i),
        lambda x, i: cr.grad(lambda x: cr.take(x, i).sum())(x),
        lambda x, i: cr.scatter_add(x, i, np.ones((2, 3))),
        lambda x, i: cr.take_along_axis(x[:, :1], i[:, None], 0),
        lambda x, i: cr.add_along_axis(x[:, :1], i[:, None], 1.0, 0),
        lambda x, i: cr.embedding_bag(x, i[None], np.ones((1, 2))),
    ]
    for function in functions:
        assert same_refusal(function, x, index) is OutOfRangeError


@pytest.mark.parametrize("bad", [-1, 3])
def test_embeddings_and_positions(bad):
    table = cr.nn.Embedding(3, 2).initialize(0)
    assert same_refusal(table, np.array([[0, bad]])) is DataError
    positions = cr.nn.LearnedPositions(4, 2)
    assert (
        same_refusal(lambda x, n: positions(x, n), np.ones((2, 2)), np.array(bad))
        is OutOfRangeError
    )


def test_a_full_cache_of_attention():
    attention = cr.nn.MultiHeadAttention(4, 2).initialize(0)

    def step(x, position):
        cache = attention.cache(1, 4) | {"position": position}
        return attention(x, cache=cache)[0]

    assert same_refusal(step, np.ones((1, 2, 4), np.float32), np.array(3)) is OutOfRangeError


def test_the_error_says_where_and_nothing_was_overwritten():
    w = cr.Buffer(np.ones(3))

    def step(z, t):
        loss = cr.losses.cross_entropy(z * w, t)
        w.assign(w * 2)
        return loss

    run = cr.compile(step, backend="c")

    with pytest.raises(DataError) as caught:
        run(LOGITS, np.array([0, 1, 2, 3]))
    assert __file__ in caught.value.where
    assert w.tolist() == [1, 1, 1]


def test_many_steps_in_one_call_stop_at_the_first_that_is_refused():
    w = cr.Buffer(np.zeros((), np.float32))

    def step(z, t):
        loss = cr.losses.cross_entropy(z, t)
        w.assign(w + 1)
        return loss

    classes = np.array([0, 1, -1, 2])
    for backend in BACKENDS:
        w.assign(0.0)
        run = cr.compile(step, backend=backend)
        with pytest.raises(DataError) as caught:
            run.run_steps([[0, 1], [1, 3], [0, 2], [3, 3]], LOGITS, classes, rows=(0, 1))
        assert caught.value.found == "-1 at [1]"
        assert w.item() == 2


def test_the_step_of_the_trainer():
    model = cr.nn.Linear(2, 3).initialize(0)
    trainer = cr.Trainer(model, "cross_entropy", "sgd", progress=False)
    with pytest.raises(DataError):
        trainer.fit((np.ones((4, 2), np.float32), np.array([0, 1, 2, -1])), epochs=1)
    with pytest.raises(DataError, match="class index"):
        trainer.fit((np.ones((4, 2), np.float32), np.array([0, 1, 2, 3])), epochs=1)
