"""Currencies and percent signs in one column, and tables whose fields spaces separate."""

import polars as pl
import pytest

from chainrule.data import infer_schema, read_table

ROWS = range(40)


def notes_on(cells, name="paid"):
    table = pl.DataFrame({name: cells, "x": [i % 7 + 0.5 for i in ROWS], "y": list(ROWS)})
    schema = infer_schema(table, "y", kinds={"y": "numeric"})
    assert next(c for c in schema.columns if c.name == name).kind == "numeric"
    return [note for note in schema.notes if note.startswith(repr(name))]


class TestSigns:
    @pytest.mark.parametrize(("signs", "told"), [
        (("$", "€"), "several currencies ($, €)"),
        (("$", "EUR "), "several currencies ($, €)"),
        (("GBP ", "USD ", "CHF "), "several currencies ($, CHF, £)"),
        (("kr ", "€"), "several currencies (kr, €)"),
    ])  # fmt: skip
    def test_several_currencies_are_said(self, signs, told):
        (note,) = notes_on([f"{signs[i % len(signs)]}{i + 1}.50" for i in ROWS])
        assert told in note
        assert "none is converted" in note

    @pytest.mark.parametrize("signs", [("$",), ("$", "USD ", "US$"), ("€", "EUR "), ("$", "")])
    def test_one_currency_written_in_several_ways_is_one(self, signs):
        assert notes_on([f"{signs[i % len(signs)]}{i + 1}.50" for i in ROWS]) == []

    def test_percent_beside_plain_numbers_is_said(self):
        (note,) = notes_on([f"{i} %" if i % 2 else f"0.{i:02}" for i in ROWS])
        assert "12 % is read as 12" in note
        assert notes_on([f"{i} %" for i in ROWS]) == []

    def test_of_the_target_too(self):
        cells = [f"{'$€'[i % 2]}{100 + i * i}" for i in ROWS]
        schema = infer_schema(pl.DataFrame({"x": list(ROWS), "price": cells}), "price")
        assert any("'price' has amounts in several currencies" in note for note in schema.notes)


class TestSpaces:
    def read(self, text):
        notes = []
        return read_table(text.encode(), notes=notes), notes

    @pytest.mark.parametrize("text", [
        "x  y\n1   2.5\n30  4\n", "x\ty z\n1  2 a\n3 4  b\n-5 1e3 c\n",
        "  x  y\n  1  2\n 10 20\n\n",
    ])  # fmt: skip
    def test_runs_of_spaces_are_found_and_said(self, text):
        table, notes = self.read(text)
        assert table.columns[:2] == ["x", "y"]
        assert table["x"][0] == "1"
        assert any("separated by spaces" in note for note in notes)

    @pytest.mark.parametrize("text", [
        "remark\nit is good\nnot so good\n", "net price\n1 250\nabout 3\n", "a b\n1 2\n3\n",
        "a,b\n1 2,3\n4 5,6\n", "name\nRoom 101\nRoom 102\n",
    ])  # fmt: skip
    def test_what_is_no_table_of_numbers_is_none(self, text):
        table, notes = self.read(text)
        assert table.columns[0] in ("remark", "net price", "a b", "a", "name")
        assert not any("separated by spaces" in note for note in notes)
