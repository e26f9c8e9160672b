"""Codes of categories for other systems: from the words of a cell to what the network takes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ..data import Column, Schema
from ..data.parsing import ERRORS, WORDS
from ..errors import ConfigError


def codes_of(column: Column) -> dict[str, int]:
    """The code of every spelling that is known, those that mean a missing value included.

    Args:
        column: of categories.

    Example:
        >>> codes_of(Column("city", "category", "text", vocabulary=("Rome", "Oslo")))
        {'Rome': 1, 'Oslo': 2}
    """
    codes = dict.fromkeys(_missing_words(column), 0) if column.has_other else {}
    codes |= {word: code for code, word in enumerate(column.vocabulary, 1)}
    for word, code in _other_spellings(column.vocabulary).items():
        codes.setdefault(word, code)
    return codes


def code_of_others(column: Column) -> int:
    """The code of what is not among `codes_of`: never seen, or too rare."""
    return column.codes - 1 if column.has_other else 0


def _missing_words(column: Column) -> list[str]:
    """Words that mean a missing value, as they are usually written."""
    words = sorted(ERRORS | set(WORDS if column.missing is None else column.missing))
    spelled = [(word, word.upper(), word.capitalize()) for word in words]
    return list(dict.fromkeys([*itertools.chain(*spelled), "NaN", "NaT", "#N/A"]))


def _other_spellings(vocabulary: Sequence[str]) -> dict[str, int]:
    """Codes as files of numbers have them: 2138 is 02138, if no other code has the value."""
    found: dict[str, list[int]] = {}
    for code, word in enumerate(vocabulary, 1):
        if word.isascii() and word.isdigit():
            found.setdefault(word.lstrip("0"), []).append(code)
    return {word: codes[0] for word, codes in found.items() if word and len(codes) == 1}


def refuse_pictures(schema: Schema) -> None:
    """Columns of pictures are files, which no exported model opens.

    Raises:
        ConfigError: there are such columns.
    """
    if schema.image:
        raise ConfigError(
            "A model with columns of pictures cannot be exported.",
            where=", ".join(repr(column.name) for column in schema.image),
            hint="Train without them, with --drop, or use cr.load or `chainrule predict`.",
        )
