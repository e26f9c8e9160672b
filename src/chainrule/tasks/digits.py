"""How many digits predictions deserve: those that the model's error and the target's own leave.

A number is rounded where the third digit of the mean absolute error is, and never finer than one
digit beyond those that the target has: of prices in whole dollars and an error of 68,412, hundreds
are left. That adds less than a hundred-thousandth to a squared error. A probability keeps three
significant digits of itself and of what is missing to 1, so that neither becomes 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..utils.typing import Array
from .evaluation import OF
from .predictions import PROBABILITY

if TYPE_CHECKING:
    import polars as pl

#: Digits of the error, and of probabilities, that are kept.
_KEPT = 3
#: Numbers are looked at for so many decimals.
_MOST_DECIMALS = 12
_ENOUGH_NUMBERS = 10_000
#: Integers below this are floats, too.
_EXACT = 2.0**53


def decimals_of(values: Array) -> int | None:
    """How many decimals these numbers are written with; None if it is as many as floats have.

    Example:
        >>> decimals_of(np.array([1.25, 3.0])), decimals_of(np.array([300.0, np.nan]))
        (2, 0)
        >>> decimals_of(np.array([1 / 3])) is None
        True
    """
    known = np.abs(values[np.isfinite(values)])[:_ENOUGH_NUMBERS]
    if not len(known):
        return None
    for decimals in range(_MOST_DECIMALS):
        if np.allclose(np.round(known, decimals), known, rtol=1e-12, atol=0):
            return decimals
    return None


def deserved(error: float, precision: int | None) -> int | None:
    """The decimals of a prediction; negative ones are zeros before the point. None for all.

    Args:
        error: the mean absolute one.
        precision: decimals of the target; None if that is not known.

    Example:
        >>> deserved(68412.0, 0), deserved(0.034, None), deserved(0.3, 0), deserved(0.0, 2)
        (-2, 4, 1, 3)
    """
    finest = None if precision is None else precision + 1
    if not (math.isfinite(error) and error > 0):
        return finest
    found = _KEPT - 1 - math.floor(math.log10(error))
    return found if finest is None else min(found, finest)


def deserved_by_column(report: Mapping[str, Any]) -> dict[str, int | None]:
    """The decimals of each column of numbers that a model predicts, by the report of its training.

    Example:
        >>> deserved_by_column({"task": "regression", "target": "rent", "metrics": {"mae": 21.0}})
        {'prediction': 1}
    """
    several = report.get("targets") or []
    quantiles = (report.get("options") or {}).get("quantiles") or ()
    found: dict[str, int | None] = {}
    for name in [each["target"] for each in several] or [report.get("target")]:
        error = (report.get("metrics") or {}).get(f"mae{OF}{name}" if several else "mae")
        if error is None:
            continue
        decimals = deserved(error, (report.get("precision") or {}).get(name))
        columns = [name if several else "prediction", *(f"{name}_{q:g}" for q in quantiles)]
        found |= dict.fromkeys(columns, decimals)
    return found


def with_digits(
    table: pl.DataFrame, numbers: Mapping[str, int | None], proba: bool, digits: int | None = None
) -> pl.DataFrame:
    """Predictions with the digits that they deserve, or with so many significant ones.

    Args:
        table: predictions, perhaps beside columns of the input, which stay as they are.
        numbers: the decimals of each column of numbers, see `deserved_by_column`.
        proba: whether there are probabilities.
        digits: significant digits instead.

    Example:
        >>> import polars as pl
        >>> rows = pl.DataFrame({"prediction": [1234.5678], "probability a": [0.99987654]})
        >>> with_digits(rows, {"prediction": -1}, True).row(0)
        (1230, 0.999877)
        >>> with_digits(rows, {"prediction": -1}, True, digits=2).row(0)
        (1200.0, 1.0)
    """
    import polars as pl

    changed = []
    for name in table.columns:
        values = table[name]
        if not values.dtype.is_float():
            continue
        if proba and name.startswith(PROBABILITY):
            x = values.to_numpy().astype(float)
            smaller = x if digits else np.minimum(x, 1 - x)
            found = _rounded(x, _last_digit(smaller, digits or _KEPT))
        elif name in numbers and digits is not None:
            x = values.to_numpy()
            found = _rounded(x, _last_digit(x, digits))
        elif (decimals := numbers.get(name)) is not None:
            found = _rounded(values.to_numpy(), np.full(len(values), decimals))
            if decimals <= 0 and (np.abs(found) < _EXACT).all():
                found = found.astype(np.int64)
        else:
            continue
        changed.append(pl.Series(name, found))
    return table.with_columns(changed)


def _last_digit(x: Array, digits: int) -> Array:
    """The decimal that is the last of so many significant digits."""
    size = np.abs(np.where(np.isfinite(x) & (x != 0), x, 1.0))
    return np.asarray(digits - 1 - np.floor(np.log10(np.maximum(size, 1e-15))).astype(int))


def _rounded(x: Array, decimals: Array) -> Array:
    """Each number to its own decimals."""
    found = np.array(x, dtype=float)
    for each in np.unique(decimals).tolist():
        rows = decimals == each
        found[rows] = np.round(found[rows], each)
    return found
