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
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence, Set
from threading import get_ident
from typing import Any, TypeVar

T = TypeVar("T")


class _Calls:
    """The calls that are going on.

    Attributes:
        claims: for each its thread, and the variables that it overwrites. The tuple is replaced,
            never changed, so that it can be read at any time.
        ended: told whenever a call ends.
    """

    def __init__(self) -> None:
        self.claims: tuple[tuple[int, Set[Any]], ...] = ()
        self.ended = threading.Condition(threading.Lock())


calls = _Calls()


def begin(used: Sequence[Any], overwritten: Set[Any], read: Callable[[Any], T]) -> list[T]:
    """Read all variables that a call uses; those that it overwrites are its own until `end`.

    It waits until no other thread overwrites any of them.
    """
    own = get_ident()
    with calls.ended:
        while calls.claims and not all(
            thread == own or found.isdisjoint(used) for thread, found in calls.claims
        ):
            calls.ended.wait()
        calls.claims += ((own, overwritten),)
        return list(map(read, used))


def end(overwritten: Set[Any]) -> None:
    """The call of this thread that overwrites these variables is over, if it began at all."""
    own = get_ident()
    with calls.ended:
        calls.claims = tuple(
            [claim for claim in calls.claims if claim[0] != own or claim[1] is not overwritten]
        )
        calls.ended.notify_all()


def is_overwritten(variable: Any) -> bool:
    """Whether a program in another thread overwrites the variable."""
    own = get_ident()
    return any(thread != own and variable in found for thread, found in calls.claims)


def afterwards(variable: Any, read: Callable[[Any], T]) -> T:
    """Read a variable as soon as no other thread overwrites it."""
    with calls.ended:
        while is_overwritten(variable):
            calls.ended.wait()
        return read(variable)


def _before_fork() -> None:
    calls.ended.acquire()
    own = get_ident()
    while any(thread != own for thread, _ in calls.claims):
        calls.ended.wait()


def _in_child() -> None:
    calls.ended = threading.Condition(threading.Lock())


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: calls.ended.release(),
        after_in_child=_in_child,
    )
