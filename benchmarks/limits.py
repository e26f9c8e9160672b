"""The machine's own limits, measured: multiply-adds, matrix products, copies.

    python -m benchmarks.limits THREADS

prints them as JSON, in units of a second. The first and the last are loops in C (limits.c), one
per thread; the products are those of NumPy and PyTorch, whichever is faster.
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
import torch

#: Far more than fits into a cache.
_COPIED = 128 * 2**20
_SIZES = (1024, 2048)
_TRIALS = 5


def measure(threads: int) -> dict[str, float]:
    """FLOP/s of an FMA loop and of matrix products, bytes/s of copying, on so many threads."""
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

        return {
            "fma": _best(together(fma)),
            "sgemm": max(_best(product) for size in _SIZES for product in _products(size)),
            "copy": _best(together(copy)),
        }


def _products(size: int) -> list[Callable[[], float]]:
    a = np.random.default_rng(0).random((size, size), np.float32)
    out, tensor = np.empty_like(a), torch.from_numpy(a)
    result = torch.empty_like(tensor)

    def by_numpy() -> float:
        np.matmul(a, a, out=out)
        return 2.0 * size**3

    def by_torch() -> float:
        torch.mm(tensor, tensor, out=result)
        return 2.0 * size**3

    return [by_numpy, by_torch]


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
