"""Which variables programs are overwriting just now, and which are away: others wait for them.

A program writes new values into the arrays of its variables, and meanwhile other threads run. Who
wants one of these variables gets it before or after the call, never midway:

- Who has fetched its node or array before is counted among their references; the program then
  works on a copy (`compile.py`).
- Who fetches it during the call looks here afterwards, and waits. A thread never waits for itself.
- A call reads all that it uses at once, when no other one overwrites any of it; it never waits for
  others later on, so no two wait for each other.
- A program of an accelerator leaves new values in its memory: the variable is *away*. Who wants it
  has it fetched, under the same lock.
- A fork waits for the end of the calls and holds new ones back, so that no child inherits numbers
  of two steps.
- Whoever gets or replaces the node of a variable takes away the *mark* that the last call left
  (`calls.mark`). A program that finds its own mark knows that nothing has changed hands since, and
  need not look at its variables one by one. Nobody else keeps the mark, so that the nodes in it go
  with it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence, Set
from threading import get_ident
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Mark(NamedTuple):
    """What a call leaves: who it was, and the nodes of all variables that it used."""

    of: object
    nodes: list[Any]


class _Calls:
    """The calls that are going on.

    Attributes:
        claims: for each its thread, and the variables that it overwrites. The tuple is replaced,
            never changed, so that it can be read at any time.
        mark: what the last call left; None as soon as somebody has got or replaced the node of a
            variable, no matter which. Who gets one takes it away after that and before looking at
            the claims; who replaces one does both under the lock.
        lock: of all this.
        ended: told whenever a call ends, if anybody waits.
        waiting: how many do.
    """

    def __init__(self) -> None:
        self.claims: tuple[tuple[int, Set[Any]], ...] = ()
        self.mark: Mark | None = None
        self.renew_lock()

    def renew_lock(self) -> None:
        """A lock that nobody holds."""
        self.lock = threading.RLock()
        self.ended = threading.Condition(self.lock)
        self.waiting = 0

    def wait(self) -> None:
        """Wait until a call ends, with the lock."""
        self.waiting += 1
        try:
            self.ended.wait()
        finally:
            self.waiting -= 1


calls = _Calls()


def begin(
    used: Sequence[Any], overwritten: Set[Any], read: Callable[[Any], T], of: object = None
) -> list[T]:
    """Read all variables that a call uses; those that it overwrites are its own until `end`.

    It waits until no other thread overwrites any of them. A mark is left for `begin_again` if
    somebody is named, and ``read`` gives nodes.
    """
    own = get_ident()
    with calls.lock:
        _wait_for(used, own)
        if overwritten:
            calls.claims += ((own, overwritten),)
        calls.mark = None  # and with it the nodes, before anybody counts who holds them
        found = list(map(read, used))
        if of is not None:
            calls.mark = Mark(of, found)
        return found


def begin_again(used: Sequence[Any], overwritten: Set[Any], of: object) -> list[Any] | None:
    """The nodes of the variables, if nobody has got or replaced one since this one's mark was left;
    otherwise None, and the call has not begun.
    """  # noqa: D205
    lock = calls.lock
    lock.acquire()  # in half of the time of a `with`
    try:
        if calls.claims:
            _wait_for(used, get_ident())
        mark = calls.mark
        if mark is None or mark.of is not of:
            return None
        if overwritten:
            calls.claims += ((get_ident(), overwritten),)
        return mark.nodes
    finally:
        lock.release()


def forget(of: object) -> None:
    """It will make no more calls."""
    mark = calls.mark
    if mark is not None and mark.of is of:
        calls.mark = None


def _wait_for(used: Sequence[Any], own: int) -> None:
    while calls.claims and not all(
        thread == own or found.isdisjoint(used) for thread, found in calls.claims
    ):
        calls.wait()


def end(overwritten: Set[Any]) -> None:
    """The call of this thread that overwrites these variables is over, if it began at all."""
    own = get_ident()
    lock = calls.lock
    lock.acquire()
    try:
        claims = calls.claims
        if len(claims) == 1 and claims[0][1] is overwritten and claims[0][0] == own:
            calls.claims = ()
        elif claims:
            calls.claims = tuple([x for x in claims if x[0] != own or x[1] is not overwritten])
        if calls.waiting:
            calls.ended.notify_all()
    finally:
        lock.release()


def is_overwritten(variable: Any) -> bool:
    """Whether a program in another thread overwrites the variable."""
    own = get_ident()
    return any(thread != own and variable in found for thread, found in calls.claims)


def afterwards(variable: Any, read: Callable[[Any], T]) -> T:
    """Read a variable as soon as no other thread overwrites it."""
    with calls.lock:
        while is_overwritten(variable):
            calls.wait()
        calls.mark = None
        return read(variable)


def _before_fork() -> None:
    calls.lock.acquire()
    own = get_ident()
    while any(thread != own for thread, _ in calls.claims):
        calls.wait()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: calls.lock.release(),
        after_in_child=calls.renew_lock,
    )
