"""Columns of pictures: each cell is the path of an image file, which begins at the table's folder.

A picture is red, green, blue and a fourth channel that says that there is one, all from 0 to 255.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..utils.typing import Array
from .image_files import pillow, read_header, read_image
from .records import Column, Statistics

if TYPE_CHECKING:
    import polars as pl

#: Pixels of a side, and channels.
SIDE, CHANNELS = 32, 4
#: Names that end so are those of pictures.
_ENDING = (
    r"(?i)\.(?:a?png|jpe?g?|jfif|gif|bmp|dib|tiff?|webp|avif|hei[cf]|jp2|j2k|tga|p[gpbn]m|qoi|ico)$"
)
#: So many files show what a column has; so many unreadable ones are named.
_LOOKED_AT, _NAMED = 50, 20
_THREADS = 4


def names_pictures(cells: pl.Series, source: str) -> bool:
    """Whether distinct cells are names of image files, at least one of which is there."""
    named = cells.str.strip_chars().str.contains(_ENDING)
    if named.mean() != 1.0:
        return False
    some = cells.head(_LOOKED_AT).to_list()
    return any(path_of(name, source).is_file() for name in some)


def path_of(name: str, source: str) -> Path:
    """Where a file is that a table names: beside the table, or from the current folder on."""
    path = Path(name.strip().replace("\\", "/"))
    table = Path(source)
    beside = table.parent / path
    return beside if table.is_file() and (beside.is_file() or not path.is_file()) else path


def fit_pictures(column: Column, paths: pl.Series, source: str) -> Column:
    """The column with its size, and how many of its training rows have a picture.

    Raises:
        DataError: most of a sample of its files cannot be read.
    """
    present = paths.drop_nulls()
    known = present.unique(maintain_order=True)
    errors = list[DataError]()
    sample = known.gather_every(-(-len(known) // _LOOKED_AT) or 1).to_list()
    pillow()  # its absence is no fault of the files
    for name in sample:
        try:
            read_header(str(path_of(name, source)))
        except DataError as error:
            errors.append(error)
    if 2 * len(errors) > len(sample):
        raise DataError(
            f"The pictures of column {column.name!r} cannot be read.",
            where=f"{source}, column {column.name!r}",
            expected="paths of image files, from the table's folder on",
            found=f"{errors[0].where}: {errors[0].found}; {len(errors)} of {len(sample)} like it",
            hint=f"--drop {column.name} does without them",
        )
    statistics = Statistics(
        count=len(present), missing=len(paths) - len(present), distinct=len(known)
    )
    return dataclasses.replace(column, statistics=statistics, size=column.size or SIDE)


def encode_pictures(column: Column, paths: pl.Series, source: str) -> tuple[Array, list[str]]:
    """Pictures of one size, (rows, size, size, 4) float32, and what cannot be read, by row.

    Without a picture all is 0.
    """
    side = column.size
    cells = paths.to_list()
    found = np.zeros((len(cells), side, side, CHANNELS), np.float32)
    names = dict.fromkeys(cell for cell in cells if cell is not None)
    if not names:
        return found, []
    pillow()

    def read(name: str) -> Array | DataError:
        try:
            return read_image(str(path_of(name, source)), side, side, 3)
        except DataError as error:
            return error

    with ThreadPoolExecutor(_THREADS) as threads:
        pictures = dict(zip(names, threads.map(read, names), strict=True))
    problems = []
    for row, cell in enumerate(cells):
        if cell is None:
            continue
        picture = pictures[cell]
        if isinstance(picture, DataError):
            problems.append(f"row {row + 1} ({cell}: {picture.found})")
            continue
        found[row, ..., :3], found[row, ..., 3] = picture, 255
    return found, _told(column, problems)


def _told(column: Column, problems: Sequence[str]) -> list[str]:
    if not problems:
        return []
    rows = "row" if len(problems) == 1 else "rows"
    more = f", and {len(problems) - _NAMED:,} more" if len(problems) > _NAMED else ""
    return [
        f"column {column.name}: {len(problems):,} {rows} whose picture cannot be read, taken as "
        f"missing: {', '.join(problems[:_NAMED])}{more}"
    ]
