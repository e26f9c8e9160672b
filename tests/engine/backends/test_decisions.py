"""Decisions of the C backend that cost time or memory when they are wrong, and no digit."""

import json

import pytest

from .decisions import STORED, as_json, decisions


@pytest.fixture(scope="module")
def found():
    return json.loads(as_json(decisions()))


@pytest.mark.parametrize("kind", ["avx512", "avx2", "sse", "frugal", "work"])
def test_they_are_those_that_were_measured(found, kind):
    expected = json.loads(STORED.read_text(encoding="utf-8"))[kind]
    assert found[kind].keys() == expected.keys()
    changed = {name: found[kind][name] for name in expected if found[kind][name] != expected[name]}
    assert not changed, "measure, then run python -m tests.engine.backends.decisions"


def test_a_product_goes_with_what_follows_it(found):
    """Bias and activation are computed while the tile is in the cache, in one kernel."""
    kernels = found["avx2"]["dense 256 512"]["kernels"]
    assert kernels[0].startswith("float32[256, 512] matmul, add, relu:")
    assert sum("matmul" in kernel for kernel in kernels) == 6  # two forward, four backward
