"""Whether the logarithm of a positive, skewed target is learned: short trainings say.

A logarithm suits what grows in proportions, and spoils what adds up. Both are learned for a few
steps from the same weights; held-out rows compare them in the target's own unit, by squared
errors. The logarithm keeps what is undecided: few large values decide squared errors by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...engine.tensor import as_tensor
from ...training import Arrays
from ...utils.typing import Array
from ..plan import Learner, Recipe
from ..scaling import TargetScaler
from .held_out import HeldOut, held_out

#: Updates of a trial: this fraction of the training's, and not more than so many. After half of
#: them a target that adds up may still be taken for one that grows in proportions.
_FRACTION, _MOST = 0.125, 100
#: Plain numbers are taken if they are better by more than so many standard errors.
_CLEAR = 1.0


def logarithm_helps(
    learner: Learner,
    trial: Callable[[], Any],
    train: Arrays,
    validation: Arrays,
    recipe: Recipe,
    steps: int,
    minutes: float | None = None,
) -> tuple[bool, str]:
    """Whether to learn the logarithm, and a sentence about it.

    Args:
        learner: with a single number as target, whose scale takes the logarithm; its network has
            its first weights again in the end.
        trial: makes a trainer of the network, which is as new in the end.
        train: what it learns from.
        validation: held-out rows.
        recipe: of the training.
        steps: of the training.
        minutes: that are left; a quarter of them is for the trials.
    """
    (head,) = learner.model.heads
    logarithm: TargetScaler = head.scale
    assert train.target is not None
    plain = TargetScaler(log=False).fit(_back(logarithm, train.target))
    updates = min(max(int(steps * _FRACTION), 1), _MOST)
    epochs = math.ceil(updates / math.ceil(len(train) / recipe.batch_size))
    trainer, first = trial(), learner.network.state()
    start = trainer.state()
    errors, counted = [], np.zeros(0)
    for scale in (logarithm, plain):
        parts = [
            Arrays(each.inputs, scale.transform(_back(logarithm, each.target)), each.weights)
            for each in (train, validation)
            if each.target is not None
        ]
        trainer.fit(
            parts[0], validation=parts[1], epochs=epochs, batch_size=recipe.batch_size,
            validate_every=epochs, minutes=None if minutes is None else minutes / 8,
        )  # fmt: skip
        (rows,) = held_out(learner, parts[1])
        errors.append(_squared_errors(scale, rows))
        counted = rows.weights
        learner.network.load_state(first)
        trainer.start_over(start)  # one program for both, and for the training
    return _compared(errors[0], errors[1], counted)


def _compared(logarithm: Array, plain: Array, weights: Array) -> tuple[bool, str]:
    gain = logarithm - plain
    mean = float(np.average(gain, weights=weights))
    error = float(np.sqrt(np.average((gain - mean) ** 2, weights=weights) / len(gain)))
    helps = not mean > _CLEAR * error
    before, after = (float(np.average(each, weights=weights)) ** 0.5 for each in (plain, logarithm))
    told = f"{after:.3g} with, {before:.3g} without"
    return helps, f"in short trials the error (RMSE) on held-out rows was {told}"


def _back(scale: TargetScaler, scaled: Array) -> Array:
    y = scaled.astype(float) * scale.std.item() + scale.mean.item()
    return np.asarray(np.exp(y) if scale.log else y)


def _squared_errors(scale: TargetScaler, rows: HeldOut) -> Array:
    """In the target's own unit; the bias of a logarithm's way back is corrected if that helps."""
    found = scale(as_tensor(rows.z[:, :, 0])).numpy().mean(axis=0)
    y, weights = _back(scale, rows.target), rows.weights
    if scale.log:
        ratio = np.average(y, weights=weights) / np.average(found, weights=weights)
        corrected = (y - ratio * found) ** 2
        if np.average(corrected, weights=weights) < np.average((y - found) ** 2, weights=weights):
            return np.asarray(corrected)
    return np.asarray((y - found) ** 2)
