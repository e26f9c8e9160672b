"""Kernels: nodes that are computed together, what they read, and their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...ir.node import Node
from ...ops.embedding_bag import SCATTER_BAG
from .views import View, through


@dataclass(eq=False)
class Kernel:
    """Nodes that are computed together.

    Attributes:
        nodes: in the order of computation.
        is_loop: whether it is a loop over elements; otherwise it is one special node.
        stores: those of the nodes that others read, or that are results.
        body: the kernels of a step, if it is a loop over time or a call.
        chunks: how many parts of the batch go through that loop by themselves.
        tail: what is computed from the elements of a matrix product, tile by tile.
    """

    nodes: list[Node]
    is_loop: bool
    stores: list[Node] = field(default_factory=list)
    body: KernelSchedule | None = None
    chunks: int = 1
    tail: list[Node] = field(default_factory=list)

    @property
    def reductions(self) -> list[Node]:
        """The reductions at the end of a loop."""
        return (
            [node for node in self.nodes if node.op.reduction is not None] if self.is_loop else []
        )


@dataclass
class KernelSchedule:
    """Kernels in order, and the view of a buffer that every node is."""

    kernels: list[Kernel]
    views: dict[Node, View]
    inputs: tuple[Node, ...]
    outputs: list[Node]
    #: Donated inputs, each with the output that may overwrite it, by node.
    donated: dict[Node, Node]
    #: Outputs that must be finite, or else nothing is overwritten.
    guards: list[Node]


def operands(node: Node, views: dict[Node, View]) -> list[View]:
    """What a member of a kernel reads: views of buffers."""
    if node.op.view:  # a view that is stored: it reads what it is a view of
        view = through(node, views[node.inputs[0]])
        assert view is not None
        return [view]
    return [views[source] for source in node.inputs]


def loop_shapes(nodes: Iterable[Node]) -> list[tuple[int, ...]]:
    """The shapes that a loop goes through: of what is computed, or reduced."""
    shapes = []
    for node in nodes:
        if node.op.reduction is None:
            shapes.append(node.type.shape)
        else:
            shapes.append(node.inputs[0].type.shape)
    return list(dict.fromkeys(shapes))


def reduced_axes(node: Node, axes: Sequence[int]) -> tuple[bool, ...]:
    """For each of the loop's axes, whether a reduction sums it up."""
    shape, gone = node.inputs[0].type.shape, node.attributes["axes"]
    flags: list[bool] = []
    rest = [(extent, i in gone) for i, extent in enumerate(shape) if extent != 1]
    size, flag = 1, False
    for extent in axes:
        if size == 1:
            size, flag = rest.pop(0)
        flags.append(flag)
        size //= extent
    return tuple(flags)


def may_stop(node: Node) -> bool:
    """Whether this node, or one of its body, may refuse a value and so stop the program."""
    if node.op.has_body:
        return any(map(may_stop, node.attributes["body"].nodes))
    return node.op.stops


def indexed_extent(node: Node) -> int:
    """How many values the indices of a node that may stop can have."""
    if node.op is SCATTER_BAG:
        return int(node.attributes["rows"])
    return int(node.inputs[0].type.shape[node.attributes.get("axis", 0)])
