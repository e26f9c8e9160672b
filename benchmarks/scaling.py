"""When several devices pay: measured computation, and a model of the communication.

    python -m benchmarks.scaling

Prints the table of docs/scale.md: of ideal speed, what four devices reach, by the formula there.
Computation is measured in seconds of one core, so that what else runs on the machine counts little.
"""

from __future__ import annotations

import os
import time

import numpy as np

import chainrule as cr

DEVICES = 4
#: Bytes a second, and seconds a message.
LINKS = {
    "1 Gb/s": (0.125e9, 1e-4),
    "10 Gb/s": (1.25e9, 3e-5),
    "100 Gb/s": (12.5e9, 1e-5),
}
#: Hidden units, and rows of a batch.
CASES = [(256, 256), (256, 4096), (1024, 256), (1024, 4096)]


def seconds(width: int, rows: int) -> tuple[float, int]:
    """The computation of a step of an MLP with four hidden layers, and its parameters."""
    layers: list[cr.nn.Module] = [cr.nn.Linear(64, width), cr.nn.ReLU()]
    for _ in range(3):
        layers += [cr.nn.Linear(width, width), cr.nn.ReLU()]
    model = cr.nn.Sequential(*layers, cr.nn.Linear(width, 1)).initialize(seed=0)
    x = np.random.default_rng(0).normal(size=(rows, 64)).astype(np.float32)
    step = cr.training.Step(model, cr.losses.mse, cr.optim.AdamW(model), backend="xla")
    data = cr.training.Arrays(x, x[:, :1])
    order = np.tile(np.arange(rows), (4, 1))
    step.run(data, order[:1])
    begun = time.process_time()
    step.run(data, order)
    count = sum(p.size for p in model.parameters().values())
    return (time.process_time() - begun) / len(order), count


def efficiency(compute: float, parameters: int, link: tuple[float, float]) -> float:
    """What is reached of ideal speed."""
    speed, latency = link
    sent = 2 * (DEVICES - 1) / DEVICES * 4 * parameters / speed
    return compute / DEVICES / (compute / DEVICES + sent + latency * (DEVICES - 1))


def main() -> None:
    """Measure and print."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    print(f"| parameters | batch | one core | {' | '.join(LINKS)} |")
    print("|---" * (3 + len(LINKS)) + "|")
    for width, rows in CASES:
        compute, count = seconds(width, rows)
        shown = [f"{100 * efficiency(compute, count, link):.0f} %" for link in LINKS.values()]
        print(f"| {count / 1e6:.1f} M | {rows:,} | {1000 * compute:.0f} ms | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
