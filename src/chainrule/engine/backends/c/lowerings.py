"""The registry of lowerings: which operations have a kernel of their own, and who writes it.

What else the C backend can run follows from the record of an operation: views are strides, and what
has a C expression, or reduces axes, is computed in loops. Kernels need C-contiguous operands.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...ir.node import PART, Node
from ...ir.operation import Operation
from ...ops.reduction import MAX, MIN, PROD, SUM
from .expressions import rule
from .function import Function
from .kernels import (
    attention,
    axis,
    convolution,
    convolution_weight_gradient,
    ctc,
    embedding_bag,
    indexing,
    linalg,
    matmul,
    pooling,
    random,
    tile_convolution,
)

#: By operation: ``(node, views of operands, places) -> function``; with several results
#: ``(node, stored parts by number, views of operands, places) -> function``.
KERNELS: dict[str, Callable[..., Function | None]] = {
    "matmul": matmul.matmul,
    "left_tiles": matmul.left_tiles,
    "right_tiles": matmul.right_tiles,
    "tile_product": matmul.matmul,
    "tile_step": matmul.tile_step,
    "window_rows": tile_convolution.window_rows,
    "window_weights": tile_convolution.window_weights,
    "tile_convolution": tile_convolution.tile_convolution,
    "window_channels": tile_convolution.window_channels,
    "place_tiles": tile_convolution.place_tiles,
    "tile_weights": tile_convolution.tile_weights,
    "panels": matmul.panels,
    "panel_product": matmul.panel_product,
    "softmax": axis.softmax,
    "log_softmax": axis.softmax,
    "logsumexp": axis.softmax,
    "cumsum": partial(axis.running, SUM),
    "cumprod": partial(axis.running, PROD),
    "cummax": partial(axis.running, MAX),
    "cummin": partial(axis.running, MIN),
    "argmax": axis.argmax,
    "argsort": axis.argsort,
    "searchsorted": axis.searchsorted,
    "embedding_bag": embedding_bag.embedding_bag,
    "scatter_bag": embedding_bag.scatter_bag,
    "check": indexing.check,
    "take": indexing.take,
    "scatter": indexing.scatter,
    "dynamic_update_slice": indexing.update_slice,
    "scatter_add": indexing.scatter_add,
    "take_along_axis": indexing.take_along_axis,
    "add_along_axis": indexing.add_along_axis,
    "concatenate": indexing.concatenate,
    "pad": indexing.pad,
    "random_bits": random.random_bits,
    "fold_in": random.fold_in,
    "convolution": convolution.convolution,
    "transposed_convolution": convolution.transposed,
    "convolution_weights": convolution_weight_gradient.weights,
    "sum_pool": pooling.sum_pool,
    "sum_unpool": pooling.sum_unpool,
    "max_pool": pooling.max_pool,
    "max_pool_scatter": pooling.max_pool_scatter,
    "max_pool_gather": pooling.max_pool_gather,
    "cholesky": linalg.cholesky,
    "cofactors": linalg.cofactors,
    "complement": linalg.complement,
    "det": linalg.det,
    "eigh": linalg.eigh,
    "lu": linalg.lu,
    "matrix_exp": linalg.matrix_exp,
    "pinv": linalg.pinv,
    "qr": linalg.qr,
    "slogdet": linalg.slogdet,
    "solve": linalg.solve,
    "solve_triangular": linalg.solve_triangular,
    "svd": linalg.svd,
    "ctc": ctc.ctc,
    "attention": attention.attention,
    "attention_gradients": attention.gradients,
    "attention_of_halves": attention.attention_of_halves,
    "halves": attention.halves,
    "widened": attention.widened,
}


#: Operations whose kernels read an element of the first operand for the last time when they write
#: that of the result: it may take its place.
OVERWRITING = frozenset({"softmax", "log_softmax"})


def is_special(op: Operation) -> bool:
    """Whether it is a kernel of its own, rather than a view or a member of a loop."""
    return op.has_body or op.name in KERNELS


def is_supported(node: Node) -> bool:
    """Whether the backend can run a node."""
    op = node.op
    is_leaf = not node.inputs or op is PART
    return (
        is_leaf or op.view or op.reduction is not None or is_special(op) or rule(node) is not None
    )
