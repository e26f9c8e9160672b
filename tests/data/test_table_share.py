"""The parts that several processes read are the whole file, each row once."""

from __future__ import annotations

import polars as pl
import pytest

from chainrule.data import table_scan
from chainrule.data.table_scan import TableScan
from chainrule.data.table_share import TableShare
from chainrule.errors import DataError
from tests.data.test_table_scan import KINDS, write
from tests.in_processes import in_processes


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(table_scan, "_BLOCK", 2000)
    monkeypatch.setattr(table_scan, "PART_ROWS", 70)


def shares(monkeypatch, path, count):
    """Of each process: the place of its first row, and its rows."""

    def read():
        share = TableShare(path)
        return share.before, list(share.parts())

    return in_processes(monkeypatch, count, read)


def check(monkeypatch, path, count):
    whole = pl.concat(list(TableScan(path).parts()))
    found = shares(monkeypatch, path, count)
    rows = [sum(part.height for part in parts) for _, parts in found]
    assert [before for before, _ in found] == [sum(rows[:i]) for i in range(count)]
    assert pl.concat([part for _, parts in found for part in parts]).equals(whole)
    return rows


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("ending", KINDS)
def test_every_row_is_read_by_one_process(tmp_path, monkeypatch, ending, count):
    rows = check(monkeypatch, write(tmp_path, ending), count)
    assert max(rows) < 1.6 * sum(rows) / count  # about as many each


def test_alone_it_is_a_scan_of_all(tmp_path):
    path = write(tmp_path, ".csv")
    share = TableShare(path)
    assert share.before == 0
    assert pl.concat(list(share.parts())).equals(pl.concat(list(TableScan(path).parts())))


def test_no_more_bytes_are_read_than_those_of_a_part(tmp_path, monkeypatch):
    path = write(tmp_path, ".plain.csv")
    size, seen = path.stat().st_size, []
    plain = TableShare._text_parts

    def watched(self):
        seen.append((self._start, self._end or size))
        return plain(self)

    monkeypatch.setattr(TableShare, "_text_parts", watched)
    shares(monkeypatch, path, 4)
    assert len(set(seen)) == 4
    assert max(end - start for start, end in seen) < 1.1 * size / 4


@pytest.mark.parametrize("count", [2, 5])
def test_rows_with_line_breaks_in_quotes_around_every_edge(tmp_path, monkeypatch, count):
    path = tmp_path / "t.csv"
    cell = 'a, ""b""\n' * 40
    path.write_text("x,y\n" + "".join(f'{i},"{cell}"\n' for i in range(30)))
    check(monkeypatch, path, count)


def test_quotes_inside_of_words_leave_all_to_the_first(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f'{i},a 5" pipe\n' for i in range(801)))
    assert check(monkeypatch, path, 3) == [801, 0, 0]


def test_more_processes_than_rows(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n1,2\n3,4\n")
    assert sum(check(monkeypatch, path, 6)) == 2
    pl.DataFrame({"x": [1, 2, 3]}).write_parquet(tmp_path / "t.parquet")
    assert check(monkeypatch, tmp_path / "t.parquet", 2) in ([3, 0], [0, 3])


def test_another_encoding_far_behind_is_found_by_all(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_bytes(b"x,y\n" + b"1,plain\n" * 900 + "2,Grüße aus Köln\n".encode("cp1252") * 9)
    check(monkeypatch, path, 3)


def test_the_line_of_an_error_is_that_of_the_file(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "1,2\n" * 2000 + "1,2,3,4\n" + "5,6\n" * 20)
    with pytest.raises(DataError, match="line 2002"):
        shares(monkeypatch, path, 3)
