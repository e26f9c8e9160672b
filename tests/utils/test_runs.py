import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.errors import ChainruleError, ConfigError, DataError
from chainrule.utils.runs import (
    Run,
    default_folder,
    find_runs,
    json_data,
    model_file,
    read_run,
    reserved,
    write_run,
)

RECORD = {"data": "flats.csv", "report": {"metrics": {"r2": 0.5}}, "options": {"seed": 1}}


def write(folder: Path, content: bytes = b"model", record: Mapping[str, Any] = RECORD) -> Run:
    return write_run(folder, lambda path: path.write_bytes(content), record)


class TestDefaultFolder:
    @pytest.mark.parametrize(
        ("source", "start"),
        [
            ("data/my houses.csv.gz", "my-houses"),
            ("-", "stdin"),
            ("../.csv", "data"),
            ("größe.parquet", "größe"),
            ("C:\\data\\a b.csv", "C-data-a-b"),
        ],
    )
    def test_it_is_named_after_the_data(self, tmp_path, source, start):
        folder = default_folder(source, tmp_path)
        assert folder.parent == tmp_path
        assert folder.name.startswith(f"{start}-20")
        assert folder.name.endswith("-1")

    def test_it_is_free(self, tmp_path):
        first = default_folder("a.csv", tmp_path)
        write(first)
        second = default_folder("a.csv", tmp_path)
        assert second.name == first.name[:-1] + "2"


class TestReserved:
    def test_what_was_made_for_nothing_is_removed(self, tmp_path):
        with reserved(tmp_path / "a" / "b") as folder:
            assert folder.is_dir()
        assert list(tmp_path.iterdir()) == []

    def test_what_was_written_stays(self, tmp_path):
        (tmp_path / "old").mkdir()
        for name in ("new", "old"):
            with reserved(tmp_path / name) as folder:
                write(folder)
            assert read_run(tmp_path / name).name == name
        with reserved(tmp_path / "old", replace=True):
            pass
        assert read_run(tmp_path / "old").name == "old"

    def test_a_run_is_not_replaced_unasked(self, tmp_path):
        write(tmp_path)
        with pytest.raises(ConfigError, match="already holds a run"), reserved(tmp_path):
            pass

    @pytest.mark.parametrize("place", ["file/run", "/proc/run", "name\0"])
    def test_a_place_that_cannot_be_written(self, tmp_path, place):
        (tmp_path / "file").touch()
        with pytest.raises(ConfigError), reserved(tmp_path / place):
            pytest.fail("it was reserved")

    def test_no_space(self, tmp_path, monkeypatch):
        def full(**options):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("tempfile.TemporaryFile", full)
        with pytest.raises(ConfigError) as caught, reserved(tmp_path / "run"):
            pass
        assert caught.value.found == "No space left on device"
        assert not (tmp_path / "run").exists()


class TestWriteAndRead:
    def test_what_was_written_is_read(self, tmp_path):
        run = write(tmp_path / "run")
        again = read_run(tmp_path / "run")
        assert again.record == run.record
        assert again.metrics == {"r2": 0.5}
        assert again.options == {"seed": 1}
        assert set(again.record["versions"]) == {"chainrule", "python", "numpy", "polars"}
        assert (tmp_path / "run" / "model.safetensors").read_bytes() == b"model"

    @pytest.mark.parametrize(
        "error",
        [
            OSError(errno.ENOSPC, "No space left on device"),
            ChainruleError("There is no space left on the disk.", found="No space left on device"),
        ],
    )
    def test_an_older_run_survives_a_full_disk(self, tmp_path, error):
        write(tmp_path)

        def full(path):
            path.write_bytes(b"half")
            raise error

        with pytest.raises(ConfigError) as caught:
            write_run(tmp_path, full, {**RECORD, "data": "other.csv"})
        assert caught.value.found == "No space left on device"
        assert caught.value.where == str(tmp_path)
        assert read_run(tmp_path).record["data"] == "flats.csv"
        assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "run.json"}

    def test_an_interruption_leaves_nothing(self, tmp_path):
        def interrupted(path):
            path.write_bytes(b"half")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_run(tmp_path, interrupted, RECORD)
        assert list(tmp_path.iterdir()) == []

    def test_json_data(self):
        given = {
            1: (np.float32(0.5), np.inf, [np.nan]),
            "a": np.arange(2),
            "p": Path("x"),
            "n": None,
        }
        assert json_data(given) == {"1": [0.5, None, [None]], "a": [0, 1], "p": "x", "n": None}

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{", "cannot be read"),
            ("[]", "not the record of a run"),
            ('{"format": "other"}', "not the record of a run"),
            ('{"format": "chainrule.run", "version": 99}', "another version"),
            ("[" * 100_000, "cannot be read"),
        ],
    )
    def test_records_that_are_none(self, tmp_path, text, said):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(DataError, match=said):
            read_run(tmp_path)

    def test_no_run(self, tmp_path):
        with pytest.raises(DataError, match="no run here"):
            read_run(tmp_path / "none")


class TestFindRuns:
    def test_the_newest_first(self, tmp_path):
        for name, created in (("b", "2026-01-02"), ("c", "2026-01-03"), ("a", "2026-01-01")):
            write(tmp_path / name)
            path = tmp_path / name / "run.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), "created": created}))
        (tmp_path / "no run").mkdir()
        runs, damaged = find_runs(tmp_path)
        assert [run.name for run in runs] == ["c", "b", "a"]
        assert damaged == []

    def test_damaged_ones_are_told(self, tmp_path):
        write(tmp_path / "good")
        (tmp_path / "bad").mkdir()
        (tmp_path / "bad" / "run.json").write_bytes(b"\xff")
        runs, (error,) = find_runs(tmp_path)
        assert [run.name for run in runs] == ["good"]
        assert error.where == str(tmp_path / "bad" / "run.json")

    def test_no_folder(self, tmp_path):
        with pytest.raises(DataError, match="no such folder"):
            find_runs(tmp_path / "none")


class TestModelFile:
    def test_a_file_or_a_run_folder(self, tmp_path):
        write(tmp_path / "run")
        model = tmp_path / "run" / "model.safetensors"
        assert model_file(tmp_path / "run") == model
        assert model_file(model) == model
        assert model_file(tmp_path / "none") == tmp_path / "none"  # who opens it says what is wrong

    def test_other_folders(self, tmp_path):
        with pytest.raises(DataError, match="holds no model"):
            model_file(tmp_path)
        write(tmp_path / "run")
        with pytest.raises(DataError) as caught:
            model_file(tmp_path)
        assert str(tmp_path / "run") in str(caught.value.hint)
