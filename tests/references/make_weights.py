"""Small weights of other systems, for the tests: files as PyTorch and Keras write them.

    python tests/references/make_weights.py

needs torch, keras and safetensors. The results of the networks are written beside the files.
"""

from __future__ import annotations

import base64
import io
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import safetensors.torch
import torch
from torch import nn

HERE = Path(__file__).parent / "weights"


class Gpt2Block(nn.Module):
    """A block of GPT-2, with Hugging Face's names and its linear maps (in, out)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)

        def conv1d(inputs: int, outputs: int) -> nn.Module:
            made = nn.Module()
            made.weight = nn.Parameter(torch.randn(inputs, outputs) * 0.3)
            made.bias = nn.Parameter(torch.randn(outputs) * 0.1)
            return made

        self.attn, self.mlp = nn.Module(), nn.Module()
        self.attn.c_attn, self.attn.c_proj = conv1d(width, 3 * width), conv1d(width, width)
        self.mlp.c_fc, self.mlp.c_proj = conv1d(width, 4 * width), conv1d(4 * width, width)

    def forward(self, x: Any, heads: int) -> Any:
        rows, time, width = x.shape

        def apply(m: Any, y: Any) -> Any:
            return y @ m.weight + m.bias

        q, k, v = (part.view(rows, time, heads, -1).transpose(1, 2)
                   for part in apply(self.attn.c_attn, self.ln_1(x)).split(width, 2))  # fmt: skip
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + apply(self.attn.c_proj, y.transpose(1, 2).reshape(rows, time, width))
        inner = nn.functional.gelu(apply(self.mlp.c_fc, self.ln_2(x)), approximate="tanh")
        return x + apply(self.mlp.c_proj, inner)


class Gpt2(nn.Module):
    """GPT-2 in small."""

    def __init__(self, vocabulary: int, context: int, width: int, layers: int) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.h = nn.ModuleList(Gpt2Block(width) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)

    def forward(self, numbers: Any, heads: int = 2) -> Any:
        x = self.wte(numbers) + self.wpe(torch.arange(numbers.shape[1]))
        for block in self.h:
            x = block(x, heads)
        return self.ln_f(x) @ self.wte.weight.T


class Recurrent(nn.Module):
    """Recurrent layers whose last outputs are summed."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(8, 3, batch_first=True)
        self.rnn = nn.RNN(3, 2, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.rnn(self.gru(self.lstm(x)[0])[0])[0]


def cnn() -> nn.Module:
    """A network of images, 2 channels of 8 × 6 pixels, whose last image is flattened."""
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(6 * 2, 5), nn.ReLU(), nn.Linear(5, 3),
    )  # fmt: skip
    net(torch.randn(20, 2, 8, 6) * 2 + 1)  # so that the statistics are not 0 and 1
    return net.eval()


def transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False).eval()


def generator() -> nn.Module:
    """From numbers to an image."""
    return nn.Sequential(
        nn.Linear(3, 4 * 2 * 3), nn.ReLU(), nn.Unflatten(1, (4, 2, 3)),
        nn.ConvTranspose2d(4, 2, 2, stride=2), nn.ReLU(), nn.ConvTranspose2d(2, 1, 3, padding=1),
    )  # fmt: skip


def store(name: str, data: bytes) -> None:
    (HERE / f"{name}.base64").write_text(base64.b64encode(data).decode())


def run(net: Any, x: torch.Tensor) -> dict[str, Any]:
    with torch.no_grad():
        y = net(x)
    return {"x": x.tolist(), "y": y.tolist()}


def main() -> None:
    HERE.mkdir(exist_ok=True)
    torch.manual_seed(0)
    results = {}
    nets = {
        "cnn": (cnn(), torch.randn(2, 2, 8, 6)),
        "recurrent": (Recurrent(), torch.randn(2, 5, 3)),
        "transformer": (transformer(), torch.randn(2, 4, 8)),
        "generator": (generator(), torch.randn(2, 3)),
        "gpt2": (Gpt2(11, 6, 8, 2), torch.randint(0, 11, (2, 5))),
    }
    for name, (net, x) in nets.items():
        results[name] = run(net, x)
        store(f"{name}.safetensors", safetensors.torch.save(net.state_dict()))
    store("cnn.pt", saved(nets["cnn"][0].state_dict()))
    # A checkpoint: other types, shared and strided numbers, and what is no tensor.
    base = torch.arange(12, dtype=torch.float64).reshape(3, 4)
    odd = {
        "state_dict": {
            "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
            "brain": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
            "turned": base.T, "part": base[1:, ::2], "count": torch.tensor(7),
            "flag": torch.tensor([True, False]), "empty": torch.zeros(0, 3),
            "parameter": nn.Parameter(torch.ones(2)),
        },
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "lr": 0.1}, "epoch": 4,
    }  # fmt: skip
    store("checkpoint.pt", saved(odd))
    store("whole_module.pt", saved(nn.Linear(2, 2)))
    results["cnn_onnx"] = exported(nets["cnn"][0], nets["cnn"][1])
    results |= keras_files()
    (HERE / "results.json").write_text(json.dumps(results))


def exported(net: nn.Module, x: torch.Tensor) -> dict[str, Any]:
    """The network as ONNX, with its batch normalisation, and the gradients of Σ y·weights."""
    buffer = io.BytesIO()
    torch.onnx.export(
        net, (x,), buffer, opset_version=17, dynamo=False, do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE, input_names=["x"], output_names=["y"],
        dynamic_axes={"x": {0: "rows"}, "y": {0: "rows"}},
    )  # fmt: skip
    store("cnn.onnx", buffer.getvalue())
    net.zero_grad()
    y = net(x)
    weights = torch.randn(y.shape)
    (y * weights).sum().backward()
    gradients = {f"d {name}": p.grad.tolist() for name, p in net.named_parameters()}
    return {"x": x.tolist(), "y": y.tolist(), "weights": weights.tolist(), **gradients}


def saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def keras_files() -> dict[str, Any]:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    nets = {
        "keras_cnn": keras.Sequential([
            layers.Input((8, 6, 2)), layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(epsilon=1e-5), layers.DepthwiseConv2D(3, padding="same"),
            layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(5, activation="relu"),
            layers.Dense(3),
        ]),
        "keras_recurrent": keras.Sequential([
            layers.Input((5, 3)), layers.LSTM(4, return_sequences=True),
            layers.GRU(3, return_sequences=True), layers.SimpleRNN(2, return_sequences=True),
        ]),
    }  # fmt: skip
    results = {}
    for name, net in nets.items():
        generator = np.random.default_rng(0)
        net.set_weights(
            [np.abs(generator.normal(size=w.shape)) * 0.3 + 0.1 for w in net.get_weights()]
        )
        x = generator.normal(size=(2, *net.input_shape[1:])).astype(np.float32)
        results[name] = {"x": x.tolist(), "y": net.predict(x, verbose=0).tolist()}
        with tempfile.TemporaryDirectory() as folder:
            for ending in (".weights.h5", ".keras"):
                path = Path(folder) / f"net{ending}"
                (net.save_weights if ending == ".weights.h5" else net.save)(path)
                packed = io.BytesIO()  # HDF5 has much room in it
                with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                    archive.write(path, "file")
                store(f"{name}{ending}", packed.getvalue())
    return results


if __name__ == "__main__":
    main()
