"""CSV and similar: text in which a character stands between the fields of a row."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .column_names import check_names, listed
from .dialect import Dialect, find_dialect, is_spaced, long_fields
from .extra_rows import LeftOut, places, told_rows, without_extra_rows
from .note_lines import MOST_NOTES, closing, is_rule
from .parsing.cells import FORMULA_OF_TEXT

if TYPE_CHECKING:
    import polars as pl


def parse_delimited(
    text: str,
    name: str,
    separator: str | None,
    notes: list[str],
    dialect: Dialect | None = None,
) -> tuple[pl.DataFrame, str | None]:
    """A table of strings, null where a field is empty, and its separator if it has one.

    Rows that are no observations are left out, which is noted. With a ``dialect`` the text is one
    of several parts of a file, below a line of its names.

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
    whole = dialect is None
    if separator is None and dialect is None and is_spaced(text):
        separator = " "
        notes.append(f"{name}: fields are separated by spaces (--separator says otherwise)")
    if separator == " " and dialect is None:
        text = single_spaced(text)
    dialect = dialect or find_dialect(text, separator)
    notes += [f"{name}: {sentence}" for sentence in dialect.notes]
    separator = dialect.separator
    first_line = text.count("\n", 0, dialect.begin) + 1
    data = text[dialect.begin :].removesuffix("\n").encode() + b"\n"
    if data.count(b'"') % 2 or not quotes_are_regular(data, separator):
        data = _regular(data.decode(), name, first_line, separator).encode()
    data = _without_separators_at_ends(data, separator, (name, first_line), notes)
    ends, _ = _rows(data, separator)
    names = _header(_fields(data[: ends[0]], separator), name, first_line, notes)
    names, data = _with_names_of_rows(names, data, separator, name, notes)
    before = len(notes)
    data, lines = _without_odd_rows(data, names, separator, (name, first_line), notes)
    closed = any(isinstance(note, LeftOut) for note in notes[before:])
    rows = len(lines)
    if len(names) == 1:  # an empty line is a row without a value, but not at the end
        last = len(data.rstrip(b"\n"))
        rows -= data.count(b"\n", last) - (last > 0)
        data = data[:last]
    frame = _split(data, names, rows, name, separator)
    if b'="' in data and (formula := _formula_of_text(frame)):
        notes.append(f"{name}: cells such as {formula} are read as the text in them")
    frame = without_extra_rows(
        frame, name, lambda row: int(lines[row]), notes, whole=whole, closed=closed
    )
    return frame, separator if len(names) > 1 else None


def _without_separators_at_ends(
    data: bytes, separator: str, place: tuple[str, int], notes: list[str]
) -> bytes:
    """Text without the separators that end some rows, and perhaps the header, and mean nothing.

    A row that has too many fields because of a separator inside of one may end with an empty field,
    too: so, below a header that ends with none, no row of the right width may do so.
    """
    ends, widths = _rows(data, separator)
    lengths = np.diff(ends, prepend=-1) - 1
    header = data[: ends[0]].decode()
    width = int(widths[0]) - (len(header) - len(header.rstrip(separator)))
    content = np.frombuffer(data, np.uint8)
    wider = np.flatnonzero((widths > width) & (lengths >= widths))  # others are separators only
    right = np.flatnonzero(widths[1:] == width) + 1
    if width < 2 or not len(wider):
        return data
    if widths[0] > width:
        if not len(right):
            return data  # a column without a name and values
    elif (content[ends[right] - 1] == ord(separator)).any():
        return data
    kept = np.ones(len(data), dtype=bool)
    extra = widths[wider] - width
    for k in range(1, int(extra.max()) + 1):
        last = ends[wider[extra >= k]] - k
        if (content[last] != ord(separator)).any():
            return data
        kept[last] = False
    name, first_line = place
    if len(wider) == len(ends) - 1 and not len(right):
        notes.append(f"{name}: all rows end with a separator, but the header; it is left out")
    else:
        lines = places([first_line + int(row) for row in wider])
        notes.append(f"{name}: {len(wider):,} of {len(ends):,} lines end with separators that "
                     f"nothing follows; these are left out: {lines}")  # fmt: skip
    return content[kept].tobytes()


def _with_names_of_rows(
    names: list[str], data: bytes, separator: str, name: str, notes: list[str]
) -> tuple[list[str], bytes]:
    """Names and text with a name for the names of rows."""
    ends, widths = _rows(data, separator)
    if len(names) == 1 or len(ends) == 1 or (widths[1:] != len(names) + 1).any():
        return names, data
    starts = ends[:-1] + 1
    rows = [data[a : b + 1] for a, b in zip(starts, ends[1:], strict=True)]
    if not _are_row_names(rows, separator):
        return names, data
    label = "column_1" if "column_1" not in names else "column_1_"
    notes.append(f"{name}: the first field of all rows has no name in the header, as R "
                 f"writes row names; it is called {label}")  # fmt: skip
    return [label, *names], separator.encode() + data


def _without_odd_rows(
    data: bytes, names: list[str], separator: str, place: tuple[str, int], notes: list[str]
) -> tuple[bytes, NDArray[np.int64]]:
    """The rows below the header, all of the width of the names, and the line of each.

    Empty lines are left out; lines of dashes and notes, too, which is said.

    Raises:
        DataError: another line has another number of fields.
    """
    name, first_line = place
    ends, widths = _rows(data, separator)
    starts = np.concatenate([[0], ends[:-1] + 1])
    breaks = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) if b'"' in data else ends
    lines = first_line + np.searchsorted(breaks, starts)
    odd = np.flatnonzero(widths != len(names))
    blank = [row for row in odd if not data[starts[row] : ends[row]].strip(b" ")]
    rest = np.setdiff1d(odd, blank)
    if len(rest):
        found = _notes_among(data, starts, ends, rest, separator, len(names))
        if bad := [row for row in rest if row not in found]:
            fields = _fields(data[starts[bad[0]] : ends[bad[0]]], separator)
            raise _ragged(names, fields, name, int(lines[bad[0]]))
        for what in dict.fromkeys(found.values()):
            these = [row for row in rest if found[row] == what]
            first = data[starts[these[0]] : ends[these[0]]].decode().strip()
            told = told_rows(what, [int(lines[row]) for row in these], first)
            notes.append(LeftOut(f"{name}: {told}"))
    data = _without(data, [slice(starts[row], ends[row] + 1) for row in odd])[ends[0] + 1 :]
    return data, np.delete(lines, [0, *odd])


def _notes_among(
    data: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64], odd: NDArray[np.int64],
    separator: str, width: int,
) -> dict[int, str]:  # fmt: skip
    """Which lines of another width are rules or notes: at the end, or above a header again."""
    header = data[: ends[0]]
    found: dict[int, str] = {}
    for row in odd:
        line = data[starts[row] : ends[row]].decode()
        if not line.replace(separator, "").strip():
            found[int(row)] = "empty"
        elif is_rule(line):
            found[int(row)] = "rule"
    length = len(header)
    alike = np.flatnonzero(ends - starts == length)[1:]
    again = [int(row) for row in alike if data[starts[row] : ends[row]] == header]
    for stop in (len(ends), *again):
        rows = range(max(stop - MOST_NOTES, 1), stop)
        fields = [_fields(data[starts[row] : ends[row]], separator) for row in rows]
        for row, is_one in zip(rows, closing(fields, width), strict=True):
            if is_one and row in odd:
                found.setdefault(row, "note")
    return found


def single_spaced(text: str) -> str:
    r"""Lines whose fields have one space between them, where there were several or tabs.

    Example:
        >>> single_spaced(' 18.0   8\t"ford  torino"\n')
        '18.0 8 "ford  torino"\n'
    """
    if '"' not in text:
        return re.sub(r"^ | $", "", re.sub(r"[ \t]+", " ", text), flags=re.MULTILINE)
    lines = (" ".join(re.findall(r'"[^"]*"|[^ \t"]+', line)) for line in text.split("\n"))
    return "\n".join(lines)


def _are_row_names(rows: list[bytes], separator: str) -> bool:
    """Is the first field of these rows in quotes, or the number of the row, and always another?"""
    first = [row.split(separator.encode(), 1)[0] for row in rows]
    quoted = all(field.startswith(b'"') for field in first)
    counted = first == [str(n + 1).encode() for n in range(len(first))]
    return len(first) > 1 and len(set(first)) == len(first) and (quoted or counted)


def _without(data: bytes, parts: list[slice]) -> bytes:
    if not parts:
        return data
    kept = np.ones(len(data), dtype=bool)
    for part in parts:
        kept[part] = False
    return np.frombuffer(data, np.uint8)[kept].tobytes()


# ---------------------------------------------------------------- quotes


def end_of_rows(data: bytes, separator: str) -> int:
    """Where the last row that is whole ends: after a line break outside of quotes; 0 if none."""
    end = data.rfind(b"\n") + 1
    if b'"' not in data:
        return end
    if not quotes_are_regular(data, separator):
        lines = [*io.StringIO(data[:end].decode("latin-1").replace("\r", "\n"), newline="\n")]
        return sum(map(len, lines[: _whole_rows(lines, separator)]))
    content = np.frombuffer(data, np.uint8)
    breaks, quotes = np.flatnonzero(content == ord("\n")), np.flatnonzero(content == ord('"'))
    outside = breaks[np.searchsorted(quotes, breaks) % 2 == 0]
    return int(outside[-1]) + 1 if len(outside) else 0


def quotes_are_regular(data: bytes, separator: str) -> bool:
    """Is every quote at an edge of a field, or one of two inside a quoted field?

    Then a quote opens or closes by its position among the quotes: even ones open.
    """
    content = np.frombuffer(b"\n" + data + b"\n", np.uint8)
    quotes = np.flatnonzero(content == ord('"'))
    is_edge = np.zeros(256, bool)
    is_edge[[*f'{separator}\r\n"'.encode()]] = True
    before, after = content[quotes[::2] - 1], content[quotes[1::2] + 1]
    return bool(is_edge[before].all() and is_edge[after].all())


#: It cannot be in the text, and as its last line is swallowed by a quote that never closes.
_END = "\0"


@long_fields()
def _whole_rows(lines: list[str], separator: str) -> int:
    """How many lines there are before a row with a quoted field that does not end."""
    reader = csv.reader([*lines, _END], delimiter=separator)
    whole = 0
    for fields in reader:
        if fields and fields[-1].endswith(_END):
            break
        whole = reader.line_num
    return whole


@long_fields()
def _regular(text: str, name: str, line: int, separator: str) -> str:
    """The same rows on the same lines, as Python understands their quotes, with regular ones.

    Raises:
        DataError: a quoted field does not end.
    """
    lines = [*io.StringIO(text)]
    written = io.StringIO()
    rewrite = csv.writer(written, delimiter=separator, lineterminator="\n")
    rewrite.writerows(csv.reader([*lines, _END], delimiter=separator))
    regular = written.getvalue()
    if regular.endswith(f"\n{_END}\n"):
        return regular.removesuffix(f"{_END}\n")
    raise DataError(
        "A quoted field does not end.",
        where=f"{name}, line {line + _whole_rows(lines, separator)}",
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


@long_fields()
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


def _formula_of_text(frame: pl.DataFrame) -> str | None:
    """A cell that is a spreadsheet's formula of a text, if there is one."""
    for column in frame.get_columns():
        found = column.filter(column.str.contains(FORMULA_OF_TEXT).fill_null(False))
        if len(found):
            return f"{found[0]:.40}"
    return None


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
    names = [re.sub(FORMULA_OF_TEXT, r"\1", field.strip()) for field in fields]
    lacks = len(names) > 1 and all(_is_number(label) for label in names if label)
    check_names(
        [label for label in names if label], f"{name}, line {line}",
        "does the file lack a header line? add one" if lacks else None,
    )  # fmt: skip
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
