"""Rows of files that are no observations are left out and told; what may be one stays."""

import warnings
from pathlib import Path

import polars as pl
import pytest

from chainrule.data import read_table
from chainrule.data.table_scan import TableScan
from chainrule.errors import DataError
from chainrule.utils.warned import DataWarning

N = 12
ROWS = [(f"r{k}", k, k * 2.5) for k in range(1, N + 1)]
SUM = N * (N + 1) // 2


def text(*after: str, before: tuple[str, ...] = (), separator: str = ",") -> str:
    rows = (separator.join(map(str, row)) for row in ROWS)
    return "\n".join([separator.join(("region", "units", "price")), *before, *rows, *after, ""])


def read(content: str) -> tuple[pl.DataFrame, list[str]]:
    notes: list[str] = []
    frame = read_table(content.encode(), notes=notes)
    return frame, notes


def is_clean(content: str, *said: str) -> None:
    frame, notes = read(content)
    assert frame.rows() == [tuple(map(str, row)) for row in ROWS]
    assert all(any(word in note for note in notes) for word in said), notes


@pytest.mark.parametrize("label", [
    "Total", "TOTAL:", "Grand total", "Summe", "Gesamt", "Insgesamt", "Gesamtergebnis", "Somme",
    "Total général", "Totale", "Suma", "Razem", "Totaal", "Итого", "ВСЕГО:", "合計", "总计", "합계",
    "Toplam", "Yhteensä", "Összesen", "Σύνολο", "المجموع", "सकल योग", "Totalt", "",
])  # fmt: skip
def test_totals(label):
    is_clean(text(f"{label},{SUM},{SUM * 2.5}"), "1 row of totals is left out: line 14")


@pytest.mark.parametrize("last", [
    f"Total,{SUM},", f"Total,,{SUM * 2.5}", f"Total,{SUM},100 %", "Average,6.5,16.25",
    "Durchschnitt,6.5,16.3", f",Total,{SUM * 2.5}", f'Total,{SUM},"195.00 €"',
])  # fmt: skip
def test_totals_of_some_columns(last):
    is_clean(text(last), "1 row of totals is left out: line 14")


@pytest.mark.parametrize("last", [
    ("Count,12,12",), ("Anzahl:,12,",), ("count,,12",), ("Mean,6.5,16.25", "Count,12,12"),
    ("Count,12,12", "Total,78,195.0", "Average,6.5,16.25"), ("Std. Dev.,3.6,9.0",),
    ("count,12,12", "mean,6.5,16.25", "std,3.61,9.01", "min,1,2.5", "median,6.5,16.25",
     "max,12,30"), ("Minimum,1,2.5", "Maximum,12,30.0"),
])  # fmt: skip
def test_other_statistics_below_a_table(last):
    rows = f"{len(last)} row" + "s" * (len(last) > 1)
    is_clean(text(*last), f"{rows} of totals")


@pytest.mark.parametrize("last", [
    ("Max,12,4.5",), ("Min,7,30",), ("Max,12,",), ("Count,9,31.5",), ("Median,6,40",),
    ("Count Dracula,12,12",), ("Max,12,29", "Ben,3,8.5"), ("Average,9,11",),
])  # fmt: skip
def test_rows_that_only_have_the_name_of_a_statistic_stay(last):
    frame, notes = read(text(*last))
    assert frame.height == N + len(last)
    assert all("stays" in note for note in notes)
    assert len(notes) == last[0].startswith(("Count,", "Average"))


def test_sums_of_groups():
    rows = [f"{group},p{k},{k + 10 * (group == 'b')}" for group in "ab" for k in range(1, 6)]
    with_sums = ["group,product,price", *rows[:5], "a total,,15", *rows[5:], "b total,,65",
                 "Grand total,,80"]  # fmt: skip
    frame, notes = read("\n".join(with_sums))
    assert frame.height == 10
    assert "3 rows of totals are left out: lines 7, 13, 14" in notes[-1]


def test_sums_in_other_notations():
    frame, notes = read("ort;umsatz\n" + "\n".join(f"o{k};{k}.100,50" for k in range(1, 9))
                        + "\nSumme;36.804,00\n")  # fmt: skip
    assert frame.height == 8
    assert "line 10 ('Summe')" in notes[-1]


@pytest.mark.parametrize(
    "last", ["Total,7,70", "Sum 41,3,9.5", "Total loss,1,2.5", "Mean Men,6,16"]
)
def test_what_is_no_total_stays(last):
    frame, notes = read(text(last))
    assert frame.height == N + 1
    assert len(notes) == (last.startswith("Total,"))  # which is said to be doubtful
    assert not notes or "stays" in notes[0]


def test_a_class_that_is_called_total_stays():
    rows = [f"{'total' if k % 3 else 'partial'},{k},{k * k}" for k in range(1, 40)]
    assert read("eclipse,year,length\n" + "\n".join(rows))[0].height == 39


@pytest.mark.parametrize("notes", [
    ("Source: Bureau of Things",), ("Source: Bureau, of, Things, 2024",), ("Quelle: Amt, 2024",),
    ("", "Note: provisional,,"), ("Source: A, B, C",), ("* provisional,,",), ("† estimated",),
    ("Источник: Росстат",), ("资料来源：国家统计局",), ("Fuente: INE",), ("Hinweis: vorläufig,,",),
    ("", "Figures are provisional", "and may be revised"), ("(12 rows)",), ("12 rows in set",),
    ("", "Generated on 2024-05-01 by Reports"), ("© 2024 Things Ltd",), ("Stand: 01.05.2024,,",),
    ("----------", "End of report"), ("Note 1: of all shops",), ("[a] revised figures,,",),
])  # fmt: skip
def test_notes_at_the_end(notes):
    is_clean(text(*notes), "note" if any(map(str.strip, notes)) else "")


def test_totals_and_notes_together():
    is_clean(text(f"Total,{SUM},{SUM * 2.5}", ",,", "Source: us,,", "* provisional"),
             "1 row of totals is left out: line 14 ('Total')", "1 empty row is left out: line 15",
             "1 note is left out: line 16", "1 note is left out: line 17")  # fmt: skip


def test_a_row_that_is_cut_off_is_still_refused():
    for last in ("New York", "r13,13", "Source", "r13;13;5"):
        with pytest.raises(DataError, match="line 14"):
            read(text(last))
    with pytest.raises(DataError, match="line 3"):  # no notes in the middle
        read("a,b,c\n1,2,3\nSource: us\n" + "4,5,6\n" * 50)


@pytest.mark.parametrize("rows", [
    ["Note: the film is long,0", "Source: a friend, he says,1"], ["great,1", "Note: bad,0"],
    ["Note: a good one,", "fine,"],
])  # fmt: skip
def test_texts_that_begin_like_notes_are_texts(rows):
    some = [f"it was number {k} of all that I saw,{k % 2}" for k in range(20)]
    lines = [
        "text,label",
        *some,
        *(f'"{row[:-2]}",{row[-1]}' if row[-1] != "," else row for row in rows),
    ]
    assert read("\n".join(lines))[0].height == 22


def test_a_header_that_comes_again():
    content = text() + text()
    frame, notes = read(content)
    assert frame.height == 2 * N
    assert notes == ["the given bytes: 1 row that holds the header again is left out: line 14"]
    with_note = text("Source: us") + text("Source: us")
    assert read(with_note)[0].height == 2 * N
    other = text() + text().replace("region,units,price", "units,region,price")
    with pytest.raises(DataError, match=r"another order[\s\S]*line 14"):
        read(other)


@pytest.mark.parametrize("units", [
    ",pieces,EUR", ",[1],[€]", "-,pcs,US$", "(name),(count),(per piece)", ",,kg/m³", ",°C,%",
    "where it is,how many there were,what one costs",
])  # fmt: skip
def test_units_below_the_header(units):
    is_clean(text(before=(units,)), "1 row of units or descriptions is left out: line 2")
    one = text(before=(units,)).split("\n")[:3]
    if "where" not in units:  # a file with one row is read in the same way
        assert read("\n".join(one))[0].rows() == [("r1", "1", "2.5")]


@pytest.mark.parametrize("first", [
    "r0,unknown,unknown", "r0,n/a,?", "r1,many,some", "r0,K,1.5", "r0,,", "r0,12 kg,5",
])  # fmt: skip
def test_a_first_row_with_missing_numbers_stays(first):
    frame, _ = read(text(before=(first,)))
    assert frame.height == N + 1


def test_grades_are_no_units():
    rows = [f"s{k},{'K' if k % 4 == 0 else k % 4},{k}" for k in range(40)]
    assert read("name,grade,points\n" + "\n".join(rows))[0].height == 40


def test_tables_that_programs_draw():
    cells = [(str(k), str(k + 1), str(k * k)) for k in range(20)]
    piped = ["| a | b | c |", "|---|--:|---|", *(f"| {' | '.join(row)} |" for row in cells)]
    frame = "+---+---+---+"
    shell = [" a | b | c ", "---+---+---", *(f" {' | '.join(row)} " for row in cells), "(20 rows)"]
    spaced = ["a    b    c", "---  ---  ---", *("    ".join(row) for row in cells)]
    for lines in (piped, [frame, piped[0], frame, *piped[2:], frame], shell, spaced):
        found, notes = read("\n".join(lines) + "\n")
        named = found.select("a", "b", "c").with_columns(pl.all().str.strip_chars())
        assert named.rows() == cells
        assert any("dashes" in note for note in notes)


def test_empty_rows_that_separate_something_are_none():
    note = "Source: Bureau of Things"
    is_clean(text() + f",,\n,,\n{note}\n", "2 empty rows are left out: lines 14, 15", "1 note")
    is_clean(text() + " , ,\n,,\n\n,,\n", "3 empty rows are left out: lines 14, 15, 17")


def test_other_empty_rows_stay_so_that_predictions_have_a_row_for_them():
    frame, notes = read(text().replace("r6,", ",,\nr6,").replace("r9,", " , ,\n\nr9,"))
    assert (frame.height, notes) == (N + 2, [])
    assert read(text() + ",,\n,,\n")[0].height == N + 2


def test_numbers_with_their_units_are_no_units():
    for first in ("5 €", "100 €", "1000 kg"):
        unit = first.split()[1]
        frame, notes = read(f"city,price\nRome,{first}\nOslo,7 {unit}\nBern,9 {unit}\n")
        assert (frame.height, notes) == (3, [])
    frame, notes = read("city,price\n,1000 €\nOslo,7\nBern,9\n")
    assert frame.height == 2
    assert "row of units" in notes[0]


def test_a_column_alone_keeps_all_its_cells():
    assert read("price\n1\n\n3\nTotal\n")[0].height == 4


def test_it_is_warned_of_where_nobody_takes_notes():
    with pytest.warns(DataWarning, match="1 row of totals is left out: line 14"):
        read_table(text(f"Total,{SUM},{SUM * 2.5}").encode())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_table(text().encode())


def test_objects_in_memory_keep_their_rows():
    frame = pl.DataFrame({"a": ["x", "Total", "a"], "b": ["1", "1", "b"]})
    assert read_table(frame).height == 3


def test_a_total_at_the_end_of_a_large_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    path.write_text(text(f"Total,{SUM},{SUM * 2.5}"))
    with pytest.warns(DataWarning, match="the last row is called 'Total' and stays"):
        assert sum(part.height for part in TableScan(path).parts()) == N + 1


def test_parts_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    path.write_text(text() + text())
    scan = TableScan(path)
    with pytest.warns(DataWarning, match="the header again is left out: line 14"):
        assert sum(part.height for part in scan.parts()) == 2 * N
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sum(part.height for part in scan.parts()) == 2 * N
