"""Operations, functions and losses give the values and gradients that PyTorch gives.

tests/references/make_references.py says how the stored cases read.
"""

import itertools
from typing import Any

import numpy as np
import pytest

import chainrule as cr

from .stored import Reference, check, check_in_one_program, decode, leaves, read, tensor

# Where both are right but choose differently, or PyTorch is less exact.
OTHER_CONVENTION = {
    "ops.digamma: basic": "PyTorch's derivative has ten digits; test_special_values.py uses SciPy",
}


#: Losses that nothing can be compared with.
LOSSES_WITHOUT_REFERENCE: set[str] = set()


def label(case: dict[str, Any]) -> str:
    return f"{case['module']}.{case['name']}: {case['case']}"


def stored(case: dict[str, Any]) -> Reference:
    """The function of the arrays among its inputs; einsum's formula is none."""
    parts, rebuild, _ = cr.engine.pytree.flatten(decode(case["inputs"]))
    is_array = [isinstance(part, np.ndarray) for part in parts]
    attrs = {key: tensor(constant(decode(value))) for key, value in case["attrs"].items()}
    function = getattr(getattr(cr, case["module"]), case["name"])

    def call(*arrays: Any) -> Any:
        given = iter(arrays)
        pairs = zip(parts, is_array, strict=True)
        return function(
            *rebuild([next(given) if array else part for part, array in pairs]), **attrs
        )

    return Reference(
        label=label(case),
        call=call,
        arguments=list(itertools.compress(parts, is_array)),
        outputs=leaves(decode(case["output"])),
        weights=leaves(decode(case["weights"])),
        gradients=list(itertools.compress(leaves(decode(case["grads"])), is_array)),
        buffers={},
    )


def constant(value: Any) -> Any:
    """Lists as tuples, as functions take them."""
    return tuple(map(constant, value)) if isinstance(value, list) else value


CASES = [
    case
    for name in ("operations.json", "convolution.json")
    for case in read(name)["cases"]
    if hasattr(getattr(cr, case["module"]), case["name"]) and label(case) not in OTHER_CONVENTION
]
REFERENCES = [stored(case) for case in CASES]


@pytest.mark.parametrize("reference", REFERENCES, ids=str)
def test_value_and_gradient(reference: Reference) -> None:
    check(reference)


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_losses_compiled(backend: str) -> None:
    """Values and gradients, all losses in one program."""
    losses = [reference for reference in REFERENCES if reference.label.startswith("losses.")]
    check_in_one_program(losses, backend)


def test_every_public_loss_has_a_reference() -> None:
    compared = {case["name"] for case in CASES if case["module"] == "losses"}
    public = {name for name in cr.losses.__all__ if name not in vars(cr.losses.registry)}
    assert public - {"LOSSES"} - compared == LOSSES_WITHOUT_REFERENCE


def test_150_functions_are_compared() -> None:
    assert len({(case["module"], case["name"]) for case in CASES}) >= 150
