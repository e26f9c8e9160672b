import json

import numpy as np

import chainrule as cr


def test_layers_columns_and_report(invoke, trained):
    result = invoke("summary", trained / "rent")
    assert result.exit_code == 0, result.stderr
    assert "layers.0" in result.stdout
    assert "weight float32[2, " in result.stdout
    assert "city     category" in result.stdout
    assert "class    left out" in result.stdout
    assert "The test part: 16 rows" in result.stdout


def test_json(invoke, trained):
    document = json.loads(invoke("summary", trained / "class", "--json").stdout)
    assert document["classes"] == ["cheap", "dear"]
    assert document["schema"]["target"]["name"] == "class"
    assert document["report"]["epochs"] == 2
    sizes = {path: kind.count(",") + 1 for path, kind in document["variables"].items()}
    assert len(sizes) > 4


def test_a_model_without_a_table(invoke, place):
    cr.save(place / "line.safetensors", cr.nn.Linear(2, 1), np.zeros((1, 2), np.float32))
    result = invoke("summary", "line.safetensors")
    assert result.exit_code == 0, result.stderr
    assert "weight float32[" in result.stdout
    assert "It takes" in result.stdout
