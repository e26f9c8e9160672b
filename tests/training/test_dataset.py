"""Examples in memory: what is taken for one array, and what for a tree of them."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.training.dataset import Arrays


@pytest.mark.parametrize(
    ("inputs", "dtype"), [([[0.5, 1.0], [2.0, 3.0]], "float32"), ([[0, 1], [2, 3]], "int64")]
)
def test_nested_lists_of_numbers_are_one_array(inputs, dtype):
    found = Arrays.of((inputs, [1, 0]))
    assert isinstance(found.inputs, np.ndarray)
    assert found.inputs.dtype == dtype
    np.testing.assert_array_equal(found.inputs, inputs)
    assert len(found) == 2


def test_lists_of_arrays_are_several_inputs():
    x, y = np.zeros((3, 2), np.float32), np.ones((3, 4), np.float32)
    found = Arrays.of(([x, y], np.zeros(3)))
    assert [part.shape for part in found.inputs] == [(3, 2), (3, 4)]
    assert [part.shape for part in found.take(np.array([2, 0])).inputs] == [(2, 2), (2, 4)]


def test_batches_go_through_all_rows_in_order():
    found = [batch.inputs[:, 0].tolist() for batch in Arrays(np.arange(5.0)[:, None]).batches(2)]
    assert found == [[0, 1], [2, 3], [4]]


def test_the_seed_is_zero_unless_given():
    """What the documentation computes is computed again by whoever types it."""
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    found = []
    for seed in ({}, {"seed": 0}, {"seed": 1}):
        model = cr.nn.Linear(2, 1).initialize(0)
        trainer = cr.Trainer(model, "mse", "sgd", lr=0.001, progress=False, backend="numpy", **seed)
        trainer.fit((x, x[:, :1]), epochs=2, batch_size=2)
        found.append(model.state()["weight"])
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
