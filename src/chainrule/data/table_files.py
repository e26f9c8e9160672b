"""Files that hold several tables: Excel and ODS workbooks, SQLite and DuckDB databases."""

from __future__ import annotations

import importlib
import io
import re
import sqlite3
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..errors import DataError
from .column_names import check_names, listed
from .extra_rows import without_extra_rows
from .source import most_unpacked
from .unpacked_size import check_workbook

if TYPE_CHECKING:
    import polars as pl

    Columns = Callable[[Sequence[tuple[str, Any]], str], pl.DataFrame]

_SQLITE, _OLD_EXCEL = b"SQLite format 3\0", b"\xd0\xcf\x11\xe0"
_DUCKDB_AT, _DUCKDB = 8, b"DUCK"
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
_NO_VALUE = re.compile(rb"<f(?:\s[^>]*)?>[^<]*</f>\s*(?:<v\s*/>|<v></v>)?\s*</c>")
#: So many rows may stand above the header of a sheet.
_ABOVE = 20


def kind_of_file(data: bytes) -> str | None:
    """Which kind of file with several tables this is, by its content: all of it, or its head.

    Example:
        >>> kind_of_file(b"SQLite format 3" + bytes(99)), kind_of_file(b"a,b")
        ('SQLite database', None)
    """
    if data.startswith(_SQLITE):
        return "SQLite database"
    if data[_DUCKDB_AT : _DUCKDB_AT + len(_DUCKDB)] == _DUCKDB:
        return "DuckDB database"
    if data.startswith(_OLD_EXCEL):
        return "workbook"
    if not data.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            is_ods = "mimetype" in names and b"spreadsheet" in archive.read("mimetype")[:99]
    except (zipfile.BadZipFile, OSError, RuntimeError):
        return None
    return "workbook" if is_ods or any(name.startswith("xl/") for name in names) else None


def read_table_file(
    kind: str,
    data: bytes,
    path: Path | None,
    name: str,
    table: str | None,
    notes: list[str],
    from_columns: Columns,
) -> pl.DataFrame:
    """One of the tables in a file.

    Args:
        kind: as `kind_of_file` says.
        data: the file's content.
        path: where it is, if it is a file that is not compressed.
        name: of the file, for messages.
        table: which one; needed if there are several.
        notes: takes sentences about what was chosen or left out.
        from_columns: makes a table of named columns.

    Raises:
        DataError: there is no such table, or several and none was named; or a package is needed.
    """
    if kind == "workbook":
        return _read_workbook(data, name, table, notes)
    read = _read_sqlite if kind == "SQLite database" else _read_duckdb
    if path is not None:
        return read(path, name, table, notes, from_columns)
    with tempfile.TemporaryDirectory(prefix="chainrule-") as folder:
        copy = Path(folder) / "database"
        copy.write_bytes(data)
        return read(copy, name, table, notes, from_columns)


#: Packages that read such files, and the extras that install them.
_EXTRAS = {"fastexcel": "excel", "duckdb": "duckdb"}


def _needed(package: str, name: str) -> Any:
    """A package that is no dependency."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise DataError(
            f"To read this file the package {package} is needed.",
            where=name,
            expected=f"the extra {_EXTRAS[package]}",
            hint=f"pip install 'chainrule[{_EXTRAS[package]}]', or export the table as CSV",
        ) from None


def _chosen(tables: Sequence[str], asked: str | None, name: str, what: str) -> str:
    """The table that was asked for, or the only one."""
    if asked is None and len(tables) == 1:
        return tables[0]
    if asked is not None:
        near = [table for table in tables if table.lower() == asked.lower()]
        if asked in tables or len(near) == 1:
            return asked if asked in tables else near[0]
    found = listed([repr(table) for table in tables], 12) if tables else "none"
    first = tables[0] if tables else ""
    raise DataError(
        f"There is no {what} {asked!r}." if asked else f"The file holds no single {what}.",
        where=name,
        expected=f"one of its {what}s",
        found=found,
        hint=f"say which: --table {quoted(first)} (table={first!r})" if tables else None,
    )


def quoted(word: str) -> str:
    """A word for a shell."""
    return word if word.replace("_", "").isalnum() else f"'{word}'"


# ---------------------------------------------------------------- databases


def _read_sqlite(
    path: Path, name: str, table: str | None, notes: list[str], from_columns: Columns
) -> pl.DataFrame:
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)
        ) as base:
            base.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
            known = base.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
                "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name"
            )
            chosen = _chosen([row[0] for row in known], table, name, "table")
            identifier = chosen.replace('"', '""')
            cursor = base.execute(f'SELECT * FROM "{identifier}"')
            labels = [column[0] for column in cursor.description]
            return _columns(labels, cursor.fetchall(), f"{name}, table {chosen!r}", from_columns)
    except sqlite3.Error as error:
        raise _damaged("SQLite database", name, error) from None


def _read_duckdb(
    path: Path, name: str, table: str | None, notes: list[str], from_columns: Columns
) -> pl.DataFrame:
    duckdb = _needed("duckdb", name)
    try:
        with closing(duckdb.connect(str(path), read_only=True)) as base:
            base.execute("SET enable_external_access = false")
            known = base.execute(
                "SELECT table_schema, table_name FROM information_schema.tables "
                "WHERE table_schema NOT IN ('information_schema', 'pg_catalog') "
                "ORDER BY table_type, table_schema, table_name"
            ).fetchall()
            names = {(t if s == "main" else f"{s}.{t}"): (s, t) for s, t in known}
            chosen = _chosen(list(names), table, name, "table")
            identifier = ".".join('"' + part.replace('"', '""') + '"' for part in names[chosen])
            cursor = base.execute(f"SELECT * FROM {identifier}")
            labels = [column[0] for column in cursor.description]
            return _columns(labels, cursor.fetchall(), f"{name}, table {chosen!r}", from_columns)
    except duckdb.Error as error:
        raise _damaged("DuckDB database", name, error) from None


def _columns(labels: list[str], rows: list[Any], where: str, from_columns: Columns) -> pl.DataFrame:
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in labels]
    named = [(label, list(cells)) for label, cells in zip(labels, columns, strict=True)]
    return from_columns(named, where)


def _damaged(what: str, name: str, error: Exception) -> DataError:
    return DataError(
        f"The {what} cannot be read.",
        where=name,
        found=str(error).splitlines()[0] if str(error) else type(error).__name__,
        hint="copy it again, while no other program has it open",
    )


# ---------------------------------------------------------------- workbooks


def _read_workbook(data: bytes, name: str, table: str | None, notes: list[str]) -> pl.DataFrame:
    fastexcel = _needed("fastexcel", name)
    try:
        check_workbook(data, most_unpacked(data))
    except (ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
            struct.error) as error:  # fmt: skip
        raise DataError("The workbook is damaged, or would fill the memory.", where=name,
                        found=str(error)) from None  # fmt: skip
    try:
        book = fastexcel.read_excel(data)
        sheets = list(book.sheet_names)
        hidden = [s for s in sheets if _load(book, s, n_rows=1).visible != "visible"]
        shown = [sheet for sheet in sheets if sheet not in hidden]
        asked = table if table is not None else None
        chosen = _chosen(sheets if asked else shown or sheets, asked, name, "sheet")
        if count := _without_value(data):
            notes.append(
                f"{name}: {count:,} formulas hold no value and are missing; a spreadsheet program "
                "computes them when it saves the file"
            )
        if hidden and asked is None:
            notes.append(f"{name}: hidden sheets are left out: {listed(hidden)}")
        return _read_sheet(book, chosen, f"{name}, sheet {chosen!r}", notes)
    except fastexcel.FastExcelError as error:
        raise _damaged("workbook", name, error) from None
    except BaseException as error:  # what the library did not expect of a file is none of these
        if type(error).__name__ != "PanicException":
            raise
        raise _damaged("workbook", name, ValueError("a part of it ends early")) from None


def _without_value(data: bytes) -> int:
    """How many formulas were written by a program that did not compute them."""
    if not data.startswith(b"PK"):
        return 0
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheets = [name for name in archive.namelist() if _SHEET.fullmatch(name)]
        return sum(len(_NO_VALUE.findall(archive.read(name))) for name in sheets)


def _load(book: Any, sheet: str, **options: Any) -> Any:
    """All cells as text."""
    return book.load_sheet(sheet, header_row=None, dtypes="string", **options)


def _read_sheet(book: Any, sheet: str, where: str, notes: list[str]) -> pl.DataFrame:
    import polars as pl

    # Without a number of rows to skip, empty ones above the first cell are left out.
    text = _load(book, sheet, skip_rows=0).to_polars()
    used = [i for i, column in enumerate(text.iter_columns()) if column.null_count() < len(column)]
    if not used:
        raise DataError("The sheet is empty.", where=where, expected="a header and rows")
    text = text.select([text.columns[i] for i in used])
    begin, names = _find_header(text, where, notes)
    check_names([label for label in names if label], where)
    nameless = [f"column_{i + 1}" for i, label in enumerate(names) if not label]
    if nameless:
        notes.append(f"{where}: columns without a name in the header are called {listed(nameless)}")
    columns = []
    for place, (i, label) in enumerate(zip(used, names, strict=True)):
        cells = _typed(book, sheet, i, begin, text.to_series(place)[begin:])
        columns.append(cells.alias(label or f"column_{place + 1}"))
    frame = pl.DataFrame(columns)
    empty = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
    rows = (~empty).arg_true()
    return without_extra_rows(
        frame[rows], where, lambda row: int(rows[row]) + begin + 1, notes, noun="row"
    )


def _typed(book: Any, sheet: str, column: int, begin: int, text: pl.Series) -> pl.Series:
    """The cells of a column with the type that all of them have; as text if they differ."""
    fastexcel = _needed("fastexcel", sheet)
    try:
        found = book.load_sheet(
            sheet, header_row=None, skip_rows=begin, use_columns=[column], schema_sample_rows=None
        )
        cells: pl.Series = found.to_polars().to_series()
    except fastexcel.FastExcelError:
        return text
    if len(cells) != len(text) or cells.null_count() != text.null_count():
        return text
    if cells.dtype.is_temporal() and _are_times(cells):
        return cells.dt.time()
    return cells


def _are_times(cells: pl.Series) -> bool:
    """Are they times of the day, which workbooks count from their first day on?"""
    import polars as pl

    if not isinstance(cells.dtype, pl.Datetime):
        return False
    return bool((cells.dt.year().drop_nulls() < 1900).all()) and cells.null_count() < len(cells)


def _find_header(text: pl.DataFrame, where: str, notes: list[str]) -> tuple[int, list[str]]:
    """Where the rows begin, and the names of the columns above them."""
    rows = text.head(_ABOVE + 2).rows()
    most = max(sum(cell is not None for cell in row) for row in rows)
    first = next(
        i for i, row in enumerate(rows)
        if sum(cell is not None for cell in row) > most / 2 or most == 1
    )  # fmt: skip
    names = [str(cell).strip() if cell is not None else "" for cell in rows[first]]
    begin = first + 1
    below = rows[begin] if begin < len(rows) else ()
    if "" in names and _is_second_header(names, below):
        # Cells that are merged hold their text in the first of them.
        for i, label in enumerate(names):
            names[i] = label or (names[i - 1] if i else "")
        names = [
            f"{label} {cell}".strip() if cell is not None else label
            for label, cell in zip(names, below, strict=True)
        ]
        begin += 1
        notes.append(f"{where}: the header has two rows, whose names are joined")
    above = [str(cell) for row in rows[:first] for cell in row if cell is not None]
    if above:
        notes.append(f"{where}: what stands above the header is left out: {above[0]:.60}")
    return begin, names


def _is_second_header(names: Sequence[str], below: Sequence[Any]) -> bool:
    """Are there only words in a row, and one below each gap in the names?"""
    cells = [str(cell) for cell in below if cell is not None]
    gaps = [cell for name, cell in zip(names, below, strict=False) if not name]
    words = all(not any(map(str.isdigit, cell)) for cell in cells)
    return bool(cells) and words and all(cell is not None for cell in gaps)
