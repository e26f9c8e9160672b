"""Example data: written once, never over something else, and of the sizes that are told."""

import polars as pl
import pytest

from chainrule.data.example_sets import EXAMPLES, write_example
from chainrule.errors import ConfigError, DataError

ROWS = {"houses": 21_613, "iris": 150, "co2": 2_284, "messages": 600}


@pytest.mark.parametrize("name", ROWS)
def test_tables_have_their_rows(name, tmp_path):
    paths = write_example(name, tmp_path)
    table = pl.read_csv(paths[0])
    target = EXAMPLES[name].train.split()[1]
    assert table.height == ROWS[name]
    assert table[target].n_unique() >= 3


@pytest.mark.parametrize(("name", "files"), [("shapes", 450), ("tones", 180)])
def test_folders_have_a_folder_for_each_of_three_classes(name, files, tmp_path):
    (root,) = write_example(name, tmp_path)
    folders = sorted(root.iterdir())
    assert len(folders) == 3
    assert {len(list(folder.iterdir())) for folder in folders} == {files // 3}


def test_the_same_bytes_each_time(tmp_path):
    for name in ("messages", "tones"):
        first, second = (write_example(name, tmp_path / part)[0] for part in "ab")
        files = [first] if first.is_file() else sorted(p for p in first.rglob("*") if p.is_file())
        for path in files:
            other = second if first.is_file() else second / path.relative_to(first)
            assert path.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_there_is_left_alone(name, tmp_path):
    path = write_example(name, tmp_path)[0]
    with pytest.raises(DataError, match="of this name already"):
        write_example(name, tmp_path)
    assert path.exists()


def test_other_names_are_refused_with_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'houses'"):
        write_example("house", tmp_path)
