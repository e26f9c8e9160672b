"""Sums, extremes, softmax, and what accumulates along an axis."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ..declarations import refuse
from ..emitter import Emitter, Rows
from ..symbolic import SymbolicNode
from .arrangement import pad
from .elementwise import Lowering


def _reduce(operator: str, e: Emitter, node: SymbolicNode, x: str) -> str:
    axes = node.attributes["axes"]
    if node.dtype.kind in "bu" and axes:
        wide = e.reduce(operator, e.cast(x, np.int64), axes)
        if node.dtype == np.uint32:
            wide = e.op("Mod", wide, e.constant(2**32, np.int64))
        return e.cast(wide, node.dtype)
    return e.reduce(operator, x, axes)


def logsumexp(e: Emitter, x: str, axes: Any, dtype: Any, keep: bool = False) -> str:
    """ln Σ exp(x), with the largest element taken out first."""
    top = e.reduce("ReduceMax", x, axes, keep=True)
    zero = e.constant(0.0, dtype)
    wild = e.op("Or", e.op("IsInf", top), e.op("IsNaN", top))
    safe = e.op("Where", wild, zero, top)
    total = e.reduce("ReduceSum", e.op("Exp", e.op("Sub", x, safe)), axes, keep=True)
    found = e.op("Add", safe, e.op("Log", total))
    return found if keep else e.squeeze(found, *axes)


def _logsumexp(e: Emitter, node: SymbolicNode, x: str) -> str:
    axes = node.attributes["axes"]
    return logsumexp(e, x, axes, node.dtype) if axes else x


def _softmax(operator: str, e: Emitter, node: SymbolicNode, x: str) -> str:
    return e.op(operator, x, axis=node.attributes["axis"])


def _cumsum(e: Emitter, node: SymbolicNode, x: str) -> str:
    a = node.attributes
    return e.op("CumSum", x, e.constant(a["axis"], np.int64), reverse=int(a["reverse"]))


def _cumulative(operator: str, identity: float, e: Emitter, node: SymbolicNode, x: str) -> str:
    """By doubling: after step s each element combines 2ˢ elements up to itself."""
    axis = node.attributes["axis"]
    extent = node.shape[axis]
    if isinstance(extent, Rows):
        raise refuse(node, "it runs along the rows")
    dtype = node.dtype
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        value: Any = int(np.clip(identity, limits.min, limits.max))
    else:
        value = identity
    before = [0] * len(node.shape)
    reach = 1
    while reach < extent:
        before[axis] = reach
        cut = e.op("Slice", x, e.ints([0]), e.ints([extent - reach]), e.ints([axis]))
        x = e.op(operator, x, pad(e, cut, before, [0] * len(before), value, dtype))
        reach *= 2
    return x


def _argmax(e: Emitter, node: SymbolicNode, x: str) -> str:
    if node.inputs[0].dtype.kind in "bu":
        x = e.cast(x, np.int64)
    return e.op("ArgMax", x, axis=node.attributes["axis"], keepdims=0)


REDUCTIONS: Mapping[str, Lowering] = {
    "sum": partial(_reduce, "ReduceSum"),
    "max": partial(_reduce, "ReduceMax"),
    "min": partial(_reduce, "ReduceMin"),
    "prod": partial(_reduce, "ReduceProd"),
    "logsumexp": _logsumexp,
    "softmax": partial(_softmax, "Softmax"),
    "log_softmax": partial(_softmax, "LogSoftmax"),
    "cumsum": _cumsum,
    "cumprod": partial(_cumulative, "Mul", 1.0),
    "cummax": partial(_cumulative, "Max", -np.inf),
    "cummin": partial(_cumulative, "Min", np.inf),
    "argmax": _argmax,
}
