"""The fourth step with its numbers: the optimizer's formula, taken from the graph that ran."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine.ir.graph import topological_order
from ..engine.ir.node import CONSTANT, Node
from ..errors import ConfigError
from ..optim import SGD, Adam, Optimizer
from ..optim.schedules import Constant
from .collect import Collector
from .elements import Elements, leaves, number
from .explanation import Call, Equation, Expression, ParameterUpdate, Quantity, Update
from .record import Step
from .weights import place_of

#: Parameters up to this size have equations for all their elements, larger ones for some.
_ALL_ELEMENTS = 16
_SOME_ELEMENTS = 2
#: A number that all parameters share is written out if its formula holds at most this many numbers.
_LONGEST = 24


def explain_update(
    step: Step, collector: Collector, optimizer: Optimizer, weights: Sequence[str]
) -> tuple[Update, dict[str, float]]:
    """The fourth step, and by path the norm of each parameter's change."""
    names = _UpdateNames(step, collector)
    predicted = float(step.values[step.loss].item())
    parameters, changes = [], {}
    for path, node in step.parameters.items():
        old, new = step.values[node], step.values[step.update.new[path]]
        gradient = step.values[step.update.given[path]]
        change = new - old
        predicted += float(np.vdot(gradient, change))
        changes[path] = float(np.linalg.norm(change))
        chosen = [place_of(w, path, node.type.shape) for w in weights]
        parameters.append(
            ParameterUpdate(
                path=path,
                node=collector.id.get(node, -1),
                gradient=collector.values(gradient, node),
                new=collector.values(new, node),
                change=collector.values(change, node),
                before=_states(step, collector, path, step.update.before),
                after=_states(step, collector, path, step.update.after),
                equations=tuple(names.equations(path, optimizer, chosen)),
            )
        )
    norm = math.sqrt(
        sum(float(np.vdot(g, g)) for g in (step.values[n] for n in step.update.given.values()))
    )
    group = optimizer.groups[0]
    update = Update(
        optimizer=type(optimizer).__name__,
        options=_options(optimizer),
        formula=_formula(optimizer),
        step=int(optimizer.steps.item()) + 1,
        rate=float(step.values[step.update.after["rate.0"]]),
        schedule="" if isinstance(group.schedule, Constant) else type(group.schedule).__name__,
        gradient_norm=norm,
        clip_factor=_clip_factor(optimizer, norm),
        equations=tuple(names.shared(_symbols(parameters))),
        parameters=tuple(parameters),
        predicted=predicted,
        loss=step.update.loss,
    )
    return update, changes


def _symbols(parameters: Sequence[ParameterUpdate]) -> set[str]:
    """The symbols in the equations of the parameters."""
    found: set[str] = set()
    pending: list[Expression] = [one.right for p in parameters for one in p.equations]
    while pending:
        expression = pending.pop()
        if isinstance(expression, Quantity):
            found.add(expression.symbol)
        else:
            pending += expression.arguments
    return found


def _states(step: Step, collector: Collector, path: str, nodes: dict[str, Node]) -> dict[str, Any]:
    """The optimizer state of one parameter, by its names in the formula."""
    own = step.update.own[path]
    found = {}
    for name, node in nodes.items():
        key, _, of = name.partition(".")
        if of == own and key not in ("rate", "memory", "schedule"):
            found[key] = collector.values(step.values[node], step.parameters[path])
    return found


def _clip_factor(optimizer: Optimizer, norm: float) -> float:
    """min(1, clip_norm / (‖g‖ + 10⁻⁶)), as `chainrule.optim.clip_by_norm`."""
    if optimizer.clip_norm is None:
        return 1.0
    return min(1.0, optimizer.clip_norm / (norm + 1e-6))


def _options(optimizer: Optimizer) -> dict[str, Any]:
    try:
        options = optimizer.to_config()
    except ConfigError:  # the decay is a function
        return {}
    return {key: value for key, value in options.items() if key != "name" and value is not None}


def _formula(optimizer: Optimizer) -> tuple[str, ...]:
    """The lines of the formula in the docstrings of the class and of its bases."""
    if isinstance(optimizer, SGD):
        return _formula_of_sgd(optimizer)
    lines: list[str] = []
    for kind in type(optimizer).__mro__:
        if kind is Optimizer:
            break
        lines += [_one_line(line) for line in (kind.__doc__ or "").splitlines() if "←" in line]
    return tuple(lines)


def _one_line(line: str) -> str:
    """A line of a docstring without its columns and marks."""
    return re.sub(r"\s{2,}", "   ", line.strip()).replace("``", "")


def _formula_of_sgd(optimizer: SGD) -> tuple[str, ...]:
    """Only the terms in use: most people's SGD has no momentum."""
    if not optimizer.momentum:
        return ("w ← w − lr · g",)
    new = (
        "v ← momentum · v + (1 − dampening) · g" if optimizer.dampening else "v ← momentum · v + g"
    )
    return (new, "w ← w − lr · (g + momentum · v)" if optimizer.nesterov else "w ← w − lr · v")


class _UpdateNames:
    """The symbols of the nodes of the update in equations."""

    def __init__(self, step: Step, collector: Collector) -> None:
        self._step = step
        self._collector = collector
        self._named: dict[Node, tuple[str, str, str | None]] = {}  # symbol, of, parameter
        for path, node in step.parameters.items():
            self._named[node] = (path, "value", path)
            self._named[step.update.given[path]] = (path, "gradient", path)
            self._named[step.update.new[path]] = (path, "new", path)
        self._name_state()
        self._shared = self._name_shared()
        self._elements = Elements(step.values, self._quantity, lambda *_: None, lambda _: [])

    def _name_state(self) -> None:
        paths = {own: path for path, own in self._step.update.own.items()}
        both = (("state", self._step.update.before), ("new state", self._step.update.after))
        for of, nodes in both:
            for name, node in nodes.items():
                key, _, own = name.partition(".")
                if own in paths and key not in ("rate", "memory", "schedule"):
                    self._named.setdefault(node, (key, of, paths[own]))
                elif name == "steps" and of == "state":
                    self._named.setdefault(node, ("steps", "shared", None))
                elif key == "memory" and of == "state":
                    self._named.setdefault(node, (own.partition(".")[2], "shared", None))

    def _name_shared(self) -> list[Node]:
        """Scalars that are broadcast to parameters: learning rates and corrections."""
        update = self._step.update
        rate = update.after.get("rate.0")
        found: list[Node] = []
        for node in topological_order(update.new.values()):
            if node.op.name != "broadcast_to" or node.inputs[0].type.shape:
                continue
            source = node.inputs[0]
            while source.op.name == "cast":
                source = source.inputs[0]
            if source.op is CONSTANT or source in self._named:
                continue
            if source in set(self._step.gradients.values()) or source is self._step.loss:
                continue
            name = "lr" if source is rate else f"s{len(found) + 1}"
            self._named[source] = (name, "shared", None)
            if source is not rate:
                found.append(source)
        if rate is not None:
            self._named.setdefault(rate, ("lr", "shared", None))
        return found

    def _quantity(self, node: Node, index: int) -> Quantity | None:
        if node not in self._named:
            return None
        symbol, of, path = self._named[node]
        value = float(self._step.values[node].reshape(-1)[index])
        place = tuple(int(k) for k in np.unravel_index(index, node.type.shape))
        owner = None if path is None else self._collector.id.get(self._step.parameters[path])
        return Quantity(symbol, place, value, of, owner, index)

    def shared(self, used: set[str]) -> list[Equation]:
        """How the numbers that all parameters share are computed, as far as they are used."""
        found = []
        for node in self._shared:
            if self._named[node][0] not in used:
                continue
            left, right = self._quantity(node, 0), self._elements.formula(node, 0)
            if left is not None and right is not None and leaves(right) <= _LONGEST:
                found.append(Equation(left, right))
        return found

    def equations(
        self, path: str, optimizer: Optimizer, chosen: list[int | None]
    ) -> list[Equation]:
        """The update of some elements of a parameter."""
        size = self._step.parameters[path].type.size
        count = size if size <= _ALL_ELEMENTS else _SOME_ELEMENTS
        budget = self._collector.budget
        wanted = dict.fromkeys([i for i in chosen if i is not None])
        if budget.numbers > 0:
            wanted |= dict.fromkeys(range(min(count, size)))
        found = []
        for index in sorted(wanted):
            equations = self._of_element(path, optimizer, index)
            budget.numbers -= sum(leaves(one.right) for one in equations)
            found += equations
        return found

    def _of_element(self, path: str, optimizer: Optimizer, index: int) -> list[Equation]:
        found = []
        own = self._step.update.own[path]
        for name, node in self._step.update.after.items():
            is_new = self._named.get(node, ("", "", None))[1] == "new state"
            if is_new and name.partition(".")[2] == own:
                found.append(self._equation(node, index))
        new = self._step.update.new[path]
        if isinstance(optimizer, Adam) and not optimizer.amsgrad:
            return [*filter(None, found), *self._adam(path, optimizer, index)]
        return [one for one in (*found, self._equation(new, index)) if one is not None]

    def _equation(self, node: Node, index: int) -> Equation | None:
        left, right = self._quantity(node, index), self._elements.formula(node, index)
        return None if left is None or right is None else Equation(left, right)

    def _adam(self, path: str, optimizer: Optimizer, index: int) -> list[Equation]:
        """The bias corrections as the paper writes them; the graph has the same in one formula."""
        update, own = self._step.update, self._step.update.own[path]
        options = next(g.options for g in optimizer.groups if own in g.parameters)
        assert isinstance(options, Adam)
        t = int(optimizer.steps.item()) + 1
        hats: list[Quantity] = []
        found: list[Equation] = []
        for key, beta in zip(("m", "v"), options.betas, strict=True):
            mean = self._quantity(update.after[f"{key}.{own}"], index)
            assert mean is not None
            bias: Expression = Call(
                "subtract", (number(1.0), Call("power", (number(beta), number(t))))
            )
            hat = Quantity(f"{key}\u0302", mean.place, mean.value / (1 - beta**t), "corrected",
                           mean.node, index)  # fmt: skip
            hats.append(hat)
            found.append(Equation(hat, Call("divide", (mean, bias))))
        old = self._quantity(self._step.parameters[path], index)
        new = self._quantity(update.new[path], index)
        rate_node = update.after[f"rate.{_group(optimizer, own)}"]
        rate = Quantity("lr", (), float(self._step.values[rate_node]), "shared")
        assert old is not None
        assert new is not None
        kept: Expression = old
        decays = options.decoupled_weight_decay and options.weight_decay
        if decays and _decays(optimizer, own):
            lost = Call("multiply", (rate, number(options.weight_decay)))
            kept = Call("multiply", (old, Call("subtract", (number(1.0), lost))))
        below = Call("add", (Call("sqrt", (hats[1],)), number(options.eps)))
        step = Call("divide", (Call("multiply", (rate, hats[0])), below))
        return [*found, Equation(new, Call("subtract", (kept, step)))]


def _group(optimizer: Optimizer, own: str) -> int:
    return next(n for n, group in enumerate(optimizer.groups) if own in group.parameters)


def _decays(optimizer: Optimizer, own: str) -> bool:
    group = next(group for group in optimizer.groups if own in group.parameters)
    return group._decays(own, group.parameters[own])
