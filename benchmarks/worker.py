"""The part that all peers have in common: a process that trains when it is told to.

    python -m benchmarks.peers.NAME NETWORK MODE [--first-step]

It prints JSON, one document a line: first the losses of the first steps and how long the first one
took, compilation included; then, for every line that it reads (a number of steps), the seconds
that those took; when there is no more to read its peak memory. `Peer` is the other end.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .deep import DEEP, make_deep_task
from .dense import make_dense_task
from .task import Array, Task

#: Takes the rows of some steps; gives a function that does these steps and returns their losses.
#: What it does before is not timed: it is what happens once in a training, such as a compilation.
Prepare = Callable[[Array], Callable[[], Any]]


def serve(build: Callable[[Task, str], Prepare]) -> None:
    """Answer the benchmark.

    Args:
        build: makes the network for a task in one of the peer's modes, ready for its first step.
    """
    answer = answers()
    name, mode = sys.argv[1:3]
    task = (make_deep_task if name in DEEP else make_dense_task)(name)
    begun = time.perf_counter()
    prepare = build(task, mode)
    losses = [_floats(prepare(task.steps(0, 1))())]
    first = time.perf_counter() - begun
    if "--first-step" not in sys.argv:
        losses.append(_floats(prepare(task.steps(1, len(task.order) - 1))()))
    answer(first=first, losses=np.concatenate(losses).tolist())
    obey(answer, lambda count: prepare(task.steps(0, count)))


def answers() -> Callable[..., None]:
    """What sends one document; whatever libraries print goes elsewhere from now on."""
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**found: Any) -> None:
        print(json.dumps(found), file=stream, flush=True)

    return answer


def obey(answer: Callable[..., None], prepare: Callable[[int], Callable[[], Any]]) -> None:
    """For every line that is read, a number, answer the seconds that so many steps took.

    Args:
        answer: see `answers`.
        prepare: gives a call that does so many steps.
    """
    ready: dict[int, Callable[[], Any]] = {}
    for line in sys.stdin:
        count = int(line)
        if count not in ready:
            ready[count] = prepare(count)
            ready[count]()  # once for those who compile for a number of steps
        begun = time.perf_counter()
        ready[count]()
        answer(seconds=time.perf_counter() - begun)
    answer(peak=_peak_bytes())


def _floats(losses: Any) -> Array:
    return np.array([float(loss) for loss in losses])


def _peak_bytes() -> int:
    """The most memory that the process has occupied since it was started."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux; its getrusage also counts the process that started this one
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
