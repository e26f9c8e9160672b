"""docs/audio.md is true: its commands run."""

import re
import shlex
from glob import glob
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chainrule.cli.app import app

from .conftest import make_tones

PAGE = Path(__file__).parents[3] / "docs" / "audio.md"


@pytest.mark.usefixtures("without_compiler")
def test_the_commands_run(tmp_path, monkeypatch):
    for name in ("sounds", "new_sounds"):
        make_tones(tmp_path / name, count=8)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("chainrule.tasks.audio.plan._FEW_EPOCHS", 1)
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == 6
    for line in lines:
        words = shlex.split(line.removeprefix("$ chainrule "))
        words = [part for word in words for part in (sorted(glob(word)) if "*" in word else [word])]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, f"{line}\n{result.output}"
