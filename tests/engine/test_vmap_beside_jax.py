"""vmap gives the values and gradients that JAX's own gives, on each backend.

tests/references/make_vmap.py says how the stored results read.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine import pytree

REFERENCES = Path(__file__).parents[1] / "references"
_spec = importlib.util.spec_from_file_location("vmap_cases", REFERENCES / "vmap_cases.py")
assert _spec is not None
assert _spec.loader is not None
cases = importlib.util.module_from_spec(_spec)
sys.modules["vmap_cases"] = cases
_spec.loader.exec_module(cases)

STORED = json.loads((REFERENCES / "vmap.json").read_text(encoding="utf-8"))["cases"]


def both(case: Any) -> Any:
    """A function of the arguments: the results, and the gradients of their weighted sum."""
    smooth = [i for i in range(len(case.shapes)) if i not in case.integers]

    def mapped(*arguments: Any) -> Any:
        one = lambda *x: case.function(cr, *x)  # noqa: E731
        return cr.vmap(one, in_axes=case.in_axes, out_axes=case.out_axes)(*arguments)

    def total(*arguments: Any) -> Any:
        results = pytree.flatten(mapped(*arguments))[0]
        return sum((y * cases.weights_of(y.shape, i)).sum() for i, y in enumerate(results))

    def run(*arguments: Any) -> Any:
        gradients = cr.grad(total, argnums=tuple(smooth))(*arguments)
        return pytree.flatten(mapped(*arguments))[0], pytree.flatten(gradients)[0]

    return run


def compare(stored: Any, results: Any, gradients: Any) -> None:
    for found, expected in ((results, stored["results"]), (gradients, stored["gradients"])):
        assert len(found) == len(expected)
        for y, one in zip(found, expected, strict=True):
            assert list(y.shape) == one["shape"], stored["name"]
            np.testing.assert_allclose(
                y.numpy().reshape(-1), one["data"], rtol=1e-7, atol=1e-9, err_msg=stored["name"]
            )


def test_every_case_is_stored():
    assert [case.name for case in cases.CASES] == [stored["name"] for stored in STORED]


@pytest.mark.parametrize("number", range(len(STORED)), ids=lambda i: STORED[i]["name"])
def test_as_jax_has_it(number):
    case = cases.CASES[number]
    given = [pytree.map_leaves(cr.tensor, x) for x in cases.arrays_of(case)]
    compare(STORED[number], *both(case)(*given))


@pytest.mark.parametrize("backend", ["numpy", pytest.param("c", marks=pytest.mark.nightly)])
def test_as_jax_has_it_in_one_program(backend):
    given = [cases.arrays_of(case) for case in cases.CASES]
    runs = [both(case) for case in cases.CASES]
    together = cr.compile(
        lambda everything: [run(*x) for run, x in zip(runs, everything, strict=True)],
        backend=backend,
    )
    for stored, found in zip(STORED, together(given), strict=True):
        compare(stored, *found)
