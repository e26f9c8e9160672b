"""Work that goes on beside the main thread, and that nobody waits for at the end of the process."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from .locks import new_lock

T = TypeVar("T")


def in_background(work: Callable[[], T]) -> Future[T]:
    """Start the work in a thread of its own; its result, or its error, once it is asked for.

    Where no thread can be started, it is done at once.

    Example:
        >>> in_background(lambda: 6 * 7).result()
        42
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    try:
        threading.Thread(target=run, daemon=True).start()
    except RuntimeError:  # a limit of memory or processes leaves no room for a thread
        run()
    return future


class Queue:
    """Work that goes on in the background, at most so much at a time, in the order it came.

    Work that has not begun can be taken back: its future's ``cancel`` is true then. The child of a
    fork goes on with nothing of it.

    Args:
        at_once: how many pieces of work go on at the same time; one for each processor by default.

    Example:
        >>> queue = Queue(1)
        >>> found = [queue.add(lambda n=n: n * n) for n in range(3)]
        >>> [future.result() for future in found]
        [0, 1, 4]
    """

    def __init__(self, at_once: int | None = None) -> None:
        self._at_once = at_once
        self._waiting: deque[tuple[Future[object], Callable[[], object]]] = deque()
        self._running = 0
        self._lock = new_lock()
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self._forget)

    def add(self, work: Callable[[], T]) -> Future[T]:
        """Have this done once all that came before has begun."""
        future: Future[T] = Future()
        with self._lock:
            self._waiting.append((future, work))  # type: ignore[arg-type]
        self._begin()
        return future

    def _begin(self) -> None:
        with self._lock:
            if not self._waiting or self._running >= (self._at_once or _processors()):
                return
            future, work = self._waiting.popleft()
            self._running += 1

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            with self._lock:
                self._running -= 1
            self._begin()

        in_background(run)

    def _forget(self) -> None:
        self._waiting.clear()
        self._running = 0


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
