"""The lecture: one equation a screen, names before numbers before the result."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from chainrule.explain.checker import check
from chainrule.learn.lecture import LECTURES, lecture_page


@pytest.mark.parametrize("name", LECTURES)
def test_every_equation_of_a_lecture_is_true(name: str) -> None:
    page = html.unescape(lecture_page(name))
    screens = re.findall(r"<h2>([^<]*)</h2>(<div class=\"part names\">.*?)<p class", page)
    assert len(screens) > 8
    text = "\n".join(
        "  " + " = ".join([first, *re.findall(r">= (.*?)</div>", body)]) for first, body in screens
    )
    found = check(text)
    assert len(found) == len(screens)
    assert all(one.holds for one in found)


def test_a_lecture_in_a_browser(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "lecture.html").write_text(lecture_page("houses"), encoding="utf-8")
    browser.get_log("browser")
    browser.get((tmp_path / "lecture.html").as_uri())
    press = """
      for (const key of arguments[0])
        document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
      const seen = [...document.querySelectorAll('.screen.now .part.shown')];
      return [Lecture.place(), seen.map((one) => one.className), [...document.body.classList]];
    """
    title = browser.execute_script(press, [])
    assert title[0] == [0, 0]
    stories = browser.execute_script("return document.querySelectorAll('.screen.now .part').length")
    given = browser.execute_script(press, ["ArrowRight"] * (stories + 1))
    assert given[0] == [1, 1]
    place, shown, _ = browser.execute_script(press, ["ArrowRight"])
    assert place == [2, 1]
    assert shown == ["part names shown"]
    place, shown, _ = browser.execute_script(press, [" ", "ArrowRight"])
    assert shown[-1] == "part result shown"
    assert browser.execute_script(press, ["ArrowLeft"])[0] == [2, 2]
    assert browser.execute_script(press, ["b", "n"])[2] == ["black", "notes"]
    assert browser.execute_script(press, ["b", "n", "p"])[2] == ["paper"]
    note = "return getComputedStyle(document.querySelector('.screen.now .note')).display"
    assert browser.execute_script(note) == "none"
    assert [entry["message"] for entry in browser.get_log("browser")] == []
