"""`chainrule doctor`: the findings of a run, an exit status for scripts, and training again."""

import dataclasses
import json

import numpy as np
import polars as pl

from chainrule.doctor import Finding
from chainrule.doctor.finding import Fix

from .conftest import QUICK


def trained(invoke, place, *options):
    assert invoke("train", "flats.csv", "--target", "rent", "--drop", "class", *QUICK, "--out",
                  "run", *options).exit_code == 0  # fmt: skip
    return place / "run"


def put(folder, *findings):
    (folder / "findings.json").write_text(json.dumps([one.to_json() for one in findings]))


def finding(severity="warning", **options):
    return Finding("rule", "too_few_epochs", severity, "It is too short.", "Why.", "fall", 0.5,
                   0.1, Fix("Train longer.", options))  # fmt: skip


def test_a_training_writes_its_findings(invoke, place):
    run = trained(invoke, place)
    found = json.loads((run / "findings.json").read_text())
    assert all(record["severity"] for record in found)
    result = invoke("doctor", run, "--json")
    assert json.loads(result.stdout)["findings"] == found


def test_the_exit_status_says_whether_something_is_wrong(invoke, place):
    run = trained(invoke, place)
    put(run, finding())
    result = invoke("doctor", run)
    assert result.exit_code == 1
    assert "1. warning: too few epochs" in result.stdout
    assert "Fix: Train longer." in result.stdout
    put(run, finding("note"))
    assert invoke("doctor", run).exit_code == 0
    put(run)
    result = invoke("doctor", run)
    assert (result.exit_code, result.stdout) == (0, "Nothing is wrong.\n")


def test_a_fix_that_helps_is_kept(invoke, place, without_compiler):
    run = trained(invoke, place)
    put(run, finding(epochs=40))
    result = invoke("doctor", run, "--fix", "--out", "better", "--quiet", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["kept"]
    assert found["val_loss_fixed"] < found["val_loss"]
    stored = json.loads((place / "better" / "findings.json").read_text())
    assert found["left"] == [one["cause"] for one in stored if one["severity"] != "note"]
    record = json.loads((place / "better" / "run.json").read_text())
    assert record["options"]["epochs"] == 40
    assert record["options"]["hidden"] == [8]


def test_a_fix_that_does_not_help_is_not_kept(invoke, place, without_compiler):
    run = trained(invoke, place)
    put(run, finding(lr=1e-12))
    result = invoke("doctor", run, "--fix", "--out", "worse", "--quiet")
    assert result.exit_code == 1
    assert "was not kept" in result.stdout
    assert not (place / "worse").exists()


def test_the_next_fix_is_tried_where_one_does_not_help(invoke, place, without_compiler):
    run = trained(invoke, place)
    possible = dataclasses.replace(finding(epochs=40), severity="note", sure=False)
    put(run, finding(lr=1e-12), possible, finding(epochs=1))
    assert "2. could also be: too few epochs" in invoke("doctor", run).stdout
    result = invoke("doctor", run, "--fix", "--out", "better", "--quiet")
    assert result.exit_code == 0, result.output
    first, second = result.stdout.splitlines()
    assert first.startswith("With --lr 1e-12: validation loss ")
    assert first.endswith("That is no better, and was not kept.")
    assert "The new run is in better." in second
    record = json.loads((place / "better" / "run.json").read_text())
    assert record["options"]["epochs"] == 40


def test_without_such_a_fix_nothing_is_trained(invoke, place):
    run = trained(invoke, place)
    put(run, finding())
    result = invoke("doctor", run, "--fix")
    assert result.exit_code == 2
    assert "No finding has a fix that is a change of options." in result.stderr
    put(run)
    result = invoke("doctor", run, "--fix")
    assert result.exit_code == 2
    assert "There is nothing to fix" in result.stderr


def test_a_training_says_its_findings_once(invoke, place):
    rng = np.random.default_rng(0)
    rows = [f"{a:.4f},{a * 3 + b:.4f}" for a, b in rng.normal(size=(200, 2))]
    (place / "noise.csv").write_text("\n".join(["a,b", *rows]) + "\n")
    result = invoke("train", "noise.csv", "--target", "b", "--lr", "1000", "--optimizer", "sgd",
                    "--epochs", "5", "--hidden", "8", "--members", "1")  # fmt: skip
    assert result.stderr.count("a learning rate that is too high") == 1, result.stderr


def test_improbable_labels_are_written(invoke, place, without_compiler):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2))
    sort = np.where(x[:, 0] > 0, "a", "b")
    wrong = np.flatnonzero(np.abs(x[:, 0]) > 0.8)[:8]
    sort[wrong] = np.where(sort[wrong] == "a", "b", "a")
    rows = [f"{a:.3f},{b:.3f},{c}" for (a, b), c in zip(x, sort, strict=True)]
    (place / "sorts.csv").write_text("\n".join(["x,row,sort", *rows]) + "\n")
    options = ("--epochs", "20", "--hidden", "8", "--members", "1", "--quiet")
    assert invoke("train", "sorts.csv", "-t", "sort", *options, "--out", "run").exit_code == 0
    result = invoke("doctor", "run", "--relabel", "doubtful.csv", "--quiet")
    assert result.exit_code == 0, result.output
    found = pl.read_csv(place / "doubtful.csv")
    assert found.columns == ["row", "given", "likely", "sure", "x", "row (table)", "sort"]
    assert set(wrong) <= set(found["row"])
    assert found.height <= 16
    assert (found["given"] == found["sort"]).all()
    assert (found["given"] != found["likely"]).all()


def test_only_classes_can_be_gone_through(invoke, place):
    run = trained(invoke, place)
    result = invoke("doctor", run, "--relabel", "doubtful.csv")
    assert result.exit_code == 2
    assert "Only labels of classes can be gone through." in result.stderr


def test_the_fix_of_a_policy_keeps_what_else_was_given():
    from types import SimpleNamespace

    from chainrule.cli.doctor import _not_of_policies
    from chainrule.doctor.finding import Fix

    command = "chainrule play GridWorld --lr 0.01 --set gamma=0.9 --set ent_coef=0 --steps 500"

    def hint(**options):
        run = SimpleNamespace(folder="runs/one", record={"command": command})
        return _not_of_policies(run, [SimpleNamespace(fix=Fix("Do.", options))]).hint

    assert hint(set="ent_coef=0.01") == (
        "chainrule play GridWorld --lr 0.01 --set gamma=0.9 --steps 500 --set ent_coef=0.01"
    )
    assert hint(lr=0.001) == (
        "chainrule play GridWorld --set gamma=0.9 --set ent_coef=0 --steps 500 --lr 0.001"
    )
    assert hint() is None
