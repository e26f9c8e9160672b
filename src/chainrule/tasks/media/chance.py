"""Random numbers that are a function of seed, epoch and row: the same for any number of workers."""

from __future__ import annotations

import numpy as np

from ...utils.typing import Array

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniform(seed: int, epoch: int, rows: Array, count: int) -> Array:
    """(rows, count) numbers in [0, 1), each by its own arguments only.

    SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014):
    the finaliser of a counter that steps by 2⁶⁴/φ.

    Example:
        >>> one, two = uniform(0, 1, np.array([7, 8]), 3), uniform(0, 1, np.array([8]), 3)
        >>> bool((one[1] == two[0]).all())
        True
    """
    state = _mixed(np.full(1, seed % 2**64, np.uint64) + _GOLDEN)
    state = _mixed(state ^ (np.uint64(epoch) + _GOLDEN))
    by_row = _mixed(state ^ (np.asarray(rows).astype(np.uint64) * _GOLDEN))
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    bits = _mixed(by_row[:, None] + steps[None, :])
    return np.asarray((bits >> np.uint64(11)) * 2.0**-53)


def _mixed(z: Array) -> Array:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
