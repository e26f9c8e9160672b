"""Products of bfloat16 numbers, with sums in float32: the operands of products are rounded.

The rounding is a node of its own, `chainrule.ops.round_to_bfloat16`, so that every backend gives
the same meaning, and whoever reads the graph sees it. The graph of a step has the products of the
backward pass in it, which so get the same. Variables, sums, norms, softmax, losses and the state of
the optimizer are not touched.
"""

from __future__ import annotations

import math

from ..ir.graph import Graph
from ..ir.node import Node
from ..ir.types import float32
from ..ops.convolution import CONVOLUTION, CONVOLUTION_WEIGHTS, TRANSPOSED_CONVOLUTION
from ..ops.rounding import ROUND_TO_BFLOAT16
from .kept_keys import with_rounded_keys
from .rewrite import make, rewrite, with_inputs

__all__ = ["is_narrow", "narrow_products"]

_CONVOLUTIONS = CONVOLUTION, TRANSPOSED_CONVOLUTION, CONVOLUTION_WEIGHTS


def narrow_products(graph: Graph) -> Graph:
    """The graph with the float32 operands of its matrix products and convolutions rounded.

    Example:
        >>> import chainrule as cr
        >>> a, b = cr.ops.ones((2, 3)), cr.ops.ones((3, 4))
        >>> graph = cr.trace(lambda a, b: cr.ops.exp(a) @ b, a, b).graph
        >>> [node.op.name for node in narrow_products(graph).nodes if node.inputs]
        ['exp', 'round_to_bfloat16', 'round_to_bfloat16', 'matmul']
    """
    rounded: dict[Node, Node] = {}

    def narrow(source: Node) -> Node:
        if source not in rounded:
            if _is_arranged(source):
                rounded[source] = with_inputs(source, (narrow(source.inputs[0]),))
            elif source.op is ROUND_TO_BFLOAT16:
                rounded[source] = source
            else:
                rounded[source] = make(source, ROUND_TO_BFLOAT16.name, source)
        return rounded[source]

    def rule(node: Node, before: Node) -> Node:
        body = node.attributes.get("body")
        if isinstance(body, Graph):
            attributes = node.attributes | {"body": narrow_products(body)}
            new = Node(node.op, node.inputs, attributes, node.type, None, node.watched, node.origin)
            return with_rounded_keys(new, narrow) if node.op.name == "scan" else new
        if not is_narrow(node) or node.type.dtype != float32 or _is_of_vectors(node):
            return node
        return with_inputs(node, tuple(map(narrow, node.inputs)))

    return rewrite(graph, rule)


def _is_of_vectors(node: Node) -> bool:
    """Whether it multiplies each of several matrices with one row or one column.

    Such a product takes as long as its matrices take to be read; to round them takes longer.
    """
    *batch, m, n = node.type.shape
    return node.op.name == "matmul" and math.prod(batch) > 1 and min(m, n) == 1


def is_narrow(node: Node) -> bool:
    """Whether it is computed by products of bfloat16 numbers, if its numbers are float32.

    A convolution in groups, such as a depthwise one, is not: its sums are too short to gain by it.
    """
    if node.op in _CONVOLUTIONS:
        return bool(node.attributes["groups"] == 1)
    return node.op.name == "matmul"


def _is_arranged(node: Node) -> bool:
    """Whether it is all of its operand in another order or shape.

    Then that is rounded before, so that passes find a transpose beside its product.
    """
    return node.op.view and node.type.size == node.inputs[0].type.size
