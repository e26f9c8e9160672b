"""Arrays that begin where a line of a cache does, so that no vector of them lies in two lines."""

from __future__ import annotations

import ctypes
import math
import mmap
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from .typing import Array

#: Bytes of a line, and of the longest vector.
_LINE = 64
#: From so many bytes on it matters; what stays in the first-level cache takes as long anyway.
_LEAST = 1 << 16
#: From so many bytes on pages should be large, as NumPy has them.
_LARGE = 1 << 22


class _Memory(bytearray):
    """The memory of one array, which nobody else has: views of an array have that as their base."""


class _Pages(mmap.mmap):
    """The same in pages of its own."""


def aligned_empty(shape: Sequence[int], dtype: Any) -> Array:
    """A C-contiguous array that is still to be filled.

    Example:
        >>> aligned_empty((3, 500), np.float32).ctypes.data % 64
        0
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    memory = _pages(size) if size >= _LARGE else _Memory(size + _LINE)
    start = np.frombuffer(memory, np.uint8).ctypes.data
    return np.ndarray(tuple(shape), dtype, memory, -start % _LINE)


def _pages(size: int) -> _Pages:
    if not hasattr(mmap, "MAP_PRIVATE"):
        return _Pages(-1, size)
    pages = _Pages(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # a fork has its own
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # this kernel has none
            pages.madvise(mmap.MADV_HUGEPAGE)
    return pages


def aligned_copy(array: Array) -> Array:
    """A C-contiguous copy."""
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def is_aligned(array: Array) -> bool:
    """Whether it is C-contiguous in memory that belongs to it alone, aligned if that matters."""
    base: object = array.base
    own = isinstance(base, (_Memory, _Pages)) or (base is None and array.nbytes < _LEAST)
    return own and array.flags.carray


def give_back_freed() -> None:
    """Return the memory of arrays that are gone to the system; only glibc can be told to.

    Arrays of a few MB come out of its heap, which keeps them: beside copies in pages of their own
    a network would be in memory twice.
    """
    with suppress(AttributeError, OSError, TypeError):  # another C library, or none to ask
        ctypes.CDLL(None).malloc_trim(0)
