"""Runs a graph node by node with an array library, by the meaning that operations declare."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from ...errors import ChainruleError
from ...utils.typing import Array
from .graph import Graph
from .node import CONSTANT, PLACEHOLDER, Node
from .types import as_value
from .written import written

#: From so many calls on, and up to so many nodes, a program is worth a function of its own.
_OFTEN, _MOST = 3, 2000


class Program:
    """A graph made ready to run: a list of calls, each with the places of its arguments.

    A value is dropped after its last use, so that no more is alive than is needed.

    Args:
        graph: what to compute.
        xp: the array namespace.
        lowerings: by operation what is called instead of its ``compute``.
    """

    #: It overwrites no input, and steps are called one by one: see `engine.backends.base`.
    in_place: Collection[int] = ()
    memory = None
    run_steps = None
    again = None

    def __init__(
        self,
        graph: Graph,
        xp: Any = np,
        lowerings: Mapping[str, Callable[..., Any]] = MappingProxyType({}),
    ) -> None:
        self.graph = graph
        self._xp, self._lowerings = xp, lowerings
        place = {node: number for number, node in enumerate(graph.nodes)}
        self._inputs = [place[node] for node in graph.inputs]
        self._outputs = [place[node] for node in graph.outputs]
        self._slots: list[Array | None] = [None] * len(graph.nodes)
        last_use = {}
        for node in graph.nodes:
            for source in node.inputs:
                last_use[source] = node
            if node.op is CONSTANT:
                self._slots[place[node]] = node.value
        kept = {*graph.inputs, *graph.outputs}
        self._calls = []
        self._origins = []
        self._count = 0
        self._shown = _shown_inputs(graph)
        self._function: Callable[..., list[Array]] | None = None
        for node in graph.nodes:
            if node.op not in (CONSTANT, PLACEHOLDER):
                done = {s for s in node.inputs if last_use[s] is node and s not in kept}
                drop = [place[s] for s in done if s.op is not CONSTANT]
                sources = [place[source] for source in node.inputs]
                compute = lowerings.get(node.op.name, node.op.compute)
                call = (compute, node.attributes, sources, place[node], drop)
                self._calls.append(call)
                self._origins.append(node.origin)

    @property
    def source(self) -> str:
        """The graph as text."""
        return str(self.graph)

    def __call__(self, inputs: Sequence[Array], mark: object = None) -> list[Array]:
        """The outputs for these inputs, in the graph's order."""
        if self._function is None and self._count >= _OFTEN and len(self._calls) <= _MOST:
            self._function = written(self.graph, self._xp, self._lowerings)
        self._count += 1
        run = self._function or self._one_by_one
        with np.errstate(all="ignore"):
            results = run(inputs)
        for number, shown in self._shown:
            # What shows the caller's own arrays is copied, for the caller may change them.
            owner = _owner(results[number])
            if any(owner is _owner(inputs[source]) for source in shown):
                results[number] = results[number].copy()
        return results

    def _one_by_one(self, inputs: Sequence[Array]) -> list[Any]:
        """The outputs, node by node."""
        slots = self._slots.copy()
        xp, array_type = self._xp, np.ndarray
        for place, array in zip(self._inputs, inputs, strict=True):
            slots[place] = array
        done = 0
        try:
            for compute, attributes, sources, place, drop in self._calls:
                assert compute is not None
                value = compute(xp, *[slots[source] for source in sources], **attributes)
                slots[place] = value if type(value) is array_type else as_value(value)
                for unused in drop:
                    slots[unused] = None
                done += 1
        except ChainruleError as error:
            self._locate(error, done)
            raise
        return [slots[place] for place in self._outputs]

    def _locate(self, error: ChainruleError, number: int) -> None:
        """Say where the node of a call comes from."""
        error.where = error.where or str(self._origins[number] or "") or None


def _shown_inputs(graph: Graph) -> list[tuple[int, list[int]]]:
    """The outputs that may show numbers of inputs, and of which ones."""
    shown: dict[Node, set[int]] = {node: {number} for number, node in enumerate(graph.inputs)}
    for node in graph.nodes:
        if node not in shown:
            seen = [] if _is_new(node) else [shown[source] for source in node.inputs]
            shown[node] = set().union(*seen)
    found = [(number, sorted(shown[node])) for number, node in enumerate(graph.outputs)]
    return [(number, sources) for number, sources in found if sources]


def _is_new(node: Node) -> bool:
    """Whether the value of a node is an array of its own."""
    op = node.op
    return op.numpy is not None or op.reduction is not None or op.work is not None


def _owner(array: Array) -> Any:
    return array if array.base is None else array.base
