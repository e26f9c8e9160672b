"""Several processes that train one network: what they decide by the clock they decide together.

All of them run the same code on the same data, and meet in every step. So whatever depends on time,
or on a signal that only one of them got, must be decided once, for all. Alone, a process decides by
itself, and nothing here costs anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from ..errors import ConfigError


class Group(Protocol):
    """The processes that have come together.

    Attributes:
        number: of this process, from 0.
        count: how many there are.
    """

    number: int
    count: int

    def gather(self, values: list[int]) -> list[list[int]]:
        """The values of every process, in their order; all must call it."""

    def exchange(self, data: bytes) -> list[bytes]:
        """The bytes of every process, in their order; all must call it."""

    def pulse(self, alive: bool) -> None:
        """Tell who watches over this process that it goes on, or that it will rest now."""


class _Known:
    group: Group | None = None


_known = _Known()


def come_together(group: Group) -> None:
    """From now on this process is one of a group."""
    _known.group = group


def is_first() -> bool:
    """Whether this process writes files and speaks: the first one does, or one that is alone."""
    return _known.group is None or _known.group.number == 0


def process_count() -> int:
    """How many processes there are.

    Example:
        >>> process_count(), is_first(), agreed(7)
        (1, True, 7)
    """
    return 1 if _known.group is None else _known.group.count


def number() -> int:
    """Which of them this one is, from 0."""
    return 0 if _known.group is None else _known.group.number


def gathered(value: int) -> list[int]:
    """The value of every process."""
    if _known.group is None:
        return [value]
    return [values[0] for values in _known.group.gather([value])]


def exchanged(data: bytes) -> list[bytes]:
    """The bytes of every process, in their order."""
    return [data] if _known.group is None else _known.group.exchange(data)


def own_part(count: int) -> range:
    """Which of so many things this process does, where each does a part: consecutive ones."""
    if _known.group is None:
        return range(count)
    group = _known.group
    return range(count * group.number // group.count, count * (group.number + 1) // group.count)


def agreed(value: int) -> int:
    """The value of the first process."""
    return gathered(value)[0]


@contextmanager
def watched() -> Iterator[None]:
    """Meanwhile, from the first `pulse` on, who watches may end a process that has none."""
    try:
        yield
    finally:
        if _known.group is not None:
            _known.group.pulse(alive=False)


def pulse() -> None:
    """This process goes on."""
    if _known.group is not None:
        _known.group.pulse(alive=True)


def need_same(what: str, text: str) -> None:
    """Refuse to go on if something is not the same for every process.

    Args:
        what: it is, for the message.
        text: says it, in full.

    Raises:
        ConfigError: it differs.
    """
    if _known.group is None:
        return
    digest = list(hashlib.sha256(text.encode()).digest())
    found = _known.group.gather(digest)
    others = [str(number) for number, one in enumerate(found) if one != found[0]]
    if others:
        raise ConfigError(
            f"The processes of this training do not have the same {what}.",
            expected="the same on all of them",
            found=f"process {', '.join(others)} differs from process 0",
            hint="Start all of them with the same command, the same files and the same version.",
        )
