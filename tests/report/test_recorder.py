"""The report while a training goes on, and when it ends otherwise than hoped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import chainrule
import chainrule as cr
from chainrule.cli.app import app
from chainrule.errors import DataError
from chainrule.report import Recorder, RunContent, report_page
from chainrule.report.flow import flow
from chainrule.report.watch import ADDRESS, Watcher, served_page, version

from .conftest import hostile, write

SOURCE = Path(chainrule.__file__).parents[1]


def trained(recorder: Recorder, epochs: int = 3) -> cr.History:
    x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
    model = cr.nn.Linear(1, 1).initialize(seed=0)
    trainer = cr.Trainer(model, "mse", callbacks=[recorder], progress=False, backend="numpy")
    return trainer.fit((x, 3 * x), epochs=epochs)


def test_a_killed_run_leaves_a_readable_page(tmp_path: Path, browser: Any) -> None:
    write(tmp_path / "data.csv", hostile())
    options = ["--epochs", "100000", "--members", "1", "--hidden", "4", "--out", "run", "-q"]
    command = [sys.executable, "-m", "chainrule", "train", "data.csv", "--target", "target"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "CHAINRULE_CC": ""}
    process = subprocess.Popen([*command, *options], cwd=tmp_path, env=environment)
    page, history = tmp_path / "run" / "report.html", tmp_path / "run" / "history.jsonl"
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:
            if page.exists() and history.exists() and history.read_text().count("\n") > 5:
                break
            time.sleep(0.05)
        assert "The training goes on" in page.read_text()
        assert "The data" in page.read_text()  # the profile is there before the first epoch
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    content = RunContent.read(tmp_path / "run")
    assert len(content.epochs) >= 5
    result = CliRunner().invoke(app, ["report", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    assert "chainrule train --resume" in page.read_text()
    browser.get_log("browser")
    browser.get(page.as_uri())
    assert browser.execute_script("return document.querySelectorAll('svg .line').length") >= 1
    assert browser.get_log("browser") == []


def test_what_goes_wrong_ends_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("chainrule.report.recorder.write_page", full)
    monkeypatch.setattr("chainrule.report.content.write_atomically", full)
    recorder = Recorder(tmp_path, {})
    assert len(trained(recorder)) == 3
    recorder.finish(list)
    assert "No space left on device" in recorder.problem


def test_a_failed_training_leaves_what_was_there_before(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, {})
    trained(recorder)
    recorder.discard()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "run.json").write_text("{}")  # a run that is to be replaced
    (tmp_path / "report.html").write_text("the old page")
    recorder = Recorder(tmp_path, {})
    trained(recorder)
    recorder.close()
    assert (tmp_path / "report.html").read_text() != "the old page"
    recorder.discard()
    assert (tmp_path / "report.html").read_text() == "the old page"
    assert not (tmp_path / "history.jsonl").exists()


def test_the_page_is_written_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(
        "chainrule.report.recorder.write_page", lambda folder, content=None: written.append(content)
    )
    recorder = Recorder(tmp_path, {})
    monkeypatch.setattr("chainrule.report.recorder._SECONDS", 1e9)
    monkeypatch.setattr("chainrule.report.recorder._FIRST", 0.0)
    trained(recorder, epochs=200)
    assert recorder._thread is not None
    recorder._thread.join()
    assert len(written) == 1
    monkeypatch.setattr("chainrule.report.recorder._FIRST", 60.0)
    recorder = Recorder(tmp_path, {})
    trained(recorder)
    recorder._release()  # at once: a training of less than that has no page meanwhile
    assert len(written) == 1


def test_nothing_to_report_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run here"):
        RunContent.read(tmp_path)
    result = CliRunner().invoke(app, ["report", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "no such run folder" in result.stderr


def ask(url: str, host: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_training_is_watched_on_this_machine_only(tmp_path: Path, browser: Any) -> None:
    import threading

    recorder = Recorder(tmp_path, {"data": "squares"})
    trained(recorder)
    recorder.close()
    with Watcher(tmp_path) as server:
        assert server.server_address[0] == ADDRESS == "127.0.0.1"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        assert ask(server.url)[0] == 200
        assert ask(server.url, "evil.example:80")[0] == 403
        assert ask(f"{server.url}run.json")[0] == 404
        browser.get_log("browser")
        browser.get(server.url)
        before = version(tmp_path)
        assert browser.execute_script("return document.body.dataset.version") == before
        with (tmp_path / "history.jsonl").open("a") as file:
            file.write('{"fit": 1, "epoch": 4, "loss": 0.5}\n')
        assert version(tmp_path) != before
        browser.execute_async_script("look().then(arguments[0])")
        state = browser.execute_script("return document.querySelector('.state').innerText")
        assert "4 epochs" in state
        server.shutdown()
    browser.execute_async_script("look().then(arguments[0])")
    assert not browser.execute_script("return document.getElementById('lost').hidden")
    assert [e for e in browser.get_log("browser") if "Content Security" in e["message"]] == []


def test_the_served_page_allows_its_own_program_only(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, {"data": "<script>x</script>"})
    trained(recorder)
    recorder.close()
    page = served_page(tmp_path)
    assert page.count("<script>") == 1
    assert "connect-src 'self'" in page


def test_measurements_are_drawn_over_layers_and_time(tmp_path: Path) -> None:
    moments = [
        {"step": step, "gradient": {"a.weight": 2.0 * size, "b.weight": size, "b.bias": 1.0},
         "weight": {"a.weight": 4.0, "b.weight": 1.0},
         "update": {"a.weight": 0.04, "b.weight": 0.1},
         "activations": {"relu": {"dead": 0.25}, "tanh": {"dead": 0.0}}}
        for step, size in ((0, 1.0), (1000, 0.01))
    ]  # fmt: skip
    recorder = Recorder(tmp_path, {"data": "d"})
    recorder.measured = lambda: {"sizes": {"a.weight": 16, "b.weight": 4}, "measurements": moments}
    trained(recorder)
    recorder._release()
    content = RunContent(tmp_path, stored=recorder.stored)
    (section,) = flow(content)
    charts = {chart.name: chart for chart in section.charts}
    assert charts["gradient_flow"].y.categories == ("a.weight", "b.weight")  # no bias
    assert charts["gradient_flow"].x.categories == ("step 0", "step 1,000")
    assert charts["gradient_flow"].marks[0].values == ((0.5, 0.005), (0.5, 0.005))
    assert charts["update_ratio"].marks[0].values == ((0.01, 0.01), (0.1, 0.1))
    assert charts["dead_units"].y.categories == ("relu",)
    assert flow(RunContent(tmp_path)) == []


def test_an_interrupted_run_shows_its_model_and_how_to_go_on(tmp_path: Path) -> None:
    from chainrule.utils.unfinished import Unfinished

    recorder = Recorder(tmp_path, {"data": "d"})
    trained(recorder)
    Unfinished(tmp_path, "table", "d.csv", "d.csv", "0", {"target": "y"}).write()
    record = {
        "format": "chainrule.run",
        "version": 1,
        "created": "2026-11-29T09:00:00",
        "report": {"metrics": {"r2": 0.5}},
        "history": {"epochs": [], "interrupted": True},
    }
    (tmp_path / "run.json").write_text(json.dumps(record))  # fmt: skip
    page = report_page(RunContent.read(tmp_path))
    assert "Interrupted, with the best weights so far" in page
    assert "chainrule train --resume" in page
    assert "0.5000" in page
    with (tmp_path / "history.jsonl").open("a") as file:  # it went on, and was killed
        file.write('{"fit": 1, "epoch": 4, "loss": 0.5}\n')
    later = (tmp_path / "run.json").stat().st_mtime_ns + 10**9
    os.utime(tmp_path / "history.jsonl", ns=(later, later))
    page = report_page(RunContent.read(tmp_path))
    assert "not finished: 4 epochs" in page
