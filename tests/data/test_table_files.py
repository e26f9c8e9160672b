"""Workbooks and databases: one table is read, several are listed, and what is left out is said."""

import io
import sqlite3
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import polars as pl
import pytest

from chainrule.data import infer_schema, read_table
from chainrule.errors import DataError

_NS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_STYLES = (
    f'<styleSheet xmlns="{_NS}"><fonts count="1"><font/></fonts><fills count="1"><fill/></fills>'
    '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>'
    '<cellXfs count="3"><xf/><xf numFmtId="14" applyNumberFormat="1"/>'
    '<xf numFmtId="20" applyNumberFormat="1"/></cellXfs></styleSheet>'
)


def cell(value: Any, place: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, date):
        return f'<c r="{place}" s="1"><v>{(value - date(1899, 12, 30)).days}</v></c>'
    if isinstance(value, time):
        return f'<c r="{place}" s="2"><v>{(value.hour * 60 + value.minute) / 1440}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value}</v></c>'
    if value.startswith("#"):
        return f'<c r="{place}" t="e"><f>A1/0</f><v>{value}</v></c>'
    if value.startswith("="):
        return f'<c r="{place}"><f>{value[1:]}</f></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'


def workbook(sheets: dict[str, list[list[Any]]], hidden: tuple[str, ...] = ()) -> bytes:
    """An Excel file, written by hand."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
        types = "".join(
            f'<Override PartName="/xl/worksheets/sheet{i + 1}.xml" '
            f'ContentType="{kind}.worksheet+xml"/>'
            for i in range(len(sheets))
        )
        archive.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/>{types}</Types>',
        )
        package = "http://schemas.openxmlformats.org/package/2006/relationships"
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}"><Relationship Id="r1" '
            f'Type="{_REL}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        listed = "".join(
            f'<sheet name="{name}" sheetId="{i + 1}" r:id="r{i + 1}"'
            + (' state="hidden"' if name in hidden else "") + "/>"
            for i, name in enumerate(sheets)
        )  # fmt: skip
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_NS}" xmlns:r="{_REL}"><sheets>{listed}</sheets></workbook>',
        )
        relations = "".join(
            f'<Relationship Id="r{i + 1}" Type="{_REL}/worksheet" '
            f'Target="worksheets/sheet{i + 1}.xml"/>'
            for i in range(len(sheets))
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}">{relations}<Relationship Id="s" '
            f'Type="{_REL}/styles" Target="styles.xml"/></Relationships>',
        )
        archive.writestr("xl/styles.xml", _STYLES)
        for i, rows in enumerate(sheets.values()):
            content = "".join(
                f'<row r="{r + 1}">'
                + "".join(cell(value, f"{chr(65 + c)}{r + 1}") for c, value in enumerate(row))
                + "</row>"
                for r, row in enumerate(rows)
            )
            archive.writestr(
                f"xl/worksheets/sheet{i + 1}.xml",
                f'<worksheet xmlns="{_NS}"><sheetData>{content}</sheetData></worksheet>',
            )
    return out.getvalue()


def refused(*arguments: Any, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_table(*arguments, **options)
    return str(caught.value)


SALES = [["day", "shop", "open", "sold"]] + [
    [date(2024, 1, 1 + n), "AB"[n % 2], time(8, n), 2.5 * n] for n in range(25)
]


def test_a_sheet_keeps_its_dates_times_and_numbers() -> None:
    frame = read_table(workbook({"Sales": SALES}))
    assert frame.columns == SALES[0]
    assert frame["day"].to_list()[:2] == [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    assert frame["open"].to_list()[3] == time(8, 3)
    assert frame["sold"].to_list() == [2.5 * n for n in range(25)]
    kinds = {column.name: column.kind for column in infer_schema(frame, "sold").columns}
    assert kinds == {"day": "date", "shop": "category", "open": "date"}


def test_several_sheets_are_listed_and_hidden_ones_said() -> None:
    data = workbook({"Sales": SALES, "My notes": [["a", "b"], [1, 2]]})
    message = refused(data)
    assert "'Sales', 'My notes'" in message
    assert "--table Sales (table='Sales')" in message
    assert read_table(data, table="my notes").rows() == [(1.0, 2.0)]
    assert "There is no sheet 'Slaes'" in refused(data, table="Slaes")
    notes: list[str] = []
    hidden = workbook({"Sales": SALES, "Old": [["a", "b"], [1, 2]]}, hidden=("Old",))
    assert read_table(hidden, notes=notes).height == 25
    assert any("hidden sheets are left out: Old" in note for note in notes)
    assert read_table(hidden, table="Old").height == 1


def test_titles_and_merged_headers_are_read_and_said() -> None:
    rows: list[list[Any]] = [
        ["Report of the year"], [], ["place", "rain", None, "y"], [None, "jan", "feb", None],
        *([f"p{n % 3}", n, 2 * n, 3.5 * n] for n in range(20)),
    ]  # fmt: skip
    notes: list[str] = []
    frame = read_table(workbook({"S": rows}), notes=notes)
    assert frame.columns == ["place", "rain jan", "rain feb", "y"]
    assert frame.row(3) == ("p0", 3.0, 6.0, 10.5)
    assert any("two rows" in note for note in notes)
    assert any("Report of the year" in note for note in notes)


def test_error_values_are_missing_and_formulas_without_a_value_are_said() -> None:
    rows: list[list[Any]] = [["a", "b"], *([n, n / 4] for n in range(20))]
    rows[3][1], rows[5][1] = "#DIV/0!", "=A1+1"
    notes: list[str] = []
    frame = read_table(workbook({"S": rows}), notes=notes)
    read = infer_schema(frame, "a").fit(frame).encode(frame).numeric[:, 0]
    assert [n for n, value in enumerate(read) if value != value] == [2, 4]
    assert any("1 formulas hold no value" in note for note in notes)


def test_text_in_some_cells_makes_a_column_text_and_loses_none() -> None:
    rows: list[list[Any]] = [["zip", "y"], *([f"0{n}" if n % 2 else n, n] for n in range(20))]
    assert read_table(workbook({"S": rows}))["zip"].to_list()[:3] == ["0", "01", "2"]


def test_sheets_without_a_table() -> None:
    assert "empty" in refused(workbook({"S": []}))
    assert "no rows" in refused(workbook({"S": [["a", "b"]]}))
    assert "damaged or cut off" in refused(workbook({"S": SALES})[:-800])


def test_an_open_document_sheet() -> None:
    office, text, table = (
        f"urn:oasis:names:tc:opendocument:xmlns:{name}:1.0" for name in ("office", "text", "table")
    )

    def written(value: Any) -> str:
        if isinstance(value, str):
            kind = f'office:value-type="string"><text:p>{value}</text:p>'
        else:
            kind = f'office:value-type="float" office:value="{value}"><text:p>{value}</text:p>'
        return f"<table:table-cell {kind}</table:table-cell>"

    rows: list[list[Any]] = [["x", "c"], *([n / 2, "ab"[n % 2]] for n in range(6))]
    content = "".join(
        f"<table:table-row>{''.join(map(written, row))}</table:table-row>" for row in rows
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "META-INF/manifest.xml",
            "<manifest:manifest "
            'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
            '<manifest:file-entry manifest:full-path="/" '
            'manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/>'
            "</manifest:manifest>",
        )
        archive.writestr(
            "content.xml",
            f'<office:document-content xmlns:office="{office}" xmlns:text="{text}" '
            f'xmlns:table="{table}"><office:body><office:spreadsheet>'
            f'<table:table table:name="One">{content}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )
    frame = read_table(out.getvalue())
    assert frame.columns == ["x", "c"]
    assert frame.rows()[:2] == [(0.0, "a"), (0.5, "b")]


def test_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "my homes.db"
    with sqlite3.connect(path) as base:
        base.execute('CREATE TABLE "a ""b""" (id INTEGER, "floor area" REAL, city TEXT, price)')
        rows = [(n, n / 2, "Oslo" if n % 2 else None, 3 * n if n else "n/a") for n in range(30)]
        base.executemany('INSERT INTO "a ""b""" VALUES (?, ?, ?, ?)', rows)
    base.close()
    before = path.read_bytes()
    frame = read_table(path)
    assert frame.columns == ["id", "floor area", "city", "price"]
    assert frame.row(3) == (3, 1.5, "Oslo", "9")
    assert frame.row(0) == (0, 0.0, None, "n/a")
    assert read_table(before).equals(frame)
    assert path.read_bytes() == before
    with sqlite3.connect(path) as base:
        base.execute('CREATE VIEW few AS SELECT id FROM "a ""b""" WHERE id < 5')
    base.close()
    assert "'a \"b\"', 'few'" in refused(path)
    assert read_table(path, table="few").height == 5
    assert "There is no table 'homes'" in refused(path, table="homes")
    assert "cannot be read" in refused(before[:4096] + bytes(9))


def test_duckdb(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "homes.duckdb"
    with duckdb.connect(str(path)) as base:
        base.execute(
            "CREATE TABLE t AS SELECT range AS x, DATE '2024-01-01' + range::INT AS day, "
            "(range * 1.25)::DECIMAL(10, 2) AS price, range % 2 = 0 AS new FROM range(30)"
        )
    frame = read_table(path)
    assert frame.height == 30
    assert frame["day"].to_list()[1] == date(2024, 1, 2)
    schema = infer_schema(frame, "price").fit(frame)
    assert schema.encode(frame, target=True).target[3] == 3.75  # type: ignore[index]
    with duckdb.connect(str(path)) as base:
        base.execute("CREATE SCHEMA s; CREATE TABLE s.u AS SELECT 1 AS q")
    assert "'t', 's.u'" in refused(path)
    assert read_table(path, table="s.u").rows() == [(1,)]


@pytest.mark.parametrize("package", ["fastexcel", "duckdb"])
def test_a_missing_package_is_named(monkeypatch, package: str) -> None:
    import importlib

    real = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr("importlib.import_module", without)
    data = workbook({"S": SALES}) if package == "fastexcel" else b"\0" * 8 + b"DUCK" + b"\0" * 99
    extra = {"fastexcel": "excel", "duckdb": "duckdb"}[package]
    assert f"pip install 'chainrule[{extra}]'" in refused(data)


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("https://x.org/a.csv", "curl -LO https://x.org/a.csv"),
        ("s3://bucket/a.parquet", "download it first, and name the file"),
        ("file:///data/a.csv", "name the file itself: /data/a.csv"),
        (Path("https://x.org/a.csv"), "curl -LO https://x.org/a.csv"),
    ],
)
def test_addresses_are_refused(address: Any, hint: str) -> None:
    message = refused(address)
    assert "reads files, not addresses" in message
    assert hint in message


def test_a_file_without_tables_takes_no_table() -> None:
    assert "omit --table" in refused(b"a,b\n1,2\n", table="t")
    assert pl.DataFrame({"a": ["1"]}).equals(read_table(b"a\n1\n"))


def test_totals_and_notes_of_a_sheet_are_left_out_and_said() -> None:
    rows: list[list[Any]] = [[f"r{k}", k, k * 2.5] for k in range(1, 9)]
    above: list[list[Any]] = [["Report"], [], ["region", "units", "price"]]
    content = workbook({"2024": [*above, *rows, ["Total", 36, 90.0], [], ["Source: us"]]})
    notes: list[str] = []
    frame = read_table(content, notes=notes)
    assert frame.rows() == [tuple(row) for row in rows]
    assert any("row 12 ('Total')" in note for note in notes)
    assert any("row 14 ('Source: us')" in note for note in notes)
