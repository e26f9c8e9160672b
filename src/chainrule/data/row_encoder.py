"""Rows as Python values to arrays, without a data frame: for one row, or a few.

A cell means what it means in a table. The usual ones (a number in a column of numbers, a known
category) are read at once; for all others the column's own reading of tables is asked, and what it
says is remembered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import DataError
from ..utils.typing import Array
from . import parsing
from .records import Column, Dropped, Target
from .schema import Schema, check_present
from .table import from_columns

#: So many cells of a column are remembered, if they are no longer than this.
_MOST_CELLS, _LONGEST = 10_000, 100
#: Integers up to here are floating-point numbers without a loss.
_EXACT = 2**53

Row = Mapping[str, Any]
#: What a cell is encoded as, and what there is to say of it.
_Read = tuple[Any, tuple[str, ...]]
#: The name of a column, and what reads its cells.
_Reader = tuple[str, Callable[[Any], _Read]]


class RowEncoder:
    """Encodes rows as `Schema.encode` does, each cell by itself.

    Args:
        schema: fitted.

    Example:
        >>> from chainrule.data import infer_schema, read_table
        >>> table = read_table({"city": ["Rome", "Oslo", "Rome"], "m2": [50, 70, None]})
        >>> encoder = RowEncoder(infer_schema(table).fit(table))
        >>> arrays, notes = encoder.encode([{"city": "Oslo", "m2": 60}, {"city": None, "m2": "61"}])
        >>> arrays["category"].tolist(), arrays["numeric"].tolist()
        ([[2], [0]], [[60.0], [61.0]])
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        groups = {"numeric": schema.numeric, "category": schema.category, "date": schema.date}
        self._readers: dict[str, list[_Reader]] = {
            kind: [(column.name, _reader_of(column, schema)) for column in columns]
            for kind, columns in groups.items()
            if columns
        }
        self._texts: list[_Reader] = [
            (column.name, _Slow(column, schema)) for column in schema.text
        ]
        self._pictures: list[_Reader] = [
            (column.name, _Slow(column, schema)) for column in schema.image
        ]
        self._dtypes = {"numeric": np.float64, "category": np.int64, "date": np.float64}
        self._needed = [column.name for column in schema.columns]
        weight = [] if schema.weight is None else [schema.weight.name]
        others: list[Dropped | Target] = [*schema.dropped, *schema.targets]
        #: Columns that the table of the training had.
        self.known = frozenset([*self._needed, *weight, *(each.name for each in others)])

    def encode(self, rows: Sequence[Row]) -> tuple[dict[str, Array], list[str]]:
        """Rows to arrays, by the kind of their columns, and notes on cells.

        Args:
            rows: at least one; what they have besides the columns of the schema is ignored.

        Raises:
            DataError: a row lacks a column, or a cell cannot be read; it names row and column.
        """
        notes: list[str] = []
        arrays: dict[str, Array] = {}
        for kind, readers in self._readers.items():
            found = [self._cells(row, i, readers, notes) for i, row in enumerate(rows, 1)]
            arrays[kind] = np.array(found, self._dtypes[kind])
        for kind, slow, join in (("text", self._texts, np.concatenate),
                                 ("image", self._pictures, np.stack)):  # fmt: skip
            if slow:
                parts = [self._cells(row, i, slow, notes) for i, row in enumerate(rows, 1)]
                arrays[kind] = np.stack([join(part) for part in parts])
        return arrays, notes

    def check_known(self, rows: Sequence[Row]) -> None:
        """Refuse rows with columns that the training did not have.

        Raises:
            DataError: it names one, and those that look like it.
        """
        for number, row in enumerate(rows, 1):
            if not self.known.issuperset(row):
                unknown = sorted(row.keys() - self.known)
                check_present(unknown, sorted(self.known), _row(number))

    def _cells(
        self, row: Row, number: int, readers: Sequence[_Reader], notes: list[str]
    ) -> list[Any]:
        """What some columns of a row are encoded as."""
        values = []
        name = ""
        try:
            for name, read in readers:
                value, said = read(row[name])
                values.append(value)
                if said:
                    notes += said
        except KeyError:
            check_present(self._needed, list(row), _row(number))
            raise
        except DataError as error:
            error.where = f"{_row(number)}, column {name!r}"
            raise
        return values


def _row(number: int) -> str:
    return f"row {number}"


def _reader_of(column: Column, schema: Schema) -> Callable[[Any], _Read]:
    """What reads a cell of a column."""
    slow = _Slow(column, schema)
    if column.kind == "numeric":
        return _number_reader(slow)
    if column.kind == "category":
        return _category_reader(column, slow)
    return slow


def _number_reader(slow: Callable[[Any], _Read]) -> Callable[[Any], _Read]:
    missing: _Read = (math.nan, ())

    def read(cell: Any) -> _Read:
        kind = type(cell)
        if kind is float and math.isfinite(cell):
            return cell, ()
        if kind is int and -_EXACT <= cell <= _EXACT:
            return float(cell), ()
        return missing if cell is None else slow(cell)

    return read


def _category_reader(column: Column, slow: Callable[[Any], _Read]) -> Callable[[Any], _Read]:
    words = parsing.MISSING if column.missing is None else parsing.ERRORS.union(column.missing)
    # Texts that mean missing are no categories, and texts are trimmed: `slow` knows both.
    codes: dict[str, _Read] = {
        name: (code, ())
        for code, name in enumerate(column.vocabulary, 1)
        if name.lower() not in words and name == name.strip()
    }
    nothing: _Read = (0, ())

    def read(cell: Any) -> _Read:
        if type(cell) is str:
            return codes.get(cell) or slow(cell)
        return nothing if cell is None else slow(cell)

    return read


class _Slow:
    """Reads a cell as a table of one row, and remembers it."""

    def __init__(self, column: Column, schema: Schema) -> None:
        self._column, self._schema = column, schema
        self._known: dict[tuple[type, Any], _Read] = {}

    def __call__(self, cell: Any) -> _Read:
        key = type(cell), cell
        try:
            if (found := self._known.get(key)) is not None:
                return found
        except TypeError:  # a list, or the like: its error is that of tables
            return self._read(cell)
        read = self._read(cell)
        if len(self._known) < _MOST_CELLS and not (isinstance(cell, str) and len(cell) > _LONGEST):
            self._known[key] = read
        return read

    def _read(self, cell: Any) -> _Read:
        name = self._column.name
        frame = from_columns([(name, [cell])], _row(1))
        values, notes = self._schema.encode_column(self._column, frame, _row(1))
        return values[0], tuple(notes)
