"""Operators on elements."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .....engine import ops
from .....engine.tensor import Tensor, as_tensor
from ..values import Value, kept_as, wrapped
from .calls import Call, operator

_UNARY = {
    "Abs": ops.abs, "Acos": ops.arccos, "Acosh": ops.arccosh, "Asin": ops.arcsin,
    "Asinh": ops.arcsinh, "Atan": ops.arctan, "Atanh": ops.arctanh, "Ceil": ops.ceil,
    "Cos": ops.cos, "Cosh": ops.cosh, "Erf": ops.erf, "Exp": ops.exp, "Floor": ops.floor,
    "HardSwish": lambda x: x * ops.clip(x / 6 + 0.5, 0.0, 1.0), "Identity": lambda x: x,
    "IsNaN": ops.isnan, "Log": ops.log, "Mish": ops.mish, "Neg": ops.negative,
    "Not": ops.logical_not, "Reciprocal": ops.reciprocal, "Relu": lambda x: ops.maximum(x, 0),
    "Round": ops.round, "Sigmoid": ops.sigmoid, "Sign": ops.sign, "Sin": ops.sin,
    "Sinh": ops.sinh, "Softplus": ops.softplus, "Softsign": ops.softsign, "Sqrt": ops.sqrt,
    "Tan": ops.tan, "Tanh": ops.tanh,
}  # fmt: skip


def _enter_unary(function: Callable[[Any], Tensor]) -> Callable[[Call], Any]:
    def handler(c: Call) -> Any:
        x = c[0]
        result = function(x)
        return result if result.dtype == np.bool_ else wrapped(result, c.dtype())

    return handler


for _name, _function in _UNARY.items():
    operator(_name)(_enter_unary(_function))


def broadcast(c: Call, *operands: Tensor) -> list[Tensor]:
    """Operands of old versions, whose second one may lie at an axis of the first."""
    a, *rest = operands
    if c.attribute("broadcast") and rest and "axis" in c.attributes:
        (b,) = rest
        behind = a.ndim - c.axis(rank=a.ndim) - b.ndim
        rest = [ops.reshape(b, (*b.shape, *(1,) * behind))]
    return [a, *rest]


def _binary(function: Callable[[Any, Any], Tensor]) -> Callable[[Call], Any]:
    def handler(c: Call) -> Any:
        a, b = broadcast(c, c[0], c[1])
        result = function(a, b)
        return result if result.dtype == np.bool_ else wrapped(result, c.dtype())

    return handler


def _divide(a: Tensor, b: Tensor) -> Tensor:
    """Integers are divided towards zero."""
    if a.dtype.kind == "f":
        return a / b
    quotient = ops.floor_divide(ops.abs(a), ops.abs(b))
    return quotient * ops.sign(a) * ops.sign(b)


def _equal(a: Tensor, b: Tensor) -> Tensor:
    return ops.equal(a, b)


for _name, _two in {
    "Add": ops.add, "Sub": ops.subtract, "Mul": ops.multiply, "Div": _divide, "Equal": _equal,
    "Less": ops.less, "LessOrEqual": ops.less_equal, "Greater": ops.greater,
    "GreaterOrEqual": ops.greater_equal, "And": ops.logical_and, "Or": ops.logical_or,
    "Xor": ops.logical_xor, "BitwiseAnd": lambda a, b: a & b, "BitwiseOr": lambda a, b: a | b,
    "BitwiseXor": lambda a, b: a ^ b,
}.items():  # fmt: skip
    operator(_name)(_binary(_two))


@operator("Pow")
def _pow(c: Call) -> Any:
    a, b = broadcast(c, c[0], c[1])
    if a.dtype.kind == "f":
        return ops.power(a, as_tensor(b, a.dtype))
    if b.dtype.kind == "f":
        found = ops.power(as_tensor(a, "float64"), as_tensor(b, "float64"))
        return Value(wrapped(as_tensor(found, a.dtype), c.dtype()), c.dtype())
    return wrapped(ops.power(a, as_tensor(b, a.dtype)), c.dtype())


@operator("BitwiseNot")
def _bitwise_not(c: Call) -> Any:
    return wrapped(-c[0] - 1, c.dtype())


@operator("BitShift")
def _bit_shift(c: Call) -> Any:
    x, by = c[0], as_tensor(c[1], "int64")
    size = 8 * np.dtype(c.dtype()).itemsize
    if size == 64:  # as such integers are kept with a sign
        return _shift_of_64(c)
    x = as_tensor(x, "int64")
    inside = ops.logical_and(by >= 0, by < size)
    factor = ops.power(as_tensor(2, "int64"), ops.where(inside, by, 0))
    if c.attribute("direction") == "LEFT":
        found, beyond = _modulo(x * factor, size), as_tensor(0)
    else:  # the sign fills up from the left
        found, beyond = ops.floor_divide(x, factor), ops.where(x < 0, -1, 0)
    found = ops.where(inside, found, beyond)
    found = wrapped(found, c.dtype())
    return Value(as_tensor(found, kept_as(c.dtype())), c.dtype())


def _modulo(x: Tensor, bits: int) -> Tensor:
    """The lowest bits of integers, with a sign."""
    half = 2 ** (bits - 1)
    return ops.remainder(x + half, 2 * half) - half


def _shift_of_64(c: Call) -> Any:
    x, by = (c.static(i).astype(np.uint64) for i in (0, 1))
    shift = np.left_shift if c.attribute("direction") == "LEFT" else np.right_shift
    found = np.where(by < 64, shift(x, np.minimum(by, np.uint64(63))), np.uint64(0))
    return Value(as_tensor(found.astype(np.int64)), c.dtype())


def _folded(function: Callable[[Any, Any], Tensor]) -> Callable[[Call], Any]:
    return lambda c: wrapped(functools.reduce(function, c.all()), c.dtype())


for _name, _many in {"Max": ops.maximum, "Min": ops.minimum, "Sum": ops.add}.items():
    operator(_name)(_folded(_many))


@operator("Mean")
def _mean(c: Call) -> Any:
    return functools.reduce(ops.add, c.all()) / len(c.all())


@operator("Mod")
def _mod(c: Call) -> Any:
    a, b = c[0], c[1]
    return ops.fmod(a, b) if c.attribute("fmod") else ops.remainder(a, b)


@operator("Where")
def _where(c: Call) -> Any:
    return Value(ops.where(c[0], c[1], c[2]), c.dtype(1))


@operator("IsInf")
def _isinf(c: Call) -> Any:
    up, down = c.attribute("detect_positive", 1), c.attribute("detect_negative", 1)
    x = c[0]
    found = ops.isinf(x)
    if not up:
        found = ops.logical_and(found, x < 0)
    return found if down else ops.logical_and(found, x > 0)


@operator("Clip", static=(1, 2))
def _clip(c: Call) -> Any:
    low, high = c.attribute("min"), c.attribute("max")
    x = c[0]
    low = c[1] if c.has(1) else low
    high = c[2] if c.has(2) else high
    for limit, choose in ((low, ops.maximum), (high, ops.minimum)):
        if limit is not None:
            x = choose(x, as_tensor(limit, x.dtype))
    return x


@operator("Cast", "CastLike", static=())
def _cast(c: Call) -> Any:
    to = c.attributes["to"] if c.kind == "Cast" else c.dtype(1)
    return Value(converted(c[0], c.dtype(), to), np.dtype(to))


def converted(x: Tensor, from_: Any, to: Any) -> Tensor:
    """Another element type of ONNX."""
    to = np.dtype(to)
    kept = kept_as(to)
    if to.kind in "iu" and x.dtype.kind == "f":
        x = as_tensor(ops.trunc(x), "int64")
    elif to.name in ("float16", "bfloat16") and x.node.value is not None:
        return as_tensor(np.asarray(x.node.value).astype(to).astype(np.float32))
    found = as_tensor(x, kept) if x.dtype != kept else x
    return wrapped(found, to) if to.kind in "iu" else found


@operator("BitCast")
def _bitcast(c: Call) -> Any:
    to = np.dtype(c.attributes["to"])
    x = c.static(0).astype(c.dtype())
    found = np.ascontiguousarray(x).view(to).reshape(x.shape)
    return Value(as_tensor(found.astype(kept_as(to))), to)


# ---- activations ---------------------------------------------------------------------------------


@operator("Elu")
def _elu(c: Call) -> Any:
    return ops.elu(c[0], c.attribute("alpha", 1.0))


@operator("Celu")
def _celu(c: Call) -> Any:
    return ops.celu(c[0], c.attribute("alpha", 1.0))


@operator("LeakyRelu")
def _leaky(c: Call) -> Any:
    return ops.leaky_relu(c[0], c.attribute("alpha", 0.01))


@operator("Selu")
def _selu(c: Call) -> Any:
    alpha = c.attribute("alpha", 1.67326319217681884765625)
    gamma = c.attribute("gamma", 1.05070102214813232421875)
    return gamma * ops.elu(c[0], alpha)


@operator("HardSigmoid")
def _hard_sigmoid(c: Call) -> Any:
    return ops.clip(c.attribute("alpha", 0.2) * c[0] + c.attribute("beta", 0.5), 0.0, 1.0)


@operator("ThresholdedRelu")
def _thresholded(c: Call) -> Any:
    return ops.threshold(c[0], c.attribute("alpha", 1.0), 0.0)


@operator("Shrink")
def _shrink(c: Call) -> Any:
    x = c[0]
    limit, bias = c.attribute("lambd", 0.5), c.attribute("bias", 0.0)
    kind = x.dtype
    x = as_tensor(x, "float64") if kind.kind != "f" else x
    found = ops.where(x > limit, x - bias, ops.where(x < -limit, x + bias, x * 0))
    return Value(as_tensor(found, kind), c.dtype())


@operator("Gelu")
def _gelu(c: Call) -> Any:
    return ops.gelu(c[0], c.attribute("approximate", "none"))


@operator("Swish")
def _swish(c: Call) -> Any:
    return c[0] * ops.sigmoid(c.attribute("alpha", 1.0) * c[0])


@operator("SwiGLU")
def _swiglu(c: Call) -> Any:
    gate, up = c[0], c[1]
    return gate * ops.sigmoid(c.attribute("alpha", 1.0) * gate) * up


@operator("PRelu")
def _prelu(c: Call) -> Any:
    x, slope = c[0], c[1]
    if c.opset < 9 and slope.ndim == 1 and x.ndim > 2:
        slope = ops.reshape(slope, (-1, *(1,) * (x.ndim - 2)))
    return ops.where(x < 0, x * slope, x)


@operator("Softmax", "LogSoftmax", "Hardmax")
def _softmax(c: Call) -> Any:
    """Before version 13 over all axes from one on."""
    x = c[0]
    new = c.opset >= 13
    axis = c.axis(default=-1 if new else 1)
    shape = x.shape
    if not new:
        x = ops.reshape(x, (math.prod(shape[:axis]), -1))
        axis = 1
    if c.kind == "Hardmax":
        best = ops.argmax(x, axis, keepdims=True)
        where = [1] * x.ndim
        where[axis] = x.shape[axis]
        found = as_tensor(ops.equal(ops.reshape(ops.arange(x.shape[axis]), where), best), x.dtype)
    else:
        found = (ops.softmax if c.kind == "Softmax" else ops.log_softmax)(x, axis)
    return ops.reshape(found, shape)
