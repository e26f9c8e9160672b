"""The backends by name."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Mapping, Sequence

from ...errors import unknown
from ..ir.graph import Graph
from .base import Backend, BuildError, Executable
from .c.backend import CBackend
from .c.lowering_cache import is_known
from .numpy import NUMPY
from .xla.backend import XlaBackend

_log = logging.getLogger("chainrule")


class FirstThatBuilds:
    """One backend, and another one for what it cannot build, which is said in one sentence."""

    name = "auto"
    is_instant = False

    def __init__(self, first: Backend, second: Backend, smallest: int = 0) -> None:
        self._first, self._second, self._smallest = first, second, smallest

    def build(self, graph: Graph, donated: Mapping[int, int], guards: Sequence[int]) -> Executable:
        """A program of the first backend, or else of the second.

        The second one takes small graphs, too: of fewer numbers than ``smallest``, without donated
        inputs, which are those of a step that will run many times, and without a loop.
        """
        if (
            not donated
            and _numbers(graph) < self._smallest
            and not is_known(graph, donated, guards)
        ):
            return self._second.build(graph, donated, guards)
        try:
            return self._first.build(graph, donated, guards)
        except BuildError as error:
            _warn_once(f"{error.what} The NumPy backend is used.")
            return self._second.build(graph, donated, guards)


def _numbers(graph: Graph) -> float:
    """How many numbers a run computes; more than any, if there is a loop."""
    if any(node.op.has_body for node in graph.nodes):
        return math.inf
    return sum(node.type.size for node in graph.nodes)


@functools.cache
def _warn_once(sentence: str) -> None:
    _log.warning(sentence)


_C = CBackend()
_XLA = XlaBackend()
#: What runs a function of `chainrule.compile` unless it is said.
BY_SIZE = FirstThatBuilds(_C, NUMPY, smallest=10_000)
BACKENDS: dict[str, Backend] = {
    backend.name: backend for backend in (NUMPY, _C, _XLA, FirstThatBuilds(_C, NUMPY))
}


def find_backend(backend: str | Backend, threads: int | None = None) -> Backend:
    """The backend of this name.

    Args:
        backend: a name; a backend is returned as it is.
        threads: of native programs; all by default.

    Raises:
        ConfigError: there is none.
    """
    if not isinstance(backend, str):
        return backend
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    if threads is None:
        return BACKENDS[backend]
    native = CBackend(threads)
    found: dict[str, Backend] = {"c": native, "auto": FirstThatBuilds(native, NUMPY)}
    return found.get(backend, BACKENDS[backend])
