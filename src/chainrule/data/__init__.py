"""Files to arrays: read a table, find out what its columns mean, split it, and encode it.

Example:
    >>> homes = {"m2": [50, 70, 60, 80], "city": ["Oslo", "Rome"] * 2, "rent": [9.5, 7, 9, 8]}
    >>> table = read_table(homes)
    >>> schema = infer_schema(table, "rent")
    >>> train, test = split_indices(table.height, (0.75, 0.25), seed=0)
    >>> schema = schema.fit(table[train])
    >>> rows = schema.encode(table, target=True)
    >>> rows.take(test).numeric.shape
    (1, 1)
"""

from __future__ import annotations

from .infer import infer_schema, infer_target
from .parsing import Notation
from .records import Threshold
from .schema import Column, Dropped, Encoded, Schema, Statistics, Target
from .split import k_folds, split_indices
from .table import read_table, source_name

__all__ = [
    "Column",
    "Dropped",
    "Encoded",
    "Notation",
    "Schema",
    "Statistics",
    "Target",
    "Threshold",
    "infer_schema",
    "infer_target",
    "k_folds",
    "read_table",
    "source_name",
    "split_indices",
]
