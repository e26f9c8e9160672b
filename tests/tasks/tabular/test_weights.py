"""Weights of rows: in the loss, in metrics and in baselines."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from chainrule.data import infer_schema
from chainrule.errors import ConfigError, DataError
from chainrule.tasks import load_predictor
from chainrule.tasks.evaluation import class_weights, constant_prediction
from chainrule.tasks.linear_baseline import linear_predictions
from chainrule.tasks.tabular import TableOptions, train_table
from chainrule.tasks.update import update

pytestmark = pytest.mark.usefixtures("without_compiler")


def two_laws(rows=200, seed=0):
    """y = x where the weight is 1, y = -x in as many rows of the weight 0."""
    g = np.random.default_rng(seed)
    x, w = g.uniform(-1, 1, rows), np.arange(rows) % 2
    return pl.DataFrame({"x": x, "w": w, "y": np.where(w == 1, x, -x)})


def train(frame, said=None, **options):
    options = {"target": "y", "epochs": 60, "members": 2, "hidden": (16,), **options}
    say = (lambda sentence: None) if said is None else said.append
    return train_table(frame, TableOptions(**options), progress=False, say=say)


def test_only_rows_with_weight_are_learned_and_measured(tmp_path):
    result = train(two_laws(), weight="w")
    assert {column.name for column in result.schema.columns} == {"x"}
    report = result.report
    assert report["metrics"]["r2"] > 0.9
    assert report["baselines"]["linear"]["r2"] > 0.99
    result.save(tmp_path / "model.safetensors")
    predictor = load_predictor(tmp_path / "model.safetensors")
    new = pl.DataFrame({"x": [-0.5, 0.5]})  # without weights
    low, high = predictor.predict(new)["prediction"]
    assert low < -0.3 < 0.3 < high
    said = []
    assert predictor.evaluate(two_laws(seed=1), say=said.append)["r2"] > 0.9
    assert predictor.evaluate(two_laws(seed=1).drop("w"), say=said.append)["r2"] < 0.5
    assert said == ["there is no column w: all rows count alike"]
    assert update(tmp_path / "model.safetensors", two_laws(seed=2), progress=False,
                  epochs=1).report["metrics"]["r2"] > 0.9  # fmt: skip


def test_a_table_in_parts_has_the_same_metrics(tmp_path):
    two_laws().with_columns(w=pl.col("w") + 0.5).write_csv(tmp_path / "t.csv")
    options = TableOptions(
        target="y", weight="w", epochs=2, members=1, hidden=(8,), validation=0.2, quantiles=(0.5,)
    )
    whole, parts = (
        train_table(tmp_path / "t.csv", options, progress=False, in_memory=size)
        for size in (None, 0)
    )
    assert parts.report["metrics"] == whole.report["metrics"]
    assert parts.report["baselines"]["mean"] == whole.report["baselines"]["mean"]
    classes = TableOptions(target="y", weight="w", balance=True)
    with pytest.raises(ConfigError, match="weights of rows or balanced classes"):
        train_table(tmp_path / "t.csv", classes, progress=False, in_memory=0)


@pytest.mark.parametrize(
    ("weights", "found"),
    [
        ([1.0, -2.0], r"-2.0 in row 1"),
        ([None, 1.0], r"None in row 0"),
        ([0.0, 0.0], r"0 in all 40 rows"),
        (["one", "two"], r"one|two|text"),
        ([float("nan"), 1.0], r"in row 0"),
    ],
)
def test_wrong_weights_are_refused(weights, found):
    frame = two_laws(40).with_columns(w=pl.Series(weights * 20, strict=False))
    with pytest.raises(DataError) as caught:
        train(frame, weight="w", epochs=1)
    assert "column 'w'" in str(caught.value.where)


def test_a_missing_weight_of_a_row_without_a_target_does_not_matter():
    frame = two_laws(40).with_columns(
        w=pl.Series([None, *[1.0] * 39]), y=pl.Series([None, *[float(i % 7) for i in range(39)]])
    )
    assert train(frame, weight="w", epochs=1).report["rows"]["train"] == 31


def test_the_weight_is_a_column_of_its_own():
    for wrong, match in (({"weight": "y"}, "cannot be the target"),
                         ({"weight": "x", "features": ("x",)}, "cannot be a feature"),
                         ({"weight": "ww"}, "no column 'ww'")):  # fmt: skip
        with pytest.raises(DataError, match=match):
            train(two_laws(40), epochs=1, **wrong)


def test_constants_classes_and_the_line_are_weighted():
    y, w = np.array([1.0, 3.0]), np.array([3.0, 1.0])
    assert constant_prediction(y, 1, 0, w)[1].tolist() == [1.5]
    assert constant_prediction(np.array([0, 1]), 1, 2, w)[1].tolist() == [[0.75, 0.25]]
    found = class_weights(np.array([0, 0, 1]), 2, np.array([1.0, 2.0, 1.0]))
    assert found.tolist() == pytest.approx([2 / 3, 4 / 3, 2.0])  # each class has 2 of 4
    assert class_weights(np.array([0, 1]), 2, np.array([0.0, 1.0])).tolist() == [0.0, 1.0]
    x = np.array([[-1.0], [0.0], [1.0], [0.0]])
    y = np.array([-2.0, 0.0, 2.0, 9.0])
    line = linear_predictions(x, y, x[:3], 0, np.array([1.0, 1.0, 1.0, 0.0]))
    np.testing.assert_allclose(line, [-2, 0, 2], atol=0.02)
    classes = np.array([0, 0, 1, 1])
    p = linear_predictions(np.zeros((4, 1)), classes, np.zeros((1, 1)), 2, np.array([3.0, 3, 1, 1]))
    assert p[0, 0] == pytest.approx(0.75, abs=0.02)


def test_the_schema_keeps_how_weights_are_read():
    frame = pl.DataFrame({"x": [1.0, 2, 3], "w": ["1,5", "2,5", "0"], "y": [1.0, 2, 4]})
    schema = infer_schema(frame, "y", weight="w").fit(frame)
    rows = schema.encode(frame, target=True)
    assert rows.weights.tolist() == [1.5, 2.5, 0.0]
    assert rows.take([1]).weights.tolist() == [2.5]
    assert schema.encode(frame.drop("w")).weights is None
    assert type(schema).from_json(schema.to_json()) == schema
