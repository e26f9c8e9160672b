"""A small table, a model of it, and two ways to run the program: in this process and in its own."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import chainrule
from chainrule.cli.app import app

QUICK = ("--epochs", "2", "--hidden", "8", "--members", "2")


def flats(rows: int, seed: int = 0) -> str:
    """A CSV of flats whose rent follows from their size and city."""
    generator = np.random.default_rng(seed)
    size = generator.uniform(20, 120, rows)
    city = generator.choice(["Oslo", "Rome", "Bern"], rows)
    rent = 8 * size + 200 * (city == "Oslo") + generator.normal(0, 20, rows)
    cheap = np.where(rent < 650, "cheap", "dear")
    lines = [f"{s:.1f},{c},{r:.0f},{k}" for s, c, r, k in zip(size, city, rent, cheap, strict=True)]
    return "\n".join(["m2,city,rent,class", *lines]) + "\n"


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with flats.csv and the runs rent and class, which nobody changes."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "flats.csv").write_text(flats(80))
    for target, other in (("rent", "class"), ("class", "rent")):
        arguments = [str(folder / "flats.csv"), "--target", target, "--drop", other, *QUICK]
        result = CliRunner().invoke(app, ["train", *arguments, "--out", str(folder / target)])
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder: an empty one with flats.csv."""
    (tmp_path / "flats.csv").write_text(flats(80))
    monkeypatch.chdir(tmp_path)
    # A terminal of the one who runs the tests must not change what is tested.
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "CHAINRULE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def invoke(place):
    """Run a command in this process; the result has stdout, stderr and exit_code."""

    def run(*arguments, **options):
        # A wide terminal, so that lines are not broken where a test looks.
        environment = {"COLUMNS": "300"}
        return CliRunner().invoke(app, list(map(str, arguments)), env=environment, **options)

    return run


@pytest.fixture
def start(place):
    """Start the program in a process of its own, as a shell does."""
    source = Path(chainrule.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    with contextlib.ExitStack() as processes:

        def run(*arguments, command=("-m", "chainrule"), before=None):
            process = subprocess.Popen(
                [sys.executable, *command, *map(str, arguments)],
                env=environment,
                cwd=place,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=before,
            )
            processes.enter_context(process)
            processes.callback(process.kill)  # if a test fails while it runs
            return process

        yield run
