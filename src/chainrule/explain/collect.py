"""The parts of an explanation, from a recorded step: what is shown, and how much of it."""

from __future__ import annotations

import base64
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..engine.ir.node import CONSTANT, PART, PLACEHOLDER, Node
from ..engine.ir.serialize import encode
from ..engine.ops.pooling import MAX_POOL, SUM_POOL
from ..engine.ops.reduction import SUM
from ..engine.ops.shape import SLICE
from ..nn import Module
from ..utils.typing import Array
from . import probabilities
from .elements import Elements, cut, leaves, number
from .explanation import (
    Call,
    Contribution,
    Equation,
    Error,
    Expression,
    Layer,
    Quantity,
    Values,
)
from .explanation import Node as NodeView
from .native import c_of
from .node_names import Names, operation_title
from .record import Step

#: Arrays up to this size are kept in full, until all of them together are too large.
_WHOLE = 20_000
_WHOLE_TOGETHER = 250_000
#: Histograms of larger arrays are those of a subsample.
_SAMPLE = 20_000
_BINS = 24
#: Of the maps of an attention that is not kept in full about so many numbers are drawn.
_MAPS = 40_000
#: Nodes up to this size have equations for all their elements, larger ones for some.
_ALL_ELEMENTS = 16
_SOME_ELEMENTS = 2
#: Equations are written until they hold this many numbers.
_NUMBERS = 4_000


class Budget:
    """How many numbers may still be shown."""

    def __init__(self, whole: int = _WHOLE_TOGETHER, numbers: int = _NUMBERS) -> None:
        self.whole = whole
        self.numbers = numbers

    def take(self, size: int) -> bool:
        """Whether an array of this size may be kept in full; it then counts."""
        if size > _WHOLE or size > self.whole:
            return False
        self.whole -= size
        return True


def values_of(array: Array, budget: Budget, whole: bool = True) -> Values:
    """The summary of an array, with its numbers if the budget allows."""
    size = array.size
    flat = array.reshape(-1)
    if size > _SAMPLE:  # norms of all, the rest of a subsample
        sample = flat[:: size // _SAMPLE + 1].astype(np.float64)
    else:
        sample = flat.astype(np.float64)
    finite = sample[np.isfinite(sample)]
    square = _sum_of_squares(flat)
    bad = 0
    if array.dtype.kind == "f" and not math.isfinite(square):
        bad = int(size - np.isfinite(flat).sum())
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    counts: tuple[int, ...] = ()
    if finite.size > 1 and high > low and math.isfinite(high - low):
        bins = ((finite - low) / (high - low) * _BINS).astype(int).clip(0, _BINS - 1)
        counts = tuple(np.bincount(bins, minlength=_BINS).tolist())
    return Values(
        shape=tuple(array.shape),
        dtype=array.dtype.name,
        data=flat if whole and budget.take(size) else None,
        norm=math.sqrt(square) if square >= 0 else math.nan,
        rms=math.sqrt(square / size) if size and square >= 0 else math.nan if size else 0.0,
        mean=float(finite.mean()) if finite.size else 0.0,
        low=low,
        high=high,
        zeros=float((sample == 0).mean()) if size else 0.0,
        bad=bad,
        histogram=counts,
    )


def _sum_of_squares(flat: Array) -> float:
    if flat.dtype.kind != "f":
        flat = flat.astype(np.float64)
    with np.errstate(all="ignore"):
        found = float(np.dot(flat, flat))
        if not math.isfinite(found) or (flat.size and found == 0.0):  # overflow of float32
            wide = flat.astype(np.float64)
            found = float(np.dot(wide, wide))
    return found


class Collector:
    """Builds the parts of an explanation from a recorded step.

    Args:
        step: what was recorded.
        names: of its nodes.
        budget: how much may be shown.
        show_c: whether to add the C code of the nodes.
    """

    def __init__(self, step: Step, names: Names, budget: Budget, show_c: bool = False) -> None:
        self.step = step
        self._show_c = show_c
        self.names = names
        self.budget = budget
        self.id = {node: number for number, node in enumerate(step.order)}
        self.elements = Elements(
            step.values,
            self.quantity,
            self.gradient,
            names.consumers.__getitem__,
            self._upstream,
        )
        self._whole = self._shown_in_full()

    # ---- names of elements ----------------------------------------------------------------------

    def quantity(self, node: Node, index: int) -> Quantity | None:
        """An element of a node that has equations of its own."""
        if node not in self.names.named:
            return None
        return self._quantity(node, index, "value", self.step.values[node])

    def gradient(self, node: Node, index: int) -> Quantity | None:
        """The gradient of an element."""
        found = self.step.gradients.get(node)
        if found is None or node not in self.names.symbol:
            return None
        return self._quantity(node, index, "gradient", self.step.values[found])

    def _upstream(self, node: Node) -> Any:
        found = self.step.gradients.get(node)
        return None if found is None else self.step.values[found]

    def _quantity(self, node: Node, index: int, of: str, array: Array) -> Quantity:
        place = tuple(int(k) for k in np.unravel_index(index, node.type.shape))
        value = float(array.reshape(-1)[index])
        return Quantity(self.names.symbol[node], place, value, of, self.id.get(node), index)

    # ---- nodes ----------------------------------------------------------------------------------

    def _shown_in_full(self) -> set[Node]:
        """The nodes whose value and gradient are kept in full: small arrays first."""
        found = set()
        for node in sorted(self.step.order, key=lambda one: one.type.size):
            if node.type.size * 3 <= self.budget.whole and node.type.size <= _WHOLE:
                self.budget.whole -= node.type.size * 3
                found.add(node)
        self.budget.whole = max(self.budget.whole, 0)
        return found

    def values(self, array: Any, node: Node) -> Values:
        """The values of a node, or of what has its shape."""
        if isinstance(array, tuple):  # of a loop that was not unrolled
            array = np.concatenate([np.asarray(part, float).reshape(-1) for part in array])
        return values_of(array, Budget(whole=_WHOLE if node in self._whole else 0))

    def nodes(self) -> list[NodeView]:
        """The forward pass, with the gradients."""
        sent: dict[Node, list[tuple[Node, int, Node]]] = defaultdict(list)
        for user, position, contribution in self.step.flows:
            sent[user.inputs[position]].append((user, position, contribution))
        return [self._node(node, sent[node]) for node in self.step.order]

    def _node(self, node: Node, sent: list[tuple[Node, int, Node]]) -> NodeView:
        step, names = self.step, self.names
        gradient = step.gradients.get(node)
        forward, backward = self._equations(node)
        origin = node.origin
        return NodeView(
            id=self.id[node],
            op=node.op.name,
            role=names.role[node],
            symbol=names.symbol.get(node, ""),
            title=operation_title(node),
            attributes=_attributes(node),
            inputs=tuple(self.id[source] for source in node.inputs),
            layer=names.layer[node],
            line=f"{origin.file}:{origin.line}" if origin and origin.file else "",
            formula=self.formula(node),
            value=self.values(step.values[node], node),
            gradient=None if gradient is None else self.values(step.values[gradient], node),
            contributions=tuple(
                self._contribution(user, position, found, len(sent) == 1)
                for user, position, found in sent
                if user in self.id
            ),
            shown=node in names.named,
            forward=forward,
            backward=backward,
            step=step.time.get(node),
            view=self._view(node),
            c=self._c(node),
        )

    def _contribution(self, user: Node, position: int, found: Node, is_all: bool) -> Contribution:
        kind, rule = _kind_of_rule(user, position, self.names)
        source = user.inputs[position]
        local = None
        if kind == "elementwise" and source in self._whole:
            derivative = self.elements.local(user, position)
            local = None if derivative is None else self.values(derivative, source)
        value = self.values(self.step.values[found], source)
        if is_all:  # it is the gradient itself
            value = values_of(self.step.values[found], Budget(whole=0))
        return Contribution(self.id[user], position, kind, rule, local, value)

    def formula(self, node: Node, depth: int = 0) -> str:
        """How a node is computed, with the symbols of its inputs."""
        if not node.inputs:
            return ""
        parts = [self._operand_name(source, depth) for source in node.inputs]
        if node.op.name == "concatenate":  # [[a, b], c] is [a, b, c]
            joined = ", ".join(part[1:-1] if part[:1] == "[" else part for part in parts)
            return f"[{joined}]"
        pattern = node.op.formula or f"{node.op.name}({{0}})"
        try:
            return pattern.format(*parts)
        except (IndexError, KeyError):
            return f"{node.op.name}({', '.join(parts)})"

    def _operand_name(self, node: Node, depth: int) -> str:
        if node in self.names.symbol:
            return self.names.symbol[node]
        if node.op is CONSTANT and node.value is not None and node.value.size:
            return f"{node.value.reshape(-1)[0].item():.6g}"
        if node.op.formula == "{0}" or node.op is SLICE:
            return self._operand_name(node.inputs[0], depth)
        if depth > 6:
            return "…"
        text = self.formula(node, depth + 1)
        simple = node.op.moves or text[:1] in "|⌊⌈√" or text.endswith(")")
        return text if simple else f"({text})"

    # ---- equations ------------------------------------------------------------------------------

    def _equations(self, node: Node) -> tuple[tuple[Equation, ...], tuple[Equation, ...]]:
        if node not in self.names.named or not isinstance(self.step.values[node], np.ndarray):
            return (), ()
        forward: list[Equation] = []
        backward: list[Equation] = []
        for index in self._shown_elements(node):
            left = self.quantity(node, index)
            right = self.elements.formula(node, index) if node.inputs else None
            if left is not None and right is not None:
                forward.append(Equation(left, right))
                self.budget.numbers -= leaves(right)
            if node is not self.step.loss and node in self.step.gradients:
                back = self.elements.backward(node, index)
                if back is not None:
                    backward.append(back)
                    self.budget.numbers -= leaves(back.right)
        return tuple(forward), tuple(backward)

    def _shown_elements(self, node: Node) -> Iterable[int]:
        size = node.type.size
        if self.budget.numbers <= 0 or size > 2_000_000:
            return ()
        return range(min(size, _ALL_ELEMENTS if size <= _ALL_ELEMENTS else _SOME_ELEMENTS))

    def _c(self, node: Node) -> str:
        if not self._show_c or node not in self.names.named:
            return ""
        return c_of(node, lambda one: one in self.names.named)

    # ---- pictures ------------------------------------------------------------------------------

    def _view(self, node: Node) -> dict[str, Any] | None:
        name = node.op.name
        if name == "convolution":
            image, kernel = node.inputs
            return {"kind": "convolution", "image": self.id[image], "kernel": self.id[kernel],
                    **_attributes(node)}  # fmt: skip
        if node.op is MAX_POOL or node.op is SUM_POOL:
            return {"kind": "pooling", "image": self.id[node.inputs[0]], **_attributes(node)}
        is_map = name == "softmax" and len(node.type.shape) >= 3
        if node in self.step.attention or (is_map and self.names.layer[node] != "loss"):
            return self._attention(node)
        if node in self.step.time:
            return {"kind": "time", "step": self.step.time[node]}
        return None

    def _attention(self, node: Node) -> dict[str, Any]:
        """A map of the weights: where they are too many to be kept, in steps of 1/255."""
        queries, keys = node.type.shape[-2:]
        view: dict[str, Any] = {"kind": "attention", "queries": queries, "keys": keys}
        if node not in self._whole:
            maps = self.step.values[node].reshape(-1, queries, keys)
            count = min(len(maps), max(_MAPS // max(queries * keys, 1), 1))
            levels = np.rint(np.nan_to_num(maps[:count]) * 255).astype(np.uint8)
            view |= {"maps": count, "levels": base64.b64encode(levels.tobytes()).decode()}
        return view

    # ---- layers ---------------------------------------------------------------------------------

    def layers(self, model: Module | None, changes: Mapping[str, float]) -> list[Layer]:
        """The nodes by layer, in the order of the forward pass."""
        titles = {} if model is None else {p: m.title() for p, m in model.named_modules()}
        groups: dict[str, list[Node]] = {}
        inputs = [node for node in self.step.order if self.names.role[node] == "input"]
        computed = [node for node in self.step.order if node.inputs]
        for node in [*inputs, *computed, *self.step.order]:  # a layer stands where it computes
            groups.setdefault(self.names.layer[node], [])
        for node in self.step.order:
            groups[self.names.layer[node]].append(node)
        return [
            self._layer(path, self._layer_title(path, titles), group, changes)
            for path, group in groups.items()
        ]

    def _layer_title(self, path: str, titles: Mapping[str, str]) -> str:
        """The class of a layer with its sizes, and what the network does with its result."""
        named = [node for node in self.names.between[path] if node in self.names.named]
        after = list(dict.fromkeys(map(operation_title, named)))
        if path not in titles or not after:
            return titles.get(path, "")
        return f"{titles[path]}, then {', '.join(after[:3])}{', …' if after[3:] else ''}"

    def _layer(
        self, path: str, title: str, group: list[Node], changes: Mapping[str, float]
    ) -> Layer:
        inside = set(group)
        computed = [node for node in group if node.inputs] or group
        used = [
            node for node in computed
            if not self.names.consumers[node]
            or any(user not in inside for user, _ in self.names.consumers[node])
        ]  # fmt: skip
        result = (used or computed)[-1]
        gradient = self.step.gradients.get(result)
        learned = [node for node in group if self.names.role[node] == "parameter"]
        paths = [self.step.variables[node] for node in learned]
        count = sum(node.type.size for node in learned)
        gradients = [self.step.gradients[n] for n in learned if n in self.step.gradients]
        return Layer(
            path=path,
            title=title,
            nodes=tuple(self.id[node] for node in group),
            result=self.id[result],
            parameters=count,
            activation=_rms([self.step.values[result]]),
            gradient=None if gradient is None else _rms([self.step.values[gradient]]),
            weight=_rms([self.step.values[node] for node in learned]) if learned else None,
            weight_gradient=_rms([self.step.values[node] for node in gradients])
            if gradients
            else None,
            update=math.sqrt(sum(changes[p] ** 2 for p in paths) / count) if count else None,
        )

    # ---- the error ------------------------------------------------------------------------------

    def error(self, name: str, formula: str) -> Error:
        """The second step."""
        step, examples = self.step, self.names.examples
        single: list[Equation] = []
        batch: list[Equation] = []
        right = self.elements.formula(step.loss, 0)
        left = self.quantity(step.loss, 0)
        assert left is not None
        if examples is not None and examples is not step.loss:
            single = self._losses_of_examples(examples)
        if right is not None:
            batch.append(Equation(left, right))
        unit = self.names.unit
        found: tuple[tuple[Equation, ...], ...] = ((), ())
        if step.outputs and step.outputs[0] in self.names.symbol:
            output = step.outputs[0]
            symbol, number_of = self.names.symbol[output], self.id[output]
            found = probabilities.find(step, symbol, number_of, self.quantity)
        return Error(name, formula, tuple(single), tuple(batch), self.id[step.loss], unit, *found)

    def _losses_of_examples(self, node: Node) -> list[Equation]:
        rows = node.type.shape[0]
        each = node.type.size // max(rows, 1)
        found = []
        for row in range(min(rows, _ALL_ELEMENTS)):
            if each == 1:
                left, right = self.quantity(node, row), self.elements.formula(node, row)
                if left is not None and right is not None:
                    found.append(Equation(left, right, f"{self.names.unit} {row}"))
                continue
            places = range(row * each, (row + 1) * each)
            total = math.fsum(self.elements.value(node, place) for place in places)
            terms: tuple[Expression, ...] = tuple(
                self.quantity(node, place) or number(0.0) for place in places[:10]
            )
            sum_of = cut(terms, each, total) if each > 10 else Call("add", terms)
            left = Quantity(f"{self.names.symbol[node]}[{row}]", (), total, "example")
            found.append(Equation(left, sum_of, f"{self.names.unit} {row}"))
        return found


def _rms(arrays: list[Any]) -> float:
    parts = [part for a in arrays for part in (a if isinstance(a, tuple) else (a,))]
    size = sum(part.size for part in parts)
    total = sum(_sum_of_squares(part.reshape(-1)) for part in parts)
    return math.sqrt(total / size) if size else 0.0


def _attributes(node: Node) -> dict[str, Any]:
    if node.op in (PLACEHOLDER, CONSTANT):
        return {}
    try:
        return {
            key: encode(value)
            for key, value in node.attributes.items()
            if key not in ("body", "owner")
        }
    except TypeError:
        return {}


def _kind_of_rule(user: Node, position: int, names: Names) -> tuple[str, str]:
    """The kind of the local derivative, and its formula."""
    op = user.op
    if op.moves or op is SUM or op is PART:
        return "structure", "1"
    others = [source for i, source in enumerate(user.inputs) if i != position]
    other = names.symbol.get(others[0], "the other factor") if others else ""
    y = names.symbol.get(user, "y")
    x = names.symbol.get(user.inputs[position], "x")
    if op.linear:
        return "linear", other
    if op.notation.derivatives:
        return "elementwise", op.notation.derivatives[position].format(x=x, y=y, other=other)
    same = all(source.type.shape == user.type.shape for source in user.inputs)
    if same and not user.attributes:
        return "elementwise", f"∂{y}/∂{x}"
    return "general", f"∂{y}/∂{x}"
