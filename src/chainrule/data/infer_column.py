"""What a column means, by its values, by its name, and by how the other columns are written."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from . import parsing
from .column_profile import (
    FEW_ROWS,
    READABLE,
    Conventions,
    Profile,
    are_integers,
    choose_notation,
    month_first,
    settled,
    shown,
)
from .identifier_names import counts_something, is_code, names_things, numbers_things
from .parsing import PLAIN, Notation
from .parsing.months import month_names
from .picture_columns import names_pictures
from .records import Column, Dropped, Kind
from .words import count_words

if TYPE_CHECKING:
    import polars as pl

_DATE = re.compile(r"(?:^|_)(?:date|day|datum|dt|when|month|yyyymm|ym|period)(?:$|_)|date$")
# A year with a day, a month or a quarter beside it, for polars.
_MONTHS = "|".join(("jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec", *month_names()))
#: Larger integers are no longer all different as numbers of 64 bits.
_EXACT = 2.0**53
_BESIDE_YEAR = rf"(?i:\d\d?|(?:{_MONTHS})\w*\.?|[qw]\d\d?|of)"
_LIKE_DATE = rf"\b(?:19|20)\d\d[^\w]?{_BESIDE_YEAR}\b|\b{_BESIDE_YEAR}[^\w]{{1,2}}(?:19|20)\d\d\b"


def decide(
    column: Profile, conventions: Conventions, forced: str | None, max_categories: int, source: str
) -> Column | Dropped:
    """What a column is, or why it is left out.

    Raises:
        DataError: it cannot be read as what it was asked to be.
    """
    if column.values is None:
        return Dropped(column.name, "nested", "holds lists or objects, not single values")
    if not column.present:
        return Dropped(column.name, "missing", "every value is missing")
    if len(column.distinct) == 1 and not column.missing:
        return Dropped(column.name, "constant", f"every row holds {column.distinct[0]!s:.40}")
    if forced:
        decided: Column | Dropped = _forced(column, conventions, forced, max_categories, source)
    else:
        decided = _found(column, conventions, max_categories, source)
    if isinstance(decided, Dropped) or column.words is None:
        return decided
    return dataclasses.replace(decided, missing=column.words)


def _found(
    column: Profile, conventions: Conventions, max_categories: int, source: str
) -> Column | Dropped:
    if parsing.are_booleans(column.distinct):
        both = " and ".join(sorted(map(shown, column.distinct.to_list())))
        reason = _with_missing(f"two values, {both}", column)
        # Of numbers 0 and 1 later ones may be others.
        are_numbers = not {"true", "false"} & set(map(str.lower, both.split(" and ")))
        are_numbers &= not parsing.read_numbers(column.distinct).is_null().any()
        return Column(column.name, "boolean", reason, PLAIN if are_numbers else None)
    if column.is_datetime:
        return Column(
            column.name, "date", _with_missing(f"dates, {_span(column.distinct)}", column)
        )
    if not column.is_text:
        return _found_numbers(column, None, "", max_categories)
    if column.notations:
        notation, how = choose_notation(column.notations, column, conventions)
        return _found_numbers(column, settled(notation, column, conventions), how, max_categories)
    if column.date_formats:
        return _found_dates(column, *_choose_format(column.date_formats, column, conventions))
    if names_pictures(column.distinct, source):
        return _pictures(column, "pictures")
    found = _found_text(column, max_categories)
    if (isinstance(found, Dropped) or found.kind == "text") and _looks_like_dates(column):
        written = f"such as {column.distinct[0]!r:.40}"
        how = f"kinds={{{column.name!r}: 'date:FORMAT'}} says how they are written"
        return Dropped(column.name, "text", f"dates in no notation that is known, {written}; {how}")
    return found


def _looks_like_dates(column: Profile) -> bool:
    alike = column.distinct.str.contains(_LIKE_DATE)
    return int(column.counts.filter(alike).sum()) >= READABLE * column.present


def _forced(
    column: Profile, conventions: Conventions, kind: str, max_categories: int, source: str
) -> Column:
    reason, notation, date_format = f"{kind}, as asked", None, None
    known: dict[str, Any] = {}
    if kind == "category":
        return _category(column, reason, max_categories)
    if kind == "text":
        return _free_text(column, reason)
    if kind == "image":
        return _pictures(column, reason)
    if kind == "boolean":
        read = parsing.read_booleans(column.distinct)
    elif kind == "numeric":
        if column.is_text:
            unit = column.unit
            options = parsing.fitting_notations(column.distinct, column.counts, 0.5, unit)
            notation, how = choose_notation(options or [PLAIN], column, conventions)
            notation, reason = settled(notation, column, conventions), reason + how
        read = parsing.read_numbers(column.distinct, notation or PLAIN, column.unit)
        known = {"unit": column.unit, "signs": column.signs, "integers": are_integers(read)}
    else:
        kind, _, given = kind.partition(":")
        date_format = given or None
        if not given and not column.is_datetime:
            text = parsing.read_categories(column.distinct)
            formats = parsing.fitting_date_formats(text, column.counts, 0.5)
            if formats:
                date_format, how = _choose_format(formats, column, conventions)
                reason += f", {how}"
        read = parsing.read_dates(column.distinct, date_format)
    readable = int(column.counts.filter(read.is_not_null()).sum())
    if readable * 2 < column.present:
        unread = column.distinct.filter(read.is_null()).head(3).to_list()
        raise DataError(
            f"Column {column.name!r} cannot be read as {kind}.",
            where=f"{source}, column {column.name!r}",
            expected=f"values of kind {kind}"
            + (f", written as {date_format}" if date_format else ""),
            found=f"{', '.join(map(repr, unread))} "
            f"({column.present - readable:,} of {column.present:,} values)",
            hint="give it another kind, or let it be found",
        )
    return Column(
        column.name, cast(Kind, kind), reason, notation, date_format,
        unread=column.unread(read), **known,
    )  # fmt: skip


def _with_missing(text: str, column: Profile) -> str:
    return f"{text}; {column.missing:,} missing" if column.missing else text


# ---------------------------------------------------------------- numbers


def _found_numbers(
    column: Profile, notation: Notation | None, how: str, max_categories: int
) -> Column | Dropped:
    read = column.read(notation or PLAIN)
    numbers = read.to_numpy()  # what was not read is NaN
    finite = np.isfinite(numbers)
    values = np.unique(numbers[finite])
    if not len(values):
        return Dropped(column.name, "missing", "every value is infinite or missing")
    if (why := _too_long(column, read, max(-values[0], values[-1]))) is not None:
        if len(column.distinct) * 2 > column.present and column.present >= FEW_ROWS:
            return Dropped(column.name, "identifier", why)
        return _category(column, why, max_categories)
    rows = int(column.counts.to_numpy()[finite].sum())
    if len(values) == 1 and rows == column.present + column.missing:
        return Dropped(column.name, "constant", f"every row holds {values[0]:g}")
    if (values == np.floor(values)).all():
        decided = _found_codes(column, values, max_categories)
        if decided is not None:
            return decided
    return _numeric(column, notation, how)


def _too_long(column: Profile, read: pl.Series, largest: float) -> str | None:
    """What to say of integers that become the same as numbers of 64 bits: they are codes."""
    if largest <= _EXACT or read.n_unique() == len(column.distinct):
        return None
    return (f"codes, no quantity: {len(column.distinct):,} distinct integers in "
            f"{column.present:,} rows, with more digits than a number keeps")  # fmt: skip


def _numeric(column: Profile, notation: Notation | None, how: str) -> Column:
    read = column.read(notation or PLAIN)
    numbers = read.to_numpy()
    values = np.unique(numbers[np.isfinite(numbers)])
    reason = (
        f"numbers, {len(values):,} distinct, "
        f"{shown(float(values[0]))} to {shown(float(values[-1]))}{how}"
    )
    infinite = int(column.counts.to_numpy()[np.isinf(numbers)].sum())
    if infinite:
        reason += f"; {infinite:,} infinite, taken as missing"
    if read.null_count():
        unread = column.tally.filter(read.is_null())
        samples = ", ".join(repr(value) for value in unread["value"].head(3).to_list())
        reason += f"; {unread['rows'].sum():,} not numbers, taken as missing: {samples}"
    return Column(
        column.name, "numeric", _with_missing(reason, column), notation,
        unread=column.unread(read), unit=column.unit, signs=column.signs,
        integers=are_integers(read),
    )  # fmt: skip


def _found_codes(
    column: Profile, values: NDArray[np.float64], max_categories: int
) -> Column | Dropped | None:
    """Integers that are no quantities: dates, codes, identifiers. None if nothing says so."""
    distinct, rows = len(values), column.present
    if values[0] >= 1900_01_01 and values[-1] <= 2100_12_31:
        # One integer in 27 of this range is a date: ten that all are do not come by chance.
        moments = parsing.read_dates(column.distinct, "%Y%m%d")
        if moments.null_count() == 0 and (distinct >= 10 or _DATE.search(column.name_in_words)):
            return _found_dates(column, "%Y%m%d", "dates written as %Y%m%d")
    if values[0] >= 1900_01 and values[-1] <= 2100_12:  # one in eight is a month
        moments = parsing.read_dates(column.distinct, "%Y%m")
        if moments.null_count() == 0 and (distinct >= 10 or _DATE.search(column.name_in_words)):
            return _found_dates(column, "%Y%m", "months written as %Y%m")
    how_often = f"{distinct:,} distinct integers in {rows:,} rows"
    zeros = column.is_text and bool(column.distinct.str.contains(r"^0\d+$").any())
    if is_counter_name(column) and not zeros:
        unique = distinct == rows + column.missing and rows >= FEW_ROWS
        gap = values[-1] - values[0] != rows - 1
        if unique and (not gap or numbers_things(column.name_in_words)):
            without = "" if gap else "without a gap, and "
            why = f"{how_often}, {without}called {column.name!r}"
            return Dropped(column.name, "identifier", why)
        return None
    identifier = names_things(column.name_in_words)
    if zeros or identifier or is_code(column.name_in_words):
        why = "written with leading zeros" if zeros else f"and called {column.name!r}"
        if distinct * 2 > rows and (identifier or rows >= FEW_ROWS):
            return Dropped(column.name, "identifier", f"{how_often}, {why}")
        return _category(column, f"codes, no quantity: {how_often}, {why}", max_categories)
    return None


def is_counter_name(column: Profile, *, or_identifier: bool = False) -> bool:
    """Does the name say that the values count something, or, if asked, that they are codes?"""
    found = counts_something(column.name_in_words)
    return found or (or_identifier and names_things(column.name_in_words))


def as_number(column: Profile) -> Column:
    """A column as numbers, whatever its name says."""
    plain = Conventions()
    notation, how = (
        choose_notation(column.notations, column, plain) if column.is_text else (PLAIN, "")
    )
    kept = settled(notation, column, plain) if column.is_text else None
    return _numeric(column, kept, how)


def counts_rows(column: Profile) -> bool:
    """Is it 0, 1, 2, … or 1, 2, 3, … down the table?"""
    if column.values is None or column.missing or column.is_datetime:
        return False
    if len(column.values) < FEW_ROWS:
        return False
    for part in (column.values.head(3), column.values):
        numbers = parsing.read_numbers(part).to_numpy()
        if numbers[0] not in (0, 1) or (numbers != np.arange(len(part)) + numbers[0]).any():
            return False
    return True


# ---------------------------------------------------------------- dates


def _choose_format(
    formats: Sequence[str], column: Profile, conventions: Conventions
) -> tuple[str, str]:
    """One of the fitting formats, and words on how the dates are written."""
    if month_first(formats) is not None or len(formats) == 1:
        return formats[0], f"dates written as {formats[0]}"
    why = "as in other columns"
    day_first = conventions.day_first
    if day_first is None:
        # Rows are often in the order of time: the reading in which they are is the right one.
        why = "in which the rows are in order"
        ordered = {text for text in formats if _is_ordered(column, text)}
        orders = {_is_day_first(text) for text in ordered}
        day_first = orders.pop() if len(orders) == 1 else None
    chosen = next((text for text in formats if _is_day_first(text) == day_first), formats[0])
    if day_first is None:
        settle = f"kinds={{{column.name!r}: 'date:FORMAT'}}"
        why = f"day and month not settled by the data; {settle} settles it"
    return chosen, f"dates written as {chosen} ({why})"


def _is_day_first(date_format: str) -> bool:
    return date_format.removeprefix(parsing.WEEKDAY).startswith("%d")


def _is_ordered(column: Profile, date_format: str) -> bool:
    assert column.values is not None
    moments = parsing.read_dates(column.values.drop_nulls(), date_format).drop_nulls()
    return len(moments) > 2 and (moments.is_sorted() or moments.is_sorted(descending=True))


def _found_dates(column: Profile, date_format: str, how: str) -> Column:
    moments = parsing.read_dates(column.distinct, date_format)
    zone = ", in UTC" if "%#z" in date_format else ""
    reason = f"{how}, {_span(moments)}{zone}"
    unread = column.tally.filter(moments.is_null())
    if unread.height:
        samples = ", ".join(repr(value) for value in unread["value"].head(3).to_list())
        reason += f"; {unread['rows'].sum():,} not dates, taken as missing: {samples}"
    return Column(
        column.name, "date", _with_missing(reason, column), date_format=date_format,
        unread=column.unread(moments),
    )  # fmt: skip


def _span(moments: pl.Series) -> str:
    first, last = (cast(datetime, moment) for moment in (moments.min(), moments.max()))
    whole_days = (moments.drop_nulls().cast(int) % 86_400_000_000 == 0).all()
    shape = "%Y-%m-%d" if whole_days else "%Y-%m-%d %H:%M"
    return f"{first:{shape}} to {last:{shape}}"


# ---------------------------------------------------------------- text


def _found_text(column: Profile, max_categories: int) -> Column | Dropped:
    distinct, rows = len(column.distinct), column.present
    how_often = f"{distinct:,} distinct in {rows:,} rows"
    words = cast(float, count_words(column.distinct.head(10_000)).mean())
    if words >= 3 and distinct > 0.5 * rows and rows >= FEW_ROWS / 4:
        return _free_text(column, f"free text, {words:.0f} words on average, {how_often}")
    if words >= 5 and distinct > max(0.1 * rows, 50):
        return _free_text(column, f"free text, {words:.0f} words on average, {how_often}")
    named = names_things(column.name_in_words)
    if distinct > 0.5 * rows and (rows >= FEW_ROWS or (named and distinct == rows)):
        if named or distinct > 0.95 * rows:
            return Dropped(column.name, "identifier", f"nearly every row has its own, {how_often}")
        return Dropped(
            column.name, "text", f"too many different values to be categories, {how_often}"
        )
    return _category(column, f"text, {distinct:,} distinct", max_categories)


def _free_text(column: Profile, reason: str) -> Column:
    return Column(column.name, "text", _with_missing(reason, column))


def _pictures(column: Profile, reason: str) -> Column:
    reason += f", {len(column.distinct):,} different files in {column.present:,} rows"
    return Column(column.name, "image", _with_missing(reason, column))


def _category(column: Profile, reason: str, max_categories: int) -> Column:
    kept = parsing.WORDS.difference(column.words or parsing.WORDS)
    if words := [str(v) for v in column.distinct.to_list() if str(v).lower() in kept]:
        reason += f"; {', '.join(map(repr, words))} is a value like others"
    if len(column.distinct) > max_categories:
        reason += f"; the {max_categories:,} most frequent have a code each, the rest is 'other'"
    return Column(column.name, "category", _with_missing(reason, column))
