import json

import numpy as np
import polars as pl
import pytest


def test_metrics_are_those_of_the_predictions(invoke, trained, place):
    truth = pl.read_csv(place / "flats.csv")["rent"].to_numpy()
    output = invoke("predict", trained / "rent", "flats.csv", "--digits", "all").stdout
    predicted = pl.read_csv(output.encode())
    error = truth - predicted["prediction"].to_numpy()
    result = invoke("evaluate", trained / "rent", "flats.csv", "--json")
    metrics = json.loads(result.stdout)["metrics"]
    assert metrics["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)
    assert metrics["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert metrics["r2"] == pytest.approx(
        1 - error.var() / truth.var() - (error.mean() ** 2) / truth.var(), abs=1e-5
    )


def test_the_table_stands_beside_the_training(invoke, trained):
    result = invoke("evaluate", trained / "class", "flats.csv")
    report = json.loads((trained / "class" / "run.json").read_text())["report"]
    line = next(line for line in result.stdout.splitlines() if line.startswith("accuracy"))
    assert line.split()[-1] == f"{report['metrics']['accuracy']:.4f}"


def test_a_target_is_needed(invoke, trained, place):
    (place / "new.csv").write_text("m2,city\n50,Oslo\n")
    result = invoke("evaluate", trained / "rent", "new.csv")
    assert result.exit_code == 2
    assert "There is no column 'rent'" in result.stderr


def test_a_metric_that_is_not_defined_is_null(invoke, trained, place):
    (place / "one.csv").write_text("m2,city,class\n50,Oslo,cheap\n60,Rome,cheap\n")
    result = invoke("evaluate", trained / "class", "one.csv", "--json")
    metrics = json.loads(result.stdout)["metrics"]
    assert metrics["roc_auc"] is None
    assert metrics["accuracy"] in (0, 0.5, 1)
