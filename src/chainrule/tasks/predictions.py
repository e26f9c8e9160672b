"""Predictions as a table, alike for every kind of data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..utils.typing import Array

if TYPE_CHECKING:
    import polars as pl

#: What the column of a class's probability is called, before the class.
PROBABILITY = "probability "


def predictions(found: Array, classes: Sequence[str], proba: bool) -> pl.DataFrame:
    """What a model says, as the columns ``prediction`` and, if wanted, ``probability`` of a class.

    Args:
        found: (rows,) numbers, or (rows, classes) probabilities.
        classes: their names; empty for numbers.
        proba: the probability of each class, too.

    Example:
        >>> import numpy as np
        >>> told = predictions(np.array([[0.2, 0.8]]), ("cat", "dog"), proba=True)
        >>> told.to_dicts()
        [{'prediction': 'dog', 'probability cat': 0.2, 'probability dog': 0.8}]
    """
    import polars as pl

    if not classes:
        return pl.DataFrame({"prediction": found})
    best = [classes[i] for i in found.argmax(axis=1)]
    columns: dict[str, Any] = {"prediction": pl.Series(best, dtype=pl.String)}
    if proba:
        columns |= {PROBABILITY + name: found[:, i] for i, name in enumerate(classes)}
    return pl.DataFrame(columns)
