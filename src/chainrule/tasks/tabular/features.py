"""Preprocessing as part of the graph: from encoded raw rows to the numbers that a network takes.

All statistics come from the training rows (`Schema.fit`) and are kept as buffers, so that a saved
model takes raw rows and cannot be fed with wrongly scaled ones. The arithmetic is done in
float64, as raw numbers may be large (times, prices); the result is float32.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from ...data import Column, Encoded, Schema, Statistics
from ...data.picture_columns import CHANNELS
from ...data.text_columns import MISSING_TEXT, SPECIAL
from ...engine.ops import (
    clip,
    concatenate,
    cos,
    floor,
    isnan,
    log,
    maximum,
    mean,
    minimum,
    one_hot,
    relu,
    searchsorted,
    sin,
    sqrt,
    stack,
    take,
    where,
)
from ...engine.ops import sum as total
from ...engine.tensor import Buffer, Tensor, as_tensor, parameter
from ...nn import Conv2d, Module
from ...utils.random import generator
from ...utils.typing import Array

#: The kinds of columns, as `Encoded` has them.
KINDS = ("numeric", "category", "date", "text", "image")
#: ln(1 + n) of usual numbers of words is about this.
_LOG_WORDS = 3.0
#: A feature: the column, and what it tells of it.
Label = tuple[Any, ...]
#: Most categories that are one-hot encoded; columns with more get learned vectors.
ONE_HOT_LIMIT = 128
#: Standardised numbers are cut off here: what lies further out says no more.
_FAR = 10.0
#: A value so many times the distance of the quartiles away from the median is far out.
_HEAVY = 5.0
_ENOUGH_QUANTILES = 10
#: Pieces of such a column, if the others have none; in fewer rows than this they learn noise.
_HEAVY_PIECES, _ENOUGH_ROWS = 64, 1_000
#: Channels of the convolutions of a picture; the last are its features.
_PICTURE_CHANNELS = (16, 32, 32)
PICTURE_WIDTH = _PICTURE_CHANNELS[-1]
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
        ranks: encode columns with heavy tails by their place in the distribution, too: as normal
            scores, and in pieces.
    """

    def __init__(self, columns: Sequence[Column], bins: int, ranks: bool = False) -> None:
        statistics = [_statistics(column) for column in columns]
        self._names = [column.name for column in columns]
        self.median = Buffer([s.median for s in statistics], "float64")
        self.mean = Buffer([s.mean for s in statistics], "float64")
        self.scale = Buffer([s.std or 1.0 for s in statistics], "float64")
        self._with_missing = [i for i, s in enumerate(statistics) if s.missing]
        self._ranked = [i for i, s in enumerate(statistics) if ranks and has_heavy_tails(s)]
        scores = [_normal_scores(statistics[i].quantiles) for i in self._ranked]
        self._scores = _Curves(scores) if scores else None
        enough = [i for i in self._ranked if statistics[i].count >= _ENOUGH_ROWS]
        more = dict.fromkeys(enough, _HEAVY_PIECES)
        edges = [_edges(s, max(bins, more.get(i, 0))) for i, s in enumerate(statistics)]
        # One piece only would repeat the standardised number.
        self._edges = {i: np.array(found) for i, found in enumerate(edges) if len(found) > 2}
        pieces = [len(found) - 1 for found in self._edges.values()]
        #: The number of each column's first piece among all pieces, and how many there are.
        self.starts = [sum(pieces[:i]) for i in range(len(pieces))]
        self.pieces = sum(pieces)
        if self.pieces:
            self.column = Buffer(np.repeat(list(self._edges), pieces), "int64")
            lower = np.concatenate([found[:-1] for found in self._edges.values()])
            width = np.concatenate([np.diff(found) for found in self._edges.values()])
            self.lower, self.width = Buffer(lower, "float64"), Buffer(width, "float64")

    def forward(self, x: Tensor) -> Tensor:
        """Columns (rows, n) float64 with NaN for missing → features (rows, f) float64."""
        parts = [self.plain(x)]
        if self.pieces:
            # Each piece reads its own column, so that no column pays for another's many pieces.
            steps = (take(self._known(x), self.column, 1) - self.lower) / self.width
            parts.append(_between(steps, 0.0, 1.0))
        return concatenate(parts, axis=1)

    def plain(self, x: Tensor) -> Tensor:
        """The features without the pieces."""
        known = self._known(x)
        parts = [_between((known - self.mean) / self.scale, -_FAR, _FAR)]
        if self._scores is not None:
            parts.append(self._scores(take(known, self._ranked, 1)))
        if self._with_missing:
            parts.append(take(isnan(x), self._with_missing, 1).astype("float64"))
        return concatenate(parts, axis=1)

    def places(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The encoding in short: the piece t that each number is in, and how far, 0 to 1.

        All pieces of the column before t are 1, all after it 0. Both (rows, columns with pieces).
        """
        x = self._known(x)
        found = []
        for start, (column, edges) in zip(self.starts, self._edges.items(), strict=True):
            piece = searchsorted(edges, x[:, column], "right") - 1
            found.append(start + clip(piece, 0, len(edges) - 2))
        piece = stack(found, 1)
        x = take(x, list(self._edges), 1)
        fraction = (x - take(self.lower, piece)) / take(self.width, piece)
        return piece, _between(fraction, 0.0, 1.0)

    def _known(self, x: Tensor) -> Tensor:
        return where(isnan(x), self.median, x)

    def plain_labels(self) -> list[Label]:
        """What each feature without the pieces is."""
        standardised = [(name, "standardised") for name in self._names]
        ranked = [(self._names[i], "normal score") for i in self._ranked]
        missing = [(self._names[i], "missing") for i in self._with_missing]
        return [*standardised, *ranked, *missing]

    def piece_labels(self) -> list[Label]:
        """What each piece is: the column, and from where to where."""
        return [
            (self._names[i], "piece", *ends)
            for i, edges in self._edges.items()
            for ends in itertools.pairwise(edges.tolist())
        ]


def _statistics(column: Column) -> Statistics:
    assert column.statistics is not None, "the schema is fitted"
    return column.statistics


def _between(x: Tensor, low: float, high: float) -> Tensor:
    return minimum(maximum(x, low), high)


def has_heavy_tails(s: Statistics) -> bool:
    """Whether some values lie so far out that standardised ones say little of the others.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(-2, 2, 999)
        >>> has_heavy_tails(Statistics.of(x)), has_heavy_tails(Statistics.of(np.exp(3 * x)))
        (False, True)
    """
    middle = s.upper_quartile - s.lower_quartile
    reach = max(s.maximum - s.median, s.median - s.minimum)
    return len(s.quantiles) >= _ENOUGH_QUANTILES and reach > _HEAVY * middle > 0


def _normal_scores(quantiles: Sequence[float]) -> tuple[Array, Array]:
    """Where a normal distribution has the places of these quantiles."""
    count = len(quantiles)
    places = (np.arange(count) + 0.5) / count
    normal = NormalDist()
    return np.array(quantiles), np.array([normal.inv_cdf(place) for place in places])


class _Curves:
    """A function of each column: linear between points, constant outside of them.

    Args:
        curves: for each column the places of its points, and the values there.
    """

    def __init__(self, curves: Sequence[tuple[Array, Array]]) -> None:
        self._places = [at for at, _ in curves]
        pieces = np.array([len(at) - 1 for at in self._places])
        #: Of each column its last piece, and the number of its first among the pieces of all.
        self._last, self._first = pieces - 1, np.cumsum(pieces) - pieces
        self._low = np.concatenate([at[:-1] for at in self._places])
        self._width = np.concatenate([np.diff(at) for at in self._places])
        self._value = np.concatenate([values[:-1] for _, values in curves])
        self._rise = np.concatenate([np.diff(values) for _, values in curves])

    def __call__(self, x: Tensor) -> Tensor:
        """The values at x, both (rows, columns): only the piece is found column by column."""
        found = [searchsorted(at, x[:, i], "right") for i, at in enumerate(self._places)]
        piece = minimum(maximum(stack(found, 1) - 1, 0), self._last) + self._first
        step = _between((x - take(self._low, piece)) / take(self._width, piece), 0.0, 1.0)
        return take(self._value, piece) + step * take(self._rise, piece)


def _edges(s: Statistics, bins: int) -> list[float]:
    """At most bins + 1 of the column's quantiles, evenly chosen."""
    if bins == 0 or not s.quantiles:
        return []
    places = np.linspace(0, len(s.quantiles) - 1, min(bins + 1, len(s.quantiles)))
    return [s.quantiles[i] for i in np.unique(places.round().astype(int))]


class CategoryVectors(Module):
    """Learned vectors of categories by number.

    Args:
        codes: for each column how many numbers there are.
        seed: the vectors start from it.
    """

    def __init__(self, codes: Sequence[int], seed: int) -> None:
        rng = generator(seed, "category vectors")
        self.vectors = [
            parameter(rng.normal(0, 0.1, (n, embedding_width(n))), "float32") for n in codes
        ]

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (rows, m) int64 → features (rows, f) float32."""
        parts = [take(vectors, codes[:, i]) for i, vectors in enumerate(self.vectors)]
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
        self._names = [column.name for column in columns]
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

    def labels(self) -> list[Label]:
        """What each feature is."""
        waves = [f"{wave} of the {t}" for t in ("year", "week", "day") for wave in ("sin", "cos")]
        return [(name, what) for what in ("trend", "missing", *waves) for name in self._names]


class TextFeatures(Module):
    """Free text: which known words and pairs of words a cell has, weighted by TF-IDF.

    The weights ln((1 + n) / (1 + df)) + 1 of the words of a cell are brought to the norm 1. How
    many there are, and whether the text is missing, are numbers besides.

    Args:
        columns: the columns, with their vocabularies.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = tuple(columns)
        idf: list[Array] = []
        for column in columns:
            rows = _statistics(column).count
            known = np.log((1 + rows) / (1 + np.array(column.frequencies))) + 1
            idf.append(np.concatenate([np.zeros(SPECIAL), known]))
        self.idf = Buffer(np.concatenate(idf), "float32")
        #: How many numbers there are, over all columns.
        self.vocabulary = sum(len(part) for part in idf)
        firsts = itertools.accumulate((len(part) for part in idf[:-1]), initial=0)
        self._firsts = np.repeat([*firsts], [column.longest for column in columns])

    def forward(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers (rows, t) → the same over all columns, their weights, and (rows, f) numbers."""
        numbers = as_tensor(numbers)
        counted = numbers + self._firsts
        known = take(self.idf, counted)
        weights, others, start = [], [], 0
        for column in self._columns:
            part = slice(start, start + column.longest)
            idf, start = known[:, part], part.stop
            norm = sqrt(maximum(total(idf * idf, 1, keepdims=True), 1e-12))
            weights.append(idf / norm)
            size = total((idf > 0).astype("float32"), 1, keepdims=True)
            missing = numbers[:, part.start : part.start + 1] == MISSING_TEXT
            others += [log(1 + size) / _LOG_WORDS, missing.astype("float32")]
        return counted, concatenate(weights, 1), concatenate(others, 1)

    def number_labels(self) -> list[Label]:
        """What the numbers are."""
        return [(column.name, what) for column in self._columns for what in ("words", "missing")]

    def labels(self) -> list[Label]:
        """What each of the words of all columns is."""
        special = [("special", number) for number in range(SPECIAL)]
        return [
            (column.name, *label)
            for column in self._columns
            for label in [*special, *(("has", part) for part in column.vocabulary)]
        ]


class PictureVectors(Module):
    """Learned vectors of pictures: for each column three convolutions and a mean over the place.

    Args:
        columns: how many there are.
    """

    def __init__(self, columns: int) -> None:
        self.encoders = [
            [
                Conv2d(before, after, 3, stride=2, padding=1, init="he_normal")
                for before, after in itertools.pairwise((CHANNELS, *_PICTURE_CHANNELS))
            ]
            for _ in range(columns)
        ]

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (rows, columns, height, width, 4) → features (rows, f) float32."""
        found = []
        for i, layers in enumerate(self.encoders):
            pixels = pictures[:, i] / 255.0
            there = pixels[..., 3:]
            x = concatenate([(2 * pixels[..., :3] - 1) * there, there], axis=3)
            for layer in layers:
                x = relu(layer(x))
            found.append(mean(x, axis=(1, 2)))
        return concatenate(found, axis=1)


class TableFeatures(Module):
    """All columns of a schema as numbers for a network; nothing in it is learned.

    Args:
        schema: fitted on the training rows.
        bins: pieces of the piecewise-linear encoding of numbers.
        short: give pieces and categories by their numbers, without their many zeros and ones.
        ranks: see `NumericFeatures`.
    """

    def __init__(self, schema: Schema, bins: int, short: bool = False, ranks: bool = False) -> None:
        columns = schema.numeric
        self.numeric = NumericFeatures(columns, bins, ranks) if columns else None
        self.date = DateFeatures(schema.date) if schema.date else None
        if schema.text:
            self.text = TextFeatures(schema.text)
        self.has_text = bool(schema.text)
        self._pictures = schema.image
        #: The kinds of columns that there are.
        self.kinds = [kind for kind in KINDS if getattr(schema, kind)]
        self._category = schema.category
        counts = [column.codes for column in schema.category]
        self._one_hot = {i: n for i, n in enumerate(counts) if n <= ONE_HOT_LIMIT}
        self._learned = {i: n for i, n in enumerate(counts) if n > ONE_HOT_LIMIT}
        self.short = short and self.numeric is not None and self.numeric.pieces > 0

    @property
    def pictures(self) -> int:
        """How many columns of pictures there are."""
        return len(self._pictures)

    @property
    def learned(self) -> list[int]:
        """For each column that needs learned vectors how many categories it has."""
        return list(self._learned.values())

    @property
    def categories(self) -> int:
        """How many categories are encoded by a one at their place."""
        return sum(n - 1 for n in self._one_hot.values())

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Encoded columns by kind (see `columns_by_kind`) → what a network takes.

        Returns:
            ``numbers``: (rows, f) float32; ``codes``: (rows, m) int64 of the columns that need
            learned vectors; if short, with k the columns with pieces and c the other categories,
            ``pieces`` and ``shares``: (rows, k), see `NumericFeatures.places`; ``categories``:
            (rows, c) int64, all columns' categories counted through, and ``known``: (rows, c) 1, or
            0 for one that was never seen; ``words`` and ``word_weights``: (rows, t), see
            `TextFeatures`; ``pictures`` as they are. What there is none of is left out.
        """
        found: dict[str, Tensor] = {}
        parts = []
        if self.numeric is not None:
            x = inputs["numeric"]
            parts.append(self.numeric.plain(x) if self.short else self.numeric(x))
            if self.short:
                found["pieces"], fraction = self.numeric.places(x)
                found["shares"] = fraction.astype("float32")
        if self._one_hot:
            codes = take(inputs["category"], list(self._one_hot), 1) - 1
            if self.short:
                ends = np.cumsum([n - 1 for n in self._one_hot.values()])
                firsts = [0, *map(int, ends[:-1])]
                found["categories"] = maximum(codes, 0) + np.array(firsts)
                found["known"] = (codes >= 0).astype("float32")
            else:
                # Code 0 is the zero vector: nothing is known of a category that was never seen.
                for i, n in enumerate(self._one_hot.values()):
                    parts.append(one_hot(codes[:, i], n - 1))
        if self._learned:
            found["codes"] = take(inputs["category"], list(self._learned), 1)
        if self.date is not None:
            parts.append(self.date(inputs["date"]))
        if self.has_text:
            found["words"], found["word_weights"], others = self.text(inputs["text"])
            parts.append(others)
        if self._pictures:
            found["pictures"] = as_tensor(inputs["image"])
        if parts:
            numbers = [part.astype("float32") for part in parts]
            found["numbers"] = concatenate(numbers, axis=1)
        return found

    def labels(self) -> dict[str, list[Label]]:
        """What each feature is, by what `forward` gives; learned vectors are among the numbers."""
        categories = [
            (self._category[i].name, "is", name)
            for i in self._one_hot
            for name in code_names(self._category[i])[1:]
        ]
        numbers = [] if self.numeric is None else self.numeric.plain_labels()
        pieces = [] if self.numeric is None else self.numeric.piece_labels()
        numbers += [] if self.short else [*pieces, *categories]
        numbers += [] if self.date is None else self.date.labels()
        numbers += self.text.number_labels() if self.has_text else []
        numbers += [
            (self._category[i].name, "vector", place)
            for i, codes in self._learned.items()
            for place in range(embedding_width(codes))
        ]
        numbers += [
            (column.name, "picture", place)
            for column in self._pictures
            for place in range(PICTURE_WIDTH)
        ]
        found = {"numbers": numbers}
        found |= {"pieces": pieces, "categories": categories} if self.short else {}
        return found | ({"words": self.text.labels()} if self.has_text else {})


def code_names(column: Column) -> list[str | None]:
    """The category of each code of a column: None if missing or not seen, "" for all others."""
    return [None, *column.vocabulary, *([""] if column.has_other else [])]


def side_by_side(
    given: dict[str, Tensor], vectors: CategoryVectors | None, pictures: PictureVectors | None
) -> Tensor:
    """The numbers that `TableFeatures` gives, and the learned vectors: (rows, f) float32."""
    parts = [given["numbers"]] if "numbers" in given else []
    parts += [] if vectors is None else [vectors(given["codes"])]
    parts += [] if pictures is None else [pictures(given["pictures"])]
    return concatenate(parts, axis=1)


def columns_by_kind(rows: Encoded) -> dict[str, Array]:
    """The encoded columns of each kind that there is: what the network takes."""
    groups = {kind: getattr(rows, kind) for kind in KINDS}
    return {kind: columns for kind, columns in groups.items() if columns.shape[1]}


def _picture_shape(schema: Schema) -> tuple[int, ...]:
    """Of a picture; nothing where there are none."""
    return next(((c.size, c.size, CHANNELS) for c in schema.image), ())


def blank_rows(schema: Schema, rows: int) -> dict[str, Array]:
    """Rows of zeros of each kind of columns that there is."""
    width = sum(column.longest for column in schema.text)
    return columns_by_kind(
        Encoded(
            np.zeros((rows, len(schema.numeric))),
            np.zeros((rows, len(schema.category)), np.int64),
            np.zeros((rows, len(schema.date))),
            None,
            np.arange(rows),
            text=np.zeros((rows, width), np.int64),
            image=np.zeros((rows, len(schema.image), *_picture_shape(schema)), np.float32),
        )
    )
