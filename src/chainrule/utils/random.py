"""Random numbers as a function: of a seed, a purpose, and numbers such as those of epoch and row.

The generator is NumPy's Philox4x64-10, a block cipher in counter mode (Salmon et al., "Parallel
random numbers: as easy as 1, 2, 3", SC'11), so that no stream depends on what was drawn before:
the same numbers for any number of workers. Inside the graph, `chainrule.ops.random` does the same.
"""

from __future__ import annotations

import zlib

import numpy as np

from .typing import Array


def generator(seed: int, purpose: str = "", *numbers: int) -> np.random.Generator:
    """The stream of these arguments; others give another one, which is independent of it.

    Args:
        seed: any integer.
        purpose: what is drawn.
        numbers: up to three from 0, such as epoch and row.

    Example:
        >>> generator(0, "noise", 1, 7).integers(100, size=3).tolist()
        [69, 29, 31]
    """
    counter = np.zeros(4, np.uint64)
    counter[1 : 1 + len(numbers)] = numbers  # the first word counts the blocks of the stream
    key = np.array([seed % 2**64, zlib.crc32(purpose.encode())], np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key))


def uniform(seed: int, purpose: str, epoch: int, rows: Array, count: int) -> Array:
    """(rows, count) numbers in [0, 1), for each row by the arguments and its own number only.

    Example:
        >>> one, two = uniform(0, "", 1, np.array([7, 8]), 3), uniform(0, "", 1, np.array([8]), 3)
        >>> bool((one[1] == two[0]).all())
        True
    """
    found = np.empty((len(rows), count))
    for place, row in enumerate(rows):
        generator(seed, purpose, epoch, row).random(out=found[place])
    return found
