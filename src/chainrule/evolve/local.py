"""The simplest searches: at random, uphill, and with a temperature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..engine.ops import argmin, log, maximum, std, take, where
from ..engine.ops.random import fold_in, normal, uniform
from ..engine.tensor import Tensor
from ..utils.typing import Array
from .strategy import Bounds, Named, State, Strategy, around


@dataclass(frozen=True)
class RandomSearch(Strategy):
    """Independent candidates around the start, or within the bounds: what others have to beat.

    Args:
        sigma: standard deviation around the start. With bounds candidates are uniform in them.
        population: candidates in a generation.

    Example:
        >>> import chainrule as cr
        >>> found = cr.evolve.minimize(lambda x: (x**2).sum(), [1.0, 1.0], "random",
        ...                            evaluations=2_000, backend="numpy")
        >>> found.loss < 0.05
        True
    """

    name: ClassVar[str] = "random"
    title: ClassVar[str] = "random search"

    sigma: float = 1.0

    def check(self) -> None:
        """Raise ConfigError for invalid options."""
        self._need_number("sigma", above=True)

    def begin(self, start: Array, bounds: Bounds | None, key: Tensor) -> State:
        """The start, which stays."""
        return State({"start": start}, bounds)

    def ask(self, state: State, key: Tensor) -> tuple[Tensor, Named]:
        """Independent candidates."""
        start = state["start"]
        count = self.size(start.shape[0])
        if state.bounds is None:
            return around(start, self.sigma, key, count), {}
        low, high = state.bounds
        return uniform(key, (count, start.shape[0]), low, high, start.dtype), {}

    def tell(
        self, state: State, candidates: Tensor, memo: Named, losses: Tensor, key: Tensor
    ) -> None:
        """Nothing is learned."""


@dataclass(frozen=True)
class HillClimbing(Strategy):
    """Moves to the best neighbour where it is no worse; the steps adapt.

    Steps grow when a generation has improved the point, and shrink when it has not, so that one in
    five generations succeeds (Rechenberg, 1973).

    Args:
        sigma: standard deviation of the first steps.
        adapt: whether the steps adapt.
        population: neighbours in a generation.

    Example:
        >>> import chainrule as cr
        >>> found = cr.evolve.minimize(lambda x: (x**2).sum(), [1.0, 1.0], "hill",
        ...                            evaluations=2_000, backend="numpy")
        >>> found.loss < 1e-6
        True
    """

    name: ClassVar[str] = "hill"
    title: ClassVar[str] = "hill climbing"

    sigma: float = 0.3
    adapt: bool = True

    def check(self) -> None:
        """Raise ConfigError for invalid options."""
        self._need_number("sigma", above=True)

    def usual_size(self, n: int) -> int:
        """Neighbours in a generation."""
        return 16

    def begin(self, start: Array, bounds: Bounds | None, key: Tensor) -> State:
        """The start, of which nothing is known."""
        first = {"centre": start, "loss": np.array(np.inf), "sigma": np.array(self.sigma)}
        return State(first, bounds)

    def ask(self, state: State, key: Tensor) -> tuple[Tensor, Named]:
        """Neighbours of the point."""
        point = state["centre"]
        sigma = state["sigma"].astype(point.dtype)
        return around(point, sigma, key, self.size(point.shape[0]), state.bounds), {}

    def tell(
        self, state: State, candidates: Tensor, memo: Named, losses: Tensor, key: Tensor
    ) -> None:
        """Move to the best neighbour, unless it is worse."""
        best = argmin(losses)
        found = take(losses, best)
        moves, improves = found <= state["loss"], found < state["loss"]
        sigma = state["sigma"]
        if self.adapt:
            sigma = sigma * where(improves, math.exp(0.4), math.exp(-0.1))
        state.assign(
            centre=where(moves, take(candidates, best), state["centre"]),
            loss=where(moves, found, state["loss"]),
            sigma=sigma,
        )

    def centre(self, state: State) -> Tensor | None:
        """The point."""
        return state["centre"]

    def stopped(self, state: State) -> str:
        """Steps too small to change a number."""
        tiny = float(np.finfo(state["centre"].dtype).tiny)
        return "the steps are too small to change anything" if state["sigma"].item() < tiny else ""


@dataclass(frozen=True)
class SimulatedAnnealing(Strategy):
    """Chains that also accept worse points, the less so the cooler it is.

    A step that makes the loss larger by Δ is accepted with probability exp(−Δ / T). T begins at
    ``temperature`` times the standard deviation of the first losses, and is multiplied by
    ``cooling`` after each generation; the steps shrink with its square root. The chains are
    independent. Source: Kirkpatrick, Gelatt and Vecchi, "Optimization by simulated annealing",
    1983.

    Args:
        sigma: standard deviation of the first steps.
        temperature: the first one, relative to the spread of the losses around the start.
        cooling: by which the temperature is multiplied after each generation.
        population: chains.

    Example:
        >>> import chainrule as cr
        >>> found = cr.evolve.minimize(lambda x: (x**2).sum(), [1.0, 1.0], "annealing",
        ...                            evaluations=8_000, backend="numpy")
        >>> found.loss < 1e-3
        True
    """

    name: ClassVar[str] = "annealing"
    title: ClassVar[str] = "simulated annealing"

    sigma: float = 0.3
    temperature: float = 1.0
    cooling: float = 0.99

    def check(self) -> None:
        """Raise ConfigError for invalid options."""
        self._need_number("sigma", above=True)
        self._need_number("temperature", above=True)
        self._need_number("cooling", high=1.0, above=True)

    def usual_size(self, n: int) -> int:
        """Chains."""
        return 32

    def begin(self, start: Array, bounds: Bounds | None, key: Tensor) -> State:
        """Chains that begin at the start."""
        size = self.size(len(start))
        first = {
            "points": np.repeat(start[None], size, axis=0),
            "losses": np.full(size, np.inf),
            "scale": np.array(0.0),
            "heat": np.array(1.0),
        }
        return State(first, bounds)

    def ask(self, state: State, key: Tensor) -> tuple[Tensor, Named]:
        """A step of each chain."""
        points = state["points"]
        sigma = (self.sigma * state["heat"] ** 0.5).astype(points.dtype)
        drawn = points + sigma * normal(key, points.shape, points.dtype)
        return drawn if state.bounds is None else drawn.clip(*state.bounds), {}

    def tell(
        self, state: State, candidates: Tensor, memo: Named, losses: Tensor, key: Tensor
    ) -> None:
        """Accept steps at random (Metropolis)."""
        finite = where(losses < math.inf, losses, 0.0)
        spread = self.temperature * maximum(std(finite), 1e-300)
        scale = where(state["scale"] > 0, state["scale"], spread)
        u = uniform(fold_in(key, 1), losses.shape, dtype=losses.dtype)
        # Written so that infinities subtract nothing: the first step of a chain is accepted.
        limit = state["losses"] - scale * state["heat"] * log(1.0 - u)
        accepts = losses <= limit
        state.assign(
            points=where(accepts.expand_dims(1), candidates, state["points"]),
            losses=where(accepts, losses, state["losses"]),
            scale=scale,
            heat=state["heat"] * self.cooling,
        )
