"""``chainrule export``."""

from __future__ import annotations

import numpy as np

from ..interop.running_onnx import run


def test_a_table_model_becomes_a_file_that_predicts_raw_rows(invoke, place, trained):
    done = invoke("export", trained / "class", "--to", "onnx")
    assert done.exit_code == 0, done.output
    assert "The model is in class.onnx" in done.stdout
    size, city = np.array([[30.0], [np.nan]]), np.array([["Oslo"], [""]], object)
    found = run(place / "class.onnx", size, city)
    assert set(found) == {"label", "probabilities"}
    assert set(found["label"]) <= {"cheap", "dear"}
    (place / "new.csv").write_text("m2,city\n30,Oslo\n,\n")
    told = invoke(
        "predict", trained / "class", "new.csv", "--proba", "--digits", "all"
    ).stdout.splitlines()[1:]
    for line, label, p in zip(told, found["label"], found["probabilities"], strict=True):
        named, *numbers = line.split(",")
        assert named == label
        np.testing.assert_allclose(p, list(map(float, numbers)), atol=1e-6)


def test_out_and_opset(invoke, place, trained):
    import onnx

    done = invoke("export", trained / "rent", "--to", "onnx", "--out", "r.onnx", "--opset", "18")
    assert done.exit_code == 0, done.output
    assert onnx.load(place / "r.onnx").opset_import[0].version == 18


def test_mistakes(invoke, place, trained):
    for arguments, words in (
        (("--to", "onx"), "Did you mean 'onnx'?"),
        (("--to", "onnx", "--out", "no/r.onnx"), "mkdir -p no"),
        (("--to", "onnx", "--opset", "5"), "from 17 to"),
    ):
        done = invoke("export", trained / "rent", *arguments)
        assert done.exit_code != 0
        assert words in done.stderr
    assert invoke("export", "no-run", "--to", "onnx").exit_code != 0


def test_a_model_as_c(invoke, place, trained):
    done = invoke("export", trained / "rent", "--to", "c", "--out", "c", "--train", "--batch", "2")
    assert done.exit_code == 0, done.output
    assert "rent.h and rent.c" in done.stderr
    assert "The model is in c" in done.stdout
    assert {path.name for path in (place / "c").iterdir()} == {
        "rent.h", "rent.c", "main.c", "README.md", "rent_report.json",
    }  # fmt: skip
    assert "int rent_learn(" in (place / "c" / "rent.h").read_text()


def test_a_model_in_8_bits_is_calibrated_by_a_file(invoke, place, trained):
    (place / "rows.csv").write_text("m2,city\n30,Oslo\n41,Rome\n55,Oslo\n")
    arguments = ("--to", "c", "--out", "c", "--int8", "rows.csv")
    done = invoke("export", trained / "rent", *arguments)
    assert done.exit_code == 0, done.output
    assert "int8_t" in (place / "c" / "rent.c").read_text()
    assert "3 rows of the calibration" in (place / "c" / "README.md").read_text()
    assert "In 8 bits predictions of 3 rows of the calibration differ" in " ".join(
        done.stderr.split()
    )
    (place / "test.csv").write_text("m2,city,rent\n33,Oslo,900\n48,Rome,700\n60,Oslo,1500\n")
    done = invoke("export", trained / "rent", *arguments, "--test", "test.csv")
    assert done.exit_code == 0, done.output
    said = " ".join(done.stderr.split())
    assert "In 8 bits, on test.csv: R²" in said
    assert "in floating point" in said
    done = invoke("export", trained / "rent", *arguments, "--train")
    assert done.exit_code != 0
    assert "--int8 (int8=) with --train" in done.stderr


def test_mistakes_in_c(invoke, place, trained):
    for arguments, words in (
        (("--name", "7up"), "--name x_7up"),
        (("--ram", "12"), "more RAM"),
        (("--ram", "much"), "--ram 64k"),
        (("--opset", "17"), "Omit --opset"),
        (("--learn", "last"), "--train"),
        (("--train", "--learn", "hed"), "Unknown layer 'hed'"),
        (("--train", "--optimizer", "addam"), "Did you mean 'adam'"),
        (("--train", "--batch", "0"), "--batch 1"),
        (("--out", "no/c"), "mkdir -p no"),
        (("--standardise", "0.1"), "--train"),
        (("--train", "--standardise", "2"), "--standardise 0.01"),
        (("--test", "rows.csv"), "--int8 DATA"),
        (("--plain", "--avx2"), "Omit --plain"),
    ):
        done = invoke("export", trained / "rent", "--to", "c", *arguments)
        assert done.exit_code != 0
        assert words in done.stderr, (arguments, done.stderr)
    done = invoke("export", trained / "rent", "--to", "onnx", "--train")
    assert done.exit_code != 0
    assert "--train is not for --to onnx" in done.stderr
    done = invoke("export", trained / "rent", "--to", "wasm", "--neon")
    assert "Omit --neon" in done.stderr
    assert not list(place.glob("*/rent.c"))
