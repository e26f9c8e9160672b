"""An eager training step of 8-64-64-1 beside PyTorch's, in turns in one process.

    .bench/bin/python -m benchmarks.eager [SECONDS]

Both take turns every fifty steps on one thread, and what counts is the time of the processor, so
that a machine that does other work says as much as a quiet one.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.nn import functional

import chainrule as cr

from .dense import make_dense_task
from .peers.chainrule_networks import network
from .peers.pytorch_networks import network as torch_network
from .task import BETA1, BETA2, EPSILON, LEARNING_RATE, Task

_STEPS = 50


def main() -> None:
    """Let them take turns, and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    task = make_dense_task("8-64-64-1")
    runs = {"chainrule": _chainrule(task), "PyTorch": _pytorch(task)}
    for run in runs.values():
        _timed(run)
        _timed(run)
    found: dict[str, list[float]] = {name: [] for name in runs}
    end = time.process_time() + seconds
    while time.process_time() < end:
        for name, run in runs.items():
            found[name].append(_timed(run))
    for name, times in found.items():
        print(f"{name}: least {min(times):.0f}, median {statistics.median(times):.0f} µs a step")
    ours, theirs = found.values()
    ratio = statistics.median([a / b for a, b in zip(ours, theirs, strict=True)])
    print(f"chainrule / PyTorch, median of {len(ours)} turns: {ratio:.2f}")


def _timed(run: Callable[[], None]) -> float:
    """Microseconds of the processor for a step."""
    begun = time.process_time()
    run()
    return (time.process_time() - begun) / _STEPS * 1e6


def _chainrule(task: Task) -> Callable[[], None]:
    model = network(task)
    optimizer = cr.optim.Adam(model, lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON)

    def run() -> None:
        for rows in task.order[:_STEPS]:
            optimizer.zero_grad()
            z = model(cr.tensor(task.x[rows]), train=True)
            cr.losses.mse(z, cr.tensor(task.y[rows])).backward()
            optimizer.step()

    return run


def _pytorch(task: Task) -> Callable[[], None]:
    model = torch_network(task)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, (BETA1, BETA2), EPSILON)
    x, y = torch.from_numpy(task.x), torch.from_numpy(task.y)
    order = torch.from_numpy(task.order[:_STEPS])

    def run() -> None:
        for rows in order:
            optimizer.zero_grad()
            functional.mse_loss(model(x[rows]), y[rows]).backward()
            optimizer.step()

    return run


if __name__ == "__main__":
    main()
