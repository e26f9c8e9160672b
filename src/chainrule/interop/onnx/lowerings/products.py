"""Products of matrices, attention, weighted sums of gathered rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..declarations import refuse
from ..emitter import Emitter, Rows
from ..symbolic import SymbolicNode
from .elementwise import Lowering
from .reductions import logsumexp


def _matmul(e: Emitter, node: SymbolicNode, a: str, b: str) -> str:
    return e.op("MatMul", _turned(e, node, 0, a), _turned(e, node, 1, b))


def _turned(e: Emitter, node: SymbolicNode, position: int, x: str) -> str:
    operand = node.inputs[position]
    if not node.attributes["transpose_b" if position else "transpose_a"]:
        return x
    rank = len(operand.shape)
    return e.arranged(x, [*range(rank - 2), rank - 1, rank - 2], operand.value)


def _det(e: Emitter, node: SymbolicNode, x: str) -> str:
    if node.dtype == np.float64:
        return e.cast(e.op("Det", e.cast(x, np.float32)), np.float64)
    return e.op("Det", x)


def _embedding_bag(e: Emitter, node: SymbolicNode, table: str, indices: str, weights: str) -> str:
    rows = e.op("Gather", table, indices, axis=0)
    return e.squeeze(e.op("MatMul", e.unsqueeze(weights, 1), rows), 1)


def _attention(
    e: Emitter, node: SymbolicNode, q: str, k: str, v: str, *more: str
) -> tuple[str, ...]:
    """softmax(q·kᵀ·scale + mask)·v, and the logarithm of the sums where it is read."""
    a, dtype = node.attributes, node.inputs[0].dtype
    if len(more) > 1 or a.get("dropout"):
        raise refuse(node, "dropout is not a part of a prediction")
    rank = len(node.inputs[1].shape)
    turned = e.op("Transpose", k, perm=[*range(rank - 2), rank - 1, rank - 2])
    scores = e.op("MatMul", e.op("Mul", q, e.constant(a["scale"], dtype)), turned)
    nothing = e.constant(-np.inf, dtype)
    if a["causal"]:
        n, m = node.inputs[0].shape[-2], node.inputs[1].shape[-2]
        if isinstance(n, Rows) or isinstance(m, Rows):
            raise refuse(node, "the length of the sequences depends on the number of rows")
        scores = e.op("Where", e.constant(np.tri(n, m, m - n, dtype=bool)), scores, nothing)
    if more:
        if node.inputs[3].dtype == np.bool_:
            scores = e.op("Where", more[0], scores, nothing)
        else:
            scores = e.op("Add", scores, more[0])
    weights = e.op("Softmax", scores, axis=-1)
    if more or a["causal"]:  # of a query with every key masked: no weights
        top = e.reduce("ReduceMax", scores, [-1], keep=True)
        nowhere = e.op("Equal", top, nothing)
        weights = e.op("Where", nowhere, e.constant(0.0, dtype), weights)
    result = e.op("MatMul", weights, v)
    return (result, logsumexp(e, scores, [-1], dtype)) if 1 in node.parts else (result, "")


PRODUCTS: Mapping[str, Lowering] = {
    "matmul": _matmul,
    "det": _det,
    "embedding_bag": _embedding_bag,
    "attention": _attention,
}
