"""Tables that are read in parts give what tables in memory give."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from chainrule.data import table_scan
from chainrule.errors import ConfigError, DataError
from chainrule.tasks import load_predictor
from chainrule.tasks.tabular import TableOptions, sample, streaming, train_table
from chainrule.training import Callback, sampler
from chainrule.utils.warned import DataWarning
from tests.in_processes import in_processes


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(table_scan, "_BLOCK", 9_000)
    monkeypatch.setattr(table_scan, "PART_ROWS", 300)


def homes(rows=1200, seed=0):
    g = np.random.default_rng(seed)
    area, city = g.uniform(30, 200, rows), g.choice(["Oslo", "Rome", "Bonn"], rows)
    price = 3 * area + 50 * (city == "Oslo") + g.normal(0, 5, rows)
    rooms = np.where(g.uniform(size=rows) < 0.1, None, (area // 20).astype(int))
    return pl.DataFrame(
        {
            "area": area.round(2),
            "city": city,
            "rooms": pl.Series(rooms.tolist(), dtype=pl.Int64),
            "sold": pl.Series([f"2020-{i % 12 + 1:02d}-{i % 28 + 1:02d}" for i in range(rows)]),
            "price": price.round(1),
            "class": np.where(price > 500, "dear", np.where(price > 250, "fair", "cheap")),
        }
    )


def options(target, **more):
    other = {"price": "class", "class": "price"}[target]
    small = {"epochs": 2, "hidden": (16,), "members": 1, "drop": (other,), "backend": "numpy"}
    return TableOptions(target=target, **{**small, **more})


def same(one, two):
    """The same report and the same weights, to the bit."""
    for name in ("metrics", "baselines", "rows", "epochs", "best_epoch"):
        assert one.report[name] == two.report[name], name
    weights = one._model.state(), two._model.state()
    assert weights[0].keys() == weights[1].keys()
    for path, value in weights[0].items():
        np.testing.assert_array_equal(value, weights[1][path], err_msg=path)


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_the_result_is_that_from_memory(tmp_path, ending):
    path = tmp_path / f"homes.{ending}"
    {"csv": homes().write_csv, "parquet": homes().write_parquet, "jsonl": homes().write_ndjson}[
        ending
    ](path)
    chosen = options("price")
    in_memory = train_table(path, chosen, progress=False)
    in_parts = train_table(path, chosen, progress=False, in_memory=1_000)
    assert in_parts.report["data"]["in_parts"]
    assert 0 <= in_parts.report["waited"] <= 1
    same(in_memory, in_parts)


@pytest.mark.parametrize("more", [{}, {"balance": True}, {"validation": 0.3, "test": 0.25}])
def test_classes_missing_targets_and_options(tmp_path, more):
    frame = homes().with_columns(
        pl.when(pl.int_range(pl.len()) % 9 != 4).then(pl.col("class")).alias("class")
    )
    frame.write_csv(tmp_path / "t.csv")
    chosen, said = options("class", **more), []
    in_parts = train_table(
        tmp_path / "t.csv", chosen, progress=False, in_memory=1_000, say=said.append
    )
    same(train_table(tmp_path / "t.csv", chosen, progress=False), in_parts)
    assert "133 rows have no target and are left out" in said


def test_a_test_file_and_a_model_to_begin_with(tmp_path):
    homes().write_csv(tmp_path / "t.csv")
    homes(200, seed=1).write_csv(tmp_path / "test.csv")
    train_table(tmp_path / "t.csv", options("price"), progress=False).save(tmp_path / "m")
    chosen = options("price", test=str(tmp_path / "test.csv"), from_model=str(tmp_path / "m"))
    same(
        train_table(tmp_path / "t.csv", chosen, progress=False),
        train_table(tmp_path / "t.csv", chosen, progress=False, in_memory=1_000),
    )


def test_larger_tables_are_understood_from_a_sample_and_dealt_row_by_row(tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "MOST_ROWS", 200)
    monkeypatch.setattr(streaming, "_AT_ONCE", 300)
    monkeypatch.setattr(sampler, "_AT_ONCE", 256)
    monkeypatch.setattr(sampler, "_BLOCK", 32)
    frame = homes(3000)
    rare = pl.when(pl.int_range(pl.len()) == 2701).then(pl.lit("palace")).otherwise("class")
    frame = frame.with_columns(rare.alias("class"))
    frame.write_csv(tmp_path / "t.csv")
    said: list[str] = []
    result = train_table(
        tmp_path / "t.csv", options("class", epochs=20), progress=False, in_memory=1_000,
        say=said.append,
    )  # fmt: skip
    assert result.schema.target.classes == ("cheap", "dear", "fair", "palace")
    (sentence,) = [s for s in said if "understood from" in s]
    assert 188 <= int(sentence.split()[-3]) <= 192  # one in 16, and the first of each class
    rows = result.report["rows"]
    assert rows["train"] + rows["test"] == 3000
    assert 500 < rows["test"] < 700  # a share of 0.2
    assert result.report["metrics"]["accuracy"] > 0.8
    again = train_table(
        tmp_path / "t.csv", options("class", epochs=20), progress=False, in_memory=1_000
    )
    same(result, again)


def test_rows_are_dealt_evenly_and_by_the_seed():
    u = streaming._uniform(np.arange(100_000), 3)
    assert np.abs(np.histogram(u, 10, (0, 1))[0] - 10_000).max() < 400
    assert not np.array_equal(u, streaming._uniform(np.arange(100_000), 4))
    np.testing.assert_array_equal(u[500:600], streaming._uniform(np.arange(500, 600), 3))


def test_mistakes(tmp_path):
    homes().write_csv(tmp_path / "t.csv")
    with pytest.raises(ConfigError, match="Cross-validation needs"):
        train_table(tmp_path / "t.csv", options("price", cv=3), in_memory=1_000)
    with pytest.raises(DataError, match="no column 'rent'"):
        train_table(tmp_path / "t.csv", TableOptions(target="rent"), in_memory=1_000)


@pytest.mark.parametrize("target", ["price", "class"])
def test_predictions_and_metrics_of_large_files_are_those_from_memory(
    tmp_path, monkeypatch, target
):
    homes().write_csv(tmp_path / "t.csv")
    train_table(tmp_path / "t.csv", options(target), progress=False).save(tmp_path / "m")
    predictor = load_predictor(tmp_path / "m")
    frame = homes(700, seed=2).with_columns(city=pl.lit("Bern"))
    frame.write_csv(tmp_path / "new.csv")
    said: list[str] = []
    with pytest.warns(DataWarning, match="never seen in training: 'Bern'"):
        whole = predictor.predict(tmp_path / "new.csv", proba=True)
    scores = predictor.evaluate(tmp_path / "new.csv", say=said.append)
    said.clear()
    monkeypatch.setattr(table_scan, "IN_MEMORY", 1_000)
    assert predictor.predict(tmp_path / "new.csv", proba=True, say=said.append).equals(whole)
    assert predictor.evaluate(tmp_path / "new.csv", say=said.append) == scores
    assert len([s for s in said if "never seen in training" in s]) == 2


def test_an_interrupted_training_keeps_its_best_model(tmp_path):
    class Impatient(Callback):
        def on_step_end(self, trainer, step, loss):
            if trainer.epoch == 2 and step == 3:
                raise KeyboardInterrupt

    homes().write_csv(tmp_path / "t.csv")
    result = train_table(
        tmp_path / "t.csv", options("price", epochs=9), progress=False, in_memory=1_000,
        callbacks=(Impatient(),),
    )  # fmt: skip
    assert result.history.interrupted
    assert result.report["epochs"] == 2
    assert set(result.report["metrics"]) == {"r2", "rmse", "mae"}


@pytest.mark.parametrize(
    ("ending", "target", "more"),
    [
        ("csv", "class", {"balance": True}),
        ("parquet", "price", {"split_by_group": "city"}),
        pytest.param("jsonl", "class", {}, marks=pytest.mark.nightly),
        pytest.param("csv", "price", {"weight": "rooms"}, marks=pytest.mark.nightly),
    ],
)
def test_processes_that_read_a_part_each_have_what_one_has_that_reads_all(
    tmp_path, monkeypatch, ending, target, more
):
    path = tmp_path / f"homes.{ending}"
    frame = homes()
    if more.get("weight"):
        frame = frame.with_columns(pl.col("rooms").fill_null(1) + 1)
    frame = frame.with_columns(
        pl.when(pl.int_range(pl.len()) % 50 == 3).then(None).otherwise(target).alias(target)
    )
    {"csv": frame.write_csv, "parquet": frame.write_parquet, "jsonl": frame.write_ndjson}[ending](
        path
    )

    def prepared():
        said = []
        plan = streaming.StreamedTablePlan(options(target, **more), said.append)
        data = plan.read(path)
        split = plan.split(data)
        schema = plan.understand(split)
        learner = plan.build(schema, split)
        train, validation = plan.examples(schema, learner, split)
        return (
            schema,
            train.read(np.arange(len(train))),
            validation,
            split.test.encoded(schema),
            said,
        )

    alone = prepared()
    for found in in_processes(monkeypatch, 3, prepared):
        assert found[0].to_json() == alone[0].to_json()
        assert found[1].fingerprint() == alone[1].fingerprint()
        assert found[2].fingerprint() == alone[2].fingerprint()
        for name in ("numeric", "category", "date", "target", "rows"):
            np.testing.assert_array_equal(getattr(found[3], name), getattr(alone[3], name))
        assert found[4] == alone[4]


def test_processes_have_the_same_sample_of_many_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "MOST_ROWS", 200)
    monkeypatch.setattr(streaming, "_AT_ONCE", 300)
    frame = homes(3000)
    rare = pl.when(pl.int_range(pl.len()) == 2701).then(pl.lit("palace")).otherwise("class")
    frame.with_columns(rare.alias("class")).write_csv(tmp_path / "t.csv")

    def dealt():
        data = streaming.StreamedTablePlan(options("class")).read(tmp_path / "t.csv")
        roles = data.roles
        return data.sample.frame, roles.rows, roles.of(np.arange(3000)), roles.counts

    alone = dealt()
    for found in in_processes(monkeypatch, 4, dealt):
        assert found[0].equals(alone[0])
        assert found[1] == alone[1]
        np.testing.assert_array_equal(found[2], alone[2])
        np.testing.assert_array_equal(found[3], alone[3])
