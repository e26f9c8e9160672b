"""The rules: each takes a `Context` and gives findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..finding import Finding
from . import configuration, data, dynamics, results
from .context import Context

#: All of them.
RULES: tuple[Callable[[Context], Iterable[Finding]], ...] = (
    *configuration.RULES,
    *data.RULES,
    *dynamics.RULES,
    *results.RULES,
)
