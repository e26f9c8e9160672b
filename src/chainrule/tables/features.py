"""Preprocessing as part of the graph: from encoded raw rows to the numbers that a network takes.

All statistics come from the training rows (`Schema.fit`) and are kept as buffers, so that a saved
model takes raw rows and cannot be fed with wrongly scaled ones. The arithmetic is done in
float64, as raw numbers may be large (times, prices); the result is float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data import Column, Encoded, Schema, Statistics
from ..nn import Module
from ..ops import (
    concatenate,
    cos,
    floor,
    isnan,
    maximum,
    minimum,
    one_hot,
    sin,
    take,
    where,
)
from ..tensor import Buffer, Tensor, parameter

#: Most categories that are one-hot encoded; columns with more get learned vectors.
_ONE_HOT_LIMIT = 128
#: Standardised numbers are cut off here: what lies further out says no more.
_FAR = 10.0
_DAY = 86_400.0
_YEAR = 365.2425


class NumericFeatures(Module):
    """Numbers: missing ones get the median and a sign of it; standardised; encoded piecewise.

    z = (x - mean) / std, and the piecewise-linear encoding of Gorishniy et al. (2022), "On
    embeddings for numerical features in tabular deep learning": for the quantiles b₀ < b₁ < … of
    the column eₜ = clip((x - bₜ₋₁) / (bₜ - bₜ₋₁), 0, 1), so that a linear layer on top is any
    piecewise-linear function of x.

    Args:
        columns: the columns, with statistics.
        bins: how many pieces at most; 0 leaves the encoding out.
    """

    def __init__(self, columns: Sequence[Column], bins: int) -> None:
        statistics = [_statistics(column) for column in columns]
        self.median = Buffer([s.median for s in statistics], "float64")
        self.mean = Buffer([s.mean for s in statistics], "float64")
        self.scale = Buffer([s.std or 1.0 for s in statistics], "float64")
        self._with_missing = [i for i, s in enumerate(statistics) if s.missing]
        column, lower, width = _pieces(statistics, bins)
        self._pieces = len(column)
        if self._pieces:
            self.column = Buffer(column, "int64")
            self.lower, self.width = Buffer(lower, "float64"), Buffer(width, "float64")

    def forward(self, x: Tensor) -> Tensor:
        """Columns (rows, n) float64 with NaN for missing → features (rows, f) float64."""
        missing = isnan(x)
        x = where(missing, self.median, x)
        parts = [_between((x - self.mean) / self.scale, -_FAR, _FAR)]
        if self._with_missing:
            parts.append(take(missing, self._with_missing, 1).astype("float64"))
        if self._pieces:
            # Each piece reads its own column, so that no column pays for another's many pieces.
            steps = (take(x, self.column, 1) - self.lower) / self.width
            parts.append(_between(steps, 0.0, 1.0))
        return concatenate(parts, axis=1)


def _statistics(column: Column) -> Statistics:
    assert column.statistics is not None, "the schema is fitted"
    return column.statistics


def _between(x: Tensor, low: float, high: float) -> Tensor:
    return minimum(maximum(x, low), high)


def _pieces(
    statistics: Sequence[Statistics], bins: int
) -> tuple[list[int], list[float], list[float]]:
    """For every piece of every column the number of the column, the lower edge and the width."""
    column: list[int] = []
    lower: list[float] = []
    width: list[float] = []
    for number, s in enumerate(statistics):
        edges = _edges(s, bins)
        if len(edges) > 2:  # one piece only would repeat the standardised number
            column += [number] * (len(edges) - 1)
            lower += edges[:-1]
            width += np.diff(edges).tolist()
    return column, lower, width


def _edges(s: Statistics, bins: int) -> list[float]:
    """At most bins + 1 of the column's quantiles, evenly chosen."""
    if bins == 0 or not s.quantiles:
        return []
    places = np.linspace(0, len(s.quantiles) - 1, min(bins + 1, len(s.quantiles)))
    return [s.quantiles[i] for i in np.unique(places.round().astype(int))]


class CategoryFeatures(Module):
    """Categories by number: one-hot for few, learned vectors for many; 0 is missing or unseen.

    Args:
        columns: the columns, with vocabularies.
        seed: the learned vectors start from it.
    """

    def __init__(self, columns: Sequence[Column], seed: int) -> None:
        self._codes = [column.codes for column in columns]
        generator = np.random.default_rng([seed, 7])
        self.vectors = [
            parameter(generator.normal(0, 0.1, (codes, embedding_width(codes))), "float32")
            if codes > _ONE_HOT_LIMIT
            else None
            for codes in self._codes
        ]

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (rows, m) int64 → features (rows, f) float32."""
        parts = []
        for i, (count, vectors) in enumerate(zip(self._codes, self.vectors, strict=True)):
            column = codes[:, i]
            # Code 0 is the zero vector: nothing is known of a category that was never seen.
            encoded = one_hot(column - 1, count - 1) if vectors is None else take(vectors, column)
            parts.append(encoded)
        return concatenate(parts, axis=1)


def embedding_width(codes: int) -> int:
    """Length of the learned vector of a category: grows slowly with their number.

    Example:
        >>> embedding_width(200), embedding_width(1001)
        (17, 32)
    """
    return min(round(2 * codes**0.4), 64)


class DateFeatures(Module):
    """Times: the trend, and the place in the year, in the week and in the day.

    The trend is standardised as a number; a cycle of length P is sin(2πt/P) and cos(2πt/P), so
    that its end meets its beginning.

    Args:
        columns: the columns, with statistics.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        statistics = [_statistics(column) for column in columns]
        self.median = Buffer([s.median for s in statistics], "float64")
        self.mean = Buffer([s.mean for s in statistics], "float64")
        self.scale = Buffer([s.std or 1.0 for s in statistics], "float64")

    def forward(self, seconds: Tensor) -> Tensor:
        """Seconds since 1970 (rows, d) float64 → features (rows, f) float64."""
        missing = isnan(seconds)
        seconds = where(missing, self.median, seconds)
        days = seconds / _DAY
        parts = [(seconds - self.mean) / self.scale, missing.astype("float64")]
        for position in (days / _YEAR, floor(days) / 7.0, days - floor(days)):
            angle = 2 * math.pi * (position - floor(position))
            parts += [sin(angle), cos(angle)]
        return concatenate(parts, axis=1)


class TableFeatures(Module):
    """All columns of a schema as one row of float32 features.

    Args:
        schema: fitted on the training rows.
        bins: pieces of the piecewise-linear encoding of numbers.
        seed: for the learned vectors of categories.
    """

    def __init__(self, schema: Schema, bins: int, seed: int = 0) -> None:
        self.groups: dict[str, Module] = {}
        if schema.numeric:
            self.groups["numeric"] = NumericFeatures(schema.numeric, bins)
        if schema.category:
            self.groups["category"] = CategoryFeatures(schema.category, seed)
        if schema.date:
            self.groups["date"] = DateFeatures(schema.date)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encoded columns by kind (see `columns_by_kind`) → features (rows, f) float32."""
        parts = [encode(inputs[kind]).astype("float32") for kind, encode in self.groups.items()]
        return concatenate(parts, axis=1)


def columns_by_kind(rows: Encoded) -> dict[str, np.ndarray[Any, Any]]:
    """The encoded columns of each kind that there is: what the network takes."""
    groups = {"numeric": rows.numeric, "category": rows.category, "date": rows.date}
    return {kind: columns for kind, columns in groups.items() if columns.shape[1]}
