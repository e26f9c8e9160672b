"""Merging loops: what is computed element by element is computed in one pass.

At first each node has a loop of its own; then it joins that of what it reads element by element.
Element i is counted through the elements in order, so that a reshape between them does not matter.
"""

from __future__ import annotations

import math

from ...ir.node import Node
from ...ir.operation import Cost
from .kernel import Kernel, loop_shapes, operands, reduced_axes
from .kernels.matmul import either_product_of, has_tail, is_product, rows_go_first
from .views import View, common_axes

#: A loop of more nodes or buffers than this strains compilers and registers.
_MOST_NODES = 64
_MOST_BUFFERS = 24


def fuse_loops(kernels: list[Kernel], views: dict[Node, View], early: set[Node]) -> list[Kernel]:
    """The kernels with loops fused as long as each remains one pass, and no cycle appears.

    Args:
        kernels: sources before their readers.
        views: of every node.
        early: what must be known before anything else is stored, and so is kept apart.
    """
    return _Fuser(kernels, views, early).fused()


class _Fuser:
    """Kernels and what comes before and after each of them."""

    def __init__(self, kernels: list[Kernel], views: dict[Node, View], early: set[Node]) -> None:
        self.views = views
        self.early = early
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

    def fused(self) -> list[Kernel]:
        """Merge what can be fused; the order of trials depends on the graph only."""
        alone = [kernel.nodes[0] for kernel in self.before]
        cheap = [node for node in alone if self._is_cheap(node)]
        for node in alone:  # with what they read
            if not self._is_cheap(node):
                self._join_sources(node)
        for node in reversed(cheap):  # with one that reads them, so that they need not be stored
            readers = self.after[self.kernel_of[node]]
            for kernel in sorted(readers, key=self.position.__getitem__):
                self._try(self.kernel_of[node], kernel)
        for node in alone:  # and all that those read
            self._join_sources(node)
        same: dict[Node, list[Node]] = {}
        for kernel in self.before:  # with others that read the same
            for node in kernel.nodes:
                for view in operands(node, self.views):
                    if view.whole and view.size > 1:
                        same.setdefault(view.base, []).append(node)
        for nodes in same.values():
            for other in nodes[1:]:
                self._try(self.kernel_of[nodes[0]], self.kernel_of[other])
        for node in alone:
            if is_product(node):
                self._join_tail(self.kernel_of[node])
        return list(self.before)

    def _is_cheap(self, node: Node) -> bool:
        """Whether to compute it where it is read rather than to store it.

        Sums and products are cheap where all operands but one are single numbers, as in 1 - σ(x).
        """
        if node.op.cost is not Cost.ARITHMETIC:
            return node.op.cost is Cost.TRIVIAL
        return sum(view.base.type.size > 1 for view in operands(node, self.views)) == 1

    def _join_tail(self, product: Kernel) -> None:
        """Compute a loop that reads the elements of a product where they are made."""
        for loop in sorted(self.after[product], key=self.position.__getitem__):
            if self._is_tail(product.nodes[0], loop) and not self._path_between(product, loop):
                tail = loop.nodes
                self._merge(product, loop)
                product.nodes, product.tail = [product.nodes[0], *tail], tail
                return

    def _is_tail(self, product: Node, loop: Kernel) -> bool:
        size = either_product_of(product)
        if not loop.is_loop or loop.reductions or not has_tail(size):
            return False
        if len({node in self.early for node in (product, *loop.nodes)}) > 1:
            return False
        extents = (size.batch, size.m, size.n)
        shapes = [*loop_shapes(loop.nodes), extents]
        if len({math.prod(shape) for shape in shapes}) > 1:
            return False
        if common_axes(shapes) != tuple(extent for extent in extents if extent != 1):
            return False
        own = {product, *loop.nodes}
        views = [view for node in loop.nodes for view in operands(node, self.views)]
        reads_more = any(view.whole and view.size > 1 for view in views if view.base not in own)
        if reads_more and not rows_go_first(size):
            return False
        return all(view.whole for view in views if view.base is product)

    def _join_sources(self, node: Node) -> None:
        sources = [view.base for view in operands(node, self.views)]
        # Cheap ones first: they may read another source, and so stand between.
        for source in sorted(sources, key=lambda source: not self._is_cheap(source)):
            self._try(self.kernel_of.get(source), self.kernel_of[node])

    def _try(self, first: Kernel | None, second: Kernel) -> None:
        if first is None or first is second or not self._fit(first, second):
            return
        if self.position[first] > self.position[second]:
            first, second = second, first
        if self._path_between(first, second):
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
        if len({node in self.early for node in nodes}) > 1:
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
                        view.whole and view.base.op.reduction is None
                    ):
                        return False
        return True

    def _path_between(self, first: Kernel, second: Kernel) -> bool:
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
