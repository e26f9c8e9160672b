"""Files of the sequence archive of the universities of East Anglia and California: ``.ts``.

Source: Löning et al., "sktime: a unified interface for machine learning with time series", 2019.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import read_table, source_name
from ...errors import DataError

if TYPE_CHECKING:
    import polars as pl

ENDING = ".ts"
#: Columns of the table that such a file becomes: a row for each step of each sequence.
SEQUENCE, STEP, CLASS = "sequence", "step", "class"


def is_archive(source: Any) -> bool:
    """Whether a source is such a file, by its name."""
    return isinstance(source, str | os.PathLike) and Path(source).suffix.lower() == ENDING


def read_rows(source: Any) -> pl.DataFrame:
    """A table; that of a ``.ts`` file has the columns sequence, step, x1, x2, … and class.

    Raises:
        DataError: the file is not as it should be, or of a kind that is not known.
    """
    if not is_archive(source):
        return read_table(source)
    import polars as pl

    name = source_name(source)
    try:
        lines = Path(source).read_text("utf-8", "replace").splitlines()
    except OSError as error:
        raise DataError("The file cannot be read.", where=name, found=str(error)) from None
    labelled, begin = _header(lines, name)
    frames: list[pl.DataFrame] = []
    for number, line in enumerate(lines[begin:], begin + 1):
        if not line.strip() or line.startswith("#"):
            continue
        *parts, last = line.strip().split(":")
        dimensions = parts if labelled else [*parts, last]
        values = [_numbers(part, name, number) for part in dimensions]
        steps = {len(part) for part in values}
        if len(steps) != 1:
            raise DataError("The dimensions of a sequence have different lengths.",
                            where=f"{name}, line {number:,}",
                            found=", ".join(str(len(part)) for part in values))  # fmt: skip
        count = steps.pop()
        columns: dict[str, Any] = {SEQUENCE: [f"{len(frames) + 1}"] * count,
                                   STEP: np.arange(count)}  # fmt: skip
        columns |= {f"x{i}": part for i, part in enumerate(values, 1)}
        if labelled:
            columns[CLASS] = [last.strip()] * count
        frames.append(pl.DataFrame(columns))
        if frames[0].width != frames[-1].width:
            raise DataError("The sequences have different numbers of dimensions.",
                            where=f"{name}, line {number:,}",
                            expected=str(frames[0].width), found=str(frames[-1].width))  # fmt: skip
    if not frames:
        raise DataError("There are no sequences.", where=name, expected="lines after @data")
    return pl.concat(frames)


def _header(lines: list[str], name: str) -> tuple[bool, int]:
    """Whether sequences have classes, and the line at which they begin."""
    labelled = False
    for number, line in enumerate(lines):
        word, *rest = line.strip().lower().split() or [""]
        if word == "@data":
            return labelled, number + 1
        if word == "@classlabel":
            labelled = rest[:1] == ["true"]
        if (word, rest[:1]) in (("@timestamps", ["true"]), ("@targetlabel", ["true"])):
            raise DataError(
                "Files of this kind cannot be read.",
                where=f"{name}, line {number + 1:,}",
                expected="sequences at even steps, with classes",
                found=line.strip(),
                hint="Write it as a table with a column for the sequence, and use --group.",
            )
    raise DataError("The sequences do not begin.", where=name, expected="a line @data")


def _numbers(text: str, name: str, line: int) -> Any:
    cells = ["nan" if cell.strip() in ("?", "") else cell for cell in text.split(",")]
    try:
        return np.array(cells, float)
    except ValueError:
        raise DataError("A cell is no number.", where=f"{name}, line {line:,}",
                        found=f"{text:.60}") from None  # fmt: skip
