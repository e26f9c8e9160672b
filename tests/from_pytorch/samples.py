"""The stored samples of PyTorch's operations, and how ours are held against them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr

from . import arrays, fourier, layers  # noqa: F401  they fill in the table
from .table import TABLE

FILE = Path(__file__).parents[1] / "references" / "pytorch_samples.json"
#: Frequencies of the stored sums: see tests/references/sources/pytorch_samples.py.
WAVES = (1.0, 1.7, 2.9)


def stored(file: Path = FILE) -> dict[str, list[dict[str, Any]]]:
    """The samples by PyTorch's name of the operation."""
    found: dict[str, list[dict[str, Any]]] = {}
    for sample in json.loads(file.read_text(encoding="utf-8"))["samples"]:
        found.setdefault(sample["op"], []).append(sample)
    return found


@dataclass
class Slot:
    """A place of a floating-point array that is differentiated, among the arguments."""

    number: int


def weights(shape: Any, wave: float = WAVES[0]) -> Any:
    """Those of the sum that is differentiated."""
    return np.cos((np.arange(int(np.prod(shape, dtype=int))) + 0.5) * wave).reshape(shape)


class Call:
    """A stored call: arrays to differentiate with respect to, and everything else."""

    def __init__(self, sample: dict[str, Any]) -> None:
        self.sample = sample
        self.arrays: list[Any] = []
        self.given = self._decoded(sample["input"])
        self.args = self._decoded(sample["args"])
        self.kwargs = self._decoded(sample["kwargs"])

    def _decoded(self, data: Any) -> Any:
        if isinstance(data, list):
            return [self._decoded(part) for part in data]
        if not isinstance(data, dict):
            return float(data) if data in ("nan", "inf", "-inf") else data
        if "f" in data:
            numbers = [float(x) / 1000 for x in data["f"]]
            array = np.array(numbers).reshape(data["shape"])
            if not data.get("grad"):
                return cr.tensor(array, "float64")
            self.arrays.append(array)
            return Slot(len(self.arrays) - 1)
        for key, dtype in (("i", "int64"), ("b", "bool")):
            if key in data:
                return cr.tensor(np.array(data[key], dtype).reshape(data["shape"]))
        if "dict" in data:
            return {key: self._decoded(value) for key, value in data["dict"].items()}
        if "slice" in data:
            return slice(*data["slice"])
        return data.get("dtype", ...)

    def _filled(self, data: Any, tensors: Any) -> Any:
        if isinstance(data, Slot):
            return tensors[data.number]
        if isinstance(data, list):
            return [self._filled(part, tensors) for part in data]
        if isinstance(data, dict):
            return {key: self._filled(value, tensors) for key, value in data.items()}
        return data

    def outputs(self, *tensors: Any) -> list[Any]:
        """What ours gives."""
        given, args, kwargs = (
            self._filled(x, tensors) for x in (self.given, self.args, self.kwargs)
        )
        result = TABLE[self.sample["op"]].call(given, *args, **kwargs)
        return [cr.as_tensor(y) for y in cr.engine.pytree.flatten(result)[0]]

    def results(self, *tensors: Any) -> tuple[list[Any], list[Any]]:
        """The outputs, then the gradients of a weighted sum of the smooth ones."""

        def total(*inputs: Any) -> Any:
            outputs = self.outputs(*inputs)
            pairs = list(zip(outputs, self.sample["smooth"], strict=False))
            smooth = [
                (y * cr.tensor(weights(y.shape), y.dtype)).sum()
                for y, is_smooth in pairs
                if is_smooth
            ]
            return sum(smooth, cr.tensor(0.0, "float64")), outputs

        if not self.arrays or not any(g is not None for g in self.sample["grads"]):
            return self.outputs(*tensors), []
        places = tuple(range(len(self.arrays)))
        (_, outputs), slopes = cr.value_and_grad(total, places, has_aux=True)(*tensors)
        return outputs, list(slopes)

    def check(self, results: tuple[list[Any], list[Any]]) -> None:
        """Hold results against what is stored."""
        outputs, slopes = results
        count = TABLE[self.sample["op"]].compared
        expected = self.sample["output"][:count]
        assert len(outputs) == len(expected), f"{len(outputs)} results, not {len(expected)}"
        for found, digest in zip(outputs, expected, strict=True):
            agree(found.numpy(), digest, 1e-7, "value")
        if any(self.sample["smooth"][len(expected) :]):
            return  # the gradients are of more than what is compared
        for found, digest in zip(slopes, self.sample["grads"], strict=False):
            if digest is not None:
                agree(found.numpy(), digest, 1e-6, "gradient")
            else:
                assert not np.any(found.numpy()), "a gradient where PyTorch has none"


def agree(found: Any, digest: dict[str, Any], tolerance: float, what: str) -> None:
    """Hold an array against stored numbers or sums."""
    assert list(found.shape) == digest["shape"], f"{what}: {found.shape}, not {digest['shape']}"
    found = found.astype(np.float64)
    if "all" in digest:
        expected = np.array([float(x) for x in digest["all"]]).reshape(found.shape)
    else:
        expected = np.array(digest["sums"])
        found = np.array([(found * weights(found.shape, wave)).sum() for wave in WAVES])
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=what)
