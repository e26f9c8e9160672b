"""The conventions of docs/conventions.md that have two sides, in both element types and orders."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import chainrule as cr

inf, nan = math.inf, math.nan

#: function, arguments, the derivatives of the sum of the result by each of them
CASES: dict[str, tuple[Any, list[list[float]], list[list[float]]]] = {
    "abs at 0": (cr.abs, [[-1, 0, 1]], [[-1, 0, 1]]),
    "abs at -0": (cr.abs, [[-0.0]], [[0]]),
    "sign": (cr.sign, [[0, 3]], [[0, 0]]),
    "relu at 0": (cr.relu, [[-1, 0, 1]], [[0, 0, 1]]),
    "leaky_relu at 0": (lambda x: cr.leaky_relu(x, 0.25), [[-1, 0, 1]], [[0.25, 0.25, 1]]),
    "elu at 0": (lambda x: cr.elu(x, 2.0), [[0]], [[2]]),
    "elu at 0 is smooth": (cr.elu, [[-0.0, 0]], [[1, 1]]),
    "celu at 0 is smooth": (lambda x: cr.celu(x, 3.0), [[0]], [[1]]),
    "relu6 at its ends": (cr.relu6, [[0, 3, 6]], [[0, 1, 0]]),
    "clip at its bounds": (lambda x: cr.clip(x, -1, 1), [[-2, -1, 0, 1, 2]], [[0, 1, 1, 1, 0]]),
    "hardtanh at its bounds": (cr.hardtanh, [[-1, 1]], [[1, 1]]),
    "maximum of equals": (cr.maximum, [[1, 2], [1, 3]], [[0.5, 0], [0.5, 1]]),
    "minimum of equals": (cr.minimum, [[1, 2], [1, 3]], [[0.5, 1], [0.5, 0]]),
    "maximum with itself": (lambda x: cr.maximum(x, x), [[4]], [[1]]),
    "max of equals": (cr.max, [[5, 1, 5]], [[0.5, 0, 0.5]]),
    "min of equals": (cr.min, [[1, 1, 1, 1]], [[0.25] * 4]),
    "max of infinities": (cr.max, [[inf, inf]], [[0.5, 0.5]]),
    "norm of 0": (cr.norm, [[0, 0]], [[0, 0]]),
    "norm of order 3 of 0": (lambda x: cr.norm(x, order=3), [[0, 0]], [[0, 0]]),
    "norm of order 1 of 0": (lambda x: cr.norm(x, order=1), [[0, 2]], [[0, 1]]),
    "hypot at the origin": (cr.hypot, [[0, 3], [0, 4]], [[0, 0.6], [0, 0.8]]),
    "sqrt at 0": (cr.sqrt, [[0]], [[inf]]),
    "0 to the powers 0, 1, 2": (cr.power, [[0, 0, 0], [0, 1, 2]], [[0, 1, 0], [0, 0, 0]]),
    "negative base": (lambda x: x**3, [[-2]], [[12]]),
    "to the power 0": (lambda x: x**0, [[0, -3]], [[0, 0]]),
    "to the power 1/2 at 0": (lambda x: x**0.5, [[0]], [[inf]]),
    "prod with a zero": (cr.prod, [[2, 0, 3]], [[0, 6, 0]]),
    "prod with two zeros": (cr.prod, [[0, 0, 3]], [[0, 0, 0]]),
    "cumprod with a zero": (cr.cumprod, [[0, 2, 3]], [[9, 0, 0]]),
    "where passes by what is not taken": (
        lambda x, y: cr.where(x > 0, x, y),
        [[1, -1], [5, 6]],
        [[1, 0], [0, 1]],
    ),
    "where with NaN as the other value": (lambda x: cr.where(x > 0, x, nan), [[1]], [[1]]),
    "where with an infinite slope": (
        lambda x: cr.where(x > 0, cr.sqrt(x), 0),
        [[0, 4]],
        [[nan, 0.25]],
    ),
    "where inside, too": (
        lambda x: cr.where(x > 0, cr.sqrt(cr.where(x > 0, x, 1)), 0),
        [[0, 4]],
        [[0, 0.25]],
    ),
    "sort of equals": (lambda x: cr.sort(x)[:2], [[2, 1, 1, 2]], [[0, 1, 1, 0]]),
    "top_k takes the first of equals": (lambda x: cr.top_k(x, 1)[0], [[3, 3]], [[1, 0]]),
    "round": (cr.round, [[0.5, 0.7]], [[0, 0]]),
    "floor_divide": (cr.floor_divide, [[7], [2]], [[0], [0]]),
    "remainder": (cr.remainder, [[7, -7], [2, 2]], [[1, 1], [-3, 4]]),
    "nothing": (cr.sum, [[]], [[]]),
    "logsumexp of -∞": (cr.logsumexp, [[-inf, -inf]], [[0, 0]]),
    "logsumexp beside -∞": (cr.logsumexp, [[-inf, 3]], [[0, 1]]),
    "xlogy at 0": (cr.xlogy, [[0, 0], [1, 0]], [[0, 0], [0, 0]]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_gradients_at_kinks_ties_and_ends(name: str, dtype: str) -> None:
    function, arguments, expected = CASES[name]
    given = [cr.tensor(np.array(x, dtype)) for x in arguments]

    def slopes(*x: Any) -> Any:
        return cr.grad(lambda *y: function(*y).sum(), argnums=range(len(x)))(*x)

    for found in (slopes(*given), cr.compile(slopes, backend="numpy")(*given)):
        for gradient, wanted in zip(found, expected, strict=True):
            assert gradient.dtype == dtype
            np.testing.assert_allclose(gradient.numpy(), np.array(wanted), rtol=1e-6)


def test_shared_gradients_keep_ties_tied() -> None:
    """A step along the gradient of a tie leaves it a tie: it is a direction of descent."""
    x = cr.tensor([2.0, 2.0, 1.0])
    for _ in range(3):
        x = x - 0.1 * cr.grad(cr.max)(x)
    assert x.tolist()[0] == x.tolist()[1] < 2.0


@pytest.mark.parametrize("descending", [False, True])
def test_sorting_is_stable(descending: bool) -> None:
    keys = np.random.default_rng(0).integers(0, 4, 200)
    found = cr.argsort(keys, descending=descending).numpy()
    expected = sorted(range(200), key=lambda i: -keys[i] if descending else keys[i])
    assert found.tolist() == expected
