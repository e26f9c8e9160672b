"""What is new: classes that a saved model does not know, and their place in a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..data import Target, parsing
from ..data.schema import Task, check_present, tidy_column
from ..errors import DataError
from ..nn import Module
from ..utils.typing import Array

if TYPE_CHECKING:
    import polars as pl


def new_words(known: Collection[str], tidy: pl.Series) -> list[str]:
    """The words in a column that are not known, in the order of the text."""
    words = parsing.read_categories(tidy).drop_nulls().unique().sort().to_list()
    return [word for word in words if word not in set(known)]


def new_classes(target: Target | None, frame: pl.DataFrame, source: str) -> list[str]:
    """The classes in the column of a target that are not known; none for numbers.

    Raises:
        DataError: there is no such column.

    Example:
        >>> import polars as pl
        >>> pets = Target("pet", "binary", "", classes=("cat", "dog"))
        >>> new_classes(pets, pl.DataFrame({"pet": ["Dog", "emu", None]}), "pets.csv")
        ['emu']
    """
    if target is None or not target.classes:
        return []
    check_present([target.name], frame.columns, source)
    known = {name.lower() for name in target.classes}  # case is ignored in classes
    words = new_words((), tidy_column(frame, target.name, source, target.missing))
    return [word for word in words if word.lower() not in known]


def extended_classes(
    classes: Sequence[str],
    new: Sequence[str],
    *,
    grow: bool,
    where: str,
    say: Callable[[str], None],
) -> tuple[str, ...]:
    """All classes: those that are known at their places, new ones after them.

    Raises:
        DataError: there are new ones, and they may not grow.
    """
    if new and not grow:
        raise DataError(
            "The new data have classes that the model does not know.",
            where=where,
            expected=", ".join(classes),
            found=", ".join(new),
            hint="give them outputs of their own with --grow (grow=True), or remove them",
        )
    if new:
        say(f"new classes: {', '.join(new)}")
    return (*classes, *new)


def extended_target(target: Target, classes: Sequence[str]) -> Target:
    """A target with these classes, the first of which are its own.

    Example:
        >>> pets = Target("pet", "binary", "", classes=("cat", "dog"))
        >>> extended_target(pets, ("cat", "dog", "emu")).task
        'multiclass'
    """
    if tuple(classes) == target.classes:
        return target
    task: Task = "binary" if len(classes) == 2 else "multiclass"
    counts = target.class_counts
    if counts:
        counts = (*counts, *(0 for _ in range(len(classes) - len(counts))))
    return dataclasses.replace(target, task=task, classes=tuple(classes), class_counts=counts)


def task_of(classes: Sequence[str]) -> str:
    """The task of telling these classes apart."""
    return "binary" if len(classes) == 2 else "multiclass"


def enlarged(array: Array, shape: tuple[int, ...]) -> Array | None:
    """An array with zeros added at the end of its last axis; None if that does not fit.

    Example:
        >>> enlarged(np.ones((1, 2)), (1, 3))
        array([[1., 1., 0.]])
    """
    if array.shape == shape:
        return array
    if len(array.shape) != len(shape) or not shape:
        return None
    more = shape[-1] - array.shape[-1]
    if array.shape[:-1] != shape[:-1] or more < 0:
        return None
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, more)])


def restore(model: Module, state: Mapping[str, Array]) -> None:
    """Give a model the variables of a saved one; outputs that it has besides give 0 at first.

    So the order of all answers that the saved model gives stays.
    """
    shapes = {path: variable.shape for path, variable in model.variables().items()}
    taken = {path: enlarged(array, shapes.get(path, ())) for path, array in state.items()}
    model.load_state({path: state[path] if a is None else a for path, a in taken.items()})


def for_classes(probabilities: Array, count: int) -> Array:
    """What a saved model says, for more classes than it knows: it gives new ones no chance.

    Args:
        probabilities: (rows, classes), or numbers (rows,), which stay as they are.
        count: classes now; 0 for numbers.
    """
    if not count:
        return probabilities
    return np.pad(probabilities, ((0, 0), (0, count - probabilities.shape[1])))
