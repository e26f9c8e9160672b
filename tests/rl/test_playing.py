"""`chainrule play`: from a name to a run folder, and a saved policy as any other model file."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import chainrule as cr
from chainrule.cli import play
from chainrule.cli.app import app
from chainrule.rl import playing
from chainrule.rl.saving import Policy
from chainrule.tasks import load_predictor

SMALL = ["--backend", "numpy", "--hidden", "8", "--n-envs", "4", "--set", "n_steps=16",
         "--set", "n_epochs=1", "--episodes", "3", "--seed", "2"]  # fmt: skip


def run(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def played(folder: Path, *words: object) -> Any:
    found = run("play", "GridWorld", "--steps", 128, "--out", folder, *SMALL, *words)
    assert found.exit_code == 0, found.output
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps."""
    where = tmp_path_factory.mktemp("play") / "run"
    played(where, "--render", "gif")
    return where


def test_a_run_folder(folder):
    record = json.loads((folder / "run.json").read_text())
    assert record["data"] == "GridWorld"
    assert record["options"]["algorithm"] == "ppo"
    assert record["options"]["n_steps"] == 16
    assert record["report"]["steps"] == 128
    assert record["command"].startswith("chainrule play GridWorld --algorithm ppo --steps 128")
    assert record["history"]["epochs"][-1]["steps"] == 128
    assert (folder / "episode.gif").read_bytes()[:3] == b"GIF"
    episode = pl.read_csv(folder / "episode.csv")
    assert episode.columns == [*(f"cell_{r}_{c}" for r in range(4) for c in range(4)), "action",
                               "reward", "return"]  # fmt: skip
    assert episode["cell_0_0"][0] == 1.0


def test_the_doctor_judges_it_as_a_policy(folder):
    """After 128 steps it does no better than chance, or has hardly moved: the return tells."""
    record = json.loads((folder / "run.json").read_text())
    assert all(-1000 <= one["explained"] <= 1 for one in record["history"]["epochs"])
    found = json.loads(run("doctor", folder, "--json").stdout)["findings"]
    assert [one["cause"] for one in found] == ["policy_not_learned"]
    assert found[0]["fix"]["options"] == {"steps": 50_000}
    told = run("doctor", folder)
    assert told.exit_code == 1
    assert "a policy that has not learned" in told.stdout
    refused = run("doctor", folder, "--fix")
    assert refused.exit_code == 2
    assert "chainrule play GridWorld" in refused.stderr
    told = " ".join(refused.stderr.split())
    assert "--steps 50000" in told
    assert told.count("--steps") == 1  # instead of those that it had
    refused = run("doctor", folder, "--relabel", folder / "rows.csv")
    assert refused.exit_code == 2
    assert "no labels" in refused.stderr


def test_the_same_command_gives_the_same_model(folder, tmp_path):
    played(tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
        folder / "model.safetensors"
    ).read_bytes()


def test_a_policy_is_a_model_file_like_any_other(folder):
    csv = folder / "episode.csv"
    found = run("predict", folder, csv, "--proba", "--keep", "action")
    table = pl.read_csv(found.stdout.encode())
    assert table.columns == ["action", "prediction", *(
        f"probability {name}" for name in ("left", "down", "right", "up"))]  # fmt: skip
    assert (table["prediction"] == table["action"]).all()  # the episode is of the best actions
    found = run("evaluate", folder, csv)
    assert "1.0000" in found.stdout
    found = run("summary", folder)
    assert found.exit_code == 0, found.output
    assert "GridWorld" in found.stdout
    assert "one of: left, down, right, up" in found.stdout
    found = run("explain", folder, csv, "--row", 0)
    assert found.exit_code == 0, found.output
    assert "policy gradient" in found.stdout
    assert run("runs", folder.parent).exit_code == 0
    page = (folder / "report.html").read_text()  # written at the end of the training
    found = run("report", folder)
    assert found.exit_code == 0, found.output
    assert (folder / "report.html").read_text() == page
    assert "chainrule play GridWorld" in page
    assert "has learned to act in GridWorld by ppo, from 128 steps in" in page
    assert "Policy not learned" in page
    assert "--reproduce" not in page


def test_the_page_shows_how_returns_went(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    first = record["history"]["epochs"][0]
    record["history"]["epochs"] = [
        {**first, "epoch": i, "steps": 64 * i, "return": i / 8, "kl": 0.01} for i in (1, 2, 3)
    ]
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    assert run("report", tmp_path / "run").exit_code == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "The mean return goes from 0.125 to 0.375." in page
    assert "random actions" in page
    assert "How far an iteration moves the policy" in page
    assert "Ratios that are clipped" not in page  # none were


def test_a_saved_policy_plays_as_the_agent(folder, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    words = ("play", "GridWorld", "--policy", folder, "--backend", "numpy", "--episodes", 4)
    assert len(json.loads(run(*words, "--json").stdout)["returns"]) == 4
    found = run(*words, "--render", "terminal")
    steps = pl.read_csv(folder / "episode.csv").height
    assert found.stdout.count("\x1b[0m\n") >= 30 * steps  # so many lines a picture
    assert "4 episodes of GridWorld" in found.stdout


def test_a_policy_of_another_environment_is_refused(folder):
    found = run("play", "CartPole-v1", "--policy", folder)
    assert found.exit_code == 2
    assert "another environment" in found.stderr
    found = run("update", folder, folder / "episode.csv")
    assert found.exit_code == 2, found.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("GridWorld", "--steps", "0"), "steps"),
        (("GridWorld", "--algorithm", "pp"), "ppo"),
        (("GridWorld", "--set", "gama=0.9"), "gamma"),
        (("GridWorld", "--set", "gamma"), "NAME=VALUE"),
        (("GridWorld", "--set", "gamma=high"), "a number"),
        (("GridWorld", "--set", "n_steps=1.5"), "an integer"),
        (("GridWorld", "--render", "film.mov"), ".gif"),
        (("GridWorld", "--episodes", "0"), "episodes"),
        (("Pendulum-v1", "--algorithm", "dqn"), "sac"),
        (("CartPoel-v1",), "CartPole-v1"),
        (("GridWorld", "--hidden", "8,x"), "integers"),
    ],
)
def test_what_cannot_be_done_is_said(words, said, tmp_path):
    found = run("play", *words, "--out", tmp_path / "run")
    assert found.exit_code == 2, found.output
    assert said in found.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("algorithm", ["sac", "ppo"])
def test_continuous_policies_are_saved_in_the_units_of_the_environment(algorithm, tmp_path):
    options = {"hidden": (8,), "backend": "numpy", "n_envs": 1}
    if algorithm == "sac":
        options |= {"learning_starts": 10, "batch_size": 8}
    else:
        options |= {"n_steps": 16, "n_epochs": 1}
    agent = playing.agent_for("Pendulum-v1", algorithm, options)
    agent.learn(32)
    agent.save(tmp_path / "model.safetensors")
    policy = load_predictor(tmp_path / "model.safetensors")
    assert isinstance(policy, Policy)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert policy.act(x) == pytest.approx(agent.predict(x), abs=1e-5)
    _, happened = agent.player.one_episode(3)
    playing.write_episode(tmp_path, playing.schema_of(agent), happened)
    assert policy.evaluate(tmp_path / "episode.csv")["mse"] < 1e-6
    assert policy.predict(tmp_path / "episode.csv").columns == ["prediction"]
    found = run("explain", tmp_path / "model.safetensors", tmp_path / "episode.csv", "--row", 5)
    assert found.exit_code == 0, found.output


def test_the_values_of_dqn_are_explained_by_the_return(tmp_path):
    agent = cr.rl.DQN("GridWorld", hidden=(8,), backend="numpy", learning_starts=8, batch_size=8)
    agent.learn(32)
    agent.save(tmp_path / "model.safetensors")
    _, happened = agent.player.one_episode(1)
    playing.write_episode(tmp_path, playing.schema_of(agent), happened)
    policy: Any = load_predictor(tmp_path / "model.safetensors")
    table = policy.predict(tmp_path / "episode.csv", proba=True)
    assert "value left" in table.columns
    found = run("explain", tmp_path / "model.safetensors", tmp_path / "episode.csv", "--row", 0)
    assert found.exit_code == 0, found.output
    assert "the return that followed" in " ".join(found.stdout.split())


def test_observations_that_cannot_be_used_are_named(folder):
    policy: Any = load_predictor(folder)
    rows = pl.read_csv(folder / "episode.csv")
    with pytest.raises(cr.errors.DataError, match="cell_3_3"):
        policy.predict(rows.drop("cell_3_3"))
    holes = rows.with_columns(cell_1_1=pl.lit(None, pl.Float64))
    with pytest.raises(cr.errors.DataError) as caught:
        policy.predict(holes)
    assert "'cell_1_1', row 0" in str(caught.value)
    with pytest.raises(cr.errors.DataError, match="no action"):
        policy.evaluate(rows.with_columns(action=pl.lit("jump")))


class TestGoingOn:
    def unfinished(self, folder: Path) -> None:
        """What a training leaves that was killed after its second iteration."""

        def killed(record: dict[str, float]) -> None:
            if record["epoch"] == 3:
                raise RuntimeError("killed")

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CHAINRULE_CHECKPOINT_SECONDS", "0")
            patch.setattr(play, "_progress", lambda *_: nullcontext(killed))
            found = run("play", "gymnasium:CartPole-v1", "--steps", 256, "--out", folder, *SMALL)
        assert "killed" in found.output

    def test_it_goes_on_where_it_was(self, tmp_path):
        self.unfinished(tmp_path / "run")
        assert {p.name for p in (tmp_path / "run").iterdir()} == {"checkpoints", "unfinished.json"}
        listed = run("runs", tmp_path).output
        assert re.search(r"iterations? (is|are) done; chainrule play --resume", listed)
        found = run("play", "--resume", tmp_path / "run", "--json")
        assert found.exit_code == 0, found.output
        record = json.loads((tmp_path / "run" / "run.json").read_text())
        assert [one["steps"] for one in record["history"]["epochs"]] == [64, 128, 192, 256]
        assert not (tmp_path / "run" / "unfinished.json").exists()
        assert not (tmp_path / "run" / "checkpoints").exists()
        page = (tmp_path / "run" / "report.html").read_text()
        assert "The mean return goes from" in page

    def test_what_is_refused(self, tmp_path):
        self.unfinished(tmp_path / "run")
        for words, expected in (
            (["play", "--resume", tmp_path / "run", "--seed", 3], "has its environment"),
            (["play", "--resume", tmp_path / "none"], "no unfinished training"),
            (["train", "--resume", tmp_path / "run"], "is one of an agent"),
            (["play", "CartPole-v1", "--out", tmp_path / "run"], "chainrule play --resume"),
            (["play"], "Which environment"),
        ):
            found = run(*words)
            assert found.exit_code != 0
            assert expected in " ".join(found.output.split()), found.output
