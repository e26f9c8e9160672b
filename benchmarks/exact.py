"""What `exact` costs on processors without fused multiply-adds: steps of the benchmarks' networks.

    python -m benchmarks.exact                  # programs for SSE and for plain C, on any x86
    python -m benchmarks.exact LSTM 784-128-10

One thread; seconds of the processor; the same step with `exact` and without, in turns, and the
median of their ratios. The losses with `exact` are compared, bit by bit, with those of a program
for this processor; that is the same with `exact` and without.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import chainrule as cr
from chainrule.engine.backends.c.kernels import cpu
from chainrule.engine.backends.registry import find_backend
from chainrule.engine.compile import Compiled

from .deep import DEEP, make_deep_task
from .dense import DENSE, make_dense_task
from .peers.chainrule_networks import network
from .task import Array, Task

#: Flags of the compiler, and the target if it is not the one that they leave.
TARGETS = {"native": ("", None), "SSE": ("-mno-avx", None), "plain C": ("-mno-avx", "plain")}
NAMES = ("8-64-64-1", "784-128-10", "LeNet", "LSTM", "GPT")
ROUNDS = 5


@contextmanager
def building(flags: str, target: str | None) -> Iterator[None]:
    """Within the block programs are built like this."""
    kind = cpu.native_kind if target is None else lambda: cpu.TARGETS[target]
    with (
        mock.patch.dict(os.environ, {"CHAINRULE_CC": f"cc {flags}", "CHAINRULE_THREADS": "1"}),
        mock.patch.object(cpu, "native_kind", kind),
    ):
        cpu.native_target.cache_clear()
        yield
    cpu.native_target.cache_clear()


def step_of(task: Task, exact: bool) -> Callable[[Array], Array]:
    """From the rows of some steps to their losses."""
    model = network(task)
    optimizer = cr.optim.Adam(model, lr=1e-3)

    def train(x: cr.Tensor, y: cr.Tensor) -> cr.Tensor:
        def loss_of(model: cr.nn.Module) -> cr.Tensor:
            z = model(x, train=True)
            if task.is_regression:
                return cr.losses.mse(z, y)
            return cr.losses.cross_entropy(cr.reshape(z, (-1, z.shape[-1])), cr.reshape(y, (-1,)))

        loss, gradients = cr.value_and_grad(loss_of)(model)
        optimizer.update(gradients)
        return loss

    step = Compiled(train, find_backend("c", 1, exact=exact))
    losses: Array = step(task.x[task.order[0]], task.y[task.order[0]]).numpy()  # built
    assert losses.size == 1

    def run(order: Array) -> Array:
        found: Array = step.run_steps(order, task.x, task.y, rows=(0, 1))[1].numpy()
        return found

    return run


def measured(task: Task, name: str, steps: int) -> tuple[dict[bool, list[float]], list[float]]:
    """Seconds of some steps for each round, with ``exact`` and without; the losses with it."""
    with building(*TARGETS[name]):
        runs = {exact: step_of(task, exact) for exact in (False, True)}
        seconds: dict[bool, list[float]] = {False: [], True: []}
        losses: list[float] = []
        for number in range(ROUNDS + 1):
            for exact, run in runs.items():
                start = time.thread_time()
                found = run(task.steps(1 + number * steps, steps))
                if number:  # the first round warms up
                    seconds[exact].append((time.thread_time() - start) / steps)
                if exact:
                    losses.extend(found.reshape(-1).tolist())
    return seconds, losses


def main(names: list[str]) -> None:
    """Measure and print."""
    print("| network | programs for | ms a step | with exact | times as long | the losses |")
    print("| --- | --- | --: | --: | --: | --- |")
    for name in names or NAMES:
        task = (make_deep_task if name in DEEP else make_dense_task)(name)
        assert name in DEEP or name in DENSE
        steps = 20 if name == NAMES[0] else 2
        expected = None
        for target in TARGETS:
            seconds, losses = measured(task, target, steps)
            expected = losses if expected is None else expected
            ratio = statistics.median(
                b / a for a, b in zip(seconds[False], seconds[True], strict=True)
            )
            plain, exact = (1e3 * statistics.median(seconds[key]) for key in (False, True))
            same = "the same bits" if losses == expected else "DIFFER"
            print(f"| {name} | {target} | {plain:.3g} | {exact:.3g} | {ratio:.2f} | {same} |",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
