"""``chainrule grade``: what is right in a worksheet, and which slip what is wrong comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..errors import DataError
from .console import note, show
from .error_handling import Debug

_SIGNS = {"right": "✓", "follows": "(✓)", "slip": "✗", "wrong": "✗", "empty": "–"}


def grade(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A worksheet of chainrule exercise, filled in.")
    ],
    debug: Debug = False,
) -> None:
    """Grade a worksheet, and name the slip behind each wrong answer.

    Example: chainrule grade exercise_houses_17.md
    """
    if not file.is_file():
        raise DataError("There is no such file.", where=str(file))
    from ..learn import grade as verdicts_of

    verdicts = verdicts_of(file)
    table = Table("", "number", "your answer", "", box=None, pad_edge=False)
    for one in verdicts:
        given = "" if one.answer is None else f"{one.answer:.6g}"
        table.add_row(f"({one.number}) {_SIGNS[one.kind]}", one.name, given, one.sentence)
    show(table)
    right = sum(one.kind in ("right", "follows") for one in verdicts)
    note(f"{right} of {len(verdicts)} are right.")
