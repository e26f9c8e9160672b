"""Updates that come again: eager code pays once for the operations of an update.

The second time that an optimizer updates with the same options, the update is traced and kept as a
program of NumPy: the same operations, and so the same bits.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..engine.autodiff import in_derivative
from ..engine.compile import Compiled
from ..engine.tensor import Variable, tracing
from ..nn.module import Module
from .schedules import Schedule

#: How many sets of options of one optimizer are remembered.
_MOST = 16


@dataclass(frozen=True)
class _Options:
    """What an update is made of besides its inputs and variables."""

    values: tuple[Any, ...]


class _Updates:
    """The programs of one optimizer."""

    def __init__(self, change: Callable[..., None]) -> None:
        method = weakref.WeakMethod(change)

        def run(given: Any, loss: Any, norm: Any, options: _Options) -> None:
            alive = method()
            assert alive is not None
            alive(given, loss, norm)

        self.last: _Options | None = None
        self.known: set[_Options] = set()
        self.run = Compiled(run, "numpy")


_updates: weakref.WeakKeyDictionary[Any, _Updates] = weakref.WeakKeyDictionary()


def repeated(
    owner: Any, change: Callable[..., None], parts: Iterable[Any]
) -> Callable[[Any, Any, Any], None]:
    """The method that changes the parameters, or its program if it comes again.

    Args:
        owner: the optimizer.
        change: its method, which takes gradients, loss and norm.
        parts: the objects with the options of the update. One of a class that isn't ours may do
            anything, so it is called.
    """
    if tracing.record is not None or tracing.standing is not None or in_derivative():
        return change
    values: list[Any] = []
    for part in parts:
        if not type(part).__module__.startswith(__package__ + "."):
            return change
        values.append(type(part))
        for value in vars(part).values():
            if callable(value) and not isinstance(value, (Module, Schedule)):
                return change
            if isinstance(value, (bool, int, float, str)):
                values += (type(value), value)
            elif isinstance(value, (list, tuple)):
                values.append(repr(value))
            elif isinstance(value, Variable):
                values.append(id(value))  # its program keeps it, so no other one has that
    options = _Options(tuple(values))
    updates = _updates.get(owner)
    if updates is None:
        updates = _updates[owner] = _Updates(change)
    is_known, updates.last = options == updates.last, options
    if not is_known or (len(updates.known) >= _MOST and options not in updates.known):
        return change
    updates.known.add(options)
    run = updates.run
    return lambda given, loss, norm: run(given, loss, norm, options)
