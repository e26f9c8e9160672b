"""The same value is read from every way of writing it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.data import parsing
from chainrule.data.parsing import DATE_FORMATS, NOTATIONS, PLAIN, Notation

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def numbers(*texts: str, notation: Notation = PLAIN) -> list[float | None]:
    tidy = parsing.tidy(pl.Series(texts))
    assert tidy is not None
    return parsing.read_numbers(tidy, notation).to_list()


def written(value: float, notation: Notation) -> str:
    """A number in a notation, by another way than reading it: Python's own formatting."""
    text = f"{value:,.3f}"
    return text.translate({ord(","): notation.thousands, ord("."): notation.decimal})


@pytest.mark.parametrize("notation", NOTATIONS, ids=str)
@given(values=st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=20))
@settings(max_examples=25, deadline=None)
def test_numbers_in_every_notation(notation: Notation, values: list[int]) -> None:
    expected = [value / 1000 for value in values]
    texts = pl.Series([written(value, notation) for value in expected])
    assert parsing.read_numbers(texts, notation).to_list() == expected


@given(st.lists(FINITE, min_size=1))
@settings(max_examples=100, deadline=None)
def test_plain_numbers_are_read_to_the_bit(values: list[float]) -> None:
    assert numbers(*map(repr, values)) == values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$1234.5", 1234.5),
        ("-$5", -5.0),
        ("$-5", -5.0),
        ("(12.5)", -12.5),
        ("($12.5)", -12.5),
        ("7 %", 7.0),
        ("12€", 12.0),
        ("$-", 0.0),
        ("$ –", 0.0),
        (" -   € ", 0.0),
        ("12.5-", -12.5),
        ("1-2", None),
        ("EUR 12", 12.0),
        ("12 kr.", 12.0),
        ("\u22123", -3.0),
        ("+.5", 0.5),
        ("1e-3", 0.001),
        ("  8 ", 8.0),
        ("Inf", float("inf")),
        ("-infinity", float("-inf")),
        ("1.2.3", None),
        ("1,2", None),
        ("12 apples", None),
        ("--5", None),
        ("0x10", None),
        ("$", None),
        ("%", None),
    ],
)
def test_what_stands_around_numbers(text: str, value: float | None) -> None:
    assert numbers(text) == [value]


@pytest.mark.parametrize(
    ("texts", "best"),
    [
        (["1", "2.5"], "1234.5"),
        (["1,234", "5"], "1,234.5"),
        (["1,234.50", "0.5"], "1,234.5"),
        (["1,23,456"], "1,234.5"),
        (["0,5", "1,234"], "1234,5"),
        (["1.234,5", "7"], "1.234,5"),
        (["1.234.567"], "1.234,5"),
        (["1 234,5", "1\u00a0234"], "1 234,5"),
        (["1'234.5"], "1'234.5"),
    ],
)
def test_the_notation_is_found(texts: list[str], best: str) -> None:
    found = parsing.fitting_notations(pl.Series(texts), pl.Series([1] * len(texts)), 1.0)
    assert str(found[0]) == best


def test_words_and_addresses_have_no_notation() -> None:
    for texts in (["a", "b"], ["10.0.0.1"], ["1-2", "3-4"], ["2014-05-02"], ["0.123.456"]):
        assert parsing.fitting_notations(pl.Series(texts), pl.Series([1] * len(texts)), 0.95) == []


def test_accounting() -> None:
    cells = ["$1,234.50", "($829.48)", " $-   ", "$ (3.00)", "$12"]
    assert numbers(*cells, notation=Notation(".", ",")) == [1234.5, -829.48, 0.0, -3.0, 12.0]


@pytest.mark.parametrize(
    "token",
    ["", " ", "NA", "n/a", "NULL", "None", "NaN", "?", "-", "#N/A", "#DIV/0!", "#Value!", "#REF!"],
)
def test_missing_values(token: str) -> None:
    tidy = parsing.tidy(pl.Series([token, "x"]))
    assert tidy is not None
    assert tidy.to_list() == [None, "x"]


def test_tidy_brings_all_types_to_a_few() -> None:
    day = datetime(2014, 5, 2)
    moment = datetime(2014, 5, 2, 2, tzinfo=UTC)
    zoned = pl.Series([moment]).dt.convert_time_zone("Asia/Tokyo")
    cases = [
        (pl.Series(["a"], dtype=pl.Categorical), ["a"]),
        (pl.Series(["a"], dtype=pl.Enum(["a"])), ["a"]),
        (pl.Series([None]), [None]),
        (pl.Series([1], dtype=pl.UInt8), [1]),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), [float(2**64 - 1)]),
        (pl.Series([1.5, float("nan")], dtype=pl.Float32), [1.5, None]),
        (pl.Series(["1.5"]).cast(pl.Decimal(10, 2)), [1.5]),
        (pl.Series([day.date()]), [day]),
        (zoned, [moment.replace(tzinfo=None)]),
        (pl.Series([day.replace(hour=1).time()]), [datetime(1970, 1, 1, 1)]),
        (pl.Series([timedelta(minutes=1)]), [60.0]),
    ]
    for column, expected in cases:
        tidy = parsing.tidy(column)
        assert tidy is not None
        assert tidy.to_list() == expected
    for nested in (pl.Series([[1]]), pl.Series([{"a": 1}]), pl.Series([b"x"])):
        assert parsing.tidy(nested) is None


def test_booleans() -> None:
    assert parsing.read_booleans(pl.Series(["T", "off", "2", None])).to_list() == [
        *(True, False, None, None)
    ]
    assert parsing.read_booleans(pl.Series([1.0, 0.0, 0.5])).to_list() == [True, False, None]
    assert parsing.are_booleans(pl.Series(["Yes", "n", "NO"]))
    assert parsing.are_booleans(pl.Series([1, 0]))
    assert not parsing.are_booleans(pl.Series(["yes", "y"]))
    assert not parsing.are_booleans(pl.Series(["f", "m"]))
    assert not parsing.are_booleans(pl.Series([1, 2]))


@pytest.mark.parametrize(
    "date_format",
    [f for f in DATE_FORMATS if ("%Y" in f or "%y" in f) and "%q" not in f and "%3f" not in f],
)
def test_dates_in_every_format(date_format: str) -> None:
    """Python's strftime writes, polars reads."""
    moments = [datetime(1999, 12, 31, 23, 59, 58), datetime(2014, 1, 2, 3, 4, 5)]
    python_format = date_format.replace("%.f", "").replace("%#z", "+0000")
    texts = [moment.strftime(python_format) for moment in moments]
    read = parsing.read_dates(pl.Series(texts), date_format).to_list()
    assert [moment.strftime(python_format) for moment in read] == texts
    if "%d" in date_format:
        assert [moment.date() for moment in read] == [moment.date() for moment in moments]
    counts = pl.Series([1, 1])
    if all(len(set(text)) > 1 for text in texts):
        assert date_format in parsing.fitting_date_formats(pl.Series(texts), counts, 1.0)


def test_zones_and_fractions() -> None:
    texts = ["2014-01-02T03:04:05.25+02:00", "2014-01-02T01:04:05.25Z"]
    first, second = parsing.read_dates(pl.Series(texts), "%Y-%m-%dT%H:%M:%S%.f%#z").to_list()
    assert first == second == datetime(2014, 1, 2, 1, 4, 5, 250_000)


def test_no_date_of_another_age() -> None:
    assert (
        parsing.read_dates(pl.Series(["2/3/14", "31/02/2014"]), "%d/%m/%Y").to_list() == [None] * 2
    )


@given(st.lists(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)), min_size=1))
@settings(max_examples=50, deadline=None)
def test_epoch_seconds(moments: list[datetime]) -> None:
    expected = [(moment - datetime(1970, 1, 1)) / timedelta(seconds=1) for moment in moments]
    found = parsing.epoch_seconds(pl.Series(moments, dtype=pl.Datetime("us")))
    np.testing.assert_allclose(found.to_numpy(), expected, rtol=1e-15, atol=1e-6)


@given(st.lists(st.integers(-(2**53), 2**53), min_size=1))
@settings(max_examples=50, deadline=None)
def test_codes_are_the_same_from_every_type(codes: list[int]) -> None:
    expected = [str(code) for code in codes]
    for column in (
        pl.Series(codes, dtype=pl.Int64),
        pl.Series([float(code) for code in codes]),
        pl.Series(expected),
        pl.Series([f"{code}.0" for code in codes]),
    ):
        assert parsing.read_categories(column).to_list() == expected


def test_leading_zeros_stay() -> None:
    assert parsing.read_categories(pl.Series(["007", "01.0"])).to_list() == ["007", "01.0"]
