"""What the C backend decides for programs of many shapes, as data.

No result depends on these decisions, but speed and memory do: what is computed in one loop, in how
many units for threads, in which tiles, what is packed, how large the arena is. They were chosen by
measurements, so they are stored, and a test shows whoever changes one what else changes.

    python -m tests.engine.backends.decisions        stores them anew
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.engine.backends.c.batch_split import work_of
from chainrule.engine.backends.c.kernels.cpu import TARGETS, Target, writing_for
from chainrule.engine.backends.c.kernels.gemm import (
    Product,
    panel_columns,
    plan,
    plan_in_panels,
    plan_with_reads,
)
from chainrule.engine.backends.c.lower import lower

STORED = Path(__file__).with_suffix(".json")

PRODUCTS = [
    Product(*shape, transpose_a=a, transpose_b=b, dtype=dtype)
    for shape in [(1, 1, 1), (1, 64, 256), (256, 1, 64), (5, 7, 3), (4, 512, 64), (64, 64, 64),
                  (128, 512, 784), (784, 512, 128), (2048, 96, 1000), (1000, 4096, 512),
                  (33, 1030, 385), (300, 2000, 2), (24, 4096, 4096), (7, 48, 0)]
    for a, b in [(False, False), (True, False), (False, True)]
    for dtype in ("float32", "float64")
]  # fmt: skip


def _loss(network: Callable[..., Any], *arrays: Any) -> cr.ir.Graph:
    """The graph of the sum of squares of what a network gives, with all gradients."""

    def value(*given: Any) -> Any:
        y = network(*given)
        return (y * y).sum()

    floats = tuple(i for i, x in enumerate(arrays) if x.dtype.kind == "f")
    return cr.trace(cr.value_and_grad(value, argnums=floats), *arrays).graph


def _zeros(*shape: int, dtype: Any = np.float32) -> Any:
    return np.zeros(shape, dtype)


def _graphs() -> Iterator[tuple[str, cr.ir.Graph]]:
    z = _zeros
    for rows, units in ((1, 16), (32, 128), (256, 512)):
        yield (
            f"dense {rows} {units}",
            _loss(
                lambda x, w, b, v: cr.log_softmax(cr.relu(x @ w + b) @ v),
                z(rows, units), z(units, units), z(units), z(units, 10),
            ),
        )  # fmt: skip
    shapes = [(2, 8, 8, 3, 8, 3), (8, 28, 28, 1, 16, 5), (16, 14, 14, 32, 32, 3),
              (1, 56, 56, 16, 16, 3), (4, 7, 7, 64, 128, 1), (2, 30, 31, 16, 48, 5)]  # fmt: skip
    for n, h, w, c, d, k in shapes:
        for how in ({"padding": "same"}, {"stride": 2}):
            yield (
                f"convolution {n} {h} {w} {c} {d} {k} {how}",
                _loss(lambda x, v, how=how: cr.conv2d(x, v, **how), z(n, h, w, c), z(k, k, c, d)),
            )
    yield (
        "depthwise",
        _loss(
            lambda x, v: cr.conv2d(x, v, padding="same", groups=32), z(4, 16, 16, 32),
            z(3, 3, 1, 32),
        ),
    )  # fmt: skip
    yield (
        "convolution of series",
        _loss(lambda x, v: cr.conv1d(x, v, dilation=2), z(4, 100, 8), z(3, 8, 16)),
    )
    yield "pooling", _loss(lambda x: cr.max_pool(x, 2) + cr.avg_pool(x, 2), z(8, 28, 28, 16))
    yield "overlapping pooling", _loss(lambda x: cr.max_pool(x, 3, 2), z(8, 29, 29, 3))
    for n, heads, length, width in ((2, 2, 16, 8), (4, 4, 128, 32)):
        shape = (n, heads, length, width)
        for causal in (False, True):
            yield (
                f"attention {shape} {causal}",
                _loss(
                    lambda q, k, v, causal=causal: cr.scaled_dot_product_attention(
                        q, k, v, causal=causal
                    ),
                    z(*shape), z(*shape), z(*shape),
                ),
            )  # fmt: skip
    for batch, units in ((8, 16), (64, 128)):

        def recurrent(x: Any, w: Any, u: Any) -> Any:
            def step(h: Any, row: Any) -> Any:
                new = cr.tanh(row @ w + h @ u)
                return new, new

            return cr.scan(step, cr.zeros((x.shape[1], u.shape[0]), x.dtype), x)[1]

        yield (
            f"recurrent {batch} {units}",
            _loss(recurrent, z(20, batch, 12), z(12, units), z(units, units)),
        )
    indices, weights = z(64, 7, dtype=np.int64), z(64, 7)
    yield "embedding", _loss(lambda t: cr.take(t, indices[:, 0]), z(1000, 16))
    yield "bag", _loss(lambda t: cr.embedding_bag(t, indices, weights), z(1000, 16))
    yield (
        "norm of layers",
        _loss(
            lambda x, g: (x - cr.mean(x, -1, True)) / cr.sqrt(cr.var(x, -1, True) + 1e-5) * g,
            z(64, 96), z(96),
        ),
    )  # fmt: skip
    yield "sums", _loss(lambda x: cr.sum(x, 0) * cr.sum(x, 1)[:, None], z(500, 300))
    yield "long sum", _loss(lambda x: cr.sum(cr.exp(x)), z(300_000))
    yield "softmax of columns", _loss(lambda x: cr.softmax(x, 0), z(50, 40))
    yield "sorted", _loss(lambda x: cr.sort(x), z(20, 50))
    yield "running sum", _loss(lambda x: cr.cumsum(x, 1), z(20, 50))
    yield "moved", _loss(lambda x: cr.pad(cr.swapaxes(x, 0, 1)[1:], [(1, 1), (0, 2)]), z(40, 30))
    yield "joined", _loss(lambda x, y: cr.concatenate([x, cr.exp(y)], 1), z(40, 30), z(40, 5))
    yield (
        "drawn",
        _loss(
            lambda x: x * cr.astype(cr.random.bernoulli(cr.random.key(1), 0.5, (64, 64)), x.dtype),
            z(64, 64),
        ),
    )
    yield (
        "float64",
        _loss(lambda x, w: cr.tanh(x @ w), z(50, 40, dtype=float), z(40, 30, dtype=float)),
    )


def _kernels(source: str) -> list[str]:
    """For each call what it computes, and in which units."""
    found = []
    for line in source.splitlines():
        note = re.search(r"/\* ([^*]*) \*/$", line)
        line = re.sub(r"CR_LARGE_PART\(\d+, threads\)", "few", line)
        units = re.search(r"(?:, (\d+), (\d+|few), threads|, 0, (\d+))\);", line)
        if note and units and line.startswith("  "):
            extent, unit, whole = units.groups()
            found.append(f"{note[1]}: " + (f"{extent} by {unit}" if extent else whole))
    return found


def _of_graph(graph: cr.ir.Graph, target: Target) -> dict[str, Any]:
    with writing_for(target):
        found = lower(graph, {}, (), True)
    return {
        "kernels": _kernels(found.source),
        "functions": len(re.findall(r"^(?:CR_APART )?static void k\d+\(", found.source, re.M)),
        "bytes": [found.arena, found.planned, found.unplanned],
        "constants": [list(x.shape) for x in found.constants],
    }


def _of_product(product: Product, target: Target) -> list[Any]:
    with writing_for(target):
        columns = panel_columns(product)
        plans = [plan(product, target), plan_with_reads(product, target),
                 *(plan_in_panels(product, wide * columns) for wide in (1, 2))]  # fmt: skip
    return [list(dataclasses.astuple(one)) for one in plans]


def decisions() -> dict[str, Any]:
    """All of them, by the kind of processor."""
    graphs = dict(_graphs())
    counted = [name for name in graphs if name.startswith(("dense", "convolution", "recurrent"))]
    found: dict[str, Any] = {"work": {name: work_of(graphs[name]) for name in counted}}
    for name in ("avx512", "avx2", "sse"):
        target = TARGETS[name]
        found[name] = {"tiles": [list(tile) for tile in target.tiles()]}
        found[name] |= {f"{p.name} {p.kind}": _of_product(p, target) for p in PRODUCTS}
    for name in ("avx2", "frugal"):
        for key, graph in graphs.items():
            found.setdefault(name, {})[key] = _of_graph(graph, TARGETS[name])
    return found


def as_json(found: Any) -> str:
    return json.dumps(found, indent=0, sort_keys=True) + "\n"


if __name__ == "__main__":
    STORED.write_text(as_json(decisions()), encoding="utf-8")
