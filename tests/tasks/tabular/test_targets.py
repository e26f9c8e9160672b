"""Several targets at once: numbers and classes, with gaps, by one network."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from chainrule.data import infer_schema
from chainrule.errors import ConfigError, DataError
from chainrule.explain.checker import check
from chainrule.explain.files import explain_rows
from chainrule.explain.text import to_text
from chainrule.tasks import load_predictor
from chainrule.tasks.label_next import next_rows
from chainrule.tasks.tabular import TableOptions, train_table
from chainrule.tasks.tabular.heads import ClassHead, NumberHead
from chainrule.tasks.tabular.losses import table_loss
from chainrule.tasks.tabular.targets import learned, named_targets, scores, strata
from chainrule.tasks.update import is_no_better, update

pytestmark = pytest.mark.usefixtures("without_compiler")


def homes(rows=240, seed=0, gaps=True):
    """A price without every fourth, a class without every seventh, and a 0/1 column."""
    g = np.random.default_rng(seed)
    a, b = g.normal(size=(2, rows))
    city = g.choice(["Oslo", "Rome"], rows)
    price = 3 * a + 2 * (city == "Oslo") + 10 + g.normal(0, 0.2, rows)
    sold = np.where(a + b > 0, "yes", "no").astype(object)
    number = np.arange(rows)
    return pl.DataFrame(
        {
            "a": a,
            "b": b,
            "city": city,
            "price": [None if gaps and i % 4 == 0 else float(p) for i, p in enumerate(price)],
            "sold": [None if gaps and i % 7 == 0 else s for i, s in enumerate(sold)],
            "big": (b > 0.3).astype(int),
            "number": number % 50 / 7,
        }
    ).drop("number")


def train(frame, target, said=None, **options):
    options = {"epochs": 60, "members": 2, "hidden": (16,), **options}
    say = (lambda sentence: None) if said is None else said.append
    return train_table(frame, TableOptions(target=target, **options), progress=False, say=say)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A trained model of three targets, what was said, and where it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAINRULE_CC", "")
        said = []
        result = train(homes(), ["price", "sold", "big"], said)
        path = tmp_path_factory.mktemp("targets") / "model.safetensors"
        result.save(path)
    return result.report, said, path


def test_each_target_is_learned_from_the_rows_that_have_it(model):
    report, said, _ = model
    assert report["task"] == "several"
    assert report["target"] == "price, sold, big"
    assert report["targets"] == [
        {"target": "price", "task": "regression"},
        {"target": "sold", "task": "binary"},
        {"target": "big", "task": "binary"},
    ]
    metrics, constant = report["metrics"], report["baselines"]["constant"]
    assert metrics["r2 of price"] > 0.8 > 0.1 > constant["r2 of price"]
    assert metrics["accuracy of sold"] > 0.85
    assert metrics["accuracy of big"] > 0.85 > constant["accuracy of big"]
    assert report["baselines"]["linear"]["r2 of price"] > 0.95
    assert report["rows"] == {"train": 192, "test": 48}  # none is lost
    assert any("without a target taken for the other targets" in s for s in said)


def test_predictions_have_a_column_for_each_target_and_the_file_says_the_same(model):
    report, _, path = model
    predictor = load_predictor(path)
    rows = homes(60, seed=1, gaps=False)
    found = predictor.predict(rows.drop("price", "sold", "big"), proba=True)
    assert found.columns == [
        "price", "sold", "probability sold no", "probability sold yes",
        "big", "probability big 0", "probability big 1",
    ]  # fmt: skip
    assert found["probability sold no"].dtype == pl.Float32
    right = (found["sold"] == rows["sold"]).mean()
    metrics = predictor.evaluate(rows)
    assert metrics.keys() == report["metrics"].keys()
    assert metrics["accuracy of sold"] == pytest.approx(right)
    errors = (found["price"] - rows["price"]).to_numpy()
    assert metrics["rmse of price"] == pytest.approx(float(np.sqrt((errors**2).mean())))
    with pytest.raises(ConfigError, match="models of one target"):
        next_rows(predictor, rows, 3)


def test_an_update_goes_on_with_all_targets(model, tmp_path):
    _, _, path = model
    later = update(path, homes(80, seed=2), progress=False, epochs=1)
    before = later.report["baselines"]["before the update"]
    assert before.keys() == later.report["metrics"].keys()
    assert later.report["metrics"]["r2 of price"] > 0.7
    later.save(tmp_path / "later.safetensors")
    assert load_predictor(tmp_path / "later.safetensors").predict(homes(3)).height == 3
    strange = homes(80, seed=2).with_columns(sold=pl.lit("perhaps"))
    with pytest.raises(DataError, match="takes no new classes"):
        update(path, strange, progress=False, grow=True)
    with pytest.raises(DataError, match="classes that the model does not know"):
        update(path, strange, progress=False)


def test_an_explanation_shows_all_targets(model):
    _, _, path = model
    told = explain_rows(path, homes(gaps=False), [1, 4])
    assert told.rows[0].target["column"] == "price, sold, big"
    text = to_text(told)
    assert "A model of price, sold and big" in text
    assert not [one for one in check(text, slack=1e-5) if not one.holds]


def test_another_training_starts_from_it(model):
    _, _, path = model
    said = []
    again = train(homes(seed=3), "price,sold,big", said, from_model=str(path), epochs=1)
    assert again.report["metrics"]["r2 of price"] > 0.7
    assert not any("newly initialised" in s for s in said)
    alone = []
    train(homes(seed=3).drop("sold", "big"), "price", alone, from_model=str(path), epochs=1)
    assert any("newly initialised" in s and "head" in s for s in alone)


def test_cross_validation_gives_the_mean_of_each_metric():
    report = train(homes(60), "price,big", epochs=3, cv=2).report
    folds = [fold["r2 of price"] for fold in report["cv"]["metrics"]]
    assert report["metrics"]["r2 of price"] == pytest.approx(np.mean(folds))


def test_a_large_file_is_learned_in_parts_with_the_same_result(tmp_path):
    homes().write_csv(tmp_path / "homes.csv")
    options = TableOptions(target="price,sold", epochs=3, members=1, hidden=(8,), validation=0.2)
    whole, parts = (
        train_table(tmp_path / "homes.csv", options, progress=False, in_memory=size)
        for size in (None, 0)
    )
    assert parts.report["data"]["in_parts"]
    assert parts.report["metrics"] == whole.report["metrics"]


def test_what_cannot_be_is_refused_by_name():
    with pytest.raises(ConfigError, match="Only the classes of a single target"):
        train(homes(), "sold,big", balance=True)
    with pytest.raises(ConfigError, match="'mse' is for regression"):
        train(homes(), "price,sold", loss="mse")
    with pytest.raises(ConfigError, match="named twice"):
        train(homes(), "price,price")
    with pytest.raises(DataError, match="no column 'prise'") as caught:
        train(homes(), "prise,sold")
    assert "did you mean 'price'" in caught.value.hint
    with pytest.raises(ConfigError, match="Invalid value for target"):
        TableOptions(target="")


def test_a_name_with_a_comma_is_a_column_if_there_is_one():
    said = []
    columns = ["a,b", "a", "b", "c,d"]
    assert named_targets("a,b", columns, said.append) == ["a,b"]
    assert said == ["the target is the column 'a,b'; there are columns a and b, too"]
    assert named_targets("c,d", columns, said.append) == ["c,d"]
    assert named_targets('"c,d",a', columns, said.append) == ["c,d", "a"]
    assert named_targets(" a , b ", ["a", "b"], said.append) == ["a", "b"]
    assert named_targets("a,,b", columns, said.append) == ["a,,b"]  # no such column, said later
    assert len(said) == 1
    frame = homes(80, gaps=False).rename({"price": "price, NOK"})
    result = train(frame, "price, NOK", epochs=1)
    assert result.report["target"] == "price, NOK"
    assert "sold" in {column.name for column in result.schema.columns}
    assert TableOptions(target=["price, NOK", "sold"]).target == '"price, NOK",sold'


def test_the_loss_of_several_targets_is_the_sum_of_means_over_known_rows():
    """By hand: squared errors and -ln p, each over the rows that have the target."""
    frame = pl.DataFrame({"x": [1.0, 2, 3, 4], "y": [1.0, 2, None, 4], "c": ["a", None, "b", "a"]})
    schema = infer_schema(frame, ["y", "c"]).fit(frame)
    rows = schema.encode(frame, target=True)
    np.testing.assert_array_equal(rows.target, [[1, 0], [2, np.nan], [np.nan, 1], [4, 0]])
    from chainrule.tasks.scaling import TargetScaler

    heads = [NumberHead(TargetScaler(log=False)), ClassHead(2)]
    target = learned(heads, rows.target)
    assert target.tolist() == [[1, 0, 1, 1], [2, 0, 1, 0], [0, 1, 0, 1], [4, 0, 1, 1]]
    z = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    weights = np.array([1.0, 2.0, 1.0, 0.5], np.float32)
    loss = table_loss(schema, heads, None, (4 / 3, 2.0))
    p = np.exp(z[:, :, 1:]) / np.exp(z[:, :, 1:]).sum(2, keepdims=True)
    squares = (z[:, :, 0] - [1, 2, 0, 4]) ** 2 * [1, 1, 0, 1]
    entropy = -np.log(np.take_along_axis(p, np.array([0, 0, 1, 0])[None, :, None], 2)[..., 0])
    each = 4 / 3 * squares + 2.0 * entropy * [1, 0, 1, 1]
    assert loss(z, target).item() == pytest.approx(each.mean(), rel=1e-5)
    weighted = (each * weights).sum() / (2 * weights.sum())
    assert loss(z, target, weights).item() == pytest.approx(weighted, rel=1e-5)
    by_member = np.stack([weights, 1 - (weights > 1)], axis=1).astype(np.float32)
    weighted = (each * by_member.T).sum() / by_member.sum()
    assert loss(z, target, by_member).item() == pytest.approx(weighted, rel=1e-5)


def test_metrics_are_those_of_the_rows_that_have_the_target():
    frame = pl.DataFrame({"x": [1.0, 2, 3], "y": [1.0, 2.5, None], "c": ["a", None, "b"]})
    targets = infer_schema(frame, ["y", "c"]).targets
    values = np.array([[1.0, 0], [2.5, np.nan], [np.nan, 1]])
    found = np.array([[2.0, 0.9, 0.1], [3.5, 0.5, 0.5], [0.0, 0.8, 0.2]])
    metrics = scores(targets, values, found)
    assert metrics["mae of y"] == 1.0
    assert metrics["accuracy of c"] == 0.5
    assert metrics["log_loss of c"] == pytest.approx(-np.log(0.9 * 0.2) / 2)


def test_splits_keep_combinations_of_classes_or_those_of_the_first():
    frame = pl.DataFrame({"x": range(60), "c": ["a", "b"] * 30, "d": ["u", "u", "v"] * 20})
    targets = infer_schema(frame, ["c", "d"], features=["x"]).targets
    values = np.stack([np.arange(60) % 2, np.arange(60) % 3 == 2], axis=1).astype(float)
    assert len(np.unique(strata(targets, values))) == 4
    assert len(np.unique(strata(targets, values[:15]))) == 2
    values[0, 0] = np.nan
    assert len(np.unique(strata(targets, values))) == 5


def test_an_update_is_of_use_if_it_helps_one_target():
    before = {"r2 of a": 0.5, "accuracy of b": 0.9}
    report = {"metrics": {"r2 of a": 0.4, "accuracy of b": 0.95}}
    assert not is_no_better({**report, "baselines": {"before the update": before}})
    report = {"metrics": {"r2 of a": 0.4, "accuracy of b": 0.85}}
    assert is_no_better({**report, "baselines": {"before the update": before}})
