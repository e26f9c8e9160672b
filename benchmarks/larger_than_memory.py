"""Memory and time of `chainrule train` as the table grows: 100 MB and 1 GB of CSV, or as asked.

    python benchmarks/larger_than_memory.py --megabytes 100 1000 --epochs 1

The tables are generated: twelve numbers, three categories, a date, and a target that follows from
them. Each training runs in a process of its own, whose peak resident memory is the system's count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

ROWS = 200_000


def part(number: int, rows: int) -> pl.DataFrame:
    """Rows that follow from the number of the part."""
    g = np.random.default_rng(number)
    x = g.normal(size=(rows, 12))
    city = g.choice(["Oslo", "Rome", "Bern", "Lima"], rows)
    size = g.choice(["small", "middle", "large"], rows, p=[0.5, 0.3, 0.2])
    shop = g.integers(0, 60, rows)
    day = np.datetime64("2020-01-01") + g.integers(0, 1500, rows)
    y = 3 * x[:, 0] - 2 * np.abs(x[:, 1]) + x[:, 2] * x[:, 3] + 2 * (city == "Oslo")
    y = y + (size == "large") * x[:, 4] + shop / 20 + g.normal(0, 0.5, rows)
    columns = {f"x{i}": x[:, i].round(4) for i in range(12)}
    shops = pl.Series(shop).cast(pl.String)
    return pl.DataFrame(
        {**columns, "city": city, "size": size, "shop": "s" + shops, "day": day, "y": y.round(4)}
    )


def generate(path: Path, megabytes: float) -> int:
    """A CSV of about so many megabytes; how many rows it has."""
    rows = number = 0
    with path.open("wb") as file:
        while file.tell() < megabytes * 1e6:
            lines = part(number, ROWS).write_csv(include_header=number == 0).encode()
            room = int(megabytes * 1e6) - file.tell()
            if len(lines) > room:
                lines = lines[: lines.find(b"\n", room) + 1] or lines
            file.write(lines)
            rows += lines.count(b"\n") - (number == 0)
            number += 1
    return rows


def measure(path: Path, options: list[str]) -> dict[str, float]:
    """Train in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "chainrule", "train", str(path), "--target", "y"]
        command += ["--out", f"{folder}/run", "--json", "-q", *options]
        begun = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begun
    if process.returncode:
        raise SystemExit(f"the training failed: {output.decode()}")
    report = json.loads(output)
    return {
        "seconds": seconds,
        "peak MB": usage.ru_maxrss * 1024 / 1e6,
        "waited": report.get("waited", 0.0),
        "r2": report["metrics"]["r2"],
        "rows": report["data"]["rows"],
    }


def main() -> None:
    """Measure each size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, nargs="+", default=[100, 1000])
    parser.add_argument("--folder", help="where the tables lie meanwhile")
    parser.add_argument("options", nargs="*", help="further options of chainrule train, after --")
    arguments = parser.parse_args()
    options = arguments.options or ["--epochs", "1"]
    print("|  file | rows | time | peak memory | waiting for data | R² |")
    print("|---:|---:|---:|---:|---:|---:|")
    for megabytes in arguments.megabytes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            path = Path(folder, "table.csv")
            generate(path, megabytes)
            found = measure(path, options)
        print(
            f"| {megabytes:,.0f} MB | {found['rows']:,} | {found['seconds']:.0f} s "
            f"| {found['peak MB']:,.0f} MB | {found['waited']:.1%} | {found['r2']:.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
