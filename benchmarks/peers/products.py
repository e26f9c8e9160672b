"""Products of large matrices by NumPy or PyTorch: what the products of a step are compared with.

Each is a process of its own, stopped while others are measured: idle threads of one library spin,
and would take the time of another's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..rounds import PRODUCT_SIZE
from ..worker import answers, obey


def build(library: str) -> Callable[[], Any]:
    """A call that multiplies once, by ``numpy`` or ``torch``."""
    a = np.random.default_rng(0).random((PRODUCT_SIZE, PRODUCT_SIZE), np.float32)
    out = np.empty_like(a)
    if library == "numpy":
        return lambda: np.matmul(a, a, out=out)
    import torch

    tensor, result = torch.from_numpy(a), torch.from_numpy(out)
    return lambda: torch.mm(tensor, tensor, out=result)


def main() -> None:
    """A step is a product."""
    answer = answers()
    multiply = build(sys.argv[2])
    answer(first=0.0, losses=[])
    obey(answer, lambda count: lambda: [multiply() for _ in range(count)])


if __name__ == "__main__":
    main()
