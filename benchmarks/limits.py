"""The machine's own limits, measured: multiply-adds and copies by loops in C, one per thread.

    python -m benchmarks.limits THREADS

prints them as JSON, in units of a second. The limit of matrix products takes turns with the peers
(`peers.products`).
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

#: Far more than fits into a cache.
_COPIED = 128 * 2**20
_TRIALS = 5


def measure(threads: int) -> dict[str, float]:
    """FLOP/s of an FMA loop and bytes/s of copying, on so many threads."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(__file__).with_name("limits.c"), f"{folder}/limits.so"
        flags = ["-O2", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC"]
        subprocess.run(["cc", *flags, str(source), "-o", library], check=True)
        native = ctypes.CDLL(library)
    native.fma_loop.restype = native.copy.restype = ctypes.c_double

    def fma(_: int) -> float:
        return float(native.fma_loop(ctypes.c_long(10_000_000), ctypes.byref(ctypes.c_float())))

    arrays = [np.ones((2, _COPIED), np.uint8) for _ in range(threads)]

    def copy(number: int) -> float:
        to, source = (ctypes.c_void_p(part.ctypes.data) for part in arrays[number])
        return float(native.copy(ctypes.c_long(3), to, source, ctypes.c_long(_COPIED)))

    with ThreadPoolExecutor(threads) as pool:

        def together(work: Callable[[int], float]) -> Callable[[], float]:
            return lambda: sum(pool.map(work, range(threads)))

        return {"fma": _best(together(fma)), "copy": _best(together(copy))}


def _best(work: Callable[[], float]) -> float:
    """The highest rate of some trials: a limit is what is reached when nothing disturbs."""
    rates = []
    for _ in range(_TRIALS):
        begun = time.perf_counter()
        done = work()
        rates.append(done / (time.perf_counter() - begun))
    return max(rates)


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
