"""One graph for any number of rows: the same bits as the network's own evaluation."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.engine.backends.numpy import Program
from chainrule.errors import ModelFileError, ShapeError
from chainrule.serialization.dynamic_batch import Sample, Template, generalize

FEATURES = 6
WEIGHT = np.random.default_rng(0).normal(size=(FEATURES, FEATURES)).astype(np.float32)


def attention(x: cr.Tensor) -> cr.Tensor:
    """Three tokens of two numbers attend to one another, row by row."""
    tokens = x.reshape(x.shape[0], 3, 2)
    scores = cr.softmax(tokens @ tokens.transpose(0, 2, 1) / 2**0.5)
    return (scores @ tokens).reshape(x.shape[0], -1)


#: Each maps (rows, 6) to (rows, 6).
LAYERS: dict[str, Callable[[cr.Tensor], cr.Tensor]] = {
    "linear": lambda x: x @ WEIGHT + WEIGHT[0],
    "relu": cr.relu,
    "scalar": lambda x: 2 * x - 1,
    "attention": attention,
    "layer norm": lambda x: (x - x.mean(-1, keepdims=True)) / (1 + x.std(-1, keepdims=True)),
    "one hot": lambda x: cr.one_hot(x.argmax(1), FEATURES),
    "embedding": lambda x: cr.take(cr.tensor(WEIGHT), x.argmax(1)),
    "initial state": lambda x: cr.concatenate([cr.zeros((len(x), 2)), x[:, 2:]], axis=1),
    "flat": lambda x: (x.reshape(-1) * 0.5).reshape(x.shape),
    "rows last": lambda x: (cr.tensor(WEIGHT) @ x.T).T,
    "sorted": lambda x: cr.sort(x, axis=1),
    "shifted": lambda x: cr.roll(x, 1, axis=1),
    "padded": lambda x: cr.pad(x, ((1, 2), (0, 0)))[1:-2],
    "conditional": lambda x: cr.where(x > 0.1, x, 0.0),
    "five": lambda x: x + np.arange(5 * FEATURES).reshape(5, FEATURES)[3],
}


def sample_of(function: Callable[[cr.Tensor], Any], kind: Any = np.float32) -> Any:
    def sample(rows: int) -> Sample:
        return Sample(cr.trace(function, np.zeros((rows, FEATURES), kind)).graph)

    return sample


def chain(names: list[str]) -> Callable[[cr.Tensor], cr.Tensor]:
    def function(x: cr.Tensor) -> cr.Tensor:
        for name in names:
            x = LAYERS[name](x)
        return x

    return function


@given(
    names=st.lists(st.sampled_from(sorted(LAYERS)), max_size=5),
    rows=st.integers(1, 20),
    seed=st.integers(0, 9),
)
@settings(max_examples=80, deadline=None)
def test_any_chain_of_layers_gives_the_same_bits(names: list[str], rows: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(rows, FEATURES)).astype(np.float32)
    graph = generalize(sample_of(chain(names))).instantiate(rows)
    (found,) = Program(graph)([x])
    expected = chain(names)(cr.tensor(x)).numpy()
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_alone(name: str) -> None:
    x = np.random.default_rng(1).normal(size=(3, FEATURES)).astype(np.float32)
    (found,) = Program(generalize(sample_of(LAYERS[name])).instantiate(3))([x])
    np.testing.assert_array_equal(found, LAYERS[name](cr.tensor(x)).numpy())


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x - x.mean(0),
        lambda x: x / x.shape[0],
        lambda x: x @ (WEIGHT * x.shape[0]),
        lambda x: x * cr.tensor(np.linspace(0, 1, x.shape[0], dtype=np.float32)[:, None]),
        lambda x: x[: x.shape[0] // 2],
        lambda x: cr.stack([x[i] for i in range(x.shape[0])]),
        lambda x: x if x.shape[0] < 11 else -x,
        lambda x: x + (0.0 if x.shape[0] == 7 else 1.0),
        lambda x: x + np.full(20, x.shape[0] % 7).sum(),
        lambda x: cr.take(x, cr.arange(x.shape[0] * 4) % 5),
    ],
)
def test_what_depends_on_the_number_of_rows_is_named_with_its_line(function: Any) -> None:
    with pytest.raises(ShapeError, match="depends on how many rows") as caught:
        generalize(sample_of(function))
    line = function.__code__.co_firstlineno
    assert caught.value.where is not None
    assert f"test_dynamic_batch.py:{line}" in caught.value.where


def test_products_of_the_number_of_rows_are_refused() -> None:
    with pytest.raises(ShapeError, match="depends on how many rows"):
        generalize(sample_of(lambda x: (x @ x.T).reshape(-1)))


def test_the_layer_is_named() -> None:
    class Centre(cr.nn.Module):
        def forward(self, x: cr.Tensor) -> cr.Tensor:
            return x - x.mean(0)

    class Net(cr.nn.Module):
        def __init__(self) -> None:
            self.centre = Centre()

        def forward(self, x: cr.Tensor) -> cr.Tensor:
            return self.centre(cr.tanh(x))

    with pytest.raises(ShapeError) as caught:
        generalize(sample_of(Net()))
    assert "layer centre" in str(caught.value)


def test_large_constants_become_arrays_and_repeated_ones_a_number() -> None:
    table = np.arange(60.0, dtype=np.float32).reshape(10, FEATURES)
    template = generalize(sample_of(lambda x: cr.take(cr.tensor(table), x.argmax(1)) + 1))
    (array,) = template.arrays.values()
    np.testing.assert_array_equal(array, table)
    values = [entry["value"] for entry in template.graph["nodes"] if "value" in entry]
    assert values == [[1.0]]


@given(
    shape=st.lists(st.sampled_from([0, 1, 2, 3]), max_size=3),
    axes=st.sets(st.integers(0, 2)),
    zero=st.sampled_from([0.0, -0.0, np.nan, np.inf]),
)
@settings(deadline=None)
def test_constants_keep_their_bits(shape: list[int], axes: set[int], zero: float) -> None:
    value = np.random.default_rng(0).normal(size=shape)
    value.reshape(-1)[::2] = zero
    for axis in axes & set(range(value.ndim)):
        value = np.repeat(value[(slice(None),) * axis + (slice(0, 1),)], shape[axis], axis)
    template = generalize(lambda rows: Sample(cr.trace(lambda x: (x, cr.tensor(value)), 1.0).graph))
    _, found = Program(template.instantiate(1))([np.zeros((), np.float32)])
    assert found.shape == value.shape
    assert found.tobytes() == value.tobytes()


def test_a_damaged_template_is_refused() -> None:
    good = generalize(sample_of(cr.relu))
    for bad in ([1], [1, 2, 3], ["a", "b"], [1.0, 0], None, 3, [True, 0]):
        nodes = [{**good.graph["nodes"][0], "type": ["float32", [{"rows": bad}, 6]]}]
        with pytest.raises(ModelFileError):
            Template({**good.graph, "nodes": nodes}, {}).instantiate(1)


def test_the_largest_node_counts_only_what_grows() -> None:
    wide = np.ones((FEATURES, 1000), np.float32) * np.arange(1000, dtype=np.float32)
    template = generalize(sample_of(lambda x: (x @ wide) @ wide.T))
    assert template.largest(1) == 1000
    assert template.largest(50) == 50_000
