"""What is known of a column: what it means, how its cells are read, how its values are spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .json_dataclass import later
from .parsing import Notation

Kind = Literal["numeric", "boolean", "category", "date", "text", "image"]
DropKind = Literal["identifier", "text", "constant", "missing", "nested", "requested"]
Task = Literal["regression", "binary", "multiclass"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Statistics:
    """The distribution of a column over its finite values; zeros if there are none.

    `std` divides by the number of values, `skewness` is Fisher's (0 if `std` is 0), quantiles
    interpolate linearly. Booleans are counted as 0 and 1, dates as seconds since 1970-01-01 UTC.
    Of categories there are only the counts.
    """

    count: int
    missing: int
    distinct: int
    mean: float = 0.0
    std: float = 0.0
    skewness: float = 0.0
    minimum: float = 0.0
    lower_quartile: float = 0.0
    median: float = 0.0
    upper_quartile: float = 0.0
    maximum: float = 0.0
    quantiles: tuple[float, ...] = ()
    """The quantiles at 0, 1/64, …, 1 without repetitions, ascending."""

    @staticmethod
    def of(values: Floats) -> Statistics:
        """Statistics of values, NaN where missing.

        Example:
            >>> s = Statistics.of(np.array([1.0, 2.0, 3.0, np.nan]))
            >>> s.count, s.missing, s.mean, s.median, s.maximum
            (3, 1, 2.0, 2.0, 3.0)
        """
        finite = values[np.isfinite(values)]
        missing = len(values) - len(finite)
        if not len(finite):
            return Statistics(0, missing, 0)
        # Scaled to at most 1, so that no square of a large value overflows.
        scale = float(np.abs(finite).max()) or 1.0
        scaled = finite / scale
        mean = scaled.mean()
        deviations = scaled - mean
        distinct = np.unique(finite)
        std = float(np.sqrt((deviations**2).mean())) if len(distinct) > 1 else 0.0
        skewness = float(((deviations / std) ** 3).mean()) if std > 0 else 0.0
        quantiles = np.quantile(scaled, np.arange(65) / 64) * scale
        # Scaling may have moved them by a rounding error.
        quantiles = np.clip(quantiles, distinct[0], distinct[-1])
        quantiles[0], quantiles[-1] = distinct[0], distinct[-1]
        return Statistics(
            count=len(finite),
            missing=missing,
            distinct=len(distinct),
            mean=float(mean * scale),
            std=std * scale,
            skewness=skewness,
            minimum=float(quantiles[0]),
            lower_quartile=float(quantiles[16]),
            median=float(quantiles[32]),
            upper_quartile=float(quantiles[48]),
            maximum=float(quantiles[64]),
            quantiles=tuple(np.unique(quantiles).tolist()),
        )


@dataclass(frozen=True)
class Column:
    """A column that the model uses.

    `notation` and `date_format` say how its text is read; None if training data were not text (text
    is then read as it presents itself). `vocabulary` and `statistics` come from `Schema.fit`.
    """

    name: str
    kind: Kind
    reason: str
    notation: Notation | None = None
    date_format: str | None = None
    vocabulary: tuple[str, ...] = ()
    """The categories, the most frequent first: ``vocabulary[0]`` has code 1, as 0 is missing."""
    has_other: bool = False
    """Rarer categories share the code ``len(vocabulary) + 1``, and so do unseen ones."""
    statistics: Statistics | None = None
    missing: tuple[str, ...] | None = later(None)
    """The words that mean a missing value, in lower case; those of `parsing.WORDS` if None."""
    unread: tuple[str, ...] = later(())
    """Cells that were no values of this kind in training, and so are missing, as `parsing.shape`
    writes them; ``("*",)`` if they were too many to list."""
    unit: str | None = later(None)
    """What stands behind its numbers: a family of `parsing.UNITS`, or a word of its own."""
    signs: tuple[str, ...] | None = later(None)
    """The currency and percent signs at its numbers in training; None if nobody looked."""
    integers: bool = later(False)
    """Are all its numbers integers in training?"""
    frequencies: tuple[int, ...] = later(())
    """Of free text: how many training rows have each part of the vocabulary."""
    longest: int = later(0)
    """Of free text: so many parts of a cell are seen."""
    size: int = later(0)
    """Of pictures: pixels of a side."""

    @property
    def in_words(self) -> bool:
        """Are its cells words: names of categories or files, or texts?"""
        return self.kind in ("category", "text", "image")

    @property
    def codes(self) -> int:
        """How many codes a category column has: missing, the vocabulary, and perhaps *other*.

        Example:
            >>> Column("city", "category", "text", vocabulary=("Rome", "Oslo")).codes
            3
        """
        return 1 + len(self.vocabulary) + self.has_other


@dataclass(frozen=True)
class Dropped:
    """A column that is left out, and why."""

    name: str
    kind: DropKind
    reason: str


@dataclass(frozen=True)
class Threshold:
    """From which probability on a row is taken for a class, instead of from a half on."""

    positive: str
    """The class."""
    value: float
    metric: str
    """What it was chosen for."""


@dataclass(frozen=True)
class Target:
    """The column to predict. `classes` are in the order of their indices; empty for regression."""

    name: str
    task: Task
    reason: str
    notation: Notation | None = None
    classes: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()
    """Rows of each class in the training part; from `Schema.fit`."""
    statistics: Statistics | None = None
    """Of a regression's target in the training part; from `Schema.fit`."""
    quantiles: tuple[float, ...] = later(())
    """Levels of the quantiles that are predicted besides, ascending; of a regression only."""
    missing: tuple[str, ...] | None = later(None)
    """As of a `Column`, and so are the rest."""
    unread: tuple[str, ...] = later(())
    unit: str | None = later(None)
    signs: tuple[str, ...] | None = later(None)
    integers: bool = later(False)
    threshold: Threshold | None = later(None)  # noqa: RUF009
    """Of two classes, where a threshold was chosen."""

    @property
    def column(self) -> Column:
        """It as a column of numbers, to be read like one."""
        return Column(
            self.name, "numeric", self.reason, self.notation, missing=self.missing,
            unread=self.unread, unit=self.unit, signs=self.signs, integers=self.integers,
        )  # fmt: skip
