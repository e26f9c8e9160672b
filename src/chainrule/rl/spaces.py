"""What an agent may do and see: one of several actions, or numbers between bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..utils.typing import Array


@dataclass(frozen=True)
class Discrete:
    """One of n actions, an integer from 0.

    Attributes:
        n: how many.
        names: what they are called; their numbers without.

    Example:
        >>> Discrete(2, ("left", "right")).labels
        ('left', 'right')
    """

    n: int
    names: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the actions, or their numbers."""
        return self.names or tuple(str(number) for number in range(self.n))

    def __str__(self) -> str:
        return f"one of {self.n} actions ({', '.join(self.labels[:6])}{', …' * (self.n > 6)})"


@dataclass(frozen=True, eq=False)
class Box:
    """Numbers between bounds, float32.

    Attributes:
        low: the smallest values, of the shape of the space; may be infinite.
        high: the largest.
        names: what each element is called; made of their places without.

    Example:
        >>> Box.of([-2.0], [2.0], ["torque"]).labels
        ('torque',)
    """

    low: Array
    high: Array
    names: tuple[str, ...] = field(default=())

    @staticmethod
    def of(low: object, high: object, names: Sequence[str] = ()) -> Box:
        """From anything like arrays."""
        lower, upper = np.asarray(low, np.float32), np.asarray(high, np.float32)
        return Box(lower, upper, tuple(names))

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of one observation or action."""
        return self.low.shape

    @property
    def size(self) -> int:
        """How many numbers one has."""
        return int(self.low.size)

    @property
    def bounded(self) -> bool:
        """Whether all bounds are finite."""
        return bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())

    @property
    def labels(self) -> tuple[str, ...]:
        """What each element is called, in C order."""
        if self.names:
            return self.names
        return tuple("x" + "_".join(map(str, place)) for place in np.ndindex(*self.shape))

    def __str__(self) -> str:
        names = ", ".join(self.labels[:6]) + ", …" * (self.size > 6)
        return f"{self.size} numbers ({names})"


Space = Discrete | Box
