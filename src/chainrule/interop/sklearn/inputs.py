"""What estimators are given: plain numbers as they are, all else as a table of columns."""

from __future__ import annotations

import datetime
import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from ...data import read_table
from ...data.table import is_missing
from ...utils.typing import Array

if TYPE_CHECKING:
    import polars as pl

#: A sparse matrix is written out; more numbers than this do not go into memory with the rest.
_MOST_NUMBERS = 2**28
#: What cells of an array of objects may be, if they are not all numbers.
_CELLS = (str, numbers.Number, np.generic, datetime.date, datetime.timedelta)


def is_frame(X: Any) -> bool:
    """Is it a data frame, of pandas, polars or whatever speaks Arrow?"""
    return hasattr(X, "columns") and (
        hasattr(X, "iloc") or hasattr(X, "__arrow_c_stream__") or hasattr(X, "get_columns")
    )


def validated(
    estimator: Any, X: Any, *, reset: bool, as_table: bool | None = None
) -> tuple[Array | None, pl.DataFrame | None]:
    """The features of a call, checked as scikit-learn does it: an array, or a table.

    Args:
        estimator: whose names and number of features are set or compared.
        X: what it was given.
        reset: in a training; otherwise names and number must be those of it.
        as_table: what the training had; found out in a training.

    Returns:
        float64 (rows, features) with NaN where missing, or a data frame; the other one is None.

    Raises:
        ValueError: it is neither, or does not fit.
        TypeError: a cell of an array is no value.
    """
    if is_frame(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        if as_table is False:  # trained on an array: the columns count by their places
            return _numbers(estimator, X, reset=False), None
        frame = read_table(X)
        return None, frame if reset else frame.rename(_names(frame.columns, estimator))
    if (table := _of_objects(estimator, X, reset)) is not None:
        return None, table
    found = _numbers(estimator, X, reset)
    if as_table:  # trained on a frame
        return None, _framed(found, column_names(estimator))
    return found, None


def column_names(estimator: Any) -> list[str]:
    """The names of the features of the training: those of its data frame, or x0, x1 and so on."""
    own = getattr(estimator, "feature_names_in_", None)
    if own is not None:
        return [str(name) for name in own]
    return numbered(estimator.n_features_in_)


def numbered(count: int) -> list[str]:
    """Names of the features of arrays, as scikit-learn has them."""
    return [f"x{i}" for i in range(count)]


def _names(given: Sequence[str], estimator: Any) -> dict[str, str]:
    """By their places where scikit-learn compares no names, as they are not all text."""
    if hasattr(estimator, "feature_names_in_"):
        return {}
    return dict(zip(given, estimator.column_names_, strict=True))


def _numbers(estimator: Any, X: Any, reset: bool) -> Array:
    """float64 (rows, features), with NaN where missing."""
    shape: tuple[int, ...] = getattr(X, "shape", ())
    if hasattr(X, "toarray") and len(shape) == 2 and shape[0] * shape[1] > _MOST_NUMBERS:
        raise ValueError(
            f"The sparse matrix of shape {shape} would be {8 * shape[0] * shape[1] / 1e9:,.0f} GB "
            "as numbers; a network of a table takes dense features. Choose or project some first, "
            "such as with SelectKBest or TruncatedSVD."
        )
    found = validate_data(
        estimator, X, reset=reset, accept_sparse=True, dtype=np.float64,
        ensure_all_finite="allow-nan", ensure_min_samples=2 if reset else 1,
    )  # fmt: skip
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found)


def _of_objects(estimator: Any, X: Any, reset: bool) -> pl.DataFrame | None:
    """The table in an array or list of cells that are not all numbers; None of numbers."""
    if hasattr(X, "toarray"):
        return None
    dtype = getattr(X, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind not in "OUSM":
        return None
    if not isinstance(dtype, np.dtype) and not isinstance(X, list | tuple):
        return None
    cells = np.array(X, object)
    if cells.ndim != 2:
        return None  # its error is that of arrays
    if all(isinstance(c, numbers.Real) or c is None for c in cells.flat) or _are_numbers(cells):
        return None
    for cell in cells.flat:
        if not (cell is None or isinstance(cell, _CELLS) or is_missing(cell)):
            raise TypeError(
                f"A cell of X must be a string or a number, not {type(cell).__name__!r}: "
                "argument must be a string or a number"
            )
    checked = check_array(cells, dtype=None, ensure_all_finite=False, estimator=estimator)
    validate_data(estimator, checked, reset=reset, skip_check_array=True)
    return _framed(checked, numbered(checked.shape[1]) if reset else column_names(estimator))


def _are_numbers(cells: Array) -> bool:
    """Texts that NumPy would convert: no categories, but numbers written as text."""
    try:
        cells.astype(np.float64)
    except (TypeError, ValueError):
        return False
    return True


def _framed(cells: Array, names: Sequence[str]) -> pl.DataFrame:
    return read_table({name: cells[:, i] for i, name in enumerate(names)})
