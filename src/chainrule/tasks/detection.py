"""Which kind of data a source is: by what is in a folder, or what a file is called and begins with.

Only names and the beginning of a file are looked at, so that it takes no time on large data.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError
from .kinds import KINDS
from .kinds.media import MediaOptions

if TYPE_CHECKING:
    import polars as pl

#: Endings of file names by the kind of data that such files hold.
ENDINGS = {kind.name: kind.endings for kind in KINDS.values() if kind.endings}
#: Kinds whose files a table may name.
_NAMED = [kind.name for kind in KINDS.values() if issubclass(kind.options, MediaOptions)]
#: So many files of a folder are enough to know it.
_SAMPLE = 1000
_HEAD = 65_536


def recognise(source: Any, target: str | None = None, options: Iterable[str] = ()) -> str:
    """The kind of data of a source: table, images, audio, text or series.

    Args:
        source: a path, or an object in memory, which is a table.
        target: the column to predict; a file of text that has columns is a table.
        options: names of other options that were given; only a series has a horizon, say.

    Raises:
        DataError: a folder without files of a known kind.

    Example:
        >>> recognise("houses.csv"), recognise({"a": [1, 2]})
        ('table', 'table')
    """
    given = set(options)
    for known in KINDS.values():
        if known.told_by & given:
            return known.name
    if not isinstance(source, str | Path) or str(source) == "-":
        return "table"
    path = Path(source)
    if path.is_dir():
        return _of_folder(path)
    by_ending = {ending: kind for kind, endings in ENDINGS.items() for ending in endings}
    kind = by_ending.get(path.suffix.lower())
    if kind and not (kind == "text" and target):
        return kind
    return _named_in(path) or ("text" if target and _is_text_with_class(path, target) else "table")


def _of_folder(folder: Path) -> str:
    counts: Counter[str] = Counter()
    endings: Counter[str] = Counter()
    for number, name in enumerate(files_in(folder)):
        ending = os.path.splitext(name)[1].lower()
        endings[ending] += 1
        counts.update(kind for kind, known in ENDINGS.items() if ending in known)
        if number >= _SAMPLE:
            break
    if not counts:
        found = ", ".join(f"{n:,} {e or 'without an ending'}" for e, n in endings.most_common(5))
        raise DataError(
            "Nothing in this folder is data of a known kind.",
            where=str(folder),
            expected="folders of images, sounds or texts, a folder for each class",
            found=found or "no files",
            hint="A table is named itself: chainrule train houses.csv --target price",
        )
    return counts.most_common(1)[0][0]


def files_in(
    folder: str | os.PathLike[str],
    left_out: Counter[str] | None = None,
    _above: frozenset[str] = frozenset(),
) -> Iterator[str]:
    """Paths of all files below a folder, sorted in each folder; hidden ones are left out.

    Args:
        folder: where to begin; links are followed, but never in a circle.
        left_out: takes the count of links that lead nowhere or back, and of hidden files of a
            known kind.
    """
    left_out = Counter() if left_out is None else left_out
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    here = os.path.realpath(folder)
    above = _above | {here}
    for entry in found:
        ending = os.path.splitext(entry.name)[1].lower()
        if entry.name.startswith("."):
            known = any(ending in endings for endings in ENDINGS.values())
            left_out.update({"hidden": int(known)} if known else {})
        elif entry.is_dir():
            there = os.path.realpath(entry.path)
            if entry.is_symlink() and (there in above or here.startswith(there + os.sep)):
                left_out["link to a folder above"] += 1
            else:
                yield from files_in(entry.path, left_out, above)
        elif entry.is_file():
            yield entry.path
        else:
            left_out["broken link"] += 1


def _named_in(path: Path) -> str | None:
    """The kind of the files that a table of text names in a column: images or audio."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    for kind in _NAMED:
        endings = b"|".join(re.escape(ending.encode()) for ending in ENDINGS[kind])
        file_name = re.compile(rb".+(?:" + endings + rb")(?=\s|$)", re.IGNORECASE)
        for cell in re.split(rb'[,;\t"\r\n]+', head):
            if found := file_name.match(cell):
                name = found.group().strip().decode("utf-8", "replace")
                if (path.parent / name).is_file() or Path(name).is_file():
                    return kind
    return None


def _is_text_with_class(path: Path, target: str) -> bool:
    """Whether a table has one column beside the target, and that is text."""
    import polars as pl

    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if head.startswith(b"PAR1"):
            frame = pl.scan_parquet(path).head(_SAMPLE).collect()
        else:
            header = head.splitlines()[0].decode("utf-8", "replace")
            separator = max(",;\t|", key=header.count)
            frame = pl.read_csv(
                path, separator=separator, n_rows=_SAMPLE, infer_schema=False,
                encoding="utf8-lossy", truncate_ragged_lines=True,
            )  # fmt: skip
    except (OSError, IndexError, pl.exceptions.PolarsError):
        return False
    return is_text_with_class(frame, target)


def is_text_with_class(frame: pl.DataFrame, target: str) -> bool:
    """Whether all that a table says of classes is one column of text: words, mostly distinct.

    Identifiers, constants and empty columns say nothing; any other column makes it a table.

    Example:
        >>> import polars as pl
        >>> mails = pl.DataFrame({"spam": ["no", "yes"], "text": ["see you at noon", "win a car"]})
        >>> is_text_with_class(mails, "spam"), is_text_with_class(mails, "text")
        (True, False)
    """
    import polars as pl

    from ..data import infer_target
    from ..data.infer import telling_columns
    from ..data.words import count_words

    if target not in frame.columns:
        return False
    rest = telling_columns(frame.drop(target))
    if len(rest) != 1 or frame[rest[0]].dtype != pl.String:
        return False
    cells = frame[rest[0]].drop_nulls()
    words = count_words(cells).to_numpy()
    if not len(cells) or float(words.mean()) < 3 or cells.n_unique() * 2 <= len(cells):
        return False
    try:
        return bool(infer_target(frame, target).classes)
    except DataError:
        return False
