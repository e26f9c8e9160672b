"""Sums and extremes along axes, products, and losses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .....engine import ops
from .....engine.tensor import Tensor, as_tensor
from ..values import Value, value_of, wrapped
from .calls import Call, operator


def _log_sum(x: Tensor, axis: Any, keep: bool) -> Tensor:
    return ops.log(ops.sum(x, axis, keep))


_REDUCTIONS = {
    "ReduceSum": ops.sum, "ReduceMean": ops.mean, "ReduceMax": ops.max, "ReduceMin": ops.min,
    "ReduceProd": ops.prod, "ReduceL1": lambda x, a, k: ops.sum(ops.abs(x), a, k),
    "ReduceL2": lambda x, a, k: ops.sqrt(ops.sum(x * x, a, k)),
    "ReduceSumSquare": lambda x, a, k: ops.sum(x * x, a, k), "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": ops.logsumexp,
}  # fmt: skip
#: The result of no elements, where it has a name.
_OF_NOTHING = {"ReduceMax": -math.inf, "ReduceMin": math.inf, "ReduceLogSum": -math.inf,
               "ReduceLogSumExp": -math.inf, "ReduceMean": math.nan}  # fmt: skip


@operator(*_REDUCTIONS, static=(1,))
def _reduce(c: Call) -> Any:
    x = c[0]
    axes = c.list_of("axes", 1)
    if not axes and c.attribute("noop_with_empty_axes"):
        return _of_each(c, x)
    axes = [a % max(x.ndim, 1) for a in axes] if axes else list(range(x.ndim))
    keep = bool(c.attribute("keepdims", 1))
    if c.kind in _OF_NOTHING and any(x.shape[a] == 0 for a in axes):
        shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes]
        value: Any = _OF_NOTHING[c.kind]
        if x.dtype == np.bool_:
            value = value > 0
        if x.dtype.kind in "iu":
            info = np.iinfo(x.dtype)
            value = info.min if value < 0 else info.max
        return ops.full(shape, value, x.dtype)
    found = _REDUCTIONS[c.kind](x, tuple(axes), keep)
    if x.dtype.kind != "f":
        found = as_tensor(found, x.dtype)
    return found if x.dtype.kind in "fb" else wrapped(found, c.dtype())


def _of_each(c: Call, x: Tensor) -> Any:
    """Over no axis: what is done with each element."""
    each = {"ReduceL1": ops.abs, "ReduceL2": ops.abs, "ReduceSumSquare": lambda x: x * x,
            "ReduceLogSum": ops.log}  # fmt: skip
    return each.get(c.kind, lambda x: x)(x)


@operator("ArgMax", "ArgMin")
def _arg(c: Call) -> Any:
    axis, keep = c.axis(), bool(c.attribute("keepdims", 1))
    x = c[0]
    choose = ops.argmax if c.kind == "ArgMax" else ops.argmin
    if c.attribute("select_last_index"):
        found = x.shape[axis] - 1 - choose(ops.flip(x, axis), axis, keep)
    else:
        found = choose(x, axis, keep)
    return Value(found, np.dtype(np.int64))


@operator("CumSum", "CumProd", static=(1,))
def _cumulative(c: Call) -> Any:
    axis = int(c.static(1).ravel()[0]) % c[0].ndim
    x, back = c[0], bool(c.attribute("reverse"))
    x = ops.flip(x, axis) if back else x
    found = (ops.cumsum if c.kind == "CumSum" else ops.cumprod)(x, axis)
    if c.attribute("exclusive"):
        start = ops.full_like(x, 0 if c.kind == "CumSum" else 1)
        first = (slice(None),) * axis
        found = ops.concatenate([start[(*first, slice(0, 1))], found[(*first, slice(0, -1))]], axis)
    return ops.flip(found, axis) if back else found


@operator("MatMul")
def _matmul(c: Call) -> Any:
    return ops.matmul(c[0], c[1])


@operator("MatMulInteger")
def _matmul_integer(c: Call) -> Any:
    a, b = (as_tensor(c[i], "int64") for i in (0, 1))
    if c.has(2):
        zero = as_tensor(c[2], "int64")
        a = a - (ops.reshape(zero, (-1, 1)) if zero.ndim == 1 and zero.shape[0] > 1 else zero)
    if c.has(3):
        b = b - as_tensor(c[3], "int64")
    return Value(as_tensor(ops.matmul(a, b), "int32"), np.dtype(np.int32))


@operator("Gemm")
def _gemm(c: Call) -> Any:
    a = ops.transpose(c[0]) if c.attribute("transA") else c[0]
    b = ops.transpose(c[1]) if c.attribute("transB") else c[1]
    alpha, beta = c.attribute("alpha", 1.0), c.attribute("beta", 1.0)
    y = ops.matmul(a, b)
    y = y if alpha == 1 else as_tensor(alpha, y.dtype) * y
    if not c.has(2) or beta == 0:
        return y
    return y + (c[2] if beta == 1 else as_tensor(beta, y.dtype) * c[2])


@operator("Einsum")
def _einsum(c: Call) -> Any:
    equation = str(c.attributes["equation"]).replace(" ", "")
    return ops.einsum(_without_dots(equation, c), *c.all())


def _without_dots(equation: str, c: Call) -> str:
    """Letters in place of an ellipsis, and the result that is meant if none is written."""
    terms, arrow, result = equation.partition("->")
    operands = terms.split(",")
    if "..." in equation:
        spare = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in equation]
        rank = max(c[i].ndim - len(t.replace("...", "")) for i, t in enumerate(operands))
        for i, term in enumerate(operands):
            own = c[i].ndim - len(term.replace("...", ""))
            operands[i] = term.replace("...", "".join(spare[rank - own : rank]))
        result = result.replace("...", "".join(spare[:rank]))
        if not arrow:
            result = "".join(spare[:rank])
    if not arrow:
        letters = "".join(terms.replace(".", "").split(","))
        result += "".join(sorted({x for x in letters if letters.count(x) == 1}))
    return ",".join(operands) + "->" + result


@operator("Det")
def _det(c: Call) -> Any:
    return ops.linalg.det(c[0])


@operator("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def _nll(c: Call) -> Any:
    """Scores are (rows, classes, …), classes (rows, …)."""
    scores = c[0]
    log_prob = ops.log_softmax(scores, 1) if c.kind == "SoftmaxCrossEntropyLoss" else scores
    target = as_tensor(c[1], "int64")
    ignored = c.attribute("ignore_index")
    counted = ops.ones(target.shape, scores.dtype)
    if ignored is not None:
        there = ops.not_equal(target, int(ignored))
        counted, target = as_tensor(there, scores.dtype), ops.where(there, target, 0)
    weights = counted * ops.take(c[2], target, 0) if c.has(2) else counted
    picked = ops.squeeze(ops.take_along_axis(log_prob, ops.expand_dims(target, 1), 1), 1)
    loss = -picked * weights
    how = c.attribute("reduction", "mean")
    if how == "mean":
        loss = ops.sum(loss) / ops.sum(weights)
    elif how == "sum":
        loss = ops.sum(loss)
    return [loss, log_prob] if c.outputs > 1 else loss


@operator("LpNormalization")
def _lp_normalization(c: Call) -> Any:
    axis, p = c.axis(default=-1), c.attribute("p", 2)
    size = (
        ops.sum(ops.abs(c[0]), axis, True) if p == 1 else ops.sqrt(ops.sum(c[0] ** 2, axis, True))
    )
    return ops.where(size > 0, c[0] / ops.where(size > 0, size, 1.0), 0.0)


@operator("MeanVarianceNormalization")
def _mvn(c: Call) -> Any:
    axes = tuple(int(a) for a in c.attribute("axes", [0, 2, 3]))
    x = c[0] - ops.mean(c[0], axes, True)
    return x / (ops.sqrt(ops.mean(x * x, axes, True)) + 1e-9)


@operator("BlackmanWindow", "HammingWindow", "HannWindow", static=(0,))
def _window(c: Call) -> Any:
    size = int(c.static(0).ravel()[0])
    n = size if c.attribute("periodic", 1) else size - 1
    angle = 2 * np.pi * np.arange(size) / n
    terms = {"HannWindow": (0.5, 0.5, 0.0), "HammingWindow": (25 / 46, 21 / 46, 0.0),
             "BlackmanWindow": (0.42, 0.5, 0.08)}[c.kind]  # fmt: skip
    found = terms[0] - terms[1] * np.cos(angle) + terms[2] * np.cos(2 * angle)
    return value_of(found.astype(np.dtype(c.attribute("output_datatype", np.float32))))
