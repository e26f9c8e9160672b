"""The course: complete, computed, and true; lesson 5 can be done from what is given in it."""

from __future__ import annotations

import html
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chainrule.cli.app import app
from chainrule.errors import ConfigError
from chainrule.learn.course import contents, lesson_page, write_course
from chainrule.learn.lesson import COUNT, Question, lesson, source
from chainrule.learn.library import write_pages
from chainrule.learn.numbers import numbers_of

LESSONS = range(1, COUNT + 1)


def texts(data: Any) -> list[str]:
    """All texts of a lesson's file, without questions about numbers that are made up."""
    if isinstance(data, str):
        return [data]
    if isinstance(data, dict):
        return [] if data.get("allow") else [t for one in data.values() for t in texts(one)]
    return [t for one in data for t in texts(one)] if isinstance(data, list) else []


@pytest.mark.parametrize("number", LESSONS)
def test_a_lesson_is_complete(number: int) -> None:
    one = lesson(number)
    assert len(one.quiz) == 5
    assert one.question.endswith("?")
    assert len(one.misconceptions) >= 2
    assert len(one.teacher) > 100
    for question in (one.prediction, *one.quiz):
        complete(question)


def complete(question: Question) -> None:
    assert [answer.is_right for answer in question.answers].count(True) == 1
    assert len({answer.text for answer in question.answers}) == len(question.answers) >= 3
    assert all(answer.why for answer in question.answers)


@pytest.mark.parametrize("number", LESSONS)
def test_no_number_of_a_lesson_is_typed_by_hand(number: int) -> None:
    data = source(number)
    typed = [text for text in texts(data) if re.search(r"\d\.\d", text)]
    assert typed == []
    used = set(re.findall(r"\{(\w+)\}", json.dumps(data)))
    assert used <= set(numbers_of(number))
    assert "{" not in re.sub(
        r"<(style|script)>.*?</\1>", "", lesson_page(lesson(number)), flags=re.S
    )


def test_the_quizzes_ask_what_textbooks_ask() -> None:
    asked = " ".join(q.ask for n in LESSONS for q in lesson(n).quiz).lower()
    for words in (
        "what does backpropagation do", "what are hidden layers for",
        "the chain rule's part", "gradient descent's part",
    ):  # fmt: skip
        assert words in asked


def test_the_course_says_what_is_true() -> None:
    """The sentences of the lessons hold for the numbers that are put into them."""
    n = {number: numbers_of(number) for number in LESSONS}
    assert n[1]["quotient_small"] == pytest.approx(n[1]["slope"], rel=1e-3)
    assert n[1]["f_end"] < 0.1 < 10 < n[1]["f_high"]
    assert abs(n[2]["g1"]) > abs(n[2]["g2"])
    assert n[3]["dL_dw"] == pytest.approx(n[3]["dL_da"] * n[3]["da_dz"] * n[3]["dz_dw"])
    assert n[3]["quotient"] == pytest.approx(n[3]["dL_dw"], rel=1e-3)
    assert n[4]["weights"] == 9
    assert n[5]["after"] < n[5]["L"] == pytest.approx(0.298371109, abs=1e-9)
    assert n[6]["linear"] == pytest.approx(math.log(2), abs=1e-3)
    assert n[6]["hidden"] < 0.05
    assert n[6]["gradient4"] == pytest.approx((n[6]["p"] - 1) / 4)
    assert n[7]["full"] == pytest.approx(n[7]["mean_of_parts"], rel=1e-9)
    assert n[7]["std_small"] < 0.5 * n[7]["std1"]
    assert n[7]["loss_small"] < n[7]["loss_full"]
    assert n[8]["momentum"] < n[8]["sgd"]
    assert n[8]["adam"] < n[8]["sgd"]
    assert n[9]["sigmoid_ratio"] < 1e-3
    assert 0.1 < n[9]["relu_first"] / n[9]["relu_last"] < 10
    assert n[9]["big_first"] > 1e3 * n[9]["relu_first"]
    assert n[10]["test_plain"] > 3 * n[10]["train_plain"]
    assert n[10]["best"] < n[10]["test_decay"] < n[10]["test_plain"]
    assert n[11]["conv"] == 20
    assert n[12]["first"] < n[12]["last"]
    assert n[12]["total"] == pytest.approx(1)


# ---- lesson 5, with pencil and paper ---------------------------------------------------------


def test_lesson_5_follows_from_the_numbers_that_are_given_in_it() -> None:
    """A reader who knows only the table of givens computes every equation of the page in turn."""
    page = html.unescape(lesson_page(lesson(5)))
    known: dict[str, float] = {}
    shapes = {"x": (1, 2), "y": (1, 2), "hidden.weight": (2, 2), "output.weight": (2, 2)}
    for name, listed in re.findall(r"<th scope=row>(.*?)</th><td>.*?</td><td>(.*?)</td>", page):
        values = [float(one) for one in listed.split(",")]
        for index, value in enumerate(values):
            place = [index] if name not in shapes else list(divmod(index, shapes[name][1]))
            known[name if name == "lr" else f"{name}[{','.join(map(str, place))}]"] = value
    equations = re.findall(r'<div class="equation"><b>(.*?)</b><div>(.*?)</div></div></div>', page)
    assert len(equations) > 40
    for left, body in equations:
        sides = re.findall(r"<div>= (.*?)(?:</div>|$)", body)
        value = computed(sides[0], known)
        assert value == pytest.approx(float(sides[-1].replace("−", "-")), rel=2e-5, abs=1e-9), left
        known[left] = value
    assert known["L"] == pytest.approx(0.298371109, abs=1e-9)
    assert known["output.weight′[0,0]"] == pytest.approx(0.35891648, abs=1e-8)
    assert known["hidden.weight′[0,0]"] == pytest.approx(0.149780716, abs=1e-9)


def computed(side: str, known: dict[str, float]) -> float:
    """What a side with names is worth; every name must be known by then."""
    pattern = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    code = re.sub(pattern, lambda match: f"({known[match[0]]!r})", side)
    code = code.replace("·", "*").replace("²", "**2").replace("−", "-")
    names = {"σ": lambda z: 1 / (1 + math.exp(-z))}
    return float(eval(code, {"__builtins__": {}}, names))


# ---- as files and in a browser ---------------------------------------------------------------


def test_the_command_writes_a_lesson_with_all_that_it_links_to(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["learn", "2", "--out", str(tmp_path / "course")])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "course"
    page = (folder / "lesson_02.html").read_text(encoding="utf-8")
    linked = {
        one for one in re.findall(r'href="([^"#]+)"', page) if "lesson_0" not in one or "_ex" in one
    }
    assert linked
    assert all((folder / one).is_file() for one in linked)
    assert all(one.stat().st_size <= 500_000 for one in folder.glob("*.html"))
    result = CliRunner().invoke(app, ["learn", "13"])
    assert result.exit_code != 0


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "course").write_text("mine")
    for out in (tmp_path / "course", tmp_path / "course" / "below"):
        with pytest.raises(ConfigError, match="folder cannot be made") as error:
            write_pages(out, "play")
        assert error.value.found == f"{tmp_path / 'course'} is a file"
    assert (tmp_path / "course").read_text() == "mine"


def test_a_lesson_in_a_browser(browser: Any, tmp_path: Path) -> None:
    for number in LESSONS:
        (tmp_path / f"{number}.html").write_text(lesson_page(lesson(number)), encoding="utf-8")
    for width in (1280, 390):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get_log("browser")
        for number in LESSONS:
            browser.get((tmp_path / f"{number}.html").as_uri())
            wide = "return document.documentElement.scrollWidth - window.innerWidth"
            assert browser.execute_script(wide) <= 0
        assert [entry["message"] for entry in browser.get_log("browser")] == []
    script = """
      const answer = (name, kind) => {
        const one = [...document.getElementsByName(name)].find((one) => one.dataset.kind === kind);
        one.focus(); one.click();
        return document.getElementById(one.id + '-why').offsetHeight > 0;
      };
      const seen = [answer('q1', 'right'), answer('q2', 'wrong'), answer('q2', 'right')];
      const unnamed = [...document.querySelectorAll('input')].filter((one) => !one.labels.length);
      return [seen, document.getElementById('score').textContent, unnamed.length];
    """
    seen, score, unnamed = browser.execute_script(script)
    assert seen == [True, True, True]
    assert score == "1 of 2 right at the first go."
    assert unnamed == 0


def test_gradients_in_the_notation_of_another_book(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "5.html").write_text(lesson_page(lesson(5)), encoding="utf-8")
    browser.get((tmp_path / "5.html").as_uri())
    read = """
      const choice = document.getElementById('notation');
      choice.value = arguments[0];
      choice.dispatchEvent(new Event('change', {bubbles: true}));
      return document.querySelector('main').innerText;
    """
    assert "z1[0,0].grad" in browser.execute_script(read, "pytorch")
    assert "δ(z1[0,0])" in browser.execute_script(read, "nielsen")
    again = browser.execute_script(read, "leibniz")
    assert "∂L/∂z1[0,0]" in again
    assert ".grad" not in again


@pytest.mark.nightly
def test_all_pages_of_the_course(tmp_path: Path) -> None:
    paths = write_course(tmp_path)
    assert paths[0].name == "index.html"
    assert all(one.stat().st_size <= 500_000 for one in paths)
    assert contents([lesson(1)]).startswith("<!doctype html>")
