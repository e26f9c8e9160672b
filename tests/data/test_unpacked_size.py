"""Small files that would fill the memory are refused before anything is unpacked."""

from __future__ import annotations

import io
import zipfile

import polars as pl
import pytest

from chainrule.data import read_table
from chainrule.data.unpacked_size import check_workbook, of_zstd
from chainrule.errors import DataError

TYPES = "http://schemas.openxmlformats.org"
MOST = 2**24


def zipped(**members):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/") + ".xml", content)
    return made.getvalue()


def sheet(*cells):
    return f"<worksheet><sheetData>{''.join(cells)}</sheetData></worksheet>"


def document(*rows):
    return f"<office:spreadsheet><table:table>{''.join(rows)}</table:table></office:spreadsheet>"


def value(repeated=1):
    said = f' table:number-columns-repeated="{repeated}"' if repeated > 1 else ""
    return f'<table:table-cell office:value-type="float"{said}></table:table-cell>'


def empty(repeated):
    return f'<table:table-cell table:number-columns-repeated="{repeated}"/>'


def row(*cells, repeated=1):
    said = f' table:number-rows-repeated="{repeated}"' if repeated > 1 else ""
    return f"<table:table-row{said}>{''.join(cells)}</table:table-row>"


FAR = {
    "far": sheet('<row r="1"><c r="A1"><v>1</v></c></row>',
                 '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'),
    "far, without places": sheet('<row r="1"><c><v>1</v></c></row>', '<row r="1048576">',
                                 "<c/>" * 16_000, "<c><v>1</v></c></row>"),
    "named": sheet('<x:row r="1"><x:c r="A1"><x:v>1</x:v></x:c></x:row>',
                   '<x:row r="999999"><x:c r="ZZ999999"><x:v>1</x:v></x:c></x:row>'),
    "split": sheet('<row r="1"><c r="A1"><v>1</v></c></row>' + " " * (2**20 - 105),
                   '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'),
}  # fmt: skip
NEAR = {
    "table": sheet('<row r="1"><c r="A1"><v>1</v></c><c r="B1"><v>1</v></c></row>'),
    "long": sheet('<row r="1"><c r="C1"><v>1</v></c></row>',
                  '<row r="1048576"><c r="C1048576"><v>1</v></c></row>'),
    "styles without values": sheet('<row r="1"><c r="A1"><v>1</v></c></row>',
                                   '<row r="1048576"><c r="XFD1048576" s="1"/></row>'),
}  # fmt: skip
FAR_DOCUMENTS = {
    "repeated": document(row(value(16_384), repeated=1_048_576)),
    "empty before": document(row(value()), row(empty(16_000), value(), repeated=1_000_000)),
    "rows between": document(row(value()), row(repeated=1_000_000), row(empty(16_000), value())),
}
NEAR_DOCUMENTS = {
    "empty to the end": document(row(value(), value(), empty(16_382)),
                                 row(empty(16_384), repeated=1_048_575)),
    "equal cells": document(row(value(3), repeated=1_000_000)),
}  # fmt: skip


@pytest.mark.parametrize("name", FAR)
def test_cells_far_apart_are_refused(name):
    data = zipped(xl__worksheets__sheet1=FAR[name])
    with pytest.raises(ValueError, match=r"span a rectangle of [\d,]+, in xl/worksheets/sheet1"):
        check_workbook(data, MOST)


@pytest.mark.parametrize("name", FAR_DOCUMENTS)
def test_cells_far_apart_in_a_document_are_refused(name):
    with pytest.raises(ValueError, match="span a rectangle"):
        check_workbook(zipped(content=FAR_DOCUMENTS[name]), MOST)


@pytest.mark.parametrize("content", [*NEAR.values(), *NEAR_DOCUMENTS.values()])
def test_usual_sheets_are_not(content):
    name = "content" if "office" in content else "xl__worksheets__sheet1"
    check_workbook(zipped(**{name: content}), MOST)


def test_parts_that_unpack_to_too_much_are_refused():
    with pytest.raises(ValueError, match="unpack to more than 1,000,000"):
        check_workbook(zipped(xl__styles=" " * 1_000_001), 1_000_000)
    lying = bytearray(zipped(xl__styles=" " * 3_000_000))
    size = (3_000_000).to_bytes(4, "little")
    while (place := lying.find(size)) >= 0:  # in both places that say how large it is
        lying[place : place + 4] = (10).to_bytes(4, "little")
    with pytest.raises(zipfile.BadZipFile):
        check_workbook(bytes(lying), 1_000_000)


def test_a_workbook_that_would_end_the_process_is_an_error(tmp_path):
    """A cell in the last corner: with the library alone the process is killed."""
    pytest.importorskip("fastexcel")
    frame = pl.DataFrame({"a": [1.5, 2.5]})
    path = tmp_path / "t.xlsx"
    members = {
        "[Content_Types]": f'<Types xmlns="{TYPES}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
        'relationships+xml"/><Default Extension="xml" ContentType="application/xml"/></Types>',
        "xl__workbook": f'<workbook xmlns="{TYPES}/spreadsheetml/2006/main" xmlns:r="{TYPES}/'
        'officeDocument/2006/relationships"><sheets><sheet name="S" sheetId="1" r:id="rId1"/>'
        "</sheets></workbook>",
    }
    relations = (
        f'<Relationships xmlns="{TYPES}/package/2006/relationships"><Relationship Id="rId1" '
        f'Type="{TYPES}/officeDocument/2006/relationships/%s" Target="%s"/></Relationships>'
    )
    good = sheet('<row r="1"><c r="A1" t="str"><v>a</v></c></row>',
                 *(f'<row r="{i}"><c r="A{i}"><v>{x}</v></c></row>'
                   for i, x in enumerate(frame["a"], 2)))  # fmt: skip
    for content in (good, FAR["far"]):
        space = f'<worksheet xmlns="{TYPES}/spreadsheetml/2006/main">'
        path.write_bytes(
            zipped(**members, xl__worksheets__sheet1=content.replace("<worksheet>", space))
        )
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("_rels/.rels", relations % ("officeDocument", "xl/workbook.xml"))
            archive.writestr(
                "xl/_rels/workbook.xml.rels", relations % ("worksheet", "worksheets/sheet1.xml")
            )
        if content is good:
            assert read_table(path).equals(frame)
    with pytest.raises(DataError, match="would fill the memory"):
        read_table(path)


def packed(content):
    frame = pl.DataFrame({"a": content})
    made = io.BytesIO()
    frame.write_csv(made, include_header=False, compression="zstd", check_extension=False)
    return made.getvalue()


def test_zstd_is_bounded_by_its_blocks(tmp_path):
    lines = [f"{i},{i * i}" for i in range(60_000)]
    data = packed(lines)
    size = sum(map(len, lines)) + 3 * len(lines)
    assert size <= of_zstd(data) <= size + 2 * 2**17
    assert of_zstd(data + data) == 2 * of_zstd(data)  # two frames
    skipped = b"\x52\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    assert of_zstd(skipped + data) == of_zstd(data)
    for cut in (3, 9, len(data) // 2):
        with pytest.raises(ValueError, match=r"cut off|damaged"):
            of_zstd(data[:cut])


def test_a_bomb_of_zstd_is_refused(tmp_path):
    repeated = (2**17 << 3 | 1 << 1).to_bytes(3, "little") + b" "  # 128 KB of spaces in 4 bytes
    last = (1 << 3 | 1).to_bytes(3, "little") + b"\n"
    path = tmp_path / "t.csv.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00\x58" + 3000 * repeated + last)
    with pytest.raises(DataError, match="zstd") as refused:
        read_table(path)
    assert "12,010 bytes unpack to 393,216,001" in refused.value.found
