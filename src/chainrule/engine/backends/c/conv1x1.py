"""A convolution whose window is one pixel is a matrix product of the pixels and the weights."""

from __future__ import annotations

import math

from ...ir.node import Node
from ...ops.convolution import CONVOLUTION, CONVOLUTION_WEIGHTS, TRANSPOSED_CONVOLUTION
from ...passes.rewrite import make

#: Convolutions, with how the two matrices enter their product.
_TRANSPOSED = {
    CONVOLUTION: (False, False),
    TRANSPOSED_CONVOLUTION: (False, True),
    CONVOLUTION_WEIGHTS: (True, False),
}


def as_product(node: Node) -> Node:
    """The matrix product that a convolution is, if its window is one pixel; else the node itself.

    Args:
        node: any node.
    """
    flags = _TRANSPOSED.get(node.op)
    is_product = flags is not None and node.attributes["groups"] == 1 and node.type.is_float
    if flags is None or not is_product or not node.type.size:
        return node
    window = node.attributes.get("window", node.inputs[1].type.shape[:-2])
    steps = (*window, *node.attributes["stride"])
    if set(steps) != {1} or any((*node.attributes["before"], *node.attributes["after"])):
        return node
    a, b = (_matrix(node, source) for source in node.inputs)
    product = make(node, "matmul", a, b, transpose_a=flags[0], transpose_b=flags[1])
    return make(node, "reshape", product, shape=node.type.shape)


def _matrix(node: Node, source: Node) -> Node:
    *outer, channels = source.type.shape
    return make(node, "reshape", source, shape=(math.prod(outer), channels))
