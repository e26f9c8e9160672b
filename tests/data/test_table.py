"""Files of every kind are read, or refused with a message that helps."""

import bz2
import csv
import gzip
import io
import itertools
import json
import lzma
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chainrule.data import infer_schema, read_table
from chainrule.data.parsing import tidy
from chainrule.errors import DataError

ROWS = [{"id": "00123", "city": "Zürich", "x": "1.5"}, {"id": "7", "city": "Bern", "x": None}]
TEXT = "id,city,x\n00123,Zürich,1.5\n7,Bern,\n"


def refused(source: object, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_table(source, **options)
    return str(caught.value)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_found(separator: str) -> None:
    assert read_table(TEXT.replace(",", separator).encode()).to_dicts() == ROWS


def test_decimal_commas_do_not_hide_the_semicolon() -> None:
    frame = read_table(b"a;b;c\n1,5;2,5;3,5\n1,25;2,5;3,5\n")
    assert frame.to_dicts()[0] == {"a": "1,5", "b": "2,5", "c": "3,5"}


def test_a_column_of_sentences_is_one_column() -> None:
    frame = read_table(b"text\nHello, world\nno comma\none, two, three\nplain\n")
    assert frame["text"].to_list()[2] == "one, two, three"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
def test_unicode_encodings_are_found(encoding: str) -> None:
    assert read_table(TEXT.encode(encoding)).to_dicts() == ROWS


def test_utf16_big_endian_without_mark_is_found() -> None:
    notes: list[str] = []
    assert read_table(TEXT.encode("utf-16-be"), notes=notes).to_dicts() == ROWS
    assert "UTF-16" in notes[0]


def test_western_encoding_is_noted_with_its_line() -> None:
    notes: list[str] = []
    assert read_table(TEXT.encode("cp1252"), notes=notes).to_dicts() == ROWS
    assert "line 2" in notes[0]
    assert "Windows-1252" in notes[0]


def test_a_named_encoding_is_used() -> None:
    text = "город,x\nМосква,1\n"
    assert read_table(text.encode("cp1251"), encoding="cp1251").columns == ["город", "x"]
    assert "not valid ascii" in refused(text.encode("cp1251"), encoding="ascii")
    assert "klingon" in refused(b"a,b\n1,2\n", encoding="klingon")


def test_broken_utf8_is_refused_with_its_line() -> None:
    message = refused("a,b\nÄÖÜ,ß\nÄ".encode() + b"\xff,1\n")
    assert "line 3" in message
    assert "encoding" in message


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_ends(newline: str) -> None:
    assert read_table(TEXT.replace("\n", newline).encode()).to_dicts() == ROWS


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        lambda data: zipped(("t.csv", data)),
        lambda data: zipped(("t.csv", data), ("__MACOSX/._t.csv", b"junk")),
    ],
    ids=["gz", "bz2", "xz", "zip", "zip of macOS"],
)
def test_compressed_files(pack, tmp_path: Path) -> None:
    path = tmp_path / "table.csv.packed"
    path.write_bytes(pack(TEXT.encode()))
    assert read_table(path).to_dicts() == ROWS
    path.write_bytes(pack(TEXT.encode())[:-12])
    message = refused(path)
    assert "damaged or cut off" in message
    assert str(path) in message


def zipped(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def test_zstd_files() -> None:
    file = io.BytesIO()
    frame = pl.DataFrame({"id": ["00123", "7"], "quoted": ['say "hi", or\nnot', None]})
    frame.write_csv(file, compression="zstd")
    assert file.getvalue()[:4] == b"\x28\xb5\x2f\xfd"
    assert read_table(file.getvalue()).to_dicts() == frame.to_dicts()
    assert "damaged" in refused(file.getvalue()[:10])


def test_a_zip_of_several_tables_names_them() -> None:
    message = refused(zipped(("a.csv", b"x\n1\n"), ("b.csv", b"x\n1\n")))
    assert "2 members: a.csv, b.csv" in message
    assert "workbook" in refused(zipped(("[Content_Types].xml", b"<x/>"), ("xl/a.xml", b"")))


def test_parquet_arrow_and_their_types(tmp_path: Path) -> None:
    frame = pl.DataFrame({"i": [1, 2], "s": ["a", None], "f": [0.5, None]})
    parquet, arrow, stream = io.BytesIO(), io.BytesIO(), io.BytesIO()
    frame.write_parquet(parquet)
    frame.write_ipc(arrow)
    frame.write_ipc_stream(stream)
    for file in (parquet, arrow, stream):
        path = tmp_path / "no_suffix"
        path.write_bytes(file.getvalue())
        assert read_table(path).equals(frame)
        path.write_bytes(file.getvalue()[: len(file.getvalue()) // 2])
        assert str(path) in refused(path)


def test_json_lines_and_arrays() -> None:
    rows = [{"a": 1, "b": "x"}, {"a": 2.5, "c": None}]
    expected = [{"a": 1.0, "b": "x", "c": None}, {"a": 2.5, "b": None, "c": None}]
    lines = "\n\n".join(json.dumps(row) for row in rows)
    for text in (lines, json.dumps(rows), json.dumps(rows, indent=2)):
        assert read_table(text.encode()).to_dicts() == expected
    columns = {"a": [1, 2], "b": {"0": "x", "1": "y"}}
    assert read_table(json.dumps(columns).encode()).to_dicts() == [
        {"a": 1, "b": "x"},
        {"a": 2, "b": "y"},
    ]


def test_json_of_mixed_types_keeps_every_value() -> None:
    frame = read_table(b'{"a": 1}\n{"a": "x"}\n{"a": true}\n{"a": 1e400}\n{"a": null}\n')
    assert frame["a"].to_list() == ["1", "x", "true", "inf", None]


def test_bad_json_names_the_line() -> None:
    message = refused(b'{"a": 1}\n{"a": \n')
    assert "line 2" in message
    assert "one object a line" in message
    assert "line 2" in refused(b'{"a": 1}\n[1, 2]\n')
    assert "row 2" in refused(b'[{"a": 1}, 5]')
    assert "empty" in refused(b"[]")
    assert "damaged" in refused(b'[{"a": 1}')
    assert "damaged" in refused(b"[" * 100_000)


def test_ragged_rows_name_line_expected_and_found() -> None:
    message = refused(b"a,b,c\n1,2,3\n\n4,5\n")
    assert "line 4" in message
    assert "expected: 3 fields: a, b, c" in message
    assert "found: 2 fields: 4, 5" in message
    assert "cut off" in message
    assert "double quotes" in refused(b"a,b,c\n1,2,3\n4,5,6,7\n")


def test_ragged_rows_with_quotes_name_the_line_they_start_on() -> None:
    message = refused(b'a,b\n"x\ny",2\n"p\nq",3,4\n')
    assert "line 4" in message
    assert "found: 3 fields" in message


def test_quoted_fields() -> None:
    frame = read_table(b'a,b\n"x,\n""y""",2\n"z" ,""\n\n5" pipe,3\n')
    assert frame["a"].to_list() == ['x,\n"y"', "z ", '5" pipe']
    assert frame["b"].to_list() == ["2", None, "3"]


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_quote_that_never_closes_is_found(end: str) -> None:
    message = refused(f'a,b\n1,2\n3,"x\n4,5\n6,7{end}'.encode())
    assert "line 3" in message
    assert "does not end" in message
    assert "line 2" in refused(('a,b\n1,"' + "long " * 40_000 + "\n").encode())


def test_a_quoted_cell_may_be_longer_than_python_reads_at_once() -> None:
    cell = "word, " * 40_000
    limit = csv.field_size_limit()
    for quotes in ("", 'a "word" '):  # quotes inside that are not doubled, too
        frame = read_table(f'a,b\n{quotes}1,"{cell}"\n2,x\n'.encode())
        assert frame["b"].to_list() == [cell, "x"]
    assert csv.field_size_limit() == limit


def test_many_quoted_rows_are_the_rows_of_pythons_reader() -> None:
    """So many that polars reads them in parts, with line breaks that end no row."""
    cells = ["x", "two\nlines", 'say "no"', "a, b", "", "\n\n", '"']
    rows = [[str(i), cells[i % 7], cells[i // 7 % 7] * (i % 50)] for i in range(40_000)]
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([["i", "s", "t"], *rows])
    found = read_table(file.getvalue().encode())
    assert found.fill_null("").rows() == list(map(tuple, rows))


def observations(rows: list[tuple[str, ...]], header: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Without headers that come again, empty rows beside them, and three or more at the end."""
    kinds = ["header" if tuple(map(str.strip, row)) == header
             else "" if any(map(str.strip, row)) else "empty" for row in rows]  # fmt: skip
    kept: list[tuple[str, ...]] = []
    start = 0
    for kind, group in itertools.groupby(kinds):
        end = start + len(list(group))
        sides = (kinds[start - 1] if start else "", kinds[end] if end < len(kinds) else "")
        spare = "header" in sides or (end == len(rows) and end - start >= 3)
        if kind == "" or (kind == "empty" and not spare):
            kept += rows[start:end]
        start = end
    return kept or rows


@given(st.text(st.sampled_from('a, "\n'), max_size=30))
@settings(max_examples=400, deadline=None)
def test_quotes_anywhere_mean_what_they_mean_to_python(text: str) -> None:
    text = f"a,b\n{text}\n"
    *rows, last = csv.reader([*io.StringIO(text), "end"])
    rows = [row for row in rows[1:] if row]
    assume(not any(len(row) == 1 and not row[0].strip(" ") for row in rows))  # empty or ragged?
    assume(all(len(row) == 2 or "".join(row).strip() for row in rows))  # empty, and left out
    assume(not rows or any(len(row) != 3 for row in rows))  # what has a header that is too short
    assume(all(len(row) < 3 or "".join(row[2:]) for row in rows))  # separators that end a row
    if last != ["end"]:
        assert "does not end" in refused(text.encode(), separator=",")
    elif not rows:
        assert "no rows" in refused(text.encode(), separator=",")
    elif any(len(row) != 2 for row in rows):
        assert "number of fields" in refused(text.encode(), separator=",")
    else:
        found = read_table(text.encode(), separator=",", notes=[])
        assert found.fill_null("").rows() == observations(list(map(tuple, rows)), ("a", "b"))


def test_what_polars_reads_otherwise_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    read = pl.read_csv
    monkeypatch.setattr(pl, "read_csv", lambda *data, **options: read(*data, **options).head(1))
    assert "expected: 2 rows" in refused(b'a,b\n"1",2\n"3",4\n')

    def fail(*data: bytes, **options: Any) -> None:
        raise pl.exceptions.ComputeError("no memory")

    monkeypatch.setattr(pl, "read_csv", fail)
    assert "no memory" in refused(b"a,b\n1,2\n")


def test_duplicate_columns_are_named() -> None:
    message = refused(b"a,b, a\n1,2,3\n")
    assert "Two columns are called 'a'" in message
    assert "column 1 and as column 3" in message
    assert "line 1" in message
    assert "Two columns" in refused(b'"a","a"\n1,2\n')


def test_columns_without_a_name_get_one() -> None:
    notes: list[str] = []
    frame = read_table(b",x,\n1,2,\n", notes=notes)
    assert frame.columns == ["column_1", "x", "column_3"]
    assert "column_1, column_3" in notes[0]
    assert read_table(b",column_1\n1,2\n").columns == ["column_1_", "column_1"]


@pytest.mark.parametrize(
    ("above", "said"),
    [
        ("sep=;\n", "fields are separated by ';', as line 1 says"),
        ('\n"sep=;"\n', "fields are separated by ';', as line 2 says"),
        ("# station 7\n", "the header is line 2; what stands above is left out: # station 7"),
        ('#station "7"\n\n# 1;2\n#\n', "the header is line 5"),
        ("# x;y\n", "the header is line 2"),
        ("sep=;\n# 7\n", "the header is line 3; what stands above is left out: # 7"),
        ("Report\n\nof 2024\n\n", "the header is line 5; what stands above is left out: Report"),
    ],
)
def test_lines_above_the_header(above: str, said: str) -> None:
    rows = "a;b\n" + "".join(f"{i},5;x{i}\n" for i in range(30))
    notes: list[str] = []
    frame = read_table((above + rows).encode(), notes=notes)
    assert frame.equals(read_table(rows.encode()))
    assert notes[-1].startswith(f"the given bytes: {said}")
    assert f"line {(above + rows).count(chr(10)) + 1}" in refused((above + rows + "1\n").encode())
    unclosed = (above + rows + '"\n').encode()
    assert f"line {(above + rows).count(chr(10)) + 1}" in refused(unclosed)


def test_names_that_begin_with_a_hash_are_no_comment() -> None:
    for text in ("#id,b\n1,2\n", "# id,b\n1,2\n", "#id,b\nx,y\n", "#id,b\n", "#a\n1\n2\n"):
        if text.count("\n") > 1:
            assert read_table(text.encode()).columns[0] == text.split("\n")[0].split(",")[0]
        else:
            assert "only the header: #id, b" in refused(text.encode())
    assert read_table(b"tag\n#a\n#b\n")["tag"].to_list() == ["#a", "#b"]
    assert read_table(b"#tag\n#a\n#b\n")["#tag"].to_list() == ["#a", "#b"]
    assert read_table(b"#,x\n1,2\n").columns == ["#", "x"]
    assert read_table(b"# made by hand\n#id,b\n1,2\n").columns == ["#id", "b"]


def test_a_short_header_is_no_title() -> None:
    assert "line 2" in refused(b"a\n1,2\n3,4\n5,6\n7,8\n9,10\n")
    assert "line 2" in refused(b"text\n" + b"one, two\n" * 9)


def test_a_header_of_numbers_is_noted() -> None:
    notes: list[str] = []
    read_table(b"5.1,3.5\n4.9,3.0\n", notes=notes)
    assert "lack a header" in notes[0]


def test_empty_lines() -> None:
    assert read_table(b"\n\na,b\n\n1,2\n  \n3,4\n\n").to_dicts() == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "4"},
    ]
    assert read_table(b"a\n1\n\n2\n\n")["a"].to_list() == ["1", None, "2"]
    assert read_table(b'a\n"1"\n\n2\n\n')["a"].to_list() == ["1", None, "2"]
    assert read_table(b"a\tb\n\t\n1\t\n")["a"].to_list() == [None, "1"]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_empty_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_bytes(content)
    message = refused(path)
    assert "empty" in message
    assert str(path) in message


@pytest.mark.parametrize("content", [b"a,b\n", b"a,b", b'"a","b"\n\n', b"a\n\n"])
def test_header_only(content: bytes) -> None:
    message = refused(content)
    assert "no rows" in message
    assert "only the header: a" in message


def test_missing_file_suggests_a_near_name(tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_text(TEXT)
    message = refused(tmp_path / "house.csv")
    assert "no such file" in message
    assert f"did you mean {tmp_path / 'houses.csv'}" in message
    assert "does not exist either" in refused(tmp_path / "nowhere" / "house.csv")
    assert "download" in refused("https://example.org/houses.csv")
    assert "cannot be read" in refused("a\0b")


def test_a_folder_lists_its_tables(tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_text(TEXT)
    message = refused(tmp_path)
    assert "folder" in message
    assert "houses.csv" in message


def test_a_file_that_is_written_meanwhile_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(TEXT)
    real = os.fstat

    def then_it_grows(number: int) -> os.stat_result:
        found = real(number)
        with open(path, "a") as file:
            file.write("x")
        return found

    monkeypatch.setattr(os, "fstat", then_it_grows)
    assert "changed while it was read" in refused(path)


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(path: Path, mode: str) -> bytes:
        raise PermissionError

    monkeypatch.setattr(Path, "open", forbid)
    message = refused(tmp_path / "secret.csv")
    assert "Permission denied" in message
    assert "secret.csv" in message


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"%PDF-1.7 ...", "PDF"),
        (b"\x89PNG\r\n", "PNG"),
        (bytes(range(256)) * 4, "binary"),
        (bytes(range(1, 256)) * 4, "binary"),
    ],
)
def test_foreign_files_are_named(content: bytes, found: str) -> None:
    message = refused(content)
    assert found in message
    assert "CSV, TSV, Parquet" in message


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert read_table("-").to_dicts() == ROWS
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert "standard input" in refused("-")


def test_open_files_and_paths_as_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(TEXT, encoding="utf-8")
    assert read_table(str(path)).to_dicts() == ROWS
    with path.open("rb") as file:
        assert read_table(file).to_dicts() == ROWS


def test_objects_in_memory() -> None:
    frame = pl.DataFrame({"a": [1, 2]})
    assert read_table(frame) is frame
    assert read_table(frame.lazy()).equals(frame)
    columns = {"a": np.array([1, 2]), "b": ["x", None], "c": (1, 2.5), "d": [1, "x"]}
    assert read_table(columns).to_dicts() == [
        {"a": 1, "b": "x", "c": 1.0, "d": "1"},
        {"a": 2, "b": None, "c": 2.5, "d": "x"},
    ]


def test_pandas_without_pyarrow() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "f": [1.5, None, 2],
            "i": pandas.array([1, None, 3], dtype="Int64"),
            "s": ["x", None, "y"],
            "mixed": [1, "x", None],
            "c": pandas.Categorical(["u", "v", None]),
            "d": pandas.to_datetime(["2014-01-01", None, "2015-01-01"]),
            "z": pandas.to_datetime(["2014-01-01T02:00+02:00"] * 3, utc=True),
            "b": [True, False, True],
        }
    )
    table = read_table(frame)
    assert table["i"].to_list() == [1, None, 3]
    assert table["s"].to_list() == ["x", None, "y"]
    assert table["mixed"].to_list() == ["1", "x", None]
    assert table["c"].to_list() == ["u", "v", None]
    assert table["d"].dt.year().to_list() == [2014, None, 2015]
    assert table["z"].dt.hour().to_list() == [0, 0, 0]
    assert table["f"].is_finite().sum() == 2
    assert table["b"].dtype == pl.Boolean
    frame.columns = [*frame.columns[:-1], "f"]
    assert "Two columns are called 'f'" in refused(frame)


def test_bad_objects_are_refused() -> None:
    message = refused({"a": [1, 2], "b": [1]})
    assert "column 'b'" in message
    assert "2 values, as in column 'a'" in message
    assert "sequence" in refused({"a": "text"})
    assert "sequence" in refused({"a": 5})
    assert "type int" in refused(5)
    assert "no columns" in refused({})
    assert "no rows" in refused({"a": []})


def test_a_separator_must_be_one_character() -> None:
    assert read_table(b"a b\n1 2\n", separator=" ").columns == ["a", "b"]
    for wrong in ("::", "", '"', "\n", "§"):
        assert "one character" in refused(b"a::b\n1::2\n", separator=wrong)


# ---------------------------------------------------------------- properties

CELLS = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r\x1f"), max_size=8
)


@given(
    st.integers(2, 4).flatmap(
        lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1)
    )
)
@settings(max_examples=150, deadline=None)
def test_what_csv_writes_is_read_back(rows: list[list[str]]) -> None:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = [f"c{i}" for i in range(len(rows[0]))]
    writer.writerows([names, *rows])
    frame = read_table(file.getvalue().encode(), separator=",", notes=[])
    # A row of nothing but spaces in its first cells is not taken for an empty line: it has commas.
    kept = observations(list(map(tuple, rows)), tuple(names))
    assert frame.rows() == [tuple(cell or None for cell in row) for row in kept]


@given(st.lists(st.tuples(st.integers(), st.floats(allow_nan=False)), min_size=1))
@settings(max_examples=50, deadline=None)
def test_numbers_keep_their_text(rows: list[tuple[int, float]]) -> None:
    text = "".join(f"{i},{f!r}\n" for i, f in rows)
    frame = read_table(f"i,f\n{text}".encode())
    assert frame["i"].to_list() == [str(i) for i, _ in rows]
    assert [float(cell) for cell in frame["f"].to_list()] == [f for _, f in rows]


MAGIC = [b"", b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff", b"\x1f\x8b", b"BZh", b"PK\x03\x04"]
MAGIC += [b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"\xff\xfe", b"{", b"[", b'a,b\n"']


@given(st.sampled_from(MAGIC), st.binary(max_size=200))
@settings(max_examples=400, deadline=None)
def test_random_bytes_are_a_table_or_a_data_error(magic: bytes, rest: bytes) -> None:
    check_outcome(magic + rest)


@given(st.text(st.sampled_from('a1,;"\n\r\t |{}[]:é\ufeff'), max_size=40))
@settings(max_examples=400, deadline=None)
def test_random_text_is_a_table_or_a_data_error(text: str) -> None:
    check_outcome(text.encode())


def check_outcome(data: bytes) -> None:
    """A table with rows, or an error that says where; nothing else may be raised."""
    try:
        outcome: pl.DataFrame | DataError = read_table(data, notes=[])
    except DataError as error:
        outcome = error
    assert outcome.where if isinstance(outcome, DataError) else outcome.height > 0


def test_a_separator_at_the_end_of_rows_only_is_left_out_and_said() -> None:
    notes: list[str] = []
    frame = read_table(b"a;b\n1;2;\n3;;\n", notes=notes)
    assert frame.rows() == [("1", "2"), ("3", None)]
    assert "all rows end with a separator" in notes[0]
    both = read_table(b"a;b;\n1;2;\n3;4;\n", notes=[])
    assert both.columns == ["a", "b", "column_3"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a;b\n1;2;\n3;4\n5;6;;;\n", "2 of 4 lines end with separators that nothing follows"),
        ("a;b;\n1;2\n3;4;\n5;6\n", "lines 1, 3"),
        ("a;b;;\n1;2\n3;4;\n5;6\n", "lines 1, 3"),
        ('a;b\n1;2;\n3;"4"\n5;"6";\n', "lines 2, 4"),
        ("a;b\n;;;\n1;2;\n3;4\n5;6\n", "line 3"),
    ],
)
def test_separators_at_the_end_of_some_rows_are_left_out_and_said(text: str, said: str) -> None:
    notes: list[str] = []
    frame = read_table(text.encode(), notes=notes)
    assert frame.columns == ["a", "b"]
    assert frame.drop_nulls().rows() == [("1", "2"), ("3", "4"), ("5", "6")]
    assert any(said in note for note in notes)


@pytest.mark.parametrize(
    "text",
    [
        # A comma inside of the name, and no note: the last field is empty in other rows, too.
        "name,city,note\nSmith, John,Paris,\nKim,Oslo,\nLee,Rome,late\n",
        "a,b\n1,2\n3,4,5\n",
        "a,b\n1,2\n3,4,,5,\n",
    ],
)
def test_a_field_too_many_is_refused_where_it_may_be_one(text: str) -> None:
    assert "another number of fields" in refused(text.encode())


def test_text_as_a_formula_of_spreadsheets_is_text() -> None:
    notes: list[str] = []
    text = '="id",n\n="007",1\n"=""012""",2\n="",3\n=x,4\n'
    frame = read_table(text.encode(), notes=notes)
    assert frame.columns == ["id", "n"]
    assert tidy(frame["id"]).to_list() == ["007", "012", None, "=x"]
    assert notes == ['the given bytes: cells such as ="007" are read as the text in them']
    numbers = infer_schema(
        pl.DataFrame({"x": ['="1.5"', '="2"', '="3"'], "y": [1.0, 2.0, 4.0]}), "y"
    )
    assert [column.name for column in numbers.numeric] == ["x"]


@pytest.mark.parametrize("names", [["1", "2", "3"], ['"Oslo"', '"Rome"', '"Bern"']])
def test_row_names_as_r_writes_them(names: list[str]) -> None:
    notes: list[str] = []
    text = "x,y\n" + "".join(f"{name},{n},{n / 2}\n" for n, name in enumerate(names))
    frame = read_table(text.encode(), notes=notes)
    assert frame.columns == ["column_1", "x", "y"]
    assert frame["x"].to_list() == ["0", "1", "2"]
    assert "as R writes row names" in notes[0]


def test_decimal_commas_between_commas_are_no_row_names() -> None:
    assert "another number of fields" in refused(b"x,y\n1,5,2\n1,7,3\n2,5,4\n")
