"""The reference backend: NumPy, node by node. Its results define what is right.

The program itself belongs to `chainrule.engine.ir`: operations that hold a graph run it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..ir.graph import Graph
from ..ir.program import Program

__all__ = ["ArrayBackend", "Program"]


class ArrayBackend:
    """Runs graphs node by node with an array library.

    Args:
        name: how users ask for it.
        xp: the array namespace, such as `numpy` or `jax.numpy`.
        lowerings: by operation what is called instead of its ``compute``, where there is a better
            way with this library: ``(xp, *arrays, **attributes) -> array``.
    """

    is_instant = True
    parts = 1

    def __init__(
        self, name: str, xp: Any, lowerings: Mapping[str, Callable[..., Any]] | None = None
    ) -> None:
        self.name = name
        self._xp = xp
        self._lowerings = dict(lowerings or {})

    def build(
        self,
        graph: Graph,
        donated: Mapping[int, int],
        guards: Sequence[int],
        runs: int | None = None,
    ) -> Program:
        """A program, which overwrites nothing."""
        return Program(graph, self._xp, self._lowerings)


NUMPY = ArrayBackend("numpy", np)
