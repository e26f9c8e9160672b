"""Workbooks of .xls and .xlsb: read as they are, and refused where they would fill the memory."""

from __future__ import annotations

import io
import struct
import zipfile

import polars as pl
import pytest

from chainrule.data import read_table
from chainrule.data.binary_workbooks import cells_of_xlsb, sheets_of_xls
from chainrule.data.unpacked_size import check_workbook
from chainrule.errors import DataError

MOST = 2**24
END, FREE = 0xFFFFFFFE, 0xFFFFFFFF
FRAME = pl.DataFrame({"a": [1.5, 2.5, 4.0], "b": [10.25, -3.5, 0.125]})


def record(kind, body=b""):
    return struct.pack("<HH", kind, len(body)) + body


def number(row, column, value):
    return record(0x203, struct.pack("<HHHd", row, column, 0, value))


def text(row, column, words):
    return record(0x204, struct.pack("<HHHHB", row, column, 0, len(words), 0) + words.encode())


def sheet(*cells, size=(0, 4, 0, 2)):
    return b"".join([record(0x809, struct.pack("<HHHHII", 0x600, 0x10, 0, 0, 0, 0)),
                     record(0x200, struct.pack("<IIHHH", *size, 0)), *cells,
                     record(0x0A)])  # fmt: skip


def stream(first, strings=b""):
    """The records of a workbook with one sheet."""
    name = b"S"
    begin = record(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 0)) + strings
    place = len(begin) + len(record(0x85, bytes(8) + name)) + len(record(0x0A))
    said = struct.pack("<IBBBB", place, 0, 0, len(name), 0) + name
    return begin + record(0x85, said) + record(0x0A) + first


def entry(name, kind, first, length, child=FREE):
    letters = (name + "\0").encode("utf-16-le")
    return (letters.ljust(64, b"\0") + struct.pack("<HBB", len(letters), kind, 1)
            + struct.pack("<III", FREE, FREE, child) + bytes(36)
            + struct.pack("<IQ", first, length))  # fmt: skip


def container(content, *, says=None, after=END):
    """A file of files with one stream: a table of sectors, a folder, the stream."""
    content = content.ljust(max(len(content), 4096), b"\0")
    count = -(-len(content) // 512)
    chain = [0xFFFFFFFD, END, *range(3, count + 2), after]
    chain += [FREE] * (128 - len(chain))
    assert len(chain) == 128  # one sector of it is enough here
    head = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
            + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
            + struct.pack("<IIIIIIIIII", 0, 1, 1, 0, 4096, END, 0, END, 0, 0)
            + struct.pack("<I", FREE) * 108)  # fmt: skip
    folder = entry("Root Entry", 5, END, 0, child=1)
    folder += entry("Workbook", 2, 2, says or len(content))
    return (head + struct.pack("<128I", *chain) + folder.ljust(512, b"\0")
            + content.ljust(512 * count, b"\0"))  # fmt: skip


def xls(*cells, **options):
    return container(stream(sheet(*cells, **options)))


HEADER = text(0, 0, "a"), text(0, 1, "b")
BODY = [number(i, j, value) for i, row in enumerate(FRAME.rows(), 1) for j, value in enumerate(row)]


def packed(kind, body=b""):
    size, length = b"", len(body)
    while length >= 128:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    first = bytes([kind]) if kind < 128 else bytes([kind & 127 | 128, kind >> 7])
    return first + size + bytes([length]) + body


def wide(words):
    return struct.pack("<I", len(words)) + words.encode("utf-16-le")


def binary_sheet(rows):
    """Rows of a binary sheet: cells by row and column."""
    found = packed(0x81) + packed(0x94, bytes(16)) + packed(0x91)
    for row, cells in rows.items():
        found += packed(0, struct.pack("<I", row) + bytes(13))
        for column, value in cells.items():
            place = struct.pack("<II", column, 0)
            is_word = isinstance(value, str)
            found += (packed(6, place + wide(value)) if is_word
                      else packed(5, place + struct.pack("<d", value)))  # fmt: skip
    return found + packed(0x92) + packed(0x82)


def xlsb(rows):
    space = "http://schemas.openxmlformats.org/package/2006/"
    about = packed(0x9C, struct.pack("<II", 0, 1) + wide("rId1") + wide("S"))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", f'<Types xmlns="{space}content-types"></Types>')
        archive.writestr("xl/workbook.bin", packed(0x83) + packed(0x8F) + about + packed(0x90)
                         + packed(0x9D, bytes(28)) + packed(0x84))  # fmt: skip
        archive.writestr(
            "xl/_rels/workbook.bin.rels",
            f'<Relationships xmlns="{space}relationships"><Relationship Id="rId1" Type="worksheet" '
            'Target="worksheets/sheet1.bin"/></Relationships>',
        )
        archive.writestr("xl/worksheets/sheet1.bin", binary_sheet(rows))
    return made.getvalue()


ROWS = {0: {0: "a", 1: "b"}} | {i: dict(enumerate(row)) for i, row in enumerate(FRAME.rows(), 1)}


def test_they_are_read(tmp_path):
    pytest.importorskip("fastexcel")
    for name, data in (("t.xls", xls(*HEADER, *BODY)), ("t.xlsb", xlsb(ROWS))):
        check_workbook(data, MOST)
        (tmp_path / name).write_bytes(data)
        assert read_table(tmp_path / name).equals(FRAME)


def test_where_their_cells_are():
    ((_, cells),) = sheets_of_xls(xls(*HEADER, *BODY, number(99, 9, 1.0)), MOST)
    assert (cells.count, cells.spanned, cells.said) == (9, 1000, 8)
    row = struct.pack("<HH", 1, 7) + bytes(18) + struct.pack("<H", 9)
    ((_, cells),) = sheets_of_xls(xls(number(0, 0, 1.0), record(0xBD, row)), MOST)
    assert (cells.count, cells.spanned) == (4, 20)
    cells = cells_of_xlsb(binary_sheet({0: {2: 1.0, 4: "x" * 200}, 299: {3: 1.0}}))
    assert (cells.count, cells.spanned) == (3, 900)


@pytest.mark.parametrize(
    "data",
    [
        xlsb(ROWS | {1_048_575: {16_383: 1.0}}),
        xlsb({0: {0: "a", 2**32 - 1: 1.0}}),
        xls(*HEADER, number(65_535, 65_535, 1.0)),
        xls(*HEADER, *BODY, size=(0, 2**32 - 1, 0, 65_535)),
    ],
)
def test_cells_far_apart_are_refused(data, tmp_path):
    pytest.importorskip("fastexcel")
    (tmp_path / "t.xls").write_bytes(data)
    with pytest.raises(DataError, match="would fill the memory") as refused:
        read_table(tmp_path / "t.xls")
    assert "span a rectangle" in refused.value.found or "65,536 columns" in refused.value.found


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (container(stream(sheet(*BODY)), after=2), "without an end"),
        (container(stream(sheet(*BODY)), after=99_999), "without an end"),
        (container(stream(sheet(*BODY)), says=2**31), "a stream of 2,147,483,648 bytes"),
        (container(stream(sheet(*BODY), record(0xFC, struct.pack("<II", 9, 2**31 - 1)))),
         "2,147,483,647 strings"),
        (xls(*BODY)[:400], "cut off"),
        (xls(*BODY)[:5000], "beyond the end"),
    ],
)  # fmt: skip
def test_containers_that_lie_are_refused(data, said):
    with pytest.raises(ValueError, match=said):
        check_workbook(data, MOST)


def test_sheets_that_overlap_are_bounded():
    cells = b"".join(number(i, 0, 1.0) for i in range(700))
    once = record(0x85, struct.pack("<IBBBBB", 0, 0, 0, 1, 0, 83))
    data = container(once * 50 + cells)
    with pytest.raises(ValueError, match="sheets of more than"):
        list(sheets_of_xls(data, 100_000))


def test_damaged_ones_are_an_error(tmp_path):
    """Each byte changed in turn, in the part that describes the sheet: a table or an error."""
    pytest.importorskip("fastexcel")
    whole = xls(*HEADER, *BODY)
    path = tmp_path / "t.xls"
    refused = 0
    for place in range(1536, 1800, 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read_table(path)
        except DataError:
            refused += 1
    assert refused > 5
