"""Where the cells of .xls and .xlsb workbooks are, before a library makes room for all between.

Source: Microsoft's specifications MS-CFB (the container of .xls), MS-XLS and MS-XLSB.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .rectangle import Rectangle

_END, _FREE = 0xFFFFFFFE, 0xFFFFFFFF
_COLUMNS = 256
_SHORT = 4096  # shorter streams are in small sectors
#: Records of .xls that hold cells: numbers, labels, booleans and errors, formulas, strings.
_CELLS = frozenset((0x06, 0xD6, 0xFD, 0x203, 0x204, 0x205, 0x27E))
_SEVERAL, _SHEET, _STRINGS, _SIZE, _LAST = 0xBD, 0x85, 0xFC, 0x200, 0x0A
#: Records of .xlsb: begin and end of the cells, a row, and the cells, from the first to the last.
_BEGIN, _OVER, _ROW, _FIRST_CELL, _LAST_CELL = 0x91, 0x92, 0, 2, 11


class _Container:
    """A file of files, as .xls is: sectors in chains."""

    def __init__(self, data: bytes) -> None:
        if len(data) < 512:
            raise ValueError("the file is cut off")
        self.data = data
        shift = struct.unpack_from("<H", data, 30)[0]
        if shift not in (9, 12):
            raise ValueError(f"sectors of 2^{shift} bytes")
        self.size = 1 << shift
        self.table = self._table()
        first, _, _, small = struct.unpack_from("<IIII", data, 48)
        folder = self._chain(first, self.table)
        self.entries = [folder[i : i + 128] for i in range(0, len(folder) - 127, 128)]
        for entry in self.entries:
            length = self._length(entry)
            if entry[66] and length > len(data):  # libraries make room for it
                raise ValueError(f"a stream of {length:,} bytes in a file of {len(data):,}")
        self.small_table = _numbers(self._chain(small, self.table))
        root = self.entries[0] if self.entries else bytes(128)
        self.small = self._chain(struct.unpack_from("<I", root, 116)[0], self.table)

    def stream(self, *names: str) -> bytes:
        """The first stream of one of these names."""
        for name in names:
            for entry in self.entries:
                if entry[:64].decode("utf-16-le", "replace").partition("\0")[0] == name:
                    first, length = struct.unpack_from("<I", entry, 116)[0], self._length(entry)
                    if length < _SHORT:
                        return self._chain(first, self.small_table, self.small, 64)[:length]
                    return self._chain(first, self.table)[:length]
        raise ValueError(f"there is no stream {names[0]!r}")

    def _length(self, entry: bytes) -> int:
        short, whole = struct.unpack_from("<I", entry, 120), struct.unpack_from("<Q", entry, 120)
        return int((short if self.size == 512 else whole)[0])

    def _sector(self, number: int) -> bytes:
        place = (number + 1) * self.size
        if place >= len(self.data):
            raise ValueError(f"sector {number:,} is beyond the end")
        return self.data[place : place + self.size]

    def _table(self) -> tuple[int, ...]:
        """Which sector follows each."""
        places = list(struct.unpack_from("<109I", self.data, 76))
        more, seen = struct.unpack_from("<I", self.data, 68)[0], 0
        while more not in (_END, _FREE):
            *found, more = _numbers(self._sector(more))
            places += found
            seen += self.size
            if seen > len(self.data):
                raise ValueError("a chain of sectors without an end")
        known = [place for place in places if place != _FREE]
        if len(known) * self.size > len(self.data):
            raise ValueError("more tables of sectors than sectors")
        return tuple(number for place in known for number in _numbers(self._sector(place)))

    def _chain(
        self, number: int, table: tuple[int, ...], data: bytes | None = None, size: int = 0
    ) -> bytes:
        parts: list[bytes] = []
        while number not in (_END, _FREE):
            if number >= len(table) or len(parts) > len(table):
                raise ValueError("a chain of sectors without an end")
            part = self._sector(number) if data is None else data[number * size :][:size]
            parts.append(part)
            number = table[number]
        return b"".join(parts)


def _numbers(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])


def sheets_of_xls(data: bytes, most: int) -> Iterator[tuple[str, Rectangle]]:
    """For each sheet of an .xls workbook where its cells are.

    Args:
        data: the file.
        most: bytes to go through, as sheets may overlap.

    Raises:
        ValueError: it is damaged, or says that it holds far more than it does.
    """
    stream = _Container(data).stream("Workbook", "Book")
    places = []
    for kind, body in _records(stream, 0):
        if kind == _SHEET and len(body) >= 4:
            places.append(struct.unpack_from("<I", body)[0])
        elif kind == _STRINGS and len(body) >= 8:
            count = struct.unpack_from("<I", body, 4)[0]
            if 3 * count > len(stream):
                raise ValueError(f"{count:,} strings in {len(stream):,} bytes")
    walked = 0
    for number, place in enumerate(places, 1):
        cells = Rectangle()
        for kind, body in _records(stream, place):
            walked += 4 + len(body)
            if kind in _CELLS and len(body) >= 4:
                cells.add(*struct.unpack_from("<HH", body))
            elif kind == _SEVERAL and len(body) >= 6:
                row, first = struct.unpack_from("<HH", body)
                for column in range(first, first + (len(body) - 6) // 6):
                    cells.add(row, column)
            elif kind == _SIZE and len(body) in (10, 14):
                shape = "<HHHH" if len(body) == 10 else "<IIHH"
                top, bottom, left, right = struct.unpack_from(shape, body)
                cells.said = max(bottom - top, 0) * max(right - left, 0)
        if walked > most:
            raise ValueError(f"sheets of more than {most:,} bytes")
        if cells.columns > _COLUMNS:
            raise ValueError(f"cells in {cells.columns:,} columns, of {_COLUMNS} that .xls has")
        yield f"sheet {number}", cells


def _records(stream: bytes, place: int) -> Iterator[tuple[int, bytes]]:
    """Records from a place on, to the end of the part that they belong to."""
    while place + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, place)
        yield kind, stream[place + 4 : place + 4 + length]
        if kind == _LAST:
            return
        place += 4 + length


def cells_of_xlsb(part: bytes) -> Rectangle:
    """Where the cells of a sheet of an .xlsb workbook are.

    Args:
        part: the sheet, unpacked.
    """
    cells, row, place, begun = Rectangle(), 0, 0, False
    while place < len(part):
        kind, place = _packed(part, place, 2)
        length, place = _packed(part, place, 4)
        if begun and _FIRST_CELL <= kind <= _LAST_CELL and length >= 4:
            cells.add(row, int.from_bytes(part[place : place + 4], "little"))
        elif begun and kind == _ROW:
            row = int.from_bytes(part[place : place + 4], "little")
        elif kind == _OVER:
            break
        begun = begun or kind == _BEGIN
        place += length
    return cells


def _packed(part: bytes, place: int, most: int) -> tuple[int, int]:
    """An integer of 7 bits a byte, and the place after it."""
    number = 0
    for i in range(most):
        byte = part[place] if place < len(part) else 0
        number |= (byte & 0x7F) << 7 * i
        place += 1
        if not byte & 0x80:
            break
    return number, place
