"""An exercise on paper: the worksheet with its blanks, and the solution, in three formats."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ..explain.checker import check
from ..explain.explanation import Equation, Explanation
from ..explain.formatting import LatexWriter, Writer
from ..explain.latex import latex_of
from ..explain.markdown import markdown_of
from ..explain.mistakes import Key, key_of, quantities
from ..explain.sections import Formula, Grid, Heading, Part, Prose
from .exercise import Exercise, unlearned

FORMATS = {".md": "markdown", ".tex": "latex", ".ipynb": "notebook"}
#: The line by which a worksheet is recognised.
MARK = "chainrule exercise:"

STEPS = {
    "forward": "Step 1: forward",
    "error": "Step 2: error",
    "backward": "Step 3: backward",
    "update": "Step 4: update",
}


def worksheet(exercise: Exercise, format: str = "markdown") -> str:
    """The exercise with blanks.

    Args:
        exercise: which.
        format: ``markdown``, ``latex`` or ``notebook``.

    Example:
        >>> from chainrule.learn import make_exercise
        >>> "(1)" in worksheet(make_exercise("neuron", blanks=2, seed=1))
        True
    """
    return _document(exercise, format, is_solved=False)


def solution(exercise: Exercise, format: str = "markdown") -> str:
    """The same with all numbers; every equation in it has been computed again from its text.

    Args:
        exercise: which.
        format: ``markdown``, ``latex`` or ``notebook``.
    """
    written = _document(exercise, format, is_solved=True)
    text = written if format != "notebook" else _document(exercise, "markdown", is_solved=True)
    wrong = [one for one in check(text, "latex" if format == "latex" else "markdown")
             if not one.holds]  # fmt: skip
    assert not wrong, wrong
    return written


def recipe_line(exercise: Exercise) -> str:
    """What `grade` needs to know to make the same exercise again."""
    return f"{MARK} {json.dumps({**exercise.recipe, 'digest': exercise.digest})}"


def name_of(exercise: Exercise, key: Key, writer: Writer | None = None) -> str:
    """What a number is called."""
    writer = writer or Writer(exercise.explanation.notation)
    return writer.name(exercise.arithmetic.equations[key].left)


# ---- the parts -----------------------------------------------------------------------------------


def _document(exercise: Exercise, format: str, is_solved: bool) -> str:
    parts = list(_parts(exercise, LatexWriter(exercise.explanation.notation), is_solved))
    if format == "latex":
        return f"% {recipe_line(exercise)}\n" + _with_answers(
            latex_of(parts), _latex_answers(exercise, is_solved)
        )
    if format == "notebook":
        return _notebook(exercise, parts, is_solved)
    text = markdown_of(parts)
    return f"<!-- {recipe_line(exercise)} -->\n\n{text}\n{_markdown_answers(exercise, is_solved)}"


def _parts(exercise: Exercise, writer: Writer, is_solved: bool) -> Iterator[Part]:
    title = exercise.explanation.title
    yield Heading(f"{title}: {'solution' if is_solved else 'exercise'}", 0)
    yield Prose(
        f"Compute the {len(exercise.blanks)} numbers that are left out, in order. What depends on "
        "them is left out, too: its formula stands there. Four significant digits are enough; for "
        "new weights give six."
    )
    for sentence in exercise.explanation.story:
        yield Prose(sentence)
    yield from _given(exercise.explanation, writer)
    phase = ""
    numbers = {key: number for number, key in enumerate(exercise.blanks, 1)}
    idle = unlearned(exercise.explanation)
    for key, equation in exercise.arithmetic.equations.items():
        if key[0] == "gradient" and key[1] in idle:
            continue
        if exercise.arithmetic.phase[key] != phase:
            phase = exercise.arithmetic.phase[key]
            yield Heading(STEPS[phase])
            if phase == "backward":
                yield Formula((writer.gradient("L"), "1"))
        yield _formula(exercise, equation, writer, numbers.get(key), is_solved)


def _given(explanation: Explanation, writer: Writer) -> Iterator[Part]:
    """All numbers that nothing computes."""
    yield Heading("Given")
    header = ("symbol", "what", "shape", "numbers, row by row")
    yield Grid(header, tuple(given_rows(explanation, writer)))


def given_rows(explanation: Explanation, writer: Writer) -> list[tuple[str, str, str, str]]:
    """Symbol, role, shape and numbers of inputs, targets, weights and the learning rate."""
    rows = []
    for node in explanation.nodes:
        values = node.value.data
        if node.inputs or not node.symbol or values is None or node.role == "constant":
            continue
        listed = ", ".join(writer.plain.number(float(one)) for one in values.ravel())
        shape = " × ".join(map(str, node.value.shape)) or "one number"
        rows.append((node.symbol, node.role, shape, listed))
    rows.append(("lr", "learning rate", "one number", writer.plain.number(explanation.update.rate)))
    return rows


def _formula(
    exercise: Exercise, equation: Equation, writer: Writer, number: int | None, is_solved: bool
) -> Formula:
    """An equation, as far as it may be shown."""
    sides = writer.equation(equation)
    hidden = exercise.hidden
    note = "" if number is None else f"blank {number}"
    if is_solved or key_of(equation.left) not in hidden:
        return Formula(tuple(sides), note)
    kept = [sides[0], writer.symbols(equation.right)]
    if not any(key_of(q) in hidden for q in quantities(equation.right)):
        kept.append(writer.numbers(equation.right))
    if number is not None:
        kept.append(_blank(number, writer))
    return Formula(tuple(dict.fromkeys(kept)))


def _blank(number: int, writer: Writer) -> str:
    if isinstance(writer, LatexWriter):
        return rf"\text{{\_\_\_\_ ({number})}}"
    return f"____ ({number})"


# ---- where the answers go ------------------------------------------------------------------------


def _answers(exercise: Exercise, is_solved: bool) -> Iterable[tuple[int, str, str]]:
    """Number, name and answer of each blank."""
    writer = Writer(exercise.explanation.notation)
    for number, (key, value) in enumerate(zip(exercise.blanks, exercise.solution, strict=True), 1):
        yield number, name_of(exercise, key), writer.number(value) if is_solved else ""


def _markdown_answers(exercise: Exercise, is_solved: bool) -> str:
    rows = [f"({number}) {name} = {answer or '____ '}" for number, name, answer in
            _answers(exercise, is_solved)]  # fmt: skip
    how = "Write your answers here, then: chainrule grade THIS_FILE"
    return "\n".join(["## Answers", "", how, "", "```text", *rows, "```", ""])


def _latex_answers(exercise: Exercise, is_solved: bool) -> str:
    rows = [f"\\answer{{{number}}}{{{answer}}}" for number, _, answer in
            _answers(exercise, is_solved)]  # fmt: skip
    macro = (r"\providecommand{\answer}[2]{\noindent(#1) "
             r"\ifx&#2&\underline{\hspace{6em}}\else #2\fi\par}")  # fmt: skip
    return "\n".join([r"\section*{Answers}", macro, *rows])


def _with_answers(document: str, answers: str) -> str:
    """The answers before the end of a LaTeX document."""
    before, end, after = document.rpartition(r"\end{document}")
    return f"{before}{answers}\n{end}{after}"


def _notebook(exercise: Exercise, parts: list[Part], is_solved: bool) -> str:
    rows = [f"    {number}: {answer or None},  # {name}" for number, name, answer in
            _answers(exercise, is_solved)]  # fmt: skip
    code = "\n".join(["answers = {", *rows, "}"])
    last = "\n".join(
        [
            "from chainrule.learn import grade_answers",
            "",
            f"for verdict in grade_answers({json.dumps(dict(exercise.recipe))}, answers):",
            "    print(verdict)",
        ]
    )
    cells: list[dict[str, Any]] = [_cell("markdown", markdown_of([part])) for part in parts]
    cells += [_cell("code", code), _cell("code", last)]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = {"cells": cells, "nbformat": 4, "nbformat_minor": 5,
            "metadata": {"kernelspec": kernel, "chainrule": recipe_line(exercise)}}  # fmt: skip
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _cell(kind: str, source: str) -> dict[str, Any]:
    code: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": source.rstrip("\n"), **code}
