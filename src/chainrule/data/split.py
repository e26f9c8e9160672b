"""Training, validation and test sets: splits by the seed alone, stratified by class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from ..utils.random import generator

Indices = NDArray[np.int64]


def split_indices(
    n: int, fractions: Sequence[float], seed: int, stratify: ArrayLike | None = None
) -> tuple[Indices, ...]:
    """Split ``n`` rows into parts, the first of which is the training set.

    Args:
        n: number of rows.
        fractions: of each part, 1 in all. Every part with a fraction above 0 gets a row at least.
        seed: same seed, same parts, on every machine.
        stratify: the class of each row, shape (n,). Each part then holds each class in proportion,
            give or take a row, and each class has a row in the first part (if one, its only row).

    Returns:
        The row numbers of each part, ascending; every row is in exactly one.

    Raises:
        DataError: there are fewer rows than parts, or fewer rows in the first part than classes.

    Example:
        >>> train, test = split_indices(10, (0.8, 0.2), seed=0, stratify=[0, 1] * 5)
        >>> len(train), sorted(test % 2)
        (8, [np.int64(0), np.int64(1)])
    """
    _check_fractions(fractions)
    classes = _classes(n, stratify)
    counts = _sizes(n, fractions)
    part = _deal(_shuffled_by_class(classes, seed), counts)
    if stratify is not None:
        _train_on_every_class(part, classes)
    return tuple(np.flatnonzero(part == index) for index in range(len(counts)))


def k_folds(
    n: int, k: int, seed: int, stratify: ArrayLike | None = None
) -> list[tuple[Indices, Indices]]:
    """Split ``n`` rows into ``k`` pairs (train, test) for cross-validation.

    Args:
        n: number of rows.
        k: number of folds, 2 to n.
        seed: same seed, same folds, on every machine.
        stratify: the class of each row, shape (n,). Each fold then holds each class in proportion,
            give or take a row. The only row of a class is in all training sets, in no test set.

    Returns:
        For each fold the row numbers to train on and to test on, ascending. No two test parts
        share a row.

    Raises:
        DataError: k is below 2 or above the number of rows that can be tested.

    Example:
        >>> [test.tolist() for _, test in k_folds(4, 2, seed=0)]
        [[0, 1], [2, 3]]
    """
    classes = _classes(n, stratify)
    alone = np.bincount(classes)[classes] == 1 if stratify is not None else np.zeros(n, dtype=bool)
    rows = np.flatnonzero(~alone)
    if not 2 <= k <= len(rows):
        raise DataError(
            f"{n:,} rows cannot be split into {k} folds.",
            expected=f"2 to {len(rows)} folds" if len(rows) > 1 else "at least 2 rows",
            found=f"{k} folds; {alone.sum()} rows are the only one of their class"
            if alone.any()
            else f"{k} folds",
            hint="use fewer folds" if len(rows) > 1 else "add rows",
        )
    fold = np.full(n, -1)
    fold[rows] = _deal(_shuffled_by_class(classes[rows], seed), _sizes(len(rows), [1 / k] * k))
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


def _check_fractions(fractions: Sequence[float]) -> None:
    in_range = all(math.isfinite(part) and 0 <= part <= 1 for part in fractions)
    if not in_range or not math.isclose(sum(fractions), 1, abs_tol=1e-6) or fractions[0] == 0:
        raise DataError(
            "These fractions do not make a split.",
            expected="fractions from 0 to 1 that add up to 1, the first (training) above 0",
            found=", ".join(f"{part:g}" for part in fractions) or "none",
            hint="for example 0.7, 0.15, 0.15",
        )


def _classes(n: int, stratify: ArrayLike | None) -> Indices:
    """The class of each row as 0, 1, …; one class for all if there is nothing to stratify by."""
    if stratify is None:
        return np.zeros(n, dtype=np.int64)
    labels = np.asarray(stratify)
    if labels.shape != (n,):
        raise DataError(
            "The classes to stratify by do not fit the rows.",
            expected=f"one class for each of {n:,} rows",
            found=f"an array of shape {labels.shape}",
        )
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _sizes(n: int, fractions: Sequence[float]) -> Indices:
    """Rows of each part: rounded by largest remainder, none empty whose fraction is above 0."""
    exact = np.asarray(fractions, dtype=np.float64)
    wanted = np.flatnonzero(exact > 0)
    if n < len(wanted):
        raise DataError(
            f"{n:,} {'row' if n == 1 else 'rows'} cannot be split into {len(wanted)} parts.",
            expected=f"at least {len(wanted)} rows",
            found=f"{n:,}",
            hint="add rows, or ask for fewer parts",
        )
    exact = exact / exact.sum() * n
    counts = np.floor(exact + 1e-9).astype(np.int64)
    by_remainder = np.argsort(counts - exact, kind="stable")
    counts[by_remainder[: n - counts.sum()]] += 1
    for part in wanted:
        if counts[part] == 0:
            counts[np.argmax(counts)] -= 1
            counts[part] = 1
    return np.asarray(counts, dtype=np.int64)


def _shuffled_by_class(classes: Indices, seed: int) -> Indices:
    """Row numbers, class after class, in random order within each.

    Sorting the raw bits, rather than calling NumPy's shuffle, keeps the order the same in every
    version of NumPy.
    """
    keys = generator(seed).bit_generator.random_raw(len(classes))
    return np.lexsort((keys, classes)).astype(np.int64)


def _deal(rows: Indices, counts: Indices) -> Indices:
    """The part of each row, where parts take turns along ``rows``, evenly spread.

    The j-th of the c rows of a part belongs at (j + 1/2) / c of the way. So a class, which is a run
    of ``rows``, is in each part in proportion, up to rounding, and the parts have exactly their
    sizes.
    """
    positions = np.concatenate([(np.arange(count) + 0.5) / count for count in counts if count])
    parts = np.repeat(np.arange(len(counts)), counts)
    part_of_row = np.empty(len(rows), dtype=np.int64)
    part_of_row[rows] = parts[np.argsort(positions, kind="stable")]
    return part_of_row


def _train_on_every_class(part: Indices, classes: Indices) -> None:
    """Exchange rows, in place, until each class has one in part 0; the sizes of the parts stay."""
    trained = np.bincount(classes[part == 0], minlength=classes.max() + 1)
    if (part == 0).sum() < len(trained):
        raise DataError(
            "The training set is too small to hold every class.",
            expected=f"at least {len(trained)} rows, one for each class",
            found=f"{(part == 0).sum()} rows",
            hint="add rows, or give the training set a larger fraction",
        )
    for absent in np.flatnonzero(trained == 0):
        donor = np.argmax(trained)
        incoming = np.flatnonzero(classes == absent)[0]
        outgoing = np.flatnonzero((classes == donor) & (part == 0))[0]
        part[outgoing], part[incoming] = part[incoming], 0
        trained[donor] -= 1
        trained[absent] += 1
