"""How much a packed file would become, before a library unpacks it that has no limit of its own."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

#: The most that a block of zstd becomes.
_BLOCK = 128 * 1024
#: Cells that a sheet may span, whatever it holds, and for each that it holds: libraries keep those
#: between, too.
_SPANNED, _FOR_EACH = 2**24, 100
_CHUNK = 2**20


def of_zstd(packed: bytes) -> int:
    """The most that the frames of zstd become, by their blocks.

    Raises:
        ValueError: they are cut off or damaged.

    Example:
        >>> of_zstd(bytes.fromhex("28b52ffd2003190000616263"))  # one block of three bytes
        3
    """
    total = place = 0
    while place < len(packed):
        magic = packed[place : place + 4]
        if len(magic) == 4 and magic[1:] == b"\x2a\x4d\x18" and magic[0] & 0xF0 == 0x50:
            place += 8 + int.from_bytes(packed[place + 4 : place + 8], "little")  # to be skipped
            continue
        if magic != b"\x28\xb5\x2f\xfd" or place + 5 > len(packed):
            raise ValueError("a frame is damaged or cut off")
        about = packed[place + 4]
        single = about >> 5 & 1
        sizes = (single, 2, 4, 8)[about >> 6], (0, 1, 2, 4)[about & 3]
        found, place = _blocks(packed, place + 5 + (1 - single) + sum(sizes))
        total, place = total + found, place + 4 * (about >> 2 & 1)
    return total


def _blocks(packed: bytes, place: int) -> tuple[int, int]:
    """What the blocks of a frame become at most, and where they end."""
    total = 0
    while True:
        head = packed[place : place + 3]
        if len(head) < 3:
            raise ValueError("a block is cut off")
        bits = int.from_bytes(head, "little")
        kind, size = bits >> 1 & 3, bits >> 3
        total += _BLOCK if kind == 2 else size
        place += 3 + (1 if kind == 1 else size)
        if bits & 1:
            return total, place


def check_workbook(data: bytes, most: int) -> None:
    """Refuse a workbook that would fill the memory: by what it unpacks to, or by cells far away.

    Args:
        data: of a zip file; others are not packed.
        most: bytes that all its parts may unpack to.

    Raises:
        ValueError: it says what there is too much of.
    """
    if not data.startswith(b"PK"):
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        total = 0
        for member in archive.infolist():
            cells = _Cells() if _SHEET.search(member.filename) else None
            for part in _parts(archive, member):
                total += len(part)
                if total > most:
                    raise ValueError(
                        f"{len(data):,} bytes unpack to more than {most:,}: no table does"
                    )
                if cells is not None:
                    cells.look(part)
            if cells is not None and cells.spanned > max(_SPANNED, _FOR_EACH * cells.count):
                raise ValueError(
                    f"{cells.count:,} cells with a value span a rectangle of {cells.spanned:,}, in "
                    f"{member.filename}"
                )


#: Sheets of Excel and of OpenDocument.
_SHEET = re.compile(r"xl/worksheets/[^/]*\.xml$|^content\.xml$")
_TAG = re.compile(
    rb"<(?:\w+:)?(?P<kind>row|c|table|table-row|table-cell|covered-table-cell)(?P<said>[\s/][^>]*)?>"
)
_REPEATED = re.compile(rb'repeated="(\d{1,9})"')
_LINE = re.compile(rb'\br="(\d{1,9})"')
_PLACE = re.compile(rb'\br="([A-Z]{1,3})(\d{1,9})"')


class _Cells:
    """The cells with a value that a sheet holds, and how many the rectangle around them has."""

    def __init__(self) -> None:
        self.count = self.spanned = 0
        self._first: tuple[int, int] | None = None
        self._last = 0, 0
        self._line = self._place = 0
        self._lines = 1  # equal rows of OpenDocument
        self._rest = b""

    def look(self, part: bytes) -> None:
        """The next bytes of the sheet; a tag may go on in those after them."""
        text = self._rest + part
        last = text.rfind(b"<")
        end = last if last >= 0 and text.find(b">", last) < 0 else len(text)
        self._rest = text[end:][-_CHUNK:]
        for found in _TAG.finditer(text, 0, end):
            kind, said = found["kind"], found["said"] or b""
            if kind == b"table":
                self._first, self._line, self._lines = None, 0, 1
            elif kind == b"row":
                line = _LINE.search(said)
                self._line, self._place = int(line[1]) if line else self._line + 1, 0
            elif kind == b"c":
                self._cell_of_excel(said)
            elif kind == b"table-row":
                self._line += self._lines
                self._lines, self._place = _times(said), 0
            else:
                before, self._place = self._place, self._place + _times(said)
                if b"value-type" in said:
                    self._add(self._line, before + 1)
                    self._add(self._line + self._lines - 1, self._place)

    def _cell_of_excel(self, said: bytes) -> None:
        if place := _PLACE.search(said):
            self._place, line = _number_of(place[1]), int(place[2])
        else:
            self._place, line = self._place + 1, self._line
        if not said.endswith(b"/"):
            self._add(line, self._place)

    def _add(self, line: int, column: int) -> None:
        self.count += 1
        first = self._first or (line, column)
        last = self._last if self._first else (line, column)
        self._first = min(first[0], line), min(first[1], column)
        self._last = max(last[0], line), max(last[1], column)
        rectangle = (self._last[0] - self._first[0] + 1) * (self._last[1] - self._first[1] + 1)
        self.spanned = max(self.spanned, rectangle)


def _times(attributes: bytes) -> int:
    found = _REPEATED.search(attributes)
    return int(found[1]) if found else 1


def _number_of(letters: bytes) -> int:
    """The number of a column: 1 of A, 27 of AA."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number


def _parts(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content of a file of an archive; that it is as large as it says is checked, too."""
    with archive.open(member) as file:
        while part := file.read(_CHUNK):
            yield part
