# ruff: noqa: D102 - methods are described at the base
"""Numbers, names and expressions as text: plain, and LaTeX.

Both write the same expression with the same digits, so that all formats show the same numbers.
"""

from __future__ import annotations

import math
import re

from ..engine.ir.operation import OPERATIONS
from .explanation import Call, Equation, Expression, Quantity

#: Significant digits that are printed.
DIGITS = 6

_SUM, _QUOTIENT, _PRODUCT, _POWER, _ATOM = range(5)  # how tightly an expression holds together


class Writer:
    """Writes expressions as plain text.

    Args:
        notation: ``leibniz`` or ``delta``: how gradients of weighted sums are written.
        digits: significant digits of numbers.
    """

    dot = " · "
    minus = " - "

    def __init__(self, notation: str = "leibniz", digits: int = DIGITS) -> None:
        self.notation = notation
        self.digits = digits

    @property
    def plain(self) -> Writer:
        """The writer of running text: the same digits, without markup."""
        return Writer(self.notation, self.digits)

    # ---- numbers and names -----------------------------------------------------------------------

    def number(self, value: float) -> str:
        """A number with so many significant digits, without trailing zeros."""
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "∞" if value > 0 else "-∞"
        if value == int(value) and abs(value) < 1e6:
            return str(int(value))
        return f"{value:.{self.digits}g}"

    def name(self, quantity: Quantity) -> str:
        """What a quantity is called."""
        place = f"[{','.join(map(str, quantity.place))}]" if quantity.place else ""
        if quantity.of == "number":
            return self.number(quantity.value)
        if quantity.of == "rest":
            return f"… {quantity.symbol}"
        if quantity.of == "gradient":
            return self.gradient(quantity.symbol + place)
        prime = "′" if quantity.of in ("new", "new state") else ""
        return f"{quantity.symbol}{prime}{place}"

    def gradient(self, name: str) -> str:
        """The gradient of what has this name."""
        return f"δ({name})" if self.is_delta(name) else f"∂L/∂{name}"

    def is_delta(self, name: str) -> bool:
        """Whether a gradient is written δ: that of a weighted sum z, as in the textbooks."""
        return self.notation == "delta" and _SUM_NAME.match(name) is not None

    def gradient_name(self, quantity: Quantity) -> str:
        """The name of a gradient, with its place."""
        return self.name(quantity)

    def partial(self, upper: str, lower: str) -> str:
        """One link of a chain."""
        return f"∂{upper}/∂{lower}"

    def path(self, number: int) -> str:
        """What one of several paths is called."""
        return f"path {number}"

    def product(self, values: list[float]) -> str:
        """The product of numbers."""
        return self.numbers(_call("multiply", values))

    def total(self, values: list[float], rest: float, others: str) -> str:
        """The sum of numbers, and of others that are not shown one by one."""
        terms = [Quantity("", (), value, "number") for value in values]
        if others:
            terms.append(Quantity(others, (), rest, "rest"))
        return self.numbers(Call("add", tuple(terms)) if len(terms) > 1 else terms[0])

    # ---- expressions -----------------------------------------------------------------------------

    def symbols(self, expression: Expression) -> str:
        """The expression with names."""
        return self._write(expression, False)[0]

    def numbers(self, expression: Expression) -> str:
        """The expression with the numbers in place of the names."""
        return self._write(expression, True)[0]

    def _write(self, expression: Expression, as_numbers: bool) -> tuple[str, int]:
        if isinstance(expression, Quantity):
            return self._leaf(expression, as_numbers)
        op, arguments = expression.op, expression.arguments
        parts = [self._write(one, as_numbers) for one in arguments]
        if op == "add":
            terms = [parts[0][0], *(self._closed(part, _QUOTIENT) for part in parts[1:])]
            return " + ".join(terms), _SUM
        if op == "subtract":
            return f"{parts[0][0]}{self.minus}{self._closed(parts[1], _QUOTIENT)}", _SUM
        if op == "multiply":
            first = parts[0][0] if parts[0][1] != _SUM else self._group(parts[0][0])
            factors = [first, *(self._closed(part, _PRODUCT) for part in parts[1:])]
            return self.dot.join(factors), _PRODUCT
        if op == "divide":
            return self._quotient(parts[0], parts[1])
        if op == "negative":
            return f"-{self._closed(parts[0], _PRODUCT)}", _PRODUCT
        if op == "power":
            return self._power(parts[0], parts[1]), _POWER
        if op == "where":
            return self._choice(parts), _ATOM
        return self._function(op, [text for text, _ in parts])

    def _leaf(self, quantity: Quantity, as_numbers: bool) -> tuple[str, int]:
        if not as_numbers:
            text = self.name(quantity)
            return text, _PRODUCT if quantity.of == "gradient" else _ATOM
        text = self.number(quantity.value)
        if quantity.of == "rest":
            return self._rest(self._group(text) if text.startswith("-") else text, quantity), _ATOM
        return text, _ATOM

    def _rest(self, text: str, quantity: Quantity) -> str:
        return f"{text} [{quantity.symbol}]"

    def _closed(self, part: tuple[str, int], least: int) -> str:
        """The part in parentheses, if it does not hold together or starts with a minus."""
        text, strength = part
        return self._group(text) if strength < least or text.startswith("-") else text

    def _group(self, text: str) -> str:
        return f"({text})"

    def _quotient(self, above: tuple[str, int], below: tuple[str, int]) -> tuple[str, int]:
        first = above[0] if above[1] != _SUM else self._group(above[0])
        second = self._group(below[0]) if below[1] < _POWER else self._closed(below, _POWER)
        return f"{first} / {second}", _QUOTIENT

    def _power(self, base: tuple[str, int], exponent: tuple[str, int]) -> str:
        below = self._group(base[0]) if base[1] < _ATOM else self._closed(base, _ATOM)
        if exponent[0] in ("2", "3"):
            return below + {"2": "²", "3": "³"}[exponent[0]]
        return f"{below}^{self._closed(exponent, _ATOM)}"

    def _choice(self, parts: list[tuple[str, int]]) -> str:
        condition, first, second = (text for text, _ in parts)
        return f"({first} if {condition} else {second})"

    def _function(self, op: str, arguments: list[str]) -> tuple[str, int]:
        pattern = written(op)
        if pattern is None:  # such as max, with any number of arguments
            return f"{op.replace('_', ' ')}({', '.join(arguments)})", _ATOM
        return pattern.format(*arguments), _SUM if pattern.startswith("{0} ") else _ATOM

    # ---- equations -------------------------------------------------------------------------------

    def equation(self, equation: Equation) -> list[str]:
        """The sides of an equation: the name, how it is computed, with numbers, and the value."""
        sides = [self.name(equation.left)]
        for side in (
            self.symbols(equation.right),
            self.numbers(equation.right),
            self.number(equation.left.value),
        ):
            if side != sides[-1]:
                sides.append(side)
        return sides


def written(op: str) -> str | None:
    """How an operation on elements is written in a line; None for others."""
    record = OPERATIONS.get(op)
    if record is None or not record.elementwise:
        return None
    return record.notation.text or record.formula


def _call(op: str, values: list[float]) -> Expression:
    terms = tuple(Quantity("", (), value, "number") for value in values)
    return Call(op, terms) if len(terms) > 1 else terms[0]


_LETTERS = {"ℓ": r"\ell", "ŷ": r"\hat{y}"}
_SUM_NAME = re.compile(r"z(?![A-Za-z.])")
_SPECIAL = re.compile(r"([_%&#$])")
_NUMBERED = re.compile(r"([a-z])(\d+)([a-z]?)(?:_t(\d+))?(?:_(\d+))?")


class LatexWriter(Writer):
    """Writes expressions as LaTeX, to be set in mathematics."""

    dot = r" \cdot "

    def number(self, value: float) -> str:
        text = super().number(value)
        if text in ("NaN", "∞", "-∞"):
            return {"NaN": r"\mathrm{NaN}", "∞": r"\infty", "-∞": r"-\infty"}[text]
        digits, _, exponent = text.partition("e")
        return rf"{digits} \times 10^{{{int(exponent)}}}" if exponent else digits

    def name(self, quantity: Quantity) -> str:
        if quantity.of == "number":
            return self.number(quantity.value)
        if quantity.of == "rest":
            return rf"\dots \text{{ {quantity.symbol}}}"
        prime = quantity.of in ("new", "new state")
        text = self.symbol(quantity.symbol, quantity.place, prime)
        return self.gradient(text) if quantity.of == "gradient" else text

    def symbol(self, symbol: str, place: tuple[int, ...] = (), prime: bool = False) -> str:
        """A name such as ``z1_t2``: the number above, the place below."""
        below = f"_{{{','.join(map(str, place))}}}" if place else ""
        above = [r"\prime"] if prime else []
        match = _NUMBERED.fullmatch(symbol)
        if match:
            letter, number, variant, time, again = match.groups()
            first = f"({number}{variant or ''})" + (f"[{again}]" if again else "")
            above = [first, *([f"t{{=}}{time}"] if time else []), *above]
        elif symbol[:1] in _LETTERS:  # ℓ[0] is the loss of an example that is a sum itself
            letter = _LETTERS[symbol[:1]] + symbol[1:]
        elif symbol.endswith("\u0302"):
            letter = rf"\hat{{{symbol[:-1]}}}"
        elif len(symbol) == 1:
            letter = symbol
        else:
            escaped = _SPECIAL.sub(r"\\\1", symbol)
            letter = rf"\mathrm{{{escaped}}}"
        return letter + below + (f"^{{{','.join(above)}}}" if above else "")

    def gradient(self, name: str) -> str:
        if self.is_delta(name):
            return rf"\delta\left({name}\right)"
        return rf"\frac{{\partial L}}{{\partial {name}}}"

    def partial(self, upper: str, lower: str) -> str:
        return rf"\frac{{\partial {upper}}}{{\partial {lower}}}"

    def path(self, number: int) -> str:
        return rf"\text{{path {number}}}"

    def _rest(self, text: str, quantity: Quantity) -> str:
        return rf"\underbrace{{{text}}}_{{\text{{{quantity.symbol}}}}}"

    def _group(self, text: str) -> str:
        return rf"\left({text}\right)"

    def _quotient(self, above: tuple[str, int], below: tuple[str, int]) -> tuple[str, int]:
        return rf"\frac{{{above[0]}}}{{{below[0]}}}", _POWER

    def _power(self, base: tuple[str, int], exponent: tuple[str, int]) -> str:
        below = self._group(base[0]) if base[1] < _ATOM else self._closed(base, _ATOM)
        return rf"{below}^{{{exponent[0]}}}"

    def _leaf(self, quantity: Quantity, as_numbers: bool) -> tuple[str, int]:
        text, strength = super()._leaf(quantity, as_numbers)
        # 1.5 × 10⁻⁵ is a product, and x^{(1)} has an exponent already.
        weak = r"\times" in text or "^" in text
        return text, min(strength, _PRODUCT) if weak else strength

    def _choice(self, parts: list[tuple[str, int]]) -> str:
        condition, first, second = (text for text, _ in parts)
        for sign, written in (("≥", r"\ge"), ("≤", r"\le"), ("≠", r"\ne")):
            condition = condition.replace(sign, written)
        return rf"\left({first} \text{{ if }} {condition} \text{{ else }} {second}\right)"

    def _function(self, op: str, arguments: list[str]) -> tuple[str, int]:
        pattern = OPERATIONS[op].notation.latex if op in OPERATIONS else ""
        if pattern:
            return pattern.format(*arguments), _ATOM
        text, strength = super()._function(op, arguments)
        if strength == _SUM:
            return text, strength
        inside = ", ".join(arguments)
        return rf"\operatorname{{{op.replace('_', ' ')}}}\left({inside}\right)", _ATOM
