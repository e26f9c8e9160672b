"""Products of numbers rounded to bfloat16 in tile registers, where there are some (`tiles`).

Where both operands of a product are rounded, ``left_tiles`` and ``right_tiles`` round and copy them
into tiles, and ``tile_product`` reads those. Elsewhere the graph stays as it is: a loop rounds, and
the product is that of float32. Copies are nodes, so that several products share one. In loops over
time ``tile_step`` copies its left operand itself, and reads the weights as they are in tiles before
the loop. No graph of a user has these four operations.
"""

from __future__ import annotations

from typing import Any

from ...ir.batch_axis import BatchRule, only_first
from ...ir.graph import Graph
from ...ir.node import Node, placeholder
from ...ir.operation import Operation
from ...ir.types import Type, uint32
from ...ops.rounding import ROUND_TO_BFLOAT16
from ...passes.rewrite import rewrite, with_inputs
from .conv1x1 import as_product
from .convolution_in_tiles import convolution_in_tiles, is_convolution
from .kernels.cpu import target_in_use
from .kernels.matmul import product_of
from .kernels.tiles import TileProduct, words


def _tiles_type(x: Type, *, extent: int, k: int, batch: int, transpose: bool) -> Type:
    return Type(uint32, (words(extent, k, batch),))


def _product_type(a: Type, b: Type, *, product: TileProduct) -> Type:
    raise AssertionError("its type is that of the product that it was")


#: A, or its transpose, rounded to bfloat16, in tiles of rows.
LEFT = Operation("left_tiles", _tiles_type, None, formula="bf16({0})")
#: B, or its transpose, rounded to bfloat16, in tiles of columns.
RIGHT = Operation("right_tiles", _tiles_type, None, formula="bf16({0})")
#: A·B, with both in tiles.
TILE_PRODUCT = Operation("tile_product", _product_type, None, formula="{0} · {1}")


def _step_type(a: Type, b: Type, *, n: int, k: int) -> Type:
    return Type(a.dtype, (a.shape[0], n))


#: A·B in a loop, with B in tiles; A is rounded and copied in it.
TILE_STEP = Operation(
    "tile_step", _step_type, None, formula="bf16({0}) · {1}",
    batch=BatchRule(lambda walk, node, axes: only_first(axes)),
)  # fmt: skip


def put_in_tiles(graph: Graph) -> Graph:
    """The graph with its rounded products by tiles, if the processor has them."""
    if not target_in_use().tile_registers:
        return graph
    copies: dict[tuple[object, ...], Node] = {}

    def rule(node: Node, before: Node) -> Node:
        if node.op.name == "scan":
            return _loop_in_tiles(node)
        if is_convolution(node):
            x, y = map(unrounded, node.inputs)
            return node if x is None or y is None else convolution_in_tiles(node, x, y, kept)
        if node.op.name != "matmul":
            return node
        size = product_of(node)
        product = TileProduct(size.m, size.n, size.k, size.batch)
        if size.dtype != "float32" or not product.is_fit:
            return node
        a, b = map(unrounded, node.inputs)
        if a is None or b is None:
            return node
        left = copied(LEFT, a, size.m, product, size.transpose_a)
        right = copied(RIGHT, b, size.n, product, size.transpose_b)
        return Node(
            TILE_PRODUCT, (left, right), {"product": product}, node.type, None, 0, node.origin
        )

    def copied(op: Operation, x: Node, extent: int, product: TileProduct, turned: bool) -> Node:
        return kept(op, x, extent=extent, k=product.k, batch=product.batch, transpose=turned)

    def kept(op: Operation, x: Node, **how: Any) -> Node:
        key = (op, x, *how.values())
        if key not in copies:
            kind = op.type_rule(x.type, **how)
            copies[key] = Node(op, (x,), how, kind, None, 0, x.origin)
        return copies[key]

    return rewrite(rewrite(graph, lambda node, before: as_product(node)), rule)


def _loop_in_tiles(scan: Node) -> Node:
    """A loop over time whose products with weights find these in tiles."""
    body, attributes = scan.attributes["body"], scan.attributes
    first = attributes["consts"]
    outside = dict(zip(body.inputs[:first], scan.inputs, strict=False))
    carries = attributes["carries"]
    given = outside | dict(
        zip(body.inputs[first + carries :], scan.inputs[first + carries :], strict=True)
    )
    rounded = {p for p, x in given.items() if unrounded(x) is not None}
    copies: dict[Any, tuple[Node, Node]] = {}

    def rule(node: Node, before: Node) -> Node:
        if node.op.name != "matmul" or len(node.type.shape) != 2:
            return node
        size = product_of(node)
        product, weights = TileProduct(size.m, size.n, size.k), before.inputs[1]
        if size.dtype != "float32" or size.transpose_a or not (product.is_fit and product.in_one):
            return node
        left = node.inputs[0] if before.inputs[0] in rounded else unrounded(node.inputs[0])
        right = unrounded(outside[weights]) if weights in outside else None
        if left is None or right is None:
            return node
        how = {"extent": size.n, "k": size.k, "batch": 1, "transpose": size.transpose_b}
        key = (weights, size.transpose_b)
        if key not in copies:
            kind = RIGHT.type_rule(right.type, **how)
            copy = Node(RIGHT, (right,), how, kind, None, 0, node.origin)
            copies[key] = placeholder(kind, "tiles", 0), copy
        kept = {"n": size.n, "k": size.k}
        return Node(TILE_STEP, (left, copies[key][0]), kept, node.type, None, 0, node.origin)

    new = rewrite(body, rule)
    if not copies:
        return scan
    added, made = zip(*copies.values(), strict=True)
    attributes = attributes | {
        "body": Graph([*added, *body.inputs], new.outputs), "consts": first + len(added),
    }  # fmt: skip
    return Node(
        scan.op, (*made, *scan.inputs), attributes, scan.type, None, scan.watched, scan.origin
    )


def unrounded(node: Node) -> Node | None:
    """The same before it is rounded, perhaps through views; None if it is not."""
    if node.op is ROUND_TO_BFLOAT16:
        return node.inputs[0]
    if not node.op.view:
        return None
    source = unrounded(node.inputs[0])
    return None if source is None else with_inputs(node, (source,))
