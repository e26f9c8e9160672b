"""Which kinds of data there are, and which one a source is."""

import dataclasses
import json
import time

import pytest

from chainrule.errors import ConfigError, DataError, ModelFileError
from chainrule.tasks import KINDS, TrainingOptions, kind_of, module_of, recognise


def made(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_the_contract(kind):
    module = module_of(kind)
    assert issubclass(module.Options, TrainingOptions)
    assert dataclasses.is_dataclass(module.Options)
    assert callable(module.train)
    assert callable(module.predictor)
    assert isinstance(module.NEW, str)


class TestRecognise:
    def test_tables(self, tmp_path):
        (tmp_path / "a.csv").write_text("a,b\n1,2\n")
        assert recognise(tmp_path / "a.csv") == "table"
        assert recognise("-") == recognise({"a": [1]}) == recognise("gone.csv") == "table"
        (tmp_path / "a.txt").write_text("a\tb\n1\t2\n")
        assert recognise(tmp_path / "a.txt", target="b") == "table"

    def test_folders_by_what_most_files_are(self, tmp_path):
        pictures = made(tmp_path / "p", "cat/1.PNG", "dog/2.jpeg", "dog/3.png", "README.txt")
        assert recognise(pictures) == "images"
        assert recognise(made(tmp_path / "s", "one/a.wav", "two/b.flac")) == "audio"
        assert recognise(made(tmp_path / "t", "ham/a.txt", "spam/b.txt", "spam/x.png")) == "text"

    def test_hidden_files_do_not_count(self, tmp_path):
        folder = made(tmp_path / "s", "one/a.wav", "one/.thumb/1.png", "one/.thumb/2.png")
        assert recognise(folder) == "audio"

    def test_a_folder_of_nothing_known(self, tmp_path):
        with pytest.raises(DataError, match="known kind") as caught:
            recognise(made(tmp_path / "x", "a.doc", "b.doc", "c"))
        assert caught.value.found == "2 .doc, 1 without an ending"
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match="known kind"):
            recognise(tmp_path / "empty")

    def test_a_table_that_names_files(self, tmp_path):
        made(tmp_path, "pictures/one.png", "two.wav")
        (tmp_path / "a.csv").write_text("file,label\npictures/one.png,cat\n")
        (tmp_path / "b.csv").write_text("label;file\nx;two.wav\n")
        (tmp_path / "c.csv").write_text("file,label\npictures/gone.png,cat\n")
        found = [recognise(tmp_path / name) for name in ("a.csv", "b.csv", "c.csv")]
        assert found == ["images", "audio", "table"]

    def test_long_cells_take_no_time(self, tmp_path):
        made(tmp_path, "two words.png")
        names = "one; two words.png (the second)\n"
        (tmp_path / "a.csv").write_text("x" * 60_000 + ";" + names)
        before = time.process_time()
        assert recognise(tmp_path / "a.csv") == "images"
        assert time.process_time() - before < 5  # it took 50 s

    def test_single_files(self, tmp_path):
        made(tmp_path, "a.png", "b.wav", "c.txt")
        found = [recognise(tmp_path / name) for name in ("a.png", "b.wav", "c.txt")]
        assert found == ["images", "audio", "text"]


class TestModelFiles:
    def test_the_kind_is_in_the_schema(self):
        assert kind_of(None, "m") == kind_of("{}", "m") == kind_of({"a": 1}, "m") == "table"
        assert kind_of(json.dumps({"kind": "table"}), "m") == "table"

    @pytest.mark.parametrize("kind", ["holograms", ["table"], 3, None])
    def test_kinds_of_a_later_version(self, kind):
        with pytest.raises(ModelFileError, match="not known"):
            kind_of(json.dumps({"kind": kind}), "m")


def test_unknown_kinds():
    with pytest.raises(ConfigError, match="no kind of data 'imges'"):
        module_of("imges")


def test_an_option_of_another_kind(tmp_path):
    from typer.testing import CliRunner

    from chainrule.cli.app import app

    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    arguments = ["train", str(tmp_path / "a.csv"), "--target", "b", "--kind", "holograms"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "holograms" in result.stderr
