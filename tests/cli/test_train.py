import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.cli.display import number
from chainrule.errors import TrainingError
from chainrule.training import Trainer

QUICK = ("--target", "rent", "--epochs", "2", "--hidden", "8", "--members", "2")


def only_run(place: Path) -> tuple[Path, dict[str, Any]]:
    (folder,) = (place / "runs").iterdir()
    return folder, json.loads((folder / "run.json").read_text())


class TestWhatItSays:
    def test_results_and_notes_are_kept_apart(self, invoke, place):
        result = invoke("train", "flats.csv", *QUICK, "--drop", "class")
        folder, record = only_run(place)
        assert result.exit_code == 0
        assert "The test part: 16 rows" in result.stdout
        assert "error vs. linear" in result.stdout
        assert f"chainrule predict runs/{folder.name} NEW_ROWS.csv" in result.stdout
        # Of the columns: what is used, what is left out, and why.
        kinds = dict(line.split()[:2] for line in result.stderr.splitlines() if "  " in line)
        assert kinds["rent"] == "target"
        assert kinds["m2"] == "numeric"
        assert kinds["city"] == "category"
        assert kinds["class"] == "left"
        assert "epoch 2/2" in result.stderr
        assert "epoch 2/2" not in result.stdout
        (line,) = (line for line in result.stdout.splitlines() if line.lstrip().startswith("R²"))
        assert line.split()[1] == f"{record['report']['metrics']['r2']:.4f}"

    def test_quiet_leaves_the_report_only(self, invoke):
        result = invoke("train", "flats.csv", *QUICK, "--quiet")
        assert result.stderr == ""
        assert "The test part" in result.stdout

    def test_json_is_one_document(self, invoke, place):
        result = invoke("train", "flats.csv", *QUICK, "--json")
        document = json.loads(result.stdout)
        folder, record = only_run(place)
        assert document["run"] == f"runs/{folder.name}"
        assert document["metrics"] == record["report"]["metrics"]
        assert list(document["metrics"]) == ["r2", "rmse", "mae"]
        assert set(document["baselines"]) == {"mean", "linear"}

    @pytest.mark.usefixtures("without_compiler")
    def test_cross_validation_tells_mean_and_spread(self, invoke, place):
        result = invoke("train", "flats.csv", *QUICK, "--cv", 2)
        assert result.exit_code == 0
        assert "Cross-validation: the mean of 2 parts" in result.stdout
        folds = only_run(place)[1]["report"]["cv"]["metrics"]
        spread = np.std([fold["r2"] for fold in folds], ddof=1)
        assert f"± {number(spread)}" in result.stdout

    def test_a_learning_rate_of_zero_is_warned_of(self, invoke):
        result = invoke("train", "flats.csv", *QUICK, "--lr", 0, "--quiet")
        assert result.exit_code == 0
        assert "nothing is learned" in result.stderr


class TestRunFolder:
    def test_the_record_says_what_was_done(self, invoke, place):
        invoke("train", "flats.csv", *QUICK, "--seed", 3, "--kind", "city=category")
        folder, record = only_run(place)
        assert {path.name for path in folder.iterdir()} == {
            "findings.json",
            "history.jsonl",
            "model.safetensors",
            "report.html",
            "report.json",
            "run.json",
            "training.safetensors",
        }
        assert record["data"] == "flats.csv"
        assert record["target"] == "rent"
        assert record["options"]["seed"] == 3
        assert record["options"]["hidden"] == [8]
        assert record["options"]["kinds"] == {"city": "category"}
        assert len(record["history"]["epochs"]) == 2
        assert set(record["versions"]) == {"chainrule", "numpy", "polars", "python"}

    def test_the_same_seed_gives_the_same_model(self, invoke, place):
        for name in ("a", "b", "c"):
            seed = {"c": 1}.get(name, 0)
            invoke("train", "flats.csv", *QUICK, "--out", name, "--seed", seed)
        predictions = [invoke("predict", name, "flats.csv").stdout for name in "abc"]
        assert predictions[0] == predictions[1] != predictions[2]

    def test_a_run_is_not_replaced_by_accident(self, invoke, place):
        assert invoke("train", "flats.csv", *QUICK, "--out", "mine").exit_code == 0
        before = (place / "mine" / "model.safetensors").read_bytes()
        refused = invoke("train", "flats.csv", *QUICK, "--out", "mine", "--seed", 1)
        assert refused.exit_code == 2
        assert "already holds a run" in refused.stderr
        assert "--force" in refused.stderr
        assert (place / "mine" / "model.safetensors").read_bytes() == before
        assert (
            invoke("train", "flats.csv", *QUICK, "--out", "mine", "--seed", 1, "--force").exit_code
            == 0
        )
        assert (place / "mine" / "model.safetensors").read_bytes() != before

    @pytest.mark.parametrize("out", ["flats.csv/run", "/proc/run"])
    def test_a_folder_that_cannot_be_written_is_found_before_the_training(self, invoke, out):
        result = invoke("train", "flats.csv", *QUICK, "--out", out)
        assert result.exit_code == 2
        assert "The run cannot be written." in result.stderr
        assert "epoch" not in result.stderr

    def test_a_training_that_fails_leaves_no_folder(self, invoke, place):
        assert invoke("train", "flats.csv", "--target", "prize").exit_code == 2
        assert not (place / "runs").exists()

    def test_a_full_disk_at_the_end_loses_nothing(self, invoke, place, monkeypatch):
        write = os.open

        def full(path, flags, *arguments, **options):
            # The files of a finished run only, and of those in the run folder only.
            if ".chainrule-" in str(path) and str(path).startswith(str(place / "mine/.unfinished")):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            return write(path, flags, *arguments, **options)

        monkeypatch.setattr(os, "open", full)
        result = invoke("train", "flats.csv", *QUICK, "--out", place / "mine")
        assert result.exit_code == 1
        assert "No space left on device" in result.stderr
        (line,) = (line for line in result.stdout.splitlines() if "The model is in" in line)
        rescued = line.removeprefix("The model is in ").partition(". To use")[0]
        assert not rescued.startswith(str(place / "mine"))
        assert invoke("predict", rescued, "flats.csv").exit_code == 0
        assert not (place / "mine").exists()


@pytest.mark.usefixtures("without_compiler")
class TestOptions:
    def test_a_file_of_options_and_over_it_the_command_line(self, invoke, place):
        (place / "options.toml").write_text(
            'data = "flats.csv"\ntarget = "rent"\nhidden = [8]\nbatch_size = 16\nepochs = 9\n'
            'members = 1\nout = "mine"\ndrop = ["class"]\n[kind]\ncity = "category"\n'
        )
        result = invoke("train", "--config", "options.toml", "--epochs", 2)
        assert result.exit_code == 0, result.stderr
        options = json.loads((place / "mine" / "run.json").read_text())["options"]
        assert options["epochs"] == 2
        assert options["batch_size"] == 16
        assert options["drop"] == ["class"]
        assert options["kinds"] == {"city": "category"}

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("epoch = 3", "did you mean epochs?"),
            ("batch_sizes = 3", "did you mean batch-size?"),
            ("hidden = [1.5]", "sizes of layers"),
            ("epochs = true", "an integer"),
            ('lr = "fast"', "a number"),
            ("balance = 1", "true or false"),
            ("optimizer = 1", "a word"),
            ("epochs =", "not valid TOML"),
        ],
    )
    def test_wrong_files_of_options(self, invoke, place, text, said):
        (place / "options.toml").write_text(text)
        result = invoke("train", "flats.csv", "--target", "rent", "--config", "options.toml")
        assert result.exit_code == 2
        assert said in result.stderr
        assert "options.toml" in result.stderr

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--hidden", "abc"), "such as 128,64"),
            (("--hidden", "8,-1"), "sizes above 0"),
            (("--lr", "-1"), "0 or more"),
            (("--lr", "nan"), "a number"),
            (("--cv", "1"), "at least 2 folds"),
            (("--epochs", "0"), "above 0"),
            (("--seed", "-1"), "0 or more"),
            (("--test", "2"), "between 0 and 1"),
            (("--test", "flats.csv", "--cv", "3"), "Omit one of the two"),
            (("--test", "flat.csv"), "did you mean flats.csv?"),
            (("--kind", "city"), "column=kind"),
            (("--features", "m2,,city"), "column names"),
            (("--features", "town,citty"), "There are no columns 'town', 'citty'"),
            (("--optimizer", "adamm"), "Did you mean 'adam'?"),
            (("--activation", "rellu"), "Did you mean 'relu'?"),
            (("--norm", "bach"), "Did you mean 'batch'?"),
            (("--schedule", "cosinus"), "cosine"),
            (("--loss", "cross_entropy"), "not for regression"),
            (("--loss", "hinge"), "for binary classification, not for regression"),
            (("--loss", "nll"), "for multiclass classification, not for regression"),
            (("--loss", "poisson_nll"), "takes logarithms of rates, not values"),
            (("--balance",), "Only classes can be balanced"),
            (("--config", "none.toml"), "cannot be read"),
            (("--epochs", "many"), "valid integer"),
            (("--epoch", "3"), "--epochs"),
        ],
    )
    def test_wrong_options(self, invoke, place, options, said):
        result = invoke("train", "flats.csv", "--target", "rent", *options)
        assert result.exit_code == 2
        assert said in result.stderr
        assert "mistake in chainrule" not in result.stderr
        assert result.stdout == ""
        assert not (place / "runs").exists()

    def test_without_a_target_the_columns_are_named(self, invoke):
        result = invoke("train", "flats.csv")
        assert result.exit_code == 2
        assert "one of m2, city, rent, class" in result.stderr

    def test_without_data_an_example_is_given(self, invoke):
        result = invoke("train")
        assert result.exit_code == 2
        assert "chainrule train houses.csv --target price" in result.stderr

    def test_every_option_reaches_the_training(self, invoke, place):
        given = {
            "hidden": "4", "activation": "relu", "dropout": 0.1, "norm": "layer", "members": 2,
            "epochs": 2, "batch-size": 8, "optimizer": "adam", "lr": 0.01, "schedule": "constant",
            "loss": "mae", "l1": 0.001, "l2": 0.001, "weight-decay": 0.1, "clip": 1.0,
            "validation": 0.2, "test": 0.3, "patience": 1, "seed": 5, "features": "m2,city",
            "target": "rent", "kind": "city=category",
        }  # fmt: skip
        typed = [part for name, value in given.items() for part in (f"--{name}", value)]
        result = invoke("train", "flats.csv", *typed)
        assert result.exit_code == 0, result.stderr
        options = only_run(place)[1]["options"]
        assert options.pop("kinds") == {"city": "category"}
        assert options.pop("features") == ["m2", "city"]
        assert options.pop("hidden") == [4]
        for name, value in options.items():
            assert value == given[name.replace("_", "-")], name
        assert len(options) == len(given) - 3


class TestFailures:
    def test_a_loss_that_is_not_finite_at_once(self, invoke, place):
        result = invoke("train", "flats.csv", *QUICK, "--lr", 1e30, "--optimizer", "sgd")
        assert result.exit_code == 1
        assert "The loss is not a finite number." in result.stderr
        assert "made the first" in result.stderr
        assert not (place / "runs").exists()

    def test_a_loss_that_is_not_finite_later_keeps_the_best_model(self, invoke, place, monkeypatch):
        epoch = Trainer._epoch

        def fails_in_the_third(self, *arguments):
            if self.epoch == 2:
                raise TrainingError("The loss is not a finite number.", found="exp(1000) made it")
            return epoch(self, *arguments)

        monkeypatch.setattr(Trainer, "_epoch", fails_in_the_third)
        result = invoke("train", "flats.csv", *QUICK, "--epochs", 5)
        folder, record = only_run(place)
        assert result.exit_code == 1
        assert "exp(1000) made it" in result.stderr
        assert "The model of the best epoch before that is kept." in result.stderr
        assert len(record["history"]["epochs"]) == 2
        assert invoke("predict", folder, "flats.csv").exit_code == 0

    def test_an_interruption_before_the_first_epoch_leaves_nothing(
        self, invoke, place, monkeypatch
    ):
        def interrupted(self, *arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr(Trainer, "_epoch", interrupted)
        result = invoke("train", "flats.csv", *QUICK)
        assert result.exit_code == 130
        assert "there is no model to keep" in result.stderr
        assert not (place / "runs").exists()

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "The file is empty."),
            (b"m2,rent\n", "no rows"),
            (b"m2,rent\n1,2\n", "row"),
            (b"m2,rent\n" + b"1,7\n" * 30, ""),
            (b"\x89PNG\r\n\x1a\n" + bytes(100), "PNG"),
        ],
    )
    def test_data_that_cannot_be_learned_from(self, invoke, place, content, said):
        (place / "bad.csv").write_bytes(content)
        result = invoke("train", "bad.csv", "--target", "rent")
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ")
        assert said in result.stderr
        assert "mistake in chainrule" not in result.stderr

    def test_a_mistake_of_the_program_is_told_in_a_line(self, invoke, monkeypatch):
        def broken(self, *arguments, **options):
            raise ZeroDivisionError("nothing to see here")

        monkeypatch.setattr(Trainer, "fit", broken)
        result = invoke("train", "flats.csv", *QUICK, "--quiet")
        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        assert "mistake in chainrule: ZeroDivisionError: nothing to see here. Add --debug" in line
        traced = invoke("train", "flats.csv", *QUICK, "--quiet", "--debug").stderr
        assert "Traceback" in traced
        assert "in broken" in traced

    def test_a_second_ctrl_c_gives_up(self, invoke, place, monkeypatch):
        def interrupted(*arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr("chainrule.tasks.tabular.plan.linear_baseline", interrupted)
        result = invoke("train", "flats.csv", *QUICK, "--quiet")
        assert result.exit_code == 130
        (folder,) = (place / "runs").iterdir()
        go_on = f"chainrule train --resume runs/{folder.name}"
        assert result.stderr == f"\nInterrupted. To go on: {go_on}\n"
        monkeypatch.undo()
        monkeypatch.chdir(place)
        assert invoke(*go_on.split()[1:], "--quiet").exit_code == 0
