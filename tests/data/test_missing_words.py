"""Words that usually mean a missing value, where they are values; and units behind numbers."""

import polars as pl
import pytest

from chainrule.data import Schema, infer_schema, infer_target
from chainrule.errors import DataError

X = [float(n % 7) for n in range(60)]


def target(values: list[str], **options):
    return infer_schema(pl.DataFrame({"x": X[: len(values)], "y": values}), "y", **options)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (["none", "minor", "major"], "none"),
        (["None", "Mild", "Severe"], "None"),
        (["NA", "AS", "EU", "SA"], "NA"),
        (["-", "+", "-"], "-"),
        (["-", "+", "++"], "-"),
        (["N/A", "", "Yes", "No"], "N/A"),
    ],
)
def test_a_frequent_word_is_a_class(values: list[str], word: str) -> None:
    schema = target((values * 20)[:60])
    assert schema.target is not None
    assert word in schema.target.classes
    assert set(schema.target.classes) == set(values) - {""}
    table = pl.DataFrame({"x": X, "y": (values * 20)[:60]})
    again = Schema.from_json(schema.fit(table).to_json())
    found = again.read_target(table)
    assert [again.target.classes[i] for i in found if i >= 0] == [v for v in table["y"] if v]  # type: ignore[union-attr]
    assert infer_target(table, "y").classes == schema.target.classes
    assert any(f"{word!r} is a class of y" in note for note in schema.notes)


@pytest.mark.parametrize(
    "values", [["NA", "yes", "no"], ["?", "spam", "ham"], ["none", "A", "B"], ["nan", "a", "b"]]
)
def test_in_doubt_the_program_asks_with_a_hint_that_works(values: list[str]) -> None:
    with pytest.raises(DataError, match="not clear whether") as caught:
        target(values * 20)
    assert f"--missing {values[0]}" in str(caught.value)
    as_class, as_missing = target(values * 20, missing=[]), target(values * 20, missing=[values[0]])
    assert as_class.target is not None
    assert as_missing.target is not None
    assert set(as_class.target.classes) == set(values)
    assert set(as_missing.target.classes) == set(values[1:])


def test_a_rare_word_means_missing_and_that_is_said() -> None:
    schema = target(["?", "NA", *["cat", "dog"] * 29])
    assert schema.target is not None
    assert schema.target.classes == ("cat", "dog")
    assert "2 rows have no usable target" in schema.notes[0]


def test_frequent_words_of_a_feature_are_categories() -> None:
    values = ["none", "brick", "stone", ""] * 15
    table = pl.DataFrame({"wall": values, "y": X})
    schema = infer_schema(table, "y").fit(table)
    assert set(schema.columns[0].vocabulary) == {"none", "brick", "stone"}
    assert "'none' is a value like others" in schema.columns[0].reason
    codes = schema.encode(table).category[:4, 0].tolist()
    assert len(set(codes)) == 4
    assert codes[3] == 0
    alone = schema.encode(pl.DataFrame({"wall": ["none"]}))
    assert alone.category[0, 0] == codes[0]
    signs = infer_schema(pl.DataFrame({"s": ["+", "-"] * 30, "y": X}), "y").columns[0]
    assert signs.kind == "category"


def test_among_numbers_dates_and_booleans_the_words_are_missing() -> None:
    numbers = [*map(str, range(50)), *["none"] * 10]
    flags = ["yes", "no", "NA"] * 20
    days = [f"2024-01-{n + 1:02d}" for n in range(30)] * 2
    table = pl.DataFrame({"n": numbers, "f": flags, "d": [*days[:50], *["-"] * 10], "y": X})
    schema = infer_schema(table, "y")
    assert {c.name: c.kind for c in schema.columns} == {"n": "numeric", "f": "boolean", "d": "date"}


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1.2k", "3M", "450", "$2.5k"], [1200.0, 3e6, 450.0, 2500.0]),
        (["500 g", "1.2 kg", "2kg"], [0.5, 1.2, 2.0]),
        (["12 kg", "7 kg", "9"], [12.0, 7.0, 9.0]),
        (["3 rooms", "1 room", "2 rooms"], [3.0, 1.0, 2.0]),
        (["2 years", "3 weeks", "1 year"], [63113904.0, 1814400.0, 31556952.0]),
        (["1,5 kg", "2,25 kg", "800 g"], [1.5, 2.25, 0.8]),
        (["5 %", "12.5 %", "7%"], [5.0, 12.5, 7.0]),
        (["1.5 Mio. €", "2 Mio. €", "900 €"], [1.5e6, 2e6, 900.0]),
    ],
)
def test_units_behind_numbers(cells: list[str], numbers: list[float]) -> None:
    table = pl.DataFrame({"x": (cells * 60)[:60], "y": X})
    schema = infer_schema(table, "y").fit(table)
    assert schema.columns[0].kind == "numeric", schema.columns[0]
    assert schema.encode(table).numeric[: len(cells), 0].tolist() == pytest.approx(numbers)
    alone = [schema.encode(table[[n]]).numeric[0, 0] for n in range(len(cells))]
    assert alone == pytest.approx(numbers)


@pytest.mark.parametrize(
    "cells",
    [["12A", "7B", "9A"], ["1B", "2B", "3B"], ["5 kg", "3 m", "2 l"], ["1st", "2nd", "3rd"]],
)
def test_what_only_looks_like_units_is_text(cells: list[str]) -> None:
    schema = infer_schema(pl.DataFrame({"x": cells * 20, "y": X}), "y")
    assert schema.columns[0].kind == "category"


def test_a_unit_that_the_training_did_not_have_is_refused() -> None:
    table = pl.DataFrame({"x": ["12 kg", "700 g", "9.5 kg"] * 20, "y": X})
    schema = infer_schema(table, "y").fit(table)
    with pytest.raises(DataError, match="cannot be read"):
        schema.encode(pl.DataFrame({"x": ["12 m", "3 kg"]}))
    assert schema.encode(pl.DataFrame({"x": ["250 mg"]})).numeric[0, 0] == pytest.approx(0.00025)


def test_classes_that_differ_in_case_or_spaces_are_said() -> None:
    schema = target(["New York", "new  york", "Oslo"] * 20)
    (note,) = schema.notes
    assert "'New York' and 'new  york' of y differ in case or spaces only" in note
