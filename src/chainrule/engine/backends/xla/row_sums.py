"""Sums over the rows of a batch that is split over devices: exchanged once a step, all together.

Left to itself, XLA lets processors exchange every gradient by itself, and between processes each
exchange takes milliseconds, however small it is. So what is summed over the rows at the end of a
step (gradients of weights, the loss) is computed by each device for its own rows, laid end to end,
and exchanged as one array. The numbers are the same sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import PartitionSpec

from ...batch_independence import BatchAxes
from ...ir.batch_axis import Axes, Axis, Places, RowsDependError
from ...ir.graph import Graph
from ...ir.node import Node
from ...ir.types import Record
from .placement import Placement


class RowSums:
    """The sums over rows at the end of a graph, after which no other one comes.

    Args:
        graph: what is computed for a batch.
        axes: on which axis the inputs have their rows; other inputs have none.
        rows: how many there are.
        placement: the devices over which they are split.

    Attributes:
        places: the sums, with the axes that hold the rows of their operands.
        late: these, and the nodes that need one of them.
    """

    def __init__(
        self, graph: Graph, axes: Mapping[Node, int], rows: int, placement: Placement
    ) -> None:
        self._mesh = placement.mesh
        walk = _Walk(rows)
        walk.outputs(graph, {node: Axis(place) for node, place in axes.items()})
        found = {}
        for node in graph.nodes:
            rule = node.op.batch
            own = [walk.axes.get(source) for source in node.inputs]
            places = rule.sums(node, own) if rule and any(own) else None
            if places and _are_outermost(node, places, own, rows):
                found[node] = places
        last = _without_another(graph, found)
        self.places = {node: places for node, places in found.items() if node in last}
        self.late: set[Node] = set(self.places)
        for node in graph.nodes:
            if any(source in self.late for source in node.inputs):
                self.late.add(node)

    def compute(self, trace: Any, values: Mapping[Node, Any]) -> dict[Node, Any]:
        """The sums, of the operands' values: each device takes its own rows.

        There is one exchange for each type of elements.
        """
        operands, specs = [], []
        for node, places in self.places.items():
            for source, place in zip(node.inputs, places, strict=True):
                if place is not None:
                    operands.append(jnp.asarray(values[source]))
                    specs.append(PartitionSpec(*(None,) * place, "data"))

        def local(*own: Any) -> Any:
            inner, rest = trace.inner(), list(own)
            found = []
            for node in self.places:
                these = [_zeros(node) if k is None else rest.pop(0) for k in self.places[node]]
                found.append(inner.apply(node, these).astype(node.type.dtype))
            refused = jnp.where(inner.all_fit(), 0, 1).astype(found[0].dtype)
            return _summed_over_devices([refused, *found])

        everywhere = (PartitionSpec(),) * (1 + len(self.places))
        refused, *sums = jax.shard_map(
            local, mesh=self._mesh, in_specs=tuple(specs), out_specs=everywhere, check_vma=False
        )(*operands)
        trace.require(refused == 0)
        return dict(zip(self.places, sums, strict=True))

    def completed(self, node: Node, total: Any, values: Mapping[Node, Any]) -> Any:
        """The value of a node, from its sum and what that is added to, if it is."""
        for source, place in zip(node.inputs, self.places[node], strict=True):
            if place is None:
                total = total + values[source]
        return total


def _zeros(node: Node) -> Any:
    return jnp.zeros(node.type.shape, node.type.dtype)


def _summed_over_devices(arrays: list[Any]) -> tuple[Any, ...]:
    """Every array summed over the devices, those of one type of elements laid end to end."""
    sums: list[Any] = [None] * len(arrays)
    for dtype in sorted({x.dtype for x in arrays}, key=str):
        alike = [i for i, x in enumerate(arrays) if x.dtype == dtype]
        flat = lax.psum(jnp.concatenate([arrays[i].ravel() for i in alike]), "data")
        ends = np.cumsum([arrays[i].size for i in alike])
        for i, piece in zip(alike, jnp.split(flat, ends[:-1].tolist()), strict=True):
            sums[i] = piece.reshape(arrays[i].shape)
    return tuple(sums)


class _Walk(BatchAxes):
    """The axes of rows as far as they can be followed: None where rows are mixed.

    Nothing is wrong with a sum in parts whatever its operands are; so nobody asks here whether what
    has no rows is the same for all of them.
    """

    def is_same(self, node: Node, axis: Axis) -> bool:
        return True

    def _visit(self, node: Node) -> None:
        try:
            super()._visit(node)
        except RowsDependError:
            self.axes[node] = None
            if isinstance(node.type, Record):
                self._parts[node] = [None] * len(node.type.parts)


def _are_outermost(node: Node, places: Places, axes: Axes, rows: int) -> bool:
    """Whether the rows of a device are next to one another on these axes."""
    for source, place, axis in zip(node.inputs, places, axes, strict=True):
        if place is not None and axis and source.type.shape[place] != axis.inner * rows:
            return False
    return True


def _without_another(graph: Graph, found: Mapping[Node, Places]) -> set[Node]:
    """Those on whose operands no other one depends, but for what a sum is added to."""
    leads: set[Node] = set()  # nodes on which a sum depends
    for node in reversed(graph.nodes):
        if node in leads:
            leads.update(node.inputs)
        elif node in found:
            places = found[node]
            leads |= {s for s, k in zip(node.inputs, places, strict=True) if k is not None}
    return {node for node in found if node not in leads}
