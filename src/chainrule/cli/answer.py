"""``chainrule answer``: answers to questions about a text."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated

import typer

from ..errors import DataError
from .error_handling import Debug
from .lines import (
    Beam,
    Best,
    Encoding,
    LengthPenalty,
    Mbr,
    Others,
    Precision,
    check_precision,
    decoding,
    is_typed,
    lines_of,
    need_context,
    write_lines,
    writer_of,
)
from .predict import Model


def answer(
    model: Model,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILES",
            help="Files with a question in each line, and perhaps its context after a tab, - for "
            "standard input; it alone without them.",
            show_default=False,
        ),
    ] = None,
    context: Annotated[
        Path | None,
        typer.Option(
            help="A file with the text that all questions without a context of their own are "
            "about.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    beam: Beam = None,
    n_best: Best = None,
    length_penalty: LengthPenalty = None,
    mbr: Mbr = None,
    precision: Precision = None,
    encoding: Encoding = None,
    others: Others = None,
    debug: Debug = False,
) -> None:
    """Answer the question in each line of standard input or of files, a line each.

    Example: echo "Where is Mary?" | chainrule answer runs/stories-2026-01-31-1 --context story.txt
    """
    from ..tasks.detection import question_and_context
    from ..tasks.text import read_text

    hint = f"for one text as the source: chainrule translate {model}"
    check_precision(precision)
    translator = writer_of(model, 2, hint, others)
    how = decoding(translator, beam, n_best, length_penalty, mbr)
    about = None if context is None else " ".join(read_text(context, encoding).split())
    if about == "":
        raise DataError("The context is empty.", where=str(context),
                        expected="a text that the questions are about")  # fmt: skip
    numbers = itertools.count(1)
    columns = translator.schema.source.columns
    known = question_and_context(columns)
    context_first = bool(known) and columns[0] == known[1]

    def item(line: str) -> tuple[str, str]:
        question, text = need_context(line, about, next(numbers))
        return (text, question) if context_first else (question, text)

    write_lines(translator, lines_of(files, encoding), item, how, is_typed(files), precision)
