"""What a network on a table must beat to be worth anything: a linear model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...data import Encoded, Schema
from ...utils.typing import Array
from ..linear_baseline import linear_predictions
from .features import CategoryVectors, PictureVectors, TableFeatures, columns_by_kind, side_by_side
from .targets import columns_of

#: Free texts of so many numbers in all are too much for the linear model, which leaves them out.
_NUMBERS = 2**25


def linear_baseline(schema: Schema, train: Encoded, test: Encoded) -> Array:
    """Ridge regression, or logistic regression, on standardised and one-hot encoded columns.

    Of several targets there is one for each, on the rows that have it.
    """
    encode = plain_features(schema)
    assert train.target is not None
    x, z = encode(train), encode(test)
    return columns_of(
        schema.targets,
        train.target,
        lambda own, target, known: linear_predictions(
            x[known],
            own,
            z,
            len(target.classes),
            None if train.weights is None else train.weights[known],
        ),
    )


def plain_features(schema: Schema) -> Callable[[Encoded], Array]:
    """Makes (rows, features) of encoded rows: standardised and one-hot encoded columns, TF-IDF."""
    features = TableFeatures(schema, bins=0)
    # Many categories and pictures by vectors that are not learned here: random projections.
    vectors = CategoryVectors(features.learned, seed=0) if features.learned else None
    pictures = PictureVectors(features.pictures).initialize(0) if features.pictures else None

    def encode(rows: Encoded) -> Array:
        given = features(columns_by_kind(rows))
        x = side_by_side(given, vectors, pictures).numpy()
        if not features.has_text or len(rows) * features.text.vocabulary > _NUMBERS:
            return x
        words, weights = (given[name].numpy() for name in ("words", "word_weights"))
        known = np.zeros((len(rows), features.text.vocabulary), np.float32)
        np.add.at(known, (np.arange(len(rows))[:, None], words), weights)
        return np.concatenate([x, known], axis=1)

    return encode
