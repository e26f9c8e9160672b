"""What the measurements beside the peers have in common: arguments, order of events, tables."""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from .machine import description, versions
from .peer import Peer
from .report import Row, table, today, write_section
from .rounds import (
    Result,
    bind_processors,
    import_seconds,
    limits,
    measure,
    say,
    start_rows,
    step_rows,
)
from .task import Array, Network

PACKAGES = ["chainrule", "numpy", "torch", "jax", "keras", "tensorflow-cpu", "scikit-learn"]


def arguments(
    about: str | None, networks: Mapping[str, Network], seconds: tuple[float, float]
) -> argparse.Namespace:
    """The command line, and the rounds that follow from it.

    Args:
        about: the documentation of the module; its first line says what is measured.
        networks: what may be trained, by name.
        seconds: how long a round takes, of a quick run and of a whole one.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0] if about else "")
    parser.add_argument("--quick", action="store_true", help="few, short rounds; nothing is kept")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--network", action="append", choices=networks, help="only this one")
    parser.add_argument("--peer", action="append", help="only those whose title starts like this")
    options = parser.parse_args()
    options.rounds = 3 if options.quick else 5
    options.seconds = seconds[0 if options.quick else 1]
    return options


def wanted(peers: Sequence[Peer], options: argparse.Namespace) -> list[Peer]:
    """The peers that are asked for; chainrule, the first, is always there to be compared with."""
    titles = tuple(options.peer or [""])
    found = [peer for peer in peers if peer.title.startswith(titles) or peer is peers[0]]
    if options.quick and not options.peer:
        found = [peer for peer in found if not peer.slow_start]
    return found


def run(
    title: str,
    networks: Mapping[str, Network],
    peers_of: Callable[[str], list[Peer]],
    reference: Callable[[str], Array],
    options: argparse.Namespace,
) -> None:
    """Measure, print, and write unless it was only a look.

    Args:
        title: of the section in benchmarks/README.md.
        networks: what may be trained, by name.
        peers_of: who trains the network of a name.
        reference: the losses of its first steps in float64.
        options: see `arguments`.
    """
    bind_processors(options.threads)
    begun = time.perf_counter()
    names = options.network or list(networks)
    peers = {name: peers_of(name) for name in names}
    before = limits(options.threads)
    found = {name: measure(networks[name], peers[name], options, reference(name)) for name in names}
    after = limits(options.threads)
    limit = {name: max(before[name], after[name]) for name in before}
    say("imports")
    trials = 1 if options.quick else 3
    programs = {peer.imported: peer for some in peers.values() for peer in some}
    imports = {
        program: import_seconds(peer, options.threads, trials) for program, peer in programs.items()
    }
    say("")

    lines = [
        f"{today()}. {description(options.threads)}. {versions(PACKAGES)}.", "",
        f"Limits: {limit['fma'] / 1e9:.0f} GFLOP/s multiply-adds in registers, "
        f"{limit['copy'] / 1e9:.1f} GB/s copying (read and written).",
    ]  # fmt: skip
    for name in names:
        lines += network_tables(networks[name], peers[name], found[name], imports)
    print("\n".join(lines), f"\n\nThis took {time.perf_counter() - begun:.0f} s.")
    if not (options.quick or options.network or options.peer):
        write_section(f"{title}, threads: {options.threads}", "\n".join(lines))


def network_tables(
    network: Network,
    peers: list[Peer],
    results: list[Result],
    imports: dict[str, float],
) -> list[str]:
    """A step of one network, and what comes before it."""
    title = [f"{network.name}: {network.about}, batch {network.batch}", "µs a step", "× chainrule"]
    steps: Row = [*title, "GFLOP/s", "of the products' limit", "loss curve"]
    start: Row = ["", "import, s", "first step cold, s", "warm, s", "peak, MiB", "installed, MB"]
    limits = [rate / 1e9 for rate in results[0].limits] or [0.0]
    products = (
        f"Large products beside {network.name}: {statistics.median(limits):.0f} GFLOP/s, from "
        f"{min(limits):.0f} to {max(limits):.0f} in the rounds."
    )
    return [
        "", products, "", *table(steps, step_rows(network, results)),
        "", *table(start, start_rows(peers, imports, results)),
    ]  # fmt: skip
