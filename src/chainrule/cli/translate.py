"""``chainrule translate``: a text for each line, as a model writes it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .error_handling import Debug
from .lines import Beam, Best, LengthPenalty, Mbr, decoding, lines_of, write_lines, writer_of
from .predict import Model


def translate(
    model: Model,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILES",
            help="Files with a source in each line; standard input without them.",
            show_default=False,
        ),
    ] = None,
    beam: Beam = None,
    n_best: Best = None,
    length_penalty: LengthPenalty = None,
    mbr: Mbr = None,
    debug: Debug = False,
) -> None:
    """Write a text for each line of standard input or of files, a line each, in their order.

    Example: chainrule translate runs/pairs-2026-01-31-1 < english.txt > french.txt
    """
    hint = f"for question and context: chainrule answer {model}; for files of other kinds: predict"
    translator = writer_of(model, 1, hint)
    how = decoding(translator, beam, n_best, length_penalty, mbr)
    waits = not files and sys.stdin.isatty()
    write_lines(translator, lines_of(files), lambda line: (line.strip(),), how, waits)
