"""The backends by name."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence

from ...errors import ConfigError
from ..ir.graph import Graph
from .base import Backend, BuildError, Executable
from .c.backend import CBackend
from .numpy import NUMPY

_log = logging.getLogger("chainrule")


class FirstThatBuilds:
    """One backend, and another one for what it cannot build, which is said in one sentence."""

    name = "auto"
    is_instant = False

    def __init__(self, first: Backend, second: Backend) -> None:
        self._first, self._second = first, second

    def build(self, graph: Graph, donated: Mapping[int, int], guards: Sequence[int]) -> Executable:
        """A program of the first backend, or else of the second."""
        try:
            return self._first.build(graph, donated, guards)
        except BuildError as error:
            _warn_once(f"{error.what} The NumPy backend is used.")
            return self._second.build(graph, donated, guards)


@functools.cache
def _warn_once(sentence: str) -> None:
    _log.warning(sentence)


_C = CBackend()
BACKENDS: dict[str, Backend] = {
    backend.name: backend for backend in (NUMPY, _C, FirstThatBuilds(_C, NUMPY))
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
        raise ConfigError(f"Unknown backend {backend!r}.", expected=", ".join(BACKENDS))
    if threads is None:
        return BACKENDS[backend]
    native = CBackend(threads)
    found: dict[str, Backend] = {"c": native, "auto": FirstThatBuilds(native, NUMPY)}
    return found.get(backend, BACKENDS[backend])
