"""What each method may spend: time, or forward passes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ...errors import ConfigError

_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "seconds": 1.0, "m": 60.0, "min": 60.0, "minutes": 60.0}
_PASSES = ("evaluations", "evaluation", "evals", "passes", "pass",
           "episodes", "episode")  # fmt: skip


@dataclass(frozen=True)
class Budget:
    """One of the two.

    Attributes:
        seconds: of each method.
        passes: forward passes of the network over all training rows; a backward pass counts as
            two. In an environment: episodes.
    """

    seconds: float | None = None
    passes: int | None = None

    @staticmethod
    def of(text: str | float) -> Budget:
        """As it is typed: seconds, or evaluations.

        Raises:
            ConfigError: it is neither, or not above 0.

        Example:
            >>> Budget.of("2m"), Budget.of("5000 evaluations")
            (Budget(seconds=120.0, passes=None), Budget(seconds=None, passes=5000))
        """
        found = re.fullmatch(r"\s*([\d.,_]+(?:e\d+)?)\s*([a-z]*)\s*", str(text).lower())
        unit = found[2] if found else "?"
        try:
            value = float(found[1].replace(",", "").replace("_", "")) if found else math.nan
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0) or unit not in (*_UNITS, *_PASSES):
            raise ConfigError(
                "Invalid value for budget.", expected="seconds above 0, or evaluations: "
                "30, 2m, or 5000evaluations", found=str(text),
            )  # fmt: skip
        if unit in _PASSES:
            if value < 1:
                raise ConfigError("Invalid value for budget.", expected="at least 1 evaluation",
                                  found=str(text))  # fmt: skip
            return Budget(passes=int(value))
        return Budget(seconds=value * _UNITS[unit])

    def is_spent(self, seconds: float, passes: float) -> bool:
        """Whether so much time has passed, or so many passes would be too many."""
        if self.seconds is not None:
            return seconds >= self.seconds
        return self.passes is not None and passes > self.passes

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{self.seconds:g} seconds"
        return f"{self.passes:,} forward passes over the training rows"
