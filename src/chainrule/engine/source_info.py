"""Where a node comes from: the user's line, and the layer that is being called.

Kept outside a node's identity: it serves messages and explanations, never results.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from .ir.node import Origin

_PACKAGE = str(Path(__file__).parents[1])
_COMMAND_LINE = str(Path(_PACKAGE) / "cli")


class _Calls(threading.local):
    def __init__(self) -> None:
        self.names: list[Callable[[], str]] = []
        self.backward: Origin | None = None


_calls = _Calls()


def layer_names() -> list[Callable[[], str]]:
    """Of the layers that are being called in this thread, outer to inner; callers add and remove.

    A name is asked for when it is needed.
    """
    return _calls.names


class layer:  # noqa: N801 - used like a function
    """Inside, nodes belong to the layer of this name. It is asked for when needed, and once."""

    def __init__(self, name: Callable[[], str]) -> None:
        self._ask = name
        self._known: str | None = None

    def _name(self) -> str:
        if self._known is None:
            self._known = self._ask()
        return self._known

    def __enter__(self) -> None:
        _calls.names.append(self._name)

    def __exit__(self, *error: object) -> None:
        _calls.names.pop()


def current_layer() -> str:
    """The path of the innermost layer that is being called, such as ``layers.2``."""
    return ".".join(filter(None, (name() for name in _calls.names)))


def user_line() -> tuple[str, int]:
    """The nearest file and line on the stack outside of chainrule; none under its command line."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not _is_ours(file):
            return file, frame.f_lineno
        if file.startswith(_COMMAND_LINE):
            break
        frame = frame.f_back
    return "", 0


@functools.lru_cache(4096)
def _is_ours(file: str) -> bool:
    return file.startswith(_PACKAGE)


@contextmanager
def backward_through(origin: Origin | None) -> Iterator[None]:
    """Inside, nodes are made in the backward pass through a node with this origin."""
    before = _calls.backward
    if origin is not None:
        _calls.backward = origin._replace(backward=True)
    try:
        yield
    finally:
        _calls.backward = before


def here() -> Origin:
    """The origin of a node that is made now."""
    if _calls.backward is not None:
        return _calls.backward
    return Origin(*user_line(), current_layer())
