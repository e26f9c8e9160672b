"""What a network is built and trained by, as something that can be inherited and changed."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from ...errors import ConfigError
from ...nn import ACTIVATIONS

#: Probability that a gene is changed.
_MUTATION = 0.3
#: Standard deviations of ln(units) and of ln(rate) when they change.
_UNITS, _RATES = 0.4, 0.7


@dataclass(frozen=True)
class Genome:
    """A network and how it learns.

    Attributes:
        hidden: hidden units of each layer.
        activations: of each layer.
        lr: learning rate of AdamW.
        weight_decay: of AdamW.
        seed: of the first weights.

    Example:
        >>> Genome((8, 4), ("tanh", "relu"), 0.01, 0.001, 0).name
        '8 tanh, 4 relu'
    """

    hidden: tuple[int, ...]
    activations: tuple[str, ...]
    lr: float
    weight_decay: float
    seed: int

    @property
    def name(self) -> str:
        """The hidden layers in words."""
        pairs = zip(self.hidden, self.activations, strict=True)
        return ", ".join(f"{units} {activation}" for units, activation in pairs)


@dataclass(frozen=True)
class Space:
    """The networks among which the best is looked for.

    Args:
        layers: the most hidden layers; the fewest is one.
        units: the most hidden units of a layer.
        activations: names from `chainrule.nn.ACTIVATIONS` of functions of one number.
        lr: the smallest and the largest learning rate.
        weight_decay: the smallest and the largest weight decay.

    Raises:
        ConfigError: it is empty.
    """

    layers: int = 3
    units: int = 32
    activations: tuple[str, ...] = ("relu", "tanh", "silu")
    lr: tuple[float, float] = (1e-4, 0.1)
    weight_decay: tuple[float, float] = (1e-6, 0.1)

    def __post_init__(self) -> None:
        for name in ("layers", "units"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"Invalid value for {name}.", expected="an integer from 1",
                                  found=repr(value))  # fmt: skip
        object.__setattr__(self, "activations", tuple(self.activations))
        wrong = [name for name in self.activations if name not in ACTIVATIONS]
        if wrong or not self.activations:
            raise ConfigError("Invalid value for activations.", found=", ".join(wrong) or "none",
                              expected=", ".join(ACTIVATIONS))  # fmt: skip
        for name in ("lr", "weight_decay"):
            low, high = getattr(self, name)
            if not 0 < low <= high < math.inf:
                raise ConfigError(f"Invalid value for {name}.", found=f"{low}, {high}",
                                  expected="two numbers above 0, the smaller first")  # fmt: skip

    def draw(self, rng: np.random.Generator) -> Genome:
        """Any of them."""
        depth = int(rng.integers(1, self.layers + 1))
        units = np.exp(rng.uniform(0, math.log(self.units), depth)).round().astype(int)
        return Genome(
            tuple(max(int(x), 1) for x in units),
            tuple(str(x) for x in rng.choice(self.activations, depth)),
            _between(self.lr, rng),
            _between(self.weight_decay, rng),
            _seed(rng),
        )

    def child(self, mother: Genome, father: Genome, rng: np.random.Generator) -> Genome:
        """Each gene from either parent, and some of them changed."""
        return self._mutated(_crossed(mother, father, rng), rng)

    def _mutated(self, genome: Genome, rng: np.random.Generator) -> Genome:
        hidden, activations = list(genome.hidden), list(genome.activations)
        if rng.uniform() < _MUTATION:
            if len(hidden) < self.layers and (len(hidden) == 1 or rng.uniform() < 0.5):
                place = int(rng.integers(len(hidden) + 1))
                hidden.insert(place, hidden[min(place, len(hidden) - 1)])
                activations.insert(place, str(rng.choice(self.activations)))
            elif len(hidden) > 1:
                place = int(rng.integers(len(hidden)))
                del hidden[place], activations[place]
        for i, units in enumerate(hidden):
            if rng.uniform() < _MUTATION:
                grown = round(units * math.exp(rng.normal(0, _UNITS)))
                step = int(rng.choice([-1, 1]))
                hidden[i] = min(max(grown if grown != units else units + step, 1), self.units)
            if rng.uniform() < _MUTATION / 2:
                activations[i] = str(rng.choice(self.activations))
        rates = [
            float(np.clip(value * math.exp(rng.normal(0, _RATES)), *ends))
            if rng.uniform() < _MUTATION
            else value
            for value, ends in ((genome.lr, self.lr), (genome.weight_decay, self.weight_decay))
        ]
        seed = _seed(rng) if rng.uniform() < _MUTATION else genome.seed
        return Genome(tuple(hidden), tuple(activations), rates[0], rates[1], seed)


def _crossed(mother: Genome, father: Genome, rng: np.random.Generator) -> Genome:
    """The depth of the mother; the layers that both have from either."""
    hidden, activations = list(mother.hidden), list(mother.activations)
    for i in range(min(len(mother.hidden), len(father.hidden))):
        if rng.uniform() < 0.5:
            hidden[i], activations[i] = father.hidden[i], father.activations[i]
    picked = [mother if rng.uniform() < 0.5 else father for _ in range(2)]
    return dataclasses.replace(
        mother, hidden=tuple(hidden), activations=tuple(activations), lr=picked[0].lr,
        weight_decay=picked[1].weight_decay,
    )  # fmt: skip


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _between(ends: tuple[float, float], rng: np.random.Generator) -> float:
    """A number between these, its logarithm uniform."""
    return float(np.exp(rng.uniform(math.log(ends[0]), math.log(ends[1]))))
