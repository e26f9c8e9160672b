"""A training by several processes, with threads in their place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from chainrule.utils import together


class Threads:
    """A group of threads; each is what a process would be."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._own = threading.local()
        self._all = threading.Barrier(count, timeout=60)
        self._said: list[Any] = [None] * count

    @property
    def number(self) -> int:
        return int(self._own.number)

    def gather(self, value: Any) -> list[Any]:
        self._said[self.number] = value
        self._all.wait()
        found = list(self._said)
        self._all.wait()
        return found

    exchange = gather

    def pulse(self, alive: bool) -> None:
        pass

    def run(self, function: Callable[[], Any]) -> list[Any]:
        """What the function gives in each of them; the first error, if there is one."""
        results: list[Any] = [None] * self.count
        errors: list[BaseException] = []

        def one(number: int) -> None:
            self._own.number = number
            try:
                results[number] = function()
            except BaseException as error:
                errors.append(error)
                self._all.abort()

        threads = [threading.Thread(target=one, args=(n,)) for n in range(self.count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        own = [e for e in errors if not isinstance(e, threading.BrokenBarrierError)]
        for error in own or errors:
            raise error
        return results


def in_processes(monkeypatch: Any, count: int, function: Callable[[], Any]) -> list[Any]:
    """What a function gives in each of several processes of one training."""
    group = Threads(count)
    with monkeypatch.context() as patch:
        patch.setattr(together._known, "group", group)
        return group.run(function)
