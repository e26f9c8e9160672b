"""What checkpoints cost: the training of ``make demo`` with and without them, in pairs.

    python -m benchmarks.checkpoints [--rounds 5] [--every 10]

Each training is a fresh process on one thread. Processor time counts, that of the thread that
writes included: the wall clock of a machine on which others work says less. Nothing is kept.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from .machine import description
from .peer import ROOT

DATA = "examples/data/house_prices.parquet"
#: Seconds between checkpoints that never come.
NEVER = "1e9"


def main() -> None:
    """Let them run in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--every", default="10", help="seconds from one checkpoint to the next")
    options = parser.parse_args()
    print(description(1))
    seconds: dict[str, list[float]] = {NEVER: [], options.every: []}
    with tempfile.TemporaryDirectory() as folder:
        _train(Path(folder), NEVER)  # its programs are in the cache afterwards
        for number in range(options.rounds):
            order = list(seconds) if number % 2 else list(seconds)[::-1]
            for every in order:
                seconds[every].append(_train(Path(folder), every))
    pairs = zip(seconds[options.every], seconds[NEVER], strict=True)
    overheads = [with_them / without - 1 for with_them, without in pairs]
    for every, times in seconds.items():
        name = "without checkpoints" if every == NEVER else f"every {every} s"
        print(f"{name}: {statistics.median(times):.1f} s (of {min(times):.1f} to {max(times):.1f})")
    print(f"overhead: {statistics.median(overheads):+.1%} "
          f"({', '.join(f'{overhead:+.1%}' for overhead in overheads)})")  # fmt: skip


def _train(folder: Path, every: str) -> float:
    """The seconds that processors worked for a training."""
    environment = {**os.environ, "CHAINRULE_CHECKPOINT_SECONDS": every, "OMP_NUM_THREADS": "1",
                   "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
    command = [sys.executable, "-m", "chainrule", "train", DATA, "--target", "price",
               "--threads", "1", "--quiet", "--out", f"{folder}/run", "--force"]  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
