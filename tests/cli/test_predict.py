import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import chainrule


class TestOutput:
    def test_csv_on_standard_output(self, invoke, trained):
        result = invoke("predict", trained / "rent", "flats.csv")
        header, *rows = result.stdout.splitlines()
        assert header == "prediction"
        assert len(rows) == 80
        assert np.isfinite([float(row) for row in rows]).all()
        assert result.stderr == ""

    @pytest.mark.parametrize(
        ("name", "read"),
        [("p.csv", pl.read_csv), ("p.parquet", pl.read_parquet), ("p.jsonl", pl.read_ndjson)],
    )
    def test_files(self, invoke, trained, place, name, read):
        expected = pl.read_csv(invoke("predict", trained / "rent", "flats.csv").stdout.encode())
        result = invoke("predict", trained / "rent", "flats.csv", "--out", name)
        assert result.stdout == ""
        assert f"80 predictions are in {name}" in result.stderr
        assert np.allclose(read(place / name)["prediction"], expected["prediction"], rtol=1e-6)

    def test_probabilities(self, invoke, trained):
        output = invoke("predict", trained / "class", "flats.csv", "--proba").stdout
        frame = pl.read_csv(output.encode())
        assert frame.columns == ["prediction", "probability cheap", "probability dear"]
        assert np.allclose(frame["probability cheap"] + frame["probability dear"], 1, atol=1e-6)
        cheap = frame["probability cheap"] > frame["probability dear"]
        assert (cheap == (frame["prediction"] == "cheap")).all()

    def test_a_model_file_and_standard_input(self, invoke, trained, place):
        expected = invoke("predict", trained / "rent", "flats.csv").stdout
        model = trained / "rent" / "model.safetensors"
        rows = (place / "flats.csv").read_bytes()
        assert invoke("predict", model, "-", input=rows).stdout == expected

    @pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
    def test_rows_of_another_command(self, invoke, trained, place):
        """<(command) of bash is the path of a pipe, which can be read once."""
        expected = invoke("predict", trained / "rent", "flats.csv").stdout
        line = f"{sys.executable} -m chainrule predict {trained / 'rent'} <(cat flats.csv)"
        source = Path(chainrule.__file__).parents[1]
        done = subprocess.run(
            ["bash", "-c", line], cwd=place, env={**os.environ, "PYTHONPATH": str(source)},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.stdout == expected, done.stderr

    def test_columns_in_another_order_and_without_the_target(self, invoke, trained, place):
        expected = invoke("predict", trained / "rent", "flats.csv").stdout
        pl.read_csv(place / "flats.csv").select("city", "m2").write_csv(place / "raw.csv")
        assert invoke("predict", trained / "rent", "raw.csv").stdout == expected

    def test_categories_never_seen_are_told(self, invoke, trained, place):
        (place / "new.csv").write_text("m2,city\n50,Oslo\n60,Atlantis\n")
        result = invoke("predict", trained / "rent", "new.csv")
        assert len(result.stdout.splitlines()) == 3
        assert "Atlantis" in result.stderr


class TestDigits:
    def predicted(self, invoke, trained, *options):
        return pl.read_csv(invoke("predict", trained, "flats.csv", *options).stdout.encode())

    def test_numbers_have_those_that_the_error_leaves(self, invoke, trained):
        every = self.predicted(invoke, trained / "rent", "--digits", "all")["prediction"]
        found = self.predicted(invoke, trained / "rent")["prediction"]
        report = json.loads((trained / "rent" / "run.json").read_text())["report"]
        assert report["precision"] == {"rent": 0}
        assert 10 <= report["metrics"]["mae"] < 100  # its third digit is the first decimal
        assert found.to_list() == every.round(1).to_list() != every.to_list()

    def test_so_many_as_are_asked_for(self, invoke, trained):
        every = self.predicted(invoke, trained / "rent", "--digits", "all")["prediction"]
        found = self.predicted(invoke, trained / "rent", "--digits", "2")["prediction"]
        assert found.to_list() == every.round_sig_figs(2).to_list()

    def test_probabilities_keep_three_of_both_ends(self, invoke, trained):
        columns = ["probability cheap", "probability dear"]
        every = self.predicted(invoke, trained / "class", "--proba", "--digits", "all")
        found = self.predicted(invoke, trained / "class", "--proba")
        exact, p = (table.select(columns).to_numpy() for table in (every, found))
        assert (exact != p).any()
        assert (np.abs(exact - p) <= 0.0051 * np.minimum(exact, 1 - exact) + 2e-7).all()

    def test_columns_that_are_kept_stay_as_they_are(self, invoke, trained, place):
        (place / "homes.csv").write_text("m2,city,exact\n50,Oslo,0.123456789012\n")
        output = invoke("predict", trained / "rent", "homes.csv", "--keep", "exact").stdout
        assert output.splitlines()[1].startswith("0.123456789012,")

    @pytest.mark.parametrize("said", ["0", "-1", "1.5", "many", "18"])
    def test_invalid_ones_are_refused(self, invoke, trained, said):
        result = invoke("predict", trained / "rent", "flats.csv", f"--digits={said}")
        assert result.exit_code == 2
        assert "a number from 1 to 17, or all" in result.stderr


class TestErrors:
    def test_an_absent_column(self, invoke, trained, place):
        (place / "new.csv").write_text("m2,town\n50,Oslo\n")
        result = invoke("predict", trained / "rent", "new.csv")
        assert result.exit_code == 2
        assert "There is no column 'city'" in result.stderr
        assert result.stdout == ""

    @pytest.mark.parametrize(
        ("model", "said"),
        [
            ("nothing", ""),
            ("flats.csv", ""),
            ("empty", "This folder holds no model."),
            ("short.safetensors", ""),
        ],
    )
    def test_no_model(self, invoke, trained, place, model, said):
        (place / "empty").mkdir()
        whole = (trained / "rent" / "model.safetensors").read_bytes()
        (place / "short.safetensors").write_bytes(whole[: len(whole) // 2])
        result = invoke("predict", model, "flats.csv")
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ")
        assert said in result.stderr
        assert "mistake in chainrule" not in result.stderr

    def test_a_folder_of_runs_is_not_a_run(self, invoke, trained):
        result = invoke("predict", trained, "flats.csv")
        assert f"such as {trained / 'rent'}" in result.stderr

    @pytest.mark.parametrize(
        ("out", "said"),
        [("p.xlsx", ".parquet"), ("p", "no ending"), ("none/p.csv", "mkdir -p none")],
    )
    def test_an_output_that_cannot_be(self, invoke, trained, out, said):
        result = invoke("predict", trained / "rent", "flats.csv", "--out", out)
        assert result.exit_code == 2
        assert said in result.stderr

    def test_a_full_disk(self, invoke, trained, place, monkeypatch):
        (place / "p.csv").write_text("old")
        write = os.open

        def full(path, flags, *arguments, **options):
            if flags & os.O_CREAT and "chainrule-" in str(path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            return write(path, flags, *arguments, **options)

        monkeypatch.setattr(os, "open", full)
        result = invoke("predict", trained / "rent", "flats.csv", "--out", "p.csv")
        assert result.exit_code == 2
        assert "no space left" in result.stderr.lower()
        assert (place / "p.csv").read_text() == "old"

    def test_only_models_that_write_texts_take_a_precision(self, invoke, trained):
        result = invoke("predict", trained / "rent", "flats.csv", "--precision", "bf16")
        assert result.exit_code == 2
        assert "--precision bf16" in result.stderr
        assert "write texts" in result.stderr


class TestKeep:
    def table(self, invoke, *arguments, **options):
        result = invoke("predict", *arguments, **options)
        assert result.exit_code == 0, result.output
        return pl.read_csv(result.stdout.encode(), infer_schema=False), result.stderr

    @pytest.fixture
    def homes(self, place):
        (place / "homes.csv").write_text(
            'id,"a, b",m2,city,prediction\n007,x,50,Oslo,9\n008,,60,Rome,8\n009,z,70,Bern,7\n'
        )
        return place / "homes.csv"

    def test_columns_stand_before_the_predictions_as_they_are_in_the_file(
        self, invoke, trained, homes
    ):
        found, _ = self.table(invoke, trained / "rent", homes, "--keep", 'id,"a, b"')
        assert found.columns == ["id", "a, b", "prediction"]
        assert found["id"].to_list() == ["007", "008", "009"]
        assert found["a, b"].to_list() == ["x", None, "z"]
        plain, _ = self.table(invoke, trained / "rent", homes)
        assert found["prediction"].to_list() == plain["prediction"].to_list()
        piped, _ = self.table(invoke, trained / "rent", "-", "--keep", "id",
                              input=homes.read_bytes())  # fmt: skip
        assert piped.columns == ["id", "prediction"]

    def test_all_of_them_and_equal_names(self, invoke, trained, homes):
        found, said = self.table(invoke, trained / "rent", homes, "--keep", "all")
        assert found.columns == ["id", "a, b", "m2", "city", "prediction (input)", "prediction"]
        assert found["prediction (input)"].to_list() == ["9", "8", "7"]
        assert "'prediction' of the input is called 'prediction (input)'" in said

    def test_a_column_that_is_called_all(self, invoke, trained, place):
        (place / "t.csv").write_text("all,m2,city\n1,50,Oslo\n")
        found, _ = self.table(invoke, trained / "rent", "t.csv", "--keep", "all")
        assert found.columns == ["all", "prediction"]

    def test_in_python_too(self, trained, homes):
        from chainrule.tasks import load_predictor

        found = load_predictor(trained / "class").predict(homes, proba=True, keep=("city", "city"))
        assert found.columns[:2] == ["city", "prediction"]

    def test_what_is_not_there_is_named(self, invoke, trained, homes):
        result = invoke("predict", trained / "rent", homes, "--keep", "ID,cty")
        assert result.exit_code == 2
        assert "There are no columns 'ID', 'cty'" in result.stderr
        assert "did you mean 'id'?" in result.stderr
        result = invoke("predict", trained / "rent", homes, "--keep", "a,,b")
        assert result.exit_code == 2
        assert "The option keep cannot be understood" in result.stderr
