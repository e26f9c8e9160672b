"""The chain ∂L/∂w of one weight: every path from the weight to the loss.

Along a path the derivatives multiply; the products are added (the multivariable chain rule):

    ∂L/∂w = Σ over the paths w → u₁ → … → L of  ∂u₁/∂w · ∂u₂/∂u₁ · … · ∂L/∂uₙ

There may be very many. Those with the largest contributions are found first: how much a path may
contribute is estimated before it is walked, since ∂L/∂u is the sum over all paths from u on.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Any

import numpy as np

from ..engine.autodiff import pull_back
from ..engine.ir.node import Node
from ..engine.tensor import TRACE_BIT, Tensor, symbol
from .collect import Collector
from .elements import value_of
from .explanation import Call, Chain, Equation, Expression, Factor, Path, Quantity
from .record import evaluate
from .weights import place_of

#: So many paths are shown.
_PATHS = 16
#: So many links are followed to find them, and as many again to count all paths.
_LINKS = 4_000
#: Contributions of single examples are computed for batches up to this size.
_EXAMPLES = 64
_LARGEST = 500_000

Element = tuple[Node, int]


def chain_of(collector: Collector, weight: str) -> Chain:
    """The chain of one weight, such as ``layers.0.weight[3,7]``."""
    step = collector.step
    path = weight.partition("[")[0]
    node = step.parameters[path]
    index = place_of(weight, path, node.type.shape)
    assert index is not None
    quantity, gradient = collector.quantity(node, index), collector.gradient(node, index)
    assert quantity is not None
    if gradient is None:  # the loss does not depend on it
        gradient = Quantity(quantity.symbol, quantity.place, 0.0, "gradient", quantity.node, index)
    new = float(step.values[step.update.new[path]].reshape(-1)[index])
    walk = _Walk(collector)
    found = walk.best((node, index))
    rest = gradient.value - math.fsum(one.product for one in found)
    return Chain(
        weight=quantity,
        gradient=gradient,
        paths=tuple(found),
        count=walk.count((node, index)),
        rest=rest,
        examples=tuple(_contributions(collector, node, index)),
        equations=tuple(walk.equations((node, index), found)),
        forward=tuple(walk.forward((node, index), found)),
        new=Quantity(quantity.symbol, quantity.place, new, "new", quantity.node, index),
    )


class _Walk:
    """The paths from elements to the loss."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._loss = collector.step.loss
        self._seen = 0
        collector.elements.was_cut = False
        self._edges: dict[Element, list[tuple[Element, Factor]]] = {}

    def edges(self, element: Element) -> list[tuple[Element, Factor]]:
        """The elements that use this one, with the derivative with respect to it."""
        if element not in self._edges:
            lower = self._collector.quantity(*element)
            found = []
            for user, out, factors in self._collector.elements.edges(*element):
                upper = self._collector.quantity(user, out)
                assert upper is not None
                assert lower is not None
                expression: Expression | None = None
                if factors:
                    expression = factors[0] if len(factors) == 1 else Call("multiply", factors)
                value = math.prod(value_of(one) for one in factors)
                found.append(((user, out), Factor(upper, lower, value, expression)))
            self._edges[element] = found
            self._seen += len(found) + 1
        return self._edges[element]

    def _onward(self, element: Element) -> float:
        """∂L/∂element: the sum over all paths from it."""
        if element == (self._loss, 0):
            return 1.0
        found = self._collector.gradient(*element)
        return 0.0 if found is None else found.value

    def best(self, start: Element) -> list[Path]:
        """The paths with the largest contributions, largest first."""
        order = itertools.count()  # breaks ties: first found, first shown
        heap: list[tuple[float, int, Element, tuple[Factor, ...], float]] = [
            (-math.inf, next(order), start, (), 1.0)
        ]
        found: list[Path] = []
        while heap and len(found) < _PATHS and self._seen < _LINKS:
            _, _, element, factors, product = heapq.heappop(heap)
            if element[0] is self._loss:
                found.append(Path(factors, product, self._example(factors)))
                continue
            for further, factor in self.edges(element):
                if factor.value == 0.0 and len(heap) > 64:
                    continue
                worth = abs(product * factor.value * self._onward(further))
                if math.isnan(worth):
                    continue
                step = (-worth, next(order), further, (*factors, factor), product * factor.value)
                heapq.heappush(heap, step)
        return sorted(found, key=lambda one: -abs(one.product))

    def _example(self, factors: tuple[Factor, ...]) -> int | None:
        """The example of the batch that the path goes through."""
        examples = self._collector.names.examples
        if examples is None:
            return None
        number = self._collector.id[examples]
        for factor in factors:
            if factor.upper.node == number and factor.upper.place:
                return factor.upper.place[0]
        return None

    def count(self, start: Element) -> float:
        """How many paths there are; infinity if there are too many to count."""
        counts: dict[Element, float] = {(self._loss, 0): 1.0}
        stack = [start]
        while stack:
            element = stack[-1]
            if element in counts:
                stack.pop()
                continue
            if self._seen > 2 * _LINKS or self._collector.elements.was_cut:
                return math.inf
            further = [one for one, _ in self.edges(element)]
            missing = [one for one in further if one not in counts]
            if missing:
                stack += missing
            else:
                counts[element] = sum(counts[one] for one in further)
                stack.pop()
        return counts[start]

    def _links(self, start: Element, paths: list[Path]) -> list[Element]:
        """The elements on the largest path, from the weight to the loss."""
        links = [start]
        nodes = {number: node for node, number in self._collector.id.items()}
        for factor in paths[0].factors if paths else ():
            assert factor.upper.node is not None
            links.append((nodes[factor.upper.node], factor.upper.index))
        return links

    def forward(self, start: Element, paths: list[Path]) -> list[Equation]:
        """The forward pass along the largest path."""
        collector = self._collector
        found = []
        for node, index in self._links(start, paths)[1:]:
            left, right = collector.quantity(node, index), collector.elements.formula(node, index)
            if left is not None and right is not None:
                found.append(Equation(left, right))
        return found

    def equations(self, start: Element, paths: list[Path]) -> list[Equation]:
        """Link by link, from the loss back to the weight: the gradients on the largest path."""
        collector = self._collector
        found = []
        for node, index in reversed(self._links(start, paths)):
            if node is not self._loss:
                equation = collector.elements.backward(node, index)
                if equation is not None:
                    found.append(equation)
        return found


def _contributions(collector: Collector, node: Node, index: int) -> list[float]:
    """What each example contributes to ∂L/∂w: the backward pass from one example at a time."""
    step, examples = collector.step, collector.names.examples
    if examples is None or examples not in step.gradients or not examples.type.shape:
        return []
    rows = examples.type.shape[0]
    work = sum(one.type.size for one in step.order) * rows
    if not 1 < rows <= _EXAMPLES or work > _LARGEST * 8:
        return []
    upstream = symbol(examples.type, "examples")
    (found,) = pull_back([Tensor(examples)], [upstream], [node], TRACE_BIT)
    if found is None:
        return []
    whole: Any = step.values[step.gradients[examples]]
    contributions = []
    for row in range(rows):
        part = np.zeros_like(whole)
        part[row] = whole[row]
        known = {one: step.values[one] for one in step.order}
        known[upstream.node] = part
        evaluate([found.node], known)
        contributions.append(float(known[found.node].reshape(-1)[index]))
    return contributions
