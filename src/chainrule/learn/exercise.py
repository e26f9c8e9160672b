"""Exercises: an explanation in which some numbers are left out, to be computed by hand.

What depends on a number that is left out is not printed either, only its formula: no answer can be
read off further down. Everything else stands there, so every blank can be computed from what is
given, which `solvable` proves for each exercise that is made.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigError
from ..explain.demos import demo as explained_demo
from ..explain.explanation import Explanation
from ..explain.mistakes import Arithmetic, Key, key_of, quantities

PHASES = ("forward", "error", "backward", "update")
#: Demos whose numbers all have equations, so that any of them may be a blank.
DEMOS = ("neuron", "houses", "2-2-2", "xor")


@dataclass(frozen=True)
class Exercise:
    """Numbers to be computed.

    Attributes:
        explanation: with all numbers.
        blanks: which numbers are left out, in the order in which they are computed.
        recipe: the options that make the same exercise again.
        arithmetic: the equations.
    """

    explanation: Explanation
    blanks: tuple[Key, ...]
    recipe: Mapping[str, Any]
    arithmetic: Arithmetic = field(repr=False)

    @property
    def hidden(self) -> frozenset[Key]:
        """The numbers that are not printed: the blanks, and what depends on them."""
        known: dict[Key, bool] = {}

        def is_hidden(key: Key) -> bool:
            if key not in known:
                equation = self.arithmetic.equations.get(key)
                known[key] = key in self.blanks or (
                    equation is not None
                    and any(is_hidden(key_of(q)) for q in quantities(equation.right))
                )
            return known[key]

        return frozenset(key for key in self.arithmetic.equations if is_hidden(key))

    @property
    def solution(self) -> tuple[float, ...]:
        """The numbers of the blanks."""
        return tuple(self.arithmetic.value(key) for key in self.blanks)

    @property
    def digest(self) -> str:
        """Eight letters that say whether two exercises ask for the same numbers."""
        told = repr([(key, f"{value:.9g}") for key, value in zip(self.blanks, self.solution)])  # noqa: B905
        return hashlib.sha256(told.encode()).hexdigest()[:8]


def make_exercise(demo: str = "houses", blanks: int = 6, seed: int = 0, **options: Any) -> Exercise:
    """An exercise of a built-in example.

    Args:
        demo: ``neuron``, ``houses``, ``2-2-2`` or ``xor``.
        blanks: how many numbers are left out; they are spread over the four steps.
        seed: another one leaves out other numbers.
        options: of the demo: ``lr``, ``optimizer``, ``notation``.

    Raises:
        ConfigError: there is no such example, or it has fewer numbers.

    Example:
        >>> exercise = make_exercise("neuron", blanks=2, seed=1)
        >>> len(exercise.blanks)
        2
    """
    if demo not in DEMOS:
        raise ConfigError(
            f"There is no exercise {demo!r}.",
            expected=", ".join(DEMOS),
            hint="chainrule explain --demo shows the others with all their numbers.",
        )
    explanation = explained_demo(demo, **options)
    arithmetic = Arithmetic(explanation)
    candidates = _candidates(arithmetic)
    count = sum(map(len, candidates.values()))
    if not 1 <= blanks <= count:
        raise ConfigError(
            "An exercise cannot have so many blanks.",
            where=f"the demo {demo}",
            expected=f"from 1 to {count}",
            found=str(blanks),
        )
    chosen = _chosen(candidates, blanks, random.Random(seed))
    order = {key: place for place, key in enumerate(arithmetic.equations)}
    recipe = {"demo": demo, "blanks": blanks, "seed": seed, **options}
    made = Exercise(explanation, tuple(sorted(chosen, key=order.__getitem__)), recipe, arithmetic)
    assert solvable(made)
    return made


def solvable(exercise: Exercise) -> bool:
    """Whether every blank follows from what is printed, by the formulas that are printed."""
    given = {
        key: equation.left.value
        for key, equation in exercise.arithmetic.equations.items()
        if key not in exercise.hidden
    }
    return all(
        abs(exercise.arithmetic.value(key, given=given) - value) <= 1e-9 * max(abs(value), 1.0)
        for key, value in zip(exercise.blanks, exercise.solution, strict=True)
    )


def _candidates(arithmetic: Arithmetic) -> dict[str, list[Key]]:
    """By step the numbers that are worth computing: not 0, 1 or what stands elsewhere already."""
    values = [one.left.value for one in arithmetic.equations.values()]
    idle = unlearned(arithmetic.explanation)
    found: dict[str, list[Key]] = {phase: [] for phase in PHASES}
    for key, equation in arithmetic.equations.items():
        value, terms = equation.left.value, list(quantities(equation.right))
        is_plain = abs(value) in (0.0, 1.0) or any(q.value == value for q in terms)
        is_again = sum(abs(abs(other) - abs(value)) < 1e-9 for other in values) > 2
        if key[1] in idle or is_plain or is_again:
            continue
        if equation.left.of in ("value", "gradient", "new"):
            found[arithmetic.phase[key]].append(key)
    return found


def unlearned(explanation: Explanation) -> set[str]:
    """The symbols of what depends on no weight: no step needs the gradients of these."""
    learning: set[int] = set()
    for node in explanation.nodes:
        if node.role == "parameter" or learning.intersection(node.inputs):
            learning.add(node.id)
    return {node.symbol for node in explanation.nodes if node.id not in learning}


def _chosen(
    candidates: Mapping[str, Sequence[Key]], count: int, chance: random.Random
) -> Iterator[Key]:
    """One of each step in turn, until there are enough."""
    piles = {phase: chance.sample(keys, len(keys)) for phase, keys in candidates.items()}
    while count:
        for phase in ("backward", "forward", "update", "error"):
            if piles[phase] and count:
                yield piles[phase].pop()
                count -= 1
