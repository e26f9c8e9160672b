"""Columns of plain numbers take a short way that must say what the long one says."""

from __future__ import annotations

import polars as pl
import pytest

from chainrule.data import parsing
from chainrule.data.column_profile import Conventions, Profile
from chainrule.data.infer_column import decide
from chainrule.data.parsing import currencies, units
from chainrule.tasks.detection import is_text_with_class


@pytest.mark.parametrize(
    ("cells", "plain"),
    [
        (["1", "2.5", None, "-1e3", "+5", ".5", "5.", "inf"], True),
        ([], True),
        ([None], True),
        (["1", "nan"], False),
        (["1", " 2"], False),
        (["1", "-"], False),
        (["1", ""], False),
        (["1", "$2"], False),
        (["1", "(2)"], False),
    ],
)
def test_the_short_way_is_the_long_one(
    cells: list[str | None], plain: bool, monkeypatch: pytest.MonkeyPatch
):
    column = pl.Series("x", cells, pl.String)
    assert parsing.are_plain(column) == plain

    def all_ways() -> list[object]:
        values, rows = parsing.tally(column).get_columns() if len(cells) else (column, column)
        return [
            parsing.tidy(column).to_list(),
            parsing.tidy(column, ["5."]).to_list(),
            parsing.bare_numbers(column).to_list(),
            parsing.signs(column),
            parsing.other_signs(column, ["€"]).fill_null(False).to_list(),
            parsing.find_unit(values, rows.cast(pl.Int64, strict=False), 0.9),
        ]

    short = all_ways()
    for module in (parsing.cells, currencies, units):
        monkeypatch.setattr(module, "are_plain", lambda text: False)
    assert all_ways() == short


@pytest.mark.parametrize(
    "cells",
    [
        [*map(str, range(30)), None, "1.234", "7"],
        [*[f"{n / 8}" for n in range(40)], "-999", "-999", "-999"],
        ["0", "1", "1", None] * 9,
        ["20240131", "20231224"] * 12,
        ["1", "inf", "2"],
        [None, None],
        [],
    ],
)
def test_a_column_of_plain_numbers_is_profiled_like_any_other(cells: list[str | None]):
    column = pl.Series("paid", cells, pl.String)
    short, usual = Profile.of(column), Profile("paid", parsing.tidy(column))
    assert short.is_plain
    assert not usual.is_plain

    def said(profile: Profile) -> list[object]:
        return [
            *(profile.slips, profile.unit, profile.signs, profile.mixed_signs()),
            *(profile.notations, profile.date_formats, profile.present, profile.missing),
            profile.letters_in_numbers(),
            profile.tally.rows(),
            profile.stand_in("numeric") if profile.present else None,
            decide(profile, Conventions(), None, 1000, "the table"),
        ]

    assert said(short) == said(usual)


def test_measurements_make_a_table_at_once():
    rows = 40
    text = [f"it was number {n} of many that day" for n in range(rows)]
    frame = pl.DataFrame({"class": ["a", "b"] * 20, "text": text})
    assert is_text_with_class(frame, "class")
    numbers = {f"x{k}": [str(n / 7 + k) for n in range(rows)] for k in range(2)}
    assert not is_text_with_class(
        frame.with_columns(**{k: pl.Series(v) for k, v in numbers.items()}), "class"
    )
    assert is_text_with_class(
        frame.with_columns(id=pl.Series(range(rows)).cast(pl.String)), "class"
    )
