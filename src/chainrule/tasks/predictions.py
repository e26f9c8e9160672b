"""Predictions as a table, alike for every kind of data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..data.schema import check_present
from ..utils.typing import Array

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

#: What the column of a class's probability is called, before the class.
PROBABILITY = "probability "


def predictions(
    found: Array,
    classes: Sequence[str],
    proba: bool,
    target: str = "",
    best: Array | None = None,
) -> pl.DataFrame:
    """What a model says, as the columns ``prediction`` and, if wanted, ``probability`` of a class.

    Args:
        found: (rows,) numbers, or (rows, classes) probabilities.
        classes: their names; empty for numbers.
        proba: the probability of each class, too.
        target: its name, where there are several: the columns are called by it.
        best: (rows,) the class indices that are predicted; the most probable ones without.

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
    labels = [classes[i] for i in (found.argmax(axis=1) if best is None else best)]
    columns: dict[str, Any] = {name: pl.Series(labels, dtype=pl.String)}
    if proba:
        columns |= {f"{PROBABILITY}{of}{label}": found[:, i] for i, label in enumerate(classes)}
    return pl.DataFrame(columns)


#: Stands for all columns in ``--keep``.
ALL = "all"


def kept_names(keep: Sequence[str], columns: Sequence[str], source: str) -> list[str]:
    """The columns of the input that are to stand beside the predictions, each once.

    Args:
        keep: their names; ``all`` stands for every column, unless one is called that.
        columns: of the input.
        source: its name in messages.

    Raises:
        DataError: there is no such column; it names those that look like it.

    Example:
        >>> kept_names(["b", "a"], ["a", "b", "c"], "t"), kept_names(["all"], ["a", "b"], "t")
        (['b', 'a'], ['a', 'b'])
    """
    if list(keep) == [ALL] and ALL not in columns:
        return list(columns)
    check_present(keep, columns, source)
    return list(dict.fromkeys(keep))


def beside(
    kept: pl.DataFrame, found: pl.DataFrame, say: Say = lambda sentence: None
) -> pl.DataFrame:
    """Columns of the input and predictions, row by row; of equal names the input's is changed.

    Example:
        >>> import polars as pl
        >>> rows = pl.DataFrame({"id": [7], "prediction": [1]})
        >>> beside(rows, pl.DataFrame({"prediction": [2]}), print).to_dicts()
        the column 'prediction' of the input is called 'prediction (input)' beside the predictions
        [{'id': 7, 'prediction (input)': 1, 'prediction': 2}]
    """
    names: dict[str, str] = {}
    for name in kept.columns:
        new = name
        while new in found.columns or (new != name and new in kept.columns):
            new = f"{new} (input)"
        if new != name:
            say(f"the column {name!r} of the input is called {new!r} beside the predictions")
        names[name] = new
    return kept.rename(names).hstack(found)
