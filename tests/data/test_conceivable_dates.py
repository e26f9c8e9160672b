"""Formats are left out before their patterns are compiled, and none that a cell may have."""

from __future__ import annotations

import pytest

from chainrule.data.parsing import dates

CELLS = [
    *(
        "2014-01-02",
        "2/3/2014",
        "3 Jan 2014",
        "January 5, 2014",
        "5 de mayo de 2014",
        "2014年1月2日",
    ),
    *("Q1 2014", "2014Q1", "2014-Q4", "W05 2014", "2014-W05-1", "2014-123", "2014M03", "1/2014"),
    *("1 января 2014 г.", "12:30", "12:30 p.m.", "2014-01-02T10:11:12.5+01:00", "20140102T101112Z"),
    *("Jan 2 10:11:12 2014", "12/Jan/2014:10:11:12 +0100", "1.2.14 10:11:12 GMT", "\u0663/1/2014"),
]


@pytest.mark.parametrize("cell", CELLS)
def test_what_a_cell_looks_like_is_conceivable(cell):
    alike = [text for text in dates.DATE_FORMATS if dates._looks(text).match(cell)]
    found = dates._conceivable([cell])
    assert alike
    assert set(alike) <= set(found)
    assert len(found) < len(dates.DATE_FORMATS) / 2
