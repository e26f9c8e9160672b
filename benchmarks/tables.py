"""Defaults on real tables beside scikit-learn, on the same splits.

    python benchmarks/tables.py houses          # five seeds, test part of 10 %
    python benchmarks/tables.py small           # five folds each

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
from chainrule.tables import TableOptions, train_table

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


def small(folds: int) -> None:
    """scikit-learn's own tables: accuracy or R², mean over folds."""
    for name in ("iris", "wine", "breast_cancer", "digits", "diabetes"):
        data = getattr(datasets, f"load_{name}")()
        numbers = name == "diabetes"
        target = data.target if numbers else [f"class {label}" for label in data.target]
        columns = {f"x{i}": data.data[:, i] for i in range(data.data.shape[1])}
        frame = pl.DataFrame({**columns, "target": target})
        score = r2_score if numbers else accuracy_score
        schema = infer_schema(frame, "target")
        strata = None if numbers else schema.read_target(frame)
        labels = np.asarray(target)
        scores: dict[str, list[float]] = {}
        for seed, (train, test) in enumerate(k_folds(frame.height, folds, 0, stratify=strata)):
            mlp = MLPRegressor if numbers else MLPClassifier
            boosting = HistGradientBoostingRegressor if numbers else HistGradientBoostingClassifier
            rivals = {
                "MLP": make_pipeline(StandardScaler(), mlp(max_iter=1000, random_state=seed)),
                "boosting": boosting(random_state=seed),
            }
            for rival, model in rivals.items():
                model.fit(data.data[train], labels[train])
                scores.setdefault(rival, []).append(
                    score(labels[test], model.predict(data.data[test]))
                )
            mine = chainrule(frame[train], frame[test], "target", seed)
            scores.setdefault("chainrule", []).append(mine)
        print(name)
        show(scores)


def show(scores: dict[str, list[float]]) -> None:
    """Mean and every score of each method."""
    for name, found in scores.items():
        each = " ".join(f"{one:.3f}" for one in found)
        print(f"  {name:28} {statistics.mean(found):8.4f}   {each}", flush=True)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=["houses", "small"])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    {"houses": houses, "small": small}[arguments.data](arguments.repeats)


if __name__ == "__main__":
    main()
