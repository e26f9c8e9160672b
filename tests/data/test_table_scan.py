"""Files that are read in parts give the same cells as files that are read as a whole."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from chainrule.data import read_table, table_scan
from chainrule.data.table_scan import TableScan, is_larger_than_memory
from chainrule.errors import DataError


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(table_scan, "_BLOCK", 2000)
    monkeypatch.setattr(table_scan, "PART_ROWS", 70)


def frame(rows=500):
    g = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "a": g.normal(size=rows),
            "b": g.integers(0, 9, rows),
            "t": g.choice(["x", "y, z", 'q"u', "é"], rows),
            "l": ["one\ntwo" if i % 7 == 0 else "w" for i in range(rows)],
        }
    )


def write(folder, ending):
    path = folder / f"table{ending}"
    table = frame()
    if ending == ".csv":
        table.write_csv(path)
    elif ending == ".plain.csv":
        table.select("a", "b").write_csv(path)
    elif ending == ".tsv":
        path.write_bytes(b"\xef\xbb\xbf\n" + table.write_csv(separator="\t").encode())
    elif ending == ".crlf.csv":
        path.write_bytes(table.select("b", "a").write_csv().replace("\n", "\r\n").encode())
    elif ending == ".jsonl":
        table.write_ndjson(path)
    elif ending == ".parquet":
        table.write_parquet(path)
    else:
        table.write_ipc(path, compression="uncompressed")
    return path


KINDS = [".csv", ".plain.csv", ".tsv", ".crlf.csv", ".jsonl", ".parquet", ".arrow"]


@pytest.mark.parametrize("ending", KINDS)
def test_the_parts_are_the_whole(tmp_path, ending):
    path = write(tmp_path, ending)
    parts = list(TableScan(path).parts())
    assert len(parts) > 3
    assert pl.concat(parts).equals(read_table(path))


@pytest.mark.parametrize("above", ["sep=,\r\n", '# a "comment\n\n', "a title\n", "#"])
def test_lines_above_the_header(tmp_path, above):
    path = tmp_path / "t.csv"
    table = frame()
    path.write_text(above + table.write_csv())
    found = TableScan(path)
    assert pl.concat(list(found.parts())).equals(read_table(path))
    notes = []
    read_table(path, notes=notes)
    assert found.notes == notes
    assert len(notes) == (above != "#")
    path.write_text(above + table.write_csv() + "1\n")
    with pytest.raises(DataError) as whole:
        read_table(path)
    with pytest.raises(DataError) as parts:
        list(TableScan(path).parts())
    assert str(parts.value) == str(whole.value)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_quotes_inside_words_do_not_end_a_part(tmp_path, newline):
    """An inch mark is no quote, but the line break in a quoted field is none of rows."""
    path = tmp_path / "t.csv"
    cells = ['5" pipe', "plain", '"two\nlines, x"', '"q ""u"" q"', "x"]
    lines = [f"{i},{cells[i * i % 7 % 5]},{i}" for i in range(3000)]
    path.write_text("\n".join(["a,b,c", *lines, ""]), newline=newline)
    whole = read_table(path)
    assert whole.height == 3000
    assert pl.concat(list(TableScan(path).parts())).equals(whole)


@pytest.mark.parametrize("ending", KINDS)
def test_only_large_files_are_read_in_parts(tmp_path, ending):
    path = write(tmp_path, ending)
    assert not is_larger_than_memory(path)
    assert is_larger_than_memory(path, limit=4000)
    assert is_larger_than_memory(str(path), limit=4000)


def test_what_cannot_be_cut_is_not(tmp_path):
    content = {
        "a.csv.gz": b"\x1f\x8b" + bytes(9),
        "u.csv": "a,b\n1,2\n".encode("utf-16"),
        "j.json": b'[{"a": 1}]',
        "x.bin": b"a\0b",
    }
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
        assert not is_larger_than_memory(tmp_path / name, limit=1)
    for source in ("-", b"a,b\n1,2\n", {"a": [1]}, tmp_path, tmp_path / "nothing"):
        assert not is_larger_than_memory(source, limit=1)


@pytest.mark.parametrize("ending", [".plain.csv", ".csv"])
def test_the_line_of_an_error_is_that_of_the_file(tmp_path, ending):
    path = write(tmp_path, ending)
    text = path.read_bytes()
    path.write_bytes(text + b"1,2,3,4,5,6\n")
    with pytest.raises(DataError) as whole:
        read_table(path)
    with pytest.raises(DataError) as parts:
        list(TableScan(path).parts())
    assert parts.value.where == whole.value.where
    assert str(parts.value) == str(whole.value)


def test_another_encoding_is_found_and_said(tmp_path):
    path = tmp_path / "t.csv"
    lines = [f"Straße {i},{i}" for i in range(400)]
    path.write_bytes("\n".join(["weg,nr", *lines]).encode("cp1252"))
    found = TableScan(path)
    assert pl.concat(list(found.parts())).equals(read_table(path))
    (note,) = found.notes
    assert note.startswith(f"{path}: not UTF-8; read as Windows-1252; ")


def test_a_file_that_grows_meanwhile_is_an_error(tmp_path):
    path = write(tmp_path, ".plain.csv")
    found = TableScan(path)
    parts = found.parts()
    next(parts)
    with path.open("ab") as file:
        file.write(b"1.5,2\n")
    with pytest.raises(DataError, match="changed while it was read"):
        list(parts)


def test_a_damaged_parquet_file_is_an_error(tmp_path):
    path = write(tmp_path, ".parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="parquet file is damaged"):
        list(TableScan(path).parts())
