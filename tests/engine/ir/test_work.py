"""The work that a graph is said to be, counted again: it bounds what is computed of a file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.engine.ir.types import Type
from chainrule.engine.ir.work import STARTED, work

F, N = np.dtype("float32"), np.dtype("int64")


def said(name: str, result: tuple[int, ...], *shapes: tuple[int, ...], **how: Any) -> int:
    op = cr.ir.OPERATIONS[name]
    assert op.work is not None
    return op.work(Type(F, result), *(Type(F, shape) for shape in shapes), **how)


def test_of_products() -> None:
    """A multiplication for each element of the result and each of the common extent."""
    for a, b in ((False, False), (True, False), (False, True), (True, True)):
        shapes = [(2, 7, 5) if not a else (2, 5, 7), (2, 5, 3) if not b else (2, 3, 5)]
        assert said("matmul", (2, 7, 3), *shapes, transpose_a=a, transpose_b=b) == 2 * 7 * 3 * 5


def test_of_convolutions() -> None:
    """Each output meets each element of the window; each place in the window is a start."""
    images, kernels, outputs = (2, 9, 8, 6), (3, 2, 6, 5), (2, 7, 7, 5)
    forward = math.prod(outputs) * 3 * 2 * 6 + STARTED * 3 * 2
    assert said("convolution", outputs, images, kernels) == forward
    assert said("transposed_convolution", images, outputs, kernels) == forward
    assert said("convolution_weights", kernels, images, outputs) == forward
    window = {"window": (3, 2)}
    assert said("max_pool", (2, 3, 4, 6), images, **window) == 6 * (math.prod(images) + STARTED)
    assert said("sum_unpool", images, (2, 3, 4, 6), **window) == 6 * (math.prod(images) + STARTED)


def test_of_attention_and_matrices() -> None:
    """Each query meets each key with its features, and each value with its own."""
    q, k, v = (2, 3, 4), (2, 5, 4), (2, 5, 7)
    assert said("attention", (2, 3, 7), q, k, v) == 2 * 3 * 5 * (4 + 7)
    assert said("attention", (2, 3, 7), (2, 3, 0), (2, 5, 0), v) == 0
    assert said("solve", (2, 4, 3), (2, 4, 4), (2, 4, 3)) == 32 * (2 * 4 * 4) * 4
    assert said("cholesky", (4, 4), (4, 4)) == 32 * 16 * 4
    assert said("lu", (4, 6), (4, 6)) == 32 * 24 * 6
    assert said("polygamma", (3,), (3,), order=2) == 3 * 22**2
    found = said("ctc", (2,), (2, 9, 4), (2, 3))
    assert found == 2 * 9 * 4 + 40 * 2 * 9 * 7


def test_of_graphs() -> None:
    """Each operation starts, functions of elements count eight times, loops all of their steps."""
    x = np.zeros((20, 10))
    assert work(cr.trace(lambda x: x + x, x).graph) == STARTED + 200
    assert work(cr.trace(cr.exp, x).graph) == STARTED + 8 * 200
    assert work(cr.trace(lambda x: x, x).graph) == 0

    def loop(x: Any) -> Any:
        return cr.scan(lambda h, row: (h + row, ()), cr.zeros((10,), "float64"), x)[0]

    graph = cr.trace(loop, x).graph
    rest = sum(STARTED + node.type.size for node in graph.nodes
               if node.inputs and "body" not in node.attributes)  # fmt: skip
    assert work(graph) == 20 * (STARTED + STARTED + 10) + rest
