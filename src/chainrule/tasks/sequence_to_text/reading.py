"""From a table to pairs of source and target: which columns, and which rows cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data import read_table, source_name
from ...data.schema import check_present
from ...errors import ConfigError, DataError
from ..detection import NAMES, question_and_context
from ..kinds.sequence_to_text import SequenceToTextOptions
from ..text.tokenizers import normalize
from .pairs import Pairs
from .sources import Source, TextSource, texts_of

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

#: So many rows that are left out are named.
_NAMED = 5


def find_source(frame: pl.DataFrame, options: SequenceToTextOptions, where: str) -> Source:
    """The source that a table has, before it is fitted; see `sources.SOURCES`."""
    return TextSource(text_columns(frame, options, where))


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


def read_pairs(frame: pl.DataFrame, source: Source, target: str, where: str, say: Say) -> Pairs:
    """The pairs in a table; rows without source or target are left out, and equal pairs count once.

    Raises:
        DataError: a column is missing, or no row has both.
    """
    check_present([target], frame.columns, where)
    sources = source.read(frame, where)
    targets = [None if text is None else text[0] for text in texts_of(frame, [target])]
    empty, repeated = [], 0
    kept: dict[Any, int] = {}
    for row, (item, text) in enumerate(zip(sources, targets, strict=True)):
        if item is None or text is None:
            empty.append(row)
        elif (key := (source.key(item), text)) in kept:
            repeated += 1
        else:
            kept[key] = row
    if empty:
        say(f"{_rows(empty)} {'has' if len(empty) == 1 else 'have'} no source or no target and "
            f"{'is' if len(empty) == 1 else 'are'} left out")  # fmt: skip
    if repeated:
        say(f"{repeated:,} pairs are there more than once and count once")
    if not kept:
        raise DataError("No row has a source and a target.", where=where,
                        expected=f"texts in {', '.join((*source.columns, target))}",
                        found=f"{frame.height:,} rows, one of both empty in each")  # fmt: skip
    rows = list(kept.values())
    return Pairs.of(
        [sources[row] for row in rows], [str(targets[row]) for row in rows], [k for k, _ in kept]
    )


def _rows(rows: Sequence[int]) -> str:
    if len(rows) == 1:
        return f"row {rows[0]}"
    named = ", ".join(map(str, rows[:_NAMED])) + ", …" * (len(rows) > _NAMED)
    return f"{len(rows):,} rows ({named})"


def read_frame(source: Any, encoding: str | None) -> tuple[pl.DataFrame, str]:
    """The table of a source, and its name."""
    name = source_name(source)
    if isinstance(source, str | Path) and Path(source).is_dir():
        raise DataError("This is a folder, and texts are learned from a table.", where=name,
                        expected="a table with columns of source and target")  # fmt: skip
    return read_table(source, encoding=encoding), name


def need_target(options: SequenceToTextOptions, where: str, columns: Sequence[str]) -> str:
    """The column of the target.

    Raises:
        ConfigError: it was not said.
    """
    if options.target is None:
        raise ConfigError("Which column is to be predicted?", where=where,
                          expected=f"--target and one of {', '.join(columns[:20])}",
                          hint="chainrule train pairs.tsv --target french")  # fmt: skip
    return options.target


def lines_of(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Texts as items of a source of one column."""
    return [(normalize(text).strip(),) for text in texts]
