"""What each method may spend: time, forward passes, or episodes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ...errors import ConfigError

_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "seconds": 1.0, "m": 60.0, "min": 60.0, "minutes": 60.0}
_PASSES = ("evaluations", "evaluation", "evals", "passes", "pass")
_EPISODES = ("episodes", "episode")


@dataclass(frozen=True)
class Budget:
    """One of the three.

    Attributes:
        seconds: of each method.
        passes: forward passes of the network over all training rows; a backward pass counts as
            two.
        episodes: of an environment.
    """

    seconds: float | None = None
    passes: int | None = None
    episodes: int | None = None

    @staticmethod
    def of(text: str | float) -> Budget:
        """As it is typed: seconds, evaluations, or episodes.

        Raises:
            ConfigError: it is neither, or not above 0.

        Example:
            >>> Budget.of("2m").seconds, Budget.of("5000 evaluations").passes
            (120.0, 5000)
        """
        found = re.fullmatch(r"\s*([\d.,_]+(?:e\d+)?)\s*([a-z]*)\s*", str(text).lower())
        unit = found[2] if found else "?"
        try:
            value = float(found[1].replace(",", "").replace("_", "")) if found else math.nan
        except ValueError:
            value = math.nan
        known = (*_UNITS, *_PASSES, *_EPISODES)
        if not (math.isfinite(value) and value > 0) or unit not in known:
            raise ConfigError(
                "Invalid value for budget.", expected="seconds above 0, evaluations, or episodes "
                "of an environment: 30, 2m, 5000evaluations, 5000episodes", found=str(text),
            )  # fmt: skip
        if unit in _UNITS:
            return Budget(seconds=value * _UNITS[unit])
        if value < 1:
            raise ConfigError("Invalid value for budget.", expected=f"at least 1 {unit}",
                              found=str(text))  # fmt: skip
        return Budget(passes=int(value)) if unit in _PASSES else Budget(episodes=int(value))

    def need(self, unit: str) -> None:
        """Refuse what cannot be counted here.

        Raises:
            ConfigError: it is neither of time nor of this unit, ``"passes"`` or ``"episodes"``.
        """
        if self.seconds is None and getattr(self, unit) is None:
            here = "evaluations" if unit == "passes" else unit
            raise ConfigError(
                "The budget is of something else.", expected=f"seconds, or {here}",
                found=str(self), hint=f"5000{here}",
            )  # fmt: skip

    @property
    def count(self) -> int | None:
        """Of forward passes or episodes; None if the budget is of time."""
        return self.passes if self.episodes is None else self.episodes

    def is_spent(self, seconds: float, count: float) -> bool:
        """Whether so much time has passed, or so many passes or episodes would be too many."""
        if self.seconds is not None:
            return seconds >= self.seconds
        return self.count is not None and count > self.count

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{self.seconds:g} seconds"
        if self.episodes is not None:
            return f"{self.episodes:,} episodes"
        return f"{self.passes:,} forward passes over the training rows"
