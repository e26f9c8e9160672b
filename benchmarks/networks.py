"""One training step of convolutional and recurrent networks and transformers, beside the peers.

    make bench                                                    # everything
    .bench/bin/python -m benchmarks.networks --quick              # a look; writes nothing
    .bench/bin/python -m benchmarks.networks --network LSTM --peer PyTorch

As `benchmarks.training_steps`, but that the losses are compared with PyTorch's in float64.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

import numpy as np

from .deep import DEEP
from .machine import description, versions
from .peer import Peer, Worker
from .report import Row, table, today, write_section
from .rounds import bind_processors, import_seconds, limits, measure, say, start_rows, step_rows
from .task import Array

PACKAGES = ["chainrule", "numpy", "torch", "jax", "keras", "tensorflow-cpu"]
_CHAINRULE = "from chainrule import compile, losses, models, nn, optim, value_and_grad"
_IMAGES = ("LeNet", "6 convolutions")
_REFERENCE = Peer("reference", "deep_pytorch", "float64", "torch", "import torch")
PEERS = (
    Peer("chainrule", "deep_chainrule", "loop", "chainrule", _CHAINRULE, keeps=True),
    Peer("PyTorch", "deep_pytorch", "eager", "torch", "import torch"),
    Peer("PyTorch, channels_last", "deep_pytorch", "channels_last", "torch", "import torch"),
    Peer(
        "torch.compile", "deep_pytorch", "compile", "torch", "import torch",
        keeps=True, slow_start=True,
    ),
    Peer("JAX, jit", "deep_jax", "step", "jax", "import jax", keeps=True),
    Peer(
        "Keras, fit", "deep_keras", "fit", "keras tensorflow-cpu", "import keras", slow_start=True
    ),
)  # fmt: skip


def reference(name: str, threads: int) -> Array:
    """The losses of the first steps by PyTorch in float64."""
    with tempfile.TemporaryDirectory() as caches:
        worker = Worker(_REFERENCE, name, threads, caches)
        worker.kill()
        return np.array(worker.losses)


def peers_of(name: str, peers: list[Peer]) -> list[Peer]:
    """Only images have channels."""
    return [peer for peer in peers if name in _IMAGES or peer.mode != "channels_last"]


def main() -> None:
    """Measure, print, and write unless it was only a look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="few, short rounds; nothing is kept")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--network", action="append", choices=DEEP, help="only this one")
    parser.add_argument("--peer", action="append", help="only those whose title starts like this")
    options = parser.parse_args()
    options.rounds, options.seconds = (3, 0.2) if options.quick else (5, 1.0)
    bind_processors(options.threads)
    wanted = tuple(options.peer or [""])
    peers = [peer for peer in PEERS if peer.title.startswith(wanted) or peer is PEERS[0]]
    if options.quick and not options.peer:
        peers = [peer for peer in peers if not peer.slow_start]

    begun = time.perf_counter()
    limit = limits(options.threads)
    names = {peer.imported: peer for peer in peers}
    imports = {name: import_seconds(peer, options.threads, 1) for name, peer in names.items()}
    lines = [
        f"{today()}. {description(options.threads)}. {versions(PACKAGES)}.", "",
        f"Limits: {limit['fma'] / 1e9:.0f} GFLOP/s multiply-adds in registers, "
        f"{limit['sgemm'] / 1e9:.0f} GFLOP/s large matrix products.",
    ]  # fmt: skip
    for name in options.network or DEEP:
        network, taking_part = DEEP[name], peers_of(name, peers)
        found = measure(network, taking_part, options, reference(name, options.threads))
        title = [f"{name}: {network.about}, batch {network.batch}", "µs a step", "× chainrule"]
        columns: Row = [*title, "GFLOP/s", "of the products' limit", "loss curve"]
        lines += ["", *table(columns, step_rows(network, found, limit["sgemm"]))]
        columns = ["", "import, s", "first step cold, s", "warm, s", "peak, MiB", "installed, MB"]
        lines += ["", *table(columns, start_rows(taking_part, imports, [found]))]
    say("")
    print("\n".join(lines), f"\n\nThis took {time.perf_counter() - begun:.0f} s.")
    if not (options.quick or options.network or options.peer):
        write_section(f"Networks of the field, threads: {options.threads}", "\n".join(lines))


if __name__ == "__main__":
    main()
