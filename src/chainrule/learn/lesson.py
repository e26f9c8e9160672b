"""A lesson as data: read from its file, with the numbers of `chainrule.learn.numbers` put in."""

from __future__ import annotations

import functools
import importlib.resources
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..explain.formatting import Writer
from .numbers import numbers_of

COUNT = 12
_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Answer:
    """One of the answers to a question.

    Attributes:
        text: the answer.
        why: why it is right, or what is wrong with it.
        is_right: whether it is the right one.
    """

    text: str
    why: str
    is_right: bool = False


@dataclass(frozen=True)
class Question:
    """A question with answers, one of which is right."""

    ask: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Section:
    """A part of a lesson.

    Attributes:
        title: of the part.
        text: paragraphs, divided by empty lines; indented lines are formulas.
        given: whether the numbers that are given stand here.
        equations: the steps of the demo whose equations stand here.
    """

    title: str
    text: str
    given: bool = False
    equations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lesson:
    """A lesson of 45 minutes.

    Attributes:
        number: from 1.
        title: its subject.
        question: what it answers.
        prediction: a guess to be made before.
        sections: what is taught.
        misconceptions: what people believe, and what is right.
        teacher: notes for who teaches it.
        demo: the example whose page belongs to it.
        exercise: the options of its exercise.
        quiz: five questions.
    """

    number: int
    title: str
    question: str
    prediction: Question
    sections: tuple[Section, ...]
    misconceptions: tuple[tuple[str, str], ...]
    teacher: str
    demo: str
    exercise: Mapping[str, Any]
    quiz: tuple[Question, ...]


@functools.cache
def lesson(number: int) -> Lesson:
    """A lesson by its number, from 1 to 12.

    Example:
        >>> lesson(1).title
        'The slope'
    """
    data = _filled(source(number), numbers_of(number))
    return Lesson(
        number=number,
        title=data["title"],
        question=data["question"],
        prediction=_question(data["prediction"]),
        sections=tuple(
            Section(one["title"], one["text"].strip("\n"), one.get("given", False),
                    tuple(one.get("equations", ())))
            for one in data["section"]
        ),
        misconceptions=tuple((one["wrong"], one["right"]) for one in data["misconception"]),
        teacher=data["teacher"]["text"],
        demo=data["teacher"]["demo"],
        exercise=data["teacher"]["exercise"],
        quiz=tuple(map(_question, data["quiz"])),
    )  # fmt: skip


def source(number: int) -> dict[str, Any]:
    """The file of a lesson, without numbers."""
    folder = importlib.resources.files(f"{__package__}.lessons")
    file = next(one for one in folder.iterdir() if one.name.startswith(f"{number:02d}_"))
    found: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    return found


def _question(data: Mapping[str, Any]) -> Question:
    answers = (
        Answer(one["text"], one["why"], bool(one.get("right", False))) for one in data["answers"]
    )
    return Question(data["ask"], tuple(answers))


def _filled(data: Any, numbers: Mapping[str, float]) -> Any:
    """The data with ``{name}`` replaced by the number of that name, in four digits."""
    if isinstance(data, str):
        return _FIELD.sub(lambda match: written(numbers[match[1]]), data)
    if isinstance(data, list):
        return [_filled(one, numbers) for one in data]
    if isinstance(data, dict):
        return {key: _filled(one, numbers) for key, one in data.items()}
    return data


def written(value: float) -> str:
    """A number as the lessons write it.

    Example:
        >>> written(-0.123456), written(1152.0), written(9.537e-07)
        ('−0.1235', '1152', '9.537 · 10⁻⁷')
    """
    text = Writer(digits=4).number(float(value)).replace("-", "−")
    digits, _, power = text.partition("e")
    if not power:
        return text
    raised = str(int(power.replace("−", "-"))).translate(
        str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    )
    return f"{digits} · 10{raised}"
