"""Weights of loops over time as panels, copied once before the loop.

A product copies its right operand into panels, one row of a panel after the other (see
`kernels.matmul`). In a loop the weights are the same in every step, so the copy is made before it:
``panels`` is a node outside of the loop, and ``panel_product`` a node inside that reads it. No
graph of a user has these two operations.
"""

from __future__ import annotations

from typing import Any

from ...ir.batch_axis import Axes, Axis, BatchRule, BatchWalk, only_first
from ...ir.graph import Graph
from ...ir.node import Node, placeholder
from ...ir.operation import Operation
from ...ir.types import Type
from ...passes.rewrite import rewrite
from .batch_split import split_batch
from .kernels.cpu import target_in_use
from .kernels.gemm import Product, panel_columns

#: With fewer steps a copy does not pay.
_FEWEST_STEPS = 4
#: A smaller matrix stays in the first-level cache as it is, in bytes.
_SMALLEST = 1 << 13


def _panels_type(b: Type, *, columns: int, transpose: bool) -> Type:
    return Type(b.dtype, (b.size,))


def _product_type(a: Type, panels: Type, *, n: int, columns: int) -> Type:
    return Type(a.dtype, (a.shape[0], n))


def _product_rows(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    return only_first(axes)


#: The columns of a matrix, or of its transpose, in panels of so many.
PANELS = Operation("panels", _panels_type, None, formula="panels of {0}")
#: A·B, with B in panels.
PANEL_PRODUCT = Operation(
    "panel_product", _product_type, None, formula="{0} · {1}", batch=BatchRule(_product_rows)
)


def pack_weights(graph: Graph) -> Graph:
    """The graph with the weights of its loops in panels."""

    def rule(node: Node, before: Node) -> Node:
        return _packed(node) if node.op.name == "scan" else node

    return rewrite(graph, rule)


def _packed(scan: Node) -> Node:
    body, attributes = scan.attributes["body"], scan.attributes
    if attributes["length"] < _FEWEST_STEPS or target_in_use().frugal:
        return scan
    outside = dict(zip(body.inputs[: attributes["consts"]], scan.inputs, strict=False))
    chunks = split_batch(scan)[1]
    packs: dict[Any, tuple[Node, Node]] = {}

    def rule(node: Node, before: Node) -> Node:
        if not _is_fit(node) or before.inputs[1] not in outside:
            return node
        a, b = node.inputs
        (m, n), k = node.type.shape, a.type.shape[1]
        columns = panel_columns(Product(m // chunks, n, k, dtype=node.type.dtype.name))
        made = {"columns": columns, "transpose": node.attributes["transpose_b"]}
        key = (b, *made.values())
        if key not in packs:
            kind = _panels_type(b.type, **made)
            pack = Node(PANELS, (outside[before.inputs[1]],), made, kind, None, 0, node.origin)
            packs[key] = placeholder(kind, "panels", 0), pack
        kept = {"n": n, "columns": columns}
        return Node(PANEL_PRODUCT, (a, packs[key][0]), kept, node.type, None, 0, node.origin)

    new = rewrite(body, rule)
    if not packs:
        return scan
    added, given = zip(*packs.values(), strict=True)
    inputs = [*added, *body.inputs]
    attributes = attributes | {
        "body": Graph(inputs, new.outputs), "consts": attributes["consts"] + len(added),
    }  # fmt: skip
    return Node(
        scan.op, (*given, *scan.inputs), attributes, scan.type, None, scan.watched, scan.origin
    )


def _is_fit(node: Node) -> bool:
    """Whether it is a product whose right operand is worth a copy."""
    if node.op.name != "matmul" or len(node.type.shape) != 2 or not node.type.is_float:
        return False
    b = node.inputs[1].type
    large = b.size * b.dtype.itemsize >= _SMALLEST
    return large and not node.attributes["transpose_a"] and node.type.size > 0
