"""docs/text.md is true: its commands run."""

import re
import shlex
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from chainrule.cli.app import app

PAGE = Path(__file__).parents[3] / "docs" / "text.md"
MAILS = {"ham": "see you at noon", "spam": "win a prize now"}


@pytest.mark.usefixtures("without_compiler")
def test_the_commands_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [(name, f"{text} number {i}") for i in range(12) for name, text in MAILS.items()]
    for number, (name, text) in enumerate(rows):
        for folder in ("mails", "new_mails"):
            Path(folder, name).mkdir(parents=True, exist_ok=True)
            Path(folder, name, f"{number}.txt").write_text(text)
    pl.DataFrame(rows, ["class", "text"], orient="row").write_csv("mails.csv")
    for play in ("plays.txt", "another_play.txt"):
        Path(play).write_text("ROMEO\nBut soft, what light!\n\nJULIET\nAy me!\n\n" * 60)
    # The commands are as a reader types them; only networks and trainings are smaller, and
    # nothing is compiled.
    monkeypatch.setattr(
        "chainrule.tasks.text.language_modelling._HIDDEN", {"gpt": (8,), "lstm": (8,)}
    )
    monkeypatch.setattr("chainrule.tasks.text.language_modelling._MOST_EPOCHS", 1)
    monkeypatch.setattr("chainrule.tasks.text.classification._UPDATES", 1)
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == 10
    for line in lines:
        words = shlex.split(line.removeprefix("$ chainrule "))
        quicker = ["--backend", "numpy"] if words[0] == "train" else []
        result = CliRunner().invoke(app, [*words, *quicker])
        assert result.exit_code == 0, f"{line}\n{result.output}"
        if " generate " in line:
            assert result.stdout.startswith("ROMEO")
            assert len(result.stdout) == len("ROMEO\n") + 200
    assert pl.read_csv("predictions.csv").columns == ["file", "prediction"]


def test_only_language_models_write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pl.DataFrame({"x": [1.0, 2, 3, 4, 5], "y": [2.0, 4, 6, 8, 10]}).write_csv("line.csv")
    train = ["train", "line.csv", "-t", "y", "--epochs", "1", "--out", "run", "--hidden", "4"]
    assert CliRunner().invoke(app, train).exit_code == 0
    result = CliRunner().invoke(app, ["generate", "run"])
    assert result.exit_code == 2
    assert "does not continue texts" in result.stderr
