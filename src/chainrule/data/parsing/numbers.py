"""Cells as numbers: decimal and thousands marks, units, and which notations fit a column."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .cells import epoch_seconds
from .compound import COMPOUNDS
from .currencies import bare_numbers
from .units import SPELLINGS, UNIT, UNITS, needs_unit

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Notation:
    """How numbers are written: ``1,234.5`` has decimal mark ``.`` and thousands mark ``,``."""

    decimal: str = "."
    thousands: str = ""

    def __str__(self) -> str:
        return f"1{self.thousands}234{self.decimal}5"

    @property
    def pattern(self) -> str:
        """What a cell that is a number looks like, as a regular expression."""
        decimal, mark = re.escape(self.decimal), re.escape(self.thousands)
        whole = r"\d+"
        if self.thousands == ",":  # groups of two digits, too: 1,23,45,678 in India
            whole += r"|[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}"
        elif self.thousands:
            whole += rf"|[1-9]\d{{0,2}}(?:{mark}\d{{3}})+"
        return rf"^[+-]?(?:(?:{whole})(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?$"


PLAIN = Notation()

# Tried in this order where a column allows more than one.
NOTATIONS = (
    PLAIN,
    Notation(".", ","),
    Notation(",", ""),
    Notation(",", "."),
    Notation(".", " "),
    Notation(",", " "),
    Notation(".", "'"),
    Notation(",", "'"),
)


def read_numbers(
    column: pl.Series, notation: Notation = PLAIN, unit: str | None = None
) -> pl.Series:
    """Float64 values of a tidy column; currency and percent signs are left out, ``(5)`` is -5.

    Args:
        column: tidy.
        notation: of its text.
        unit: what may stand behind the numbers: a family of `UNITS`, whose members are brought to
            the same scale, or a word of its own; or one of `COMPOUNDS`, numbers in parts.

    Example:
        >>> import polars as pl
        >>> read_numbers(pl.Series(["1.234,5", "-3 €", "abc"]), Notation(",", ".")).to_list()
        [1234.5, -3.0, None]
        >>> read_numbers(pl.Series(["1.2k", "3 M", "70"]), unit="multiples").to_list()
        [1200.0, 3000000.0, 70.0]
    """
    import polars as pl

    if column.dtype == pl.Datetime:
        return epoch_seconds(column)
    if column.dtype != pl.String:
        return column.cast(pl.Float64)
    if notation != PLAIN or unit in COMPOUNDS or needs_unit(unit):
        return _read_written(column, notation, unit)
    values = column.cast(pl.Float64, strict=False)
    if values.null_count() == column.null_count():
        return values
    rest = (values.is_null() & column.is_not_null()).arg_true()
    return values.scatter(rest, _read_written(column.gather(rest), notation, unit))


def _read_written(text: pl.Series, notation: Notation, unit: str | None) -> pl.Series:
    import polars as pl

    text = bare_numbers(text)
    if unit in COMPOUNDS:
        return COMPOUNDS[unit].read(text, lambda part: read_numbers(part, notation))
    if unit is not None:
        return _read_units(text, notation, unit)
    infinite = text.str.contains(r"(?i)^[+-]?inf(inity)?$").fill_null(False)
    text = text.set(~text.str.contains(notation.pattern) & ~infinite, None)
    if notation.thousands:
        text = text.str.replace_all(notation.thousands, "", literal=True)
    if notation.decimal != ".":
        text = text.str.replace_all(notation.decimal, ".", literal=True)
    return text.cast(pl.Float64, strict=False)


def _read_units(text: pl.Series, notation: Notation, unit: str) -> pl.Series:
    """Numbers with a unit behind them, or without."""
    import polars as pl

    number, word = (text.str.extract(rf"^{UNIT}$", part) for part in (1, 2))
    if unit in UNITS:
        factor = word.replace_strict(SPELLINGS[unit], default=None, return_dtype=pl.Float64)
    else:
        stem = word.str.to_lowercase().str.strip_chars_end(".").str.replace("s$", "")
        same = stem == unit.lower().removesuffix("s")
        factor = same.cast(pl.Float64).set(~same.fill_null(False), None)
    bare = read_numbers(text, notation)
    if needs_unit(unit):
        bare = bare.set(bare != 0, None)
    measured = read_numbers(number.set(factor.is_null(), None), notation) * factor
    return bare.zip_with(bare.is_not_null(), measured)


#: What some cell has if any is a number: a digit, infinity, or the dash of accounts, which is 0.
_SOME_NUMBER = r"(?i)[\d½⅓⅔¼¾⅕-⅞–—-]|inf"


def fitting_notations(
    values: pl.Series, counts: pl.Series, fraction: float, unit: str | None = None
) -> list[Notation]:
    """The notations in which the most cells are numbers, if at least this fraction of them are.

    Args:
        values: distinct cells, tidy text.
        counts: how often each occurs.
        fraction: from 0 to 1.
        unit: as for `read_numbers`.

    Example:
        >>> import polars as pl
        >>> [str(n) for n in fitting_notations(pl.Series(["1,234"]), pl.Series([1]), 1.0)][:2]
        ['1,234.5', '1234,5']
    """
    total = int(counts.sum())
    if values.cast(float, strict=False).null_count() == 0:
        # Plain numbers. 1.234 may still be a thousand: see if every point has a group after it.
        grouped = Notation(",", ".")
        dotted = values.str.contains(".", literal=True)
        if dotted.any() and all(
            part.str.contains(grouped.pattern).all() for part in (values.head(100), values)
        ):
            return [PLAIN, grouped]
        return [PLAIN]
    if not values.str.contains(_SOME_NUMBER).any():
        return []
    head, head_counts = values.head(200), counts.head(200)
    fits: list[tuple[int, Notation]] = []
    for notation in NOTATIONS:
        likely = _readable(head, head_counts, notation, unit)
        if likely >= 0.5 * fraction * int(head_counts.sum()):
            fits.append((_readable(values, counts, notation, unit), notation))
    most = max((count for count, _ in fits), default=0)
    return [notation for count, notation in fits if count == most >= max(fraction * total, 1)]


def _readable(values: pl.Series, counts: pl.Series, notation: Notation, unit: str | None) -> int:
    return int(counts.filter(read_numbers(values, notation, unit).is_not_null()).sum())
