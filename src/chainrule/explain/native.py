"""The C code of single nodes, as the backend writes it."""

from __future__ import annotations

from collections.abc import Callable

from ..engine.backends.base import UnsupportedError
from ..engine.backends.c.lowering_cache import lowered
from ..engine.backends.c.threads import TASK_C
from ..engine.ir.graph import Graph
from ..engine.ir.node import CONSTANT, PLACEHOLDER, Node, placeholder
from ..engine.tensor import TRACE_BIT


def c_of(node: Node, is_named: Callable[[Node], bool]) -> str:
    """The C code that computes a node from those with equations of their own.

    In the program of a whole step the same code may be fused with that of its neighbours.

    Args:
        node: of the forward pass.
        is_named: whether a node has equations of its own; others are computed inside.

    Returns:
        The kernels, each headed by its formula; empty where NumPy runs the operation.
    """
    inputs: dict[Node, Node] = {}

    def copied(source: Node, is_result: bool) -> Node:
        if source.op is CONSTANT and source.type.size == 1:
            return source
        if not is_result and (is_named(source) or source.op in (PLACEHOLDER, CONSTANT)):
            if source not in inputs:
                inputs[source] = placeholder(source.type, str(len(inputs)), TRACE_BIT)
            return inputs[source]
        new = tuple(copied(one, False) for one in source.inputs)
        return Node(source.op, new, source.attributes, source.type, None, TRACE_BIT, source.origin)

    if not node.inputs:
        return ""
    result = copied(node, True)
    try:
        source = lowered(Graph(list(inputs.values()), [result]), {}, (), True).source
    except UnsupportedError:
        return ""
    return _kernels(source)


def _kernels(source: str) -> str:
    """The functions of the program, without the common part of all programs."""
    body = source.partition(TASK_C)[2]
    return body.partition("int32_t cr_step(")[0].strip()
