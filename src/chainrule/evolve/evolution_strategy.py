"""The evolution strategy of OpenAI: a gradient estimated from random directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..engine.ops import concatenate, reshape
from ..engine.ops.random import normal
from ..engine.tensor import Parameter, Tensor
from ..optim import OPTIMIZERS
from ..utils.typing import Array
from .strategy import Bounds, Named, State, Strategy, centred_ranks


@dataclass(frozen=True)
class EvolutionStrategy(Strategy):
    """Follows the gradient of the mean loss around a point, estimated without any derivative.

    Candidates come in pairs θ ± σ·ε (mirrored sampling). Losses are replaced by their ranks, so
    that no outlier and no monotonic change of the loss matters; the estimate is
    g = Σ (r⁺ − r⁻) ε / population, which goes into an optimizer. If all losses are equal, g is 0.

    Source: Salimans et al., "Evolution strategies as a scalable alternative to reinforcement
    learning", 2017, with the published code's definitions.

    Args:
        sigma: standard deviation σ of the candidates around the point.
        lr: learning rate of the optimizer.
        optimizer: a name from `chainrule.optim.OPTIMIZERS`.
        weight_decay: as an L2 penalty; the published experiments had 0.005.
        decay: by which σ is multiplied after each generation.
        population: candidates in a generation, an even number; 256 by default.

    Example:
        >>> import chainrule as cr
        >>> strategy = cr.evolve.EvolutionStrategy(sigma=0.1, lr=0.05, population=64)
        >>> found = cr.evolve.minimize(lambda x: ((x - 3.0) ** 2).sum(), [0.0, 0.0], strategy,
        ...                            evaluations=12_800, backend="numpy")
        >>> found.centre.round(1).tolist()
        [3.0, 3.0]
    """

    name: ClassVar[str] = "es"
    title: ClassVar[str] = "evolution strategy"
    least: ClassVar[int] = 2

    sigma: float = 0.02
    lr: float = 0.01
    optimizer: str = "adam"
    weight_decay: float = 0.0
    decay: float = 1.0

    def check(self) -> None:
        """Raise ConfigError for invalid options."""
        self._need_number("sigma", above=True)
        self._need_number("lr", above=True)
        self._need_number("weight_decay")
        self._need_number("decay", high=1.0, above=True)
        self._need_one_of("optimizer", tuple(OPTIMIZERS))
        if self.population is not None and self.population % 2:
            raise self._invalid("population", "an even number: candidates come in pairs")

    def usual_size(self, n: int) -> int:
        """Pairs in a generation, twice."""
        return 256

    def begin(self, start: Array, bounds: Bounds | None, key: Tensor) -> State:
        """The point and the optimizer that moves it."""
        point = Parameter(start, name="centre")
        optimizer = OPTIMIZERS[self.optimizer](
            {"centre": point}, lr=self.lr, weight_decay=self.weight_decay
        )
        return State({"centre": point, "sigma": start.dtype.type(self.sigma)}, bounds, optimizer)

    def ask(self, state: State, key: Tensor) -> tuple[Tensor, Named]:
        """Pairs of candidates on opposite sides of the point."""
        point = state["centre"]
        half = self.size(point.shape[0]) // 2
        noise = normal(key, (half, point.shape[0]), point.dtype)
        step = state["sigma"] * noise
        return concatenate([point + step, point - step]), {"noise": noise}

    def tell(
        self, state: State, candidates: Tensor, memo: Named, losses: Tensor, key: Tensor
    ) -> None:
        """One step of the optimizer along the estimated gradient."""
        count = losses.shape[0]
        ranks = centred_ranks(losses).astype(candidates.dtype)
        weights = (ranks[: count // 2] - ranks[count // 2 :]) / count
        gradient = reshape(reshape(weights, (1, -1)) @ memo["noise"], (-1,))
        assert state.optimizer is not None
        state.optimizer.update({"centre": gradient})
        state.assign(sigma=state["sigma"] * np.asarray(self.decay, candidates.dtype))
        if state.bounds is not None:
            state.assign(centre=state["centre"].clip(*state.bounds))

    def centre(self, state: State) -> Tensor | None:
        """The point."""
        return state["centre"]
