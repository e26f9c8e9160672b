"""Grid, random and Bayesian search with the same number of trials, on three small tables.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/search.py [--trials 16] [--seeds 1]

All three choose from the same space, whose grid has as many points as there are trials. What is
compared: the best validation loss after half and after all of the trials, the metric of the best
options on rows that no trial has seen, and that of the options which the program chooses by itself,
without a search. Networks are small, so that a run takes minutes.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from statistics import mean
from typing import Any

import numpy as np
import polars as pl
from sklearn import datasets

import chainrule as cr
from chainrule.interop.tuning.study import SEARCHES

TABLES: dict[str, Callable[..., Any]] = {
    "diabetes": datasets.load_diabetes,
    "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer,
}
#: Four values of a grid for each range.
SPACE = {
    "lr": {"low": 3e-4, "high": 3e-1, "log": True},
    "weight_decay": {"low": 1e-3, "high": 1.0, "log": True},
}


def table(name: str) -> pl.DataFrame:
    """The table, classes as text."""
    found = TABLES[name]()
    frame = pl.DataFrame(found.data, [f"x{i}" for i in range(found.data.shape[1])])
    target = found.target if name == "diabetes" else [f"class {c}" for c in found.target]
    return frame.with_columns(pl.Series("y", target))


def searched(frame: pl.DataFrame, search: str, trials: int, seed: int) -> dict[str, float]:
    """What one search finds."""
    begun = time.process_time()
    tuned = cr.tune(
        frame, target="y", search=search, trials=trials, space=SPACE, seed=seed, progress=False,
        hidden=(32,), members=2, epochs=40,
    )  # fmt: skip
    losses = [t.value for t in tuned.study.trials if t.value is not None]
    report = tuned.result.report
    metric = next(iter(report["metrics"]))
    usual = report["baselines"].get("default options", report["metrics"])
    return {
        "half": min(losses[: max(trials // 2, 1)]),
        "all": min(losses),
        "test": report["metrics"][metric],
        "default": usual[metric],
        "seconds": time.process_time() - begun,
    }


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", choices=TABLES)
    told = parser.parse_args()
    print("| table | search | loss, half | loss, all | test metric | without a search | s |")
    print("|---|---|---|---|---|---|---|")
    for name in [told.only] if told.only else TABLES:
        frame = table(name)
        for search in SEARCHES:
            runs = [searched(frame, search, told.trials, seed) for seed in range(told.seeds)]
            found = {key: mean(run[key] for run in runs) for key in runs[0]}
            numbers = [found["half"], found["all"], found["test"], found["default"]]
            cells = " | ".join(f"{np.round(x, 4)}" for x in numbers)
            print(f"| {name} | {search} | {cells} | {found['seconds']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
