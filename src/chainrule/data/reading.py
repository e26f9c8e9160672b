"""The cells of a column as values: in training as they present themselves, later as was learned.

Once a model is trained, a cell means the same whatever else is in its file: what the training did
not settle, and no single reading settles, is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from . import parsing
from .parsing import NOTATIONS, PLAIN, Notation
from .parsing.units import needs_unit
from .records import Column, Floats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import polars as pl

_NOUN = {"numeric": "numbers", "boolean": "yes or no", "date": "dates"}


def tidy_column(
    frame: pl.DataFrame,
    name: str,
    source: str = "the table",
    missing: Iterable[str] | None = None,
) -> pl.Series:
    """The tidy cells of a column; an error if they are nested. ``missing`` as for `tidy`."""
    tidy = parsing.tidy(frame[name], missing)
    if tidy is None:
        raise DataError(
            "A column holds lists or objects instead of single values.",
            where=f"{source}, column {name!r}",
            expected="numbers, text, booleans or dates",
            found=str(frame[name].dtype),
        )
    return tidy


def read_values(
    column: Column, tidy: pl.Series, source: str = "the table"
) -> tuple[Floats, list[str]]:
    """A numeric, boolean or date column as float64, and notes on cells taken as missing.

    Text whose notation is not known is read as it presents itself: for data to learn from.

    Raises:
        DataError: most of it cannot be read.
    """
    import polars as pl

    told: pl.Series | None = None
    if column.kind == "date":
        date_format = column.date_format
        if date_format is None and tidy.dtype == pl.String:
            date_format = next(iter(_fitting(parsing.fitting_date_formats, tidy)), None)
        read = parsing.epoch_seconds(parsing.read_dates(tidy, date_format))
    elif column.kind == "boolean":
        read = parsing.read_booleans(tidy).cast(pl.Float64)
    else:
        notation = column.notation
        if notation is None and tidy.dtype == pl.String:
            notation = next(iter(_fitting(parsing.fitting_notations, tidy)), None)
        read = parsing.read_numbers(tidy, notation or PLAIN, column.unit)
        read, told = _with_letters(
            read, tidy, lambda part: parsing.read_numbers(part, notation or PLAIN, column.unit)
        )
    unread = tidy.filter(_unread(read, tidy)) if _has_unread(read, tidy) else tidy.head(0)
    if len(unread) * 2 > tidy.count():
        raise _unreadable(column, tidy, unread, source)
    return _finite(column, read, unread, told)


def read_learned(
    column: Column, tidy: pl.Series, source: str = "the table", *, strict: bool = True
) -> tuple[Floats, list[str]]:
    """The same as `read_values`, each cell by itself: by what the training settled.

    Args:
        column: as it was learned.
        tidy: its cells.
        source: the table's name in messages.
        strict: refuse cells that cannot be read and were not so in training; otherwise they are
            missing, too.

    Raises:
        DataError: a cell cannot be read, or in two ways.

    Example:
        >>> import polars as pl
        >>> price = Column("price", "numeric", "", notation=Notation(".", ","))
        >>> read_learned(price, pl.Series(["1,250", "9.5", None]))[0].tolist()
        [1250.0, 9.5, nan]
        >>> read_learned(Column("price", "numeric", ""), pl.Series(["7", "1,250"]))
        Traceback (most recent call last):
        chainrule.errors.DataError: A cell of column 'price' can be read in several ways.
          where: the table, column 'price', row 2
          expected: numbers, written so that only one reading is possible
          found: '1,250': 1,250 or 1.25
          hint: write it without marks between thousands, and with a decimal point
    """
    import polars as pl

    told: pl.Series | None = None
    if column.kind == "date":
        read = parsing.epoch_seconds(_dates(column, tidy))
    elif column.kind == "boolean":
        read = parsing.read_booleans(tidy).cast(pl.Float64)
        if column.notation is not None:  # it was 0 and 1: other numbers are what they are
            read = read.fill_null(_numbers(column, tidy))
    else:
        read, told = _with_letters(
            _numbers(column, tidy), tidy, lambda part: _numbers(column, part)
        )
    if not _has_unread(read, tidy):
        return _finite(column, read, tidy.head(0), told)
    unread = _unread(read, tidy)
    cells = tidy.filter(unread)
    if strict and len(cells) and "*" not in column.unread:
        new = unread & ~parsing.shape(tidy).is_in(list(column.unread))
        if new.any():
            raise _refused(column, tidy, new, source)
    return _finite(column, read, cells, told)


def _unread(read: pl.Series, tidy: pl.Series) -> pl.Series:
    """Which cells hold something that was not read."""
    return read.is_null() & tidy.is_not_null()


def _has_unread(read: pl.Series, tidy: pl.Series) -> bool:
    """Whether there are such: what is missing is not read, so that to count tells it at once."""
    return read.null_count() != tidy.null_count()


def _with_letters(
    read: pl.Series, tidy: pl.Series, again: Callable[[pl.Series], pl.Series]
) -> tuple[pl.Series, pl.Series | None]:
    """With the cells that are numbers once letters in them are digits, and these cells."""
    import polars as pl

    if tidy.dtype != pl.String or not _has_unread(read, tidy):
        return read, None
    rest = _unread(read, tidy).arg_true()
    cells = tidy.gather(rest)
    found = again(parsing.mended(cells))
    known = found.is_not_null()
    if not known.any():
        return read, None
    return read.scatter(rest.filter(known), found.filter(known)), cells.filter(known)


def _finite(
    column: Column, read: pl.Series, unread: pl.Series, letters: pl.Series | None
) -> tuple[Floats, list[str]]:
    values = read.to_numpy(writable=True).astype(np.float64, copy=False)
    infinite = np.isinf(values)
    values[infinite] = np.nan
    notes = []
    if letters is not None:
        notes.append(f"column {column.name}: {rows_of(len(letters))} with letters read as digits: "
                     f"{samples(letters)}")  # fmt: skip
    if len(unread):
        notes.append(
            f"column {column.name}: {rows_of(len(unread))} taken as missing, not "
            f"{_NOUN[column.kind]}: {samples(unread)}"
        )
    if infinite.any():
        notes.append(
            f"column {column.name}: {rows_of(int(infinite.sum()))} taken as missing, infinite"
        )
    return values, notes


def _fitting(find: Any, tidy: pl.Series) -> Any:
    counts = parsing.tally(tidy)
    return find(counts["value"], counts["rows"], 0.5)


# ---------------------------------------------------------------- as was learned


def _numbers(column: Column, tidy: pl.Series) -> pl.Series:
    """Each cell by the notation of the training, or by the only one that fits it."""
    import polars as pl

    if tidy.dtype != pl.String:
        return parsing.read_numbers(tidy)
    if column.signs is not None:
        strange = parsing.other_signs(tidy, column.signs)
        tidy = tidy.set(strange.fill_null(False), None) if strange.any() else tidy
    if column.notation is None:
        read = parsing.read_numbers(tidy, PLAIN, column.unit)
        if column.integers:  # is 1.250 a thousand?
            read = read.set(tidy.str.contains(r"^[+-]?[1-9]\d{0,2}\.\d{3}$").fill_null(False), None)
        return _filled(read, tidy, NOTATIONS, column.unit)
    read = parsing.read_numbers(tidy, column.notation, column.unit)
    if column.notation.thousands:
        return read
    decimal = column.notation.decimal
    return _filled(read, tidy, [n for n in NOTATIONS if n.decimal == decimal], column.unit)


def _filled(
    read: pl.Series, text: pl.Series, notations: Iterable[Notation], unit: str | None
) -> pl.Series:
    """With the cells that are still unread and have one value only in all of these notations."""
    if not _has_unread(read, text):
        return read
    rest = _unread(read, text).arg_true()
    cells = text.gather(rest)
    low, high = _readings(cells, notations, unit)
    return read.scatter(rest, low.set((low != high).fill_null(True), None))


def _readings(
    cells: pl.Series, notations: Iterable[Notation], unit: str | None
) -> tuple[pl.Series, pl.Series]:
    """The smallest and the largest number that each cell may be."""
    import polars as pl

    found = pl.DataFrame(
        [
            parsing.read_numbers(cells, notation, unit).alias(str(number))
            for number, notation in enumerate(notations)
        ]
    )
    return found.min_horizontal(), found.max_horizontal()


def _dates(column: Column, tidy: pl.Series) -> pl.Series:
    """Each cell by the format of the training, or by the only one that fits it."""
    import polars as pl

    if column.date_format is not None or tidy.dtype != pl.String:
        return parsing.read_dates(tidy, column.date_format)
    cells = parsing.tally(tidy)["value"]
    likely = parsing.likely_date_formats(cells)
    read = pl.DataFrame(
        [parsing.read_dates(cells, text).alias(text) for text in likely],
        schema={text: pl.Datetime("us") for text in likely},
    )
    if not likely:
        return pl.Series(tidy.name, [None] * len(tidy), dtype=pl.Datetime("us"))
    low, high = read.min_horizontal(), read.max_horizontal()
    known = low.set((low != high).fill_null(True), None)
    return tidy.replace_strict(cells, known, default=None, return_dtype=pl.Datetime("us"))


# ---------------------------------------------------------------- errors


def _expected(column: Column) -> str:
    expected = _NOUN[column.kind]
    if column.kind == "date" and column.date_format:
        expected += f" written as {column.date_format}"
    if column.kind == "numeric" and column.notation:
        expected += f" written as {column.notation}"
    if column.unit is not None and column.kind == "numeric":
        expected += f", {column.unit}" if column.unit in parsing.COMPOUNDS else ""
        expected += f" with units of {column.unit}" if needs_unit(column.unit) else ""
    return expected


def _advice(column: Column) -> str:
    if column.kind == "date" and column.date_format is None:
        return "write dates as 2014-05-31 or 2014-05-31 14:30, which can be read in one way only"
    return "is it the same column, written the same way, as in training?"


def _unreadable(column: Column, tidy: pl.Series, unread: pl.Series, source: str) -> DataError:
    return DataError(
        f"Most of column {column.name!r} cannot be read.",
        where=f"{source}, column {column.name!r}",
        expected=f"{_expected(column)}, as in the training data",
        found=f"{samples(unread)} ({len(unread):,} of {tidy.count():,} values)",
        hint=_advice(column),
    )


def _refused(column: Column, tidy: pl.Series, new: pl.Series, source: str) -> DataError:
    import polars as pl

    cells = tidy.filter(new)
    if len(cells) * 2 > tidy.count() and len(cells) > 1:
        return _unreadable(column, tidy, cells, source)
    where = f"{source}, column {column.name!r}, row {int(new.arg_true()[0]) + 1}"
    first = cells.head(1)
    if column.kind == "numeric" and tidy.dtype == pl.String:
        low, high = (part[0] for part in _readings(first, NOTATIONS, column.unit))
        if low is not None and low != high:
            return DataError(
                f"A cell of column {column.name!r} can be read in several ways.",
                where=where,
                expected="numbers, written so that only one reading is possible",
                found=f"{first[0]!r}: {high:,.12g} or {low:,.12g}",
                hint="write it without marks between thousands, and with a decimal point",
            )
    word = str(first[0])
    hint = "correct the cell, or leave it empty if the value is missing"
    if not any(character.isdigit() for character in word):
        hint += f"; missing={[word]!r} (--missing {word}) says that this word means so"
    return DataError(
        f"A cell of column {column.name!r} cannot be read.",
        where=where,
        expected=f"{_expected(column)}, as in the training data",
        found=f"{samples(cells)} ({len(cells):,} of {tidy.count():,} values)",
        hint=hint,
    )


def rows_of(count: int) -> str:
    """So many rows, in words."""
    return f"{count:,} row" + ("" if count == 1 else "s")


def samples(values: pl.Series, most: int = 3) -> str:
    """A few distinct values, quoted."""
    distinct = values.unique(maintain_order=True)
    shown = ", ".join(f"{value!r:.40}" for value in distinct.head(most).to_list())
    return f"{shown}, …" if len(distinct) > most else shown
