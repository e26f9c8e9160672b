import json
from pathlib import Path
from typing import Any

from chainrule.utils.runs import Run, write_run


def make(folder: Path, r2: float, **options: Any) -> Run:
    report = {"metrics": {"r2": r2, "rmse": 10.0}, "epochs": 7, "seconds": 75.0, "parameters": 1234}
    record = {"data": "data/flats.csv", "target": "rent", "options": options, "report": report}
    return write_run(folder, lambda path: path.write_bytes(b"model"), record)


def test_the_newest_comes_first(invoke, place):
    make(place / "runs" / "first", 0.5)
    make(place / "runs" / "second", 0.25)
    result = invoke("runs")
    header, _, *lines = result.stdout.splitlines()
    assert header.split() == ["run", "data", "target", "test", "epochs", "time"]
    assert lines[0].split() == [
        "second",
        "flats.csv",
        "rent",
        "R²",
        "0.2500",
        "7",
        "1",
        "min",
        "15",
        "s",
    ]
    assert lines[1].split()[0] == "first"
    assert [run["run"] for run in json.loads(invoke("runs", "--json").stdout)] == [
        "runs/second",
        "runs/first",
    ]


def test_side_by_side(invoke, place):
    make(place / "runs" / "a", 0.5, hidden=[64, 32])
    make(place / "runs" / "b", 0.25, epochs=7, kinds={"city": "category"})
    result = invoke("runs", "runs/a", "b")  # a name alone is looked for in runs
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["a", "b"]
    assert ["hidden", "64,32"] in rows
    assert ["kinds", "city=category"] in rows
    assert ["R²", "0.5000", "0.2500"] in rows
    assert ["parameters", "1,234", "1,234"] in rows


def test_a_damaged_record_does_not_hide_the_others(invoke, place):
    make(place / "runs" / "good", 0.5)
    make(place / "runs" / "bad", 0.5)
    (place / "runs" / "bad" / "run.json").write_text("{")
    result = invoke("runs")
    assert result.exit_code == 0
    assert "good" in result.stdout
    assert "bad" not in result.stdout
    assert "runs/bad/run.json: The record of the run cannot be read." in result.stderr


def test_a_record_that_somebody_edited(invoke, place):
    run = make(place / "runs" / "odd", 0.5)
    path = run.folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "report": [], "options": None}))
    assert "odd" in invoke("runs").stdout
    assert invoke("runs", "runs/odd").exit_code == 0


def test_nothing_there(invoke, place):
    result = invoke("runs")
    assert result.exit_code == 2
    assert "There is no such folder." in result.stderr
    (place / "runs").mkdir()
    assert "There are no runs in runs." in invoke("runs").stderr
    assert json.loads(invoke("runs", "--json").stdout) == []
    result = invoke("runs", "a", "b")
    assert result.exit_code == 2
    assert "There is no run here." in result.stderr
