"""The course: pages of the lessons, their exercises, and the pages of the examples they need."""

from __future__ import annotations

import functools
import html
import importlib.resources
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..drawing.page import THEME, page_of
from ..explain.formatting import Writer
from ..explain.mistakes import Arithmetic
from ..utils.files import write_atomically
from .exercise import Exercise, make_exercise, unlearned
from .lesson import COUNT, Lesson, Question, Section, lesson
from .numbers import explained
from .worksheet import given_rows, solution, worksheet


def write_course(
    folder: Path, numbers: Iterable[int] = range(1, COUNT + 1), beside: Iterable[str] = ()
) -> list[Path]:
    """Write lessons with all that belongs to them; the first path is where to begin.

    Args:
        folder: where to.
        numbers: which lessons.
        beside: files of other pages that the contents link to.
    """
    chosen = [lesson(number) for number in numbers]
    files: dict[str, str] = {}
    if len(chosen) > 1:
        files["index.html"] = contents(chosen, beside)
    for one in chosen:
        files[f"lesson_{one.number:02d}.html"] = lesson_page(one)
        files |= _exercise_files(one)
        files.setdefault(f"{one.demo}.html", explained(one.demo).to_html())
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_atomically(folder / name, text.encode())
    return [folder / name for name in files]


def _exercise_files(one: Lesson) -> dict[str, str]:
    made = _exercise(one.number)
    name = f"lesson_{one.number:02d}_exercise"
    return {
        f"{name}.md": worksheet(made, "markdown"),
        f"{name}.tex": worksheet(made, "latex"),
        f"{name}.ipynb": worksheet(made, "notebook"),
        f"{name}_solution.md": solution(made, "markdown"),
    }


@functools.cache
def _exercise(number: int) -> Exercise:
    return make_exercise(**lesson(number).exercise)


# ---- the pages -----------------------------------------------------------------------------------


def lesson_page(one: Lesson) -> str:
    """A lesson as one self-contained page."""
    body = "\n".join(_lesson_parts(one))
    return _page(f"{one.number}. {one.title}", body)


def contents(lessons: Iterable[Lesson], beside: Iterable[str] = ()) -> str:
    """The page that lists the lessons, and other pages by the names of their files."""
    rows = "\n".join(
        f'<li value="{one.number}"><a href="lesson_{one.number:02d}.html">{_text(one.title)}</a>'
        f"<p>{_text(one.question)}</p></li>"
        for one in lessons
    )
    intro = (
        "Twelve lessons of 45 minutes, from a slope to attention. Each has a question, a guess to "
        "be made first, a page with every number, an exercise that grades itself, and a quiz of "
        "five. All numbers were computed when these pages were written."
    )
    links = "".join(
        f'<li><a href="{name}">{_text(name.removesuffix(".html").replace("_", ": "))}</a></li>'
        for name in beside
    )
    others = f"<h2>Beside the lessons</h2><ul>{links}</ul>" if links else ""
    return _page("Backpropagation in twelve lessons", f"<p>{intro}</p>\n<ol>{rows}</ol>{others}")


def _page(title: str, body: str) -> str:
    style = f"{THEME}\n{asset('course.css')}"
    return page_of(asset("course.html"), title, style, asset("course.js"), {"body": body})


@functools.cache
def asset(name: str) -> str:
    """The text of a template, a style sheet or a script."""
    folder = importlib.resources.files(f"{__package__}.pages")
    return (folder / name).read_text(encoding="utf-8")


def _text(text: str) -> str:
    return html.escape(text, quote=True)


def _lesson_parts(one: Lesson) -> Iterator[str]:
    yield f'<p class="question">{_text(one.question)}</p>'
    yield "<section><h2>Guess first</h2>" + _question(one.prediction, "guess") + "</section>"
    for section in one.sections:
        yield f"<section><h2>{_text(section.title)}</h2>{_section(one, section)}</section>"
    name = f"lesson_{one.number:02d}_exercise"
    yield (
        f'<section><h2>See every number</h2><p><a href="{one.demo}.html">The page of this '
        f"lesson</a> goes through one step of a network, number by number. Drag a weight, and all "
        f"of them are computed again. (The same in a terminal: <code>chainrule explain --demo "
        f"{one.demo}</code>)</p></section>"
    )
    yield (
        f"<section><h2>Exercise</h2><p>{len(_exercise(one.number).blanks)} numbers to be computed: "
        f'<a href="{name}.md">Markdown</a>, <a href="{name}.tex">LaTeX</a>, '
        f'<a href="{name}.ipynb">notebook</a>. Fill in the answers, then <code>chainrule grade '
        f'{name}.md</code> says which slip it was. The <a href="{name}_solution.md">solution</a>.'
        "</p></section>"
    )
    items = "".join(
        f"<dt>“{_text(wrong)}”</dt><dd>{_text(right)}</dd>" for wrong, right in one.misconceptions
    )
    yield f"<section><h2>What people believe</h2><dl>{items}</dl></section>"
    quiz = "".join(_question(q, f"q{n}", n) for n, q in enumerate(one.quiz, 1))
    yield f'<section id="quiz"><h2>Quiz</h2>{quiz}<p id="score" role="status"></p></section>'
    yield f"<details><summary>For teachers</summary><p>{_text(one.teacher)}</p></details>"
    near = ((one.number - 1, "◀ the lesson before"), (one.number + 1, "the next lesson ▶"))
    links = [f'<a href="lesson_{n:02d}.html">{what}</a>' for n, what in near if 1 <= n <= COUNT]
    yield f'<nav aria-label="Lessons">{" ".join(["<a href=index.html>all</a>", *links])}</nav>'


def _question(question: Question, name: str, number: int = 0) -> str:
    """A question with its answers; what is said of each is there, and shown when it is chosen."""
    rows = []
    for place, answer in enumerate(question.answers):
        own = f"{name}-{place}"
        kind = "right" if answer.is_right else "wrong"
        sign = "✓ Right. " if answer.is_right else "✗ "
        rows.append(
            f'<div class="answer"><input type="radio" name="{name}" id="{own}" '
            f'data-kind="{kind}" aria-describedby="{own}-why">'
            f'<label for="{own}">{_text(answer.text)}</label>'
            f'<p class="why {kind}" id="{own}-why" hidden>{sign}{_text(answer.why)}</p></div>'
        )
    asked = f"{number}. {question.ask}" if number else question.ask
    return f"<fieldset><legend>{_text(asked)}</legend>{''.join(_turned(rows, number))}</fieldset>"


def _turned(rows: list[str], by: int) -> list[str]:
    """The right answer does not always stand first."""
    by %= len(rows)
    return rows[by:] + rows[:by]


def _section(one: Lesson, section: Section) -> str:
    parts = [_block(block) for block in re.split(r"\n\s*\n", section.text)]
    if section.given:
        parts.append(_given(one))
    if section.equations:
        parts += _equations(one, section.equations)
    return "".join(parts)


def _block(block: str) -> str:
    lines = block.splitlines()
    if all(line.startswith("    ") for line in lines):
        return "".join(f'<p class="formula">{_text(line.strip())}</p>' for line in lines)
    return f"<p>{_text(' '.join(lines))}</p>"


def _given(one: Lesson) -> str:
    """The table of the numbers that nothing computes."""
    rows = "".join(
        f"<tr><th scope=row>{_text(name)}</th><td>{_text(role)}</td><td>{_text(numbers)}</td></tr>"
        for name, role, _, numbers in given_rows(explained(one.demo), Writer())
    )
    return f'<table class="given"><tbody>{rows}</tbody></table>'


def _equations(one: Lesson, phases: tuple[str, ...]) -> Iterator[str]:
    """All equations of some steps: names, numbers, result."""
    told, writer = explained(one.demo), Writer()
    arithmetic, idle = Arithmetic(told), unlearned(told)
    if "backward" in phases:
        yield _equation(writer.gradient("L"), "<div>= 1</div>")
    for key, equation in arithmetic.equations.items():
        if arithmetic.phase[key] not in phases or (key[0] == "gradient" and key[1] in idle):
            continue
        first, *others = writer.equation(equation)
        lines = "".join(f"<div>= {_text(side)}</div>" for side in others)
        yield _equation(first, lines)


def _equation(left: str, lines: str) -> str:
    return f'<div class="equation"><b>{_text(left)}</b><div>{lines}</div></div>'
