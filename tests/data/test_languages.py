"""Numbers, dates and errors as they are written in other languages and scripts."""

import numpy as np
import polars as pl
import pytest

from chainrule.data import infer_schema, read_table
from chainrule.data.encoding import legacy_encoding
from chainrule.errors import DataError

N = 60
X = np.round(np.random.default_rng(0).uniform(1, 5000, N), 2)


def read(cells, name="x"):
    frame = pl.DataFrame({name: cells, "z": np.arange(N) % 7 + 0.5})
    schema = infer_schema(frame).fit(frame)
    (column,) = [column for column in schema.columns if column.name == name]
    return column, schema.encode(frame), schema


@pytest.mark.parametrize(
    ("thousand", "million"),
    [("тыс.", "млн"), ("mil", "millones"), ("Tsd.", "Millionen"), ("mille", "millions"),
     ("tys.", "mln"), ("duizend", "miljoen"), ("K", "milhões"), ("千", "million")],
)  # fmt: skip
def test_thousands_and_millions_in_words(thousand, million):
    cells = [f"{v} {thousand}" if v < 1000 else f"{v / 1000:.5f} {million}" for v in X]
    column, rows, _ = read(cells)
    assert column.kind == "numeric"
    assert np.allclose(rows.numeric[:, 0], X * 1000, rtol=1e-6)


@pytest.mark.parametrize("zero", ["０", "٠", "۰", "०", "๐"])
def test_digits_of_other_scripts(zero):
    cells = ["".join(chr(ord(zero) + int(c)) if c.isdigit() else c for c in f"{v}") for v in X]
    column, rows, _ = read(cells)
    assert column.kind == "numeric"
    assert np.allclose(rows.numeric[:, 0], X)
    arabic = [cell.replace(".", "٫") for cell in cells]
    assert np.allclose(read(arabic)[1].numeric[:, 0], X)


@pytest.mark.parametrize(
    "words",
    [("#WERT!", "#NV"), ("#VALEUR!", "#N/D"), ("#¡DIV/0!", "#¡VALOR!"), ("#ДЕЛ/0!", "#Н/Д"),
     ("#WAARDE!", "########"), ("#VALORE!", "#RIF!"), ("#ARG!", "#ADR!")],
)  # fmt: skip
def test_errors_of_spreadsheets_are_missing(words):
    cells = [words[i % 2] if i % 4 == 0 else f"{v}" for i, v in enumerate(X)]
    column, rows, _ = read(cells)
    assert column.kind == "numeric"
    assert np.isnan(rows.numeric[::4, 0]).all()
    assert np.allclose(np.delete(rows.numeric[:, 0], np.s_[::4]), np.delete(X, np.s_[::4]))


DAYS = [np.datetime64("2024-01-01") + 6 * i for i in range(N)]
MONTHS = {
    "{d} {m} {y}": "janvier février mars avril mai juin juillet août septembre octobre novembre "
    "décembre",
    "{d}. {m} {y}": "Januar Februar März April Mai Juni Juli August September Oktober November "
    "Dezember",
    "{d} de {m} de {y}": "enero febrero marzo abril mayo junio julio agosto septiembre octubre "
    "noviembre diciembre",
    "{d:02}-{m}-{y}": "ene feb mar abr may jun jul ago sep oct nov dic",
    "{d} {m} {y} г.": "января февраля марта апреля мая июня июля августа сентября октября ноября "
    "декабря",
    "{d:02} {m}. {y}": "gen feb mar apr mag giu lug ago set ott nov dic",
}


@pytest.mark.parametrize("style", MONTHS)
def test_months_in_other_languages(style):
    names = MONTHS[style].split()
    dates = [day.astype(object) for day in DAYS]
    cells = [style.format(d=each.day, m=names[each.month - 1], y=each.year) for each in dates]
    column, rows, _ = read(cells)
    assert column.kind == "date", column
    assert rows.date[:, 0].tolist() == [day.astype("datetime64[s]").astype(int) for day in DAYS]


def test_limits_are_the_number_beside_them_and_that_is_said():
    cells = ["<5" if i % 5 == 0 else f"> {v}" if i % 7 == 0 else f"{v}" for i, v in enumerate(X)]
    column, rows, schema = read(cells)
    assert column.kind == "numeric"
    assert np.allclose(rows.numeric[:, 0], np.where(np.arange(N) % 5 == 0, 5, X))
    assert any("numbers that are limits" in note for note in schema.notes)
    plain = read([f"{v}" for v in X])[2]
    with pytest.raises(DataError):
        plain.encode(pl.DataFrame({"x": ["<5"], "z": [1.5]}))
    again = schema.encode(pl.DataFrame({"x": ["<7"], "z": [1.5]}))
    assert again.numeric[0, 0] == 7


def test_what_only_looks_like_that_stays_text():
    for cells in (["a<5", "b>7"] * 30, ["12A", "7B"] * 30, ["5 / 7", "3 / 9"] * 30):
        assert read(cells)[0].kind == "category"


def test_chinese_without_kana_is_not_japanese():
    text = "城市,面积\n北京,1\n上海,2\n广州,3\n"
    assert legacy_encoding(text.encode("gb18030"), lambda code: True)[0] == "gb18030"
    japanese = "都市,面積\n東京です,1\nおおさか,2\n"
    assert legacy_encoding(japanese.encode("euc-jp"), lambda code: True)[0] == "euc-jp"


def test_a_table_with_all_of_this_is_read_from_a_file(tmp_path):
    lines = [f"{i % 28 + 1} août 2024;{v} тыс.;<{v}" for i, v in enumerate(X)]
    (tmp_path / "t.csv").write_text("\n".join(["jour;umsatz;limit", *lines]) + "\n")
    schema = infer_schema(read_table(str(tmp_path / "t.csv")))
    assert [c.kind for c in schema.columns] == ["date", "numeric", "numeric"]
