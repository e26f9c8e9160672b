"""``chainrule translate``: a text for each line, as a model writes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from .console import note
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
    write_lines,
    writer_of,
)
from .predict import Model


def translate(
    model: Model,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILES",
            help="Files with a source in each line, - for standard input; it alone without them.",
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
    """Write a text for each line of standard input or of files, a line each, in their order.

    Example: chainrule translate runs/pairs-2026-01-31-1 < english.txt > french.txt
    """
    hint = f"for question and context: chainrule answer {model}; for files of other kinds: predict"
    check_precision(precision)
    translator = writer_of(model, 1, hint, others)
    how = decoding(translator, beam, n_best, length_penalty, mbr)
    lines = _whole(lines_of(files, encoding), model)
    write_lines(translator, lines, lambda line: (line.strip(),), how, is_typed(files), precision)


def _whole(lines: Iterable[str], model: Path) -> Iterator[str]:
    """The same lines; the first one that looks like several columns is told."""
    told = False
    for number, line in enumerate(lines, 1):
        if "\t" in line.strip() and not told:
            told = True
            note(f"line {number:,} has tabs: all of a line is translated; of a table with columns: "
                 f"chainrule predict {model} TABLE")  # fmt: skip
        yield line
