"""Peers take turns: those that train the same network, and those that do the same tasks.

`measure` is for networks that all peers train: what a step takes, and what comes before it.
`in_turns` and `work` are for a script with tasks of its own, which each system does in a process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .peer import ROOT, Peer, PeerError, Worker, environment
from .report import Row
from .task import Array, Network

#: The largest allowed difference between a loss and the reference, as a share of the first loss.
#: Peers add Adam's ε before or after correcting the bias, and a unit whose input is 0 but for
#: rounding may fall on either side of the kink of ReLU; a rate wrong by 1 % makes more.
TOLERANCE = 0.003
#: The same with products of bfloat16 numbers, which have 8 significant bits rather than 24.
NARROW_TOLERANCE = 0.03
#: The limit of a step's products is the rate of products of matrices with such sides, by whichever
#: library is faster in the same round; seconds of a turn of each.
PRODUCT_SIZE = 1024
_PRODUCT_SECONDS = 0.12
_PRODUCTS = [Peer(f"products by {name}", "products", name, name, "") for name in ("numpy", "torch")]


@dataclass
class Result:
    """What was measured of a peer with one network.

    Attributes:
        peer: who.
        deviation: of the losses from the reference.
        rounds: seconds a step.
        limits: FLOP/s of large products in these rounds.
        cold: seconds to the end of the first step, with no programs kept.
        warm: the same with programs kept.
        peak: bytes of memory.
        problem: why there is nothing.
    """

    peer: Peer
    deviation: float = 0.0
    rounds: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    cold: float | None = None
    warm: float | None = None
    peak: float = 0.0
    problem: str = ""


def measure(
    network: Network, peers: list[Peer], options: argparse.Namespace, reference: Array
) -> list[Result]:
    """Let all of them train in turns; the reference are the losses of the first steps."""
    results = [Result(peer) for peer in peers]
    workers: list[tuple[Result, Worker, int]] = []
    products: list[Worker] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number, result in enumerate(results):
                say(f"{network.name}: {result.peer.title}")
                try:
                    worker = _start(result, network, options, f"{folder}/{number}")
                    difference = np.abs(np.array(worker.losses) - reference).max()
                    result.deviation = float(difference / reference[0])
                    workers.append(
                        (result, worker, _steps_a_round(network.steps, worker, options.seconds))
                    )
                except PeerError as error:
                    result.problem = str(error)
            products = [Worker(peer, "", options.threads, folder) for peer in _PRODUCTS]
            counts = [_steps_a_round(1, worker, _PRODUCT_SECONDS) for worker in products]
            for number in range(options.rounds):
                say(f"{network.name}: round {number + 1} of {options.rounds}")
                seconds = min(map(Worker.seconds, products, counts))
                for result, worker, steps in workers:
                    result.rounds.append(worker.seconds(steps))
                    result.limits.append(2 * PRODUCT_SIZE**3 / seconds)
            for result, worker, _ in workers:
                result.peak = worker.finish()
        finally:
            for worker in [*products, *(worker for _, worker, _ in workers)]:
                worker.kill()
    return results


def _start(result: Result, network: Network, options: argparse.Namespace, caches: str) -> Worker:
    """A worker that has its compiled programs from a process before, if it keeps any."""
    os.mkdir(caches, mode=0o700)
    again = result.peer.keeps and not options.quick
    worker = Worker(result.peer, network.name, options.threads, caches, first_step=again)
    result.cold = worker.first
    if again:
        worker.finish()
        worker = Worker(result.peer, network.name, options.threads, caches)
        result.warm = worker.first
    return worker


def _steps_a_round(steps: int, worker: Worker, seconds: float) -> int:
    """As many as take about so long, in whole passes through the data; one such round is done."""
    estimate = min(worker.seconds(steps) for _ in range(2))
    count = steps * min(max(round(seconds / (estimate * steps)), 1), 500)
    worker.seconds(count)
    return count


# ---- tasks of a script --------------------------------------------------------------------------


#: One call does a task, and gives numbers and arrays to compare.
Call = Callable[[], tuple[Any, ...]]


def work(build: Callable[[int], Call | None], least: float = 0.5) -> None:
    """A worker: for each line, the number of a task, the seconds of the quickest of some calls.

    They are seconds of the processor, which depend less on who else works on the machine. With
    them come the results of the first call, as later ones may have other weights; of arrays the
    sum of their elements without the signs.

    Args:
        build: the call of a task; None where there is none.
        least: seconds of a turn.
    """
    calls: dict[int, tuple[Call, list[float]] | None] = {}
    for line in sys.stdin:
        number = int(line)
        if number not in calls:
            call = build(number)
            calls[number] = None if call is None else (call, [*map(_size, call())])
        known = calls[number]
        if known is None:
            print("null", flush=True)
            continue
        found: list[float] = []
        begun = time.perf_counter()
        while len(found) < 2 or time.perf_counter() - begun < least:
            start = time.process_time()
            known[0]()
            found.append(time.process_time() - start)
        print(json.dumps([min(found), *known[1]]), flush=True)


def _size(x: Any) -> float:
    return float(np.abs(np.asarray(x, np.float64)).sum())


def in_turns(
    script: str, pythons: Mapping[str, str], tasks: int, rounds: int, threads: int
) -> list[dict[str, Array]]:
    """For each task by the name of a system: (rounds, 1 + numbers) what its worker answered.

    Args:
        script: a module of this folder that calls `work` with ``--worker NAME``.
        pythons: of the systems, by name.
        tasks: how many there are.
        rounds: turns of each system.
        threads: of each.
    """
    # Nothing is told of how long programs take to build.
    kept = {"CHAINRULE_CACHE": os.environ.get("CHAINRULE_CACHE", "")}
    with tempfile.TemporaryDirectory() as caches:
        workers = {
            name: subprocess.Popen(
                [python, "-m", f"benchmarks.{script}", "--worker", name],
                env=environment(threads, caches) | kept, cwd=ROOT, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )
            for name, python in pythons.items()
        }  # fmt: skip
        try:
            return [
                _of_task(workers, number, rounds, f"{script}: task {number + 1} of {tasks}")
                for number in range(tasks)
            ]
        finally:
            for worker in workers.values():
                worker.kill()
                worker.wait()


def _of_task(
    workers: Mapping[str, subprocess.Popen[str]], number: int, rounds: int, what: str
) -> dict[str, Array]:
    found: dict[str, list[list[float]]] = {}
    for turn in range(rounds):
        for name, worker in workers.items():
            say(f"{what}, round {turn + 1} of {rounds}: {name}")
            assert worker.stdin is not None
            assert worker.stdout is not None
            print(number, file=worker.stdin, flush=True)
            line = worker.stdout.readline()
            if not line:
                raise PeerError(f"{name} has failed")
            if (answer := json.loads(line)) is not None:
                found.setdefault(name, []).append(answer)
    return {name: np.array(answers) for name, answers in found.items()}


def ratio_to(first: Array, other: Array) -> float:
    """How many times as long the other one takes: the median over the rounds."""
    return float(statistics.median(other[:, 0] / first[:, 0]))


def bind_processors(threads: int) -> None:
    """Give this process and those that it starts so many processors: all peers obey that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def limits(threads: int) -> dict[str, float]:
    """See `benchmarks.limits`."""
    command = [sys.executable, "-m", "benchmarks.limits", str(threads)]
    done = subprocess.run(
        command, env=environment(threads, "/nonexistent"), cwd=ROOT, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


def import_seconds(peer: Peer, threads: int, trials: int) -> float:
    """How much longer a Python program takes with the import than without; median."""

    def took(program: str) -> float:
        begun = time.perf_counter()
        command = [sys.executable, "-c", program]
        subprocess.run(
            command, check=True, stderr=subprocess.DEVNULL, cwd=ROOT,
            env=environment(threads, "/nonexistent"),
        )  # fmt: skip
        return time.perf_counter() - begun

    differences = [took(peer.imported) - took("pass") for _ in range(trials)]
    return statistics.median(differences)


def step_rows(network: Network, results: list[Result]) -> list[Row]:
    """The table of one network."""
    mine = results[0].rounds
    rows: list[Row] = []
    for result in results:
        if result.problem:
            rows.append([result.peer.title, "failed", "", "", "", result.problem[:60]])
            continue
        seconds = statistics.median(result.rounds)
        ratios = [t / m for t, m in zip(result.rounds, mine, strict=False)]
        limits = zip(result.rounds, result.limits, strict=True)
        of_limit = statistics.median(network.flops / t / rate for t, rate in limits)
        ratio = f"{statistics.median(ratios):.2f}" if ratios else "–"  # chainrule itself failed
        allowed = NARROW_TOLERANCE if result.peer.narrow else TOLERANCE
        same = "near" if result.peer.narrow else "same"
        same = same if result.deviation <= allowed else "**differs**"
        rows.append([
            result.peer.title, f"{seconds * 1e6:,.1f}", ratio,
            f"{network.flops / seconds / 1e9:.1f}", f"{of_limit:.0%}",
            f"{same}, within {result.deviation:.1g}",
        ])  # fmt: skip
    return rows


def start_rows(peers: list[Peer], imports: dict[str, float], results: list[Result]) -> list[Row]:
    """The table of what comes before the first step, and of sizes."""
    from .machine import installed_bytes  # a peer's worker needs none of what that needs

    rows: list[Row] = []
    for peer, result in zip(peers, results, strict=True):
        cold, warm = (
            "–" if seconds is None else f"{seconds:.2f}" for seconds in (result.cold, result.warm)
        )
        rows.append([
            peer.title, f"{imports[peer.imported]:.2f}", cold, warm, f"{result.peak / 2**20:.0f}",
            f"{installed_bytes(peer.package) / 1e6:,.0f}",
        ])  # fmt: skip
    return rows


def say(what: str) -> None:
    """What is going on, in the place of what was going on."""
    print(f"\r\033[K{what}" if sys.stderr.isatty() else what, end="" if sys.stderr.isatty() else
          "\n", file=sys.stderr, flush=True)  # fmt: skip
