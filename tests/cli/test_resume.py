"""``chainrule train --resume`` and ``--reproduce``: nothing is lost, and all can be repeated."""

import json
import signal
import time

import numpy as np
import pytest

from tests.cli.conftest import QUICK, flats
from tests.engine.backends.same_bits import building, need_x86
from tests.nightly import by_night

LONG = ("--target", "rent", "--hidden", "8", "--members", "2", "--backend", "numpy")


def sha(run):
    return json.loads((run / "run.json").read_text())["model_sha256"]


def kill_after(process, folder, number, epochs=1):
    """Send a signal once a checkpoint has so many epochs."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for manifest in folder.glob("checkpoints/fit-*/step-*/manifest.json"):
            if len(json.loads(manifest.read_text())["facts"]["history"]) >= epochs:
                process.send_signal(number)
                return process.communicate(timeout=30)
        time.sleep(0.02)
    raise AssertionError(process.communicate())


@pytest.fixture
def often(monkeypatch):
    """Checkpoints as often as possible."""
    monkeypatch.setenv("CHAINRULE_CHECKPOINT_SECONDS", "0")


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, by_night(signal.SIGTERM), by_night(signal.SIGHUP)]
)
def test_what_was_killed_goes_on_to_the_same_model(often, start, invoke, place, number):
    (place / "flats.csv").write_text(flats(2000))
    whole = [*LONG, "--epochs", 40, "--out"]
    assert invoke("train", "flats.csv", *whole, "whole", "--quiet").exit_code == 0
    process = start("train", "flats.csv", *whole, "mine")
    _, said = kill_after(process, place / "mine", number)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        assert said.splitlines()[-1] == "Interrupted. To go on: chainrule train --resume mine"
    listed = json.loads(invoke("runs", ".", "--json").stdout)
    assert [run["run"] for run in listed if run.get("unfinished")] == ["mine"]
    assert "mine: unfinished; " in invoke("runs", ".").stdout
    refused = invoke("train", "flats.csv", *whole, "mine")
    assert "Go on with it: chainrule train --resume mine" in refused.stderr
    result = invoke("train", "--resume", "mine", "--threads", 1, "--quiet")
    assert result.exit_code == 0, result.stderr
    assert sha(place / "mine") == sha(place / "whole")
    assert not list((place / "mine").glob("*unfinished*"))
    assert not (place / "mine" / "checkpoints").exists()
    assert "no unfinished training" in invoke("train", "--resume", "mine").stderr


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, by_night(signal.SIGTERM), by_night(signal.SIGINT)]
)
def test_an_update_that_was_killed_goes_on_to_the_same_model(
    often, start, invoke, place, trained, number
):
    (place / "new.csv").write_text(flats(2000, seed=5))
    whole = ["update", trained / "rent", "new.csv", "--epochs", 100, "--out"]
    assert invoke(*whole, "whole", "--quiet").exit_code == 0
    process = start(*whole, "mine")
    _, said = kill_after(process, place / "mine", number)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        assert said.splitlines()[-1].endswith("go on: chainrule train --resume mine")
    assert "mine: unfinished; " in invoke("runs", ".").stdout
    refused = invoke("train", "--resume", "mine", "--lr", 0.1)
    assert "has the options that it began with" in refused.stderr
    content = (place / "new.csv").read_text()
    (place / "new.csv").write_text(content.replace("5", "6", 1))
    assert "no longer those" in invoke("train", "--resume", "mine").stderr
    (place / "new.csv").write_text(content)
    result = invoke("train", "--resume", "mine", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["updates"] == 1
    assert sha(place / "mine") == sha(place / "whole")
    assert not list((place / "mine").glob("*unfinished*"))
    assert not (place / "mine" / "checkpoints").exists()


def test_a_folder_belongs_to_one_training_and_that_to_its_data_and_options(
    often, start, invoke, place
):
    process = start("train", "flats.csv", *LONG, "--epochs", 4000, "--out", "mine")
    while not (place / "mine" / "unfinished.json").exists():
        time.sleep(0.02)
    for more in ([], ["--force"]):
        second = invoke("train", "flats.csv", *LONG, "--out", "mine", *more)
        assert second.exit_code == 2
        assert "Another process is training into this folder." in second.stderr
    assert "a training that runs" in invoke("runs", ".").stdout
    kill_after(process, place / "mine", signal.SIGTERM)
    refused = invoke("train", "--resume", "mine", "--epochs", 5)
    assert refused.exit_code == 2
    assert "--epochs 5" in refused.stderr
    assert invoke("train", "other.csv", "--resume", "mine").exit_code == 2
    (place / "flats.csv").write_text(flats(80, seed=1))
    refused = invoke("train", "--resume", "mine")
    assert refused.exit_code == 2
    assert "no longer those that the training began with" in refused.stderr
    changed = invoke("train", "--resume", "mine", "--epochs", 5, "--allow-changes")
    assert changed.exit_code == 0, changed.stderr


def test_minutes_that_are_given_to_it_count_from_then_on(often, start, invoke, place):
    process = start("train", "flats.csv", *LONG, "--epochs", 90000, "--minutes", 9, "--out", "mine")
    kill_after(process, place / "mine", signal.SIGKILL)
    result = invoke("train", "--resume", "mine", "--minutes", 0.01, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["stop_reason"] == "the time that was given is over"
    assert 0.01 < report["options"]["minutes"] < 2  # with those before


def test_a_damaged_record_of_a_training_is_named(invoke, place):
    (place / "mine").mkdir()
    for content in ("{", "[]", '{"format": "chainrule.unfinished", "version": 1}', "[" * 10**5):
        (place / "mine" / "unfinished.json").write_text(content)
        refused = invoke("train", "--resume", "mine")
        assert refused.exit_code == 2
        assert "mine/unfinished.json" in refused.stderr


@pytest.mark.parametrize("more", [[], ["--cv", 3]])
def test_a_run_is_reproduced_to_the_bit(invoke, place, more):
    made = invoke("train", "flats.csv", "--target", "rent", *QUICK, *more, "--out", "mine")
    assert made.exit_code == 0, made.stderr
    assert sha(place / "mine")
    again = invoke("train", "--reproduce", "mine", "--quiet")
    assert again.exit_code == 0, again.stderr
    assert again.stdout.startswith("Reproduced: the model file has the same bits (SHA-256 ")
    record = json.loads((place / "mine" / "run.json").read_text())
    record["options"]["seed"] = 1
    (place / "mine" / "run.json").write_text(json.dumps(record))
    other = invoke("train", "--reproduce", "mine", "--quiet", "--json")
    assert other.exit_code == 1
    found = json.loads(other.stdout)
    assert found["identical"] is False
    assert found["first_difference"] == 1
    (place / "flats.csv").write_text(flats(81))
    assert invoke("train", "--reproduce", "mine").exit_code == 2


@pytest.mark.nightly
def test_an_exact_run_is_reproduced_without_fused_multiply_adds(invoke, place):
    need_x86()
    with building("native"):
        made = invoke("train", "flats.csv", "--target", "rent", *QUICK, "--exact", "--out", "mine")
    assert made.exit_code == 0, made.stderr
    assert json.loads((place / "mine" / "run.json").read_text())["options"]["exact"] is True
    with building("sse"):
        again = invoke("train", "--reproduce", "mine", "--quiet")
    assert again.exit_code == 0, again.stdout + again.stderr
    assert again.stdout.startswith("Reproduced")


def test_the_state_of_another_model_is_refused(invoke, place):
    for seed in (0, 1):
        made = invoke(
            "train", "flats.csv", "--target", "rent", *QUICK, "--seed", seed, "--out", seed
        )
        assert made.exit_code == 0, made.stderr
    (place / "0" / "training.safetensors").rename(place / "1" / "training.safetensors")
    refused = invoke("update", "1", "flats.csv")
    assert refused.exit_code == 2
    assert "belongs to another model" in refused.stderr
    (place / "1" / "training.safetensors").unlink()
    assert invoke("update", "1", "flats.csv", "--out", "new").exit_code == 0
    assert np.isfinite(json.loads((place / "new" / "run.json").read_text())["report"]["seconds"])


def test_a_full_disk_under_the_log_ends_no_training(start, place):
    def full():
        import os

        os.dup2(os.open("/dev/full", os.O_WRONLY), 2)

    process = start("train", "flats.csv", "--target", "rent", *QUICK, "--out", "mine", before=full)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "The model is in mine" in out
