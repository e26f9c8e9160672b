"""Cells as booleans: pairs of words such as yes and no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .numbers import read_numbers

if TYPE_CHECKING:
    import polars as pl

# Words for false and for true. A column is boolean if one pair covers it and both sides occur.
BOOLEANS = (
    ({"false", "f"}, {"true", "t"}),
    ({"no", "n"}, {"yes", "y"}),
    ({"off"}, {"on"}),
    ({"0", "0.0"}, {"1", "1.0"}),
)

_FALSE = sorted(set().union(*(no for no, _ in BOOLEANS)))

_TRUE = sorted(set().union(*(yes for _, yes in BOOLEANS)))


def read_booleans(column: pl.Series) -> pl.Series:
    """Boolean values of a tidy column: true/false, yes/no, on/off, t/f, y/n, 1/0 in any case.

    Example:
        >>> import polars as pl
        >>> read_booleans(pl.Series(["Yes", "no", "maybe"])).to_list()
        [True, False, None]
    """
    import polars as pl

    if column.dtype == pl.Boolean:
        return column
    if column.dtype == pl.String:
        word = column.str.to_lowercase()
        yes, no = word.is_in(_TRUE), word.is_in(_FALSE)
    else:
        number = read_numbers(column)
        yes, no = number == 1, number == 0
    return yes.set(~(yes | no), None)


def are_booleans(values: pl.Series) -> bool:
    """Are these distinct cells a pair of booleans, both of which occur?"""
    import polars as pl

    if values.dtype != pl.String:
        return len(values) == 2 and set(read_numbers(values).to_list()) == {0.0, 1.0}
    if len(values) > 10:
        return False
    words = {word.lower() for word in values.to_list()}
    if any(words <= (no | yes) and words & no and words & yes for no, yes in BOOLEANS):
        return True
    # Rows of several files have several pairs, true and false beside 1 and 0; single letters are
    # codes sooner than booleans.
    whole = any(words & no and words & yes for no, yes in BOOLEANS)
    letters = any(len(word) == 1 and word.isalpha() for word in words)
    return whole and not letters and words <= {*_FALSE, *_TRUE}
