"""How much a packed file would become, before a library unpacks it that has no limit of its own."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

from .binary_workbooks import cells_of_xlsb, sheets_of_xls
from .rectangle import Rectangle

#: The most that a block of zstd becomes.
_BLOCK = 128 * 1024
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
        data: of a workbook of any kind.
        most: bytes that all its parts may unpack to.

    Raises:
        ValueError: it says what there is too much of.
    """
    if data.startswith(_CONTAINER):
        for name, cells in sheets_of_xls(data, most):
            cells.need_near(name)
    if not data.startswith(b"PK"):
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        total, is_xlsb = 0, "xl/workbook.bin" in archive.namelist()
        for member in archive.infolist():
            binary = is_xlsb and member.filename.startswith(_SHEETS)
            look, whole = _Cells(), bytearray()
            for part in _parts(archive, member):
                total += len(part)
                if total > most:
                    raise ValueError(
                        f"{len(data):,} bytes unpack to more than {most:,}: no table does"
                    )
                if binary:
                    whole += part
                else:
                    look(part)
            cells = cells_of_xlsb(bytes(whole)) if binary else look.cells
            cells.need_near(member.filename)


_CONTAINER = b"\xd0\xcf\x11\xe0"
#: Sheets of .xlsb; those of Excel's XML and of OpenDocument may have any name.
_SHEETS = "xl/worksheets/"
_TAG = re.compile(
    rb"<(?:\w+:)?(?P<kind>row|c|table|table-row|table-cell|covered-table-cell)(?P<said>[\s/][^>]*)?>"
)
_REPEATED = re.compile(rb'repeated="(\d{1,9})"')
_LINE = re.compile(rb'\br="(\d{1,9})"')
_PLACE = re.compile(rb'\br="([A-Z]{1,3})(\d{1,9})"')


class _Cells:
    """Where the cells of a sheet in XML are."""

    def __init__(self) -> None:
        self.cells = Rectangle()
        self._line = self._place = 0
        self._lines = 1  # equal rows of OpenDocument
        self._rest = b""

    def __call__(self, part: bytes) -> None:
        """The next bytes of the sheet; a tag may go on in those after them."""
        text = self._rest + part
        last = text.rfind(b"<")
        end = last if last >= 0 and text.find(b">", last) < 0 else len(text)
        self._rest = text[end:][-_CHUNK:]
        for found in _TAG.finditer(text, 0, end):
            kind, said = found["kind"], found["said"] or b""
            if kind == b"table":
                self.cells.begin_again()
                self._line, self._lines = 0, 1
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
                    self.cells.add(self._line, before + 1)
                    self.cells.add(self._line + self._lines - 1, self._place)

    def _cell_of_excel(self, said: bytes) -> None:
        if place := _PLACE.search(said):
            self._place, line = _number_of(place[1]), int(place[2])
        else:
            self._place, line = self._place + 1, self._line
        if not said.endswith(b"/"):
            self.cells.add(line, self._place)


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
