"""Averages of the weights over the updates, which often generalise better than the last weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..engine.ir.types import float64
from ..engine.ops import astype, minimum
from ..engine.tensor import Buffer, Parameter, Tensor
from ..errors import ConfigError
from ..utils.typing import Array
from .clipping import Shared
from .state import arrays, is_number, load, named_parameters


class EMA:
    """An exponential moving average of the weights.

        a ← a + (1 − d) · (w − a),    d = min(decay, (1 + t) / (10 + t)) or decay

    with t the number of updates of the average so far. It starts at the weights that the model
    has when the average is made; the warm-up (``warmup=True``) makes it forget these soon.

    Args:
        model: a module, or a dict or list of parameters. Frozen ones are left out.
            Buffers such as running statistics are not averaged.
        decay: at least 0, below 1; the average remembers about 1 / (1 − decay) updates.
        warmup: begin with a shorter memory.

    Sources: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992;
    Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017.

    Example:
        >>> import chainrule as cr
        >>> w = cr.parameter(0.0)
        >>> average = cr.optim.EMA([w], decay=0.5, warmup=False)
        >>> w.assign(1.0)
        >>> average.update()
        >>> with average.applied():
        ...     w.item()
        0.5
        >>> w.item()
        1.0
    """

    def __init__(self, model: Any, decay: float = 0.999, warmup: bool = True) -> None:
        if not (is_number(decay) and 0 <= decay < 1):
            raise ConfigError(
                "Invalid value for decay of an EMA.",
                expected="a number, at least 0 and below 1",
                found=repr(decay),
                hint="0.999 remembers about 1000 updates; the mean of all is cr.optim.SWA.",
            )
        self.decay = decay
        self.warmup = warmup
        self._begin(model)

    def _begin(self, model: Any) -> None:
        found = named_parameters(model)
        self.parameters: dict[str, Parameter] = {
            path: w for path, w in found.items() if w.requires_grad
        }
        self.averages = {path: Buffer(w.numpy()) for path, w in self.parameters.items()}
        self.steps = Buffer(0)

    def _new_part(self, t: Tensor) -> Tensor:
        """1 − d, the weight of the newest value, after t others."""
        if not self.warmup:
            return 0.0 * t + (1 - self.decay)
        return 1 - minimum((1 + t) / (10 + t), self.decay)

    def update(self) -> None:
        """Average in the current weights; call it after each update of the optimizer."""
        part = Shared(self._new_part(astype(self.steps, float64)))
        for path, w in self.parameters.items():
            average = self.averages[path]
            average.assign(average + part.like(average) * (w - average))
        self.steps.assign(self.steps + 1)

    def restart(self) -> None:
        """Restart at the weights that the model has now."""
        for path, w in self.parameters.items():
            self.averages[path].assign(w.numpy())
        self.steps.assign(0)

    def apply(self) -> None:
        """Give the model the averaged weights for good."""
        for path, w in self.parameters.items():
            w.assign(self.averages[path].numpy())

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model has the averaged weights; afterwards its own again."""
        own = {path: w.numpy() for path, w in self.parameters.items()}
        self.apply()
        try:
            yield
        finally:
            for path, w in self.parameters.items():
                w.assign(own[path])

    def buffers(self) -> dict[str, Buffer]:
        """The averages by path, and the number of updates."""
        found = {f"average.{path}": average for path, average in self.averages.items()}
        return {"steps": self.steps, **found}

    def state(self) -> dict[str, Array]:
        """Copies of the averages and the number of updates."""
        return arrays(self.buffers())

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state` gave; ConfigError if it is another network's."""
        load(self.buffers(), state, "average")


class SWA(EMA):
    """The plain mean of the weights of all updates of the average (stochastic weight averaging).

        a ← a + (w − a) / (t + 1)

    Source: Izmailov et al., "Averaging weights leads to wider optima and better generalization",
    UAI 2018.

    Example:
        >>> import chainrule as cr
        >>> w = cr.parameter(0.0)
        >>> average = cr.optim.SWA([w])
        >>> for value in (1.0, 2.0, 6.0):
        ...     w.assign(value)
        ...     average.update()
        >>> average.apply()
        >>> w.item()
        3.0
    """

    def __init__(self, model: Any) -> None:
        self._begin(model)

    def _new_part(self, t: Tensor) -> Tensor:
        return 1 / (t + 1)
