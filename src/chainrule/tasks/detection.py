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
from .transcripts import has_transcripts

if TYPE_CHECKING:
    import polars as pl

#: Endings of file names by the kind of data that such files hold.
ENDINGS = {kind.name: kind.endings for kind in KINDS.values() if kind.endings}
#: Kinds whose files a table may name.
_NAMED = [kind.name for kind in KINDS.values() if issubclass(kind.options, MediaOptions)]
#: So many files of a folder are enough to know it.
_SAMPLE = 1000
_HEAD = 65_536
#: Of fewer texts it is not clear that each is a text of its own.
_FEWEST_TEXTS = 12
#: Texts of so many words, on average, are said rather than names of classes.
_SAID = 1.5
#: What columns are called that only name a row.
NAMES = frozenset(
    ("id", "key", "uuid", "index", "row", "no", "nr", "url", "file", "split", "lang", "language")
)


def recognise(source: Any, target: str | None = None, options: Iterable[str] = ()) -> str:
    """The kind of data of a source: table, images, audio, text, series or sequence-to-text.

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
    named = _named_in(path)
    if named == "audio" and target and is_transcript(_head_of(path), target):
        return "sequence-to-text"
    return named or (_by_target(path, target) if target else "table")


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
    if counts["audio"] and has_transcripts(folder, files_in(folder)):
        return "sequence-to-text"
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


def _by_target(path: Path, target: str) -> str:
    """The kind of a table by what stands in its target, and beside it."""
    frame = _head_of(path)
    if frame is None:
        return "table"
    if is_text_to_text(frame, target):
        return "sequence-to-text"
    return "text" if is_text_with_class(frame, target) else "table"


def _head_of(path: Path) -> pl.DataFrame | None:
    """The first rows of a table; None where they cannot be read as simply as that."""
    import polars as pl

    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if head.startswith(b"PAR1"):
            return pl.scan_parquet(path).head(_SAMPLE).collect()
        if head.startswith(b"{"):
            lines = head.splitlines(keepends=True)
            whole = lines if len(head) < _HEAD else lines[:-1]
            return pl.read_ndjson(b"".join(whole), infer_schema_length=None)
        header = head.splitlines()[0].decode("utf-8", "replace")
        separator = max(",;\t|", key=header.count)
        return pl.read_csv(
            path, separator=separator, n_rows=_SAMPLE, infer_schema=False,
            encoding="utf8-lossy", truncate_ragged_lines=True,
        )  # fmt: skip
    except (OSError, IndexError, pl.exceptions.PolarsError):
        return None


#: Columns of a question and of what it is about, by their usual names.
_QUESTIONS = ("question", "query")
_CONTEXTS = ("context", "story", "passage", "paragraph", "document", "article")


def question_and_context(columns: Iterable[str]) -> list[str]:
    """The columns of question and context by their names; none without both.

    Example:
        >>> question_and_context(["Story", "question", "id"]), question_and_context(["question"])
        (['question', 'Story'], [])
    """
    by_name = {name.lower(): name for name in columns}
    question = next((by_name[name] for name in _QUESTIONS if name in by_name), None)
    context = next((by_name[name] for name in _CONTEXTS if name in by_name), None)
    return [question, context] if question and context else []


def is_text_to_text(frame: pl.DataFrame, target: str) -> bool:
    """Whether a target is of texts that are to be written, from another column of texts.

    Such a target is neither of numbers nor of classes that come again and again: most of its texts
    are distinct. The columns beside it are of texts, too, or name the rows; or they are a question
    and its context.

    Example:
        >>> import polars as pl
        >>> words = pl.DataFrame({"en": ["a cat", "a dog"] * 9, "fr": ["un chat", "un chien"] * 9})
        >>> many = pl.DataFrame({"en": [f"{k} cats" for k in "abcdefghijklmnopqrst"],
        ...                      "fr": [f"{k} chats" for k in "abcdefghijklmnopqrst"]})
        >>> is_text_to_text(words, "fr"), is_text_to_text(many, "fr")
        (False, True)
    """
    import polars as pl

    from ..data import infer_target

    if target not in frame.columns or frame[target].dtype != pl.String:
        return False
    others = [frame[n] for n in frame.columns if n != target and frame[n].null_count() < len(frame)]
    if not others:
        return False
    if question_and_context(each.name for each in others):
        return True
    cells = frame[target].drop_nulls()
    if len(cells) < _FEWEST_TEXTS or cells.n_unique() < 2:
        return False
    texts = [each for each in others if each.dtype == pl.String and not _holds_numbers(each)]
    rest = [each.name.lower() for each in others if each is not texts[0]] if texts else []
    if len(texts) != 1 or not NAMES.issuperset(rest):
        return False
    try:
        classes = infer_target(frame, target).classes  # none of numbers
        return bool(classes) and len(classes) * 2 > len(cells)
    except DataError:  # too many classes, or dates: it is no target of a table
        return True


def is_transcript(frame: pl.DataFrame | None, target: str) -> bool:
    """Whether a target beside sounds is what is said in them, rather than a class.

    Example:
        >>> import polars as pl
        >>> said = pl.DataFrame({"text": ["a cat", "two dogs"], "speaker": ["a", "b"]})
        >>> is_transcript(said, "text"), is_transcript(said, "speaker")
        (True, False)
    """
    import polars as pl

    from ..data.words import count_words

    if frame is None or target not in frame.columns or frame[target].dtype != pl.String:
        return False
    cells = frame[target].drop_nulls()
    several = len(cells) and float(count_words(cells).to_numpy().mean()) >= _SAID
    return bool(several) and cells.n_unique() * 2 > len(cells)


def _has_measurements(frame: pl.DataFrame) -> bool:
    """Whether two columns or more are numbers with a fraction: then it is a table, seen at once."""
    import polars as pl

    found = 0
    for cells in frame:
        if not (cells.dtype == pl.String or cells.dtype.is_numeric()):
            continue
        numbers = cells.cast(float, strict=False)
        fraction = numbers % 1
        found += numbers.null_count() == 0 and bool((fraction > 0).any()) and numbers.n_unique() > 2
        if found > 1:
            return True
    return False


def _holds_numbers(cells: pl.Series) -> bool:
    return cells.drop_nulls().cast(float, strict=False).null_count() * 2 < cells.count()


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

    if target not in frame.columns or _has_measurements(frame.drop(target)):
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
