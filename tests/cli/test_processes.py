"""Trainings by several processes on this machine: real ones, which meet on 127.0.0.1."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.cli.processes import Asked, without_own
from chainrule.errors import ConfigError
from chainrule.utils import together
from chainrule.utils.environment import seconds

pytest.importorskip("jax", reason="JAX is not installed: pip install 'chainrule[xla]'")


# ---- what the parent understands ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (("0", None, None, None), "Invalid value for processes"),
        (("two", None, None, None), "Invalid value for processes"),
        (("", 0, "node:1", None), "Invalid value for processes"),
        (("2", 1, None, None), "--process and --coordinator belong together"),
        (("2", None, "node:1", None), "--process and --coordinator belong together"),
        (("2", 2, "node:1", None), "Invalid value for process"),
        (("auto", 1, None, None), "--processes auto asks the launcher"),
        (("2", None, None, "c"), "Several processes need the backend xla"),
    ],
)
def test_wrong_options_are_refused(given, problem):
    with pytest.raises(ConfigError, match=problem):
        Asked.of(*given)


def test_the_parents_own_options_do_not_reach_its_processes():
    words = ["train", "--processes=2", "a.csv", "--coordinator", "n:1", "--target", "--process"]
    assert without_own(words) == ["train", "a.csv", "--target"]


class Others:
    """A group of which this is the second process, and the others say what they are told."""

    number, count = 1, 3

    def __init__(self, first, third):
        self.first, self.third = first, third

    def gather(self, values):
        return [self.first or values, values, self.third or values]

    def pulse(self, alive):
        pass


def test_the_first_process_decides(monkeypatch):
    monkeypatch.setattr(together._known, "group", Others([7], None))
    assert (together.agreed(3), together.is_first(), together.process_count()) == (7, False, 3)


def test_a_process_with_other_data_is_named(monkeypatch):
    monkeypatch.setattr(together._known, "group", Others(None, None))
    together.need_same("data", "abc")
    monkeypatch.setattr(together._known, "group", Others(None, [0] * 32))
    with pytest.raises(ConfigError, match="do not have the same data") as caught:
        together.need_same("data", "abc")
    assert caught.value.found == "process 2 differs from process 0"


def test_an_address_that_is_taken_and_one_where_nobody_is(monkeypatch):
    from chainrule.engine.backends.xla.processes import _meet, address_of

    monkeypatch.setenv("CHAINRULE_START_SECONDS", "1")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match="cannot be used") as caught:
            _meet("127.0.0.1", port, 0)
        assert caught.value.where == f"127.0.0.1:{port}"
        _meet("127.0.0.1", port, 1)
    with pytest.raises(ConfigError, match="Nobody answers at the coordinator's address for 1 s"):
        _meet("127.0.0.1", port, 1)
    with pytest.raises(ConfigError, match="This is no address"):
        address_of("node1")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (("node:1", None, None), "belong together"),
        ((None, 2, 0), "belong together"),
        (("node:1", 2, 2), "Invalid value for process"),
        (("node:1", 0, 0), "Invalid value for process"),
    ],
)
def test_joining_with_arguments_that_do_not_fit_is_refused(given, problem):
    with pytest.raises(ConfigError, match=problem):
        cr.training.join(*given)


@pytest.mark.parametrize("said", ["soon", "-1", "nan"])
def test_seconds_that_are_none_are_refused_by_name(monkeypatch, said):
    monkeypatch.setenv("CHAINRULE_HANG_SECONDS", said)
    with pytest.raises(ConfigError, match="Invalid value for CHAINRULE_HANG_SECONDS") as caught:
        seconds("CHAINRULE_HANG_SECONDS", 600)
    assert caught.value.found == said


# ---- real ones -----------------------------------------------------------------------------------

ROWS = 1003  # divided neither by batches nor by processes


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3))
    y = x[:, 0] ** 2 + x[:, 1]
    path = tmp_path_factory.mktemp("data") / "rows.csv"
    lines = [",".join(f"{v:.5f}" for v in (*row, t)) for row, t in zip(x, y, strict=True)]
    path.write_text("a,b,c,y\n" + "\n".join(lines))
    return path


def command(*words, **more):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}
    return subprocess.Popen(
        [sys.executable, "-m", "chainrule", *map(str, words)], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def train(table, out, *words, **more):
    options = ("--target", "y", "--hidden", "16", "--members", "1", "--lr", "0.01", "--epochs")
    return command("train", table, *options, *words, "--out", out, **more)


def losses(run: Path):
    content = json.loads((run / "run.json").read_text())
    return np.array([record["loss"] for record in content["history"]["epochs"]])


@pytest.mark.nightly
@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_train_as_one(table, tmp_path, count):
    alone = train(table, tmp_path / "one", "12", "--backend", "xla")
    several = train(table, tmp_path / "several", "12", "--processes", count)
    for done in (alone, several):
        _, told = done.communicate(timeout=600)
        assert done.returncode == 0, told
    assert len(losses(tmp_path / "one")) == 12
    np.testing.assert_allclose(losses(tmp_path / "several"), losses(tmp_path / "one"), rtol=1e-5)


@pytest.fixture
def pictures(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    rng = np.random.default_rng(0)
    for kind, low in (("dark", 20), ("light", 120)):
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for number in range(160):
            pixels = rng.integers(low, low + 100, (16, 16, 3)).astype(np.uint8)
            image.fromarray(pixels).save(tmp_path / "pictures" / kind / f"{number}.png")
    return tmp_path / "pictures"


@pytest.mark.nightly
@pytest.mark.parametrize(("kind", "tolerance"), [("table", 1e-5), ("pictures", 5e-5)])
def test_processes_that_read_a_part_of_the_data_train_as_one(request, tmp_path, kind, tolerance):
    data = request.getfixturevalue(kind)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{found.getsockname()[1]}"
    runs = []
    for name, more in (("one", ()), ("0", (place, "2", "0")), ("1", (place, "2", "1"))):
        out = tmp_path / f"{name}.json"
        words = [sys.executable, "-m", "tests.cli.part_by_part", str(data), str(out), *more]
        process = subprocess.Popen(
            words, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        runs.append((process, out))
    for process, _ in runs:
        _, told = process.communicate(timeout=600)
        assert process.returncode == 0, told
    alone, *others = [json.loads(out.read_text()) for _, out in runs]
    for found in others:
        np.testing.assert_allclose(found["losses"], alone["losses"], rtol=tolerance)
        assert found["seen"] <= 0.75 * alone["seen"]


def workers_of(parent: int) -> list[int]:
    found = subprocess.run(
        ["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False
    )
    return sorted(int(line) for line in found.stdout.split())


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


@pytest.mark.nightly
@pytest.mark.parametrize("killed", [0, 1])
def test_the_death_of_a_process_ends_all_and_the_c_backend_goes_on(table, tmp_path, killed):
    run = tmp_path / "run"
    begun = train(table, run, "3000", "--processes", 2, CHAINRULE_CHECKPOINT_SECONDS="0.5")
    wait_for(lambda: list(run.glob("**/manifest.json")))
    workers = workers_of(begun.pid)
    assert len(workers) == 2
    os.kill(workers[killed], signal.SIGKILL)
    died = time.monotonic()
    _, told = begun.communicate(timeout=60)
    assert time.monotonic() - died < 15
    assert begun.returncode == 1
    assert f"Process {killed} of 2 was ended by SIGKILL" in told
    assert "--resume RUN" in told
    assert workers_of(begun.pid) == []
    goes_on = command("train", "--resume", run, "--epochs", "40", "--backend", "c",
                      "--allow-changes")  # fmt: skip
    _, told = goes_on.communicate(timeout=300)
    assert goes_on.returncode == 0, told
    assert len(losses(run)) >= 40


@pytest.mark.nightly
def test_a_training_of_the_c_backend_goes_on_by_two_processes(table, tmp_path):
    run = tmp_path / "run"
    begun = train(table, run, "100000", "--backend", "c", CHAINRULE_CHECKPOINT_SECONDS="0.5")
    wait_for(lambda: list(run.glob("**/manifest.json")))
    begun.kill()
    begun.communicate()
    kept = [json.loads(path.read_text()) for path in run.glob("**/manifest.json")]
    done = max(each["facts"]["position"]["epochs"] for each in kept)
    goes_on = command("train", "--resume", run, "--processes", "2", "--backend", "xla",
                      "--epochs", done + 20, "--allow-changes")  # fmt: skip
    _, told = goes_on.communicate(timeout=300)
    assert goes_on.returncode == 0, told
    assert len(losses(run)) == done + 20
    assert np.max(losses(run)[-5:]) < 0.5 * losses(run)[0]


@pytest.mark.nightly
def test_a_coordinator_that_cannot_be_reached_is_said(table, tmp_path):
    alone = train(table, tmp_path / "run", "3", "--coordinator", "127.0.0.1:9", "--processes", "2",
                  "--process", "1", CHAINRULE_START_SECONDS="3")  # fmt: skip
    _, told = alone.communicate(timeout=120)
    assert alone.returncode
    assert "Nobody answers at the coordinator's address for 3 s" in told
    assert "Traceback" not in told


@pytest.mark.nightly
def test_a_process_that_stands_still_is_noticed(table, tmp_path):
    run = tmp_path / "run"
    begun = train(table, run, "3000", "--processes", 2, CHAINRULE_CHECKPOINT_SECONDS="0.5",
                  CHAINRULE_HANG_SECONDS="5")  # fmt: skip
    wait_for(lambda: list(run.glob("**/manifest.json")))
    os.kill(workers_of(begun.pid)[1], signal.SIGSTOP)
    stopped = time.monotonic()
    _, told = begun.communicate(timeout=60)
    assert time.monotonic() - stopped < 15 + 5
    assert begun.returncode == 1
    assert re.search("stands still|has lost another process", told), told


@pytest.mark.nightly
def test_two_trainings_on_one_port_and_other_data(table, tmp_path):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{found.getsockname()[1]}"
    other = tmp_path / "other.csv"
    other.write_text(table.read_text().replace("0.1", "0.2"))
    words = ("--coordinator", place, "--processes", "2", "--process")
    first = train(table, tmp_path / "a", "5", *words, 0)
    wait_for(lambda: _listens(place))
    second = train(table, tmp_path / "b", "5", *words, 0)
    _, told = second.communicate(timeout=120)
    assert second.returncode == 2
    assert "The address of the coordinator cannot be used" in told
    third = train(other, tmp_path / "c", "5", *words, 1)
    told = first.communicate(timeout=240)[1] + third.communicate(timeout=240)[1]
    assert first.returncode
    assert third.returncode
    assert "The processes of this training do not have the same" in told


def _listens(place):
    host, port = place.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
