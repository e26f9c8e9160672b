"""Saving and predicting: a saved model gives the network's own numbers, for any rows."""

import errno
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule import nn
from chainrule.errors import ChainruleError, ConfigError, DataError, ModelFileError, ShapeError

FEATURES = 4


def reals(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def randomize(model: nn.Module, seed: int = 0) -> nn.Module:
    """All variables at random, running statistics too: those of a new network tell nothing."""
    state = {
        path: np.abs(reals(*array.shape, seed=seed + number)) + 0.1
        for number, (path, array) in enumerate(model.state().items())
    }
    model.load_state(state)
    return model


class Attention(nn.Module):
    """Two tokens of two numbers look at one another, row by row."""

    def __init__(self) -> None:
        self.query, self.key_, self.value = (nn.Linear(2, 2) for _ in range(3))

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        tokens = x.reshape(x.shape[0], 2, 2)
        q, k, v = self.query(tokens), self.key_(tokens), self.value(tokens)
        weights = cr.softmax(q @ k.transpose(0, 2, 1) / 2**0.5)
        return (weights @ v).reshape(x.shape[0], FEATURES)


class Mixed(nn.Module):
    """Numbers and categories, as from a table; categories embedded and one-hot."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(7, 3)
        self.head = nn.Sequential(nn.Linear(2 + 3 + 5, 6), nn.ReLU(), nn.Linear(6, 2))

    def forward(self, table: dict[str, cr.Tensor]) -> cr.Tensor:
        embedded = self.embedding(table["city"])
        one_hot = cr.one_hot(table["colour"], 5)
        return self.head(cr.concatenate([table["numbers"], embedded, one_hot], axis=1))


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(FEATURES, FEATURES),
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "batch norm": lambda: nn.BatchNorm(FEATURES),
    "layer norm": lambda: nn.LayerNorm(FEATURES),
    "dropout": lambda: nn.Dropout(0.5),
    "attention": Attention,
    "residual": lambda: nn.Residual(nn.Linear(FEATURES, FEATURES)),
}


def bits(array: Any) -> bytes:
    return np.ascontiguousarray(array).tobytes()


@given(
    layers=st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=5),
    rows=st.integers(1, 30),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_the_file_has_the_numbers_of_the_network(
    tmp_path_factory: pytest.TempPathFactory, layers: list[str], rows: int, seed: int
) -> None:
    model = randomize(nn.Sequential(*(LAYERS[name]() for name in layers)), seed)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    cr.save(path, model, reals(3, FEATURES))
    saved = cr.load(path)
    x = reals(rows, FEATURES, seed=seed)
    assert bits(saved.predict(x)) == bits(model(cr.tensor(x)).numpy())
    assert bits(saved.predict(x[:1])) == bits(model(cr.tensor(x[:1])).numpy())
    assert saved.predict(x[:0]).shape == (0, FEATURES)
    state = saved.state()
    assert state.keys() == model.state().keys()
    assert all(bits(state[path]) == bits(array) for path, array in model.state().items())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def table(rows: int, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "numbers": reals(rows, 2, seed=seed),
        "city": random.integers(0, 7, rows),
        "colour": random.integers(0, 5, rows),
    }


def test_inputs_by_name(path: Path) -> None:
    model = randomize(Mixed())
    cr.save(path, model, (table(3),), output=cr.softmax, classes=["yes", "no"])
    saved = cr.load(path)
    assert {name: str(kind) for name, kind in saved.inputs.items()} == {
        "table.numbers": "float32[1, 2]",
        "table.city": "int64[1]",
        "table.colour": "int64[1]",
    }
    rows = table(9, seed=1)
    expected = cr.softmax(model({name: cr.tensor(array) for name, array in rows.items()}))
    assert bits(saved.predict(rows)) == bits(expected.numpy())
    shuffled = {name: rows[name] for name in reversed(rows)}
    assert bits(saved.predict(shuffled)) == bits(expected.numpy())
    lists = {name: array.tolist() for name, array in rows.items()}
    assert bits(saved.predict(lists)) == bits(expected.numpy())
    with pytest.raises(DataError, match="other inputs"):
        saved.predict({"numbers": rows["numbers"]})
    with pytest.raises(DataError, match="other inputs"):
        saved.predict()
    with pytest.raises(DataError, match="different numbers of rows"):
        saved.predict({**rows, "city": rows["city"][:4]})
    with pytest.raises(DataError, match="cannot be computed"):
        saved.predict({**rows, "city": rows["city"] + 100})


def test_several_arguments(path: Path) -> None:
    class Distance(nn.Module):
        def forward(self, a: cr.Tensor, b: cr.Tensor) -> cr.Tensor:
            return cr.sum(cr.abs(a - b), 1)

    cr.save(path, Distance(), (np.zeros((2, 3)), np.zeros((2, 3))))
    saved = cr.load(path)
    assert list(saved.inputs) == ["a", "b"]
    found = saved.predict([[1, 2, 3], [4, 5, 6]], np.ones((2, 3)))
    np.testing.assert_array_equal(found, [3.0, 12.0])
    assert found.dtype == np.float64


def test_what_goes_with_a_model_comes_back(path: Path) -> None:
    schema = {"columns": [{"name": "prix, à Liège", "kind": "numeric"}], "target": None}
    record = {"loss": [1.5, float("nan"), np.float32(0.25)], "best": np.int64(3), "rate": np.inf}
    cr.save(path, nn.Linear(2, 1), np.zeros((1, 2), np.float32), schema=schema, record=record,
            classes=["a", 1, True])  # fmt: skip
    saved = cr.load(path)
    assert saved.schema == schema
    assert saved.classes == ["a", 1, True]
    assert saved.record["loss"][::2] == [1.5, 0.25]
    assert np.isnan(saved.record["loss"][1])
    assert saved.record["best"] == 3
    assert saved.record["rate"] == np.inf
    assert saved.version == cr.__version__


def test_training_goes_on_from_the_state(path: Path) -> None:
    model = randomize(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Linear(4, 1)))
    cr.save(path, model, reals(2, 3))
    other = randomize(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Linear(4, 1)), seed=50)
    other.load_state(cr.load(path).state())
    x = cr.tensor(reals(5, 3))
    assert bits(other(x, train=True).numpy()) == bits(model(x, train=True).numpy())


def test_the_file_is_one_that_others_read(path: Path) -> None:
    model = randomize(nn.Sequential(nn.Linear(3, 40), nn.Linear(40, 1)))
    cr.save(path, model, reals(2, 3))
    arrays = safetensors.numpy.load_file(path)
    assert {name: bits(a) for name, a in arrays.items()} == {
        name: bits(a) for name, a in model.state().items()
    }


def test_the_same_model_is_the_same_file(path: Path) -> None:
    contents = set()
    for _ in range(4):
        cr.save(path, randomize(Mixed()), (table(3),), record={"b": 1, "a": 2})
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_shared_frozen_and_captured_variables(path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            self.first = nn.Linear(3, 3)
            self.second = self.first

        def forward(self, x: cr.Tensor) -> cr.Tensor:
            return self.second(cr.tanh(self.first(x)))

    model = randomize(Tied())
    model.freeze("first.bias")
    scale = cr.Buffer(np.float32(3.0))
    x = reals(6, 3)
    expected = model(cr.tensor(x)).numpy() * np.float32(3.0)
    cr.save(path, model, x, output=lambda y: y * scale)
    scale.assign(0.0)
    saved = cr.load(path)
    assert bits(saved.predict(x)) == bits(expected)
    assert set(saved.state()) == {"first.weight", "first.bias"}


def test_evaluation_neither_draws_nor_learns(path: Path) -> None:
    model = nn.Sequential(nn.BatchNorm(3), nn.Dropout(0.9))
    before = {name: bits(a) for name, a in model.state().items()}
    x = reals(6, 3)
    cr.save(path, model, x)
    assert {name: bits(a) for name, a in model.state().items()} == before
    np.testing.assert_allclose(cr.load(path).predict(x), x, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["bool", "uint32", "int32", "int64", "float32", "float64"])
def test_variables_of_every_type(path: Path, dtype: str) -> None:
    class Pick(nn.Module):
        def __init__(self) -> None:
            self.values = cr.Buffer(np.arange(20).astype(dtype))
            self.none = cr.Buffer(np.zeros((0, 3), dtype))
            self.one = cr.Buffer(np.array(1, dtype))

        def forward(self, x: cr.Tensor) -> cr.Tensor:
            return cr.take(self.values, x)

    model = Pick()
    cr.save(path, model, np.zeros(1, np.int64))
    found = cr.load(path).predict(np.array([3, 0, 19]))
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found, np.arange(20).astype(dtype)[[3, 0, 19]])
    assert cr.load(path).state()["none"].shape == (0, 3)
    assert cr.load(path).state()["one"].shape == ()


# ---- many rows -----------------------------------------------------------------------------------


def test_many_rows_take_little_memory_and_few_programs(path: Path) -> None:
    width = 3000
    model = randomize(nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 1)))
    cr.save(path, model, reals(2, 2))
    saved = cr.load(path)
    x = reals(20_000, 2)
    saved.predict(x[:10])
    tracemalloc.start()
    found = saved.predict(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20 < len(x) * width * 4 / 3, "a third of one hidden layer for all rows"
    np.testing.assert_allclose(found[-5:], model(cr.tensor(x[-5:])).numpy(), rtol=1e-4)
    np.testing.assert_allclose(found[:5], model(cr.tensor(x[:5])).numpy(), rtol=1e-4)
    for rows in range(1, 40):
        saved.predict(x[:rows])
    assert saved._program.cache_info().currsize <= 8


@pytest.mark.parametrize("rows", [4095, 4096, 4097, 8192, 10_000])
def test_parts_are_put_together_in_order(path: Path, rows: int) -> None:
    class Double(nn.Module):
        def forward(self, x: cr.Tensor) -> cr.Tensor:
            return x * 2.0

    cr.save(path, Double(), np.zeros((1, 1)))
    x = np.arange(rows, dtype=float)[:, None]
    np.testing.assert_array_equal(cr.load(path).predict(x), x * 2)


def test_the_graph_for_a_number_of_rows(path: Path) -> None:
    cr.save(path, randomize(nn.Linear(3, 2)), reals(1, 3))
    saved = cr.load(path)
    for rows in (1, 2, 100_000):
        graph = saved.graph(rows)
        graph.verify()
        assert graph.inputs[0].type.shape == (rows, 3)
        assert graph.outputs[0].type.shape == (rows, 2)


def test_the_summary_is_plain_data(path: Path) -> None:
    cr.save(path, nn.Linear(3, 2), reals(1, 3), classes=["a", "b"])
    summary = cr.load(path).summary()
    assert summary["inputs"] == {"x": "float32[1, 3]"}
    assert summary["output"] == "float32[1, 2]"
    assert summary["numbers"] == 3 * 2 + 2
    assert summary["operations"]["matmul"] == 1
    assert set(summary["variables"]) == {"weight", "bias"}


# ---- inputs that do not fit ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (np.zeros(3), r"expected: \(rows, 3\)"),
        (np.zeros(3), "x\\[None\\]"),
        (np.zeros((2, 4)), "another shape"),
        (np.float32(1), "another shape"),
        (np.zeros((2, 3, 1)), "another shape"),
        ([[1.0, 2.0, 3.0], [4.0]], "not an array"),
        ([["a", "b", "c"]], "cannot be converted"),
        (np.zeros((1, 3), complex), "cannot be converted"),
        (np.array([[1, 2, None]]), "cannot be converted"),
        (np.zeros((1, 3), "datetime64[s]"), "cannot be converted"),
    ],
)
def test_wrong_inputs_are_refused_with_the_reason(path: Path, given: Any, reason: str) -> None:
    cr.save(path, nn.Linear(3, 2), reals(1, 3))
    with pytest.raises(DataError, match=reason):
        cr.load(path).predict(given)


def test_whole_numbers_are_never_cut(path: Path) -> None:
    cr.save(path, nn.Embedding(5, 2), np.zeros(1, np.int32))
    saved = cr.load(path)
    assert saved.predict(np.array([1, 2])).shape == (2, 2)
    assert saved.predict(np.array([True, False])).shape == (2, 2)
    for x in (np.array([2**32 + 1]), np.array([1.0])):
        with pytest.raises(DataError, match="cannot be converted"):
            saved.predict(x)


def test_numbers_are_converted_where_only_precision_is_lost(path: Path) -> None:
    model = randomize(nn.Linear(3, 2))
    cr.save(path, model, reals(1, 3))
    saved = cr.load(path)
    expected = bits(saved.predict(np.array([[1, 2, 3]], np.float32)))
    for x in ([[1, 2, 3]], np.array([[1, 2, 3]], np.uint8), np.array([[1.0, 2.0, 3.0]])):
        assert bits(saved.predict(x)) == expected
    columns = np.asfortranarray(reals(6, 3))
    assert bits(saved.predict(columns)) == bits(saved.predict(np.ascontiguousarray(columns)))


# ---- models that cannot be saved -----------------------------------------------------------------


def module(function: Callable[[cr.Tensor], Any]) -> nn.Module:
    class Anonymous(nn.Module):
        def forward(self, x: cr.Tensor) -> Any:
            return function(x)

    return Anonymous()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x - x.mean(0), "depends on how many rows"),
        (lambda x: x * x.shape[0], "depends on how many rows"),
        (lambda x: cr.softmax(x, axis=0), "depends on the other rows"),
        (lambda x: x - x.max(0), "depends on the other rows"),
        (lambda x: cr.cumsum(x, 0, reverse=True), "depends on the other rows"),
        (lambda x: cr.argsort(x, 0), "depends on the other rows"),
        (lambda x: x.sum(), "one row for every row"),
        (lambda x: x.T, "one row for every row"),
        (lambda x: cr.tensor(1.0), "one row for every row"),
        (lambda x: (x, x), "one tensor"),
        (lambda x: None, "one tensor"),
    ],
)
def test_models_that_do_not_take_any_number_of_rows(path: Path, function: Any, reason: str) -> None:
    with pytest.raises(ShapeError, match=reason):
        cr.save(path, module(function), reals(4, 3))
    assert not path.exists()


def test_python_code_on_values_is_refused(path: Path) -> None:
    with pytest.raises(ChainruleError, match="no value yet"):
        cr.save(path, module(lambda x: x if x.sum() > 0 else -x), reals(4, 3))


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        ((), "different names"),
        (3, "array with the rows"),
        ("x", "array with the rows"),
        (np.float32(3), "array with the rows"),
        (np.array(3.0), "array with the rows"),
        (np.zeros((1, 3), np.float16), "array with the rows"),
        (np.array([["a"]]), "array with the rows"),
        ([[1.0, 2.0]], "array with the rows"),
    ],
)
def test_examples_that_say_nothing_of_the_inputs(path: Path, example: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        cr.save(path, nn.Linear(3, 2), example)


@pytest.mark.parametrize(
    "record", [object(), {1: 2}, {"path": Path("x")}, {"a": [1, {2}]}, b"bytes", 1j]
)
def test_records_that_are_no_data(path: Path, record: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be stored"):
        cr.save(path, nn.Linear(3, 2), reals(1, 3), record=record)
    assert not path.exists()


def test_records_without_end(path: Path) -> None:
    record: list[Any] = []
    record.append(record)
    with pytest.raises(ConfigError, match="deeply nested"):
        cr.save(path, nn.Linear(3, 2), reals(1, 3), record=record)


@pytest.mark.parametrize("name", ["__metadata__", "constant:0"])
def test_names_that_the_format_takes_itself(path: Path, name: str) -> None:
    model = module(lambda x: x)
    model.__dict__[name] = cr.parameter([1.0])
    with pytest.raises(ConfigError, match="cannot be stored by the name"):
        cr.save(path, model, reals(1, 3))


def test_odd_names_are_only_names(path: Path) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            self.parts = {"*/ system(0); /*": nn.Linear(3, 2), "a.b\n\0ü": nn.Linear(3, 2)}

        def forward(self, x: cr.Tensor) -> cr.Tensor:
            return sum((part(x) for part in self.parts.values()), cr.tensor(0.0))

    model = randomize(Odd())
    x = reals(2, 3)
    cr.save(path, model, x)
    assert bits(cr.load(path).predict(x)) == bits(model(cr.tensor(x)).numpy())
    assert cr.load(path).state().keys() == model.state().keys()


def test_a_full_disk_keeps_the_old_model(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cr.save(path, randomize(nn.Linear(3, 2)), reals(1, 3))
    old = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("chainrule.utils.files.os.fsync", full)
    with pytest.raises(ChainruleError, match="no space left"):
        cr.save(path, nn.Linear(3, 2), reals(1, 3))
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == [path.name]
    with pytest.raises(ChainruleError, match="folder"):
        cr.save(path.parent, nn.Linear(3, 2), reals(1, 3))


def test_an_operation_of_a_user_needs_its_declaration(path: Path) -> None:
    from chainrule.engine.ir.operation import Operation, _operations, register
    from chainrule.engine.tensor import apply

    op = register(Operation("test_triple", lambda x: x, lambda xp, x: 3 * x))
    try:
        cr.save(path, module(lambda x: apply(op, x)), reals(1, 3))
        np.testing.assert_array_equal(cr.load(path).predict([[1, 2, 3]]), [[3, 6, 9]])
    finally:
        del _operations["test_triple"]
    with pytest.raises(ModelFileError, match="Unknown operation 'test_triple'"):
        cr.load(path)


def test_many_rows_are_computed_by_a_native_program(tmp_path, monkeypatch):
    layers = cr.nn.Linear(3, 32), cr.nn.Tanh(), cr.nn.Linear(32, 2)
    model = cr.nn.Sequential(*layers).initialize(0)
    x = np.random.default_rng(0).normal(size=(10_000, 3)).astype(np.float32)
    cr.save(tmp_path / "model.safetensors", model, x[:2])
    saved = cr.load(tmp_path / "model.safetensors")
    expected = saved.predict(x)
    monkeypatch.setattr("chainrule.serialization.saved._WORTH_BUILDING", 1e6)
    np.testing.assert_allclose(saved.predict(x), expected, rtol=1e-4, atol=1e-6)
    assert saved._native is not None
    monkeypatch.setenv("CHAINRULE_CC", "")
    assert cr.load(tmp_path / "model.safetensors").predict(x).shape == (10_000, 2)
