"""``chainrule train`` on the house prices from end to end, beside scripts for the peers.

    .bench/bin/python -m benchmarks.houses [--quick]

Each run is a fresh process that reads the table, trains two hidden layers, of 256 and 128, by AdamW
or Adam for the same number of epochs with the same batch, and measures R² on rows that it has not
seen. chainrule also looks for leaks, computes baselines and saves the model; its compiled programs
are in the cache. The rows that are held out differ, and so R² does a little.
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
from pathlib import Path
from typing import Any

from .machine import description, versions
from .peer import ROOT, environment
from .report import Row, table, today, write_section

BATCH = 512


def main() -> None:
    """Let them run in turns, print, and write unless it was only a look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="one round; nothing is kept")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    rounds = 1 if options.quick else 3
    with tempfile.TemporaryDirectory() as folder:
        own = [
            str(Path(sys.executable).with_name("chainrule")), "train",
            "examples/data/house_prices.parquet", "--target", "price", "--batch-size", str(BATCH),
            "--json", "--quiet", "--out", f"{folder}/run", "--force",
        ]  # fmt: skip
        cold, said = timed(own, options.threads, folder)
        epochs = str(said["epochs"])
        commands = {"chainrule train": own}
        for title, name in (("scikit-learn", "houses_sklearn"), ("PyTorch", "houses_pytorch")):
            commands[title] = [sys.executable, f"benchmarks/peers/{name}.py", epochs, str(BATCH)]
        seconds: dict[str, list[float]] = {title: [] for title in commands}
        r2: dict[str, float] = {}
        for _ in range(rounds):
            for title, command in commands.items():
                took, said = timed(command, options.threads, folder)
                seconds[title].append(took)
                r2[title] = said.get("metrics", said)["r2"]
    rows: list[Row] = []
    for title, times in seconds.items():
        ratio = statistics.median(
            t / mine for t, mine in zip(times, seconds["chainrule train"], strict=True)
        )
        rows.append([title, f"{statistics.median(times):.2f}", f"{ratio:.2f}", f"{r2[title]:.3f}"])
    lines = [
        f"{today()}. {description(options.threads)}. "
        f"{versions(['chainrule', 'torch', 'scikit-learn'])}.",
        "",
        f"{epochs} epochs, batch {BATCH}, hidden layers 256-128; median of {rounds}. With an empty "
        f"cache of compiled programs `chainrule train` takes {cold:.2f} s.",
        "",
        *table(["fresh process, from file to R²", "s", "× chainrule", "R²"], rows),
    ]
    print("\n".join(lines))
    if not options.quick:
        write_section(f"House prices, threads: {options.threads}", "\n".join(lines))


def timed(command: list[str], threads: int, caches: str) -> tuple[float, dict[str, Any]]:
    """Seconds of a process, and the JSON that it prints."""
    begun = time.perf_counter()
    done = subprocess.run(
        command, env=environment(threads, caches), cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    took = time.perf_counter() - begun
    return took, json.loads(done.stdout)


if __name__ == "__main__":
    main()
