"""Constants in the fewest numbers."""

from __future__ import annotations

import numpy as np

from ...utils.typing import Array
from .node import Node, constant
from .operation import OPERATIONS


def bits(array: Array) -> Array:
    """The numbers as integers, so that NaN is equal to itself and 0 is not -0."""
    return array.view(f"u{array.dtype.itemsize}")


def shrink(node: Node) -> Node:
    """A constant, as the broadcast of the part along the axes on which it is not the same."""
    value = node.value
    assert value is not None
    if value.size <= 1:
        return node
    raw = bits(value)
    repeated = [bool((raw == raw.take([0], axis)).all()) for axis in range(value.ndim)]
    if not any(n > 1 and same for n, same in zip(value.shape, repeated, strict=True)):
        return node
    part = value[tuple(slice(0, 1) if same else slice(None) for same in repeated)]
    while part.ndim and part.shape[0] == 1:
        part = part[0]
    broadcast = OPERATIONS["broadcast_to"]
    attributes = {"shape": node.type.shape}
    return Node(broadcast, (constant(np.array(part)),), attributes, node.type)
