"""A column of times: cells to seconds or numbers, and back in the notation of the user."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Column, infer_schema, parsing
from ...data.schema import read_values, tidy_column
from ...errors import ConfigError, DataError
from ...utils.typing import Array
from .calendar import Calendar

if TYPE_CHECKING:
    import polars as pl

_DAY = 86_400.0
#: Names of columns of times, where they are numbers.
NAMES = (
    *("date", "time", "datetime", "timestamp", "year", "quarter", "month", "week", "day"),
    *(
        "period",
        "yyyymm",
        "ds",
        "t",
        "epoch",
        "unix",
        "unixtime",
        "unix_time",
        "unix_timestamp",
        "ts",
    ),
)
#: Periods that are no dates: what a cell looks like (groups: year, part), parts of a year.
_PERIODS = (
    (re.compile(r"(?P<year>\d{4})[-/ ]?[Qq](?P<part>[1-4])"), "quarter"),
    (re.compile(r"[Qq](?P<part>[1-4])[-/ ]?(?P<year>\d{4})"), "quarter"),
    (re.compile(r"(?P<year>\d{4})[-/ ]?W(?P<part>[0-5]\d)"), "week"),
    (re.compile(r"(?P<year>\d{4})[-/ ]?M(?P<part>0?[1-9]|1[0-2])"), "month"),
    (re.compile(r"(?P<year>1[89]\d\d|20\d\d)(?P<part>0[1-9]|1[0-2])"), "month"),
)
#: Times that are counted in seconds since 1970, of the years from 1990 to 2100.
EPOCH, _EPOCH = "epoch", (631_152_000, 4_102_444_800)
_ZONE = re.compile(r"\s?(?:[Zz]|[+-]\d\d:?(?:\d\d)?)$")


@dataclass(frozen=True)
class TimeNotation:
    """How times are written, so that forecasts can be written alike.

    Attributes:
        format: as for strftime; empty for ISO 8601, the name of a period such as quarter, or epoch
            for a count since 1970.
        like: a cell, which shows the rest: digits, signs between, and the zone.
        zone: the name of a time zone, for columns that have one.

    Example:
        >>> TimeNotation("quarter", "2023-Q4").write(1704067200.0, whole_days=True)
        '2024-Q1'
        >>> TimeNotation("%d/%m/%Y", "01/12/2021").write(1640995200.0, whole_days=True)
        '01/01/2022'
    """

    format: str = ""
    like: str = ""
    zone: str = ""

    def write(self, moment: float, whole_days: bool) -> str:
        """A time, in seconds since 1970, in this notation."""
        if self.format == EPOCH:
            return str(round(moment * 1e6) * int(self.like) // 1_000_000)
        local = datetime(1970, 1, 1) + timedelta(seconds=round(moment + self.offset(moment)))
        if self.format in ("quarter", "week", "month"):
            return self._write_period(local)
        if not self.format:
            if whole_days and not self.zone:
                return local.date().isoformat()
            return local.isoformat() + (_offset_text(self.offset(moment)) if self.zone else "")
        written, zone = self.format, _ZONE.search(self.like)
        written = written.replace("%#z", zone.group().strip() if zone else "")
        written = written.replace("%.f", "." + "0" * _decimals(self.like) if _decimals(self.like)
                                  else "")  # fmt: skip
        if "%B" in written and not re.search(r"[A-Za-z]{4}", self.like):
            written = written.replace("%B", "%b")
        return _unpadded(local.strftime(written), self.like)

    def offset(self, moment: float) -> float:
        """Seconds that the local clock is ahead of UTC."""
        if self.zone:
            from zoneinfo import ZoneInfo

            ahead = datetime.fromtimestamp(moment, ZoneInfo(self.zone)).utcoffset()
            return ahead.total_seconds() if ahead else 0.0
        if "%#z" not in self.format or not (found := _ZONE.search(self.like)):
            return 0.0
        return zone_seconds(found.group().strip())

    def _write_period(self, day: datetime) -> str:
        year = day.year
        if self.format == "week":
            year, part, _ = day.isocalendar()
        else:
            part = (day.month - 1) // 3 + 1 if self.format == "quarter" else day.month
        pattern = next(p for p, name in _PERIODS if name == self.format and p.fullmatch(self.like))
        found = pattern.fullmatch(self.like)
        assert found is not None
        text = list(self.like)
        spans = {found.span("part"): f"{part:0{_digits(found, self.format)}}",
                 found.span("year"): f"{year:04}"}  # fmt: skip
        for (start, end), written in sorted(spans.items(), reverse=True):
            text[start:end] = written
        return "".join(text)


def _unpadded(text: str, like: str) -> str:
    """A time without the leading zeros of day, month and hour that another one has not."""
    day, sign, clock = re.match(r"([^:]*?)([T ](?=\d+:)|$)(.*)", text).groups()  # type: ignore[union-attr]
    shown, _, hour = re.match(r"([^:]*?)([T ](?=\d+:)|$)(.*)", like).groups()  # type: ignore[union-attr]
    if re.search(r"(?<!\d)\d(?!\d)", shown):
        day = re.sub(r"(?<!\d)0(?=\d)", "", day)
    if re.match(r"\d:", hour):
        clock = re.sub(r"^0(?=\d:)", "", clock)
    return str(day + sign + clock)


def _digits(found: re.Match[str], period: str) -> int:
    return 1 if period == "quarter" or len(found["part"]) == 1 else 2


def _decimals(like: str) -> int:
    found = re.search(r":\d\d\.(\d+)", like)
    return len(found[1]) if found else 0


def _offset_text(seconds: float) -> str:
    minutes = round(abs(seconds) / 60)
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"


def zone_seconds(zone: str) -> float:
    """The seconds of an offset such as ``+02:00`` or ``Z``.

    Example:
        >>> zone_seconds("-0530"), zone_seconds("Z")
        (-19800.0, 0.0)
    """
    if zone in "Zz":
        return 0.0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600.0 + int(digits[2:] or 0) * 60.0
    return -seconds if zone[0] == "-" else seconds


@dataclass(frozen=True, eq=False)
class Times:
    """A column of times.

    Attributes:
        values: (rows,) seconds since 1970, or numbers; NaN where missing.
        dates: whether they are dates.
        notation: how they are written.
        zones: (rows,) seconds that the local clock is ahead; 0 where no zone is written.
        other: another format in which they would be as even.
        without_zone: how many have no zone where others have one.
    """

    values: Array
    dates: bool
    notation: TimeNotation
    zones: Array
    other: str = ""
    without_zone: int = 0


def read_times(
    frame: pl.DataFrame, column: str, name: str, kind: str = "", groups: Array | None = None
) -> Times:
    """A column of times.

    Of several readings, such as day first and month first, the one with the most even steps.

    Args:
        frame: the table.
        column: of the times.
        name: of the table, in messages.
        kind: what the user says of the column: ``date:%d/%m/%Y``, say.
        groups: the series that each row belongs to, if there are several.

    Raises:
        DataError: it holds lists, or cannot be read as the kind that the user names.
    """
    import polars as pl

    tidy, dtype = tidy_column(frame, column, name), frame[column].dtype
    if dtype in (pl.Date, pl.Datetime):
        zone = getattr(dtype, "time_zone", None) or ""
        notation = TimeNotation(zone=zone)
        values = parsing.epoch_seconds(tidy).to_numpy()
        ahead = [notation.offset(v) if v == v else 0.0 for v in values] if zone else 0.0
        return Times(values, True, notation, np.zeros(len(values)) + np.array(ahead))
    if tidy.dtype.is_float() and (tidy.drop_nulls() % 1 == 0).all():
        tidy = tidy.cast(pl.Int64)
    text = tidy if tidy.dtype == pl.String else tidy.cast(pl.String)
    if kind:
        return _as_told(tidy, text, column, kind, name)
    if (found := _read_periods(text) or _read_epoch(tidy)) is not None:
        return found
    formats = _formats(tidy, text)
    if formats:
        read = [(_seconds(text, known), known) for known in formats]
        even = [_evenness(values, groups) for values, _ in read]
        best = max(range(len(read)), key=even.__getitem__)
        chosen = read[best][0]
        alike = [known for (values, known), evenness in zip(read, even, strict=True)
                 if evenness == even[best] and (values != chosen).any()]  # fmt: skip
        again = alike[0] if alike else ""
        return dataclasses.replace(_written(read[best][0], text, read[best][1]), other=again)
    try:
        found_column = infer_schema(frame.select(column), source=name).columns[0]
        if found_column.kind == "date":
            values = read_values(found_column, tidy, name)[0]
            return _written(values, text, found_column.date_format or "")
    except DataError:  # a column of identifiers, such as years
        pass
    numbers, _ = read_values(Column(column, "numeric", ""), tidy, name)
    return Times(numbers, False, TimeNotation(), np.zeros(len(numbers)))


def _as_told(tidy: pl.Series, text: pl.Series, column: str, kind: str, name: str) -> Times:
    """Read as the user says."""
    kind, _, given = kind.partition(":")
    if kind == "numeric":
        numbers, _ = read_values(Column(column, "numeric", ""), tidy, name)
        return Times(numbers, False, TimeNotation(), np.zeros(len(numbers)))
    if kind != "date":
        raise ConfigError(
            f"The times of a series cannot be of the kind {kind}.",
            expected="date, date:FORMAT or numeric",
            found=f"{column}={kind}",
        )
    formats = [given] if given else _formats(tidy, text)
    values = _seconds(text, formats[0]) if formats else np.full(len(text), np.nan)
    unread = np.flatnonzero(np.isnan(values) & text.is_not_null().to_numpy())
    if len(unread):
        raise DataError(
            "A time cannot be read as the kind that was given.",
            where=f"{name}, column {column!r}, row {int(unread[0]) + 1:,}",
            expected=f"a date written as {formats[0]}" if formats else "a date",
            found=repr(text[int(unread[0])]),
        )
    return _written(values, text, formats[0])


def _formats(tidy: pl.Series, text: pl.Series) -> list[str]:
    """The formats in which all cells are dates."""
    import polars as pl

    if tidy.dtype != pl.String and not (
        tidy.dtype == pl.Int64 and text.drop_nulls().str.contains(r"^(?:1[89]|20)\d{6}$").all()
    ):
        return []
    counts = parsing.tally(text)
    return parsing.fitting_date_formats(counts["value"], counts["rows"], 1.0)


def _seconds(text: pl.Series, date_format: str) -> Array:
    return parsing.epoch_seconds(parsing.read_dates(text, date_format)).to_numpy()


def _written(values: Array, text: pl.Series, date_format: str) -> Times:
    """Times with their notation: that of the last row in time, and the shortest cells."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return Times(values, True, TimeNotation(date_format), np.zeros(len(values)))
    cells = text.to_list()
    last = cells[int(known[np.argmax(values[known])])]
    zones, without = np.zeros(len(values)), 0
    if "%#z" in date_format:
        found = [_ZONE.search(cell or "") for cell in cells]
        zones = np.array([zone_seconds(z.group().strip()) if z else 0.0 for z in found])
        without = sum(z is None for z in found) - int(text.null_count())
    else:  # the shortest cell shows whether days have leading zeros, the longest month the rest
        last = max(cells, key=lambda c: len(c or "")) if "%B" in date_format else min(
            (cell for cell in cells if cell), key=len
        )  # fmt: skip
    first = date_format.partition(parsing.OR)[0]
    return Times(values, True, TimeNotation(first, last), zones, without_zone=without)


def _read_periods(text: pl.Series) -> Times | None:
    """Quarters, weeks and months: the first day of each."""
    cells = text.to_list()
    sample = next((cell for cell in cells if cell), "")
    for pattern, period in _PERIODS:
        if not pattern.fullmatch(sample):
            continue
        found = [pattern.fullmatch(cell) if cell else None for cell in cells]
        if any(cell and not match for cell, match in zip(cells, found, strict=True)):
            continue
        try:
            days = [_first_day(int(m["year"]), int(m["part"]), period) if m else None
                    for m in found]  # fmt: skip
        except ValueError:  # no such week
            continue
        values = np.array([np.nan if d is None else d.timestamp() for d in days])
        sample = min((cell for cell in cells if cell), key=len)
        return Times(values, True, TimeNotation(period, sample), np.zeros(len(values)))
    return None


def _read_epoch(cells: pl.Series) -> Times | None:
    """Integers that count seconds since 1970, or their thousandths and so on."""
    import polars as pl

    numbers = cells.cast(pl.Int64, strict=False) if cells.dtype == pl.String else cells
    if numbers.dtype != pl.Int64 or numbers.null_count() > cells.null_count():
        return None
    low, high = numbers.min(), numbers.max()
    for scale in (1, 1_000, 1_000_000, 1_000_000_000):
        if low is not None and _EPOCH[0] * scale <= int(str(low)) <= int(str(high)) \
                < _EPOCH[1] * scale:  # fmt: skip
            whole = (numbers // scale).cast(pl.Float64).fill_null(np.nan).to_numpy()
            rest = (numbers % scale).cast(pl.Float64).fill_null(np.nan).to_numpy() / scale
            notation = TimeNotation(EPOCH, str(scale))
            return Times(whole + rest, True, notation, np.zeros(len(whole)))
    return None


def _first_day(year: int, part: int, period: str) -> datetime:
    from datetime import UTC

    if period == "week":
        return datetime.fromisocalendar(year, part, 1).replace(tzinfo=UTC)
    month = 3 * part - 2 if period == "quarter" else part
    return datetime(year, month, 1, tzinfo=UTC)


def _evenness(values: Array, groups: Array | None) -> tuple[float, bool]:
    """How much of an even grid the times fill, and whether they are in order."""
    values = values[~np.isnan(values)] if groups is None else _of_largest(values, groups)
    ordered = bool((np.diff(values) > 0).all() or (np.diff(values) < 0).all())
    times = np.unique(values)
    if len(times) < 2:
        return 0.0, ordered
    try:
        places = Calendar.of(times, dates=True).places(times)
    except DataError:
        return 0.0, ordered
    return len(times) / float(places[-1] + 1), ordered


def _of_largest(values: Array, groups: Array) -> Array:
    names, counts = np.unique(groups, return_counts=True)
    part = values[groups == names[np.argmax(counts)]]
    return part[~np.isnan(part)]


def time_column(
    frame: pl.DataFrame, target: str, drop: Sequence[str], kinds: Any = ()
) -> str | None:
    """The column of the times: dates or periods, or numbers by a name that says it."""
    import polars as pl

    names = [name for name in frame.columns if name != target and name not in drop]
    told = [name for name in names if name in kinds and kinds[name].startswith("date")]
    if told or not names:
        return told[0] if told else None
    try:
        schema = infer_schema(frame.select(names))
    except DataError:  # nothing but identifiers, such as years
        schema = None
    for column in schema.columns if schema else ():
        if column.kind == "date":
            return column.name
    for name in names:
        cells = parsing.tidy(frame[name])
        if cells is not None and cells.dtype == pl.String and _read_periods(cells.head(1000)):
            return name
    return next((name for name in names if name.lower() in NAMES), None)
