"""A genetic algorithm: selection, crossover, mutation, elites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..engine.ops import argmin, argsort, astype, concatenate, sqrt, take, take_along_axis, where
from ..engine.ops import max as maximum
from ..engine.ops import min as minimum
from ..engine.ops.random import fold_in, normal, randint, uniform
from ..engine.tensor import Tensor, as_tensor
from ..utils.typing import Array
from .strategy import Bounds, Named, State, Strategy, around

_SELECTIONS = ("tournament", "rank", "truncation")


@dataclass(frozen=True)
class GeneticAlgorithm(Strategy):
    """A genetic algorithm with real numbers as genes.

    The first generation lies around the start. Each later candidate has two parents, chosen by
    ``selection``; it is their ``crossover``, and some of its genes are changed by normal numbers.
    The best candidates of before, the elites, stay as they are and are not evaluated again.

    Args:
        sigma: standard deviation of the first generation around the start.
        mutation: standard deviation of what is added to a gene; ``sigma`` by default.
        mutation_rate: probability that a gene is changed.
        decay: by which the mutation is multiplied after each generation.
        selection: "tournament", the best of some drawn at random; "rank", by linear ranking, of
            which the best is drawn twice as often as the one in the middle (Baker, 1985); or
            "truncation", any of the best.
        tournament: candidates in a tournament.
        truncation: fraction of the population that may become parents, for "truncation".
        crossover: "uniform", each gene from either parent (Syswerda, 1989); "blend", a number
            between those of both or up to half their distance outside (BLX-½: Eshelman and
            Schaffer, 1993); or None, a copy of one parent.
        crossover_rate: probability that a candidate has two parents.
        elites: candidates that stay.
        population: candidates in a generation.

    Example:
        >>> import chainrule as cr
        >>> found = cr.evolve.minimize(lambda x: ((x - 3.0) ** 2).sum(), [0.0, 0.0],
        ...                            cr.evolve.GeneticAlgorithm(decay=0.98, population=50),
        ...                            evaluations=15_000, backend="numpy")
        >>> found.best.round(1).tolist()
        [3.0, 3.0]
    """

    name: ClassVar[str] = "ga"
    title: ClassVar[str] = "genetic algorithm"
    least: ClassVar[int] = 2

    sigma: float = 1.0
    mutation: float | None = None
    mutation_rate: float = 1.0
    decay: float = 1.0
    selection: str = "tournament"
    tournament: int = 3
    truncation: float = 0.5
    crossover: str | None = "uniform"
    crossover_rate: float = 0.5
    elites: int = 1

    def check(self) -> None:
        """Raise ConfigError for invalid options."""
        self._need_number("sigma", above=True)
        if self.mutation is not None:
            self._need_number("mutation")
        for option in ("mutation_rate", "crossover_rate"):
            self._need_number(option, high=1.0)
        for option in ("decay", "truncation"):
            self._need_number(option, high=1.0, above=True)
        self._need_one_of("selection", _SELECTIONS)
        self._need_one_of("crossover", ("uniform", "blend", None))
        self._need_integer("tournament", 1)
        self._need_integer("elites", 0)
        if self.elites >= self.size(1):
            raise self._invalid("elites", f"fewer than the population of {self.size(1)}")

    def begin(self, start: Array, bounds: Bounds | None, key: Tensor) -> State:
        """Candidates around the start, of which nothing is known."""
        size = self.size(len(start))
        mutation = self.sigma if self.mutation is None else self.mutation
        return State(
            {
                "population": around(as_tensor(start), self.sigma, key, size, bounds).numpy(),
                "losses": np.full(size, np.inf),
                "begun": np.array(False),
                "mutation": start.dtype.type(mutation),
            },
            bounds,
        )

    def ask(self, state: State, key: Tensor) -> tuple[Tensor, Named]:
        """Children of the population; at first its members."""
        people, losses = state["population"], state["losses"]
        count = people.shape[0]
        keys = [fold_in(key, number) for number in range(6)]
        mothers, fathers = (take(people, self._chosen(losses, k)) for k in keys[:2])
        crossed = self._crossed(mothers, fathers, keys[2])
        if self.crossover is not None and self.crossover_rate < 1:
            has_two = uniform(keys[3], (count, 1), dtype=people.dtype) < self.crossover_rate
            crossed = where(has_two, crossed, mothers)
        change = state["mutation"] * normal(keys[4], people.shape, people.dtype)
        if self.mutation_rate < 1:
            is_changed = uniform(keys[5], people.shape, dtype=people.dtype) < self.mutation_rate
            change = where(is_changed, change, 0.0)
        return where(state["begun"], crossed + change, people), {}

    def _chosen(self, losses: Tensor, key: Tensor) -> Tensor:
        """The indices of as many parents as there are candidates."""
        count = losses.shape[0]
        if self.selection == "tournament":
            drawn = randint(key, (count, self.tournament), 0, count)
            best = argmin(take(losses, drawn), axis=1)
            return take_along_axis(drawn, best.expand_dims(1), 1)[:, 0]
        u = uniform(key, (count,), dtype="float64")
        if self.selection == "rank":
            place = count * (1.0 - sqrt(1.0 - u))
        else:
            place = max(round(self.truncation * count), 1) * u
        return take(argsort(losses), astype(place, "int64").clip(0, count - 1))

    def _crossed(self, a: Tensor, b: Tensor, key: Tensor) -> Tensor:
        if self.crossover is None:
            return a
        drawn = uniform(key, a.shape, dtype=a.dtype)
        if self.crossover == "uniform":
            return where(drawn < 0.5, a, b)
        return a + (2.0 * drawn - 0.5) * (b - a)

    def tell(
        self, state: State, candidates: Tensor, memo: Named, losses: Tensor, key: Tensor
    ) -> None:
        """The candidates are the population, but for the elites in place of the worst."""
        if self.elites:
            known, old = state["losses"], state["population"]
            count = losses.shape[0]
            best = argsort(known)[: self.elites]
            kept = argsort(losses)[: count - self.elites]
            candidates = concatenate([take(old, best), take(candidates, kept)])
            losses = concatenate([take(known, best), take(losses, kept)])
        state.assign(
            population=candidates, losses=losses, begun=np.array(True),
            mutation=state["mutation"] * self.decay,
        )  # fmt: skip

    def stopped(self, state: State) -> str:
        """All candidates are the same and nothing changes them."""
        people = state["population"]
        same = bool((maximum(people, 0) == minimum(people, 0)).all())
        return "all candidates are the same" if same and not state["mutation"].item() else ""
