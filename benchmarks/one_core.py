"""Steps of dense networks beside JAX's `lax.scan` on one core of a machine that is busy.

    .bench/bin/python -m benchmarks.one_core                  # all networks
    .bench/bin/python -m benchmarks.one_core --avx2 8-64-64-1 # without AVX-512

Both train in one process, in turns, bound to one core, and only seconds of the processor count; so
do large products of NumPy and PyTorch, whose rate is the limit. With ``--avx2`` the ratio to
`lax.scan` is left out, for JAX multiplies matrices with AVX-512 (YNNPACK) whatever its flags say.
`benchmarks.training_steps` is for a machine that does nothing else, and for all peers. Figures are
in dense.md.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

#: What keeps each to one thread.
_ONE = {
    "CHAINRULE_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}  # fmt: skip
#: What keeps chainrule, NumPy and PyTorch from AVX-512.
_AVX2 = {
    "CHAINRULE_CC": "cc -mno-avx512f", "OPENBLAS_CORETYPE": "Haswell",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2",
}  # fmt: skip
#: The side of the matrices of a large product.
_SIZE = 1024

Work = Callable[[], Any]


def _trainings(name: str, seconds: float) -> tuple[dict[str, Work], int]:
    """Calls that train for about so long by what JAX takes, and how many steps each does."""
    import numpy as np

    from . import worker
    from .dense import make_dense_task, reference_losses
    from .rounds import TOLERANCE

    with mock.patch.object(worker, "serve"):  # what it does in a process of its own
        ours, theirs = (
            importlib.import_module(f"benchmarks.peers.{peer}").build
            for peer in ("chainrule_step", "jax_step")
        )
    scan, loop = theirs(make_dense_task(name), "scan"), ours(make_dense_task(name), "loop")
    task = make_dense_task(name)
    few = task.steps(0, len(task.order))
    expected, first = reference_losses(task), scan(few)
    for losses in (first(), loop(few)()):  # that they do the same
        if np.abs(np.asarray(losses) - expected).max() > TOLERANCE * expected[0]:
            raise SystemExit(f"{name}: the losses of a peer are others")
    steps = max(round(len(few) * seconds / _took(first)), 1)
    rows = task.steps(0, steps)
    return {"chainrule": loop(rows), "lax.scan": scan(rows)}, steps


def _products() -> dict[str, Work]:
    import numpy as np
    import torch

    torch.set_num_threads(1)
    a = np.ones((_SIZE, _SIZE), np.float32)
    b = torch.from_numpy(a.copy())
    return {"NumPy": lambda: a @ a, "PyTorch": lambda: b @ b}


def _took(work: Work) -> float:
    begun = time.process_time()
    result = work()
    if hasattr(result, "block_until_ready"):
        result.block_until_ready()
    return time.process_time() - begun


def main() -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*")
    parser.add_argument("--avx2", action="store_true", help="without AVX-512")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a turn of lax.scan")
    options = parser.parse_args()
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    os.environ |= _ONE | (_AVX2 if options.avx2 else {})
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    from .dense import DENSE

    products = _products()
    for name in options.networks or DENSE:
        trainings, steps = _trainings(name, options.seconds)
        calls = trainings | products
        for call in calls.values():
            _took(call)
        rounds = [{title: _took(call) for title, call in calls.items()}
                  for _ in range(options.rounds)]  # fmt: skip
        ours = [one["chainrule"] / steps for one in rounds]
        limit = [2 * _SIZE**3 / min(one["NumPy"], one["PyTorch"]) for one in rounds]
        parts = [DENSE[name].flops / t / rate for t, rate in zip(ours, limit, strict=True)]
        ratio = statistics.median(one["lax.scan"] / one["chainrule"] for one in rounds)
        beside = "" if options.avx2 else f"{ratio:.2f} × as long with lax.scan, "
        print(
            f"{name}: {statistics.median(ours) * 1e6:,.1f} µs a step, {beside}"
            f"{statistics.median(parts):.0%} of {statistics.median(limit) / 1e9:.0f} GFLOP/s, the "
            f"limit of products; the quickest turns {min(ours) * 1e6:,.1f} µs, "
            f"{DENSE[name].flops / min(ours) / max(limit):.0%} of {max(limit) / 1e9:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
