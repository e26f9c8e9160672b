"""What a backend is: it builds a program of a graph, which then runs.

A new backend is a class like these, in a folder of its own, and a line in `registry`. Nothing
outside asks which one it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from ...errors import ChainruleError
from ...utils.typing import Array
from ..ir.graph import Graph


class BuildError(ChainruleError):
    """A backend cannot build a program of this graph, or not on this machine."""


class UnsupportedError(BuildError):
    """A backend has no kernel for an operation."""


class Executable(Protocol):
    """A program: a graph made ready to run."""

    @property
    def graph(self) -> Graph:
        """What it computes."""

    @property
    def source(self) -> str:
        """Its text, for readers."""

    @property
    def in_place(self) -> Collection[int]:
        """Positions of donated inputs that a call overwrites with their next values."""

    def __call__(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for these inputs, without those that were written in place."""

    @property
    def run_steps(self) -> Callable[..., tuple[int, list[Array]]] | None:
        """Runs many steps in one call, as `chainrule.engine.backends.c.program.CProgram` does.

        None if steps are to be called one by one.
        """


class Backend(Protocol):
    """Builds programs.

    Attributes:
        name: how users ask for it.
        is_instant: whether building takes no time worth a thread of its own.
    """

    name: str
    is_instant: bool

    def build(self, graph: Graph, donated: Mapping[int, int], guards: Sequence[int]) -> Executable:
        """A program.

        Args:
            graph: what to compute.
            donated: positions of inputs that may be overwritten, with those of the outputs that are
                their next values.
            guards: positions of outputs of one floating-point number; if one is not finite, no
                input may be overwritten.

        Raises:
            BuildError: it cannot.
        """
