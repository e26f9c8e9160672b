"""Cells as categories: the same text from text, integers and floats."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def read_categories(column: pl.Series) -> pl.Series:
    """Canonical text of a tidy column: the same from text, integers or floats.

    Example:
        >>> import polars as pl
        >>> read_categories(pl.Series([98001.0, 2.5])).to_list()
        ['98001', '2.5']
        >>> read_categories(pl.Series(["98001.0", "2.5"])).to_list()
        ['98001', '2.5']
    """
    import polars as pl

    if column.dtype == pl.Float64:
        whole = column.cast(pl.Int64, strict=False)
        exact = (whole.cast(pl.Float64) == column).fill_null(False)
        return whole.cast(pl.String).zip_with(exact, column.cast(pl.String))
    if column.dtype == pl.Datetime:
        return column.dt.to_string("iso")
    return column.cast(pl.String).str.replace(r"^(-?(?:0|[1-9]\d*))\.0+$", "$1")


_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")


def seen_alike(text: str) -> str:
    """A text as readers see it: letters in one form, without invisible signs, with single spaces.

    Example:
        >>> seen_alike("cafe\u0301\u00a0 noir\u200b") == "caf\u00e9 noir"
        True
    """
    composed = unicodedata.normalize("NFKC", text)
    return " ".join(_INVISIBLE.sub("", composed).split())
