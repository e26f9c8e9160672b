"""What comes next: sunspots, carbon dioxide in the air, and how much the stock market swings.

    python examples/forecasts.py [--quick] [--write FOLDER]

The data are the yearly sunspots since 1700 and the weekly CO₂ at Mauna Loa 1958-2001 of the package
statsmodels, and the S&P 500 1999-2018 of the package arch (pip install statsmodels arch). The
daily volatility is Garman and Klass's (1980) estimate from the prices of a day, in percent. Each
network is beside persistence (the last value), the value of a season before, and a linear
autoregression. With --write the tables are only written to a folder, for:
chainrule train sunspots.csv --target sunspots --horizon 11
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl

import chainrule as cr

#: What a script exits with when its data are not there, as in automake.
SKIPPED = 77


def folder_of(package: str) -> Path:
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        print("needs the data: pip install statsmodels arch", file=sys.stderr)
        raise SystemExit(SKIPPED)
    return Path(found.submodule_search_locations[0])


def sunspots() -> pl.DataFrame:
    table = pl.read_csv(folder_of("statsmodels") / "datasets" / "sunspots" / "sunspots.csv")
    return table.rename({"YEAR": "year", "SUNACTIVITY": "sunspots"})


def carbon_dioxide() -> pl.DataFrame:
    table = pl.read_csv(folder_of("statsmodels") / "datasets" / "co2" / "co2.csv")
    return table.with_columns(pl.col("date").cast(pl.String).str.to_date("%Y%m%d"))


def stock_market() -> pl.DataFrame:
    """Date, volatility, and the day's return, both in percent."""
    table = pl.read_csv(folder_of("arch") / "data" / "sp500" / "sp500.csv.gz")
    log = {name: np.log(table[name].to_numpy()) for name in ("Open", "High", "Low", "Close")}
    # σ² = ½ (ln H/L)² - (2 ln 2 - 1) (ln C/O)²
    variance = 0.5 * (log["High"] - log["Low"]) ** 2
    variance -= (2 * np.log(2) - 1) * (log["Close"] - log["Open"]) ** 2
    return pl.DataFrame({
        "date": table["Date"].str.to_date("%m/%d/%Y"),
        "volatility": 100 * np.sqrt(np.maximum(variance, 1e-8)),
        "return": 100 * np.diff(log["Close"], prepend=log["Close"][0]),
    })  # fmt: skip


#: Table, target, steps ahead.
TASKS = {
    "sunspots": (sunspots, "sunspots", 1),
    "sunspots, 11 years": (sunspots, "sunspots", 11),
    "co2": (carbon_dioxide, "co2", 1),
    "co2, 52 weeks": (carbon_dioxide, "co2", 52),
    "volatility": (stock_market, "volatility", 1),
    "volatility, 5 days": (stock_market, "volatility", 5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=("linear", "lstm", "tcn"))
    parser.add_argument("--quick", action="store_true", help="two of them, one epoch each")
    parser.add_argument("--write", metavar="FOLDER", type=Path, help="write the tables, and stop")
    arguments = parser.parse_args()
    if arguments.write:
        for read in (sunspots, carbon_dioxide, stock_market):
            read().write_csv(arguments.write / f"{read.__name__}.csv")
        return
    for name, (read, target, horizon) in list(TASKS.items())[:: 3 if arguments.quick else 1]:
        options = cr.series.SeriesOptions(
            target=target,
            horizon=horizon,
            model="linear" if arguments.quick else arguments.model,
            epochs=1 if arguments.quick else None,
            backend="numpy" if arguments.quick else "auto",
        )
        report = cr.series.train(read(), options, progress=False).report
        errors = {"network": report["metrics"], **report["baselines"]}
        print(f"{name}: mean error", ", ".join(f"{n} {m['mae']:.3g}" for n, m in errors.items()))
        print("  " + report.get("verdict", "The network is ahead of every baseline."))


if __name__ == "__main__":
    main()
