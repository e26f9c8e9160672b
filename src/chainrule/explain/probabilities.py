"""The probabilities inside of a loss, and the short form of its gradient: (p - y) / n.

A loss of logits computes no probabilities: ln σ(z) is computed from z itself, which is more exact.
The reader wants them all the same, and the gradient that the chain rule finds link by link is only
their distance from the target. Both are recognised by their numbers: what is said here is true of
this step, whatever the loss is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..engine.ir.node import Node
from ..utils.typing import Array
from .elements import cut, number
from .explanation import Call, Equation, Expression, Quantity
from .record import Step

#: So many probabilities are written out, and so many terms of the sum below.
_SHOWN, _TERMS = 16, 10


def find(
    step: Step, symbol: str, of: int, quantity: Callable[[Node, int], Quantity | None]
) -> tuple[tuple[Equation, ...], tuple[Equation, ...]]:
    """The equations of the probabilities and of the gradients; empty if the loss has none.

    Args:
        step: what was recorded.
        symbol: the name of the output.
        of: the id of its node.
        quantity: an element of a node, by its name.
    """
    targets = [node for name, node in step.inputs.items() if name in step.target]
    if len(step.outputs) != 1 or len(targets) != 1 or step.outputs[0] not in step.gradients:
        return (), ()
    output, target = step.outputs[0], step.values[targets[0]]
    gradient = step.values[step.gradients[output]]
    z = step.values[output]
    for kind, p in _candidates(z):
        y = _goal(z, target, kind)
        if y is None or not _differs(p, y):
            continue
        for count in dict.fromkeys((_rows(z, kind), z.size, 1)):
            tolerance = 1e-9 if z.dtype == np.float64 else 1e-4
            scale = tolerance * max(float(np.abs(gradient).max(initial=0.0)), 1e-30)
            if np.abs((p - y) / count - gradient).max(initial=0.0) <= scale:
                is_named = targets[0].type.is_float and target.size == z.size

                def right(index: int, y: Array = y, is_named: bool = is_named) -> Expression:
                    found = quantity(targets[0], index) if is_named else None
                    return found or number(float(y.reshape(-1)[index]))

                found = _Equations(output, z, p, right, gradient, symbol, of)
                return tuple(found.probabilities(kind)), tuple(found.gradients(count))
    return (), ()


def _candidates(z: Array) -> Iterator[tuple[str, Array]]:
    if z.dtype.kind != "f" or not z.size or not np.isfinite(z).all():
        return
    wide = z.astype(np.float64)
    yield "sigmoid", 1 / (1 + np.exp(-wide))
    if z.ndim and z.shape[-1] > 1:
        powers = np.exp(wide - wide.max(-1, keepdims=True))
        yield "softmax", powers / powers.sum(-1, keepdims=True)


def _goal(z: Array, target: Array, kind: str) -> Array | None:
    """The target as probabilities of the shape of z."""
    if target.size == z.size and (kind == "sigmoid" or target.dtype.kind == "f"):
        return target.reshape(z.shape).astype(np.float64)
    if kind == "softmax" and target.dtype.kind in "iu" and target.size * z.shape[-1] == z.size:
        classes = target.reshape(z.shape[:-1])
        if classes.min(initial=0) >= 0 and classes.max(initial=0) < z.shape[-1]:
            return np.eye(z.shape[-1])[classes]
    return None


def _rows(z: Array, kind: str) -> int:
    return z.size // z.shape[-1] if kind == "softmax" else (z.shape[0] if z.ndim else 1)


def _differs(p: Array, y: Array) -> bool:
    return bool(np.abs(p - y).max(initial=0.0) > 0)


class _Equations:
    """What is written about the first probabilities."""

    def __init__(
        self,
        output: Node,
        z: Array,
        p: Array,
        goal: Callable[[int], Expression],
        gradient: Array,
        symbol: str,
        of: int,
    ) -> None:
        self._shape = output.type.shape
        self._z, self._p, self._goal = z.reshape(-1), p.reshape(-1), goal
        self._gradient, self._symbol, self._of = gradient.reshape(-1), symbol, of
        classes = self._shape[-1] if self._shape else 1
        rows = max(_SHOWN // classes, 1)
        self._indices = range(min(self._z.size, rows * classes, max(_SHOWN, classes)))
        self._classes = classes

    def _quantity(self, symbol: str, index: int, values: Array, of: str) -> Quantity:
        place = tuple(int(k) for k in np.unravel_index(index, self._shape)) if self._shape else ()
        return Quantity(symbol, place, float(values[index]), of, self._of, index)

    def probabilities(self, kind: str) -> Iterator[Equation]:
        if self._classes > _SHOWN and kind == "softmax":
            return
        for index in self._indices:
            z = self._quantity(self._symbol, index, self._z, "value")
            right = Call("sigmoid", (z,)) if kind == "sigmoid" else self._softmax(z, index)
            yield Equation(self._quantity("p", index, self._p, "shared"), right)

    def _softmax(self, z: Quantity, index: int) -> Expression:
        first = index - index % self._classes
        powers: tuple[Expression, ...] = tuple(
            Call("exp", (self._quantity(self._symbol, one, self._z, "value"),))
            for one in range(first, first + self._classes)
        )
        total = float(np.exp(self._z[first : first + self._classes].astype(np.float64)).sum())
        below = cut(powers[:_TERMS], self._classes, total) if self._classes > _TERMS else None
        return Call("divide", (Call("exp", (z,)), below or Call("add", powers)))

    def gradients(self, count: int) -> Iterator[Equation]:
        if self._classes > _SHOWN:
            return
        for index in self._indices:
            p = self._quantity("p", index, self._p, "shared")
            error: Expression = Call("subtract", (p, self._goal(index)))
            right = Call("divide", (error, number(float(count)))) if count > 1 else error
            left = self._quantity(self._symbol, index, self._gradient, "gradient")
            yield Equation(left, right)
