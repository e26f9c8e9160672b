"""Run folders written by earlier versions: they load, predict the same, and can be updated."""

from __future__ import annotations

import base64
import csv
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from .stored_runs.make_runs import HERE, RUNS, command, rounding

SAME_ROUNDING = rounding()


def unpack(name: str, folder: Path) -> Path:
    content = base64.b64decode((HERE / f"{name}.base64").read_text())
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(params=RUNS)
def stored(request, tmp_path, monkeypatch):
    if request.param == "audio":
        pytest.importorskip("soundfile")
    monkeypatch.chdir(unpack(request.param, tmp_path))
    return request.param, tmp_path


def agree(found: str, expected: str, exactly: bool) -> None:
    """Compare two CSV texts; numbers to the bit, or to the rounding of float32."""
    if exactly:
        assert found == expected
        return
    for mine, theirs in zip(csv.reader([found]), csv.reader([expected]), strict=True):
        assert [numbers(x) is None for x in mine] == [numbers(x) is None for x in theirs]
        np.testing.assert_allclose(
            [numbers(x) for x in mine if numbers(x) is not None],
            [numbers(x) for x in theirs if numbers(x) is not None],
            rtol=1e-5, atol=1e-6,
        )  # fmt: skip


def numbers(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def test_an_old_run_predicts_the_same_bits(stored):
    name, folder = stored
    data = f"new/{RUNS[name][1]}"
    exactly = (folder / "rounding").read_text() == SAME_ROUNDING
    expected = (folder / "predictions").read_text()
    if name.startswith("language"):
        options = ("--prompt", "the ", "--length", 40, "--temperature", 0)
        found = command("generate", "run", *options)
        assert found == expected if exactly else len(found) == len(expected)
    else:
        proba = [] if name in ("table_numbers", "forecast") else ["--proba"]
        found = command("predict", "run", data, "--digits", "all", *proba)
        assert len(found.splitlines()) == len(expected.splitlines())
        for mine, theirs in zip(found.splitlines(), expected.splitlines(), strict=True):
            agree(mine, theirs, exactly)
    metrics = json.loads(command("evaluate", "run", data, "--json"))["metrics"]
    reference = json.loads((folder / "evaluation").read_text())["metrics"]
    metrics = {metric: metrics[metric] for metric in reference}  # there may be new ones
    if exactly and not name.startswith("language"):
        assert metrics == reference
    # Those of language are computed in C, where earlier versions fused products with sums.
    assert metrics == pytest.approx(reference, rel=1e-7 if exactly else 1e-5, abs=1e-6)


@pytest.mark.usefixtures("without_compiler")
def test_an_old_run_can_be_updated(stored):
    name, folder = stored
    maker, data, many, _, _ = RUNS[name]
    shutil.rmtree(folder / "new")
    (folder / "new").mkdir()
    maker(folder / "new" / data, many, 2)
    told = command("update", "run", f"new/{data}", "--epochs", 1, "--out", "later", "--json")
    report = json.loads(told)
    assert report["updates"] == 1
    assert report["baselines"]["before the update"].keys() == report["metrics"].keys()
    assert (folder / "later" / "model.safetensors").is_file()
