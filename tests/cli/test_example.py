"""``chainrule example``: what it writes can be trained on with the command that it shows."""

import shlex

import pytest

from chainrule.data.example_sets import EXAMPLES


def test_without_a_name_they_are_listed(invoke):
    result = invoke("example")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in EXAMPLES)


@pytest.mark.usefixtures("without_compiler", "place")
@pytest.mark.parametrize("name", ["iris", "messages", "tones"])
def test_the_command_that_is_shown_trains(name, invoke):
    shown = invoke("example", name)
    assert shown.exit_code == 0, shown.output
    command = shown.output.partition("Train on it: chainrule ")[2]
    assert command, shown.output
    words = shlex.split(command.replace("\n", " "))
    trained = invoke(*words, "--epochs", "1", "--out", "run")
    assert trained.exit_code == 0, trained.output


@pytest.mark.usefixtures("place")
def test_it_does_not_overwrite(invoke):
    assert invoke("example", "iris").exit_code == 0
    again = invoke("example", "iris")
    assert again.exit_code == 2
    assert "iris.csv" in again.output


def test_unknown_names(invoke):
    result = invoke("example", "house")
    assert result.exit_code == 2
    assert "houses" in result.output
