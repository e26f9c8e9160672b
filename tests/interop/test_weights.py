"""Weights of PyTorch, Keras and Hugging Face: their networks give here what they gave there."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigError, ModelFileError, ShapeError

from ..references.onnx_networks import sums

HERE = Path(__file__).parents[1] / "references" / "weights"
RESULTS = json.loads((HERE / "results.json").read_text())


def content(name):
    return base64.b64decode((HERE / f"{name}.base64").read_text())


@pytest.fixture
def stored(tmp_path):
    """The path of a stored file."""

    def unpack(name):
        data = content(name)
        if name.startswith("keras"):
            data = zipfile.ZipFile(io.BytesIO(data)).read("file")
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return unpack


def reference(name):
    """Input and output; images channels last."""
    found = RESULTS[name]
    x, y = np.array(found["x"]), np.array(found["y"])
    return (x if x.dtype.kind == "i" else x.astype(np.float32)), y


def cnn():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(6 * 2, 5), nn.ReLU(), nn.Linear(5, 3),
    )  # fmt: skip


class Recurrent(nn.Module):
    def __init__(self):
        self.lstm = nn.LSTM(3, 4, 2, bidirectional=True)
        self.gru, self.rnn = nn.GRU(8, 3), nn.RNN(3, 2)

    def forward(self, x):
        return self.rnn(self.gru(self.lstm(x)[0])[0])[0]


def transformer():
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, 0.0), 2, nn.LayerNorm(8))


def generator():
    return nn.Sequential(
        nn.Linear(3, 4 * 2 * 3), nn.ReLU(), nn.Unflatten((2, 3, 4)),
        nn.ConvTranspose2d(4, 2, 2, stride=2), nn.ReLU(), nn.ConvTranspose2d(2, 1, 3, padding=1),
    )  # fmt: skip


NETS = {"cnn": cnn, "recurrent": Recurrent, "transformer": transformer, "generator": generator}


@pytest.mark.parametrize("name", NETS)
def test_networks_of_pytorch_give_what_they_gave_there(name, stored, tmp_path):
    net = cr.weights.load(NETS[name](), stored(f"{name}.safetensors"))
    x, y = reference(name)
    if name == "cnn":
        x = np.moveaxis(x, 1, -1)
    found = net(x, train=False).numpy()
    if name == "generator":
        found = np.moveaxis(found, -1, 1)
    np.testing.assert_allclose(found, y, rtol=1e-5, atol=1e-5)
    # And out again: the same arrays, by the same names.
    cr.weights.save(tmp_path / "out.safetensors", net)
    theirs = cr.weights.read(stored(f"{name}.safetensors"))
    ours = cr.weights.read(tmp_path / "out.safetensors")
    assert ours.keys() == theirs.keys()
    for key, array in theirs.items():
        if not key.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(ours[key], array, err_msg=key)


def test_a_pt_file_is_read_without_pytorch(stored):
    by_pickle, plain = (cr.weights.read(stored(f"cnn.{end}")) for end in ("pt", "safetensors"))
    assert by_pickle.keys() == plain.keys()
    for key, array in plain.items():
        assert by_pickle[key].dtype == array.dtype
        np.testing.assert_array_equal(by_pickle[key], array)


def test_types_strides_and_checkpoints(stored):
    found = cr.weights.read(stored("checkpoint.pt"))
    base = np.arange(12.0).reshape(3, 4)
    expected = {
        "half": np.array([1.5, -2.0], np.float16), "brain": np.array([1.5, -2.0], np.float32),
        "turned": base.T, "part": base[1:, ::2], "count": np.array(7),
        "flag": np.array([True, False]), "empty": np.zeros((0, 3), np.float32),
        "parameter": np.ones(2, np.float32),
    }  # fmt: skip
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert found[key].dtype == array.dtype, key
        np.testing.assert_array_equal(found[key], array)


def test_gpt2(stored, tmp_path):
    (tmp_path / "config.json").write_text('{"n_head": 2}')
    model = cr.weights.gpt2(stored("gpt2.safetensors"))
    x, y = reference("gpt2")
    np.testing.assert_allclose(model(x, train=False).numpy(), y, rtol=1e-5, atol=1e-5)
    cr.weights.save(tmp_path / "out.safetensors", model, names="gpt2")
    theirs = cr.weights.read(tmp_path / "gpt2.safetensors")
    ours = cr.weights.read(tmp_path / "out.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[key], array) for key, array in theirs.items())
    # As Hugging Face writes it: a name in front, masks, the head beside.
    more = {f"transformer.{key}": array for key, array in theirs.items()}
    more |= {
        "transformer.h.0.attn.bias": np.ones((1, 1, 6, 6)),
        "lm_head.weight": theirs["wte.weight"],
    }
    again = cr.weights.gpt2(more, heads=2)
    np.testing.assert_array_equal(again(x).numpy(), model(x).numpy())


def test_gpt2_of_transformers(stored, tmp_path):
    """As Hugging Face's own program writes it, with its values and gradients."""
    told = json.loads((HERE / "transformers.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(told["config"]))
    model = cr.weights.gpt2(stored("transformers.safetensors"))
    x = np.array(told["x"])
    np.testing.assert_allclose(model(x).numpy(), told["y"], rtol=1e-5, atol=1e-5)
    assert model.generate(x[:1, :3], 4).tolist() == told["generated"]

    def loss(net):
        return cr.losses.cross_entropy(net(x)[:, :-1].reshape(-1, 17), x[:, 1:].reshape(-1))

    value, gradients = cr.value_and_grad(loss)(model)
    assert value.item() == pytest.approx(told["loss"], rel=1e-5)
    for path, variable in model.parameters().items():  # in their names and layouts
        variable.assign(gradients[path].numpy())
    cr.weights.save(tmp_path / "gradients.safetensors", model, names="gpt2")
    found = cr.weights.read(tmp_path / "gradients.safetensors")
    expected = {name.removeprefix("transformer."): s for name, s in told["gradients"].items()}
    assert found.keys() == expected.keys()
    for name, array in found.items():
        close = 1e-5 * expected[name][-1] * array.size
        np.testing.assert_allclose(sums(array), expected[name], 1e-4, close, err_msg=name)


def test_what_gpt2_does_not_say(stored, tmp_path):
    with pytest.raises(ConfigError, match="heads=N"):
        cr.weights.gpt2(stored("gpt2.safetensors"))
    (tmp_path / "config.json").write_text('{"n_head": 3}')
    with pytest.raises(ModelFileError, match="n_head"):
        cr.weights.gpt2(stored("gpt2.safetensors"))
    with pytest.raises(ShapeError, match="not the weights of a GPT-2"):
        cr.weights.gpt2({"w": np.ones(2)})
    arrays = cr.weights.read(stored("gpt2.safetensors"))
    with pytest.raises(ShapeError, match="head of the model"):
        cr.weights.gpt2(arrays | {"lm_head.weight": arrays["wte.weight"] + 1}, heads=2)


def keras_net(name):
    if name == "keras_recurrent":

        class Layers(nn.Module):
            def __init__(self):
                self.a, self.b, self.c = nn.LSTM(3, 4), nn.GRU(4, 3), nn.RNN(3, 2)

            def forward(self, x):
                return self.c(self.b(self.a(x)[0])[0])[0]

        return Layers()
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding="same"), nn.ReLU(), nn.BatchNorm(4),
        nn.DepthwiseConv2d(4, 3, padding="same"), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(4 * 3 * 4, 5), nn.ReLU(), nn.Linear(5, 3),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["keras_cnn", "keras_recurrent"])
@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_networks_of_keras_give_what_they_gave_there(name, ending, stored):
    net = cr.weights.load(keras_net(name), stored(name + ending))
    x, y = reference(name)
    np.testing.assert_allclose(net(x, train=False).numpy(), y, rtol=1e-4, atol=1e-5)


# ---- names and shapes that do not fit ------------------------------------------------------------


def test_other_shapes_are_refused_with_both(stored):
    net = cnn()
    net.layers[-1] = nn.Linear(5, 4)
    before = net.state()
    with pytest.raises(ShapeError) as caught:
        cr.weights.load(net, stored("cnn.safetensors"))
    message = str(caught.value)
    assert "10.weight (layers.10.weight here)" in message
    assert "(4, 5)" in message
    assert "(3, 5)" in message
    assert all(np.array_equal(before[key], array) for key, array in net.state().items())


def test_a_new_head_is_left_as_it_is(stored):
    net = cnn()
    net.layers[-1] = nn.Linear(5, 4)
    head = net.layers[-1].weight.numpy().copy()
    with pytest.warns(UserWarning, match=r"left as they were: 10\.weight, 10\.bias"):
        cr.weights.load(net, stored("cnn.safetensors"), partial=True)
    np.testing.assert_array_equal(net.layers[-1].weight.numpy(), head)
    kernel = cr.weights.read(stored("cnn.safetensors"))["0.weight"]
    np.testing.assert_array_equal(net.layers[0].weight.numpy(), kernel.transpose(2, 3, 1, 0))


def test_names(stored):
    arrays = cr.weights.read(stored("cnn.safetensors"))
    moved = {f"backbone.{key}": array for key, array in arrays.items()}
    with pytest.raises(ShapeError, match=r"0\.weight may be backbone\.0\.weight there"):
        cr.weights.load(cnn(), moved)
    net = cr.weights.load(cnn(), moved, rename={"backbone.": ""})
    np.testing.assert_array_equal(net.layers[8].bias.numpy(), arrays["8.bias"])
    with pytest.raises(ShapeError, match=r"expected: nothing else\s+found: extra"):
        cr.weights.load(cnn(), arrays | {"extra": np.ones(1)})
    with pytest.raises(ShapeError, match="another network"):
        cr.weights.load(cnn(), {"w": np.ones(1)}, partial=True)


class Own(nn.Module):
    """A network of one's own, whose forward pass is not a sequence."""

    def __init__(self):
        self.conv, self.fc = nn.Conv2d(1, 2, 1), nn.Linear(2 * 4, 3)

    def forward(self, x):
        y = cr.relu(self.conv(x))
        return self.fc(cr.reshape(y, (y.shape[0], -1)))


def test_flattened_images_are_never_guessed():
    g = np.random.default_rng(0)
    theirs = {"conv.weight": g.normal(size=(2, 1, 1, 1)), "conv.bias": np.zeros(2),
              "fc.weight": g.normal(size=(3, 8)), "fc.bias": np.zeros(3)}  # fmt: skip
    with pytest.raises(ConfigError, match="flattened=") as caught:
        cr.weights.load(Own(), theirs)
    assert "{'fc': 2}" in str(caught.value)
    image = g.normal(size=(1, 1, 2, 2)).astype(np.float32)
    hidden = np.maximum(image * theirs["conv.weight"].reshape(1, 2, 1, 1), 0)  # channels first
    expected = hidden.reshape(1, -1) @ theirs["fc.weight"].T
    net = cr.weights.load(Own(), theirs, flattened={"fc": 2})
    found = net(np.moveaxis(image, 1, -1)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    back = cr.weights.to_pytorch(net, flattened={"fc": 2})
    np.testing.assert_allclose(back["fc.weight"], theirs["fc.weight"], rtol=1e-6)
    plain = cr.weights.load(Own(), theirs, flattened={})
    np.testing.assert_allclose(plain.fc.weight.numpy(), theirs["fc.weight"].T.astype(np.float32))
    with pytest.raises(ConfigError, match="no such linear layer"):
        cr.weights.load(Own(), theirs, flattened={"fc2": 2})


def test_attention_of_several_widths_and_without_bias():
    attention = nn.MultiHeadAttention(8, 2, kdim=4, vdim=6, bias=False)
    arrays = cr.weights.to_pytorch(attention)
    shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes == {"q_proj_weight": (8, 8), "k_proj_weight": (8, 4), "v_proj_weight": (8, 6),
                      "out_proj.weight": (8, 8)}  # fmt: skip
    again = cr.weights.load(nn.MultiHeadAttention(8, 2, kdim=4, vdim=6, bias=False), arrays)
    for path, array in attention.state().items():
        np.testing.assert_array_equal(again.state()[path], array)


def test_keras_files_need_layers_of_keras(stored):
    class Strange(nn.Module):
        def __init__(self):
            self.dense, self.scale = nn.Linear(2, 2), cr.Parameter([1.0])

    with pytest.raises(ConfigError, match="scale"):
        cr.weights.load(Strange(), stored("keras_cnn.weights.h5"))


# ---- files that must be refused ------------------------------------------------------------------


def archive(pickled, entries=(), folder="a"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr(f"{folder}/data.pkl", pickled)
        for name, data in entries:
            made.writestr(name, data)
    return buffer.getvalue()


class Runs:
    """What runs a command when it is unpickled."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def test_nothing_in_a_pickle_is_run(tmp_path):
    trace = tmp_path / "trace"
    for function, *arguments in (
        (os.system, f"touch {trace}"), (eval, f"open({str(trace)!r}, 'w')"),
        (os.remove, "x"), (pickle.loads, b"x"), (getattr, "x", "upper"),
    ):  # fmt: skip
        path = tmp_path / "bad.pt"
        path.write_bytes(archive(pickle.dumps({"w": Runs(function, *arguments)})))
        with pytest.raises(ModelFileError, match="more than tensors"):
            cr.weights.read(path)
    assert not trace.exists()


def test_a_pickled_module_says_what_to_save_instead(stored):
    with pytest.raises(ModelFileError, match=r"torch\.nn\.modules\.linear\.Linear") as caught:
        cr.weights.read(stored("whole_module.pt"))
    assert "torch.save(model.state_dict()" in str(caught.value)


def rebuilt(size, stride, numel=4, data=bytes(16), key="0", offset=0):
    """A ``.pt`` file of one tensor, written by hand."""
    pickled = (
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(("
        b"X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        + b"X" + len(key).to_bytes(4, "little") + key.encode()
        + b"X\x03\x00\x00\x00cpuJ" + numel.to_bytes(4, "little", signed=True) + b"tQ"
        + b"J" + offset.to_bytes(4, "little", signed=True)
        + b"(" + b"".join(b"J" + n.to_bytes(4, "little", signed=True) for n in size) + b"t"
        + b"(" + b"".join(b"J" + n.to_bytes(4, "little", signed=True) for n in stride) + b"t"
        + b"\x89}tRs."
    )  # fmt: skip
    return archive(pickled, [("a/data/0", data)])


def test_tensors_stay_within_their_numbers(tmp_path):
    path = tmp_path / "t.pt"
    path.write_bytes(rebuilt((2, 2), (2, 1), data=np.arange(4, dtype=np.float32).tobytes()))
    np.testing.assert_array_equal(cr.weights.read(path)["w"], [[0, 1], [2, 3]])
    for case in (
        rebuilt((5,), (1,)), rebuilt((2,), (4,)), rebuilt((2,), (1,), offset=3),
        rebuilt((2**30, 2**30), (0, 0)), rebuilt((-1,), (1,)), rebuilt((2,), (-1,)),
        rebuilt((2,), (1,), offset=-1), rebuilt((2,), (1, 1)), rebuilt((2,), (1,), numel=3),
        rebuilt((2,), (1,), key="1"), rebuilt((2,), (1,), key="../data.pkl"),
        rebuilt((2,), (1,), numel=-4),
    ):  # fmt: skip
        path.write_bytes(case)
        with pytest.raises(ModelFileError, match="damaged"):
            cr.weights.read(path)


def deep(levels):
    return b"\x80\x02" + b"]" * levels + b"a" * (levels - 1) + b"."


def test_archives_that_must_be_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = archive(pickle.dumps({}), [("a/data/0", b"x"), ("a/data/0", b"y")])
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a/data.pkl", pickle.dumps({}))
        made.writestr("a/data/0", bytes(40_000_000))
    laughs = b"\x80\x02]q\x00" + b"".join(
        b"](h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1]) for n in range(60)
    ) + b"."  # fmt: skip
    cases = {
        "two of one name": twice, "far more than it holds": bomb.getvalue(),
        "leads elsewhere": archive(pickle.dumps({}), [("../x", b"")]),
        "TorchScript": archive(pickle.dumps({}), [("a/code/x.py", b"")]),
        "without end": archive(laughs), "damaged": archive(b"\x80\x02}(")[:-30],
        "no file of PyTorch": archive(pickle.dumps({}), folder="a/b/c"),
        "containers": archive(deep(500)),
    }  # fmt: skip
    for words, data in cases.items():
        path = tmp_path / "bad.pt"
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match=words):
            cr.weights.read(path)


def test_other_files_are_named(tmp_path):
    cases = {
        "a pickle": pickle.dumps({"w": 1}), "another format": b"\x00" * 40,
        "no such file": None, "truncated": (10**6).to_bytes(8, "little") + b"{}",
    }  # fmt: skip
    for words, data in cases.items():
        path = tmp_path / words.replace(" ", "_")
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(ModelFileError, match=f"(?i){words}") as caught:
            cr.weights.read(path)
        assert str(path) in str(caught.value)
    with pytest.raises(ModelFileError, match="folder"):
        cr.weights.read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="pipe"):
        cr.weights.read(tmp_path / "pipe")


def test_safetensors_that_must_be_refused(tmp_path):
    good = safetensors.numpy.save({"w": np.ones(2, np.float32)})
    size = int.from_bytes(good[:8], "little")
    header, numbers = good[8 : 8 + size], good[8 + size :]

    def made(text):
        return len(text).to_bytes(8, "little") + text + numbers

    for text in (
        header.replace(b"[0,8]", b"[0,9]"), header.replace(b"[2]", b"[-2]"),
        header.replace(b"[2]", b"[1099511627776]"), header.replace(b"F32", b"F99"),
        header.replace(b'{"w"', b'{"w":{},"w"'), header.replace(b"[2]", b"[NaN]"),
        header.replace(b"[2]", b"[" * 3000 + b"]" * 3000), header.replace(b"[2]", b"[" * 3000),
    ):  # fmt: skip
        path = tmp_path / "bad.safetensors"
        path.write_bytes(made(text))
        with pytest.raises(ModelFileError):
            cr.weights.read(path)
    path.write_bytes(good[:-1])
    with pytest.raises(ModelFileError):
        cr.weights.read(path)


def test_hdf5_with_links_objects_and_bombs(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "bad.weights.h5"
    (tmp_path / "other.h5").write_bytes(b"")

    def external(file):
        file["w"] = h5py.ExternalLink("other.h5", "/w")

    def soft(file):
        file["w"] = h5py.SoftLink("/v")

    def text(file):
        file["w"] = np.array(["a"], dtype=h5py.string_dtype())

    def bomb(file):
        file.create_dataset("w", (10**5, 10**5), "f4", chunks=(1000, 1000), compression="gzip")

    def outside(file):
        file.create_dataset("w", (4,), "f4", external=[(str(tmp_path / "other.h5"), 0, 16)])

    for make, words in ((external, "link to elsewhere"), (soft, "link to elsewhere"),
                        (text, "more than numbers"), (bomb, "far larger"),
                        (outside, "more than numbers")):  # fmt: skip
        with h5py.File(path, "w") as file:
            make(file)
        with pytest.raises(ModelFileError, match=words):
            cr.weights.read(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelFileError, match="damaged"):
        cr.weights.read(path)


# ---- arrays of other libraries -------------------------------------------------------------------


class Foreign:
    """An array of another library, which speaks DLPack only."""

    def __init__(self, array, error=None):
        self.array, self.error = array, error

    def __dlpack__(self, **options):
        if self.error:
            raise self.error
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_arrays_of_other_libraries_keep_their_element_type():
    for dtype in (np.float64, np.float32, np.int64, np.int32, np.bool_):
        array = np.array([[0, 1], [1, 1]]).astype(dtype).T
        taken = cr.tensor(Foreign(array))
        assert taken.dtype == dtype
        np.testing.assert_array_equal(taken.numpy(), array)
    y = cr.sum(cr.multiply(Foreign(np.ones(3)), cr.tensor([1.0, 2.0, 3.0])))
    assert y.item() == 6.0
    net = cr.weights.load(nn.Linear(2, 1), {"weight": np.ones((1, 2)), "bias": np.zeros(1)})
    assert net(Foreign(np.ones((4, 2), np.float32))).shape == (4, 1)


def test_tensors_go_out_by_dlpack():
    x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    out = np.from_dlpack(x)
    np.testing.assert_array_equal(out, x.numpy())
    assert not np.shares_memory(out, x.numpy())
    with pytest.raises(cr.errors.DerivativeError):
        cr.grad(lambda x: cr.sum(cr.tensor(np.from_dlpack(x))))(x)


def test_what_cannot_be_read_says_how():
    for error in (RuntimeError("Can't call numpy() on Tensor that requires grad."),
                  TypeError("ScalarType BFloat16"), BufferError("cuda")):  # fmt: skip
        with pytest.raises(cr.errors.TypeRuleError, match=r"detach\(\)\.cpu\(\)\.float\(\)"):
            cr.tensor(Foreign(np.ones(2), error))
