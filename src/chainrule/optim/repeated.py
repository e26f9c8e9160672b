"""Updates that come again: eager code pays once for the operations of an update.

The second time that an optimizer updates with the same options, the update is traced and kept as a
program of NumPy: the same operations, and so the same bits.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..engine.autodiff import in_derivative
from ..engine.backends.updates import UPDATES
from ..engine.compile import Compiled
from ..engine.tensor import Tensor, Variable, tracing
from ..nn.module import Module
from .schedules import Schedule

#: How many sets of options of one optimizer are remembered.
_MOST = 16


@dataclass(frozen=True)
class _Options:
    """What an update is made of besides its inputs and variables."""

    values: tuple[Any, ...]


class _Ready(NamedTuple):
    """A program of an update.

    Attributes:
        program: it takes the gradients, and the loss and their norm if they are given.
        paths: of the parameters with a gradient.
        types: of all that it takes.
    """

    program: Any
    paths: tuple[str, ...]
    types: list[Any]


class _Seen(NamedTuple):
    """An object with options.

    Attributes:
        part: the object.
        values: its attributes, one of which is the owner perhaps.
        inside: the lists and tuples among them, with what was in them.
    """

    part: weakref.ref[Any]
    values: tuple[Any, ...]
    inside: list[tuple[Any, tuple[Any, ...]]]


class _Updates:
    """The programs of one optimizer.

    Attributes:
        last: the options of the last update.
        seen: the objects with these options, as they were.
        known: the options of programs.
        run: makes and runs programs.
        ready: the program of the last update, if it had one.
    """

    def __init__(self, change: Callable[..., None]) -> None:
        method = weakref.WeakMethod(change)

        def run(given: Any, loss: Any, norm: Any, options: _Options) -> None:
            alive = method()
            assert alive is not None
            alive(given, loss, norm)

        self.last: _Options | None = None
        self.seen: list[_Seen] = []
        self.known: set[_Options] = set()
        self.run = Compiled(run, UPDATES)
        self.ready: _Ready | None = None

    def again(self, given: Mapping[str, Tensor], loss: Any, norm: Any) -> None:
        """Update by the program for these options."""
        taken = [*given.values(), *[x for x in (loss, norm) if x is not None]]
        if not all(type(x) is Tensor for x in taken):
            self.run(given, loss, norm, self.last)
            return
        nodes = [x.node for x in taken]
        types = [node.type for node in nodes]
        ready = self.ready
        is_right = ready is not None and ready.types == types and ready.paths == tuple(given)
        if ready is None or not is_right or ready.program.traced.is_stale():
            program = self.run.program(given, loss, norm, self.last)
            ready = self.ready = _Ready(program, tuple(given), types)
        ready.program.change([node.value for node in nodes])


_updates: weakref.WeakKeyDictionary[Any, _Updates] = weakref.WeakKeyDictionary()


def repeated(
    owner: Any, change: Callable[..., None], parts: Sequence[Any]
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
    updates = _updates.get(owner)
    if updates is not None and updates.seen and _are_as_before(parts, updates.seen):
        return updates.again
    options = _options_of(parts)
    if options is None:
        return change
    if updates is None:
        updates = _updates[owner] = _Updates(change)
    is_known, updates.last, updates.ready = options == updates.last, options, None
    updates.seen = []
    if not is_known or (len(updates.known) >= _MOST and options not in updates.known):
        return change
    updates.known.add(options)
    updates.seen = _as_they_are(parts)
    return updates.again


def _options_of(parts: Iterable[Any]) -> _Options | None:
    """All options of an update; None if it may do anything."""
    values: list[Any] = []
    for part in parts:
        if not type(part).__module__.startswith(__package__ + "."):
            return None
        values.append(type(part))
        for value in vars(part).values():
            if callable(value) and not isinstance(value, (Module, Schedule)):
                return None
            if isinstance(value, (bool, int, float, str)):
                values += (type(value), value)
            elif isinstance(value, (list, tuple)):
                values.append(repr(value))
            elif isinstance(value, Variable):
                values.append(id(value))  # its program keeps it, so no other one has that
    return _Options(tuple(values))


def _as_they_are(parts: Sequence[Any]) -> list[_Seen]:
    """The objects with the options, one of which is the owner, and these; nothing if they may
    change inside.
    """  # noqa: D205
    found = []
    for part in parts:
        inside = [(x, tuple(x)) for x in vars(part).values() if isinstance(x, (list, tuple))]
        if any(isinstance(item, (list, tuple, dict)) for _, items in inside for item in items):
            return []
        found.append(_Seen(weakref.ref(part), tuple(vars(part).values()), inside))
    return found


def _are_as_before(parts: Sequence[Any], seen: Sequence[_Seen]) -> bool:
    """Whether these are the same objects, with the same ones as their options."""
    if len(parts) != len(seen):
        return False
    for part, (known, before, inside) in zip(parts, seen, strict=True):
        values = vars(part).values()
        if part is not known() or len(values) != len(before):
            return False
        if not all(map(operator.is_, values, before)):
            return False
        for found, items in inside:
            if len(found) != len(items) or not all(map(operator.is_, found, items)):
                return False
    return True
