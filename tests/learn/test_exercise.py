"""Exercises: they can be solved, their solutions are true, and each slip is recognised."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import chainrule as cr
from chainrule.errors import ConfigError, DataError
from chainrule.explain.checker import check
from chainrule.explain.demos import demo
from chainrule.explain.mistakes import Arithmetic
from chainrule.learn import grade, grade_answers, make_exercise
from chainrule.learn.exercise import solvable
from chainrule.learn.worksheet import solution, worksheet

FORMATS = {"markdown": ".md", "latex": ".tex", "notebook": ".ipynb"}


def filled(text: str, answers: dict[int, str]) -> str:
    """A worksheet with answers written into it, whatever its format."""
    for number, answer in answers.items():
        text = re.sub(
            rf"^(\({number}\)[^=\n]*= )____ ",
            lambda m, a=answer: m[1] + a,
            text,
            flags=re.MULTILINE,
        )
        text = text.replace(rf"\answer{{{number}}}{{}}", rf"\answer{{{number}}}{{{answer}}}")
        text = re.sub(rf"( {number}: )None", lambda m, a=answer: m[1] + a, text)
    return text


@pytest.mark.parametrize("name", ["neuron", "houses", "xor"])
@pytest.mark.parametrize("seed", [0, 17])
def test_an_exercise_can_be_solved_from_what_is_printed(name: str, seed: int) -> None:
    exercise = make_exercise(name, blanks=4, seed=seed)
    assert solvable(exercise)
    assert set(exercise.blanks) <= exercise.hidden
    assert {exercise.arithmetic.phase[key] for key in exercise.blanks} >= {"backward", "update"}
    text = worksheet(exercise)
    assert all(f"({number})" in text for number in range(1, 5))
    assert all(one.holds for one in check(text, "markdown"))
    # No number that is asked for stands anywhere in the worksheet.
    for key, value in zip(exercise.blanks, exercise.solution, strict=True):
        assert key in exercise.hidden
        assert f"= {value:.6g}" not in text


def test_the_same_seed_is_the_same_exercise() -> None:
    one, again, other = (make_exercise("houses", 6, seed).blanks for seed in (17, 17, 18))
    assert one == again != other


@pytest.mark.parametrize("format", FORMATS)
def test_a_solution_is_graded_as_right(tmp_path: Path, format: str) -> None:
    exercise = make_exercise("houses", blanks=6, seed=17)
    file = tmp_path / f"solution{FORMATS[format]}"
    file.write_text(solution(exercise, format), encoding="utf-8")
    assert [one.kind for one in grade(file)] == ["right"] * 6
    file.write_text(worksheet(exercise, format), encoding="utf-8")
    assert [one.kind for one in grade(file)] == ["empty"] * 6
    given = f"{exercise.solution[1]:.4g}"
    file.write_text(filled(worksheet(exercise, format), {2: given, 3: "77"}), encoding="utf-8")
    assert [one.kind for one in grade(file)][:3] == ["empty", "right", "wrong"]


def test_a_solved_notebook_runs(tmp_path: Path) -> None:
    cells = json.loads(solution(make_exercise("neuron", blanks=2, seed=1), "notebook"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(cell["source"], names)
    assert names["verdict"].kind == "right"


# ---- slips, each computed here on its own --------------------------------------------------------

#: The network of the demo, by hand: 2-2-1, sigmoid, half the squared error.
X, W, B = (0.3, 0.2), ((0.4, -0.5), (0.6, 0.8)), (0.1, -0.2)
V, C, TARGET, RATE = (0.7, -0.3), 0.05, 0.5, 0.1


def by_hand() -> dict[str, float]:
    """The numbers of one weight's chain, and what each slip makes of its gradient."""
    sigmoid = lambda z: float(1 / (1 + cr.exp(cr.tensor(-z, "float64")).item()))  # noqa: E731
    z = [X[0] * W[0][j] + X[1] * W[1][j] + B[j] for j in range(2)]
    a = [sigmoid(one) for one in z]
    e = a[0] * V[0] + a[1] * V[1] + C - TARGET
    bent = a[0] * (1 - a[0])
    new_v = V[0] - RATE * e * a[0]
    return {
        "right": e * V[0] * bent * X[0],
        "activation derivative": e * V[0] * X[0],
        "wrong sign": -e * V[0] * bent * X[0],
        "early update": e * new_v * bent * X[0],
        "no input": e * V[0] * bent,
        "no half": 2 * e * V[0] * bent * X[0],
    }


@pytest.mark.parametrize("slip", [name for name in by_hand() if name != "right"])
def test_each_slip_of_a_gradient_is_named(slip: str) -> None:
    arithmetic = Arithmetic(demo("houses"))
    key = ("gradient", "hidden.weight", 0)
    numbers = by_hand()
    assert arithmetic.value(key) == pytest.approx(numbers["right"], rel=1e-12)
    found = {one.name: one.value for one in arithmetic.mistakes(key)}
    assert found[slip] == pytest.approx(numbers[slip], rel=1e-9)


def test_slips_of_the_update_are_named() -> None:
    arithmetic = Arithmetic(demo("neuron"))
    found = {one.name: one.value for one in arithmetic.mistakes(("new", "weight", 0))}
    assert found["uphill"] == pytest.approx(0.5 - 0.026)
    assert found["no rate"] == pytest.approx(0.5 + 0.26)
    assert found["only the step"] == pytest.approx(-0.026)


def test_a_missing_path_and_a_missing_mean_are_named() -> None:
    told = demo("xor")
    arithmetic = Arithmetic(told)
    key = ("gradient", "output.bias", 0)
    z = next(n for n in told.nodes if n.role == "output").gradient
    assert z is not None
    assert z.data is not None
    total = float(z.data.sum())
    mistakes = arithmetic.mistakes(key)
    missing = [one.value for one in mistakes if one.name == "missing path"]
    assert missing == pytest.approx([total - one for one in z.data.ravel()])
    assert next(one.value for one in mistakes if one.name == "no 1/n") == pytest.approx(4 * total)


def test_forward_slips_are_named() -> None:
    arithmetic = Arithmetic(demo("houses"))
    found = {one.name: one.value for one in arithmetic.mistakes(("value", "a1", 0))}
    assert found["no activation"] == pytest.approx(0.34)
    bare = arithmetic.mistakes(("value", "z1", 0))
    assert next(one.value for one in bare if one.name == "no bias") == pytest.approx(0.24)


def test_an_answer_that_follows_from_an_own_earlier_one_counts() -> None:
    recipe = {"demo": "houses", "blanks": 6, "seed": 17}
    exercise = make_exercise(**recipe)
    place, key = next(
        (i, key)
        for i, key in enumerate(exercise.blanks)
        if exercise.arithmetic.phase[key] == "forward"
    )
    answers = dict(enumerate(exercise.solution, 1))
    wrong = exercise.solution[place] * 1.37
    answers[place + 1] = wrong
    for number, later in enumerate(exercise.blanks[place + 1 :], place + 2):
        answers[number] = exercise.arithmetic.value(later, given={key: wrong})
    kinds = [one.kind for one in grade_answers(recipe, answers)]
    assert kinds[place] in ("wrong", "slip")
    assert set(kinds[place + 1 :]) <= {"follows", "right"}
    assert "follows" in kinds
    assert str(grade_answers(recipe, answers)[place]).startswith(f"({place + 1}) ")


# ---- files that are none -------------------------------------------------------------------------


def test_other_files_and_answers_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.md"
    file.write_text("# Notes\n", encoding="utf-8")
    with pytest.raises(DataError, match="no worksheet"):
        grade(file)
    text = worksheet(make_exercise("neuron", blanks=2, seed=1))
    file.write_text(filled(text, {1: "about 3"}), encoding="utf-8")
    with pytest.raises(DataError, match="is no number"):
        grade(file)
    file.write_text(re.sub(r'"digest": "\w+"', '"digest": "00000000"', text), encoding="utf-8")
    with pytest.raises(DataError, match="other numbers"):
        grade(file)
    with pytest.raises(ConfigError, match="so many blanks"):
        make_exercise("neuron", blanks=99)
    with pytest.raises(ConfigError, match="no exercise"):
        make_exercise("lstm")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("−0.26", "right"), ("-13/50", "right"), ("-0,26", "right"), ("0.26", "slip")],
)
def test_numbers_are_read_as_people_write_them(tmp_path: Path, answer: str, kind: str) -> None:
    exercise = next(
        made for seed in range(40) for made in [make_exercise("neuron", 3, seed)]
        if any(abs(value + 0.208) < 1e-9 for value in made.solution)
    )  # fmt: skip
    place = next(i for i, value in enumerate(exercise.solution, 1) if abs(value + 0.208) < 1e-9)
    written = answer.replace("0.26", "0.208").replace("13/50", "26/125").replace("0,26", "0,208")
    file = tmp_path / "sheet.md"
    file.write_text(filled(worksheet(exercise), {place: written}), encoding="utf-8")
    assert grade(file)[place - 1].kind == kind
