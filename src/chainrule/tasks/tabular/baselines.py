"""What a network on a table must beat to be worth anything: a linear model."""

from __future__ import annotations

from ...data import Encoded, Schema
from ...utils.typing import Array
from ..linear_baseline import linear_predictions
from .features import CategoryVectors, TableFeatures, columns_by_kind, side_by_side


def linear_baseline(schema: Schema, train: Encoded, test: Encoded, classes: int) -> Array:
    """Ridge regression, or logistic regression, on standardised and one-hot encoded columns."""
    features = TableFeatures(schema, bins=0)
    # Many categories by vectors that are not learned here: a random projection of them.
    vectors = CategoryVectors(features.learned, seed=0) if features.learned else None

    def encode(rows: Encoded) -> Array:
        return side_by_side(features(columns_by_kind(rows)), vectors).numpy()

    assert train.target is not None
    return linear_predictions(encode(train), train.target, encode(test), classes)
