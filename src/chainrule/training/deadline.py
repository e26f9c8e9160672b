"""When the time that a training was given is over."""

from __future__ import annotations

import time

from ..utils.together import agreed


class Deadline:
    """Counts from now on.

    Args:
        minutes: how many there are; None for no limit.

    Example:
        >>> Deadline(None).is_over, Deadline(1e-9).is_over, Deadline(1e-9).reason
        (False, True, 'the time that was given is over')
    """

    def __init__(self, minutes: float | None) -> None:
        self._end = None if minutes is None else time.perf_counter() + 60 * minutes
        self._reserved = 0.0

    @property
    def is_over(self) -> bool:
        """Whether there is no time for more steps."""
        if self._end is None:
            return False
        return bool(agreed(time.perf_counter() >= self._end - self._reserved))

    def reserve(self, seconds: float) -> None:
        """Keep so much time for the last validation."""
        self._reserved = seconds

    reason = "the time that was given is over"
