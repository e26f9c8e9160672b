"""Functions that see every call of a module, such as the summary's and the explanation's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: ``(path, module, inputs, result)`` of a call.
Observer = Callable[[str, Any, tuple[Any, ...], Any], None]


class _Observers(threading.local):
    def __init__(self) -> None:
        self.active: list[Observer] = []


_observers = _Observers()


@contextmanager
def observe(observer: Observer) -> Iterator[None]:
    """Inside, every call of a module is reported when it ends: path, module, inputs, result."""
    _observers.active.append(observer)
    try:
        yield
    finally:
        _observers.active.remove(observer)


def active_observers() -> list[Observer]:
    """The observers of this thread."""
    return _observers.active
