"""What rows that a network was not trained on say of it, once it is trained.

They are those that chose its best weights. Where every row is held out from one member of the
network only, it is that member's answer that counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...engine.ops import transpose
from ...engine.tensor import Tensor, as_tensor
from ...training import Arrays
from ...training.evaluation import Evaluator
from ...utils.typing import Array
from ..intervals import enough_rows, shift
from ..plan import Learner
from .heads import NumberHead, parts_of

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The held-out rows that have a target.

    Attributes:
        z: (members, rows, outputs) what the network gives for the head of this target; one member
            where each row has its own.
        target: (rows,) as it is learned.
        weights: (rows,) what each row counts for.
    """

    z: Array
    target: Array
    weights: Array


def held_out(learner: Learner, validation: Arrays) -> list[HeldOut]:
    """The held-out rows of each target."""

    def rows_first(z: Tensor) -> Tensor:
        return transpose(z, (1, 0, 2))

    # Once, and forwards only: not worth a native program.
    evaluator = Evaluator(learner.network, learner.loss, rows_first, "numpy")  # type: ignore[arg-type]
    z = evaluator.predict(Arrays(validation.inputs)).transpose(1, 0, 2)
    rows = np.arange(len(validation))
    weights = np.ones(len(rows)) if validation.weights is None else validation.weights
    if weights.ndim == 2:  # each row is held out from one member
        own = weights.argmax(axis=1)
        z, weights = z[own, rows][None], weights[rows, own]
    heads, target = learner.model.heads, validation.target
    assert target is not None
    found = []
    for i, part in enumerate(parts_of(heads, z)):
        values, known = target, weights > 0
        if len(heads) > 1:
            values, known = target[:, i], known & (target[:, len(heads) + i] > 0)
        found.append(HeldOut(part[:, known], values[known], weights[known]))
    return found


def correct_quantiles(head: NumberHead, name: str, rows: HeldOut, say: Say) -> None:
    """Move the quantiles of a target by what held-out rows say."""
    if not len(rows.target):
        say(f"no held-out row has a {name}: its quantiles are as they were learned")
        return
    found = head.quantiles(as_tensor(rows.z)).numpy().astype(np.float64).mean(axis=0)
    errors = rows.target[:, None] - found
    even = None if (rows.weights == rows.weights[0]).all() else rows.weights
    moved = [shift(level, errors[:, i], even) for i, level in enumerate(head.levels)]
    head.shift.assign(np.array(moved))
    count = len(rows.target)
    few = [f"{level:g}" for level in head.levels if enough_rows(level) > count]
    if few:
        say(
            f"{count:,} held-out rows are too few for the quantiles {', '.join(few)} of {name}: "
            "the largest error is taken, and less may lie within than they state"
        )
