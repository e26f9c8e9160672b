"""Grading: reads a worksheet that was filled in, and says of every answer what it is.

A wrong answer is compared with what each slip would give (`chainrule.explain.mistakes`). An answer
that is right for somebody's own earlier numbers counts as such: one slip costs one blank.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..explain.mistakes import Key, agrees
from .exercise import Exercise, make_exercise
from .worksheet import MARK, name_of


@dataclass(frozen=True)
class Verdict:
    """What an answer is.

    Attributes:
        number: of the blank.
        name: of the number that is asked for.
        answer: the number that was given; None if there is none.
        kind: ``right``, ``follows`` (from the own earlier numbers), ``slip``, ``wrong``, ``empty``.
        slip: the name of the slip, if it is one.
        sentence: what to say.
    """

    number: int
    name: str
    answer: float | None
    kind: str
    slip: str = ""
    sentence: str = ""

    def __str__(self) -> str:
        given = "no answer" if self.answer is None else f"{self.answer:.6g}"
        return f"({self.number}) {self.name} = {given}: {self.sentence}"


def grade(path: str | os.PathLike[str]) -> list[Verdict]:
    """The verdicts on a worksheet: Markdown, LaTeX or a notebook.

    Args:
        path: of the file, with answers filled in.

    Raises:
        DataError: it is no worksheet, an answer is no number, or the exercise was another one in
            the version that wrote it.
    """
    text = Path(path).read_text(encoding="utf-8")
    recipe = _recipe(text, str(path))
    digest = recipe.pop("digest", None)
    exercise = make_exercise(**recipe)
    if digest is not None and digest != exercise.digest:
        raise DataError(
            "This worksheet asks for other numbers than this version of chainrule would.",
            where=str(path),
            hint="Write it anew with chainrule exercise.",
        )
    return verdicts(exercise, _answers(text, str(path)))


def grade_answers(recipe: Mapping[str, Any], answers: Mapping[int, Any]) -> list[Verdict]:
    """The verdicts on answers by their numbers, for the exercise of a recipe.

    Example:
        >>> [v.kind for v in grade_answers({"demo": "neuron", "blanks": 1, "seed": 1}, {})]
        ['empty']
    """
    given = {int(k): float(v) for k, v in answers.items() if v is not None}
    return verdicts(make_exercise(**recipe), given)


def verdicts(exercise: Exercise, answers: Mapping[int, float]) -> list[Verdict]:
    """What each answer is, in order."""
    own: dict[Key, float] = {}
    found = []
    for number, key in enumerate(exercise.blanks, 1):
        answer = answers.get(number)
        found.append(_verdict(exercise, number, key, answer, own))
        if answer is not None:
            own[key] = answer
    return found


def _verdict(
    exercise: Exercise, number: int, key: Key, answer: float | None, own: Mapping[Key, float]
) -> Verdict:
    name = name_of(exercise, key)
    if answer is None:
        return Verdict(number, name, None, "empty", "", "not answered yet.")
    arithmetic = exercise.arithmetic
    room = arithmetic.room(key)
    if agrees(answer, arithmetic.value(key), room):
        return Verdict(number, name, answer, "right", "", "right.")
    if own and agrees(answer, arithmetic.value(key, given=own), room):
        said = "right for your own earlier numbers; one of those is not right yet."
        return Verdict(number, name, answer, "follows", "", said)
    for mistake in arithmetic.mistakes(key):
        if agrees(answer, mistake.value, room):
            return Verdict(number, name, answer, "slip", mistake.name, mistake.sentence)
    said = "not right, and none of the usual slips. Write the chain down link by link."
    return Verdict(number, name, answer, "wrong", "", said)


# ---- reading -------------------------------------------------------------------------------------


def _recipe(text: str, where: str) -> dict[str, Any]:
    found = re.search(re.escape(MARK) + r"\s*(\{.*?\})", text.replace('\\"', '"'))
    if not found:
        raise DataError(
            "This is no worksheet of chainrule: the line with its recipe is missing.",
            where=where,
            hint="chainrule exercise --demo houses writes one.",
        )
    recipe: dict[str, Any] = json.loads(found[1])
    return recipe


_NUMBER = r"[-+−]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+−]?\d+)?(?:\s*/\s*\d+(?:\.\d+)?)?"
_LINES = (
    re.compile(r"^\((\d+)\)[^=\n]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE),  # Markdown
    re.compile(r"^\\answer\{(\d+)\}\{(.*?)\}", re.MULTILINE),  # LaTeX
)


def _answers(text: str, where: str) -> dict[int, float]:
    """The answers by the numbers of their blanks."""
    if text.lstrip().startswith("{"):
        return dict(_of_notebook(text, where))
    found: dict[int, float] = {}
    for pattern in _LINES:
        for number, written in pattern.findall(text):
            value = _number(written, int(number), where)
            if value is not None:
                found[int(number)] = value
    return found


def _of_notebook(text: str, where: str) -> Iterator[tuple[int, float]]:
    for cell in json.loads(text).get("cells", []):
        source = cell.get("source", "")
        source = "".join(source) if isinstance(source, list) else source
        match = re.search(r"^answers = (\{.*?^\})", source, re.DOTALL | re.MULTILINE)
        if cell.get("cell_type") != "code" or not match:
            continue
        tree = ast.parse(match[1], mode="eval").body
        assert isinstance(tree, ast.Dict)
        for key, value in zip(tree.keys, tree.values, strict=True):
            number = int(ast.unparse(key)) if key is not None else 0
            written = ast.unparse(value)
            found = None if written == "None" else _number(written, number, where)
            if found is not None:
                yield number, found


def _number(written: str, number: int, where: str) -> float | None:
    """A number as people write it: 0.25, -3e-2, 1/4, 0,25."""
    text = written.strip().strip("_$` ")
    if not text:
        return None
    if not re.fullmatch(_NUMBER, text):
        raise DataError(
            f"The answer ({number}) is no number.",
            where=where,
            expected="such as 0.25, -3e-2 or 1/4",
            found=written.strip(),
        )
    above, _, below = text.replace("−", "-").replace(",", ".").partition("/")
    return float(above) / float(below) if below and float(below) else float(above)
