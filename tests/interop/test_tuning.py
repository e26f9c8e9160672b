"""The search: spaces, storages, what is chosen, and a model of the best options."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import optuna
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, DataError
from chainrule.interop.tuning import Parameter, PruningCallback, default_space, read_space
from chainrule.interop.tuning.space import options_with, space_of
from chainrule.interop.tuning.study import DEFAULT, grid_size, importances, study_of
from chainrule.interop.tuning.trials import Job, score
from chainrule.tasks.kinds import KINDS
from chainrule.tasks.options import declared

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 2))
TABLE = {"a": X[:, 0], "b": X[:, 1], "y": 3 * np.abs(X[:, 0])}
SMALL = {"target": "y", "members": 1, "hidden": (4,), "backend": "numpy", "progress": False}
RATES = {"lr": [0.0005, 0.03]}


# ---- spaces --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_space_of_each_kind_holds_valid_values(kind):
    space = default_space(kind)
    assert len(space) >= 4
    needed = {"target": "y"} if kind in ("table", "series") else {}
    options = KINDS[kind].options(**needed)
    for parameter in space:
        assert parameter.name in declared(type(options))
        for value in parameter.values():
            options_with(options, {parameter.name: value})


def test_a_space_in_a_file(tmp_path):
    (tmp_path / "space.toml").write_text(
        'hidden = ["64", [128, 64]]\nbatch-size = [16, 32]\n'
        "[lr]\nlow = 0.001\nhigh = 0.1\nlog = true\n[members]\nlow = 1\nhigh = 4\n"
    )
    hidden, batch, lr, members = read_space(tmp_path / "space.toml", "table")
    assert hidden == Parameter("hidden", ("64", "128,64"))
    assert batch == Parameter("batch_size", ("16", "32"))
    assert lr.values() == [0.001, pytest.approx(0.00464159, rel=1e-5), 0.0215443, 0.1]
    assert members.values() == [1, 2, 3, 4]
    assert grid_size([hidden, batch, lr, members]) == 64
    options = options_with(cr.tables.TableOptions(target="y"),
                           {"hidden": "128,64", "members": 3.0, "batch_size": "16"})  # fmt: skip
    assert (options.hidden, options.members, options.batch_size) == ((128, 64), 3, 16)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "The space is empty"),
        ({"dropuot": [0.1]}, "Did you mean 'dropout'"),
        ({"dropout": []}, "nothing to choose"),
        ({"dropout": {"low": 0.5, "high": 0.1}}, "range is empty"),
        ({"dropout": {"low": 0.1, "high": 0.1}}, "range is empty"),
        ({"dropout": {"low": 0.1}}, "no range and no list"),
        ({"dropout": {"low": 0.1, "high": 0.2, "logs": True}}, "no range and no list"),
        ({"dropout": 0.3}, "no range and no list"),
        ({"dropout": {"low": "a", "high": "b"}}, "ends of a range are numbers"),
        ({"lr": {"low": 0, "high": 1, "log": True}}, "begins above 0"),
        ({"batch_size": ["many"]}, "cannot have this value"),
        ({"batch_size": [1.5]}, "cannot have this value"),
        ({"seed": [1, 2]}, "cannot be searched"),
        ({"loss": ["mse", "mae"]}, "cannot be searched"),
    ],
)
def test_a_space_that_is_wrong_is_refused(space, message):
    with pytest.raises(ConfigError) as refused:
        space_of(space, "table")
    assert message in str(refused.value)


def test_values_of_a_space_that_no_training_takes_are_refused_before_the_first_trial():
    with pytest.raises(ConfigError, match="Invalid value for dropout"):
        cr.tune(TABLE, space={"dropout": [0.1, 1.5]}, **SMALL)
    with pytest.raises(ConfigError, match="is set, and in the space"):
        cr.tune(TABLE, space={"hidden": ["8"]}, **SMALL)


# ---- searches ------------------------------------------------------------------------------------


def test_a_search_finds_better_options_and_reports_on_unseen_rows():
    said = []
    found = cr.tune(TABLE, trials=3, search="grid", space=RATES, epochs=8, say=said.append, **SMALL)
    assert found.options == {"lr": "0.03"}
    report = found.result.report
    assert report["tuning"]["best_loss"] < report["tuning"]["default_loss"]
    assert report["tuning"]["trials"] == 3
    assert report["rows"] == {"train": 64, "test": 16}
    assert report["metrics"]["rmse"] < report["baselines"]["default options"]["rmse"]
    assert found.table["trial"][0] == report["tuning"]["best_trial"]
    assert found.table["loss"].to_list() == sorted(found.table["loss"])
    assert "trial by trial" in found.page.lower()
    assert "<svg" in found.page
    assert any("no option but yours" in sentence for sentence in said)
    json.dumps(report["tuning"])


def test_the_default_options_are_a_trial_and_stay_where_nothing_is_better():
    found = cr.tune(TABLE, trials=2, search="grid", space={"lr": [1e-6]}, epochs=4, **SMALL)
    assert found.options == {}
    assert "default options" not in found.result.report["baselines"]
    assert found.study.trials[0].user_attrs[DEFAULT]


def test_a_search_goes_on_where_it_was_and_knows_its_study(tmp_path):
    place = tmp_path / "study.log"
    common = SMALL | {"space": RATES, "search": "grid", "storage": place, "epochs": 2}
    assert cr.tune(TABLE, trials=2, **common).table.height == 2
    again = cr.tune(TABLE, trials=3, **common)
    assert again.table.height == 3
    for change in ({"epochs": 3}, {"space": {"lr": [0.1]}}):
        with pytest.raises(ConfigError, match=r"study with another (options|space)"):
            cr.tune(TABLE, trials=3, **common | change)
    with pytest.raises(ConfigError, match="study with another data"):
        cr.tune(TABLE | {"a": X[:, 1]}, trials=3, **common)


def test_a_search_that_is_interrupted_keeps_what_it_has_found(tmp_path, monkeypatch):
    from chainrule.interop.tuning import trials

    common = SMALL | {"space": RATES, "search": "grid", "epochs": 2}
    common["storage"] = tmp_path / "study.log"
    right, count = trials.score, []

    def interrupted(*arguments):
        count.append(1)
        if len(count) == 2:
            raise KeyboardInterrupt
        return right(*arguments)

    monkeypatch.setattr(trials, "score", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cr.tune(TABLE, trials=3, **common)
    monkeypatch.setattr(trials, "score", right)
    found = cr.tune(TABLE, trials=3, **common)
    assert sorted(found.table["state"]) == ["complete", "complete", "complete", "fail"]


@pytest.mark.nightly
def test_several_processes_share_a_study(tmp_path):
    found = cr.tune(TABLE, trials=4, jobs=2, space=RATES, epochs=2,
                    storage=f"sqlite:///{tmp_path}/study.db", **SMALL)  # fmt: skip
    assert found.table.height >= 4
    assert len({t.user_attrs["where"] for t in found.study.trials}) >= 2


@pytest.mark.nightly
def test_a_process_that_dies_is_said_and_its_trials_are_tried_again(tmp_path):
    """As where the memory is full: the others go on, and the search has all of its trials."""
    said = []
    killer = threading.Thread(target=kill_first, args=(said,), daemon=True)
    killer.start()
    found = cr.tune(TABLE, trials=8, jobs=2, space=RATES, epochs=200, say=said.append,
                    storage=f"sqlite:///{tmp_path}/study.db", **SMALL)  # fmt: skip
    assert any("1 process of the search died (SIGKILL" in sentence for sentence in said)
    assert sum(t.value is not None for t in found.study.trials) >= 8


def kill_first(said):
    """Kill a worker once one of them has ended a trial, so that it is in the midst of another."""
    while not (workers := multiprocessing.active_children()):
        time.sleep(0.02)
    before = len(said)
    while len(said) == before:
        time.sleep(0.02)
    os.kill(workers[0].pid, signal.SIGKILL)


def test_a_time_ends_the_search():
    begun = time.monotonic()
    found = cr.tune(TABLE, minutes=0.01, space=RATES, epochs=2, search="random", **SMALL)
    assert found.table.height >= 1
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("place", "message"),
    [("notes.txt", "it is no study"), ("no/such/folder.log", "No such file"),
     ("nosuch://database", "Can't load plugin")],
)  # fmt: skip
def test_a_storage_that_cannot_be_used_is_a_clear_error(tmp_path, place, message):
    (tmp_path / "notes.txt").write_text("these are\nnotes\n")
    where = place if "://" in place else str(tmp_path / place)
    with pytest.raises(ConfigError) as refused:
        cr.tune(TABLE, storage=where, trials=1, **SMALL)
    assert message in str(refused.value)


def test_a_database_that_is_locked_is_a_clear_error(tmp_path, monkeypatch):
    import sqlite3

    from chainrule.interop.tuning import study

    url, space = f"sqlite:///{tmp_path}/study.db", space_of(RATES, "table")
    study_of(url, "random", space, 0, {})
    monkeypatch.setattr(study, "_patient", lambda url: {"connect_args": {"timeout": 0.1}})
    other = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ConfigError, match="cannot be used") as refused:
        study_of(url, "random", space, 0, {})
    assert "wait until it is done" in str(refused.value)
    other.close()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"search": "best"}, ConfigError, "Unknown search"),
        ({"trials": 0}, ConfigError, "Invalid value for trials"),
        ({"jobs": 0}, ConfigError, "Invalid value for jobs"),
        ({"cv": 3}, ConfigError, "validates each trial by itself"),
        ({"dropuot": [0.1]}, ConfigError, "Did you mean 'dropout'?"),
        ({"target": "z"}, DataError, "no column 'z'"),
    ],
)
def test_what_is_wrong_is_refused_at_once(change, error, message):
    with pytest.raises(error, match=message):
        cr.tune(TABLE, **{"trials": 2} | SMALL | change)


def test_trials_that_fail_one_after_another_end_the_search(monkeypatch):
    from chainrule.errors import TrainingError
    from chainrule.interop.tuning import trials

    def failing(*arguments):
        raise TrainingError("The loss is not finite.")

    monkeypatch.setattr(trials, "score", failing)
    with pytest.raises(ConfigError, match="5 trials failed"):
        cr.tune(TABLE, trials=9, space=RATES, **SMALL)


# ---- Optuna by itself ----------------------------------------------------------------------------


def test_a_trainer_reports_to_a_trial_that_may_end_it():
    class Trial:
        def __init__(self):
            self.reports = []

        def report(self, value, step):
            self.reports.append((step, value))

        def should_prune(self):
            return len(self.reports) == 3

    trial, x = Trial(), np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    model = cr.nn.Linear(1, 1).initialize(seed=0)
    trainer = cr.Trainer(model, "mse", callbacks=[PruningCallback(trial)], progress=False)
    with pytest.raises(optuna.TrialPruned, match="after 6 epochs"):
        trainer.fit((x, x), validation=0.2, epochs=40, validate_every=2)
    assert [step for step, _ in trial.reports] == [2, 4, 6]
    assert [value for _, value in trial.reports] == trainer.history["val_loss"]


def test_what_mattered_is_found():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(20):
        trial = study.ask()
        study.tell(trial, trial.suggest_float("a", 0, 1) + 0 * trial.suggest_float("b", 0, 1))
    found = importances(study)
    assert found["a"] > 0.7
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.nightly
def test_two_threads_may_search_at_once():
    found = []

    def search():
        found.append(cr.tune(TABLE, trials=1, space=RATES, epochs=1, **SMALL).table.height)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1, 1]


@pytest.mark.nightly
def test_the_command(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from chainrule.cli.app import app
    from chainrule.data import read_table

    monkeypatch.chdir(tmp_path)
    read_table(TABLE).write_csv("t.csv")
    (tmp_path / "space.toml").write_text("lr = [0.0005, 0.03]\n")
    command = [
        "tune",
        "t.csv",
        "-t",
        "y",
        "--search",
        "grid",
        "--space",
        "space.toml",
        "--epochs",
        "3",
        "--members",
        "1",
    ]
    done = CliRunner().invoke(app, [*command, "--out", "runs/best", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["tuning"]["trials"] == 3
    assert {"model.safetensors", "search.html", "trials.csv"} <= {
        file.name for file in (tmp_path / "runs" / "best").iterdir()
    }
    again = CliRunner().invoke(app, [*command, "--out", "runs/next", "--storage", told["study"]])
    assert again.exit_code == 0, again.output
    assert "3 trials" in again.stdout
    assert "default options" in again.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [("-", "reads its data more than once"), ("t.csv --search best", "Unknown search")],
)
def test_the_command_refuses_what_is_wrong(tmp_path, monkeypatch, options, message):
    from typer.testing import CliRunner

    from chainrule.cli.app import app

    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("a,y\n1,2\n")
    done = CliRunner().invoke(app, ["tune", *options.split(), "--target", "y"])
    assert done.exit_code == 2
    assert message in done.output


@pytest.mark.parametrize("count", [24, 104])  # all are tested, or a fifth
def test_few_images_are_not_scored_by_what_was_learned(tmp_path, count):
    """Of noise with classes by chance nothing can be known, though all is learned by heart."""
    image = pytest.importorskip("PIL.Image")
    draw = np.random.default_rng(0)
    for n in range(count):
        path = tmp_path / "ab"[n % 2] / f"{n}.png"
        path.parent.mkdir(exist_ok=True)
        image.fromarray(draw.integers(0, 255, (8, 8)).astype("uint8")).save(path)

    class Trial:
        def report(self, value, step):
            pass

        def should_prune(self):
            return False

        def set_user_attr(self, name, value):
            pass

    options = cr.images.ImageOptions(
        epochs=40 if count < 100 else 12, backend="numpy", augment="none"
    )
    job = Job("images", str(tmp_path), options, (), "random", None, {}, 1, None)
    assert score(job, {}, Trial()) > 0.6
