"""docs/command_line.md is true: its commands run, and it has every option and no other."""

import re
import shlex
from glob import glob
from pathlib import Path

import polars as pl
import pytest

from chainrule.cli.commands import NAMES
from chainrule.errors import ChainruleError

from .make_option_tables import filled

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
COMMANDS = set(NAMES)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def expanded(word: str) -> list[str]:
    """As a shell does it with file names."""
    return sorted(glob(word)) if "*" in word else [word]


@pytest.mark.usefixtures("without_compiler")
def test_the_commands_run(invoke, place, monkeypatch):
    houses = pl.read_parquet(ROOT / "examples" / "data" / "house_prices.parquet")
    houses.gather_every(100).write_csv(place / "houses.csv")
    (place / "new_houses.csv").write_bytes(
        (ROOT / "examples" / "data" / "new_houses.csv").read_bytes()
    )
    (options,) = blocks("toml")
    (place / "small.toml").write_text(options)
    monkeypatch.setenv("CHAINRULE_CACHE", str(place / "cache"))  # one of them clears it
    # The commands are as a reader types them; only their epochs are fewer.
    monkeypatch.setattr("chainrule.tasks.tabular.defaults._EPOCHS", 1)
    monkeypatch.setattr("chainrule.tasks.tabular.defaults._UPDATES", 1)
    lines = [line for block in blocks("console") for line in block.splitlines()]
    assert len(lines) >= 8
    for line in lines:
        words = shlex.split(line.removeprefix("$ chainrule "))
        result = invoke(*(part for word in words for part in expanded(word)))
        assert result.exit_code == 0, f"{line}\n{result.output}"
    assert (place / "prices.parquet").exists()
    assert (place / "runs" / "small" / "model.safetensors").exists()


def test_the_tables_of_options_are_those_that_are_declared():
    assert filled(PAGE) == PAGE, "run python tests/cli/make_option_tables.py"


def test_every_option_is_told_and_no_other(invoke):
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", PAGE))
    pages = [invoke(command, "--help").stdout for command in COMMANDS] + [invoke("--help").stdout]
    real = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", "\n".join(pages)))
    assert told - real == set()
    assert real - told == {"--show-completion"}
    assert COMMANDS & set(re.findall(r"chainrule ([\w-]+)", PAGE)) == COMMANDS


def test_the_error_is_laid_out_as_it_is_shown(invoke):
    (shown,) = (block for block in blocks("text") if block.startswith("error: "))
    result = invoke("train", "flats.csv", "--target", "rant")
    names = [line.split()[0] for line in result.stderr.splitlines()]
    assert names == [line.split()[0] for line in shown.splitlines()]


@pytest.mark.parametrize("kind", ChainruleError.__subclasses__())
def test_every_error_has_an_exit_code_that_is_told(kind):
    from chainrule.cli.error_handling import _code

    assert f"| {_code(kind('It is wrong.'))} |" in PAGE
