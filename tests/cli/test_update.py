"""``chainrule update``, ``label-next`` and ``train --from``."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import polars as pl
import pytest

from .conftest import QUICK, flats

ROOT = Path(__file__).parents[2]


@pytest.fixture
def january(place):
    (place / "january.csv").write_text(flats(60, seed=1))
    return "january.csv"


def test_an_update_makes_a_new_run_and_says_what_it_is_worth(invoke, trained, january, place):
    before = (trained / "rent" / "model.safetensors").read_bytes()
    result = invoke("update", trained / "rent", january, "--epochs", 2, "--out", "new")
    assert result.exit_code == 0, result.output
    assert "before the update" in result.stdout
    assert "12 new rows that were held out" in result.stdout
    made = {path.name for path in (place / "new").iterdir()}
    assert made == {
        "history.jsonl", "model.safetensors", "report.html", "report.json", "run.json",
        "training.safetensors",
    }  # fmt: skip
    assert (trained / "rent" / "model.safetensors").read_bytes() == before
    again = invoke("update", "new", january, "--epochs", 1, "--out", "newer", "--json", "-q")
    assert json.loads(again.stdout)["updates"] == 2
    assert invoke("predict", "newer", january).exit_code == 0


def test_an_update_replaces_a_run_only_when_asked(invoke, trained, january):
    arguments = ("update", trained / "rent", january, "--epochs", 1, "--out", "new")
    assert invoke(*arguments).exit_code == 0
    refused = invoke(*arguments)
    assert refused.exit_code == 2
    assert "already holds a run" in refused.stderr
    assert "rent is as it was" in invoke(*arguments, "--force").stdout
    over = invoke("update", "new", january, "--epochs", 1, "--out", "new", "--force")
    assert "it replaces the old one" in over.stdout


def test_a_model_file_alone_is_enough(invoke, trained, january, place):
    (place / "m.safetensors").write_bytes((trained / "rent" / "model.safetensors").read_bytes())
    result = invoke("update", "m.safetensors", january, "--epochs", 1, "--out", "new")
    assert result.exit_code == 0, result.output
    assert "starts anew" in result.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--epochs", 0), "at least one epoch"),
        (("--lr", -1), "must be above 0"),
        (("--test", 2), "between 0 and 1"),
        (("--skip-bad",), "no option --skip-bad"),
    ],
)
def test_wrong_options_of_an_update(invoke, trained, january, options, says):
    result = invoke("update", trained / "rent", january, *options)
    assert result.exit_code == 2
    assert says in result.stderr


def test_rows_to_label(invoke, trained, place):
    result = invoke("label-next", trained / "class", "flats.csv", "--count", 3, "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert [set(row) for row in rows] == [{"row", "score", "reason", "prediction"}] * 3
    assert invoke("label-next", trained / "rent", "flats.csv", "--out", "x.csv").exit_code == 0
    assert pl.read_csv(place / "x.csv").height == 20
    assert "rent" in invoke("label-next", trained / "rent", "flats.csv").stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--strategy", "hope"), "Unknown strategy"),
        (("--count", 0), "At least one row"),
        (("--out", "x.doc"), "format of the output"),
        (("--strategy", "entropy"), "needs a model of classes"),
    ],
)
def test_wrong_options_of_label_next(invoke, trained, options, says):
    result = invoke("label-next", trained / "rent", "flats.csv", *options)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_training_begins_with_another_model(invoke, trained, place):
    arguments = ("train", "flats.csv", "--target", "class", "--drop", "rent", "--epochs", 1)
    start = ("--from", trained / "rent", "--freeze", "layers.0")
    result = invoke(*arguments, *start, "--out", "new")
    assert result.exit_code == 0, result.output
    assert "taken over" in result.stderr
    assert "frozen" in result.stderr
    record = json.loads((place / "new" / "run.json").read_text())
    assert record["options"]["from_model"] == str(trained / "rent")
    wrong = invoke(*arguments, *QUICK, "--freeze", "layers.0")
    assert wrong.exit_code == 2
    assert "--from" in wrong.stderr


@pytest.mark.usefixtures("without_compiler")
def test_the_commands_of_the_page_run(invoke, place, monkeypatch):
    page = (ROOT / "docs" / "learning_on.md").read_text(encoding="utf-8")
    houses = pl.read_parquet(ROOT / "examples" / "data" / "house_prices.parquet")
    houses.gather_every(300).write_csv(place / "houses.csv")
    houses.gather_every(700, 7).write_csv(place / "few_houses.csv")
    monkeypatch.setattr("chainrule.tasks.tabular.defaults._EPOCHS", 1)
    monkeypatch.setattr("chainrule.tasks.tabular.defaults._UPDATES", 1)
    blocks = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == 4
    for line in lines:
        result = invoke(*shlex.split(line.removeprefix("$ chainrule ")))
        assert result.exit_code == 0, f"{line}\n{result.output}"
