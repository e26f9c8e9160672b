"""The part of a large file that one of the processes of a training reads.

Row groups of Parquet and Arrow files, lines of text: each process has about as many bytes, one
after the other, and together they have every row once. In text a line break ends a row unless it is
inside quotes, which follows from all quotes before it: so each process counts those of its bytes,
and tells the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..utils import together
from . import table_scan
from .delimited import quotes_are_regular
from .encoding import is_valid
from .table_scan import TableScan


class TableShare(TableScan):
    """A `TableScan` whose parts are those of this process; alone they are all.

    All processes must make it, and ask for `before`, at the same time.
    """

    def __init__(self, path: str | Path) -> None:
        self._several = together.process_count() > 1
        self._cuts: list[tuple[int, int]] = []
        self._before = None if self._several else 0
        super().__init__(path)
        if not self._several:
            return
        if self._columnar is not None:
            self._take_rows()
        else:
            self._take_lines()

    @property
    def before(self) -> int:
        """How many rows of the file are those of the processes before this one."""
        if self._before is None:
            own = sum(part.height for part in self.parts())
            self._before = sum(together.gathered(own)[: together.number()])
        return self._before

    def _take_rows(self) -> None:
        import polars as pl

        try:
            rows = self._lazy().select(pl.len()).collect().item()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise self._damaged(error) from None
        size = table_scan.PART_ROWS
        parts = together.own_part(-(-rows // size))
        self._rows = min(parts.start * size, rows), min(parts.stop * size, rows)
        self._before = self._rows[0]

    def _take_lines(self) -> None:
        """The lines of this process, after the header."""
        number, last = together.number(), together.process_count() - 1
        cuts = [(max(place, self._start), lines) for place, lines in self._cuts]
        if number:
            self._start, lines = cuts[number]
            self._lines_before = max(lines, self._lines_before)
        self._end = None if number == last else cuts[number + 1][0]
        if self._dialect is None:
            return
        if not all(together.gathered(int(self._is_regular()))):
            # Where a row ends cannot be told from the number of quotes: the first reads all.
            self._start, self._end = (cuts[0][0], None) if not number else (self._size, None)

    def _is_regular(self) -> bool:
        assert self._dialect is not None
        separator = self._dialect.separator
        return all(
            b'"' not in block or quotes_are_regular(block, separator)
            for block in self._blocks(self._start, self._end)
        )

    # ---- before the header is known --------------------------------------------------------------

    def _find_encoding(self) -> str:
        """As alone; whether it is UTF-8, each says of its part."""
        if self._several:
            self._cuts = self._found_cuts()
            if self._said.encoding:
                return self._said.encoding
            starts = [place for place, _ in self._cuts] + [self._size]
            number = together.number()
            own = self._raw(starts[number], starts[number + 1])
            if all(together.gathered(int(is_valid(own, "utf-8")))):
                return "utf-8-sig"
        return super()._find_encoding()

    def _found_cuts(self) -> list[tuple[int, int]]:
        """For each process where its first row begins, and the lines before."""
        count, number = together.process_count(), together.number()
        edges = [self._size * i // count for i in range(count + 1)]
        with self.path.open("rb") as file:
            is_json = file.read(256).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
        own = _counted(self._raw(edges[number], edges[number + 1]), edges[number])
        counts = [json.loads(each) for each in together.exchanged(json.dumps(own).encode())]
        quotes = lines = 0
        found: list[Any] = []
        for each in counts:
            inside = 0 if is_json else quotes % 2
            place, line = each["first"][inside]
            found.append(None if place is None else (place, lines + line))
            quotes, lines = quotes + each["quotes"], lines + each["lines"]
        found[0], after = (0, 0), (self._size, lines)
        for i in range(count - 1, 0, -1):  # a row that is longer than a part is that of one before
            after = found[i] = found[i] or after
        return found


def _counted(blocks: Iterator[bytes], start: int) -> dict[str, Any]:
    r"""Quotes and lines in some bytes of a file, and what follows the first end of a row.

    ``first`` has two of them: if the bytes begin outside of quotes, or inside.

    Example:
        >>> _counted(iter([b'b"\nc"\nd']), 10)
        {'quotes': 2, 'lines': 2, 'first': [[16, 2], [13, 1]]}
    """
    quotes = lines = 0
    first: list[list[int | None]] = [[None, 0], [None, 0]]
    for block in blocks:
        content = np.frombuffer(block, np.uint8)
        breaks, marks = np.flatnonzero(content == ord("\n")), np.flatnonzero(content == ord('"'))
        inside = (quotes + np.searchsorted(marks, breaks)) % 2
        for parity in (0, 1):
            if first[parity][0] is None and len(found := np.flatnonzero(inside == parity)):
                at = int(found[0])
                first[parity] = [start + int(breaks[at]) + 1, lines + at + 1]
        quotes, lines, start = quotes + len(marks), lines + len(breaks), start + len(block)
    return {"quotes": quotes, "lines": lines, "first": first}
