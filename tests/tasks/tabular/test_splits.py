"""Splits of tables: copies and groups on one side, time in order, and what chance hides."""

import numpy as np
import polars as pl
import pytest

from chainrule.data import infer_schema, read_table
from chainrule.errors import ChainruleError
from chainrule.tasks.partition import KeyReader, combinations
from chainrule.tasks.tabular import TableOptions, streaming
from chainrule.tasks.tabular.plan import TablePlan
from chainrule.tasks.tabular.split_check import warnings_of
from chainrule.tasks.tabular.streaming import StreamedTablePlan


def split_of(table, said=None, **options):
    """The rows of each set, by the column `row`, which is not learned from."""
    options = {"target": "y", "drop": ("row",), "backend": "numpy", **options}
    plan = TablePlan(TableOptions(**options), (said if said is not None else []).append)
    split = plan.split(plan.read(table))
    sets = (split.train, split.validation, split.test)
    return plan, [set(part.frame["row"].to_list()) for part in sets], split


def numbers(rows, columns=3, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=rows).round(4) for name in "abcdef"[:columns]}


@pytest.fixture
def copies():
    """90 different rows, of which 30 are there four times."""
    table = pl.DataFrame(numbers(90)).with_columns(y=pl.Series(np.arange(90.0) % 17 + 0.5))
    table = pl.concat([table, table[:30], table[:30], table[:30]])
    return table.with_columns(
        row=np.arange(180), original=pl.Series([*range(90), *range(30)] + [*range(30)] * 2)
    )


class TestCopies:
    def test_identical_rows_are_on_one_side(self, copies):
        said = []
        table = copies.drop("original")
        _, (train, validation, test), _ = split_of(table, said)
        original = dict(copies.select("row", "original").rows())
        assert train == validation  # a small table: each row is held out from one member
        assert not {original[i] for i in train} & {original[i] for i in test}
        assert len(test) == pytest.approx(36, abs=6)
        assert any(s.startswith("90 of 180 rows repeat another one") for s in said)

    def test_members_hold_copies_out_together(self, copies):
        plan, _, split = split_of(copies.drop("original"), cv=None)
        schema = plan.understand(split)
        learner = plan.build(schema, split)
        data, validation = plan.examples(schema, learner, split)
        cells = split.train.frame.select("a", "b", "c").rows()
        held = {cell: set() for cell in cells}
        for cell, row in zip(cells, validation.weights, strict=True):
            held[cell].add(tuple(row))
        assert all(len(found) == 1 for found in held.values())
        assert (data.weights + validation.weights == 1).all()

    def test_cells_are_compared_as_they_are_read(self):
        table = pl.DataFrame(numbers(60)).with_columns(
            pl.col("a").cast(str), y=np.arange(60.0), row=np.arange(60)
        )
        again = table.with_columns(pl.col("a") + "0", row=table["row"] + 60)
        _, (train, _, test), _ = split_of(pl.concat([table, again]))
        assert {i % 60 for i in train}.isdisjoint({i % 60 for i in test})

    def test_contradictions_are_said(self, copies):
        said = []
        split_of(copies.drop("original").with_columns(y=np.arange(180.0)), said)
        assert any("120 rows are identical to others, but differ in 'y'" in s for s in said)

    def test_few_combinations_are_no_copies(self):
        rng = np.random.default_rng(0)
        table = {"sex": rng.choice(["f", "m"], 400), "deck": rng.choice(["1", "2", "crew"], 400),
                 "y": rng.choice(["lost", "saved"], 400), "row": np.arange(400)}  # fmt: skip
        said = []
        _, (_, _, test), _ = split_of(table, said)
        assert len(test) == 80
        assert any("6 combinations of values only" in s for s in said)

    def test_without_copies_nothing_is_said(self):
        said = []
        split_of({**numbers(80), "y": np.arange(80.0), "row": np.arange(80)}, said)
        assert not [s for s in said if "repeat" in s or "alike" in s]

    def test_hashes_do_not_depend_on_the_part_that_is_read(self, copies):
        frame = read_table(copies.drop("original"))
        schema = infer_schema(frame, "y", drop=["row"])
        reader = KeyReader(frame, schema, TableOptions(target="y"), "here")
        parts = [reader.read(frame[:50]).cells, reader.read(frame[50:]).cells]
        assert (np.concatenate(parts) == reader.read(frame).cells).all()
        assert combinations(schema, frame, "here") > 180


class TestGroups:
    @pytest.fixture
    def patients(self):
        rng = np.random.default_rng(0)
        who = np.repeat(np.arange(40), 10)
        level = rng.normal(size=(40, 3))
        noise = 0.1 * rng.normal(size=(400, 3))
        ill = np.where(rng.random(40) > 0.5, "ill", "well")
        cells = dict(zip("abc", (level[who] + noise).T, strict=True))
        return {"patient": [f"P{i}" for i in who], **cells, "y": ill[who], "row": np.arange(400)}

    def test_a_group_is_on_one_side_and_nothing_to_learn_from(self, patients):
        _, (train, _, test), split = split_of(patients, split_by_group="patient")
        assert {i // 10 for i in train}.isdisjoint({i // 10 for i in test})
        assert len(test) == pytest.approx(80, abs=20)
        schema = split.train.table.schema
        assert [c.name for c in schema.columns] == ["a", "b", "c"]
        (dropped,) = (c for c in schema.dropped if c.name == "patient")
        assert "one side of a split" in dropped.reason

    def test_it_is_learned_from_if_asked_for(self, patients):
        _, _, split = split_of(
            patients, split_by_group="patient", drop=(), features=("patient", "a")
        )
        assert [c.name for c in split.train.table.schema.columns] == ["patient", "a"]

    def test_cross_validation_keeps_groups(self, patients):
        plan = TablePlan(TableOptions(target="y", split_by_group="patient", backend="numpy"))
        folds = plan.folds(plan.read(patients), 4)
        tested = []
        for fold in folds[:-1]:
            train, test = ({i // 10 for i in p.frame["row"]} for p in (fold.train, fold.test))
            assert train.isdisjoint(test)
            tested += test
        assert sorted(tested) == list(range(40))

    def test_rows_without_a_group_are_by_themselves(self, patients):
        patients["patient"][:10] = [None] * 10
        said = []
        split_of(patients, said, split_by_group="patient")
        assert "10 rows have no group in 'patient': each is by itself" in said
        said.clear()
        patients["patient"][1:10] = patients["patient"][11:20]
        split_of(patients, said, split_by_group="patient")
        assert "1 row has no group in 'patient': each is by itself" in said

    def test_a_random_split_of_groups_is_measured(self, patients):
        plan, _, _ = split_of(patients)
        (sentence,) = plan.notes
        assert sentence.startswith("rows with the same 'patient' are on both sides")
        assert "accuracy 1.00 so, but 0." in sentence
        assert "--split-by-group patient" in sentence

    def test_groups_that_do_not_matter_are_no_alarm(self, patients):
        rng = np.random.default_rng(1)
        patients |= numbers(400, seed=2)
        patients["y"] = np.where(patients["a"] + 0.3 * rng.normal(size=400) > 0, "ill", "well")
        (sentence,) = split_of(patients)[0].notes
        assert "too good" not in sentence


class TestTime:
    @pytest.fixture
    def walk(self):
        rng = np.random.default_rng(0)
        day = np.datetime64("2021-01-01") + np.arange(400)
        order = rng.permutation(400)
        price = 100 + rng.normal(size=400).cumsum()
        return {"day": day[order].astype(str), **numbers(400, 2), "y": price[order], "row": order}

    def test_the_latest_are_tested_and_those_before_validate(self, walk):
        _, (train, validation, test), _ = split_of(walk, split_by_time="day")
        assert test == set(range(320, 400))
        assert validation == set(range(288, 320))
        assert train == set(range(288))

    def test_by_numbers_and_by_a_column_that_is_dropped(self, walk):
        walk["when"] = walk.pop("row") * 10 + 7
        walk["row"] = (walk["when"] - 7) // 10
        _, (_, _, test), split = split_of(walk, split_by_time="when", drop=("row", "when", "day"))
        assert test == set(range(320, 400))
        assert [c.name for c in split.train.table.schema.columns] == ["a", "b"]

    def test_cross_validation_tests_what_comes_next(self, walk):
        plan = TablePlan(TableOptions(target="y", split_by_time="day", backend="numpy"))
        for fold in plan.folds(plan.read(walk), 3)[:-1]:
            parts = [set(p.frame["row"]) for p in (fold.train, fold.validation, fold.test)]
            assert max(parts[0]) < min(parts[1])
            assert max(parts[1]) < min(parts[2])

    def test_a_random_split_of_time_is_measured(self, walk):
        (sentence,) = split_of(walk)[0].notes
        assert sentence.startswith("rows are split at random in time ('day'), and a quick model")
        assert "--split-by-time day gives the right ones" in sentence

    def test_time_that_does_not_matter_is_no_alarm(self, walk):
        walk["y"] = walk["a"] * 3 + walk["b"]
        (sentence,) = split_of(walk)[0].notes
        assert "too good" not in sentence
        assert "R² 1.00" in sentence

    def test_counters_out_of_order_are_no_times(self):
        frame = read_table({"hour": np.arange(100) * 7 % 24, "y": np.arange(100.0) % 31})
        assert warnings_of(frame, infer_schema(frame, "y"), None, "here", 0) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split_by_group": "nobody"}, "nobody"),
        ({"split_by_time": "y"}, "cannot say how rows are split"),
        ({"split_by_group": "a", "split_by_time": "b"}, "groups or time, not both"),
        ({"split_by_time": "word"}, "does not say when a row was"),
        ({"split_by_time": "constant"}, "does not say when|cannot be split in time"),
    ],
)
def test_splits_that_make_no_sense(options, message):
    table = {**numbers(40, 2), "word": ["x", "y"] * 20, "constant": [1] * 40, "y": np.arange(40.0),
             "row": np.arange(40)}  # fmt: skip
    with pytest.raises(ChainruleError, match=message):
        split_of(table, **options)


class TestLargerThanMemory:
    """The same, in parts."""

    @pytest.mark.parametrize("at_once", [10_000, 100])
    @pytest.mark.parametrize("how", ["copies", "group", "time"])
    def test_rows_stay_together(self, tmp_path, monkeypatch, copies, at_once, how):
        monkeypatch.setattr(streaming, "_AT_ONCE", at_once)
        rng = np.random.default_rng(0)
        table = copies.with_columns(when=rng.permutation(180) * 3, who=np.arange(180) // 6)
        table.write_csv(tmp_path / "t.csv")
        options = {"group": {"split_by_group": "who"}, "time": {"split_by_time": "when"}}
        plan = StreamedTablePlan(
            TableOptions(
                target="y", drop=("row", "original", "when", "who"), test=0.3,
                validation=0.2, backend="numpy", **options.get(how, {}),
            ),
        )  # fmt: skip
        data = plan.read(str(tmp_path / "t.csv"))
        role = data.roles.of(np.arange(180))
        column = {"copies": "original", "group": "who", "time": "when"}[how]
        values = [set(table[column].to_numpy()[role == part]) for part in range(3)]
        assert all(values)
        if how == "time":
            assert max(values[0]) < min(values[1]) < max(values[1]) < min(values[2])
        else:
            assert not values[0] & values[1] | values[0] & values[2] | values[1] & values[2]


class TestTask:
    """Ratings from 1 to 5 look like classes."""

    @pytest.fixture
    def ratings(self):
        rng = np.random.default_rng(0)
        return {**numbers(200, 2), "y": rng.integers(1, 6, 200), "row": np.arange(200)}

    @pytest.mark.parametrize(
        ("options", "task"),
        [
            ({}, "multiclass"),
            ({"task": "regression"}, "regression"),
            ({"kinds": {"y": "numeric"}}, "regression"),
            ({"loss": "mse"}, "regression"),
            ({"loss": "huber"}, "regression"),
            ({"loss": "cross_entropy"}, "multiclass"),
            ({"task": "classification", "kinds": {"y": "category"}}, "multiclass"),
        ],
    )
    def test_it_can_be_said(self, ratings, options, task):
        _, _, split = split_of(ratings, **options)
        assert split.train.table.schema.target.task == task

    def test_numbers_become_classes(self, ratings):
        ratings["y"] = ratings["y"] * 7 + np.arange(200) % 5
        assert split_of(ratings)[2].train.table.schema.target.task == "regression"
        _, _, split = split_of(ratings, task="classification")
        assert len(split.train.table.schema.target.classes) == 25

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"task": "ranking"}, "Unknown task 'ranking'"),
            ({"kinds": {"y": "date"}}, "cannot be of the kind 'date'"),
            ({"kinds": {"y": "numeric"}, "task": "classification"}, "says another task"),
            ({"kinds": {"y": "category"}, "loss": "mse"}, "says another task"),
        ],
    )
    def test_contradictions_are_refused(self, ratings, options, message):
        with pytest.raises(ChainruleError, match=message):
            split_of(ratings, **options)
