"""Whether a column says something of the target, measured cheaply: one column, halves of the rows.

A column that looks like an identifier is left out by its name and because its values are unique.
That it says nothing is then measured, not assumed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..utils.typing import Array
from . import parsing
from .column_profile import Profile
from .infer_column import as_number, is_counter_name
from .records import Column, Dropped, Floats, Target
from .schema import Schema

if TYPE_CHECKING:
    import polars as pl

#: So many rows are looked at, at most; fewer than the second number prove nothing.
_ROWS, _FEWEST = 20_000, 40
#: Rows in a bin of numbers, and bins at most.
_PER_BIN, _BINS = 10, 32
#: A mean is drawn to that of all rows as if there were so many rows more.
_PRIOR = 2.0
#: The least fraction of the target's variance that is no chance.
_LEAST = 0.03


def explained(values: Array, target: Array, *, number: bool, bins: int = _BINS) -> float:
    """The fraction of a target's variance that one column explains on rows that it has not seen.

    Args:
        values: (rows,) numbers, NaN where missing, or codes of categories.
        target: (rows, k) centred numbers, or classes as zeros and ones.
        number: bins of numbers; otherwise each code by itself.
        bins: so many at most.

    Example:
        >>> x = np.arange(400.0)
        >>> explained(x, np.sin(x / 50)[:, None], number=True) > 0.9
        True
        >>> explained(x, np.random.default_rng(0).normal(size=(400, 1)), number=True) < 0.1
        True
    """
    halves = np.random.default_rng(0).permutation(len(values)) % 2
    gained = total = 0.0
    for side in (0, 1):
        train, test = halves == side, halves != side
        groups = _bins(values, train, bins) if number else np.unique(values, return_inverse=True)[1]
        size = int(groups.max()) + 1
        mean = target[train].mean(axis=0)
        sums = np.zeros((size, target.shape[1]))
        np.add.at(sums, groups[train], target[train] - mean)
        counts = np.bincount(groups[train], minlength=size)
        told = mean + (sums / (counts + _PRIOR)[:, None])[groups[test]]
        gained += float(((target[test] - told) ** 2).sum())
        total += float(((target[test] - mean) ** 2).sum())
    return max(0.0, 1.0 - gained / total) if total > 0 else 0.0


def _bins(values: Floats, train: Array, bins: int) -> Array:
    known = values[train & np.isfinite(values)]
    count = int(np.clip(len(known) / _PER_BIN, 2, bins))
    edges: Array = np.empty(0)
    if len(known):
        edges = np.unique(np.quantile(known, np.arange(1, count) / count))
    found: Array = np.searchsorted(edges, values, side="right") + 1
    found[~np.isfinite(values)] = 0
    return found


def measured(
    decided: Sequence[Column | Dropped],
    profiles: Sequence[Profile],
    targets: Sequence[Target],
    frame: pl.DataFrame,
    asked: Mapping[str, str],
) -> tuple[list[Column | Dropped], list[str]]:
    """The decisions on columns, after what looks like identifiers was compared with the target.

    Args:
        decided: what the columns seem to be.
        profiles: they are of.
        targets: what is to be predicted.
        frame: the rows with a target.
        asked: kinds of columns that were said; these stay.

    Returns:
        The decisions, and sentences on columns that are left out although they say something.
    """
    step = -(-frame.height // _ROWS) or 1
    aims = [_target(target, frame.gather_every(step)) for target in targets]
    found: list[Column | Dropped] = []
    notes: list[str] = []
    for column, profile in zip(decided, profiles, strict=True):
        if column.name in asked or frame.height < _FEWEST or not aims:
            found.append(column)
        elif isinstance(column, Column):
            found.append(_quantity(column, profile, aims, step))
        else:
            found.append(_signal(column, profile, aims, step, notes))
    if not any(isinstance(column, Column) for column in found):  # a counter is the x of some y
        found = [
            as_number(profile)
            if isinstance(column, Dropped) and is_counter_name(profile)
            else column
            for column, profile in zip(found, profiles, strict=True)
        ]
    return found, notes


def _signal(
    column: Dropped, profile: Profile, aims: Sequence[Array], step: int, notes: list[str]
) -> Column | Dropped:
    """A column that was left out: kept if it may be a quantity and says something, or said."""
    if column.kind not in ("identifier", "text") or profile.values is None:
        return column
    values = _numbers(profile, step)
    as_numbers = 0.0 if values is None else _most(values, aims, number=True)
    codes = _codes(profile, step)
    repeated = codes is not None and len(np.unique(codes)) < 0.9 * len(codes)
    as_codes = _most(codes, aims, number=False) if repeated and codes is not None else 0.0
    share = max(as_numbers, as_codes)
    if share < _threshold(aims):
        if values is None and not repeated:
            return column
        reason = f"{column.reason}; by itself it says nothing of the target"
        return dataclasses.replace(column, reason=reason)
    if as_numbers >= as_codes and is_counter_name(profile):
        kept = as_number(profile)
        why = f"{kept.reason}; no identifier: by itself it explains {share:.0%} of the target"
        return dataclasses.replace(kept, reason=why)
    kind = "numeric" if as_numbers >= as_codes else "category"
    notes.append(
        f"column {column.name} is left out ({column.kind}: {column.reason}), but by itself it "
        f"explains {share:.0%} of the target on rows that it was not fitted to; "
        f"--kind {column.name}={kind} (kinds={{{column.name!r}: {kind!r}}}) keeps it"
    )
    return dataclasses.replace(column, reason=f"{column.reason}; explains {share:.0%} by itself")


def _quantity(column: Column, profile: Profile, aims: Sequence[Array], step: int) -> Column:
    """Codes whose size says as much as each of them by itself are a quantity."""
    if column.kind != "category" or not column.reason.startswith("codes, no quantity"):
        return column
    values, codes = _numbers(profile, step), _codes(profile, step)
    if values is None or codes is None or not is_counter_name(profile, or_identifier=True):
        return column
    # In bins of several values each, so that these must be alike if they are near each other.
    bins = int(np.clip(len(np.unique(codes)) // 3, 2, _BINS))
    by_size = _most(values, aims, number=True, bins=bins)
    by_code = _most(codes, aims, number=False)
    if by_size < _threshold(aims) or by_size < by_code - 0.02:
        return column
    kept = as_number(profile)
    why = f"{kept.reason}; its size explains {by_size:.0%} of the target, its values as codes "
    return dataclasses.replace(kept, reason=f"{why}{by_code:.0%}")


def _most(values: Array, aims: Sequence[Array], *, number: bool, bins: int = _BINS) -> float:
    found = []
    for aim in aims:
        known = np.isfinite(aim).all(axis=1)
        if known.sum() >= _FEWEST:
            found.append(explained(values[known], aim[known], number=number, bins=bins))
    return max(found, default=0.0)


def _threshold(aims: Sequence[Array]) -> float:
    return max(_LEAST, 2.0 / np.sqrt(len(aims[0])))


def _numbers(profile: Profile, step: int) -> Floats | None:
    """The column as numbers, if nearly all of it can be."""
    assert profile.values is not None
    if profile.is_text and not profile.notations:
        return None
    notation = profile.notations[0] if profile.is_text else parsing.PLAIN
    cells = profile.values.gather_every(step)
    values: Floats = parsing.read_numbers(cells, notation, profile.unit).to_numpy().astype(float)
    values[~np.isfinite(values)] = np.nan
    return values


def _codes(profile: Profile, step: int) -> Array | None:
    assert profile.values is not None
    text = parsing.read_categories(profile.values.gather_every(step))
    codes: Array = text.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    return codes


def _target(target: Target, frame: pl.DataFrame) -> Array:
    values = Schema((), (), target).read_target(frame)
    if not target.classes:
        return _ranks(np.asarray(values, np.float64))[:, None]
    known = values >= 0
    one_hot = np.eye(len(target.classes))[np.where(known, values, 0)]
    one_hot[~known] = np.nan
    return one_hot


def _ranks(values: Floats) -> Floats:
    """Ranks from -½ to ½, which outliers do not rule; NaN where missing."""
    ranks = np.full(len(values), np.nan)
    known = np.isfinite(values)
    order = np.unique(values[known], return_inverse=True)[1]
    ranks[known] = order / max(order.max(initial=0), 1) - 0.5
    return ranks
