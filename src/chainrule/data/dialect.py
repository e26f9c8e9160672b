"""How a text of separated fields is written: its separator, and where its header begins."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .note_lines import is_note, is_rule

_SEPARATORS = ",;\t|"
#: The separator of a table of one column: no text holds the unit separator.
_NONE = "\x1f"
#: So many lines are looked at.
_LINES = 200
#: The first line of files for Excel.
_SEPARATOR_LINE = re.compile(r'"?sep=([!#-/:-@[-^`{-~\t ])"?\s*', re.IGNORECASE)
_SCIENTIFIC = re.compile(r"[+-]?[\d.,]*\d[\d.,]*(?:[eEdD][+-]?\d+)?")
_NUMBER = re.compile(r"\W*\d[\d.,\s]*\W*")


@dataclass(frozen=True)
class Dialect:
    """How a text of separated fields is written.

    Attributes:
        separator: between fields.
        begin: where the header begins: below empty lines, comments and titles.
        notes: sentences about what stands above the header.
    """

    separator: str
    begin: int = 0
    notes: tuple[str, ...] = ()


def find_dialect(text: str, separator: str | None = None) -> Dialect:
    r"""The dialect of a text; its separator is found if not given.

    Example:
        >>> find_dialect("sep=;\na;b\n1;2\n")
        Dialect(separator=';', begin=6, notes=("fields are separated by ';', as line 1 says",))
    """
    begin = _after_empty(text, 0)
    notes = []
    if found := _SEPARATOR_LINE.fullmatch(_line(text, begin)):
        number = text.count("\n", 0, begin) + 1
        notes.append(f"fields are separated by {found[1]!r}, as line {number} says")
        separator = separator or found[1]
        begin = _next(text, begin)
    above, begin = begin, _after_comments(text, _after_empty(text, begin), separator)
    separator = separator or sniff(text[begin:]) or _NONE
    begin = _after_titles(text, begin, separator)
    if text[above:begin].strip():
        number = text.count("\n", 0, begin) + 1
        first = text[above:begin].strip().split("\n", 1)[0]
        notes.append(f"the header is line {number}; what stands above is left out: {first:.60}")
    return Dialect(separator, begin, tuple(notes))


@contextmanager
def long_fields() -> Iterator[None]:
    """Python's reader refuses fields of more than 131,072 characters by default."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


@long_fields()
def sniff(text: str) -> str | None:
    """The separator whose fields are most alike in number over the first lines."""
    lines = [line for line in text.split("\n", _LINES)[:_LINES] if line.strip(" ")]
    best: tuple[tuple[bool, float, int], str] | None = None
    for separator in _SEPARATORS if lines else "":
        widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        common = max(set(widths), key=lambda width: (widths.count(width), width))
        alike = widths.count(common) / len(widths)
        # Without the separator in the header, nearly all rows must agree: text has commas, too.
        if common > 1 and (widths[0] > 1 or alike > 0.8):
            score = (widths[0] > 1, alike, common)
            if best is None or score > best[0]:
                best = score, separator
    return best[1] if best else None


def is_spaced(text: str) -> bool:
    r"""Are the fields of a table separated by spaces, as programs that calculate write them?

    Names above as many fields in every row, half of which and more are numbers. Nothing else
    stands between the fields.

    Example:
        >>> is_spaced("x   y\n1.5 2\n3  10\n"), is_spaced("a line\nand one\nmore of\n")
        (True, False)
    """
    lines = [
        line.split()
        for line in text.split("\n", _LINES)[:_LINES]
        if line.strip() and not is_rule(line) and not is_note(line)
    ]
    if len(lines) < 3 or sniff(text) is not None or '"' in text:
        return False
    header, *rows = lines
    widths = {len(row) for row in rows}
    if len(widths) > 1 or len(rows[0]) < 2 or len(rows[0]) - len(header) not in (0, 1):
        return False
    numbers = [all(map(_SCIENTIFIC.fullmatch, column)) for column in zip(*rows, strict=True)]
    return not _has_number(header) and sum(numbers) >= max(2, len(numbers) / 2)


def _line(text: str, begin: int) -> str:
    end = text.find("\n", begin)
    return text[begin:end] if end >= 0 else text[begin:]


def _next(text: str, begin: int) -> int:
    return text.find("\n", begin) + 1 or len(text)


def _after_empty(text: str, begin: int) -> int:
    empty = re.compile(r"(?: *\n)*").match(text, begin)
    return empty.end() if empty else begin


def _after_comments(text: str, begin: int, separator: str | None) -> int:
    """Below the lines that begin with #, of which the last one may hold the names."""
    last, below = begin, begin
    while _line(text, below).startswith("#"):
        last, below = below, _after_empty(text, _next(text, below))
    if below in (begin, len(text)):
        return begin  # there are none, or no others
    separator = separator or sniff(text[below:]) or _NONE
    names, row = _line(text, last).split(separator), _line(text, below).split(separator)
    is_header = len(names) == len(row) and (not names[0].startswith("# ") or _has_number(row))
    return last if is_header else below


@long_fields()
def _after_titles(text: str, begin: int, separator: str) -> int:
    """Below lines without a separator, if names and then rows with numbers follow."""
    start = begin
    while start < len(text) and separator not in _line(text, start):
        start = _after_empty(text, _next(text, start))
    if start == begin or separator == _NONE:
        return begin
    lines = [line for line in text[start:].split("\n", _LINES)[:_LINES] if line.strip(" ")]
    rows = list(csv.reader(lines, delimiter=separator))
    alike = sum(len(row) == len(rows[0]) for row in rows) if rows else 0
    names = bool(rows) and not _has_number(rows[0]) and any(map(_has_number, rows[1:]))
    return start if names and alike > 0.8 * len(rows) else begin


def _has_number(fields: Sequence[str]) -> bool:
    return any(_NUMBER.fullmatch(field) for field in fields)
