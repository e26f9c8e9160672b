"""Schemas: statistics of the training rows, any rows to arrays, to JSON and back."""

import dataclasses
import json
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from chainrule.data import Encoded, Schema, Statistics, infer_schema, read_table
from chainrule.data.json_dataclass import from_json
from chainrule.data.schema import check_present
from chainrule.errors import DataError

TRAIN = read_table(
    {
        "city": ["Rome", "Oslo", "Rome", "Bern", None, "Rome"],
        "area": ["50", "1,070.5", "n/a", "60", "55", "65"],
        "new": ["yes", "no", "no", "yes", "?", "no"],
        "sold": ["13/05/2014", "02/06/2014", "", "01/07/2014", "02/07/2014", "03/07/2014"],
        "kind": ["b", "a", "b", "a", "b", "c"],
    }
)


@pytest.fixture
def schema() -> Schema:
    return infer_schema(TRAIN, "kind").fit(TRAIN)


def refused(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments, **options)
    return str(caught.value)


# ---------------------------------------------------------------- statistics


@given(
    st.lists(
        st.one_of(st.floats(-1e6, 1e6, width=32), st.just(float("nan")), st.just(float("inf"))),
        min_size=1,
        max_size=300,
    )
)
@settings(max_examples=100, deadline=None)
def test_statistics_are_those_of_numpy_and_scipy(values: list[float]) -> None:
    array = np.array(values)
    finite = array[np.isfinite(array)]
    found = Statistics.of(array)
    assert (found.count, found.missing) == (len(finite), len(array) - len(finite))
    if not len(finite):
        assert found == Statistics(0, len(array), 0)
        return
    close = {"rtol": 1e-9, "atol": 1e-9 * np.abs(finite).max()}
    np.testing.assert_allclose(found.mean, finite.mean(), **close)
    np.testing.assert_allclose(found.std, finite.std(), rtol=1e-6, atol=close["atol"])
    quartiles = [found.lower_quartile, found.median, found.upper_quartile]
    np.testing.assert_allclose(quartiles, np.quantile(finite, [0.25, 0.5, 0.75]), **close)
    assert (found.minimum, found.maximum) == (finite.min(), finite.max())
    assert (found.quantiles[0], found.quantiles[-1]) == (finite.min(), finite.max())
    assert list(found.quantiles) == sorted(set(found.quantiles))
    assert len(found.quantiles) <= 65
    assert found.distinct == len(set(finite))
    if finite.std() > 1e-3 * np.abs(finite).max():
        np.testing.assert_allclose(found.skewness, stats.skew(finite), rtol=1e-6, atol=1e-6)


def test_statistics_of_extreme_values_are_finite() -> None:
    for values in ([1e308, -1e308, 1.0], [5e-324, 0.0], [1e-300, 2e-300], [7.0], [0.0, 0.0]):
        found = dataclasses.asdict(Statistics.of(np.array(values)))
        assert np.isfinite(np.array(found.pop("quantiles"))).all()
        assert all(np.isfinite(value) for value in found.values())


def test_fit_looks_at_the_given_rows_only() -> None:
    schema = infer_schema(TRAIN, "kind").fit(TRAIN.head(2))
    city, area = schema.columns[:2]
    assert city.vocabulary == ("Oslo", "Rome")
    assert area.statistics is not None
    assert (area.statistics.mean, area.statistics.std) == (560.25, 510.25)
    assert schema.target is not None
    assert (schema.target.classes, schema.target.class_counts) == (("a", "b", "c"), (1, 1, 0))


def test_vocabulary_by_frequency_then_by_text(schema: Schema) -> None:
    assert schema.columns[0].vocabulary == ("Rome", "Bern", "Oslo")
    assert schema.columns[0].codes == 4
    assert not schema.columns[0].has_other
    statistics = schema.columns[0].statistics
    assert statistics is not None
    assert (statistics.count, statistics.missing, statistics.distinct) == (5, 1, 3)


def test_fit_on_no_rows(schema: Schema) -> None:
    assert "no rows to train on" in refused(schema.fit, TRAIN.head(0))


# ---------------------------------------------------------------- encoding


def test_encode(schema: Schema) -> None:
    assert [column.kind for column in schema.columns] == ["category", "numeric", "boolean", "date"]
    rows = schema.encode(TRAIN, target=True)
    nan = np.nan
    np.testing.assert_array_equal(
        rows.numeric, [[50, 1], [1070.5, 0], [nan, 0], [60, 1], [55, nan], [65, 0]]
    )
    assert rows.category[:, 0].tolist() == [1, 3, 1, 2, 0, 1]
    days = ["2014-05-13", "2014-06-02", "NaT", "2014-07-01", "2014-07-02", "2014-07-03"]
    expected = np.array(days, dtype="datetime64[s]").astype(float)
    expected[2] = nan
    np.testing.assert_array_equal(rows.date[:, 0], expected)
    assert rows.target is not None
    assert rows.target.tolist() == [1, 0, 1, 0, 1, 2]
    types = [array.dtype.name for array in (rows.numeric, rows.category, rows.date, rows.target)]
    assert types == ["float64", "int64", "float64", "int64"]
    assert rows.notes == ()


def test_types_of_the_new_table_do_not_matter(schema: Schema) -> None:
    typed = TRAIN.with_columns(
        pl.Series("area", [50.0, 1070.5, None, 60.0, 55.0, 65.0]),
        pl.Series("new", [True, False, False, True, None, False]),
        TRAIN["sold"].str.to_date("%d/%m/%Y", strict=False),
        TRAIN["city"].cast(pl.Categorical),
    )
    found, expected = schema.encode(typed), schema.encode(TRAIN)
    np.testing.assert_array_equal(found.numeric, expected.numeric)
    np.testing.assert_array_equal(found.category, expected.category)
    np.testing.assert_array_equal(found.date, expected.date)
    # And the other way round: typed in training, text in prediction, that has one reading only.
    schema = infer_schema(typed, "kind").fit(typed)
    text = TRAIN.with_columns(typed["sold"].dt.to_string("%Y-%m-%d").alias("sold"))
    found = schema.encode(text)
    np.testing.assert_array_equal(found.numeric, expected.numeric)
    np.testing.assert_array_equal(found.date, expected.date)
    assert "can be read in several ways" not in refused(schema.encode, TRAIN)
    assert "write dates as 2014-05-31" in refused(schema.encode, TRAIN)


def test_unseen_categories_are_noted(schema: Schema) -> None:
    rows = schema.encode(TRAIN.with_columns(pl.Series("city", ["Lima", "Rome"] * 3)))
    assert rows.category[:, 0].tolist() == [0, 1] * 3
    assert rows.notes == ("column city: 3 rows with values never seen in training: 'Lima'",)


def test_unseen_categories_beside_a_capped_vocabulary_are_other() -> None:
    schema = infer_schema(TRAIN, "kind", max_categories=1).fit(TRAIN)
    rows = schema.encode(TRAIN.with_columns(pl.Series("city", ["Lima", "Rome", None] * 2)))
    assert rows.category[:, 0].tolist() == [2, 1, 0] * 2
    assert "taken as 'other': 'Lima'" in rows.notes[0]


def test_a_column_that_was_empty_in_training() -> None:
    schema = infer_schema(TRAIN, "kind").fit(TRAIN[[4, 4]])
    assert schema.columns[0].vocabulary == ()
    assert schema.encode(TRAIN).category[:, 0].tolist() == [0] * 6


def test_a_cell_that_was_never_such_in_training_is_refused_alone_and_in_company(
    schema: Schema,
) -> None:
    area = pl.Series("area", ["1", "two", "3", "inf", "5", "6"])
    new = TRAIN.with_columns(area)
    for table, row in ((new, 2), (new[[1]], 1)):
        message = refused(schema.encode, table, source="new.csv")
        assert "A cell of column 'area' cannot be read." in message
        assert f"new.csv, column 'area', row {row}" in message
        assert "--missing two" in message
    rows = schema.with_missing(["Two"]).encode(new)
    np.testing.assert_array_equal(rows.numeric[:, 0], [1, np.nan, 3, np.nan, 5, 6])
    assert rows.notes == ("column area: 1 row taken as missing, infinite",)
    lenient = schema.encode(new, strict=False)
    np.testing.assert_array_equal(lenient.numeric, rows.numeric)
    assert "column area: 1 row taken as missing, not numbers: 'two'" in lenient.notes


def test_odd_cells_of_the_training_are_missing_later_too() -> None:
    cells = [f"{n / 4}" for n in range(60)] + ["broken 12", "?"]
    table = pl.DataFrame({"x": cells, "y": [float(n) for n in range(62)]})
    schema = infer_schema(table, "y").fit(table)
    rows = schema.encode(pl.DataFrame({"x": ["Broken 7", "2.5"]}))
    np.testing.assert_array_equal(rows.numeric[:, 0], [np.nan, 2.5])
    assert "'Broken 7'" in rows.notes[0]
    assert "cannot be read" in refused(schema.encode, pl.DataFrame({"x": ["lost"]}))


@pytest.mark.parametrize(
    ("seen", "cell", "value"),
    [
        ([1.5, 800.25], "1,250", 1250.0),  # the point is the decimal mark
        (["1,5", "800,25"], "1.250", 1250.0),
        (["1,5", "800,25"], "1.250,5", 1250.5),
        (["1,234.5", "8"], "1,250", 1250.0),
        ([3, 800], "1,250", None),
        ([3, 800], "1.250", None),
        ([3, 800], "1250", 1250.0),
        ([3, 800], "2.5", 2.5),
        ([3, 800], "1,250.5", 1250.5),
        ([3, 800], "5 %", None),
        (["5 %", "7.5 %"], "6.5%", 6.5),
        (["$5", "$7.5"], "6.5", 6.5),
        (["$5", "$7.5"], "€6.5", None),
    ],
)
def test_a_number_has_one_reading_alone_and_in_company(
    seen: list[Any], cell: str, value: float | None
) -> None:
    table = pl.DataFrame({"x": [str(v) for v in seen] * 15, "k": ["a", "b"] * 15})
    schema = infer_schema(table, "k").fit(table)
    assert schema.columns[0].kind == "numeric"
    for company in ([], ["1,5"], ["1.5"], ["7", "8"]):
        new = pl.DataFrame({"x": [cell, *company]})
        if value is None:
            assert repr(cell) in refused(schema.encode, new)
        else:
            assert schema.encode(new, strict=False).numeric[0, 0] == value


def test_a_dtype_of_numbers_leaves_the_notation_of_text_open() -> None:
    table = pl.DataFrame({"x": [71.6, 1234.5] * 10, "k": ["a", "b"] * 10})
    schema = infer_schema(table, "k").fit(table)
    read = schema.encode(pl.DataFrame({"x": ["12.345", "1,234.5", "7"]}))
    assert read.numeric[:, 0].tolist() == [12.345, 1234.5, 7]
    for cells in (["1,234"], ["1,234", "1,5"]):
        message = refused(schema.encode, pl.DataFrame({"x": cells}))
        assert "'1,234': 1,234 or 1.234" in message or "'1,234'" in message


def test_numbers_after_zero_and_one_are_what_they_are() -> None:
    table = pl.DataFrame({"kids": ["0", "1"] * 10, "new": ["no", "yes"] * 10, "k": ["a", "b"] * 10})
    schema = infer_schema(table, "k").fit(table)
    for kids in (["2", "0", "1.5"], [2, 0, 1.5]):
        rows = schema.encode(pl.DataFrame({"kids": kids, "new": ["yes", "no", "no"]}, strict=False))
        assert rows.numeric.tolist() == [[2, 1], [0, 0], [1.5, 0]]
    for kids, new in (["many", "no"], ["0", "2"]):
        table = pl.DataFrame({"kids": [kids], "new": [new]})
        assert "cannot be read" in refused(schema.encode, table)


@pytest.mark.parametrize("codes", [["02138", "94110"], [2138, 94110]])
def test_codes_match_by_value(codes: list[Any]) -> None:
    table = pl.DataFrame({"zip": codes * 15, "y": [1.0, 5.0] * 15})
    schema = infer_schema(table, "y", kinds={"zip": "category"}).fit(table)
    expected = schema.encode(table[:2]).category[:, 0].tolist()
    for new in (["02138", "94110"], ["2138", "94110"], [2138, 94110], [2138.0, 94110.0]):
        rows = schema.encode(pl.DataFrame({"zip": new}))
        assert rows.category[:, 0].tolist() == expected
        assert not rows.notes
    assert "never seen" in schema.encode(pl.DataFrame({"zip": ["2139"]})).notes[0]


def test_codes_with_the_same_value_stay_apart() -> None:
    table = pl.DataFrame({"c": ["01", "1", "001"] * 8, "y": [1.0, 2.0, 3.0] * 8})
    schema = infer_schema(table, "y", kinds={"c": "category"}).fit(table)
    assert len(set(schema.encode(table[:3]).category[:, 0].tolist())) == 3
    assert schema.encode(pl.DataFrame({"c": ["0001"]})).category[0, 0] == 0


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("area", "large", "numbers written as 1,234.5"),
        ("sold", "2014-05-13", "dates written as %d/%m/%Y"),
        ("new", "perhaps", "yes or no"),
    ],
)
def test_mostly_unreadable_columns_are_refused(
    schema: Schema, column: str, cell: str, expected: str
) -> None:
    table = TRAIN.with_columns(pl.Series(column, [cell] * 6))
    message = refused(schema.encode, table, source="new.csv")
    assert f"new.csv, column {column!r}" in message
    assert expected in message
    assert f"'{cell}' (6 of 6 values)" in message


def test_absent_columns_are_refused_and_extra_ones_ignored(schema: Schema) -> None:
    message = refused(
        schema.encode, TRAIN.rename({"city": "town", "area": "Areas"}), source="n.csv"
    )
    assert "no columns 'city', 'area'" in message
    assert "n.csv" in message
    assert "did you mean 'area'" in refused(infer_schema, TRAIN, "arae")
    extra = TRAIN.drop("kind").with_columns(pl.lit(1).alias("more"))
    np.testing.assert_array_equal(schema.encode(extra).category, schema.encode(TRAIN).category)
    assert "no column 'kind'" in refused(schema.encode, extra, target=True)


def test_nested_cells_are_refused(schema: Schema) -> None:
    table = TRAIN.with_columns(pl.Series("area", [[1]] * 6))
    assert "lists or objects" in refused(schema.encode, table)


def test_unknown_classes_are_refused(schema: Schema) -> None:
    table = TRAIN.with_columns(pl.Series("kind", ["a", "b", "z", "c", None, "z"]))
    message = refused(schema.encode, table, target=True, source="test.csv")
    assert "test.csv, column 'kind'" in message
    assert "expected: a, b, c" in message
    assert "'z' in 2 rows" in message
    assert len(schema.encode(table)) == 6


def test_classes_ignore_case(schema: Schema) -> None:
    table = TRAIN.with_columns(pl.Series("kind", ["A", "B", "C", "a", "b", "c"]))
    assert schema.read_target(table).tolist() == [0, 1, 2, 0, 1, 2]


def test_order_of_use_is_said(schema: Schema) -> None:
    unfitted = infer_schema(TRAIN, "kind")
    assert "call schema.fit" in refused(unfitted.encode, TRAIN)
    assert unfitted.read_target(TRAIN).tolist() == [1, 0, 1, 0, 1, 2]
    assert "no target" in refused(infer_schema(TRAIN).fit(TRAIN).encode, TRAIN, target=True)


def test_encoded_rows_can_be_taken(schema: Schema) -> None:
    rows = schema.encode(TRAIN, target=True)
    some = rows.take([4, 0])
    assert isinstance(some, Encoded)
    assert len(some) == 2
    assert some.rows.tolist() == [4, 0]
    assert some.category[:, 0].tolist() == [0, 1]
    assert some.target is not None
    assert some.target.tolist() == [1, 1]
    assert len(rows.take([])) == 0
    assert rows.take(np.arange(6) > 3).rows.tolist() == [4, 5]
    assert schema.encode(TRAIN).take([1]).target is None


def test_no_rows(schema: Schema) -> None:
    rows = schema.encode(TRAIN.head(0))
    assert (len(rows), rows.numeric.shape, rows.category.shape) == (0, (0, 2), (0, 1))


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(-1e9, 1e9)),
            st.one_of(st.none(), st.sampled_from(["red", "green", "blue", "gold"])),
            st.one_of(st.none(), st.dates(date(1000, 1, 1))),
            st.floats(-1e3, 1e3),
        ),
        min_size=6,
        max_size=40,
    )
)
@settings(max_examples=40, deadline=None)
def test_a_csv_file_encodes_as_the_table_it_was_written_from(rows: list[Any]) -> None:
    names = {"x": pl.Float64, "colour": pl.String, "day": pl.Date, "y": pl.Float64}
    typed = pl.DataFrame(rows, schema=names, orient="row")
    text = read_table(typed.write_csv().encode())
    kinds = {"x": "numeric", "colour": "category", "day": "date"}
    spread = typed.filter(typed["y"].is_not_null()).drop("y").unique().height > 1
    assume(typed["y"].n_unique() > 1 and spread)
    first = infer_schema(typed, "y", task="regression", kinds=kinds)
    kinds = {column.name: column.kind for column in first.columns}
    second = infer_schema(text, "y", task="regression", kinds=kinds)
    a = first.fit(typed).encode(typed, target=True)
    b = second.fit(text).encode(text, target=True)
    np.testing.assert_array_equal(a.numeric, b.numeric)
    np.testing.assert_array_equal(a.category, b.category)
    np.testing.assert_array_equal(a.date, b.date)
    np.testing.assert_array_equal(np.asarray(a.target), np.asarray(b.target))


# ---------------------------------------------------------------- JSON


def test_json_round_trip(schema: Schema) -> None:
    assert Schema.from_json(schema.to_json()) == schema
    unfitted = infer_schema(TRAIN)
    assert Schema.from_json(unfitted.to_json()) == unfitted
    assert json.loads(schema.to_json())["version"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(version=2), "version 2"),
        (lambda c: c.update(format="model"), "not a chainrule.schema"),
        (lambda c: c.update(colour="red"), "chainrule.schema.colour"),
        (lambda c: c.pop("notes"), "chainrule.schema.notes"),
        (lambda c: c.update(max_categories="9"), "chainrule.schema.max_categories"),
        (lambda c: c.update(max_categories=True), "chainrule.schema.max_categories"),
        (lambda c: c["columns"][1].update(kind="sound"), "chainrule.schema.columns[1].kind"),
        (lambda c: c["columns"][1].update(kind=["x"]), "chainrule.schema.columns[1].kind"),
        (lambda c: c["columns"][1]["statistics"].pop("std"), "columns[1].statistics.std"),
        (lambda c: c["columns"][1].update(notation=5), "columns[1].notation"),
        (lambda c: c["columns"][1]["notation"].update(decimal="x"), "1,234x5"),
        (lambda c: c["columns"][0].update(vocabulary=["a", "a"]), "two categories 'a'"),
        (lambda c: c["columns"][1].update(vocabulary=["a"]), "categories in the numeric column"),
        (lambda c: c["columns"][1].update(name="city"), "two columns 'city'"),
        (lambda c: c["target"].update(task="binary"), "3 classes in a binary target"),
        (lambda c: c["target"].update(classes=["a", "a", "b"]), "two classes 'a'"),
        (lambda c: c.update(columns={}), "a list"),
    ],
)
def test_changed_json_is_refused_with_its_place(schema: Schema, change: Any, message: str) -> None:
    content = json.loads(schema.to_json())
    change(content)
    assert message in refused(Schema.from_json, json.dumps(content))


@pytest.mark.parametrize("text", ["", "[]", "null", '{"format": 1}', "{", "[" * 100_000])
def test_what_is_no_schema_is_refused(text: str) -> None:
    assert "not a chainrule.schema" in refused(Schema.from_json, text)


def test_whole_numbers_are_floats_where_floats_belong() -> None:
    content = {"format": "s", "version": 1, **dataclasses.asdict(Statistics(1, 0, 1)), "mean": 2}
    found = from_json(Statistics, json.dumps(content), "s", 1)
    assert found == Statistics(1, 0, 1, mean=2.0)
    assert type(found.mean) is float


def test_a_column_that_is_there_is_not_suggested_for_another_one():
    with pytest.raises(DataError) as caught:
        check_present(["sepal_length", "sepal_width"], ["sepal_length"], "flowers.csv")
    assert "sepal_length" not in (caught.value.hint or "")
    with pytest.raises(DataError, match="did you mean 'sepal_widht'"):
        check_present(["sepal_length", "sepal_width"], ["sepal_length", "sepal_widht"], "x.csv")
