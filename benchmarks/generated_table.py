"""A large table that anybody can make again: 100,000 rows, ten numbers and four categories.

    python -m benchmarks.generated_table FILE.csv

The target is a smooth function of six numbers, with a jump, two categories that shift it, one that
turns the slope of a number, and noise: the best possible R² is about 0.85.
"""

from __future__ import annotations

import sys

import numpy as np
import polars as pl

ROWS = 100_000


def generated(rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    """The table; the same seed gives the same one."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 10))
    city, kind, colour, size = (draw.integers(0, n, rows) for n in (40, 6, 8, 3))
    shift = draw.normal(size=40)
    y = (
        np.sin(2 * x[:, 0]) + 0.5 * x[:, 1] * x[:, 2] + 0.3 * np.abs(x[:, 3])
        + (x[:, 4] > 0.5) + shift[city] + 0.4 * kind + (size - 1) * x[:, 5]
    )  # fmt: skip
    y += draw.normal(size=rows) * 0.42 * y.std()
    columns: dict[str, object] = {f"x{number}": x[:, number].round(4) for number in range(10)}
    columns["city"] = [f"city {number}" for number in city]
    columns["kind"] = [f"kind {number}" for number in kind]
    columns["colour"] = [f"colour {number}" for number in colour]
    columns["size"] = np.array(["small", "middle", "large"])[size]
    columns["target"] = y.round(4)
    return pl.DataFrame(columns)


if __name__ == "__main__":
    generated().write_csv(sys.argv[1])
