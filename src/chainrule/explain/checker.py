"""Reads a rendered explanation and recomputes every equation in it.

The checker knows nothing of how the text was made: it takes the characters that a reader sees.
A printed number stands for all numbers that are printed so; with these intervals it computes each
side that consists of numbers only, and the next side must lie in the result. A gradient that was
computed above must be the same wherever it is named again.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..engine.ir.operation import OPERATIONS, Operation
from .formatting import written

Interval = tuple[float, float]


@dataclass(frozen=True)
class Checked:
    """One equation of a text.

    Attributes:
        sides: as they are printed.
        numeric: how many of them consist of numbers only.
        holds: whether these agree, within the digits that are printed.
        width: the relative uncertainty of the result that the printed digits leave.
    """

    sides: tuple[str, ...]
    numeric: int
    holds: bool
    width: float = 0.0


def check(text: str, format: str = "text", digits: int = 6, slack: float = 0.0) -> list[Checked]:
    """Recompute every equation of an explanation.

    Args:
        text: as rendered.
        format: ``text``, ``markdown`` or ``latex``.
        digits: significant digits that were asked for.
        slack: relative error of each operation, for computations in float32: 1e-6.

    Example:
        >>> [one.holds for one in check("  a = 0.5 · 1 + 0.8 · (-0.2) = 0.34")]
        [True]
        >>> [one.holds for one in check("  a = 0.5 · 1 + 0.8 · (-0.2) = 0.35")]
        [False]
    """
    found = []
    known: dict[str, Interval] = {}  # gradients that were computed before, by their name
    for sides in equations(text, format):
        values = []
        for side in sides:
            value = _Reader(side, digits, slack).value() or known.get(side)
            if value is not None:
                values.append(value)
        if values and _is_gradient(sides[0]):
            known.setdefault(sides[0], values[-1])
        pairs = list(itertools.pairwise(values))
        holds = all(_meet(a, b) for a, b in pairs)
        width = max((_width(a) for a, _ in pairs), default=0.0)
        found.append(Checked(tuple(sides), len(values), holds, width))
    return found


def numbers(text: str, format: str = "text") -> list[float]:
    """Every number in the equations of an explanation, as it is printed, in order."""
    found: list[float] = []
    for sides in equations(text, format):
        for side in sides:
            if _Reader(side, 6, 0.0).value() is not None:
                found += [
                    _as_float(one)
                    for one in _tokens(side)
                    if _NUMBER.fullmatch(one) or one in _SIGNS
                ]
    return found


_SIGNS = {"²": "2", "³": "3"}


def _is_gradient(name: str) -> bool:
    """Whether a side is the name of a gradient: such names mean the same everywhere."""
    return re.match(r"∂L/∂|δ\(|\(\(\\partial L\)|\\delta", name) is not None and "·" not in name


def _as_float(token: str) -> float:
    return float({"∞": "inf", **_SIGNS}.get(token, token))


def _meet(a: Interval, b: Interval) -> bool:
    if any(map(math.isnan, (*a, *b))):
        return all(map(math.isnan, (*a, *b)))
    return a[0] <= b[1] and b[0] <= a[1]


def _width(a: Interval) -> float:
    size = max(abs(a[0]), abs(a[1]))
    return (a[1] - a[0]) / size if size > 0 and math.isfinite(size) else 0.0


# ---- finding the equations -----------------------------------------------------------------------


def equations(text: str, format: str) -> Iterator[list[str]]:
    """The sides of every equation."""
    if format == "text":
        yield from _of_text(text)
        return
    pattern = r"\$\$\n(.*?)\n\$\$" if format == "markdown" else r"\\\[\n(.*?)\n\\\]"
    for match in re.finditer(pattern, text, re.DOTALL):
        sides = [side.strip() for side in re.split(r"(?<![=<>])=(?!=)", _plain(match.group(1)))]
        if len(sides) > 1:
            yield sides


_NOTE = re.compile(r"\s{2,}\([^()]*\)\s*$")
_CONTINUES = re.compile(r"^(?:[+\-·/,] |…)")


def _of_text(text: str) -> Iterator[list[str]]:
    current = ""
    for line in [*text.splitlines(), ""]:
        stripped = _NOTE.sub("", line).strip()
        goes_on = line.startswith("   ") and (
            stripped.startswith("= ") or _CONTINUES.match(stripped)
        )
        if goes_on and current:
            current += " " + stripped
            continue
        if current:
            sides = [side.strip() for side in current.split(" = ")]
            if len(sides) > 1:
                yield sides
        current = stripped if line.startswith("  ") and not line.startswith("    ") else ""


def _plain(latex: str) -> str:
    """Mathematics of LaTeX as plain text."""
    text = re.sub(r"\\(?:begin|end)\{aligned\}|\\qquad \\text\{\(.*?\)\}|&|\\\\|\\quad", " ", latex)
    text = text.replace("{=}", ":")
    text = re.sub(r" \\times 10\^\{(-?\d+)\}", r"e\1", text)
    text = _command(text, r"\underbrace", 1, lambda a: a)
    text = re.sub(r"_\{\\text\{[^{}]*\}\}", "", text)
    for _ in range(40):  # innermost first
        shorter = _command(text, r"\frac", 2, lambda a, b: f"(({a})/({b}))")
        shorter = _command(shorter, r"\sqrt", 1, lambda a: f"√({a})")
        if shorter == text:
            break
        text = shorter
    text = re.sub(r"\\text\{ (if|else) \}", r" \1 ", text)
    text = re.sub(r"\\left\|(.*?)\\right\|", r"abs(\1)", text)
    for old, new in (
        (r"\left", ""), (r"\right", ""), (r"\cdot", "·"), (r"\sigma", "σ"), (r"\exp", "exp"),
        (r"\ln", "ln"), (r"\tanh", "tanh"), (r"\max", "max"), (r"\log_{2}", "log2"),
        (r"\log_{10}", "log10"), (r"\ge", "≥"), (r"\le", "≤"), (r"\ne", "≠"), (r"\infty", "∞"),
        (r"\mathrm{NaN}", "NaN"),
    ):  # fmt: skip
        text = text.replace(old, new)
    text = re.sub(r"\\operatorname\{([^{}]*)\}", r"\1", text)
    return re.sub(r"\^\{([^{}]*)\}", r"^(\1)", text)


def _command(text: str, name: str, count: int, make: Callable[..., str]) -> str:
    """The last use of a command with so many arguments in braces, replaced."""
    start = text.rfind(name + "{")
    if start < 0:
        return text
    place = start + len(name)
    arguments = []
    for _ in range(count):
        depth, begin = 0, place
        while place < len(text):
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            place += 1
            if depth == 0:
                break
        arguments.append(text[begin + 1 : place - 1])
    return text[:start] + make(*arguments) + text[place:]


# ---- reading numbers -----------------------------------------------------------------------------

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?|∞|NaN")
_TOKEN = re.compile(
    r"\s*(?:(\d+(?:\.\d+)?(?:e[+-]?\d+)?|∞|NaN)|(\[[^\]]*\])|(==|[-+·/^()|,²³√∛≥≤≠<>])|([^\W\d]\w*))"
)


class _UnreadableError(Exception):
    """The side has names in it, or words."""


def _tokens(side: str) -> list[str]:
    found, place = [], 0
    while place < len(side.rstrip()):
        match = _TOKEN.match(side, place)
        if match is None:
            raise _UnreadableError(side[place:])
        if not match.group(2):  # [12 more terms] is a remark
            found.append(match.group().strip())
        place = match.end()
    return found


def _try(function: Callable[[float], float], x: float) -> float:
    try:
        return function(x)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan if x < 0 else -math.inf


def _anywhere(function: Callable[[float], float]) -> Callable[[Interval], Interval]:
    """A function that is not monotone, sampled at many points of a short interval."""

    def apply(x: Interval) -> Interval:
        values = [_try(function, x[0] + (x[1] - x[0]) * k / 16) for k in range(17)]
        return min(values), max(values)

    return apply


#: How a function is written: a name and its arguments.
_CALL = re.compile(r"([^\s(]+)\(\{0\}(?:, \{\d\})*\)")


@functools.lru_cache(1)
def _functions(operations: tuple[Operation, ...]) -> dict[str, Operation]:
    """The functions in equations, by the names that they are written with."""
    patterns = {op: _CALL.fullmatch(written(op.name) or "") for op in operations}
    return {match[1]: op for op, match in patterns.items() if match}


def _range_of(op: Operation, arguments: Sequence[Interval]) -> Interval:
    """What a function can be in short intervals: looked at on a grid of points."""
    points = [
        np.linspace(*one, 17 if len(arguments) == 1 else 5) if np.isfinite(one).all() else one
        for one in arguments
    ]
    assert op.compute is not None
    with np.errstate(all="ignore"):
        values = op.compute(np, *(grid.ravel() for grid in np.meshgrid(*points)))
    return float(np.min(values)), float(np.max(values))


class _Reader:
    """A recursive descent over one side of an equation."""

    def __init__(self, side: str, digits: int, slack: float) -> None:
        self._side = side
        self._digits = digits
        self._slack = slack
        self._list: list[str] = []
        self._place = 0

    def value(self) -> Interval | None:
        """The value of the side; None if it does not consist of numbers only."""
        try:
            self._list = _tokens(self._side)
            found = self._choice()
            if self._place < len(self._list):
                raise _UnreadableError
        except _UnreadableError:
            return None
        return found

    def _next(self) -> str:
        return self._list[self._place] if self._place < len(self._list) else ""

    def _take(self, token: str = "") -> str:
        found = self._next()
        if not found or (token and found != token):
            raise _UnreadableError
        self._place += 1
        return found

    def _choice(self) -> Interval:
        first = self._compared()
        if self._next() != "if":
            return first
        self._take("if")
        condition = self._compared()
        self._take("else")
        second = self._compared()
        return first if (condition[0] + condition[1]) / 2 != 0 else second

    def _compared(self) -> Interval:
        a = self._sum()
        sign = self._next()
        if sign not in ("==", "<", ">", "≥", "≤", "≠"):
            return a
        self._take()
        b = self._sum()
        x, y = (a[0] + a[1]) / 2, (b[0] + b[1]) / 2
        holds = {"==": x == y, "<": x < y, ">": x > y, "≥": x >= y, "≤": x <= y, "≠": x != y}
        return (float(holds[sign]),) * 2

    def _sum(self) -> Interval:
        total = self._product()
        while self._next() in ("+", "-"):
            sign = self._take()
            term = self._product()
            if sign == "-":
                term = (-term[1], -term[0])
            total = self._wide((total[0] + term[0], total[1] + term[1]), total, term)
        return total

    def _product(self) -> Interval:
        found = self._signed()
        while self._next() in ("·", "/"):
            sign = self._take()
            other = self._signed()
            if sign == "/":
                if other[0] <= 0 <= other[1]:
                    return (-math.inf, math.inf) if other != (0, 0) else (math.nan, math.nan)
                other = (1 / other[1], 1 / other[0])
            found = self._wide(_times(found, other), _times(found, other))
        return found

    def _signed(self) -> Interval:
        if self._next() == "-":
            self._take()
            a = self._signed()
            return -a[1], -a[0]
        return self._power()

    def _power(self) -> Interval:
        base = self._atom()
        while self._next() in ("²", "³", "^"):
            sign = self._take()
            if sign == "^":
                exponent = self._atom_or_negative()
                power = (exponent[0] + exponent[1]) / 2
            else:
                power = {"²": 2.0, "³": 3.0}[sign]
            base = self._raised(base, power)
        return base

    def _atom_or_negative(self) -> Interval:
        if self._next() == "-":
            self._take()
            a = self._atom()
            return -a[1], -a[0]
        return self._atom()

    def _raised(self, base: Interval, power: float) -> Interval:
        near = round(power)
        power = float(near) if abs(power - near) < 1e-9 else power
        function = _anywhere(lambda x: float(x**power))
        found = function(base)
        if base[0] < 0 < base[1] and power == 2:
            found = (0.0, found[1])
        return self._wide(found, found)

    def _atom(self) -> Interval:
        token = self._take()
        if _NUMBER.fullmatch(token):
            return self._number(token)
        if token == "(":
            inside = self._choice()
            self._take(")")
            return inside
        if token == "|":
            inside = self._sum()
            self._take("|")
            return _range_of(OPERATIONS["abs"], [inside])
        if token == "max" or token == "min":
            return self._extreme(max if token == "max" else min)
        if token in _functions(tuple(OPERATIONS.values())):
            found = _range_of(_functions(tuple(OPERATIONS.values()))[token], self._arguments())
            return self._wide(found, found)
        raise _UnreadableError

    def _extreme(self, of: Callable[[list[float]], float]) -> Interval:
        parts = self._arguments()
        return of([a for a, _ in parts]), of([b for _, b in parts])

    def _arguments(self) -> list[Interval]:
        self._take("(")
        parts = [self._choice()]
        while self._next() == ",":
            self._take()
            parts.append(self._choice())
        self._take(")")
        return parts

    def _number(self, token: str) -> Interval:
        if token == "∞":
            return math.inf, math.inf
        if token == "NaN":
            return math.nan, math.nan
        value = float(token)
        if value == 0:
            return 0.0, 0.0
        half = 0.5 * 10.0 ** (math.floor(math.log10(abs(value))) - self._digits + 1)
        return value - half * 1.000001, value + half * 1.000001

    def _wide(self, found: Interval, *operands: Interval) -> Interval:
        """Wider by the rounding error of an operation in float32."""
        size = max((abs(x) for one in operands for x in one), default=0.0)
        extra = (self._slack + 1e-15) * size if math.isfinite(size) else 0.0
        return found[0] - extra, found[1] + extra


def _times(a: Interval, b: Interval) -> Interval:
    products = [x * y if x and y else 0.0 for x in a for y in b]
    return min(products), max(products)
