"""Files as arrays, by one process or several."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.errors import DataError
from chainrule.tasks.media import reading
from chainrule.tasks.media.copies import Signatures
from chainrule.tasks.media.reading import FileReader
from tests.in_processes import in_processes

PATHS = [f"{'bad' if n in (4, 17) else 'file'}-{n}" for n in range(23)]


def reader(asked):
    def read(path):
        asked.append(path)
        kind, _, number = path.partition("-")
        if kind == "bad":
            raise DataError("It is damaged.", where=path, hint="mend it")
        return np.full((2, 3), int(number), np.uint8)

    return FileReader(PATHS, read, (2, 3), np.uint8)


@pytest.mark.parametrize("memory", [2**20, 0])
def test_each_process_reads_a_part_and_all_know_of_all(monkeypatch, memory):
    monkeypatch.setattr(reading, "MAX_CACHED", memory)

    def checked():
        asked = []
        own = reader(asked)
        bad = own.check(np.arange(23))
        tried = list(asked)
        found = own(np.array([20, 0, 12]))[:, 0, 0].tolist()
        return bad, tried, found, asked[len(tried) :]

    parts = in_processes(monkeypatch, 3, checked)
    assert sorted(path for _, tried, _, _ in parts for path in tried) == sorted(PATHS)
    for bad, _, found, later in parts:
        assert {row: (e.what, e.where, e.hint) for row, e in bad.items()} == {
            4: ("It is damaged.", "bad-4", "mend it"), 17: ("It is damaged.", "bad-17", "mend it"),
        }  # fmt: skip
        assert found == [20, 0, 12]
        assert bool(later) == (memory == 0)  # from memory, or read again


def test_signatures_of_all_processes_stand_in_their_order(monkeypatch):
    from chainrule.utils import together

    digests = [b"", b"a" * 16, b"b" * 16, b"", b"c" * 16]
    pictures = np.arange(5.0)[:, None]

    def shared():
        own = slice(0, 2) if together.is_first() else slice(2, 5)
        return Signatures(digests[own], pictures[own]).of_all()

    for found in in_processes(monkeypatch, 2, shared):
        assert found.digests == digests
        np.testing.assert_array_equal(found.pictures, pictures)
