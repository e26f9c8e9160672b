"""Differential evolution: steps made of differences within the population."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..engine.ops import argmin, maximum, minimum, take, where
from ..engine.ops.random import fold_in, randint, uniform
from ..engine.tensor import Tensor, as_tensor
from ..utils.typing import Array
from .strategy import Bounds, Named, State, Strategy, around

_VARIANTS = ("rand", "best", "current-to-best")


@dataclass(frozen=True)
class DifferentialEvolution(Strategy):
    """Differential evolution with binomial crossover.

    Each candidate is a member of the population, some of whose numbers come from a mutant, and
    takes its place if it is no worse. With three others a, b, c, all different, the mutant is
    a + F·(b − c) ("rand"); with a as the best of all ("best"); or for the member x itself
    x + F·(best − x) + F·(b − c) ("current-to-best"). Source: Storn and Price, 1997.

    Args:
        sigma: standard deviation of the first population around the start; with bounds it is
            uniform in them.
        differential_weight: F.
        crossover_rate: probability that a number comes from the mutant; one always does.
        variant: "rand", "best" or "current-to-best".
        population: members; by default ten for each number, between 32 and 256.

    Example:
        >>> import chainrule as cr
        >>> found = cr.evolve.minimize(lambda x: (x**2).sum(), [1.0, 1.0], "de",
        ...                            evaluations=4_000, backend="numpy")
        >>> found.loss < 1e-6
        True
    """

    name: ClassVar[str] = "de"
    title: ClassVar[str] = "differential evolution"
    least: ClassVar[int] = 4

    sigma: float = 1.0
    differential_weight: float = 0.8
    crossover_rate: float = 0.9
    variant: str = "rand"

    def check(self) -> None:
        """Raise ConfigError for invalid options."""
        self._need_number("sigma", above=True)
        self._need_number("differential_weight", high=2.0, above=True)
        self._need_number("crossover_rate", high=1.0)
        self._need_one_of("variant", _VARIANTS)

    def usual_size(self, n: int) -> int:
        """Members of the population."""
        return min(max(10 * n, 32), 256)

    def begin(self, start: Array, bounds: Bounds | None, key: Tensor) -> State:
        """Members around the start or within the bounds, of which nothing is known."""
        size = self.size(len(start))
        if bounds is None:
            people = around(as_tensor(start), self.sigma, key, size)
        else:
            people = uniform(key, (size, len(start)), *bounds, start.dtype)
        first = {
            "population": people.numpy(),
            "losses": np.full(size, np.inf),
            "begun": np.array(False),
        }
        return State(first, bounds)

    def ask(self, state: State, key: Tensor) -> tuple[Tensor, Named]:
        """A rival for each member; at first the members themselves."""
        people = state["population"]
        count, n = people.shape
        a, b, c = (take(people, indices) for indices in _others(fold_in(key, 0), count))
        best = take(people, argmin(state["losses"]))
        steps = self.differential_weight * (b - c)
        if self.variant == "current-to-best":
            mutant = people + self.differential_weight * (best - people) + steps
        else:
            mutant = (a if self.variant == "rand" else best) + steps
        taken = uniform(fold_in(key, 1), (count, n), dtype=people.dtype) < self.crossover_rate
        one = randint(fold_in(key, 2), (count, 1), 0, n)
        trial = where(taken | (one == np.arange(n)), mutant, people)
        return where(state["begun"], trial, people), {}

    def tell(
        self, state: State, candidates: Tensor, memo: Named, losses: Tensor, key: Tensor
    ) -> None:
        """Rivals that are no worse take the place of the members."""
        wins = losses <= state["losses"]
        state.assign(
            population=where(wins.expand_dims(1), candidates, state["population"]),
            losses=where(wins, losses, state["losses"]),
            begun=np.array(True),
        )


def _others(key: Tensor, count: int) -> list[Tensor]:
    """For each member the indices of three others, all different: uniform, without replacement."""
    taken: list[Tensor] = [as_tensor(np.arange(count))]
    for number in range(3):
        drawn = randint(fold_in(key, number), (count,), 0, count - 1 - number)
        ordered = list(taken)
        for i in range(number):  # a sorting network of at most three
            for j in range(number - i):
                low, high = ordered[j], ordered[j + 1]
                ordered[j], ordered[j + 1] = minimum(low, high), maximum(low, high)
        for index in ordered:  # ascending, so that each step counts past one that is taken
            drawn = drawn + (drawn >= index)
        taken.append(drawn)
    return taken[1:]
