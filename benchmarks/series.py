"""Forecasts beside AutoETS, AutoTheta and linear autoregressions: public series, and 100 at once.

    pip install -e . statsforecast statsmodels arch vega_datasets
    python benchmarks/series.py public [--seeds 5] [--only nile,vix]
    python benchmarks/series.py many [--single 10]

``public``: each method sees the first 80 % of a series, and forecasts from origins in the rest, the
same for all (at most 60, evenly spread). AutoETS and AutoTheta (statsforecast) are fitted to the
80 % and get all values before each origin; the linear model is a ridge regression of each step on
the window. Daily temperatures stand beside the mean of the day of the year, too (four harmonics),
with an anomaly that fades as it did in the 80 %. MASE is the MAE divided by that of the seasonal
naive forecast within the 80 %.

``many``: 100 series of 300 steps from a seeded generator, learned as one model; beside it the first
few of them, each learned alone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import chainrule as cr
from chainrule.tasks import load_predictor

ORIGINS = 60


# ---- data ----------------------------------------------------------------------------------------


def folder_of(package: str) -> Path:
    """Where a package is."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SystemExit("needs the data: pip install statsmodels arch vega_datasets")
    return Path(found.submodule_search_locations[0])


def stats(name: str) -> pl.DataFrame:
    """A table of statsmodels."""
    return pl.read_csv(folder_of("statsmodels") / "datasets" / name / f"{name}.csv")


def finance(name: str, column: str) -> pl.DataFrame:
    """A column of prices of arch, by day."""
    path = next((folder_of("arch") / "data" / name).glob("*.csv*"))
    table = pl.read_csv(path)
    day = table["Date"]
    style = "%m/%d/%Y" if "/" in day[0] else "%Y-%m-%d"
    values = table[column].cast(pl.Float64, strict=False)
    return pl.DataFrame({"date": day.str.to_date(style), "y": values}).drop_nulls()


def seattle(column: str) -> pl.DataFrame:
    """Four years of daily weather."""
    table = pl.read_csv(folder_of("vega_datasets") / "_data" / "seattle-weather.csv")
    day = table["date"].str.slice(0, 10).str.replace_all("/", "-").str.to_date()
    return pl.DataFrame({"date": day, "y": table[column].cast(pl.Float64)})


def months(values: np.ndarray, year: int, month: int, step: int = 1) -> pl.DataFrame:
    """Values by month, or by several."""
    start = np.datetime64(f"{year}-{month:02}") + step * np.arange(len(values))
    return pl.DataFrame({"date": start.astype("datetime64[D]"), "y": values.astype(float)})


def carbon_dioxide() -> pl.DataFrame:
    """Monthly means of the weekly CO₂ at Mauna Loa."""
    table = stats("co2").with_columns(pl.col("date").cast(pl.String).str.to_date("%Y%m%d"))
    monthly = table.group_by(pl.col("date").dt.truncate("1mo"), maintain_order=True)
    means = monthly.agg(pl.col("co2").cast(pl.Float64, strict=False).mean())
    return means.rename({"co2": "y"}).upsample("date", every="1mo").interpolate()


def elnino() -> pl.DataFrame:
    """Monthly temperatures of the sea."""
    return months(stats("elnino").drop("YEAR").to_numpy().ravel(), 1950, 1)


def years(name: str, year: str, column: str) -> pl.DataFrame:
    """A column by year."""
    table = stats(name)
    return pl.DataFrame({"year": table[year].cast(pl.Int64), "y": table[column].cast(pl.Float64)})


def macro(column: str) -> pl.DataFrame:
    """A column of the quarterly US macrodata."""
    return months(stats("macrodata")[column].to_numpy(), 1959, 1, 3)


#: Series by day that follow the year.
BY_DAY = ("warmest", "coldest")
#: Table, steps ahead, season.
PUBLIC: dict[str, tuple[Any, int, int]] = {
    "sunspots": (lambda: years("sunspots", "YEAR", "SUNACTIVITY"), 11, 1),
    "nile": (lambda: years("nile", "year", "volume"), 5, 1),
    "co2": (carbon_dioxide, 12, 12),
    "elnino": (elnino, 12, 12),
    "gdp": (lambda: macro("realgdp"), 4, 4),
    "cpi": (lambda: macro("cpi"), 4, 4),
    "unemployment": (lambda: macro("unemp"), 4, 4),
    "sp500": (lambda: finance("sp500", "Close"), 20, 1),
    "nasdaq": (lambda: finance("nasdaq", "Close"), 20, 1),
    "vix": (lambda: finance("vix", "vix"), 5, 1),
    "warmest": (lambda: seattle("temp_max"), 14, 1),
    "coldest": (lambda: seattle("temp_min"), 14, 1),
}


# ---- methods -------------------------------------------------------------------------------------


def ours(table: pl.DataFrame, cut: int, origins: list[int], horizon: int, seed: int) -> np.ndarray:
    """The network, trained on what comes before the cut, an eighth of which validates."""
    options = cr.series.SeriesOptions(target="y", horizon=horizon, seed=seed, validation=0.1)
    result = cr.series.train(table, options, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        result.save(f"{folder}/model.safetensors")
        model = load_predictor(f"{folder}/model.safetensors")
        found = [model.predict(table[:o])["prediction"].to_numpy() for o in origins]
    return np.array(found)


def peer(name: str, y: np.ndarray, cut: int, origins: list[int], horizon: int, season: int) -> Any:
    """A method of statsforecast, fitted once."""
    from statsforecast import models  # type: ignore[import-not-found]

    fitted = getattr(models, name)(season_length=season).fit(y[:cut])
    return np.array([fitted.forward(y[:o], horizon)["mean"] for o in origins])


def linear(y: np.ndarray, cut: int, origins: list[int], horizon: int, season: int) -> np.ndarray:
    """Ridge regression of each step on the window, relative to its last value."""
    window = min(max(2 * season, 2 * horizon, 24), cut // 4)
    starts = np.arange(window, cut - horizon + 1)

    def windows(at: np.ndarray) -> np.ndarray:
        return y[at[:, None] + np.arange(-window, 0)]

    past, ahead = windows(starts), y[starts[:, None] + np.arange(horizon)]
    scale = y[:cut].std()
    x = np.c_[(past - past[:, -1:]) / scale, np.ones(len(past))]
    z = windows(np.array(origins))
    gram = x.T @ x + 1e-3 * len(x) * np.eye(window + 1)
    weights = np.linalg.solve(gram, x.T @ (ahead - past[:, -1:]))
    return z[:, -1:] + np.c_[(z - z[:, -1:]) / scale, np.ones(len(z))] @ weights


def day_of_year(y: np.ndarray, cut: int, origins: list[int], horizon: int) -> np.ndarray:
    """The mean of each day of the year, and the last anomaly, which fades."""
    angle = 2 * np.pi * np.arange(len(y))[:, None] * np.arange(1, 5) / 365.2425
    waves = np.c_[np.ones(len(y)), np.sin(angle), np.cos(angle)]
    usual = waves @ np.linalg.lstsq(waves[:cut], y[:cut], rcond=None)[0]
    anomaly = y - usual
    known = anomaly[:cut]
    fading = [known[:-h] @ known[h:] / (known[:-h] @ known[:-h]) for h in range(1, horizon + 1)]
    return np.array([usual[o : o + horizon] + anomaly[o - 1] * np.array(fading) for o in origins])


def naive(y: np.ndarray, origins: list[int], horizon: int, season: int) -> np.ndarray:
    """The values of a season before."""
    ahead = np.arange(horizon) % season - season
    return np.array([y[o + ahead] for o in origins])


def public(names: list[str], seeds: int) -> None:
    """The table of public series."""
    columns = ["chainrule", "±", "AutoETS", "AutoTheta", "linear", "naive", "seconds"]
    print("| series (steps ahead) | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    every: dict[str, list[float]] = {}
    for name in names:
        read, horizon, season = PUBLIC[name]
        table = read()
        y = table["y"].to_numpy().astype(float)
        cut = int(len(y) * 0.8)
        origins = np.unique(np.linspace(cut, len(y) - horizon, ORIGINS).astype(int)).tolist()
        truth = np.array([y[o : o + horizon] for o in origins])
        scale = np.abs(y[season:cut] - y[: cut - season]).mean()

        def mase(found: np.ndarray, truth: Any = truth, scale: Any = scale) -> float:
            return float(np.abs(found - truth).mean() / scale)

        started = time.perf_counter()
        found = [mase(ours(table, cut, origins, horizon, seed)) for seed in range(seeds)]
        seconds = (time.perf_counter() - started) / seeds
        others = {
            "AutoETS": mase(peer("AutoETS", y, cut, origins, horizon, season)),
            "AutoTheta": mase(peer("AutoTheta", y, cut, origins, horizon, season)),
            "linear": mase(linear(y, cut, origins, horizon, season)),
            "naive": mase(naive(y, origins, horizon, season)),
        }
        if name in BY_DAY:
            print(f"{name}: the day of the year {mase(day_of_year(y, cut, origins, horizon)):.3f}")
        spread = statistics.stdev(found) if len(found) > 1 else 0.0
        for method, value in {"chainrule": statistics.mean(found), **others}.items():
            every.setdefault(method, []).append(value)
        cells = [f"{statistics.mean(found):.3f}", f"{spread:.3f}"]
        cells += [f"{value:.3f}" for value in others.values()] + [f"{seconds:.1f}"]
        print(f"| {name} ({horizon}) | " + " | ".join(cells) + " |", flush=True)
    means = {method: statistics.geometric_mean(values) for method, values in every.items()}
    print("geometric mean:", ", ".join(f"{m} {v:.3f}" for m, v in means.items()))


# ---- many series ---------------------------------------------------------------------------------


def generated(count: int = 100, steps: int = 300, seed: int = 0) -> pl.DataFrame:
    """Series of days with a week, a trend and shocks that fade, each on a scale of its own."""
    generator = np.random.default_rng(seed)
    week = generator.normal(size=(3, 7))
    days = np.datetime64("2024-01-01") + np.arange(steps)
    frames = []
    for number in range(count):
        size = 10 ** generator.uniform(0, 3)
        shape = generator.dirichlet(np.ones(3)) @ week
        level, shock, slope = np.zeros(steps), 0.0, generator.uniform(0.0, 0.01)
        for step in range(steps):
            shock = 0.7 * shock + 0.3 * generator.normal()
            level[step] = slope * step + shock
        noise = 0.2 * generator.normal(size=steps)
        y = size * (5 + level + shape[np.arange(steps) % 7] + noise)
        frames.append(pl.DataFrame({"item": [f"s{number:03}"] * steps, "date": days, "y": y}))
    return pl.concat(frames)


def many(single: int) -> None:
    """One model of many series beside models of single ones."""
    table, horizon = generated(), 7
    options = cr.series.SeriesOptions(target="y", series="item", horizon=horizon)
    started = time.perf_counter()
    result = cr.series.train(table, options, progress=False)
    seconds = time.perf_counter() - started
    report = result.report
    print(f"one model of 100 series of 300 steps: {seconds:.0f} s, MASE of all "
          f"{report['metrics']['mase']:.3f}; baselines",
          {n: round(m["mase"], 3) for n, m in report["baselines"].items()})  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        result.save(f"{folder}/model.safetensors")
        model = load_predictor(f"{folder}/model.safetensors")
        rows, names = [], table["item"].unique(maintain_order=True).to_list()
        started = time.perf_counter()
        for name in names[:single]:
            own = table.filter(pl.col("item") == name)
            alone = cr.series.SeriesOptions(target="y", horizon=horizon)
            found = cr.series.train(own.drop("item"), alone, progress=False).report["metrics"]
            # The same steps: the past of the test part, and the test part.
            later = own[int(0.8 * own.height) - report_window(result) :]
            rows.append((model.evaluate(later)["mae"] / found["mae"], name))
        seconds = (time.perf_counter() - started) / max(single, 1)
    better = sum(ratio < 1 for ratio, _ in rows)
    print(f"beside the first {single} of them, each learned alone ({seconds:.1f} s each): the "
          f"error of the one model is {statistics.geometric_mean([r for r, _ in rows]):.3f} of "
          f"theirs, smaller in {better} of {single}")  # fmt: skip


def report_window(result: Any) -> int:
    """How many steps a model looks at."""
    return int(result.schema.shape.window)


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("public", "many"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", help="names of series, with commas between")
    parser.add_argument("--single", type=int, default=10, help="series that are learned alone, too")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.what == "many":
        many(arguments.single)
    else:
        public(arguments.only.split(",") if arguments.only else list(PUBLIC), arguments.seeds)


if __name__ == "__main__":
    main()
