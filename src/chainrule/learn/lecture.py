"""The lecture: a step of training for the wall of a classroom, one equation a screen."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path

from ..drawing.page import THEME, page_of
from ..engine.ir.operation import OPERATIONS
from ..explain.explanation import Equation, Explanation
from ..explain.formatting import Writer
from ..explain.html.page import compact
from ..explain.mistakes import Arithmetic
from ..utils.files import write_atomically
from .course import asset
from .exercise import unlearned
from .numbers import explained
from .worksheet import STEPS, given_rows

#: The examples that are short enough for a lecture.
LECTURES = ("neuron", "houses", "2-2-2")

_NOTES = {
    "forward": "Let the class compute before you go on: the result is not on the screen yet.",
    "error": "Ask for the sign of the error before its size. Output minus target, always.",
    "backward": "Ask which numbers are multiplied, and on which screen each of them stood.",
    "update": "Ask which way this weight goes, before the numbers are shown.",
}


def write_lectures(folder: Path) -> list[Path]:
    """Write the lectures."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"lecture_{name}.html" for name in LECTURES]
    for name, path in zip(LECTURES, paths, strict=True):
        write_atomically(path, lecture_page(name).encode())
    return paths


def lecture_page(demo: str) -> str:
    """A lecture about a built-in example.

    Args:
        demo: one of `LECTURES`.
    """
    told = explained(demo)
    style = "\n".join([THEME, asset("lecture.css")])
    script = compact(asset("lecture.js"))
    fields = {"screens": "\n".join(_screens(told))}
    return page_of(asset("lecture.html"), told.title, style, script, fields)


def _screens(told: Explanation) -> Iterator[str]:
    story = "".join(f'<p class="part">{_text(one)}</p>' for one in told.story)
    yield f'<section class="screen"><h1>{_text(told.title)}</h1>{story}</section>'
    writer = Writer()
    rows = "".join(
        f"<tr><th scope=row>{_text(name)}</th><td>{_text(numbers)}</td></tr>"
        for name, _, _, numbers in given_rows(told, writer)
    )
    yield f'<section class="screen"><h2>Given</h2><table class="part">{rows}</table></section>'
    arithmetic, idle = Arithmetic(told), unlearned(told)
    for key, equation in arithmetic.equations.items():
        if key[0] == "gradient" and key[1] in idle:
            continue
        phase = arithmetic.phase[key]
        yield _screen(equation, writer, phase, _note(told, equation, phase))


def _screen(equation: Equation, writer: Writer, phase: str, note: str) -> str:
    first = _text(writer.name(equation.left))
    names, numbers = writer.symbols(equation.right), writer.numbers(equation.right)
    result = writer.number(equation.left.value)
    parts = [f'<div class="part names">= {_text(names)}</div>']
    if numbers not in (names, result):
        parts.append(f'<div class="part numbers">= {_text(numbers)}</div>')
    parts.append(f'<div class="part result">= {_text(result)}</div>')
    return (
        f'<section class="screen"><div class="step">{STEPS[phase]}</div><h2>{first}</h2>'
        f'{"".join(parts)}<p class="note">{_text(note)}</p></section>'
    )


def _note(told: Explanation, equation: Equation, phase: str) -> str:
    """What a teacher may say: the rule of the operation that the gradient goes back through."""
    users = {
        node.op for node in told.nodes
        for source in node.inputs if told.nodes[source].symbol == equation.left.symbol
    }  # fmt: skip
    rules = [OPERATIONS[one].notation.gradient for one in sorted(users)]
    said = [rule for rule in rules if rule] if phase == "backward" else []
    return " ".join([_NOTES[phase], *said])


def _text(text: str) -> str:
    return html.escape(text, quote=True)
