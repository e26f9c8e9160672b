"""CSV and its kin: text in which a character stands between the fields of a row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .column_names import check_names, listed

if TYPE_CHECKING:
    import polars as pl

_SEPARATORS = ",;\t|"


def parse_delimited(text: str, name: str, separator: str | None, notes: list[str]) -> pl.DataFrame:
    """A table of strings, null where a field is empty; the separator is found if not given.

    Raises:
        DataError: a row has another number of fields than the header, or a quote does not end.
    """
    if separator is not None and len(separator) != 1:
        raise DataError("The separator must be one character.", where=name, found=repr(separator))
    # A header of one field means a table of one column: "\x1f" (unit separator) splits nothing.
    separator = separator or sniff(text) or "\x1f"
    if '"' in text:
        return _parse_quoted(text, name, separator, notes)
    return _parse_unquoted(text, name, separator, notes)


def sniff(text: str) -> str | None:
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
        expected=f"{len(names)} {_plural('field', len(names))}: {listed(names)}",
        found=f"{len(fields)} {_plural('field', len(fields))}: {listed(fields)}",
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
