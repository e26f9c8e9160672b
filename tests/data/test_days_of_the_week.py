"""Dates beside their day of the week, halves of the day, and marks that look like feet."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from chainrule.data import infer_schema

DAYS = [
    datetime(2024, 1, 1) + timedelta(days=int(k)) for k in np.random.default_rng(1).permutation(90)
]
GERMAN = ["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"]
SPANISH = ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"]
JAPANESE = ["月", "火", "水", "木", "金", "土", "日"]
MONTHS = ["enero", "febrero", "marzo", "abril"]


def column_of(cells, target=None):
    y = np.arange(len(cells)) * 1.0 if target is None else target
    frame = pl.DataFrame({"x": cells, "z": np.arange(len(cells)) % 7 + 0.5, "y": y})
    schema = infer_schema(frame, "y", kinds={"y": "numeric"} if target is None else None).fit(frame)
    return schema, schema.columns[0]


@pytest.mark.parametrize("written", [
    lambda d: d.strftime("%a %d %b %Y"),
    lambda d: d.strftime("%A, %B %d, %Y"),
    lambda d: d.strftime("%a %b %e %H:%M:%S %Y"),
    lambda d: d.strftime("%a, %d %b %Y %H:%M:%S +0000"),
    lambda d: f"{GERMAN[d.weekday()]}., {d.day}.{d.month}.{d.year}",
    lambda d: f"{d:%d.%m.%Y} {GERMAN[d.weekday()]}",
    lambda d: f"{d:%Y/%m/%d}({JAPANESE[d.weekday()]})",
    lambda d: f"{SPANISH[d.weekday()]}, {d.day} de {MONTHS[d.month - 1]} de {d.year}",
])  # fmt: skip
def test_days_of_the_week_are_left_out_of_dates(written):
    schema, column = column_of([written(day) for day in DAYS])
    assert column.kind == "date"
    later = pl.DataFrame({"x": [written(DAYS[3])], "z": [1.0]})
    plain, _ = column_of([day.strftime("%Y-%m-%d") for day in DAYS])
    assert np.array_equal(
        schema.encode(later).numeric,
        plain.encode(pl.DataFrame({"x": [DAYS[3].strftime("%Y-%m-%d")], "z": [1.0]})).numeric,
    )


def test_words_that_are_no_days_are_not_left_out():
    _, column = column_of([f"before {day:%Y-%m-%d}" for day in DAYS])
    assert column.kind != "date"


@pytest.mark.parametrize("half", [("a.m.", "p.m."), ("AM", "PM"), ("a. m.", "p. m.")])
@pytest.mark.parametrize("gap", ["", " "])
def test_halves_of_the_day(half, gap):
    cells = [f"{(k // 2) % 12 + 1}:{k % 60:02}{gap}{half[k % 2]}" for k in range(120)]
    _, column = column_of(cells)
    assert column.kind == "date"
    assert column.date_format == "%I:%M %p"


def test_apostrophes_in_front_of_three_digits_are_marks_of_thousands():
    numbers = np.random.default_rng(0).integers(100, 99_999, 80)
    schema, column = column_of([f"{n:,}".replace(",", "'") for n in numbers])
    assert column.kind == "numeric"
    found = schema.encode(pl.DataFrame({"x": ["72'129"], "z": [1.0]})).numeric[0, 0]
    assert found == 72129


def test_pairs_of_booleans_may_be_mixed():
    _, column = column_of([["TRUE", "1", "False", "0", "true"][k % 5] for k in range(60)])
    assert column.kind == "boolean"
    _, letters = column_of([["t", "n", "f", "y"][k % 4] for k in range(60)])
    assert letters.kind == "category"
    schema, _ = column_of(["a", "b"] * 30, target=["TRUE", "1", "False"] * 20)
    assert any("yes and no in several notations" in note for note in schema.notes)
