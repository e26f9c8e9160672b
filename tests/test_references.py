"""Operations, functions and losses give the values and gradients that PyTorch gives.

tests/references/make_references.py says how the stored cases read.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr

FILES = [
    Path(__file__).parent / "references" / name for name in ("operations.json", "convolution.json")
]

# Where both are right but choose differently, or PyTorch is less exact.
OTHER_CONVENTION = {
    "ops.digamma: basic": "PyTorch's derivative has ten digits; test_special_values.py uses SciPy",
}


def function_of(case: dict[str, Any]) -> Any:
    return getattr(getattr(cr, case["module"], None), case["name"], None)


def label(case: dict[str, Any]) -> str:
    return f"{case['module']}.{case['name']}: {case['case']}"


CASES = [
    case
    for file in FILES
    for case in json.loads(file.read_text(encoding="utf-8"))["cases"]
    if function_of(case) and label(case) not in OTHER_CONVENTION
]


def decode(value: Any) -> Any:
    """The stored form as arrays, slices and tuples."""
    if isinstance(value, list):
        return tuple(decode(part) for part in value)
    if isinstance(value, dict) and "slice" in value:
        return slice(*value["slice"])
    if isinstance(value, dict):
        return np.array(value["data"], value["dtype"]).reshape(value["shape"])
    return ... if value == "..." else value


def leaves(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in leaves(part)]
    return [value]


def is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float64


def tensor(value: Any) -> Any:
    """An array as a tensor; anything else as it is."""
    return cr.tensor(value, dtype=value.dtype.name) if isinstance(value, np.ndarray) else value


def arguments(value: Any, floats: Iterator[Any]) -> Any:
    """The inputs as tensors: the floating ones are taken from the iterator."""
    if isinstance(value, tuple):
        return [arguments(part, floats) for part in value]
    return next(floats) if is_float(value) else tensor(value)


def assert_equal(found: Any, expected: Any) -> None:
    array = found.numpy()
    assert array.shape == expected.shape
    np.testing.assert_allclose(array, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_value_and_gradient(case: dict[str, Any]) -> None:
    inputs, outputs, grads = decode(case["inputs"]), decode(case["output"]), decode(case["grads"])
    weights = leaves(decode(case["weights"]))
    attrs = {key: tensor(decode(value)) for key, value in case["attrs"].items()}
    floats = [tensor(leaf) for leaf in leaves(inputs) if is_float(leaf)]

    def call(*given: Any) -> list[Any]:
        return leaves(function_of(case)(*arguments(inputs, iter(given)), **attrs))

    def weighted_sum(*given: Any) -> Any:
        pairs = zip(call(*given), weights, strict=True)
        return sum((part * cr.tensor(w)).sum() for part, w in pairs if w is not None)

    for found, expected in zip(call(*floats), leaves(outputs), strict=True):
        assert_equal(found, expected)

    # One stored gradient for every float input; None where PyTorch gives none.
    of_floats = zip(leaves(inputs), leaves(grads), strict=True)
    expected_grads = [grad for leaf, grad in of_floats if is_float(leaf)]
    if any(grad is not None for grad in expected_grads):
        found_grads = cr.grad(weighted_sum, argnums=tuple(range(len(floats))))(*floats)
        for found, expected in zip(leaves(found_grads), expected_grads, strict=True):
            if expected is not None:
                assert_equal(found, expected)


def test_150_functions_are_compared() -> None:
    assert len({(case["module"], case["name"]) for case in CASES}) >= 150
