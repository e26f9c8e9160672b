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
