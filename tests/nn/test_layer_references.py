"""Layers give the values and gradients that PyTorch gives.

tests/references/make_references.py says how the stored cases read.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

FILE = Path(__file__).parents[1] / "references" / "operations.json"
CASES = {
    f"{case['name']}: {case['case']}": case
    for case in json.loads(FILE.read_text(encoding="utf-8"))["cases"]
    if case["module"] == "ops"
}


def layer_cases(*names: str) -> Any:
    labels = [label for label, case in CASES.items() if case["name"] in names]
    assert labels
    return pytest.mark.parametrize("case", [CASES[label] for label in labels], ids=labels)


def decode(value: Any) -> Any:
    if isinstance(value, list):
        return [decode(part) for part in value]
    if isinstance(value, dict):
        return np.array(value["data"], value["dtype"]).reshape(value["shape"])
    return value


def compare(
    layer: nn.Module, inputs: Any, weights: Any, output: Any, grads: Any, train: bool = False
) -> None:
    """Value and gradients of Σ y · weights by inputs and parameters.

    ``grads`` are the expected ones, by the input's position or the parameter's path.
    """

    def total(module, *x):
        y = module(*x, train=train)
        return (y * weights).sum(), y

    tensors = [cr.tensor(x) for x in inputs]
    positions = [0] * bool(layer.parameters())
    positions += [i + 1 for i, x in enumerate(inputs) if x.dtype.kind == "f"]
    (_, y), found = cr.value_and_grad(total, argnums=positions, has_aux=True)(layer, *tensors)
    np.testing.assert_allclose(y.numpy(), output, rtol=1e-10, atol=1e-12)
    by_name: dict[Any, Any] = {}
    for position, gradient in zip(positions, found, strict=True):
        by_name |= gradient if position == 0 else {position - 1: gradient}
    assert by_name.keys() == grads.keys()
    for name, gradient in by_name.items():
        np.testing.assert_allclose(gradient.numpy(), grads[name], rtol=1e-9, atol=1e-11)


def put(layer: nn.Module, **values: Any) -> nn.Module:
    layer.to("float64")
    for name, value in values.items():
        getattr(layer, name).assign(value)
    return layer


@layer_cases("linear")
def test_linear(case):
    """PyTorch's weight is (out, in)."""
    (x, w, *b), (gx, gw, *gb) = decode(case["inputs"]), decode(case["grads"])
    layer = nn.Linear(w.shape[1], w.shape[0], bias=bool(b))
    put(layer, weight=w.T, **({"bias": b[0]} if b else {}))
    grads = {0: gx, "weight": gw.T} | ({"bias": gb[0]} if b else {})
    compare(layer, [x], decode(case["weights"]), decode(case["output"]), grads)


@layer_cases("bilinear")
def test_bilinear(case):
    """PyTorch's weight is (out, in1, in2)."""
    (x1, x2, w, *b), (g1, g2, gw, *gb) = decode(case["inputs"]), decode(case["grads"])
    layer = nn.Bilinear(w.shape[1], w.shape[2], w.shape[0], bias=bool(b))
    put(layer, weight=np.moveaxis(w, 0, -1), **({"bias": b[0]} if b else {}))
    grads = {0: g1, 1: g2, "weight": np.moveaxis(gw, 0, -1)} | ({"bias": gb[0]} if b else {})
    compare(layer, [x1, x2], decode(case["weights"]), decode(case["output"]), grads)


@layer_cases("embedding")
def test_embedding(case):
    (numbers, w), (_, gw) = decode(case["inputs"]), decode(case["grads"])
    layer = put(nn.Embedding(*w.shape), weight=w)
    weights, output = decode(case["weights"]), decode(case["output"])
    compare(layer, [numbers], weights, output, {"weight": gw})


@layer_cases("layer_norm", "rms_norm")
def test_norms_of_rows(case):
    inputs, grads = decode(case["inputs"]), decode(case["grads"])
    x, values = inputs[0], dict(zip(("weight", "bias"), inputs[1:], strict=False))
    kind = nn.LayerNorm if case["name"] == "layer_norm" else nn.RMSNorm
    layer = put(kind(x.shape[-1], case["attrs"]["eps"], affine=bool(values)), **values)
    expected = dict(zip((0, "weight", "bias"), grads, strict=False))
    compare(layer, [x], decode(case["weights"]), decode(case["output"]), expected)


@layer_cases("batch_norm")
def test_batch_norm(case):
    x, weight, bias, mean, var = decode(case["inputs"])
    attrs = case["attrs"]
    layer = nn.BatchNorm(len(weight), eps=attrs["eps"], momentum=attrs["momentum"])
    put(layer, weight=weight, bias=bias, running_mean=mean, running_var=var)
    output, new_mean, new_var = decode(case["output"])
    weights = decode(case["weights"])[0]
    expected = dict(zip((0, "weight", "bias"), decode(case["grads"]), strict=False))
    compare(layer, [x], weights, output, expected, train=attrs["training"])
    np.testing.assert_allclose(layer.running_mean.numpy(), new_mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), new_var, rtol=1e-12)


ACTIVATIONS = [name for name in nn.ACTIVATIONS if any(c["name"] == name for c in CASES.values())]


@layer_cases(*ACTIVATIONS)
def test_activations(case):
    """Each layer is its function; that is compared, kinks included, in test_references.py."""
    (x, *_), (gx, *_) = decode(case["inputs"]), decode(case["grads"])
    if case["name"] == "relu6" and case["case"].startswith("kink"):
        pytest.skip("at a tie, minimum shares the gradient between its arguments")
    layer = nn.ACTIVATIONS[case["name"]](**case["attrs"])
    compare(layer, [x], decode(case["weights"]), decode(case["output"]), {0: gx})


def test_all_activations_have_a_reference():
    assert set(ACTIVATIONS) == set(nn.ACTIVATIONS)
