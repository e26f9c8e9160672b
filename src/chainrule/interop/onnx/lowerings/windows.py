"""Windows that slide over images: convolution and pooling.

chainrule's images are (batch, *extents, channels), ONNX's (batch, channels, *extents): the axes of
images are exchanged around each operator, which runtimes merge, and those of constant weights when
they are written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..emitter import Emitter
from ..symbolic import SymbolicNode
from .arrangement import pad
from .elementwise import Lowering


def _channels_first(e: Emitter, x: str, rank: int) -> str:
    return e.op("Transpose", x, perm=[0, rank - 1, *range(1, rank - 1)])


def _channels_last(e: Emitter, x: str, rank: int) -> str:
    return e.op("Transpose", x, perm=[0, *range(2, rank), 1])


def _in_single(e: Emitter, node: SymbolicNode, made: Any, *operands: str) -> str:
    """Runtimes have these operators for float32."""
    if node.dtype == np.float64:
        return e.cast(made(*[e.cast(x, np.float32) for x in operands]), np.float64)
    return str(made(*operands))


def _weights(e: Emitter, node: SymbolicNode, w: str) -> str:
    """(*window, inputs, outputs) → (outputs, inputs, *window)."""
    operand = node.inputs[1]
    rank = len(operand.shape)
    return e.arranged(w, [rank - 1, rank - 2, *range(rank - 2)], operand.value)


def _dilation(attributes: Mapping[str, Any]) -> Sequence[int]:
    return attributes.get("dilation", (1,) * len(attributes["stride"]))


def _slide(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "strides": list(attributes["stride"]),
        "pads": [*attributes["before"], *attributes["after"]],
        "dilations": list(_dilation(attributes)),
    }


def _convolution(e: Emitter, node: SymbolicNode, x: str, w: str) -> str:
    rank, a = len(node.shape), node.attributes
    window = list(node.inputs[1].shape[:-2])

    def made(x: str, w: str) -> str:
        return e.op("Conv", _channels_first(e, x, rank), w, kernel_shape=window,
                    group=a["groups"], **_slide(a))  # fmt: skip

    return _channels_last(e, _in_single(e, node, made, x, _weights(e, node, w)), rank)


def _transposed_convolution(e: Emitter, node: SymbolicNode, g: str, w: str) -> str:
    window = node.inputs[1].shape[:-2]

    def made(g: str, w: str) -> str:
        return _transposed(e, node, g, w, window, node.attributes["groups"])

    return _channels_last(e, _in_single(e, node, made, g, _weights(e, node, w)), len(node.shape))


def _transposed(
    e: Emitter, node: SymbolicNode, g: str, w: str, window: Sequence[Any], groups: Any
) -> str:
    """ConvTranspose gives stride·(places - 1) + span elements; what is too much is cut behind."""
    a, rank = node.attributes, len(node.shape)
    after, more = [], []
    axes = zip(node.inputs[0].shape[1:-1], window, a["stride"], _dilation(a), a["before"],
               a["extents"], strict=True)  # fmt: skip
    for places, size, stride, gap, before, extent in axes:
        excess = stride * (places - 1) + gap * (size - 1) + 1 - before - extent
        after.append(max(excess, 0))
        more.append(max(-excess, 0))
    return e.op(
        "ConvTranspose", _channels_first(e, g, rank), w, kernel_shape=list(window),
        strides=list(a["stride"]), dilations=list(_dilation(a)),
        pads=[*a["before"], *after], output_padding=more if any(more) else None, group=groups,
    )  # fmt: skip


def _ones(e: Emitter, channels: Any, window: Sequence[int]) -> str:
    return e.constant(np.ones((channels, 1, *window), np.float32))


def _sum_pool(e: Emitter, node: SymbolicNode, x: str) -> str:
    """Means times the number of elements; with dilation a convolution with ones, by channel."""
    rank, a = len(node.shape), node.attributes
    window = a["window"]
    dilated = any(gap > 1 for gap in _dilation(a))
    wide = any(p >= k for p, k in zip((*a["before"], *a["after"]), window * 2, strict=True))

    def made(x: str) -> str:
        first = _channels_first(e, x, rank)
        if dilated or wide:
            channels = node.shape[-1]
            return e.op("Conv", first, _ones(e, channels, window), kernel_shape=list(window),
                        group=channels, **_slide(a))  # fmt: skip
        means = e.op("AveragePool", first, kernel_shape=list(window), strides=list(a["stride"]),
                     pads=[*a["before"], *a["after"]], count_include_pad=1)  # fmt: skip
        return e.op("Mul", means, e.constant(math.prod(window), np.float32))

    return _channels_last(e, _in_single(e, node, made, x), rank)


def _sum_unpool(e: Emitter, node: SymbolicNode, g: str) -> str:
    window, channels = node.attributes["window"], node.shape[-1]

    def made(g: str) -> str:
        return _transposed(e, node, g, _ones(e, channels, window), window, channels)

    return _channels_last(e, _in_single(e, node, made, g), len(node.shape))


def _max_pool(e: Emitter, node: SymbolicNode, x: str) -> str:
    rank, a = len(node.shape), node.attributes
    slide = _slide(a)
    wide = any(p >= k for p, k in zip(slide["pads"], a["window"] * 2, strict=True))
    if wide:  # runtimes refuse windows that may lie in the margin as a whole
        x = pad(e, x, (0, *a["before"], 0), (0, *a["after"], 0), -np.inf, node.dtype)
        slide["pads"] = [0] * len(slide["pads"])
    first = _channels_first(e, x, rank)
    found = e.op("MaxPool", first, kernel_shape=list(a["window"]), **slide)
    return _channels_last(e, found, rank)


WINDOWS: Mapping[str, Lowering] = {
    "convolution": _convolution,
    "transposed_convolution": _transposed_convolution,
    "sum_pool": _sum_pool,
    "sum_unpool": _sum_unpool,
    "max_pool": _max_pool,
}
