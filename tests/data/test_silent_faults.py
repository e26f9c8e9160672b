"""Faults of tables that nobody sees: digits that are lost, letters of two forms, stand-ins."""

import numpy as np
import polars as pl
import pytest

from chainrule.data import Dropped, infer_schema, read_table
from chainrule.errors import DataError

N = 80
Y = np.random.default_rng(0).permutation(N) * 1.5


def schema_of(cells, **options):
    frame = pl.DataFrame({"x": cells, "z": np.arange(N) % 7 + 0.5, "y": Y})
    return infer_schema(frame, "y", **options).fit(frame), frame


def column(schema):
    return next(c for c in (*schema.columns, *schema.dropped) if c.name == "x")


@pytest.mark.parametrize("kind", [str, int])
def test_integers_with_more_digits_than_a_number_keeps_are_codes(kind):
    cells = [kind(1234567890123456700 + k % 8) for k in range(N)]
    schema, frame = schema_of(cells)
    assert column(schema).kind == "category"
    assert len(np.unique(schema.encode(frame).category[:, 0])) == 8
    unique = [kind(1234567890123456700 + k) for k in range(N)]
    found = column(schema_of(unique)[0])
    assert isinstance(found, Dropped)
    assert "more digits" in found.reason
    exact, _ = schema_of([str(2**60 * (k % 8)) for k in range(N)])
    assert column(exact).kind == "numeric"


@pytest.mark.parametrize(("learned", "later"), [
    ("caf\u00e9", "cafe\u0301"), ("New York", "New\u00a0York"), ("Oslo", "Oslo\u200b"),
    ("New\u00a0York", "New York"), ("A  B", "A B"),
])  # fmt: skip
def test_what_looks_the_same_is_the_same_category(learned, later):
    schema, _ = schema_of([(learned, "tea")[k % 2] for k in range(N)])
    rows = schema.encode(pl.DataFrame({"x": [learned, later, "cocoa"], "z": [1.0] * 3}))
    codes = rows.category[:, 0]
    assert codes[0] == codes[1] > 0
    assert codes[2] == 0
    assert all("cocoa" in note for note in rows.notes)


def test_categories_that_are_hard_to_tell_apart_are_said():
    schema, _ = schema_of([("Male", "male", "female")[k % 3] for k in range(N)])
    assert any("'Male' and 'male'" in note for note in schema.notes)
    forms, _ = schema_of([("caf\u00e9", "cafe\u0301", "tea")[k % 3] for k in range(N)])
    assert any("form of letters" in note for note in forms.notes)
    apart, _ = schema_of([("a", "A", "tea")[k % 3] for k in range(N)])  # blood groups and the like
    assert not any("differ in case" in note for note in apart.notes)


@pytest.mark.parametrize("value", ["-999", "9999", "-99.0", "999.0"])
def test_numbers_that_may_stand_for_missing_ones_are_said(value):
    schema, _ = schema_of([value if k % 10 == 0 else f"{20 + k % 30}.5" for k in range(N)])
    (note,) = [note for note in schema.notes if "missing value" in note]
    assert "8 rows" in note
    assert f"--missing={float(value):g}" in note


def test_usual_numbers_of_nines_are_not():
    schema, _ = schema_of([str(900 + k) if k < 79 else "999" for k in range(N)])
    assert not any("missing value" in note for note in schema.notes)
    prices, _ = schema_of([("9.99", "99", "999", "500")[k % 4] for k in range(N)])
    assert not any("missing value" in note for note in prices.notes)


def test_dates_that_are_none():
    days = [f"2020-{k % 12 + 1:02}-{k % 28 + 1:02}" for k in range(N)]
    zeros, frame = schema_of(["0000-00-00" if k % 10 == 0 else day for k, day in enumerate(days)])
    assert column(zeros).kind == "date"
    assert np.isnan(zeros.encode(frame).date[::10, 0]).all()
    ends, _ = schema_of(["9999-12-31" if k % 10 == 0 else day for k, day in enumerate(days)])
    assert any("9999-12-31" in note for note in ends.notes)


def test_files_that_were_joined_with_their_marks():
    one = "\ufeffx,y\n" + "".join(f"{k},{k}\n" for k in range(5))
    notes: list[str] = []
    assert read_table((one + one).encode(), notes=notes).height == 10
    assert "the header again" in notes[0]


def test_a_file_without_a_header_is_asked_for_one():
    with pytest.raises(DataError, match="lack a header line"):
        read_table("\n".join(f"{k % 3},{k % 3},{k}" for k in range(9)).encode())
