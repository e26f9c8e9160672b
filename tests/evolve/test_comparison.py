"""Methods side by side on one network: what is counted, measured and shown."""

from __future__ import annotations

import json

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError
from chainrule.evolve.comparison import METHODS, Budget, Comparison, comparison_page
from chainrule.evolve.comparison.methods import run
from chainrule.evolve.comparison.page import charts, columns
from chainrule.evolve.comparison.problem import problem_of, vector_of
from chainrule.evolve.comparison.side_by_side import Curve

pytestmark = pytest.mark.usefixtures("without_compiler")
RNG = np.random.default_rng(2)


def numbers():
    x, y = RNG.normal(size=(2, 120))
    return {"x": x, "y": y, "z": 2 * x - y + 0.1 * RNG.normal(size=120)}


def classes():
    x, y = RNG.normal(size=(2, 120))
    return {"x": x, "y": y, "side": np.where(x + y > 0, "over", "under")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30", Budget(seconds=30)),
        (1.5, Budget(seconds=1.5)),
        ("30s", Budget(seconds=30)),
        ("2m", Budget(seconds=120)),
        ("1.5 min", Budget(seconds=90)),
        ("5000evaluations", Budget(passes=5000)),
        ("5,000 Evaluations", Budget(passes=5000)),
        ("1e3 passes", Budget(passes=1000)),
        ("300 episodes", Budget(episodes=300)),
    ],
)
def test_budgets(text, expected):
    assert Budget.of(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "", "3 hours?", "0.5passes", "1.2.3", 0])
def test_invalid_budgets_are_refused(text):
    with pytest.raises(ConfigError, match="budget"):
        Budget.of(text)


@pytest.fixture(scope="module")
def comparison():
    return cr.evolve.compare(
        numbers(), target="z", methods=["backprop", "es", "hill"], budget="1500evaluations",
        seeds=2, hidden=(4,),
    )  # fmt: skip


def test_every_method_begins_alike_and_spends_its_budget(comparison):
    assert comparison.parameters == 2 * 4 + 4 + 4 + 1
    firsts = {name: [c.train[0] for c in curves] for name, curves in comparison.curves.items()}
    assert firsts["backprop"] == firsts["es"] == firsts["hill"]
    assert len(set(firsts["es"])) == 2  # another start for another seed
    for name, curves in comparison.curves.items():
        for curve in curves:
            assert 1300 < curve.passes[-1] <= 1500, name
            assert list(curve.passes) == sorted(curve.passes)
            assert list(curve.train) == sorted(curve.train, reverse=True)
            assert curve.train[-1] < curve.train[0] / 2
            assert curve.reason == "the budget is spent"
    # A step of backpropagation is three forward passes of its batch.
    curve = comparison.curves["backprop"][0]
    rows = comparison.rows[0]
    batch = curve.passes[-1] * rows / 3 / curve.steps
    assert batch == pytest.approx(round(batch))


def test_gradients_need_fewer_passes_where_there_are_some(comparison):
    rows = {row["method"]: row for row in comparison.table()}
    assert rows["backprop"]["train"] < rows["es"]["train"]
    assert rows["backprop"]["metrics"]["r2"] > 0.9
    assert rows["backprop"]["passes_to_limit"] < 1500


def test_what_is_reported_is_what_the_weights_do():
    problem = problem_of(classes(), "error", target="side", hidden=(3,), loss=None)
    problem.initialize(1)
    first = vector_of(problem.network)
    trail = run("hill", problem, Budget(passes=640), 1, lambda: None)
    np.testing.assert_array_equal(vector_of(problem.network), first)
    wrong, held_out = problem.measures()(trail.weights[-1])
    cr.evolve.vectors.Weights(problem.network).assign(trail.weights[-1])
    assert problem.final()["accuracy"] == pytest.approx(1 - held_out)
    assert problem.measured == "error rate"
    assert wrong < 0.2


def test_the_table_takes_medians():
    def curve(*train):
        places = tuple(map(float, range(len(train))))
        return Curve(places, tuple(10 * x for x in places), train, train, {"r2": train[-1]}, 9, "x")

    found = Comparison(
        "d", "regression", "loss", "b", (9, 1), 5, "n",
        {
            "es": (curve(10.0, 5.0, 0.5), curve(10.0, 0.9, 0.3), curve(10.0, 9.0, 8.0)),
            "ga": (curve(10.0, 8.0), curve(10.0, 0.2), curve(10.0, 7.0)),
        },
        {},
    )  # fmt: skip
    assert found.limit == pytest.approx(0.5 + 0.1 * 9.5)
    es, ga = found.table()
    assert es["train"] == 0.5
    assert es["seconds_to_limit"] == 2  # 2, 1, never
    assert es["passes_to_limit"] == 20
    assert ga["train"] == 7
    assert ga["passes_to_limit"] is None  # most never did


def test_a_comparison_is_data_and_its_page_needs_nothing_else(comparison):
    again = Comparison.from_json(json.loads(json.dumps(comparison.to_json())))
    assert again == comparison
    page = comparison_page(comparison)
    assert page.count("<svg") == len(charts(comparison)) == 4
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "script-src 'none'" in page
    for title in ("backpropagation (AdamW)", "evolution strategy", "hill climbing"):
        assert title in page
    titles, rows = columns(comparison, short=True)
    assert [row[0] for row in rows] == ["backprop", "es", "hill", "mean", "linear"]
    assert all(len(row) == len(titles) for row in rows)


def test_names_of_columns_cannot_become_a_program():
    table = {"<script>a": RNG.normal(size=40), "b": RNG.normal(size=40)}
    found = cr.evolve.compare(table, target="b", methods=["random"], budget="128evaluations")
    assert "<script>" not in comparison_page(found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"methods": ["backpropp"]}, "Did you mean 'backprop'"),
        ({"methods": []}, "No methods"),
        ({"methods": ","}, "No methods"),
        ({"seeds": 0}, "seeds"),
        ({"objective": "accuracy"}, "objective"),
        ({"objective": "error"}, "Only classes can be wrong"),
        ({"budget": "0"}, "budget"),
        ({"hidden": (0,)}, "hidden"),
    ],
)
def test_what_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        cr.evolve.compare(numbers(), target="z", **options)


def test_all_methods_are_offered():
    assert {"backprop", *cr.evolve.STRATEGIES} == set(METHODS)
    found = cr.evolve.compare(
        classes(), target="side", methods=list(METHODS), budget="128evaluations", objective="error",
        hidden=(2,),
    )  # fmt: skip
    assert [row["method"] for row in found.table()] == list(METHODS)
    assert all(0 <= row["train"] <= 1 for row in found.table())
