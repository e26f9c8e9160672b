"""docs/images.md is true: its commands run."""

import re
import shlex
from glob import glob
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chainrule.cli.app import app

from .conftest import make_bars

PAGE = Path(__file__).parents[3] / "docs" / "images.md"


@pytest.mark.usefixtures("without_compiler")
def test_the_commands_run(tmp_path, monkeypatch):
    for name in ("digits", "new_digits"):
        make_bars(tmp_path / name, count=8, side=16)
        (tmp_path / name / "lying").rename(tmp_path / name / "7")
    photos = sorted(glob(str(tmp_path / "digits" / "*" / "*")))
    (tmp_path / "new").mkdir()
    for name in ("animals.csv", "new/animals.csv"):
        rows = [f"{photo},{number % 5},{number}" for number, photo in enumerate(photos)]
        (tmp_path / name).write_text("\n".join(["photo,age,weight", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("chainrule.tasks.images.plan._FEW_EPOCHS", 1)
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == 8
    for line in lines:
        words = shlex.split(line.removeprefix("$ chainrule "))
        words = [part for word in words for part in (sorted(glob(word)) if "*" in word else [word])]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, f"{line}\n{result.output}"
    assert (tmp_path / "predictions.csv").exists()
