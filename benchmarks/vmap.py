"""Gradients for each example: one mapped program beside a loop over a compiled gradient.

    python benchmarks/vmap.py

Of a network 20-64-64-1 (5,569 parameters) and 64 examples, float32; the best of 15 runs each.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr

EXAMPLES = 64


def best(run: Callable[[], Any]) -> float:
    """Milliseconds of the quickest of 15 runs."""
    found = []
    for _ in range(15):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return 1e3 * min(found)


def main() -> None:
    """Measure and print."""
    nn = cr.nn
    layers = [nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)]
    model = nn.Sequential(*layers).initialize(0)
    x = np.random.default_rng(0).normal(size=(EXAMPLES, 20)).astype(np.float32)
    y = x[:, :1].copy()

    def loss(model: Any, x: Any, y: Any) -> Any:
        return cr.losses.mse(model(x), y)

    for backend in ("numpy", "c"):
        one = cr.compile(cr.grad(loss), backend=backend)
        many = cr.compile(cr.vmap(cr.grad(loss), in_axes=(None, 0, 0)), backend=backend)
        each = best(lambda one=one: [one(model, x[i], y[i]) for i in range(EXAMPLES)])  # type: ignore[misc]
        mapped = best(lambda many=many: many(model, x, y))  # type: ignore[misc]
        print(f"{backend:6} loop {each:6.2f} ms, vmap {mapped:6.2f} ms")


if __name__ == "__main__":
    main()
