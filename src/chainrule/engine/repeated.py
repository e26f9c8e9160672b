"""Backward passes that come again: eager code pays for the walk of the chain rule once.

The second time that a computation of the same form is differentiated, the walk is traced, and what
it leaves is kept as a program of NumPy: the same operations, and so the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import ChainruleError
from .ir.graph import Graph, topological_order
from .ir.node import CONSTANT, Node, constant, placeholder
from .ir.operation import is_custom
from .ir.program import Program
from .ir.types import Type
from .tensor import TRACE_BIT, Tensor, recording, symbol

#: How many forms are remembered.
_MOST = 256


class _Backward(NamedTuple):
    """A backward pass.

    Attributes:
        program: from the values to the gradients that there are.
        taken: which values it takes: of the nodes by number, and of the upstream gradients.
        found: for each target whether there is a gradient.
    """

    program: Program
    taken: list[int]
    found: list[bool]


_known: dict[Any, _Backward | None] = {}


def gradients(
    place: dict[Node, int],
    ends: Sequence[Node],
    upstreams: Sequence[Tensor],
    targets: Sequence[Node],
    keep: int,
    walk: Callable[..., list[Tensor | None]],
) -> list[Tensor | None] | None:
    """What the walk gives, if it went through a computation of this form before; otherwise None.

    Args:
        place: the `reachable` nodes of the outputs.
        ends: the outputs.
        upstreams: of each output; see `chainrule.engine.autodiff.pull_back`, like the next two.
        targets: nodes.
        keep: the watchers that may differentiate the gradients again; then there is no program.
        walk: the function that does it, for a trace.
    """
    form = _form(place, keep)
    given = [upstream.node for upstream in upstreams]
    if form is None or any(node.value is None or node.watched & keep for node in given):
        return None
    wanted = [place.get(target, -1) for target in targets]
    key = (*form, *[place[node] for node in ends], *wanted, *[node.type for node in given])
    try:
        backward = _known.get(key)
        if backward is None:
            if key not in _known:
                if len(_known) >= _MOST:
                    _known.clear()
                _known[key] = None
                return None
            backward = _known[key] = _traced(place, ends, wanted, given, walk)
    except (TypeError, ChainruleError):  # an attribute is not hashable; the walk says what is wrong
        return None
    nodes = [*place, *given]
    arrays: list[Any] = [nodes[number].value for number in backward.taken]
    fresh = iter(backward.program(arrays))
    return [Tensor(constant(next(fresh))) if there else None for there in backward.found]


def _form(place: dict[Node, int], keep: int) -> list[Any] | None:
    """The same for computations that have the same backward pass.

    Types are those of the leaves, from which the others follow.
    """
    form: list[Any] = []
    add = form.append
    for node in place:
        if node.value is None or node.watched & keep or type(node.type) is not Type:
            return None
        inputs = node.inputs
        if inputs:
            op = node.op
            if is_custom(op):  # rules of a user may do anything
                return None
            add(op)
            for source in inputs:
                add(place[source])
            if node.attributes:
                for name, value in node.attributes.items():
                    if not isinstance(value, _PLAIN):
                        return None
                    form += (name, type(value), value)
        else:
            add(node.type)
            if _is_built_in(node):
                add(node.value.tobytes())
    return form


#: Attributes that say all of an operation; a graph is another one each time.
_PLAIN = (int, float, str, tuple, type(None), np.dtype)


def _is_built_in(node: Node) -> bool:
    """Whether rules may look at the value: single numbers that nobody watches."""
    return not node.watched and not node.type.shape


def _traced(
    place: dict[Node, int],
    ends: Sequence[Node],
    wanted: Sequence[int],
    given: Sequence[Node],
    walk: Callable[..., list[Tensor | None]],
) -> _Backward:
    twin: dict[Node, Node] = {}
    with recording():
        for node in topological_order(ends):
            sources = tuple([twin[source] for source in node.inputs])
            if sources:
                twin[node] = Node(
                    node.op, sources, node.attributes, node.type, None, TRACE_BIT, node.origin
                )
            elif _is_built_in(node):
                assert node.value is not None
                twin[node] = constant(node.value)
            else:
                twin[node] = placeholder(node.type, "", TRACE_BIT)
        twins = [twin[node] for node in place]
        upstreams = [symbol(node.type, "") for node in given]
        targets = [placeholder(ends[0].type, "", 0) if n < 0 else twins[n] for n in wanted]
        found = walk([Tensor(twin[node]) for node in ends], upstreams, targets, TRACE_BIT)
    twins += [upstream.node for upstream in upstreams]
    graph, taken = _cut([x.node for x in found if x is not None], twins)
    return _Backward(Program(graph), taken, [x is not None for x in found])


def _cut(outputs: list[Node], known: list[Node]) -> tuple[Graph, list[int]]:
    """A graph with known nodes as its inputs, and which of them it takes."""
    place = {node: number for number, node in enumerate(known) if node.op is not CONSTANT}
    new: dict[Node, Node] = {}
    taken: list[int] = []

    def replaced(node: Node) -> Node:
        if node not in new and node in place:
            new[node] = placeholder(node.type, "", TRACE_BIT)
            taken.append(place[node])
        return new.get(node, node)

    for node in topological_order(outputs, place):
        sources = tuple([replaced(source) for source in node.inputs])
        if sources:
            new[node] = Node(
                node.op, sources, node.attributes, node.type, node.value, TRACE_BIT, node.origin
            )
    results = [replaced(node) for node in outputs]
    return Graph([new[known[number]] for number in taken], results), taken
