"""Every optimizer takes the steps that PyTorch takes, Lion those that Keras takes."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr

from ..stored import decode, read

REFERENCES = read("optimizers.json")
CASES = REFERENCES["trajectories"]
Arrays = dict[str, np.ndarray[Any, Any]]


PROBLEM: Arrays = {key: decode(value) for key, value in REFERENCES["problem"].items()}


def label(case: dict[str, Any]) -> str:
    return f"{case['name']}: {case['case']}"


def loss_of(parameters: Any) -> cr.Tensor:
    x, y = (cr.tensor(PROBLEM[key], parameters["w"].dtype) for key in ("x", "y"))
    z = x @ parameters["w"] + parameters["b"] - y
    return (cr.logaddexp(z, -z) - np.log(2.0).astype(z.dtype)).mean()  # ln cosh z


def learned(
    cases: list[dict[str, Any]], dtype: str, backend: str | None = "numpy"
) -> list[dict[int, Arrays]]:
    """The parameters after each of 100 steps, of each case; eager without a backend.

    One function makes a step of all of them, for a program takes long to build.
    """
    parameters = [{key: cr.parameter(PROBLEM[key], dtype) for key in ("w", "b")} for _ in cases]
    optimizers = [
        cr.optim.OPTIMIZERS[case["name"].lower()](w, **case["attrs"])
        for case, w in zip(cases, parameters, strict=True)
    ]

    def step() -> None:
        for w, optimizer in zip(parameters, optimizers, strict=True):
            loss, gradients = cr.value_and_grad(loss_of)(w)
            optimizer.update(gradients, loss=loss)

    run = cr.compile(step, backend=backend) if backend else step
    found: list[dict[int, Arrays]] = [{} for _ in cases]
    for number in range(1, 101):
        run()
        for w, steps in zip(parameters, found, strict=True):
            steps[number] = {key: value.numpy().copy() for key, value in w.items()}
    return found


def test_every_public_optimizer_has_references() -> None:
    public = [getattr(cr.optim, name) for name in cr.optim.__all__]
    optimizers = {kind.__name__ for kind in public if is_optimizer(kind)}
    assert optimizers == {case["name"] for case in CASES}
    assert {name.lower() for name in optimizers} == set(cr.optim.OPTIMIZERS)


def is_optimizer(kind: Any) -> bool:
    optimizer = cr.optim.Optimizer
    return isinstance(kind, type) and issubclass(kind, optimizer) and kind is not optimizer


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_steps_are_those_of_the_reference(backend: str) -> None:
    """Rounding grows while the weights swing: 2·10⁻¹⁶ at first is at most 10⁻⁶ after 100 steps."""
    for case, found in zip(CASES, learned(CASES, "float64", backend), strict=True):
        for number, stored in case["steps"].items():
            rtol = 1e-12 if int(number) <= 10 else 1e-6
            for key, value in stored.items():
                what = f"{label(case)}: {key} after step {number}"
                np.testing.assert_allclose(
                    found[int(number)][key], decode(value), rtol=rtol, err_msg=what
                )


@pytest.mark.parametrize("case", CASES, ids=label)
def test_steps_in_single_precision(case: dict[str, Any]) -> None:
    """Ten steps are the same; after 100 fast ones the loss is, where the weights still swing."""
    (found,) = learned([case], "float32")
    for number in ("1", "2", "3", "10"):
        for key, value in case["steps"][number].items():
            assert found[int(number)][key].dtype == np.float32
            np.testing.assert_allclose(found[int(number)][key], decode(value), rtol=2e-5)
    last = {key: cr.tensor(value, "float64") for key, value in found[100].items()}
    reference = {key: cr.tensor(decode(value)) for key, value in case["steps"]["100"].items()}
    assert loss_of(last).item() == pytest.approx(loss_of(reference).item(), rel=1e-2)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_eager_and_compiled_are_the_same_to_the_bit(case: dict[str, Any]) -> None:
    (eager,), (compiled,) = (learned([case], "float32", backend) for backend in (None, "numpy"))
    for number in (1, 2, 10, 100):
        for key in ("w", "b"):
            assert eager[number][key].tobytes() == compiled[number][key].tobytes()
