"""Training, validation and test sets: by chance, by groups of rows, or in the order of time.

Splits by chance follow from the seed alone and are stratified by class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from ..utils.random import generator

Indices = NDArray[np.int64]


def split_indices(
    n: int,
    fractions: Sequence[float],
    seed: int,
    stratify: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
) -> tuple[Indices, ...]:
    """Split ``n`` rows into parts, the first of which is the training set.

    Args:
        n: number of rows.
        fractions: of each part, 1 in all. Every part with a fraction above 0 gets a row at least.
        seed: same seed, same parts, on every machine.
        stratify: the class of each row, shape (n,). Each part then holds each class in proportion,
            give or take a row, and each class has a row in the first part (if one, its only row).
        groups: the group of each row, shape (n,): rows of one group are all in the same part.
            Fractions and classes are then met as closely as whole groups can.

    Returns:
        The row numbers of each part, ascending; every row is in exactly one.

    Raises:
        DataError: there are fewer rows (or groups) than parts, or fewer rows in the first part than
            classes.

    Example:
        >>> train, test = split_indices(10, (0.8, 0.2), seed=0, stratify=[0, 1] * 5)
        >>> len(train), sorted(test % 2)
        (8, [np.int64(0), np.int64(1)])
    """
    _check_fractions(fractions)
    classes = _classes(n, stratify)
    if (grouped := _Groups.of(n, groups, classes)) is not None:
        part = grouped.deal(fractions, seed)
        if stratify is not None:
            grouped.train_on_every_class(part, fractions)
        return tuple(np.flatnonzero(part[grouped.of_row] == i) for i in range(len(fractions)))
    counts = _sizes(n, fractions)
    part = _deal(_shuffled_by_class(classes, seed), counts)
    if stratify is not None:
        _train_on_every_class(part, classes)
    return tuple(np.flatnonzero(part == index) for index in range(len(counts)))


def k_folds(
    n: int,
    k: int,
    seed: int,
    stratify: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
) -> list[tuple[Indices, Indices]]:
    """Split ``n`` rows into ``k`` pairs (train, test) for cross-validation.

    Args:
        n: number of rows.
        k: number of folds, 2 to n.
        seed: same seed, same folds, on every machine.
        stratify: the class of each row, shape (n,). Each fold then holds each class in proportion,
            give or take a row. The only row of a class is in all training sets, in no test set.
        groups: the group of each row, shape (n,): rows of one group are tested in the same fold.

    Returns:
        For each fold the row numbers to train on and to test on, ascending. No two test parts
        share a row.

    Raises:
        DataError: k is below 2 or above the number of rows (or groups) that can be tested.

    Example:
        >>> [test.tolist() for _, test in k_folds(4, 2, seed=0)]
        [[0, 1], [2, 3]]
    """
    classes = _classes(n, stratify)
    grouped = _Groups.of(n, groups, classes)
    units, unit = (n, "row") if grouped is None else (len(grouped.sizes), "group")
    alone = np.zeros(units, dtype=bool)
    if stratify is not None:
        alone = np.bincount(classes)[classes] == 1 if grouped is None else grouped.alone()
    tested = np.flatnonzero(~alone)
    if not 2 <= k <= len(tested):
        raise DataError(
            f"{units:,} {unit}s cannot be split into {k} folds.",
            expected=f"2 to {len(tested)} folds" if len(tested) > 1 else f"at least 2 {unit}s",
            found=f"{k} folds; {alone.sum()} {unit}s are the only one of their class"
            if alone.any()
            else f"{k} folds",
            hint="use fewer folds" if len(tested) > 1 else f"add {unit}s",
        )
    fold = np.full(units, -1)
    if grouped is None:
        order = _shuffled_by_class(classes[tested], seed)
        fold[tested] = _deal(order, _sizes(len(tested), [1 / k] * k))
    else:
        fold[tested] = grouped.take(tested).deal([1 / k] * k, seed)
        fold = fold[grouped.of_row]
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


def split_in_time(times: ArrayLike, fractions: Sequence[float]) -> tuple[Indices, ...]:
    """Split rows in the order of their times: the first part has the earliest, the last the latest.

    Args:
        times: of each row, shape (n,); rows of the same time are in the same part, those without
            one (NaN) in the first.
        fractions: of each part, 1 in all; met as closely as whole times can.

    Returns:
        The row numbers of each part, ascending.

    Raises:
        DataError: there are fewer different times than parts.

    Example:
        >>> [part.tolist() for part in split_in_time([3.0, 1.0, 2.0, 4.0], (0.5, 0.5))]
        [[1, 2], [0, 3]]
    """
    _check_fractions(fractions)
    times = np.asarray(times, dtype=np.float64)
    edges = _edges_in_time(times, np.cumsum(fractions)[:-1])
    part = np.searchsorted(edges, times, "right")
    part[np.isnan(times)] = 0
    return tuple(np.flatnonzero(part == i) for i in range(len(fractions)))


def folds_in_time(times: ArrayLike, k: int) -> list[tuple[Indices, Indices]]:
    """Pairs (train, test) that always test on what comes right after the training rows.

    The rows, in the order of time, are cut into k + 1 blocks; each block but the first is tested
    once, by what was learned from all before it.

    Args:
        times: of each row, shape (n,); see `split_in_time`.
        k: number of folds, 2 or more.

    Raises:
        DataError: there are fewer different times than blocks.

    Example:
        >>> [[part.tolist() for part in fold] for fold in folds_in_time([0.0, 1.0, 2.0], 2)]
        [[[0], [1]], [[0, 1], [2]]]
    """
    blocks = split_in_time(times, [1 / (k + 1)] * (k + 1))
    return [(np.sort(np.concatenate(blocks[:i])), blocks[i]) for i in range(1, k + 1)]


def _edges_in_time(times: NDArray[np.float64], places: NDArray[np.float64]) -> list[float]:
    """The first time of each later part, so that about these fractions of the rows lie before."""
    moments, counts = np.unique(times[~np.isnan(times)], return_counts=True)
    if len(moments) <= len(places):
        raise DataError(
            "The rows cannot be split in time.",
            expected=f"at least {len(places) + 1} different times",
            found=f"{len(moments)}",
            hint="is it the right column?",
        )
    before = np.cumsum(counts) / counts.sum()
    edges, last = [], 0
    for index, place in enumerate(places):
        # Of the cuts after each moment the nearest one, with a moment left for each other part.
        cut = int(np.argmin(np.abs(before - place))) + 1
        last = min(max(cut, last + 1), len(moments) - (len(places) - index))
        edges.append(float(moments[last]))
    return edges


@dataclass(frozen=True, eq=False)
class _Groups:
    """Rows that stay together.

    Attributes:
        of_row: (n,) the group of each row, numbered by first appearance.
        sizes: (groups,) rows of each.
        main: (groups,) the class that most of its rows have.
        classes: (n,) the class of each row.
    """

    of_row: Indices
    sizes: Indices
    main: Indices
    classes: Indices

    @staticmethod
    def of(n: int, groups: ArrayLike | None, classes: Indices) -> _Groups | None:
        """None if every row is by itself."""
        if groups is None:
            return None
        given = np.asarray(groups)
        if given.shape != (n,):
            raise DataError(
                "The groups do not fit the rows.",
                expected=f"one group for each of {n:,} rows",
                found=f"an array of shape {given.shape}",
            )
        _, first, found = np.unique(given, return_index=True, return_inverse=True)
        if len(first) == n:
            return None
        of_row = np.argsort(np.argsort(first))[found].astype(np.int64)
        pairs, counts = np.unique(of_row * (classes.max() + 1) + classes, return_counts=True)
        group, its_class = np.divmod(pairs, classes.max() + 1)
        ranked = np.lexsort((-counts, group))
        main = its_class[ranked[np.unique(group[ranked], return_index=True)[1]]]
        return _Groups(of_row, np.bincount(of_row), main, classes)

    def take(self, groups: Indices) -> _Groups:
        """Some of the groups; rows are of no concern any more."""
        return _Groups(self.of_row, self.sizes[groups], self.main[groups], self.classes)

    def deal(self, fractions: Sequence[float], seed: int) -> Indices:
        """The part of each group: group after group goes where most rows are missing by then."""
        wanted = [i for i, fraction in enumerate(fractions) if fraction > 0]
        if len(self.sizes) < len(wanted):
            raise DataError(
                f"{len(self.sizes):,} group{'s' * (len(self.sizes) > 1)} of rows cannot be split "
                f"into {len(wanted)} parts.",
                expected=f"at least {len(wanted)} groups",
                found=f"{len(self.sizes):,}",
                hint="rows of a group, and identical rows, stay on one side of a split",
            )
        part = np.zeros(len(self.sizes), dtype=np.int64)
        dealt, filled = 0, [0.0] * len(fractions)
        sizes = self.sizes.tolist()
        for group in _shuffled_by_class(self.main, seed).tolist():
            dealt += sizes[group]
            lacking = [fractions[i] * dealt - filled[i] for i in wanted]
            chosen = wanted[lacking.index(max(lacking))]
            part[group] = chosen
            filled[chosen] += sizes[group]
        for empty in (i for i in wanted if not (part == i).any()):
            donor = np.argmax(np.bincount(part, minlength=len(fractions)))
            given = np.flatnonzero(part == donor)
            part[given[np.argmin(self.sizes[given])]] = empty
        return part

    def train_on_every_class(self, part: Indices, fractions: Sequence[float]) -> None:
        """Move groups to part 0, in place, until it has a row of each class."""
        for absent in range(int(self.classes.max()) + 1):
            having = np.unique(self.of_row[self.classes == absent])
            if len(having) and not (part[having] == 0).any():
                part[having[np.argmin(self.sizes[having])]] = 0
        if any(fraction > 0 and not (part == i).any() for i, fraction in enumerate(fractions)):
            raise DataError(
                "The groups cannot be split so that every class is trained on.",
                expected="classes in several groups, or more groups",
                found=f"{len(self.sizes):,} groups, {int(self.classes.max()) + 1} classes",
                hint="rows of a group, and identical rows, stay on one side of a split",
            )

    def alone(self) -> NDArray[np.bool_]:
        """The groups without which there would be no row of some class."""
        pairs = np.unique(np.stack([self.classes, self.of_row]), axis=1)
        only = np.bincount(pairs[0])[pairs[0]] == 1
        found = np.zeros(len(self.sizes), dtype=bool)
        found[pairs[1][only]] = True
        return found


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
