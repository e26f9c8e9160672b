"""Defaults on real tables beside those of others, on the same splits.

    python benchmarks/tables.py peers           # 19 public tables, seven methods, five seeds
    python benchmarks/tables.py peers --tables OJ,Wage --methods chainrule,CatBoost --seeds 0,1
    python benchmarks/tables.py houses          # five seeds, a test part of 10 % each
    python benchmarks/tables.py small           # five folds, three times with other folds

``peers`` needs an environment of its own (`benchmarks/requirements-tables.txt`). Every finished
cell is kept in a file, and is not measured again until ``--again METHOD`` says so: the board can be
made in pieces, and ``--show`` only prints it, of the tables, methods and seeds that are named. Each
cell is a process of its own with one thread and an empty cache of compiled programs; its time is
that of the processor, from data frames to predictions, without imports.

The rivals of ``houses`` and ``small`` get what a careful user would write: standardised numbers,
one-hot encoded categories, the day of the sale as a number; networks and boosting once on the plain
target and once on its logarithm. They need the `dev` extra (scikit-learn).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn import datasets
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from chainrule.data import infer_schema, k_folds, read_table, split_indices
from chainrule.tasks.tabular import TableOptions, train_table

ROOT = Path(__file__).parents[1]
HOUSES = ROOT / "examples/data/house_prices.parquet"
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from benchmarks.public_tables import TABLES  # noqa: E402
from benchmarks.report import table  # noqa: E402
from benchmarks.table_methods import METHODS, score  # noqa: E402

Cells = dict[tuple[str, str, int], tuple[float, float]]


def pipeline(frame: pl.DataFrame, model: Any) -> Any:
    """Standardised numbers and one-hot encoded categories in front of a model."""
    text = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    numbers = [name for name in frame.columns if name not in text]
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = [("numbers", StandardScaler(), numbers), ("categories", encode, text)]
    return make_pipeline(ColumnTransformer(columns), model)


def of_logarithm(model: Any) -> Any:
    """A model of the standardised logarithm of the target."""
    scaled = TransformedTargetRegressor(model, transformer=StandardScaler())
    return TransformedTargetRegressor(scaled, func=np.log, inverse_func=np.exp)


def chainrule(train: pl.DataFrame, test: pl.DataFrame, target: str, seed: int) -> float:
    """Train with all defaults; the first metric of the report on the given test part."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/test.parquet"
        test.write_parquet(file)
        options = TableOptions(target=target, seed=seed, test=file)
        metrics = train_table(train, options, progress=False).report["metrics"]
    return next(iter(metrics.values()))


def houses(seeds: int) -> None:
    """King County house prices: R² on a test part of 10 %."""
    frame = read_table(str(HOUSES))
    x = frame.drop("id", "price").with_columns(
        pl.col("date").cast(pl.Date).to_physical(), pl.col("zipcode").cast(pl.String)
    )
    y = frame["price"].to_numpy().astype(float)
    scores: dict[str, list[float]] = {}
    for seed in range(seeds):
        train, test = split_indices(frame.height, (0.9, 0.1), seed)
        network = pipeline(x, MLPRegressor(random_state=seed))
        boosting = pipeline(x, HistGradientBoostingRegressor(random_state=seed))
        rivals = {
            "MLP, price": network,
            "MLP, log price": of_logarithm(network),
            "boosting, price": boosting,
            "boosting, log price": of_logarithm(boosting),
        }
        for name, model in rivals.items():
            model.fit(x[train], y[train])
            scores.setdefault(name, []).append(r2_score(y[test], model.predict(x[test])))
        mine = chainrule(frame[train], frame[test], "price", seed)
        scores.setdefault("chainrule", []).append(mine)
        print(
            f"seed {seed}",
            {name: round(found[-1], 4) for name, found in scores.items()},
            flush=True,
        )
    show(scores)


def small(repeats: int) -> None:
    """scikit-learn's own tables: accuracy or R², mean over five folds, three times over."""
    for name in ("iris", "wine", "breast_cancer", "digits", "diabetes"):
        data = getattr(datasets, f"load_{name}")()
        numbers = name == "diabetes"
        labels = np.asarray(data.target if numbers else [f"class {label}" for label in data.target])
        columns = {f"x{i}": data.data[:, i] for i in range(data.data.shape[1])}
        frame = pl.DataFrame({**columns, "target": labels})
        strata = None if numbers else infer_schema(frame, "target").read_target(frame)
        scores: dict[str, list[float]] = {}
        for seed in range(repeats):
            folds = k_folds(frame.height, 5, seed, stratify=strata)
            found = [fold_scores(data.data, labels, frame, *fold, seed) for fold in folds]
            for method in found[0]:
                mean = statistics.mean(one[method] for one in found)
                scores.setdefault(method, []).append(mean)
        print(name)
        show(scores)


def fold_scores(
    x: Any, y: Any, frame: pl.DataFrame, train: Any, test: Any, seed: int
) -> dict[str, float]:
    """R² of numbers or accuracy of classes on the test rows, for each method."""
    numbers = y.dtype.kind == "f"
    mlp = MLPRegressor if numbers else MLPClassifier
    boosting = HistGradientBoostingRegressor if numbers else HistGradientBoostingClassifier
    rivals = {
        "MLP": make_pipeline(StandardScaler(), mlp(max_iter=1000, random_state=seed)),
        "boosting": boosting(random_state=seed),
    }
    score = r2_score if numbers else accuracy_score
    found = {}
    for name, model in rivals.items():
        model.fit(x[train], y[train])
        found[name] = float(score(y[test], model.predict(x[test])))
    found["chainrule"] = chainrule(frame[train], frame[test], "target", seed)
    return found


def show(scores: dict[str, list[float]]) -> None:
    """Mean and every score of each method."""
    for name, found in scores.items():
        each = " ".join(f"{one:.3f}" for one in found)
        print(f"  {name:28} {statistics.mean(found):8.4f}   {each}", flush=True)


# ---- peers ---------------------------------------------------------------------------------------


def measure(name: str, method: str, seed: int) -> dict[str, Any]:
    """One cell, in this process: the score on the test rows, and seconds of the processor."""
    public = TABLES[name]
    train, test = public.split(seed)
    run = METHODS[method]()
    begun = os.times()
    found = run(train, test, public.target, seed)
    took = sum(b - a for a, b in zip(begun[:4], os.times()[:4], strict=True))  # compilers, too
    return {
        "table": name, "method": method, "seed": seed, "seconds": round(took, 2),
        "score": round(score(test, public.target, found), 5),
    }  # fmt: skip


def in_its_own_process(name: str, method: str, seed: int) -> dict[str, Any]:
    """One cell, with one thread and nothing compiled before."""
    one = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, **one, "CHAINRULE_CACHE": cache, "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            [sys.executable, __file__, "cell", name, method, str(seed)],
            env=environment, capture_output=True, text=True, cwd=cache,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{name}, {method}, seed {seed}:\n{done.stderr[-2000:]}")
    cell: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return cell


def read_cells(path: Path) -> Cells:
    """What was measured before; of a cell that was measured again, the last."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    cells = map(json.loads, lines)
    return {(c["table"], c["method"], c["seed"]): (c["score"], c["seconds"]) for c in cells}


def peers(arguments: argparse.Namespace) -> None:
    """Measure what is missing, then print the board."""
    path = Path(arguments.cells)
    path.parent.mkdir(parents=True, exist_ok=True)
    known = read_cells(path)
    tables, methods = arguments.tables, arguments.methods
    for seed in [] if arguments.show else arguments.seeds:
        for name in tables:
            for method in methods:
                if (name, method, seed) in known and method not in arguments.again:
                    continue
                cell = in_its_own_process(name, method, seed)
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(cell) + "\n")
                print(*cell.values(), file=sys.stderr, flush=True)
    cells = {cell: v for cell, v in read_cells(path).items() if cell[2] in arguments.seeds}
    print("\n".join(board(cells, tables, methods)))


def board(cells: Cells, tables: list[str], methods: list[str]) -> list[str]:
    """A line of Markdown for each table, and the means over those that every method has.

    Of each table only the seeds count that all methods have, which have any.
    """
    rows, complete = [], []
    for name in tables:
        by_method = {
            method: {s: value for (t, m, s), value in cells.items() if (t, m) == (name, method)}
            for method in methods
        }
        seeds = set.intersection(*[set(found) for found in by_method.values() if found] or [set()])
        by_method = {m: {s: found[s] for s in seeds & set(found)} for m, found in by_method.items()}
        scores = {m: {s: v[0] for s, v in found.items()} for m, found in by_method.items() if found}
        if not scores:
            continue
        means = {method: statistics.mean(found.values()) for method, found in scores.items()}
        best = max(f"{mean:.3f}" for mean in means.values())
        texts = {m: f"**{t}**" if (t := f"{mean:.3f}") == best else t for m, mean in means.items()}
        found = [texts.get(method, "–") for method in methods]
        rows.append([name, str(len(seeds)), *found, against_best(scores)])
        if len(scores) == len(methods):
            seconds = {m: statistics.mean(v[1] for v in by_method[m].values()) for m in methods}
            complete.append((means, seconds))
    if complete:
        count = len(complete)
        averages = [statistics.mean(means[m] for means, _ in complete) for m in methods]
        times = [statistics.mean(seconds[m] for _, seconds in complete) for m in methods]
        rows.append([f"mean of {count}", "", *(f"{mean:.4f}" for mean in averages), ""])
        rows.append([f"seconds, mean of {count}", "", *(f"{each:.1f}" for each in times), ""])
    return table(["table", "seeds", *methods, "chainrule beside the best of the others"], rows)


def against_best(scores: dict[str, dict[int, float]]) -> str:
    """The mean difference to the best of the others, ± twice its standard error over the seeds."""
    others = [method for method in scores if method != "chainrule"]
    if not others or "chainrule" not in scores:
        return ""
    best = max(others, key=lambda method: statistics.mean(scores[method].values()))
    mine, theirs = scores["chainrule"], scores[best]
    differences = [mine[seed] - theirs[seed] for seed in sorted(set(mine) & set(theirs))]
    if not differences:
        return ""
    mean = statistics.mean(differences)
    if len(differences) == 1:
        return f"{mean:+.3f} {best}, one seed"
    error = 2 * statistics.stdev(differences) / len(differences) ** 0.5
    word = "behind" if mean < -error else "ahead of" if mean > error else "like"
    return f"{mean:+.3f} ± {error:.3f}, {word} {best}"


def names(known: list[str]) -> Any:
    """A reader of names with commas between."""

    def read(text: str) -> list[str]:
        found = [part.strip() for part in text.split(",") if part.strip()]
        for part in found:
            if part not in known:
                raise argparse.ArgumentTypeError(f"{part}: none of {', '.join(known)}")
        return found

    return read


def seeds(text: str) -> list[int]:
    """Seeds with commas between."""
    return [int(part) for part in text.split(",") if part.strip()]


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="data", required=True)
    for part, repeats in (("houses", 5), ("small", 3)):
        parts.add_parser(part).add_argument("--repeats", type=int, default=repeats)
    every = parts.add_parser("peers")
    every.add_argument("--tables", type=names(list(TABLES)), default=list(TABLES))
    every.add_argument("--methods", type=names(list(METHODS)), default=list(METHODS))
    every.add_argument("--seeds", type=seeds, default=list(range(5)))
    every.add_argument("--again", type=names(list(METHODS)), default=[])
    every.add_argument("--show", action="store_true", help="measure nothing")
    every.add_argument("--cells", default=str(ROOT / ".bench" / "tables.jsonl"))
    cell = parts.add_parser("cell")
    cell.add_argument("table", choices=list(TABLES))
    cell.add_argument("method", choices=list(METHODS))
    cell.add_argument("seed", type=int)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if arguments.data == "peers":
        peers(arguments)
    elif arguments.data == "cell":
        print(json.dumps(measure(arguments.table, arguments.method, arguments.seed)))
    else:
        {"houses": houses, "small": small}[arguments.data](arguments.repeats)


if __name__ == "__main__":
    main()
