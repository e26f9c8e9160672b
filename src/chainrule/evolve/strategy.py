"""What all strategies have in common: how candidates are drawn, and what is learned from losses.

A strategy is written with operations on whole populations: an array (candidates, numbers), so that
drawing, evaluation and update of a generation are one graph, and one native program.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from ..engine.ops import searchsorted, sort
from ..engine.ops.random import normal
from ..engine.tensor import Buffer, Tensor, Variable
from ..errors import ConfigError
from ..optim import Optimizer
from ..utils.typing import Array

#: Numbers of a generation by name.
Named = dict[str, Tensor]
#: Lower and upper bounds of the numbers.
Bounds = tuple[Array, Array]

_strategies: dict[str, type[Strategy]] = {}
#: Every strategy by its short name, such as ``cma``.
STRATEGIES: Mapping[str, type[Strategy]] = MappingProxyType(_strategies)


class State:
    """What a strategy remembers from one generation to the next: variables by name.

    Args:
        first: the first values.
        bounds: lower and upper bounds of the numbers, if there are any.
        optimizer: changes the variable that it was made for, if the strategy follows a gradient.
    """

    def __init__(
        self,
        first: Mapping[str, Any],
        bounds: Bounds | None = None,
        optimizer: Optimizer | None = None,
    ) -> None:
        self.variables = {
            name: value if isinstance(value, Variable) else Buffer(np.array(value), name=name)
            for name, value in first.items()
        }
        self.bounds = bounds
        self.optimizer = optimizer

    def __getitem__(self, name: str) -> Tensor:
        return self.variables[name]

    def __contains__(self, name: str) -> bool:
        return name in self.variables

    def assign(self, **values: Any) -> None:
        """Give variables new values."""
        for name, value in values.items():
            self.variables[name].assign(value)


@dataclass(frozen=True)
class Strategy(ABC):
    """Base of the strategies: candidates out, losses in; smaller losses are better.

    Args:
        population: candidates in a generation; by default what suits the strategy and the number
            of parameters.

    Raises:
        ConfigError: an option has an invalid value.
    """

    name: ClassVar[str] = ""
    #: What is said of it in a line.
    title: ClassVar[str] = ""
    #: The fewest candidates that it works with.
    least: ClassVar[int] = 1

    population: int | None = field(default=None, kw_only=True)

    def __init_subclass__(cls) -> None:
        if cls.name:
            _strategies[cls.name] = cls

    def __post_init__(self) -> None:
        if self.population is not None:
            self._need_integer("population", self.least)
        self.check()

    def check(self) -> None:  # noqa: B027 - not every strategy has options
        """Raise ConfigError for invalid options."""

    def size(self, n: int) -> int:
        """Candidates in a generation, for n parameters."""
        return self.population or self.usual_size(n)

    def usual_size(self, n: int) -> int:
        """Candidates in a generation, unless the user says how many."""
        return 128

    def interval(self, n: int) -> int:
        """Generations from one call of `refresh` to the next; 0 for never."""
        return 0

    @abstractmethod
    def begin(self, start: Array, bounds: Bounds | None, key: Tensor) -> State:
        """The state before the first generation, at a point (numbers,)."""

    @abstractmethod
    def ask(self, state: State, key: Tensor) -> tuple[Tensor, Named]:
        """The candidates (population, numbers) of a generation, and what `tell` has to know."""

    @abstractmethod
    def tell(
        self, state: State, candidates: Tensor, memo: Named, losses: Tensor, key: Tensor
    ) -> None:
        """Learn from the losses (population,) of the candidates; infinite ones are the worst."""

    def refresh(self, state: State) -> None:  # noqa: B027 - most need none
        """What need not be done in every generation, on NumPy."""

    def centre(self, state: State) -> Tensor | None:
        """The point around which the strategy searches, if it has one: its estimate of the best."""
        return None

    def stopped(self, state: State) -> str:
        """Why further generations would find nothing more; "" if they might."""
        return ""

    # ---- for the checks of options -------------------------------------------------------------

    def _need_integer(self, option: str, least: int) -> None:
        value = getattr(self, option)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise self._invalid(option, f"an integer from {least}")

    def _need_number(
        self, option: str, low: float = 0.0, high: float = np.inf, *, above: bool = False
    ) -> None:
        value = getattr(self, option)
        is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not is_number or not low <= value <= high or (above and value == low):
            end = "" if high == np.inf else f" to {high:g}"
            raise self._invalid(option, f"a number {'above' if above else 'from'} {low:g}{end}")
        if not np.isfinite(value):
            raise self._invalid(option, "a finite number")

    def _need_one_of(self, option: str, names: tuple[Any, ...]) -> None:
        if getattr(self, option) not in names:
            raise self._invalid(option, ", ".join(map(str, names)))

    def _invalid(self, option: str, expected: str) -> ConfigError:
        return ConfigError(
            f"Invalid value for {option} of {type(self).__name__}.",
            expected=expected,
            found=repr(getattr(self, option)),
        )


def centred_ranks(losses: Tensor) -> Tensor:
    """Ranks from -1/2 for the smallest loss to 1/2 for the largest; equal losses share theirs.

    With equal losses throughout all ranks are 0: nothing has been learned. Source: Salimans et al.,
    "Evolution strategies as a scalable alternative to reinforcement learning", 2017.

    Example:
        >>> import chainrule as cr
        >>> centred_ranks(cr.tensor([3.0, 1.0, 3.0])).tolist()
        [0.25, -0.5, 0.25]
    """
    count = losses.shape[0]
    ordered = sort(losses)
    below = searchsorted(ordered, losses, side="left")
    upto = searchsorted(ordered, losses, side="right")
    return ((below + upto - 1).astype(losses.dtype) / 2) / max(count - 1, 1) - 0.5


def around(
    point: Tensor, sigma: Any, key: Tensor, count: int, bounds: Bounds | None = None
) -> Tensor:
    """Candidates around a point, normally distributed; within the bounds, if there are any."""
    drawn = point + sigma * normal(key, (count, point.shape[-1]), point.dtype)
    return drawn if bounds is None else drawn.clip(*bounds)
