"""Integers that stand for real numbers: x = (q - zero point)·scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from .....engine import ops
from .....engine.tensor import Tensor, as_tensor
from ..values import Value
from .calls import Call, operator
from .windows import convolved


def _along(c: Call, x: Tensor, part: Tensor) -> Tensor:
    """A scale or zero point as it meets x: one, one for each index of an axis, or of a block."""
    if not part.ndim or part.shape == (1,):
        return ops.reshape(part, ())
    axis = c.axis(default=1, rank=x.ndim)
    if part.ndim == 1:
        view = [1] * x.ndim
        view[axis] = part.shape[0]
        return ops.reshape(part, view)
    size = int(c.attribute("block_size", 0))
    if not size:
        raise c.error("Scales have the shape of a block.", str(part.shape))
    whole = ops.repeat(part, size, axis)
    return whole[(slice(None),) * axis + (slice(0, x.shape[axis]),)]


def _limits(dtype: Any) -> tuple[int, int]:
    info = np.iinfo(np.dtype(dtype))
    return int(info.min), int(info.max)


def _quantised(x: Tensor, scale: Tensor, zero: Tensor, dtype: Any) -> Value:
    low, high = _limits(dtype)
    found = ops.round(x / scale) + as_tensor(zero, x.dtype)
    return Value(as_tensor(ops.clip(found, float(low), float(high)), "int64"), np.dtype(dtype))


@operator("QuantizeLinear")
def _quantize(c: Call) -> Any:
    x = as_tensor(c[0], "float32")
    dtype = c.dtype(2) if c.has(2) else np.dtype(c.attribute("output_dtype", np.uint8))
    if np.dtype(dtype).kind not in "iu":
        raise c.error("An element type of ONNX that is not read.", np.dtype(dtype).name)
    zero = c[2] if c.has(2) else as_tensor(np.zeros(c[1].shape, np.int64))
    scale = as_tensor(_along(c, x, c[1]), "float32")
    return _quantised(x, scale, _along(c, x, zero), dtype)


@operator("DequantizeLinear")
def _dequantize(c: Call) -> Any:
    x = c[0]
    scale = _along(c, x, c[1])
    found = as_tensor(x, scale.dtype)
    if c.has(2):
        found = found - as_tensor(_along(c, x, c[2]), scale.dtype)
    return Value(found * scale, c.dtype(1))


@operator("DynamicQuantizeLinear")
def _dynamic(c: Call) -> Any:
    x = c[0]
    low, high = ops.minimum(ops.min(x), 0.0), ops.maximum(ops.max(x), 0.0)
    scale = (high - low) / 255
    zero = ops.round(ops.clip(-low / scale, 0.0, 255.0))
    return [_quantised(x, scale, zero, np.uint8), Value(scale, np.dtype(np.float32)),
            Value(as_tensor(zero, "int64"), np.dtype(np.uint8))]  # fmt: skip


@operator("QLinearMatMul")
def _q_matmul(c: Call) -> Any:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = (c[i] for i in range(8))
    real = [
        as_tensor(q, "float64") - as_tensor(z, "float64") for q, z in ((a, a_zero), (b, b_zero))
    ]
    scale = as_tensor(a_scale, "float64") * as_tensor(b_scale, "float64")
    found = ops.matmul(*real) * scale
    return _quantised(found, as_tensor(y_scale, "float64"), y_zero, c.dtype(7))


@operator("QLinearConv")
def _q_conv(c: Call) -> Any:
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = (c[i] for i in range(8))
    image = as_tensor(x, "float64") - as_tensor(x_zero, "float64")
    view = (-1, *(1,) * (w.ndim - 1))
    zero = as_tensor(w_zero, "float64")
    kernel = as_tensor(w, "float64") - (ops.reshape(zero, view) if zero.ndim else zero)
    y = convolved(c, image, kernel)
    if c.has(8):
        y = y + ops.reshape(as_tensor(c[8], "float64"), (-1, *(1,) * (y.ndim - 2)))
    scale = as_tensor(w_scale, "float64")
    scale = ops.reshape(scale, (-1, *(1,) * (y.ndim - 2))) if scale.ndim else scale
    real = y * scale * as_tensor(x_scale, "float64")
    return _quantised(real, as_tensor(y_scale, "float64"), y_zero, c.dtype(7))
