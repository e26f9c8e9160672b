"""Columns that leak the target, because they are the target in another form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..utils.typing import Array
from . import parsing
from .reading import read_learned, tidy_column
from .records import Column, Floats
from .schema import Schema

if TYPE_CHECKING:
    import polars as pl

# So many rows, evenly spread, are looked at; fewer than the second number prove nothing.
MAX_ROWS, MIN_ROWS = 20_000, 20
CORRELATION, PURITY = 0.9995, 0.999


def leaks(schema: Schema, frame: pl.DataFrame) -> list[str]:
    """A warning for each column that is nearly identical to the target.

    Numbers: their correlation with the target, or that of the ranks (which finds a logarithm or
    another rising function), is nearly ±1. Categories: they are few, and yet say the class, or the
    number, of nearly every row.

    Example:
        >>> from chainrule.data import infer_schema, read_table
        >>> table = read_table({"dollars": range(1, 31), "cents": range(100, 3001, 100)})
        >>> infer_schema(table, "cents").notes
        ('column dollars is nearly identical to the target: correlation 1.0000',)
    """
    if frame.height < MIN_ROWS:
        return []
    step = -(-frame.height // MAX_ROWS)
    frame = frame.gather_every(step)
    found = []
    for target in schema.targets:
        values = Schema((), (), target).read_target(frame)
        which = f"the target {target.name}" if schema.more_targets else "the target"
        for column in schema.columns:
            tidy = tidy_column(frame, column.name, missing=column.missing)
            why = _leak(column, tidy, values, len(target.classes))
            if why:
                found.append(f"column {column.name} is nearly identical to {which}: {why}")
    return found


def _leak(column: Column, tidy: pl.Series, target: Array, classes: int) -> str | None:
    if column.in_words:
        values = parsing.read_categories(tidy).rank("dense").cast(float).to_numpy()
    else:
        values, _ = read_learned(column, tidy, strict=False)
    both = np.isfinite(values) & (target >= 0 if classes else np.isfinite(target))
    values, target = values[both], target[both]
    if len(values) < MIN_ROWS:
        return None
    groups = np.unique(values, return_inverse=True)[1]
    if classes:
        pure = _purity(groups, target)
        near = groups.max() < 2 * classes and pure >= PURITY
        return f"it predicts the class of {pure:.1%} of the rows" if near else None
    if column.in_words:
        explained = _explained(groups, target)
        few = groups.max() < len(values) / 4
        return f"it explains {explained:.2%} of it" if few and explained >= CORRELATION else None
    correlation = max(
        _correlation(values, target), _correlation(_ranks(values), _ranks(target)), key=abs
    )
    return f"correlation {correlation:.4f}" if abs(correlation) >= CORRELATION else None


def _purity(groups: Array, target: Array) -> float:
    """The fraction of rows that hold the commonest class of their group."""
    table = np.zeros((groups.max() + 1, target.max() + 1))
    np.add.at(table, (groups, target), 1)
    # A single group says nothing, however unbalanced the classes.
    return float(table.max(axis=1).sum() / len(groups)) if len(table) > 1 else 0.0


def _explained(groups: Array, target: Floats) -> float:
    """The fraction of the target's variance that lies between groups."""
    means = np.bincount(groups, target) / np.bincount(groups)
    total = target.var()
    return float(1 - ((target - means[groups]) ** 2).mean() / total) if total > 0 else 0.0


def _correlation(x: Floats, y: Floats) -> float:
    x, y = (values / (np.abs(values).max() or 1) for values in (x, y))
    x, y = x - x.mean(), y - y.mean()
    size = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / size) if size > 0 else 0.0


def _ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values have the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks
