"""A sample of the rows of a large table, from which its columns are understood."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.schema import check_present
from ...data.table_share import TableShare
from ...errors import DataError
from ...utils import together
from ...utils.exchange import exchanged_arrays
from ...utils.typing import Array
from .targets import named_targets

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]
#: Some rows, and where each of them is in the file.
_Placed = tuple[Array, "pl.DataFrame"]

#: The sample has at most so many rows, and at least half as many.
MOST_ROWS = 100_000
#: Values of the target of which the sample has one row each at least.
_MOST_CLASSES = 1_000


class Sample:
    """Evenly spread rows of a file, and at least one with each value of a target.

    Where several processes read a part each, it is the same for all of them, and that of one.

    Attributes:
        frame: the rows, in their order.
        places: (n,) where each of them is in the file.
        rows: how many the file has.
    """

    def __init__(self, scan: TableShare, target: str, say: Say) -> None:
        parts = scan.parts()
        head = next(parts, None)
        columns = _columns_of_first(head)
        if columns is None:
            raise DataError("The table has a header but no rows.", where=scan.name)
        names = named_targets(target, columns, say)
        check_present(names, columns, scan.name)
        first = {name: _FirstOfEach(name) for name in names}
        spread: list[_Placed] = []
        self.rows, step = scan.before, 1
        for part in itertools.chain([] if head is None else [head], parts):
            places = np.arange(self.rows, self.rows + part.height)
            spread.append(_every(step, places, part))
            for each in first.values():
                each.take(places, part)
            self.rows += part.height
            while -(-self.rows // step) > MOST_ROWS:
                step *= 2
                spread = [_every(step, places, frame) for places, frame in spread]
        self.rows = max(together.gathered(self.rows))
        while -(-self.rows // step) > MOST_ROWS:
            step *= 2
        spread = _of_all([_every(step, places, frame) for places, frame in spread], scan.name)
        few = [rows for each in first.values() for rows in each.of_all(scan.name)]
        self.places, self.frame = _joined(spread + few, scan.name)


class _FirstOfEach:
    """The first row with each value of a column, as long as there are few of these."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._seen: set[Any] = set()
        self._rows: list[_Placed] = []

    def take(self, places: Array, part: pl.DataFrame) -> None:
        if self._name in part.columns and len(self._seen) <= _MOST_CLASSES:
            new = _first_of_each(part[self._name], self._seen)
            self._rows.append((places[new], part[new]))

    def of_all(self, where: str) -> list[_Placed]:
        """The rows of all processes; none where they have many values."""
        many = any(together.gathered(int(len(self._seen) > _MOST_CLASSES)))
        if together.process_count() > 1 and not many:
            found = _of_all(self._rows, where)
            self._seen, self._rows = set(), []
            for places, part in found:
                self.take(places, part)
            many = len(self._seen) > _MOST_CLASSES
        return [] if many else self._rows


def _columns_of_first(head: pl.DataFrame | None) -> list[str] | None:
    """The columns of the first part of the file, which is that of the first process."""
    own = None if head is None else head.columns
    columns: list[str] | None = json.loads(together.exchanged(json.dumps(own).encode())[0])
    return columns


def _of_all(rows: list[_Placed], where: str) -> list[_Placed]:
    """Those of all processes, in their order."""
    import polars as pl

    if together.process_count() == 1:
        return rows
    packed = io.BytesIO()
    places, frame = _joined(rows, where) if rows else (np.zeros(0, np.int64), pl.DataFrame())
    frame.write_ipc(packed)
    found = zip(exchanged_arrays({"places": places}),
                together.exchanged(packed.getvalue()), strict=True)  # fmt: skip
    return [(each["places"], pl.read_ipc(io.BytesIO(data))) for each, data in found
            if len(each["places"])]  # fmt: skip


def _joined(rows: list[_Placed], where: str) -> _Placed:
    """One table, each row once, in the order of their places."""
    import polars as pl

    places, picked = np.unique(np.concatenate([p for p, _ in rows]), return_index=True)
    try:
        frame = pl.concat([frame for _, frame in rows], how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise DataError(
            "A column holds values of different types in different parts of the file.",
            where=where,
            found=str(error).splitlines()[0],
        ) from None
    return places, frame[picked]


def _every(step: int, places: Array, frame: pl.DataFrame) -> tuple[Array, pl.DataFrame]:
    kept = places % step == 0
    return places[kept], frame.filter(kept)


def _first_of_each(values: pl.Series, seen: set[Any]) -> Array:
    """The first row of each value that was never seen before."""
    import polars as pl

    if values.dtype.is_nested():
        return np.empty(0, np.int64)
    first = pl.DataFrame({"value": values, "row": np.arange(len(values))})
    first = first.drop_nulls().group_by("value", maintain_order=True).first()
    new = [row for value, row in first.rows() if value not in seen]
    seen.update(first["value"].to_list())
    return np.array(new, dtype=np.int64)


def with_columns_of(sample: pl.DataFrame, part: pl.DataFrame) -> pl.DataFrame:
    """A part of the file with all columns: one of JSON lines may lack some."""
    import polars as pl

    absent = [name for name in sample.columns if name not in part.columns]
    return part.with_columns(pl.lit(None).alias(name) for name in absent)
