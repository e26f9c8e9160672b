"""The embeddings of a saved model: what goes into its last layer."""

from __future__ import annotations

import numpy as np

from ..engine.ir.graph import Graph
from ..engine.ir.node import Node
from ..utils.typing import Array


def last_hidden(graph: Graph) -> Node | None:
    """The input of the last layer: the factor of the last product with weights that has rows.

    None if the graph has no such product.
    """
    depends = set(graph.inputs)
    found = None
    for node in graph.nodes:
        if depends.intersection(node.inputs):
            depends.add(node)
        if node.op.name == "matmul":
            from_rows = [source for source in node.inputs if source in depends]
            if len(from_rows) == 1:  # the other one is the weights
                found = from_rows[0]
    return found


def rows_first(values: Array, axis: int) -> Array:
    """(…, rows, …) → (rows, features)."""
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def row_axis(node: Node, other: Node) -> int | None:
    """The axis that counts the rows, from the same node for another number of rows."""
    differ = [i for i, (a, b) in enumerate(zip(node.type.shape, other.type.shape, strict=True))
              if a != b]  # fmt: skip
    return differ[0] if len(differ) == 1 else None
