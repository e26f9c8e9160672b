"""Rows of a file that are no observations: totals, notes, units, headers that come again, rules.

Programs and people write them above and below of what they tabulate. They are left out, and that is
said with their lines; in doubt a row stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import DataError
from . import totals
from .column_names import listed
from .note_lines import RULE_CELL, is_note, is_rule_cell, is_sentence
from .parsing import MISSING
from .parsing.units import SPELLINGS

if TYPE_CHECKING:
    import polars as pl

    Lines = Callable[[int], int]

#: So many rows at the end may be notes and totals.
_LAST = 30
#: So many rows below the header may say units and the like; so many rows tell the types.
_FIRST, _HEAD = 2, 60
#: So many words on average are texts, which may begin like a note.
_PROSE = 4
#: So many empty rows at the end are none.
_LEFT_AT_END = 3
#: Without a known unit, so many rows must be below.
_FEWEST = 4
_BLANK = r"^\s*$"
_NUMBER = r"^[^\p{L}\d]{0,4}(?:[$€£¥]|[A-Z]{3} ?)?\d[\d.,:/\s'-]*(?:[eE][+-]?\d+)?[^\d]{0,12}$"
_MORE_UNITS = (
    "% ‰ ° °c °f k n nm µm um hpa pa kpa mbar bar v mv a ma ah mah wh kwh mwh j kj mj cal "
    "kcal ppm ppb mol mmol db dba dbm rpm px pt pcs pieces stk stück count number anzahl # "
    "usd eur gbp chf jpy cny inr $ € £ ¥ us$ sqft sqm ha acres ac mph kmh kt kn psi lx lux "
    "lm cd deg degrees rad hours percent prozent m² m³ km² cm² cm³ ft² sec bpm iu index "
)
_UNIT_WORDS = frozenset(_MORE_UNITS.split()).union(
    word.lower() for members in SPELLINGS.values() for word in members
)


def without_extra_rows(
    frame: pl.DataFrame, name: str, line: Lines, notes: list[str], *, noun: str = "line",
    whole: bool = True, closed: bool = False,
) -> pl.DataFrame:  # fmt: skip
    """A table without the rows that are no observations.

    Args:
        frame: as it was read from a file.
        name: of the file, for messages.
        line: where in the file a row is.
        notes: takes sentences about what was left out, and where.
        noun: what ``line`` counts.
        whole: is it the whole file, or one part of several? Then nothing is known of its end.
        closed: were lines of another width left out, such as notes below the table?

    Raises:
        DataError: the names of the columns come again, in another order.

    Example:
        >>> import polars as pl
        >>> notes = []
        >>> table = pl.DataFrame({"city": ["Rome", "Oslo", "Total"], "n": ["2", "5", "7"]})
        >>> without_extra_rows(table, "a.csv", lambda row: row + 2, notes).height, notes
        (2, ["a.csv: 1 row of totals is left out: line 4 ('Total')"])
    """
    if frame.width < 2 or frame.height < 2:
        return frame
    empty = _empty(frame)
    found: dict[str, list[int]] = {
        "header": _headers(frame, name, line, noun),
        "rule": _rules(frame),
    }
    gone = {*empty, *(row for rows in found.values() for row in rows)}
    found["unit"] = _units(frame, gone)
    gone.update(found["unit"])
    if whole:
        found["note"] = _notes(frame, gone)
        gone.update(found["note"])
        found["total"] = _totals(frame, gone)
        gone.update(found["total"])
        if others := _statistics(frame, gone):  # which may stand between totals and the rows
            gone.update(others)
            found["total"] = sorted([*found["total"], *others, *_totals(frame, gone)])
            gone.update(found["total"])
        if doubt := _doubt(frame, gone, line, noun):
            notes.append(LeftOut(f"{name}: {doubt}"))
    gone.difference_update(empty)
    most = 1 if closed else _LEFT_AT_END
    found["empty"] = _between_blocks(empty, gone, frame.height if whole else None, most)
    gone.update(found["empty"])
    if not gone or len(gone) == frame.height:
        return frame
    for kind, rows in found.items():
        if rows:
            content = next(filter(None, _cells(frame, rows[0])), "")
            told = told_rows(kind, [line(row) for row in rows], content, noun)
            notes.append(LeftOut(f"{name}: {told}"))
    return frame[[row for row in range(frame.height) if row not in gone]]


_WHAT = {
    "empty": ("empty row", "empty rows"),
    "header": ("row that holds the header again", "rows that hold the header again"),
    "rule": ("row of dashes", "rows of dashes"),
    "unit": ("row of units or descriptions", "rows of units or descriptions"),
    "note": ("note", "notes"),
    "total": ("row of totals", "rows of totals"),
}


class LeftOut(str):
    """A note that rows of a file are none of its table; said even if nobody takes notes."""

    __slots__ = ()


def told_rows(kind: str, lines: Sequence[int], content: str = "", noun: str = "line") -> str:
    """That rows are left out, in words.

    Example:
        >>> told_rows("note", [7, 9], "Source: us")
        "2 notes are left out: lines 7, 9 ('Source: us')"
    """
    verb = "is" if len(lines) == 1 else "are"
    content = f" ({content!r:.60})" if content and kind in ("unit", "note", "total") else ""
    what = _WHAT[kind][len(lines) > 1]
    return f"{len(lines):,} {what} {verb} left out: {places(lines, noun)}{content}"


def places(lines: Iterable[int], noun: str = "line") -> str:
    """Where rows are, in words.

    Example:
        >>> places([7]), places([3, 9])
        ('line 7', 'lines 3, 9')
    """
    numbers = [str(number) for number in lines]
    return f"{noun} {numbers[0]}" if len(numbers) == 1 else f"{noun}s {listed(numbers)}"


# ---------------------------------------------------------------- cells


def _text(column: pl.Series) -> bool:
    import polars as pl

    return column.dtype == pl.String


def _is_blank(column: pl.Series) -> pl.Series:
    blank = column.is_null()
    return blank | column.str.contains(_BLANK).fill_null(True) if _text(column) else blank


def _cells(frame: pl.DataFrame, row: int) -> list[str]:
    return ["" if cell is None else str(cell).strip() for cell in frame.row(row)]


def _where_all(frame: pl.DataFrame, test: Callable[[pl.Series, int], pl.Series]) -> list[int]:
    """The rows all of whose cells pass a test, which sees few cells after the first column."""
    import polars as pl

    rows = pl.Series(range(frame.height), dtype=pl.UInt32)
    for i in range(frame.width):
        rows = rows.filter(test(frame.to_series(i).gather(rows), i))
        if not len(rows):
            break
    return [int(row) for row in rows]


def _empty(frame: pl.DataFrame) -> list[int]:
    return _where_all(frame, lambda cells, _: _is_blank(cells))


def _between_blocks(
    empty: Sequence[int], gone: set[int], end: int | None, at_end: int
) -> list[int]:
    """The empty rows that separate something, or that a spreadsheet has left at the end.

    Others are observations of which nothing is known: predictions have a row for them.

    Example:
        >>> _between_blocks([2, 3, 6], {4}, 9, 3), _between_blocks([5, 6, 7], set(), 8, 3)
        ([2, 3], [5, 6, 7])
    """
    found: list[int] = []
    start = 0
    for i, row in enumerate(empty):
        if i + 1 < len(empty) and empty[i + 1] == row + 1:
            continue
        run, start = empty[start : i + 1], i + 1
        is_last = row + 1 == end and len(run) >= at_end
        if is_last or run[0] - 1 in gone or row + 1 in gone:
            found += run
    return found


def _headers(frame: pl.DataFrame, name: str, line: Lines, noun: str) -> list[int]:
    """Rows that hold the names of the columns; in another order they are refused."""
    import polars as pl

    names = frame.columns
    if not any(map(_text, frame.get_columns())):
        return []

    def is_name(cells: pl.Series, i: int) -> pl.Series:
        nameless = re.fullmatch(r"column_\d+_*", names[i]) is not None
        # Files that were joined have the mark of their encoding in front of each header.
        same = cells.cast(pl.String).str.strip_chars().str.strip_prefix("\ufeff") == names[i]
        return same.fill_null(nameless)

    first = frame.to_series(0)
    if _text(first):
        moved = first.str.strip_chars().is_in(names[1:]).fill_null(False).arg_true()
        for row in moved.head(1000):
            if sorted(_cells(frame, row)) == sorted(names):
                raise DataError(
                    "The header comes again, with its columns in another order.",
                    where=f"{name}, {noun} {line(row)}",
                    expected=listed(names),
                    found=listed(_cells(frame, row)),
                    hint="bring the columns of the files into one order before they are joined",
                )
    return _where_all(frame, is_name)


def _rules(frame: pl.DataFrame) -> list[int]:
    """Rows of dashes in at least half of the columns, and nothing in the others."""

    def may_be(cells: pl.Series, _: int) -> pl.Series:
        if not _text(cells):
            return cells.is_null()
        return cells.str.contains(f"^(?:{RULE_CELL}|\\s*)$").fill_null(True)

    rows = _where_all(frame, may_be)
    return [r for r in rows if sum(map(is_rule_cell, _cells(frame, r))) * 2 >= frame.width]


# ---------------------------------------------------------------- units


def _units(frame: pl.DataFrame, gone: set[int]) -> list[int]:
    """Rows below the header with words in all columns that hold numbers in the rows below."""
    head = frame.head(_HEAD)
    found: list[int] = []
    rows = [row for row in range(head.height) if row not in gone]
    for row in rows[:_FIRST]:
        below = [r for r in rows if r > row]
        cells = _cells(frame, row)
        if not below or not any(cells):
            break
        # What stands in a second such row is none of the numbers of the first.
        skip = below[1:] if len(below) > _FEWEST else below
        types = _are_numbers(head[skip])
        broken = [c for c, numbers in zip(cells, types, strict=True) if numbers and c]
        broken = [c for c in broken if c.lower() not in MISSING]
        if not broken or any(map(_has_number, broken)):
            break
        if any(cell[0].isdigit() and _has_letters(head.to_series(i)[below])
               for i, cell in enumerate(cells) if cell in broken):  # fmt: skip
            break  # 100 €, above 120 €
        units = all(map(is_unit, broken))
        some = sum(types)
        if len(broken) * 2 < some or (len(set(broken)) < 2 and not units):
            break
        if not units and (len(below) < _FEWEST or len(broken) < some):
            break
        if all(len(cell) == 1 and cell.isalpha() for cell in broken) or _comes_again(frame, row):
            break
        found.append(row)
    return found


def _comes_again(frame: pl.DataFrame, row: int) -> bool:
    """Is one of the words of a row in another row of the same column, as values are?"""
    for column in frame.get_columns():
        if _text(column) and column[row] is not None:
            cell = str(column[row]).strip()
            is_word = bool(cell) and cell.lower() not in MISSING
            if is_word and not is_bracketed(cell) and (column == column[row]).sum() > 1:
                return True
    return False


def _are_numbers(frame: pl.DataFrame) -> list[bool]:
    """Whether most cells of each column, of those that have a value, are numbers."""
    import polars as pl

    def fits(column: pl.Series) -> pl.Expr:
        kind = column.dtype
        if not _text(column):
            return pl.lit(kind.is_numeric() or kind.is_temporal())
        cell = pl.col(column.name).str.strip_chars()
        present = cell.is_not_null() & ~cell.str.to_lowercase().is_in(sorted(MISSING))
        numbers = (present & cell.str.contains(_NUMBER)).sum()
        return (present.sum() > 0) & (numbers >= 0.9 * present.sum())

    found = frame.select(fits(x).alias(str(i)) for i, x in enumerate(frame.get_columns()))
    return [bool(value) for value in found.row(0)]


def _has_letters(cells: pl.Series) -> bool:
    """Have most cells something like a unit in them?"""
    return _text(cells) and bool(cells.str.contains(r"[\p{L}\p{Sc}%°]").sum() * 2 > len(cells))


def _has_number(cell: str) -> bool:
    return re.match(r"\W{0,4}(?:[A-Z]{3} ?)?\d", cell) is not None and not is_unit(cell)


def is_unit(cell: str) -> bool:
    """Is it a unit, or something in brackets, as units are written below a header?

    Example:
        >>> [is_unit(cell) for cell in ("kg", "[m/s]", "µg/m³", "m s-1", "1000 t", "5 €", "no")]
        [True, True, True, True, True, False, False]
    """
    cell = cell.strip()
    if is_bracketed(cell):
        return True
    powers = re.sub(r"(?<=[^\W\d_])\^?[⁻-]?[¹²³\d]+", "", cell.lower())
    words = [re.sub(r"^1?0{2,}", "", part) for part in re.split(r"[\s/·*.^⁻-]+|per", powers)]
    known = [w.replace("µ", "u").replace("μ", "u") for w in words if w]
    return bool(known) and all(w in _UNIT_WORDS or w in ("ug", "ul", "us", "in") for w in known)


def is_bracketed(cell: str) -> bool:
    """Are there brackets around it?"""
    return re.fullmatch(r"[\[(<].{1,30}[\])>]", cell) is not None


# ---------------------------------------------------------------- at the end


def _notes(frame: pl.DataFrame, gone: set[int]) -> list[int]:
    """The last rows that say something of the table, with words or nothing where numbers belong."""
    rows = [row for row in range(max(frame.height - _LAST, 0), frame.height) if row not in gone]
    found: list[int] = []
    for row in reversed(rows):
        cells = _cells(frame, row)
        if totals.is_label(next(filter(None, cells))):
            continue  # notes stand above and below of totals
        if not _is_note(cells, frame, [r for r in range(min(row, _HEAD)) if r not in gone]):
            break
        found.append(row)
    return sorted(found)


def _is_note(cells: list[str], frame: pl.DataFrame, others: list[int]) -> bool:
    """Does a row begin like a note, or hold one sentence only, without a number among numbers?"""
    full = [cell for cell in cells if cell]
    strict = is_note(full[0])
    if not others or not (strict or (len(full) == 1 and is_sentence([full[0]]))):
        return False
    types = _are_numbers(frame[others])
    if any(is_number and cell and _has_number(cell)
           for is_number, cell in zip(types, cells, strict=True)):  # fmt: skip
        return False
    if types[0] and cells[0]:
        return True
    prose = sum(len(str(cell).split()) for cell in frame.to_series(0).gather(others)) / len(others)
    return (
        strict and prose < _PROSE and (any(types) or (frame.width > 2 and len(full) == 1))
    )  # fmt: skip


def _totals(frame: pl.DataFrame, gone: set[int]) -> list[int]:
    last = next((row for row in range(frame.height - 1, -1, -1) if row not in gone), -1)
    nameless = [last] if last >= 0 and _lacks_a_name(frame, last, gone) else []
    candidates = [row for row in _called_totals(frame, gone) if row not in nameless]
    return _confirmed(frame, gone, candidates, nameless)


def _statistics(frame: pl.DataFrame, gone: set[int]) -> list[int]:
    """The last rows that are called counts, deviations and the like, as their numbers prove."""
    last = [row for row in range(max(frame.height - _LAST, 0), frame.height) if row not in gone]
    called = [
        row for row in last
        if totals.names_statistic(next(filter(None, _cells(frame, row)), ""))
    ]  # fmt: skip
    return _confirmed(frame, gone, called, [])


def _confirmed(
    frame: pl.DataFrame, gone: set[int], candidates: list[int], nameless: list[int]
) -> list[int]:
    """Which of these rows hold statistics of the others."""
    if not candidates and not nameless:
        return []
    rows = [row for row in range(frame.height) if row not in gone]
    kept = frame[rows]
    place = {row: i for i, row in enumerate(rows)}
    found = totals.totals(kept, [place[r] for r in candidates], [place[r] for r in nameless])
    return [rows[i] for i in found]


def _called_totals(frame: pl.DataFrame, gone: set[int]) -> list[int]:
    """Rows whose first cell is a word for totals; of the last ones any cell may be."""
    first = frame.to_series(0)
    found: set[int] = set()
    if _text(first):
        words = first.unique()
        named = words.filter(words.str.contains(totals.LABEL).fill_null(False))
        found.update(map(int, first.is_in(named.implode()).fill_null(False).arg_true()))
    for row in range(max(frame.height - _LAST, 0), frame.height):
        if any(totals.is_label(cell) for cell in _cells(frame, row)):
            found.add(row)
    return sorted(found - gone)


def _lacks_a_name(frame: pl.DataFrame, row: int, gone: set[int]) -> bool:
    """Is the first cell of a row empty, and those of all others are not?"""
    blank = set(map(int, _is_blank(frame.to_series(0)).arg_true()))
    return row > _FEWEST and blank - gone == {row}


def called_total(frame: pl.DataFrame) -> str | None:
    """The word for sums that is a cell of the last row, if one is."""
    if not frame.height or frame.width < 2:
        return None
    return next(filter(totals.is_only_label, _cells(frame, frame.height - 1)), None)


def _doubt(frame: pl.DataFrame, gone: set[int], line: Lines, noun: str) -> str | None:
    """What to say of a last row that is called a total, and is none by its numbers."""
    last = next((row for row in range(frame.height - 1, -1, -1) if row not in gone), None)
    if last is None:
        return None
    cells = _cells(frame, last)
    called, what = [cell for cell in cells if totals.is_only_label(cell)], "sums"
    if not called and totals.names_count_or_mean(cells[0]):
        first = frame.to_series(0)
        if (first == first[last]).sum() == 1:  # no value among others
            called, what = [cells[0]], "counts or means"
    if not called:
        return None
    return (f"{noun} {line(last)} is called {called[0]!r:.40}, but holds no {what} of the rows "
            "above and stays: delete it if it is none of the rows")  # fmt: skip
