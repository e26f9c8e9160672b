"""Locks that the child of a fork finds open.

A child has one thread, and whoever held a lock in its parent will never open it there.
"""

from __future__ import annotations

import os
import threading
import weakref

_all: weakref.WeakSet[threading.Lock] = weakref.WeakSet()


def new_lock() -> threading.Lock:
    """A lock, open again in each forked child. What it guards must allow that.

    Example:
        >>> with new_lock() as has_it:
        ...     has_it
        True
    """
    lock = threading.Lock()
    _all.add(lock)
    return lock


def _open() -> None:
    for lock in _all:
        if lock.locked():
            lock.release()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_open)
