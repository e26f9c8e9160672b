"""The slips that people make in the four steps, computed: what comes out if one is made.

All equations of an explanation are evaluated once more, with one rule changed: an activation whose
derivative is forgotten, a path that is left out, a weight that is used after its update. A wrong
answer that equals such a number is recognised by it; nothing is guessed from its looks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ..engine.ir.operation import OPERATIONS
from .elements import apply_to_numbers
from .explanation import Call, Equation, Explanation, Expression, Quantity

#: What an element is: ``of``, symbol and index of its `Quantity`.
Key = tuple[str, str, int]
Change = Callable[[Equation], Expression]

#: An answer may be off by so much of the number: people round.
TOLERANCE = 5e-3


@dataclass(frozen=True)
class Mistake:
    """A wrong number and how one gets it.

    Attributes:
        name: of the slip, such as ``activation derivative``.
        sentence: what was done, said to the one who did it.
        value: what comes out.
    """

    name: str
    sentence: str
    value: float


def key_of(quantity: Quantity) -> Key:
    """The key of an element."""
    return quantity.of, quantity.symbol, quantity.index


def agrees(answer: float, value: float, room: float | None = None) -> bool:
    """Whether an answer is a number, up to rounding, or up to ``room``."""
    return abs(answer - value) <= (TOLERANCE * abs(value) + 1e-9 if room is None else room)


class Arithmetic:
    """The equations of an explanation as a computation that can be done again, and done wrongly.

    Args:
        explanation: with equations for all elements that are asked for.
    """

    def __init__(self, explanation: Explanation) -> None:
        self.explanation = explanation
        self.equations: dict[Key, Equation] = {}
        self.phase: dict[Key, str] = {}
        for phase, equation in _in_order(explanation):
            self.equations.setdefault(key_of(equation.left), equation)
            self.phase.setdefault(key_of(equation.left), phase)
        self._users: dict[str, list[str]] = {}
        for node in explanation.nodes:
            for source in node.inputs:
                symbol = explanation.nodes[source].symbol
                self._users.setdefault(symbol, []).append(node.op)
        self._parameters = {n.symbol for n in explanation.nodes if n.role == "parameter"}
        self._rest = any(
            q.of == "rest" for one in self.equations.values() for q in quantities(one.right)
        )

    @property
    def is_whole(self) -> bool:
        """Whether every number has its equation: no sum was cut."""
        return not self._rest

    def value(
        self, key: Key, change: Change | None = None, given: Mapping[Key, float] | None = None
    ) -> float:
        """The number of an element, with a rule changed or other numbers given.

        Args:
            key: the element.
            change: gives for every equation the right side to be used.
            given: numbers that are not computed, such as somebody's own answers.
        """
        known: dict[Key, float] = dict(given or {})

        def number(quantity: Quantity) -> float:
            own = key_of(quantity)
            if quantity.of == "number" or own not in self.equations:
                return known.get(own, quantity.value)
            if own not in known:
                equation = self.equations[own]
                right = equation.right if change is None else change(equation)
                known[own] = self._evaluated(right, number)
            return known[own]

        return number(self.equations[key].left)

    def _evaluated(self, expression: Expression, number: Callable[[Quantity], float]) -> float:
        if isinstance(expression, Quantity):
            return number(expression)
        parts = [self._evaluated(one, number) for one in expression.arguments]
        return apply_to_numbers(expression.op, parts)

    def room(self, key: Key) -> float | None:
        """How far an answer may be off; None for the usual part of the number.

        A new weight is hardly different from the old one: there the change is what counts.
        """
        if key[0] != "new":
            return None
        equation = self.equations[key]
        old = (q.value for q in quantities(equation.right) if key_of(q) == ("value", *key[1:]))
        return 0.05 * abs(equation.left.value - next(old, 0.0)) + 1e-9

    # ---- slips ---------------------------------------------------------------------------------

    def mistakes(self, key: Key) -> list[Mistake]:
        """What comes out of a number if one slip is made, the likeliest slips first."""
        right = self.value(key)
        found: list[Mistake] = []
        for name, sentence, value in self._slips(key, right):
            room = self.room(key)
            is_new = not any(agrees(value, one.value, room) for one in found)
            if value == value and not agrees(value, right, room) and is_new:
                found.append(Mistake(name, sentence, value))
        return found

    def _slips(self, key: Key, right: float) -> Iterator[tuple[str, str, float]]:
        phase = self.phase[key]
        if phase == "update":
            yield from self._of_update(key)
        if phase in ("backward", "update"):
            yield ("activation derivative", "You left out the derivative of the activation: going "
                   "back through it multiplies the gradient by f′(z).",
                   self.value(key, self._without_activation))  # fmt: skip
            yield from self._paths(key)
            yield ("early update", "You used a weight after its update. All gradients belong to "
                   "the old weights; the update comes last.",
                   self.value(key, self._with_new_weights))  # fmt: skip
            count = len(self.explanation.error.examples)
            if count > 1:
                yield ("no 1/n", f"You forgot the 1/{count}: the loss is the mean of the examples, "
                       "so each of them counts for that much.",
                       self._scaled(key, float(count)))  # fmt: skip
            yield ("no input", "You left out the last factor of the chain: the gradient still "
                   "has to be multiplied by the local derivative.",
                   self.value(key, self._only_gradient(key)))  # fmt: skip
        if phase == "forward":
            yield ("no bias", "You forgot the bias.", self.value(key, self._without_bias))
            yield ("no activation", "You stopped at the weighted sum: the activation function "
                   "still has to be applied.", self.value(key, self._without_function))  # fmt: skip
        yield ("no half", "You forgot the factor ½ of the loss, and what it cancels.",
               self.value(key, _without_half))  # fmt: skip
        if phase == "update":
            return
        why = ": the error is output minus target, and its sign stays in every product"
        yield "wrong sign", f"The sign is wrong{why if phase == 'backward' else ''}.", -right

    def _of_update(self, key: Key) -> Iterator[tuple[str, str, float]]:
        """w′ = w - lr · g, done wrongly."""
        old = ("value", key[1], key[2])
        gradient = ("gradient", key[1], key[2])
        if self.explanation.update.optimizer != "SGD" or key[0] != "new":
            return
        equation = self.equations[key]
        w = next((q.value for q in quantities(equation.right) if key_of(q) == old), None)
        if w is None or gradient not in self.equations:
            return
        step = w - self.value(key)
        yield ("uphill", "You went uphill: the step goes against the gradient, so it is "
               "subtracted.", w + step)  # fmt: skip
        yield ("no rate", "You forgot the learning rate: the step is the rate times the gradient.",
               w - self.value(gradient))  # fmt: skip
        yield ("only the step", "That is the change; the new weight is the old one minus it.", step)

    def _paths(self, key: Key) -> Iterator[tuple[str, str, float]]:
        """One term left out of the gradient, or of one that it is computed from."""
        own = self.equations[key]
        near = [self.equations.get(key_of(q)) for q in quantities(own.right) if q.of == "gradient"]
        for equation in [own, *filter(None, near)]:
            right = equation.right
            if not isinstance(right, Call) or right.op != "add" or equation.left.of != "gradient":
                continue
            for place in range(len(right.arguments)):
                kept = (*right.arguments[:place], *right.arguments[place + 1 :])
                smaller = kept[0] if len(kept) == 1 else Call("add", kept)
                where = equation.left.symbol

                def change(
                    one: Equation, at: Equation = equation, other: Expression = smaller
                ) -> Expression:
                    return other if one is at else one.right

                yield ("missing path", f"A path is missing: {where} acts on the loss along "
                       f"{len(right.arguments)} paths, and their gradients are added.",
                       self.value(key, change))  # fmt: skip

    def _without_activation(self, equation: Equation) -> Expression:
        users = self._users.get(equation.left.symbol, [])
        bent = bool(users) and all(OPERATIONS[one].notation.is_activation for one in users)
        if equation.left.of != "gradient" or not bent:
            return equation.right
        return next((q for q in quantities(equation.right) if q.of == "gradient"), equation.right)

    def _with_new_weights(self, equation: Equation) -> Expression:
        if equation.left.of != "gradient":
            return equation.right
        return _mapped(equation.right, self._renewed)

    def _renewed(self, quantity: Quantity) -> Expression:
        new = ("new", quantity.symbol, quantity.index)
        if quantity.of != "value" or quantity.symbol not in self._parameters:
            return quantity
        if new not in self.equations:
            return quantity
        value = self.equations[new].left.value
        return dataclasses.replace(quantity, of="number", value=value)

    def _scaled(self, key: Key, count: float) -> float:
        """With the gradient of the loss of an example 1 instead of 1/n."""
        if self.phase[key] == "backward":
            return count * self.value(key)
        gradient = ("gradient", key[1], key[2])
        if gradient not in self.equations:
            return self.value(key)
        return self.value(key, None, {gradient: count * self.value(gradient)})

    def _only_gradient(self, key: Key) -> Change:
        def change(equation: Equation) -> Expression:
            if key_of(equation.left) != key or equation.left.of != "gradient":
                return equation.right
            return _only_gradients(equation.right)

        return change

    def _without_bias(self, equation: Equation) -> Expression:
        right = equation.right
        if not isinstance(right, Call) or right.op != "add":
            return right
        kept = tuple(
            one for one in right.arguments
            if not (isinstance(one, Quantity) and one.symbol in self._parameters)
        )  # fmt: skip
        return Call("add", kept) if kept else right

    def _without_function(self, equation: Equation) -> Expression:
        right = equation.right
        if not isinstance(right, Call) or len(right.arguments) != 1 or right.op not in OPERATIONS:
            return right
        return right.arguments[0] if OPERATIONS[right.op].notation.is_activation else right


def _in_order(explanation: Explanation) -> Iterator[tuple[str, Equation]]:
    """All equations with their step."""
    late = {n.id for n in explanation.nodes if n.layer == "loss" or n.role.endswith("loss")}
    for node in explanation.nodes:
        for equation in node.forward:
            yield ("error" if node.id in late else "forward"), equation
    error = explanation.error
    for equation in (*error.probabilities, *error.examples, *error.batch):
        yield "error", equation
    for node in reversed(explanation.nodes):
        for equation in node.backward if node.role != "parameter" else ():
            yield "backward", equation
    for node in reversed(explanation.nodes):
        for equation in node.backward if node.role == "parameter" else ():
            yield "backward", equation
    for equation in explanation.update.equations:
        yield "update", equation
    for parameter in explanation.update.parameters:
        for equation in parameter.equations:
            yield "update", equation


def quantities(expression: Expression) -> Iterator[Quantity]:
    """All quantities of an expression, from left to right."""
    if isinstance(expression, Quantity):
        yield expression
        return
    for one in expression.arguments:
        yield from quantities(one)


def _mapped(expression: Expression, rule: Callable[[Quantity], Expression]) -> Expression:
    if isinstance(expression, Quantity):
        return rule(expression)
    return Call(expression.op, tuple(_mapped(one, rule) for one in expression.arguments))


def _only_gradients(expression: Expression) -> Expression:
    """Products of a gradient and a local derivative without the latter."""
    if isinstance(expression, Quantity):
        return expression
    if expression.op == "multiply":
        return next((q for q in quantities(expression) if q.of == "gradient"), expression)
    return Call(expression.op, tuple(map(_only_gradients, expression.arguments)))


def _without_half(equation: Equation) -> Expression:
    """½ · e² as e²; its gradient, e · 1, becomes 2 · e."""
    right = equation.right

    def is_half(one: Expression) -> bool:
        return isinstance(one, Quantity) and one.of == "number" and one.value == 0.5

    if isinstance(right, Call) and right.op == "multiply" and any(map(is_half, right.arguments)):
        kept = tuple(one for one in right.arguments if not is_half(one))
        return Call("multiply", kept) if len(kept) > 1 else kept[0]
    return right
