"""Tables of the real world come out as a person would read them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import datasets

from chainrule.data import Column, Dropped, Schema, infer_schema, read_table, split_indices

HOUSES = Path(__file__).parents[2] / "examples" / "data" / "house_prices.parquet"


@pytest.fixture(scope="module")
def houses() -> pl.DataFrame:
    return read_table(HOUSES)


def kinds(schema: Schema) -> dict[str, str]:
    columns: list[Column | Dropped] = [*schema.columns, *schema.dropped]
    return {column.name: column.kind for column in columns}


def test_house_prices(houses: pl.DataFrame) -> None:
    schema = infer_schema(houses, "price")
    found = kinds(schema)
    assert {name: kind for name, kind in found.items() if kind != "numeric"} == {
        "id": "identifier",
        "date": "date",
        "waterfront": "boolean",
        "zipcode": "category",
    }
    assert len(found) == 20
    assert schema.target is not None
    assert schema.target.task == "regression"
    assert schema.notes == ()
    train, test = split_indices(houses.height, (0.8, 0.2), seed=0)
    schema = schema.fit(houses[train])
    rows = schema.encode(houses, target=True).take(test)
    assert (rows.numeric.shape, rows.category.shape, rows.date.shape) == (
        *((4323, 17), (4323, 1), (4323, 1)),
    )
    assert rows.notes == ()
    assert not np.isnan(rows.numeric).any()
    assert rows.category.min() == 1
    assert len(schema.category[0].vocabulary) == 70
    np.testing.assert_array_equal(rows.target, houses["price"].to_numpy()[test])
    area = next(column for column in schema.columns if column.name == "sqft_living").statistics
    assert area is not None
    assert area.mean == pytest.approx(houses["sqft_living"].to_numpy()[train].mean())
    assert area.skewness > 1


def test_house_prices_are_the_same_from_csv(houses: pl.DataFrame) -> None:
    text = read_table(houses.write_csv().encode())
    first = infer_schema(houses, "price").fit(houses)
    second = infer_schema(text, "price").fit(text)
    assert kinds(first) == kinds(second)
    a, b = first.encode(houses, target=True), second.encode(text, target=True)
    for name in ("numeric", "category", "date", "target"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    # A schema from one kind of file reads the other.
    np.testing.assert_array_equal(first.encode(text).numeric, a.numeric)
    np.testing.assert_array_equal(first.encode(text).category, a.category)
    np.testing.assert_array_equal(second.encode(houses).date, b.date)


def test_new_houses_are_read_by_the_schema_of_the_old(houses: pl.DataFrame) -> None:
    schema = infer_schema(houses, "price").fit(houses)
    rows = schema.encode(read_table(HOUSES.with_name("new_houses.csv")))
    assert len(rows) == 5
    assert rows.notes == ()
    assert rows.category.min() > 0
    assert not np.isnan(rows.numeric).any()
    assert not np.isnan(rows.date).any()


@pytest.mark.parametrize(
    ("load", "task", "classes", "used", "left_out"),
    [
        (datasets.load_iris, "multiclass", 3, 4, 0),
        (datasets.load_wine, "multiclass", 3, 13, 0),
        (datasets.load_breast_cancer, "binary", 2, 30, 0),
        (datasets.load_diabetes, "regression", 0, 10, 0),
        (datasets.load_digits, "multiclass", 10, 61, 3),  # three pixels are always white
    ],
)
def test_tables_of_scikit_learn(
    load: Any, task: str, classes: int, used: int, left_out: int, tmp_path: Path
) -> None:
    data = load(as_frame=True)
    path = tmp_path / "table.csv"
    data.frame.to_csv(path, index=False)
    table = read_table(path)
    schema = infer_schema(table, "target").fit(table)
    assert schema.target is not None
    assert (schema.target.task, len(schema.target.classes)) == (task, classes)
    assert (len(schema.columns), len(schema.dropped)) == (used, left_out)
    assert all(column.kind == "constant" for column in schema.dropped)
    assert all(column.kind in ("numeric", "boolean") for column in schema.columns)
    assert schema.notes == ()
    rows = schema.encode(table, target=True)
    names = [column.name for column in schema.numeric]
    np.testing.assert_array_equal(rows.numeric, data.data[names].to_numpy())
    np.testing.assert_array_equal(rows.target, data.target)
    assert Schema.from_json(schema.to_json()) == schema


def test_pandas_frames_and_their_index_column() -> None:
    data = datasets.load_iris(as_frame=True)
    named = data.frame.assign(species=data.target_names[data.target])
    # An index that was written along comes back as a column without a name.
    table = read_table(named.to_csv().encode())
    schema = infer_schema(table, "species", drop=["target"])
    assert kinds(schema)["column_1"] == "identifier"
    assert schema.target is not None
    assert schema.target.classes == ("setosa", "versicolor", "virginica")
    direct = infer_schema(read_table(named), "species")
    assert direct.notes == (
        "column target is nearly identical to the target: it predicts the class of 100.0% of the "
        "rows",
    )


def test_importing_the_package_does_not_import_polars() -> None:
    code = "import sys, chainrule.data; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
