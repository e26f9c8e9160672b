"""From a table to pairs of source and target: which columns, and which rows cannot be used."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import read_table, source_name
from ...data.schema import check_present
from ...data.source import FileReading, with_reading
from ...data.table_scan import TableScan, is_larger_than_memory
from ...errors import ConfigError, DataError
from ...utils.typing import Array
from ..class_folders import said_left_out
from ..detection import NAMES, files_in, question_and_context
from ..kinds.sequence_to_text import SequenceToTextOptions
from ..text.tokenizers import normalize
from ..transcripts import is_sound, transcripts_of
from .pairs import SAMPLE, Pairs, digest, numbered
from .sounds import SoundSource
from .sources import Source, TextSource, texts_of
from .stored import StoredItems

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

#: Columns of the table of a folder of sounds.
FILE, TEXT = "file", "transcript"
#: So many cells say whether a column names sounds.
_LOOKED_AT = 1000
#: So many rows that are left out are named.
_NAMED = 5


def find_source(frame: pl.DataFrame, options: SequenceToTextOptions, where: str) -> Source:
    """The source that a table has, before it is fitted; see `schema.SOURCES`."""
    column = sound_column(frame, options)
    if column is not None:
        form = options.transcripts or "spoken"
        return SoundSource((column,), form=form, skip_bad=options.skip_bad)
    return TextSource(text_columns(frame, options, where))


def sound_column(frame: pl.DataFrame, options: SequenceToTextOptions) -> str | None:
    """The column that names sounds, if the source is one."""
    import polars as pl

    for name in options.features or frame.columns:
        if name in frame.columns and name not in options.drop and frame[name].dtype == pl.String:
            cells = frame[name].drop_nulls().head(_LOOKED_AT).to_list()
            if cells and 2 * sum(map(is_sound, cells)) > len(cells):
                return name
    return None


def text_columns(frame: pl.DataFrame, options: SequenceToTextOptions, where: str) -> list[str]:
    """The columns of the source: those that were named, or those that must be meant.

    Raises:
        DataError: there is none, or it is not clear which one is meant.
    """
    import polars as pl

    check_present([*(options.features or ()), *options.drop], frame.columns, where)
    if options.features:
        return list(options.features)
    others = [
        name for name in frame.columns
        if name != options.target and name not in options.drop
        and frame[name].null_count() < frame.height
    ]  # fmt: skip
    if asked := question_and_context(others):
        return asked
    found = [name for name in others if frame[name].dtype == pl.String]
    if len(found) > 1:
        found = [name for name in found if name.lower() not in NAMES] or found
    if len(found) == 1:
        return found
    if not found and len(others) == 1:
        return others  # numbers, which are written as they are
    raise DataError(
        "It is not clear which column is the source." if others else "There is no source column.",
        where=where,
        expected="one column of texts beside the target, or --features",
        found=f"the columns {', '.join(frame.columns[:12])}",
        hint=f"--features {(found or others or ['COLUMN'])[0]}",
    )


def read_pairs(
    frames: Iterable[pl.DataFrame],
    source: Source,
    target: str,
    where: str,
    say: Say,
    on_disk: bool = False,
) -> Pairs:
    """The pairs in a table; rows without source or target are left out, and equal pairs count once.

    Args:
        frames: the table, in parts.
        source: of the pairs.
        target: the column of the texts.
        where: the table is.
        say: takes notes.
        on_disk: whether the pairs are not to be kept in memory.

    Raises:
        DataError: a column is missing, or no row has both.
    """
    sources, targets = _items(on_disk), _items(on_disk)
    keys: list[Array] = []
    same: list[Array] = []
    empty: list[int] = []
    rows = 0
    for frame in frames:
        check_present([target], frame.columns, where)
        cells = [row and source.text(row[0]) for row in texts_of(frame, [target])]
        both = list(zip(source.read(frame, where, say), cells, strict=True))
        kept = [(item, text) for item, text in both if item is not None and text]
        empty += [rows + n for n, (item, text) in enumerate(both) if item is None or not text]
        sources.extend([item for item, _ in kept])
        targets.extend([text for _, text in kept])
        of_sources = [source.key(item) for item, _ in kept]
        keys.append(np.array([*map(digest, of_sources)], np.int64))
        texts = zip(of_sources, (text for _, text in kept), strict=True)
        same.append(np.array([*map(digest, texts)], np.int64))
        rows += frame.height
    if empty:
        say(f"{_rows(empty)} {'has' if len(empty) == 1 else 'have'} no source or no target and "
            f"{'is' if len(empty) == 1 else 'are'} left out")  # fmt: skip
    if not len(targets):
        raise DataError("No row has a source and a target.", where=where,
                        expected=f"texts in {', '.join((*source.columns, target))}",
                        found=f"{rows:,} rows, one of both empty in each")  # fmt: skip
    first = np.sort(np.unique(np.concatenate(same), return_index=True)[1])
    pairs = Pairs(sources, targets, np.concatenate(keys))
    if repeated := len(pairs) - len(first):
        say(f"{repeated:,} pairs are there more than once and count once")
        pairs = pairs.take(first)
    return replace(pairs, keys=numbered(pairs.keys))


def _items(on_disk: bool) -> Any:
    return StoredItems() if on_disk else []


def _rows(rows: Sequence[int]) -> str:
    if len(rows) == 1:
        return f"row {rows[0]}"
    named = ", ".join(map(str, rows[:_NAMED])) + ", …" * (len(rows) > _NAMED)
    return f"{len(rows):,} rows ({named})"


def read_frame(
    source: Any, encoding: str | None, say: Say = lambda sentence: None
) -> tuple[pl.DataFrame, str]:
    """The table of a source, and its name; of a folder of sounds, or a sound, that of its files."""
    name = source_name(source)
    if isinstance(source, str | Path):
        if Path(source).is_dir():
            return _sounds_of(Path(source), say), name
        if is_sound(str(source)):
            return _table_of_sounds([str(source)], {}), name
    return read_table(source, encoding=encoding), name


def read_as(
    source: Source, target: str, given: Any, encoding: str | None, say: Say = lambda sentence: None
) -> tuple[pl.DataFrame, str]:
    """`read_frame`, with the columns of a source: sounds may be a folder here and a table there."""
    frame, name = read_frame(given, encoding, say)
    if isinstance(source, SoundSource):
        if tuple(frame.columns) == (FILE, TEXT):
            frame = frame.rename({FILE: source.columns[0], TEXT: target})
        elif source.columns[0] not in frame.columns:
            column = sound_column(frame, SequenceToTextOptions())
            frame = frame if column is None else frame.rename({column: source.columns[0]})
    return frame, name


def scan_of(given: Any, encoding: str | None, say: Say) -> TableScan | None:
    """A file that is to be read in parts; None of others, which fit into memory."""
    source = with_reading(given, FileReading(encoding))
    if not is_larger_than_memory(source):
        return None
    scan = TableScan(source)
    for note in scan.notes:
        say(note)
    return scan


def pairs_in_parts(scan: TableScan, source: Source, target: str, say: Say) -> Pairs:
    """The pairs of a file that is larger than memory: they lie in a temporary file."""
    pairs = read_pairs(scan.parts(), source, target, scan.name, say, on_disk=True)
    parts = pairs.sources, pairs.target
    size = sum(each.bytes for each in parts if isinstance(each, StoredItems)) / 1e6
    say(f"the file is read in parts: {len(pairs):,} pairs lie in temporary files of {size:,.0f} "
        "MB, which go away; tokens are found from "
        f"{min(len(pairs), SAMPLE):,} of them")  # fmt: skip
    return pairs


def _sounds_of(folder: Path, say: Say) -> pl.DataFrame:
    """The sounds of a folder, with their texts.

    Raises:
        DataError: there are no sounds.
    """
    found = transcripts_of(str(folder), files_in(folder))
    if not found.paths:
        raise DataError("This is a folder without sounds; texts are learned from a table.",
                        where=str(folder),
                        expected="a table with columns of source and target, or sounds with their "
                        "texts")  # fmt: skip
    for note in said_left_out(found.left_out, "sounds or texts of sounds"):
        say(note)
    if found.found:
        say(f"the texts of the sounds are {found.found}")
    return _table_of_sounds(found.paths, found.texts)


def _table_of_sounds(paths: Sequence[str], texts: dict[str, str]) -> pl.DataFrame:
    import polars as pl

    # Paths that are absolute mean the same from every folder.
    columns = {FILE: [os.path.abspath(path) for path in paths], TEXT: [*map(texts.get, paths)]}
    return pl.DataFrame(columns, schema={FILE: pl.String, TEXT: pl.String})


def need_target(options: SequenceToTextOptions, where: str, columns: Sequence[str]) -> str:
    """The column of the target.

    Raises:
        ConfigError: it was not said.
    """
    if options.target is None and tuple(columns) == (FILE, TEXT):
        return TEXT
    if options.target is None:
        raise ConfigError("Which column is to be predicted?", where=where,
                          expected=f"--target and one of {', '.join(columns[:20])}",
                          hint="chainrule train pairs.tsv --target french")  # fmt: skip
    return options.target


def lines_of(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Texts as items of a source of one column."""
    return [(normalize(text).strip(),) for text in texts]
