"""Defaults on real tables beside scikit-learn, on the same splits.

    python benchmarks/tables.py houses          # five seeds, a test part of 10 % each
    python benchmarks/tables.py small           # five folds, three times with other folds

The rivals get what a careful user would write: standardised numbers, one-hot encoded categories,
the day of the sale as a number; networks and boosting once on the plain target and once on its
logarithm. Needs the `dev` extra (scikit-learn).
"""

from __future__ import annotations

import argparse
import statistics
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

HOUSES = Path(__file__).parents[1] / "examples/data/house_prices.parquet"


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


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=["houses", "small"])
    parser.add_argument("--repeats", type=int)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if arguments.data == "houses":
        houses(arguments.repeats or 5)
    else:
        small(arguments.repeats or 3)


if __name__ == "__main__":
    main()
