"""Predictions as a table, alike for every kind of data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..utils.typing import Array

if TYPE_CHECKING:
    import polars as pl

#: What the column of a class's probability is called, before the class.
PROBABILITY = "probability "


def predictions(
    found: Array, classes: Sequence[str], proba: bool, target: str = ""
) -> pl.DataFrame:
    """What a model says, as the columns ``prediction`` and, if wanted, ``probability`` of a class.

    Args:
        found: (rows,) numbers, or (rows, classes) probabilities.
        classes: their names; empty for numbers.
        proba: the probability of each class, too.
        target: its name, where there are several: the columns are called by it.

    Example:
        >>> import numpy as np
        >>> told = predictions(np.array([[0.2, 0.8]]), ("cat", "dog"), proba=True)
        >>> told.to_dicts()
        [{'prediction': 'dog', 'probability cat': 0.2, 'probability dog': 0.8}]
    """
    import polars as pl

    name, of = target or "prediction", f"{target} " * bool(target)
    if not classes:
        return pl.DataFrame({name: found})
    best = [classes[i] for i in found.argmax(axis=1)]
    columns: dict[str, Any] = {name: pl.Series(best, dtype=pl.String)}
    if proba:
        columns |= {f"{PROBABILITY}{of}{label}": found[:, i] for i, label in enumerate(classes)}
    return pl.DataFrame(columns)
