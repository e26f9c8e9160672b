"""What a report shows of a trained network: right and wrong, the worst, what it looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..drawing.blocks import Block, Section, Text, section, table
from ..utils.numbers import number
from .evaluation_charts import answer_sections
from .tested import Answers, Tested

#: So many of the worst examples are shown.
WORST = 12


def examine(plan: Any, tested: Sequence[Tested]) -> list[Section]:
    """The sections of a report that need the network and the test set.

    Args:
        plan: of the kind of task; see `chainrule.tasks.plan.Plan`.
        tested: what was tested, once or by each part of a cross-validation.

    Returns:
        Sections. What cannot be drawn is said instead: a report never ends a training.
    """
    if not tested:
        return []
    answers: list[Answers] = []

    def read() -> Iterable[Section]:
        found = [plan.answers(each.schema, each.part, each.predicted) for each in tested]
        answers.extend(Answers.joined(parts) for parts in zip(*found, strict=True))
        return answer_sections(answers, plan.unit)

    steps: list[tuple[str, Callable[[], Iterable[Section | None]]]] = [
        ("right and wrong", read),
        ("worst", lambda: [worst(plan, tested, each, len(answers) > 1) for each in answers]),
        ("inside", lambda: plan.inside(tested[-1])),
    ]
    sections: list[Section] = []
    for name, step in steps:
        try:
            sections += [each for each in step() if each is not None]
        except Exception as error:
            sections += could_not(name, name.capitalize(), error)
    return sections


def could_not(name: str, title: str, error: Exception) -> list[Section]:
    """In the place of a section that could not be made."""
    said = f"This part could not be drawn: {type(error).__name__}: {error}"
    return [Section(name, title, (Text((said,), quiet=True),))]


def described(schema: Any, counts: str) -> list[Section]:
    """What a schema tells of itself, as the section on the data."""
    known = schema.described() if hasattr(schema, "described") else []
    found = section(
        "data", "The data", Text((counts,)), table(("", ""), known),
        Text(tuple(schema.notes)) if getattr(schema, "notes", ()) else None,
    )  # fmt: skip
    return [] if found is None else [found]


def worst(
    plan: Any, tested: Sequence[Tested], answers: Answers, several: bool = False
) -> Section | None:
    """The examples with the largest errors, as they are."""
    rows = answers.worst(WORST)
    if not len(rows) or answers.fold is None or answers.row is None:
        return None
    picked = [(tested[int(answers.fold[row])], int(answers.row[row])) for row in rows]
    blocks: Sequence[Block] = plan.shown(picked, [said_of(answers, row) for row in rows])
    if not blocks:
        return None
    wrong = int((answers.said != answers.target).sum()) if answers.classes else 0
    sentence = (
        f"Of {wrong:,} wrong answers those with the least probability of the true class. They are "
        "the first to look at: is the label right?"
        if answers.classes
        else "Those with the largest errors. They are the first to look at: is the value right?"
    )
    of = f" of {answers.name}" if several else ""
    end = f"-{answers.name}" if several else ""
    return section(f"worst{end}", f"The worst errors{of}", Text((sentence,), quiet=True), *blocks)


def said_of(answers: Answers, row: int) -> tuple[str, str]:
    """What is right and what was said of a row, in words."""
    if not answers.classes:
        return number(float(answers.target[row])), number(float(answers.predicted[row]))
    said, true = int(answers.said[row]), int(answers.target[row])
    p = float(answers.predicted[row, said])
    return answers.classes[true], f"{answers.classes[said]} ({p:.0%})"


def default_answers(
    task: str, name: str, classes: Sequence[str], target: Any, predicted: Any
) -> list[Answers]:
    """The answers of a kind with one target; none of a task that has no rows of its own."""
    from .evaluation import METRICS

    if task not in METRICS:
        return []
    given = np.asarray(predicted)
    if classes and (given.ndim == 1 or given.shape[1] == 1):
        given = np.stack([1 - given.ravel(), given.ravel()], axis=1)
    if not classes:
        given = given.reshape(len(given), -1)[:, 0]
    return [Answers(name, task, np.asarray(target), given, tuple(classes))]
