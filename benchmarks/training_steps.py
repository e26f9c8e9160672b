"""One training step of small and middling networks, beside the peers.

    make bench                                      # everything; writes benchmarks/README.md
    .bench/bin/python -m benchmarks.training_steps --quick    # a look; writes nothing

Everybody is a process of its own and trains the same network by Adam in float32, on the same data,
from the same initial weights, in the same order. They take turns: A B C …, A B C …; a time is the
median of the rounds, a ratio the median of the ratios within a round. That the work is the same is
shown by the losses of the first steps, which are compared with a reference in float64.
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
from dataclasses import dataclass, field

import numpy as np

from .machine import description, installed_bytes, versions
from .peer import PEERS, ROOT, Peer, PeerError, Worker, environment
from .report import Row, table, today, write_section
from .task import NETWORKS, STEPS, Network, make_task, reference_losses

#: The largest allowed difference between a loss and the reference, as a share of the first loss.
#: Peers add Adam's ε before or after correcting the bias, and a unit whose input is 0 but for
#: rounding may fall on either side of the kink of ReLU; a rate wrong by 1 % makes more.
TOLERANCE = 0.003
PACKAGES = ["chainrule", "numpy", "torch", "jax", "keras", "tensorflow-cpu", "scikit-learn"]


@dataclass
class Result:
    """What was measured of a peer with one network."""

    peer: Peer
    deviation: float = 0.0
    rounds: list[float] = field(default_factory=list)
    cold: float | None = None
    warm: float | None = None
    peak: float = 0.0
    problem: str = ""


def measure(network: Network, peers: list[Peer], options: argparse.Namespace) -> list[Result]:
    """Let all of them train in turns."""
    reference = reference_losses(make_task(network))
    results = [Result(peer) for peer in peers]
    workers: list[tuple[Result, Worker, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number, result in enumerate(results):
                _say(f"{network.name}: {result.peer.title}")
                try:
                    worker = _start(result, network, options, f"{folder}/{number}")
                    difference = np.abs(np.array(worker.losses) - reference).max()
                    result.deviation = float(difference / reference[0])
                    workers.append((result, worker, _steps_a_round(worker, options.seconds)))
                except PeerError as error:
                    result.problem = str(error)
            for number in range(options.rounds):
                _say(f"{network.name}: round {number + 1} of {options.rounds}")
                for result, worker, steps in workers:
                    result.rounds.append(worker.seconds(steps))
            for result, worker, _ in workers:
                result.peak = worker.finish()
        finally:
            for _, worker, _ in workers:
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


def _steps_a_round(worker: Worker, seconds: float) -> int:
    """As many as take about so long, in whole passes through the data; one such round is done."""
    estimate = min(worker.seconds(STEPS) for _ in range(2))
    count = STEPS * min(max(round(seconds / (estimate * STEPS)), 1), 500)
    worker.seconds(count)
    return count


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


def step_rows(network: Network, results: list[Result], sgemm: float) -> list[Row]:
    """The table of one network."""
    mine = results[0].rounds
    rows: list[Row] = []
    for result in results:
        if result.problem:
            rows.append([result.peer.title, "failed", "", "", "", result.problem[:60]])
            continue
        seconds = statistics.median(result.rounds)
        ratios = [t / m for t, m in zip(result.rounds, mine, strict=False)]
        ratio = f"{statistics.median(ratios):.2f}" if ratios else "–"  # chainrule itself failed
        same = "same" if result.deviation <= TOLERANCE else "**differs**"
        rows.append([
            result.peer.title, f"{seconds * 1e6:,.1f}", ratio,
            f"{network.flops / seconds / 1e9:.1f}", f"{network.flops / seconds / sgemm:.0%}",
            f"{same}, within {result.deviation:.1g}",
        ])  # fmt: skip
    return rows


def start_rows(
    peers: list[Peer], imports: dict[str, float], found: list[list[Result]]
) -> list[Row]:
    """The table of what comes before the first step, and of sizes; networks side by side."""
    rows: list[Row] = []
    for number, peer in enumerate(peers):
        results = [one[number] for one in found]

        def each(values: list[float | None], digits: int = 2) -> str:
            shown = ("–" if value is None else f"{value:.{digits}f}" for value in values)
            return " / ".join(shown)

        rows.append([
            peer.title, f"{imports[peer.imported]:.2f}",
            each([r.cold for r in results]), each([r.warm for r in results]),
            each([r.peak / 2**20 for r in results], 0),
            f"{installed_bytes(peer.package) / 1e6:,.0f}",
        ])  # fmt: skip
    return rows


def main() -> None:
    """Measure, print, and write unless it was only a look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="few, short rounds; nothing is kept")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--network", action="append", choices=NETWORKS, help="only this one")
    parser.add_argument("--peer", action="append", help="only those whose title starts like this")
    options = parser.parse_args()
    options.rounds, options.seconds = (3, 0.1) if options.quick else (5, 0.4)
    if hasattr(os, "sched_setaffinity"):  # the only way to tell all of them
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    wanted = tuple(options.peer or [""])
    peers = [peer for peer in PEERS if peer.title.startswith(wanted) or peer is PEERS[0]]
    if options.quick and not options.peer:
        peers = [peer for peer in peers if not peer.slow_start]
    networks = [NETWORKS[name] for name in options.network or NETWORKS]

    begun = time.perf_counter()
    before = limits(options.threads)
    found = [measure(network, peers, options) for network in networks]
    after = limits(options.threads)
    limit = {name: max(before[name], after[name]) for name in before}
    names = {peer.imported: peer for peer in peers}
    _say("imports")
    trials = 1 if options.quick else 3
    imports = {name: import_seconds(peer, options.threads, trials) for name, peer in names.items()}
    _say("")

    lines = [
        f"{today()}. {description(options.threads)}. {versions(PACKAGES)}.", "",
        f"Limits: {limit['fma'] / 1e9:.0f} GFLOP/s multiply-adds in registers, "
        f"{limit['sgemm'] / 1e9:.0f} GFLOP/s large matrix products (the better of NumPy and "
        f"PyTorch), {limit['copy'] / 1e9:.1f} GB/s copying (read and written).",
    ]  # fmt: skip
    for network, results in zip(networks, found, strict=True):
        title = [f"{network.name}, batch {network.batch}", "µs a step", "× chainrule"]
        columns: Row = [*title, "GFLOP/s", "of the products' limit", "loss curve"]
        lines += ["", *table(columns, step_rows(network, results, limit["sgemm"]))]
    shown = " / ".join(network.name for network in networks)
    columns = ["", "import, s", "first step cold, s", "warm, s", "peak, MiB", "installed, MB"]
    lines += ["", f"Before and around the steps, for {shown}:", ""]
    lines += table(columns, start_rows(peers, imports, found))
    print("\n".join(lines), f"\n\nThis took {time.perf_counter() - begun:.0f} s.")
    if not (options.quick or options.network or options.peer):
        write_section(f"Training steps, threads: {options.threads}", "\n".join(lines))


def _say(what: str) -> None:
    print(f"\r\033[K{what}" if sys.stderr.isatty() else what, end="" if sys.stderr.isatty() else
          "\n", file=sys.stderr, flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
