"""Predictions with weights and activations of 8 bits: quantisation after training.

Each product with weights (matrix products and convolutions outside of loops over time) becomes one
of integers: x ≈ s·q with one scale for all of an activation, the largest value that rows for
calibration gave; w ≈ s·q with a scale for each output channel; both symmetric, so that 0 stays 0
(Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
inference", CVPR 2018). Sums are integers of 32 bits and exact. What lies between the products stays
in floating point, as do tables of embeddings and the weights of loops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...engine.backends.base import BuildError
from ...engine.backends.numpy import Program as Reference
from ...engine.backends.registry import find_backend
from ...engine.ir.graph import Graph
from ...engine.ir.node import CONSTANT, Node, constant
from ...engine.ir.operation import OPERATIONS
from ...engine.ir.types import Type, float32, int32
from ...engine.passes.fold import fold_constants
from ...engine.passes.rewrite import make, rewrite
from ...errors import ConfigError
from ...utils.typing import Array
from .program import Entry
from .raw_inputs import Interface

#: The largest integer; -128 is not used, so that signs are alike.
_MOST = 127
#: Products with fewer weights are not worth it.
_FEWEST = 32
INT8 = np.dtype(np.int8)


def products(graph: Graph) -> list[Node]:
    """The products with weights, whose left operands are to be quantised."""
    return [
        node
        for node in graph.nodes
        if node.op.name in ("matmul", "convolution")
        and node.type.dtype == float32
        and node.inputs[1].op is CONSTANT
        and node.inputs[0].op is not CONSTANT
        and node.inputs[1].type.size >= _FEWEST
    ]


def calibrated(graph: Graph, rows: Sequence[Sequence[Array]]) -> dict[Node, float]:
    """The largest absolute value of the left operand of each product, over some rows.

    Args:
        graph: for one row.
        rows: the inputs of the graph, row by row.
    """
    found = products(graph)
    run = Reference(Graph(graph.inputs, [node.inputs[0] for node in found]))
    largest = np.zeros(len(found))
    for row in rows:
        values = [np.abs(x[np.isfinite(x)]).max(initial=0.0) for x in run(row)]
        largest = np.maximum(largest, values)
    return dict(zip(found, largest.tolist(), strict=True))


def quantised(graph: Graph, largest: Mapping[Node, float], simulated: bool = False) -> Graph:
    """The graph with products of integers.

    Args:
        graph: for one row, without constants that could be folded.
        largest: of `calibrated`.
        simulated: whether integers are kept as floating-point numbers, in which the same sums
            are exact up to 2²⁴: for the reference, which has no integers of 8 bits.
    """

    def rule(node: Node, before: Node) -> Node:
        if before not in largest:
            return node
        return _product(node, largest[before], simulated)

    return rewrite(graph, rule)


def folded(graph: Graph) -> Graph:
    """The graph in which products are found: constants computed, nothing else changed."""
    return fold_constants(graph, keep_broadcasts=True)


def _product(node: Node, largest: float, simulated: bool) -> Node:
    """A product by integers, and its result as numbers again."""
    x, w = node.inputs
    assert w.value is not None
    attributes = dict(node.attributes)
    values, axes = w.value, _summed(node)
    scale = np.abs(values).max(axes, keepdims=True, initial=0.0) / _MOST
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
    whole = np.rint(values / scale)
    step = np.float32((largest or 1.0) / _MOST)
    q = _rounded(x, 1.0 / step, node, simulated)
    weights = constant(whole.astype(np.float32 if simulated else INT8))
    kind = node.type if simulated else Type(int32, node.type.shape)
    product = Node(node.op, (q, weights), attributes, kind, None, 0, node.origin)
    number = product if simulated else make(node, "cast", product, dtype=float32)
    back = (scale * step).reshape(_beside(node, scale))
    return make(node, "multiply", number, _broadcast(node, back, node.type.shape))


def _summed(node: Node) -> tuple[int, ...]:
    """The axes of the weights over which a product sums."""
    rank = len(node.inputs[1].type.shape)
    if node.op.name == "convolution":
        return tuple(range(rank - 1))
    return (rank - 1,) if node.attributes["transpose_b"] else (rank - 2,)


def _beside(node: Node, scale: Array) -> tuple[int, ...]:
    """The shape of the scales beside the result."""
    if node.op.name == "convolution":
        return (1,) * (len(node.type.shape) - 1) + (scale.size,)
    *batch, a, b = scale.shape
    return (*batch, 1, a * b)


def _rounded(x: Node, factor: Any, like: Node, simulated: bool) -> Node:
    """The nearest integers of x · factor, at most 127 in size."""
    shape = x.type.shape
    scaled = make(like, "multiply", x, _broadcast(like, np.float32(factor), shape))
    whole = make(like, "round", scaled)
    for name, bound in (("minimum", _MOST), ("maximum", -_MOST)):
        whole = make(like, name, whole, _broadcast(like, np.float32(bound), shape))
    if simulated:
        return whole
    kind = Type(INT8, shape)
    return Node(OPERATIONS["cast"], (whole,), {"dtype": INT8}, kind, None, 0, like.origin)


def _broadcast(like: Node, value: Any, shape: tuple[int, ...]) -> Node:
    return make(like, "broadcast_to", constant(np.asarray(value, np.float32)), shape=shape)


# ---- models --------------------------------------------------------------------------------------


def in_int8(entry: Entry, made: Interface, arrays: Sequence[Array], classes: int) -> Entry:
    """A prediction in 8 bits; notes of the interface say how it compares with floating point.

    Args:
        entry: the prediction.
        made: how the model is called.
        arrays: rows for calibration, as the saved model takes them.
        classes: how many classes it tells apart; 0 of numbers.

    Raises:
        ConfigError: nothing can be quantised, or there is no row.
    """
    graph = folded(entry.task.graph)
    given = _as_called(entry, made, arrays)
    rows = [[x[i : i + 1] for x in given] for i in range(min(len(given[0]), _ROWS))]
    if not rows or not products(graph):
        raise ConfigError(
            "There is nothing to quantise.",
            expected="rows for calibration, and layers with weights outside of loops over time",
            found=f"{len(rows)} rows, {len(products(graph))} such layers",
            hint="Omit --int8 (int8=).",
        )
    largest = calibrated(graph, rows)
    reference = quantised(graph, largest, simulated=True)
    plain, whole = ([run(row)[0].reshape(-1) for row in rows]
                    for run in (Reference(graph), Reference(reference)))  # fmt: skip
    made.notes.append(_compared(plain, whole, classes))
    made.simulated = _simulation(entry, made, reference)
    task = replace(entry.task, graph=quantised(graph, largest))
    return replace(entry, task=task, reference=reference)


def _simulation(
    entry: Entry, made: Interface, reference: Graph
) -> Callable[[Sequence[Array]], Array]:
    """From arrays of the saved model to its predictions in 8 bits."""
    try:
        run: Any = find_backend("c").build(reference, {}, ())
    except BuildError:
        run = Reference(reference)

    def compute(arrays: Sequence[Array]) -> Array:
        given = _as_called(entry, made, arrays)
        rows = [run([x[i : i + 1] for x in given])[0].copy() for i in range(len(given[0]))]
        return np.concatenate(rows)

    return compute


#: Rows that are used at most.
_ROWS = 500


def _as_called(entry: Entry, made: Interface, arrays: Sequence[Array]) -> list[Array]:
    """Arrays of the saved model as the exported function takes them."""
    if made.columns:
        (argument,) = entry.arguments
        return [np.concatenate([a.astype(argument.type.dtype) for a in arrays], 1)]
    return [a.astype(x.type.dtype) for a, x in zip(arrays, entry.arguments, strict=True)]


def _compared(plain: Sequence[Array], whole: Sequence[Array], classes: int) -> str:
    a, b = np.stack(plain).astype(float), np.stack(whole).astype(float)
    rows = f"{len(a):,} rows of the calibration"
    if classes and a.shape[1] == classes:
        same = float((a.argmax(1) == b.argmax(1)).mean())
        return (f"In 8 bits {same:.1%} of {rows} get the same class as in floating point; "
                f"probabilities differ by {np.abs(a - b).max():.3f} at most.")  # fmt: skip
    size = float(np.abs(a - a.mean(0)).max()) or 1.0
    return (f"In 8 bits predictions of {rows} differ from those in floating point by "
            f"{np.abs(a - b).mean() / size:.2%} of their range on average, "
            f"{np.abs(a - b).max() / size:.2%} at most.")  # fmt: skip
