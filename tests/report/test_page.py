"""The page of a run, opened from its folder in a browser."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from chainrule.cli.app import app
from chainrule.report import RunContent, report_page
from chainrule.report.page import MOST_BYTES

from ..stored_runs.make_runs import RUNS
from ..test_stored_runs import unpack
from .conftest import SCRIPT, hostile


def opened(browser: Any, page: Path, width: int = 1280, dark: bool = False) -> Any:
    """The browser with a page, opened from a file."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get_log("browser")  # what others left behind
    browser.get(page.as_uri())
    return browser


def test_names_of_the_data_harm_nothing(browser: Any, hostile_run: Path) -> None:
    page = opened(browser, hostile_run / "report.html")
    assert page.execute_script("return window.harmed") is None
    assert page.execute_script("return document.querySelectorAll('script, iframe').length") == 0
    handlers = "[...document.querySelectorAll('*')].some(e => [...e.attributes].some("
    assert not page.execute_script(f"return {handlers} a => a.name.startsWith('on')))")
    assert page.get_log("browser") == []  # nothing was refused or not found, either
    text = page.execute_script("return document.body.textContent")
    assert SCRIPT in text
    assert "*/ }" in text
    assert "{{title}}" in text


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_screen_and_can_be_read(browser: Any, hostile_run: Path, width: int) -> None:
    page = opened(browser, hostile_run / "report.html", width)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    smallest = page.execute_script(
        "return Math.min(...[...document.querySelectorAll('.chart:not(.small) svg text')].map("
        "t => [t.getScreenCTM(), parseFloat(getComputedStyle(t).fontSize)]).map("
        "([m, size]) => size * Math.hypot(m.a, m.b)))"  # m turns the labels of the y axis
    )
    assert smallest >= 9.5  # pixels


def test_it_is_light_and_dark(browser: Any, hostile_run: Path) -> None:
    colours = "return [getComputedStyle(document.body).backgroundColor,"
    colours += "getComputedStyle(document.querySelector('svg .line')).stroke]"
    light = opened(browser, hostile_run / "report.html").execute_script(colours)
    dark = opened(browser, hostile_run / "report.html", dark=True).execute_script(colours)
    assert light[0] != dark[0]
    assert light[1] != dark[1]


def test_every_picture_has_words_and_numbers(browser: Any, hostile_run: Path) -> None:
    page = opened(browser, hostile_run / "report.html")
    charts = page.execute_script(
        "return [...document.querySelectorAll('figure.chart')].map(f => ["
        "f.querySelector('svg').getAttribute('aria-label').length,"
        "f.querySelectorAll('table tr').length, f.querySelector('figcaption').innerText])"
    )
    assert len(charts) >= 10
    for label, rows, title in charts:
        assert label > 3
        assert rows >= 2, title
    # A heading for each section, and a link that leads there.
    links = page.execute_script(
        "return [...document.querySelectorAll('nav a')].map(a => "
        "document.querySelector(a.getAttribute('href')).getAttribute('aria-labelledby'))"
    )
    assert len(links) >= 8
    assert all(links)


def test_the_page_says_what_was_measured(hostile_run: Path) -> None:
    record = json.loads((hostile_run / "run.json").read_text())
    page = (hostile_run / "report.html").read_text()
    assert len(page.encode()) <= MOST_BYTES
    assert f"{record['report']['metrics']['accuracy']:.4f}" in page
    assert f"{record['report']['baselines']['linear']['log_loss']:.4f}" in page
    assert record["model_sha256"] in page
    command = re.search(r"<code>(chainrule train [^<]*?)\n", page)
    assert command is not None
    for part in ("--target target", "--epochs 4", "--members 2", "--hidden 8"):
        assert part in html.unescape(command[1])
    stored = RunContent.read(hostile_run).stored
    charts = {chart.name: chart for each in stored.sections for chart in each.charts}
    counts = np.array([[int(text) for text in row] for row in charts["confusion"].marks[0].texts])
    tested = record["report"]["rows"]["test"]
    assert counts.sum() == tested
    right = np.trace(counts) / tested
    assert right == pytest.approx(record["report"]["metrics"]["accuracy"])
    # The column that decides is the first; the one of noise is not.
    assert charts["importance"].y.categories[0] in ("*/ }", SCRIPT)


def test_history_is_a_line_of_json_for_each_epoch(hostile_run: Path) -> None:
    lines = [json.loads(line) for line in (hostile_run / "history.jsonl").read_text().splitlines()]
    epochs = json.loads((hostile_run / "run.json").read_text())["history"]["epochs"]
    assert [{k: v for k, v in line.items() if k != "fit"} for line in lines] == epochs


def test_runs_side_by_side(hostile_run: Path, tmp_path: Path, browser: Any) -> None:
    target = tmp_path / "both.html"
    arguments = ["report", str(hostile_run), str(hostile_run), "--out", str(target)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert str(target) in result.stdout
    page = opened(browser, target, 390)
    assert page.execute_script("return window.harmed") is None
    assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    titles = page.execute_script(
        "return [...document.querySelectorAll('figcaption')].map(f => f.innerText)"
    )
    assert titles.count("ROC: run") == 2


@pytest.mark.parametrize("name", RUNS)
def test_runs_of_earlier_versions_have_a_page(name: str, tmp_path: Path) -> None:
    (record,) = unpack(name, tmp_path).rglob("run.json")
    page = report_page(RunContent.read(record.parent))
    assert "<h2" in page
    metric = next(iter(json.loads(record.read_text())["report"]["metrics"].values()))
    assert f"{metric:.3g}" in page.replace(",", "") or f"{metric:.0f}" in page.replace(",", "")


def test_what_is_damaged_is_left_out(hostile_run: Path, tmp_path: Path) -> None:
    for name in ("run.json", "report.json", "history.jsonl"):
        (tmp_path / name).write_bytes((hostile_run / name).read_bytes())
    (tmp_path / "report.json").write_text('{"format": "chainrule.report", "ver')
    (tmp_path / "findings.json").write_text("[1, {}")
    page = report_page(RunContent.read(tmp_path))
    assert "Confusion matrix" not in page
    assert "Summary" in page


def test_findings_are_shown_with_their_fix(hostile_run: Path, tmp_path: Path) -> None:
    for name in ("run.json", "report.json", "history.jsonl"):
        (tmp_path / name).write_bytes((hostile_run / name).read_bytes())
    finding = {
        "rule": "scale", "cause": "unscaled_inputs", "severity": "warning",
        "consequences": ["saturated units: 90% are flat."],
        "message": f"The column {SCRIPT} is huge.", "why": "Its gradient rules all others.",
        "formula": "max |x|", "measured": 12000.0, "threshold": 100.0, "layer": SCRIPT, "epoch": 2,
        "fix": {"sentence": "Standardise it.", "options": {"lr": 0.001, "balance": True}},
    }  # fmt: skip
    (tmp_path / "findings.json").write_text(json.dumps([finding]))
    page = report_page(RunContent.read(tmp_path))
    assert "<script" not in page
    assert "Unscaled inputs" in page
    assert "max |x|: 12,000 (threshold 100.00)" in page
    assert "--lr 0.001 --balance" in page
    assert "It brings about saturated units: 90% are flat." in page
    assert "Could also be" not in page
    (tmp_path / "findings.json").write_text(json.dumps([finding, {**finding, "sure": False}]))
    page = report_page(RunContent.read(tmp_path))
    assert page.count("Could also be: unscaled inputs") == 1
    assert "1 finding about this training" in page


def test_a_page_is_never_too_large(hostile_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainrule.report.page.MOST_BYTES", 120_000)
    page = report_page(RunContent.read(hostile_run))
    assert len(page) < 120_000
    assert "left out: the page would be too large" in page
    assert len(hostile()) == 120
