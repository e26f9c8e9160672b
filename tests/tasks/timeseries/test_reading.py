"""From tables to series: order, gaps, repetitions, what is no number, what is not known."""

import numpy as np
import polars as pl
import pytest

from chainrule.errors import DataError
from chainrule.tasks.timeseries import read_series
from chainrule.tasks.timeseries.reading import fill_forward


def table(days=20, **columns):
    dates = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 1, days), eager=True)
    return pl.DataFrame({"day": dates, "sold": np.arange(days, dtype=float), **columns})


def test_the_columns_are_found():
    generator = np.random.default_rng(0)
    frame = table(price=generator.uniform(1, 2, 20), open=[True, False] * 10, name=["a", "b"] * 10)
    notes = []
    series = read_series(frame, "sold", say=notes.append)
    assert series.columns == ("sold", "price", "open")
    assert series.time == "day"
    np.testing.assert_array_equal(series.target, np.arange(20))
    assert any("name" in note for note in notes)
    assert read_series(frame, "sold", features=["price"]).columns == ("sold", "price")
    assert read_series(frame, "sold", drop=["open"]).columns == ("sold", "price")


def test_rows_in_disorder_are_sorted_and_it_is_said():
    notes = []
    frame = table()[np.random.default_rng(1).permutation(20)]
    series = read_series(frame, "sold", say=notes.append)
    np.testing.assert_array_equal(series.target, np.arange(20))
    assert any("sorted" in note for note in notes)


def test_gaps_are_steps_that_are_not_known():
    notes = []
    frame = table()
    frame = frame.with_columns(sold=pl.when(pl.col("sold") == 7).then(None).otherwise("sold"))
    frame = frame.filter(~pl.col("sold").is_in([3.0, 4.0]).fill_null(False))
    series = read_series(frame, "sold", say=notes.append)
    assert np.flatnonzero(np.isnan(series.target)).tolist() == [3, 4, 7]
    assert series.filled()[:, 0][[3, 4, 7]].tolist() == [2, 2, 6]
    assert any(note.startswith("3 of 20 steps are missing") for note in notes)


def test_nothing_of_the_future_is_filled_in():
    values = np.array([[1.0], [np.nan], [5.0], [np.nan]])
    changed = values.copy()
    changed[2] = 99.0
    np.testing.assert_array_equal(fill_forward(values)[:2], fill_forward(changed)[:2])


def test_the_series_begins_with_the_first_known_value():
    frame = table().with_columns(sold=pl.when(pl.col("sold") < 5).then(None).otherwise("sold"))
    assert read_series(frame, "sold").target[0] == 5


def test_numbers_that_are_dates_and_years(tmp_path):
    path = tmp_path / "co2.csv"
    path.write_text("date,co2\n" + "\n".join(f"195803{d:02},{d}" for d in range(1, 31)))
    series = read_series(path, "co2")
    assert (series.time, series.calendar.step) == ("date", 86_400)
    path.write_text("year,spots\n" + "\n".join(f"{1700 + i},{i % 11}" for i in range(40)))
    series = read_series(path, "spots")
    assert (series.time, series.calendar.unit, series.columns) == ("year", "numbers", ("spots",))


def test_without_times_each_row_is_a_step():
    notes = []
    series = read_series({"y": [3.0, 1.0, 2.0]}, "y", say=notes.append)
    assert series.calendar is None
    assert "each row is a step" in notes[0]


@pytest.mark.parametrize(
    ("frame", "what", "where"),
    [
        (pl.concat([table(), table()[:1]]), "comes twice", "rows 1 and 21"),
        (table().filter(pl.col("sold").is_in([0.0, 1, 2, 17, 18, 19])), "mostly gaps", None),
        (table().with_columns(sold=pl.lit(None, pl.Float64)), "no values", "sold"),
        (table().with_columns(sold=pl.lit("a lot")), "cannot be read", "sold"),
        (table().with_columns(
            day=pl.when(pl.col("sold") == 3).then(None).otherwise("day")), "time is missing",
         "row 4"),
        (table().drop("sold"), "no column 'sold'", None),
    ],
)  # fmt: skip
def test_what_is_no_series_is_refused(frame, what, where):
    with pytest.raises(DataError, match=what) as caught:
        read_series(frame, "sold")
    assert where is None or where in caught.value.where
