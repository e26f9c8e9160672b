"""A small sample of what `make torture` does for an hour."""

from collections import Counter
from unittest import mock

import pytest

from chainrule.errors import ChainruleError
from tests.torture import crashes, fuzz, hostile, interruptions


class Counts(Counter):
    def __call__(self, what, number):
        self[what] += number


def test_crashes_lose_nothing():
    counts = Counts()
    crashes.crash(0, counts, most=100)
    assert counts["crash points"] == 100


@pytest.mark.nightly
def test_a_folder_whose_names_are_not_brought_to_the_disk_is_noticed():
    with (
        mock.patch("chainrule.training.checkpoints.sync_folder"),
        pytest.raises(AssertionError, match="lost"),
    ):
        crashes.crash(0, Counts(), most=600)


def test_a_disk_that_fails_ends_no_training():
    counts = Counts()
    crashes.fail(0, counts, points=3)
    assert counts["disk errors"] == 3


@pytest.mark.parametrize("seed", range(4))
def test_interrupted_trainings_have_the_same_bits(seed):
    counts = Counts()
    interruptions.trainers(seed, counts)
    assert counts["interruptions"] >= 1


@pytest.mark.nightly
@pytest.mark.parametrize("kind", interruptions.KINDS)
def test_killed_commands_go_on_to_the_same_model(kind):
    interruptions.commands(0, Counts(), (kind,))


def test_hostile_files_are_refused_at_once():
    counts = Counts()
    hostile.refuse_all(counts)
    assert counts["hostile files"] >= 100


def test_what_is_no_file_is_refused(tmp_path):
    for path in hostile.places_that_are_no_files(tmp_path):
        readers = [fuzz._model, fuzz._image, fuzz._sound]
        if path.name != "pipe":  # a table may come from one: <(zcat data.gz)
            readers += [fuzz._read_table, fuzz._text]
        for read in readers:
            with pytest.raises(ChainruleError):
                read(path)


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_random_inputs_are_read_or_refused(name):
    target = fuzz.TARGETS[name]
    pytest.importorskip("soundfile")
    made = fuzz.inputs(target, target.seeds(), seed=1)
    with fuzz.watched(count := [0]):
        for _ in range(4 if "forged" in name or name == "cells" else 40):
            kind, wrong = fuzz.answer(target, next(made))
            count[0] += 1
            assert wrong is None, f"{kind}: {wrong}"


def test_a_fault_of_a_reader_is_found(tmp_path, monkeypatch):
    def read(data):
        return str(1 / (len(data) - 3))

    monkeypatch.setitem(fuzz.TARGETS, "faulty", fuzz.Target(lambda: [b"abcd"], read))
    found = fuzz.fuzz("faulty", tmp_path, seconds=0.2, seed=1)
    (kind,) = found["failures"]
    assert kind.startswith("ZeroDivisionError at test_torture.py:")
    (kept,) = (tmp_path / "failures" / "faulty").glob("*.input")
    assert len(kept.read_bytes()) == 3
