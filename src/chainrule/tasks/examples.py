"""Some examples of a saved model's data, encoded, with what a step of its training takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.tensor import Tensor
from ..errors import DataError
from ..nn import Module
from ..optim import Optimizer
from ..serialization import SavedModel
from ..utils.typing import Array

_SHOWN = 60


@dataclass(frozen=True)
class RawRow:
    """One example as it stands in the data, before anything is done to it.

    Attributes:
        number: of the row in a table, or of the file, the text and so on, from 0.
        cells: column, text as it stands there, what it is encoded as, and the input it goes into.
        target: the cell of the target.
        prediction: what the model says, as text in the target's unit.
        name: what it is called; a row of the table without one.
        moved: for each column what the model says without its cell, the largest change first:
            ``column``, ``text``, ``without`` and ``change``.
    """

    number: int
    cells: tuple[Mapping[str, Any], ...]
    target: Mapping[str, Any] | None = None
    prediction: str = ""
    name: str = ""
    moved: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples of data of any kind, and how the network that was saved is trained on them.

    Attributes:
        inputs: as the network takes them, with the examples on the first axis.
        target: what goes into the loss.
        loss: of the training: a name, or a function of what the network gives and the target.
        raw: each example as it is in the data.
        network: inputs → what goes into the loss; None for the one in the model file, up to where
            a prediction is made of its output.
        optimizer: the one of the training with an empty state, for a network; None where the
            options and the report of the training say all that is to be known.
        labels: for inputs by name (``"x"``): what the elements on the last axis mean.
        story: sentences that introduce the model.
    """

    inputs: Any
    target: Array
    loss: str | Callable[..., Tensor]
    raw: tuple[RawRow, ...]
    network: Module | None = None
    optimizer: Callable[[Any], Optimizer] | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    story: tuple[str, ...] = ()


def scaled(
    saved: SavedModel, target: Array, scale: str, is_log: bool
) -> tuple[Array, tuple[str, ...]]:
    """A target on the scale of the training, float32, and a sentence that says so.

    Args:
        saved: the model.
        target: in its own unit.
        scale: the path of the module with ``mean`` and ``std``.
        is_log: whether these are those of the target's logarithm.
    """
    state = saved.state()
    mean, std = (float(np.ravel(state[f"{scale}.{name}"])[0]) for name in ("mean", "std"))
    y = np.log(np.maximum(target, np.finfo(float).tiny)) if is_log else target
    of = "The logarithm of the target" if is_log else "The target"
    formula = f"y is ({of[4:]} - {mean:.6g}) / {std:.6g}"
    story = f"{of} is standardised to mean 0 and standard deviation 1: {formula}."
    return ((y - mean) / std).astype(np.float32), (story,)


def has_log_target(saved: SavedModel) -> bool:
    """Whether a regression was trained on the logarithm of its target: its report says it."""
    report = (saved.record or {}).get("report") or {}
    if "log_target" in report:
        return bool(report["log_target"])
    return saved.graph(1).outputs[0].op.name == "exp"  # a model of version 0.1


def check_rows(rows: Sequence[int], count: int, where: str, hint: str) -> None:
    """Refuse indices of examples that are not there.

    Raises:
        DataError: it says which there are.
    """
    for row in rows:
        if not 0 <= row < count:
            raise DataError(
                f"There is no row {row}.",
                where=where,
                expected=f"from 0 to {count - 1}",
                hint=hint,
            )


def no_target(where: str, expected: str, found: str | None = None) -> DataError:
    """The error of an example without a target; ``expected`` says how to give it."""
    return DataError(
        "An explanation needs the target: the error is measured by it.",
        where=where,
        expected=expected,
        found=found,
    )


def class_by_folder(path: str, source: Any, classes: Sequence[str]) -> int:
    """The class index by the nearest folder that has its name; an error without one.

    Args:
        path: a file.
        source: what the user gave: the file itself, or a folder, above which nothing is looked at.
        classes: their names.

    Example:
        >>> class_by_folder("pets/cats/old/1.png", "pets/cats/old/1.png", ["cats", "old"])
        1
    """
    top = Path(source).absolute()
    for folder in Path(path).absolute().parents:
        if folder.name in classes:
            return list(classes).index(folder.name)
        if folder == top or folder == top.parent:
            break
    raise no_target(
        path,
        f"a file in a folder that is called as its class: {', '.join(classes[:10])}",
        f"the folder {Path(path).absolute().parent.name}",
    )


def said(found: Any, classes: Sequence[str]) -> str:
    """A prediction in words.

    Example:
        >>> said(np.array([0.25, 0.75]), ["cat", "dog"]), said(np.array([1.5, 2.0]), [])
        ('dog (75.0%)', '1.5, 2')
    """
    if classes:
        best = int(np.argmax(found))
        return f"{classes[best]} ({float(found[best]):.1%})"
    return shortened(", ".join(f"{x:.6g}" for x in np.ravel(found)))


def shortened(text: str) -> str:
    r"""A text on one line that is not too long for a table.

    Example:
        >>> shortened("one\ntwo")
        'one two'
    """
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
