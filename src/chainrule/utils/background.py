"""Work that goes on beside the main thread, and that nobody waits for at the end of the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

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
