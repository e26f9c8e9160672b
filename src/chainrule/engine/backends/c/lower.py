"""The pipeline from a graph to a program: each of its stages is a module of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...ir.graph import Graph
from ...ir.node import Node
from ...passes import optimize
from .emit import emit
from .halves import keep_halves
from .in_tiles import put_in_tiles
from .kernels.gemm import Product
from .kernels.matmul import product_of
from .lowered import Lowered, Stop
from .memory import plan_memory
from .packing import pack_weights
from .schedule import check_support, schedule


def lower(graph: Graph, donated: dict[int, int], guards: Sequence[int], fuse: bool) -> Lowered:
    """Passes, packing of weights, schedule of kernels, places in memory, C text: in this order.

    Args and errors are those of `lowering_cache.lowered`, which asks the cache first.
    """
    optimized = optimize(graph)
    check_support(optimized)
    optimized = pack_weights(put_in_tiles(keep_halves(optimized)))
    kernels = schedule(optimized, donated, guards, fuse)
    wanted = {kernels.inputs[i]: kernels.outputs[j] for i, j in donated.items()}
    places = plan_memory(kernels, wanted)
    text = emit(kernels, places)
    constants = tuple(node.value for node in places.constants if node.value is not None)
    return Lowered(
        text.source, text.arena, places.arena, places.unplanned,
        tuple(map(_stop, text.stops)), constants, tuple(dict.fromkeys(_products(optimized))),
    )  # fmt: skip


def _stop(node: Node) -> Stop:
    return Stop(node.op.name, str(node.origin or "") or None, str(node.inputs[0].type))


def _products(graph: Graph) -> Iterator[Product]:
    """The matrix products of floating-point numbers, those of loops included."""
    for node in graph.nodes:
        if node.op.name == "matmul" and node.type.is_float:
            yield product_of(node)
        for value in node.attributes.values():
            if isinstance(value, Graph):
                yield from _products(value)
