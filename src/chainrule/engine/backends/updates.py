"""What updates of eager code run on: NumPy in pieces, and native code once it is worth building.

Both have the same bits, so it does not matter when the native function is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir.graph import Graph
from ..ir.pieces import PieceProgram
from .c.pieces import native


class UpdateBackend:
    """Builds programs of updates."""

    name = "numpy"
    is_instant = True
    parts = 1

    def build(
        self,
        graph: Graph,
        donated: Mapping[int, int],
        guards: Sequence[int],
        runs: int | None = None,
    ) -> PieceProgram:
        """A program, which overwrites nothing."""
        return PieceProgram(graph, native)


UPDATES = UpdateBackend()
