"""Files to tables: any common file of rows becomes a DataFrame, or an error says why not.

The format is found from the content, not from the file's name. Cells of text files stay text, so
that nothing is lost (the code ``00123`` keeps its zeros); `chainrule.data.infer` decides what they
mean.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from ..utils.warned import warned
from .column_names import check_names, listed
from .delimited import parse_delimited
from .extra_rows import LeftOut
from .source import (
    FileReading,
    decode,
    find_encoding,
    not_a_table,
    read_bytes,
    readings_of,
    unpack,
)
from .table_files import kind_of_file, read_table_file

if TYPE_CHECKING:
    import polars as pl

# A file starts with these bytes if it is of the kind at the right, which holds no plain table.
_FOREIGN = {
    b"%PDF": "a PDF",
    b"\x89HDF": "an HDF5 file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x93NUMPY": "a NumPy array file",
    b"\x80\x04\x95": "a Python pickle",
    b"\x7fELF": "a program",
    b"FEA1": "a Feather file of version 1",
}


def read_table(
    source: Any,
    *,
    encoding: str | None = None,
    separator: str | None = None,
    table: str | None = None,
    notes: list[str] | None = None,
    used: list[FileReading] | None = None,
) -> pl.DataFrame:
    r"""Read a table from a file, standard input or an object in memory.

    Args:
        source: a path (CSV, TSV, Parquet, Arrow/Feather, JSON lines, JSON; plain or compressed as
            gz, zst, bz2, xz or a zip of one member; Excel and ODS workbooks, SQLite and DuckDB
            files), ``"-"`` for standard input, the bytes of a file, an open binary file, a polars
            or pandas DataFrame, or a mapping from column names to values. A
            `chainrule.data.source.TablePath` says how it is read.
        encoding: of a text file; found if not given, by its mark or alphabet.
        separator: between the fields of a text file; found if not given. `` `` stands for any
            number of spaces and tabs.
        table: the sheet of a workbook, or the table of a database; needed if there are several.
        notes: takes sentences about what was guessed, repaired or left out, to be shown to the
            user. Without it, rows that are left out are told as Python warnings.
        used: takes how the file was read, said or found out.

    Returns:
        The table. Cells of CSV files are strings, and null where a field is empty. Rows of files
        that are no observations (totals, notes, units, headers that come again) are left out.

    Raises:
        DataError: the source cannot be read as a table; names the file and, if any, the line.

    Example:
        >>> read_table(b"id;price\n007;1,50\n").to_dicts()
        [{'id': '007', 'price': '1,50'}]
    """
    name = source_name(source)
    unheard = notes is None
    notes = [] if notes is None else notes
    frame = _from_memory(source, name)
    if frame is None:
        how = readings_of(source, encoding, separator, table)
        packed = read_bytes(source, name)
        if kind := kind_of_file(packed):
            path = Path(source) if isinstance(source, str | Path) and str(source) != "-" else None
            frame = _of_several(kind, packed, path, name, how, notes)
        else:
            data = unpack(packed, name)
            if kind := kind_of_file(data):
                frame = _of_several(kind, data, None, name, how, notes)
            else:
                frame = _parse(data, name, how, notes, used)
    if unheard:
        for sentence in notes:
            if isinstance(sentence, LeftOut):
                warned(sentence)
    if frame.width == 0:
        raise DataError("The table has no columns.", where=name)
    if frame.height == 0:
        raise DataError(
            "The table has a header but no rows.",
            where=name,
            expected="at least one row below the header",
            found=f"only the header: {listed(frame.columns)}",
        )
    return frame


def source_name(source: Any) -> str:
    """What to call a source of `read_table` in messages.

    Example:
        >>> source_name("data/houses.csv"), source_name("-"), source_name({"a": [1]})
        ('data/houses.csv', 'standard input', 'the given dict')
    """
    if isinstance(source, str | Path):
        return "standard input" if str(source) == "-" else str(source)
    return str(getattr(source, "name", None) or f"the given {type(source).__name__}")


# ---------------------------------------------------------------- objects in memory


def _from_memory(source: Any, name: str) -> pl.DataFrame | None:
    """The table of an object in memory; None if the source is a file."""
    import polars as pl

    if isinstance(source, pl.DataFrame):
        return source
    if isinstance(source, pl.LazyFrame):
        return source.collect()
    if isinstance(source, Mapping):
        return from_columns([(str(key), values) for key, values in source.items()], name)
    if hasattr(source, "iloc") and hasattr(source, "columns"):  # pandas
        labels = enumerate(source.columns)
        return from_columns([(str(label), source.iloc[:, i]) for i, label in labels], name)
    if hasattr(source, "__arrow_c_stream__"):
        return pl.DataFrame(source)
    if isinstance(source, str | Path | bytes) or hasattr(source, "read"):
        return None
    raise DataError(
        "This is not a table.",
        where=name,
        expected="a file, a DataFrame, or a mapping from column names to values",
        found=f"an object of type {type(source).__name__}",
    )


def from_columns(columns: Sequence[tuple[str, Any]], name: str) -> pl.DataFrame:
    """A table of named columns, whatever they are made of."""
    import polars as pl

    check_names([label for label, _ in columns], name)
    series = [_series(label, values, name) for label, values in columns]
    lengths = {len(values) for values in series}
    if len(lengths) > 1:
        odd = next(values for values in series if len(values) != len(series[0]))
        raise DataError(
            "The columns have different lengths.",
            where=f"{name}, column {odd.name!r}",
            expected=f"{len(series[0]):,} values, as in column {series[0].name!r}",
            found=f"{len(odd):,} values",
        )
    return pl.DataFrame(series)


def _series(label: str, values: Any, name: str) -> pl.Series:
    """A column of any array-like; values of mixed types become text, so that none is lost."""
    import polars as pl

    if isinstance(values, pl.Series):
        return values.alias(label)
    # Types of pandas' own, such as Int64 with missing values, are no dtypes of NumPy.
    array = np.asarray(values) if isinstance(getattr(values, "dtype", None), np.dtype) else None
    if array is not None and array.dtype.kind in "biufM" and array.ndim == 1:
        unit_known = array.dtype.kind != "M" or np.datetime_data(array.dtype)[0] != "generic"
        if unit_known and array.dtype != np.float16 and array.dtype.itemsize <= 8:
            return pl.Series(
                label, array.astype("datetime64[us]") if array.dtype.kind == "M" else array
            )
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise DataError(
            "A column must be a sequence of values.",
            where=f"{name}, column {label!r}",
            expected="a list or array with one value a row",
            found=f"{type(values).__name__}: {values!r:.40}",
        )
    cells = values.tolist() if hasattr(values, "tolist") else list(values)
    return _from_cells(label, [None if is_missing(cell) else cell for cell in cells])


def is_missing(cell: Any) -> bool:
    """Is a value of Python, NumPy or pandas one that means missing?"""
    # NaN, NaT and the like differ from themselves; pandas' NA answers neither yes nor no.
    try:
        return cell is None or bool(cell != cell)
    except (TypeError, ValueError):
        return type(cell).__name__ == "NAType"


def _from_cells(label: str, cells: list[Any]) -> pl.Series:
    import polars as pl

    kinds = {type(cell) for cell in cells if cell is not None}
    try:
        if kinds == {int, float}:
            return pl.Series(label, cells, dtype=pl.Float64, strict=False)
        return pl.Series(label, cells, strict=True)
    except (TypeError, OverflowError, ValueError, pl.exceptions.PolarsError):
        return pl.Series(label, [None if cell is None else _text(cell) for cell in cells])


def _text(cell: Any) -> str:
    return (
        cell
        if isinstance(cell, str)
        else str(cell).lower()
        if isinstance(cell, bool)
        else str(cell)
    )


# ---------------------------------------------------------------- formats

How = tuple[FileReading, FileReading]


def _of_several(
    kind: str, data: bytes, path: Path | None, name: str, how: How, notes: list[str]
) -> pl.DataFrame:
    """A table of a file that may hold several."""
    said, usual = how
    try:
        return read_table_file(
            kind, data, path, name, said.table or usual.table, notes, from_columns
        )
    except DataError:
        if said.table or not usual.table:
            raise
        return read_table_file(kind, data, path, name, None, notes, from_columns)


def _parse(
    data: bytes, name: str, how: How, notes: list[str], used: list[FileReading] | None
) -> pl.DataFrame:
    import polars as pl

    said, usual = how
    if said.table is not None:
        raise DataError(
            "Only workbooks and databases hold several tables.",
            where=name,
            found=f"the table {said.table!r}",
            hint="omit --table (table=)",
        )

    if not data.strip():
        raise DataError(
            "The file is empty.", where=name, expected="a header line and rows", found="nothing"
        )
    if data.startswith(b"PAR1"):
        return _parse_binary(pl.read_parquet, data, "Parquet", name)
    if data.startswith(b"ARROW1"):
        return _parse_binary(pl.read_ipc, data, "Arrow", name)
    if data.startswith(b"\xff\xff\xff\xff") and len(data) > 8:
        return _parse_binary(pl.read_ipc_stream, data, "Arrow", name)
    for magic, kind in _FOREIGN.items():
        if data.startswith(magic):
            raise not_a_table(name, kind)
    encoding = said.encoding or find_encoding(data, name, notes, usual.encoding)
    text = decode(data, name, encoding, notes)
    separator = said.separator
    if not text.strip():
        raise DataError("The file is empty.", where=name, expected="a header line and rows")
    if (
        separator is None
        and text.lstrip()[:1] in "[{"
        and not name.lower().endswith((".csv", ".tsv"))
    ):
        return _parse_json(text, name)
    if separator is None and usual.separator and usual.separator in text.split("\n", 1)[0]:
        separator = usual.separator
    frame, separator = parse_delimited(text, name, separator, notes)
    if used is not None:
        used.append(FileReading(encoding if encoding != "utf-8" else None, separator))
    return frame


def _parse_binary(
    read: Callable[[io.BytesIO], pl.DataFrame], data: bytes, kind: str, name: str
) -> pl.DataFrame:
    import polars as pl

    try:
        return read(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise DataError(
            f"The {kind} file is damaged or cut off.",
            where=name,
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            hint="copy or write it again",
        ) from None


# ---------------------------------------------------------------- JSON


def _parse_json(text: str, name: str) -> pl.DataFrame:
    """JSON lines, an array of objects, or an object of columns."""
    first = text.lstrip().split("\n", 1)[0].strip()
    if first.startswith("{") and _is_json(first):
        rows = _json_lines(text, name)
        if len(rows) > 1 or not _holds_columns(rows[0]):
            return _from_rows(rows, name)
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise DataError(
            "The JSON is damaged or cut off.",
            where=f"{name}, line {line}" if line else name,
            found=str(error),
            hint="each line must be one object, or the whole file one array of objects",
        ) from None
    if isinstance(content, dict):
        if not _holds_columns(content):
            return _from_rows([content], name)
        columns = [(k, v if isinstance(v, list) else list(v.values())) for k, v in content.items()]
        return from_columns(columns, name)
    for position, row in enumerate(content, 1):
        if not isinstance(row, dict):
            raise DataError(
                "A row of the JSON array is not an object.",
                where=f"{name}, row {position}",
                expected='objects such as {"column": value}',
                found=f"{row!r:.60}",
            )
    if not content:
        raise DataError("The JSON array is empty.", where=name, expected="at least one object")
    return _from_rows(content, name)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _holds_columns(content: dict[str, Any]) -> bool:
    return bool(content) and all(isinstance(values, list | dict) for values in content.values())


def _json_lines(text: str, name: str) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            fault = None if isinstance(row, dict) else f"{line:.60}"
        except (ValueError, RecursionError) as error:
            fault = str(error)
        if fault:
            raise DataError(
                "A line of the JSON-lines file is not an object.",
                where=f"{name}, line {number}",
                expected='one object a line, such as {"column": value}',
                found=fault,
            )
        rows.append(row)
    return rows


def _from_rows(rows: list[dict[str, Any]], name: str) -> pl.DataFrame:
    labels: dict[str, None] = {}
    for row in rows:
        labels.update(dict.fromkeys(row))
    return from_columns([(label, [row.get(label) for row in rows]) for label in labels], name)
