"""Pairs that are too many for memory: the same training, from a temporary file."""

import csv

import numpy as np
import pytest
from chainrule.sequence_to_text import SequenceToTextOptions

import chainrule as cr
from chainrule.data import table_scan
from chainrule.errors import DataError
from chainrule.tasks.sequence_to_text.pairs import Pairs
from chainrule.tasks.sequence_to_text.stored import StoredItems

from .conftest import pairs_of_digits


@pytest.fixture
def table(tmp_path):
    """A file with a pair twice, one without a target, and quoted line breaks."""
    rows = [*zip(*pairs_of_digits().values(), strict=True)]
    rows.insert(40, ("nine nine", ""))
    rows.append(rows[3])
    rows.append(("a line\nbreak — ü", "7-7"))
    path = tmp_path / "pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([("words", "number"), *rows])
    return path


def trained(path, **more):
    said = []
    options = SequenceToTextOptions(
        target="number", hidden=(16,), epochs=2, backend="numpy", **more
    )
    return cr.sequence_to_text.train(path, options, progress=False, say=said.append), said


@pytest.fixture
def in_parts(monkeypatch):
    monkeypatch.setattr(table_scan, "IN_MEMORY", 1_000)
    monkeypatch.setattr(table_scan, "_BLOCK", 900)


def test_it_is_the_training_in_memory(table, request):
    in_memory, heard = trained(table)
    request.getfixturevalue("in_parts")
    result, said = trained(table)
    assert any("read in parts: 156 pairs" in sentence for sentence in said)
    assert set(heard) < set(said)
    assert any(sentence.startswith("row 40 has no source") for sentence in said)
    assert any(sentence.startswith("1 pairs are there more than once") for sentence in said)
    assert result.report["metrics"] == in_memory.report["metrics"]
    assert result.report["baselines"] == in_memory.report["baselines"]
    state = in_memory.model.state()
    assert all(np.array_equal(state[name], array) for name, array in result.model.state().items())


def test_a_test_file_and_an_update_are_read_in_parts(table, tmp_path, in_parts):
    from chainrule.tasks.update import update

    other = tmp_path / "test.csv"
    other.write_text(table.read_text(encoding="utf-8") + "four nine,4-9\n", encoding="utf-8")
    result, said = trained(table, test=str(other), context=4)
    assert [s.split()[6] for s in said if "read in parts" in s] == ["156", "157"]
    assert result.report["rows"]["test"] == 157
    assert any("sources are longer than 4 tokens and are cut" in sentence for sentence in said)
    result.save(tmp_path / "model.safetensors")
    report = update(tmp_path / "model.safetensors", table, progress=False).report
    assert report["rows"]["train"] > 100
    with pytest.raises(DataError, match="other"):
        trained(table, features=("other",))


def test_items_come_back_as_they_were():
    items, all_ = StoredItems(), []
    for part in ([("a", "ü\n"), ""], [], ["\ud800", ("x",)]):
        items.extend(part)
        all_ += part
    assert list(items) == all_
    assert len(items) == 4
    assert items[-1] == ("x",)
    assert items[1:3][0] == ""
    assert list(items.take(np.array([3, 0])).take(np.array([1]))) == all_[:1]
    with pytest.raises(IndexError):
        items[4]


def test_a_sample_is_in_equal_distances(monkeypatch):
    from chainrule.tasks.sequence_to_text import pairs as module

    monkeypatch.setattr(module, "SAMPLE", 4)
    sources, target = StoredItems(), StoredItems()
    sources.extend([(str(n),) for n in range(10)])
    target.extend([str(n) for n in range(10)])
    pairs = Pairs(sources, target, np.arange(10))
    assert pairs.some().target == ["0", "2", "5", "7"]
    assert pairs.some(spread=False).target == ["0", "1", "2", "3"]
    assert not pairs.some().on_disk
