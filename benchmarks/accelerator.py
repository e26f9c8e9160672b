"""One accelerator, in at most six minutes: are the operations right, and how fast is training?

    python benchmarks/accelerator.py --out accelerator.json

It needs numpy, jax (0.10 to 0.12), torch and the sources in `src`, with Python 3.11 or 3.12, and
nothing else. Operations are compared with NumPy; then the same networks, from the same weights, are
trained by chainrule on XLA and by PyTorch, eager and compiled, in float32 and bfloat16: times as
ratios, and as fractions of the device's peak. Without a GPU it runs on the processor, in a reduced
size, which says only that the script works.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs room, too
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from chainrule import losses
from chainrule.engine.autodiff import value_and_grad
from chainrule.engine.backends.numpy import Program
from chainrule.engine.backends.xla.backend import XlaBackend
from chainrule.engine.compile import Compiled, trace
from chainrule.engine.ir.operation import OPERATIONS
from chainrule.engine.tensor import apply, as_tensor
from chainrule.models import gpt, mlp, resnet
from chainrule.nn import Module
from chainrule.optim import AdamW

Array = np.ndarray[Any, Any]
#: Operations a second of dense matrices, by a part of the device's name: bfloat16, and float32
#: without TensorFloat-32.
PEAKS = {
    "H200": (989e12, 67e12),
    "H100": (989e12, 67e12),
    "A100": (312e12, 19.5e12),
    "L40": (181e12, 90e12),
}
RATE = 1e-4
#: No more parts are begun after so many seconds.
BUDGET = 330.0
_BEGUN = time.perf_counter()


def left() -> float:
    """The seconds that are left."""
    return BUDGET - (time.perf_counter() - _BEGUN)


# ---- operations --------------------------------------------------------------------------------


def check_operations() -> dict[str, Any]:
    """Each operation on its first sample in float32, many in one program, beside NumPy."""
    wrong, checked = [], 0
    names = [name for name, op in OPERATIONS.items() if list(op.samples())]
    for start in range(0, len(names), 40):
        if left() < 240:
            break
        group = names[start : start + 40]
        samples = [next(iter(OPERATIONS[name].samples())) for name in group]
        given = [
            [_single(x) for x in sample.inputs if isinstance(x, np.ndarray)] for sample in samples
        ]

        def every(*groups: Any, group: Any = group, samples: Any = samples) -> Any:
            return [
                apply(OPERATIONS[name], *map(as_tensor, arrays), **sample.attributes)
                for name, sample, arrays in zip(group, samples, groups, strict=True)
            ]

        graph = trace(every, *given).graph
        flat = [array for arrays in given for array in arrays]
        found = XlaBackend().build(graph, {}, ()).__call__(list(flat))
        for name, one, other in zip(group, found, Program(graph)(flat), strict=True):
            checked += 1
            if name != "complement" and not _agree(one, other):
                wrong.append(name)
    return {"checked": checked, "of": len(names), "wrong": wrong}


def _single(x: Array) -> Array:
    return x.astype(np.float32) if x.dtype.kind == "f" else x


def _agree(found: Array, expected: Array) -> bool:
    if expected.dtype.kind != "f":
        return bool(np.array_equal(found, expected))
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected))))
    return bool(np.allclose(found / scale, expected / scale, rtol=0, atol=1e-5, equal_nan=True))


# ---- chainrule ---------------------------------------------------------------------------------


class Ours:
    """A training of a network on XLA."""

    def __init__(self, model: Module, loss: Any, x: Array, y: Array, precision: str) -> None:
        self.data, optimizer = (x, y), AdamW(model, lr=RATE, weight_decay=0.0)

        def step(x: Any, y: Any) -> Any:
            value, gradients = value_and_grad(lambda model: loss(model(x, train=True), y))(model)
            optimizer.update(gradients)
            return value

        self._step = Compiled(step, XlaBackend(precision=precision), guard=True)

    def run(self, steps: int) -> list[float]:
        """The losses of so many steps on the same batch, in one call."""
        order = np.tile(np.arange(len(self.data[0])), (steps, 1))
        _, found = self._step.run_steps(order, *self.data, rows=[0, 1])
        return [float(loss) for loss in found.numpy()]

    def work(self) -> int:
        """Multiplications and additions of matrix products and convolutions in a step."""
        graph = self._step.traced(*self.data).graph
        return sum(
            2 * node.op.work(node.type, *(x.type for x in node.inputs), **node.attributes)
            for node in graph.nodes
            if node.op.work is not None and node.op.name in _MATRIX
        )


_MATRIX = {
    *("matmul", "attention", "attention_gradients"),
    *("convolution", "transposed_convolution", "convolution_weights"),
}

# ---- PyTorch -----------------------------------------------------------------------------------


class Theirs:
    """The same training by PyTorch, from the same weights."""

    def __init__(
        self, forward: Any, state: dict[str, Array], loss: Any, x: Array, y: Array, *,
        narrow: bool, compiled: bool, device: str,
    ) -> None:  # fmt: skip
        import torch

        self._torch, self._device = torch, device
        self._weights = {
            name: torch.tensor(array, device=device, requires_grad="running" not in name)
            for name, array in state.items()
        }
        trained = [w for w in self._weights.values() if w.requires_grad]
        self._optimizer = torch.optim.AdamW(
            trained, lr=RATE, weight_decay=0.0, fused=device == "cuda"
        )
        self._x, self._y = torch.tensor(x, device=device), torch.tensor(y, device=device)

        def value() -> Any:
            with torch.autocast(device, dtype=torch.bfloat16, enabled=narrow):
                return loss(torch, forward(torch, self._weights, self._x), self._y)

        self._value = torch.compile(value) if compiled else value

    def run(self, steps: int) -> list[float]:
        """The losses of so many steps on the same batch."""
        found = []
        for _ in range(steps):
            self._optimizer.zero_grad(set_to_none=True)
            loss = self._value()
            loss.backward()
            self._optimizer.step()
            found.append(loss.detach())
        return [float(loss) for loss in found]  # waits for the device


def torch_gpt(layers: int, heads: int) -> Any:
    """The forward pass of our GPT in PyTorch."""

    def forward(torch: Any, w: dict[str, Any], x: Any) -> Any:
        f = torch.nn.functional
        rows, time_steps = x.shape
        h = w["tokens.weight"][x] + w["positions.weight"][:time_steps]
        for i in range(layers):
            at = f"blocks.layers.{i}."

            def linear(x: Any, name: str, at: str = at) -> Any:
                return f.linear(x, w[at + name + ".weight"].T, w[at + name + ".bias"])

            def norm(x: Any, name: str) -> Any:
                return f.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"])

            n = norm(h, at + "norm1")
            q, k, v = (
                linear(n, f"self_attn.{part}_proj")
                .view(rows, time_steps, heads, -1)
                .transpose(1, 2)
                for part in "qkv"
            )
            y = f.scaled_dot_product_attention(q, k, v, is_causal=True)
            h = h + linear(y.transpose(1, 2).reshape(h.shape), "self_attn.out_proj")
            h = h + linear(f.gelu(linear(norm(h, at + "norm2"), "linear1")), "linear2")
        return norm(h, "blocks.norm") @ w["tokens.weight"].T

    return forward


def torch_sequence(model: Module) -> Any:
    """The forward pass of a network of layers in PyTorch; images go channels-first."""

    def apply_to(torch: Any, module: Any, at: str, w: dict[str, Any], x: Any) -> Any:
        f, kind = torch.nn.functional, type(module).__name__
        if kind == "Sequential":
            for i, layer in enumerate(module.layers):
                x = apply_to(torch, layer, f"{at}layers.{i}.", w, x)
            return x
        if kind == "Residual":
            short = module.shortcut
            around = x if short is None else apply_to(torch, short, f"{at}shortcut.", w, x)
            return around + apply_to(torch, module.module, f"{at}module.", w, x)
        if kind == "Conv2d":
            kernel = w[at + "weight"].permute(3, 2, 0, 1)
            stride, size = module.options["stride"], kernel.shape[-1]
            missing = max((-(-x.shape[-1] // stride) - 1) * stride + size - x.shape[-1], 0)
            low = missing // 2
            return f.conv2d(f.pad(x, (low, missing - low) * 2), kernel, stride=stride)
        if kind == "BatchNorm":
            return f.batch_norm(x, None, None, w[at + "weight"], w[at + "bias"], training=True)
        if kind == "Linear":
            return f.linear(x, w[at + "weight"].T, w[at + "bias"])
        if kind == "GlobalAvgPool":
            return x.mean((2, 3))
        assert kind == "ReLU", kind
        return f.relu(x)

    def forward(torch: Any, w: dict[str, Any], x: Any) -> Any:
        if x.ndim == 4:
            x = x.permute(0, 3, 1, 2)  # channels-last in memory, as it is
        return apply_to(torch, model, "", w, x)

    return forward


def _cross_entropy(torch: Any, z: Any, y: Any) -> Any:
    return torch.nn.functional.cross_entropy(z.float().reshape(-1, z.shape[-1]), y.reshape(-1))


def _squares(torch: Any, z: Any, y: Any) -> Any:
    return ((z.float() - y) ** 2).mean()


# ---- networks ----------------------------------------------------------------------------------


def networks(full: bool) -> dict[str, Callable[[], tuple[Module, Any, Any, Any, Array, Array]]]:
    """For each: the network, our loss, PyTorch's forward pass and loss, a batch."""
    rng = np.random.default_rng(0)

    def language() -> Any:
        size = (50304, 1024, 768, 12, 12) if full else (512, 64, 64, 4, 2)
        vocabulary, context, width, heads, layers = size
        model = gpt(vocabulary, context, width, heads, layers).initialize(seed=0)
        tokens = rng.integers(0, vocabulary, (16 if full else 4, context + 1))
        return (model, losses.cross_entropy, torch_gpt(layers, heads), _cross_entropy,
                tokens[:, :-1], tokens[:, 1:])  # fmt: skip

    def pictures() -> Any:
        widths, rows = ((64, 128, 256, 512), 256) if full else ((8, 16), 16)
        model = resnet(10, widths=widths, blocks=2).initialize(seed=0)
        x = rng.normal(size=(rows, 32, 32, 3)).astype(np.float32)
        return (model, losses.cross_entropy, torch_sequence(model), _cross_entropy, x,
                rng.integers(0, 10, rows))  # fmt: skip

    def dense() -> Any:
        width, rows = (4096, 4096) if full else (128, 256)
        model = mlp(width, 1, hidden=(width,) * 4).initialize(seed=0)
        x = rng.normal(size=(rows, width)).astype(np.float32)
        return model, losses.mse, torch_sequence(model), _squares, x, x[:, :1] ** 2

    return {"GPT-2 124M" if full else "GPT, small": language, "ResNet-18": pictures, "MLP": dense}


def seconds_a_step(run: Callable[[int], list[float]], full: bool) -> tuple[float, list[float]]:
    """The time of a step, the best of three; and the losses of the first steps."""
    first = run(1)
    first += run(9)
    count = 1
    while True:
        begun = time.perf_counter()
        run(count)
        if time.perf_counter() - begun > (0.5 if full else 0.05) or count >= 128:
            break
        count *= 2
    best = math.inf
    for _ in range(3):
        begun = time.perf_counter()
        run(count)
        best = min(best, (time.perf_counter() - begun) / count)
    return best, first


def measure(name: str, make: Any, precision: str, full: bool, device: str, peak: Any) -> Any:
    """One network in one precision, by all three."""
    model, loss, forward, their_loss, x, y = make()
    state, narrow = model.state(), precision == "bf16"
    ours = Ours(model, loss, x, y, precision)
    work = ours.work()
    found: dict[str, Any] = {"network": name, "precision": precision, "work": work}

    def theirs(compiled: bool) -> Theirs:
        return Theirs(forward, state, their_loss, x, y, narrow=narrow, compiled=compiled,
                      device=device)  # fmt: skip

    runs: dict[str, Callable[[], Any]] = {
        "chainrule": lambda: ours,
        "torch eager": lambda: theirs(compiled=False),
        "torch compiled": lambda: theirs(compiled=True),
    }
    for who, build in runs.items():
        if left() < 15:
            found[who] = "no time left"
            continue
        try:
            time_of_step, first = seconds_a_step(build().run, full)
        except Exception as error:  # the others are measured nevertheless
            found[who] = f"{type(error).__name__}: {error}"[:300]
            continue
        found[who] = {"seconds": time_of_step, "losses": first}
        if peak is not None:
            found[who]["of peak"] = work / time_of_step / peak
    _compare(found)
    return found


def _compare(found: dict[str, Any]) -> None:
    ours = found["chainrule"]
    if not isinstance(ours, dict):
        return
    for way in ("torch eager", "torch compiled"):
        if isinstance(found[way], dict):
            found[f"time / {way}"] = ours["seconds"] / found[way]["seconds"]
            theirs = np.array(found[way]["losses"])
            difference = np.abs(np.array(ours["losses"]) - theirs) / np.abs(theirs)
            found[f"losses / {way}"] = float(difference.max())


def main() -> None:
    """Check, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="accelerator.json")
    parser.add_argument("--skip-operations", action="store_true")
    given = parser.parse_args()
    import jax
    import torch

    chip = jax.devices()[0]
    full = chip.platform == "gpu" and torch.cuda.is_available()
    device = "cuda" if full else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    peaks = next((p for part, p in PEAKS.items() if part in chip.device_kind), (None, None))
    result: dict[str, Any] = {
        "device": chip.device_kind, "jax": jax.__version__, "torch": torch.__version__,
        "full size": full, "note": "" if full else "no GPU was seen: reduced size, on a processor",
    }  # fmt: skip
    print(result)
    if not given.skip_operations:
        result["operations"] = check_operations()
        print(result["operations"], flush=True)
    result["steps"] = []
    for precision, peak in (("bf16", peaks[0]), ("float32", peaks[1])):
        for name, make in networks(full).items():
            found = measure(name, make, precision, full, device, peak)
            result["steps"].append(found)
            print({k: v for k, v in found.items() if not isinstance(v, dict)}, flush=True)
            Path(given.out).write_text(json.dumps(result, indent=1))
    result["seconds"] = time.perf_counter() - _BEGUN
    Path(given.out).write_text(json.dumps(result, indent=1))
    print(f"{result['seconds']:.0f} s; {given.out}")


if __name__ == "__main__":
    main()
