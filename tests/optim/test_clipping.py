"""Limits for gradients: PyTorch's, and their formulas."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import chainrule as cr
from chainrule.errors import ConfigError

CLIPPINGS = json.loads(
    (Path(__file__).parents[1] / "references" / "optimizers.json").read_text(encoding="utf-8")
)["clippings"]


def decode(stored: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.array(stored["data"], stored["dtype"]).reshape(stored["shape"])


@pytest.mark.parametrize("case", CLIPPINGS, ids=lambda case: f"{case['name']} {case['attrs']}")
def test_clipped_as_in_the_reference(case: dict[str, Any]) -> None:
    gradients = [cr.tensor(decode(g)) for g in case["grads"]]
    if case["name"] == "clip_grad_value":
        clipped = cr.optim.clip_by_value(gradients, case["attrs"]["clip_value"])
    else:
        norm = cr.optim.global_norm(gradients, float(case["attrs"]["norm_type"]))
        assert norm.item() == pytest.approx(case["norm"], rel=1e-12)
        clipped = cr.optim.clip_by_norm(gradients, case["attrs"]["max_norm"], norm)
    for found, expected in zip(clipped, case["clipped"], strict=True):
        np.testing.assert_allclose(found.numpy(), decode(expected), rtol=1e-12)


arrays = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    elements=st.floats(-1e3, 1e3),
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=3), arrays, max_size=4), st.floats(1e-3, 1e4))
@settings(deadline=None, max_examples=50)
def test_norm_and_clipping_by_formula(gradients: Any, limit: float) -> None:
    flat = np.concatenate([np.zeros(0), *(g.ravel() for g in gradients.values())])
    norm = math.sqrt(float(flat @ flat))
    assert cr.optim.global_norm(gradients).item() == pytest.approx(norm, rel=1e-6, abs=1e-150)
    largest = float(np.abs(flat).max(initial=0))
    assert cr.optim.global_norm(gradients, math.inf).item() == pytest.approx(largest)
    clipped = cr.optim.clip_by_norm(gradients, limit)
    assert clipped.keys() == gradients.keys()
    for path, g in gradients.items():
        expected = g * min(1.0, limit / (norm + 1e-6))
        np.testing.assert_allclose(clipped[path].numpy(), expected, rtol=1e-6, atol=1e-150)
    assert cr.optim.global_norm(clipped).item() <= limit * (1 + 1e-6)
    for path, g in cr.optim.clip_by_value(gradients, limit).items():
        np.testing.assert_array_equal(g.numpy(), np.clip(gradients[path], -limit, limit))


def test_mixed_precision_keeps_the_types() -> None:
    gradients = [cr.tensor(np.array([3.0], np.float32)), cr.tensor(np.array(4.0))]
    assert cr.optim.global_norm(gradients).item() == 5.0
    first, second = cr.optim.clip_by_norm(gradients, 1.0)
    assert (first.dtype, second.dtype) == (np.float32, np.float64)


def test_no_gradients_have_no_length() -> None:
    assert cr.optim.global_norm({}).item() == 0.0
    assert cr.optim.clip_by_norm({}, 1.0) == {}


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan, None])
def test_limits_are_above_zero(limit: Any) -> None:
    for clip in (cr.optim.clip_by_norm, cr.optim.clip_by_value):
        with pytest.raises(ConfigError, match="above 0"):
            clip([cr.tensor([1.0])], limit)
    with pytest.raises(ConfigError, match="2 or infinity"):
        cr.optim.global_norm([], order=3)
