"""Kernels that are more than a loop over elements: matrix products, rows, indices, randomness."""

from __future__ import annotations

from ....ir.node import Node

#: Operations with a kernel of their own. Their operands are C-contiguous.
SPECIAL = frozenset(
    {
        "matmul",
        "softmax", "log_softmax", "logsumexp", "cumsum", "argmax", "argsort", "searchsorted",
        "take", "scatter_add", "take_along_axis", "add_along_axis", "embedding_bag", "scatter_bag",
        "concatenate", "pad",
        "random_bits", "fold_in",
        "convolution", "transposed_convolution", "convolution_weights",
        "sum_pool", "sum_unpool", "max_pool", "max_pool_scatter", "max_pool_gather",
        "scan", "call", "panels", "panel_product", "attention", "attention_gradients",
    }
)  # fmt: skip

#: Those that hold a graph and give several results.
WITH_BODY = frozenset({"scan", "call"})

#: Those that give several results.
WITH_PARTS = frozenset({"attention", "attention_gradients"})

#: Those that may write their result over an operand, with its position.
IN_PLACE = {"scatter_add": 0, "add_along_axis": 0}

#: Those that stop the program when an index is out of range.
MAY_STOP = frozenset(
    {"take", "scatter_add", "take_along_axis", "add_along_axis", "embedding_bag", "scatter_bag"}
)


def may_stop(node: Node) -> bool:
    """Whether this node, or one in its body, may stop the program."""
    if node.op.name in WITH_BODY:
        return any(map(may_stop, node.attributes["body"].nodes))
    return node.op.name in MAY_STOP


def places_of(node: Node) -> int:
    """How many places there are for the indices, the second operand, of a node that may stop."""
    if node.op.name == "scatter_bag":
        return int(node.attributes["rows"])
    return int(node.inputs[0].type.shape[node.attributes.get("axis", 0)])
