"""The C backend: one native program for a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...ir.graph import Graph
from .program import CProgram


class CBackend:
    """Builds native programs with the machine's C compiler."""

    name = "c"
    is_instant = False

    def build(self, graph: Graph, donated: Mapping[int, int], guards: Sequence[int]) -> CProgram:
        """A program that overwrites its donated inputs."""
        return CProgram(graph, donated, guards)
