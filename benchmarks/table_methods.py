"""Methods for tables with their defaults: rows that train in, a score on rows that test out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from chainrule.tasks import load_predictor
from chainrule.tasks.predictions import PROBABILITY
from chainrule.tasks.tabular import TableOptions, train_table

#: Takes training rows, test rows, the target and a seed; returns probabilities of the classes in
#: sorted order, or numbers, for the test rows.
Method = Callable[[pl.DataFrame, pl.DataFrame, str, int], np.ndarray]


def is_classification(frame: pl.DataFrame, target: str) -> bool:
    """Whether the target is classes."""
    return bool(frame.schema[target] == pl.String)


def score(test: pl.DataFrame, target: str, found: np.ndarray) -> float:
    """R² of numbers, area under the ROC curve of two classes, accuracy of more."""
    truth = test[target].to_numpy()
    if not is_classification(test, target):
        return float(r2_score(truth, found))
    classes = np.unique(truth)
    if len(classes) == 2:
        return float(roc_auc_score(truth == classes[1], found[:, 1]))
    return float(accuracy_score(truth, classes[found.argmax(axis=1)]))


def chainrule(train: pl.DataFrame, test: pl.DataFrame, target: str, seed: int) -> np.ndarray:
    """Train with all defaults; the rows that test are named as such, so that all others train."""
    with tempfile.TemporaryDirectory() as folder:
        file, model = f"{folder}/test.parquet", f"{folder}/model.safetensors"
        test.write_parquet(file)
        options = TableOptions(target=target, seed=seed, test=file)
        train_table(train, options, progress=False).save(model)
        found = load_predictor(model).predict(test.drop(target), proba=True)
    classes = sorted(name for name in found.columns if name.startswith(PROBABILITY))
    return found.select(classes or "prediction").to_numpy().squeeze()


def prepared(train: pl.DataFrame, test: pl.DataFrame, target: str, impute: bool) -> tuple[Any, Any]:
    """Data frames of pandas: dates are day numbers, text is a category with a word for missing."""
    import pandas as pd

    both = pl.concat([train.drop(target), test.drop(target)])
    text = [name for name, dtype in both.schema.items() if dtype == pl.String]
    dates = [name for name, dtype in both.schema.items() if dtype.is_temporal()]
    both = both.with_columns(
        pl.col(text).fill_null("missing"),
        pl.col(dates).cast(pl.Date).to_physical(),
        pl.col(pl.Boolean).cast(pl.Int64),
    )
    both = both.with_columns(pl.exclude(text).cast(pl.Float64))
    if impute:
        median = train.select(pl.exclude(*text, *dates, target).median())
        both = both.with_columns(
            pl.col(name).fill_null(median[name][0])
            for name in median.columns
            if both[name].null_count()
        )
    table = pd.DataFrame({name: both[name].to_numpy() for name in both.columns})
    for name in text:
        table[name] = table[name].astype("category")
    return table.iloc[: train.height], table.iloc[train.height :]


def fitted(
    regressor: Callable[[int, list[str]], Any],
    classifier: Callable[[int, list[str]], Any],
    impute: bool = False,
) -> Method:
    """The method of a class for numbers and one for classes, as scikit-learn writes them.

    Args:
        regressor: a fresh model, of a seed and the names of the categories.
        classifier: likewise.
        impute: fill missing numbers with the median; the method takes none.
    """

    def run(train: pl.DataFrame, test: pl.DataFrame, target: str, seed: int) -> np.ndarray:
        x, z = prepared(train, test, target, impute)
        categories = [name for name in x.columns if x[name].dtype.name == "category"]
        y = train[target].to_numpy()
        if is_classification(train, target):
            return np.asarray(classifier(seed, categories).fit(x, y).predict_proba(z))
        return np.asarray(regressor(seed, categories).fit(x, y.astype(float)).predict(z))

    return run


def encoded(model: Any, categories: list[str]) -> Any:
    """Standardised numbers and one-hot encoded categories in front of a model."""
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("categories", encode, categories)], remainder=StandardScaler())
    return make_pipeline(columns, model)


def catboost() -> Method:
    """CatBoost with its defaults; it knows which columns are categories."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    def of(kind: Any) -> Callable[[int, list[str]], Any]:
        return lambda seed, categories: kind(
            random_seed=seed, verbose=0, thread_count=1, allow_writing_files=False,
            cat_features=categories,
        )  # fmt: skip

    return fitted(of(CatBoostRegressor), of(CatBoostClassifier))


def lightgbm() -> Method:
    """LightGBM with its defaults; it takes categories as such."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    def of(kind: Any) -> Callable[[int, list[str]], Any]:
        return lambda seed, categories: kind(random_state=seed, n_jobs=1, verbose=-1)

    return fitted(of(LGBMRegressor), of(LGBMClassifier))


def of_pytabkit(name: str) -> Method:
    """A network of pytabkit with its tuned defaults."""
    from pytabkit.models.sklearn import sklearn_interfaces

    def of(kind: str) -> Callable[[int, list[str]], Any]:
        model = getattr(sklearn_interfaces, f"{name}_{kind}")
        return lambda seed, categories: model(
            device="cpu", random_state=seed, n_threads=1, verbosity=0
        )

    return fitted(of("Regressor"), of("Classifier"), impute=True)


def boosting() -> Method:
    """Gradient boosting of scikit-learn."""
    return fitted(
        lambda seed, names: encoded(HistGradientBoostingRegressor(random_state=seed), names),
        lambda seed, names: encoded(HistGradientBoostingClassifier(random_state=seed), names),
    )


def mlp() -> Method:
    """The network of scikit-learn; the target is standardised."""

    def regressor(seed: int, names: list[str]) -> Any:
        network = MLPRegressor(random_state=seed)
        return TransformedTargetRegressor(encoded(network, names), transformer=StandardScaler())

    def classifier(seed: int, names: list[str]) -> Any:
        return encoded(MLPClassifier(random_state=seed), names)

    return fitted(regressor, classifier, impute=True)


#: Made when they are used: a peer that is not installed is no error before.
METHODS: dict[str, Callable[[], Method]] = {
    "chainrule": lambda: chainrule,
    "CatBoost": catboost,
    "LightGBM": lightgbm,
    "RealMLP": lambda: of_pytabkit("RealMLP_TD"),
    "TabM": lambda: of_pytabkit("TabM_D"),
    "HistGB": boosting,
    "MLP": mlp,
}
