"""The matrix product as a kernel: operands in order, any batch, both transpose flags."""

from __future__ import annotations

import math
from collections.abc import Callable

from ....ir.node import Node
from ..expressions import C_TYPES
from ..function import Function, Where
from ..views import View
from .cpu import target_in_use
from .gemm import (
    Pointers,
    Product,
    emit,
    emit_panels,
    plan,
    plan_in_panels,
    plan_with_reads,
)
from .gemm_tiles import ELEMENTS
from .tiles import TileProduct, copy_in_tiles, emit_tiles

#: How many multiplications of a product take as long as one operation of a loop.
_MULTIPLICATIONS = 4


#: From a function and the extents of a product to what is done with its elements, and the
#: pointers to what is read in their places.
Tail = Callable[[Function, tuple[int, int, int]], tuple[list[str], list[str]]]


def is_product(node: Node) -> bool:
    """Whether it is a matrix product, of matrices or of matrices in tiles."""
    return node.op.name in ("matmul", "tile_product")


def either_product_of(node: Node) -> Product | TileProduct:
    """The sizes of a product, of matrices or of matrices in tiles."""
    if node.op.name == "tile_product":
        tiles: TileProduct = node.attributes["product"]
        return tiles
    return product_of(node)


def product_of(node: Node) -> Product:
    """Sizes and flags of a product."""
    ta, tb = node.attributes["transpose_a"], node.attributes["transpose_b"]
    m, n = node.type.shape[-2:]
    k = node.inputs[0].type.shape[-2 if ta else -1]
    return Product(m, n, k, ta, tb, math.prod(node.type.shape[:-2]), node.type.dtype.name)


#: Tiles of fewer columns are too narrow for vectors in a loop over their elements.
_NARROW = 16


def has_tail(product: Product | TileProduct) -> bool:
    """Whether more can be computed from its elements while a tile of them is in the cache."""
    if isinstance(product, TileProduct):
        return product.n >= _NARROW
    return product.dtype in ELEMENTS and product.m > 1 and product.n >= _NARROW and product.k > 0


def rows_go_first(product: Product | TileProduct) -> bool:
    """Whether tiles can be computed in an order in which whole rows of C come together.

    Then what is computed from an element may read others in its place: in any other order the
    reads would wait for memory more often than a loop of its own does.
    """
    if isinstance(product, TileProduct):
        return True
    return plan_with_reads(product, target_in_use()).rows_first


def is_in_one(product: Product | TileProduct) -> bool:
    """Whether its sums are made in one go, so that nothing of it need be in memory."""
    if isinstance(product, TileProduct):
        return product.in_one
    return product.k <= plan(product, target_in_use()).depth


def matmul(
    node: Node, sources: list[View], where: Where, tail: Tail | None = None, kept: bool = True
) -> Function | None:
    """C = A·B for every matrix of the batch.

    Args:
        node: the product.
        sources: A and B.
        where: places of values.
        tail: what is done with the elements of a tile.
        kept: whether C itself is needed, too.
    """
    if node.type.size == 0:
        return None
    product = either_product_of(node)
    m, n, k, batch = product.m, product.n, product.k, product.batch
    function = Function(where)
    if k == 0:
        function.serial()
        function.line(f"for (idx i = 0; i < {node.type.size}; i++) {function.writes(node)}[i] = 0;")
        return function
    x, y = (function.pointer(view) for view in sources)
    pointers = Pointers(x, y, function.writes(node) if kept else "")
    epilogue, fetched = ([], []) if tail is None else tail(function, (batch, m, n))
    if isinstance(product, TileProduct):
        text = emit_tiles(product, pointers, epilogue, kept, fetched)
    elif not node.type.is_float:
        _plain(function, product, pointers)
        return function
    else:
        text = emit(
            product, pointers, epilogue=epilogue, kept=kept, fetched=fetched,
            asks=target_in_use().threads,
        )  # fmt: skip
    function.before += text.functions
    for depth, line in text.body:
        function.line(line, depth)
    function.extent, function.grain = text.units, max(text.grain // _MULTIPLICATIONS, 1)
    function.copies, function.asks = text.copies, text.asks
    return function


def left_tiles(node: Node, sources: list[View], where: Where) -> Function | None:
    """The left operand of a product in tiles."""
    return _in_tiles(node, sources, where, along=not node.attributes["transpose"], right=False)


def right_tiles(node: Node, sources: list[View], where: Where) -> Function | None:
    """The right operand of a product in tiles, of which a row has pairs of two l."""
    return _in_tiles(node, sources, where, along=node.attributes["transpose"], right=True)


def _in_tiles(
    node: Node, sources: list[View], where: Where, *, along: bool, right: bool
) -> Function:
    function, how = Function(where), node.attributes
    copy_in_tiles(
        function, function.pointer(sources[0]), function.writes(node), how["extent"], how["k"],
        how["batch"], along=along, turned=along == right,
    )  # fmt: skip
    return function


def tile_step(node: Node, sources: list[View], where: Where) -> Function | None:
    """C = A·B with B in tiles, and A copied into tiles here."""
    (m, n), k = node.type.shape, node.attributes["k"]
    function = Function(where)
    x, y = (function.pointer(view) for view in sources)
    pointers = Pointers(x, y, function.writes(node))
    text = emit_tiles(TileProduct(m, n, k), pointers, copies_left=True)
    function.before += text.functions
    for depth, line in text.body:
        function.line(line, depth)
    function.extent, function.grain = text.units, max(text.grain // _MULTIPLICATIONS, 1)
    return function


def panels(node: Node, sources: list[View], where: Where) -> Function | None:
    """A matrix in panels."""
    rows, columns = sources[0].shape
    transposed = node.attributes["transpose"]
    n, k = (rows, columns) if transposed else (columns, rows)
    function = Function(where)
    function.serial()
    kind = C_TYPES[node.type.dtype.name]
    function.line(f"const {kind} *restrict b = {function.pointer(sources[0])};")
    function.line(f"{kind} *restrict packed = {function.writes(node)};")
    text = emit_panels(n, k, transposed, node.type.dtype.name, node.attributes["columns"])
    function.before += text.functions
    for depth, line in text.body:
        function.line(line, depth)
    return function


def panel_product(node: Node, sources: list[View], where: Where) -> Function | None:
    """C = A·B with B in panels."""
    (m, n), k = node.type.shape, sources[0].shape[1]
    product = Product(m, n, k, dtype=node.type.dtype.name, in_panels=True)
    function = Function(where)
    x, y = (function.pointer(view) for view in sources)
    plan = plan_in_panels(product, node.attributes["columns"])
    text = emit(product, Pointers(x, y, function.writes(node)), chosen=plan)
    function.before += text.functions
    for depth, line in text.body:
        function.line(line, depth)
    function.extent, function.grain = text.units, max(text.grain // _MULTIPLICATIONS, 1)
    return function


def _plain(function: Function, product: Product, pointers: Pointers) -> None:
    """One number after the other, for integers."""
    m, n, k = product.m, product.n, product.k
    (ai, al), (bl, bj) = product.a_strides, product.b_strides
    line = function.line
    function.extent, function.grain = product.batch * m, n * k
    line("for (idx r = begin; r < end; r++) {")
    line(f"const idx g = r / {m}, i = r % {m};", 2)
    line(f"for (idx j = 0; j < {n}; j++) {{", 2)
    kind = C_TYPES[product.dtype]
    line(f"{kind} total = 0;", 3)
    element_a = f"{pointers.a}[g * {m * k} + i * {ai} + l * {al}]"
    element_b = f"{pointers.b}[g * {k * n} + l * {bl} + j * {bj}]"
    line(f"for (idx l = 0; l < {k}; l++) total += {element_a} * {element_b};", 3)
    line(f"{pointers.c}[r * {n} + j] = total;", 3)
    line("}", 2)
    line("}")
