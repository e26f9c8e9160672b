"""The C backend: one native program for a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...ir.graph import Graph
from ...ir.work import work
from . import toolchain
from .program import CProgram

#: So many multiplications in all, some seconds of them, are worth the compiler's best work.
_WORTH_THE_BEST = 2 * 10**11


class CBackend:
    """Builds native programs with the machine's C compiler.

    Args:
        threads: how many each program uses; results don't depend on it. All by default.
        exact: whether programs have the same bits on every processor: see `CProgram`.
    """

    name = "c"
    is_instant = False
    parts = 1

    def __init__(self, threads: int | None = None, *, exact: bool = False) -> None:
        self.threads, self.exact = threads, exact

    def build(
        self,
        graph: Graph,
        donated: Mapping[int, int],
        guards: Sequence[int],
        runs: int | None = None,
    ) -> CProgram:
        """A program that overwrites its donated inputs."""
        flags = () if runs is None else flags_for(runs * work(graph))
        return CProgram(graph, donated, guards, flags=flags, threads=self.threads, exact=self.exact)


def flags_for(multiplications: float) -> tuple[str, ...]:
    """The compiler's flags for a program that does so many of them in all; none change its bits."""
    return toolchain.find().quick if multiplications < _WORTH_THE_BEST else ()
