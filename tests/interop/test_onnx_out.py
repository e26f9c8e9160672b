"""Whole models as ONNX: every ready model, every kind of data, raw rows of tables."""

from __future__ import annotations

import json
import warnings

import numpy as np
import onnx
import polars as pl
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, ConfigError, ShapeError
from chainrule.serialization import load
from chainrule.tasks import load_predictor

from ..stored_runs.make_runs import RUNS
from ..test_stored_runs import unpack
from .running_onnx import run, session

f32 = np.float32


def image(*extents):
    return np.random.default_rng(0).normal(size=(3, *extents)).astype(f32)


def tokens(length, of=7):
    return np.random.default_rng(1).integers(0, of, (3, length)).astype(np.int64)


READY = {
    "mlp": lambda: (cr.models.mlp(4, 3, (8,)), image(4)),
    "lenet": lambda: (cr.models.lenet(3, 1, 12, (4, 6), 8), image(12, 12, 1)),
    "resnet": lambda: (cr.models.resnet(3, 3, (4, 8), 1), image(8, 8, 3)),
    "mobilenet": lambda: (cr.models.mobilenet(3, 3, (8, 16), (1, 2)), image(8, 8, 3)),
    "vgg": lambda: (cr.models.vgg(3, 3, (4, 8), 1), image(8, 8, 3)),
    "lstm": lambda: (cr.models.lstm(2, 3, hidden=5, layers=2), image(6, 3)),
    "lstm, both directions": lambda: (
        cr.models.lstm(2, vocabulary=7, embedding=4, hidden=5, bidirectional=True), tokens(6)),
    "gru": lambda: (cr.models.gru(2, 3, hidden=5, every_step=True), image(6, 3)),
    "tcn": lambda: (cr.models.tcn(2, 3, (4, 4)), image(9, 3)),
    "transformer_classifier": lambda: (
        cr.models.transformer_classifier(2, vocabulary=7, width=8, heads=2, layers=1), tokens(6)),
    "gpt": lambda: (cr.models.gpt(7, 6, 8, 2, 2), tokens(6)),
    "gpt, rotary": lambda: (cr.models.gpt(7, 6, 8, 2, 1, rotary=True), tokens(5)),
    "autoencoder": lambda: (cr.models.autoencoder(6, 2, (5,)), image(6)),
    "conv_autoencoder": lambda: (cr.models.conv_autoencoder(1, (4, 6)), image(8, 8, 1)),
    "gan": lambda: (cr.models.gan(6, 3, (5,)), image(3)),
    "dcgan": lambda: (cr.models.dcgan(8, 1, 3, 4), image(3)),
    "vae": lambda: (cr.models.vae(6, 2, (5,)), image(6)),
}  # fmt: skip


@pytest.mark.parametrize("name", READY)
def test_ready_models(name, tmp_path):
    model, x = READY[name]()
    output = (lambda encoded: encoded.reconstruction) if name == "vae" else None
    cr.onnx.save(tmp_path / "m.onnx", model, x, output=output)
    for rows in (3, 1):  # the number of rows is not in the file
        y = model(x[:rows], train=False)
        expected = (y if output is None else output(y)).numpy()
        found = run(tmp_path / "m.onnx", x[:rows])["prediction"]
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


#: Their graph is one step of writing; those of stored runs are below.
WRITERS = {"seq2seq_lstm", "seq2seq_transformer", "speech_recognizer"}


def test_every_ready_model_is_tried():
    made = {name for name in cr.models.__all__ if name.islower() and not name.endswith("_loss")}
    assert made - WRITERS == {name.partition(",")[0] for name in READY}


def test_padded_sequences(tmp_path):
    model = cr.models.lstm(2, 3, hidden=5)

    class Classifier(cr.nn.Module):
        def __init__(self):
            self.inner = model

        def forward(self, inputs):
            return cr.softmax(self.inner(inputs["x"], inputs["lengths"]))

    x, lengths = image(6, 3), np.array([6, 2, 4])
    cr.onnx.save(
        tmp_path / "m.onnx", Classifier(), {"x": x, "lengths": lengths}, classes=["a", "b"]
    )
    found = run(tmp_path / "m.onnx", x, lengths)
    expected = cr.softmax(model(x, lengths, train=False)).numpy()
    np.testing.assert_allclose(found["probabilities"], expected, rtol=1e-5, atol=1e-6)
    assert found["label"].tolist() == [["a", "b"][i] for i in expected.argmax(1)]


@pytest.mark.parametrize("name", RUNS)
def test_every_kind_of_data(name, tmp_path, monkeypatch):
    """The arrays that the predictor gives to the model, given to onnxruntime."""
    monkeypatch.chdir(unpack(name, tmp_path))
    cr.onnx.save("m.onnx", "run")
    saved = load("run/model.safetensors")
    seen = []
    if name.startswith("language"):
        (kind,) = saved.inputs.values()
        arrays = [np.random.default_rng(0).integers(0, 17, (3, *kind.shape[1:]), np.int32)]
        seen.append((arrays, saved.predict(*arrays)))
    elif name in ("spelling", "speech"):  # one step of writing
        rng, arrays = np.random.default_rng(0), []
        for kind in saved.inputs.values():
            shape = (3, *kind.shape[1:])
            drawn = rng.integers(1, 5, shape) if kind.dtype.kind == "i" else rng.normal(size=shape)
            arrays.append(drawn.astype(kind.dtype))
        seen.append((arrays, saved.compute(arrays)))
    else:
        predictor = load_predictor("run")
        compute = predictor.saved.compute

        def spy(arrays):
            seen.append((arrays, compute(arrays)))
            return seen[-1][1]

        monkeypatch.setattr(predictor.saved, "compute", spy)
        predictor.predict(f"new/{RUNS[name][1]}", proba=True)
    arrays, expected = seen[0]
    if name.startswith("table"):
        arrays = list(columns("m.onnx", pl.read_csv(f"new/{RUNS[name][1]}")).values())
    found = run("m.onnx", *arrays)
    key = "probabilities" if saved.classes else "prediction"
    np.testing.assert_allclose(found[key], expected, rtol=1e-5, atol=1e-5)
    kinds = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
    declared = [kinds.get(info.type) for info in session("m.onnx").get_inputs()]
    comes_back([x.astype(kind or x.dtype) for x, kind in zip(arrays, declared, strict=True)],
               found[key])  # fmt: skip
    model = onnx.load("m.onnx")
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    assert {node.op_type for node in model.graph.node}.isdisjoint({"ZipMap"})
    if name == "images":
        assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    if "text" in name or "language" in name:
        assert json.loads((tmp_path / "m.tokenizer.json").read_text())["kind"] == "text"


def comes_back(arrays, expected):
    """What was exported is read again: predictions, texts among the inputs, and a training."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "outputs of text")
        again = cr.onnx.load("m.onnx")
    found = again.run(*arrays)[again.output_names[-1]]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    if not again.parameters():
        return
    given = again.encode(*arrays)
    step = cr.compile(cr.value_and_grad(lambda net, x: (net(*x) ** 2).sum()), backend="numpy")
    _, gradients = step(again, given)
    assert any(np.any(g.numpy()) for g in gradients.values())
    cr.save("again.safetensors", again, given)
    np.testing.assert_allclose(cr.load("again.safetensors").predict(*given), expected, 1e-5, 1e-5)


def columns(model, frame):
    """The columns of a table as the inputs of a model take them: numbers, texts, dates."""
    given = {}
    for info in session(model).get_inputs():
        column = frame[info.name]
        if info.type == "tensor(string)":
            cells = np.array(column.cast(pl.String).fill_null("").to_list(), object)
        elif info.type == "tensor(double)":
            cells = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        else:
            seconds = column.str.to_datetime(strict=False).dt.epoch("s")
            cells = seconds.fill_null(np.iinfo(np.int64).min).to_numpy()
        given[info.name] = cells[:, None]
    return given


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A table with everything, and a model of two targets with quantiles, from it."""
    g = np.random.default_rng(0)
    rows = 120
    size = g.uniform(20, 120, rows).round(1)
    city = g.choice(["Oslo", "Rome", "Bern", "Köln"], rows, p=[0.4, 0.3, 0.2, 0.1])
    frame = pl.DataFrame({
        "size": [None if i % 11 == 0 else s for i, s in enumerate(size)],
        "city": [None if i % 13 == 0 else c for i, c in enumerate(city)],
        "zip": g.choice(["00138", "02139", "90210"], rows),
        "label": g.normal(size=rows),  # called like an output
        "date": [f"2024-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(rows)],
        "price": 3 * size + 100 * (city == "Oslo") + g.normal(0, 5, rows),
        "sold": np.where(size + g.normal(0, 9, rows) > 70, "yes", "no"),
    })  # fmt: skip
    folder = tmp_path_factory.mktemp("mixed")
    kinds = {"zip": "category", "label": "numeric", "date": "date"}
    for name, target, more in (
        ("both", "price,sold", {"quantiles": (0.1, 0.9)}),
        ("rare", "sold", {"threshold_for": "f1", "drop": ("price",)}),
    ):
        options = cr.tables.TableOptions(
            target=target, epochs=2, hidden=(8,), members=2, backend="numpy", kinds=kinds, **more
        )
        cr.tables.train_table(frame, options, progress=False).save(folder / f"{name}.safetensors")
    return folder, frame


def encoded(model, frame):
    frame = frame.rename({"label": "label_"})  # the name of an output
    return list(columns(model, frame).values())


def test_several_targets_and_quantiles_of_raw_rows(mixed):
    folder, frame = mixed
    notes = cr.onnx.save(folder / "both.onnx", folder / "both.safetensors")
    assert any("'label' is called 'label_'" in note for note in notes)
    assert any("'date' goes in as the integer" in note for note in notes)
    found = run(folder / "both.onnx", *encoded(folder / "both.onnx", frame))
    told = load_predictor(folder / "both.safetensors").predict(frame, proba=True)
    np.testing.assert_allclose(found["prediction_price"], told["price"], rtol=1e-6)
    np.testing.assert_allclose(
        found["quantiles_price"], told[["price_0.1", "price_0.9"]].to_numpy(), rtol=1e-6
    )
    assert found["label_sold"].tolist() == told["sold"].to_list()
    probabilities = told[["probability sold no", "probability sold yes"]].to_numpy()
    np.testing.assert_allclose(found["probabilities_sold"], probabilities, atol=1e-6)


def test_a_threshold_decides_the_label(mixed):
    folder, frame = mixed
    cr.onnx.save(folder / "rare.onnx", load_predictor(folder / "rare.safetensors"))
    found = run(folder / "rare.onnx", *encoded(folder / "rare.onnx", frame))
    told = load_predictor(folder / "rare.safetensors").predict(frame)
    assert found["label"].tolist() == told["prediction"].to_list()
    best = found["probabilities"].argmax(1)
    assert sum(found["label"] == np.array(["no", "yes"], object)[best]) > 0


def test_words_that_are_missing_or_unseen(mixed):
    """As the predictor takes them: a category that was never seen, spellings of nothing."""
    folder, frame = mixed
    cr.onnx.save(folder / "rare.onnx", folder / "rare.safetensors")
    odd = frame.head(6).with_columns(
        city=pl.Series(["Paris", "NaN", "", "n/a", None, "Köln"]),
        zip=pl.Series(["138", "2139", "00138", "x", "?", "90210"]),
        size=pl.Series([None, 1e6, -3.0, 0.0, 50.0, 60.0]),
    )
    found = run(folder / "rare.onnx", *encoded(folder / "rare.onnx", odd))
    with pytest.warns(UserWarning, match="never seen"):
        told = load_predictor(folder / "rare.safetensors").predict(odd, proba=True)
    np.testing.assert_allclose(
        found["probabilities"], told.select(pl.col("^probability.*$")).to_numpy(), atol=1e-6
    )


def test_rare_categories_share_a_code():
    from chainrule.data import infer_schema, read_table
    from chainrule.interop.onnx.lowering import Writer
    from chainrule.interop.onnx.signature import Signature, _categories, _output

    cells = ["a"] * 5 + ["b"] * 4 + ["c", "d", "e"]
    table = read_table({"x": cells, "y": list(range(12))})
    schema = infer_schema(table, "y", max_categories=2).fit(table)
    (column,) = schema.category
    assert column.has_other
    e, signature = Writer(), Signature()
    codes = _categories(e, signature, column)
    _output(e, signature, "codes", codes, np.int64, [1])
    graph = onnx.helper.make_graph(e.nodes, "g", signature.inputs, signature.outputs)
    versions = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    model = onnx.helper.make_model(graph, opset_imports=versions, ir_version=8)
    new = ["a", "d", "never", "", "NA", "nan", "None", "b"]
    found = run(model, np.array(new, object)[:, None])["codes"]
    assert found[:, 0].tolist() == schema.encode(read_table({"x": new})).category[:, 0].tolist()


def test_names_of_parameters_are_in_the_file(tmp_path):
    cr.onnx.save(tmp_path / "m.onnx", cr.models.mlp(4, 3, (8,)), image(4))
    names = {tensor.name for tensor in onnx.load(tmp_path / "m.onnx").graph.initializer}
    assert {"layers.0.weight", "layers.0.bias"} <= names


def test_nothing_is_written_that_is_not_needed(tmp_path):
    """A layer is a product and a sum: no broadcasts, casts or shapes beside them."""
    cr.onnx.save(tmp_path / "m.onnx", cr.models.mlp(4, 3, (8,)), image(4))
    kinds = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    assert kinds == ["MatMul", "Add", "Relu", "MatMul", "Add", "Identity"]


def test_axes_are_exchanged_once_for_a_stack_of_convolutions(tmp_path):
    net = cr.nn.Sequential(cr.nn.Conv2d(3, 4, 3), cr.nn.MaxPool2d(2), cr.nn.Conv2d(4, 2, 3))
    for layer in (net.layers[0], net.layers[2]):
        layer.bias = None
    cr.onnx.save(tmp_path / "m.onnx", net, image(9, 9, 3))
    kinds = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    assert kinds == ["Transpose", "Conv", "MaxPool", "Conv", "Transpose", "Identity"]
    found = run(tmp_path / "m.onnx", image(9, 9, 3))["prediction"]
    np.testing.assert_allclose(found, net(image(9, 9, 3)).numpy(), rtol=1e-5, atol=1e-5)


def test_errors(tmp_path):
    linear = cr.nn.Linear(4, 2)
    with pytest.raises(ConfigError, match="example of its inputs"):
        cr.onnx.save(tmp_path / "m.onnx", linear)
    with pytest.raises(ConfigError, match="opset from 17"):
        cr.onnx.save(tmp_path / "m.onnx", linear, image(4), opset=9)
    with pytest.raises(ConfigError, match="cannot be written as ONNX"):
        cr.onnx.save(tmp_path / "m.onnx", object())
    with pytest.raises(ConfigError, match="Only a module takes"):
        cr.onnx.save(tmp_path / "m.onnx", "run", image(4))

    class Mixes(cr.nn.Module):
        def forward(self, x):
            return x - cr.mean(x, axis=0)

    with pytest.raises(ShapeError):
        cr.onnx.save(tmp_path / "m.onnx", Mixes(), image(4))
    with pytest.raises(ChainruleError, match="no-such-folder"):
        cr.onnx.save(tmp_path / "no-such-folder" / "m.onnx", linear, image(4))
    assert not list(tmp_path.iterdir())
