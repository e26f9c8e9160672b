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
import os
import time

from .machine import description, versions
from .peer import PEERS
from .report import Row, table, today, write_section
from .rounds import bind_processors, import_seconds, limits, measure, say, start_rows, step_rows
from .task import NETWORKS, make_task, reference_losses

PACKAGES = ["chainrule", "numpy", "torch", "jax", "keras", "tensorflow-cpu", "scikit-learn"]


def main() -> None:
    """Measure, print, and write unless it was only a look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="few, short rounds; nothing is kept")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--network", action="append", choices=NETWORKS, help="only this one")
    parser.add_argument("--peer", action="append", help="only those whose title starts like this")
    options = parser.parse_args()
    options.rounds, options.seconds = (3, 0.1) if options.quick else (5, 0.4)
    bind_processors(options.threads)
    wanted = tuple(options.peer or [""])
    peers = [peer for peer in PEERS if peer.title.startswith(wanted) or peer is PEERS[0]]
    if options.quick and not options.peer:
        peers = [peer for peer in peers if not peer.slow_start]
    networks = [NETWORKS[name] for name in options.network or NETWORKS]

    begun = time.perf_counter()
    before = limits(options.threads)
    found = [
        measure(network, peers, options, reference_losses(make_task(network)))
        for network in networks
    ]
    after = limits(options.threads)
    limit = {name: max(before[name], after[name]) for name in before}
    names = {peer.imported: peer for peer in peers}
    say("imports")
    trials = 1 if options.quick else 3
    imports = {name: import_seconds(peer, options.threads, trials) for name, peer in names.items()}
    say("")

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


if __name__ == "__main__":
    main()
