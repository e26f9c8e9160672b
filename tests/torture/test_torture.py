"""A small sample of what `make torture` does for an hour."""

from collections import Counter
from unittest import mock

import pytest

from tests.torture import crashes, interruptions


class Counts(Counter):
    def __call__(self, what, number):
        self[what] += number


def test_crashes_lose_nothing():
    counts = Counts()
    crashes.crash(0, counts, most=150)
    assert counts["crash points"] == 150


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
