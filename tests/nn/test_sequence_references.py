"""Recurrent layers and transformers give the values and gradients that PyTorch gives.

tests/references/make_references.py says how the stored cases read.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

FILE = Path(__file__).parents[1] / "references" / "sequences.json"
CASES = json.loads(FILE.read_text(encoding="utf-8"))["cases"]


def decode(value: Any) -> Any:
    if isinstance(value, list):
        return [decode(part) for part in value]
    if isinstance(value, dict) and "dtype" in value:
        return np.array(value["data"], value["dtype"]).reshape(value["shape"])
    if isinstance(value, dict):
        return {key: decode(part) for key, part in value.items()}
    return value


def made(case: Any) -> Any:
    """The layer with the stored weights; a norm that PyTorch has, too, keeps its own."""
    options = dict(case["options"])
    layer = getattr(nn, case["layer"])(*options.pop("sizes"), **options).to("float64")
    layer.load_state(decode(case["state"]))
    return layer


def call(layer: Any, case: Any, x: Any, *rest: Any) -> list[Any]:
    """The outputs as a flat list; of the inputs, an initial state is one argument."""
    recurrent = case["layer"].split("Cell")[0] in ("RNN", "LSTM", "GRU")
    if recurrent and rest:
        rest = (rest if len(rest) > 1 else rest[0],)
    result = layer(x, *rest, **decode(case["constants"]))
    return cr.tree.flatten(result)[0]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['layer']}: {case['case']}")
def test_values_and_gradients(case, compiled):
    layer, inputs, weights = made(case), decode(case["inputs"]), decode(case["weights"])

    def total(layer, *inputs):
        outputs = call(layer, case, *inputs)
        return sum((y * w).sum() for y, w in zip(outputs, weights, strict=True)), outputs

    positions = [0] * bool(layer.parameters()) + [i + 1 for i in range(len(inputs))]
    run = cr.value_and_grad(total, argnums=positions, has_aux=True)
    (_, outputs), found = (cr.compile(run) if compiled else run)(layer, *map(cr.tensor, inputs))
    for y, expected in zip(outputs, decode(case["outputs"]), strict=True):
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-10, atol=1e-12)
    (*of_state,) = found[: len(found) - len(inputs)]
    expected_state = decode(case["state_grads"])
    for gradients in of_state:
        assert gradients.keys() == expected_state.keys()
        for path, gradient in gradients.items():
            np.testing.assert_allclose(
                gradient.numpy(), expected_state[path], rtol=1e-9, atol=1e-11, err_msg=path
            )
    of_inputs = zip(found[len(of_state) :], decode(case["input_grads"]), strict=True)
    for gradient, expected in of_inputs:
        np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-9, atol=1e-11)


def test_every_kind_has_references():
    assert {case["layer"] for case in CASES} == {
        *("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"),
        *("MultiHeadAttention", "TransformerEncoderLayer", "TransformerDecoderLayer"),
        "RotaryPositions",
    }
