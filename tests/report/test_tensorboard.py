"""Event files: the bytes that TensorBoard's own reader has read, and what trainings write."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import chainrule as cr
from chainrule.cli.app import app
from chainrule.report import TensorBoard
from chainrule.report.event_files import EventFile, crc32c, event, record
from chainrule.report.tensorboard import event_files

from .conftest import hostile, write
from .tensorboard.make_reference import HERE, written

REFERENCE = json.loads((HERE / "read.json").read_text())


def fields(data: bytes) -> dict[int, list[Any]]:
    """The fields of a protocol message by number."""
    found: dict[int, list[Any]] = {}
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while place < len(data):
        key = varint()
        if key & 7 == 0:
            value: Any = varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            value = data[place : place + size]
            place += size
        found.setdefault(key >> 3, []).append(value)
    return found


def read(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Step and values by tag of each event; scalars as numbers."""
    data, place, found = path.read_bytes(), 0, []
    while place < len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        body = data[place + 12 : place + 12 + length]
        assert data[place : place + 16 + length] == record(body)  # both checksums
        place += 16 + length
        told = fields(body)
        values = {}
        for one in (fields(v) for part in told.get(5, []) for v in fields(part)[1]):
            (tag,) = one[1]
            values[tag.decode()] = struct.unpack("<f", one[2][0])[0] if 2 in one else one
        found.append((told.get(2, [0])[0], values))
    return found


def test_the_file_is_the_one_that_tensorboard_has_read(tmp_path: Path) -> None:
    assert written(tmp_path) == base64.b64decode(REFERENCE["file"])
    told = REFERENCE["read"]  # and TensorBoard found in it what was to be said
    assert told[2]["loss"] == 1.0
    assert told[4]["step"] == 300
    assert told[5]["summary"] == ["**R²** 0.5 für µ"]
    assert "STATUS_SUCCESS" in told[5]["_hparams_/session_end_info"]
    counts = told[3]["layers.0.weight"]
    assert (counts["num"], counts["min"], counts["max"]) == (2.0, -1.0, 0.2)
    assert 'string_value: "adamw"' in told[1]["_hparams_/session_start_info"]


def test_checksums_are_castagnolis() -> None:
    assert crc32c(b"") == 0
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_steps_that_do_not_fit_a_byte() -> None:
    assert fields(event(2**40 + 5, 1.0))[2] == [2**40 + 5]


def test_a_training_writes_every_number_of_its_history(tmp_path: Path) -> None:
    x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
    board = TensorBoard(tmp_path, {"lr": 0.1})
    model = cr.nn.Linear(1, 1).initialize(seed=0)
    trainer = cr.Trainer(model, "mse", callbacks=[board], progress=False, backend="numpy")
    history = trainer.fit((x, 3 * x), validation=0.25, epochs=40)
    board.finish({"metrics": {"r2": 0.5, "mae": None}, "epochs": 40}, ["Good."], ["**Bad**"])
    events = read(board.path)
    losses = [values["val_loss"] for _, values in events if "val_loss" in values]
    assert losses == [np.float32(value) for value in history["val_loss"]]
    assert [step for step, values in events if "loss" in values] == list(range(1, 41))
    histograms = [values for _, values in events if "weight" in values]
    assert 20 <= len(histograms) <= 40
    step, last = events[-1]
    assert step == 40
    assert last["test/R²"] == 0.5
    assert {"summary", "findings", "_hparams_/session_end_info"} <= set(last)


def test_a_full_disk_ends_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: EventFile, step: int, *values: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EventFile, "write", full)
    board = TensorBoard(tmp_path)
    x = np.ones((8, 1), np.float32)
    model = cr.nn.Linear(1, 1).initialize(seed=0)
    cr.Trainer(model, "mse", callbacks=[board], progress=False, backend="numpy").fit(
        (x, x), epochs=2
    )
    board.close()
    assert "No space left" in board.problem


@pytest.mark.usefixtures("without_compiler")
def test_the_command_line_writes_them_into_the_run_folder(tmp_path: Path) -> None:
    write(tmp_path / "data.csv", hostile(60))
    arguments = ["train", str(tmp_path / "data.csv"), "--target", "target", "--epochs", "2", "-q",
                 "--members", "1", "--hidden", "4", "--out", str(tmp_path / "run"),
                 "--force"]  # fmt: skip
    for _ in range(2):  # those of a replaced run go
        result = CliRunner().invoke(app, [*arguments, "--tensorboard"])
        assert result.exit_code == 0, result.output
        (path,) = event_files(tmp_path / "run")
        tags = {tag for _, values in read(path) for tag in values}
        assert {"loss", "val_loss", "test/accuracy", "summary"} <= tags
