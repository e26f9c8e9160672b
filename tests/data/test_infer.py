"""What columns mean is found, said, and can be overruled; what cannot be learned is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from chainrule.data import Column, Dropped, Notation, Schema, infer_schema, parsing, read_table
from chainrule.errors import DataError

from ..nightly import by_night

RNG = np.random.default_rng(0)


def decided(values: Any, name: str = "c", **options: Any) -> Column | Dropped:
    """What becomes of a column beside one of plain numbers."""
    table = read_table({name: values, "other": RNG.normal(size=len(values))})
    schema = infer_schema(table, **options)
    columns: list[Column | Dropped] = [*schema.columns, *schema.dropped]
    return next(column for column in columns if column.name == name)


def kind(values: Any, name: str = "c", **options: Any) -> str:
    return decided(values, name, **options).kind


def refused(table: Any, target: str | None = None, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        infer_schema(read_table(table), target, source="t.csv", **options)
    return str(caught.value)


# ---------------------------------------------------------------- numbers


def test_numbers_as_text_with_their_notation() -> None:
    column = decided(["1.234,5 €", "7", "0,25", "12"])
    assert isinstance(column, Column)
    assert (column.kind, column.notation) == ("numeric", Notation(",", "."))
    assert "1.234,5" in column.reason
    assert "€ left out" in column.reason


def test_other_columns_settle_what_one_leaves_open() -> None:
    open_ = ["1,234", "2,345", "3,456"]
    alone = infer_schema(read_table({"a": open_}))
    assert alone.columns[0].notation == Notation(".", ",")
    assert "not settled" in alone.columns[0].reason
    beside = infer_schema(read_table({"a": open_, "b": ["0,5", "0,25", "1,5"]}))
    assert beside.columns[0].notation == Notation(",", "")
    assert "as in other columns" in beside.columns[0].reason
    points = {"a": ["1.234", "2.345", "3.456"], "b": ["0,5", "0,25", "1,5"]}
    assert infer_schema(read_table(points)).columns[0].notation == Notation(",", ".")
    assert infer_schema(read_table({"a": points["a"]})).columns[0].notation == Notation()


def test_the_target_follows_the_other_columns_too() -> None:
    table = read_table({"y": ["1,234", "2,345", "3,456"], "b": ["0,5", "0,25", "1,5"]})
    schema = infer_schema(table, "y")
    assert schema.read_target(table).tolist() == [1.234, 2.345, 3.456]


def test_infinities_and_words_among_numbers_are_said() -> None:
    column = decided([*map(str, range(100, 160)), "inf", "-Infinity", "unknown", "NA"])
    assert column.kind == "numeric"
    assert "2 infinite, taken as missing" in column.reason
    assert "1 not numbers, taken as missing: 'unknown'" in column.reason
    assert "1 missing" in column.reason
    assert "infinite" in decided([float("inf"), 1.0, 2.5]).reason
    assert decided([float("inf"), None, float("-inf")]).kind == "missing"


def test_a_few_words_among_many_numbers_are_missing_and_said() -> None:
    ratios = [f"{x:.3f}" for x in RNG.normal(size=300)]
    for words in (["#DIV/0!"], ["unknown"], ["unknown", "not asked"]):
        cells = [words[i % len(words)] if i % 4 == 0 else x for i, x in enumerate(ratios)]
        column = decided(cells)
        assert isinstance(column, Column)
        assert column.kind == "numeric"
        assert "75 missing" in column.reason or "75 not numbers, taken as missing" in column.reason
        schema = infer_schema(read_table({"c": cells})).fit(read_table({"c": cells}))
        found = schema.encode(read_table({"c": cells})).numeric[:, 0]
        expected = [np.nan if i % 4 == 0 else float(x) for i, x in enumerate(ratios)]
        assert np.array_equal(found, expected, equal_nan=True)
    assert kind(["high" if i % 3 else x for i, x in enumerate(ratios)]) != "numeric"


def test_many_words_among_numbers_make_categories() -> None:
    assert kind([*map(str, range(30)), "a", "b", "c", "d"] * 2) == "category"
    assert kind(["1", "2", "3", "none of these", "other", "mixed"] * 10) == "category"


# ---------------------------------------------------------------- codes, identifiers


def test_codes_by_name_and_by_leading_zeros() -> None:
    zips = np.repeat([98001, 98002, 98003], 20)
    assert kind(zips, "zipcode") == "category"
    assert kind(zips, "ZipCode") == "category"
    assert kind(zips, "store_id") == "category"
    assert kind(zips, "sqft") == "numeric"
    assert kind(zips, "zip_income") == "numeric"
    column = decided(["0123", "0456", "7890"] * 20)
    assert column.kind == "category"
    assert "leading zeros" in column.reason
    assert kind(zips, "zipcode", kinds={"zipcode": "numeric"}) == "numeric"
    assert kind(zips, "sqft", kinds={"sqft": "category"}) == "category"


@pytest.mark.parametrize("name", ["id", "ID", "house_id", "PassengerId", "customerid", "uuid"])
def test_identifiers_by_name(name: str) -> None:
    column = decided(RNG.permutation(50) + 7, name)
    assert column.kind == "identifier"
    assert "50 distinct integers in 50 rows" in column.reason


@pytest.mark.parametrize("name", ["paid", "humid", "grid", "population"])
def test_unique_numbers_are_no_identifiers_without_a_name(name: str) -> None:
    assert kind(RNG.permutation(50) + 7, name) == "numeric"


def test_a_row_counter_is_left_out_unless_it_is_all_there_is() -> None:
    assert kind(range(1, 41), "n") == "identifier"
    assert kind(range(40), "n") == "identifier"
    assert kind(range(5), "n") == "numeric"
    assert kind(range(40), "n", kinds={"n": "numeric"}) == "numeric"
    assert [c.name for c in infer_schema(read_table({"x": range(40)})).columns] == ["x"]


def test_unique_text_is_an_identifier_and_sentences_are_text() -> None:
    assert kind([f"k{i}" for i in range(50)]) == "identifier"
    sentences = [f"the house number {i} is on a hill" for i in range(50)]
    column = decided(sentences)
    assert column.kind == "text"
    assert "8 words on average" in column.reason
    assert kind([f"name {i % 30}" for i in range(50)]) == "text"
    assert kind(["Rome", "Oslo", "Bern"]) == "category"


# ---------------------------------------------------------------- booleans, constants, dates


def test_booleans() -> None:
    for values in (["yes", "No", None], ["t", "f"], [True, False], [0, 1], ["1.0", "0.0"]):
        assert kind(values * 10) == "boolean"
    for values in ([1, 2], ["yes", "maybe"], ["m", "f"]):
        assert kind(values * 10) != "boolean"


def test_constant_and_empty_columns() -> None:
    assert decided(["x"] * 5).reason == "every row holds x"
    assert kind(["1", "1.0", "1"]) == "constant"
    assert kind([None, "NA", ""]) == "missing"
    assert kind([5.0] * 5) == "constant"
    # Present or not is information.
    assert kind(["x", None, "x"]) == "category"
    assert kind([5.5, None, 5.5]) == "numeric"


def test_nested_columns_are_left_out() -> None:
    assert kind([[1, 2], [3], [4]]) == "nested"
    assert kind([{"a": 1}, {"a": 2}, None]) == "nested"


def date_format(values: list[str], **others: list[str]) -> tuple[str | None, str]:
    column = infer_schema(read_table({"c": values, **others})).columns[0]
    assert column.kind == "date"
    return column.date_format, column.reason


def test_day_and_month_are_told_apart_over_the_whole_column() -> None:
    assert date_format(["01/02/2014"] * 50 + ["13/02/2014"])[0] == "%d/%m/%Y"
    assert date_format(["01/02/2014"] * 50 + ["02/13/2014"])[0] == "%m/%d/%Y"


def test_day_and_month_by_the_order_of_rows_or_by_other_columns() -> None:
    in_order = ["05/01/2014", "12/01/2014", "03/02/2014", "11/03/2014"]
    found, reason = date_format(in_order)
    assert found == "%d/%m/%Y"
    assert "rows are in order" in reason
    open_ = ["05/01/2014", "03/02/2014", "04/01/2014", "02/02/2014"]
    found, reason = date_format(open_)
    assert found == "%m/%d/%Y"
    assert "not settled" in reason
    assert "date:FORMAT" in reason
    found, reason = date_format(open_, d=["31/01/2014", "30/01/2014", "29/01/2014", "01/01/2014"])
    assert found == "%d/%m/%Y"
    assert "as in other columns" in reason


def test_iso_dates_with_a_zone() -> None:
    for written in ("%Y-%m-%dT%H:%MZ", "%Y-%m-%d %H:%M+00:00", "%Y-%m-%d %H:%M:%S +0000"):
        days = [datetime(2024, 1, 1 + i // 24, i % 24, i % 60) for i in range(100)]
        table = read_table({"at": [f"{day:{written}}" for day in days]})
        schema = infer_schema(table).fit(table)
        assert schema.columns[0].kind == "date"
        found = schema.encode(table).date[:, 0]
        assert found.tolist() == [day.replace(tzinfo=UTC).timestamp() for day in days]


def test_what_looks_like_a_date_but_cannot_be_read_is_called_so() -> None:
    for written in ("2024-01-{:02}T25:00", "week {} of 2024", "Q{} of 2024"):
        column = decided([written.format(i) for i in range(1, 41)])
        assert column.kind == "text"
        assert "dates in no notation that is known" in column.reason
        assert f"{written.format(1)!r}; kinds={{'c': 'date:FORMAT'}}" in column.reason
    for code in ("INV-2024-{:05}", "{}@mail.org", "room {} in 2014b"):
        assert "dates" not in decided([code.format(i) for i in range(1, 41)]).reason


def test_dates_as_whole_numbers() -> None:
    days = [int(f"2014{month:02}{day:02}") for month in (1, 2) for day in range(1, 15)]
    assert kind(days) == "date"
    assert kind(days[:4], "sold_date") == "date"
    assert kind(days[:4], "amount") == "numeric"
    assert kind([*days, 20141399]) == "numeric"
    assert kind(np.arange(1950, 2000), "year") == "numeric"
    assert kind(["20141013T000000", "20150225T000000"]) == "date"


def test_a_few_bad_dates_are_said() -> None:
    _, reason = date_format([f"2014-05-{day:02}" for day in range(1, 31)] + ["soon"])
    assert "1 not dates, taken as missing: 'soon'" in reason
    assert "2014-05-01 to 2014-05-30" in reason


# ---------------------------------------------------------------- many categories


@pytest.mark.parametrize("rows", [by_night(1_000_000), 100_000])
def test_many_distinct_categories(rows: int) -> None:
    table = pl.select(pl.int_range(rows).alias("i")).select(
        ("c" + (pl.col("i") * 7919 % rows).cast(pl.String)).alias("c"),
        (pl.col("i") % 2).alias("y"),
    )
    table = table.with_columns(
        pl.when(pl.int_range(pl.len()) < 10).then(pl.lit("often")).otherwise("c").alias("c")
    )
    schema = infer_schema(table, "y", kinds={"c": "category"}, max_categories=50)
    assert "the 50 most frequent have a code each" in schema.columns[0].reason
    schema = schema.fit(table)
    column = schema.columns[0]
    assert column.vocabulary[0] == "often"
    assert (len(column.vocabulary), column.has_other, column.codes) == (50, True, 52)
    codes = schema.encode(table).category[:, 0]
    assert codes.min() == 1
    assert (codes[:10] == 1).all()
    assert (codes == 51).sum() == rows - 10 - 49


# ---------------------------------------------------------------- what is asked


def test_features_drop_and_kinds() -> None:
    table = read_table({"a": [1, 2, 4], "b": [1, 2, 4], "c": [1, 2, 4], "y": [1.5, 2, 3]})
    assert [c.name for c in infer_schema(table, "y", features=["c", "a"]).columns] == ["a", "c"]
    schema = infer_schema(table, "y", drop=["a"])
    assert schema.dropped == (Dropped("a", "requested", "left out as asked"),)
    assert infer_schema(table, kinds={"a": "category"}).columns[0].reason == "category, as asked"


def test_kinds_for_text() -> None:
    assert kind(["1", "x", "2"], kinds={"c": "numeric"}) == "numeric"
    column = decided(["01/02/2014", "03/04/2014"], kinds={"c": "date:%d/%m/%Y"})
    assert isinstance(column, Column)
    assert column.date_format == "%d/%m/%Y"
    assert kind([20140102, 20140305], kinds={"c": "date"}) == "date"
    assert kind([f"k{i}" for i in range(50)], kinds={"c": "category"}) == "category"
    assert kind(["yes", "no", "?"], kinds={"c": "boolean"}) == "boolean"


def test_wrong_arguments_say_what_is_wrong() -> None:
    table = {"price": [1.5, 2, 3], "city": ["a", "b", "c"]}
    message = refused(table, "prize")
    assert "no column 'prize'" in message
    assert "did you mean 'price'" in message
    assert "t.csv" in message
    assert "did you mean 'city'" in refused(table, "price", drop=["City"])
    assert "no columns 'x', 'z'" in refused(table, "price", features=["x", "z"])
    assert "also among the drop" in refused(table, "price", drop=["price"])
    assert "also among the features" in refused(table, "price", features=["price", "city"])
    assert "cannot be of kind 'number'" in refused(table, kinds={"city": "number"})
    assert "cannot be read as numeric" in refused(table, kinds={"city": "numeric"})
    assert "written as %Y" in refused(table, kinds={"city": "date:%Y"})
    assert "cannot be read as date" in refused(table, kinds={"city": "date"})
    assert "at least 1" in refused(table, max_categories=0)
    assert "separator" in refused({"a b c": ["1 2 3", "4 5 6"]}, "c")


def test_no_usable_column() -> None:
    message = refused({"y": [1.5, 2, 3], "k": ["x"] * 3}, "y")
    assert "No column is left" in message
    assert "k: every row holds x" in message
    assert "beside the target" in refused({"y": [1.5, 2, 3]}, "y")


# ---------------------------------------------------------------- targets


def schema_of(target: Any, **options: Any) -> Schema:
    x = np.random.default_rng(1).normal(size=len(target))
    return infer_schema(read_table({"x": x, "y": target}), "y", **options)


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["b", "a", "c"] * 5, "multiclass", ("a", "b", "c")),
        (["Yes", "No"] * 5, "binary", ("No", "Yes")),
        ([True, False] * 5, "binary", ("false", "true")),
        ([0, 1] * 2, "binary", ("0", "1")),
        ([0.0, 1.0] * 2, "binary", ("0", "1")),
        (["0", "1"] * 2, "binary", ("0", "1")),
        ([-1, 1] * 2, "binary", ("-1", "1")),
        (list(range(11)) * 5, "multiclass", tuple(map(str, range(11)))),
        ([3.0, 5.0, 10.0] * 5, "multiclass", ("3", "5", "10")),
        ([3, 5, 10] * 4, "regression", ()),
        ([0.5, 1.0] * 20, "regression", ()),
        (list(range(100)) * 20, "regression", ()),
        (["1.5", "2,000", "7"], "regression", ()),
    ],
)
def test_the_target_decides_the_task(values: list[Any], task: str, classes: tuple[str]) -> None:
    target = schema_of(values).target
    assert target is not None
    assert (target.task, target.classes) == (task, classes)


def test_the_task_can_be_overruled() -> None:
    asked = schema_of([0, 1] * 5, task="regression").target
    assert asked is not None
    assert asked.task == "regression"
    asked = schema_of([3, 5, 10] * 2, task="classification").target
    assert asked is not None
    assert asked.classes == ("3", "5", "10")
    assert "needs a target of numbers" in refused(
        {"x": [1, 2], "y": ["a", "b"]}, "y", task="regression"
    )
    assert "not known" in refused({"x": [1, 2], "y": [1, 2]}, "y", task="guess")


def test_rows_without_a_target_are_counted_and_unused() -> None:
    table = read_table({"x": [1, 2, 3, 4, 5], "y": ["1.5", "?", "2.5", "inf", "3.5"]})
    schema = infer_schema(table, "y")
    assert schema.notes == ("2 rows have no usable target (y) and will not be used",)
    encoded = schema.fit(table).encode(table, target=True)
    assert encoded.rows.tolist() == [0, 2, 4]
    assert encoded.target is not None
    assert encoded.target.tolist() == [1.5, 2.5, 3.5]
    assert encoded.numeric[:, 0].tolist() == [1, 3, 5]


def test_targets_that_cannot_be_learned() -> None:
    x = list(np.random.default_rng(2).normal(size=40))
    where = "t.csv, column 'y'"
    for values, message in [
        ([None] * 40, "The target has no values"),
        (["a"] * 40, "one class only"),
        ([True] * 40, "one class only"),
        ([2.5] * 40, "constant"),
        ([7] * 40, "one class only"),
        ([f"k{i}" for i in range(40)], "nearly as many classes as rows"),
        ([f"2014-01-{i % 28 + 1:02}" for i in range(40)], "dates"),
        ([[1]] * 40, "lists or objects"),
        ([1.5] + [None] * 39, "too few rows"),
        ([i * 1e300 for i in range(40)], "too large to compute with"),
        ([i * 1e-300 for i in range(40)], "too small to compute with"),
        ([1e-150 * i for i in range(39)] + [None], "too small to compute with"),
    ]:
        text = refused({"x": x, "y": values}, "y")
        assert message in text
        assert where in text
    assert "found: 1 row" in refused({"x": [1.5], "y": [2.5]}, "y")


@pytest.mark.parametrize("factor", [1e-130, 1e30, 1e130])
def test_targets_of_unusual_size_can_be_learned(factor: float) -> None:
    assert schema_of([factor * (i + 0.5) for i in range(40)]).target.task == "regression"


def test_a_class_of_one_row_is_noted() -> None:
    assert "class 'c' has one row only" in schema_of(["a", "b"] * 10 + ["c"]).notes[0]
    assert "2 classes have one row only" in schema_of(["a", "b"] * 10 + ["c", "d"]).notes[0]


# ---------------------------------------------------------------- leaks


def notes_on(target: Any, **columns: Any) -> tuple[str, ...]:
    return infer_schema(read_table({"y": target, **columns}), "y").notes


def test_columns_that_give_the_target_away() -> None:
    y = RNG.lognormal(size=200)
    assert "correlation 1.0000" in notes_on(y, cents=y * 100, x=RNG.normal(size=200))[0]
    assert "column log" in notes_on(y, log=np.log(y), x=RNG.normal(size=200))[0]
    assert "correlation -1.0000" in notes_on(y, less=-y)[0]
    labels = np.array(["cat", "dog", "eel"])[RNG.integers(0, 3, 200)]
    codes = [{"cat": 7, "dog": 3, "eel": 5}[label] for label in labels]
    assert "100.0% of the rows" in notes_on(labels, code=codes)[0]
    assert "100.0% of the rows" in notes_on(labels, word=[label.upper() for label in labels])[0]
    steps = RNG.choice([1.5, 2.5, 7.5], 200)
    assert "explains 100.00%" in notes_on(steps, word=[f"w{s}" for s in steps])[0]


def test_good_columns_are_no_leaks() -> None:
    x = RNG.normal(size=500)
    assert notes_on(x + 0.1 * RNG.normal(size=500), x=x) == ()
    labels = RNG.integers(0, 2, 500)
    assert notes_on(labels, x=labels + 0.01 * RNG.normal(size=500)) == ()
    rare = np.arange(500) < 2
    assert notes_on(rare, x=x, coin=RNG.integers(0, 2, 500)) == ()


def test_dates_written_in_several_ways_are_dates():
    days = [f"{i % 28 + 1}/3/2021" if i % 2 else f"2020-01-{i % 28 + 1:02d}" for i in range(60)]
    days[7] = "March 5, 2022"
    days[9] = "March 6, 2022"
    frame = pl.DataFrame({"d": days, "y": range(60)})
    schema = infer_schema(frame, "y").fit(frame)
    (column,) = schema.columns
    assert column.kind == "date"
    assert column.date_format.split(" | ") == ["%Y-%m-%d", "%d/%m/%Y", "%B %d, %Y"]
    found = schema.encode(frame).date[:, 0]
    expected = {0: "2020-01-01", 1: "2021-03-02", 7: "2022-03-05"}
    for row, day in expected.items():
        assert found[row] == np.datetime64(day).astype("datetime64[s]").astype(float)


def test_words_beside_dates_are_not_dates():
    cells = ["2020-01-01", "red", "blue", "2020-01-02", "green"] * 20
    frame = pl.DataFrame({"d": cells, "y": range(100)})
    assert infer_schema(frame, "y").columns[0].kind == "category"


MONTHS = [(2005 + n // 12, n % 12 + 1) for n in range(60)]


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ([f"{y}Q{(m + 2) // 3}" for y, m in MONTHS], "%YQ%q"),
        ([f"Q{(m + 2) // 3} {y}" for y, m in MONTHS], "Q%q %Y"),
        ([f"{y}-Q{(m + 2) // 3}" for y, m in MONTHS], "%Y-Q%q"),
    ],
)
def test_quarters_are_dates(written: list[str], form: str) -> None:
    column = decided(written)
    assert isinstance(column, Column)
    assert (column.kind, column.date_format) == ("date", form)
    read = parsing.read_dates(pl.Series(written), form)
    assert [(t.year, t.month) for t in read] == [(y, (m - 1) // 3 * 3 + 1) for y, m in MONTHS]


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ([f"{y}{m:02d}" for y, m in MONTHS], "%Y%m"),
        ([100 * y + m for y, m in MONTHS], "%Y%m"),
        ([f"{y}M{m:02d}" for y, m in MONTHS], "%YM%m"),
        ([f"{y}/{m:02d}" for y, m in MONTHS], "%Y/%m"),
    ],
)
def test_months_are_dates(written: list[Any], form: str) -> None:
    column = decided(written)
    assert isinstance(column, Column)
    assert (column.kind, column.date_format) == ("date", form)
    read = parsing.read_dates(pl.Series(written), form)
    assert [(t.year, t.month) for t in read] == MONTHS


DAYS = [datetime(2019, 1, 1) + timedelta(days=37 * n, hours=n % 24) for n in range(60)]


@pytest.mark.parametrize(
    "form",
    [
        *("%G-W%V-%u", "%Y-%j", "%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S +0000"),
        *("%d %b %Y %H:%M:%S +0000", "%d.%m.%Y %H:%M+00:00", "%Y-%m-%d %H:%M UTC"),
        *("%Y-%m-%dT%H:%MZ", "%a, %d %b %Y %H:%M:%S +0000", "%Y-%m-%dT%H", "%A, %B %d, %Y"),
    ],
)
def test_dates_of_other_programs(form: str) -> None:
    written = [day.strftime(form) for day in DAYS]
    column = decided(written)
    assert isinstance(column, Column)
    assert column.kind == "date"
    read = parsing.read_dates(pl.Series(written), column.date_format).to_list()
    whole = "%H" not in form
    assert read == [day.replace(hour=0) if whole else day for day in DAYS]


def test_weeks_are_their_mondays() -> None:
    written = [day.strftime("%G-W%V") for day in DAYS]
    column = decided(written)
    assert isinstance(column, Column)
    assert (column.kind, column.date_format) == ("date", "%G-W%V")
    read = parsing.read_dates(pl.Series(written), "%G-W%V").to_list()
    monday = [(day - timedelta(days=day.weekday())).date() for day in DAYS]
    assert [found.date() for found in read] == monday


def test_quantities_of_six_digits_are_no_months() -> None:
    assert decided([200101 + 97 * n for n in range(40)]).kind == "numeric"


@pytest.mark.parametrize(
    ("odd", "said"), [(1e30, True), (-1e120, True), (1e4, False), (None, False)]
)
def test_a_target_far_from_all_others_is_said(odd, said):
    y = np.random.default_rng(0).normal(size=200)
    if odd is not None:
        y[7] = odd
    schema = infer_schema(pl.DataFrame({"x": np.arange(200.0) % 7, "y": y}), "y")
    found = [note for note in schema.notes if "check that row" in note]
    assert len(found) == said
    assert all(f"y reaches {odd:.4g}" in note for note in found)


def test_a_target_whose_square_is_no_number_is_refused_by_its_row() -> None:
    y = [*np.random.default_rng(0).normal(size=299), -1e308]
    text = refused({"x": list(range(300)), "y": y}, "y")
    assert "too large to compute with" in text
    assert "y reaches -1e+308, while 99 % of its values lie" in text
