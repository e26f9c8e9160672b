"""CSV and similar: text in which a character stands between the fields of a row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .column_names import check_names, listed

if TYPE_CHECKING:
    import polars as pl

_SEPARATORS = ",;\t|"
#: The separator of a table of one column: no text holds the unit separator.
_NONE = "\x1f"


def parse_delimited(text: str, name: str, separator: str | None, notes: list[str]) -> pl.DataFrame:
    """A table of strings, null where a field is empty; the separator is found if not given.

    Raises:
        DataError: a row has another number of fields than the header, or a quote does not end.
    """
    if separator is not None and (
        len(separator) != 1 or separator in '"\n\r' or separator > "\x7f"
    ):
        raise DataError(
            "The separator must be one character.",
            where=name,
            expected="an ASCII character other than a quote or a line break",
            found=repr(separator),
        )
    separator = separator or sniff(text) or _NONE
    data = text.encode()
    if not _quotes_are_regular(data, separator):
        data = _regular(text, name, separator).encode()
    data, first_line = _from_header(data)
    ends, widths = _rows(data, separator)
    starts = np.concatenate([[0], ends[:-1] + 1])
    names = _header(_fields(data[: ends[0]], separator), name, first_line, notes)
    empty = []
    for row in np.flatnonzero(widths != len(names)):
        line = data[starts[row] : ends[row]]
        if line.strip(b" "):
            at = first_line + data.count(b"\n", 0, starts[row])
            raise _ragged(names, _fields(line, separator), name, at)
        empty.append(slice(starts[row], ends[row] + 1))
    rows = len(ends) - 1 - len(empty)
    data = _without(data, empty)[ends[0] + 1 :]
    if len(names) == 1:  # an empty line is a row without a value, but not at the end
        last = len(data.rstrip(b"\n"))
        rows -= data.count(b"\n", last) - (last > 0)
        data = data[:last]
    return _split(data, names, rows, name, separator)


def _from_header(data: bytes) -> tuple[bytes, int]:
    """The text from the first line on that is not empty, and the number of that line."""
    blank = re.match(rb"(?: *\n)*", data)
    begin = blank.end() if blank else 0
    return data[begin:].removesuffix(b"\n") + b"\n", data.count(b"\n", 0, begin) + 1


def _without(data: bytes, parts: list[slice]) -> bytes:
    if not parts:
        return data
    kept = np.ones(len(data), dtype=bool)
    for part in parts:
        kept[part] = False
    return np.frombuffer(data, np.uint8)[kept].tobytes()


@contextmanager
def _long_fields() -> Iterator[None]:
    """Python's reader refuses fields of more than 131,072 characters by default."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


@_long_fields()
def sniff(text: str) -> str | None:
    """The separator whose fields are most alike in number over the first lines."""
    lines = [line for line in text.split("\n", 200)[:200] if line.strip(" ")]
    best: tuple[tuple[bool, float, int], str] | None = None
    for separator in _SEPARATORS:
        widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        common = max(set(widths), key=lambda width: (widths.count(width), width))
        alike = widths.count(common) / len(widths)
        # Without the separator in the header, nearly all rows must agree: text has commas, too.
        if common > 1 and (widths[0] > 1 or alike > 0.8):
            score = (widths[0] > 1, alike, common)
            if best is None or score > best[0]:
                best = score, separator
    return best[1] if best else None


# ---------------------------------------------------------------- quotes


def _quotes_are_regular(data: bytes, separator: str) -> bool:
    """Is every quote at an edge of a field, or one of two inside a quoted field?

    Then a quote opens or closes by its position among the quotes: even ones open.
    """
    content = np.frombuffer(b"\n" + data + b"\n", np.uint8)
    quotes = np.flatnonzero(content == ord('"'))
    edges = np.frombuffer(f'{separator}\n"'.encode(), np.uint8)
    return (
        len(quotes) % 2 == 0
        and bool(np.isin(content[quotes[::2] - 1], edges).all())
        and bool(np.isin(content[quotes[1::2] + 1], edges).all())
    )


@_long_fields()
def _regular(text: str, name: str, separator: str) -> str:
    """The same rows on the same lines, as Python understands their quotes, with regular ones.

    Raises:
        DataError: a quoted field does not end.
    """
    end = "\0"  # cannot be in the text, and is swallowed by a quote that never closes
    lines = [*io.StringIO(text if text.endswith("\n") else text + "\n"), end]
    written = io.StringIO()
    rewrite = csv.writer(written, delimiter=separator, lineterminator="\n")
    rewrite.writerows(csv.reader(lines, delimiter=separator))
    regular = written.getvalue()
    if regular.endswith(f"\n{end}\n"):
        return regular[: -len(end) - 1]
    reader = csv.reader(lines, delimiter=separator)
    line = 1
    for fields in reader:
        if fields and fields[-1].endswith(end):
            break
        line = reader.line_num + 1
    raise DataError(
        "A quoted field does not end.",
        where=f"{name}, line {line}",
        expected='a closing "',
        found="the end of the file inside a quoted field",
        hint='a quote inside a quoted field is written twice: ""',
    )


# ---------------------------------------------------------------- rows


def _rows(data: bytes, separator: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each row ends, and how many fields it has; of text whose quotes are regular."""
    content = np.frombuffer(data, np.uint8)
    ends, separators = (np.flatnonzero(content == ord(mark)) for mark in ("\n", separator))
    if b'"' in data:
        quotes = np.flatnonzero(content == ord('"'))
        ends, separators = (
            marks[np.searchsorted(quotes, marks) % 2 == 0] for marks in (ends, separators)
        )
    return ends, np.diff(np.searchsorted(separators, ends), prepend=0) + 1


@_long_fields()
def _fields(row: bytes, separator: str) -> list[str]:
    return next(csv.reader(io.StringIO(row.decode()), delimiter=separator), [""])


def _split(data: bytes, names: list[str], rows: int, name: str, separator: str) -> pl.DataFrame:
    """Rows of as many fields as there are names, split by polars."""
    import polars as pl

    header = separator.join(map(str, range(len(names)))).encode()
    quoted = b'"' in data
    try:
        frame = pl.read_csv(
            header + b"\n" + data,
            separator=separator,
            quote_char='"' if quoted else None,
            infer_schema=False,
        )
    except pl.exceptions.PolarsError as error:
        raise DataError("The file cannot be read as CSV.", where=name, found=str(error)) from None
    if frame.height != rows:
        raise DataError(
            "The file cannot be read as CSV.",
            where=name,
            expected=f"{rows:,} rows",
            found=f"{frame.height:,} rows",
        )
    frame.columns = names
    return frame.with_columns(pl.all().replace("", None)) if quoted else frame


def _ragged(names: list[str], fields: list[str], name: str, line: int) -> DataError:
    if len(fields) > len(names):
        hint = "put fields that contain the separator in double quotes"
    else:
        hint = "the line may be cut off; leave missing values empty, but keep their separators"
    return DataError(
        "A row has another number of fields than the header.",
        where=f"{name}, line {line}",
        expected=f"{len(names)} {_plural('field', len(names))}: {listed(names)}",
        found=f"{len(fields)} {_plural('field', len(fields))}: {listed(fields)}",
        hint=hint,
    )


def _header(fields: list[str], name: str, line: int, notes: list[str]) -> list[str]:
    """Column names: trimmed, unique, none empty."""
    names = [field.strip() for field in fields]
    check_names([label for label in names if label], f"{name}, line {line}")
    nameless = [i for i, label in enumerate(names) if not label]
    for i in nameless:
        names[i] = f"column_{i + 1}"
        while names.count(names[i]) > 1:
            names[i] += "_"
    if nameless:
        called = listed([names[i] for i in nameless])
        notes.append(f"{name}: columns without a name in the header are called {called}")
    if len(names) > 1 and all(_is_number(label) for label in names):
        notes.append(f"{name}: the header holds only numbers; does the file lack a header line?")
    return names


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
