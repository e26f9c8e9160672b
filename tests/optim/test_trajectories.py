"""Every optimizer takes the steps that PyTorch takes; Lion those of its paper."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr

REFERENCES = json.loads(
    (Path(__file__).parents[1] / "references" / "optimizers.json").read_text(encoding="utf-8")
)
CASES = REFERENCES["trajectories"]
Arrays = dict[str, np.ndarray[Any, Any]]


def decode(stored: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.array(stored["data"], stored["dtype"]).reshape(stored["shape"])


PROBLEM: Arrays = {key: decode(value) for key, value in REFERENCES["problem"].items()}


def label(case: dict[str, Any]) -> str:
    return f"{case['name']}: {case['case']}"


def loss_of(parameters: Any) -> cr.Tensor:
    x, y = (cr.tensor(PROBLEM[key], parameters["w"].dtype) for key in ("x", "y"))
    z = x @ parameters["w"] + parameters["b"] - y
    return (cr.logaddexp(z, -z) - np.log(2.0).astype(z.dtype)).mean()  # ln cosh z


def learned(case: dict[str, Any], dtype: str, compiled: bool) -> dict[int, Arrays]:
    """The parameters after each of 100 steps."""
    w = {key: cr.parameter(PROBLEM[key], dtype) for key in ("w", "b")}
    optimizer = cr.optim.OPTIMIZERS[case["name"].lower()](w, **case["attrs"])

    def step() -> cr.Tensor:
        loss, gradients = cr.value_and_grad(loss_of)(w)
        optimizer.update(gradients, loss=loss)
        return loss

    run = cr.compile(step) if compiled else step
    found = {}
    for number in range(1, 101):
        run()
        found[number] = {key: value.numpy().copy() for key, value in w.items()}
    return found


def test_every_optimizer_has_references() -> None:
    assert {case["name"].lower() for case in CASES} == set(cr.optim.OPTIMIZERS)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_steps_are_those_of_the_reference(case: dict[str, Any]) -> None:
    found = learned(case, "float64", compiled=True)
    for number, stored in case["steps"].items():
        for key, value in stored.items():
            np.testing.assert_allclose(found[int(number)][key], decode(value), rtol=1e-6, atol=0)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_steps_in_single_precision(case: dict[str, Any]) -> None:
    """Ten steps are the same; after 100 fast ones the loss is, where the weights still swing."""
    found = learned(case, "float32", compiled=True)
    for number in ("1", "2", "3", "10"):
        for key, value in case["steps"][number].items():
            assert found[int(number)][key].dtype == np.float32
            np.testing.assert_allclose(found[int(number)][key], decode(value), rtol=2e-5)
    last = {key: cr.tensor(value, "float64") for key, value in found[100].items()}
    reference = {key: cr.tensor(decode(value)) for key, value in case["steps"]["100"].items()}
    assert loss_of(last).item() == pytest.approx(loss_of(reference).item(), rel=1e-2)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_eager_and_compiled_are_the_same_to_the_bit(case: dict[str, Any]) -> None:
    eager, compiled = (learned(case, "float32", compiled=flag) for flag in (False, True))
    for number in (1, 2, 10, 100):
        for key in ("w", "b"):
            assert eager[number][key].tobytes() == compiled[number][key].tobytes()
