"""What a column means as a target: numbers or classes, and whether it can be learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..utils.numbers import counted
from ..utils.typing import Array
from . import parsing
from .column_profile import (
    FEW_ROWS,
    Conventions,
    Profile,
    are_integers,
    choose_notation,
    doubtful_words,
    settled,
    shown,
)
from .parsing import PLAIN
from .records import Target, Task
from .schema import Schema, known_targets

if TYPE_CHECKING:
    import polars as pl

#: Of so many numbers one is odd that is so many times as far from the median as the 99 % quantile.
_SOME, _FAR = 20, 1e6
#: Numbers whose squares, and sums of these, are numbers of 64 bits.
_LARGEST, _LEAST = 1e140, 1e-140
# An integer target with at most so many values, each in so many rows on average, is one of classes.
MOST_CLASSES, ROWS_PER_CLASS = 20, 5
# A word such as none is frequent if it is in this fraction of the rows, and in so many, or as
# frequent as the classes in the middle.
_FREQUENT, _FEWEST = 0.1, 3


def target_profile(
    column: pl.Series, missing: Collection[str] | None, where: str, task: str | None = None
) -> Profile:
    """A raw column that is to be predicted.

    Where a word such as ``none``, ``NA`` or ``-`` is as frequent as a class, it is one if the
    classes beside it are of its kind.

    Args:
        column: as it was read.
        missing: the words that mean a missing value, if that was said.
        where: it is from.
        task: if that was said. Times, which cannot be predicted, are durations unless it is
            classification.

    Raises:
        DataError: whether it is a class or means missing is in doubt.
    """
    found = _target_profile(column, missing, where)
    times = found.is_text and parsing.is_doubtful(found.distinct, found.name_in_words)
    if task == "regression" or (task is None and times):
        return dataclasses.replace(found, as_numbers=True)
    return found


def _target_profile(column: pl.Series, missing: Collection[str] | None, where: str) -> Profile:
    usual = Profile.of(column, missing)
    plain = Profile(column.name, parsing.tidy(column))
    if missing is not None or not plain.is_text or plain.notations or plain.date_formats:
        return usual if missing is not None else plain
    least = min(
        int(np.median(plain.counts.to_numpy())) if plain.present else 0,
        int(_FREQUENT * len(column)),
    )
    frequent = [word for word, rows in doubtful_words(column) if rows >= max(least, _FEWEST)]
    written = column.cast(str).str.strip_chars()
    for word in frequent:
        cells = written.filter(written.str.to_lowercase() == word)
        if not _is_class(word, str(cells[0]), plain, (written.is_null() | (written == "")).any()):
            raise _in_doubt(str(cells[0]), len(cells), plain, where)
    if not frequent:
        return plain
    rest = tuple(sorted(parsing.WORDS.difference(frequent)))
    return Profile(column.name, parsing.tidy(column, rest), rest)


def _is_class(word: str, written: str, others: Profile, has_empty: bool) -> bool:
    """Is a word that may mean missing a class like those beside it?"""
    names = [str(name) for name in others.distinct.to_list()]
    if not names:
        return False
    if word in ("-", "--", ".", "?"):
        return all(not any(map(str.isalnum, name)) for name in names)
    if word == "na" and all(len(name) == 2 and name.isupper() for name in names):
        return written.isupper()
    if word in ("none", "na", "n/a") and has_empty:
        return True
    alike = all(name[:1].isupper() == written[:1].isupper() for name in names)
    return word == "none" and alike and all(name.isalpha() and len(name) > 1 for name in names)


def _in_doubt(word: str, rows: int, others: Profile, where: str) -> DataError:
    names = ", ".join(map(repr, others.distinct.head(5).to_list())) or "nothing else"
    return DataError(
        f"It is not clear whether {word!r} is a class or means that the class is missing.",
        where=where,
        expected="the words that mean missing, as so many rows hold one",
        found=f"{word!r} in {rows:,} rows, beside {names}",
        hint=f"missing=[{word!r}] (--missing {word}) if it means missing, missing=[] "
        "(--missing '') if it is a class",
    )


#: What the kind of a target says of the task.
_TASKS = {"numeric": "regression", "category": "classification", "boolean": "classification"}


def task_of_kind(kind: str | None, task: str | None, target: str | None, source: str) -> str | None:
    """The task that the kind of the target says, or the one that is given.

    Raises:
        DataError: the kind is none of a target, or says another task than the given one.

    Example:
        >>> task_of_kind("numeric", None, "rating", "the table")
        'regression'
    """
    if kind is None:
        return task
    where = f"{source}, column {target!r}"
    if kind not in _TASKS:
        raise DataError(
            f"A target cannot be of the kind {kind!r}.",
            where=where,
            expected="numeric (a regression), category or boolean (a classification)",
            found=kind,
        )
    if task not in (None, _TASKS[kind]):
        raise DataError(
            "The kind of the target says another task than the one that is asked for.",
            where=where,
            expected=f"one of the two: {kind} is a {_TASKS[kind]}",
            found=f"kind {kind} and task {task}, which a loss may imply",
        )
    return _TASKS[kind]


def target_of(column: Profile, conventions: Conventions, task: str | None, where: str) -> Target:
    """The target that a column is.

    Raises:
        DataError: it holds nothing that can be predicted.
    """
    if column.values is None:
        raise DataError(
            "The target holds lists or objects.",
            where=where,
            expected="one number or class a row",
            found="several values in a cell",
        )
    if not column.present:
        raise DataError(
            "The target has no values.",
            where=where,
            expected="a number or class in at least 2 rows",
            found=f"{column.missing:,} missing values",
            hint="is it the right column?",
        )
    if _is_regression(column, task, where):
        return _regression(column, conventions)
    return _classes(column, where)


def learnable_rows(
    targets: Sequence[Target], frame: pl.DataFrame, source: str
) -> tuple[Array, list[str]]:
    """(rows,) whether a row has a target, one of several at least, and notes.

    Raises:
        DataError: they are too few, or all alike.
    """
    found: Array = np.full(frame.height, not targets)
    notes = []
    for target in targets:
        values = Schema((), (), target).read_target(frame, source)
        known = known_targets(values)
        _check_learnable(values[known], target, f"{source}, column {target.name!r}")
        notes += _notes_on(target, values[known], int((~known).sum()), len(targets) > 1)
        found = found | known
    return found, notes


def unusable(lost: int, target: str, several: bool = False) -> str:
    """What is said of rows whose target cannot be used.

    Example:
        >>> unusable(2, "price")
        '2 rows have no usable target (price) and will not be used'
    """
    fate = "will train the other targets only" if several else "will not be used"
    return f"{counted(lost, 'row has', 'rows have')} no usable target ({target}) and {fate}"


def without_target(lost: int) -> str:
    """What is said of rows that are left out.

    Example:
        >>> without_target(1)
        '1 row has no target and is left out'
    """
    return counted(lost, "row has no target and is", "rows have no target and are") + " left out"


def _notes_on(target: Target, values: Array, lost: int, several: bool) -> list[str]:
    """What is to be said of the rows without this target, and of rare classes."""
    notes = []
    if lost:
        notes.append(unusable(lost, target.name, several))
    if target.classes:
        kept = parsing.WORDS.difference(target.missing or parsing.WORDS)
        for word in (name for name in target.classes if name.lower() in kept):
            notes.append(
                f"{word!r} is a class of {target.name}, no missing value; --missing {word} "
                f"(missing=[{word!r}]) says otherwise"
            )
        counts = np.bincount(values, minlength=len(target.classes))
        notes += notes_on_classes(target.classes, counts, f" of {target.name}")
    else:
        notes += _far_away(target, values)
    return notes


def _far_away(target: Target, values: Array) -> list[str]:
    """A note on numbers so far from the others that a squared error sees nothing else."""
    if len(values) < _SOME:
        return []
    middle = float(np.median(values))
    away = np.abs(values / 2 - middle / 2)  # half of it, so that it cannot overflow
    usual, largest = float(np.quantile(away, 0.99)), int(np.argmax(away))
    if not 0 < usual < away[largest] / _FAR:
        return []
    return [
        f"{target.name} reaches {values[largest]:.4g}, while 99 % of its values lie within "
        f"{2 * usual:.4g} of {middle:.4g}: check that row, or omit it; the loss mae is moved less"
    ]


def notes_on_classes(
    classes: Sequence[str], counts: Array | None, of: str = "", unit: str = "row"
) -> list[str]:
    """What is to be said of classes whose names are nearly the same, and of rare ones.

    Args:
        classes: their names.
        counts: (classes,) how many rows are of each; None where a split is given.
        of: where they are, in words.
        unit: what a row is called.

    Example:
        >>> notes_on_classes(["Cat", "cat", "dog"], np.array([3, 4, 1]), unit="image")[1]
        "class 'dog' has one image only; it is used for training, never for testing"
    """
    import polars as pl

    seen: dict[str, str] = {}
    notes = []
    for name in classes:
        other = seen.setdefault("".join(name.lower().split()), name)
        if other != name:
            notes.append(
                f"classes {other!r} and {name!r}{of} differ in case or spaces only; "
                "they are different classes: write them alike if they are one"
            )
    if len(classes) > 2 and parsing.are_booleans(pl.Series(list(classes))):
        notes.append(
            f"the classes{of} are yes and no in several notations "
            f"({', '.join(classes)}), and different classes: write them alike"
        )
    few = [] if counts is None else zip(classes, counts, strict=True)
    if rare := [label for label, count in few if count == 1]:
        which = f"class {rare[0]!r} has" if len(rare) == 1 else f"{len(rare)} classes have"
        notes.append(f"{which} one {unit} only; it is used for training, never for testing")
    return notes


def _is_regression(column: Profile, task: str | None, where: str) -> bool:
    if task not in (None, "regression", "classification"):
        raise DataError(
            "This task is not known.", expected="regression or classification", found=str(task)
        )
    if task == "classification":
        return False
    if column.is_datetime or (column.date_formats and task is None):
        raise DataError(
            "The target holds dates, which cannot be predicted yet.",
            where=where,
            expected="numbers or classes",
            found=", ".join(f"{value!s}" for value in column.distinct.head(3).to_list()),
            hint="turn it into a number, such as days from a fixed date",
        )
    is_number = bool(column.notations) if column.is_text else column.distinct.dtype.is_numeric()
    if task == "regression":
        if not is_number:
            raise DataError(
                "A regression needs a target of numbers.",
                where=where,
                expected="numbers",
                found=", ".join(map(shown, column.distinct.head(3).to_list())),
                hint="ask for a classification, or omit the task and any loss for numbers",
            )
        return True
    return is_number and not _are_class_numbers(column)


def _are_class_numbers(column: Profile) -> bool:
    notation = column.notations[0] if column.is_text else PLAIN
    read = parsing.read_numbers(column.distinct, notation, column.unit)
    if read.null_count():  # words among the numbers: classes if few
        return len(column.distinct) <= MOST_CLASSES and column.present >= ROWS_PER_CLASS * len(read)
    values = np.unique(read.filter(read.is_finite()).to_numpy())
    if (values != np.floor(values)).any():
        return False
    if tuple(values) in ((0, 1), (-1, 1), (1, 2)):
        return True
    return len(values) <= MOST_CLASSES and column.present >= ROWS_PER_CLASS * len(values)


def _regression(column: Profile, conventions: Conventions) -> Target:
    notation, how = None, ""
    if column.is_text:
        chosen, how = choose_notation(column.notations, column, conventions)
        notation = settled(chosen, column, conventions)
    read = parsing.read_numbers(column.distinct, notation or PLAIN, column.unit)
    reason = f"numbers, {len(column.distinct):,} distinct{how}: a regression"
    return Target(
        column.name, "regression", reason, notation, missing=column.words,
        unread=column.unread(read), unit=column.unit, signs=column.signs,
        integers=are_integers(read),
    )  # fmt: skip


def _classes(column: Profile, where: str) -> Target:
    text = parsing.read_categories(column.distinct).unique()
    rows = column.present
    if rows >= FEW_ROWS and len(text) * 2 > rows:
        raise DataError(
            "The target has nearly as many classes as rows.",
            where=where,
            expected="a few classes, each in several rows, or numbers",
            found=f"{len(text):,} different values in {rows:,} rows, as {text.sort()[0]!r:.40}",
            hint="is it the right column? Identifiers cannot be predicted; numbers are learned "
            "with --kind table, also from texts; texts are learned to be written with --kind "
            "sequence-to-text --features COLUMN_OF_THE_SOURCE",
        )
    numbers = text.cast(float, strict=False)
    order = numbers if numbers.null_count() == 0 else text
    classes = tuple(text.gather(order.arg_sort()).to_list())
    names = ", ".join(classes[:5]) + (", …" if len(classes) > 5 else "")
    what = "text" if column.is_text and numbers.null_count() else f"{len(classes)} values"
    reason = f"{what} in {rows:,} rows: {len(classes)} classes ({names})"
    task: Task = "binary" if len(classes) == 2 else "multiclass"
    return Target(column.name, task, reason, None, classes, missing=column.words)


def _check_learnable(values: Array, target: Target, where: str) -> None:
    if len(values) < 2:
        raise DataError(
            "There are too few rows to learn from.",
            where=where,
            expected="at least 2 rows with a target",
            found="1 row" if len(values) else "no row",
        )
    if len(np.unique(values)) == 1:
        one = f"{target.classes[0]!r}" if target.classes else f"{values[0]:g}"
        raise DataError(
            "The target has one class only." if target.classes else "The target is constant.",
            where=where,
            expected="at least two different values",
            found=f"{one} in all {len(values):,} rows",
            hint="there is nothing to learn: is it the right column?",
        )
    if not target.classes:
        check_size(values, where, *_far_away(target, values))


def check_size(values: Array, where: str, hint: str = "") -> None:
    """Refuse numbers whose squares overflow, or whose differences have squares of 0.

    Args:
        values: at least two, which differ.
        where: they are from.
        hint: what to do, if that is known.

    Raises:
        DataError: no error, mean or scale of them could be computed.

    Example:
        >>> check_size(np.array([1e-9, 1e30]), "the table")
    """
    values = values[np.isfinite(values)]
    largest = float(np.abs(values).max(initial=0.0))
    least = float(np.ptp(values / largest)) * largest if largest > 0 else 1.0
    if least >= _LEAST and largest <= _LARGEST:
        return
    too_large = largest > _LARGEST
    raise DataError(
        f"The target's numbers are too {'large' if too_large else 'small'} to compute with.",
        where=where,
        expected=f"numbers up to {_LARGEST:g}" if too_large
        else f"numbers that differ by {_LEAST:g} or more",
        found=f"numbers up to {largest:.4g}" if too_large
        else f"numbers that differ by {least:.4g} at most",
        hint=hint or "their squares are no numbers of 64 bits: write the target in another unit",
    )  # fmt: skip
