"""What a report shows of a trained network agrees with what others compute."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import chainrule as cr
from chainrule.drawing.blocks import Section, Table, Text
from chainrule.drawing.chart import Bars, Chart, Line
from chainrule.tasks.evaluation_charts import _rates, class_blocks, number_blocks
from chainrule.tasks.examination import examine
from chainrule.tasks.tested import Answers


def charts(sections: list[Section]) -> dict[str, Chart]:
    return {chart.name: chart for section in sections for chart in section.charts}


@pytest.mark.parametrize("digits", [1, 6])
def test_curves_have_the_areas_of_scikit_learn(digits: int) -> None:
    draw = np.random.default_rng(0)
    positive = draw.random(300) < 0.3
    score = np.round(positive * 0.4 + draw.random(300), digits)  # with many ties, or none
    *_, area, mean = _rates(positive, score)
    assert area == pytest.approx(roc_auc_score(positive, score))
    assert mean == pytest.approx(average_precision_score(positive, score))


def test_calibration_is_what_was_observed() -> None:
    p = np.repeat([0.05, 0.95], 100)
    target = np.r_[np.arange(100) < 30, np.arange(100) < 60].astype(int)
    answers = Answers("t", "binary", target, np.stack([1 - p, p], 1), ("no", "yes"))
    found = {b.name: b for b in class_blocks(answers, "rows") if isinstance(b, Chart)}
    line = found["calibration"].marks[0]
    assert isinstance(line, Line)
    assert line.x == pytest.approx((0.05, 0.95))
    assert line.y == pytest.approx((0.3, 0.6))


@pytest.mark.parametrize("classes", [3, 40])
def test_any_number_of_classes_is_shown(classes: int) -> None:
    draw = np.random.default_rng(0)
    target = draw.integers(0, classes, 200)
    p = draw.dirichlet(np.ones(classes), 200)
    names = tuple(f"class {i}" for i in range(classes))
    blocks = class_blocks(Answers("t", "multiclass", target, p, names), "rows")
    first = blocks[0]
    if classes == 3:
        assert isinstance(first, Chart)
    else:
        assert isinstance(first, Table)
        assert int(first.rows[0][2]) >= int(first.rows[-1][2])


def test_numbers_without_any_known_one_are_left_out() -> None:
    nothing = np.full(4, np.nan)
    assert number_blocks(Answers("t", "regression", nothing, nothing), "rows") == []


class TestTable:
    @pytest.fixture(scope="class")
    @staticmethod
    def result() -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CHAINRULE_CC", "")
            draw = np.random.default_rng(0)
            x, z = draw.uniform(-1, 1, (2, 400))
            city = draw.choice(["Oslo", "Rome"], 400)
            y = 5 * x + 2 * (city == "Rome") + draw.normal(0, 0.05, 400)
            options = cr.tables.TableOptions(target="y", epochs=25, members=2, hidden=(16,))
            table = {"x": x, "noise": z, "city": city, "y": y}
            return cr.tables.train_table(table, options, progress=False)

    def test_what_matters_is_what_the_target_was_made_of(self, result) -> None:
        bars = charts(result.sections)["importance"].marks[0]
        names = charts(result.sections)["importance"].y.categories
        assert isinstance(bars, Bars)
        assert names == ("x", "city", "noise")
        assert bars.values[0] > 1 > bars.values[1] > 0.05  # type: ignore[operator]
        assert abs(bars.values[2]) < 0.05  # type: ignore[arg-type]

    def test_dependence_is_the_effect(self, result) -> None:
        found = charts(result.sections)
        line = found["dependence_x"].marks[0]
        assert isinstance(line, Line)
        slope = np.polyfit(np.array(line.x, float), np.array(line.y, float), 1)[0]
        assert slope == pytest.approx(5, abs=0.5)
        bars = found["dependence_city"].marks[0]
        assert isinstance(bars, Bars)
        difference = dict(zip(found["dependence_city"].y.categories, bars.values, strict=True))
        assert difference["Rome"] - difference["Oslo"] == pytest.approx(2, abs=0.4)

    def test_the_worst_rows_stand_there_as_they_are(self, result) -> None:
        (section,) = (each for each in result.sections if each.name == "worst")
        (table,) = (block for block in section.blocks if isinstance(block, Table))
        assert len(table.rows) == 12
        errors = [abs(float(row[0]) - float(row[1])) for row in table.rows]
        assert errors[0] == pytest.approx(max(errors), abs=0.01)

    def test_sections_are_json_data(self, result) -> None:
        for section in result.sections:
            again = Section.from_json(section.to_json())
            assert again.title == section.title
            assert len(again.blocks) == len(section.blocks)

    def test_what_cannot_be_drawn_is_said(self) -> None:
        class Broken:
            unit = "rows"

            def answers(self, *arguments: object) -> list[Answers]:
                raise ValueError("no answers")

            def inside(self, tested: object) -> list[Section]:
                return []

        tested = cr.tables  # anything with the attributes of a test
        fake = type("Fake", (), {"schema": None, "part": None, "predicted": tested})()
        (section,) = examine(Broken(), [fake])
        text = section.blocks[0]
        assert isinstance(text, Text)
        assert "no answers" in text.sentences[0]


def test_several_targets_and_folds_have_their_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CC", "")
    draw = np.random.default_rng(0)
    x = draw.uniform(-1, 1, 90)
    table = {"x": x, "y": 2 * x, "c": np.where(x > 0, "up", "down")}
    table["y"][:5] = np.nan
    options = cr.tables.TableOptions(target="y,c", epochs=3, members=2, hidden=(8,), cv=2)
    result = cr.tables.train_table(table, options, progress=False)
    names = [section.name for section in result.sections]
    assert {"numbers-y", "classes-c", "importance"} <= set(names)
    counts = charts(result.sections)["confusion"].marks[0].texts
    assert sum(int(text) for row in counts for text in row) == 90  # each row was tested once


def test_many_columns_are_shuffled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CC", "")
    draw = np.random.default_rng(0)
    table = {f"c{i}": draw.normal(size=80) for i in range(40)}
    table["y"] = 3 * table["c7"] + table["c21"]
    table["c3"][::2] = np.nan
    options = cr.tables.TableOptions(target="y", epochs=30, members=1, hidden=(8,))
    result = cr.tables.train_table(table, options, progress=False)
    names = charts(result.sections)["importance"].y.categories
    assert names[:2] == ("c7", "c21")
    (section,) = (each for each in result.sections if each.name == "worst")
    (rows,) = (block for block in section.blocks if isinstance(block, Table))
    assert "" in {row[2 + 3] for row in rows.rows}  # what is missing is empty
    assert not [cell for row in rows.rows for cell in row if cell == "nan"]
