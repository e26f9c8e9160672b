"""Which nodes are computed together, and in which order.

Every node is one of three: a *view* of another node's buffer, which costs nothing; a member of a
*loop*, a kernel that visits the elements of one iteration space once and computes many nodes on
the way (see `fuse_loops`); or a *special* kernel of its own (matrix product, softmax, gather, …).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ...ir.graph import Graph, topological_order
from ...ir.node import PART, Node
from ...ir.operation import OPERATIONS, Cost
from ...ops.declare import BROADCAST
from ...passes.rewrite import copy, make, rewrite, with_inputs
from ..base import UnsupportedError
from .batch_split import split_batch
from .conv1x1 import as_product
from .fusion import fuse_loops
from .kernel import Kernel, KernelSchedule, indexed_extent, may_stop, operands
from .kernels.matmul import either_product_of, is_in_one
from .lowerings import is_special, is_supported
from .views import View, through, whole

#: A shorter row is none.
_ROW = 16
#: So many bytes more are worth nothing.
_LITTLE = 64
#: For so many bytes less two kernels may come at once of which the first takes memory.
_SOME = 1 << 16
#: For so many bytes more it is worth waiting until somebody can use what they hold.
_MUCH = 1 << 20


def check_support(graph: Graph) -> None:
    """Check that there is a kernel for every node.

    Raises:
        UnsupportedError: names the first node without one.
    """
    for node in graph.nodes:
        if node.op.has_body:
            check_support(node.attributes["body"])
        if not is_supported(node):
            raise UnsupportedError(
                f"The C backend has no kernel for {node.op.name}.",
                where=str(node.origin) if node.origin else None,
                hint="Compile with backend='numpy'.",
            )


def schedule(
    graph: Graph,
    donated: dict[int, int],
    guards: Sequence[int] = (),
    fuse: bool = True,
    inner: bool = False,
) -> KernelSchedule:
    """Cut a graph into kernels.

    Args:
        graph: what to compute.
        donated: positions of inputs that may be overwritten, with the position of the output
            that is their next value.
        guards: positions of outputs to be known before anything is overwritten.
        fuse: whether loops are merged.
        inner: whether it is a step of a loop: what that overwrites nobody sees if it is stopped.
    """
    graph = _recompute_by_rows(rewrite(graph, _legal))
    if donated and not inner:
        graph = _recompute_late(graph, _early(graph, guards))
    outputs, copies = _own_outputs(graph)
    nodes = Graph(graph.inputs, outputs).nodes
    views = _views(nodes, copies)
    kernels = [
        Kernel([node], _is_loop(node, copies))
        for node in nodes
        if node in copies or (node.inputs and views[node].base is node and node.op is not PART)
    ]
    _add_bodies(kernels, nodes, fuse)
    wanted = {graph.inputs[i]: outputs[j] for i, j in donated.items()}
    watched = [outputs[position] for position in guards]
    if fuse:
        early = _early(Graph(graph.inputs, outputs), guards) if donated and not inner else set()
        kernels = fuse_loops(kernels, views, early)
    stops = set() if inner else _may_stop(kernels, views)
    kernels, overwritten = _order(kernels, views, nodes, wanted, watched, outputs, stops)
    _mark_stores(kernels, views, outputs)
    return KernelSchedule(kernels, views, graph.inputs, outputs, overwritten, watched)


def _add_bodies(kernels: list[Kernel], nodes: Sequence[Node], fuse: bool) -> None:
    """Give loops over time and calls their parts, and a schedule of a step."""
    parts: dict[Node, list[Node]] = {}
    for node in nodes:
        if node.op is PART:
            parts.setdefault(node.inputs[0], []).append(node)
    for kernel in kernels:
        (node,) = kernel.nodes
        kernel.nodes += parts.get(node, [])
        if node.op.has_body:
            body, kernel.chunks = split_batch(node)
            kernel.body = schedule(body, _written_over(node, body), fuse=fuse, inner=True)


def _written_over(node: Node, body: Graph) -> dict[int, int]:
    """Carries of a loop over time that a step only writes at some indices: see `schedule`."""
    first = node.attributes.get("consts", 0)
    return {
        first + number: number
        for number, new in enumerate(body.outputs[: node.attributes.get("carries", 0)])
        if new.op.in_place and new.inputs[0] is body.inputs[first + number]
    }


def _legal(node: Node, before: Node) -> Node:
    """The same in terms of what the kernels can do."""
    if node.op.name == "logsumexp":
        axes = node.attributes["axes"]
        rank = len(node.inputs[0].type.shape)
        if axes and axes != tuple(range(axes[0], axes[-1] + 1)):
            kept = [axis for axis in range(rank) if axis not in axes]
            moved = make(node, "transpose", node.inputs[0], axes=(*kept, *axes))
            return make(node, "logsumexp", moved, axes=tuple(range(len(kept), rank)))
    return as_product(node)


def _early(graph: Graph, guards: Sequence[int]) -> set[Node]:
    """What has to be known before anything is overwritten: what may stop the program."""
    stops = [node for node in graph.nodes if may_stop(node)]
    return set(topological_order([*(graph.outputs[position] for position in guards), *stops]))


def _recompute_late(graph: Graph, early: set[Node]) -> Graph:
    """Products and the like of stored values are computed again rather than stored for later."""
    again: dict[Node, Node] = {}

    def late(source: Node, before: Node) -> Node:
        quick = before in early and Cost.NOTHING < before.op.cost <= Cost.CHOICE
        stored = all(_is_stored(operand) for operand in before.inputs)
        if not (quick and stored):
            return source
        return again.setdefault(before, copy(source))

    def rule(node: Node, before: Node) -> Node:
        if before in early:
            return node
        return with_inputs(node, tuple(map(late, node.inputs, before.inputs)))

    return rewrite(graph, rule)


def _recompute_by_rows(graph: Graph) -> Graph:
    """What differs from a stored array by one number for each row is computed wherever it is read.

    So a normalisation of rows keeps its input for the backward pass, not what it made of it, too.
    """
    users = Counter(source for node in graph.nodes for source in node.inputs)
    users.update(graph.outputs)

    def is_by_rows(node: Node) -> bool:
        if node.op.cost is not Cost.ARITHMETIC or not node.type.shape or not node.op.elementwise:
            return False
        spread = [source for source in node.inputs if _is_of_rows(source)]
        others = [source for source in node.inputs if source not in spread]
        return len(spread) == 1 and len(others) == 1 and others[0].op is not BROADCAST

    def again(node: Node) -> Node:
        inputs = tuple(again(source) if is_by_rows(source) else source for source in node.inputs)
        return Node(node.op, inputs, node.attributes, node.type, None, node.watched, node.origin)

    def rule(node: Node, before: Node) -> Node:
        if not (node.op.elementwise or node.op.reduction is not None):
            return node
        read = [users[old] > 1 and is_by_rows(old) for old in before.inputs]
        if not any(read):
            return node
        pairs = zip(node.inputs, read, strict=True)
        return with_inputs(node, tuple(again(x) if apart else x for x, apart in pairs))

    return rewrite(graph, rule)


def _is_of_rows(node: Node) -> bool:
    """Whether it is one number for each row of at least `_ROW`."""
    if node.op is not BROADCAST or node.type.shape[-1] < _ROW:
        return False
    return node.inputs[0].type.shape[-1:] == (1,) and node.inputs[0].type.size > 1


def _is_stored(node: Node) -> bool:
    while node.op.view:
        node = node.inputs[0]
    is_computed_alone = is_special(node.op) or node.op.reduction is not None
    return not node.inputs or node.op is PART or is_computed_alone


# ---- views -----------------------------------------------------------------------------------


def _own_outputs(graph: Graph) -> tuple[list[Node], set[Node]]:
    """Outputs that are nodes of their own, to be stored where the caller wants them."""
    outputs: list[Node] = []
    copies: set[Node] = set()
    for node in graph.outputs:
        if not node.inputs or node.op.view or node in outputs:
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
        if node in copies or not node.op.view:
            views[node] = whole(node)
        else:
            view = through(node, views[node.inputs[0]])
            if view is None:  # a reshape of elements that are not contiguous
                view = through(node, store(node.inputs[0]))
                assert view is not None
            views[node] = view
        if is_special(node.op):
            for source in node.inputs:
                store(source)
    return views


def _is_loop(node: Node, copies: set[Node]) -> bool:
    return node in copies or not is_special(node.op)


# ---- order -----------------------------------------------------------------------------------


def _order(
    kernels: list[Kernel],
    views: dict[Node, View],
    nodes: Sequence[Node],
    donated: dict[Node, Node],
    guards: list[Node],
    outputs: list[Node],
    stops: set[Kernel],
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
            for position, view in enumerate(operands(node, views)):
                readers.setdefault(view.base, set()).add(kernel)
                itself = node.op.in_place and not position
                if not (view.whole and (kernel.is_loop or node in kernel.tail or itself)):
                    unaligned.add((kernel, view.base))
                source = kernel_of.get(view.base)
                if source is not None and source is not kernel:
                    before[kernel].add(source)
    stops = stops | {kernel_of[node] for node in guards}
    overwritten: dict[Node, Node] = {}
    for old, new in donated.items():
        writer = kernel_of[new]
        others = (readers.get(old, set()) | stops) - {writer}
        fits = writer not in stops and old.type == new.type and (writer, old) not in unaligned
        fits = fits and new.op.reduction is None and new.op is not PART
        if fits and not any(_depends(reader, writer, before) for reader in others):
            before[writer] |= others
            overwritten[old] = new
    place = {node: number for number, node in enumerate(nodes)}
    memory = _Memory(kernels, views, outputs)
    return _topological(kernels, before, place, memory), overwritten


def _may_stop(kernels: list[Kernel], views: dict[Node, View]) -> set[Kernel]:
    """The kernels that may stop the program; of those that look at the same numbers, the first.

    So the gradient of an embedding, which comes last, need not be waited for.
    """
    found: dict[Any, Kernel] = {}
    for kernel in kernels:
        node = kernel.nodes[0]
        if not may_stop(node):
            continue
        key: Any = kernel
        if node.op.indices is not None:
            indices = operands(node, views)[1]
            key = (indices.base if indices.whole else indices, indexed_extent(node))
        found.setdefault(key, kernel)
    return set(found.values())


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
    kernels: list[Kernel],
    before: dict[Kernel, set[Kernel]],
    place: dict[Node, int],
    memory: _Memory,
) -> list[Kernel]:
    """Sources first, otherwise in the order of the graph, but at once what frees memory.

    So the gradient of a weight is computed as soon as it can be, and used up by the weight's
    update, rather than that all of them, or what they are computed from, wait for the end: even if
    the gradient takes memory that only its update frees. What
    takes next to nothing comes at once, too, for updates wait for single numbers. What takes much,
    and whose readers all wait for something else, comes last: such as one of two gradients of an
    embedding whose vectors are used twice.
    """
    waiting = {kernel: len(sources) for kernel, sources in before.items()}
    after: dict[Kernel, list[Kernel]] = {kernel: [] for kernel in kernels}
    for kernel, sources in before.items():
        for source in sources:
            after[source].append(kernel)
    by_rank = {max(place[node] for node in kernel.nodes): kernel for kernel in kernels}
    rank = {kernel: number for number, kernel in by_rank.items()}
    order: list[Kernel] = []
    done: set[Kernel] = set()
    late: list[int] = []

    def is_early(kernel: Kernel) -> bool:
        waits = after[kernel] and all(waiting[later] > 1 for later in after[kernel])
        return bool(waits) and memory.growth(kernel) > _MUCH

    def is_freeing(kernel: Kernel) -> bool:
        growth = memory.growth(kernel)
        if growth > _LITTLE and len(after[kernel]) == 1:  # its reader may come at once
            (reader,) = after[kernel]
            return waiting[reader] == 1 and growth + memory.growth(reader) < -_SOME
        return growth <= _LITTLE

    ready = [rank[kernel] for kernel in kernels if not waiting[kernel]]
    heapq.heapify(ready)
    freeing = [number for number in ready if is_freeing(by_rank[number])]
    heapq.heapify(freeing)
    while ready or late:
        kernel = by_rank[heapq.heappop(freeing or ready or late)]
        if kernel in done:
            continue
        if (ready or freeing) and is_early(kernel):
            heapq.heappush(late, rank[kernel])
            continue
        done.add(kernel)
        order.append(kernel)
        changed = memory.run(kernel)
        for later in after[kernel]:
            waiting[later] -= 1
            if waiting[later] == 1:
                for source in before[later] - done:
                    if rank[source] in late:
                        heapq.heappush(ready, rank[source])
                    changed.append(source)
            if not waiting[later]:
                heapq.heappush(ready, rank[later])
                changed.append(later)
        for other in changed:
            if other not in done and not waiting[other] and is_freeing(other):
                heapq.heappush(freeing, rank[other])
    assert len(order) == len(kernels)
    return order


class _Memory:
    """What kernels take and free in the order in which they run."""

    def __init__(
        self, kernels: list[Kernel], views: dict[Node, View], outputs: Sequence[Node]
    ) -> None:
        self._reads: dict[Kernel, set[Node]] = {}
        self._readers: dict[Node, set[Kernel]] = {}
        made = {node for kernel in kernels for node in kernel.nodes}
        for kernel in kernels:
            bases = {view.base for node in kernel.nodes for view in operands(node, views)}
            self._reads[kernel] = (bases & made) - set(kernel.nodes) - set(outputs)
            for base in self._reads[kernel]:
                self._readers.setdefault(base, set()).add(kernel)

    def growth(self, kernel: Kernel) -> int:
        """Bytes that are taken, less those that are free afterwards."""
        taken = sum(_bytes(node) for node in kernel.nodes if node in self._readers)
        return taken - sum(map(_bytes, self._last_read(kernel)))

    def _last_read(self, kernel: Kernel) -> list[Node]:
        return [node for node in self._reads[kernel] if self._readers[node] == {kernel}]

    def run(self, kernel: Kernel) -> list[Kernel]:
        """Take note that a kernel has run; those that now are the only readers of something."""
        only: list[Kernel] = []
        for node in self._reads[kernel]:
            self._readers[node].discard(kernel)
            if len(self._readers[node]) == 1:
                only += self._readers[node]
        return only


def _bytes(node: Node) -> int:
    return node.type.size * node.type.dtype.itemsize


def _mark_stores(kernels: list[Kernel], views: dict[Node, View], outputs: list[Node]) -> None:
    needed = set(outputs)
    for kernel in kernels:
        own = set(kernel.nodes)
        for node in kernel.nodes:
            needed |= {view.base for view in operands(node, views) if view.base not in own}
        if kernel.tail and not is_in_one(either_product_of(kernel.nodes[0])):
            needed.add(kernel.nodes[0])
    for kernel in kernels:
        kernel.stores = [node for node in kernel.nodes if node in needed]
