"""From a table to its schema: what each column means, decided over all rows, said in one line each.

Every rule works on a column's distinct values and how often they occur. Where one column alone
leaves two readings (is ``1,234`` a thousand, is ``01/02/2014`` in January?), the other columns
decide.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DataError

from . import cells
from .cells import PLAIN, Notation
from .leak import leaks
from .schema import Column, Dropped, Kind, Schema, Target, check_present

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T", bool, str)

# A column is of a kind if this share of its cells can be read so; the others count as missing.
SHARE = 0.95
# An integer target with at most so many values, each in so many rows on average, is one of classes.
MOST_CLASSES, ROWS_PER_CLASS = 20, 5
# Below so many rows, unique values say nothing.
FEW_ROWS = 20

_IDENTIFIER = re.compile(
    r"(?:^|_)(?:id|ids|uid|uuid|guid|key|pk|rowid|rownames|identifier)$"
    r"|^(?:index|idx|nr|no|row|unnamed_0)$"
    r"|^(?:customer|user|client|order|product|item|store|passenger|transaction|session|employee"
    r"|patient|student|account|device|record|house|object)id$"
)
_CODE = re.compile(
    r"(?:^|_)(?:zip|zipcode|postcode|postalcode|plz|code|fips|naics|sic|icd|cpt|sku|ean|upc|isbn"
    r"|type|kind|category|region|district|segment|cluster|department|dept)$"
)
_DATE = re.compile(r"(?:^|_)(?:date|day|datum|dt|when)(?:$|_)|date$")


@dataclass(frozen=True)
class Conventions:
    """What the table's unambiguous columns say about how the others are written."""

    decimal: str | None = None
    day_first: bool | None = None


@dataclass(frozen=True)
class _Seen:
    """A column with what the rules look at, each computed once."""

    name: str
    values: pl.Series | None  # tidy; None if the cells are nested

    @cached_property
    def tally(self) -> pl.DataFrame:
        """Distinct values in the order of the table, and in how many rows each is."""
        assert self.values is not None
        return cells.tally(self.values)

    @property
    def distinct(self) -> pl.Series:
        return self.tally["value"]

    @property
    def counts(self) -> pl.Series:
        return self.tally["rows"]

    @cached_property
    def present(self) -> int:
        return int(self.counts.sum())

    @property
    def missing(self) -> int:
        assert self.values is not None
        return len(self.values) - self.present

    @property
    def is_text(self) -> bool:
        import polars as pl

        return self.values is not None and self.values.dtype == pl.String

    @property
    def is_moments(self) -> bool:
        import polars as pl

        return self.values is not None and self.values.dtype == pl.Datetime

    @cached_property
    def notations(self) -> list[Notation]:
        if not self.is_text or not self.present:
            return []
        return cells.fitting_notations(self.distinct, self.counts, SHARE)

    @cached_property
    def date_formats(self) -> list[str]:
        if not self.is_text or not self.present or self.notations:
            return []
        formats = cells.fitting_date_formats(self.distinct, self.counts, SHARE)
        mixed = None if formats else cells.mixed_date_format(self.distinct, self.counts, SHARE)
        return [mixed] if mixed else formats

    @property
    def words(self) -> str:
        """The name in lower case with its words joined by _: ``StoreID`` is ``store_id``."""
        parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", self.name)
        return "_".join(part.lower() for part in parts)


def infer_schema(
    frame: pl.DataFrame,
    target: str | None = None,
    *,
    features: Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    kinds: Mapping[str, str] | None = None,
    task: Literal["regression", "classification"] | None = None,
    max_categories: int = 1000,
    source: str = "the table",
) -> Schema:
    r"""Find out what each column of a table means.

    Args:
        frame: the whole table, as `chainrule.data.read_table` gives it.
        target: the column to predict, if any.
        features: use these columns only; all but the target if not given.
        drop: leave these columns out.
        kinds: overrules what would be found: ``{"zip": "category"}``; ``numeric``, ``boolean``,
            ``category``, ``date``, or a date's format, such as ``date:%d/%m/%Y``.
        task: overrules what the target's values say.
        max_categories: so many categories of a column, the most frequent, are kept apart.
        source: the table's name in messages.

    Returns:
        The schema, not yet fitted: see `Schema.fit`.

    Raises:
        DataError: an unknown column or kind, a target that cannot be learned, or no usable column.

    Example:
        >>> from chainrule.data import read_table
        >>> schema = infer_schema(read_table(b"sold,price\n31/12/2014,9\n1/2/2015,8\n"), "price")
        >>> schema.columns[0].kind, schema.columns[0].date_format, schema.target.task
        ('date', '%d/%m/%Y', 'regression')
    """
    kinds = dict(kinds or {})
    _check_arguments(frame, target, features, drop, kinds, max_categories, source)
    requested, dropped = _requested(frame.columns, target, features, drop)
    seen = [_Seen(name, cells.tidy(frame[name])) for name in requested]
    spec: Target | None = None
    notes: list[str] = []
    if target is None:
        conventions = _conventions(seen)
    else:
        aim = _Seen(target, cells.tidy(frame[target]))
        conventions = _conventions([*seen, aim])
        spec = _infer_target(aim, conventions, task, f"{source}, column {target!r}")
        labelled, notes = _labelled(spec, frame, source)
        if labelled.height < frame.height:
            frame = labelled
            seen = [_Seen(name, cells.tidy(frame[name])) for name in requested]
    decided = [
        _decide(column, conventions, kinds.get(column.name), max_categories, source)
        for column in seen
    ]
    columns = [column for column in decided if isinstance(column, Column)]
    dropped += [column for column in decided if isinstance(column, Dropped)]
    # A row counter says nothing, unless it is all there is: then it is the x of some y.
    counters = [c.name for c in seen if c.name not in kinds and _counts_rows(c)]
    if any(column.name not in counters for column in columns):
        dropped += [
            Dropped(column.name, "identifier", "it counts the rows")
            for column in columns
            if column.name in counters
        ]
        columns = [column for column in columns if column.name not in counters]
    if not columns:
        raise _no_columns(dropped, source)
    schema = Schema(tuple(columns), tuple(dropped), spec, tuple(notes), max_categories)
    if spec is None:
        return schema
    return dataclasses.replace(schema, notes=(*notes, *leaks(schema, frame)))


def infer_target(frame: pl.DataFrame, name: str, *, source: str = "the table") -> Target:
    """Find out what a column means as a target, where the other columns do not matter.

    Raises:
        DataError: there is no such column, or it cannot be learned.

    Example:
        >>> import polars as pl
        >>> infer_target(pl.DataFrame({"pet": ["cat", "dog", "cat"]}), "pet").classes
        ('cat', 'dog')
    """
    check_present([name], frame.columns, source)
    column = _Seen(name, cells.tidy(frame[name]))
    target = _infer_target(column, _conventions([column]), None, f"{source}, column {name!r}")
    _labelled(target, frame, source)  # for its errors
    return target


def _check_arguments(
    frame: pl.DataFrame,
    target: str | None,
    features: Sequence[str] | None,
    drop: Sequence[str] | None,
    kinds: Mapping[str, str],
    max_categories: int,
    source: str,
) -> None:
    named = [*(features or []), *(drop or []), *kinds]
    check_present([target, *named] if target is not None else named, frame.columns, source)
    for argument, names in (("features", features), ("drop", drop), ("kinds", kinds)):
        if target is not None and target in (names or ()):
            raise DataError(
                f"The target {target!r} is also among the {argument}.",
                where=source,
                expected="the target in one place only",
                found=f"{target!r} as target and in {argument}",
                hint="to say what the target is, use the task" if argument == "kinds" else None,
            )
    for name, kind in kinds.items():
        if kind not in ("numeric", "boolean", "category", "date") and not kind.startswith("date:%"):
            raise DataError(
                f"Column {name!r} cannot be of kind {kind!r}.",
                where=source,
                expected="numeric, boolean, category, date, or a format such as date:%d/%m/%Y",
                found=kind,
            )
    if max_categories < 1:
        raise DataError(
            "max_categories must be at least 1.", expected="1 or more", found=str(max_categories)
        )


def _requested(
    names: Collection[str],
    target: str | None,
    features: Sequence[str] | None,
    drop: Sequence[str] | None,
) -> tuple[list[str], list[Dropped]]:
    dropped = [
        Dropped(name, "requested", "left out as asked") for name in names if name in (drop or ())
    ]
    unwanted = {target, *(drop or ())}
    wanted = names if features is None else features
    kept = [name for name in names if name in wanted and name not in unwanted]
    if features is not None:
        dropped += [
            Dropped(name, "requested", "not among the features asked for")
            for name in names
            if name not in features and name not in unwanted
        ]
    return kept, dropped


def _no_columns(dropped: Sequence[Dropped], source: str) -> DataError:
    reasons = "; ".join(f"{column.name}: {column.reason}" for column in dropped[:5])
    return DataError(
        "No column is left to learn from.",
        where=source,
        expected="at least one column of numbers, categories, truth values or dates",
        found=reasons or "no column beside the target",
        hint="say what a column is, for example kinds={'code': 'category'}" if dropped else None,
    )


# ---------------------------------------------------------------- conventions of the table


def _conventions(seen: Sequence[_Seen]) -> Conventions:
    decimals: list[str] = []
    day_first: list[bool] = []
    for column in seen:
        if not column.is_text:
            continue
        found = {notation.decimal for notation in column.notations}
        if len(found) == 1 and _has_marks(column):
            decimals += found
        if column.date_formats and _month_first(column.date_formats) is not None:
            day_first.append(not _month_first(column.date_formats))
    return Conventions(_majority(decimals), _majority(day_first))


def _has_marks(column: _Seen) -> bool:
    return bool(column.distinct.head(1000).str.contains(r"\d[.,]\d").any())


def _majority(votes: list[T]) -> T | None:
    """The commonest, if no other is as common."""
    common = sorted(set(votes), key=votes.count)
    if not votes or (len(common) > 1 and votes.count(common[-1]) == votes.count(common[-2])):
        return None
    return common[-1]


def _month_first(formats: Sequence[str]) -> bool | None:
    """None if the formats leave it open, or have no number of a month beside that of a day."""
    orders = {
        text.startswith("%m") for text in formats if text[:2] in ("%m", "%d") and "%B" not in text
    }
    return orders.pop() if len(orders) == 1 else None


# ---------------------------------------------------------------- a column


def _decide(
    column: _Seen, conventions: Conventions, forced: str | None, max_categories: int, source: str
) -> Column | Dropped:
    if column.values is None:
        return Dropped(column.name, "nested", "holds lists or objects, not single values")
    if not column.present:
        return Dropped(column.name, "missing", "every value is missing")
    if len(column.distinct) == 1 and not column.missing:
        return Dropped(column.name, "constant", f"every row holds {column.distinct[0]!s:.40}")
    if forced:
        return _forced(column, conventions, forced, max_categories, source)
    return _found(column, conventions, max_categories)


def _found(column: _Seen, conventions: Conventions, max_categories: int) -> Column | Dropped:
    if cells.are_booleans(column.distinct):
        both = " and ".join(sorted(map(_shown, column.distinct.to_list())))
        return Column(column.name, "boolean", _with_missing(f"two values, {both}", column))
    if column.is_moments:
        return Column(
            column.name, "date", _with_missing(f"dates, {_span(column.distinct)}", column)
        )
    if not column.is_text:
        return _found_numbers(column, None, "", max_categories)
    if column.notations:
        notation, how = _choose_notation(column.notations, column, conventions)
        return _found_numbers(column, notation, how, max_categories)
    if column.date_formats:
        return _found_dates(column, *_choose_format(column.date_formats, column, conventions))
    return _found_text(column, max_categories)


def _forced(
    column: _Seen, conventions: Conventions, kind: str, max_categories: int, source: str
) -> Column:
    reason, notation, date_format = f"{kind}, as asked", None, None
    if kind == "category":
        return _category(column, reason, max_categories)
    if kind == "boolean":
        read = cells.read_booleans(column.distinct)
    elif kind == "numeric":
        if column.is_text:
            options = cells.fitting_notations(column.distinct, column.counts, 0.5) or [PLAIN]
            notation, how = _choose_notation(options, column, conventions)
            reason += how
        read = cells.read_numbers(column.distinct, notation or PLAIN)
    else:
        kind, _, given = kind.partition(":")
        date_format = given or None
        if not given and not column.is_moments:
            text = cells.read_categories(column.distinct)
            formats = cells.fitting_date_formats(text, column.counts, 0.5)
            if formats:
                date_format, how = _choose_format(formats, column, conventions)
                reason += f", {how}"
        read = cells.read_dates(column.distinct, date_format)
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
    return Column(column.name, cast(Kind, kind), reason, notation, date_format)


def _shown(value: object) -> str:
    """A value as a user would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,g}"
    return f"{value!s:.40}"


def _with_missing(text: str, column: _Seen) -> str:
    return f"{text}; {column.missing:,} missing" if column.missing else text


# ---------------------------------------------------------------- numbers


def _choose_notation(
    options: Sequence[Notation], column: _Seen, conventions: Conventions
) -> tuple[Notation, str]:
    """One of the fitting notations, and words on how the numbers are written."""
    agreeing = [option for option in options if option.decimal == conventions.decimal]
    chosen = (agreeing or options)[0]
    how = ""
    if chosen != PLAIN and column.distinct.str.contains(r"\d[.,\x{27} \x{a0}\x{202f}]\d").any():
        how = f", written as {chosen}"
        if len({option.decimal for option in options}) > 1:
            why = "as in other columns" if agreeing else "not settled by the data"
            how += f" ({why})"
    units = cells.units(column.distinct)
    return chosen, how + (f", {' '.join(units)} left out" if units else "")


def _found_numbers(
    column: _Seen, notation: Notation | None, how: str, max_categories: int
) -> Column | Dropped:
    read = cells.read_numbers(column.distinct, notation or PLAIN)
    finite = read.is_finite().fill_null(False)
    values = np.unique(read.filter(finite).to_numpy())
    if not len(values):
        return Dropped(column.name, "missing", "every value is infinite or missing")
    if len(values) == 1 and column.counts.filter(finite).sum() == column.present + column.missing:
        return Dropped(column.name, "constant", f"every row holds {values[0]:g}")
    if (values == np.floor(values)).all():
        decided = _found_codes(column, values, max_categories)
        if decided is not None:
            return decided
    reason = (
        f"numbers, {len(values):,} distinct, "
        f"{_shown(float(values[0]))} to {_shown(float(values[-1]))}{how}"
    )
    infinite = int(column.counts.filter(read.is_infinite().fill_null(False)).sum())
    if infinite:
        reason += f"; {infinite:,} infinite, taken as missing"
    unread = column.tally.filter(read.is_null())
    if unread.height:
        samples = ", ".join(repr(value) for value in unread["value"].head(3).to_list())
        reason += f"; {unread['rows'].sum():,} not numbers, taken as missing: {samples}"
    return Column(column.name, "numeric", _with_missing(reason, column), notation)


def _found_codes(
    column: _Seen, values: NDArray[np.float64], max_categories: int
) -> Column | Dropped | None:
    """Whole numbers that are no quantities: dates, codes, identifiers. None if nothing says so."""
    distinct, rows = len(values), column.present
    if values[0] >= 1900_01_01 and values[-1] <= 2100_12_31:
        # One whole number in 27 of this range is a date: ten that all are do not come by chance.
        moments = cells.read_dates(column.distinct, "%Y%m%d")
        if moments.null_count() == 0 and (distinct >= 10 or _DATE.search(column.words)):
            return _found_dates(column, "%Y%m%d", "dates written as %Y%m%d")
    how_often = f"{distinct:,} distinct whole numbers in {rows:,} rows"
    zeros = column.is_text and bool(column.distinct.str.contains(r"^0\d+$").any())
    identifier = _IDENTIFIER.search(column.words)
    if zeros or identifier or _CODE.search(column.words):
        why = "written with leading zeros" if zeros else f"and called {column.name!r}"
        if distinct * 2 > rows and (identifier or rows >= FEW_ROWS):
            return Dropped(column.name, "identifier", f"{how_often}, {why}")
        return _category(column, f"codes, no quantity: {how_often}, {why}", max_categories)
    return None


def _counts_rows(column: _Seen) -> bool:
    """Is it 0, 1, 2, … or 1, 2, 3, … down the table?"""
    if column.values is None or column.missing or column.is_moments:
        return False
    if len(column.values) < FEW_ROWS:
        return False
    for part in (column.values.head(3), column.values):
        numbers = cells.read_numbers(part).to_numpy()
        if numbers[0] not in (0, 1) or (numbers != np.arange(len(part)) + numbers[0]).any():
            return False
    return True


# ---------------------------------------------------------------- dates


def _choose_format(
    formats: Sequence[str], column: _Seen, conventions: Conventions
) -> tuple[str, str]:
    """One of the fitting formats, and words on how the dates are written."""
    if _month_first(formats) is not None or len(formats) == 1:
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
    return date_format.startswith("%d")


def _is_ordered(column: _Seen, date_format: str) -> bool:
    assert column.values is not None
    moments = cells.read_dates(column.values.drop_nulls(), date_format).drop_nulls()
    return len(moments) > 2 and (moments.is_sorted() or moments.is_sorted(descending=True))


def _found_dates(column: _Seen, date_format: str, how: str) -> Column:
    moments = cells.read_dates(column.distinct, date_format)
    reason = f"{how}, {_span(moments)}"
    unread = column.tally.filter(moments.is_null())
    if unread.height:
        samples = ", ".join(repr(value) for value in unread["value"].head(3).to_list())
        reason += f"; {unread['rows'].sum():,} not dates, taken as missing: {samples}"
    return Column(column.name, "date", _with_missing(reason, column), date_format=date_format)


def _span(moments: pl.Series) -> str:
    first, last = (cast(datetime, moment) for moment in (moments.min(), moments.max()))
    whole_days = (moments.drop_nulls().cast(_int64()) % 86_400_000_000 == 0).all()
    shape = "%Y-%m-%d" if whole_days else "%Y-%m-%d %H:%M"
    return f"{first:{shape}} to {last:{shape}}"


# ---------------------------------------------------------------- text


def _found_text(column: _Seen, max_categories: int) -> Column | Dropped:
    distinct, rows = len(column.distinct), column.present
    how_often = f"{distinct:,} distinct in {rows:,} rows"
    words = cast(float, column.distinct.head(10_000).str.count_matches(r"\S+").mean())
    if words >= 3 and distinct > 0.5 * rows and rows >= FEW_ROWS / 4:
        return Dropped(column.name, "text", f"free text, {words:.0f} words on average, {how_often}")
    if words >= 5 and distinct > max(0.1 * rows, 50):
        return Dropped(column.name, "text", f"free text, {words:.0f} words on average, {how_often}")
    named = _IDENTIFIER.search(column.words)
    if distinct > 0.5 * rows and (rows >= FEW_ROWS or (named and distinct == rows)):
        if named or distinct > 0.95 * rows:
            return Dropped(column.name, "identifier", f"nearly every row has its own, {how_often}")
        return Dropped(
            column.name, "text", f"too many different values to be categories, {how_often}"
        )
    return _category(column, f"text, {distinct:,} distinct", max_categories)


def _category(column: _Seen, reason: str, max_categories: int) -> Column:
    if len(column.distinct) > max_categories:
        reason += f"; the {max_categories:,} most frequent are kept apart, the rest is 'other'"
    return Column(column.name, "category", _with_missing(reason, column))


# ---------------------------------------------------------------- the target


def _infer_target(column: _Seen, conventions: Conventions, task: str | None, where: str) -> Target:
    if column.values is None:
        raise DataError(
            "The target holds lists or objects.",
            where=where,
            expected="one number or class a row",
            found="several values in a cell",
        )
    if not column.present:
        raise DataError(
            "The target has no values.",
            where=where,
            expected="a number or class in at least 2 rows",
            found=f"{column.missing:,} missing values",
            hint="is it the right column?",
        )
    if _is_regression(column, task, where):
        return _regression(column, conventions)
    return _classes(column, where)


def _labelled(target: Target, frame: pl.DataFrame, source: str) -> tuple[pl.DataFrame, list[str]]:
    """The rows that have a target, and notes."""
    values = Schema((), (), target).read_target(frame, source)
    known = values >= 0 if target.classes else ~np.isnan(values)
    _check_learnable(values[known], target, f"{source}, column {target.name!r}")
    notes = []
    lost = int((~known).sum())
    if lost:
        rows = "row has" if lost == 1 else "rows have"
        notes.append(f"{lost:,} {rows} no usable target ({target.name}) and will not be used")
    if target.classes:
        counts = np.bincount(values[known])
        rare = [label for label, count in zip(target.classes, counts, strict=True) if count == 1]
        if rare:
            of = f"class {rare[0]!r} has" if len(rare) == 1 else f"{len(rare)} classes have"
            notes.append(f"{of} one row only; it is used for training, never for testing")
    return frame.filter(known), notes


def _is_regression(column: _Seen, task: str | None, where: str) -> bool:
    if task not in (None, "regression", "classification"):
        raise DataError(
            "This task is not known.", expected="regression or classification", found=str(task)
        )
    if task == "classification":
        return False
    if column.is_moments or (column.date_formats and task is None):
        raise DataError(
            "The target holds dates, which cannot be predicted yet.",
            where=where,
            expected="numbers or classes",
            found=", ".join(f"{value!s}" for value in column.distinct.head(3).to_list()),
            hint="turn it into a number, such as days from a fixed date",
        )
    is_number = bool(column.notations) if column.is_text else column.distinct.dtype != _boolean()
    if task == "regression":
        if not is_number:
            raise DataError(
                "A regression needs a target of numbers.",
                where=where,
                expected="numbers",
                found=", ".join(map(_shown, column.distinct.head(3).to_list())),
                hint="leave the task out, or ask for a classification",
            )
        return True
    return is_number and not _are_class_numbers(column)


def _are_class_numbers(column: _Seen) -> bool:
    notation = column.notations[0] if column.is_text else PLAIN
    read = cells.read_numbers(column.distinct, notation)
    if read.null_count():  # words among the numbers: classes if few
        return len(column.distinct) <= MOST_CLASSES and column.present >= ROWS_PER_CLASS * len(read)
    values = np.unique(read.filter(read.is_finite()).to_numpy())
    if (values != np.floor(values)).any():
        return False
    if tuple(values) in ((0, 1), (-1, 1), (1, 2)):
        return True
    return len(values) <= MOST_CLASSES and column.present >= ROWS_PER_CLASS * len(values)


def _regression(column: _Seen, conventions: Conventions) -> Target:
    notation, how = None, ""
    if column.is_text:
        notation, how = _choose_notation(column.notations, column, conventions)
    reason = f"numbers, {len(column.distinct):,} distinct{how}: a regression"
    return Target(column.name, "regression", reason, notation)


def _classes(column: _Seen, where: str) -> Target:
    text = cells.read_categories(column.distinct).unique()
    rows = column.present
    if rows >= FEW_ROWS and len(text) * 2 > rows:
        raise DataError(
            "The target has nearly as many classes as rows.",
            where=where,
            expected="a few classes, each in several rows, or numbers",
            found=f"{len(text):,} different values in {rows:,} rows, as {text.sort()[0]!r:.40}",
            hint="is it the right column? Identifiers and free text cannot be predicted",
        )
    numbers = text.cast(_float64(), strict=False)
    order = numbers if numbers.null_count() == 0 else text
    classes = tuple(text.gather(order.arg_sort()).to_list())
    shown = ", ".join(classes[:5]) + (", …" if len(classes) > 5 else "")
    what = "text" if column.is_text and numbers.null_count() else f"{len(classes)} values"
    reason = f"{what} in {rows:,} rows: {len(classes)} classes ({shown})"
    return Target(
        column.name, "binary" if len(classes) == 2 else "multiclass", reason, None, classes
    )


def _check_learnable(values: NDArray[Any], target: Target, where: str) -> None:
    if len(values) < 2:
        raise DataError(
            "There are too few rows to learn from.",
            where=where,
            expected="at least 2 rows with a target",
            found="1 row" if len(values) else "no row",
        )
    if len(np.unique(values)) == 1:
        one = f"{target.classes[0]!r}" if target.classes else f"{values[0]:g}"
        raise DataError(
            "The target has one class only." if target.classes else "The target is constant.",
            where=where,
            expected="at least two different values",
            found=f"{one} in all {len(values):,} rows",
            hint="there is nothing to learn: is it the right column?",
        )


def _boolean() -> type[pl.Boolean]:
    import polars as pl

    return pl.Boolean


def _float64() -> type[pl.Float64]:
    import polars as pl

    return pl.Float64


def _int64() -> type[pl.Int64]:
    import polars as pl

    return pl.Int64
