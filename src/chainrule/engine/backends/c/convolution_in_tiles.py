"""Convolutions of numbers rounded to bfloat16 in tile registers: see `kernels.tile_convolution`.

As with products (`in_tiles`) the copies are nodes, so that convolutions and gradients share them.
No graph of a user has these operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ir.node import Node
from ...ir.operation import Operation
from ...ir.types import Type, float32, uint32
from ...ops.convolution import CONVOLUTION, CONVOLUTION_WEIGHTS, TRANSPOSED_CONVOLUTION
from .kernels.tile_windows import Slide, Windows, tiles
from .kernels.tiles import WORDS

#: A sum of fewer products is mostly padding in tiles, and fewer multiplications are mostly copies.
_SHORT, _FEW = 16, 1 << 17
#: The gradient of the weights has a row of a tile for each channel of the image.
_FEW_ROWS = 16


def _rows_type(x: Type, *, windows: Windows) -> Type:
    return Type(uint32, (windows.size // 2,))


def _weights_type(w: Type, *, windows: Windows, back: bool) -> Type:
    return Type(uint32, (tiles(windows.outputs) * windows.cut.chunks * WORDS,))


def _channels_type(x: Type, *, windows: Windows) -> Type:
    lines = windows.blocks * windows.planes * tiles(windows.channels) * 16
    return Type(uint32, (lines * windows.line // 2,))


def _places_type(g: Type, *, windows: Windows) -> Type:
    return Type(uint32, (windows.blocks * windows.block // 32 * tiles(windows.outputs) * WORDS,))


def _sums_type(a: Type, b: Type, *, windows: Windows) -> Type:
    raise AssertionError("its type is that of the convolution that it was")


#: The image, rounded to bfloat16, with zeros around it.
ROWS = Operation("window_rows", _rows_type, None, formula="bf16({0})")
#: Weights, rounded to bfloat16, in tiles.
WEIGHTS = Operation("window_weights", _weights_type, None, formula="bf16({0})")
#: The image, rounded to bfloat16, channel by channel.
CHANNELS = Operation("window_channels", _channels_type, None, formula="bf16({0})")
#: The gradient of the output, rounded to bfloat16, in tiles.
PLACES = Operation("place_tiles", _places_type, None, formula="bf16({0})")
#: A convolution, or its transpose, of what these copied.
TILE_CONVOLUTION = Operation("tile_convolution", _sums_type, None, formula="{0} ∗ {1}")
#: The gradient of its weights.
TILE_WEIGHTS = Operation("tile_weights", _sums_type, None, formula="{0} ⋆ {1}")

#: From a kind of copy, what is copied and how, to the one node of that.
Copies = Callable[..., Node]


def is_convolution(node: Node) -> bool:
    """Whether it is one of those that may go through tiles: of float32, without groups."""
    ops = CONVOLUTION, TRANSPOSED_CONVOLUTION, CONVOLUTION_WEIGHTS
    if node.op not in ops or node.type.dtype != float32 or node.attributes["groups"] != 1:
        return False
    return len(node.type.shape) <= 4


def convolution_in_tiles(node: Node, a: Node, b: Node, copied: Copies) -> Node:
    """A convolution of these two before they were rounded; itself where tiles do not pay."""
    if node.op is CONVOLUTION_WEIGHTS:
        return _gradient_of_weights(node, a, b, copied)
    back = node.op is TRANSPOSED_CONVOLUTION
    windows = _turned(node) if back else _windows(node, a, b.type.shape[:-2], node.type)
    work = node.type.size * windows.taps * windows.channels
    if windows.taps * windows.channels < _SHORT or work < _FEW:
        return node
    image = copied(ROWS, a, windows=_any_outputs(windows))
    weights = copied(WEIGHTS, b, windows=windows, back=back)
    return _made(TILE_CONVOLUTION, node, image, weights, windows)


def _gradient_of_weights(node: Node, x: Node, g: Node, copied: Copies) -> Node:
    windows = _windows(node, x, node.attributes["window"], g.type)
    work = g.type.size * windows.taps * windows.channels
    if windows.channels < _FEW_ROWS or work < _FEW:
        return node
    image = copied(CHANNELS, x, windows=windows)
    places = copied(PLACES, g, windows=windows)
    return _made(TILE_WEIGHTS, node, image, places, windows)


def _made(op: Operation, node: Node, a: Node, b: Node, windows: Windows) -> Node:
    return Node(op, (a, b), {"windows": windows}, node.type, None, 0, node.origin)


def _any_outputs(windows: Windows) -> Windows:
    """What is copied of an image does not depend on them."""
    return Windows(windows.batch, windows.channels, 1, windows.high, windows.wide)


def _windows(node: Node, x: Node, window: tuple[int, ...], y: Type) -> Windows:
    how = node.attributes
    axes = [
        Slide(extent, 1, before, places, size, stride, dilation)
        for extent, before, places, size, stride, dilation in zip(
            x.type.shape[1:-1], how["before"], y.shape[1:-1], window, how["stride"],
            how["dilation"], strict=True,
        )
    ]  # fmt: skip
    return _two(x.type, axes, y.shape[-1])


def _turned(node: Node) -> Windows:
    """What a transposed convolution is: one with the window turned around and stride 1."""
    how, (g, w) = node.attributes, node.inputs
    axes = [
        Slide(extent, stride, (size - 1) * dilation - before, places, size, 1, dilation)
        for extent, before, places, size, stride, dilation in zip(
            g.type.shape[1:-1], how["before"], how["extents"], w.type.shape[:-2], how["stride"],
            how["dilation"], strict=True,
        )
    ]  # fmt: skip
    return _two(g.type, axes, node.type.shape[-1])


def _two(x: Type, axes: list[Any], outputs: int) -> Windows:
    """With an axis of one row where there is one axis."""
    high, wide = axes if len(axes) == 2 else (Slide(1, 1, 0, 1, 1, 1, 1), axes[0])
    return Windows(x.shape[0], x.shape[-1], outputs, high, wide)
