"""Files to tables: any common file of rows becomes a DataFrame, or an error says why not.

The format is found from the content, not from the file's name. Cells of text files stay text, so
that nothing is lost (the code ``00123`` keeps its zeros); `chainrule.data.infer` decides what they
mean.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import os
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_SEPARATORS = ",;\t|"
_SUFFIXES = (
    *(".csv", ".tsv", ".txt", ".parquet", ".arrow", ".feather", ".json", ".jsonl", ".ndjson"),
    *(".gz", ".zst", ".bz2", ".xz", ".zip"),
)

# A file starts with these bytes if it is of the kind at the right, which holds no plain table.
_FOREIGN = {
    b"SQLite format 3": "an SQLite database",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file",
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
    notes: list[str] | None = None,
) -> pl.DataFrame:
    r"""Read a table from a file, standard input or an object in memory.

    Args:
        source: a path (CSV, TSV, Parquet, Arrow/Feather, JSON lines, JSON; plain or compressed as
            gz, zst, bz2, xz or a zip of one member), ``"-"`` for standard input, the bytes of a
            file, an open binary file, a polars or pandas DataFrame, or a mapping from column
            names to values.
        encoding: of a text file; found if not given (byte-order mark, UTF-8, UTF-16, Windows-1252).
        separator: between the fields of a text file; found if not given.
        notes: takes sentences about what was guessed or repaired, to be shown to the user.

    Returns:
        The table. Cells of CSV files are strings, and null where a field is empty.

    Raises:
        DataError: the source cannot be read as a table; names the file and, if any, the line.

    Example:
        >>> read_table(b"id;price\n007;1,50\n").to_dicts()
        [{'id': '007', 'price': '1,50'}]
    """
    name = source_name(source)
    notes = [] if notes is None else notes
    frame = _from_memory(source, name)
    if frame is None:
        data = _unpack(_read_bytes(source, name), name)
        frame = _parse(data, name, encoding, separator, notes)
    if frame.width == 0:
        raise DataError("The table has no columns.", where=name)
    if frame.height == 0:
        raise DataError(
            "The table has a header but no rows.",
            where=name,
            expected="at least one row below the header",
            found=f"only the header: {_listed(frame.columns)}",
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
        return _from_columns([(str(key), values) for key, values in source.items()], name)
    if hasattr(source, "iloc") and hasattr(source, "columns"):  # pandas
        labels = enumerate(source.columns)
        return _from_columns([(str(label), source.iloc[:, i]) for i, label in labels], name)
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


def _from_columns(columns: Sequence[tuple[str, Any]], name: str) -> pl.DataFrame:
    import polars as pl

    _check_names([label for label, _ in columns], name)
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
    return _from_cells(label, [None if _is_missing(cell) else cell for cell in cells])


def _is_missing(cell: Any) -> bool:
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


# ---------------------------------------------------------------- bytes


def _read_bytes(source: Any, name: str) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        if isinstance(source, str | Path):
            return sys.stdin.buffer.read() if str(source) == "-" else _read_file(Path(source), name)
        content = source.read()
        return content.encode() if isinstance(content, str) else bytes(content)
    except FileNotFoundError:
        raise DataError(
            "There is no such file.", where=name, hint=_near_file(Path(source))
        ) from None
    except IsADirectoryError:
        raise DataError(
            "This is a folder, not a file.", where=name, hint=_files_inside(Path(source))
        ) from None
    except PermissionError:
        raise DataError(
            "The file may not be read.", where=name, hint="check its permissions with `ls -l`"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise DataError("The file cannot be read.", where=name, found=str(error)) from None


def _read_file(path: Path, name: str) -> bytes:
    """The content of a file that nobody writes to meanwhile."""
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        data = file.read()
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DataError(
            "The file changed while it was read.",
            where=name,
            expected="a file that nobody writes to",
            found=f"{before.st_size:,} bytes, then {after.st_size:,}",
            hint="wait until it is written to the end, or copy it first",
        )
    return data


def _near_file(path: Path) -> str:
    if "://" in str(path) or ":/" in str(path):
        return "download it first: chainrule reads files, not addresses"
    try:
        inside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else None
    except OSError:
        inside = []
    if inside is None:
        return f"the folder {path.parent} does not exist either"
    near = difflib.get_close_matches(path.name, inside, n=1)
    return f"did you mean {path.parent / near[0]}?" if near else "check the spelling and the folder"


def _files_inside(folder: Path) -> str:
    files = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    return f"name one of the files in it: {_listed(files)}" if files else "it holds no table either"


def _unpack(data: bytes, name: str) -> bytes:
    """Decompress by the format's first bytes."""
    import bz2
    import gzip
    import lzma
    import zlib

    formats: dict[bytes, tuple[str, Callable[[bytes], bytes]]] = {
        b"\x1f\x8b": ("gzip", gzip.decompress),
        b"BZh": ("bzip2", bz2.decompress),
        b"\xfd7zXZ\x00": ("xz", lzma.decompress),
        b"\x28\xb5\x2f\xfd": ("zstd", _unpack_zstd),
        b"PK\x03\x04": ("zip", lambda packed: _unpack_zip(packed, name)),
        b"PK\x05\x06": ("zip", lambda packed: _unpack_zip(packed, name)),
    }
    for magic, (label, unpack) in formats.items():
        if data.startswith(magic):
            try:
                return unpack(data)
            except (
                *(EOFError, OSError, ValueError, RuntimeError, NotImplementedError),
                *(zlib.error, lzma.LZMAError, zipfile.BadZipFile),
            ) as error:
                raise DataError(
                    f"The {label} file is damaged or cut off.",
                    where=name,
                    found=str(error),
                    hint="copy or download it again",
                ) from None
    return data


def _unpack_zstd(packed: bytes) -> bytes:
    """Python has no zstd before 3.14, but polars unpacks it on the way to lines of text."""
    import polars as pl

    try:
        lines = pl.read_csv(
            packed, has_header=False, separator="\x1f", quote_char=None, infer_schema=False
        )
    except pl.exceptions.NoDataError:
        return b""
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{error}; only UTF-8 text is read from zstd") from None
    return "\n".join(lines.to_series().fill_null("")).encode()


def _unpack_zip(packed: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = [
            member.filename
            for member in archive.infolist()
            if not member.is_dir() and not member.filename.startswith("__MACOSX/")
        ]
        if "[Content_Types].xml" in members:
            raise DataError(
                "This is an Excel or Word file.", where=name, hint="save the sheet as CSV first"
            )
        if len(members) != 1:
            raise DataError(
                "The zip file must hold exactly one table.",
                where=name,
                expected="one member",
                found=f"{len(members)} members: {_listed(members)}" if members else "none",
                hint="unpack it and name the file you want",
            )
        return archive.read(members[0])


# ---------------------------------------------------------------- formats


def _parse(
    data: bytes, name: str, encoding: str | None, separator: str | None, notes: list[str]
) -> pl.DataFrame:
    import polars as pl

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
            raise _not_a_table(name, kind)
    text = _decode(data, name, encoding, notes)
    if not text.strip():
        raise DataError("The file is empty.", where=name, expected="a header line and rows")
    if (
        separator is None
        and text.lstrip()[:1] in "[{"
        and not name.lower().endswith((".csv", ".tsv"))
    ):
        return _parse_json(text, name)
    return _parse_csv(text, name, separator, notes)


def _not_a_table(name: str, found: str) -> DataError:
    return DataError(
        "This file is not a table that chainrule can read.",
        where=name,
        expected="CSV, TSV, Parquet, Arrow/Feather, JSON lines or JSON",
        found=found,
        hint="export it as CSV",
    )


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


# A byte-order mark says the encoding. UTF-32's starts with UTF-16's, so it comes first.
_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


def _decode(data: bytes, name: str, encoding: str | None, notes: list[str]) -> str:
    r"""Bytes to text with lines that end in ``\n``."""
    if encoding is None:
        encoding = next((code for mark, code in _MARKS.items() if data.startswith(mark)), None)
        encoding = encoding or _guess_encoding(data, name, notes)
    try:
        text = data.decode(encoding)
    except LookupError:
        raise DataError(
            "This encoding is not known.", where=name, found=encoding, hint="try utf-8 or cp1252"
        ) from None
    except UnicodeError as error:
        raise DataError(
            f"The file is not valid {encoding}.",
            where=name,
            found=str(error),
            hint="name its encoding, or save it again as UTF-8",
        ) from None
    if "\0" in text:
        raise _not_a_table(name, "binary data (a zero byte)")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _guess_encoding(data: bytes, name: str, notes: list[str]) -> str:
    head = data[:4096]
    # Every other byte of Western text in UTF-16 is zero.
    for code, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if len(data) % 2 == 0 and zeros and zeros.count(0) > 0.7 * len(zeros):
            if head.count(0) < 0.6 * len(head):
                notes.append(f"{name}: read as UTF-16 without a byte-order mark")
                return code
            break
    try:
        data.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    control = sum(head.count(code) for code in range(32) if code not in b"\t\n\r\f\x1a")
    if control > 0.02 * len(head):
        raise _not_a_table(name, "binary data")
    repaired = data.decode("utf-8", errors="replace")
    broken = repaired.count("\ufffd")
    proper = sum(1 for character in repaired if character > "\x7f") - broken
    if proper > 2 * broken:
        raise DataError(
            "The file is UTF-8, but for some broken bytes.",
            where=f"{name}, line {line}",
            found=f"{broken} bytes that are not UTF-8, beside {proper} proper characters",
            hint="repair the line, or name the encoding (such as cp1252)",
        )
    code = "latin-1" if any(byte in data for byte in b"\x81\x8d\x8f\x90\x9d") else "cp1252"
    called = "Windows-1252" if code == "cp1252" else "Latin-1"
    notes.append(f"{name}: not UTF-8 (line {line}); read as {called}")
    return code


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
        return _from_columns(columns, name)
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
    return _from_columns([(label, [row.get(label) for row in rows]) for label in labels], name)


# ---------------------------------------------------------------- CSV


def _parse_csv(text: str, name: str, separator: str | None, notes: list[str]) -> pl.DataFrame:
    if separator is not None and len(separator) != 1:
        raise DataError("The separator must be one character.", where=name, found=repr(separator))
    # A header of one field means a table of one column: "\x1f" (unit separator) splits nothing.
    separator = separator or _sniff(text) or "\x1f"
    if '"' in text:
        return _parse_quoted(text, name, separator, notes)
    return _parse_unquoted(text, name, separator, notes)


def _sniff(text: str) -> str | None:
    """The separator whose fields are most alike in number over the first lines."""
    lines = [line for line in text.split("\n", 200)[:200] if line.strip(" ")]
    best: tuple[tuple[bool, float, int], str] | None = None
    for separator in _SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        except csv.Error:  # a field without end; reading the file will say so
            widths = [line.count(separator) + 1 for line in lines]
        common = max(set(widths), key=lambda width: (widths.count(width), width))
        alike = widths.count(common) / len(widths)
        # Without the separator in the header, nearly all rows must agree: text has commas, too.
        if common > 1 and (widths[0] > 1 or alike > 0.8):
            score = (widths[0] > 1, alike, common)
            if best is None or score > best[0]:
                best = score, separator
    return best[1] if best else None


def _parse_unquoted(text: str, name: str, separator: str, notes: list[str]) -> pl.DataFrame:
    """Without quotes a line is a row: count the separators, then let polars split."""
    import polars as pl

    body = re.sub(r"\A(?: *\n)+", "", text)
    first_line = text.count("\n") - body.count("\n") + 1
    fields = body.split("\n", 1)[0].split(separator)
    names = _header(fields, name, first_line, notes)
    data = body.encode()
    blank = _check_widths(data, separator.encode(), names, name, first_line)
    if len(names) == 1:  # an empty line is a row without a value, but not at the end
        data = data.rstrip(b"\n")
    elif blank:
        data = b"\n".join(line for line in data.split(b"\n") if line.strip(b" "))
    try:
        frame = pl.read_csv(
            data,
            separator=separator,
            quote_char=None,
            has_header=False,
            skip_rows=1,
            infer_schema=False,
            raise_if_empty=False,
        )
    except pl.exceptions.PolarsError as error:
        raise DataError("The file cannot be read as CSV.", where=name, found=str(error)) from None
    if frame.width == 0:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    frame.columns = names
    return frame


def _check_widths(
    data: bytes, separator: bytes, names: list[str], name: str, first_line: int
) -> bool:
    """Every line has as many fields as the header, or is empty. Are there empty ones?"""
    content = np.frombuffer(data if data.endswith(b"\n") else data + b"\n", dtype=np.uint8)
    ends = np.flatnonzero(content == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    before = np.searchsorted(np.flatnonzero(_marks(content, separator)), ends)
    widths = np.diff(before, prepend=0) + 1
    odd = np.flatnonzero(widths != len(names))
    blank = 0
    for index in odd:
        line = content[starts[index] : ends[index]].tobytes()
        if line.strip(b" "):
            fields = line.decode().split(separator.decode())
            raise _ragged(names, fields, name, int(index) + first_line)
        blank += 1
    return blank > 0


def _marks(content: NDArray[np.uint8], separator: bytes) -> NDArray[np.bool_]:
    """Where the separator, one character of one or more bytes, begins."""
    found: NDArray[np.bool_] = content == separator[0]
    for offset, byte in enumerate(separator[1:], 1):
        found[:-offset] &= content[offset:] == byte
    return found


def _ragged(names: list[str], fields: list[str], name: str, line: int) -> DataError:
    if len(fields) > len(names):
        hint = "put fields that contain the separator in double quotes"
    else:
        hint = "the line may be cut off; leave missing values empty, but keep their separators"
    return DataError(
        "A row has another number of fields than the header.",
        where=f"{name}, line {line}",
        expected=f"{len(names)} {_plural('field', len(names))}: {_listed(names)}",
        found=f"{len(fields)} {_plural('field', len(fields))}: {_listed(fields)}",
        hint=hint,
    )


def _parse_quoted(text: str, name: str, separator: str, notes: list[str]) -> pl.DataFrame:
    """With quotes, a field may hold separators and line breaks: Python's reader knows the rules."""
    import polars as pl

    rows = _quoted_rows(text, name, separator)
    line, fields = next(rows)
    names = _header(fields, name, line, notes)
    schema = dict.fromkeys(names, pl.String)
    parts = [pl.DataFrame(schema=schema)]
    pending: list[list[str]] = []
    for line, fields in rows:
        if len(fields) != len(names):
            if not fields and len(names) > 1:
                continue
            if fields:
                raise _ragged(names, fields, name, line)
            fields = [""]
        pending.append(fields)
        if len(pending) == 65536:
            parts.append(_strings(pending, names))
            pending = []
    while pending and len(names) == 1 and pending[-1] == [""]:
        pending.pop()
    return pl.concat([*parts, _strings(pending, names)])


def _quoted_rows(text: str, name: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line it starts on."""
    end = "\0"  # cannot be in the text, and is swallowed by a quote that never closes
    reader = csv.reader([*io.StringIO(text.strip("\n") + "\n"), end], delimiter=separator)
    before = len(text) - len(text.lstrip("\n"))
    line = 0
    try:
        for fields in reader:
            start, line = line + 1 + before, reader.line_num
            if fields == [end]:
                return
            if any(end in field for field in fields):
                break
            if fields or line > 1:
                yield start, fields
    except csv.Error as error:
        found = str(error)
        start = line + 1 + before
    else:
        found = "the end of the file inside a quoted field"
    raise DataError(
        "A quoted field does not end.",
        where=f"{name}, line {start}",
        expected='a closing "',
        found=found,
        hint='a quote inside a quoted field is written twice: ""',
    )


def _strings(rows: list[list[str]], names: list[str]) -> pl.DataFrame:
    import polars as pl

    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    frame = pl.DataFrame(
        [pl.Series(label, cells, pl.String) for label, cells in zip(names, columns, strict=True)]
    )
    return frame.with_columns(pl.all().replace("", None))


def _header(fields: list[str], name: str, line: int, notes: list[str]) -> list[str]:
    """Column names: trimmed, unique, none empty."""
    names = [field.strip() for field in fields]
    _check_names([label for label in names if label], f"{name}, line {line}")
    nameless = [i for i, label in enumerate(names) if not label]
    for i in nameless:
        names[i] = f"column_{i + 1}"
        while names.count(names[i]) > 1:
            names[i] += "_"
    if nameless:
        called = _listed([names[i] for i in nameless])
        notes.append(f"{name}: columns without a name in the header are called {called}")
    if len(names) > 1 and all(_is_number(label) for label in names):
        notes.append(f"{name}: the header holds only numbers; does the file lack a header line?")
    return names


def _check_names(names: Sequence[str], where: str) -> None:
    seen: dict[str, int] = {}
    for position, label in enumerate(names, 1):
        if label in seen:
            raise DataError(
                f"Two columns are called {label!r}.",
                where=where,
                expected="a name of its own for each column",
                found=f"{label!r} as column {seen[label]} and as column {position}",
                hint="rename or remove one of them",
            )
        seen[label] = position


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _listed(names: Sequence[str], most: int = 8) -> str:
    """The first names, as a list in a sentence."""
    shown = ", ".join(f"{label:.40}" for label in names[:most])
    return f"{shown}, … ({len(names):,} in all)" if len(names) > most else shown
