"""Signals that wait for a moment at which nothing is half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: What ends a program on request: Ctrl-C, `kill`, and a terminal that is closed.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Terminated(SystemExit):
    """The process is to end at once; where nobody catches it, with 128 and the signal's number.

    Example:
        >>> Terminated(signal.SIGTERM).code
        143
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class Deferred:
    """The signals that have come and wait for `deliver`.

    Attributes:
        received: their numbers, in their order.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self._before: dict[int, Any] = {}

    def hold(self) -> None:
        """From now on signals wait; those that the process ignores it goes on ignoring."""
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread gets any
        for number in STOPPING:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):
                self._before[number] = handler
                signal.signal(number, self._receive)

    def release(self) -> None:
        """Signals do at once what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def deliver(self) -> None:
        """Let those that wait do what they did before.

        Raises:
            Terminated: Ctrl-C was pressed twice.
        """
        received, self.received = self.received, []
        if not received:
            return
        self.release()
        if received.count(signal.SIGINT) > 1:
            raise Terminated(signal.SIGINT)
        signal.raise_signal(received[0])

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received.append(number)
        if len(self.received) > 2:  # whoever asks three times does not want to wait
            raise Terminated(number)


@contextmanager
def deferred() -> Iterator[Deferred]:
    """Meanwhile Ctrl-C, SIGTERM and SIGHUP wait until `Deferred.deliver`, or the end.

    Example:
        >>> with deferred() as waiting:
        ...     signal.raise_signal(signal.SIGINT)
        ...     print(len(waiting.received))
        ...     waiting.received.clear()
        1
    """
    waiting = Deferred()
    waiting.hold()
    try:
        yield waiting
    finally:
        waiting.release()
    waiting.deliver()


@contextmanager
def terminating() -> Iterator[None]:
    """Meanwhile SIGTERM and SIGHUP raise `Terminated`, where they would have ended the process."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
