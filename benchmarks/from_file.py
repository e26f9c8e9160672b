"""``chainrule train`` from a CSV file to the report, cold and warm, beside scripts for the peers.

    .bench/bin/python -m benchmarks.from_file [--quick]

A small table, scikit-learn's 569 tumours, beside a script that trains a network, where everything
but the training counts; and a large one (`generated_table.py`), beside boosted trees. Each run is
a fresh process; *cold* has an empty cache of compiled programs. The rows that test differ.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .generated_table import generated
from .houses import timed
from .machine import description, versions
from .report import Row, table, today, write_section
from .rounds import bind_processors


@dataclass(frozen=True)
class FileTask:
    """A table that is to be learned.

    Attributes:
        about: its title.
        name: of the file.
        target: the column to predict.
        metric: what the report says of the test set.
        peer: the method of `peers/table_sklearn.py`, and its title.
    """

    about: str
    name: str
    target: str
    metric: str
    peer: tuple[str, str]


TASKS = (
    FileTask("569 × 30, two classes", "tumours", "kind", "accuracy", ("mlp", "scikit-learn, MLP")),
    FileTask("100,000 × 14, a number", "generated", "target", "r2", ("boosting", "boosted trees")),
)


def main() -> None:
    """Let them run in turns, print, and write unless it was only a look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="one round; nothing is kept")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--table", action="append", choices=[task.name for task in TASKS])
    options = parser.parse_args()
    bind_processors(options.threads)
    lines = [
        f"{today()}. {description(options.threads)}. "
        f"{versions(['chainrule', 'scikit-learn'])}. Median of {1 if options.quick else 3}.",
    ]
    with tempfile.TemporaryDirectory() as folder:
        _write_tables(Path(folder))
        for task in TASKS:
            if task.name in (options.table or [task.name]):
                rows = measured(task, folder, options.threads, 1 if options.quick else 3)
                columns = [f"{task.about}: from file to report", "s", "× chainrule", task.metric]
                lines += ["", *table(columns, rows)]
    print("\n".join(lines))
    if not (options.quick or options.table):
        write_section(f"Tables from a file, threads: {options.threads}", "\n".join(lines))


def _write_tables(folder: Path) -> None:
    import polars as pl
    from sklearn.datasets import load_breast_cancer

    generated().write_csv(folder / "generated.csv")
    found = load_breast_cancer()
    frame = pl.DataFrame({str(n): found.data[:, i] for i, n in enumerate(found.feature_names)})
    names = [str(found.target_names[number]) for number in found.target]
    frame.with_columns(kind=pl.Series(names)).write_csv(folder / "tumours.csv")


def measured(task: FileTask, folder: str, threads: int, rounds: int) -> list[Row]:
    """The rows of the table of a task."""
    file, caches = f"{folder}/{task.name}.csv", f"{folder}/caches"
    own = [
        str(Path(sys.executable).with_name("chainrule")), "train", file, "--target", task.target,
        "--json", "--quiet", "--out", f"{folder}/run", "--force",
    ]  # fmt: skip
    method, title = task.peer
    peer = [sys.executable, "benchmarks/peers/table_sklearn.py", file, task.target, method]
    seconds: dict[str, list[float]] = {"chainrule, warm": [], "chainrule, cold": [], title: []}
    scores: dict[str, float] = {}
    for _ in range(rounds):
        shutil.rmtree(caches, ignore_errors=True)
        os.mkdir(caches, mode=0o700)
        for name, command in (("chainrule, cold", own), ("chainrule, warm", own), (title, peer)):
            took, said = timed(command, threads, caches)
            seconds[name].append(took)
            scores[name] = said["metrics"][task.metric] if command is own else said["score"]
    mine = seconds["chainrule, warm"]
    return [
        [
            name, f"{statistics.median(times):.2f}",
            f"{statistics.median([t / m for t, m in zip(times, mine, strict=True)]):.2f}",
            f"{scores[name]:.3f}",
        ]
        for name, times in seconds.items()
    ]  # fmt: skip


if __name__ == "__main__":
    main()
