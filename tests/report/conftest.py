"""Runs with names that would be programs if anybody forgot to escape them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from chainrule.cli.app import app

from ..browser import browser

__all__ = ["browser"]

SCRIPT = "<script>window.harmed=1</script>"
IMAGE = "\"><img src=x onerror='window.harmed=2'>"
#: The columns of the table: each has a name that breaks out of something.
NAMES = (SCRIPT, "*/ }", "a & b {{title}}", "target")


def hostile(rows: int = 120, seed: int = 0) -> list[list[str]]:
    """A class that follows from the second column and from the words of the first."""
    draw = np.random.default_rng(seed)
    size, noise = draw.normal(size=rows), draw.normal(size=rows)
    words = draw.choice([SCRIPT, IMAGE, "]]>"], rows)
    classes = np.where(size + 0.7 * (words == IMAGE) > 0.2, IMAGE, SCRIPT)
    return [
        [str(w), f"{s:.4f}", f"{n:.4f}", str(c)]
        for w, s, n, c in zip(words, size, noise, classes, strict=True)
    ]


def write(path: Path, rows: list[list[str]], names: tuple[str, ...] = NAMES) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return path


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a training on the hostile table, which nobody changes."""
    folder = tmp_path_factory.mktemp("hostile")
    data = write(folder / f"{IMAGE.replace('/', '')}.csv", hostile())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAINRULE_CC", "")
        arguments = ["train", str(data), "--target", "target", "--epochs", "4", "--members", "2",
                     "--hidden", "8", "--out", str(folder / "run")]  # fmt: skip
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return folder / "run"
