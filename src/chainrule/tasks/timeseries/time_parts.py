"""Times that a table says in several columns: year and month, or a date and an hour."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from ...data import parsing
from ...errors import DataError

if TYPE_CHECKING:
    import polars as pl

#: Between the names of the columns that say a time together.
PLUS = "+"
#: Behind the name of times whose hours are called by their ends: 1 is the hour from 0:00 to 1:00.
ENDS = " (hours 1 to 24)"
#: What columns are called that say a part of a time.
_NAMES = {
    "year": ("year", "yr", "yyyy", "jahr", "año", "ano", "année", "annee", "anno"),
    "month": ("month", "mon", "mnth", "mm", "monat", "mes", "mois", "mese"),
    "quarter": ("quarter", "qtr", "q", "quartal"),
    "week": ("week", "wk", "week_of_year", "weekofyear", "woche"),
    "day": ("day", "dd", "day_of_month", "dayofmonth", "tag", "día", "dia", "jour"),
    "hour": ("hour", "hr", "hh", "stunde", "hora", "heure", "time", "uhrzeit", "clock"),
    "minute": ("minute", "min", "minuten"),
}
_LOWEST = {"year": 1000, "month": 1, "quarter": 1, "week": 1, "day": 1, "hour": 0, "minute": 0}
_HIGHEST = {
    "year": 2999, "month": 12, "quarter": 4, "week": 53, "day": 31, "hour": 24, "minute": 59,
}  # fmt: skip
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_CLOCK = r"^\d{1,2}:\d\d(:\d\d(\.\d+)?)?$"


def time_parts(
    frame: pl.DataFrame, time: str | None, groups: str | None, skip: Collection[str]
) -> tuple[str, ...]:
    """The columns that say the times together; empty if one does, or none do.

    Args:
        frame: the table.
        time: the column that was found to say the times.
        groups: the column of the series of each row.
        skip: columns that are something else.
    """
    if time is not None and not _repeat(frame, [time], groups):
        return ()
    called = _called(frame, skip)
    found = [tuple(called[part] for part in parts if part in called) for parts in (
        ("year", "month", "day", "hour", "minute"), ("year", "quarter"), ("year", "week"),
    )] if "year" in called else []  # fmt: skip
    if time is not None and "hour" in called and time not in called.values():
        found.insert(0, (time, *(called[part] for part in ("hour", "minute") if part in called)))
    for parts in found:
        if len(parts) > 1 and _says_times(frame, parts, groups):
            return parts
    return ()


def name_of(frame: pl.DataFrame, parts: Sequence[str]) -> str:
    """What the times of these parts are called: the parts with + between.

    How hours are counted is part of the name, so that it is learned once: a later table may be
    without an hour 24.
    """
    hour = _called(frame, ()).get("hour")
    ends = hour is not None and hour in parts and _counts_to_24(frame[hour])
    return PLUS.join(parts) + (ENDS if ends else "")


def with_time(
    frame: pl.DataFrame, parts: Sequence[str], name: str, source: str = "the table"
) -> pl.DataFrame:
    """The table with one more column of this name, of the times as text.

    Args:
        frame: the table.
        parts: the columns that say the times together.
        name: of the new column, by `name_of`.
        source: the table's name in messages.

    Raises:
        DataError: a cell is no such part of a time, or hours are counted in another way than the
            name says.

    Example:
        >>> import polars as pl
        >>> frame = pl.DataFrame({"year": [2020, 2020], "month": ["Jan", "Feb"]})
        >>> with_time(frame, ("year", "month"), "year+month")["year+month"].to_list()
        ['2020-01', '2020-02']
    """
    text = _joined(frame, parts, name.endswith(ENDS), source)
    return frame.with_columns(text.alias(name))


def parts_named(time: str | None, present: Collection[str]) -> tuple[str, ...]:
    """The columns that a name of several says, if it is no column itself."""
    if time is None or time in present or PLUS not in time:
        return ()
    parts = tuple(time.removesuffix(ENDS).split(PLUS))
    return parts if all(part in present for part in parts) else ()


def _repeat(frame: pl.DataFrame, columns: Sequence[str], groups: str | None) -> bool:
    names = [*columns, *([groups] if groups else [])]
    return bool(frame.select(names).is_duplicated().any())


def _called(frame: pl.DataFrame, skip: Collection[str]) -> dict[str, str]:
    """Which column is called like each part of a time, and holds such."""
    found: dict[str, str] = {}
    for column in frame.columns:
        if column in skip:
            continue
        for part, names in _NAMES.items():
            if part not in found and column.strip().lower() in names:
                if _read(frame[column], part) is not None:
                    found[part] = column
                break
    return found


def _read(cells: pl.Series, part: str) -> pl.Series | None:
    """A part of a time as integers; a time of day as text; None if it is none."""
    import polars as pl

    tidy = cells if cells.dtype == pl.Time else parsing.tidy(cells)
    if tidy is None or tidy.null_count() == len(tidy):
        return None
    text = tidy.cast(pl.String).str.strip_chars()
    if part == "hour" and bool(text.drop_nulls().str.contains(_CLOCK).all()):
        return text
    if part == "month" and tidy.dtype == pl.String:
        short = text.str.to_lowercase().str.slice(0, 3)
        named = short.replace({name: str(i + 1) for i, name in enumerate(_MONTHS)})
        text = named.zip_with(short.is_in(_MONTHS), text)
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() > tidy.null_count() or bool((numbers.drop_nulls() % 1 != 0).any()):
        return None
    low, high = float(str(numbers.min())), float(str(numbers.max()))
    if low < _LOWEST[part] or high > _HIGHEST[part]:
        return None
    if part == "hour" and low < 1 and high > 23:
        return None  # 24 is either the end of a day or none of its hours
    return numbers.cast(pl.Int64)


def _counts_to_24(hours: pl.Series) -> bool:
    import polars as pl

    read = _read(hours, "hour")
    return read is not None and read.dtype != pl.String and bool((read == 24).any())


def _part(cells: pl.Series, part: str, ends: bool, source: str) -> pl.Series:
    """A part of the times; hours from 0 to 23, which in the table may be called by their ends.

    Raises:
        DataError: a cell is none.
    """
    import polars as pl

    low, high = _LOWEST[part], _HIGHEST[part]
    if part == "hour":
        low, high = (1, 24) if ends else (0, 23)

    def fits(read: pl.Series | None) -> bool:
        if read is None or read.dtype == pl.String:
            return read is not None
        return not ((read < low) | (read > high)).any()

    read = _read(cells, part)
    if read is not None and fits(read):
        return read - 1 if ends and part == "hour" and read.dtype != pl.String else read
    row, cell = next(
        (row, cell)
        for row, cell in enumerate(cells)
        if cell is not None and not fits(_read(pl.Series([cell]), part))
    )
    raise DataError(
        f"A cell of column {cells.name!r} is no {part}.",
        where=f"{source}, column {cells.name!r}, row {row + 1}",
        expected=f"{part}s from {low} to {high}",
        found=repr(cell),
    )


def _joined(frame: pl.DataFrame, parts: Sequence[str], ends: bool, source: str) -> pl.Series:
    import polars as pl

    called = {name: part for part, names in _NAMES.items() for name in names}
    kinds = [called.get(column.strip().lower(), "date") for column in parts]
    if kinds[0] != "year":
        kinds[0] = "date"  # whatever it is called, such as day
    sign = {"date": "", "year": "", "month": "-", "quarter": "-Q", "week": "-W", "day": "-",
            "hour": " ", "minute": ":"}  # fmt: skip
    text = pl.Series([""] * frame.height)
    for column, kind in zip(parts, kinds, strict=True):
        cells = frame[column]
        cells = _date(cells) if kind == "date" else _part(cells, kind, ends, source)
        written = cells.cast(pl.String)
        if kind not in ("date", "quarter") and cells.dtype != pl.String:
            written = written.str.zfill(2)
        text = text + sign[kind] + written
        if kind == "hour" and cells.dtype != pl.String and "minute" not in kinds:
            text = text + ":00"
    return text


def _date(cells: pl.Series) -> pl.Series:
    """Dates as text, without a time of day at midnight."""
    import polars as pl

    if cells.dtype in (pl.Date, pl.Datetime):
        return cells.dt.strftime("%Y-%m-%d")
    return cells.cast(pl.String).str.strip_chars().str.replace(r"[ T]0?0:00(:00)?(\.0+)?$", "")


def _says_times(frame: pl.DataFrame, parts: Sequence[str], groups: str | None) -> bool:
    """Whether the parts together do not repeat, and the last one is not said without the others."""
    return not _repeat(frame, parts, groups) and _repeat(frame, parts[:1], groups)
