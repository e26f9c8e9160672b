"""What `make extras` runs; the installations themselves are too long for these tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from chainrule.data import read_table

_SPEC = importlib.util.spec_from_file_location("extras", Path(__file__).parent / "extras.py")
assert _SPEC is not None
assert _SPEC.loader is not None
extras = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(extras)


def test_every_extra_has_a_use():
    assert set(extras.USES) == set(extras.extras())


def test_the_page_on_installation_tells_of_every_extra():
    page = (extras.ROOT / "docs/install.md").read_text()
    assert [name for name in extras.extras() if f"`{name}`" not in page] == []


def test_the_workbook_is_one(tmp_path):
    pytest.importorskip("fastexcel")
    extras.write_book(tmp_path / "book.xlsx")
    table = read_table(tmp_path / "book.xlsx")
    assert table.to_dict(as_series=False) == {"a": [1, 2, 3], "b": [5, 6, 8]}
