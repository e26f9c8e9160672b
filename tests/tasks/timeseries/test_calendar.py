"""Times on even grids: months, working days, seconds, numbers; against NumPy's own calendar."""

import numpy as np
import pytest

from chainrule.errors import DataError
from chainrule.tasks.timeseries import Calendar, Panel, Series

DAY = 86_400.0


def following(calendar, last, count):
    """The next times as text."""
    panel = Panel((), ("y",), calendar=calendar)
    return panel.following(Series(np.zeros((1, 1)), np.zeros((0, 0)), last), count)


def seconds(*texts):
    return np.array(texts, "datetime64[s]").astype(float)


def test_ends_of_months_are_even():
    times = (np.arange("2019-01", "2021-06", dtype="datetime64[M]") + 1).astype("datetime64[D]") - 1
    calendar = Calendar.of(times.astype(float) * DAY, dates=True)
    assert (calendar.unit, calendar.step) == ("months", 1)
    assert calendar.places(times.astype(float) * DAY).tolist() == list(range(len(times)))
    assert following(calendar, times.astype(float)[-1] * DAY, 3) == [
        "2021-06-30", "2021-07-31", "2021-08-31",
    ]  # fmt: skip


def test_quarters_and_years_are_months():
    quarters = seconds("2020-01-15", "2020-04-15", "2020-07-15", "2020-10-15")
    calendar = Calendar.of(quarters, dates=True)
    assert (calendar.unit, calendar.step) == ("months", 3)
    assert following(calendar, quarters[-1], 2) == ["2021-01-15", "2021-04-15"]


def test_weekends_are_no_gaps_and_holidays_are():
    days = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]")
    days = days[np.is_busday(days)]
    calendar = Calendar.of(np.delete(days, 7).astype(float) * DAY, dates=True)
    assert calendar.unit == "working days"
    places = calendar.places(np.delete(days, 7).astype(float) * DAY)
    assert np.diff(places).max() == 2
    assert (np.diff(places) == 1).sum() == len(places) - 2
    friday = seconds("2024-03-01")[0]
    assert following(calendar, friday, 2) == ["2024-03-04", "2024-03-05"]


def test_hours_have_a_gap():
    times = np.delete(np.arange(10) * 3600.0, [4, 5])
    calendar = Calendar.of(times, dates=True)
    assert calendar.places(times).tolist() == [0, 1, 2, 3, 6, 7, 8, 9]
    assert following(calendar, times[-1], 2) == ["1970-01-01T10:00:00", "1970-01-01T11:00:00"]


def test_years_are_numbers():
    calendar = Calendar.of(np.arange(1700.0, 1750), dates=False)
    assert following(calendar, 1749.0, 2) == ["1750", "1751"]


def test_a_clock_that_is_not_quite_even_will_do():
    times = np.arange(100) * 60.0 + np.random.default_rng(0).uniform(-5, 5, 100)
    assert Calendar.of(times, dates=True).places(times).tolist() == list(range(100))


def test_times_that_are_not_even_are_refused():
    times = np.cumsum(np.random.default_rng(0).exponential(1, 50)) * DAY
    with pytest.raises(DataError, match="not even") as caught:
        Calendar.of(times, dates=True, where="visits.csv")
    assert "after row" in caught.value.found
    assert caught.value.where == "visits.csv"
