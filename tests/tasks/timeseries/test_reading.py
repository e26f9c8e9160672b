"""From tables to series: order, gaps, repetitions, what is no number, what is not known."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from chainrule.errors import ConfigError, DataError
from chainrule.tasks import load_predictor
from chainrule.tasks.timeseries import SeriesOptions, read_series, train
from chainrule.tasks.timeseries.reading import Columns, fill_forward


def read(source, target, say=lambda note: None, **columns):
    """The panel and its only series."""
    panel = read_series(source, Columns(target, **columns), say=say)
    return panel, panel.series[0]


def table(days=20, **columns):
    dates = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 1, days), eager=True)
    return pl.DataFrame({"day": dates, "sold": np.arange(days, dtype=float), **columns})


def test_the_columns_are_found():
    generator = np.random.default_rng(0)
    frame = table(price=generator.uniform(1, 2, 20), open=[True, False] * 10, name=["a", "b"] * 10)
    notes = []
    panel, series = read(frame, "sold", notes.append)
    assert panel.columns == ("sold", "price", "open")
    assert panel.time == "day"
    np.testing.assert_array_equal(series.target, np.arange(20))
    assert any("name" in note for note in notes)
    assert read(frame, "sold", features=("price",))[0].columns == ("sold", "price")
    assert read(frame, "sold", drop=("open",))[0].columns == ("sold", "price")


def test_rows_in_disorder_are_sorted_and_it_is_said():
    notes = []
    frame = table()[np.random.default_rng(1).permutation(20)]
    _, series = read(frame, "sold", notes.append)
    np.testing.assert_array_equal(series.target, np.arange(20))
    assert any("sorted" in note for note in notes)


def test_gaps_are_steps_that_are_not_known():
    notes = []
    frame = table()
    frame = frame.with_columns(sold=pl.when(pl.col("sold") == 7).then(None).otherwise("sold"))
    frame = frame.filter(~pl.col("sold").is_in([3.0, 4.0]).fill_null(False))
    _, series = read(frame, "sold", notes.append)
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
    assert read(frame, "sold")[1].target[0] == 5


def test_numbers_that_are_dates_and_years(tmp_path):
    path = tmp_path / "co2.csv"
    path.write_text("date,co2\n" + "\n".join(f"195803{d:02},{d}" for d in range(1, 31)))
    panel, _ = read(path, "co2")
    assert (panel.time, panel.calendar.step) == ("date", 86_400)
    path.write_text("year,spots\n" + "\n".join(f"{1700 + i},{i % 11}" for i in range(40)))
    panel, _ = read(path, "spots")
    assert (panel.time, panel.calendar.unit, panel.columns) == ("year", "numbers", ("spots",))


def test_without_times_each_row_is_a_step():
    notes = []
    panel, _ = read({"y": [3.0, 1.0, 2.0]}, "y", notes.append)
    assert panel.calendar is None
    assert "each row is a step" in notes[0]


@pytest.mark.parametrize(
    ("frame", "what", "where"),
    [
        (pl.concat([table(), table()[:1].with_columns(sold=5.0)]), "comes twice", "rows 1 and 21"),
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
        read(frame, "sold")
    assert where is None or where in caught.value.where


def test_rows_that_are_the_same_are_taken_once_and_it_is_said():
    notes = []
    _, series = read(pl.concat([table(), table()[4:7]]), "sold", notes.append)
    np.testing.assert_array_equal(series.target, np.arange(20))
    assert "3 rows repeat another one in all columns: each is taken once" in notes


def test_inputs_that_are_not_known_are_said():
    notes = []
    price = [None, *range(1, 16), *[None] * 4]
    frame = table(price=price, none=[None] * 20)
    _, series = read(frame, "sold", notes.append)
    assert series.filled()[-1, 1] == 15
    assert any("price (5, the last 4 steps of a series)" in note for note in notes)
    assert any(note.startswith("left out") and "none" in note for note in notes)
    notes.clear()
    read(table(none=[None] * 20), "sold", notes.append)
    assert any(note.startswith("left out") and "none" in note for note in notes)


def test_numbers_that_stand_for_missing_ones_are_said():
    notes = []
    values = np.where(np.arange(20) % 5 == 1, -999.0, np.arange(20) / 7)
    read(table().with_columns(sold=values), "sold", notes.append)
    assert any("'sold' holds -999 in 4 rows" in note and "cells empty" in note for note in notes)


def test_words_in_place_of_numbers_are_missing_and_said():
    notes = []
    cells = ["closed" if day % 6 == 2 else f"{day}.5" for day in range(20)]
    _, series = read(table().with_columns(sold=pl.Series(cells)), "sold", notes.append)
    assert np.flatnonzero(np.isnan(series.target)).tolist() == [2, 8, 14]
    assert any("'closed'" in note for note in notes)


def test_a_clock_that_was_set_back_is_told():
    hours = [f"2024-10-27 {hour:02}:30" for hour in (0, 1, 2, 2, 3, 4, 5, 6, 7, 8)]
    with pytest.raises(DataError, match="comes twice") as caught:
        read({"time": hours, "y": np.arange(10.0)}, "y")
    assert "Was the clock set back?" in caught.value.hint
    with pytest.raises(DataError, match="comes twice") as caught:
        read({"year": [2010, 2010, 2011, 2012, 2013], "y": np.arange(5.0)}, "y")
    assert "Keep one row" in caught.value.hint


def test_numbers_mean_later_what_they_meant_in_training(tmp_path):
    """1.234 alone is no other number than beside 1.234,50."""
    generator = np.random.default_rng(0)
    values = 1000 * (3 + np.sin(np.arange(120) / 3)) + generator.integers(0, 100, 120)

    def written(numbers, form):
        marks = str.maketrans(",.", ".,")
        return pl.Series([form.format(number).translate(marks) for number in numbers])

    whole = table(20).select("day").to_series()[0]
    days = pl.date_range(whole, whole + timedelta(days=119), eager=True)
    frame = pl.DataFrame({"day": days, "sold": written(values, "{:,.2f}")})
    options = SeriesOptions(target="sold", horizon=2, epochs=1, model="linear", backend="numpy")
    train(frame, options, progress=False).save(tmp_path / "model")
    model = load_predictor(tmp_path / "model")
    alone = frame.with_columns(sold=written(values, "{:,.0f}"))
    found, usual = (model.predict(each)["prediction"].to_numpy() for each in (alone, frame))
    np.testing.assert_allclose(found, usual, rtol=1e-3)
    assert (found > 500).all()


# ---- notations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "unit", "then"),
    [
        ([f"01/{m:02}/{y}" for y in (2010, 2011) for m in range(1, 13)], "months",
         "01/01/2012"),
        ([f"{m}/1/{y}" for y in (2010, 2011) for m in range(1, 13)], "months", "1/1/2012"),
        ([f"1/{d}/2021 {h}:00" for d in (1, 2) for h in range(24)], "seconds", "1/3/2021 0:00"),
        ([f"{d:02}/01/2010" for d in range(1, 29)], "seconds", "29/01/2010"),
        ([f"2010{m:02}" for m in range(1, 13)], "months", "201101"),
        ([int(f"2010{m:02}") for m in range(1, 13)], "months", "201101"),
        ([f"{2010 + q // 4}-Q{q % 4 + 1}" for q in range(12)], "months", "2013-Q1"),
        ([f"Q{q % 4 + 1} {2010 + q // 4}" for q in range(12)], "months", "Q1 2013"),
        ([f"2010M{m}" for m in range(1, 13)], "months", "2011M1"),
        ([f"2020-W{w:02}" for w in range(40, 54)], "seconds", "2021-W01"),
        ([f"2023-10-29T0{h}:00:00+02:00" for h in range(3)]
         + [f"2023-10-29T0{h}:00:00+01:00" for h in range(2, 9)], "seconds",
         "2023-10-29T09:00:00+01:00"),
        ([f"2023-05-01 0{h}:30 -0400" for h in range(9)], "seconds", "2023-05-01 09:30 -0400"),
        ([f"{d}.3.2021" for d in range(1, 15)], "seconds", "15.3.2021"),
        ([f"Mar {d}, 2021" for d in range(10, 25)], "seconds", "Mar 25, 2021"),
        ([1704067200 + 3600 * h for h in range(9)], "seconds", "1704099600"),
        ([str(1704067200000 + 60000 * m) for m in range(9)], "seconds", "1704067740000"),
    ],
)  # fmt: skip
def test_forecasts_have_the_notation_of_the_times(cells, unit, then):
    for order in (1, -1):  # the newest row may come first
        values = np.arange(float(len(cells)))[::order]
        panel, series = read({"when": cells[::order], "y": values}, "y", time="when")
        assert panel.calendar.unit == unit
        np.testing.assert_array_equal(series.target, np.arange(len(cells)))
        assert panel.following(series, 1) == [then]


def test_it_is_said_when_two_readings_are_as_even():
    notes = []
    panel, _ = read({"day": [f"01/{d:02}/2010" for d in range(1, 13)], "y": range(12)}, "y",
                    notes.append)  # fmt: skip
    assert panel.notation.format == "%m/%d/%Y"
    assert any("--kind day=date:%d/%m/%Y" in note for note in notes)


def test_large_numbers_that_are_no_times_are_written_whole():
    panel, series = read({"t": [5 * 10**13 + i for i in range(9)], "y": np.arange(9.0)}, "y")
    assert panel.following(series, 1) == ["50000000000009"]


def test_it_is_said_when_some_times_have_no_zone():
    notes = []
    cells = [f"2024-01-01T0{h}:00" + "Z" * (h < 4) for h in range(9)]
    _, series = read({"time": cells, "y": np.arange(9.0)}, "y", notes.append)
    np.testing.assert_array_equal(series.target, np.arange(9))
    assert "5 of 9 times have no zone: they are taken for UTC" in notes


MONTHS = ["Jan", "Feb", "March", "Apr", "May", "June", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec"]
HOURS = [f"{1 + h // 24:02}/02/2024" for h in range(60)]


@pytest.mark.parametrize(
    ("parts", "unit", "then"),
    [
        ({"Year": [2010 + m // 12 for m in range(60)], "Month": [1 + m % 12 for m in range(60)]},
         "months", "2015-01"),
        ({"year": [2010 + m // 12 for m in range(60)],
          "mon": [MONTHS[m % 12] for m in range(60)]}, "months", "2015-01"),
        ({"yyyy": ["2011"] * 28, "mm": ["02"] * 28, "dd": [f"{d:02}" for d in range(1, 29)]},
         "seconds", "2011-03-01"),
        ({"year": [2010 + q // 4 for q in range(60)], "qtr": [1 + q % 4 for q in range(60)]},
         "months", "2025-Q1"),
        ({"year": [2020] * 40, "week": list(range(3, 43))}, "seconds", "2020-W43"),
        ({"date": HOURS, "hour": [h % 24 for h in range(60)]}, "seconds", "03/02/2024 12:00"),
        ({"date": HOURS, "hour": [1 + h % 24 for h in range(60)]}, "seconds", "03/02/2024 12:00"),
        ({"Date": HOURS, "Time": [f"{h % 24:02}:00:00" for h in range(60)]}, "seconds",
         "03/02/2024 12:00:00"),
    ],
    ids=["months", "names", "days", "quarters", "weeks", "hours", "24 hours", "clock"],
)  # fmt: skip
def test_times_in_several_columns_are_put_together(parts, unit, then):
    notes, count = [], len(next(iter(parts.values())))
    order = np.random.default_rng(0).permutation(count)
    frame = pl.DataFrame({**parts, "y": np.arange(float(count))})[order]
    panel, series = read(frame, "y", notes.append)
    assert panel.calendar.unit == unit
    assert panel.columns == ("y",)
    np.testing.assert_array_equal(series.target, np.arange(count))
    assert panel.following(series, 1) == [then]
    assert f"the times are put together from the columns {', '.join(parts)}" in notes
    again = read(frame, "y", time="+".join(parts), features=())[0]
    np.testing.assert_array_equal(again.series[0].target, np.arange(count))
    assert panel.time == again.time


def test_hours_that_are_called_by_their_ends_are_so_in_later_tables_too():
    hours = {"date": HOURS, "hour": [1 + h % 24 for h in range(60)], "y": range(60)}
    panel, _ = read(pl.DataFrame(hours), "y")
    later = pl.DataFrame({"date": ["03/02/2024"] * 8, "hour": range(13, 21), "y": range(8)})
    columns = Columns("y", time=panel.time, features=())
    again = read_series(later, columns, calendar=panel.calendar)
    assert again.following(again.series[0], 1) == ["03/02/2024 20:00"]
    for hours in (range(8), ["1", "2", "abc", *"45678"], [1, 2, 25, 4, 5, 6, 7, 8]):
        wrong = later.with_columns(hour=pl.Series(hours))
        with pytest.raises(DataError, match="A cell of column 'hour' is no hour") as caught:
            read_series(wrong, columns, calendar=panel.calendar, say=print)
        assert "row 1" in caught.value.where or "row 3" in caught.value.where
        assert caught.value.expected == "hours from 1 to 24"
        assert caught.value.found in ("0", "'abc'", "25")


def test_a_clock_among_times_in_several_columns_that_cannot_be_read_is_named():
    clock = [f"{h % 24:02}:00" for h in range(60)]
    frame = pl.DataFrame({"date": HOURS, "time": clock, "y": range(60)})
    panel, _ = read(frame, "y")
    clock[7] = "7 o'clock"
    with pytest.raises(DataError, match="A cell of column 'time' is no hour") as caught:
        read_series(frame.with_columns(time=pl.Series(clock)), Columns("y", time=panel.time),
                    calendar=panel.calendar)  # fmt: skip
    assert caught.value.where.endswith("column 'time', row 8")


def test_columns_that_do_not_say_times_together_are_none():
    years = {"year": np.arange(1900, 1960), "month": [1 + m % 12 for m in range(60)]}
    assert read({**years, "y": np.arange(60.0)}, "y")[0].time == "year"
    again = {"year": [2010] * 24, "month": [1 + m % 12 for m in range(24)]}
    with pytest.raises(DataError, match="comes twice"):
        read({**again, "y": np.arange(24.0)}, "y")


def test_columns_with_a_zone_keep_it():
    times = pl.datetime_range(pl.datetime(2023, 3, 26), pl.datetime(2023, 3, 26, 9), "1h",
                              time_zone="Europe/Berlin", eager=True)  # fmt: skip
    panel, series = read(pl.DataFrame({"when": times, "y": range(len(times))}), "y")
    assert len(series.values) == len(times)
    assert panel.following(series, 1) == ["2023-03-26T10:00:00+02:00"]


def test_the_user_says_how_times_are_written():
    frame = {"day": [f"{d:02}/{d:02}/2010" for d in range(1, 13)], "y": range(12)}
    panel, _ = read(frame, "y", kinds={"day": "date:%d/%m/%Y"})
    assert panel.notation.format == "%d/%m/%Y"
    with pytest.raises(DataError, match="cannot be read") as caught:
        read(frame, "y", kinds={"day": "date:%Y-%m-%d"})
    assert "row 1" in caught.value.where
    with pytest.raises(ConfigError, match="not known for a column of a series"):
        read(frame, "y", kinds={"y": "category"})


# ---- several series ------------------------------------------------------------------------------


def shops(steps=20, together=True):
    """Three shops, on the same days or one after another."""
    days = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-06-01"))
    starts = (0, 0, 0) if together else (0, steps, 2 * steps)
    return pl.concat([
        pl.DataFrame({"shop": [name] * steps, "day": days[start : start + steps],
                      "sold": np.arange(steps) + 100.0 * number})
        for number, (name, start) in enumerate(zip("abc", starts, strict=True))
    ])  # fmt: skip


def test_several_series_are_told_apart():
    panel, _ = read(shops()[np.random.default_rng(0).permutation(60)], "sold", item="shop")
    assert sorted(series.name for series in panel.series) == ["a", "b", "c"]
    for series in panel.series:
        np.testing.assert_array_equal(np.diff(series.target), 1)
    assert panel.columns == ("sold",)


def test_a_series_of_which_nothing_is_known_is_left_out_and_said():
    notes, whole = [], shops()
    frame = whole.with_columns(sold=pl.when(pl.col("shop") != "b").then("sold"))
    panel, _ = read(frame, "sold", notes.append, item="shop")
    assert [series.name for series in panel.series] == ["a", "c"]
    assert "left out, as no sold is known of them: 1 series (b)" in notes
    with pytest.raises(DataError, match="no values"):
        read(frame.filter(pl.col("shop") == "b"), "sold", item="shop")


@pytest.mark.parametrize("together", [True, False])
def test_several_series_are_not_learned_as_one(together):
    with pytest.raises(DataError) as caught:
        read(shops(together=together), "sold")
    assert "--series shop" in caught.value.hint


def test_words_that_change_within_a_series_are_no_series():
    panel, _ = read(shops()[:20].with_columns(shop=pl.Series(["mon", "tue"] * 10)), "sold")
    assert panel.item is None


def test_what_is_known_in_advance_comes_after_the_last_target():
    frame = table(price=np.arange(20.0)).with_columns(
        sold=pl.when(pl.col("sold") > 14).then(None).otherwise("sold")
    )
    panel, series = read(frame, "sold", known=("price",))
    assert series.target[-1] == 14
    assert series.ahead[:, 0].tolist() == [15, 16, 17, 18, 19]
    assert panel.following(series, 1) == ["2024-01-16"]


def test_yes_alone_is_read_as_yes():
    _, series = read(table(open=["yes"] * 20), "sold", features=("open",))
    np.testing.assert_array_equal(series.values[:, 1], 1)
