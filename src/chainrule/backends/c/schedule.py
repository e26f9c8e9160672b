"""Which nodes are computed together, and in which order.

Every node is one of three: a *view* of another node's buffer, which costs nothing; a member of a
*loop*, a kernel that visits the elements of one iteration space once and computes many nodes on
the way; or a *special* kernel of its own (matrix product, softmax, gather, …).

Loops are made by merging: at first each node has its own, then a node joins the loop of what it
reads element by element. Element i is counted through the elements in order, so that a reshape
between them does not matter.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...errors import ChainruleError
from ...ir.graph import Graph
from ...ir.node import Node
from ...ir.operation import OPERATIONS
from ...passes.rewrite import make, rewrite
from .expressions import rule
from .kernels import MAY_STOP, SPECIAL
from .views import VIEWS, View, common_axes, through, whole

#: Operations that reduce axes and can end a loop.
REDUCTIONS = frozenset({"sum", "prod", "max", "min"})
#: Computed where they are read rather than stored, for they follow quickly from what is stored.
_CHEAP = frozenset(
    "cast equal not_equal less less_equal greater greater_equal logical_not negative".split()
)
#: A loop of more nodes or buffers than this strains compilers and registers.
_MOST_NODES = 64
_MOST_BUFFERS = 24


class UnsupportedError(ChainruleError):
    """The C backend has no kernel for an operation; the NumPy backend has."""


@dataclass(eq=False)
class Kernel:
    """Nodes that are computed together.

    Attributes:
        nodes: in the order of computation.
        is_loop: whether it is a loop over elements; otherwise it is one special node.
        stores: those of the nodes that others read, or that are results.
    """

    nodes: list[Node]
    is_loop: bool
    stores: list[Node] = field(default_factory=list)

    @property
    def reductions(self) -> list[Node]:
        return [node for node in self.nodes if node.op.name in REDUCTIONS] if self.is_loop else []


@dataclass
class Schedule:
    """Kernels in order, and the view of a buffer that every node is."""

    kernels: list[Kernel]
    views: dict[Node, View]
    inputs: tuple[Node, ...]
    outputs: list[Node]
    #: Donated inputs, each with the output that may overwrite it, by node.
    donated: dict[Node, Node]
    #: Outputs that must be finite, or else nothing is overwritten.
    guards: list[Node]


def schedule(
    graph: Graph, donated: dict[int, int], guards: Sequence[int] = (), fuse: bool = True
) -> Schedule:
    """Cut a graph into kernels.

    Args:
        graph: what to compute.
        donated: positions of inputs that may be overwritten, with the position of the output
            that is their next value.
        guards: positions of outputs to be known before anything is overwritten.
        fuse: whether loops are merged.

    Raises:
        UnsupportedError: there is no kernel for an operation.
    """
    graph = rewrite(graph, _legal)
    outputs, copies = _own_outputs(graph)
    nodes = Graph(graph.inputs, outputs).nodes
    views = _views(nodes, copies)
    kernels = [
        Kernel([node], _is_loop(node, copies))
        for node in nodes
        if node in copies or (node.inputs and views[node].base is node)
    ]
    if fuse:
        kernels = _Merger(kernels, views).merged()
    wanted = {graph.inputs[i]: outputs[j] for i, j in donated.items()}
    watched = [outputs[position] for position in guards]
    kernels, overwritten = _order(kernels, views, nodes, wanted, watched)
    _mark_stores(kernels, views, outputs)
    return Schedule(kernels, views, graph.inputs, outputs, overwritten, watched)


def _legal(node: Node, before: Node) -> Node:
    """The same in terms of what the kernels can do."""
    if node.op.name == "logsumexp":
        axes = node.attributes["axes"]
        rank = len(node.inputs[0].type.shape)
        if axes and axes != tuple(range(axes[0], axes[-1] + 1)):
            kept = [axis for axis in range(rank) if axis not in axes]
            moved = make(node, "transpose", node.inputs[0], axes=(*kept, *axes))
            return make(node, "logsumexp", moved, axes=tuple(range(len(kept), rank)))
    return node


# ---- views -----------------------------------------------------------------------------------


def _own_outputs(graph: Graph) -> tuple[list[Node], set[Node]]:
    """Outputs that are nodes of their own, to be stored where the caller wants them."""
    outputs: list[Node] = []
    copies: set[Node] = set()
    for node in graph.outputs:
        if not node.inputs or node.op.name in VIEWS or node in outputs:
            node = Node(OPERATIONS["identity"], (node,), {}, node.type, None, 0, node.origin)
            copies.add(node)
        outputs.append(node)
    return outputs, copies


def _views(nodes: Sequence[Node], copies: set[Node]) -> dict[Node, View]:
    """The view of a buffer that every node is; ``copies`` grows by views that must be stored."""
    views: dict[Node, View] = {}

    def store(node: Node) -> View:
        if not views[node].contiguous:
            copies.add(node)
            views[node] = whole(node)
        return views[node]

    for node in nodes:
        if node in copies or node.op.name not in VIEWS:
            views[node] = whole(node)
        else:
            view = through(node, views[node.inputs[0]])
            if view is None:  # a reshape of elements that do not lie in order
                view = through(node, store(node.inputs[0]))
                assert view is not None
            views[node] = view
        if node.op.name in SPECIAL:
            for source in node.inputs:
                store(source)
    return views


def _is_loop(node: Node, copies: set[Node]) -> bool:
    if node in copies or node.op.name in REDUCTIONS or rule(node) is not None:
        return True
    if node.op.name in SPECIAL:
        return False
    raise UnsupportedError(
        f"The C backend has no kernel for {node.op.name} of {node.inputs[0].type.dtype.name}.",
        where=str(node.origin) if node.origin else None,
        hint="Compile with backend='numpy'.",
    )


def operands(node: Node, views: dict[Node, View]) -> list[View]:
    """What a member of a kernel reads: views of buffers."""
    if node.op.name in VIEWS:  # a view that is stored: it reads what it is a view of
        view = through(node, views[node.inputs[0]])
        assert view is not None
        return [view]
    return [views[source] for source in node.inputs]


# ---- merging ---------------------------------------------------------------------------------


def loop_shapes(nodes: Iterable[Node]) -> list[tuple[int, ...]]:
    """The shapes that a loop goes through: of what is computed, or reduced."""
    shapes = []
    for node in nodes:
        if node.op.name not in REDUCTIONS:
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


class _Merger:
    """Merges loops as long as each remains one pass over one space, and no cycle appears."""

    def __init__(self, kernels: list[Kernel], views: dict[Node, View]) -> None:
        self.views = views
        self.kernel_of = {node: kernel for kernel in kernels for node in kernel.nodes}
        self.before: dict[Kernel, set[Kernel]] = {kernel: set() for kernel in kernels}
        self.after: dict[Kernel, set[Kernel]] = {kernel: set() for kernel in kernels}
        self.position = {kernel: number for number, kernel in enumerate(kernels)}
        for kernel in kernels:
            for node in kernel.nodes:
                for view in operands(node, views):
                    source = self.kernel_of.get(view.base)
                    if source is not None and source is not kernel:
                        self.before[kernel].add(source)
                        self.after[source].add(kernel)

    def merged(self) -> list[Kernel]:
        alone = [kernel.nodes[0] for kernel in self.before]
        cheap = [node for node in alone if node.op.name in _CHEAP]
        for node in alone:  # with what they read
            if node.op.name not in _CHEAP:
                self._join_sources(node)
        for node in reversed(cheap):  # with one that reads them, so that they need not be stored
            for kernel in list(self.after[self.kernel_of[node]]):
                self._try(self.kernel_of[node], kernel)
        for node in cheap:
            if len(self.kernel_of[node].nodes) == 1:
                self._join_sources(node)
        readers: dict[Node, list[Node]] = {}
        for kernel in self.before:  # with others that read the same
            for node in kernel.nodes:
                for view in operands(node, self.views):
                    if view.whole and view.size > 1:
                        readers.setdefault(view.base, []).append(node)
        for nodes in readers.values():
            for other in nodes[1:]:
                self._try(self.kernel_of[nodes[0]], self.kernel_of[other])
        return list(self.before)

    def _join_sources(self, node: Node) -> None:
        for view in operands(node, self.views):
            self._try(self.kernel_of.get(view.base), self.kernel_of[node])

    def _try(self, first: Kernel | None, second: Kernel) -> None:
        if first is None or first is second or not self._fit(first, second):
            return
        if self.position[first] > self.position[second]:
            first, second = second, first
        if self._apart(first, second):
            return
        self._merge(first, second)

    def _fit(self, first: Kernel, second: Kernel) -> bool:
        """Whether one loop can compute both."""
        if not (first.is_loop and second.is_loop):
            return False
        nodes = [*first.nodes, *second.nodes]
        shapes = loop_shapes(nodes)
        sizes = {math.prod(shape) for shape in shapes}
        if len(sizes) > 1 or sizes == {0} or len(nodes) > _MOST_NODES:
            return False
        axes = common_axes(shapes)
        if axes is None:
            return False
        reductions = [*first.reductions, *second.reductions]
        if len({reduced_axes(node, axes) for node in reductions}) > 1:
            return False
        return self._buffers(nodes) <= _MOST_BUFFERS and self._element_by_element(first, second)

    def _buffers(self, nodes: list[Node]) -> int:
        own = set(nodes)
        return len({v.base for node in nodes for v in operands(node, self.views)} - own)

    def _element_by_element(self, first: Kernel, second: Kernel) -> bool:
        """Whether each reads of the other only the element that is being computed."""
        for reader, source in ((first, second), (second, first)):
            available = set(source.nodes)
            for node in reader.nodes:
                for view in operands(node, self.views):
                    if view.base in available and not (
                        view.whole and view.base.op.name not in REDUCTIONS
                    ):
                        return False
        return True

    def _apart(self, first: Kernel, second: Kernel) -> bool:
        """Whether something has to be computed between them: a path around."""
        return self._path(first, second) or self._path(second, first)

    def _path(self, start: Kernel, end: Kernel) -> bool:
        stack = [kernel for kernel in self.after[start] if kernel is not end]
        seen = set(stack)
        while stack:
            for kernel in self.after[stack.pop()]:
                if kernel is end:
                    return True
                if kernel not in seen:
                    seen.add(kernel)
                    stack.append(kernel)
        return False

    def _merge(self, first: Kernel, second: Kernel) -> None:
        """The second becomes part of the first."""
        first.nodes = _sorted_nodes([*first.nodes, *second.nodes], self.views)
        for node in second.nodes:
            self.kernel_of[node] = first
        for kernel in self.before.pop(second):
            self.after[kernel].discard(second)
            if kernel is not first:
                self.after[kernel].add(first)
                self.before[first].add(kernel)
        for kernel in self.after.pop(second):
            self.before[kernel].discard(second)
            if kernel is not first:
                self.before[kernel].add(first)
                self.after[first].add(kernel)
        self.position[first] = max(self.position[first], self.position[second])


def _sorted_nodes(nodes: list[Node], views: dict[Node, View]) -> list[Node]:
    """Sources before their readers, otherwise in the given order."""
    inside, done, order = set(nodes), set(), []
    stack = list(reversed(nodes))
    while stack:
        node = stack[-1]
        waiting = [
            view.base
            for view in operands(node, views)
            if view.base in inside and view.base not in done and view.base is not node
        ]
        if waiting and node not in done:
            stack.extend(waiting)
            continue
        stack.pop()
        if node not in done:
            done.add(node)
            order.append(node)
    return order


# ---- order -----------------------------------------------------------------------------------


def _order(
    kernels: list[Kernel],
    views: dict[Node, View],
    nodes: Sequence[Node],
    donated: dict[Node, Node],
    guards: list[Node],
) -> tuple[list[Kernel], dict[Node, Node]]:
    """The kernels, sources first; and the donated inputs that can be overwritten in place.

    An input can be overwritten by the kernel that computes its next value when all others that
    read it come before, and that kernel reads it element by element. What may stop the program
    comes before, too, so that a stopped program has changed nothing.
    """
    kernel_of = {node: kernel for kernel in kernels for node in kernel.nodes}
    before: dict[Kernel, set[Kernel]] = {kernel: set() for kernel in kernels}
    readers: dict[Node, set[Kernel]] = {}
    unaligned: set[tuple[Kernel, Node]] = set()
    for kernel in kernels:
        for node in kernel.nodes:
            for view in operands(node, views):
                readers.setdefault(view.base, set()).add(kernel)
                if not (view.whole and kernel.is_loop):
                    unaligned.add((kernel, view.base))
                source = kernel_of.get(view.base)
                if source is not None and source is not kernel:
                    before[kernel].add(source)
    stops = {kernel_of[node] for node in guards}
    stops |= {kernel for kernel in kernels if kernel.nodes[0].op.name in MAY_STOP}
    overwritten: dict[Node, Node] = {}
    for old, new in donated.items():
        writer = kernel_of[new]
        others = (readers.get(old, set()) | stops) - {writer}
        fits = writer not in stops and old.type == new.type and (writer, old) not in unaligned
        fits = fits and new.op.name not in REDUCTIONS
        if fits and not any(_depends(reader, writer, before) for reader in others):
            before[writer] |= others
            overwritten[old] = new
    place = {node: number for number, node in enumerate(nodes)}
    return _topological(kernels, before, place), overwritten


def _depends(kernel: Kernel, on: Kernel, before: dict[Kernel, set[Kernel]]) -> bool:
    stack, seen = [kernel], {kernel}
    while stack:
        for source in before[stack.pop()]:
            if source is on:
                return True
            if source not in seen:
                seen.add(source)
                stack.append(source)
    return False


def _topological(
    kernels: list[Kernel], before: dict[Kernel, set[Kernel]], place: dict[Node, int]
) -> list[Kernel]:
    """Sources first, otherwise in the order of the graph."""
    waiting = {kernel: len(sources) for kernel, sources in before.items()}
    after: dict[Kernel, list[Kernel]] = {kernel: [] for kernel in kernels}
    for kernel, sources in before.items():
        for source in sources:
            after[source].append(kernel)
    by_rank = {max(place[node] for node in kernel.nodes): kernel for kernel in kernels}
    rank = {kernel: number for number, kernel in by_rank.items()}
    ready = [rank[kernel] for kernel in kernels if not waiting[kernel]]
    heapq.heapify(ready)
    order = []
    while ready:
        kernel = by_rank[heapq.heappop(ready)]
        order.append(kernel)
        for later in after[kernel]:
            waiting[later] -= 1
            if not waiting[later]:
                heapq.heappush(ready, rank[later])
    assert len(order) == len(kernels)
    return order


def _mark_stores(
    kernels: list[Kernel], views: dict[Node, View], outputs: list[Node]
) -> None:
    needed = set(outputs)
    for kernel in kernels:
        own = set(kernel.nodes)
        for node in kernel.nodes:
            needed |= {view.base for view in operands(node, views) if view.base not in own}
    for kernel in kernels:
        kernel.stores = [node for node in kernel.nodes if node in needed]

